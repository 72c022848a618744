"""`dicomloom tags`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument(
        "names", nargs="+", metavar="KEYWORD", help="keywords, or tags as gggg,eeee or ggggeeee"
    )
    options.add_json(parser, "the elements")


def run(arguments: argparse.Namespace) -> int:
    """Print tag, VR, VM, keyword and name of each."""
    from dicomloom._native.dicom import find_tag
    from dicomloom.errors import TagError
    from dicomloom.tags import format_tag, parse_tag

    found = []
    failed = False
    for name in arguments.names:
        try:
            tag = parse_tag(name).leaf.tag
            entry = find_tag(tag)
            if entry is None:
                raise TagError(f"{format_tag(tag)} is not in PS3.6")
        except TagError as error:
            sys.stderr.write(f"dicomloom tags: {error}\n")
            failed = True
            continue
        _, _, vr, vm, keyword, title, retired = entry
        found.append(
            {
                "tag": format_tag(tag),
                "vr": vr,
                "vm": vm,
                "keyword": keyword,
                "name": title,
                "retired": retired,
            }
        )
    if arguments.json:
        import json

        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        for row in found:
            fields = [row[key] for key in ("tag", "vr", "vm", "keyword", "name")]
            mark = ["(retired)"] if row["retired"] else []
            sys.stdout.write("  ".join(map(str, fields + mark)) + "\n")
    return EXIT_SOME_FAILED if failed else 0
