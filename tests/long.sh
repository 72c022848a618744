#!/bin/sh
# The long runs of docs/reliability.md: long.sh [SECONDS a fuzz target, by default 1200]
#
# Wants .venv (./dev), the peers of .ci/run, and some 30 GB of disk. Takes half a day on two cores.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-1200}
corpus=${DICOMLOOM_CORPUS:-../shared/corpus}
PATH=$PWD/.venv/bin:$PATH
export PATH
work=${FUZZ_DIR:-$(mktemp -d)}
DICOMLOOM_LONG=1 pytest -q tests/hostile tests/fuzz tests/test_leaks.py tests/test_native_leaks.py tests/codecs/test_isolation.py
cmake -S native -B "$work/valgrind" -G Ninja -DDICOMLOOM_TEST_SECONDS=7200 \
    "-DCMAKE_TEST_LAUNCHER=valgrind;-q;--error-exitcode=9;--leak-check=full"
cmake --build "$work/valgrind"
ctest --test-dir "$work/valgrind" --output-on-failure -j2
tests/sanitized.sh address
tests/sanitized.sh thread
pip install -q --group fuzz
FUZZ_DIR=$work/c native/fuzz/run.sh "$seconds" "$corpus"
native/fuzz/coverage.sh "$work/c"
FUZZ_DIR=$work/python python tests/fuzz/run.py "$seconds" "$corpus"
FUZZ_DIR=$work/python python tests/fuzz/run.py 0 "$corpus" --coverage
