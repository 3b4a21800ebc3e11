#!/usr/bin/env bash
# Builds and runs all tests. Prints how long each part took; the last line is "N passed, N failed".
#
# The totals count what cargo test reports per binary. A part that ends without a report, and a build that fails, is one
# failure; a run without any test is a failure too.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# These wait most of the time, for alerts or for the image: they run beside the others.
waiting=(--test image --test observed --test sbom)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
begin=$SECONDS

# Runs a part, keeps what it prints, and remembers its time and whether it failed without naming a test.
part() {
    local name=$1 since=$SECONDS status=0
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$work/$name.log" || status=$?
    printf '%-10s %5d s\n' "$name" $((SECONDS - since)) >>"$work/times"
    if ((status)) && ! grep -qE '^test result: FAILED' "$work/$name.log"; then
        echo "$name ended with $status without naming a test" >>"$work/unnamed"
    fi
}

tests() { cargo test --locked --no-fail-fast "$@"; }

# The image is compiled beside the rest, with what the tests leave of the cores; tests/image.rs waits for it.
if [ "$(id -u)" = 0 ]; then
    nice -n 19 tests/deployment/image.sh build </dev/null >/dev/null 2>&1 &
fi

part build cargo test --locked --no-run
if ! [ -e "$work/unnamed" ]; then
    part waiting tests "${waiting[@]}" >"$work/waiting.out" 2>&1 &
    beside=$!
    part counts benches/instructions/run.sh
    # The core without anything else: what it lacks it cannot import.
    part core tests --no-default-features --lib --test core
    part unit tests --lib --bins
    # These wait most of the time: for timers, for files, for brokers.
    threads=$(($(nproc) + 1))
    part service tests --test service -- --test-threads=$threads
    part cli tests --test cli
    part docs tests --test docs
    part kafka tests --test kafka -- --test-threads=$((threads + 1))
    part torture tests --test torture -- --test-threads=$threads
    part doc cargo test --locked --doc
    wait "$beside"
    cat "$work/waiting.out"
fi

echo
cat "$work/times"
printf '%-10s %5d s\n' all $((SECONDS - begin))
[ ! -e "$work/unnamed" ] || cat "$work/unnamed"
cat "$work"/*.log | awk -v unnamed="$(cat "$work/unnamed" 2>/dev/null | wc -l)" '
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i == "passed;") passed += $(i - 1)
            if ($i == "failed;") failed += $(i - 1)
            if ($i == "ignored;") skipped += $(i - 1)
        }
    }
    END {
        failed += unnamed
        if (passed + failed == 0) { print "no test was run"; failed = 1 }
        printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
        exit failed > 0
    }'
