"""`dicomloom codecs`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options

EPILOG = """\
READS and WRITES name what does it here, the first choice first. MORE WITH names the extras that
bring libraries which are not installed, where dicomloom needs one: pip install
'dicomloom[codecs]'. Options are given to transcode and build by name: --quality 80, or --option
effort=7. With --option backend=library, libraries code and decode what dicomloom would itself.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    options.add_json(parser, "the table")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each transfer syntax."""
    from dicomloom.codecs.registry import table

    rows = table()
    if arguments.json:
        import json

        sys.stdout.write(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
        return 0
    head = ("KEYWORD", "UID", "READS", "WRITES", "BITS", "LOSSY", "OPTIONS", "MORE WITH")
    lines = [
        head,
        *(
            (
                row.keyword,
                row.uid,
                ", ".join(row.reads) or "-",
                ", ".join(row.writes) or "-",
                row.bits,
                "lossless" if row.lossless else "lossy",
                ", ".join(row.options),
                ", ".join(f"dicomloom[{extra}]" for extra in row.extras),
            )
            for row in rows
        ),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")
    return 0
