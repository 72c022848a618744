"""What differs by system, held against what the standard library of this one says."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from dicomloom import system
from dicomloom._native import base


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)))
    descriptor = os.open(path, os.O_RDWR | system.BYTES | system.AT_ONCE)
    yield descriptor
    os.close(descriptor)


def test_reading_at_an_offset_is_what_the_file_has_there(file):
    whole = bytes(range(256))
    for offset, size in ((0, 10), (250, 100), (256, 5), (1 << 62, 5), (7, 0)):
        assert system.read_at(file, size, offset) == whole[offset : offset + size]
        into = bytearray(size)
        # Where the system has no such call: by native/base.
        count = base.read_into(file, into, offset)
        assert bytes(into[:count]) == whole[offset : offset + size]
        assert system.read_into(file, memoryview(bytearray(size)), offset) == count


def test_reading_what_cannot_be_read_says_why():
    with pytest.raises(OSError) as caught:  # noqa: PT011
        base.read_into(-1, bytearray(1), 0)
    assert caught.value.errno == errno.EBADF


def test_writing_pieces_and_at_an_offset(file):
    assert system.write_pieces(file, [memoryview(b"ab"), memoryview(b"c")]) >= 1
    assert system.write_at(file, memoryview(b"XY"), 100) == 2
    assert system.read_at(file, 4, 99) == b"\x63XY\x66"


def test_ready_names_the_sockets_that_have_bytes():
    one, other = socket.socketpair()
    with one, other:
        numbers = [one.fileno(), other.fileno()]
        assert system.ready(numbers, 0) == []
        assert system.ready(numbers, 0, to_write=True) == numbers
        other.send(b"a")
        assert system.ready(numbers, None) == [one.fileno()]
    with pytest.raises(ValueError, match="negative"):
        system.ready([one.fileno()], 0)


def test_a_locked_folder_is_locked_to_others_until_it_is_let_go(tmp_path):
    script = (
        "import sys; from dicomloom.system import lock_folder\n"
        "try: lock_folder(sys.argv[1])\n"
        "except BlockingIOError: sys.exit(3)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    descriptor = system.lock_folder(str(tmp_path))
    assert subprocess.run(command, timeout=300, check=False).returncode == 3
    os.close(descriptor)
    assert subprocess.run(command, timeout=300, check=False).returncode == 0


def test_only_one_module_asks_which_system_it_is():
    found = []
    for folder, _, names in os.walk(os.path.dirname(system.__file__)):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".py"):
                with open(path, encoding="utf-8") as module:
                    text = module.read()
                if "sys.platform" in text or "os.name" in text:
                    found.append(name)
    # The second is a program of its own, which imports nothing of ours.
    assert sorted(found) == ["isolation_child.py", "pdf_child.py", "system.py"]
