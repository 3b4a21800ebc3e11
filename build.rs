//! Compiles `proto/` to Rust types and keeps the descriptors for the JSON form. protox needs no protoc.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// Without it the store cannot erase anybody: that must not be found out when somebody asks for it.
const PAGES: &str = "SQLITE_ENABLE_DBPAGE_VTAB";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=LIBSQLITE3_FLAGS");
    if !env::var("LIBSQLITE3_FLAGS").is_ok_and(|flags| flags.contains(PAGES)) {
        let advice = "build below the root of the repository, where .cargo/config.toml sets it, or set it yourself";
        return Err(format!("LIBSQLITE3_FLAGS lacks -D{PAGES}: {advice}").into());
    }
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
