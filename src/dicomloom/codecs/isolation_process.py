"""One process in which libraries decode and code, seen from its parent; see `isolation`.

What a child sends is not trusted: lengths are held against what a frame must have, texts are cut
and cleaned, nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from dicomloom import errors
from dicomloom.codecs import isolation_child as wire
from dicomloom.errors import CorruptError, DicomloomError, LimitError, StateError
from dicomloom.system import widen_pipe

if TYPE_CHECKING:
    from typing_extensions import Buffer

_START = 60.0  # seconds that a child has to begin, libraries loaded
_ROOM = 64 << 20  # bytes that are made room for before they are there
_PIPE = 1 << 20  # bytes that a pipe holds, where the system lets it
_LAST_WORDS = 2.0  # seconds in which a child whose pipe is closed should have ended


class Task(NamedTuple):
    """What a child is asked to do, and how many bytes the answer may have."""

    text: bytes
    do: str
    least: int
    most: int
    memory: int


class Ended(Exception):
    """A child cannot be used any more: it is gone, late, lacks memory, or babbles."""

    def __init__(self, why: str, detail: str = "") -> None:
        self.why, self.detail = why, detail


def failure(ended: Ended, library: str, how: str, task: Task, seconds: float) -> DicomloomError:
    """Return what to raise of a frame that ended a child."""
    if ended.why == "late":
        return LimitError(
            f"{library} took longer than {seconds:g} s over the frame: give it more seconds "
            "(Isolation(seconds=...), --isolate-seconds) if they could help"
        )
    if ended.why == "memory":
        return LimitError(
            f"{library} wants more than {task.memory >> 20} MiB for the frame: allow more "
            "(Isolation(memory=...), --isolate-memory) if the frame is worth it"
        )
    return CorruptError(
        f"the process of {library} {how}: the frame is damaged or the library at fault; dicomloom "
        "frame FILE N --encoded takes the bitstream out, to try another library or to report it"
    )


class _Alarm(threading.Timer):
    """Kills a child when its time is over."""

    def __init__(self, seconds: float, child: subprocess.Popen[bytes]) -> None:
        super().__init__(seconds, self._ring)
        self.daemon = True
        self.rang = False
        self._child = child

    def _ring(self) -> None:
        self.rang = True
        self._child.kill()


class Process:
    """One process, for one thread at a time."""

    def __init__(self, executable: str) -> None:
        if not executable or getattr(sys, "frozen", False):
            raise StateError(
                "no Python to run libraries in: give Isolation(executable=...), or do not isolate"
            )
        self.owner = os.getpid()
        self.fresh = True
        self.answered = 0
        self.library = ""
        # -P: the folder of the script is none to import from. Threads take address space.
        one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            self.process = subprocess.Popen(
                [executable, "-P", wire.__file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                bufsize=0, env=os.environ | one,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except OSError as error:
            raise StateError(
                f"the process that libraries run in does not start: {executable}: {error.strerror}"
            ) from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout
        # A pipe that holds a frame, or much of it: parent and child then wait less for each other.
        widen_pipe(self._to.fileno(), _PIPE)
        widen_pipe(self._from.fileno(), _PIPE)

    def begin(self, task: Task) -> None:
        """Wait until it is ready, its libraries loaded."""
        folders = [folder for folder in sys.path if isinstance(folder, str)]
        start = Task(json.dumps(folders).encode(), "start", 0, 0, task.memory)
        try:
            self.ask(start, task.text, _START)
        except Ended as ended:
            how = self.end(ended)
            why = f"no answer within {_START:g} s" if ended.why == "late" else f"it {how}"
        except DicomloomError as error:
            why = error.message
        else:
            self.fresh, self.answered = False, 0
            return
        raise StateError(f"the process that libraries run in does not start: {why}")

    def ask(self, task: Task, data: Buffer, seconds: float, into: Buffer | None = None) -> Buffer:
        """Have a task done."""
        self.library = ""
        alarm = _Alarm(seconds, self.process)
        alarm.start()
        try:
            view = memoryview(data).cast("B")
            self._send(wire.REQUEST.pack(len(task.text), view.nbytes))
            self._send(task.text)
            self._send(view)
            made = self._answer(task, into)
        except (OSError, EOFError):
            raise Ended("late" if alarm.rang else "gone") from None
        finally:
            alarm.cancel()
        self.answered += 1
        return made

    def _answer(self, task: Task, into: Buffer | None) -> Buffer:
        while True:
            kind, size = wire.ANSWER.unpack(self._receive(wire.ANSWER.size))
            if kind == wire.TRYING and size <= wire.MOST_TEXT:
                self.library = _clean(self._receive(size))
            elif kind == wire.FAILED and wire.FAULT.size <= size <= wire.MOST_TEXT:
                self._raise(self._receive(size))
            elif kind == wire.READY and size == 0 and task.do == "start":
                return b""
            elif kind == wire.DONE and task.least <= size <= task.most and task.do != "start":
                return self._receive(size, into)
            else:
                raise Ended("babble", f"{kind!r} and {size} bytes")

    def _raise(self, body: Buffer) -> NoReturn:
        """Raise what a child says went wrong."""
        kind, offset = wire.FAULT.unpack_from(body)
        text = _clean(memoryview(body)[wire.FAULT.size :])
        if kind == wire.MEMORY:
            raise Ended("memory")
        self.answered += 1
        if kind in range(wire.OTHER + 1, len(wire.FAULTS)):
            made: type[DicomloomError] = getattr(errors, wire.FAULTS[kind])
            raise made(text, offset=offset if offset >= 0 else None)
        raise CorruptError(f"{self.library or 'the library'} does not do the frame: {text}")

    def _send(self, data: Buffer) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._to.write(rest) :]

    def _receive(self, size: int, into: Buffer | None = None) -> Buffer:
        """Return so many bytes; there is never room for more than twice of what has come."""
        if into is not None:
            self._fill(memoryview(into).cast("B"))
            return into
        made = bytearray(min(size, _ROOM))
        at = 0
        while at < size:
            if at:
                made.extend(bytes(min(at, size - at)))
            with memoryview(made) as view:
                self._fill(view[at:])
            at = len(made)
        return made

    def _fill(self, rest: memoryview) -> None:
        while rest:
            count = self._from.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            rest = rest[count:]

    def kill(self) -> None:
        """End the process, unless a fork has copied this object: then it is the parent's."""
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()

    def end(self, ended: Ended | None = None) -> str:
        """See the process end; return how it did, for people."""
        why = "" if ended is None else ended.why
        code = None
        try:
            code = self.process.wait(_LAST_WORDS if why == "gone" else 0)
        except subprocess.TimeoutExpired:
            self.kill()
        finally:
            self._to.close()
            self._from.close()
        if ended is not None and why == "babble":
            return f"sent what is no answer ({ended.detail})"
        if code is None:
            return "closed its pipe"
        if code < 0:
            lacking = code in (-signal.SIGABRT, -getattr(signal, "SIGKILL", 9))
            known = [each.name for each in signal.Signals if each == -code]
            name = known[0] if known else f"signal {-code}"
            return f"ended by {name}{', perhaps for lack of memory' if lacking else ''}"
        return f"ended with exit code {code:#x}" if code > 255 else f"ended with exit code {code}"


class Pool:
    """All processes of an Isolation; they end when nobody has it any more.

    There is no lock, as a fork in another thread would leave it locked: each of the calls on the
    two collections is atomic.
    """

    def __init__(self, executable: str) -> None:
        self.closed = False
        self._executable = executable
        self._idle: deque[Process] = deque()
        self._all: set[Process] = set()
        weakref.finalize(self, end_all, self._all)

    def take(self) -> Process:
        """Return a process that is idle, or a new one."""
        while True:
            try:
                child = self._idle.pop()
            except IndexError:
                child = Process(self._executable)
                self._all.add(child)
            if child.owner == os.getpid():
                return child
            self.drop(child)  # a fork's copy: its process goes on for the parent

    def put_back(self, child: Process) -> None:
        """Keep a process for the next frame."""
        self._idle.append(child)
        if self.closed:
            self._end_idle()

    def drop(self, child: Process) -> None:
        """End a process."""
        child.end()
        self._all.discard(child)

    def _end_idle(self) -> None:
        while self._idle:
            try:
                child = self._idle.pop()
            except IndexError:  # another thread had it
                return
            self.drop(child)

    def close(self) -> None:
        """End all of them."""
        self.closed = True
        self._end_idle()
        kill_all(self._all)  # those at work are put away by who waits for them


def kill_all(children: set[Process]) -> None:
    """End processes whose pipes are for others to close."""
    for child in tuple(children):
        child.kill()


def end_all(children: set[Process]) -> None:
    """End processes that nobody waits for any more."""
    for child in tuple(children):
        child.end()


def _clean(text: Buffer) -> str:
    """Return a text of a child as one that can be shown."""
    shown = bytes(text).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in shown)
