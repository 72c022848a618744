"""`dicomloom explain`."""

from __future__ import annotations

import argparse
import os
import sys

from dicomloom.cli import network, options
from dicomloom.cli.main import EXIT_NETWORK, EXIT_SOME_FAILED

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicomloom.network.explain.log import Log
    from dicomloom.network.explain.record import LoggedAssociation
    from dicomloom.network.explain.steps import Diagnosis

EPILOG = (
    """\
LOGFILE is a verbose log (-v, -d, DEBUG) of DCMTK, pynetdicom, dcm4che or fo-dicom, also gzipped, or
- for stdin. Of each association: when, who, what was proposed, accepted and refused, the messages
and their statuses, how it ended, and what to try. --json prints a line an association.

"""
    + network.EPILOG
    + """
exit codes: of a log 0 where all associations were well, 1 where some were not, 20 unreadable; of a
node 0, or that of the first step that failed, as of dicomloom echo; 2 usage.

examples:
  storescu -d pacs.example.org 104 ct.dcm 2>&1 | dicomloom explain -
  dicomloom explain --failed --json server.log.gz | jq -r .hint
  dicomloom explain PACS@pacs.example.org:104
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser, "LOGFILE|NODE", "a log, - for stdin, AET@host:port or a name")
    parser.add_argument(
        "--failed", action="store_true", help="of a log, only associations with trouble"
    )
    parser.add_argument(
        "--other-titles",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="of a node that rejects us, try a few other AE titles (default: yes)",
    )
    options.add_json(parser, "what was found")


def run(arguments: argparse.Namespace) -> int:
    """Explain a log or a node."""
    if arguments.node == "-" or os.path.exists(arguments.node):
        from dicomloom.network.explain.log import Log

        return _explain_log(Log(arguments.node), arguments)
    return _explain_node(arguments)


def _explain_log(log: Log, arguments: argparse.Namespace) -> int:
    import json

    troubled = total = 0
    for association in log:
        total += 1
        trouble = association.trouble
        troubled += bool(trouble)
        if arguments.failed and not trouble:
            continue
        if arguments.json:
            sys.stdout.write(json.dumps(association.as_dict()) + "\n")
        else:
            sys.stdout.write("\n".join(_lines(association)) + "\n\n")
    sys.stderr.write(
        f"dicomloom explain: {total} associations, {troubled} with trouble; {log.lines} lines, "
        f"{log.not_understood} not understood\n"
    )
    if not total and log.lines:
        sys.stderr.write("dicomloom explain: no association; was the log verbose (-v, -d)?\n")
    return EXIT_SOME_FAILED if troubled else 0


def _lines(association: LoggedAssociation) -> Iterator[str]:
    """Give the text of an association."""
    a = association
    when = a.begin if a.begin == a.end else f"{a.begin} to {a.end}"
    where = f"lines {a.first_line} to {a.last_line}"
    yield ", ".join(part for part in (where, a.format, when, a.key and f"of {a.key}") if part)
    peer = f", peer {a.peer}" if a.peer else ""
    who = f"{a.calling_ae_title or '?'} calls {a.called_ae_title or '?'}"
    yield f"  {who}{peer}; the log is the {a.role or 'unknown'}'s"
    if a.contexts:
        yield f"  contexts  {len(a.contexts)} proposed, {len(a.accepted)} accepted"
    for context in a.refused:
        yield f"  refused   {context.id} {context.abstract_syntax or '?'}: {context.meaning}"
    if a.messages:
        yield "  messages  " + ", ".join(f"{count} {name}" for name, count in a.messages.items())
    for (name, status), count in a.statuses.items():
        if status:
            yield f"  status    {count} {name} with 0x{status:04X}"
    by = f" by the {a.by}" if a.by else ""
    yield f"  end       {a.outcome}{by}"
    for error in a.errors:
        yield f"  error     {error}"
    if a.trouble:
        yield f"  trouble   {a.trouble}"
        yield f"  try       {a.hint}"


def _explain_node(arguments: argparse.Namespace) -> int:
    from dicomloom.errors import NodeError
    from dicomloom.network.explain.run import not_found
    from dicomloom.network.explain.steps import diagnose

    try:
        node = network.node_of(arguments)
    except NodeError as error:
        raise not_found(arguments.node, error) from error
    with network.logging_to_stderr(arguments.log_level):
        found = diagnose(node, arguments.other_titles)
    if arguments.json:
        import json

        sys.stdout.write(json.dumps(found.as_dict(), indent=1) + "\n")
    else:
        _print_steps(found)
    return 0 if found.error is None else EXIT_NETWORK[type(found.error).__name__]


def _print_steps(found: Diagnosis) -> None:
    for step in found.steps:
        verdict = "ok" if step.ok else "no"
        sys.stdout.write(
            f"{step.name:<13} {verdict}  {1000 * step.seconds:8.1f} ms  {step.found}\n"
        )
    if found.trouble:
        sys.stdout.write(f"trouble       {found.trouble}\ntry           {found.hint}\n")
