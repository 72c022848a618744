import os
import subprocess
import threading

import pytest

from faults import OLD, native_object, noise


@pytest.fixture
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def target(tmp_path):
    """A name under which something stands already."""
    path = tmp_path / "out.dcm"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return native_object(folder / "in.dcm", noise(24))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("a tmpfs can be mounted by root only; RLIMIT_FSIZE stands in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
