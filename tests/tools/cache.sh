# shellcheck shell=bash
# Sourced by what installs tools of the tests: where downloads live, and how they get there.
#
# Everything fetched goes to one cache folder outside the repository, into a folder named after the file that pins
# its versions. Such a folder is complete or absent: it is filled under a temporary name and then renamed, so a run
# that was cut off, or two at once, leave nothing half done.

cache="${XDG_CACHE_HOME:-$HOME/.cache}/rtalink"

# fail MESSAGE...: says why on stderr and ends with 1.
fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# pinned NAME FILE: the cache folder for what FILE pins.
pinned() {
    local sum
    sum=$(sha256sum <"$2")
    echo "$cache/$1-${sum:0:12}"
}

# install_once TARGET FUNCTION: FUNCTION fills the folder named by its argument, which becomes TARGET.
install_once() {
    local target=$1 fill=$2 partial lock
    [ -d "$target" ] && return
    mkdir -p "$cache"
    exec {lock}>"$target.lock"
    flock "$lock"
    if [ ! -d "$target" ]; then
        partial=$(mktemp -d "$target.XXXXXX")
        # shellcheck disable=SC2064 # the folder of now, not of later
        trap "rm -rf '$partial'" EXIT
        "$fill" "$partial"
        mv -T "$partial" "$target"
        trap - EXIT
    fi
    exec {lock}>&-
}
