"""`dicomloom frame`."""

from __future__ import annotations

import argparse
import os
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_USAGE

EPILOG = """\
Frames are counted from 0. The suffix of OUT decides: .npy an array; .raw the pixels as bytes,
little endian, color by pixel; .png, .jpg and what else Pillow writes a picture, with the VOI
window of the object or, without one, from least to greatest value. Without OUT the raw bytes go to
standard output.

examples:
  dicomloom frame cine.dcm 0 -o first.png
  dicomloom frame cine.dcm 12 --encoded -o twelve.jpg
  dicomloom frame strange.dcm 0 -o zero.png --isolate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("path", metavar="FILE")
    parser.add_argument("frame", metavar="N", type=int)
    parser.add_argument("-o", "--output", metavar="OUT", help="where to write")
    parser.add_argument(
        "--encoded", action="store_true", help="the bitstream as it is stored, whatever OUT is"
    )
    options.add_isolation(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write one frame."""
    from dicomloom.files import Replacing
    from dicomloom.frames.reader import FrameReader

    output = arguments.output
    if output is None and sys.stdout.isatty():
        sys.stderr.write("dicomloom frame: bytes do not go to a terminal: -o OUT\n")
        return EXIT_USAGE
    suffix = os.path.splitext(output or "")[1].lower()
    with (
        options.isolation(arguments) as isolation,
        FrameReader(arguments.path, isolate=isolation or False) as reader,
    ):
        try:
            if arguments.encoded:
                data = reader.encoded(arguments.frame)
            elif suffix in ("", ".raw", ".bin"):
                data = bytes(reader.raw(arguments.frame))
            else:
                from dicomloom.frames.render import as_file

                data = as_file(reader, arguments.frame, suffix)
        except IndexError as error:
            from dicomloom.shown import shown

            sys.stderr.write(f"dicomloom frame: {shown(str(error))}\n")
            return EXIT_USAGE
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        with Replacing(output) as file:
            file.write(data)
    return 0
