"""Worklist and performed procedure steps over the network; what they say is tested beside them."""

import json

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context

import dicomloom
from dicomloom.network.mpps import PerformedProcedureStep
from find_peers import WORKLIST, findscu, save_steps, step
from serve_peers import serving

MPPS, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"


@pytest.fixture
def server(tmp_path):
    save_steps(tmp_path / "items", [step(number) for number in (1, 2, 3)])
    more = {"worklist": tmp_path / "items", "mpps": tmp_path / "steps"}
    with serving(tmp_path / "held", **more) as (server, _):
        yield server


def test_a_worklist_for_dcmtk_and_for_ours(server, tmp_path):
    keys = ["-W", "-k", "PatientName", "-k", "PatientID=P2"]
    found = findscu(tmp_path / "answers", server.port, *keys, called="DICOMLOOM")
    assert [str(one.PatientName) for one in found] == ["M\u00fcller^2"]
    ours = dicomloom.worklist(f"ANY@127.0.0.1:{server.port}", date="20260102-20260103")
    assert sorted(one.PatientID for one in ours) == ["P2", "P3"]


def test_without_folders_neither_is_offered(tmp_path):
    with serving(tmp_path) as (server, _):
        for uid in (WORKLIST, MPPS):
            with pytest.raises(dicomloom.NoAcceptedContext) as caught:
                with dicomloom.associate(f"ANY@127.0.0.1:{server.port}", [uid]):
                    pass
            assert caught.value.answered[0][1] == 3  # abstract syntax not supported


def test_a_step_from_beginning_to_end(server, tmp_path):
    node = dicomloom.Node(f"ANY@127.0.0.1:{server.port}", calling_ae_title="CAMERA1")
    (item,) = dicomloom.worklist(node, {"PatientID": "P2"}, date=None)
    made = PerformedProcedureStep.from_worklist(node, item)
    with made:
        made.add_series("1.2.3")
        kept = json.loads((tmp_path / "steps" / f"{made.uid}.json").read_text())
        assert kept["00400252"]["Value"] == ["IN PROGRESS"]
    kept = json.loads((tmp_path / "steps" / f"{made.uid}.json").read_text())
    assert kept["00400252"]["Value"] == ["COMPLETED"]
    assert kept["00100020"]["Value"] == ["P2"]


def test_statuses_of_what_may_not_be_done(server):
    entity = AE("CAMERA1")
    contexts = [build_context(MPPS), build_context(RETRIEVE)]
    association = entity.associate("127.0.0.1", server.port, contexts)
    assert association.is_established
    begun = begin()
    status, _ = association.send_n_create(begun, MPPS, "1.2.3.4")
    assert status.Status == 0
    status, _ = association.send_n_create(begun, MPPS, "1.2.3.4")
    assert status.Status == 0x0111
    lacking = Dataset()
    lacking.PatientID = "P1"
    status, _ = association.send_n_create(lacking, MPPS, "1.2.3.5")
    assert status.Status == 0x0120
    status, _ = association.send_n_set(begun, MPPS, "1.2.3.6")
    assert status.Status == 0x0112
    status, found = association.send_n_get([0x00400252, 0x00100020], RETRIEVE, "1.2.3.4")
    assert status.Status == 0
    assert (found.PerformedProcedureStepStatus, found.PatientID) == ("IN PROGRESS", "P1")
    assert len(found) == 2
    status, _ = association.send_n_get([], RETRIEVE, "1.2.3.9")
    assert status.Status == 0x0112
    end = Dataset()
    end.PerformedProcedureStepStatus = "DISCONTINUED"
    end.PerformedProcedureStepEndDate, end.PerformedProcedureStepEndTime = "20260101", "1010"
    series = Dataset()
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = ""
    series.ProtocolName, series.SeriesInstanceUID, series.RetrieveAETitle = "Photo", "1.2.3.1", ""
    series.ReferencedImageSequence = series.ReferencedNonImageCompositeSOPInstanceSequence = []
    end.PerformedSeriesSequence = [series]
    status, _ = association.send_n_set(end, MPPS, "1.2.3.4")
    assert status.Status == 0
    status, _ = association.send_n_set(end, MPPS, "1.2.3.4")
    assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
    status, _ = association.send_n_create(begun, MPPS)
    assert status.Status == 0
    association.release()


def begin():
    made, scheduled = Dataset(), Dataset()
    scheduled.StudyInstanceUID = "1.2.3"
    scheduled.ReferencedStudySequence = []
    scheduled.AccessionNumber = scheduled.RequestedProcedureID = ""
    scheduled.RequestedProcedureDescription = scheduled.ScheduledProcedureStepID = ""
    scheduled.ScheduledProcedureStepDescription = ""
    scheduled.ScheduledProtocolCodeSequence = []
    made.ScheduledStepAttributesSequence = [scheduled]
    made.PatientName, made.PatientID = "Doe^Jane", "P1"
    made.PatientBirthDate = made.PatientSex = ""
    made.ReferencedPatientSequence = []
    made.PerformedProcedureStepID, made.PerformedStationAETitle = "S1", "CAMERA1"
    made.PerformedStationName = made.PerformedLocation = ""
    made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime = "20260101", "1000"
    made.PerformedProcedureStepStatus = "IN PROGRESS"
    made.PerformedProcedureStepDescription = made.PerformedProcedureTypeDescription = ""
    made.ProcedureCodeSequence = []
    made.PerformedProcedureStepEndDate = made.PerformedProcedureStepEndTime = ""
    made.Modality, made.StudyID = "OP", ""
    made.PerformedProtocolCodeSequence = []
    made.PerformedSeriesSequence = []
    return made
