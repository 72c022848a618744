"""`dicomloom retrieve`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import network, options
from dicomloom.cli.find import key
from dicomloom.cli.main import EXIT_SOME_FAILED

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicomloom.network.node import Node
    from dicomloom.network.retrieving.tally import RetrieveReport

EPILOG = (
    network.EPILOG
    + """
C-FIND tells what matches; C-GET brings it, or C-MOVE to a port of our own: there the node has to
know our AE title (--calling-ae) by the address and port of --listen. What failed or is missing is
told on stderr; --json prints a line on stdout for each object: {"event": "arrived", ...}, "failed",
"missing", "unexpected" (not asked for) or "warned".

exit codes: 0 all that matches is in DIR; 1 something failed or is missing, or nothing matches;
2 usage; 40 DIR cannot be written; 60 to 67 the network, as of dicomloom echo: 66 is a status other
than success. What has come stays.

examples:
  dicomloom retrieve pacs -k StudyInstanceUID=1.2.3 -d study
  dicomloom retrieve pacs -k PatientID=7 -k Modality=CT -k StudyDate=20260101- -d ct --dry-run
  dicomloom retrieve pacs -k AccessionNumber=A1 -d out --listen 10.1.0.7:11112 --calling-ae ME
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument(
        "-k",
        "--key",
        action="append",
        type=key,
        default=[],
        metavar="KEY=VALUE",
        help="what to match, as of dicomloom find; repeat",
    )
    parser.add_argument("-d", "--directory", metavar="DIR", required=True, help="made if absent")
    parser.add_argument(
        "-L",
        "--level",
        type=str.upper,
        choices=("STUDY", "SERIES", "IMAGE"),
        help="what to ask for at once (default: the lowest level that a key is of)",
    )
    parser.add_argument(
        "--root", choices=("study", "patient"), default="study", help="the information model"
    )
    parser.add_argument(
        "--method",
        choices=("auto", "get", "move"),
        default="auto",
        help="auto: C-GET; with --listen, C-MOVE for what that does not bring",
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="for C-MOVE: where the node finds us"
    )
    parser.add_argument(
        "--layout",
        metavar="PATTERN",
        help="of paths, with keywords in braces "
        "(default: {StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm)",
    )
    parser.add_argument(
        "--existing",
        choices=("keep", "replace", "version"),
        default="keep",
        help="what to do with an object that is there already (default: keep that)",
    )
    parser.add_argument(
        "--fsync",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether an object is on the disk before the node hears so (default: yes)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only tell what would be asked for, on stdout"
    )
    options.add_progress(parser)
    options.add_json(parser, "what became of each object")


def run(arguments: argparse.Namespace) -> int:
    """Retrieve, and tell what is missing."""
    node = network.node_of(arguments)
    with (
        network.logging_to_stderr(arguments.log_level),
        network.warnings_to_stderr("retrieve"),
    ):
        return _list(node, arguments) if arguments.dry_run else _retrieve(node, arguments)


def _retrieve(node: Node, arguments: argparse.Namespace) -> int:
    import contextlib

    from dicomloom.cli.progress import ProgressLine
    from dicomloom.network.retrieve import retrieve_each
    from dicomloom.network.retrieving.landing import LAYOUT
    from dicomloom.network.retrieving.tally import RetrieveReport

    report = RetrieveReport(str(node))
    with network.values_as_usage():
        each = retrieve_each(
            node,
            arguments.directory,
            dict(arguments.key),
            level=arguments.level,
            root=arguments.root,
            method=arguments.method,
            listen=arguments.listen,
            layout=LAYOUT if arguments.layout is None else arguments.layout,
            existing=arguments.existing,
            sync=arguments.fsync,
            report=report,
        )
    shown = ProgressLine() if options.shows_progress(arguments) else None
    size = 0
    try:
        with contextlib.closing(each):
            for number, arrived in enumerate(each, 1):
                size += arrived.bytes
                if arguments.json:
                    _print_json("arrived", **arrived._asdict())
                if shown:
                    shown.objects(number, 0, size)
    finally:
        if shown:
            shown.clear()
        is_over = sys.exc_info()[0] is None
        if is_over or report.requests:
            _tell(report, as_json=arguments.json)
    return 0 if report.complete else EXIT_SOME_FAILED


def _tell(report: RetrieveReport, *, as_json: bool) -> None:
    """Say what is missing and odd, and how much there is."""
    for failed in report.failed:
        if as_json:
            _print_json("failed", **failed._asdict())
        who = "refused here" if failed.refused else "failed"
        sys.stderr.write(
            f"{failed.SOPInstanceUID}: {who}: status 0x{failed.status:04X}, {failed.reason}\n"
        )
    for event, uids in (("missing", report.missing), ("unexpected", report.unexpected)):
        for uid in uids:
            if as_json:
                _print_json(event, SOPInstanceUID=uid)
            sys.stderr.write(f"{uid}: {event}\n")
    for remark in report.warned:
        if as_json:
            _print_json("warned", **remark._asdict())
        sys.stderr.write(f"{remark.SOPInstanceUID}: warned: {remark.reason}\n")
    for event, count in report.untold.items():
        if as_json:
            _print_json("untold", list=event, count=count)
        sys.stderr.write(f"{count:,} more: {event}\n")
    sys.stderr.write(_summary(report))


def _summary(report: RetrieveReport) -> str:
    if not report.requests:
        return _nothing(report.node)
    parts = [f"{report.count:,} objects came from {report.node}"]
    missing = len(report.missing) + report.unnamed
    failed = len(report.failed) + report.untold.get("failed", 0)
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{missing:,} are missing"] if missing else []
    return ", ".join(parts) + f"; {report.bytes / 1e6:,.1f} MB in {report.seconds:.2f} s\n"


def _nothing(node: str) -> str:
    return f"nothing at {node} matches\n"


def _list(node: Node, arguments: argparse.Namespace) -> int:
    from dicomloom.network.retrieving.planning import Wish, errands

    with network.values_as_usage():
        wish = Wish.of(arguments.root, arguments.level, dict(arguments.key))
    found = 0
    for errand in errands(node, wish):
        found += 1
        count = errand.count if errand.expected is None else len(errand.expected)
        if arguments.json:
            _print_json("wanted", level=errand.level, **errand.keys, instances=count)
        else:
            words = (errand.level, *errand.keys.values(), "?" if count is None else str(count))
            sys.stdout.write("\t".join(_shown(words)) + "\n")
    if not found:
        sys.stderr.write(_nothing(str(node)))
    return 0 if found else EXIT_SOME_FAILED


def _shown(words: tuple[str, ...]) -> Iterator[str]:
    from dicomloom.network.words import printable

    return (printable(word) for word in words)


def _print_json(event: str, **what: object) -> None:
    import json

    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
