"""`dicomloom commit`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import network, options

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicomloom.network.commit import CommitReport

EPILOG = (
    network.EPILOG
    + """
Many nodes tell the result over an association that they open to us: enter our AE title
(--calling-ae) with the address of --listen there. Without --listen it has to come over ours.

Each object is a line: committed, failed with its reason, or pending; "unasked" is what the node
told of besides, "left out" a file that is not as it should be. With --state FILE what was asked and
told survives a crash; --resume FILE goes on, and asks again for what may not have come.

exit codes: 0 all is committed; 1 something failed, is pending or was left out; 2 usage; 20 no
object, or no state file; 40 it cannot be written; 60-79 network: nothing could be asked for.

examples:
  dicomloom commit pacs dicom/ --calling-ae CAMERA1 --listen 0.0.0.0:11113
  dicomloom commit pacs dicom/ --state today.commit --wait 10
  dicomloom commit pacs --resume today.commit --listen 0.0.0.0:11113 --wait 3600
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="objects, and folders of them")
    add_asking(parser, "--")
    parser.add_argument(
        "--from",
        dest="callers",
        action="append",
        default=[],
        metavar="AET",
        help="who else may bring it, if not the node by its own AE title; repeat",
    )
    parser.add_argument("--resume", metavar="FILE", help="go on with such a file")
    options.add_json(parser, "the result")


def add_asking(parser: argparse.ArgumentParser, before: str) -> None:
    """How to ask for storage commitment; the names of the options begin with `before`."""
    parser.add_argument(
        f"{before}wait",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds to wait for the result, up to 86400 (default: 60)",
    )
    parser.add_argument(
        f"{before}listen", metavar="ADDRESS:PORT", help="where the node may bring the result"
    )
    parser.add_argument(
        f"{before}state", metavar="FILE", help="keep what was asked and told in a new file"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask and wait, or only wait; print what the node says."""
    from dicomloom.cli.main import EXIT_SOME_FAILED
    from dicomloom.network.commit import commit, commit_wait

    if bool(arguments.paths) == bool(arguments.resume):
        raise options.UsageError("give the objects, PATH ..., or else --resume FILE")
    if arguments.resume and arguments.state:
        raise options.UsageError("--resume FILE goes on with a state file: it takes no --state")
    how = {name: getattr(arguments, name) for name in ("wait", "listen", "callers")}
    with (
        network.logging_to_stderr(arguments.log_level),
        network.warnings_to_stderr("commit"),
        network.values_as_usage(),
    ):
        node = network.node_of(arguments)
        if arguments.resume:
            report = commit_wait(node, arguments.resume, **how)
        else:
            report = commit(node, arguments.paths, state=arguments.state, **how)
    if arguments.json:
        import json

        sys.stdout.write(json.dumps(as_dict(report)) + "\n")
    else:
        for line in lines(report):
            sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"dicomloom commit: {report.node}: {summary(report)}\n")
    return 0 if report.complete else EXIT_SOME_FAILED


def as_dict(report: CommitReport) -> dict[str, object]:
    """Return a report for --json."""
    import dataclasses

    made = dataclasses.asdict(report) | {"complete": report.complete}
    for name in ("committed", "failed", "pending", "foreign", "left_out"):
        made[name] = [one._asdict() for one in made[name]]
    return made


def summary(report: CommitReport) -> str:
    """Return a report in a line."""
    counts = f"{len(report.committed)} committed, {len(report.failed)} failed"
    text = f"{counts}, {len(report.pending)} pending"
    return f"{text}; {report.trouble}" if report.trouble else text


def lines(report: CommitReport) -> Iterator[str]:
    """Return a line for each object."""
    from dicomloom.shown import shown

    for committed in report.committed:
        yield f"committed  {committed.SOPInstanceUID}"
    for failed in report.failed:
        code = "" if failed.reason is None else f"0x{failed.reason:04X}, "
        yield f"failed     {failed.SOPInstanceUID}  {code}{failed.meaning}"
    for pending in report.pending:
        yield f"pending    {pending.SOPInstanceUID}"
    for foreign in report.foreign:
        yield f"unasked    {shown(foreign.SOPInstanceUID)}"
    for left_out in report.left_out:
        yield f"left out   {shown(left_out.path)}  {shown(left_out.reason)}"
