#!/bin/sh
# Fuzzes every target: run.sh SECONDS [SEED_DIR]
#
# SECONDS is for each target; FUZZ_JOBS run at a time, by default two. SEED_DIR holds DICOM files, of which the first 64 KiB
# are taken, beside the seeds that seeds.py makes. FUZZ_DIR keeps the build and the corpora between
# runs; FUZZ_SEED is where chance begins, by default elsewhere each time. Exits with 1 on any finding,
# after naming the input that shows it.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 SECONDS [SEED_DIR]" >&2
    exit 2
fi
seconds=$1
seeds=${2-}
limit=65536
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${FUZZ_DIR-}" ]; then
    mkdir -p "$FUZZ_DIR"
    work=$(cd "$FUZZ_DIR" && pwd)
else
    work=$(mktemp -d)
fi
echo "build, corpora and artifacts: $work"

cmake -S "$here/.." -B "$work/build" -DCMAKE_C_COMPILER="${CC:-clang}" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDICOMLOOM_FUZZ=ON -DDICOMLOOM_TESTS=OFF >/dev/null
cmake --build "$work/build" --parallel >/dev/null

corpus="$work/corpus"
mkdir -p "$work/artifacts"
if [ -d "$seeds" ]; then
    python3 "$here/seeds.py" "$corpus" "$seeds"
else
    python3 "$here/seeds.py" "$corpus"
fi

# Saved crashers first, then the target; what there is to say of both goes to stdout at their end.
run_target() {
    target=$1
    log="$work/artifacts/$target.log"
    for saved in "$here/crashers/$target"-*; do
        [ -f "$saved" ] || continue
        if ! "$work/build/fuzz/$target" -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="$work/artifacts/replay-$target-" "$saved" >"$log" 2>&1; then
            cat "$log" >&2
            echo "FAILED again: $saved" >&2
            return 1
        fi
    done
    if "$work/build/fuzz/$target" "$corpus/$target" -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" \
        -max_len=$limit -timeout=10 -rss_limit_mb=1024 -dict="$here/dicom.dict" \
        -artifact_prefix="$work/artifacts/$target-" -print_final_stats=1 >"$log" 2>&1; then
        echo "$target: $(grep -E 'DONE|number_of_executed_units|peak_rss_mb' "$log" | tr '\n' ' ')"
    else
        tail -n 60 "$log" >&2
        echo "FAILED: $target, see $work/artifacts" >&2
        return 1
    fi
}

# Lanes, one target behind the other in each: every so-manyth of them, beginning with the n-th.
run_lane() {
    at=$1 lane_failed=0
    shift
    for each in "$@"; do
        [ $at -gt 0 ] || run_target "$each" || lane_failed=1
        at=$(((at + jobs - 1) % jobs))
    done
    return $lane_failed
}

jobs=${FUZZ_JOBS:-2} lanes=
for lane in $(seq 0 $((jobs - 1))); do
    run_lane "$lane" fuzz_read fuzz_frames fuzz_text fuzz_records fuzz_numbers fuzz_rle \
        fuzz_jpeg_lossless fuzz_network fuzz_jpeg_ls &
    lanes="$lanes $!"
done
failed=0
for lane in $lanes; do
    wait "$lane" || failed=1
done
find "$work/artifacts" -type f ! -name '*.log' -exec echo "finding: {}" \;
exit $failed
