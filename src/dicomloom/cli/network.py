"""What the commands that talk to nodes share: how a node is given, and the log."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from dicomloom.network.node import Node

EPILOG = """\
NODE is AET@host:port, as in PACS@pacs.example.org:104 or PACS@[::1]:104, or a name: [nodes.pacs]
in the file of --config, else of the environment variable DICOMLOOM_CONFIG, else in
dicomloom/config.toml of the user's configuration folder. Options win over the file.
"""


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config FILE."""
    parser.add_argument("--config", metavar="FILE", help="the TOML file with nodes")


def add_node(
    parser: argparse.ArgumentParser,
    metavar: str = "NODE",
    text: str = "AET@host:port or a name",
    nargs: str | None = None,
) -> None:
    """NODE, and the options that change how it is talked to."""
    parser.add_argument("node", metavar=metavar, nargs=nargs, help=text)
    add_config(parser)
    parser.add_argument("--calling-ae", metavar="AET", help="what to call ourselves")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="seconds to wait for the connection, and for each answer",
    )
    parser.add_argument(
        "--max-pdu", type=options.byte_size, metavar="SIZE", help="of the largest PDU we take"
    )
    parser.add_argument(
        "--tls", action=argparse.BooleanOptionalAction, help="speak TLS; so does any --tls-OPTION"
    )
    parser.add_argument("--tls-ca", metavar="PEM", help="certificates to trust")
    parser.add_argument("--tls-cert", metavar="PEM", help="our certificate")
    parser.add_argument("--tls-key", metavar="PEM", help="its private key")
    parser.add_argument(
        "--tls-pin", metavar="SHA256", help="the fingerprint of the peer's certificate"
    )
    parser.add_argument(
        "--tls-check-hostname",
        action=argparse.BooleanOptionalAction,
        help="whether the certificate must be made out to the host (default: yes)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="show the log of the network on stderr; debug has attribute values",
    )


def node_of(arguments: argparse.Namespace) -> Node:
    """Return the node that `add_node`'s arguments describe.

    Raises
    ------
    NodeError
        They make no sense.
    ReadError
        The configuration cannot be read.
    """
    from dicomloom.network.node import Node

    changes: dict[str, object] = {
        "calling_ae_title": arguments.calling_ae,
        "max_pdu": arguments.max_pdu,
        "tls": arguments.tls,
        "tls_ca": arguments.tls_ca,
        "tls_cert": arguments.tls_cert,
        "tls_key": arguments.tls_key,
        "tls_pin": arguments.tls_pin,
        "tls_check_hostname": arguments.tls_check_hostname,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if arguments.timeout is not None:
        steps = ("connect_timeout", "acse_timeout", "dimse_timeout")
        given |= {"timeout": arguments.timeout} | dict.fromkeys(steps)
    if arguments.tls is None and any(name.startswith("tls") for name in given):
        given["tls"] = True
    if arguments.tls is False:
        # What the configuration says of TLS goes with it; what the command line says does not.
        given = dict.fromkeys(("tls_ca", "tls_cert", "tls_key", "tls_pin")) | given
    if arguments.tls_cert is not None:
        given.setdefault("tls_key", None)  # not the key of another certificate
    return Node.of(arguments.node, arguments.config).replace(**given)


def logging_to_stderr(level: str | None) -> AbstractContextManager[None]:
    """Show pynetdicom's and our log on stderr during the block; None: do not."""
    import contextlib

    return contextlib.nullcontext() if level is None else _logging(level)


def _logging(level: str) -> AbstractContextManager[None]:
    import contextlib
    import logging
    from copy import copy

    from dicomloom.shown import shown as plain

    class Plain(logging.Formatter):
        """A log has what peers said; only its first line begins at the left."""

        def format(self, record: logging.LogRecord) -> str:
            if record.exc_info and level != "debug":
                # pynetdicom shows where in its source it met what a peer did.
                record = copy(record)
                record.exc_info = record.exc_text = None
            return "\n  ".join(map(plain, super().format(record).split("\n")))

    @contextlib.contextmanager
    def shown() -> Iterator[None]:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Plain("%(levelname).1s: %(message)s"))
        handler.addFilter(_without_passcode)
        loggers = [logging.getLogger(name) for name in ("pynetdicom", "dicomloom")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(level.upper())
        try:
            yield
        finally:
            for logger, before in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(before)

    return shown()


def warnings_to_stderr(command: str) -> AbstractContextManager[None]:
    """Show what our library warns of as lines on stderr during the block, as it comes."""
    import contextlib
    import warnings

    from dicomloom.errors import DicomloomWarning
    from dicomloom.network.words import printable

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        # What other libraries warn of may have values, which are patient data.
        if issubclass(category, DicomloomWarning):
            sys.stderr.write(f"dicomloom {command}: {printable(str(message), 1000)}\n")

    @contextlib.contextmanager
    def shown() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = show  # what catch_warnings puts back
            yield

    return shown()


def values_as_usage() -> AbstractContextManager[None]:
    """Turn a ValueError of arguments met in the block into a UsageError."""
    import contextlib

    from dicomloom.errors import DicomloomError

    @contextlib.contextmanager
    def turned() -> Iterator[None]:
        try:
            yield
        except DicomloomError:
            raise
        except ValueError as error:
            raise options.UsageError(str(error)) from None

    return turned()


def _without_passcode(record: logging.LogRecord) -> bool:
    # pynetdicom prints it among what it proposes.
    return not record.getMessage().lstrip().startswith("Password:")
