#!/bin/sh
# Tests over extension modules that check themselves: sanitized.sh address|thread [TESTS]
#
# address: AddressSanitizer and UndefinedBehaviorSanitizer in the C core and in Cython's C; Cython looks
#     at every index, at None and at overflow, and counts the references of each function (refnanny).
# thread: ThreadSanitizer. Python, numpy and zlib are not instrumented, and how they hand over the GIL
#     is not seen: what they do to memory is no finding (ignore_noninstrumented_modules). What is
#     watched is what our C and Cython code does to memory while the GIL is free.
#
# Builds the modules with gcc in a folder of its own, over the packages of .venv, and runs tests with
# the sanitizer's runtime preloaded. Tests that bound memory cannot run so: the sanitizers take more,
# and terabytes of address space. Nor can the test of a fork beside threads: their allocators keep the
# locks that other threads held, and the child waits for ever. polars crashes under ThreadSanitizer as
# soon as it is imported, duckdb a while after.
set -eu

kind=${1:?address or thread}
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
python=$root/.venv/bin/python
case $kind in
address)
    flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -DCYTHON_REFNANNY=1"
    runtime=libasan.so checks="-X;boundscheck=True;-X;overflowcheck=True;-X;nonecheck=True" sanitize=ON
    [ $# -gt 0 ] || set -- tests/test_native.py tests/index tests/media/test_hostile.py \
        tests/codecs/test_rle.py tests/codecs/test_raster.py tests/frames/test_offset_tables.py \
        tests/frames/test_hostile_objects.py tests/network/test_direct.py tests/network/test_messages.py
    for test in index/test_hostile_files.py::test_p8_deflate_bombs_are_bounded \
        index/test_hostile_structure.py::test_p2_lengths_that_lie_cost_no_memory \
        index/test_scan.py::test_memory_does_not_grow_with_files \
        media/test_hostile.py::test_a_series_of_200_000_images \
        frames/test_hostile_objects.py::test_a_bomb_in_a_deflated; do
        set -- "$@" --deselect "tests/$test"
    done
    ;;
thread)
    flags=-fsanitize=thread runtime=libtsan.so checks= sanitize=thread
    [ $# -gt 0 ] || set -- tests/frames/test_pipeline.py tests/frames/test_reader.py \
        tests/frames/test_transcode.py tests/index/test_scan.py \
        --deselect tests/index/test_scan.py::test_polars_and_duckdb \
        --deselect tests/index/test_scan.py::test_duckdb_by_name
    ;;
*)
    echo "expected address or thread, not $kind" >&2
    exit 2
    ;;
esac
# Unoptimized: to compile it is what takes the time.
CC=gcc CFLAGS="$flags -fno-omit-frame-pointer -g -O0" LDFLAGS="$flags" \
    "$python" -m pip wheel -q --no-build-isolation --no-deps . -w "$work" -C build-dir="$work/build" \
    -C cmake.build-type=Debug -C cmake.define.DICOMLOOM_SANITIZE=$sanitize \
    -C cmake.define.CYTHON_ARGS="$checks" -C install.strip=false
"$python" -m venv --without-pip "$work/venv"
packages=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# As a folder to look in only: the hook of an editable install there is not run. What is sanitized
# stands first.
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/others.pth"
"$python" -m zipfile -e "$work"/dicomloom-*.whl "$packages"
# The runtime looks for what throws C++ exceptions when it begins; pyarrow brings that later.
preloaded="$(gcc -print-file-name=$runtime) $(gcc -print-file-name=libstdc++.so.6)"
ASAN_OPTIONS="detect_leaks=0 allocator_may_return_null=1 exitcode=66" \
    TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66" UBSAN_OPTIONS=print_stacktrace=1 \
    PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1 LD_PRELOAD="$preloaded" \
    "$work/venv/bin/python" -m pytest -q -p no:cacheprovider --basetemp="$work/pytest" \
    --deselect tests/test_native.py::test_a_scan_does_not_cross_a_fork "$@"
