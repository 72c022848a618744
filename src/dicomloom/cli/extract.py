"""`dicomloom extract`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli.main import EXIT_USAGE
from dicomloom.shown import shown

EPILOG = """\
Documents (PDF, CDA, STL, OBJ, MTL) and videos come out as they are stored; a coded frame as
JPEG, JPEG-LS, JPEG 2000 or JPEG XL; any other frame as PNG. Without -o the file is written beside
FILE, and its name printed. Frames are counted from 0.

examples:
  dicomloom extract report.dcm
  dicomloom extract report.dcm -o - | pdftotext - -
  dicomloom extract cine.dcm --frame 12 -o twelve.jpg
  dicomloom extract cine.dcm --all -o frames/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("path", metavar="FILE")
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="where to write; - is standard output"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--frame", type=int, metavar="N", help="which frame of several")
    which.add_argument("--all", action="store_true", help="all frames, into the folder OUT")
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace) -> int:
    """Write what is inside."""
    import warnings

    from dicomloom.dicomize.extract import default_target, extract, extract_all, opened

    output = arguments.output
    if output == "-" and (arguments.all or sys.stdout.isatty()):
        why = "all frames do not fit into one stream" if arguments.all else "not to a terminal"
        sys.stderr.write(f"dicomloom extract: {why}: -o OUT\n")
        return EXIT_USAGE
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            if output == "-":
                with opened(arguments.path, arguments.frame) as contents:
                    for chunk in contents.chunks():
                        sys.stdout.buffer.write(chunk)
            elif arguments.all:
                folder = output or default_target(arguments.path, "-frames")
                extract_all(arguments.path, folder, overwrite=arguments.force)
                sys.stdout.write(folder + "\n")
            else:
                made = extract(
                    arguments.path, output, frame=arguments.frame, overwrite=arguments.force
                )
                sys.stdout.write(made + "\n")
        finally:
            for note in notes:
                sys.stderr.write(f"dicomloom extract: {shown(str(note.message))}\n")
    return 0
