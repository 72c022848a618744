"""DIMSE messages between socket and file: data sets are neither decoded nor held (PS3.8 E)."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn, TypeVar

import pynetdicom
from pynetdicom.association import Association

from dicomloom._native.network import FRAGMENT, NOTHING, Fragments
from dicomloom.errors import CorruptError, LimitError, NetworkError, TruncatedError
from dicomloom.network import command as commands
from dicomloom.network.command import Command
from dicomloom.network.messages import (
    OVERHEAD,
    Ended,
    EngineMessages,
    Message,
    Messages,
    Stretch,
)
from dicomloom.network.wire import LARGEST_COMMAND, Wire

# Versions of pynetdicom whose reactor and association thread are held as `hold` holds them.
_KNOWN = ("3.0.",)
# Bytes of a data set above its limit that are read, so that the peer hears why it is refused.
_MOST_THROWN_AWAY = 1 << 30
_BROKEN = "the peer breaks PS3.8 9.3.5 or E: ask for an update of it"
_T = TypeVar("_T")
# What we put into a PDU where the peer takes any length.
_LARGEST_PDU = 128 << 10
# What TLS encrypts at a time (RFC 8446 5.1).
_RECORD = 16 << 10
# Seconds in which the engine has to notice what ended an association.
_NOTICE = 2.0
_NO_LIMIT = (1 << 64) - 1


@contextlib.contextmanager
def exchanging(
    engine: Association, wire: Wire, *, direct: bool | None = None
) -> Iterator[Messages]:
    """Take the messages of an open association from the engine; a context manager.

    Within the block none of the engine's threads sends or receives; after it, all is as before.

    Parameters
    ----------
    engine : pynetdicom.association.Association
        Established. In a thread of its own, if it has one, the block is that thread's.
    wire : Wire
        Its socket.
    direct : bool, optional
        Whether to leave pynetdicom's queues aside; by default, where its version is a known one.
    """
    if direct is None:
        direct = pynetdicom.__version__.startswith(_KNOWN)
    with _paused(engine):
        if 0 < engine.dimse.maximum_pdu_size <= OVERHEAD:
            wire.refuse(
                f"the peer takes PDUs of at most {engine.dimse.maximum_pdu_size} bytes, "
                "in which there is no room for a byte of a message",
                "PS3.8 D.1: see the settings of the peer",
            )
        if not direct:
            yield EngineMessages(engine)
            return
        if not wire.take():
            raise Ended
        messages = DirectMessages(engine, wire)
        try:
            yield messages
        finally:
            messages.give_back()


@contextlib.contextmanager
def _paused(engine: Association) -> Iterator[None]:
    """Hold the engine's thread that would take messages for requests to it."""
    if not engine.is_alive() or engine is threading.current_thread():
        yield
        return
    hold(engine)
    try:
        yield
    finally:
        engine._reactor_checkpoint.set()


def hold(engine: Association) -> None:
    """Hold the engine's thread until its checkpoint is set; returns when it is held."""
    checkpoint = engine._reactor_checkpoint
    checkpoint.clear()
    while engine.is_alive():
        held = checkpoint.is_held if isinstance(checkpoint, Checkpoint) else engine._is_paused
        if held:
            return
        time.sleep(0.0001)


class Checkpoint(threading.Event):
    """Where the engine's thread waits while another moves messages.

    An Event lets through whoever waits when it is set, even if it is cleared at once; the thread
    would then take the answer to the next request for a request. It looks paused until it runs.
    """

    def __init__(self) -> None:
        super().__init__()
        # The bare lock is what is held: a signal may raise in the methods of a Condition, which are
        # Python, and leave it locked for the reactor.
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)
        self._is_open = self._is_waiting = False

    @property
    def is_held(self) -> bool:
        """Whether a thread waits, and goes on waiting until the next `set`."""
        with self._lock:
            return self._is_waiting and not self._is_open

    def is_set(self) -> bool:
        """Whether threads may pass."""
        return self._is_open

    def set(self) -> None:
        """Let threads pass."""
        with self._lock:
            self._is_open = True
            self._turn.notify_all()

    def clear(self) -> None:
        """Hold threads from now on."""
        with self._lock:
            self._is_open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until threads may pass."""
        with self._lock:
            self._is_waiting = True
            try:
                return self._turn.wait_for(lambda: self._is_open, timeout)
            finally:
                self._is_waiting = False


class _Encrypted:
    """What `Fragments` asks of a connection that is not a bare socket."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection

    def receive(self, buffer: memoryview, seconds: float) -> int:
        self._connection.settimeout(max(seconds, 0.001))
        try:
            return self._connection.recv_into(buffer)
        except ssl.SSLEOFError:
            return 0  # closed without a closing alert, as many do

    def send(self, buffer: memoryview, seconds: float) -> int:
        self._connection.settimeout(max(seconds, 0.001))
        # The time is for all that is given, and a slow peer takes little in it.
        return self._connection.send(buffer[:_RECORD])


class _Arriving:
    """A message whose data set is still on the wire."""

    def __init__(self, messages: DirectMessages, context_id: int, command: Command) -> None:
        self.context_id, self.command = context_id, command
        self._messages = messages
        self._pending = commands.has_data_set(command)

    def read(self, most: int) -> bytes:
        if not self._taken():
            return b""
        return self._messages.bring(lambda fragments: fragments.read_part(most), most)

    def write_to(self, descriptor: int, most: int | None = None) -> int:
        if not self._taken():
            return 0
        limit = _NO_LIMIT if most is None else most
        size, reason = self._messages.bring(
            lambda fragments: fragments.write_part(descriptor, limit), limit
        )
        if reason:
            raise OSError(reason, os.strerror(reason))
        return size

    def skip(self) -> None:
        """Throw the data set away, if it was not read."""
        if self._taken():
            self._messages.bring(lambda fragments: fragments.write_part(-1, _NO_LIMIT), _NO_LIMIT)

    def _taken(self) -> bool:
        pending, self._pending = self._pending, False
        if pending:
            self._messages.expect_data(self)
        return pending


class _Guard:
    """Blocks that use the C core; a class, since a generator costs more than some blocks."""

    def __init__(self, messages: DirectMessages, stuck: str) -> None:
        self._messages, self._stuck = messages, stuck

    def __enter__(self) -> None:
        if not self._messages.has_wire:
            raise Ended

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._messages.explain(error, self._stuck)


class DirectMessages:
    """`Messages` whose data sets go between socket and file by the C core.

    Holds two buffers of 264 KiB.
    """

    def __init__(self, engine: Association, wire: Wire) -> None:
        self._engine, self._wire = engine, wire
        connection = wire.connection
        self._fragments = Fragments(
            _Encrypted(connection)
            if isinstance(connection, ssl.SSLSocket)
            else connection.fileno(),
            wire.max_pdu,
            wire.limit,
        )
        self._fragments.put(wire.take_ahead())
        # 0: the peer takes any length (PS3.8 D.1.1).
        self._most = min(engine.dimse.maximum_pdu_size or _LARGEST_PDU, _LARGEST_PDU)
        self._before: _Arriving | None = None
        self._queued = EngineMessages(engine)
        self.has_wire = True
        self._sending = _Guard(self, "the peer did not take what was sent")
        self._receiving = _Guard(self, "the peer began a message and did not send the rest")

    def send(self, context_id: int, command: Command, data: bytes | Stretch | None = None) -> None:
        """Send a message; see `Messages.send`."""
        kind = commands.NO_DATA_SET if data is None else commands.DATA_SET
        encoded = commands.encode(command | {"CommandDataSetType": kind})
        unreadable = None
        with self._sending:
            try:
                self._fragments.send(context_id, self._most, encoded, data)
            except TruncatedError as error:
                unreadable = error  # the file, not the connection
        if unreadable is not None:
            raise OSError(unreadable.message) from unreadable

    def receive(self, seconds: float) -> Message | None:
        """Return the next message; see `Messages.receive`."""
        before, self._before = self._before, None
        if before is not None:
            before.skip()
        # What came before the engine let go of the wire.
        dimse = self._engine.dimse
        if dimse.cancel_req or not dimse.msg_queue.empty():
            return self._queued.receive(0)
        with self._receiving:
            arrival = self._fragments.arrive(seconds)
            if arrival == NOTHING:
                return None
            if arrival != FRAGMENT:
                self._end()
            if not self._fragments.is_command:
                self._wire.refuse("expected a command set, found a part of a data set", _BROKEN)
            context_id = self._fragments.context_id
            data = self._fragments.read_part(LARGEST_COMMAND)
        self._before = _Arriving(self, context_id, commands.decode(data, self._wire.peer))
        return self._before

    def expect_data(self, message: _Arriving) -> None:
        """Go to the first fragment of a message's data set."""
        with self._receiving:
            arrival = self._fragments.arrive(self._wire.limit)
            if arrival == NOTHING:
                raise TimeoutError
            if arrival != FRAGMENT:
                self._end()
            if self._fragments.is_command or self._fragments.context_id != message.context_id:
                name = commands.name_of(message.command)
                self._wire.refuse(f"expected the data set of a {name}, found another", _BROKEN)

    def bring(self, take: Callable[[Fragments], _T], most: int) -> _T:
        """Take a data set; LimitError, and the connection is well, where it is larger."""
        with self._receiving:
            try:
                return take(self._fragments)
            except LimitError:
                # Where it is a PDU that is too large, this meets it again.
                self._fragments.write_part(-1, max(most, _MOST_THROWN_AWAY))
        raise LimitError(f"expected a data set of at most {most} bytes, found more")

    def explain(self, error: BaseException, stuck: str) -> None:
        """Turn what the C core says into the end of the association, and why."""
        if isinstance(error, NetworkError):
            return
        if isinstance(error, CorruptError | LimitError):
            self._wire.refuse(error.message, _BROKEN)
        if isinstance(error, TimeoutError):
            self._wire.blame_slow(stuck)
            raise Ended from error
        if isinstance(error, TruncatedError | OSError):
            self._end(error)

    def _end(self, cause: Exception | None = None) -> NoReturn:
        """Let the engine see what ended it: an abort, a release, a closed connection."""
        self.give_back()
        until = time.monotonic() + _NOTICE
        while time.monotonic() < until and self._is_unaware():
            time.sleep(0.0005)
        raise Ended from cause

    def _is_unaware(self) -> bool:
        engine = self._engine
        return (
            engine.is_established and engine.dul.is_alive() and engine.dul.peek_next_pdu() is None
        )

    def give_back(self) -> None:
        """Leave the wire to the engine, with what is not ours; may be called again."""
        if self.has_wire:
            self.has_wire = False
            self._wire.give_back(self._fragments.rest())
