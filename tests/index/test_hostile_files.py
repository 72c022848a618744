"""HOSTILE.md P8 and P13: deflate bombs, and files that are none or do not stay.

A test's name begins with its row.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import socket
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomloom import (
    CorruptError,
    DicomloomError,
    ReadError,
    TruncatedError,
    read_tags,
    scan,
)
from hostile import (
    BEHIND,
    COUNT,
    UID,
    behind,
    deflated,
    framed,
    measured,
    opened,
    outcome,
    rows_of,
    uid,
    write,
)
from support import (
    DEFLATED,
    EXPLICIT_LE,
    element,
    part10,
)

# --- P8: deflate ----------------------------------------------------------------------------------


def bomb(prefix, mebibytes, suffix=b""):
    """A deflated data set: prefix, mebibytes of zeros, suffix. Small, and quickly made."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = deflater.compress(prefix) + deflater.flush(zlib.Z_FULL_FLUSH)
    zeros = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    tail = deflater.compress(suffix) + deflater.flush()
    return part10(head + zeros * mebibytes + tail, DEFLATED)


def test_p8_deflate_bombs_are_bounded(tmp_path):
    size = 1000 << 20
    files = {
        "hop": bomb(uid() + element(0x00091001, "OB", length=size), 1000, behind()),
        "count": bomb(uid() + element(0x00091001, "OB", length=size), 1000, behind()),
        "text": bomb(uid() + element(0x0008010E, "UR", length=1 << 20), 400, behind()),
        "long text": bomb(uid() + element(0x0008010E, "UR", length=size), 1000, behind()),
        "zeros": bomb(uid(), 1000),
        "items": bomb(uid() + opened(b""), 1000),
    }
    tags = {
        "count": ["(0009,1001)"],
        "text": ["(0008,010e)"],
        "long text": ["(0008,010e)"],
        "items": [COUNT],
    }
    paths = {}
    for kind, raw in files.items():
        paths[kind] = str(tmp_path / kind)
        Path(paths[kind]).write_bytes(raw)
    small = tmp_path / "small"
    small.write_bytes(bomb(uid(), 2))
    script = """
        paths, tags, small = map(json.loads, sys.argv[1:])
        outcome(small, ["SOPInstanceUID", "PatientID"])
        found = {}
        for kind, path in paths.items():
            wanted = ["SOPInstanceUID", *tags.get(kind, []), "PatientID"]
            found[kind] = grown(lambda: outcome(path, wanted))
            found[kind + ", only before"] = grown(lambda: outcome(path, wanted[:1]))
        print(json.dumps(found))
        """
    found = measured(script, json.dumps(paths), json.dumps(tags), json.dumps(str(small)))
    for kind, (kib, (values, error)) in found.items():
        assert kib < 4096, kind
        assert values["SOPInstanceUID"] == "1.2.3", kind
        if "only" in kind:
            assert not error, kind
        else:
            assert error, kind
            assert values["PatientID"] is None, kind
    assert "limit" in found["long text"][1][1]


def test_p8_a_bomb_costs_only_its_own_row(tmp_path):
    (tmp_path / "bomb").write_bytes(
        bomb(uid() + element(0x00091001, "OB", length=400 << 20), 400, behind())
    )
    for i in range(10):
        (tmp_path / f"{i}").write_bytes(framed(uid() + behind(), DEFLATED))
    rows = rows_of(tmp_path, [UID, BEHIND])
    status, *values, error = rows.pop(str(tmp_path / "bomb"))
    assert (status, values) == ("ERROR", ["1.2.3", None])
    assert error
    assert set(rows.values()) == {("OK", "1.2.3", "behind", None)}
    assert len(rows) == 10


@pytest.mark.parametrize("at", ["first byte", "middle", "end", "nothing"])
def test_p8_broken_deflated_streams(at):
    packed = deflated(
        uid() + element(0x00091001, "OB", random.Random(8).randbytes(50_000)) + behind()
    )
    # "nothing": a stream that only begins; there is no saying that nothing else was in it.
    if at == "first byte":
        broken = b"\xff\xff" + packed[2:]
    elif at == "middle":
        broken = packed[:25_000]
    elif at == "end":
        broken = packed[:-6]
    else:
        broken = b"\0\0"
    values, error = outcome(part10(broken, DEFLATED), [UID, BEHIND])
    assert isinstance(error, CorruptError | TruncatedError)
    assert values[BEHIND] is None
    assert values[UID] == (None if at in ("first byte", "nothing") else "1.2.3")


# --- P13: files that are not files, or do not stay ------------------------------------------------


@pytest.fixture
def folder():
    """A folder that other users can enter, unlike those of pytest."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    for each in made.rglob("*"):
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def unprivileged():
    """As a user whom permissions stop; root reads everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


GOOD = ("OK", "1.2.3", "behind", None)


def bad(reason):
    return ("ERROR", None, None, reason)


def words(code):
    """The system's words, as they stand inside a sentence."""
    return os.strerror(code)[0].lower() + os.strerror(code)[1:]


def test_p13_what_is_no_file_is_not_opened(folder):
    expected = {write(folder / "a" / "1"): GOOD, write(folder / "a" / "b" / "2"): GOOD}
    os.mkfifo(folder / "a" / "fifo")
    (folder / "a" / "linked fifo").symlink_to("fifo")
    (folder / "a" / "zeros").symlink_to("/dev/zero")
    (folder / "a" / "loop").symlink_to(".")
    (folder / "a" / "b" / "up").symlink_to("../..")
    (folder / "a" / "linked").symlink_to("b/2")
    expected[str(folder / "a" / "linked")] = GOOD
    (folder / "a" / "dangling").symlink_to("nowhere")
    expected[str(folder / "a" / "dangling")] = bad(words(errno.ENOENT))
    (folder / "a" / "self").symlink_to("self")
    expected[str(folder / "a" / "self")] = bad(words(errno.ELOOP))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket is short
        server.bind("socket")
        os.chdir(here)
        for follow in (False, True):
            assert rows_of(folder, [UID, BEHIND], follow_symlinks=follow) == expected


def test_p13_given_by_name_they_are_rows_of_their_own(folder):
    os.mkfifo(folder / "fifo")
    (folder / "gone").symlink_to("nowhere")
    names = [folder / "fifo", Path("/dev/zero"), folder / "gone", folder / "absent"]
    good = write(folder / "good")
    rows = rows_of([*names, good], [UID, BEHIND])
    assert rows == {
        str(names[0]): bad("not a regular file"),
        str(names[1]): bad("not a regular file"),
        str(names[2]): bad(words(errno.ENOENT)),
        str(names[3]): bad(words(errno.ENOENT)),
        good: GOOD,
    }


def test_p13_read_tags_of_what_is_no_file(folder):
    os.mkfifo(folder / "fifo")
    for path, code in [
        (folder / "fifo", None),
        (folder, errno.EISDIR),
        (folder / "x", errno.ENOENT),
    ]:
        with pytest.raises(ReadError) as raised:
            read_tags(path, UID)
        assert isinstance(raised.value, OSError)
        assert raised.value.path == str(path)
        assert raised.value.values == {UID: None}
        assert code is None or raised.value.errno == code
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(DicomloomError):
            read_tags(device, UID)


def test_p13_linked_folders_are_entered_once(folder):
    first = write(folder / "tree" / "deep" / "1")
    (folder / "tree" / "again").symlink_to("deep")
    (folder / "tree" / "deep" / "back").symlink_to("..")
    (folder / "other").symlink_to("tree")
    assert rows_of(folder, [UID, BEHIND]) == {first: GOOD}
    rows = rows_of(folder, [UID, BEHIND], follow_symlinks=True)
    assert list(rows.values()) == [GOOD]


def test_p13_what_may_not_be_read_is_a_row(folder):
    good = write(folder / "good")
    hidden, closed = Path(write(folder / "hidden")), Path(write(folder / "closed" / "1")).parent
    hidden.chmod(0)
    closed.chmod(0)
    reason = words(errno.EACCES)
    with unprivileged():
        rows = rows_of(folder, [UID, BEHIND])
        with pytest.raises(ReadError, match=reason) as raised:
            read_tags(hidden, UID)
    assert rows == {
        good: GOOD,
        str(hidden): bad(reason),
        str(closed): bad(f"cannot list the directory: {reason}"),
    }
    assert raised.value.errno == errno.EACCES


def test_p13_files_that_vanish_while_the_scan_runs(folder):
    """A thread that is a few rows ahead has listed names whose files then go."""
    names = {write(folder / f"{i:02}") for i in range(30)}
    rows = {}
    with scan(folder, [UID, BEHIND], threads=1, batch_size=1) as batches:
        for batch in batches:
            for name, *row in batch.rows():
                assert name not in rows
                rows[name] = tuple(row)
            for name in names:
                Path(name).unlink(missing_ok=True)
    assert rows.keys() == names
    gone = bad(words(errno.ENOENT))
    assert set(rows.values()) == {GOOD, gone}
    assert sum(row == GOOD for row in rows.values()) < 10


class Unsteady(io.BytesIO):
    """A file that changes after some reads."""

    def __init__(self, raw, reads, change):
        super().__init__(raw)
        self.reads = reads
        self.change = change

    def read(self, size=-1):
        if self.reads == 0:
            self.change(self)
        self.reads -= 1
        return super().read(size)


LONG = uid() + element(0x00091001, "OB", bytes(500_000)) + behind()


@pytest.mark.parametrize("left", [0, 100, 300_000, 500_190])
def test_p13_a_file_that_shrinks_while_it_is_read(left):
    values, error = outcome(
        Unsteady(part10(LONG), 1, lambda file: file.truncate(left)), [UID, BEHIND]
    )
    assert isinstance(error, TruncatedError)
    assert values == {UID: "1.2.3", BEHIND: None}


@pytest.mark.parametrize("reads", [1, 9])  # the header, and eight pieces of 64 KiB
def test_p13_a_file_that_shrinks_within_a_value_or_behind_it(reads):
    raw = part10(uid() + element(0x0008010E, "UR", b"a" * 500_000) + behind())
    values, error = outcome(
        Unsteady(raw, reads, lambda file: file.truncate(200_000)), [UID, "(0008,010e)", BEHIND]
    )
    assert isinstance(error, TruncatedError)
    assert values.pop("(0008,010e)") == (None if reads == 1 else "a" * 500_000)
    assert values == {UID: "1.2.3", BEHIND: None}


def test_p13_a_file_that_grows_while_it_is_read():
    def grow(file):
        at = file.tell()
        file.seek(0, io.SEEK_END)
        file.write(bytes(100_000))
        file.seek(at)

    values, error = outcome(Unsteady(part10(LONG), 1, grow), [UID, BEHIND])
    assert error is None
    assert values == {UID: "1.2.3", BEHIND: "behind"}


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, DEFLATED])
def test_p13_a_file_that_the_system_takes_away(code, syntax):
    def fail(file):
        raise OSError(code, os.strerror(code))

    data_set = uid() + element(0x00091001, "OB", random.Random(13).randbytes(500_000)) + behind()
    raw = framed(data_set, syntax)
    values, error = outcome(Unsteady(raw, 3 if syntax == DEFLATED else 1, fail), [UID, BEHIND])
    assert isinstance(error, ReadError)
    assert os.strerror(code) in str(error)
    assert error.errno == code
    assert values == {UID: "1.2.3", BEHIND: None}


def test_p13_an_interrupt_while_a_file_is_read_is_not_swallowed():
    def interrupt(file):
        raise KeyboardInterrupt

    for syntax in (EXPLICIT_LE, DEFLATED):
        with pytest.raises(KeyboardInterrupt):
            read_tags(Unsteady(framed(uid() + behind(), syntax), 0, interrupt), UID)
