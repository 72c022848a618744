"""Objects at a node: DCMTK's, Orthanc's, pynetdicom's and our own get what is in the files."""

import json
import os
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from pydicom.uid import AllTransferSyntaxes

import dicomloom
from dicomloom import Node
from dicomloom.network import command as commands
from dicomloom.network.send import SendOptions, send, send_each
from dicomloom.network.sending.outgoing import Selection
from faults import child
from find_peers import orthanc
from network_peers import descriptors, fake, free_port, program, storescp
from store_peers import (
    SECONDARY_CAPTURE,
    Message,
    answer_to,
    bytes_of,
    contexts_of,
    data_set,
    keep,
    objects,
    store,
    take_association,
    uid_of,
)
from support import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, PRINT_PEAK, part10

TEST_FILES = "pydicom__pydicom/src/pydicom/data/test_files"
CT = "1.2.840.10008.5.1.4.1.1.2"


def node(port, **more):
    return Node(f"STORE@127.0.0.1:{port}", calling_ae_title="ME", **{"timeout": 10, **more})


def to(port, paths, **options):
    return send(node(port), paths, **{"backoff": 0.01, **options})


def held(folder):
    """Data sets in a folder of files, by UID."""
    made = {}
    for path in filter(Path.is_file, Path(folder).rglob("*")):
        uid = pydicom.dcmread(path, force=True, stop_before_pixels=True).SOPInstanceUID
        made.setdefault(str(uid), set()).add(bytes_of(path))
    return made


def padded(data):
    return data + b"\0" * (len(data) % 2)


@pytest.fixture(scope="module")
def sendable(corpus):
    """What of the corpus is an object."""
    return [item for item in Selection([corpus]) if not item.fault]


@pytest.fixture(scope="module")
def everything(corpus, sendable):
    """What pynetdicom's SCP gets when the corpus is sent to it, and the report."""
    with store(classes={item.sop_class for item in sendable}) as (port, seen):
        report = to(port, corpus, jobs=3, transcode=False)
    return report, seen


def test_all_of_the_corpus_as_it_is(everything, sendable):
    report, seen = everything
    assert len(sendable) > 250
    assert len(seen) == len(report.succeeded)
    assert {one.path for one in report.succeeded + report.failed} >= {i.path for i in sendable}
    expected = sorted((one.SOPInstanceUID, padded(bytes_of(one.path))) for one in report.succeeded)
    assert sorted(seen) == expected
    assert report.bytes == sum(len(bytes_of(one.path)) for one in report.succeeded)


def test_what_of_the_corpus_is_left_out_says_why(everything, sendable):
    report, _ = everything
    paths = {item.path for item in sendable}
    wrong = [one for one in report.failed if one.path in paths]
    # Transfer syntaxes that pynetdicom does not have, and two files that are in another one than
    # they say; a SOP class that it does not take for one of storage, whatever it accepted before.
    assert {one.error for one in wrong} == {"NoAcceptedContext", "AssociationAborted"}
    aborted = {one.SOPClassUID for one in wrong if one.error == "AssociationAborted"}
    assert aborted == {"1.2.840.10008.5.1.4.1.1.6"}
    assert len(wrong) < 12
    assert all(one.error == "ReadError" for one in report.failed if one.path not in paths)
    assert not any("DICOMDIR" in one.path for one in report.succeeded)


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, []),
        ({"TCP_NODELAY": "1"}, ["--fork"]),
        ({}, ["--max-pdu", "4096", "-aet", "STORE"]),
    ],
    ids=["plain", "fork", "small PDUs"],
)
def test_storescp_has_the_bytes(corpus, tmp_path, monkeypatch, environment, options):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    source = corpus / TEST_FILES
    with storescp(tmp_path, "+xa", "+B", "+uf", *options) as port:
        report = to(port, source, jobs=2)
    got = held(tmp_path)
    unchanged = 0
    for one in report.succeeded:
        original = padded(bytes_of(one.path))
        syntax = pydicom.dcmread(one.path, force=True, stop_before_pixels=True).file_meta.get(
            "TransferSyntaxUID", IMPLICIT_LE
        )
        if one.transfer_syntax == syntax:
            unchanged += 1
            assert original in got[one.SOPInstanceUID], one.path
    assert unchanged > 90


def test_dcmrecv(corpus, tmp_path):
    """A receiver that is configured by a file, as DCMTK's newer programs are."""
    settings = tmp_path / "recv.cfg"
    settings.write_text(
        f"[[TransferSyntaxes]]\n[All]\nTransferSyntax1 = {EXPLICIT_LE}\n"
        f"[[PresentationContexts]]\n[All]\nPresentationContext1 = {CT}\\All\n"
        "[[Profiles]]\n[Default]\nPresentationContexts = All\n"
    )
    (tmp_path / "in").mkdir()
    port = free_port()
    options = ["-xf", settings, "Default", "-od", tmp_path / "in"]
    with program("dcmrecv", *options, port, port=port):
        report = to(port, [corpus / TEST_FILES / f"{name}_small.dcm" for name in ("CT", "MR")])
    assert [one.SOPClassUID for one in report.succeeded] == [CT]
    assert [one.error for one in report.failed] == ["NoAcceptedContext"]
    (received,) = (tmp_path / "in").iterdir()
    source = corpus / TEST_FILES / "CT_small.dcm"
    assert pydicom.dcmread(received).to_json_dict() == pydicom.dcmread(source).to_json_dict()


def test_a_peer_that_takes_only_implicit_vr(corpus, tmp_path):
    names = ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]
    names += ["MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"]
    files = [corpus / TEST_FILES / name for name in names]
    with storescp(tmp_path, "+xi") as port:
        report = to(port, files)
    assert not report.failed
    assert {one.transfer_syntax for one in report.succeeded} == {IMPLICIT_LE}
    got = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, tmp_path.iterdir())}
    for path in files:
        expected = pydicom.dcmread(path)
        found = got[expected.SOPInstanceUID]
        assert found.PatientID == expected.PatientID
        assert (found.pixel_array == expected.pixel_array).all()


def test_orthanc_has_the_elements(corpus, tmp_path):
    """By its own REST interface; it writes the lengths of sequences anew."""
    http = free_port()
    settings = {"HttpServerEnabled": True, "HttpPort": http, "RemoteAccessAllowed": False}
    settings |= {"AuthenticationEnabled": False, "UnknownSopClassAccepted": True}
    settings |= {"OverwriteInstances": True}  # the first ones are of another sender
    files = [corpus / TEST_FILES / name for name in ("CT_small.dcm", "MR_small.dcm")]
    files += [
        corpus / TEST_FILES / name for name in ("JPEG2000.dcm", "rtplan.dcm", "SC_rgb_rle.dcm")
    ]
    with orthanc(tmp_path, corpus, **settings) as port:
        report = to(port, files, jobs=2, transcode=False)
        assert (len(report.succeeded), report.failed) == (len(files), [])

        def ask(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=10) as answer:
                return answer.read()

        got = {}
        for name in json.loads(ask("/instances")):
            uid = json.loads(ask(f"/instances/{name}"))["MainDicomTags"]["SOPInstanceUID"]
            (tmp_path / "got").write_bytes(ask(f"/instances/{name}/file"))
            got[uid] = pydicom.dcmread(tmp_path / "got")
    for one in report.succeeded:
        assert got[one.SOPInstanceUID] == pydicom.dcmread(one.path), one.path
        assert got[one.SOPInstanceUID].file_meta.TransferSyntaxUID == one.transfer_syntax


def test_our_own_server_has_the_bytes(corpus, tmp_path):
    with dicomloom.serve(tmp_path / "node", port=0, ae_title="STORE") as server:
        report = to(server.port, corpus / TEST_FILES, jobs=4, transcode=False)
    got = held(tmp_path / "node" / "objects")
    assert len(report.succeeded) > 90
    stored = {one.SOPInstanceUID for one in report.succeeded}
    # Of several objects with one UID it keeps the first that came.
    alone = [
        one for one in report.succeeded
        if sum(other.SOPInstanceUID == one.SOPInstanceUID for other in report.succeeded) == 1
    ]  # fmt: skip
    assert set(got) == stored
    for one in alone:
        assert got[one.SOPInstanceUID] == {padded(bytes_of(one.path))}, one.path


def test_an_odd_deflated_object_is_padded(tmp_path):
    import zlib

    number = 0
    while True:
        number += 1
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(data_set(number)) + packer.flush()
        if len(packed) % 2:
            break
    (tmp_path / "odd.dcm").write_bytes(part10(packed, DEFLATED))
    with store(classes=[SECONDARY_CAPTURE]) as (port, seen):
        report = to(port, tmp_path)
    assert seen == [(uid_of(number), packed + b"\0")]
    assert report.succeeded[0].transfer_syntax == DEFLATED


def test_files_that_do_not_say_what_they_are(tmp_path):
    implicit, explicit = data_set(1, syntax=IMPLICIT_LE), data_set(2)
    (tmp_path / "implicit").write_bytes(implicit)
    (tmp_path / "explicit").write_bytes(explicit)
    (tmp_path / "wrong").write_bytes(part10(data_set(3, syntax=IMPLICIT_LE), EXPLICIT_LE))
    with store(classes=[SECONDARY_CAPTURE], syntaxes=[IMPLICIT_LE, EXPLICIT_LE]) as (port, seen):
        report = to(port, [tmp_path / "implicit", tmp_path / "explicit", tmp_path / "wrong"])
    assert not report.failed
    assert dict(seen) == {
        uid_of(1): implicit,
        uid_of(2): explicit,
        uid_of(3): data_set(3, syntax=IMPLICIT_LE),
    }
    syntaxes = {one.SOPInstanceUID: one.transfer_syntax for one in report.succeeded}
    assert syntaxes == {uid_of(1): IMPLICIT_LE, uid_of(2): EXPLICIT_LE, uid_of(3): IMPLICIT_LE}


def test_more_classes_than_an_association_has_contexts(tmp_path):
    classes = [f"1.2.826.0.1.3680043.10.1.{number}" for number in range(150)]
    for number, uid in enumerate(classes):
        (tmp_path / str(number)).write_bytes(part10(data_set(number, sop_class=uid)))
    proposed = []

    def talk(conversation):
        proposed.append(contexts_of(take_association(conversation)))
        while (message := Message(conversation)).command:
            conversation.send(answer_to(message))

    with fake(talk) as port:
        report = to(port, tmp_path, jobs=2)
    assert len(report.succeeded) == 150
    assert all(len(one) <= 128 for one in proposed)
    assert {uid for one in proposed for uid, _ in one} == set(classes)


def test_each_object_is_told_once_and_in_full(tmp_path):
    paths = objects(tmp_path / "in", 5)
    progress = []
    with store(classes=[SECONDARY_CAPTURE]) as (port, seen):
        report = to(port, [str(path) for path in paths], jobs=2, progress=progress.append)
    assert sorted(one.path for one in progress) == [str(path) for path in paths]
    assert sorted(report.succeeded) == sorted(progress)
    assert sorted(uid for uid, _ in seen) == [uid_of(number) for number in range(1, 6)]
    one = min(progress)
    assert (one.outcome, one.status, one.meaning, one.attempts) == ("sent", 0, "Success", 1)
    assert one.transfer_syntax == EXPLICIT_LE
    assert one.bytes == len(data_set(1))
    assert report.node == str(node(port))


@pytest.mark.parametrize("suffix", ["csv", "sqlite"])
def test_the_files_of_an_index(tmp_path, suffix):
    objects(tmp_path / "in", 3)
    (tmp_path / "in" / "text").write_text("none")
    dicomloom.index(tmp_path / "in", tmp_path / f"table.{suffix}")
    with store(classes=[SECONDARY_CAPTURE]) as (port, seen):
        report = to(port, index=tmp_path / f"table.{suffix}", paths=())
    assert len(seen) == len(report.succeeded) == 3
    assert not report.failed


def test_nothing_to_send_needs_no_peer(tmp_path):
    (tmp_path / "text").write_text("none")
    assert to(1, tmp_path).failed == []
    (one,) = to(1, tmp_path / "text").failed
    assert (one.error, one.attempts, one.status) == ("ReadError", 0, None)


def test_big_endian_goes_as_it_is_where_it_is_taken(corpus):
    path = corpus / TEST_FILES / "MR_small_bigendian.dcm"
    with store(classes=[pydicom.dcmread(path).SOPClassUID]) as (port, seen):
        report = to(port, path)
    assert seen[0][1] == bytes_of(path)
    assert report.succeeded[0].transfer_syntax == EXPLICIT_BE
    assert EXPLICIT_BE in AllTransferSyntaxes


def test_threads_and_descriptors_are_flat(tmp_path):
    objects(tmp_path / "in", 30)
    with store(classes=[SECONDARY_CAPTURE]) as (port, _):
        to(port, tmp_path / "in", jobs=3)
        before = len(descriptors()), threading.active_count()
        for _ in range(3):
            to(port, tmp_path / "in", jobs=3)
        assert len(descriptors()) <= before[0] + 3  # the peer's, which end a little later
        assert threading.active_count() <= before[1] + 6


def test_no_more_associations_than_objects(tmp_path):
    objects(tmp_path / "in", 1)
    associations = []

    def talk(conversation):
        associations.append(1)
        keep(conversation)

    with fake(talk) as port:
        assert len(to(port, tmp_path / "in", jobs=8).succeeded) == 1
    assert len(associations) == 1


def test_one_by_one(tmp_path):
    objects(tmp_path / "in", 3)
    with store(classes=[SECONDARY_CAPTURE]) as (port, seen):
        each = send_each(node(port), tmp_path / "in", options=SendOptions(jobs=2))
        assert {one.outcome for one in each} == {"sent"}
    assert len(seen) == 3


PEAK = (
    """
import sys
from dicomloom import Node
from dicomloom.network.send import send
report = send(Node(sys.argv[1], timeout=30), sys.argv[2])
assert len(report.succeeded) == 1, report
"""
    + PRINT_PEAK
)


class Asked(NamedTuple):
    command: dict
    context: int


def test_memory_does_not_grow_with_the_object(tmp_path):
    """300 MB, to a peer that reads in small pieces."""
    (small,) = objects(tmp_path / "small", 1)
    (tmp_path / "large").mkdir()
    large = tmp_path / "large" / "large.dcm"
    size = 300_000_000
    head = small.read_bytes() + b"\xe0\x7f\x10\x00OB\0\0" + size.to_bytes(4, "little")
    large.write_bytes(head)
    os.truncate(large, len(head) + size)
    sizes = []

    def count(conversation):
        take_association(conversation)
        command = b""
        while True:
            one = conversation.read_pdu()
            if one[0] == 5:
                conversation.send(b"\x06\0\0\0\0\4\0\0\0\0")
                return
            if one[11] & 1:
                command, total = one, 0
                continue
            total += len(one) - 12
            if one[11] & 2:
                sizes.append(total)
                conversation.send(answer_to(Asked(commands.decode(command[12:]), command[10])))

    with fake(count) as port:
        peaks = [
            int(child(PEAK, f"STORE@127.0.0.1:{port}", path, timeout=60).stdout)
            for path in (small, large)
        ]
    assert sizes == [len(data_set(1)), len(data_set(1)) + 12 + size]
    assert peaks[1] < peaks[0] + (4 << 10)
