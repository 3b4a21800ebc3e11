# shellcheck shell=bash
# Sourced by image.sh: stand-ins for the two images that the Containerfile starts from, made of Debian's packages, for
# machines that reach no registry of images.
#
# The build stage has the compilers of the official image of Rust, and development packages of that image which must not
# find their way into the binary. The toolchain itself is mounted. The runtime stage has the packages of
# gcr.io/distroless/cc-debian12, unpacked and not installed: no shell, no package manager, no dpkg, but for the list
# of the packages in /var/lib/dpkg/status.d.

debian=bookworm
compilers=ca-certificates,g++,gcc,libc6-dev,make,perl
temptations=libcurl4-openssl-dev,libssl-dev,libzstd-dev,zlib1g-dev,pkg-config
runtime=(base-files ca-certificates gcc-12-base libc6 libgcc-s1 libgomp1 libssl3 libstdc++6 media-types netbase tzdata)

# make_build_root DIR
make_build_root() {
    debootstrap --variant=minbase --include="$compilers,$temptations" "$debian" "$1" >"$1.log" 2>&1 \
        || { tail -n 20 "$1.log" >&2; fail "debootstrap failed"; }
    rm -rf "$1.log" "$1"/var/cache/apt/archives/*.deb
}

# make_runtime_root BUILD_ROOT DIR
make_runtime_root() {
    local packages deb
    packages=$(mktemp -d "$1/tmp/packages.XXXXXX")
    chmod 755 "$packages"
    # The sandbox user of apt may not write there; the packages are checked against Debian's signatures all the same.
    chroot "$1" sh -c 'cd "$1" && shift && apt-get -qq -o APT::Sandbox::User=root download "$@"' \
        sh "${packages#"$1"}" "${runtime[@]}" >&2 || fail "apt-get download failed"
    mkdir -p "$2"
    mkdir -p "$2"/var/lib/dpkg/status.d
    for deb in "$packages"/*.deb; do
        dpkg-deb -x "$deb" "$2"
        dpkg-deb -f "$deb" >"$2/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
    done
    rm -rf "$packages" "$2"/usr/{sbin,bin} "$2"/{sbin,bin} "$2"/usr/share/{man,lintian,bug,info,gdb} "$2"/usr/lib/x86_64-linux-gnu/gconv
    find "$2/usr/share/doc" -type f ! -name copyright -delete
    mkdir -p "$2"/etc/ssl/certs "$2"/home/nonroot "$2"/tmp "$2"/proc "$2"/dev "$2"/sys
    chmod 1777 "$2/tmp"
    cat "$2"/usr/share/ca-certificates/mozilla/*.crt >"$2/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$2/usr/share/ca-certificates"
    printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >"$2/etc/passwd"
    printf '%s\n' root:x:0: nonroot:x:65532: >"$2/etc/group"
    chown 65532:65532 "$2/home/nonroot"
}

# What the image is made of is what is tested. A program that is as fast as it can be would take minutes more.
# shellcheck disable=SC2034 # for image.sh
sooner=(
    --env CARGO_PROFILE_RELEASE_LTO=off
    --env CARGO_PROFILE_RELEASE_OPT_LEVEL=1
    --env CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64
    --env CARGO_PROFILE_RELEASE_DEBUG=none
)
