"""DIMSE messages of an open association: in one's turn, data sets as bytes or between files.

Two engines do the same: `dicomloom.network.direct` moves data sets between socket and file without
holding them; `EngineMessages` here takes pynetdicom's own way, through its queues, and serves where
the inside of pynetdicom is not the one that the direct way knows.
"""

from __future__ import annotations

import os
import queue
import time
from typing import Any, NamedTuple, Protocol

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA

from dicomloom.errors import LimitError
from dicomloom.network import command as commands
from dicomloom.network.command import Command
from dicomloom.system import read_at

# Bytes of a PDU with one fragment that are not of the message (PS3.8 9.3.5.1).
OVERHEAD = 6
_LARGEST_PDU = 128 << 10
# PDUs that wait to be sent; while there are so many, their sender has to wait.
_MOST_QUEUED = 16
# PS3.8 E.2, message control header.
_COMMAND, _LAST = 1, 2
# What pynetdicom's primitives call a data set.
_DATA_SETS = (
    *("DataSet", "Identifier", "AttributeList", "ModificationList"),
    *("ActionInformation", "ActionReply", "EventInformation", "EventReply"),
)


class Stretch(NamedTuple):
    """Bytes of an open file that are a data set: from `start` to `end`."""

    descriptor: int
    start: int
    end: int


class Message(Protocol):
    """A message whose command set has come; its data set is still on its way.

    Attributes
    ----------
    context_id : int
    command : Command
    """

    context_id: int
    command: Command

    def read(self, most: int) -> bytes:
        """Return the data set; LimitError where it has more than `most` bytes.

        What is beyond is thrown away: the association can go on.
        """

    def write_to(self, descriptor: int, most: int | None = None) -> int:
        """Write the data set to an open file, where it stands; returns how many bytes it has.

        Raises
        ------
        LimitError
            It has more than `most` bytes. As after an OSError (a full disk), the rest is thrown
            away, the association can go on, and the file has a part.
        OSError
            The file cannot be written.
        """


class Messages(Protocol):
    """The messages of an association; one thread at a time may use them."""

    def send(self, context_id: int, command: Command, data: bytes | Stretch | None = None) -> None:
        """Send a message; ``CommandDataSetType`` is set to what `data` is.

        Raises
        ------
        Ended
            The association is over.
        OSError
            The file of a `Stretch` cannot be read, or ends too soon: abort the association.
        """

    def receive(self, seconds: float) -> Message | None:
        """Return the next message; None where none begins within so many seconds.

        What was not read of the data set of the one before is thrown away.

        Raises
        ------
        Ended
            The association is over, or the peer asks for its release.
        ProtocolError
            The message breaks PS3.7 or PS3.8; the association has to be aborted.
        """


class Ended(Exception):
    """The association is over, or about to be: the engine knows why."""


class _Held:
    """A message that the engine has put together in memory."""

    def __init__(self, context_id: int, command: Command, data: bytes) -> None:
        self.context_id, self.command, self._data = context_id, command, data

    def read(self, most: int) -> bytes:
        return self._data[: self._checked(most)]

    def write_to(self, descriptor: int, most: int | None = None) -> int:
        size = self._checked(most)
        left = memoryview(self._data)
        while left:
            left = left[os.write(descriptor, left) :]
        return size

    def _checked(self, most: int | None) -> int:
        if most is not None and len(self._data) > most:
            raise LimitError(f"expected a data set of at most {most} bytes, found more")
        return len(self._data)


class EngineMessages:
    """`Messages` by pynetdicom's queues: a data set is in memory while it is sent or received."""

    def __init__(self, engine: Association) -> None:
        self._engine = engine

    def send(self, context_id: int, command: Command, data: bytes | Stretch | None = None) -> None:
        """Send a message; see `Messages.send`."""
        kind = commands.NO_DATA_SET if data is None else commands.DATA_SET
        encoded = commands.encode(command | {"CommandDataSetType": kind})
        most = self._engine.dimse.maximum_pdu_size or _LARGEST_PDU
        size = min(most, _LARGEST_PDU) - OVERHEAD
        self._put(context_id, encoded, _COMMAND, size)
        if isinstance(data, Stretch):
            data = _read(data)
        if data is not None:
            # As deflating makes them (PS3.5 A.5).
            self._put(context_id, data + b"\0" * (len(data) % 2), 0, size)

    def _put(self, context_id: int, data: bytes, kind: int, size: int) -> None:
        for at in range(0, max(len(data), 1), size):
            last = _LAST if at + size >= len(data) else 0
            primitive = P_DATA()
            fragment = bytes([kind | last]) + data[at : at + size]
            primitive.presentation_data_value_list.append((context_id, fragment))
            self._await_room()
            self._engine.dul.send_pdu(primitive)

    def _await_room(self) -> None:
        """Wait for a peer that reads slower than we write; its end is an end of this, too."""
        dul = self._engine.dul
        while self._engine.is_established and dul.is_alive() and dul.peek_next_pdu() is None:
            if dul.to_provider_queue.qsize() < _MOST_QUEUED:
                return
            time.sleep(0.001)
        raise Ended

    def receive(self, seconds: float) -> _Held | None:
        """Return the next message; see `Messages.receive`."""
        cancel = self._engine.dimse.cancel_req
        if cancel:
            _, request = cancel.popitem()
            return held(0, request)
        try:
            context_id, primitive = self._engine.dimse.msg_queue.get(timeout=seconds)
        except queue.Empty:
            if not self._engine.is_established or self._engine.dul.peek_next_pdu() is not None:
                raise Ended from None
            return None
        if primitive is None:
            raise Ended
        return held(context_id or 0, primitive)


def held(context_id: int, primitive: Any) -> _Held:
    """Return a message of a primitive of pynetdicom's."""
    name = type(primitive).__name__.replace("_", "-")
    made: Command = {}
    for keyword in commands.KEYWORDS:
        value = getattr(primitive, keyword, None)
        if isinstance(value, int):
            made[keyword] = int(value)
        elif isinstance(value, str):
            made[keyword] = str(value)
        elif value is not None:
            made[keyword] = [int(tag) for tag in value]
    field = next(number for number, text in commands.NAMES.items() if text == name)
    is_answer = "MessageIDBeingRespondedTo" in made and field != commands.C_CANCEL
    made["CommandField"] = field | (commands.RESPONSE if is_answer else 0)
    data = next((value for name in _DATA_SETS if (value := getattr(primitive, name, None))), None)
    made["CommandDataSetType"] = commands.NO_DATA_SET if data is None else commands.DATA_SET
    return _Held(context_id, made, b"" if data is None else data.getvalue())


def _read(stretch: Stretch) -> bytes:
    data = bytearray()
    # The system gives less than 2 GiB at a time.
    while (at := stretch.start + len(data)) < stretch.end:
        some = read_at(stretch.descriptor, stretch.end - at, at)
        if not some:
            raise OSError("the file has become shorter")
        data += some
    return bytes(data)
