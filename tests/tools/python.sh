#!/usr/bin/env bash
# Python for the tests, one virtual environment per set of packages: a file NAME.txt in this folder.
#
#   python.sh install NAME...      make the virtual environments in the cache
#   python.sh run NAME FILE ...    run FILE, or `-m MODULE`, with that of NAME
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tools/cache.sh
source "$here/cache.sh"

# environment NAME: its folder.
environment() {
    [ -f "$here/$1.txt" ] || fail "there is no set of packages $1"
    pinned "python-$1" "$here/$1.txt"
}

make_environment() {
    echo "making the Python environment $name" >&2
    python3 -m venv "$1" >&2 || fail "python3 with its venv module is missing: run 'make tools'"
    # Only bin/python is used later: scripts would remember the folder's temporary name.
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        -r "$here/$name.txt" >&2
}

case ${1:-} in
install)
    for name in "${@:2}"; do
        install_once "$(environment "$name")" make_environment
    done
    ;;
run)
    folder=$(environment "${2:-}")
    [ -d "$folder" ] || fail "the Python environment $2 is missing: run 'make tools'"
    exec "$folder/bin/python" "${@:3}"
    ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
