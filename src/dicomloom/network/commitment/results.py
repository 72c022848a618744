"""Where reports of storage commitment arrive (PS3.4 J.3.3), from whichever association."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dicomloom.errors import ConnectionFailed
from dicomloom.network import command as commands
from dicomloom.network import tls
from dicomloom.network.commitment.push_model import (
    INVALID_ARGUMENT,
    PUSH_MODEL,
    Reference,
    Result,
    check_event,
    result_of,
)
from dicomloom.network.commitment.state import CommitState, Transaction
from dicomloom.network.node import Node, read_listen
from dicomloom.network.serve.listener import Listener, Terms
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import (
    SUCCESS,
    Request,
    Service,
    Verification,
)
from dicomloom.network.wire import own_address

if TYPE_CHECKING:
    from dicomloom.index.scan import StrPath

_LOGGER = logging.getLogger("dicomloom.network")
# Bytes of a report: ten times what one of our transactions can be answered with.
LARGEST_REPORT = 32 << 20
# References that nobody asked for, as far as they are kept.
_MOST_FOREIGN = 10_000
REVERSE = "reverse association"
# Seconds that a peer has to release its association after the last report.
_FAREWELL = 1.0
_GLANCE = 0.01


class Results:
    """The transactions with one node, and their file; can be used from many threads.

    Attributes
    ----------
    state : CommitState
    foreign : dict of (str, str) to None
        References that were reported and not asked for.
    ways : dict of str to None
        How reports came, in the order of the first of each.
    broken : BaseException or None
        Why a report could not be kept.
    """

    def __init__(self, state: CommitState, path: StrPath | None) -> None:
        self.state, self._path = state, path
        self.foreign: dict[Reference, None] = {}
        self.ways: dict[str, None] = {}
        self.broken: BaseException | None = None
        self._changed = threading.Condition()

    def number(self, transactions: Iterable[Transaction]) -> None:
        """Give transactions a UID for the next try, in the file too.

        Raises
        ------
        WriteError, LimitError
        """
        with self._changed:
            self.state.number(transactions)
            self._keep()

    def asked(self, transaction: Transaction) -> None:
        """Note that the peer will report.

        Raises
        ------
        WriteError, LimitError
        """
        with self._changed:
            transaction.asked = True
            self._keep()

    def take(self, result: Result, way: str) -> None:
        """Take a report; on return it is in the file.

        Raises
        ------
        Refusal
            It is of no transaction here.
        WriteError, LimitError
            It could not be kept; whoever waits is told.
        """
        with self._changed:
            transaction = self.state.find(result.transaction_uid)
            if transaction is None:
                raise Refusal(INVALID_ARGUMENT, "there is no such transaction here")
            before = transaction.asked, dict(transaction.known)
            for reference in transaction.settle(result):
                if len(self.foreign) < _MOST_FOREIGN:
                    self.foreign[reference] = None
            self.ways[way] = None
            try:
                if before != (transaction.asked, transaction.known):
                    self._keep()
            except BaseException as error:
                # The peer is told so, and reports again.
                transaction.asked, transaction.known = before
                self.broken = error
                raise
            finally:
                self._changed.notify_all()

    def _keep(self) -> None:
        if self._path is not None:
            self.state.write(self._path)

    @property
    def is_over(self) -> bool:
        """Whether no report is waited for: the peer owes none, or none can be kept."""
        return self.broken is not None or not any(
            one.asked and not one.is_settled for one in self.state.transactions
        )

    def wait(self, seconds: float) -> bool:
        """Wait until `is_over`, at most so long; returns that."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_over, max(seconds, 0))


class _Reports(Service):
    """N-EVENT-REPORT of a provider that comes to us."""

    def __init__(self, results: Results) -> None:
        super().__init__({commands.N_EVENT_REPORT: self.report})
        self._results = results

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is the push model."""
        return abstract_syntax == PUSH_MODEL

    def report(self, request: Request) -> None:
        """Take one."""
        check_event(request.command)
        self._results.take(result_of(request.data_set(LARGEST_REPORT)), REVERSE)
        event = commands.integer(request.command, "EventTypeID")
        request.answer(SUCCESS, EventTypeID=event)


@contextlib.contextmanager
def listening(
    node: Node, where: str | None, callers: Iterable[str], results: Results
) -> Iterator[None]:
    """Take reports of a node at an address of ours during the block; None: do not.

    Raises
    ------
    NodeError
        `where` is no ADDRESS:PORT.
    ConnectionFailed
        It cannot listen there.
    """
    if where is None:
        yield
        return
    host, port = read_listen(where)
    titles = frozenset((node.ae_title, *callers))
    terms = Terms(
        ae_title=node.calling_ae_title,
        allow_calling=titles,
        max_pdu=node.max_pdu,
        timeout=node.timeout,
        idle_timeout=node.idle_timeout,
        tls=None
        if node.tls_cert is None
        else tls.make_context(
            server=True, cert_file=node.tls_cert, key_file=node.tls_key, ca_file=node.tls_ca
        ),
    )
    hosts = [host or own_address(node)]
    try:
        listener = Listener(terms, [Verification(), _Reports(results)], hosts=hosts, port=port)
    except ConnectionFailed as error:
        error.hint = "another program may use the port: see ss -ltnp, or listen at another"
        raise
    try:
        yield
        # An answer may be on its way; and peers complain of aborts.
        end = time.monotonic() + _FAREWELL
        while listener.associations and time.monotonic() < end:
            time.sleep(_GLANCE)
    finally:
        listener.close()
