//! Compiles `proto/` to Rust types and keeps the descriptors for the JSON form. protox needs no protoc.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/rtalink/v1/agent_state.proto",
        "proto/rtalink/v1/feed_status.proto",
        "proto/rtalink/v1/audit.proto",
        "proto/rtalink/store/v1/store.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("rtalink.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
