"""Files appear complete or not at all: each promise of `Replacing` under its fault."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from dicomloom import WriteError
from dicomloom.files import Replacing


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".dicomloom"))


def test_replaces_and_keeps_the_mode(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o640)
    with Replacing(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert not leftovers(tmp_path)


def test_a_new_file_gets_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        with Replacing(tmp_path / "out") as file:
            file.write(b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_target_alone(tmp_path, failure):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(failure), Replacing(target) as file:
        file.write(b"new")
        raise failure
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_follows_a_link_and_keeps_it(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real / "out")
    with Replacing(tmp_path / "link") as file:
        file.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (real / "out").read_bytes() == b"x"


def test_a_name_of_255_bytes(tmp_path):
    target = tmp_path / ("n" * 255)
    with Replacing(target) as file:
        file.write(b"x")
    assert target.read_bytes() == b"x"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda folder: folder, errno.EISDIR),
        (lambda folder: folder / "nowhere" / "out", errno.ENOENT),
        (lambda folder: folder / ("n" * 300), errno.ENAMETOOLONG),
    ],
)
def test_a_target_that_cannot_be(tmp_path, make, number):
    with pytest.raises(WriteError) as caught, Replacing(make(tmp_path)) as file:
        file.write(b"x")
    assert caught.value.errno in (number, None)
    assert str(tmp_path) in str(caught.value)
    assert not leftovers(tmp_path)


def test_a_device_is_written_directly():
    with Replacing("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_device_is_reported():
    with pytest.raises(WriteError, match="(?i)no space left"), Replacing("/dev/full") as file:
        file.write(b"x")  # held back until the end


def test_a_size_limit_leaves_the_target_alone(tmp_path):
    """RLIMIT_FSIZE stands in for a full disk: the write fails half-way (EFBIG)."""
    target = tmp_path / "out"
    target.write_bytes(b"old")
    code = f"""
import resource, signal
from dicomloom import WriteError
from dicomloom.files import Replacing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    with Replacing({str(target)!r}) as file:
        for _ in range(100):
            file.write(b"x" * 10000)
except (WriteError, OSError) as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_a_failing_fsync_is_reported(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def failing(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteError, match="Input/output error"), Replacing(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_a_kill_leaves_the_target_alone(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    code = f"""
import time
from dicomloom.files import Replacing
with Replacing({str(target)!r}) as file:
    file.write(b"x" * 100000)
    print("writing", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert target.read_bytes() == b"old"
    assert len(leftovers(tmp_path)) == 1  # nobody was there to remove it
