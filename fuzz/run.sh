#!/usr/bin/env bash
# Builds the fuzz targets and runs each of them: fuzz/run.sh SECONDS [TARGET...]
#
# Prints a line per target: executions, executions per second, coverage (libFuzzer's cov: edges, ft: features) and the size of
# the corpus. A finding fails the run, with the command that repeats it. Exit codes: 0 no finding, 1 a finding or no build, 2
# wrong usage.
#
# What is kept lies in $XDG_CACHE_HOME/rtalink/fuzz (default ~/.cache/rtalink/fuzz), and may be deleted: `corpus` (what earlier
# runs have found interesting, the next ones begin with it), `artifacts` (inputs of findings). The build is in `target`.
#
# FUZZ_SANITIZER=address: the targets of the core alone, with AddressSanitizer, in `target/asan`.
#
# FUZZ_OPT (2): how far rtalink is optimised. With 1 it is built sooner and runs slower.
#
# FUZZ_JOBS (2): targets at a time. FUZZ_SEED: where chance begins, and FUZZ_RUNS: after so many executions a target ends
# before its time, for runs that are to be alike.

set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rtalink/fuzz
jobs=${FUZZ_JOBS:-2}
all=$(sed -n 's|^path = "targets/\(.*\)\.rs"|\1|p' "$root/fuzz/Cargo.toml")
built=$root/target/debug
options=(--target-dir "$root/target")
case ${FUZZ_SANITIZER:-} in
'') ;;
address)
  all=$(awk -F'"' '/^path = "targets/ { path = $2 } /^required-features/ { path = "" }
    /^test = false/ && path { sub(".*/", "", path); sub("[.]rs$", "", path); print path; path = "" }' "$root/fuzz/Cargo.toml")
  # The runtime is there in the stable toolchain, only its option is not. Build scripts go without it.
  export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address"
  host=$(rustc -vV | sed -n 's/^host: //p')
  built=$root/target/asan/$host/debug
  options=(--target-dir "$root/target/asan" --target "$host" --no-default-features)
  ;;
*)
  echo "FUZZ_SANITIZER: expected address, found $FUZZ_SANITIZER" >&2
  exit 2
  ;;
esac

usage() {
  echo "usage: fuzz/run.sh SECONDS [TARGET...]; targets: ${all//$'\n'/ }" >&2
  exit 2
}

[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || usage
seconds=$1
shift
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets <<<"$all"
for target in "${targets[@]}"; do
  grep -qx -- "$target" <<<"$all" || usage
done

mkdir -p "$cache/artifacts"
run=$(mktemp -d "$cache/run.XXXXXX")
cleanup() {
  local status=$?
  jobs -p | xargs -r kill 2>/dev/null || true
  rm -rf "$run"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The programs share the folder of the other builds, and with it librdkafka, OpenSSL and SQLite, which would be nearly all of
# the work. rtalink and the targets are compiled once more, with other options and so under other names. They are linked into a
# folder of this run, so that the next build may go on.
build() {
  RUSTC_WRAPPER=$root/fuzz/instrument.sh cargo build --locked --manifest-path "$root/fuzz/Cargo.toml" \
    "${options[@]}" --config profile.dev.package.rtalink.opt-level="${FUZZ_OPT:-2}" \
    --config profile.dev.package.rtalink-fuzz.opt-level=1 --bins >"$run/build.log" 2>&1 || {
    cat "$run/build.log" >&2
    echo "the fuzz targets cannot be built" >&2
    return 1
  }
  for target in "${targets[@]}"; do
    ln "$built/$target" "$run/$target" 2>/dev/null || cp "$built/$target" "$run/$target"
  done
  "$root/fuzz/seeds.py" "$root" "$run/seeds"
}
exec 9>"$cache/build.lock"
flock 9
build
exec 9>&-

# A file system in memory for what targets write.
TMPDIR=$run
[ -d /dev/shm ] && [ -w /dev/shm ] && TMPDIR=/dev/shm
export TMPDIR

fuzz() {
  local target=$1 log=$run/$1.log dictionary=() seed=()
  [ -z "${FUZZ_SEED:-}" ] || seed=(-seed="$FUZZ_SEED")
  [ -z "${FUZZ_RUNS:-}" ] || seed+=(-runs="$FUZZ_RUNS")
  local corpus=$cache/corpus/$target artifacts=$cache/artifacts/$target
  mkdir -p "$corpus" "$artifacts" "$run/seeds/$target"
  case $target in framing | decode | mask | config) dictionary=(-dict="$root/fuzz/layout.dict") ;; esac
  local status=0
  nice "$run/$target" "${dictionary[@]}" "${seed[@]}" -max_total_time="$seconds" -print_final_stats=1 -max_len=8192 -timeout=20 \
    -rss_limit_mb=2560 -artifact_prefix="$artifacts/" "$corpus" "$run/seeds/$target" >"$log" 2>&1 || status=$?
  awk -v target="$target" -v status="$status" '
    /^#[0-9]+\t/ {
      for (i = 2; i < NF; i++) {
        if ($i == "cov:") cov = $(i + 1)
        if ($i == "ft:") ft = $(i + 1)
        if ($i == "corp:") { corpus = $(i + 1); sub("/.*", "", corpus) }
      }
    }
    /^stat::number_of_executed_units/ { executions = $2 }
    /^stat::average_exec_per_sec/ { rate = $2 }
    END {
      printf "%-12s %10d executions %7d/s  cov %6d  ft %6d  corpus %5d  %s\n", target, executions, rate, cov, ft, corpus, \
        status == 0 ? "no finding" : "FINDING"
      # A target that stands still finds nothing.
      exit status == 0 && executions < 10
    }' "$log" || { echo "$target: hardly ran" >&2; tail -n 30 "$log" >&2; return 1; }
  [ "$status" != 0 ] || return 0
  local input
  input=$(sed -n 's/^.*Test unit written to //p' "$log" | tail -n 1)
  grep -v '^#[0-9]*	\|^INFO: \|^	NEW_FUNC' "$log" | tail -n 60 >&2
  echo "$target: to repeat it: '$built/$target' '$input'" >&2
  return 1
}

failed=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
