"""Storage commitment as its provider (PS3.4 J, push model): we say what we really hold."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dicomloom.errors import DicomloomError
from dicomloom.files import Replacing, make_folders
from dicomloom.network import command as commands
from dicomloom.network.association import associate
from dicomloom.network.command import Command
from dicomloom.network.commitment.push_model import (
    ALL_HELD,
    PUSH_MODEL,
    REQUEST_COMMITMENT,
    SOME_FAILED,
    WELL_KNOWN,
)
from dicomloom.network.datasets import write_data_set
from dicomloom.network.node import Node
from dicomloom.network.serve.archive.holdings import Holdings
from dicomloom.network.serve.archive.places import is_safe_uid
from dicomloom.network.serve.contexts import DECODED, IMPLICIT
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import SUCCESS, Request, Service
from dicomloom.network.serve.store import check_room

_LOGGER = logging.getLogger("dicomloom.network.serve")
FOLDER = ".commitment"
# PS3.7 C.
_NO_SUCH_INSTANCE, _NO_SUCH_ACTION, _MISSING_ATTRIBUTE = 0x0112, 0x0123, 0x0120
_INVALID_VALUE, _OUT_OF_RESOURCES = 0x0106, 0x0213
# Seconds from one try to the next; after the last the result is given up.
_RETRIES = (1.0, 10.0, 60.0, 600.0, 3600.0)
# Seconds for each step of a node that is told.
_PATIENCE = 10.0
# Bytes of a request: some 50,000 references.
_LARGEST_REQUEST = 8 << 20
# Requests that wait; what is older than a week at a start is forgotten.
_MOST_WAITING = 10_000
_OLD = 7 * 86400.0


@dataclass
class _Transaction:
    """A request of a peer that has not heard the result."""

    uid: str
    ae_title: str
    references: list[tuple[str, str]] = field(default_factory=list)
    tries: int = 0

    @property
    def name(self) -> str:
        """Of its file: no text of a peer."""
        key = f"{self.ae_title}\0{self.uid}".encode()
        return hashlib.blake2b(key, digest_size=16).hexdigest() + ".json"


class Commitment(Service):
    """N-ACTION answered at once, and the N-EVENT-REPORT that tells the result.

    That goes over the same association while it is open, else over one that we ask for, if we know
    the node of the peer, again and again for a while. Requests survive an end of this process.

    Parameters
    ----------
    holdings : Holdings
    nodes : mapping of str to Node
        By AE title.
    ae_title : str
        What we are called.
    min_free : int
        Bytes that have to be free on the disk before a request is taken, which is kept there.
    """

    def __init__(
        self, holdings: Holdings, nodes: Mapping[str, Node], ae_title: str, *, min_free: int = 0
    ) -> None:
        super().__init__({commands.N_ACTION: self.commit})
        self._min_free = min_free
        self._holdings, self._nodes, self._ae_title = holdings, nodes, ae_title
        self._folder = os.path.join(holdings.catalog.folder, FOLDER)
        make_folders(self._folder)
        self._changed = threading.Condition()
        self._closing = False
        self._waiting = [(time.monotonic(), one) for one in self._load()]
        self._thread = threading.Thread(target=self._report_all, name="dicomloom-commitment")
        self._thread.start()

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is the push model."""
        return abstract_syntax == PUSH_MODEL

    def commit(self, request: Request) -> None:
        """Take one request, and tell its result."""
        transaction = _read(request)
        if len(os.listdir(self._folder)) >= _MOST_WAITING:
            raise Refusal(_OUT_OF_RESOURCES, "too many requests wait for their result")
        check_room(self._folder, self._min_free, _OUT_OF_RESOURCES)
        self._save(transaction)
        request.answer(SUCCESS)
        command, data = self._result(transaction, request.context.transfer_syntax)
        request.acceptor.ask(
            request, command, data, lambda status: self._heard(transaction, status)
        )

    def _result(self, transaction: _Transaction, syntax: str) -> tuple[Command, bytes]:
        """Return the N-EVENT-REPORT by what is held now (PS3.4 J.3.3)."""
        from pydicom import Dataset

        made = Dataset()
        made.TransactionUID, made.RetrieveAETitle = transaction.uid, self._ae_title
        held: list[Dataset] = []
        failed: list[Dataset] = []
        self._holdings.settle()
        for sop_class, sop_instance in transaction.references:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
            reason = self._holdings.catalog.holds(sop_class, sop_instance)
            if reason:
                item.FailureReason = reason
            (failed if reason else held).append(item)
        if held:
            made.ReferencedSOPSequence = held
        if failed:
            made.FailedSOPSequence = failed
        command: Command = {
            "AffectedSOPClassUID": PUSH_MODEL,
            "CommandField": commands.N_EVENT_REPORT,
            "AffectedSOPInstanceUID": WELL_KNOWN,
            "EventTypeID": SOME_FAILED if failed else ALL_HELD,
        }
        return command, write_data_set(made, syntax == IMPLICIT)

    def _heard(self, transaction: _Transaction, status: int | None) -> None:
        """Note that the peer knows the result, or try again later."""
        if status == SUCCESS:
            self._forget(transaction)
            return
        if transaction.tries >= len(_RETRIES):
            _LOGGER.error("%s never heard whether we keep what it sent", transaction.ae_title)
            self._forget(transaction)
            return
        wait, transaction.tries = _RETRIES[transaction.tries], transaction.tries + 1
        with self._changed:
            self._waiting.append((time.monotonic() + wait, transaction))
            self._changed.notify_all()

    def _report_all(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._is_due():
                    first = min((due for due, _ in self._waiting), default=None)
                    self._changed.wait(None if first is None else first - time.monotonic())
                if self._closing:
                    return
                self._waiting.sort(key=lambda one: one[0])
                _, transaction = self._waiting.pop(0)
            node = self._nodes.get(transaction.ae_title)
            if node is None:
                _LOGGER.warning(
                    "%s left before it heard whether we keep what it sent, and is no known node",
                    transaction.ae_title,
                )
                continue  # its file waits for a start where it is known
            self._heard(transaction, self._report(node, transaction))

    def _is_due(self) -> bool:
        return any(due <= time.monotonic() for due, _ in self._waiting)

    def _report(self, node: Node, transaction: _Transaction) -> int | None:
        """Tell the result over an association of ours; None where that fails."""
        # Whoever closes the server waits for this, and there are more tries.
        steps = dict.fromkeys(("connect_timeout", "acse_timeout", "dimse_timeout"))
        limit = min(node.timeout, _PATIENCE)
        ours = node.replace(calling_ae_title=self._ae_title, timeout=limit, **steps)
        try:
            with associate(ours, [(PUSH_MODEL, DECODED)], as_scp=[PUSH_MODEL]) as association:
                number, _, syntax = association.contexts[0]
                with association.exchanging("N-EVENT-REPORT") as messages:
                    command, data = self._result(transaction, syntax)
                    messages.send(number, command | {"MessageID": 1}, data)
                    answer = messages.receive(limit)
        except (DicomloomError, OSError) as error:
            _LOGGER.warning("storage commitment: %s", error)
            return None
        return None if answer is None else commands.integer(answer.command, "Status", -1)

    def _path(self, transaction: _Transaction) -> str:
        return os.path.join(self._folder, transaction.name)

    def _save(self, transaction: _Transaction) -> None:
        with Replacing(self._path(transaction)) as file:
            file.write(json.dumps(asdict(transaction)).encode())

    def _forget(self, transaction: _Transaction) -> None:
        try:
            os.unlink(self._path(transaction))
        except OSError as error:
            _LOGGER.warning("%s: %s", self._path(transaction), error)

    def _load(self) -> list[_Transaction]:
        made = []
        for name in sorted(os.listdir(self._folder)):
            path = os.path.join(self._folder, name)
            try:
                if time.time() - os.stat(path).st_mtime > _OLD or not name.endswith(".json"):
                    os.unlink(path)
                    continue
                with open(path, encoding="utf-8") as file:
                    made.append(_parsed(json.load(file)))
            except (OSError, ValueError, TypeError, KeyError) as error:
                _LOGGER.warning("%s is no request for commitment: %s", path, error)
        return made

    def close(self) -> None:
        """End; what was not told is kept for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()


def _parsed(content: Any) -> _Transaction:
    references = [(str(one), str(other)) for one, other in content["references"]]
    return _Transaction(str(content["uid"]), str(content["ae_title"]), references)


def _read(request: Request) -> _Transaction:
    """Return what a peer asks for; Refusal where it is none of J.3.2."""
    if request.text("RequestedSOPInstanceUID") != WELL_KNOWN:
        raise Refusal(_NO_SUCH_INSTANCE, "expected the well-known SOP instance of the push model")
    if commands.integer(request.command, "ActionTypeID") != REQUEST_COMMITMENT:
        raise Refusal(_NO_SUCH_ACTION, "the push model has no such action type")
    asked = request.data_set(_LARGEST_REQUEST)
    uid, items = str(asked.get("TransactionUID") or ""), asked.get("ReferencedSOPSequence") or ()
    if not uid or not items:
        raise Refusal(_MISSING_ATTRIBUTE, "TransactionUID or ReferencedSOPSequence is missing")
    references = [
        (
            str(item.get("ReferencedSOPClassUID") or ""),
            str(item.get("ReferencedSOPInstanceUID") or ""),
        )
        for item in items
    ]
    if not all(is_safe_uid(one) for one in (uid, *(uid for pair in references for uid in pair))):
        raise Refusal(_INVALID_VALUE, "a UID is none (PS3.5 9.1)")
    return _Transaction(uid, request.acceptor.node.ae_title, references)
