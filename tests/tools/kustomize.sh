#!/usr/bin/env bash
# kustomize, built by Go from its pinned module.
#
#   kustomize.sh install      build it into the cache
#   kustomize.sh build DIR    the manifests of DIR on stdout
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tools/cache.sh
source "$here/cache.sh"

# A newer one wants a newer Go than Debian and its backports have.
module=sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
folder=$cache/kustomize-${module##*@}

build() {
    command -v go >/dev/null || fail "Go is missing: install it and run 'make tools' again"
    echo "building kustomize" >&2
    GOBIN=$1 go install "$module" >&2
}

case ${1:-} in
install) install_once "$folder" build ;;
build)
    [ -d "$folder" ] || fail "kustomize is missing: run 'make tools'"
    exec "$folder/kustomize" "$@"
    ;;
*)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
