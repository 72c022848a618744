"""A codec whose library does to its process what the end of each frame says; and its traces.

Also a folder to import from in which that is what goes by the name of imagecodecs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import dicomloom
from dicomloom.codecs.backends import Backend
from dicomloom.codecs.library import LibraryCodec

LIBRARY = Backend("numpy", "numpy", "")
_state = {"broken": False}


def _to_all_pipes(data: bytes) -> None:
    for number in range(3, 64):
        try:
            os.write(number, data)
        except OSError:
            continue


def _eat() -> None:
    held = []
    while True:
        held.append(np.zeros(1 << 26, np.uint8))


def _close_and_stay() -> None:
    os.closerange(3, 64)
    time.sleep(60)


def _flood() -> None:
    while True:
        _to_all_pipes(struct.pack("<cQ", b"T", 4) + b"name")


def _print() -> None:
    assert sys.stdin.read() == ""
    for number in (1, 2):
        os.write(number, b"D" * 10_000)
    sys.stdout.write("hello")
    sys.stdout.flush()


def _break() -> None:
    _state["broken"] = True


def _fail(kind: type[Exception], text: str) -> None:
    raise kind(text)


def _refuse(kind: type[dicomloom.DicomloomError]) -> None:
    raise kind("as it was", offset=2**40)


ORDERS = {
    "SEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "NULL": lambda: ctypes.string_at(0),
    "ABRT": os.abort,
    "KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "EXIT": lambda: os._exit(0),
    "SYSEXIT": lambda: sys.exit(7),
    "HANG": lambda: time.sleep(60),
    "STOP": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "EAT": _eat,
    "NOISE": lambda: _to_all_pipes(b"\xff" * 100),
    "MUCH": lambda: _to_all_pipes(struct.pack("<cQ", b"D", 1 << 60)),
    "LITTLE": lambda: _to_all_pipes(struct.pack("<cQ", b"D", 3) + b"abc"),
    "LONGNAME": lambda: _to_all_pipes(struct.pack("<cQ", b"T", 1 << 60)),
    "SHORTFAULT": lambda: _to_all_pipes(struct.pack("<cQ", b"F", 2) + b"ab"),
    "AGAIN": lambda: _to_all_pipes(struct.pack("<cQ", b"R", 0)),
    "FLOOD": _flood,
    "CLOSE": _close_and_stay,
    "PRINT": _print,
    "BREAK": _break,
    "RAISE": lambda: _fail(RuntimeError, "no\x1b[31m\n such\0 thing"),
    "TYPE": lambda: _fail(TypeError, "a fault in the library's own Python"),
}


for _name in ("CorruptError", "TruncatedError", "MissingDependencyError"):
    ORDERS[_name] = partial(_refuse, getattr(dicomloom, _name))


def act(data, shape):
    """Do what stands behind the last ``!`` of a frame; return pixels that are that number."""
    order = bytes(data).rstrip(b"\0").rpartition(b"!")[2].decode("latin-1")
    if _state["broken"]:
        os.abort()
    if order in ORDERS:
        ORDERS[order]()
        order = "1"
    return np.full(shape, int(order), np.uint8)


class Breaking(LibraryCodec):
    """JPEG 2000 by name, and by the header that its frames need."""

    keyword = "JPEG2000Lossless"
    uid = "1.2.840.10008.1.2.4.90"
    readers = (LIBRARY,)

    def decode_by(self, backend, data, layout, found):
        return act(data, layout.shape), False


def library_folder(folder: Path) -> Path:
    """Make a folder whose ``imagecodecs`` acts so, for frames of 8 rows and columns."""
    package = folder / "imagecodecs"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from breaking_codecs import act\n"
        "def jpeg2k_decode(data, **options):\n"
        "    return act(data, (8, 8))\n"
    )
    about = folder / "imagecodecs-9999.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: imagecodecs\nVersion: 9999.1\n")
    return folder


_OTHERS: set[int] = set()


def leave_out_others() -> None:
    """Take the children that are there for those of other tests, which `children` leaves out."""
    _OTHERS.clear()
    _OTHERS.update(children())


def children(of: int | None = None) -> list[int]:
    """Processes whose parent is this one, or another; zombies too."""
    found = []
    for name in os.listdir("/proc"):
        try:
            text = Path("/proc", name, "stat").read_text() if name.isdigit() else ""
        except OSError:
            continue
        if text and int(text.rpartition(")")[2].split()[1]) == (of or os.getpid()):
            found.append(int(name))
    return [pid for pid in found if pid not in _OTHERS]


def gone(pid: int, seconds: float = 30) -> bool:
    """Whether a process ends; waits for that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # an orphan that nobody has looked after yet, as in a container
            return True
        time.sleep(0.01)
    return False


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
