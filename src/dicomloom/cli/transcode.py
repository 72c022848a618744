"""`dicomloom transcode`."""

from __future__ import annotations

import argparse
import os
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED, EXIT_UNREADABLE, EXIT_USAGE
from dicomloom.cli.progress import ProgressLine

TYPE_CHECKING = False  # --help imports nothing that codes
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal

    from dicomloom.codecs.isolation import Isolation
    from dicomloom.frames.transcode import Report

EPILOG = """\
TS is a keyword or UID of a transfer syntax; dicomloom codecs lists them and their options.
Where IN is a directory, its tree is mirrored below OUT; files that fail are named on stderr.

examples:
  dicomloom transcode big.dcm small.dcm --to RLELossless
  dicomloom transcode in.dcm out.dcm --to JPEGBaseline8Bit -q 80 --frames 0:100:2
  dicomloom transcode archive/ compressed/ --to JPEGLSLossless -j 4
  dicomloom transcode incoming/ native/ --to ExplicitVRLittleEndian --isolate

exit codes: 0 all well; 1 some files of a tree failed; 2 usage; 20 input cannot be read; 40
output cannot be written; 130 interrupted, and what stood under OUT still does.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("source", metavar="IN", help="a DICOM file, or a directory of them")
    parser.add_argument("target", metavar="OUT", help="the file to write, or a directory")
    parser.add_argument("--to", required=True, metavar="TS", help="transfer syntax")
    parser.add_argument(
        "--frames",
        type=options.frame_choice,
        metavar="A:B:STEP",
        help="keep only these frames, counted from 0; or a list such as 0,5,9",
    )
    options.add_coding(parser)
    options.add_isolation(parser)
    options.add_progress(parser)
    options.add_json(parser, "what was done")


def run(arguments: argparse.Namespace) -> int:
    """Transcode a file or a tree."""
    if not os.path.lexists(arguments.source):
        sys.stderr.write(f"dicomloom transcode: no such file or directory: {arguments.source}\n")
        return EXIT_UNREADABLE
    coding = options.coding(arguments, decodes=True)
    with options.isolation(arguments) as isolation:
        return _run(arguments, coding | {"isolate": isolation or False})


def _run(arguments: argparse.Namespace, coding: dict[str, Any]) -> int:
    if os.path.isdir(arguments.source):
        return _tree(arguments, coding)
    if os.path.isdir(arguments.target):
        sys.stderr.write(f"dicomloom transcode: {arguments.target} is a directory, IN a file\n")
        return EXIT_USAGE
    shown = ProgressLine() if options.shows_progress(arguments) else None
    try:
        progress = {"progress": shown.frames} if shown else {}
        report = _one(arguments.source, arguments.target, arguments, coding | progress)
    finally:
        if shown:
            shown.clear()
    if arguments.json:
        _print_json(as_dict(report))
    else:
        sys.stderr.write(line(report) + "\n")
    return 0


def _one(source: str, target: str, arguments: argparse.Namespace, coding: dict[str, Any]) -> Report:
    """Transcode a file."""
    from dicomloom.frames.transcode import OptionError, transcode

    try:
        return transcode(source, target, arguments.to, frames=arguments.frames, **coding)
    except OptionError as error:  # which options there are depends on the file, too
        raise options.UsageError(str(error)) from None


def as_dict(report: Report) -> dict[str, object]:
    """Return a report for --json."""
    return {**report._asdict(), "ratio": round(report.ratio, 3)}


def line(report: Report) -> str:
    """Return a report for people."""
    frames = "frame" if report.frames == 1 else "frames"
    return (
        f"{', '.join(report.targets)}: {report.transfer_syntax}, {report.frames:,} {frames}, "
        f"{report.raw_bytes / 1e6:,.1f} MB -> {report.encoded_bytes / 1e6:,.1f} MB "
        f"({report.ratio:.2f}:1); {report.seconds:.2f} s"
    )


def _print_json(value: object) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _files(top: str, skip: str) -> Iterator[str | OSError]:
    """Return the paths of all regular files below a folder, in order, but for those in `skip`.

    Of a folder that cannot be read, the error.
    """
    unreadable: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=unreadable.append):
        yield from unreadable
        unreadable.clear()
        folders[:] = sorted(
            name for name in folders if os.path.realpath(os.path.join(folder, name)) != skip
        )
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield os.path.relpath(path, top)
    yield from unreadable


def _tree(arguments: argparse.Namespace, coding: dict[str, Any]) -> int:
    """Mirror a tree, several files at a time."""
    from dicomloom.errors import DicomloomError, ReadError
    from dicomloom.files import make_folders
    from dicomloom.frames.budget import processors
    from dicomloom.frames.pipeline import Pipeline

    workers = arguments.jobs or processors()
    if arguments.max_memory is not None:
        coding["max_memory"] = max(1, arguments.max_memory // workers)
    coding["workers"] = 1
    done: list[dict[str, object]] = []
    counts = {True: 0, False: 0}

    def work(name: str | OSError) -> tuple[str, Report | Exception]:
        if isinstance(name, OSError):
            made = ReadError(f"cannot read: {name.strerror}", path=str(name.filename))
            return os.path.relpath(name.filename, arguments.source), made
        target = os.path.join(arguments.target, name)
        source = os.path.join(arguments.source, name)
        try:
            make_folders(os.path.dirname(target))
            return name, _one(source, target, arguments, coding)
        except (DicomloomError, OSError, options.UsageError) as error:
            return name, error

    def show(result: tuple[str, Report | Exception]) -> None:
        name, report = result
        failed = isinstance(report, Exception)
        counts[failed] += 1
        if failed:
            from dicomloom.shown import shown as plain

            said = str(report) if name in str(report) else f"{name}: {report}"
            sys.stderr.write(f"{plain(said)}\n")
        if arguments.json:
            done.append(
                {"source": os.path.join(arguments.source, name), "error": str(report)}
                if isinstance(report, Exception)
                else as_dict(report)
            )

    isolation: Isolation | Literal[False] = coding["isolate"]
    pipeline = Pipeline(
        lambda: work,
        show,
        workers=workers,
        depth=2 * workers,
        interrupt=isolation.close if isolation else None,
    )
    pipeline.run(_files(arguments.source, os.path.realpath(arguments.target)))
    if arguments.json:
        _print_json(done)
    sys.stderr.write(f"{counts[False]:,} files written, {counts[True]:,} failed\n")
    return EXIT_SOME_FAILED if counts[True] else 0
