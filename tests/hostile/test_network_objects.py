"""N10 to N13, P11: large, deflated, known and numerous objects, through the server."""

import hashlib
import os
import re
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest

import dicomloom
from dicomloom.network.retrieving import planning
from dicomloom.network.serve.archive.query import find_question
from faults import child
from mpps_peers import MPPS
from network_peers import p_data
from retrieve_peers import FIND, GET, message, object_of
from serve_peers import (
    CT,
    IMPLICIT_CT,
    Raw,
    echoes,
    elements,
    serve_process,
    serving,
    small,
    state_of,
    store_rq,
    stored,
)
from store_peers import bytes_of
from support import DEFLATED, EXPLICIT_LE, PRINT_PEAK, element, long_run, part10

STUDY, SERIES = "1.2.3", "1.2.3.1"
JPEG = "1.2.840.10008.1.2.4.50"
COMMITMENT = "1.2.840.10008.1.20.1"
C_CANCEL, C_GET = 0x0FFF, 0x0010


def _large(path, size):
    """An encapsulated object of so many bytes, no two MiB of them alike; what its SHA-256 is."""
    head = b"".join(
        element(tag, vr, value + b"\0" * (len(value) % 2))
        for tag, vr, value in (
            *((0x00080016, "UI", CT.encode()), (0x00080018, "UI", b"1.2.3.4")),
            *((0x0020000D, "UI", STUDY.encode()), (0x0020000E, "UI", SERIES.encode())),
        )
    )
    start = element(0x7FE00010, "OB", length=0xFFFFFFFF) + element(0xFFFEE000, None)
    block, digest = os.urandom(1 << 20), hashlib.sha256()
    with path.open("wb") as file:
        file.write(part10(b"", JPEG))

        def write(data):
            file.write(data)
            digest.update(data)

        write(head + start)
        for number in range(size >> 26):
            write(element(0xFFFEE000, None, length=64 << 20))
            for part in range(64):
                write(struct.pack("<LL", number, part) + block[8:])
        write(element(0xFFFEE0DD, None))
    return digest.digest()


def _digest_of(path):
    """SHA-256 of a file's data set, which is found as PS3.10 7.1 has it."""
    with open(path, "rb") as file:
        head = file.read(144)
        file.seek(144 + struct.unpack_from("<L", head, 140)[0])
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


SEND = (
    """
import sys, dicomloom
report = dicomloom.send(sys.argv[1], sys.argv[2])
assert len(report.succeeded) == 1, report
"""
    + PRINT_PEAK
)
RETRIEVE = (
    """
import sys, dicomloom
report = dicomloom.retrieve(sys.argv[1], sys.argv[2], StudyInstanceUID="1.2.3", sync=False)
assert report.complete and report.count == 1, report
"""
    + PRINT_PEAK
)


def test_n10_a_large_object_goes_in_and_out_in_bounded_memory_byte_by_byte(tmp_path):
    """256 MiB (4.1 GiB in a long run): no process has above 128 MiB, all bytes are equal."""
    size = (4 << 30) + (128 << 20) if long_run() else 256 << 20
    wanted = _large(tmp_path / "one.dcm", size)
    with serve_process(tmp_path, "--no-fsync") as (started, port, _):
        node = f"DICOMLOOM@127.0.0.1:{port}"
        sent = child(SEND, node, tmp_path / "one.dcm", timeout=900)
        assert sent.returncode == 0, sent.stderr
        (tmp_path / "one.dcm").unlink()
        (held,) = (tmp_path / "held").rglob("*.dcm")
        assert held.stat().st_size > size
        assert _digest_of(held) == wanted
        got = child(RETRIEVE, node, tmp_path / "out", timeout=900)
        assert got.returncode == 0, got.stderr
        with open(f"/proc/{started.pid}/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    (came,) = (tmp_path / "out").rglob("*.dcm")
    assert _digest_of(came) == wanted
    peaks = [int(sent.stdout.split()[-1]), int(got.stdout.split()[-1]), peak]
    assert all(one < 128 << 10 for one in peaks), peaks


def test_n10_no_request_fills_the_disk(tmp_path):
    """Objects, requests for commitment and steps: refused where less is free than has to stay."""
    step = element(0x00400252, "CS", b"IN PROGRESS ")
    reference = element(0x00081150, "UI", CT.encode() + b"\0") + element(0x00081155, "UI", b"1.2\0")
    item = element(0xFFFEE000, None, reference)
    asked = element(0x00081195, "UI", b"1.9\0") + element(0x00081199, "SQ", item)
    known = b"1.2.840.10008.1.20.1.1"
    with serving(tmp_path / "a", mpps=tmp_path / "steps", min_free=1 << 62) as (server, _):
        with Raw(server.port) as raw:
            raw.associate(
                *((1, CT, [EXPLICIT_LE]), (3, MPPS, [EXPLICIT_LE])), (5, COMMITMENT, [EXPLICIT_LE])
            )
            raw.store("1.2.3", object_of("1.2.3"))
            assert raw.status() == 0xA700
            uid = MPPS.encode() + b"\0" * (len(MPPS) % 2)
            raw.send(message(3, 0x0140, step, x0002=uid, x0110=1, x1000=b"1.2\0"))
            assert raw.status() == 0x0213
            raw.send(message(3, 0x0120, step, x0003=uid, x0110=2, x1001=b"1.2\0"))
            assert raw.status() == 0x0213
            uid = COMMITMENT.encode() + b"\0" * (len(COMMITMENT) % 2)
            raw.send(message(5, 0x0130, asked, x0003=uid, x0110=3, x1001=known, x1008=1))
            assert raw.status() == 0x0213
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".dcm", ".json")]


def test_p11_what_comes_over_the_network_has_an_empty_preamble(tmp_path):
    """A program in the preamble of what is sent stays behind; nobody can send one (PS3.10 7.1)."""
    path = tmp_path / "one.dcm"
    data = object_of("1.2.3.4", study=STUDY, series=SERIES)
    path.write_bytes(part10(data, EXPLICIT_LE, preamble=b"MZ\x90\0".ljust(128, b"\x90")))
    with serving(tmp_path / "held") as (server, _):
        node = f"ANY@127.0.0.1:{server.port}"
        assert len(dicomloom.send(node, path).succeeded) == 1
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store("1.2.3.5", b"MZ\x90\0" * 32 + b"DICM" + small("1.2.3.5", study=STUDY))
            assert raw.status() & 0xF000 in (0xA000, 0xC000)
        report = dicomloom.retrieve(node, tmp_path / "out", StudyInstanceUID=STUDY)
    (arrived,) = report.arrived
    (held,) = (tmp_path / "held").rglob("*.dcm")
    for file in (held, Path(arrived.path)):
        assert file.read_bytes()[:132] == bytes(128) + b"DICM"
        assert bytes_of(file) == data


@pytest.mark.parametrize("odd", [0, 1])
def test_n11_a_deflated_object_stays_as_it_is(tmp_path, odd):
    """Through send, serve and retrieve: the deflated bytes, padded where their number is odd."""
    for number in range(100):
        raw = object_of("1.2.3.4", bytes(number * 2) + os.urandom(500), study=STUDY, series=SERIES)
        deflater = zlib.compressobj(number % 9 + 1, wbits=-zlib.MAX_WBITS)
        data = deflater.compress(raw) + deflater.flush()
        if len(data) % 2 == odd:
            break
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(data, DEFLATED))
    with serving(tmp_path / "held") as (server, _):
        node = f"ANY@127.0.0.1:{server.port}"
        assert len(dicomloom.send(node, path).succeeded) == 1
        report = dicomloom.retrieve(node, tmp_path / "out", StudyInstanceUID=STUDY)
    (arrived,) = report.arrived
    assert arrived.transfer_syntax == DEFLATED
    (held,) = (tmp_path / "held").rglob("*.dcm")
    assert bytes_of(held) == bytes_of(arrived.path) == data + b"\0" * odd
    assert zlib.decompress(bytes_of(arrived.path), -zlib.MAX_WBITS).startswith(raw)


@pytest.mark.parametrize(
    ("duplicates", "status", "files"),
    [
        ("keep", 0x0000, {"1.2.3.4.dcm": 0}),
        ("reject", 0x0111, {"1.2.3.4.dcm": 0}),
        ("version", 0x0000, {"1.2.3.4.dcm": 0, "1.2.3.4-1.dcm": 1}),
        ("replace", 0x0000, {"1.2.3.4.dcm": 1}),
    ],
)
def test_n12_an_object_that_is_there_is_whole_at_every_moment(tmp_path, duplicates, status, files):
    """While another comes, when that is cut off, and when it has come: the old or the new one."""
    first, second = small("1.2.3.4", size=200_000), small("1.2.3.4", size=300_000, patient="P2")
    with serving(tmp_path, duplicates=duplicates) as (server, ends):

        def held():
            """Data sets by name; the first is what it was."""
            return {path.name: bytes_of(path) for path in tmp_path.rglob("*.dcm")}

        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store("1.2.3.4", first)
            assert raw.status() == 0
            raw.send(p_data(store_rq("1.2.3.4")))
            for at in range(0, 160_000, 16_000):
                raw.send(p_data(second[at : at + 16_000], control=0))
                assert held() == {"1.2.3.4.dcm": first}
        ends.wait()
        assert stored(tmp_path) == ["1.2.3.4.dcm"]
        assert held() == {"1.2.3.4.dcm": first}
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store("1.2.3.4", second)
            assert raw.status() == status
        ends.wait(2)
        assert held() == {name: (first, second)[which] for name, which in files.items()}
    assert not [name for name in stored(tmp_path) if name.endswith(".partial")]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """An archive with a series of very many instances, and one beside it; how many."""
    count = 1_000_000 if long_run() else 20_000
    folder = tmp_path_factory.mktemp("crowd")
    for number in range(256):
        (folder / "held" / "objects" / f"{number:02x}").mkdir(parents=True)
    for number in range(count + 10):
        uid = f"1.2.5.{number}"
        series = STUDY if number < count else f"{STUDY}.9"
        path = folder / "held" / "objects" / f"{number % 256:02x}" / f"{uid}.dcm"
        path.write_bytes(part10(object_of(uid, b"", study=series, series=f"{series}.1")))
    with serve_process(folder, "--no-fsync", "--idle-timeout", "300") as (started, port, _):
        echoes(port)
        yield started, port, count


def _peak(process):
    with open(f"/proc/{process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def test_n13_all_instances_of_a_crowded_study_are_found_in_bounded_memory(crowd):
    """C-FIND at IMAGE level gives 20,000 (a million in a long run), each once."""
    started, port, count = crowd
    node = dicomloom.Node(f"ANY@127.0.0.1:{port}", timeout=60)
    few = {"StudyInstanceUID": f"{STUDY}.9", "SeriesInstanceUID": f"{STUDY}.9.1"}
    assert len(list(dicomloom.find(node, "IMAGE", few))) == 10
    before, seen = _peak(started), bytearray(count)
    keys = element(0x00080018, "UI") + element(0x00080052, "CS", b"IMAGE ")
    keys += element(0x0020000D, "UI", b"1.2.3\0") + element(0x0020000E, "UI", b"1.2.3.1\0")
    with Raw(port) as raw:
        raw.associate((1, FIND, [EXPLICIT_LE]))
        raw.connection.settimeout(60)
        raw.send(message(1, 0x20, keys, x0002=FIND.encode() + b"\0", x0110=1, x0700=0))
        while elements(raw.read_pdu()[12:])[0x0900] == 0xFF00:
            seen[int(re.search(rb"1\.2\.5\.(\d+)", raw.read_pdu())[1])] += 1
    assert seen == b"\1" * count
    assert _peak(started) - before < 16 << 10
    (study,) = dicomloom.find(node, "STUDY", {"StudyInstanceUID": STUDY})
    assert study.NumberOfStudyRelatedInstances == count


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_n13_questions_are_looked_up_and_not_searched(crowd, tmp_path, level):
    """By unique keys no table is read through, however much there is: SQLite says so."""
    from pydicom import Dataset

    asked = Dataset()
    asked.StudyInstanceUID, asked.QueryRetrieveLevel = STUDY, level
    asked.NumberOfStudyRelatedInstances = None
    if level != "STUDY":
        asked.SeriesInstanceUID = SERIES
    if level == "IMAGE":
        asked.SOPInstanceUID = ""
    question = find_question("1.2.840.10008.5.1.4.1.2.2.1", level, asked, False)
    started, _, _ = crowd
    (index,) = [one for one in _open_files(started.pid) if one.endswith("index.sqlite")]
    with sqlite3.connect(f"file:{index}?mode=ro", uri=True) as database:
        plan = database.execute(f"EXPLAIN QUERY PLAN {question.sql}", question.values).fetchall()
    database.close()
    steps = [row[3] for row in plan]
    assert steps
    assert not [one for one in steps if one.startswith("SCAN")], steps


def _open_files(process_id):
    folder = f"/proc/{process_id}/fd"
    return {os.readlink(f"{folder}/{name}") for name in os.listdir(folder)}


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_n13_beyond_what_is_named_instances_are_counted(crowd, monkeypatch, level):
    """retrieve leaves the question, by C-CANCEL, and knows how many are to come of the peer."""
    monkeypatch.setattr(planning, "_MOST_EXPECTED", 100)
    _, port, count = crowd
    node = dicomloom.Node(f"ANY@127.0.0.1:{port}", timeout=60)
    keys = {"StudyInstanceUID": STUDY}
    (errand,) = planning.errands(node, planning.Wish.of("study", level, keys))
    assert (errand.level, errand.expected, errand.count) == (level, None, count)


def test_n13_a_crowded_study_is_planned_and_comes_in_bounded_memory(crowd, tmp_path):
    """retrieve knows what is to come; C-GET begins at once, and a cancel ends it."""
    started, port, count = crowd
    before = _peak(started)
    script = """
        import contextlib, sys, dicomloom
        keys = {"StudyInstanceUID": "1.2.3"}
        each = dicomloom.retrieve_each(sys.argv[1], sys.argv[2], keys, sync=False)
        came = 0
        with contextlib.closing(each):
            for one in each:
                came += 1
                if came == 200:
                    break
        print(came)
    """
    done = child(script, f"ANY@127.0.0.1:{port}", tmp_path / "out", timeout=600)
    assert done.stdout.split() == ["200"], done.stderr
    assert len([*(tmp_path / "out").rglob("*.dcm")]) >= 200
    assert _peak(started) - before < 32 << 10
    assert echoes(port)
    with Raw(port) as raw:
        raw.associate((1, GET, [EXPLICIT_LE]))
        asked = element(0x00080052, "CS", b"STUDY ") + element(0x0020000D, "UI", b"1.2.3\0")
        raw.send(message(1, C_GET, asked, x0002=GET.encode() + b"\0", x0110=1, x0700=0))
        raw.connection.settimeout(60)
        # It has no context for what there is: all would fail, one by one.
        remaining = elements(raw.read_pdu()[12:])[0x1020]
        assert remaining == min(count - 1, 0xFFFF)
        raw.send(message(1, C_CANCEL, x0120=1))
        while (answer := elements(raw.read_pdu()[12:]))[0x0900] == 0xFF00:
            pass
        assert answer[0x0900] in (0xFE00, 0xA702)
    assert state_of(started.pid)[1] < 20
