#!/usr/bin/env bash
# Node packages for the tests, one set per folder NAME beside this file: package.json and its lock.
#
#   node.sh install NAME...        install the sets into the cache
#   node.sh run NAME FILE ...      run FILE, CommonJS, with that of NAME
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tools/cache.sh
source "$here/cache.sh"

# packages NAME: their folder. The lock pins what package.json asks for.
packages() {
    [ -f "$here/$1/package-lock.json" ] || fail "there is no set of packages $1"
    pinned "node-$1" "$here/$1/package-lock.json"
}

install_packages() {
    echo "installing the Node packages $name" >&2
    command -v npm >/dev/null || fail "npm is missing: install Node.js 20 or newer and run 'make tools' again"
    cp "$here/$name/package.json" "$here/$name/package-lock.json" "$1/"
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
}

case ${1:-} in
install)
    for name in "${@:2}"; do
        install_once "$(packages "$name")" install_packages
    done
    ;;
run)
    folder=$(packages "${2:-}")
    [ -d "$folder" ] || fail "the Node packages $2 are missing: run 'make tools'"
    NODE_PATH=$folder/node_modules exec node "${@:3}"
    ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
