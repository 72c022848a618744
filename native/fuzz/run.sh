#!/bin/sh
# Fuzzes every target: run.sh SECONDS [SEED_DIR]
#
# SECONDS is for each target. SEED_DIR holds DICOM files, of which the first 64 KiB are taken; without
# it the fuzzers begin with nothing. FUZZ_DIR keeps the build and the corpora between runs. Exits with
# 1 on any finding, after naming the input that shows it.
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

# A seed of fuzz_read or fuzz_frames is a file behind one byte that chooses how it is read; each mode
# gets its share.
corpus="$work/corpus"
mkdir -p "$corpus/fuzz_read" "$corpus/fuzz_text" "$corpus/fuzz_numbers" "$corpus/fuzz_rle" \
    "$corpus/fuzz_frames" "$corpus/fuzz_jpeg_lossless" "$work/artifacts"
if [ -n "$seeds" ] && [ -d "$seeds" ]; then
    number=0
    find "$seeds" -type f | sort | while IFS= read -r file; do
        mode=$(printf '%03o' $((number % 16)))
        { printf "\\$mode"; head -c $((limit - 1)) "$file"; } >"$corpus/fuzz_read/seed-$number"
        mode=$(printf '%03o' $((number % 64)))
        { printf "\\$mode"; head -c $((limit - 1)) "$file"; } >"$corpus/fuzz_frames/seed-$number"
        head -c 512 "$file" >"$corpus/fuzz_text/seed-$number"
        number=$((number + 1))
    done
fi
for text in 1 -12.5 1.5e300 0.000001 9007199254740993 .5e-10; do
    printf 'A%s' "$text" >"$corpus/fuzz_numbers/seed$text"
done
# A row of four 16-bit samples; a row of nine bytes whose last run is too long.
{
    printf '\021\001\004\000\002\000\000\000\100\000\000\000\102\000\000\000'
    head -c 52 /dev/zero
    printf '\375\001\003abcd'
} >"$corpus/fuzz_rle/seed-1"
{
    printf '\001\001\011\000\001\000\000\000\100\000\000\000'
    head -c 56 /dev/zero
    printf '\200\001ab\201\002'
} >"$corpus/fuzz_rle/seed-2"
# Three rows of eight bytes, a restart before each: SOI, SOF3, DRI, DHT (four categories), SOS.
{
    printf '\000\006\020\003\010\000\377\330\377\303\000\013\010\000\003\000\010\001\001\021\000'
    printf '\377\335\000\004\000\010\377\304\000\027\000\000\002\002'
    head -c 13 /dev/zero
    printf '\000\001\002\003\377\332\000\010\001\001\000\001\000\000'
    printf '\000\000\377\320\000\000\377\321\125\132\377\331'
} >"$corpus/fuzz_jpeg_lossless/seed-1"

failed=0
for target in fuzz_read fuzz_text fuzz_numbers fuzz_rle fuzz_frames fuzz_jpeg_lossless; do
    for saved in "$here/crashers/$target"-*; do
        [ -f "$saved" ] || continue
        if ! "$work/build/fuzz/$target" -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="$work/artifacts/replay-$target-" "$saved" >"$work/artifacts/replay.log" 2>&1; then
            cat "$work/artifacts/replay.log" >&2
            echo "FAILED again: $saved" >&2
            failed=1
        fi
    done
    log="$work/artifacts/$target.log"
    echo "$target: $seconds s"
    if "$work/build/fuzz/$target" "$corpus/$target" -max_total_time="$seconds" \
        -max_len=$limit -timeout=10 -rss_limit_mb=1024 -dict="$here/dicom.dict" \
        -artifact_prefix="$work/artifacts/$target-" -print_final_stats=1 >"$log" 2>&1; then
        grep -E 'DONE|number_of_executed_units|peak_rss_mb' "$log" || true
    else
        tail -n 60 "$log" >&2
        echo "FAILED: $target, see $work/artifacts" >&2
        failed=1
    fi
done
find "$work/artifacts" -type f ! -name '*.log' -exec echo "finding: {}" \;
exit $failed
