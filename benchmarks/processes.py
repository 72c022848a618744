"""Run whole processes and say what they took: wall and processor time, peak memory, bytes read."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class BenchmarkError(Exception):
    """A command failed, or gave something else than it should have."""


@dataclass(frozen=True)
class Run:
    """What one process took.

    `reported` is what it printed last, where that is a line of JSON; `read_bytes` is what it asked
    for by read calls of any kind, from a disk or from memory, -1 where the system does not say.
    """

    wall: float
    user: float
    system: float
    peak_kib: int
    read_bytes: int
    read_calls: int
    reported: dict[str, Any] = field(default_factory=dict)

    @property
    def inside(self) -> float:
        """Seconds on the process's own clock, behind its start; the whole where it has none."""
        return self.reported.get("seconds", self.wall)

    @property
    def cpu(self) -> float:
        return self.user + self.system


class Tools:
    """The two C programs beside this file, compiled into `folder`."""

    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            raise BenchmarkError("no C compiler: set CC")
        self.folder = folder
        for name in ("floor", "measure"):
            source, program = HERE / f"{name}.c", folder / name
            subprocess.run([compiler, "-O2", "-pthread", source, "-o", program], check=True)
        self.floor = str(folder / "floor")
        self.measure = str(folder / "measure")

    def run(self, command: Sequence[str], stdout: Path | None = None, code: int = 0) -> Run:
        """Run a command; its output goes to `stdout`, or is looked through for JSON.

        The program is the one that `version_of` tells of.

        Raises
        ------
        BenchmarkError
            It ended with another exit code than `code`.
        """
        report = self.folder / "report.json"
        into = stdout or self.folder / "stdout"
        name, *arguments = command
        with into.open("wb") as out, (self.folder / "stderr").open("wb") as err:
            subprocess.run(
                [self.measure, report, program(name) or name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=True,
            )
        taken = json.loads(report.read_text())
        ended = taken.pop("code")
        if ended != code:
            message = (self.folder / "stderr").read_text(errors="replace")[-500:]
            raise BenchmarkError(f"exit code {ended}: {' '.join(command)}\n{message}")
        reported = {} if stdout else _last_json(into)
        return Run(reported=reported, **taken)


def _last_json(path: Path) -> dict[str, Any]:
    lines = path.read_bytes()[-4096:].splitlines()
    if not lines or not lines[-1].startswith(b"{"):
        return {}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def alternate(
    jobs: Mapping[str, Callable[[], Run]],
    runs: int,
    before: Callable[[], None] | None = None,
) -> dict[str, list[Run]]:
    """Run A B C, A B C, ...: whatever else the machine does meets all of them alike."""
    taken: dict[str, list[Run]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            if before:
                before()
            taken[name].append(job())
    return taken


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios within rounds: a machine's mood lasts about as long."""
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def spread(runs: Sequence[Run], what: str = "wall") -> str:
    """Return the median, and in parentheses the least and the most."""
    taken = sorted(getattr(run, what) for run in runs)
    return f"{statistics.median(taken):.3f} ({taken[0]:.3f}-{taken[-1]:.3f})"


def median(runs: Sequence[Run], what: str = "wall") -> float:
    found: float = statistics.median(getattr(run, what) for run in runs)
    return found


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Company:
    """How busy other programs keep the processors from now on."""

    def __init__(self) -> None:
        self._began, self._all, self._own = time.monotonic(), _busy(), _own()

    def processors(self) -> float | None:
        """Return how many processors others kept busy on average; None where nothing tells."""
        taken = _busy()
        if taken is None or self._all is None:
            return None
        others = taken - self._all - (_own() - self._own)
        return max(0.0, others / (time.monotonic() - self._began))


def _own() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _busy() -> float | None:
    """Return the processor seconds of all programs since the system started."""
    told = Path("/proc/stat")
    if not told.exists():
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(
        int, told.read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@contextmanager
def workplace(where: Path, needed: int, *, keep: bool = False) -> Iterator[Path]:
    """Make a directory to work in below `where`, and remove it at the end unless told to keep it.

    Raises
    ------
    BenchmarkError
        There is not enough room for `needed` bytes.
    """
    free = shutil.disk_usage(where).free
    if free < needed * 1.2:
        raise BenchmarkError(
            f"{where} has {free / 1e9:.1f} GB free and {needed * 1.2 / 1e9:.1f} GB are needed: "
            "give --dir elsewhere, or measure less"
        )
    folder = Path(tempfile.mkdtemp(prefix="dicomloom-bench-", dir=where))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def memory_available() -> int:
    """Return how many bytes programs and files in memory can still take; a lot if none tells."""
    told = Path("/proc/meminfo")
    found = re.search(r"MemAvailable: +(\d+) kB", told.read_text()) if told.exists() else None
    return int(found[1]) * 1024 if found else 1 << 62


def may_drop_caches() -> bool:
    return os.access(DROP_CACHES, os.W_OK) and os.geteuid() == 0


def drop_caches() -> None:
    """Write dirty pages out, then forget all cached pages, entries and inodes."""
    os.sync()
    DROP_CACHES.write_text("3")


def filesystem_of(path: Path) -> str:
    """Return the type of the file system that `path` is on, "unknown" where nothing tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, where, fs, *_ = line.split()
        inside = path.resolve().is_relative_to(where)
        if inside and len(where) >= len(best):
            best, kind = where, fs
    return kind


def program(name: str) -> str | None:
    """Find a program beside this interpreter, as in a virtual environment, or on the PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def version_of(name: str) -> str:
    """Return what a program says after --version, boiled down to its number."""
    path = program(name)
    if not path:
        return "not installed"
    said = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    # gdcmscanner takes --version for an error and says its version all the same.
    number = re.search(r"\d+\.\d+(?:\.\d+)*", said.stdout + said.stderr)
    return number[0] if number else "unknown"
