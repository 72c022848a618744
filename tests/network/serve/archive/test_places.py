"""Where received objects lie: whole or not at all, whatever their UIDs say and whatever breaks."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter

import pydicom
import pytest
from pydicom.filewriter import write_file_meta_info

from dicomloom import WriteError, scan
from dicomloom.network.serve.archive.places import DUPLICATES, Places, file_head
from dicomloom.network.serve.refusal import Refusal
from dicomloom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from faults import child
from network_peers import descriptors
from objects import run
from support import DEFLATED, EXPLICIT_LE, element

CLASS = "1.2.840.10008.5.1.4.1.1.7"
HOSTILE = [
    *("../../x", "/etc/passwd", "1.2\0.3", "\0", ".", "..", "", "1" * 65, "1" * 300, "1.2\n"),
    *("1.2/3", ".1.2", "-1", "1.2 ", "\u0661.2", "1.2-1", "1.2.dcm", "%2e%2e", "~", "C:1"),
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


def begin(places, uid="1.2.3", sop_class=CLASS, syntax=EXPLICIT_LE, source="CAMERA", ours="ME"):
    return places.open(sop_class, uid, syntax, source, ours)


def store(places, uid="1.2.3", data=b"data"):
    with begin(places, uid) as incoming:
        incoming.write(data)
        return incoming.commit()


def files(folder):
    return sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, names in os.walk(folder)
        for name in names
    )


def content(path):
    """What is behind the file meta information."""
    with open(path, "rb") as file:
        data = file.read()
    head = file_head(CLASS, "1.2.3", EXPLICIT_LE, "CAMERA", "ME")
    assert data.startswith(head)
    return data[len(head) :]


def data_set(length=100):
    return element(0x00080016, "UI", CLASS.encode() + b"\0") + element(
        0x00104000, "LT", b"x" * length
    )


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34", "2.25." + "9" * 59])
def test_the_file_meta_information_is_what_pydicom_writes(uid):
    head = file_head(CLASS, uid, EXPLICIT_LE, "CAMERA", "ARCHIVE")
    expected = pydicom.dataset.FileMetaDataset()
    expected.FileMetaInformationVersion = b"\0\1"
    expected.MediaStorageSOPClassUID, expected.MediaStorageSOPInstanceUID = CLASS, uid
    expected.TransferSyntaxUID = EXPLICIT_LE
    expected.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    expected.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    expected.SourceApplicationEntityTitle = expected.SendingApplicationEntityTitle = "CAMERA"
    expected.ReceivingApplicationEntityTitle = "ARCHIVE"
    written = pydicom.filebase.DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_file_meta_info(written, expected)
    assert head == bytes(128) + b"DICM" + written.getvalue()


def test_dcmtk_reads_what_is_stored(folder):
    places = Places(folder)
    stored = store(places, data=data_set())
    assert b"(0010,4000) LT [xxx" in run("dcmdump", stored.path).stdout
    places.close()


@pytest.mark.parametrize("title", ["", "A" * 17, "A\\B", "A\nB", "\u00c4", " \0"])
def test_an_ae_title_that_is_none_is_left_out(title):
    made = pydicom.dcmread(
        pydicom.filebase.DicomBytesIO(file_head(CLASS, "1.2", EXPLICIT_LE, title, "ME"))
    )
    assert "SourceApplicationEntityTitle" not in made.file_meta
    assert made.file_meta.ReceivingApplicationEntityTitle == "ME"


def test_a_data_set_is_stored_as_it_came(folder):
    """A deflated one, too."""
    places, data = Places(folder), os.urandom(1_000_001)
    with begin(places, syntax=DEFLATED) as incoming:
        for start in range(0, len(data), 65_536):
            incoming.write(data[start : start + 65_536])
        path = incoming.commit().path
    head = file_head(CLASS, "1.2.3", DEFLATED, "CAMERA", "ME")
    with open(path, "rb") as file:
        assert file.read() == head + data
    places.close()


@pytest.mark.parametrize("uid", HOSTILE)
@pytest.mark.parametrize("which", ["uid", "sop_class", "syntax"])
def test_nothing_but_a_uid_becomes_part_of_a_path(folder, uid, which):
    places = Places(folder)
    before = files(folder.parent)
    with pytest.raises(Refusal) as caught:
        begin(places, **{which: uid})
    assert caught.value.status == {"uid": 0x0117, "sop_class": 0x0118, "syntax": 0xC000}[which]
    assert 0 < len(caught.value.comment) <= 64
    assert files(folder.parent) == before
    places.close()


@pytest.mark.parametrize("uid", ["1..2", "1.02", "1.2.", "0", "9" * 64])
def test_a_uid_that_is_nearly_one_is_taken(folder, uid):
    places = Places(folder)
    path = store(places, uid).path
    assert os.path.dirname(os.path.dirname(path)) == os.path.join(places.folder, "objects")
    assert os.path.basename(path) == f"{uid}.dcm"
    places.close()


def test_no_folder_gets_all_of_a_study():
    """However alike the UIDs are."""
    places = Places.__new__(Places)
    places.folder = "/"
    sizes = Counter(
        os.path.dirname(places.of(f"1.2.826.0.1.3680043.8.498.1.{n}")) for n in range(100_000)
    )
    assert len(sizes) == 256
    assert max(sizes.values()) < 500


@pytest.mark.parametrize(
    ("duplicates", "outcome", "contents"),
    [
        ("keep", "kept", [b"one"]),
        ("replace", "replaced", [b"two"]),
        ("version", "version", [b"two", b"one"]),
        ("reject", None, [b"one"]),
    ],
)
def test_an_object_that_is_there(folder, duplicates, outcome, contents, caplog):
    with_it = Places(folder, duplicates=duplicates)
    first = store(with_it, data=b"one")
    assert first.outcome == "new"
    if outcome is None:
        with pytest.raises(Refusal) as caught:
            store(with_it, data=b"two")
        assert caught.value.status == 0x0111
    else:
        assert store(with_it, data=b"two").outcome == outcome
    assert [content(folder / name) for name in files(folder)] == contents
    assert first.path in [str(folder / name) for name in files(folder)]
    assert ("is kept" in caplog.text) == (duplicates == "keep")
    with_it.close()


def test_a_rule_for_duplicates_that_is_none(folder):
    with pytest.raises(ValueError, match="keep, reject"):
        Places(folder, duplicates="overwrite")


@pytest.mark.parametrize("duplicates", DUPLICATES)
def test_one_object_from_many_sides(folder, duplicates):
    places, outcomes = Places(folder, duplicates=duplicates, sync=False), []

    def one(number):
        try:
            outcomes.append(store(places, data=bytes([number]) * 5000).outcome)
        except Refusal:
            outcomes.append("refused")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 20
    assert outcomes.count("new") == 1
    found = [content(folder / name) for name in files(folder)]
    assert len(found) == (20 if duplicates == "version" else 1)
    assert all(len(data) == 5000 and len(set(data)) == 1 for data in found)
    places.close()


def test_a_file_system_without_links(folder, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    places = Places(folder, duplicates="version")
    (folder / "objects" / os.path.basename(os.path.dirname(places.of("1.2.3")))).mkdir()
    outcomes = [store(places, data=data).outcome for data in (b"one", b"two", b"three")]
    assert outcomes == ["new", "version", "version"]
    assert sorted(content(folder / name) for name in files(folder)) == [b"one", b"three", b"two"]
    places.close()


def test_what_is_not_committed_leaves_nothing(folder):
    places, before = Places(folder), descriptors()
    with begin(places) as incoming:
        incoming.write(b"half")
    with pytest.raises(KeyboardInterrupt):
        with begin(places) as incoming:
            raise KeyboardInterrupt
    begin(places).discard()
    assert files(folder) == []
    assert descriptors() == before
    places.close()


def test_what_is_being_received_is_in_no_scan(folder):
    places = Places(folder)
    store(places, data=data_set())
    with begin(places, "1.2.4") as incoming:
        incoming.write(data_set())
        names = [name for batch in scan(folder / "objects") for name in batch.column("Filename")]
    assert [os.path.basename(name) for name in names] == ["1.2.3.dcm"]
    places.close()


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_disk_that_fails_at_the_end_is_told(folder, call, monkeypatch):
    """W4, W10: success is for what is safely there."""
    places = Places(folder)
    incoming = begin(places)

    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(WriteError, match="Input/output") as caught:
        incoming.commit()
    assert caught.value.errno == errno.EIO
    assert files(folder) == []
    places.close()


def test_a_full_disk(folder):
    """A file-size limit stands for it; the object that was there is as it was."""
    places = Places(folder)
    store(places, data=b"one")
    places.close()
    done = child(
        """
        import resource, signal, sys
        from dicomloom import WriteError
        from dicomloom.network.serve.archive.places import Places
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        places = Places(sys.argv[1], duplicates="replace")
        try:
            with places.open("1.2", "1.2.3", "1.2.840.10008.1.2.1", "A", "B") as incoming:
                for _ in range(10):
                    incoming.write(bytes(30_000))
                incoming.commit()
        except WriteError as error:
            print(error.errno, error.path)
        """,
        folder,
    )
    assert done.stdout.split() == [str(errno.EFBIG), places.of("1.2.3")], done.stderr
    assert [content(folder / name) for name in files(folder)] == [b"one"]


def test_kill_9_while_storing(folder):
    """W1: under the final names there is nothing half, and the next start clears up."""
    script = """
    import sys, threading
    from dicomloom.network.serve.archive.places import Places
    places = Places(sys.argv[1], sync=False)
    def forever(number):
        for each in range(2_000):
            with places.open("1.2", f"1.2.{number}.{each}", "1.2", "A", "B") as incoming:
                for _ in range(8):
                    incoming.write(b"x" * 1_000)
                incoming.commit()
            if number == 0 and each == 20:
                print("going", flush=True)
    for number in range(3):
        threading.Thread(target=forever, args=(number,)).start()
    """
    for _ in range(3):
        command = [sys.executable, "-c", textwrap.dedent(script), str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout.readline() == b"going\n"
            finally:
                process.send_signal(signal.SIGKILL)
        whole = len(file_head("1.2", "1.2.0.1", "1.2", "A", "B")) + 8_000
        stored = [name for name in files(folder) if name.startswith("objects")]
        assert len(stored) > 20
        assert all(whole <= os.path.getsize(folder / name) <= whole + 8 for name in stored)
        assert all(os.path.getsize(folder / name) % 2 == 0 for name in stored)
    places = Places(folder)
    assert os.listdir(folder / ".incoming") == []
    places.close()


def test_two_servers_do_not_share_a_folder(folder):
    places = Places(folder)
    with begin(places) as incoming:
        with pytest.raises(WriteError, match="another server"):
            Places(folder)
        incoming.write(b"all of it")
        incoming.commit()
    places.close()
    places.close()
    Places(folder).close()
    assert [content(folder / name) for name in files(folder)] == [b"all of it"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        Places(tmp_path / "file" / "archive")
