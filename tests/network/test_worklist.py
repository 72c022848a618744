"""The modality worklist: DCMTK's wlmscpfs, what findscu gets from it, and the way to an object."""

import datetime

import pytest
from pydicom import Dataset

from dicomloom import Node, StatusError, TagError, dicomize, worklist
from dicomloom.network.worklist import RETURNED
from find_peers import WORKLIST, findscu, orthanc, save_steps, scp, step, worklists

STEPS = [
    step(1),
    step(2, Modality="XC", ScheduledStationAETitle="CAMERA2"),
    step(3),
    step(15, PatientName="Doe^Jane"),
]
STEP = "ScheduledProcedureStepSequence"
TODAY = datetime.date.today().strftime("%Y%m%d")


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with worklists(tmp_path_factory.mktemp("worklist"), STEPS) as port:
        yield port


def node(port):
    return Node(f"RIS@127.0.0.1:{port}", calling_ae_title="ME", timeout=10)


def numbers(found):
    return sorted(int(str(one.PatientID)[1:]) for one in found)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [1, 2, 3, 15]),
        ({"date": "20260101-20260107"}, [1, 2, 3]),
        ({"date": "20260102"}, [2]),
        ({"date": datetime.date(2026, 1, 15)}, [15]),
        ({"date": "20260103-"}, [3, 15]),
        ({"date": "today"}, []),
        ({"modality": "OP"}, [1, 3, 15]),
        ({"ae_title": "CAMERA2"}, [2]),
        ({"patient": "P3"}, [3]),
        ({"PatientName": "Doe*"}, [15]),
        ({"date": "20260101-20260107", "modality": "OP", "ae_title": "CAMERA1"}, [1, 3]),
    ],
    ids=str,
)
def test_what_is_matched(port, asked, expected):
    assert numbers(worklist(node(port), **asked)) == expected


def test_an_item_has_all_that_it_has(port):
    (got,) = worklist(node(port), patient="P1")
    assert got.PatientName == "M\u00fcller^1"
    for keyword in ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "PatientSex"):
        assert got[keyword].value == STEPS[0][keyword].value
    (first,), (expected,) = got[STEP].value, STEPS[0][STEP].value
    for element in expected:
        assert first[element.tag].value == element.value, element.keyword


def test_findscu_gets_the_same(port, tmp_path):
    keys = [word for where in RETURNED for word in ("-k", where) if "CodeSequence" not in where]
    theirs = findscu(tmp_path / "rsp", port, "-W", *keys, called="RIS")
    ours = list(worklist(node(port)))
    assert len(ours) == len(theirs) == len(STEPS)
    for one, other in zip(sorted(ours, key=uid), sorted(theirs, key=uid), strict=True):
        for element in other:
            if element.VR != "SQ" and element.keyword != "SpecificCharacterSet":
                assert one[element.tag].value == element.value
        assert one[STEP][0].ScheduledProcedureStepID == other[STEP][0].ScheduledProcedureStepID


def uid(one):
    return str(one.StudyInstanceUID)


def test_orthanc(tmp_path, corpus):
    save_steps(tmp_path / "items", STEPS)
    plugin = "/usr/share/orthanc/plugins/libModalityWorklists.so"
    database = {"Enable": True, "Database": str(tmp_path / "items")}
    with orthanc(tmp_path, corpus, Plugins=[plugin], Worklists=database) as port:
        peer = Node(f"ARCHIVE@127.0.0.1:{port}", calling_ae_title="ME", timeout=10)
        assert numbers(worklist(peer)) == [1, 2, 3, 15]
        (got,) = worklist(peer, modality="XC")
        assert got.PatientName == "M\u00fcller^2"


def test_what_a_scp_is_asked():
    """PS3.4 K.6.1.2: one item, no level, and today."""
    asked = []

    def handle(event):
        asked.append(event.identifier)
        yield 0xFF00, step(1)

    with scp(handle, WORKLIST) as port:
        keys = {f"{STEP}[0].ScheduledProcedureStepID": "S*"}
        assert len(list(worklist(node(port), keys, date="today", PatientSex="F"))) == 1
    (identifier,) = asked
    assert "QueryRetrieveLevel" not in identifier
    (item,) = identifier[STEP].value
    assert (item.ScheduledProcedureStepID, item.Modality) == ("S*", "")
    assert item.ScheduledProcedureStepStartDate == TODAY
    assert identifier.PatientSex == "F"


def test_a_status():
    def handle(event):
        yield 0xA900, None

    with scp(handle, WORKLIST) as port, pytest.raises(StatusError, match="in the worklist"):
        list(worklist(node(port)))


@pytest.mark.parametrize(
    "keys", [{"date": "tomorrow"}, {"modality": "op"}, {"ae_title": "x" * 17}, {"NoKey": "1"}]
)
def test_keys_that_are_none(keys):
    with pytest.raises(TagError):
        worklist("RIS@127.0.0.1:1", **keys)


def test_an_item_becomes_an_object(port, tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    (got,) = worklist(node(port), patient="P1")
    (tmp_path / "item.json").write_text(got.to_json())
    from pydicom import dcmread

    for source, name in ((got, "a.dcm"), (tmp_path / "item.json", "b.dcm")):
        dicomize(tmp_path / "a.jpg", tmp_path / name, worklist=source, kind="photo")
        made = dcmread(tmp_path / name)
        assert isinstance(made, Dataset)
        assert (made.PatientName, made.StudyInstanceUID) == ("M\u00fcller^1", "1.2.3.1")
        request = made.RequestAttributesSequence[0]
        assert request.ScheduledProcedureStepID == "S1"
