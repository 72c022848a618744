"""C-ECHO (PS3.4 Annex A): does a node answer, and how does it negotiate?"""

from __future__ import annotations

import time
from typing import NamedTuple

from dicomloom.network.node import Node

# PS3.4 A.4.
VERIFICATION = "1.2.840.10008.1.1"
# PS3.7 9.3.5: a Message ID has 16 bits.
_LAST_MESSAGE_ID = 0xFFFF


class EchoResult(NamedTuple):
    """What a node answered.

    Attributes
    ----------
    node : str
        ``AET@host:port``.
    seconds : tuple of float
        The round-trip time of each C-ECHO.
    association_seconds : float
        How long connection, TLS and negotiation took.
    max_pdu_received, max_pdu_sent : int
        Bytes of the largest P-DATA-TF PDU that we take, and that the peer does; 0: any.
    implementation_class_uid, implementation_version_name : str
        Of the peer; the name may be "".
    transfer_syntax : str
        The UID that the peer chose for the Verification SOP Class.
    tls : tuple of (str, str) or None
        The version and cipher of TLS.
    """

    node: str
    seconds: tuple[float, ...]
    association_seconds: float
    max_pdu_received: int
    max_pdu_sent: int
    implementation_class_uid: str
    implementation_version_name: str
    transfer_syntax: str
    tls: tuple[str, str] | None


def echo(node: Node | str, count: int = 1) -> EchoResult:
    """Ask a node whether it is there, by C-ECHO over one association (PS3.4 A, PS3.7 9.1.5).

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    count : int
        How many C-ECHO requests to send, one after the answer to the other; at least 1.

    Returns
    -------
    EchoResult

    Raises
    ------
    NetworkError
        The subclass says what went wrong, and its ``hint`` what to try: `ConnectionFailed`,
        `TLSError`, `TimeoutExpired`, `AssociationRejected`, `AssociationAborted`,
        `NoAcceptedContext`, `ProtocolError`; `StatusError` where the answer is no success.
    NodeError
        `node` is none.

    Examples
    --------
    >>> import dicomloom
    >>> try:
    ...     dicomloom.echo("PACS@127.0.0.1:1")
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, not {count}")
    from dicomloom.network.association import associate

    peer = Node.of(node) if isinstance(node, str) else node
    begin = time.perf_counter()
    with associate(peer, [VERIFICATION]) as association:
        opened = time.perf_counter() - begin
        seconds = []
        for number in range(count):
            begin = time.perf_counter()
            with association.during("C-ECHO") as engine:
                association.check(engine.send_c_echo(number % _LAST_MESSAGE_ID + 1))
            seconds.append(time.perf_counter() - begin)
        return EchoResult(
            node=str(peer),
            seconds=tuple(seconds),
            association_seconds=opened,
            max_pdu_received=association.max_pdu_received,
            max_pdu_sent=association.max_pdu_sent,
            implementation_class_uid=association.implementation_class_uid,
            implementation_version_name=association.implementation_version_name,
            transfer_syntax=association.contexts[0][2],
            tls=association.tls,
        )
