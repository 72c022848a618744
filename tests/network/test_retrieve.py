"""Retrieving from real archives, by C-GET and C-MOVE, and what the report says."""

import hashlib
import threading

import pydicom
import pytest

import dicomloom
from dicomloom import Node, retrieve, retrieve_each
from dicomloom.network import direct
from find_peers import TEST_FILES, objects
from network_peers import free_port
from retrieve_peers import CT, dcmtk, object_of, orthancs, ours, pynetdicom_scp, pynetdicoms

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
        {"PatientID": "98890234", "Modality": "CT"},
        {"PatientID": "98890234", "InstanceNumber": "1"},
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
    assert report.complete == bool(wanted)
