"""Tries the way to a node step by step, and tells the first that fails."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from dicomloom.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    NetworkError,
    NoAcceptedContext,
    NodeError,
    TimeoutExpired,
    TLSError,
)
from dicomloom.network.echo import VERIFICATION
from dicomloom.network.node import Node

# What servers are called before somebody gives them a name.
_COMMON_CALLED = ("ANY-SCP", "ANYSCP")
_COMMON_CALLING = ("ANY-SCU", "ECHOSCU")
_NO_TLS = dict.fromkeys(("tls_ca", "tls_cert", "tls_key", "tls_pin")) | {"tls": False}


class Step(NamedTuple):
    """One step on the way to a node.

    Attributes
    ----------
    name : str
        ``name``, ``tcp``, ``tls``, ``association``, ``verification``, ``echo``; after a failure
        ``other`` for what was tried instead.
    ok : bool
    seconds : float
    found : str
        What was found.
    """

    name: str
    ok: bool
    seconds: float
    found: str


class Diagnosis(NamedTuple):
    """The way to a node; `explain` of a node gives it.

    Attributes
    ----------
    node : str
        ``AET@host:port``.
    steps : tuple of Step
        In the order they were tried; those after the first that failed were not.
    trouble : str
        What went wrong, "" where nothing did.
    hint : str
        What to try, "" where nothing went wrong.
    error : NetworkError or None
        The exception that was met.
    """

    node: str
    steps: tuple[Step, ...]
    trouble: str
    hint: str
    error: NetworkError | None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in types that JSON has."""
        return {
            "node": self.node,
            "steps": [step._asdict() for step in self.steps],
            "trouble": self.trouble,
            "hint": self.hint,
            "error": type(self.error).__name__ if self.error else None,
        }


class _Way:
    """The steps so far."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.steps: list[Step] = []
        self.extra: list[str] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; the block appends what it found."""
        found: list[str] = []
        begin = time.perf_counter()
        try:
            yield found
        except NetworkError as error:
            self.steps.append(Step(name, False, time.perf_counter() - begin, error.message))
            raise
        self.steps.append(Step(name, True, time.perf_counter() - begin, ", ".join(found)))

    def other(self, ok: bool, begin: float, found: str) -> None:
        """Note what was tried instead; a success is worth a hint."""
        self.steps.append(Step("other", ok, time.perf_counter() - begin, found))
        if ok:
            self.extra.append(found)


def diagnose(node: Node, other_titles: bool = True) -> Diagnosis:
    """Try the way to a node step by step; see `explain`."""
    way = _Way(node)
    error: NetworkError | None = None
    try:
        _walk(way)
    except NetworkError as met:
        error = met
        if isinstance(met, AssociationRejected) and other_titles:
            _try_titles(way, met)
        elif way.steps[-1].name in ("tls", "association"):
            _try_other_tls(way, met)
    hint = "; ".join([*way.extra, error.hint] if error else [])
    trouble = error.message if error else ""
    return Diagnosis(str(node), tuple(way.steps), trouble, hint, error)


def _walk(way: _Way) -> None:
    from dicomloom.network.association import associate
    from dicomloom.network.wire import addresses, connect

    node = way.node
    with way.step("name") as found:
        found.extend(sorted({where[0] for _, where in addresses(node)}))
    with way.step("tcp") as found:
        connection, where = connect(node.replace(**_NO_TLS))
        connection.close()
        found.append(f"connected to {where[0]} port {where[1]}")
    if node.tls:
        with way.step("tls") as found:
            connection, _ = connect(node)
            if isinstance(connection, ssl.SSLSocket):
                found.append(f"{connection.version()} {(connection.cipher() or ('',))[0]}")
            connection.close()
    opened = contextlib.ExitStack()
    try:
        with way.step("association") as found:
            association = opened.enter_context(associate(node, [VERIFICATION]))
            name = association.implementation_version_name
            found.append(f"accepted by {name or association.implementation_class_uid or 'it'}")
    except NoAcceptedContext as error:
        # The association was well; what it was for was not.
        failed = way.steps.pop()
        way.steps.append(Step("association", True, failed.seconds, "accepted"))
        way.steps.append(Step("verification", False, 0.0, error.message))
        raise
    with opened:
        way.steps.append(
            Step("verification", True, 0.0, f"accepted with {association.contexts[0][2]}")
        )
        with way.step("echo") as found, association.during("C-ECHO") as engine:
            association.check(engine.send_c_echo())
            found.append("success")


def _try_other_tls(way: _Way, met: NetworkError) -> None:
    """Find out whether TLS instead of plain, or plain instead of TLS, would work."""
    node, begin = way.node, time.perf_counter()
    if isinstance(met, ConnectionFailed) and met.reason == "http":
        return
    if node.tls:
        if isinstance(met, TLSError | TimeoutExpired | ConnectionFailed):
            well = _answers(node.replace(**_NO_TLS))
            said = "speaks DICOM without TLS" if well else "speaks no DICOM without TLS, either"
            way.other(well, begin, f"the port {said}")
    elif isinstance(met, ConnectionFailed | TimeoutExpired | AssociationAborted):
        version = _speaks_tls(node)
        said = f"speaks {version}: turn tls on" if version else "speaks no TLS, either"
        way.other(bool(version), begin, f"the port {said}")


def _answers(node: Node) -> bool:
    """Whether a node answers as a DICOM node does, be it by a refusal."""
    from dicomloom.network.association import associate

    try:
        with associate(node, [VERIFICATION]):
            return True
    except (AssociationRejected, NoAcceptedContext):
        return True
    except NetworkError:
        return False


def _speaks_tls(node: Node) -> str:
    """Return the version of TLS that a port speaks, "" where it speaks none.

    No certificate is checked: nothing is said over the connection.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        where = (node.host, node.port)
        # The time-out is that of each read; a few make a handshake.
        with (
            socket.create_connection(where, node.wait("connect")) as connection,
            context.wrap_socket(connection) as secured,
        ):
            return secured.version() or ""
    except ssl.SSLError as error:
        # An alert is TLS, too: it wants a certificate of ours, say.
        return "TLS" if "ALERT" in (error.reason or "") else ""
    except OSError:
        return ""


def _titles(node: Node, met: AssociationRejected) -> list[tuple[str, str]]:
    """Return pairs of calling and called AE titles to try, few of them."""
    calling, called = node.calling_ae_title, node.ae_title
    cases = [(calling, other) for other in (called.upper(), called.lower(), *_COMMON_CALLED)]
    callers = [(other, called) for other in (calling.upper(), called, *_COMMON_CALLING)]
    if met.source == 1 and met.reason == 7:
        pairs = cases
    elif met.source == 1 and met.reason == 3:
        pairs = callers
    elif met.source == 1 and met.reason == 1:
        pairs = cases[:2] + callers[:2]
    else:
        return []
    return [pair for pair in dict.fromkeys(pairs) if pair != (calling, called)]


def _try_titles(way: _Way, met: AssociationRejected) -> None:
    from dicomloom.network.association import associate

    for calling, called in _titles(way.node, met):
        begin = time.perf_counter()
        host = f"[{way.node.host}]" if ":" in way.node.host else way.node.host
        pair = f'calling AE title "{calling}", called "{called}"'
        try:
            changed = way.node.renamed(f"{called}@{host}:{way.node.port}", calling)
            with associate(changed, [VERIFICATION]):
                pass
        except (AssociationRejected, NodeError) as error:
            reason = getattr(error, "reason_text", "")
            way.other(False, begin, f"{pair}: rejected, {reason}")
        except NetworkError as error:
            way.other(False, begin, f"{pair}: {error.message}")
            return
        else:
            way.other(True, begin, f"it accepts {pair}")
            return
