"""`dicomloom dump`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED, EXIT_UNREADABLE

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicomloom.dump.walk import Entry
    from dicomloom.errors import DicomloomError

EPILOG = """\
A line an element: tag, VR, length, keyword or "private creator", value. What a terminal would obey
is escaped. --json prints one document a file, a line each: path, dataset in the DICOM JSON model
(PS3.18 F), and error where there is one; long values by offset and length.

examples:
  dicomloom dump image.dcm | less
  dicomloom dump image.dcm -t PatientName -t 'RequestAttributesSequence[0].CodeMeaning'
  dicomloom dump *.dcm --json | jq '.dataset["00100020"].Value[0]'

exit codes: 0 all well; 1 something was printed, but not all of all files could be read; 2 usage;
20 nothing could be read.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="FILE")
    parser.add_argument(
        "-t",
        "--tag",
        action="append",
        metavar="TAG",
        help='only this element: a keyword, gggg,eeee, (gggg,"CREATOR",ee), or a path into '
        "sequences",
    )
    parser.add_argument(
        "--width",
        type=options.positive,
        metavar="N",
        help="characters of a line (default: the terminal's, else 120)",
    )
    parser.add_argument(
        "--depth",
        type=options.positive,
        default=64,
        metavar="N",
        help="how deep sequences may nest (default: 64)",
    )
    options.add_json(parser, "the data sets")


def run(arguments: argparse.Namespace) -> int:
    """Print the elements of each file."""
    from dicomloom.dump.text import escaped
    from dicomloom.errors import DicomloomError
    from dicomloom.tags import parse_tag

    for tag in arguments.tag or ():
        parse_tag(tag)  # before anything is printed
    printed = failed = 0
    for path in arguments.paths:
        if len(arguments.paths) > 1 and not arguments.json:
            _write(f"{escaped(path)}:\n")
        try:
            for text, elements in _texts(path, arguments):
                _write(text)
                printed += elements
        except DicomloomError as error:
            failed += 1
            sys.stdout.flush()
            sys.stderr.write(f"dicomloom dump: {escaped(_explained(error))}\n")
    if not failed:
        return 0
    return EXIT_SOME_FAILED if printed or failed < len(arguments.paths) else EXIT_UNREADABLE


def _texts(path: str, arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Give what is to be printed, and how many elements that stands for."""
    from dicomloom.dump.model import document
    from dicomloom.dump.run import chosen, dump
    from dicomloom.dump.walk import walk
    from dicomloom.frames.sources import FileSource

    if not arguments.json:
        width = arguments.width or _columns()
        for text in dump(path, arguments.tag, width=width, max_depth=arguments.depth):
            yield text + "\n", 1
        return
    seen = 0

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal seen
        for entry in entries:
            seen += 1
            yield entry

    source = FileSource(path)
    try:
        entries = counted(chosen(walk(source, arguments.depth), arguments.tag))
        for text in document(path, entries):
            yield text, seen
    finally:
        source.close()


def _columns() -> int:
    import os

    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (ValueError, OSError):
        return 120


def _explained(error: DicomloomError) -> str:
    text = str(error)
    known = error.offset is None or f"byte {error.offset}" in text
    return text if known else f"{text} (byte {error.offset})"


def _write(text: str) -> None:
    # A terminal that is not UTF-8 sees escapes, not an exception.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
