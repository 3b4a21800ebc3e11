#!/usr/bin/env bash
# The licences of everything that is linked into the binary, on stdout: the crates and the C libraries that some of them bring.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
crates=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)

echo "rtalink is linked with the works below. Their licences follow their names."
cargo tree --locked --edges normal --prefix none --format '{p}|{l}' | sed 's/ (proc-macro)//; s/ (\*)$//' | LC_ALL=C sort -u \
    | while IFS='|' read -r package licence; do
        read -r crate version _ <<<"$package"
        [ "$crate" != rtalink ] || continue
        printf '\n==== %s %s: %s\n' "$crate" "${version#v}" "$licence"
        # shellcheck disable=SC2086 # a list of folders
        for folder in $crates; do
            find "$folder$crate-${version#v}" -maxdepth 1 -type f \( -iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'NOTICE*' \) \
                2>/dev/null | LC_ALL=C sort | xargs -r -d '\n' cat
        done
    done

# shellcheck disable=SC2086 # lists of folders
for notice in "librdkafka:rdkafka-sys-*/librdkafka/LICENSES.txt" "OpenSSL:openssl-src-*/openssl/LICENSE.txt" \
    "jemalloc:tikv-jemalloc-sys-*/jemalloc/COPYING" \
    "zlib:libz-sys-*/src/zlib/LICENSE" "zstd:zstd-sys-*/zstd/LICENSE"; do
    for folder in $crates; do
        for file in $folder${notice#*:}; do
            [ -f "$file" ] || continue
            printf '\n==== %s\n' "${notice%%:*}"
            cat "$file"
        done
    done
done
printf '\n==== SQLite\nIn the public domain.\n'
