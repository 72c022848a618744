"""Run as a program by `dicomloom.codecs.isolation`: libraries decode and code here, within limits.

A request is two lengths (4 and 8 bytes, little endian), what is to be done as JSON, and a frame;
the first one says where to import from. An answer is a letter, a length (8 bytes), and as many
bytes. Answers have a descriptor of their own: what libraries print goes nowhere.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

    from typing_extensions import Buffer

REQUEST = struct.Struct("<LQ")
ANSWER = struct.Struct("<cQ")
FAULT = struct.Struct("<Bq")  # what kind, and the byte offset or -1; the message follows
READY, TRYING, DONE, FAILED = b"R", b"T", b"D", b"F"
MEMORY, OTHER = 0, 1
FAULTS = (
    "MemoryError",
    "other",
    "CorruptError",
    "TruncatedError",
    "UnsupportedError",
    "PixelError",
    "LimitError",
    "MissingDependencyError",
)
MOST_TEXT = 4096  # bytes of a message
_GRACE = 5.0  # seconds that the parent has to end this process, before it does so itself


class _Pipes:
    """Both ends to the parent, away from standard input and output, which libraries may use."""

    def __init__(self) -> None:
        self._requests: BinaryIO = os.fdopen(os.dup(0), "rb", buffering=0)
        self._answers: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        self.null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(self.null, number)

    def receive(self) -> tuple[bytes, bytearray] | None:
        """Return a request; None when the parent has left."""
        head = self._exactly(REQUEST.size)
        if head is None:
            return None
        sizes = REQUEST.unpack(head)
        text, data = self._exactly(sizes[0]), self._exactly(sizes[1])
        return None if text is None or data is None else (bytes(text), data)

    def _exactly(self, size: int) -> bytearray | None:
        made = bytearray(size)
        rest = memoryview(made)
        while rest:
            count = self._requests.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                return None
            rest = rest[count:]
        return made

    def send(self, kind: bytes, body: Buffer = b"") -> None:
        """Answer."""
        view = memoryview(body).cast("B")
        for rest in (memoryview(ANSWER.pack(kind, view.nbytes)), view):
            while rest:
                rest = rest[self._answers.write(rest) :]  # noqa: PLW2901

    def fail(self, error: BaseException) -> None:
        """Answer with what went wrong."""
        name, text = type(error).__name__, getattr(error, "message", None) or str(error)
        # A decoder says that memory ran out in words of its own, which know nothing of our bound.
        lacking = isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError)
        kind = MEMORY if lacking else OTHER
        if kind == OTHER and name in FAULTS[OTHER + 1 :]:
            kind = FAULTS.index(name)
        elif kind == OTHER:
            text = f"{name}: {text}"
        offset = getattr(error, "offset", None)
        head = FAULT.pack(kind, -1 if offset is None else offset)
        self.send(FAILED, head + text.encode("utf-8", "replace")[: MOST_TEXT - len(head)])


def _used() -> int:
    """Return the bytes of address space in use, or, where nobody tells, more than Python takes."""
    if sys.platform == "win32":
        return 4 << 30
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 4 << 30


def _bound(memory: int | None) -> None:
    """Let this process have so many bytes more than it has; None takes the bound away."""
    if sys.platform == "win32":  # no such limits here: the parent's on time is what is left
        return
    import resource

    try:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = hard if memory is None else _used() + memory
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (ValueError, OverflowError, OSError):  # macOS takes no bound below what is in use
        return


def _first_to_go() -> None:
    """Let a kernel that is short of memory end this process, and not the parent."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        return


class _Work:
    """What is to be done with each frame: prepared once for all frames that are alike."""

    def __init__(self, pipes: _Pipes) -> None:
        self._pipes = pipes
        self._text: bytes | None = None
        self._work: Callable[[bytearray], Buffer] | None = None
        self._titles: dict[object, bytes] = {}
        self._seconds = 0.0

    def prepare(self, text: bytes) -> Callable[[bytearray], Buffer]:
        """Return what does it, with its libraries loaded and memory bounded."""
        if self._work is not None and text == self._text:
            return self._work
        self._work = None
        _bound(None)
        asked: dict[str, Any] = json.loads(text)
        self._seconds = asked["seconds"]
        work = self._made(asked)
        _bound(asked["memory"])
        self._text, self._work = text, work
        return work

    def _made(self, asked: dict[str, Any]) -> Callable[[bytearray], Buffer]:
        from importlib import import_module

        from dicomloom.codecs.layout import Layout

        import_module("dicomloom.codecs.arrays")
        module, name = asked["codec"].split(":")
        codec = getattr(import_module(module), name)()
        layout = Layout(**asked["layout"])
        work: Callable[[bytearray], Buffer]
        if asked["do"] == "decode":
            decoder = codec.decoder(layout)
            decoder.trying = self._tell
            _load_first(codec)
            work = decoder.decode
            return work
        if asked["do"] == "encode":
            encoder = codec.encoder(layout, **asked["options"])
            work, titles = lambda data: b"".join(encoder.encode(data)), codec.writes()
        else:
            work, titles = getattr(codec, asked["do"]), codec.reads()
        title = " or ".join(title for title in titles if title != "dicomloom").encode()[:MOST_TEXT]

        def told(data: bytearray) -> Buffer:
            self._pipes.send(TRYING, title)
            return work(data)

        return told

    def _tell(self, backend: Any) -> None:
        """Say which library has the frame now: once it has crashed, that cannot be asked."""
        if backend not in self._titles:
            self._titles[backend] = backend.title().encode()[:MOST_TEXT]
        self._pipes.send(TRYING, self._titles[backend])

    def do(self, text: bytes, data: bytearray) -> None:
        """Answer one request."""
        try:
            work = self.prepare(text)
            # If the parent was killed, nobody else would end a library that hangs.
            faulthandler.dump_traceback_later(
                self._seconds + _GRACE, exit=True, file=self._pipes.null
            )
            made = work(data)
        except Exception as error:  # whatever libraries raise is told, and the next frame awaited
            self._pipes.fail(error)
        else:
            self._pipes.send(DONE, made)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _load_first(codec: Any) -> None:
    """Load the library that gets the frames, so that loading counts for neither limit."""
    for backend in codec.readers:
        if backend.found():
            try:
                backend.load("decoding")
            except ImportError:
                continue
            return


def main() -> int:
    """Answer requests until the parent leaves; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _first_to_go()
    pipes = _Pipes()
    begin = pipes.receive()
    if begin is None:
        return 0
    sys.path[:] = json.loads(begin[0])
    work = _Work(pipes)
    try:
        work.prepare(bytes(begin[1]))
    except Exception as error:  # tells why it does not start
        pipes.fail(error)
        return 1
    pipes.send(READY)
    while (request := pipes.receive()) is not None:
        work.do(*request)
    return 0


if __name__ == "__main__":
    sys.exit(main())
