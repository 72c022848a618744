"""`dicomloom send`."""

from __future__ import annotations

import argparse
import sys
import time

from dicomloom.cli import commit, network, options
from dicomloom.cli.main import EXIT_NETWORK, EXIT_SOME_FAILED, EXIT_UNREADABLE

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections import Counter

    from dicomloom.cli.progress import ProgressLine
    from dicomloom.network.commit import CommitOptions
    from dicomloom.network.node import Node
    from dicomloom.network.send import SendOptions, Sent

EPILOG = (
    network.EPILOG
    + """
PATH is a file, or a folder with all DICOM files below it; what is no DICOM there is left out. What
failed, or was taken with a warning, is told on stderr; --json prints a line on stdout for each
object. With --report FILE, a second call sends what the first could not. With --commit the node is
asked to promise that it keeps what it was sent; what it does not promise is a line on stderr, and
--json ends with a line {"commitment": ...}.

exit codes: 0 the node has all; 1 some failed, or are not committed; 2 usage; 20 no object could be
read; 40 the report cannot be written; where none was sent, that of the first failure: 60 no
connection; 61 no answer in time; 62 TLS; 63 association rejected; 64 aborted; 65 not accepted; 66 a
status other than success; 67 the answer breaks the protocol.

examples:
  dicomloom send PACS@pacs.example.org:104 study/
  dicomloom send pacs archive/ -j 4 --report sent.jsonl
  dicomloom send pacs study/ --commit --commit-listen 0.0.0.0:11113
  dicomloom send pacs --index index.csv --json | jq -c 'select(.outcome == "failed")'
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a file, or a folder of them")
    parser.add_argument("--index", metavar="FILE", help="send the files of this index")
    parser.add_argument(
        "-j", "--jobs", type=options.positive, default=1, metavar="K", help="associations at a time"
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=3,
        metavar="N",
        help="how often to try again what may go well another time (default: 3)",
    )
    parser.add_argument(
        "--transcode",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to send uncompressed what the node does not take as it is (default: yes)",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="JSON lines, one for each object; what it says was sent is left out",
    )
    parser.add_argument(
        "--commit",
        action="store_true",
        help="ask for storage commitment of what was sent; see dicomloom commit --help",
    )
    commit.add_asking(parser, "--commit-")
    options.add_progress(parser)
    options.add_json(parser, "what became of each object")


def run(arguments: argparse.Namespace) -> int:
    """Send, and tell what became of each object."""
    from dicomloom.cli.options import UsageError
    from dicomloom.network.commit import CommitOptions, check_new
    from dicomloom.network.send import SendOptions

    if not arguments.paths and arguments.index is None:
        raise UsageError("nothing to send: give a PATH, or --index FILE")
    if arguments.index is not None:
        from dicomloom.index.sinks import format_of

        with network.values_as_usage():
            format_of(arguments.index)
    with network.values_as_usage():
        node = network.node_of(arguments)
        chosen = SendOptions(
            jobs=arguments.jobs,
            retries=arguments.retries,
            transcode=arguments.transcode,
            report=arguments.report,
        )
        how = (arguments.commit_wait, arguments.commit_listen, arguments.commit_state)
        asking = CommitOptions(*how) if arguments.commit else None
    check_new(arguments.commit_state if asking else None)
    with network.logging_to_stderr(arguments.log_level), network.warnings_to_stderr("send"):
        code, there = _send(node, arguments, chosen, keep=asking is not None)
        if asking is not None and not _commit(node, there, asking, as_json=arguments.json):
            code = code or EXIT_SOME_FAILED
    return code


def _send(
    node: Node, arguments: argparse.Namespace, chosen: SendOptions, *, keep: bool
) -> tuple[int, list[tuple[str, str]]]:
    """Send; the exit code, and class and instance of what the node has, if that is to be kept."""
    import contextlib
    from collections import Counter

    from dicomloom.cli.progress import ProgressLine
    from dicomloom.network.send import FAILED, SendReport, send_each

    shown = ProgressLine() if options.shows_progress(arguments) else None
    counts: Counter[str] = Counter()
    totals = SendReport(str(node))
    there: list[tuple[str, str]] = []
    first = ""
    began = time.monotonic()
    outcomes = send_each(
        node, arguments.paths, index=arguments.index, options=chosen, skipped=totals
    )
    with contextlib.closing(outcomes):
        for sent in outcomes:
            counts[sent.outcome] += 1
            totals.bytes += sent.bytes
            first = first or sent.error
            if keep and sent.outcome != FAILED:
                there.append((sent.SOPClassUID, sent.SOPInstanceUID))
            _tell(sent, shown, as_json=arguments.json)
            if shown:
                shown.objects(sum(counts.values()), counts["failed"], totals.bytes)
    if shown:
        shown.clear()
    seconds = time.monotonic() - began
    sys.stderr.write(_summary(str(node), counts, totals.bytes, totals.skipped, seconds) + "\n")
    return _exit_code(counts, totals.skipped, first), there


def _commit(
    node: Node, there: list[tuple[str, str]], asking: CommitOptions, *, as_json: bool
) -> bool:
    """Ask for storage commitment; returns whether the node promises to keep all."""
    from dicomloom.network.commit import ask_after

    report = ask_after(node, there, asking)
    if as_json:
        import json

        sys.stdout.write(json.dumps({"commitment": commit.as_dict(report)}) + "\n")
    else:
        for line in commit.lines(report):
            if not line.startswith("committed "):
                sys.stderr.write(f"{line}\n")
    sys.stderr.write(f"{node}: {commit.summary(report)}\n")
    return report.complete


def _tell(sent: Sent, shown: ProgressLine | None, *, as_json: bool) -> None:
    if as_json:
        import json

        sys.stdout.write(json.dumps(sent._asdict()) + "\n")
        return
    if sent.outcome == "sent":
        return
    if shown:
        shown.clear()
    from dicomloom.shown import shown as plain

    sys.stderr.write(f"{plain(sent.path)}: {sent.outcome}: {plain(_why(sent))}\n")


def _why(sent: Sent) -> str:
    """Return the status and what was said besides, in a line."""
    status = "" if sent.status is None else f"status 0x{sent.status:04X}, {sent.meaning}"
    reason = sent.reason.removeprefix(f"{sent.path}: ")
    return "; ".join(part for part in (status, reason) if part)


def _summary(node: str, counts: Counter[str], size: int, skipped: int, seconds: float) -> str:
    arrived = counts["sent"] + counts["warned"]
    parts = [f"{arrived:,} of {sum(counts.values()):,} objects sent to {node}"]
    parts += [f"{counts[name]:,} {name}" for name in ("warned", "failed") if counts[name]]
    if skipped:
        parts.append(f"{skipped:,} were there already")
    rate = f"{size / 1e6:,.1f} MB in {seconds:.2f} s"
    if seconds:
        rate += f", {arrived / seconds:,.0f} objects and {size / 1e6 / seconds:,.1f} MB a second"
    return ", ".join(parts) + f"; {rate}"


def _exit_code(counts: Counter[str], skipped: int, first: str) -> int:
    if not counts["failed"]:
        return 0
    if counts["sent"] or counts["warned"] or skipped:
        return EXIT_SOME_FAILED
    return EXIT_NETWORK.get(first, EXIT_UNREADABLE)
