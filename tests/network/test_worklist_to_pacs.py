"""docs/worklist-to-pacs.md does what it says, against `dicomloom serve`."""

import json

import pydicom

import dicomloom
from pages import run_page
from support import peer_module

CONFIG = """
[nodes.pacs]
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
calling_ae_title = "CAMERA1"
"""


def test_from_worklist_to_pacs(tmp_path, monkeypatch):
    peer_module("PIL.Image", "PIL").linear_gradient("L").save(tmp_path / "photo.jpg")
    config = tmp_path / "dicomloom.toml"
    monkeypatch.setenv("DICOMLOOM_CONFIG", str(config))
    run_page("worklist-to-pacs.md", "sh", tmp_path, blocks=slice(0, 1))
    folders = {"worklist": tmp_path / "items", "mpps": tmp_path / "steps"}
    with dicomloom.serve(tmp_path / "archive", ae_title="PACS", port=0, **folders) as server:
        config.write_text(CONFIG.format(port=server.port))
        said = run_page("worklist-to-pacs.md", "python", tmp_path)
        assert said.splitlines() == ["1 scheduled: Meyer^Anna", "step COMPLETED"]
        run_page("worklist-to-pacs.md", "sh", tmp_path, blocks=slice(1, None))

    photo = pydicom.dcmread(tmp_path / "photo.dcm")
    assert (photo.PatientID, photo.AccessionNumber) == ("4711", "A2026-0815")
    (back,) = (path for path in (tmp_path / "back").rglob("*") if path.is_file())
    assert pydicom.dcmread(back).to_json_dict() == photo.to_json_dict()
    (path,) = (tmp_path / "steps").glob("*.json")
    step = pydicom.Dataset.from_json(json.loads(path.read_text()))
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert step.ScheduledStepAttributesSequence[0].StudyInstanceUID == photo.StudyInstanceUID
    (series,) = step.PerformedSeriesSequence
    (reference,) = series.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == photo.SOPInstanceUID
