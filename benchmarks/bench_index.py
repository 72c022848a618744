"""How fast and how small `dicomloom index` is, beside the floor and its peers, in one run.

    python bench_index.py                      # 100,000 files, a million names
    python bench_index.py --quick              # does it work at all?

Prints Markdown. Works in a directory of its own below --dir, removed at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from make_tree import Instance, make_links, make_noise, make_tree, needed_bytes
from peers import Candidate, child_command, index_command, ours, peers
from processes import (
    BenchmarkError,
    Run,
    Tools,
    alternate,
    drop_caches,
    filesystem_of,
    may_drop_caches,
    median,
    median_ratio,
    processors,
    program,
    spread,
    workplace,
)
from report import describe, note, say, table

COLD_THREADS = 32
OLD_RELIABLE = "dicomtocsv --image"
PROGRAMS = ("dicomtocsv", "gdcmscanner", "dcmdump")


class Archive:
    """A tree and, beside it, its start for those who cannot take all of it."""

    def __init__(self, folder: Path, files: int, subset: int, pixels: int) -> None:
        self.tree = folder / "tree"
        self.held = make_tree(self.tree, files, pixels=pixels)
        self.subset = folder / "subset"
        self.held_subset = make_tree(self.subset, min(subset, files), pixels=pixels)
        self.names = folder / "names"
        self._write_names()

    def _write_names(self) -> None:
        """Write the list that `floor list` takes: by directory, in the order of creation."""
        with self.names.open("wb") as out:
            folder = None
            for each in self.held:
                parent, _, name = each.path.rpartition("/")
                if parent != folder:
                    out.write(b"" if folder is None else b"\0")
                    out.write(os.fsencode(self.tree / parent) + b"\0")
                    folder = parent
                out.write(name.encode() + b"\0")
            out.write(b"\0")

    def of(self, candidate: Candidate) -> tuple[Path, list[Instance]]:
        """Return the tree that a candidate is given, and what it has to find."""
        if not candidate.most or candidate.most >= len(self.held):
            return self.tree, self.held
        return self.subset, self.held_subset[: candidate.most]


def floor_jobs(tools: Tools, archive: Archive, threads: int) -> dict[str, Callable[[], Run]]:
    return {
        f"floor: C, {threads} threads, names known": partial(
            tools.run, [tools.floor, "list", str(threads), str(archive.names)]
        ),
        f"floor: C, {threads} threads, finding them": partial(
            tools.run, [tools.floor, "walk", str(threads), str(archive.tree)]
        ),
    }


def clock_of(name: str) -> str:
    """Return which clock counts: the floor's own, of everybody else that of the whole process."""
    return "inside" if name.startswith("floor") else "wall"


def speed_rows(
    taken: dict[str, list[Run]], files: dict[str, int], inside: Sequence[str] = ()
) -> list[list[str]]:
    """Return one row a job, and one more for those that tell their time without their start.

    A ratio is the median of the ratios within each round, as a machine's mood lasts about as long.
    The first job is the floor that the others are compared with.
    """
    floor = next(iter(taken))

    def rates(name: str, clock: str) -> list[float]:
        return [files[name] / getattr(run, clock) for run in taken[name]]

    def ratio(mine: list[float], other: str) -> float:
        return median_ratio(mine, rates(other, clock_of(other)))

    rows = []
    for name, runs in taken.items():
        clocks = [clock_of(name)] + (["inside"] if name in inside else [])
        for clock in clocks:
            mine = rates(name, clock)
            rows.append(
                [
                    f"{name}, without start" if clock != clock_of(name) else name,
                    f"{files[name]:,}",
                    spread(runs, clock),
                    f"{median(runs, 'cpu'):.2f}",
                    f"{statistics.median(mine):,.0f}",
                    f"{100 * ratio(mine, floor):.1f}",
                    f"{ratio(mine, OLD_RELIABLE):.2f}" if OLD_RELIABLE in taken else "-",
                    f"{median(runs, 'peak_kib') / 1024:.0f}",
                ]
            )
    return rows


SPEED_HEAD = ["", "files", "wall s (least-most)", "CPU s", "files/s", "% of floor", "x dicomtocsv"]


def bench_speed(tools: Tools, archive: Archive, runs: int, subset: int, cores: int) -> None:
    known, absent = peers(subset)
    candidates = [*ours(), *known]
    for each in candidates:
        tree, expected = archive.of(each)
        note(f"checking {each.name}")
        each.check(tools, tree, tools.folder / "check.csv", expected)
    jobs = floor_jobs(tools, archive, cores)
    files = dict.fromkeys(jobs, len(archive.held))
    jobs["dicomloom.scan, batches dropped"] = partial(
        tools.run, child_command("batches", archive.tree)
    )
    files["dicomloom.scan, batches dropped"] = len(archive.held)
    for each in candidates:
        tree, expected = archive.of(each)
        jobs[each.name] = partial(each.run, tools, tree, tools.folder / "timed.csv")
        files[each.name] = len(expected)
    note(f"timing, {runs} runs of {len(jobs)}")
    taken = alternate(jobs, runs)
    inside = ["dicomloom.scan, batches dropped", *(c.name for c in candidates if c.inside)]
    say(f"## Warm cache, eleven tags, rounds: {runs}\n")
    say("Before timing, SOPInstanceUID, PatientID and AccessionNumber of every row were compared")
    say(f"with what was written, for {'; '.join(each.name for each in candidates)}: equal.\n")
    table([*SPEED_HEAD, "peak MiB"], speed_rows(taken, files, inside))
    for name in absent:
        say(f"* {name} is not installed: skipped")


def bench_cold(tools: Tools, archive: Archive, runs: int) -> None:
    say(f"\n## Cold cache, rounds: {runs}\n")
    if not may_drop_caches():
        say("Skipped: only root may drop the caches of the system.")
        return
    if filesystem_of(archive.tree) in ("tmpfs", "ramfs"):
        say("Skipped: this file system is memory; give --dir on a disk.")
        return
    out = tools.folder / "timed.csv"
    jobs = floor_jobs(tools, archive, COLD_THREADS)
    jobs["dicomloom index, threads by itself"] = partial(
        tools.run, index_command(archive.tree, out)
    )
    jobs[f"dicomloom index -j {COLD_THREADS}"] = partial(
        tools.run, index_command(archive.tree, out, "-j", str(COLD_THREADS))
    )
    for each in peers(0)[0]:
        if each.name == OLD_RELIABLE:
            jobs[each.name] = partial(each.run, tools, archive.tree, out)
    one = archive.subset / archive.held_subset[0].path

    def chill() -> None:
        """The archive shall be cold, not Python: read the programs back in."""
        drop_caches()
        tools.run(index_command(one, out))
        tools.run([tools.floor, "walk", "1", str(one.parent)])
        if program("dicomtocsv"):
            tools.run(["dicomtocsv", "--version"])

    note(f"cold cache, {runs} runs of {len(jobs)}")
    taken = alternate(jobs, runs, chill)
    table([*SPEED_HEAD, "peak MiB"], speed_rows(taken, dict.fromkeys(jobs, len(archive.held))))


def bench_memory(tools: Tools, folder: Path, names: int) -> None:
    say("\n## Memory\n")
    note(f"making {names:,} names")
    tree = folder / "links"
    make_links(tree, names)
    folders = sorted(tree.iterdir())
    tenth = folders[: max(1, len(folders) // 10)]
    rows = []
    for kind in ("csv", "parquet"):
        for paths in (tenth, [tree]):
            out = folder / f"million.{kind}"
            note(f"indexing {'them' if paths == [tree] else 'a tenth'} into {kind}")
            run = tools.run(index_command(paths, out))
            count = sum(len(each[2]) for path in paths for each in os.walk(path))
            rows.append(
                [
                    f"dicomloom index -o out.{kind}",
                    f"{count:,}",
                    f"{run.peak_kib / 1024:.0f}",
                    f"{run.wall:.2f}",
                    f"{run.cpu:.2f}",
                    f"{count / run.wall:,.0f}",
                    f"{out.stat().st_size / 1e6:.0f}",
                ]
            )
            out.unlink()
    table(["", "rows", "peak MiB", "wall s", "CPU s", "files/s", "MB written"], rows)
    note("removing them")
    shutil.rmtree(tree)


def bench_start(tools: Tools, runs: int) -> None:
    say(f"\n## Start, rounds: {runs}\n")
    found = program("dicomloom")
    if not found:
        raise BenchmarkError("dicomloom is not installed")
    taken = alternate(
        {
            "python -c pass": partial(tools.run, [sys.executable, "-c", "pass"]),
            "python -c 'import dicomloom'": partial(
                tools.run, [sys.executable, "-c", "import dicomloom"]
            ),
            "dicomloom --help": partial(tools.run, [found, "--help"]),
            "dicomloom index --help": partial(tools.run, [found, "index", "--help"]),
        },
        runs,
    )
    base = median(taken["python -c pass"])
    table(
        ["", "wall ms", "ms more than python", "peak MiB"],
        [
            [
                name,
                f"{median(each) * 1e3:.1f}",
                f"{(median(each) - base) * 1e3:.1f}",
                f"{median(each, 'peak_kib') / 1024:.0f}",
            ]
            for name, each in taken.items()
        ],
    )


def bench_noise(tools: Tools, folder: Path, files: int, size: int) -> None:
    say(f"\n## {files:,} files of {size:,} bytes that are no DICOM\n")
    tree = folder / "noise"
    make_noise(tree, files, size=size)
    empty = folder / "nothing"
    empty.mkdir()
    start = tools.run(child_command("batches", empty))
    run = tools.run(child_command("batches", tree))
    # 20 and above would mean that a file ended the whole; 1 says that some rows are ERROR.
    whole = tools.run(index_command(tree, folder / "noise.csv"), code=1)
    if run.reported["files"] != files:
        raise BenchmarkError(f"{run.reported['files']} rows for {files} files")
    extra = run.read_bytes - start.read_bytes
    table(
        ["", "bytes a file", "read calls a file"],
        [
            ["as dicomloom counts", f"{run.reported['bytes'] / files:,.0f}", "-"],
            [
                "as the system counts (/proc/PID/io, less a scan of nothing)",
                f"{extra / files:,.0f}" if run.read_bytes >= 0 else "not told",
                f"{(run.read_calls - start.read_calls) / files:.2f}",
            ],
        ],
    )
    say(f"dicomloom index: {files / whole.wall:,.0f} files/s, peak {whole.peak_kib / 1024:.0f} MiB")
    shutil.rmtree(tree)


def disk_needed(args: argparse.Namespace) -> int:
    """Return the most that stands on the disk at a time."""
    rows = 800  # bytes of one in the CSV
    archive = needed_bytes(args.files + args.subset, pixels=args.pixels) + rows * args.files
    links = needed_bytes(names=args.names) + rows * args.names
    return max(archive, links, needed_bytes(noise=args.noise))


def measure(args: argparse.Namespace, folder: Path) -> None:
    cores = processors()
    say("# dicomloom index\n")
    describe(folder, ("dicomloom", "pydicom", "pyarrow"), PROGRAMS)
    tools = Tools(folder)
    if "speed" in args.sections or "cold" in args.sections:
        note(f"making {args.files:,} files")
        archive = Archive(folder, args.files, args.subset, args.pixels)
        if "speed" in args.sections:
            bench_speed(tools, archive, args.runs, args.subset, cores)
        if "cold" in args.sections:
            bench_cold(tools, archive, max(1, args.runs // 2))
        shutil.rmtree(archive.tree)
    if "memory" in args.sections:
        bench_memory(tools, folder, args.names)
    if "start" in args.sections:
        bench_start(tools, 4 * args.runs)
    if "noise" in args.sections:
        bench_noise(tools, folder, args.noise, args.noise_size)


SECTIONS = ("speed", "cold", "memory", "start", "noise")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--subset", type=int, default=5_000, help="files for slow peers")
    parser.add_argument("--pixels", type=int, default=64, help="rows and columns of an image")
    parser.add_argument("--names", type=int, default=1_000_000, help="rows of the memory section")
    parser.add_argument("--noise", type=int, default=10_000, help="files that are no DICOM")
    parser.add_argument("--noise-size", type=int, default=1_000_000, help="bytes of each")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--dir", type=Path, default=None, help="where to work: a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the directory there")
    parser.add_argument("--quick", action="store_true", help="small and once; no result")
    args = parser.parse_args(arguments)
    if args.quick:
        args.files, args.runs, args.subset = min(args.files, 5_000), 1, 500
        args.names, args.noise = 20_000, 200
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    where = args.dir or Path(tempfile.gettempdir())
    if args.dir is None and filesystem_of(where) in ("tmpfs", "ramfs"):
        where = Path("/var/tmp")
    try:
        with workplace(where, disk_needed(args), keep=args.keep) as folder:
            measure(args, folder)
    except BenchmarkError as error:
        print(f"bench_index: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
