"""Worklist and performed procedure steps over the network; what they say is tested beside them."""

import json

import pytest
from pydicom import Dataset

import dicomloom
from dicomloom.network.command import N_CREATE, N_GET, N_SET
from dicomloom.network.datasets import read_data_set, write_data_set
from dicomloom.network.mpps import PerformedProcedureStep
from find_peers import WORKLIST, findscu, save_steps, step
from network_peers import p_data
from serve_peers import Raw, command_set, serving, ui, us
from support import IMPLICIT_LE, element

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


def ask(raw, field, uid, data=None, *, context=1, more=()):
    """Send a request on an instance; returns its response. N-CREATE has Affected, not Requested."""
    creates = field == N_CREATE
    sop_class = MPPS if context == 1 else RETRIEVE
    instance = [ui(0x1000 if creates else 0x1001, uid)] if uid else []
    parts = [ui(2 if creates else 3, sop_class), us(0x100, field), us(0x110, 1)]
    kind = us(0x800, 0x101 if data is None else 1)
    raw.send(p_data(command_set(*parts, kind, *instance, *more), context))
    if data is not None:
        raw.send_data(write_data_set(data, True), context)
    return raw.response()


def test_statuses_of_what_may_not_be_done(server):
    begun, lacking, end, series = begin(), Dataset(), Dataset(), Dataset()
    lacking.PatientID = "P1"
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = ""
    series.ProtocolName, series.SeriesInstanceUID, series.RetrieveAETitle = "Photo", "1.2.3.1", ""
    series.ReferencedImageSequence = series.ReferencedNonImageCompositeSOPInstanceSequence = []
    end.PerformedSeriesSequence = [series]
    end.PerformedProcedureStepStatus = "DISCONTINUED"
    end.PerformedProcedureStepEndDate, end.PerformedProcedureStepEndTime = "20260101", "1010"
    with Raw(server.port) as raw:
        raw.associate((1, MPPS, [IMPLICIT_LE]), (3, RETRIEVE, [IMPLICIT_LE]))
        assert ask(raw, N_CREATE, "1.2.3.4", begun)[0x0900] == 0
        assert ask(raw, N_CREATE, "1.2.3.4", begun)[0x0900] == 0x0111
        assert ask(raw, N_CREATE, "1.2.3.5", lacking)[0x0900] == 0x0120
        assert ask(raw, N_SET, "1.2.3.6", begun)[0x0900] == 0x0112
        wanted = element(0x1005, None, b"\x40\0\x52\2" + b"\x10\0\x20\0")
        assert ask(raw, N_GET, "1.2.3.4", context=3, more=[wanted])[0x0900] == 0
        found, _ = read_data_set(raw.read_pdu()[12:], True)
        assert (found.PerformedProcedureStepStatus, found.PatientID) == ("IN PROGRESS", "P1")
        assert len(found) == 2
        assert ask(raw, N_GET, "1.2.3.9", context=3)[0x0900] == 0x0112
        assert ask(raw, N_SET, "1.2.3.4", end)[0x0900] == 0
        again = ask(raw, N_SET, "1.2.3.4", end)
        assert (again[0x0900], again[0x0903]) == (0x0110, 0xA710)
        made = ask(raw, N_CREATE, "", begun)  # a UID of ours (PS3.7 10.1.5.1.4)
        assert made[0x0900] == 0
        assert made[0x1000].startswith(b"2.25.")
        assert ask(raw, N_SET, "1.2.3.4", end, context=3)[0x0900] == 0x0211
        assert raw.release() == 6


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
