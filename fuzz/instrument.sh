#!/usr/bin/env bash
# Stands before rustc (RUSTC_WRAPPER): adds what libFuzzer needs to see coverage, to rtalink and to the targets, not to what they
# use. All of it is there in the stable toolchain.

set -euo pipefail

case " $* " in
  *" --crate-name rtalink "*" --crate-type lib "* | *" --crate-name rtalink_fuzz "* | *" targets/"*".rs "*" --crate-type bin "*)
    set -- "$@" -Cpasses=sancov-module
    for option in level=4 inline-8bit-counters pc-table trace-compares; do
      set -- "$@" "-Cllvm-args=-sanitizer-coverage-$option"
    done
    ;;
esac
exec "$@"
