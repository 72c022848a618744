#!/bin/sh
# What the corpora of a run reach in the C core: coverage.sh FUZZ_DIR
#
# Replays FUZZ_DIR/corpus, as run.sh has kept it, and prints a table of regions, lines and branches by
# source file. Needs llvm-profdata and llvm-cov of clang's version.
set -eu

if [ $# -ne 1 ] || [ ! -d "$1/corpus" ]; then
    echo "usage: $0 FUZZ_DIR" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
kept=$(cd "$1" && pwd)
compiler=${CC:-clang}
suffix=
command -v llvm-cov >/dev/null || suffix="-$("$compiler" -dumpversion | cut -d. -f1)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

flags="-fprofile-instr-generate -fcoverage-mapping"
cmake -S "$here/.." -B "$work/build" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDICOMLOOM_FUZZ=ON -DDICOMLOOM_TESTS=OFF >/dev/null
cmake --build "$work/build" --parallel 2 >/dev/null
objects=
for target in "$work/build/fuzz"/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    LLVM_PROFILE_FILE="$work/$name.profraw" "$target" "$kept/corpus/$name" -runs=0 \
        -timeout=60 -rss_limit_mb=2048 >"$work/$name.log" 2>&1 || { cat "$work/$name.log"; exit 1; }
    objects="$objects -object $target"
done
"llvm-profdata$suffix" merge -o "$work/all.profdata" "$work"/*.profraw
# Not the targets themselves.
# shellcheck disable=SC2086
"llvm-cov$suffix" report $objects -instr-profile="$work/all.profdata" \
    -ignore-filename-regex='/fuzz/'
