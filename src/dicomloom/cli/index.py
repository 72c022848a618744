"""`dicomloom index`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED, EXIT_UNREADABLE, EXIT_USAGE
from dicomloom.cli.progress import ProgressLine

TYPE_CHECKING = False  # --help imports nothing that indexes
if TYPE_CHECKING:
    from dicomloom.index.run import Summary

_SETS = ("instance", "series", "geometry", "pixel")
_FORMATS = ("csv", "jsonl", "parquet", "sqlite", "arrow")

EPILOG = """\
Every regular file gives one row: Filename, Status (OK or ERROR), the wanted values, Error.
A TAG is a keyword, gggg,eeee, (gggg,eeee), ggggeeee, (gggg,"CREATOR",ee), or a path such as
RequestAttributesSequence[0].ScheduledProcedureStepID, where [*] stands for all items.

examples:
  dicomloom index archive -o archive.parquet --typed
  dicomloom index archive -t PatientID -t Modality > list.csv
  dicomloom index archive -o archive.sqlite --update
  find archive -newer stamp -print0 | dicomloom index --from-file - --null -o new.csv

exit codes: 0 every row is OK; 1 some are ERROR; 2 usage; 20 input cannot be read; 40 output
cannot be written; 130 interrupted, and what stood under OUT still does.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files and directories")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="where to write (default: CSV on standard output)"
    )
    parser.add_argument(
        "-f", "--format", choices=_FORMATS, help="format of the output (default: by OUT's suffix)"
    )
    parser.add_argument(
        "-t", "--tag", action="append", metavar="TAG", help="a wanted value; may be repeated"
    )
    parser.add_argument(
        "--tags-file", metavar="FILE", help="wanted values, one a line; # begins a comment"
    )
    parser.add_argument(
        "--set", choices=_SETS, action="append", help="a named set of wanted values"
    )
    parser.add_argument(
        "--from-file", metavar="LIST", help="read paths from LIST, one a line; - for standard input"
    )
    parser.add_argument(
        "-0", "--null", action="store_true", help="paths in LIST end with NUL, not with a newline"
    )
    options.add_jobs(parser)
    parser.add_argument(
        "--update",
        action="store_true",
        help="re-read only files whose size, time or inode changed since OUT was made (not CSV)",
    )
    parser.add_argument(
        "--errors",
        choices=("keep", "skip", "only"),
        default="keep",
        help="which rows to write (default: keep)",
    )
    parser.add_argument(
        "--typed",
        action="store_true",
        help="integers, doubles and dates instead of text, where the VR says so",
    )
    parser.add_argument(
        "--follow-symlinks", action="store_true", help="enter linked directories, each once"
    )
    parser.add_argument(
        "--spreadsheet",
        action=argparse.BooleanOptionalAction,
        help="of CSV: no cell is a formula or has control characters (default: on a terminal)",
    )
    options.add_progress(parser)
    options.add_json(parser, "the summary (on stderr when the rows go to standard output)")


def _wanted(arguments: argparse.Namespace) -> list[str] | None:
    from dicomloom.index.schema import SETS

    tags: list[str] = []
    for name in arguments.set or ():
        tags += SETS[name]
    if arguments.tags_file:
        with open(arguments.tags_file, encoding="utf-8") as file:
            lines = (line.split("#", 1)[0].strip() for line in file)
            tags += [line for line in lines if line]
    tags += arguments.tag or ()
    return tags or None


def _listed(name: str, null: bool) -> Iterator[str]:
    """Read paths from a list as the scan asks for them."""
    end = b"\0" if null else b"\n"
    rest = b""
    file = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115
    with file:
        while block := os.read(file.fileno(), 1 << 16):
            *paths, rest = (rest + block).split(end)
            yield from (os.fsdecode(path) for path in paths if path)
    if rest:
        yield os.fsdecode(rest)


def _roots(paths: list[str]) -> list[str]:
    """Leave out what lies below another path or is named twice: one row a file."""
    kept: dict[str, str] = {}
    for path in sorted(set(paths), key=lambda path: len(os.path.realpath(path))):
        real = os.path.realpath(path)
        above = real
        while above not in kept and above != os.path.dirname(above):
            above = os.path.dirname(above)
        if above not in kept:
            kept[real] = path
    chosen = set(kept.values())
    return [path for path in dict.fromkeys(paths) if path in chosen]


def _check(arguments: argparse.Namespace) -> str | None:
    if bool(arguments.paths) == bool(arguments.from_file):
        return "give PATHs, or a list of them with --from-file"
    if arguments.null and not arguments.from_file:
        return "--null goes with --from-file"
    if arguments.output is None:
        if arguments.update:
            return "--update needs an output that was written before: -o OUT"
        if arguments.format in ("parquet", "sqlite"):
            return f"{arguments.format} needs a file: -o OUT"
    return None


def run(arguments: argparse.Namespace) -> int:
    """Index, and say what was found."""
    wrong = _check(arguments)
    if wrong:
        sys.stderr.write(f"dicomloom index: {wrong}\n")
        return EXIT_USAGE
    missing = [path for path in arguments.paths if not os.path.lexists(path)]
    if missing:
        sys.stderr.write(f"dicomloom index: no such file or directory: {', '.join(missing)}\n")
        return EXIT_UNREADABLE
    if arguments.from_file:
        paths = _listed(arguments.from_file, arguments.null)
    else:
        paths = iter(_roots(arguments.paths))
    line = ProgressLine() if options.shows_progress(arguments) else None
    try:
        return _index(arguments, paths, line)
    except ValueError as error:
        from dicomloom.errors import DicomloomError

        if isinstance(error, DicomloomError):
            raise
        sys.stderr.write(f"dicomloom index: {error}\n")
        return EXIT_USAGE
    finally:
        if line:
            line.clear()


def _index(arguments: argparse.Namespace, paths: Iterator[str], line: ProgressLine | None) -> int:
    from dicomloom.index.run import index

    to_stdout = arguments.output is None
    kind = arguments.format or ("csv" if to_stdout else None)
    spreadsheet = arguments.spreadsheet
    if spreadsheet is None:
        spreadsheet = to_stdout and kind == "csv" and sys.stdout.isatty()
    summary = index(
        paths,
        sys.stdout.buffer if to_stdout else arguments.output,
        _wanted(arguments),
        format=kind,
        update=arguments.update,
        threads=arguments.jobs,
        errors=arguments.errors,
        typed=arguments.typed,
        follow_symlinks=arguments.follow_symlinks,
        spreadsheet=spreadsheet,
        progress=line,
    )
    if line:
        line.clear()
    if arguments.json:
        import json

        text = json.dumps(summary._asdict())
        (sys.stderr if to_stdout else sys.stdout).write(text + "\n")
    else:
        sys.stderr.write(_last_line(summary, arguments.update) + "\n")
    return EXIT_SOME_FAILED if summary.errors else 0


def _last_line(summary: Summary, update: bool) -> str:
    text = f"{summary.files:,} files: {summary.ok:,} OK, {summary.errors:,} ERROR"
    if update:
        text += (
            f" ({summary.unchanged:,} unchanged, {summary.changed:,} changed, "
            f"{summary.files - summary.unchanged - summary.changed:,} new, "
            f"{summary.removed:,} removed)"
        )
    if summary.misfits:
        text += f"; {summary.misfits:,} values did not fit their type and are empty"
    return f"{text}; {summary.seconds:.2f} s"
