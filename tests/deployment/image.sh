#!/usr/bin/env bash
# The image of deploy/container/Containerfile, built without a container engine, as root, by buildah.
#
#   image.sh build    build it unless nothing has changed; the last line is the folder that it is in
#
# The folder has `rootfs`, the file system of the image; `config.json`, its configuration; `base-bytes`, the size of its base; `rtalink.cdx.json`, what it is made of.
# Everything is kept in the cache: the two bases, what cargo compiled, the last images. Crates are fetched by cargo out here, with
# whatever configuration it has; the build itself is offline.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=tests/tools/cache.sh
source "$here/../tools/cache.sh"
# shellcheck source=tests/deployment/bases.sh
source "$here/bases.sh"

# A folder and a lock of their own: a build takes minutes, and nobody else should wait for it.
cache=$cache/image
bases=$(pinned bases "$here/bases.sh")
# How many images are kept.
keep=4

# storage FOLDER ARG...: buildah with the images in FOLDER, apart from the system's.
storage() {
    TMPDIR=$cache/build buildah --root "$1/storage" --runroot "$cache/build/run" --storage-driver vfs "${@:2}"
}

# import FOLDER NAME ROOT CONFIG...: an image of a root file system.
import() {
    local container
    container=$(storage "$1" from scratch)
    storage "$1" copy --quiet "$container" "$3" / >/dev/null
    storage "$1" config "${@:4}" "$container"
    storage "$1" commit --quiet --rm "$container" "$2" >/dev/null
}

make_bases() {
    echo "making the bases of the image from Debian's packages" >&2
    make_build_root "$1/build"
    make_runtime_root "$1/build" "$1/runtime"
    du -sb --apparent-size "$1/runtime" | cut -f1 >"$1/base-bytes"
    import "$1" rtalink-build "$1/build" --env CARGO_HOME=/host/cargo --env CARGO_NET_OFFLINE=true "${sooner[@]}" \
        --env PATH=/host/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin
    import "$1" rtalink-runtime "$1/runtime" --user 65532 --workingdir /home/nonroot --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
    rm -rf "$1/build" "$1/runtime"
}

# Everything that the image depends on.
fingerprint() {
    {
        rustc -V
        cd "$root"
        find Cargo.toml Cargo.lock LICENSE build.rs benches examples proto src .containerignore deploy/container/Containerfile \
            deploy/sbom.py deploy/systemd/licences.sh tests/deployment/image.sh tests/deployment/bases.sh -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c1-12
}

# fill FOLDER: builds the image into it.
fill() {
    local container mounted toolchain cargo_home
    toolchain=$(rustc --print sysroot)
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    echo "building the image" >&2
    (cd "$root" && cargo fetch --quiet --locked)
    build() {
        storage "$bases" bud --quiet --isolation chroot --format docker --layers=false --pull-never --timestamp "$epoch" \
            --build-arg BUILD=localhost/rtalink-build --build-arg RUNTIME=localhost/rtalink-runtime \
            --build-arg REVISION="$revision" --build-arg SOURCE_DATE_EPOCH="$epoch" \
            --volume "$toolchain:/host/toolchain:ro" --volume "$cargo_home:/host/cargo" \
            --file "$root/deploy/container/Containerfile" "$@" "$root" >&2
    }
    # What a build that was cut off has left.
    storage "$bases" rm --all >/dev/null
    local revision epoch=0
    revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)
    build --tag rtalink
    container=$(storage "$bases" from --pull-never localhost/rtalink)
    mounted=$(storage "$bases" mount "$container")
    cp -a "$mounted" "$1/rootfs"
    # Where an engine mounts something it makes a folder.
    mkdir -p "$1"/rootfs/{dev,proc,etc/rtalink}
    storage "$bases" inspect --type image localhost/rtalink >"$1/config.json"
    cp "$bases/base-bytes" "$1/base-bytes"
    SOURCE_DATE_EPOCH=$epoch "$root/deploy/sbom.py" --binary "$1/rootfs/usr/local/bin/rtalink" --rootfs "$1/rootfs" >"$1/rtalink.cdx.json"
    storage "$bases" rm "$container" >/dev/null
    storage "$bases" rmi localhost/rtalink >/dev/null
}

build_image() {
    local target
    for tool in buildah debootstrap; do
        command -v "$tool" >/dev/null || fail "$tool is missing: run 'make tools'"
    done
    [ "$(id -u)" = 0 ] || fail "only root can build the image without an engine"
    target=$cache/built-$(fingerprint)
    mkdir -p "$cache/build"
    install_once "$bases" make_bases
    install_once "$target" fill
    touch "$target"
    # shellcheck disable=SC2012 # names without blanks
    ls -dt "$cache"/built-???????????? | tail -n +$((keep + 1)) | xargs -r rm -rf
    echo "$target"
}

case ${1:-} in
build) build_image ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
