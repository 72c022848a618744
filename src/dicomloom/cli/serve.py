"""`dicomloom serve`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import network, options

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from dicomloom.network.node import Node
    from dicomloom.network.serve.acceptor import Acceptor

EPILOG = """\
Objects go to DIR/objects, whole or not at all; queries are answered from DIR/index.sqlite. It
listens on this machine only unless --host says otherwise: whoever reaches it may read and store.
Limit that by --allow-from, --allow-calling and --tls-client-ca.

--node takes AET@host:port or a name of the configuration; all nodes of that are known anyway. They
are where C-MOVE may send to. --json prints one object a line: {"event": "listening", ...}, then
{"event": "association", ...} for each that has ended.

exit codes: 0 ended by Ctrl-C or SIGTERM, as it is meant to be; 2 usage; 40 DIR cannot be written,
or another server has it; 60 it cannot listen there.

examples:
  dicomloom serve archive --port 11112
  dicomloom serve archive --host 0.0.0.0 --allow-from 10.1.0.0/16 --node VIEWER@10.1.0.7:104
  dicomloom serve archive --worklist items --mpps steps --tls-cert server.pem --tls-key server.key
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="where objects are kept; made if absent")
    parser.add_argument("--ae-title", metavar="AET", help="what to call ourselves")
    parser.add_argument("--port", type=int, default=11112, help="0: a free one (default: 11112)")
    _add_many(parser, "--host", "ADDRESS", "where to listen (default: 127.0.0.1)")
    network.add_config(parser)
    _add_many(parser, "--node", "NODE", "a destination of C-MOVE")
    parser.add_argument(
        "--duplicates",
        choices=("keep", "reject", "version", "replace"),
        default="keep",
        help="what to do with an object that is there already (default: keep that)",
    )
    parser.add_argument(
        "--fsync",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether an object is on the disk before it is said to be stored (default: yes)",
    )
    parser.add_argument("--worklist", metavar="DIR", help="scheduled steps to offer")
    parser.add_argument("--mpps", metavar="DIR", help="take performed procedure steps there")
    _add_limits(parser)
    parser.add_argument("--tls-cert", metavar="PEM", help="speak TLS, with this certificate")
    parser.add_argument("--tls-key", metavar="PEM", help="its private key")
    parser.add_argument(
        "--tls-client-ca", metavar="PEM", help="peers have to show a certificate signed by these"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="show the log of the network on stderr; debug has attribute values",
    )
    options.add_json(parser, "what happens")


def _add_many(parser: argparse.ArgumentParser, name: str, metavar: str, text: str) -> None:
    parser.add_argument(name, action="append", default=[], metavar=metavar, help=f"{text}; repeat")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-associations", type=options.positive, metavar="N", help="at once (default: 100)"
    )
    _add_many(parser, "--allow-calling", "AET", "who may ask for associations (default: all)")
    _add_many(parser, "--allow-from", "NET", "who may connect, 10.1.0.0/16 (default: all)")
    parser.add_argument(
        "--strict-called-ae", action="store_true", help="reject who calls us by another name"
    )
    parser.add_argument(
        "--max-object", type=options.byte_size, metavar="SIZE", help="of the largest object"
    )
    parser.add_argument(
        "--min-free",
        type=options.byte_size,
        metavar="SIZE",
        help="what stays free on the disk (default: 100MiB)",
    )
    parser.add_argument(
        "--max-pdu", type=options.byte_size, metavar="SIZE", help="of the largest PDU we take"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds for each step (default: 30)"
    )
    parser.add_argument(
        "--idle-timeout",
        type=float,
        metavar="S",
        help="seconds after which an association is aborted that nothing goes over (default: 60)",
    )


_SAME = (
    *("ae_title", "port", "duplicates", "worklist", "mpps", "max_associations", "allow_calling"),
    *("allow_from", "strict_called_ae", "max_object", "min_free", "max_pdu", "timeout"),
    *("idle_timeout", "tls_cert", "tls_key", "tls_client_ca"),
)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from queue import SimpleQueue

    from dicomloom.network.serve.server import serve

    ended: SimpleQueue[Acceptor] = SimpleQueue()
    given = {name: value for name in _SAME if (value := getattr(arguments, name)) not in (None, [])}
    if arguments.host:
        given["hosts"] = arguments.host
    # What pydicom warns of has values of peers; and Python remembers each warning for ever.
    with network.logging_to_stderr(arguments.log_level), network.warnings_to_stderr("serve"):
        with network.values_as_usage():
            server = serve(
                arguments.folder,
                nodes=_nodes(arguments),
                sync=arguments.fsync,
                at_end=ended.put,
                **given,
            )
        try:
            with server:
                _tell_start(server.ae_title, server.port, server.folder, arguments)
                while True:
                    _tell_end(ended.get(), arguments.json)
        except KeyboardInterrupt:
            while not ended.empty():
                _tell_end(ended.get(), arguments.json)
    return 0


def _nodes(arguments: argparse.Namespace) -> list[Node]:
    from dicomloom.network.config import nodes
    from dicomloom.network.node import Node

    known = list(nodes(arguments.config).values())
    return known + [Node.of(text, arguments.config) for text in arguments.node]


def _tell_start(ae_title: str, port: int, folder: str, arguments: argparse.Namespace) -> None:
    hosts = arguments.host or ["127.0.0.1"]
    if arguments.json:
        _print_json(event="listening", ae_title=ae_title, hosts=hosts, port=port, folder=folder)
        return
    where = ", ".join(hosts)
    sys.stderr.write(f"dicomloom serve: {ae_title} listens at {where}, port {port}\n")
    sys.stderr.flush()


def _tell_end(acceptor: Acceptor, as_json: bool) -> None:
    """Print how an association ended; of one that was none, only where there is a reason."""
    if acceptor.ending == "closed" and not acceptor.why:
        return
    if as_json:
        _print_json(
            event="association",
            peer=acceptor.peer,
            called=acceptor.called,
            ending=acceptor.ending,
            reason=acceptor.why,
            requests=dict(acceptor.served),
            failed=acceptor.failed,
            bytes=acceptor.received,
            seconds=round(acceptor.seconds, 3),
        )
        return
    parts = [f"{count} {name}" for name, count in sorted(acceptor.served.items())]
    if acceptor.failed:
        parts.append(f"{acceptor.failed} failed")
    if acceptor.received:
        parts.append(f"{acceptor.received} bytes")
    parts.append(f"{acceptor.seconds:.2f} s")
    why = f" ({acceptor.why})" if acceptor.why else ""
    sys.stderr.write(f"{acceptor.peer} {acceptor.ending}{why}: {', '.join(parts)}\n")


def _print_json(**what: object) -> None:
    import json

    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
