"""A folder of scheduled steps, beside wlmscpfs and Orthanc with the same items and queries."""

import json
import logging
import os
import struct
import threading

import pytest
from pydicom import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from dicomloom import Node, ReadError, worklist
from dicomloom.network.serve.worklist import WorklistFolder
from find_peers import WORKLIST, findscu, orthanc, save_steps, scp, step, worklists
from support import DEFLATED, EXPLICIT_LE, IMPLICIT_LE, part10

STEP = "ScheduledProcedureStepSequence"
STEPS = [
    step(1),
    step(2, Modality="XC", ScheduledStationAETitle="CAMERA2", PatientSex="M"),
    step(3, ScheduledProcedureStepStartTime="080000", PatientName="Doe^John"),
    step(5, ScheduledProcedureStepStartTime="180000", AccessionNumber="B5"),
    step(15, PatientName="Doe^Jane", RequestedProcedurePriority="HIGH"),
]
QUERIES = [
    {},
    {"PatientID": "P3"},
    {"PatientID": "p3"},
    {"PatientID": "P*"},
    {"PatientID": "P?"},
    {"PatientID": "*5"},
    {"PatientName": "Doe*"},
    {"PatientName": "Doe^J???"},
    {"PatientName": "M\u00fcller^1"},
    {"AccessionNumber": "B5"},
    {"AccessionNumber": "A*"},
    {"StudyInstanceUID": "1.2.3.2"},
    {"date": "20260102"},
    {"date": "20260102-20260105"},
    {"date": "-20260103"},
    {"date": "20260105-"},
    {f"{STEP}[0].ScheduledProcedureStepStartTime": "1000-1200"},
    {f"{STEP}[0].ScheduledProcedureStepStartTime": "-0900"},
    {"modality": "XC"},
    {"ae_title": "CAMERA1", "date": "20260101-20260103"},
    {"ae_title": "NOBODY"},
    {
        f"{STEP}[0].ScheduledProcedureStepStartDate": "20260103-20260105",
        f"{STEP}[0].ScheduledProcedureStepStartTime": "1000-1200",
    },
]
# wlmscpfs knows no wildcards in PatientID, and does not match StudyInstanceUID (PS3.4 table K.6-1
# does not ask for either).
NOT_WLMSCPFS = [{"PatientID": "P*"}, {"PatientID": "P?"}, {"PatientID": "*5"}]
NOT_WLMSCPFS += [{"StudyInstanceUID": "1.2.3.2"}]


def ask(port, query, called="ARCHIVE"):
    where = {name: value for name, value in query.items() if not name.isidentifier()}
    named = {name: value for name, value in query.items() if name.isidentifier()}
    peer = Node(f"{called}@127.0.0.1:{port}", calling_ae_title="ME", timeout=10)
    answers = worklist(peer, where, **named)
    return {str(one.PatientID): one for one in answers}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """Our folder behind pynetdicom's SCP."""
    folder = tmp_path_factory.mktemp("ours") / "items"
    save_steps(folder, STEPS)
    served = WorklistFolder(folder)

    def handle(event):
        for answer in served.answers(event.identifier):
            yield 0xFF00, answer

    with scp(handle, WORKLIST) as port:
        yield port


@pytest.fixture(scope="module")
def wlmscpfs(tmp_path_factory):
    with worklists(tmp_path_factory.mktemp("wlmscpfs"), STEPS) as port:
        yield port


@pytest.fixture(scope="module")
def orthancs(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("orthanc")
    save_steps(folder / "items", STEPS)
    plugin = "/usr/share/orthanc/plugins/libModalityWorklists.so"
    database = {"Enable": True, "Database": str(folder / "items")}
    with orthanc(folder, corpus, Plugins=[plugin], Worklists=database) as port:
        yield port


@pytest.mark.parametrize("query", [one for one in QUERIES if one not in NOT_WLMSCPFS], ids=str)
def test_the_answers_are_those_of_wlmscpfs(ours, wlmscpfs, query):
    mine, theirs = ask(ours, query), ask(wlmscpfs, query, "RIS")
    assert sorted(mine) == sorted(theirs)
    for name, one in mine.items():
        same(one, theirs[name])


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_the_answers_are_those_of_orthanc(ours, orthancs, query):
    assert sorted(ask(ours, query)) == sorted(ask(orthancs, query))


def same(mine, theirs):
    """All that theirs has; wlmscpfs answers 4, unknown, where an item has no PregnancyStatus."""
    for element in theirs:
        if element.VR == "SQ" and element.value:
            for one, other in zip(mine[element.tag].value, element.value, strict=True):
                same(one, other)
        elif (
            element.keyword not in ("SpecificCharacterSet", "PregnancyStatus")
            and not element.is_empty
        ):
            assert mine[element.tag].value == element.value, element.keyword


def test_findscu_takes_the_answers(ours, tmp_path):
    keys = ["-k", "PatientName=doe*", "-k", f"{STEP}[0].Modality", "-k", "PatientID"]
    found = findscu(tmp_path / "rsp", ours, "-W", *keys)
    assert sorted(str(one.PatientName) for one in found) == ["Doe^Jane", "Doe^John"]
    assert [one[STEP][0].Modality for one in found] == ["OP", "OP"]


def query(**keywords):
    made = Dataset()
    made.PatientID = ""
    for keyword, value in keywords.items():
        setattr(made, keyword, value)
    return made


def ids(folder, **keywords):
    return sorted(str(one.PatientID) for one in folder.answers(query(**keywords)))


def test_all_kinds_of_files(tmp_path):
    (tmp_path / "a.json").write_text(step(1).to_json())
    (tmp_path / "b.JSON").write_text(json.dumps([step(n).to_json_dict() for n in (2, 3)]))
    step(4).save_as(tmp_path / "c.wl", implicit_vr=False, little_endian=True)
    step(5).save_as(tmp_path / "d.wl", implicit_vr=True, little_endian=True)
    for number, syntax in ((6, EXPLICIT_LE), (7, IMPLICIT_LE)):
        item = step(number)
        item.ensure_file_meta()
        item.file_meta.TransferSyntaxUID = UID(syntax)
        item.file_meta.MediaStorageSOPClassUID = UID(WORKLIST)
        item.file_meta.MediaStorageSOPInstanceUID = UID("1.2")
        dcmwrite(tmp_path / f"{number}.dcm", item, enforce_file_format=True)
    (tmp_path / "readme.txt").write_text("no item")
    (tmp_path / "folder.json").mkdir()
    folder = WorklistFolder(tmp_path)
    assert ids(folder) == [f"P{number}" for number in range(1, 8)]
    (one,) = folder.answers(query(PatientID="P5", PatientName=""))
    assert one.PatientName == "M\u00fcller^5"
    assert one.SpecificCharacterSet == "ISO_IR 100"


def test_what_changes_is_read_again(tmp_path):
    folder = WorklistFolder(tmp_path)
    assert ids(folder) == []
    (tmp_path / "a.json").write_text(step(1).to_json())
    (tmp_path / "b.json").write_text(step(2).to_json())
    assert ids(folder) == ["P1", "P2"]
    (tmp_path / "c").write_text(step(33).to_json())
    os.replace(tmp_path / "c", tmp_path / "a.json")
    (tmp_path / "b.json").unlink()
    assert ids(folder) == ["P33"]


def test_an_answer_has_one_step(tmp_path):
    item = step(1)
    item[STEP].value.append(step(2, Modality="XC")[STEP].value[0])
    (tmp_path / "a.json").write_text(item.to_json())
    folder = WorklistFolder(tmp_path)
    key = Dataset()
    key.ScheduledProcedureStepID = key.Modality = ""
    found = list(folder.answers(query(ScheduledProcedureStepSequence=[key])))
    assert [[one.ScheduledProcedureStepID for one in got[STEP].value] for got in found] == [
        ["S1"],
        ["S2"],
    ]
    key.Modality = "XC"
    (got,) = folder.answers(query(ScheduledProcedureStepSequence=[key]))
    assert got[STEP].value[0].ScheduledProcedureStepID == "S2"
    assert len(list(folder.answers(query()))) == 2


def hostile():
    good = step(1).to_json_dict()
    no_step = {"00100020": {"vr": "LO", "Value": ["1"]}}
    deep = good
    for _ in range(100):
        deep = {"00400100": {"vr": "SQ", "Value": [deep]}}
    return {
        "empty.json": b"",
        "text.json": b"SECRET",
        "number.json": b"7",
        "nostep.json": json.dumps(no_step).encode(),
        "emptystep.json": json.dumps({"00400100": {"vr": "SQ"}}).encode(),
        "half.json": json.dumps([good, 1]).encode(),
        "vr.json": json.dumps(good | {"00100020": {"vr": "ZZ", "Value": ["SECRET"]}}).encode(),
        "deep.json": json.dumps(deep).encode(),
        "empty.wl": b"",
        "zeros.wl": bytes(1000),
        "text.dcm": b"SECRET" * 100,
        "meta.dcm": part10(b""),
        "deflated.dcm": part10(b"x", DEFLATED),
        "cut.wl": struct.pack("<HH2sHL", 0x0040, 0x0100, b"SQ", 0, 1000),
        "large.wl": bytes((4 << 20) + 1),
    }


@pytest.mark.parametrize("name", hostile())
def test_a_bad_file_is_left_out_and_named_once(tmp_path, caplog, name):
    caplog.set_level(logging.WARNING)
    (tmp_path / name).write_bytes(hostile()[name])
    (tmp_path / "good.json").write_text(step(1).to_json())
    folder = WorklistFolder(tmp_path)
    assert ids(folder) == ids(folder) == ["P1"]
    (record,) = caplog.records
    assert name in record.getMessage()
    assert "SECRET" not in record.getMessage()
    (tmp_path / name).write_bytes(b"other")
    assert ids(folder) == ["P1"]
    assert len(caplog.records) == 2


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ReadError):
        list(WorklistFolder(tmp_path / "none").answers(query()))


def test_many_threads(tmp_path):
    for number in range(1, 9):
        (tmp_path / f"{number}.json").write_text(step(number).to_json())
    folder, seen = WorklistFolder(tmp_path), []
    threads = [threading.Thread(target=lambda: seen.append(ids(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[f"P{number}" for number in range(1, 9)]] * 8


def test_an_item_of_many_steps_is_read_once_not_once_a_step(tmp_path):
    item = step(1)
    item[STEP].value.extend(step(2)[STEP].value[0] for _ in range(2000))
    item.PatientComments = "x" * 10_000
    (tmp_path / "a.json").write_text(item.to_json())
    found = WorklistFolder(tmp_path).items()
    assert len(found) == 2001
    assert {len(one[STEP].value) for one in found} == {1}
    # What all have is there once: 20 MB of comments else.
    assert len({id(one["PatientComments"].value) for one in found}) == 1


def test_a_link_that_leads_nowhere_is_passed_over(tmp_path):
    (tmp_path / "a.json").write_text(step(1).to_json())
    os.symlink("loop.json", tmp_path / "loop.json")
    os.symlink("gone", tmp_path / "b.json")
    assert len(WorklistFolder(tmp_path).items()) == 1
