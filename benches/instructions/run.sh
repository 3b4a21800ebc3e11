#!/usr/bin/env bash
# Counts instructions and compares them with counts.toml: benches/instructions/run.sh [--bless]
#
# --bless writes counts.toml instead. Exit codes: 0 nothing takes 5 % more than it did, 1 something does, or no build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Beside the product's own build, with which it shares most of what is compiled.
target=$(cd ../.. && pwd)/target
cargo build --locked --quiet --target-dir "$target"
exec "$target/debug/rtalink-instructions" "$@"
