#!/usr/bin/env bash
# Compares rtalink with Kafka Streams on the same feed and broker: benches/peers/run.sh
#
# Needs what `make tools-java` installs. The jars go to the cache folder, as those of the broker do. Redpanda Connect is left out: its
# module has hundreds of others.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/benches/peers/kafka-streams
# shellcheck source=tests/tools/cache.sh
source "$root/tests/tools/cache.sh"

fill() {
    local log
    log=$(mvn -B -ntp -f "$here/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$1" 2>&1) || fail "mvn could not fetch the jars: $log"
}

command -v javac >/dev/null || fail "javac is missing: install a JDK"
libs=$(pinned kafka-streams "$here/pom.xml")
install_once "$libs" fill
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac -cp "$libs/*" -d "$classes" "$here/LastState.java"
cd "$root"
RTALINK_STREAMS="$classes:$libs/*" cargo bench --locked --bench peers
