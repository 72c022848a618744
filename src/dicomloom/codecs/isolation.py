"""`Isolation`: libraries that decode and code run in processes of their own, within limits.

A library that meets a hostile bitstream may crash, hang, or take all memory; in a process of its
own it takes nothing else along. What dicomloom itself decodes (native and deflated frames, RLE,
JPEG Lossless, JPEG-LS) stays in this process.

A process of its own is no sandbox, though: it has the rights of its user.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from copy import copy
from operator import methodcaller
from types import MethodType
from typing import TYPE_CHECKING

from dicomloom.codecs.base import Codec, Decoder, Encoder
from dicomloom.codecs.isolation_process import Ended, Pool, Process, Task, failure, kill_all
from dicomloom.codecs.layout import Layout
from dicomloom.codecs.library import LibraryDecoder, LibraryEncoder
from dicomloom.codecs.native import check_room, check_size
from dicomloom.errors import DicomloomError, StateError
from dicomloom.system import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from typing_extensions import Buffer

_SECONDS = 120.0
_MEMORY = 512 << 20  # bytes, for tables and the like of any library
_PER_SAMPLE = 64  # bytes: several times what the hungriest decoder here takes, HTJ2K's with loss


class Isolation:
    """Processes in which libraries decode, and the limits that they have.

    Give one to `FrameReader` or `transcode` as ``isolate=`` to share its processes among objects;
    ``isolate=True`` makes one for an object. May be used from many threads at once: each that
    decodes has a process of its own, begun with its first frame and kept for the next ones.

    Parameters
    ----------
    seconds : float
        What a frame may take; beyond that its process is ended, with a LimitError.
    memory : int, optional
        Bytes that a process may take beside what it takes at its start. By default 512 MiB and 64
        bytes a sample, but no more than half of the memory there is. macOS and Windows keep no such
        limit.
    executable : str, optional
        The Python to run; by default ``sys.executable``, which in a program that embeds Python may
        be that program.

    Raises
    ------
    ValueError
        A limit that is not above 0.

    Notes
    -----
    A process that crashes costs an error (CorruptError, LimitError) with the frame, the library and
    the signal; the next frame has a new process. One that had decoded other frames before may have
    been broken by these: the frame that it crashes on is tried once more in a new one. All
    processes end when this is closed, collected, or when Python exits.

    Examples
    --------
    >>> from dicomloom import FrameReader, Isolation
    >>> from pydicom.data import get_testdata_file
    >>> with Isolation(seconds=60) as apart:
    ...     for name in "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm":
    ...         with FrameReader(get_testdata_file(name), isolate=apart) as reader:
    ...             reader[0].shape
    (1024, 256)
    (100, 100, 3)
    """

    def __init__(
        self,
        *,
        seconds: float = _SECONDS,
        memory: int | None = None,
        executable: str | None = None,
    ) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be above 0 and finite, not {seconds}")
        if memory is not None and memory < 1:
            raise ValueError(f"memory must be at least 1 byte, not {memory}")
        # What a timer can wait for.
        self.seconds = min(float(seconds), threading.TIMEOUT_MAX / 2)
        self.memory = memory
        self._pool = Pool(executable or sys.executable)
        self._working: set[Process] = set()
        self._closed = False
        self._shares = False

    # --- what can be done in a child ---

    def decoder(self, decoder: Decoder) -> Decoder:
        """Return a decoder that does the same in a child; the same one where no library does it."""
        if isinstance(decoder, LibraryDecoder):
            return _IsolatedDecoder(self, decoder)
        return decoder

    def encoder(self, encoder: Encoder, codec: Codec, options: dict[str, object]) -> Encoder:
        """Return an encoder that does the same in a child; the same one where no library does it.

        Parameters
        ----------
        encoder : Encoder
            What `codec` made with `options`.
        codec : Codec
        options : dict
        """
        if isinstance(encoder, LibraryEncoder):
            return _IsolatedEncoder(self, encoder, codec, options)
        return encoder

    def recoder(
        self, recode: Callable[[Buffer], Buffer], layout: Layout
    ) -> Callable[[Buffer], Buffer]:
        """Return what does the same in a child as a method of a codec, `Codec.recoder_from`."""
        if not isinstance(recode, MethodType):
            raise TypeError(f"expected a method of a codec, not {recode!r}")
        task = self._task(recode.__self__, recode.__name__, layout)
        task = task._replace(most=task.memory)
        return lambda data: self._ask(task, data)

    # --- children ---

    def _task(
        self, codec: object, do: str, layout: Layout, options: dict[str, object] | None = None
    ) -> Task:
        kind = type(codec)
        memory = _enough(layout) if self.memory is None else self.memory
        asked = {
            "do": do,
            "codec": f"{kind.__module__}:{kind.__qualname__}",
            "layout": {name: getattr(layout, name) for name in Layout.__slots__},
            "options": options or {},
            "memory": memory,
            "seconds": self.seconds,
        }
        # Options may be numbers of numpy.
        text = json.dumps(asked, default=methodcaller("item"))
        return Task(text.encode(), do, 0, 0, memory)

    def _ask(self, task: Task, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Have a task done in a child."""
        while not (self._closed or self._pool.closed):
            child = self._pool.take()
            self._working.add(child)
            if self._closed:  # meanwhile, so that nobody would end it
                self._pool.drop(child)
                break
            try:
                made = self._asked(child, task, data, into)
            finally:
                self._working.discard(child)
            if made is not None:
                return made
        raise StateError("the Isolation is closed: its processes have ended")

    def _asked(
        self, child: Process, task: Task, data: Buffer, into: Buffer | None
    ) -> Buffer | None:
        """Have one child do it; None where another has to try."""
        try:
            if child.fresh:
                child.begin(task)
            made = child.ask(task, data, self.seconds, into)
        except Ended as ended:
            how = child.end(ended)
            self._pool.drop(child)
            if self._closed or self._pool.closed:
                return None  # whoever closed it has ended the child
            if child.answered and ended.why != "late":
                return None  # what it had decoded before may have broken it
            library = child.library or "the library"
            raise failure(ended, library, how, task, self.seconds) from None
        except DicomloomError:
            if not child.fresh:  # told by the child, which waits for the next frame
                self._pool.put_back(child)
                raise
            self._pool.drop(child)
            if self._closed or self._pool.closed:
                return None
            raise
        except BaseException:
            self._pool.drop(child)
            raise
        self._pool.put_back(child)
        return made

    def share(self) -> Isolation:
        """Return an Isolation with the same processes and limits, that is closed by itself.

        Closing it ends what is being decoded for it, and no other process.
        """
        made = copy(self)
        made._working, made._closed, made._shares = set(), False, True
        return made

    def close(self) -> None:
        """End all processes; what is being decoded fails with a StateError."""
        self._closed = True
        if self._shares:
            kill_all(self._working)  # they are put away by who waits for them
        else:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def isolation_of(isolate: bool | Isolation) -> Isolation | None:
    """Return what an argument ``isolate`` asks for; whoever asks has to close it."""
    if isinstance(isolate, Isolation):
        return isolate.share()
    return Isolation() if isolate else None


def _enough(layout: Layout) -> int:
    samples = layout.rows * layout.columns * layout.samples
    wanted = _MEMORY + _PER_SAMPLE * samples
    there_is = memory_bytes()
    return wanted if there_is is None else min(wanted, there_is // 2)


class _IsolatedDecoder(Decoder):
    """Has a child decode; may be used from many threads at once."""

    def __init__(self, isolation: Isolation, decoder: LibraryDecoder) -> None:
        self.layout = decoder.layout
        self._isolation = isolation
        size = self.layout.frame_bytes
        task = isolation._task(decoder.codec, "decode", decoder.stored)
        self._task = task._replace(least=size, most=size)

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Decode one frame."""
        if into is not None:
            check_room(into, self.layout)
        return self._isolation._ask(self._task, data, into)


class _IsolatedEncoder(Encoder):
    """Has a child code."""

    def __init__(
        self, isolation: Isolation, encoder: Encoder, codec: Codec, options: dict[str, object]
    ) -> None:
        self.source, self.layout, self.lossy = encoder.source, encoder.layout, encoder.lossy
        self.method, self.description = encoder.method, encoder.description
        self._isolation, self._bound = isolation, encoder.bound()
        task = isolation._task(codec, "encode", encoder.source, options)
        self._task = task._replace(most=self._bound)

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Code one frame."""
        check_size(memoryview(frame).cast("B"), self.source)
        return [self._isolation._ask(self._task, frame)]

    def bound(self) -> int:
        """Return how many bytes a coded frame has at most."""
        return self._bound
