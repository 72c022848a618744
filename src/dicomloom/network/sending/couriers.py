"""Who brings objects to a node: threads with an association each, that do not give up at once."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from itertools import chain

from dicomloom.errors import (
    AssociationRejected,
    NetworkError,
    NoAcceptedContext,
    NodeError,
    TLSError,
)
from dicomloom.network import words
from dicomloom.network.association import OpenAssociation, associate
from dicomloom.network.node import Node
from dicomloom.network.send import FAILED, SENT, WARNED, SendOptions, Sent
from dicomloom.network.sending.journal import Journal
from dicomloom.network.sending.outgoing import Choice, Outgoing, Proposal, proposals
from dicomloom.network.sending.storing import Interrupted, Stored, Storer, Unfit
from dicomloom.network.wire import timed_out

_LOGGER = logging.getLogger("dicomloom.network")
_LONGEST_WAIT = 30.0
# Seconds that objects on their way have to arrive when nobody waits for them any more.
_LAST_CHANCE = 2.0
# Outcomes are looked for so often, in seconds: to wake somebody for each would cost as much as to
# send a small object. While so many wait to be taken, no more objects are sent.
_LOOK = 0.02
_WAITING = 4096
# PS3.8 9.3.4: 1 is rejected-permanent.
_PERMANENT = 1


def is_worth_another_try(status: int) -> bool:
    """Whether a C-STORE status may be another one next time (PS3.4 B.2.3, PS3.7 C.5)."""
    return status & 0xFF00 == 0xA700 or status == 0x0213


class _Pool:
    """Objects that couriers take turns to take."""

    def __init__(self, items: Iterable[Outgoing]) -> None:
        self._items = iter(items)
        self._back: list[Outgoing] = []
        self._lock = threading.Lock()

    def take(self) -> Outgoing | None:
        with self._lock:
            return self._back.pop() if self._back else next(self._items, None)

    def put_back(self, item: Outgoing | None) -> None:
        if item is not None:
            with self._lock:
                self._back.append(item)


class Errand:
    """All objects of a choice, to one node.

    Parameters
    ----------
    node : Node
    selection : Choice
    options : SendOptions
    originator : (str, int), optional
        AE title and message ID of the C-MOVE request that this belongs to.

    Attributes
    ----------
    skipped : int
        How many the report says were sent before.
    """

    def __init__(
        self,
        node: Node,
        selection: Choice,
        options: SendOptions,
        originator: tuple[str, int] | None = None,
    ) -> None:
        self._node, self._selection, self._options = node, selection, options
        self._originator = originator
        self.skipped = 0
        self._journal: Journal | None = None
        self._tried = self._has_groups = False

    def run(self) -> Generator[Sent, None, None]:
        """Send all; gives what becomes of each."""
        with contextlib.ExitStack() as stack:
            if self._options.report is not None:
                path = os.fspath(self._options.report)
                self._journal = stack.enter_context(Journal(path, str(self._node)))
            groups = proposals(self._selection.pairs(), transcode=self._options.transcode)
            self._has_groups = len(groups) > 1
            # What cannot be sent is told with the first.
            for number, group in enumerate(groups or [[]]):
                with contextlib.closing(self._group(group, faulty=number == 0)) as outcomes:
                    for sent in outcomes:
                        if self._journal is not None:
                            self._journal.add(sent)
                        yield sent

    def _items(self, group: list[Proposal], *, faulty: bool) -> Generator[Outgoing, None, None]:
        """Give the objects that a group of presentation contexts was made for."""
        wanted = {(sop_class, syntax) for sop_class, (syntax, *more) in group if not more}
        with contextlib.closing(iter(self._selection)) as objects:
            for item in objects:
                if item.fault:
                    if faulty:
                        yield item
                elif item.pair in wanted:
                    if self._journal is not None and self._journal.has(item):
                        self.skipped += 1
                    else:
                        yield item

    def _group(self, contexts: list[Proposal], *, faulty: bool) -> Generator[Sent, None, None]:
        with contextlib.closing(self._items(contexts, faulty=faulty)) as items:
            for first in items:
                if first.fault:
                    yield _unfit(first, first.fault, "ReadError")  # no association for that
                else:
                    yield from self._sent(contexts, _Pool(chain([first], items)))

    def _sent(self, contexts: list[Proposal], pool: _Pool) -> Generator[Sent, None, None]:
        """Send the objects of a pool, by couriers with the same contexts."""
        crew = _Crew(self._node, self._options, contexts, pool, self._originator)
        yield from crew.run()
        failure = crew.failure
        # The peer may accept contexts of another group.
        goes_on = self._has_groups and isinstance(failure, NoAcceptedContext)
        if failure is not None and not (self._tried or crew.opened or goes_on):
            raise failure
        self._tried = True
        # What nobody could be found for.
        while (item := pool.take()) is not None:
            yield _unfit(item, str(failure or "not tried"), type(failure).__name__)


class _Crew:
    """Couriers with the same contexts, who share a pool."""

    def __init__(
        self,
        node: Node,
        options: SendOptions,
        contexts: list[Proposal],
        pool: _Pool,
        originator: tuple[str, int] | None,
    ) -> None:
        self.node, self.options, self.contexts, self.pool = node, options, contexts, pool
        self.originator = originator
        self.outcomes: deque[Sent] = deque()
        self.stop = threading.Event()
        self.ended = threading.Event()
        self.opened = False
        self.failure: NetworkError | None = None

    def run(self) -> Generator[Sent, None, None]:
        couriers = [_Courier(self, number) for number in range(self.options.jobs)]
        for courier in couriers:
            courier.start()
        try:
            at_work = True
            while at_work:
                self.ended.wait(_LOOK)
                self.ended.clear()
                # In this order: who has ended leaves nothing behind that is not taken.
                at_work = any(courier.is_alive() for courier in couriers)
                while self.outcomes:
                    yield self.outcomes.popleft()
            for courier in couriers:
                if courier.broken is not None:
                    raise courier.broken
        finally:
            self.stop.set()
            until = time.monotonic() + _LAST_CHANCE
            for courier in couriers:
                courier.join(max(until - time.monotonic(), 0))
            for courier in couriers:
                courier.cut()
                courier.join()

    def put(self, sent: Sent) -> None:
        """Leave an outcome for whoever runs this; wait while there are too many."""
        self.outcomes.append(sent)
        while len(self.outcomes) > _WAITING and not self.stop.is_set():
            self.stop.wait(_LOOK)


class _Courier(threading.Thread):
    """A thread that opens associations, and sends one object after the other."""

    def __init__(self, crew: _Crew, number: int) -> None:
        super().__init__(name=f"dicomloom-send-{number}", daemon=True)
        self._crew, self._node, self._options = crew, crew.node, crew.options
        self._item: Outgoing | None = None
        # Of this object: how often it was tried, and how often it could not be.
        self._attempts = self._failures = 0
        self._association: OpenAssociation | None = None
        self.broken: BaseException | None = None

    def run(self) -> None:
        """Work until there is nothing left to do, or no way to do it."""
        try:
            self._work()
        except BaseException as error:
            self.broken = error
        finally:
            self._crew.pool.put_back(self._item)
            self._crew.ended.set()

    def cut(self) -> None:
        """End the association whatever it does."""
        association = self._association
        if association is not None:
            association.cut()

    def _work(self) -> None:
        while self._has_item():
            try:
                with associate(self._node, self._crew.contexts) as association:
                    self._association = association
                    self._crew.opened = True
                    self._carry(association)
            except Interrupted as error:
                # A part of the object is with the peer: the association had to be aborted.
                assert self._item is not None
                self._done(_unfit(self._item, str(error), "ReadError", self._attempts))
            except NetworkError as error:
                if self._item is None:
                    _LOGGER.warning("%s", error)  # all is sent; the release failed
                    return
                if self._association is None or not self._attempts:
                    self._failures += 1
                    if self._failures > self._options.retries or not _may_pass(error):
                        self._crew.failure = error
                        return
                elif self._attempts > self._options.retries:
                    self._done(_unfit(self._item, str(error), type(error).__name__, self._attempts))
                _LOGGER.info("%s; trying again", error)
                self._wait(max(self._failures, self._attempts))
            finally:
                self._association = None

    def _has_item(self) -> bool:
        """Whether there is an object to send; takes the next one if none is at hand."""
        while self._item is None and not self._crew.stop.is_set():
            self._item = self._crew.pool.take()
            if self._item is None:
                return False
            if self._item.fault:
                self._done(_unfit(self._item, self._item.fault, "ReadError"))
        return not self._crew.stop.is_set()

    def _wait(self, times: int) -> None:
        if times:
            self._crew.stop.wait(min(self._options.backoff * 2 ** (times - 1), _LONGEST_WAIT))

    def _carry(self, association: OpenAssociation) -> None:
        """Send objects until there are no more."""
        with association.exchanging("C-STORE") as messages:
            storer = Storer(
                messages,
                association.contexts,
                str(self._node),
                self._node.wait("dimse"),
                transcode=self._options.transcode,
                originator=self._crew.originator,
            )
            while self._has_item():
                assert self._item is not None
                self._attempts += 1
                outcome = self._store(storer, self._item)
                if outcome is None:
                    self._wait(self._attempts)
                else:
                    self._done(outcome)

    def _store(self, storer: Storer, item: Outgoing) -> Sent | None:
        """Send an object; None where it should be tried again."""
        try:
            stored = storer.store(item)
        except Unfit as error:
            return _unfit(item, str(error), error.error, self._attempts)
        except TimeoutError as error:
            if isinstance(error, NetworkError):
                raise
            limit, hint = self._node.wait("dimse"), words.SILENT_HINT
            raise timed_out(self._node, "dimse", limit, "no answer to C-STORE", hint) from error
        again = is_worth_another_try(stored.status) and self._attempts <= self._options.retries
        return None if again else _outcome(item, stored, self._attempts)

    def _done(self, sent: Sent) -> None:
        self._item, self._attempts, self._failures = None, 0, 0
        self._crew.put(sent)


def _may_pass(error: NetworkError) -> bool:
    """Whether an association may be possible another time."""
    if isinstance(error, AssociationRejected):
        return error.result != _PERMANENT
    return not isinstance(error, NoAcceptedContext | TLSError | NodeError)


def _unfit(item: Outgoing, reason: str, error: str, attempts: int = 0) -> Sent:
    return Sent(
        FAILED,
        item.path,
        item.sop_class,
        item.sop_instance,
        reason=reason,
        error=error,
        attempts=attempts,
    )


def outcome_of(status: int) -> str:
    """Return what a C-STORE status says became of an object: sent, warned or failed."""
    # PS3.7 C.1: warnings are 0001, 0107, 0116 and Bxxx.
    warning = status in (0x0001, 0x0107, 0x0116) or status & 0xF000 == 0xB000
    return SENT if status == 0 else WARNED if warning else FAILED


def _outcome(item: Outgoing, stored: Stored, attempts: int) -> Sent:
    outcome = outcome_of(stored.status)
    return Sent(
        outcome,
        item.path,
        item.sop_class,
        item.sop_instance,
        stored.status,
        words.meaning_of("C-STORE", stored.status),
        words.printable(stored.comment),
        "StatusError" if outcome == FAILED else "",
        stored.transfer_syntax,
        stored.bytes,
        attempts,
    )
