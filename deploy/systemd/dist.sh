#!/usr/bin/env bash
# The archive for machines without containers. Prints its name.
#
#   dist.sh BINARY FOLDER    rtalink-VERSION-ARCHITECTURE-linux.tar.gz in FOLDER
#
# BINARY is an optimised one: that of the image, or target/release/rtalink. The same files and the same SOURCE_DATE_EPOCH give
# the same bytes.
set -euo pipefail

[ $# = 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=$(realpath "$1")
folder=$(mkdir -p "$2" && cd "$2" && pwd)
version=$("$binary" --version | awk '{ print $2 }')
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)}
name=rtalink-$version
archive=$folder/$name-$(uname -m)-linux.tar.gz

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
install -D -m 755 "$binary" "$stage/$name/rtalink"
install -D -m 644 -t "$stage/$name" "$root/LICENSE" "$root/docs/deployment.md" "$root/deploy/rtalink.toml" \
    "$root/deploy/systemd/rtalink.service"
install -D -m 644 -t "$stage/$name/mapping" "$root"/deploy/mapping/*.csv
"$root/deploy/systemd/licences.sh" >"$stage/$name/THIRD-PARTY.txt"
SOURCE_DATE_EPOCH=$epoch "$root/deploy/sbom.py" --binary "$binary" >"$stage/$name/rtalink.cdx.json"
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=go-w --mtime="@$epoch" -C "$stage" -cf - "$name" | gzip -n -9 >"$archive"
echo "$archive"
