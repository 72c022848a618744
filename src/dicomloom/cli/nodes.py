"""`dicomloom nodes`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import network, options

EPILOG = """\
The nodes are those of the file of --config, else of the environment variable DICOMLOOM_CONFIG,
else of dicomloom/config.toml in the user's configuration folder:

  [nodes.pacs]
  ae_title = "PACS"
  host = "pacs.example.org"
  port = 104
  calling_ae_title = "WORKSTATION"    # what it knows us by
  timeout = 30                        # seconds
  tls = true                          # with tls_ca, tls_cert, tls_key, tls_pin,
  tls_ca = "hospital.pem"             # tls_check_hostname; beside this file
  username = "me"                     # with passcode: user identity

Passcodes are not printed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_config(parser)
    options.add_json(parser, "all that is known of each")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each node."""
    from dicomloom.network.config import nodes, path_of

    found = list(nodes(arguments.config).values())
    if arguments.json:
        import json
        from dataclasses import asdict

        rows = [{k: v for k, v in asdict(node).items() if k != "passcode"} for node in found]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return 0
    if not found:
        sys.stderr.write(f"dicomloom nodes: no nodes in {path_of(arguments.config)[0]}\n")
        return 0
    head = ("NAME", "NODE", "CALLING", "TLS", "USER", "FILE")
    lines = [
        head,
        *(
            (
                node.name,
                str(node),
                node.calling_ae_title,
                "yes" if node.tls else "no",
                node.username or "-",
                node.origin,
            )
            for node in found
        ),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")
    return 0
