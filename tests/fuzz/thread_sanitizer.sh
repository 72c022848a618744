#!/bin/sh
# The frame pipeline under ThreadSanitizer: thread_sanitizer.sh [TESTS]
#
# Builds the extension modules with it (gcc) in a folder of its own, over the packages of .venv, and
# runs tests with the runtime preloaded. Python, numpy and zlib are not instrumented, and how they
# hand over the GIL is not seen: what they do to memory is no finding (ignore_noninstrumented_modules).
# What is watched is what our C and Cython code does to memory while the GIL is free.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
python=$root/.venv/bin/python
flags="-fsanitize=thread -fno-omit-frame-pointer -g"
CC=gcc CFLAGS=$flags LDFLAGS=-fsanitize=thread "$python" -m pip wheel -q --no-build-isolation --no-deps . \
    -w "$work" -C build-dir="$work/build" -C cmake.define.DICOMLOOM_SANITIZE=thread -C install.strip=false
"$python" -m venv --without-pip "$work/venv"
packages=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# As a folder to look in only: the hook of the editable install there is not run.
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/others.pth"
"$python" -m zipfile -e "$work"/dicomloom-*.whl "$packages"
[ $# -gt 0 ] || set -- tests/frames/test_pipeline.py tests/frames/test_reader.py \
    tests/frames/test_transcode.py
TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66" PYTHONMALLOC=malloc \
    PYTHONDONTWRITEBYTECODE=1 LD_PRELOAD=$(gcc -print-file-name=libtsan.so) \
    "$work/venv/bin/python" -m pytest -q -p no:cacheprovider --basetemp="$work/pytest" "$@"
