"""Retrieving from real archives, by C-GET and C-MOVE, and what the report says."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

import dicomloom
from dicomloom import Node, retrieve, retrieve_each
from dicomloom.network import direct
from dicomloom.network.retrieving import planning, retrieval
from find_peers import TEST_FILES, objects
from network_peers import certificate, free_port
from retrieve_peers import CT, data_sets, dcmtk, orthancs, ours, pynetdicom_scp, pynetdicoms
from support import EXPLICIT_LE

PEERS = {"dcmqrscp": dcmtk, "orthanc": orthancs, "pynetdicom": pynetdicoms, "ours": ours}


@pytest.fixture(scope="module")
def truth(corpus):
    """What the objects themselves say, by SOP Instance UID."""
    read = [pydicom.dcmread(path) for path in objects(corpus)]
    return {str(one.SOPInstanceUID): one for one in read}


@pytest.fixture(scope="module", params=PEERS.values(), ids=PEERS)
def archive(request, corpus, tmp_path_factory):
    """Node, the address where it finds us, and whether it matches single values only."""
    destination = free_port()
    with request.param(tmp_path_factory.mktemp("archive"), corpus, destination) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", calling_ae_title="ME", timeout=10)
        yield node, f"127.0.0.1:{destination}", request.param is pynetdicoms


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def content(data_set):
    """All but group lengths and padding, which are no part of an object (PS3.5 7.2)."""
    return [one for one in data_set if one.tag.element and one.tag != 0xFFFCFFFC]


def settings(method, listen):
    return {"method": method} | ({"listen": listen} if method == "move" else {})


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
@pytest.mark.parametrize("method", ["get", "move"])
def test_all_that_matches_comes_as_it_is(archive, truth, tmp_path, method):
    """The data sets are those that the archive got, by what pydicom reads of them."""
    node, listen, _ = archive
    report = retrieve(node, tmp_path, PatientID="*", **settings(method, listen))
    assert report.complete
    assert (report.missing, report.failed, report.unexpected, report.warned) == ([], [], [], [])
    assert {one.SOPInstanceUID for one in report.arrived} == set(truth)
    assert (report.completed, report.count) == (len(truth), len(truth))
    assert [path.as_posix() for path in files(tmp_path)] == sorted(
        one.path for one in report.arrived
    )
    for one in report.arrived:
        read = pydicom.dcmread(one.path)
        expected = truth[one.SOPInstanceUID]
        assert read.file_meta.TransferSyntaxUID == one.transfer_syntax
        assert read.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        assert content(read) == content(expected)
        assert one.path.endswith(
            f"/{read.StudyInstanceUID}/{read.SeriesInstanceUID}/{one.SOPInstanceUID}.dcm"
        )


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
@pytest.mark.parametrize("method", ["get", "move"])
@pytest.mark.parametrize(
    "keys",
    [
        {"PatientID": "98890234", "Modality": "MR"},
        {"PatientID": "98890234", "InstanceNumber": "3"},
        {"StudyDate": "20040101-20041231"},
        {"StudyInstanceUID": "1.3.6.1.4.1.5962.1.2.4.20040826185059.5457", "level": "SERIES"},
        {"StudyInstanceUID": "1.3.6.1.4.1.5962.1.2.4.20040826185059.5457"},
    ],
    ids=["series", "image", "range", "level", "uid"],
)
def test_what_matches_and_nothing_else(archive, truth, tmp_path, keys, method):
    node, listen, simple = archive
    if "StudyDate" in keys and simple:
        pytest.skip("this peer does no ranges")
    wanted = {
        uid
        for uid, one in truth.items()
        if all(
            keyword == "level"
            or str(one.get(keyword)) == value
            or (keyword == "StudyDate" and str(one.StudyDate)[:4] == "2004")
            for keyword, value in keys.items()
        )
    }
    report = retrieve(node, tmp_path, **keys, **settings(method, listen))
    assert {one.SOPInstanceUID for one in report.arrived} == wanted
    assert wanted
    assert report.complete


def data_set_of(path):
    """The bytes behind the file meta information (PS3.10 7.1)."""
    data = path.read_bytes()
    return data[144 + int.from_bytes(data[140:144], "little") :]


ENCODED = (
    *("JPEG2000.dcm", "MR_small_RLE.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "image_dfl.dcm"),
    *("SC_rgb_jpeg_dcmtk.dcm", "MR_small_bigendian.dcm", "CT_small.dcm", "rtplan.dcm"),
)


@pytest.fixture(scope="module")
def encoded(corpus, tmp_path_factory):
    """A server of ours with objects in many transfer syntaxes: node, address, folder."""
    folder, destination = tmp_path_factory.mktemp("encoded"), free_port()
    known = [f"ME@127.0.0.1:{destination}"]
    paths = [corpus / TEST_FILES / name for name in ENCODED]
    with dicomloom.serve(folder, ae_title="ARCHIVE", port=0, nodes=known) as server:
        node = Node(f"ARCHIVE@127.0.0.1:{server.port}", calling_ae_title="ME", timeout=10)
        sent = dicomloom.send(node, [path for path in paths if path.is_file()])
        assert len(sent.succeeded) >= 5
        assert not sent.failed
        yield node, f"127.0.0.1:{destination}", folder


@pytest.mark.parametrize("direct_way", [True, False], ids=["direct", "engine"])
@pytest.mark.parametrize("method", ["get", "move"])
def test_nothing_is_transcoded(encoded, tmp_path, monkeypatch, method, direct_way):
    """Bytes and transfer syntaxes are those of the archive's files, by whichever engine."""
    if not direct_way:
        monkeypatch.setattr(direct, "_KNOWN", ())
    node, listen, folder = encoded
    report = retrieve(node, tmp_path, PatientName="*", **settings(method, listen))
    theirs = {path.stem: path for path in (folder / "objects").rglob("*.dcm")}
    assert report.complete
    assert {one.SOPInstanceUID for one in report.arrived} == set(theirs)
    assert len({one.transfer_syntax for one in report.arrived}) >= 5
    for one in report.arrived:
        path, source = Path(one.path), theirs[one.SOPInstanceUID]
        assert data_set_of(path) == data_set_of(source)
        meta = pydicom.filereader.read_file_meta_info(source)
        assert one.transfer_syntax == meta.TransferSyntaxUID


def test_objects_come_one_by_one(encoded, tmp_path):
    node, _, _ = encoded
    report = dicomloom.RetrieveReport(str(node))
    each = retrieve_each(node, tmp_path, {"PatientName": "*"}, report=report)
    first = next(each)
    assert [str(path) for path in files(tmp_path)] == [first.path]
    rest = list(each)
    assert {first.path, *(one.path for one in rest)} == {str(path) for path in files(tmp_path)}
    assert (report.count, report.arrived, report.complete) == (len(rest) + 1, [], True)


@pytest.mark.parametrize("method", ["get", "move"])
def test_an_iterator_that_is_left_keeps_what_came(encoded, tmp_path, method):
    node, listen, _ = encoded
    each = retrieve_each(node, tmp_path, {"PatientName": "*"}, **settings(method, listen))
    first = next(each)
    each.close()
    assert first.path in map(str, files(tmp_path))
    assert not [path for path in files(tmp_path) if path.suffix != ".dcm"]
    socket.create_server(("127.0.0.1", int(listen.rpartition(":")[2]))).close()


@pytest.mark.parametrize("existing", ["keep", "replace", "version"])
def test_what_is_there_already(encoded, tmp_path, existing):
    node, _, _ = encoded
    once = retrieve(node, tmp_path, PatientName="*", existing=existing)
    paths = [one.path for one in once.arrived]
    before = files(tmp_path)
    mark = b"not the same"
    for path in before:
        with path.open("ab") as file:
            file.write(mark)
    twice = retrieve(node, tmp_path, PatientName="*", existing=existing)
    assert twice.complete
    outcome = {"keep": "kept", "replace": "replaced", "version": "version"}[existing]
    assert {one.outcome for one in twice.arrived} == {outcome}
    marked = [path for path in before if path.read_bytes().endswith(mark)]
    assert marked == ([] if existing == "replace" else before)
    versions = {path[:-4] + "-1.dcm" for path in paths} if existing == "version" else set()
    assert {str(path) for path in files(tmp_path)} == set(paths) | versions


def test_objects_that_a_pattern_gives_one_name(encoded, tmp_path):
    node, _, folder = encoded
    report = retrieve(node, tmp_path, PatientName="*", layout="all/{SpecificCharacterSet}.dcm")
    held = files(folder / "objects")
    assert report.complete
    assert len({one.path for one in report.arrived}) == len(files(tmp_path)) == len(held)
    assert {path.parent.name for path in files(tmp_path)} == {"all"}


def test_auto_takes_the_other_way_where_there_is_no_c_get(tmp_path):
    destination = free_port()
    with pynetdicom_scp(data_sets("1.2.5", "1.2.6"), destination, get=False) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", timeout=5)
        listen = f"127.0.0.1:{destination}"
        report = retrieve(node, tmp_path, StudyInstanceUID="1.2.3", listen=listen)
        assert (report.complete, report.count) == (True, 2)
        with pytest.raises(dicomloom.NoAcceptedContext, match="--listen"):
            retrieve(node, tmp_path / "b", StudyInstanceUID="1.2.3")


def test_auto_asks_again_for_what_failed(tmp_path, monkeypatch):
    """One object cannot come by C-GET: it comes by C-MOVE, and the rest does not come again."""
    destination = free_port()
    held = data_sets("1.2.5", "1.2.6")
    held[1].SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    monkeypatch.setattr(retrieval, "proposals", lambda _: [(CT, (EXPLICIT_LE,))])
    with pynetdicom_scp(held, destination) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", timeout=5)
        alone = retrieve(node, tmp_path / "a", StudyInstanceUID="1.2.3")
        assert not alone.complete
        assert [one.SOPInstanceUID for one in alone.failed] == ["1.2.6"]
        listen = f"127.0.0.1:{destination}"
        report = retrieve(node, tmp_path / "b", StudyInstanceUID="1.2.3", listen=listen)
    assert report.complete
    assert [one.SOPInstanceUID for one in report.arrived] == ["1.2.5", "1.2.6"]
    assert (report.warned, report.unexpected) == ([], [])


def test_nothing_matches(encoded, tmp_path):
    node, _, _ = encoded
    report = retrieve(node, tmp_path, PatientID="NOBODY")
    assert (report.complete, report.requests, files(tmp_path)) == (False, 0, [])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, dicomloom.TagError),
        ({"PatientID": ""}, dicomloom.TagError),
        ({"Modality": "CT", "level": "STUDY"}, dicomloom.TagError),
        ({"NoSuch": "1"}, dicomloom.TagError),
        ({"StudyDate": "yesterday"}, dicomloom.TagError),
        ({"PatientID": "1", "level": "FRAME"}, ValueError),
        ({"PatientID": "1", "root": "worklist"}, ValueError),
        ({"PatientID": "1", "method": "push"}, ValueError),
        ({"PatientID": "1", "listen": "here"}, dicomloom.NodeError),
        ({"PatientID": "1", "layout": "../{PatientID}"}, ValueError),
        ({"PatientID": "1", "existing": "ask"}, ValueError),
    ],
    ids=str,
)
def test_arguments_are_checked_by_the_call(tmp_path, given, error):
    with pytest.raises(error):
        retrieve_each("PACS@127.0.0.1:1", tmp_path, **given)


def test_many_instances_by_uid(tmp_path):
    """Lists of UIDs are split; each object comes once."""
    held = data_sets(*(f"1.2.5.{number}" for number in range(210)))
    with pynetdicom_scp(held) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", timeout=10)
        report = retrieve(node, tmp_path, StudyInstanceUID="1.2.3", level="IMAGE")
    assert (report.complete, report.count, report.requests) == (True, 210, 1)
    assert {path.stem for path in files(tmp_path)} == {one.SOPInstanceUID for one in held}


@pytest.mark.parametrize("levels", [("STUDY",), ("STUDY", "SERIES")], ids=str)
def test_a_peer_that_does_not_tell_of_instances(tmp_path, levels):
    """Then its own numbers are what arrivals are counted against."""
    with pynetdicom_scp(data_sets("1.2.5", "1.2.6"), levels=levels) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", timeout=5)
        report = retrieve(node, tmp_path, PatientID="P1")
    assert (report.complete, report.count, report.unexpected) == (True, 2, [])


def test_answers_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_MOST_FOUND", 20)
    with pynetdicom_scp(data_sets(*(f"1.2.5.{number}" for number in range(30)))) as port:
        node = Node(f"ARCHIVE@127.0.0.1:{port}", timeout=5)
        with pytest.raises(dicomloom.LimitError, match="at level IMAGE"):
            retrieve(node, tmp_path, PatientID="P1")
    assert files(tmp_path) == []


@pytest.mark.parametrize("method", ["get", "move"])
def test_over_tls(corpus, tmp_path, method):
    """Both ways of the objects are encrypted, each with its own certificate."""
    theirs, key = certificate(tmp_path, "theirs")
    mine, my_key = certificate(tmp_path, "mine")
    destination = free_port()
    known = Node(f"ME@127.0.0.1:{destination}", tls=True, tls_ca=str(mine), tls_cert=str(theirs),
                 tls_key=str(key))  # fmt: skip
    given = {"tls_cert": str(theirs), "tls_key": str(key)}
    with dicomloom.serve(tmp_path / "a", port=0, nodes=[known], **given) as server:
        node = Node(
            f"{server.ae_title}@127.0.0.1:{server.port}",
            calling_ae_title="ME",
            tls=True,
            tls_ca=str(theirs),
            tls_cert=str(mine),
            tls_key=str(my_key),
        )
        dicomloom.send(node, corpus / TEST_FILES / "CT_small.dcm")
        listen = f"127.0.0.1:{destination}"
        report = retrieve(node, tmp_path / "b", PatientID="1CT1", **settings(method, listen))
    assert (report.complete, report.count) == (True, 1)


def test_many_retrievals_into_one_folder(encoded, tmp_path):
    node, _, folder = encoded
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(retrieve, node, tmp_path, PatientName="*") for _ in range(4)]
    reports = [task.result() for task in tasks]
    assert all(report.complete for report in reports)
    paths = files(tmp_path)
    outcomes = [one.outcome for report in reports for one in report.arrived]
    assert outcomes.count("new") == len(paths) == len(files(folder / "objects"))
    for path in paths:
        (source,) = (folder / "objects").rglob(path.name)
        assert data_set_of(path) == data_set_of(source)
