"""Options that several commands share: each is defined once."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return number


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """-j N."""
    parser.add_argument(
        "-j",
        "--jobs",
        type=positive,
        metavar="N",
        help="threads that read (default: one a processor, up to 32 while they wait for the disk)",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """--progress, --no-progress."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show progress on stderr (default: when it is a terminal)",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")
