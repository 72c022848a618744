"""Fuzzes the Python targets: run.py SECONDS [SEED_DIR] [--only TARGET ...] [--coverage]

SECONDS is for each target; FUZZ_JOBS run at a time, by default two. SEED_DIR holds DICOM files.
FUZZ_DIR keeps the corpora between runs; FUZZ_SEED is where chance begins, by default elsewhere each
time. First the saved crashers are tried again. Exits with 1 on
any finding, after naming the input that shows it. With --coverage nothing is fuzzed: the corpora
of FUZZ_DIR are replayed, and a table of lines and branches is printed (needs coverage).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

from harness import HERE, TARGETS, load, saved

_MOST = 65536  # bytes of an input
_SLOWEST = 60  # seconds that one input may take
_MEMORY = 2048  # MiB
_HARNESS = str(HERE / "harness.py")


def write_seeds(target: str, corpus: Path, seeds: Path | None) -> int:
    """Write what a target begins with, by digest; returns how many there are."""
    module = load(target)
    corpus.mkdir(parents=True, exist_ok=True)
    given = list(module.seeds())
    if seeds is not None:
        for path in sorted(each for each in seeds.rglob("*") if each.is_file()):
            given.extend(module.of_corpus(path.name, path.read_bytes()))
    for each in given:
        if len(each) <= _MOST:
            name = blake2b(each, digest_size=16).hexdigest()
            (corpus / f"seed-{name}").write_bytes(each)
    return len(given)


def run_target(target: str, work: Path, seconds: int, temporary: str) -> list[str]:
    """Try saved crashers again, then fuzz; returns what was found, in words."""
    artifacts = work / "artifacts"
    log = artifacts / f"{target}.log"
    environment = os.environ | {"TMPDIR": temporary}
    found = []
    for path in saved(target):
        command = [sys.executable, _HARNESS, "--replay", target, str(path)]
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=300, check=False
        )
        if done.returncode:
            found.append(f"{path} again:\n{done.stderr.decode(errors='replace')[-3000:]}")
    options = [
        f"-seed={os.environ.get('FUZZ_SEED', '0')}",
        f"-max_total_time={seconds}",
        f"-max_len={_MOST}",
        f"-timeout={_SLOWEST}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={artifacts}/{target}-",
        "-print_final_stats=1",
    ]
    command = [sys.executable, _HARNESS, target, str(work / "corpus" / target), *options]
    with log.open("wb") as file:
        code = subprocess.run(
            command, env=environment, stdout=file, stderr=file, check=False,
            timeout=seconds * 2 + 600,
        ).returncode  # fmt: skip
    text = log.read_text(errors="replace")
    units = [
        line for line in text.splitlines() if "number_of_executed_units" in line or "DONE" in line
    ]
    print(f"{target}: {'; '.join(units) or 'no statistics'}", flush=True)
    if code:
        found.append(f"{target}, see {log}:\n{text[-4000:]}")
    return found


def measure(targets: list[str], work: Path, temporary: str) -> int:
    """Replay the corpora under coverage, and print what they reach."""
    data = work / "coverage"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    environment = os.environ | {"TMPDIR": temporary, "COVERAGE_FILE": str(data / "data")}
    coverage = [sys.executable, "-m", "coverage"]
    for target in targets:
        command = [*coverage, "run", "--parallel-mode", "--branch", "--source=dicomloom", _HARNESS]
        command += ["--replay", target, str(work / "corpus" / target)]
        subprocess.run(command, env=environment, check=True)
    subprocess.run([*coverage, "combine", "-q"], env=environment, check=True)
    return subprocess.run(
        [*coverage, "report", "--skip-empty"], env=environment, check=False
    ).returncode


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int)
    parser.add_argument("seeds", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    kept = os.environ.get("FUZZ_DIR")
    work = Path(kept or tempfile.mkdtemp(prefix="dicomloom-fuzz-")).resolve()
    (work / "artifacts").mkdir(parents=True, exist_ok=True)
    print(f"corpora and artifacts: {work}")
    # Every input becomes a file or two, which are flushed: in memory, where there is such a place.
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    temporary = tempfile.mkdtemp(prefix="dicomloom-fuzz-", dir=shared)
    try:
        if options.coverage:
            return measure(options.only, work, temporary)
        for target in options.only:
            write_seeds(target, work / "corpus" / target, options.seeds)
        with ThreadPoolExecutor(int(os.environ.get("FUZZ_JOBS", "2"))) as pool:
            jobs = [
                pool.submit(run_target, target, work, options.seconds, temporary)
                for target in options.only
            ]
            found = [each for job in jobs for each in job.result()]
        for each in found:
            print(f"FINDING: {each}", file=sys.stderr)
        return 1 if found else 0
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
