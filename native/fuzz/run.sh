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

# A seed of fuzz_read, fuzz_frames or fuzz_records is a file behind one byte that chooses how it is
# read; each mode gets its share. fuzz_records takes file-sets' directories.
corpus="$work/corpus"
mkdir -p "$corpus/fuzz_read" "$corpus/fuzz_text" "$corpus/fuzz_numbers" "$corpus/fuzz_rle" \
    "$corpus/fuzz_frames" "$corpus/fuzz_records" \
    "$corpus/fuzz_jpeg_lossless" "$corpus/fuzz_jpeg_ls" "$corpus/fuzz_network" "$work/artifacts"
if [ -n "$seeds" ] && [ -d "$seeds" ]; then
    number=0
    find "$seeds" -type f | sort | while IFS= read -r file; do
        mode=$(printf '%03o' $((number % 16)))
        { printf "\\$mode"; head -c $((limit - 1)) "$file"; } >"$corpus/fuzz_read/seed-$number"
        mode=$(printf '%03o' $((number % 64)))
        { printf "\\$mode"; head -c $((limit - 1)) "$file"; } >"$corpus/fuzz_frames/seed-$number"
        case $file in
            *DICOMDIR*)
                { printf '\000'; head -c $((limit - 1)) "$file"; } \
                    >"$corpus/fuzz_records/seed-$number" ;;
        esac
        head -c 512 "$file" >"$corpus/fuzz_text/seed-$number"
        number=$((number + 1))
    done
fi
for text in 1 -12.5 1.5e300 0.000001 9007199254740993 .5e-10; do
    printf 'A%s' "$text" >"$corpus/fuzz_numbers/seed$text"
done
# A DICOMDIR without a header: a record of undefined length, one of 14 bytes, one that is empty.
{
    printf '\010\004\000\040\022SQ\000\000\377\377\377\377'
    printf '\376\377\000\340\377\377\377\377\004\000\000\024UL\004\000\100\000\000\000'
    printf '\376\377\015\340\000\000\000\000'
    printf '\376\377\000\340\016\000\000\000\004\000\060\024CS\006\000IMAGE '
    printf '\376\377\000\340\000\000\000\000\376\377\335\340\000\000\000\000'
} >"$corpus/fuzz_records/seed-made"
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
# Four rows of nine bytes, a restart behind two: SOI, SOF55, DRI, SOS.
{
    printf '\000\046\000\004\011\000'
    printf '\377\330\377\367\000\013\010\000\004\000\011\001\001\021\000'
    printf '\377\335\000\004\000\002'
    printf '\377\332\000\010\001\001\000\000\000\000\000\000\001\375\224\000\000\002\060\266'
    printf '\102\025\110\231\221\200'
    printf '\377\320\000\000\001\345\136\217\163\241\223\010\330\330\240\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-1"
# Three samples by line, NEAR 1; by pixel, signed; 16 bits, with LSE; two scans with restarts.
{
    printf '\042\006\001\003\005\000'
    printf '\377\330\377\367\000\021\010\000\003\000\005\003\001\021\000\002\021\000\003\021'
    printf '\000'
    printf '\377\332\000\014\003\001\000\002\000\003\000\001\001\000\000\000\000\323\240\000'
    printf '\012\215\060\267\215\061\374\046\021\020\211\021\040\222\022\042\131\024\220\112'
    printf '\260\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-2"
{
    printf '\112\006\000\003\005\000'
    printf '\377\330\377\367\000\021\010\000\003\000\005\003\001\021\000\002\021\000\003\021'
    printf '\000'
    printf '\377\332\000\014\003\001\000\002\000\003\000\000\002\000\000\000\001\372\175\276'
    printf '\345\100\000\000\111\000\005\007\376\371\233\062\012\024\010\030\242\060\214\103'
    printf '\010\246\021\004\046\042\211\031\251\210\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-3"
{
    printf '\014\016\000\003\010\000'
    printf '\377\330\377\367\000\013\020\000\003\000\010\001\001\021\000\377\370\000\015\001'
    printf '\377\377\000\022\000\103\001\024\000\100'
    printf '\377\332\000\010\001\001\000\000\000\000\000\000\000\000\000\001\377\176\100\010'
    printf '\002\000\216\300\140\260\030\031\002\140\014\010\200\320\006\002\200\220\064\012'
    printf '\015\003\200\220\042\001\000\200\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-4"
{
    printf '\001\024\000\003\010\000'
    printf '\377\330\377\367\000\016\006\000\003\000\010\002\001\021\000\002\021\000'
    printf '\377\335\000\004\000\001'
    printf '\377\332\000\010\001\001\000\000\000\000\000\000\007\313\000\000\007\017\110\060'
    printf '\377\320\000\000\007\020\064\374\236\370'
    printf '\377\321\000\000\006\260\065\337\200\345\300'
    printf '\377\332\000\010\001\002\000\000\000\000\000\000\007\313\000\000\007\106\201\370'
    printf '\377\320\000\000\006\261\234\266\377\120\377\321\000\000\010\006\237\166\376\300'
    printf '\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-5"
# Two bits that a mapping table (LSE) makes bytes.
{
    printf '\000\006\000\002\011\000'
    printf '\377\330\377\367\000\013\002\000\002\000\011\001\001\021\000'
    printf '\377\370\000\011\002\001\001\005\360\020\377'
    printf '\377\332\000\010\001\001\001\000\000\000\126\141\167\135\070\200\377\331'
} >"$corpus/fuzz_jpeg_ls/seed-6"
# A command set, and a data set of two fragments in a PDU; an abort after the first fragment.
{
    printf '\003\100\100\004'
    printf '\004\000\000\000\000\010\000\000\000\004\001\003ab'
    printf '\004\000\000\000\000\020\000\000\000\004\001\000cd\000\000\000\004\001\002ef'
} >"$corpus/fuzz_network/seed-1"
{
    printf '\000\100\003\002'
    printf '\004\000\000\000\000\012\000\000\000\006\001\000abcd'
    printf '\007\000\000\000\000\004\000\000\000\000'
} >"$corpus/fuzz_network/seed-2"

failed=0
for target in fuzz_read fuzz_text fuzz_numbers fuzz_rle fuzz_frames fuzz_records fuzz_jpeg_lossless \
    fuzz_jpeg_ls fuzz_network; do
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
