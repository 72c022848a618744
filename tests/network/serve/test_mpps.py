"""A folder of performed steps: the rules of PS3.4 F.7.2, our own client, and what goes wrong."""

import json
import os
import threading

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt

from dicomloom import CorruptError, Node, PerformedProcedureStep, StatusError
from dicomloom.network.serve.mpps import StepFolder, answer_of
from find_peers import step
from mpps_peers import MPPS

SERIES = "PerformedSeriesSequence"
STATUS = "PerformedProcedureStepStatus"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def steps(tmp_path):
    return StepFolder(tmp_path / "steps")


def created(**keywords):
    made = PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", step(1)).attributes
    return changed(made, **keywords)


def changed(made=None, **keywords):
    made = Dataset() if made is None else made
    for keyword, value in keywords.items():
        setattr(made, keyword, value)
    return made


def series(**keywords):
    made = changed(SeriesInstanceUID="1.2", ProtocolName="Fundus", OperatorsName="")
    made.PerformingPhysicianName = made.SeriesDescription = made.RetrieveAETitle = ""
    made.ReferencedImageSequence, made.ReferencedNonImageCompositeSOPInstanceSequence = [], []
    return changed(made, **keywords)


def ended(status="COMPLETED", **keywords):
    made = changed(PerformedProcedureStepStatus=status, PerformedSeriesSequence=[series()])
    made.PerformedProcedureStepEndDate, made.PerformedProcedureStepEndTime = "20260102", "10"
    return changed(made, **keywords)


def without(made, *keywords):
    for keyword in keywords:
        del made[keyword]
    return made


@pytest.fixture
def served(steps):
    """The folder behind pynetdicom's SCP."""
    entity = AE("RIS")
    entity.add_supported_context(MPPS)

    def create(event):
        uid = event.request.AffectedSOPInstanceUID
        return answer_of(steps.create(str(uid), event.attribute_list)), Dataset()

    def change(event):
        uid = event.request.RequestedSOPInstanceUID
        return answer_of(steps.change(str(uid), event.modification_list)), Dataset()

    handlers = [(evt.EVT_N_CREATE, create), (evt.EVT_N_SET, change)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield Node(f"RIS@127.0.0.1:{server.socket.getsockname()[1]}", timeout=5)
    server.shutdown()


def test_what_our_client_tells_is_kept(steps, served):
    with PerformedProcedureStep.from_worklist(served, step(1)) as made:
        assert steps.get(made.uid).PerformedProcedureStepStatus == "IN PROGRESS"
        made.add_instance((CT, "1.2.3.4", "1.2.3"))
        made.update(CommentsOnThePerformedProcedureStep="\u0436")
    kept = steps.get(made.uid)
    assert steps.uids() == [made.uid]
    assert kept.PatientName == "M\u00fcller^1"
    assert kept.CommentsOnThePerformedProcedureStep == "\u0436"
    assert kept.SpecificCharacterSet == "ISO_IR 192"
    del kept.SpecificCharacterSet, made.attributes.SpecificCharacterSet
    assert kept.to_json_dict() == made.attributes.to_json_dict()


def test_our_client_is_told_why(steps, served, tmp_path):
    made = PerformedProcedureStep.from_worklist(served, step(1), state=tmp_path / "s")
    made.start()
    other = PerformedProcedureStep.load(tmp_path / "s", served)
    made.complete()
    with pytest.raises(StatusError, match="COMPLETED or DISCONTINUED there") as caught:
        other.discontinue()
    assert (caught.value.status, caught.value.error_id) == (0x0110, 0xA710)
    assert steps.get(made.uid).PerformedProcedureStepStatus == "COMPLETED"


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (created(), 0x0000),
        (created(CommentsOnThePerformedProcedureStep="x"), 0x0000),
        (created(**{STATUS: "COMPLETED"}), 0x0106),
        (created(**{STATUS: "STARTED"}), 0x0106),
        (created(**{STATUS: ""}), 0x0121),
        (without(created(), STATUS), 0x0120),
        (without(created(), "Modality"), 0x0120),
        (without(created(), "PatientID"), 0x0120),
        (created(PatientID=""), 0x0000),
        (created(Modality=""), 0x0121),
        (created(ScheduledStepAttributesSequence=[]), 0x0121),
        (created(ScheduledStepAttributesSequence=[Dataset()]), 0x0120),
        (created(PerformedSeriesSequence=[series()]), 0x0000),
        (created(PerformedSeriesSequence=[series(ProtocolName="")]), 0x0121),
        (created(PerformedProcedureStepStartDate="20261301"), 0x0106),
        (created(PatientID="x" * 100), 0x0106),
        (Dataset(), 0x0120),
    ],
)
def test_creation(steps, attributes, status):
    assert steps.create("1.2.3", attributes) == status
    assert (steps.get("1.2.3") is None) == bool(status)


def test_a_duplicate_leaves_the_first(steps):
    assert steps.create("1.2.3", created()) == 0
    assert steps.create("1.2.3", created(PatientID="other")) == 0x0111
    assert steps.get("1.2.3").PatientID == "P1"


def test_a_folder_that_is_not_strict(tmp_path):
    steps = StepFolder(tmp_path, strict=False)
    attributes = without(created(PatientID="x" * 100), "PatientSex", SERIES)
    assert steps.create("1.2.3", attributes) == 0
    assert steps.change("1.2.3", without(ended(), SERIES)) == 0x0120
    bare = changed(SeriesInstanceUID="1.2", ProtocolName="x")
    assert steps.change("1.2.3", ended(PerformedSeriesSequence=[bare])) == 0
    assert steps.create("1.2.4", without(created(), "Modality")) == 0x0120


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        (Dataset(), 0x0000),
        (changed(PerformedProcedureStepDescription="x"), 0x0000),
        (changed(PatientID="P1", Modality="OP"), 0x0000),
        (changed(PatientID="P2"), 0x0105),
        (changed(PerformedLocation=None), 0x0000),
        (changed(AdmissionID=None), 0x0000),
        (changed(StudyID=""), 0x0105),
        (changed(ScheduledStepAttributesSequence=[]), 0x0105),
        (changed(**{STATUS: "IN PROGRESS"}), 0x0000),
        (changed(**{STATUS: "DONE"}), 0x0106),
        (changed(**{STATUS: ""}), 0x0106),
        (changed(PerformedProcedureStepEndDate="soon"), 0x0106),
        (ended(), 0x0000),
        (ended("DISCONTINUED"), 0x0000),
        (ended(PerformedProcedureStepEndDate=""), 0x0121),
        (ended(PerformedSeriesSequence=[]), 0x0121),
        (ended(PerformedSeriesSequence=[without(series(), "ProtocolName")]), 0x0120),
        (changed(**{STATUS: "COMPLETED"}), 0x0121),
    ],
)
def test_changes(steps, attributes, status):
    assert steps.create("1.2.3", created()) == 0
    before = steps.get("1.2.3")
    assert steps.change("1.2.3", attributes) == status
    after = steps.get("1.2.3")
    if status:
        assert after == before
    for element in attributes if not status else ():
        assert after[element.tag].value == (element.value or "")


def test_what_is_final_stays_so(steps):
    steps.create("1.2.3", created())
    assert steps.change("1.2.3", ended()) == 0
    for attributes in (ended(), ended("DISCONTINUED"), changed(**{STATUS: "IN PROGRESS"})):
        assert steps.change("1.2.3", attributes) == 0x0110
    assert steps.get("1.2.3").PerformedProcedureStepStatus == "COMPLETED"


@pytest.mark.parametrize(
    "uid", ["", ".", "..", "../x", "1.2/3", "1.02", "1..2", "a", "1." * 40, "1.2\n", "\u0661.2"]
)
def test_uids_that_are_none(steps, tmp_path, uid):
    assert steps.create(uid, created()) == 0x0117
    assert steps.change(uid, Dataset()) == 0x0112
    assert steps.get(uid) is None
    assert [path.name for path in tmp_path.rglob("*")] == ["steps"]


def test_a_disk_that_does_not_take_it(steps):
    steps.create("1.2.3", created())
    before = steps.get("1.2.3")
    os.chmod(steps.path, 0o500)
    try:
        if os.access(steps.path, os.W_OK):
            os.rename(steps.path, steps.path + "-away")
            assert steps.create("1.2.4", created()) == 0x0213
            os.rename(steps.path + "-away", steps.path)
        else:
            assert steps.create("1.2.4", created()) == 0x0213
            assert steps.change("1.2.3", ended()) == 0x0213
    finally:
        os.chmod(steps.path, 0o700)
    assert steps.get("1.2.3") == before
    assert os.listdir(steps.path) == ["1.2.3.json"]


def test_a_file_that_is_broken(steps):
    steps.create("1.2.3", created())
    for text in ("", "{}", "[]", '{"00400252": {"vr": "SQ"}}'):
        with open(os.path.join(steps.path, "1.2.3.json"), "w") as file:
            file.write(text)
        assert steps.change("1.2.3", ended()) != 0
    with pytest.raises(CorruptError):
        with open(os.path.join(steps.path, "1.2.3.json"), "w") as file:
            file.write("{")
        steps.get("1.2.3")


def test_files_are_dicom_json(steps):
    steps.create("1.2.3", created())
    with open(os.path.join(steps.path, "1.2.3.json"), encoding="utf-8") as file:
        model = json.load(file)
    assert model["00080005"]["Value"] == ["ISO_IR 192"]
    assert model["00100010"]["Value"][0]["Alphabetic"] == "M\u00fcller^1"


def test_one_of_many_threads_creates_and_one_ends(steps):
    results = []
    attributes = [created() for _ in range(8)]

    def create(one):
        results.append(steps.create("1.2.3", one))

    def end(_):
        results.append(steps.change("1.2.3", ended()))

    for work, others in ((create, 0x0111), (end, 0x0110)):
        results.clear()
        threads = [threading.Thread(target=work, args=(one,)) for one in attributes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [0] + [others] * 7
