"""`dicomloom find`."""

from __future__ import annotations

import argparse

from dicomloom.cli import answers, network, options

EPILOG = (
    network.EPILOG
    + """
exit codes: 0 all answers came, be it none; 2 usage; 40 OUT cannot be written; 60 to 67 the network,
as of dicomloom echo: 66 is a status other than success.

examples:
  dicomloom find pacs -k StudyDate=20260101- -k ModalitiesInStudy=CT
  dicomloom find pacs -L SERIES -k StudyInstanceUID=1.2.3 --format json
  dicomloom find PACS@pacs.example.org:104 --root patient -L PATIENT -k 'PatientName=DOE*'
"""
)


def key(text: str) -> tuple[str, str]:
    """Read KEY or KEY=VALUE."""
    keyword, _, value = text.partition("=")
    if not keyword:
        raise argparse.ArgumentTypeError(f"KEY or KEY=VALUE, not {text}")
    return keyword, value


def add_keys(parser: argparse.ArgumentParser) -> None:
    """-k KEY[=VALUE] and --limit N."""
    parser.add_argument(
        "-k",
        "--key",
        action="append",
        type=key,
        default=[],
        metavar="KEY[=VALUE]",
        help="an attribute to return; with a value, to match: 20260101-, DOE*, uid\\uid",
    )
    parser.add_argument(
        "--limit", type=options.positive, metavar="N", help="cancel after N answers"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument(
        "-L",
        "--level",
        type=str.upper,
        choices=("PATIENT", "STUDY", "SERIES", "IMAGE"),
        default="STUDY",
        help="what to look for (default: STUDY)",
    )
    add_keys(parser)
    parser.add_argument(
        "--root", choices=("study", "patient"), default="study", help="the information model"
    )
    parser.add_argument(
        "--relational", action="store_true", help="keys of any level, if the peer does that"
    )
    answers.add_format(parser)
    parser.add_argument("-o", "--output", metavar="OUT", help="default: standard output")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print what comes."""
    import contextlib

    from dicomloom.network.find import find
    from dicomloom.network.keys import identifier_of

    kind = answers.format_of(arguments.format, arguments.output)
    keys, how = dict(arguments.key), {"root": arguments.root, "relational": arguments.relational}
    with network.values_as_usage():
        node = network.node_of(arguments)
        found = find(node, arguments.level, keys, limit=arguments.limit, **how)
        identifier, _ = identifier_of(arguments.level, keys=keys, **how)
    with (
        network.logging_to_stderr(arguments.log_level),
        network.warnings_to_stderr("find"),
        contextlib.closing(found),
    ):
        answers.write(found, answers.columns_of(identifier), kind, arguments.output)
    return 0
