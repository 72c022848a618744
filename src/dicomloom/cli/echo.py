"""`dicomloom echo`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import network, options

EPILOG = (
    network.EPILOG
    + """
exit codes: 0 the node answered; 60 no connection; 61 no answer in time; 62 TLS; 63 association
rejected; 64 aborted; 65 Verification not accepted; 66 a status other than success; 67 the answer
breaks the protocol; 2 usage.

examples:
  dicomloom echo PACS@pacs.example.org:104
  dicomloom echo pacs --count 5 --json | jq .seconds
  dicomloom echo PACS@pacs.example.org:2762 --tls --tls-ca hospital.pem
"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument(
        "--count", type=options.positive, default=1, metavar="N", help="C-ECHO requests to send"
    )
    options.add_json(parser, "round-trip times and what was negotiated")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print what came back."""
    from dicomloom.network.echo import echo

    node = network.node_of(arguments)
    with network.logging_to_stderr(arguments.log_level), network.warnings_to_stderr("echo"):
        result = echo(node, arguments.count)
    if arguments.json:
        import json

        sys.stdout.write(json.dumps(result._asdict(), indent=1) + "\n")
        return 0
    milliseconds = sorted(1000 * value for value in result.seconds)
    middle = milliseconds[len(milliseconds) // 2]
    lines = {
        "node": result.node,
        "answers": f"{len(milliseconds)} of {arguments.count}",
        "round trip": f"{middle:.1f} ms (from {milliseconds[0]:.1f} to {milliseconds[-1]:.1f})",
        "association": f"{1000 * result.association_seconds:.1f} ms",
        "PDU": f"{result.max_pdu_sent or 'any'} bytes to the peer, "
        f"{result.max_pdu_received} from it",
        "peer": f"{result.implementation_version_name or '-'} ({result.implementation_class_uid})",
        "transfer syntax": result.transfer_syntax,
        "TLS": ", ".join(result.tls) if result.tls else "no",
    }
    for name, text in lines.items():
        sys.stdout.write(f"{name:<17}{text}\n")
    return 0
