#!/usr/bin/env bash
# The Python of the independent consumer, with the packages of requirements.txt.
#
#   python.sh install        make the virtual environment in the cache
#   python.sh run FILE ...   run FILE with it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/kafka/cache.sh
source "$here/cache.sh"

environment=$(pinned python "$here/requirements.txt")

make_environment() {
    echo "making the Python environment of the independent consumer" >&2
    python3 -m venv "$1" >&2 || fail "python3 with its venv module is missing: run 'make tools'"
    # Only bin/python is used later: scripts would remember the folder's temporary name.
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        -r "$here/requirements.txt" >&2
}

case ${1:-} in
install) install_once "$environment" make_environment ;;
run)
    [ -d "$environment" ] || fail "the Python environment is missing: run 'make tools'"
    exec "$environment/bin/python" "${@:2}"
    ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
