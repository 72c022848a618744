"""Performed procedure steps: what two servers that others wrote are sent, and in which state."""

import json
import logging
from datetime import datetime

import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from dicomloom import DicomloomWarning, Node, PerformedProcedureStep, StateError, TagError
from find_peers import step
from mpps_peers import dcmjs, ris
from support import EXPLICIT_LE, IMPLICIT_LE

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.22"
SERIES = "PerformedSeriesSequence"
REASON = "PerformedProcedureStepDiscontinuationReasonCodeSequence"
# PS3.4 table F.7.2-1, by tag: N-CREATE of the SCU.
TYPE_1 = "00400270 00400253 00400241 00400244 00400245 00400252 00080060"
TYPE_2 = (
    "00100010 00100020 00100030 00100040 00081120 00400242 00400243 00400254 00400255 00081032 "
    "00400250 00400251 00200010 00400260 00400340"
)
SCHEDULED_1, SCHEDULED_2 = (
    "0020000D",
    "00081110 00080050 00401001 00321060 00400009 00400007 00400008",
)
SERIES_1, SERIES_2 = "00181030 0020000E", "00081050 00081070 0008103E 00080054 00081140 00400220"
# What N-SET may bring of it.
SETTABLE = (
    "00080005 00400252 00400254 00400255 00081032 00401012 00400250 00400251 00400280 00400281 "
    "00400260 00400340"
)


def node(port):
    return Node(f"RIS@127.0.0.1:{port}", calling_ae_title="CAMERA1", timeout=5)


def tags(text):
    return [int(word, 16) for word in text.split()]


def hold(dataset, first, second):
    for tag in tags(first):
        assert not dataset[tag].is_empty, f"{tag:08X}"
    for tag in tags(second):
        assert tag in dataset, f"{tag:08X}"


def test_what_is_sent_has_what_the_standard_requires():
    start, end = datetime(2026, 1, 2, 9, 8, 7), datetime(2026, 1, 2, 10, 0, 0)
    with ris() as (port, seen):
        made = PerformedProcedureStep.from_worklist(node(port), step(1), start=start)
        with made:
            assert made.state == "IN PROGRESS"
            made.add_instance((CT, "1.2.3.4", "1.2.3"))
            made.add_instance((SR, "1.2.3.5", "1.2.3"))
            made.complete(end=end, PerformedProcedureStepDescription="Both eyes")
    created, ended = seen
    assert [(one.service, one.uid) for one in seen] == [("N-CREATE", made.uid), ("N-SET", made.uid)]
    assert made.uid.startswith("2.25.")
    hold(created.data, TYPE_1, TYPE_2)
    (scheduled,) = created.data.ScheduledStepAttributesSequence
    hold(scheduled, SCHEDULED_1, SCHEDULED_2)
    assert created.data.PerformedProcedureStepStatus == "IN PROGRESS"
    assert created.data.PerformedStationAETitle == "CAMERA1"
    assert created.data.PerformedProcedureStepStartDate == "20260102"
    assert created.data.PerformedProcedureStepStartTime == "090807"
    assert created.data[REASON].is_empty
    assert {int(element.tag) for element in ended.data} <= set(tags(SETTABLE))
    assert ended.data.PerformedProcedureStepStatus == "COMPLETED"
    assert ended.data.PerformedProcedureStepEndDate == "20260102"
    assert ended.data.PerformedProcedureStepEndTime == "100000"
    assert ended.data.PerformedProcedureStepDescription == "Both eyes"
    (series,) = ended.data[SERIES].value
    hold(series, SERIES_1, SERIES_2)
    (image,) = series.ReferencedImageSequence
    (other,) = series.ReferencedNonImageCompositeSOPInstanceSequence
    assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (CT, "1.2.3.4")
    assert (other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID) == (SR, "1.2.3.5")
    assert made.state == made.attributes.PerformedProcedureStepStatus == "COMPLETED"


def test_the_worklist_item_goes_over():
    item = step(1)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "F1", "99X", "Fundus"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.3", "1.2.3.9"
    # A worklist that has no codes answers with an empty item.
    item.RequestedProcedureCodeSequence, item.ReferencedStudySequence = [code], [reference]
    item.ReferencedPatientSequence = [Dataset()]
    item.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence = [Dataset(), code]
    made = PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", item).attributes
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        assert made[keyword].value == item[keyword].value
    (scheduled,) = made.ScheduledStepAttributesSequence
    for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
        assert scheduled[keyword].value == item[keyword].value
    (first,) = item.ScheduledProcedureStepSequence
    for keyword in ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription"):
        assert scheduled[keyword].value == first[keyword].value
    assert scheduled.RequestedProcedureDescription == "Photo"
    assert scheduled.ScheduledProtocolCodeSequence == [code]
    assert scheduled.RequestedProcedureCodeSequence == made.ProcedureCodeSequence == [code]
    assert scheduled.ReferencedStudySequence == [reference]
    assert made["ReferencedPatientSequence"].is_empty
    assert (made.Modality, made.StudyID) == ("OP", "R1")
    assert made.PerformedProcedureStepDescription == "Fundus"


def test_what_a_peer_answers_in_another_vr_is_left_out():
    item = step(1)
    for keyword in ("PatientID", "RequestedProcedureID"):
        del item[keyword]
    item.add_new("PatientID", "US", 7)
    item.add_new("RequestedProcedureID", "OB", b"7")
    made = PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", item).attributes
    assert (made.PatientID, made.StudyID) == (None, None)
    hold(made, TYPE_1, TYPE_2)


def test_several_scheduled_steps_are_one_item_each():
    item = step(1)
    second = Dataset()
    second.ScheduledProcedureStepID, second.Modality = "S2", "OP"
    item.ScheduledProcedureStepSequence.append(second)
    made = PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", item).attributes
    items = made.ScheduledStepAttributesSequence
    assert [one.ScheduledProcedureStepID for one in items] == ["S1", "S2"]
    assert [one.StudyInstanceUID for one in items] == ["1.2.3.1", "1.2.3.1"]


def test_a_file_of_the_worklist(tmp_path):
    (tmp_path / "item.json").write_text(step(1).to_json())
    made = PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", tmp_path / "item.json")
    assert made.attributes.PatientName == "M\u00fcller^1"


def test_a_step_that_nobody_scheduled():
    where = "ScheduledStepAttributesSequence[0].AccessionNumber"
    with ris() as (port, seen):
        with PerformedProcedureStep(node(port), {where: "A9"}, Modality="OP", PatientID="7"):
            pass
    created, ended = seen
    hold(created.data, TYPE_1, TYPE_2)
    (scheduled,) = created.data.ScheduledStepAttributesSequence
    hold(scheduled, SCHEDULED_1, SCHEDULED_2)
    assert (scheduled.AccessionNumber, created.data.PatientID) == ("A9", "7")
    # Table F.7.2-1, note 2: a series, though nothing was made.
    (series,) = ended.data[SERIES].value
    hold(series, SERIES_1, SERIES_2)
    assert series["ReferencedImageSequence"].is_empty
    assert series["ReferencedNonImageCompositeSOPInstanceSequence"].is_empty


def test_an_exception_discontinues():
    with ris() as (port, seen), pytest.raises(ZeroDivisionError) as caught:
        with PerformedProcedureStep(node(port), Modality="OP") as made:
            made.add_instance((CT, "1.2.3.4", "1.2.3"))
            1 / 0  # noqa: B018
    assert not hasattr(caught.value, "__notes__")
    ended = seen[1].data
    assert ended.PerformedProcedureStepStatus == made.state == "DISCONTINUED"
    assert ended[SERIES].value[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    (reason,) = ended[REASON].value
    assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("110513", "DCM")


def test_reasons_are_those_of_the_context_groups():
    with ris() as (port, seen):
        for group in (codes.cid9300, codes.cid9301):
            code = group.concepts["EquipmentFailure"]
            made = PerformedProcedureStep(node(port), Modality="OP")
            made.start()
            made.discontinue(code.value)
            (reason,) = seen[-1].data[REASON].value
            assert (reason.CodeMeaning, reason.CodingSchemeDesignator) == (code.meaning, "DCM")
        made = PerformedProcedureStep(node(port), Modality="OP")
        made.start()
        with pytest.raises(TagError, match="110514 Incorrect worklist entry selected"):
            made.discontinue("4711")
        assert made.state == "IN PROGRESS"
        made.discontinue(("4711", "99X", "Lunch"))
        assert seen[-1].data[REASON].value[0].CodeMeaning == "Lunch"


def test_an_update_says_how_far_it_is():
    with ris() as (port, seen):
        with PerformedProcedureStep.from_worklist(node(port), step(1)) as made:
            made.add_instance((CT, "1.2.3.4", "1.2.3"))
            made.update(CommentsOnThePerformedProcedureStep="half")
            made.add_instance((CT, "1.2.3.5", "1.2.3"))
            made.add_instance((CT, "1.2.3.5", "1.2.3"))
            made.add_series("1.2.4", ProtocolName="Other", OperatorsName="Doe^J")
    _, updated, ended = (one.data for one in seen)
    assert "PerformedProcedureStepStatus" not in updated
    assert updated.CommentsOnThePerformedProcedureStep == "half"
    assert [len(one[SERIES].value) for one in (updated, ended)] == [1, 2]
    first, second = ended[SERIES].value
    uids = [one.ReferencedSOPInstanceUID for one in first.ReferencedImageSequence]
    assert uids == ["1.2.3.4", "1.2.3.5"]
    assert (second.ProtocolName, second.OperatorsName) == ("Other", "Doe^J")
    assert len(updated[SERIES].value[0].ReferencedImageSequence) == 1


def test_objects_and_their_series(corpus):
    path = corpus / "pydicom__pydicom/src/pydicom/data/test_files/CT_small.dcm"
    truth = dcmread(path)
    made = PerformedProcedureStep("RIS@127.0.0.1:1", Modality="CT")
    with pytest.warns(DicomloomWarning, match="not that of the step"):
        made.add_instance(path)
    same = PerformedProcedureStep(
        "RIS@127.0.0.1:1",
        {"ScheduledStepAttributesSequence[0].StudyInstanceUID": truth.StudyInstanceUID},
        Modality="CT",
    )
    same.add_instance(truth)
    for one in (made, same):
        (item,) = one._series.items.values()
        assert item.SeriesInstanceUID == truth.SeriesInstanceUID
        assert item.ProtocolName == truth.get("ProtocolName", "UNKNOWN")
        (reference,) = item.ReferencedImageSequence
        assert reference.ReferencedSOPInstanceUID == truth.SOPInstanceUID


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_a_server_in_another_language(tmp_path, syntax):
    with dcmjs(tmp_path, syntax) as (port, seen):
        with PerformedProcedureStep.from_worklist(node(port), step(1)) as made:
            made.add_instance((CT, "1.2.3.4", "1.2.3"))
            made.update()
        created, updated, ended = seen()
    assert [one["uid"] for one in (created, updated, ended)] == [made.uid] * 3
    assert created["data"]["PerformedProcedureStepStatus"] == "IN PROGRESS"
    assert created["data"]["PatientName"][0]["Alphabetic"] == "M\u00fcller^1"
    assert created["data"]["ScheduledStepAttributesSequence"][0]["AccessionNumber"] == "A1"
    assert ended["data"]["PerformedProcedureStepStatus"] == "COMPLETED"
    (series,) = ended["data"][SERIES]
    assert series["ReferencedImageSequence"][0]["ReferencedSOPInstanceUID"] == "1.2.3.4"


def test_the_character_set_is_one_for_all_messages():
    with ris() as (port, seen):
        with PerformedProcedureStep.from_worklist(node(port), step(1)) as made:
            made.update(CommentsOnThePerformedProcedureStep="\u00e4")
            made.update(CommentsOnThePerformedProcedureStep="\u0436")
    sets = [one.data.SpecificCharacterSet for one in seen]
    assert sets[:3] == ["ISO_IR 100", "ISO_IR 100", "ISO_IR 192"]
    texts = [one.data.CommentsOnThePerformedProcedureStep for one in seen[:3]]
    assert texts == ["", "\u00e4", "\u0436"]
    assert made.attributes.PatientName == "M\u00fcller^1"


def test_what_may_not_be_done():
    """PS3.4 F.7.2.2.2; nothing of it is sent."""
    with ris() as (port, seen):
        made = PerformedProcedureStep(node(port), Modality="OP")
        for call in (made.complete, made.discontinue, made.update):
            with pytest.raises(StateError, match="is NEW"):
                call()
        made.start()
        with pytest.raises(StateError, match="is IN PROGRESS"):
            made.start()
        for keyword, value in [
            ("PatientID", "2"),
            ("PerformedProcedureStepStatus", "COMPLETED"),
            ("ReasonForPerformedProcedureCodeSequence[0].CodeValue", "1"),
            ("PerformedProcedureStepEndDate", "tomorrow"),
            (SERIES + "[0].ProtocolName", "1"),
        ]:
            with pytest.raises(TagError):
                made.update({keyword: value})
        made.complete()
        for call in (
            made.start,
            made.complete,
            made.discontinue,
            made.update,
            lambda: made.add_series("1.2"),
            lambda: made.add_instance((CT, "1.2.3", "1.2")),
        ):
            with pytest.raises(StateError, match="COMPLETED: that is final"):
                call()
    assert [one.service for one in seen] == ["N-CREATE", "N-SET"]


def test_attributes_that_make_no_step():
    item = step(1)
    del item.StudyInstanceUID
    with pytest.raises(TagError, match="StudyInstanceUID"):
        PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", item)
    for given in ({}, {"Modality": "op"}, {"Modality": ""}, {"NoSuch": "1", "Modality": "OP"}):
        with pytest.raises(TagError):
            PerformedProcedureStep("RIS@127.0.0.1:1", given)
    made = PerformedProcedureStep("RIS@127.0.0.1:1", Modality="OP")
    for instance in ((CT, "1.02", "1.2"), (CT, "", "1.2"), Dataset()):
        with pytest.raises(TagError):
            made.add_instance(instance)
    with pytest.raises(TagError):
        made.add_series("x")


def test_no_values_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    with ris() as (port, _), PerformedProcedureStep.from_worklist(node(port), step(1)):
        pass
    assert caplog.records
    assert not [record for record in caplog.records if "ller" in record.getMessage()]


def test_a_step_is_taken_up_from_its_file(tmp_path):
    state = tmp_path / "s.json"
    with ris() as (port, _):
        made = PerformedProcedureStep.from_worklist(node(port), step(1), state=state)
        made.start()
        made.add_instance((CT, "1.2.3.4", "1.2.3"))
        made.save(state)
        again = PerformedProcedureStep.load(state, node(port))
        again.complete()
    assert json.loads(state.read_text())["state"] == "COMPLETED"
    (item,) = again.attributes[SERIES].value
    assert item.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
