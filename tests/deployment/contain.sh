#!/usr/bin/env bash
# Runs a command in the file system of an image, as a container engine would, without one. As root:
#
#   contain.sh ROOTFS VOLUME CONFIGURATION [NETWORK_OF_PID] -- COMMAND...
#
# The root is read-only, /tmp included; VOLUME is mounted at /var/lib/rtalink, the folder CONFIGURATION at /etc/rtalink, read-only. It
# runs as 65532 without any capability and cannot get one, in a network of its own with nothing but a loopback, or in that of
# another process. The variables of the environment are the caller's. The process id is that of this script.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

rootfs=$1 volume=$2 configuration=$3 network=
shift 3
if [ "$1" != -- ]; then
    network=$1
    shift
fi
shift

contain() {
    # Ports of the new network are nobody else's: the image's own can be used.
    [ "$4" = joined ] || ip link set lo up
    mount --bind "$1" "$1"
    cd "$1"
    mount --bind "$2" var/lib/rtalink
    mount --bind "$3" etc/rtalink
    mount -o remount,bind,ro etc/rtalink
    mount -t proc proc proc
    mount -t tmpfs -o size=64k,mode=755 tmpfs dev
    touch dev/null dev/urandom
    mount --bind /dev/null dev/null
    mount --bind /dev/urandom dev/urandom
    mount -o remount,bind,ro "$1"
    shift 4
    # What it takes to become somebody else is given up in becoming so.
    exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid --inh-caps=-all \
        chroot --userspec=65532:65532 --groups= . "$@"
}
export -f contain

if [ -n "$network" ]; then
    exec nsenter --net="/proc/$network/ns/net" unshare --mount --propagation private \
        bash -euc 'contain "$@"' bash "$rootfs" "$volume" "$configuration" joined "$@"
fi
exec unshare --mount --net --propagation private bash -euc 'contain "$@"' bash "$rootfs" "$volume" "$configuration" own "$@"
