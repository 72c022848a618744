"""Asking for storage commitment over associations of ours, and taking reports that come there."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Sequence

from dicomloom.errors import LimitError, NetworkError, ProtocolError, StatusError, WriteError
from dicomloom.network import command as commands
from dicomloom.network import words
from dicomloom.network.association import OpenAssociation, associate
from dicomloom.network.command import Command
from dicomloom.network.commitment.push_model import PUSH_MODEL, check_event, request_of, result_of
from dicomloom.network.commitment.results import LARGEST_REPORT, Results
from dicomloom.network.commitment.state import Transaction
from dicomloom.network.datasets import write_data_set
from dicomloom.network.messages import Ended, Message, Messages
from dicomloom.network.node import Node
from dicomloom.network.serve.contexts import DECODED, IMPLICIT
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import (
    PROCESSING_FAILURE,
    SUCCESS,
    UNRECOGNIZED,
    decoded,
)

_LOGGER = logging.getLogger("dicomloom.network")
SAME, LATER = "same association", "later association"
# Seconds: how often it is looked whether a report came another way.
_GLANCE = 0.1
# Seconds that an association is held where the peer can come to us: some only come after its end.
_HOLD = 10.0
# Seconds before another association, twice as many before each one after it.
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# Seconds in which the engine answers a release of the peer.
_RELEASE = 2.0


class Asker:
    """Asks one node, and waits for what it says.

    Parameters
    ----------
    node : Node
    results : Results
    is_listening : bool
        Whether the peer can come to us.

    Attributes
    ----------
    trouble : NetworkError or None
        What went wrong last.
    """

    def __init__(self, node: Node, results: Results, *, is_listening: bool) -> None:
        self._node, self._results, self._is_listening = node, results, is_listening
        self.trouble: NetworkError | None = None
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._refused: list[Transaction] = []
        self._asked_here: list[Transaction] = []
        self._number = 0
        self._opened = False

    def ask(self, wait: float) -> None:
        """Ask once for all, then wait so many seconds for reports.

        Raises
        ------
        NetworkError
            Nothing could be asked for.
        WriteError, LimitError
            The state file cannot be written.
        """
        self._converse(wait, None)
        if not any(one.asked for one in self._results.state.transactions):
            assert self.trouble is not None
            raise self.trouble
        self._wait(time.monotonic() + wait)

    def resume(self, wait: float) -> None:
        """Ask for what nobody knows to have been asked for, and wait so many seconds for reports.

        Raises
        ------
        NetworkError
            The peer cannot be reached, nor come to us.
        WriteError, LimitError
            The state file cannot be written.
        """
        end = time.monotonic() + wait
        self._converse(wait, end)
        self._wait(end)
        if self.trouble is not None and not (self._opened or self._is_listening):
            raise self.trouble

    @property
    def _askable(self) -> list[Transaction]:
        return [
            one
            for one in self._results.state.transactions
            if not one.asked and one not in self._refused
        ]

    def _wait(self, end: float) -> None:
        """Wait for reports; where the peer cannot come to us, go to it now and then."""
        pause = _PAUSE
        while self._askable or not self._results.is_over:
            left = end - time.monotonic()
            if self._results.broken is not None or left <= 0:
                break
            if self._is_listening and not self._askable:
                self._results.wait(left)
                continue
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
            if time.monotonic() < end:
                self._converse(0, end)
        if self._results.broken is not None:
            raise self._results.broken

    def _converse(self, wait: float, end: float | None) -> None:
        """Have one association: ask, and hold it until `end`, or `wait` seconds from the last."""
        self._asked_here = []
        try:
            with associate(
                self._node, [(PUSH_MODEL, DECODED)], on_event=self._events.put
            ) as association:
                self._opened = True
                with association.exchanging("N-ACTION of storage commitment") as messages:
                    context, _, syntax = association.contexts[0]
                    talk = _Talk(self, association, messages, syntax)
                    self._ask_all(talk, context)
                    until = time.monotonic() + wait if end is None else end
                    if self._is_listening:
                        until = min(until, time.monotonic() + _HOLD)
                    held = talk.hold(until)
                if not held:
                    self._leave(association)
        except NetworkError as error:
            self.trouble = error
            _LOGGER.warning("%s", error)

    def _leave(self, association: OpenAssociation) -> None:
        """Let the engine answer what ended an association: a release is no trouble."""
        engine = association.pynetdicom
        end = time.monotonic() + _RELEASE
        while engine.is_established and association.fault is None and time.monotonic() < end:
            time.sleep(0.01)
        if not engine.is_released:
            raise association.failure()

    def _ask_all(self, talk: _Talk, context: int) -> None:
        askable = self._askable
        if not askable:
            return
        self._results.number(askable)
        for transaction in askable:
            try:
                talk.request(context, transaction)
            except StatusError as error:
                self._refused.append(transaction)
                self.trouble = error
                _LOGGER.warning("%s", error)
            else:
                self._results.asked(transaction)

    def number(self) -> int:
        """Return the next message ID."""
        self._number = self._number % 0xFFFF + 1
        return self._number

    def begin(self, transaction: Transaction) -> None:
        """Note that a transaction's request goes out over the present association."""
        self._asked_here.append(transaction)

    def early(self) -> Sequence[Message]:
        """Return the reports that the engine took before anybody exchanged messages."""
        found = []
        while not self._events.empty():
            found.append(self._events.get())
        return found

    @property
    def is_over(self) -> bool:
        """Whether no report is waited for."""
        return self._results.is_over

    def take(self, command: Command, message: Message, syntax: str) -> None:
        """Take a report; Refusal where it is none for us."""
        check_event(command)
        result = result_of(decoded(message, syntax, LARGEST_REPORT, PROCESSING_FAILURE))
        here = any(result.transaction_uid in one.uids for one in self._asked_here)
        self._results.take(result, SAME if here else LATER)


class _Talk:
    """The messages of one association, in its one context."""

    def __init__(
        self, asker: Asker, association: OpenAssociation, messages: Messages, syntax: str
    ) -> None:
        self._asker, self._association = asker, association
        self._messages, self._syntax = messages, syntax

    def request(self, context: int, transaction: Transaction) -> None:
        """Ask for commitment; return when the peer says that it will report.

        Raises
        ------
        StatusError
            It says that it will not.
        Ended
        """
        command, asked = request_of(transaction.uids[-1], transaction.pending)
        number = self._asker.number()
        self._asker.begin(transaction)
        data = write_data_set(asked, self._syntax == IMPLICIT)
        self._messages.send(context, command | {"MessageID": number}, data)
        node = self._association.node
        end = time.monotonic() + node.wait("dimse")
        while (left := end - time.monotonic()) > 0:
            answer = self._next(left)
            if answer is None:
                continue
            if commands.integer(answer, "MessageIDBeingRespondedTo") != number:
                raise ProtocolError(
                    "the peer answered what was not asked", node=str(node), hint="see its log"
                )
            status = commands.integer(answer, "Status", PROCESSING_FAILURE)
            if status != SUCCESS:
                comment = commands.text(answer, "ErrorComment")
                operation = "N-ACTION of storage commitment"
                raise words.failed(str(node), operation, status, comment)
            return
        raise self._association.failure()

    def hold(self, until: float) -> bool:
        """Take reports until no more are waited for; False where the association ended."""
        try:
            while not self._asker.is_over and (left := until - time.monotonic()) > 0:
                if self._next(left) is not None:
                    node = str(self._association.node)
                    raise ProtocolError("the peer answered what was not asked", node=node)
        except Ended:
            return False
        return True

    def _next(self, seconds: float) -> Command | None:
        """Answer the next request, if one comes soon; return a response that came instead."""
        for event in self._asker.early():
            self._answer(event)
        message = self._messages.receive(min(seconds, _GLANCE))
        if message is None:
            return None
        if commands.is_response(message.command):
            return message.command
        self._answer(message)
        return None

    def _answer(self, message: Message) -> None:
        command, status, comment = message.command, SUCCESS, ""
        name = commands.name_of(command)
        try:
            if commands.integer(command, "CommandField") != commands.N_EVENT_REPORT:
                raise Refusal(UNRECOGNIZED, f"{name} is not served here")
            self._asker.take(command, message, self._syntax)
        except Refusal as refusal:
            status, comment = refusal.status, refusal.comment
            node = self._association.node
            _LOGGER.warning("%s: %s answered with 0x%04X: %s", node, name, status, comment)
        except (WriteError, LimitError):
            self._send_answer(message, PROCESSING_FAILURE, "")
            raise
        self._send_answer(message, status, comment)

    def _send_answer(self, message: Message, status: int, comment: str) -> None:
        more: Command = {"ErrorComment": comment} if comment else {}
        if "EventTypeID" in message.command:
            more["EventTypeID"] = message.command["EventTypeID"]
        answer = commands.response_to(message.command, status, **more)
        self._messages.send(message.context_id, answer)
