"""The report of a sending: what it says is left out, whatever a crash made of its end."""

import errno
import json
import os
import tempfile

import pytest

from dicomloom import CorruptError, ReadError, WriteError
from dicomloom.network.send import Sent
from dicomloom.network.sending.journal import Journal
from dicomloom.network.sending.outgoing import Outgoing
from faults import child

NODE = "PACS@127.0.0.1:104"


def item(number, path=None):
    return Outgoing(path or f"/data/{number}.dcm", "1.2", f"1.2.3.{number}", "1.2.840.10008.1.2")


def sent(number, outcome="sent"):
    return Sent(outcome, f"/data/{number}.dcm", "1.2", f"1.2.3.{number}", 0)


def write(path, *numbers):
    with Journal(str(path), NODE) as journal:
        for number in numbers:
            journal.add(sent(number))
    return path


def known(path, count=4, node=NODE):
    with Journal(str(path), node) as journal:
        return [number for number in range(1, count + 1) if journal.has(item(number))]


def test_a_line_an_object(tmp_path):
    path = tmp_path / "report"
    with Journal(str(path), NODE) as journal:
        assert not journal.has(item(1))
        journal.add(sent(1))
        # Each is there at once, whatever comes after.
        assert json.loads(path.read_text()) == {"node": NODE} | sent(1)._asdict()
        journal.add(sent(2, "failed"))
        journal.add(sent(3, "warned"))
    assert known(path) == [1, 3]
    assert len(path.read_text().splitlines()) == 3


def test_an_object_is_a_file_and_its_uid(tmp_path):
    path = write(tmp_path / "report", 1)
    with Journal(str(path), NODE) as journal:
        assert journal.has(item(1))
        assert not journal.has(item(1, "/elsewhere.dcm"))
        assert not journal.has(item(2, "/data/1.dcm"))


def test_a_name_that_is_no_utf8(tmp_path):
    name = os.fsdecode(b"/data/\xff\xfe.dcm")
    path = tmp_path / "report"
    with Journal(str(path), NODE) as journal:
        journal.add(Sent("sent", name, "1.2", "1.2.3.1", 0))
    with Journal(str(path), NODE) as journal:
        assert journal.has(item(1, name))


def test_a_crash_at_every_byte_of_the_last_line(tmp_path):
    path = write(tmp_path / "report", 1, 2)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        assert known(path) == [1]
        # Opened again, and again after more was added.
        write(path, 3)
        assert known(path) == [1, 3]
        assert path.read_bytes().startswith(whole[:first])
        assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    "content",
    [
        b"Filename,Status\n/data/1.dcm,OK\n",
        b"no line's end",
        b"\0" * 3_000_000,
        b"\n",
        b"[]\n",
        b"7\n",
        b'{"node": 1}\n',
        b'{"node": "PACS@127.0.0.1:104", "outcome": "sent", "path": []}\n',
        b'{"node": "PACS@127.0.0.1:104", "outcome": "sent", "path": "a", "SOPInstanceUID": {}}\n',
    ],
)
def test_a_file_that_is_another(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="line 1 is none of a report") as caught:
        Journal(str(path), NODE)
    assert caught.value.path == str(path)
    assert path.read_bytes() == content


def test_a_report_of_another_node(tmp_path):
    path = write(tmp_path / "report", 1)
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="line 1 is of PACS@127.0.0.1:104, not OTHER@host:104"):
        known(path, node="OTHER@host:104")
    assert path.read_bytes() == before


def test_a_report_that_cannot_be_read_or_made(tmp_path):
    with pytest.raises(ReadError, match="directory"):
        Journal(str(tmp_path), NODE)
    with pytest.raises(WriteError, match="No such file"):
        Journal(str(tmp_path / "no" / "report"), NODE)


AS_NOBODY = """
    import os, sys
    from dicomloom import WriteError
    from dicomloom.network.sending.journal import Journal
    import json
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)  # root may write everywhere
    try:
        Journal(sys.argv[1], sys.argv[2])
    except WriteError as error:
        print(error.errno, error.path == sys.argv[1])
    """


def test_a_report_that_is_read_only():
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        os.chmod(name, 0o755)
        path = os.path.join(name, "report")
        write(path, 1)
        os.chmod(path, 0o444)
        assert child(AS_NOBODY, path, NODE).stdout.split() == [str(errno.EACCES), "True"]
        assert known(path) == [1]


def test_a_full_disk():
    with pytest.raises(CorruptError):  # what can be read of that device has no end
        Journal("/dev/full", NODE)
