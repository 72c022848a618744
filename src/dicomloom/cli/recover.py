"""`dicomloom recover`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options

EPILOG = """\
A writer that is killed leaves NAME.partial beside NAME. All whole frames of it become a valid
object; the partial file stays as it is.

example:
  dicomloom recover cine.dcm.partial cine.dcm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("partial", metavar="PARTIAL", help="what the writer left")
    parser.add_argument("target", metavar="OUT", help="the file to write")
    options.add_json(parser, "what was done")


def run(arguments: argparse.Namespace) -> int:
    """Recover, and say how many frames there were."""
    from dicomloom.cli.transcode import as_dict, line
    from dicomloom.frames.recover import recover

    report = recover(arguments.partial, arguments.target)
    if arguments.json:
        import json

        sys.stdout.write(json.dumps(as_dict(report), indent=1) + "\n")
    else:
        sys.stderr.write(line(report) + "\n")
    return 0
