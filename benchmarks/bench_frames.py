"""How fast and how small work on multi-frame objects is, beside its peers, in one run.

    python bench_frames.py                     # half an hour or more, 17 GB free
    python bench_frames.py --quick             # does it work at all?
    python bench_frames.py --sections rle copy

Prints Markdown. Works in a directory of its own, in memory where there is room, removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from pydicom.filereader import dcmread
from pydicom.pixels import iter_pixels

from frame_peers import (
    CONVERSIONS,
    Conversion,
    Converter,
    can_transcode,
    compare,
    converters,
    ours,
    pixel_position,
)
from make_frames import SPECS, Spec, frame_at, make_frames
from processes import (
    HERE,
    BenchmarkError,
    Company,
    Run,
    Tools,
    alternate,
    filesystem_of,
    median,
    median_ratio,
    memory_available,
    processors,
    program,
    spread,
    workplace,
)
from report import describe, note, say, table

SHARED_MEMORY = Path("/dev/shm")
PEERS_TAKE = 4 << 30  # bytes of memory that peers need beside files in memory
MIB = 1 << 20
PACKAGES = ("dicomloom", "numpy", "pydicom", "pylibjpeg-rle", "imagecodecs")
PROGRAMS = ("dcmcrle", "dcmcjpeg", "dcmcjpls", "gdcmconv")
NO_COMMAND = "* this dicomloom has no `transcode`: skipped\n"
CODECS = (
    "RLELossless",
    "DeflatedImageFrameCompression",
    "JPEGBaseline8Bit",
    "JPEGExtended12Bit",
    "JPEGLossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "JPEGLSNearLossless",
    "JPEG2000Lossless",
    "JPEG2000",
    "HTJ2KLossless",
    "HTJ2K",
    "JPEGXLLossless",
    "JPEGXL",
)


class Bench:
    """What the sections share: tools, how often, and the objects to make, scaled by --quick."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.runs: int = args.runs
        self.where: Path | None = args.dir
        self.keep: bool = args.keep
        self.kernel_seconds = 0.1 if args.quick else 2.0
        self.specs = dict(SPECS)
        if args.quick:
            for name, frames in (("big", 12), ("huge", 60), ("million", 20_000), ("many", 500)):
                self.specs[name] = replace(SPECS[name], frames=frames)
        self.specs["many-rle"] = replace(self.specs["many"], syntax="rle")
        self.specs["photo"] = replace(self.specs["big"], frames=min(60, self.specs["big"].frames))
        self.specs["ct"] = replace(SPECS["ct"], frames=12 if args.quick else 200)

    def place(self, needed: int) -> Path:
        """Return where to work: as told, in memory where there is room, or on the disk."""
        if self.where:
            return self.where
        if SHARED_MEMORY.is_dir():
            room = min(shutil.disk_usage(SHARED_MEMORY).free, memory_available() - PEERS_TAKE)
            if room > needed * 1.2:
                return SHARED_MEMORY
        return Path(tempfile.gettempdir())

    def make(self, folder: Path, name: str, **changes: object) -> tuple[Path, Spec]:
        spec = replace(self.specs[name], **changes)
        path = folder / f"{name}-{spec.syntax}.dcm"
        if not path.exists():
            note(f"making {path.name}: {spec.frames:,} frames, {spec.pixel_bytes / 1e6:,.0f} MB")
            make_frames(path, spec)
        return path, spec


def child(mode: str, *arguments: object) -> list[str]:
    """Return the arguments of one mode of frame_children.py."""
    return [sys.executable, str(HERE / "frame_children.py"), mode, *map(str, arguments)]


def bench_conversion(name: str, bench: Bench, tools: Tools, folder: Path) -> None:
    """Compare dicomloom transcode and its peers on the big object."""
    conversion = CONVERSIONS[name]
    source, spec = bench.make(folder, "big", syntax=conversion.source)
    say(f"## {conversion.title}: {spec.frames} frames, {spec.pixel_bytes / 1e6:,.0f} MB of pixels")
    say(f"\nRounds: {bench.runs}; input {source.stat().st_size / 1e6:,.1f} MB.\n")
    if not conversion.coded_by:
        convert(conversion, bench, tools, source, source)
        return
    coders, _ = converters(CONVERSIONS[conversion.coded_by])
    ours_and_a_peer = coders[:2]
    if not ours_and_a_peer:
        raise BenchmarkError("nobody is here to make the input")
    coded = folder / "coded.dcm"
    for coder in ours_and_a_peer:
        note(f"{coder.name} makes the input")
        coder.run(tools, source, coded)
        say(f"Coded by {coder.name}: {coded.stat().st_size / 1e6:,.1f} MB.\n")
        convert(conversion, bench, tools, coded, source)
    coded.unlink()


def convert(
    conversion: Conversion, bench: Bench, tools: Tools, source: Path, original: Path
) -> None:
    """Check and time all who convert `source`, which has the frames of `original`."""
    candidates, absent = converters(conversion)
    out = source.with_name("out.dcm")
    sizes, errors = {}, {}
    for each in candidates:
        note(f"checking {each.name}")
        each.run(tools, source, out)
        sizes[each.name] = out.stat().st_size
        try:
            errors[each.name] = compare(original, out, lossy=conversion.lossy)
        except BenchmarkError as error:
            raise BenchmarkError(f"{each.name}: {error}") from None
    note(f"timing, {bench.runs} runs of {len(candidates)}")
    taken = alternate({c.name: partial(c.run, tools, source, out) for c in candidates}, bench.runs)
    out.unlink(missing_ok=True)
    peers = [each.name for each in candidates if each.name.split()[0] != "dicomloom"]
    best = min(peers, key=lambda peer: median(taken[peer]), default=None)
    walls = {each: [run.wall for run in runs] for each, runs in taken.items()}
    table(
        ["", "wall s (least-most)", "CPU s", "x best peer", "MB written", "mean error", "peak MiB"],
        [
            [
                each,
                spread(runs),
                f"{median(runs, 'cpu'):.2f}",
                f"{median_ratio(walls[best], walls[each]):.2f}" if best else "-",
                f"{sizes[each] / 1e6:,.1f}",
                f"{errors[each]:.2f}",
                f"{median(runs, 'peak_kib') / 1024:,.1f}",
            ]
            for each, runs in taken.items()
        ],
    )
    if candidates and not conversion.lossy:
        say("Before timing, all frames were decoded by another reader and compared: equal.\n")
    for each in dict.fromkeys(absent):
        say(f"* {each} is not installed: skipped")
    say()


def bench_copy(bench: Bench, tools: Tools, folder: Path) -> None:
    """Compare a native copy, all frames and every other one, with cp."""
    source, spec = bench.make(folder, "big")
    say(f"## Native to native, rounds: {bench.runs}\n")
    candidates = [Converter("cp", ("cp",))] if program("cp") else []
    every = range(spec.frames)
    chosen = {"cp": every}
    if can_transcode():
        half = f"0:{spec.frames}:2"
        for options, frames in (((), every), (("--frames", half), every[::2])):
            candidates.append(ours("ExplicitVRLittleEndian", *options))
            chosen[candidates[-1].name] = frames
    else:
        say(NO_COMMAND)
    out = folder / "out.dcm"
    sizes = {}
    for each in candidates:
        note(f"checking {each.name}")
        each.run(tools, source, out)
        compare(source, out, taken=chosen[each.name])
        sizes[each.name] = out.stat().st_size
    runs = max(5, 3 * bench.runs) if bench.runs > 1 else 1
    taken = alternate({c.name: partial(c.run, tools, source, out) for c in candidates}, runs)
    out.unlink(missing_ok=True)
    costs = {n: [r.wall / sizes[n] for r in found] for n, found in taken.items()}
    table(
        ["", "wall s (least-most)", "CPU s", "MB written", "MB/s", "x cp, a byte", "peak MiB"],
        [
            [
                each,
                spread(found),
                f"{median(found, 'cpu'):.2f}",
                f"{sizes[each] / 1e6:,.1f}",
                f"{sizes[each] / 1e6 / median(found):,.0f}",
                f"{median_ratio(costs[each], costs['cp']):.2f}" if "cp" in costs else "-",
                f"{median(found, 'peak_kib') / 1024:,.1f}",
            ]
            for each, found in taken.items()
        ],
    )


def check_some(path: Path, spec: Spec) -> None:
    """Compare the first, middle and last frame of a large object with what was drawn."""
    ds = dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
    if ds.NumberOfFrames != spec.frames:
        raise BenchmarkError(f"{ds.NumberOfFrames} frames, not {spec.frames}")
    some = (0, spec.frames // 2, spec.frames - 1)
    for i, found in zip(some, iter_pixels(path, indices=some), strict=True):
        if not np.array_equal(found, frame_at(spec, i)):
            raise BenchmarkError(f"frame {i} differs")


def bench_memory(bench: Bench, needed: int) -> None:
    """Measure the peak memory of RLE on objects of different sizes."""
    say("## Memory\n")
    if not can_transcode():
        say(NO_COMMAND)
        return
    rows = []
    with workplace(bench.place(needed), needed, keep=bench.keep) as folder:
        tools = Tools(folder)
        convert = ours("RLELossless")
        say(f"{convert.name}, once, file system: {filesystem_of(folder)}.\n")
        for name in ("big", "huge", "million"):
            source, spec = bench.make(folder, name)
            out = folder / "out.dcm"
            note(f"converting {source.name}")
            run = convert.run(tools, source, out)
            note("checking its first, middle and last frame")
            check_some(out, spec)
            rows.append(
                [
                    f"{source.stem}: {spec.rows} x {spec.columns}",
                    f"{spec.frames:,}",
                    f"{source.stat().st_size / 1e9:.2f}",
                    f"{out.stat().st_size / 1e9:.2f}",
                    f"{run.peak_kib / 1024:.1f}",
                    f"{20 + 32 * spec.frames / MIB:.1f}",
                    f"{run.wall:.2f}",
                    f"{run.cpu:.2f}",
                ]
            )
            out.unlink()
            source.unlink()
    head = ["", "frames", "GB read", "GB written", "peak MiB"]
    table([*head, "20 MiB + 32 B a frame", "wall s", "CPU s"], rows)


def _rates(runs: list[Run], raw: int) -> list[float]:
    return [run.reported.get("rate") or raw / run.reported["seconds"] for run in runs]


def bench_codecs(bench: Bench, tools: Tools, folder: Path) -> None:
    """Compare what each codec does in a loop with what it does in the pipeline."""
    cores = processors()
    say("## Codecs: the pipeline beside the codec alone, MB/s of raw pixels\n")
    say(f"Rounds: {bench.runs}.\n")
    if not can_transcode():
        say(NO_COMMAND)
        return
    rows, skipped = [], []
    out = folder / "out.dcm"
    for name in ("photo", "ct"):
        source, spec = bench.make(folder, name)
        small = folder / f"{name}-warm.dcm"
        make_frames(small, replace(spec, frames=2))
        for keyword in CODECS:
            note(f"{keyword}, {name}")
            probe = tools.run(child("kernel", source, keyword, 1, 0))
            if "skipped" in probe.reported:
                skipped.append(f"{keyword}, {name}: {probe.reported['skipped']}")
                continue
            jobs: dict[str, Callable[[], Run]] = {
                "one": partial(
                    tools.run, child("kernel", source, keyword, 1, bench.kernel_seconds)
                ),
                "all": partial(
                    tools.run, child("kernel", source, keyword, cores, bench.kernel_seconds)
                ),
                "pipeline": partial(tools.run, child("pipeline", source, out, keyword, small)),
            }
            taken = alternate(jobs, bench.runs, partial(out.unlink, missing_ok=True))
            rate = {job: _rates(runs, spec.pixel_bytes) for job, runs in taken.items()}
            rows.append(
                [
                    f"{keyword}, {name}",
                    *(f"{np.median(rate[job]) / 1e6:,.0f}" for job in jobs),
                    f"{100 * median_ratio(rate['pipeline'], rate['one']) / cores:.0f}",
                    f"{100 * median_ratio(rate['pipeline'], rate['all']):.0f}",
                    f"{median(taken['pipeline'], 'peak_kib') / 1024:,.0f}",
                ]
            )
    head = ["", "one thread", f"{cores} threads", "pipeline", f"% of one x {cores}"]
    table([*head, f"% of {cores} threads", "peak MiB"], rows)
    for each in skipped:
        say(f"* {each}")
    say()


def bench_reader(bench: Bench, tools: Tools, folder: Path) -> None:
    """Measure the first frame of a long object, and frames in any order beside bare pread."""
    native, spec = bench.make(folder, "many")
    rle, _ = bench.make(folder, "many-rle")
    runs = 4 * bench.runs
    say(f"## Reader: {spec.frames:,} frames of {spec.rows} x {spec.columns}, 16 bits\n")
    jobs: dict[str, Callable[[], Run]] = {}
    has_reader = hasattr(import_module("dicomloom"), "FrameReader")
    for what, path in (("native", native), ("RLE, extended offset table", rle)):
        if has_reader:
            jobs[f"FrameReader(path)[0], {what}"] = partial(tools.run, child("first", path))
        jobs[f"pydicom pixel_array(path, index=0), {what}"] = partial(
            tools.run, child("pydicom-first", path)
        )
    taken = alternate(jobs, runs)
    sums = {run.reported["sum"] for each in taken.values() for run in each}
    if sums != {int(frame_at(spec, 0).sum())}:
        raise BenchmarkError("first frames differ")
    say(f"Open and first frame, each in a new process, behind its imports; rounds: {runs}.\n")
    table(
        ["", "ms", "least", "most", "peak MiB"],
        [
            [
                each,
                f"{median(found, 'inside') * 1e3:.2f}",
                f"{min(run.inside for run in found) * 1e3:.2f}",
                f"{max(run.inside for run in found) * 1e3:.2f}",
                f"{median(found, 'peak_kib') / 1024:.0f}",
            ]
            for each, found in taken.items()
        ],
    )
    if not has_reader:
        say("* this dicomloom has no FrameReader: skipped\n")
        return
    scattered = child("scattered", native, pixel_position(native), spec.frame_bytes, spec.frames)
    found = [tools.run(scattered) for _ in range(bench.runs)]
    for run in found:
        if "differs" in run.reported:
            raise BenchmarkError(f"frame {run.reported['differs']} differs from its bytes")

    def each_frame(what: str) -> str:
        return f"{np.median([r.reported[what] for r in found]) / spec.frames * 1e6:.1f}"

    say("All frames in any order, native; every one was compared with its bytes first.\n")
    table(
        ["", "µs a frame", "x pread"],
        [
            ["os.pread of the same ranges", each_frame("pread"), "1.00"],
            [
                "FrameReader[i]",
                each_frame("reader"),
                f"{np.median([r.reported['ratio'] for r in found]):.2f}",
            ],
        ],
    )


SECTIONS = (
    *("rle", "memory", "copy", "jpeg", "jpegll", "jpegls", "codecs", "reader"),
    *("decode", "jpegll-decode", "jpegls-decode"),
)


def attempt(name: str, section: Callable[[], None]) -> bool:
    """Run a section; say what went wrong, so that the others still come."""
    company = Company()
    try:
        section()
    except BenchmarkError as error:
        say(f"**{name} failed: {str(error).splitlines()[0]}**\n")
        print(f"bench_frames: {name}: {error}", file=sys.stderr)
        return False
    others = company.processors()
    if others is not None:
        say(f"Meanwhile other programs kept {others:.2f} of {processors()} processors busy.\n")
    return True


def measure(args: argparse.Namespace) -> bool:
    """Run the sections in the order they were asked for; returns whether all went well."""
    bench = Bench(args)
    # native, RLE or another coding, what is written, its native copy
    with_big = 5 * bench.specs["big"].pixel_bytes
    many = 2 * bench.specs["many"].pixel_bytes
    needed = with_big + many + bench.specs["ct"].pixel_bytes
    say("# dicomloom on multi-frame objects\n")
    with workplace(bench.place(needed), needed, keep=args.keep) as folder:
        describe(folder, PACKAGES, PROGRAMS)
        tools = Tools(folder)
        sections: dict[str, Callable[..., None]] = {
            name: partial(bench_conversion, name) for name in CONVERSIONS
        }
        sections |= {"copy": bench_copy, "codecs": bench_codecs, "reader": bench_reader}
        well = [
            attempt(name, partial(sections[name], bench, tools, folder))
            for name in args.sections
            if name in sections
        ]
    if "memory" in args.sections:
        # After the others: it has the largest files, and shall have the room to itself.
        large = max(bench.specs["huge"].pixel_bytes, bench.specs["million"].pixel_bytes)
        well.append(attempt("memory", partial(bench_memory, bench, int(2.1 * large))))
    return all(well)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--dir", type=Path, default=None, help="where to work")
    parser.add_argument("--keep", action="store_true", help="leave the directory there")
    parser.add_argument("--quick", action="store_true", help="small and once; no result")
    args = parser.parse_args(arguments)
    if args.quick:
        args.runs = 1
    return args


def main(arguments: list[str] | None = None) -> int:
    try:
        return 0 if measure(parse(arguments)) else 1
    except BenchmarkError as error:
        print(f"bench_frames: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
