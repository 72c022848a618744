"""Row P13: what is no file, or is another one while it is read, at every door that parses.

Files that shrink, grow and vanish within a read are in test_files_that_change.py.
"""

import errno
import os
import socket

import pytest

from dicomloom import FrameReader, ReadError, read_tags
from doors import DOORS, through
from support import part10

# These are given the path itself; the others what the test has read from it.
PATHS = [door for door in DOORS if not door.name.endswith((" of bytes", " of a file"))]


@pytest.fixture
def odd(tmp_path):
    """What a path may be beside a regular file."""
    fifo, sock, loop = tmp_path / "fifo", tmp_path / "socket", tmp_path / "loop"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(sock))
        loop.symlink_to(loop)
        yield [
            fifo,
            sock,
            loop,
            tmp_path / "none",
            *map(type(fifo), ("/dev/zero", "/dev/full", "/dev/random")),
        ]


@pytest.mark.parametrize("door", PATHS, ids=[door.name for door in PATHS])
def test_p13_what_is_no_file(tmp_path, odd, door):
    """FIFO, socket, device, link loop, nothing: refused at once, by name; nobody waits."""
    for number, path in enumerate(odd):
        error = through(door, path, tmp_path / str(number))
        assert door.tells or error is not None


class Stale:
    """A file object whose server forgets it behind the first bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def tell(self):
        return self.at

    def seek(self, offset, whence=0):
        self.at = offset if whence == 0 else len(self.data) + offset
        return self.at

    def read(self, size=-1):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


@pytest.mark.parametrize("read", [FrameReader, lambda file: read_tags(file, "PatientID")])
def test_p13_estale(read):
    """A stale file handle is an error of the system, with its number."""
    with pytest.raises(ReadError) as caught:
        read(Stale(part10(b"")))
    assert caught.value.errno == errno.ESTALE


def test_p13_an_error_of_the_system_names_the_file(tmp_path, monkeypatch):
    """Where the system fails within a header, the error has the path."""
    from dicomloom.frames import header
    from dicomloom.frames.sources import FileSource

    path = tmp_path / "a.dcm"
    path.write_bytes(part10(b""))

    def fail(_):
        raise ReadError("input/output error")

    monkeypatch.setattr(header._native, "read_header", fail)
    source = FileSource(path)
    with pytest.raises(ReadError) as caught:
        header.read_object(source)
    source.close()
    assert caught.value.path == str(path)
