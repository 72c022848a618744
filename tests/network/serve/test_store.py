"""C-STORE: what arrives is what was sent, whole or not at all, where it belongs."""

import json
import logging
import resource
import subprocess
import threading
import urllib.request
from contextlib import contextmanager

import pydicom
import pytest
from pydicom.filereader import _read_file_meta_info, read_preamble

from dicomloom.network.serve.archive.places import Places
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.store import Storage
from find_peers import orthanc
from network_peers import certificate, free_port, p_data
from objects import run
from serve_peers import (
    CT,
    IMPLICIT_CT,
    Raw,
    command_set,
    echoes,
    listening,
    serving,
    small,
    store_rq,
    stored,
    ui,
    us,
)
from support import element, manifest, peer


@contextmanager
def storing(folder, *, duplicates="keep", arrived=None, **limits):
    places = Places(folder, duplicates=duplicates, sync=False)
    try:
        with listening(Storage(places, arrived, **limits)) as (listener, ends):
            yield listener, ends
    finally:
        places.close()


def objects_of(corpus):
    """Class, instance, syntax and data set of the corpus's files that say them."""
    for row in manifest(corpus):
        path = corpus / row["file"]
        if row["kind"] != "part10" or path.stat().st_size > 8 << 20:
            continue
        with path.open("rb") as file:
            try:
                read_preamble(file, False)
                meta = _read_file_meta_info(file)
                own = pydicom.dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
                # They are not always the same.
                uids = (
                    own.get("SOPClassUID") or meta.MediaStorageSOPClassUID,
                    own.get("SOPInstanceUID") or meta.MediaStorageSOPInstanceUID,
                )
                syntax = meta.TransferSyntaxUID
            except (
                AttributeError,
                ValueError,
                NotImplementedError,
                pydicom.errors.InvalidDicomError,
            ):
                continue
            if all(one and one[0].isdigit() and len(one) <= 64 for one in (*uids, syntax)):
                yield path, *map(str, uids), str(syntax), file.read()


def test_all_of_the_corpus_arrives_byte_by_byte(tmp_path, corpus):
    arrivals = []
    found = list(objects_of(corpus))
    pairs = sorted({(sop_class, syntax) for _, sop_class, _, syntax, _ in found})
    assert len(found) > 350
    assert {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"} <= {syntax for _, syntax in pairs}
    with storing(tmp_path, duplicates="version", arrived=arrivals.append) as (listener, _):
        for at in range(0, len(pairs), 128):
            part = pairs[at : at + 128]
            contexts = {pair: 2 * number + 1 for number, pair in enumerate(part)}
            with Raw(listener.port) as raw:
                answered = raw.associate(
                    *((number, uid, [syntax]) for (uid, syntax), number in contexts.items())
                )
                for path, sop_class, uid, syntax, data in found:
                    number = contexts.get((sop_class, syntax))
                    if number is None or answered[number][0]:
                        continue
                    raw.store(uid, data, context=number, sop_class=sop_class)
                    assert raw.status() == 0, path
                    arrival = arrivals.pop()
                    with open(arrival.path, "rb") as file:
                        read_preamble(file, False)
                        meta = _read_file_meta_info(file)
                        assert file.read() == data, path
                    assert meta.TransferSyntaxUID == arrival.transfer_syntax == syntax
                    assert meta.MediaStorageSOPInstanceUID == arrival.sop_instance == uid
                    assert meta.MediaStorageSOPClassUID == arrival.sop_class == sop_class
                    assert (meta.SourceApplicationEntityTitle, arrival.size) == ("TEST", len(data))
                assert raw.release() == 6
    assert not [name for name in stored(tmp_path) if name.endswith(".partial")]


@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_senders_of_dcmtk(tmp_path, corpus, program):
    folder = corpus / "pydicom__pydicom/src/pydicom/data/test_files"
    files = [folder / "CT_small.dcm", folder / "MR_small.dcm"]
    with serving(tmp_path) as (server, ends):
        run(program, "127.0.0.1", str(server.port), *files)
        assert ends.wait() == ("released", "")
    assert len(stored(tmp_path)) == 2


def test_over_tls_from_dcmtk(tmp_path, corpus):
    cert, key = certificate(tmp_path, "server")
    path = corpus / "pydicom__pydicom/src/pydicom/data/test_files/CT_small.dcm"
    with serving(tmp_path / "held", tls_cert=str(cert), tls_key=str(key)) as (server, ends):
        run("storescu", "+tla", "-ic", "127.0.0.1", str(server.port), path)
        assert ends.wait() == ("released", "")
    assert len(stored(tmp_path / "held")) == 1


def test_orthanc_sends_to_us(tmp_path, corpus):
    with serving(tmp_path / "ours") as (server, _):
        modality = {"us": ["DICOMLOOM", "127.0.0.1", server.port]}
        http = free_port()
        settings = {
            "HttpServerEnabled": True,
            "HttpPort": http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalities": modality,
        }
        with orthanc(tmp_path, corpus, **settings):
            base = f"http://127.0.0.1:{http}"
            with urllib.request.urlopen(f"{base}/studies", timeout=10) as answer:
                studies = json.load(answer)
            body = json.dumps({"Resources": studies}).encode()
            with urllib.request.urlopen(f"{base}/modalities/us/store", body, timeout=30) as answer:
                assert json.load(answer)["FailedInstancesCount"] == 0
            with urllib.request.urlopen(f"{base}/instances", timeout=10) as answer:
                count = len(json.load(answer))
    assert len(stored(tmp_path / "ours")) == count > 5


HOSTILE = [
    *(b"../../x", b"/etc/passwd", b"1.2\0", b"1.2\0/../../x", b".", b"..", b"", b"1" * 300),
    *(b"1.2\n", b"1.2/3", b"1.2\\3", b"$(id)", "１.２".encode(), b"-rf", b"1.2 3", b"a.b"),
]


@pytest.mark.parametrize("uid", HOSTILE)
def test_hostile_instances_are_refused_and_nothing_is_written(tmp_path, uid, caplog):
    with storing(tmp_path) as (listener, _), Raw(listener.port) as raw:
        before = sorted(tmp_path.rglob("*"))
        raw.associate(IMPLICIT_CT)
        raw.store(uid, small("1.2"))
        # A NUL is padding (PS3.5 9.1).
        expected = 0 if uid == b"1.2\0" else 0x0117
        assert raw.status() == expected
        raw.store("1.2.3.4", small(), number=2)
        assert raw.status() == 0  # and the association goes on
        made = set(tmp_path.rglob("*")) - set(before)
        assert {path.name for path in made if path.is_file()} == {"1.2.3.4.dcm"} | (
            {"1.2.dcm"} if expected == 0 else set()
        )
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_the_class_has_to_be_that_of_the_context(tmp_path):
    with storing(tmp_path) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", small(), sop_class="1.2.840.10008.5.1.4.1.1.4")
        assert raw.status() == 0x0122
        raw.send(
            p_data(
                command_set(
                    *(ui(2, CT), us(0x100, 1), us(0x110, 1), us(0x800, 0x101), ui(0x1000, "1.2"))
                )
            )
        )
        assert raw.status() == 0xC000  # no data set
    assert stored(tmp_path) == []


@pytest.mark.parametrize(
    ("duplicates", "status", "names", "left"),
    [
        ("keep", 0, ["1.2.3.4.dcm"], 10),
        ("reject", 0x0111, ["1.2.3.4.dcm"], 10),
        ("replace", 0, ["1.2.3.4.dcm"], 20),
        ("version", 0, ["1.2.3.4-1.dcm", "1.2.3.4.dcm"], 10),
    ],
)
def test_an_object_that_is_there_already(tmp_path, duplicates, status, names, left):
    with storing(tmp_path, duplicates=duplicates) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", small(size=10))
        assert raw.status() == 0
        raw.store("1.2.3.4", small(size=20), number=2)
        assert raw.status() == status
    assert stored(tmp_path) == names
    path = next(tmp_path.rglob("1.2.3.4.dcm"))
    assert path.read_bytes().endswith(small(size=left))


def test_an_object_that_is_too_large(tmp_path):
    with storing(tmp_path, max_object=100_000) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", small(size=2_000_000))
        assert raw.status() == 0xA700
        raw.store("1.2.3.5", small("1.2.3.5", size=50_000), number=2)
        assert raw.status() == 0
    assert stored(tmp_path) == ["1.2.3.5.dcm"]


def test_a_disk_with_too_little_room_is_told_before_anything_is_written(tmp_path):
    with storing(tmp_path, min_free=1 << 60) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", small(size=100_000))
        answer = raw.response()
        assert answer[0x0900] == 0xA700
        assert answer[0x0902].strip() == b"the disk is as full as it may be"
        assert echoes(listener.port)
    assert stored(tmp_path) == []


def test_a_disk_that_becomes_full(tmp_path):
    with storing(tmp_path) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            raw.store("1.2.3.4", small(size=1_000_000))
            assert raw.status() == 0xA700
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        raw.store("1.2.3.4", small(size=1_000_000), number=2)
        assert raw.status() == 0
    assert stored(tmp_path) == ["1.2.3.4.dcm"]


def test_a_peer_that_is_killed_leaves_nothing(tmp_path):
    with storing(tmp_path) as (listener, ends):
        with Raw(listener.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.send(p_data(store_rq("1.2.3.4")))
            for _ in range(20):
                raw.send(p_data(bytes(10_000), control=0))
        assert ends.wait()[0] == "aborted"
        assert stored(tmp_path) == []


def test_many_at_once_each_whole(tmp_path):
    with storing(tmp_path) as (listener, ends):

        def send(number):
            with Raw(listener.port) as raw:
                raw.associate(IMPLICIT_CT)
                for one in range(20):
                    uid = f"1.2.{number}.{one}"
                    raw.store(uid, small(uid, size=1000 * number), number=one)
                    assert raw.status() == 0
                assert raw.release() == 6

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ends.wait(8)
    assert [ending for ending, _ in ends] == ["released"] * 8
    assert len(stored(tmp_path)) == 160


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (small("1.2.3.5"), 0xA900),
        (small(sop_class="1.2.840.10008.5.1.4.1.1.4"), 0xA900),
        (small()[:20], 0xC000),
        # Behind the meta information of the file it would be part of it.
        (element(0x00020010, None, b"1.2.840.10008.1.2.2\0") + small(), 0xC000),
        (small()[60:], 0),  # without UIDs of its own it is taken as it is
    ],
)
def test_a_data_set_that_is_not_what_the_request_says(tmp_path, data, status):
    with storing(tmp_path) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", data)
        assert raw.status() == status
        raw.store("1.2.3.4", small(), number=2)
        assert raw.status() == 0
    assert stored(tmp_path) == ["1.2.3.4.dcm"]


def test_who_uses_the_service_may_refuse(tmp_path):
    def full(arrival):
        raise Refusal(0xA701, "no more")

    with storing(tmp_path, arrived=full) as (listener, _), Raw(listener.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3.4", small())
        assert raw.status() == 0xA701


def test_no_patient_data_in_the_log(tmp_path, caplog, corpus):
    caplog.set_level(logging.INFO)
    folder = corpus / "pydicom__pydicom/src/pydicom/data/test_files"
    with serving(tmp_path, duplicates="keep") as (server, ends):
        for _ in range(2):
            run("storescu", "127.0.0.1", str(server.port), folder / "CT_small.dcm")
        command = [
            peer("findscu"),
            "-S",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            "PatientName=Comp*",
        ]
        subprocess.run([*command, "127.0.0.1", str(server.port)], check=True, capture_output=True)
        ends.wait(3)
    assert caplog.records
    assert "CompressedSamples" not in caplog.text
    assert "Comp*" not in caplog.text
