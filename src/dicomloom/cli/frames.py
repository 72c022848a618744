"""`dicomloom frames`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options
from dicomloom.shown import shown

EPILOG = """\
examples:
  dicomloom frames cine.dcm
  dicomloom frames cine.dcm --json | jq '.offsets[0]'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("path", metavar="FILE")
    options.add_json(parser, "count, shape, syntax, table, and each frame's offset and length")


def run(arguments: argparse.Namespace) -> int:
    """Print how the frames are stored."""
    from dicomloom.frames.sources import FileSource
    from dicomloom.frames.stored import StoredFrames

    source = FileSource(arguments.path)
    try:
        stored = StoredFrames(source)
        layout = stored.layout
        facts: dict[str, object] = {
            "path": arguments.path,
            "frames": stored.count,
            "shape": list(layout.shape),
            "dtype": layout.dtype,
            "bits_stored": layout.bits_stored,
            "photometric": layout.photometric,
            "transfer_syntax": stored.codec.keyword,
            "offset_table": stored.table,
        }
        pieces = [stored.pieces(i) for i in range(stored.count)] if arguments.json else []
        facts["offset_table"] = stored.table  # a broken one is noticed when it is used
        if arguments.json:
            import json

            facts["offsets"] = [piece[0][0] for piece in pieces]
            facts["lengths"] = [sum(length for _, length in piece) for piece in pieces]
            facts["fragments"] = [len(piece) for piece in pieces]
            sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        else:
            for name, value in facts.items():
                text = " x ".join(map(str, value)) if isinstance(value, list) else value
                sys.stdout.write(f"{name.replace('_', ' '):<16}{shown(str(text))}\n")
    finally:
        source.close()
    return 0
