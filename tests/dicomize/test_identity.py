"""Whose an object is: what comes over from a template, study, series and worklist, and what not."""

from __future__ import annotations

import json
import struct
import zlib
from copy import deepcopy
from datetime import datetime

import pydicom
import pytest
from pydicom import Dataset

from dicomloom import json_model
from dicomloom.attributes import make, put
from dicomloom.dicomize.copied import OWN, PATIENT, STUDY
from dicomloom.dicomize.identity import identity_of, read_data_set
from dicomloom.errors import (
    CorruptError,
    DicomloomError,
    LimitError,
    NotDicomError,
    PixelError,
    ReadError,
)
from support import DEFLATED, EXPLICIT_LE, UNDEFINED, element, part10, readable

NOW = datetime(2024, 1, 2, 3, 4, 5)


def image(**changes) -> Dataset:
    made = make(
        {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
            "SOPInstanceUID": "1.2.3.4",
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.1",
            "Modality": "OT",
            "PatientID": "42",
            "PatientName": "Müller^Jürgen",
            "StudyDate": "20200101",
            "StudyTime": "101112",
            "StudyDescription": "Skin",
            "SeriesDescription": "Left arm",
            "InstitutionName": "Hospital",
            "InstanceNumber": "7",
            "ContentDate": "20200102",
            "Rows": 4,
            "BurnedInAnnotation": "NO",
            "AnatomicRegionSequence[0].CodeMeaning": "Skin",
            **changes,
        }
    )
    made.add_new(0x00090010, "LO", "ACME")
    made.add_new(0x00091001, "LO", "private value")
    made.add_new(0x000B1001, "LO", "without a creator")
    made.add_new(0x60000010, "US", 4)
    made.add_new(0x60003000, "OW", bytes(2))
    made.add_new(0x50000005, "US", 1)
    made.add_new(0xFFFAFFFA, "SQ", [])
    made.add_new(0x04000561, "SQ", [])
    made.add_new(0xFFFCFFFC, "OB", bytes(4))
    made.add_new(0x7FE00010, "OW", bytes(16))
    return made


def saved(dataset, path):
    made = deepcopy(dataset)
    made.SpecificCharacterSet = "ISO_IR 100"
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = EXPLICIT_LE
    made.save_as(path, enforce_file_format=True)
    return path


WORKLIST = {
    "PatientID": "42",
    "PatientName": "Müller^Jürgen",
    "AccessionNumber": "A1",
    "StudyInstanceUID": "1.2.9",
    "RequestedProcedureID": "RP1",
    "RequestedProcedureDescription": "Photograph",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID": "S1",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepDescription": "Left arm",
    "ScheduledProcedureStepSequence[0].ScheduledPerformingPhysicianName": "Doe^Eve",
    "ScheduledProcedureStepSequence[0].ScheduledStationName": "CAMERA1",
}


def test_nothing_given():
    found = identity_of(now=NOW)
    assert (found.series, found.modality, found.number) == (None, None, 1)
    assert (found.base.StudyDate, found.base.StudyTime) == ("20240102", "030405")
    assert found.base.StudyInstanceUID.startswith("2.25.")
    assert identity_of(now=NOW).base.StudyInstanceUID != found.base.StudyInstanceUID


def test_a_template(tmp_path):
    given = image()
    for source in (given, saved(given, tmp_path / "a.dcm"), str(tmp_path / "a.dcm")):
        base = identity_of(template=source, now=NOW).base
        assert (base.PatientID, base.PatientName) == ("42", "Müller^Jürgen")
        assert (base.InstitutionName, base.SeriesDescription) == ("Hospital", "Left arm")
        assert base.AnatomicRegionSequence[0].CodeMeaning == "Skin"
        assert base.StudyInstanceUID != "1.2.3"
        assert base.StudyDate == "20240102"
        assert not OWN - {"StudyInstanceUID", "StudyDate", "StudyTime"} & {e.keyword for e in base}
        groups = {element.tag.group for element in base}
        assert not groups & {0x0002, 0x0028, 0x0400, 0x5000, 0x6000, 0x7FE0, 0xFFFA, 0xFFFC}
        assert base.private_block(0x0009, "ACME")[1].value == "private value"
        assert 0x000B not in groups


def test_what_is_set_later_does_not_reach_a_source():
    for name in ("template", "study_of", "series_of"):
        given = image(**{"ProcedureCodeSequence[0].CodeMeaning": "Photograph"})
        before = deepcopy(given)
        base = identity_of(**{name: given}, now=NOW).base
        put(base, "ProcedureCodeSequence[0].CodeMeaning", "other")
        base.PatientName.encodings = ("ascii",)
        base.PatientID = "43"
        assert given == before


def test_a_template_is_of_another_patient():
    """Nothing of its patient and study is left where somebody else says whose the object is."""
    template = image(PatientID="7", PatientComments="of patient 7", Allergies="of patient 7")
    other = make({"PatientID": "42", "StudyInstanceUID": "1.2.9"})
    for name in ("study_of", "series_of", "worklist"):
        base = identity_of(template=template, **{name: other}, now=NOW).base
        assert base.PatientID == "42"
        assert "of patient 7" not in str(base)
        assert base.InstitutionName == "Hospital"
        assert base.StudyInstanceUID == "1.2.9"
        assert "PatientName" not in base


def test_a_study(tmp_path):
    path = saved(image(), tmp_path / "a.dcm")
    found = identity_of(study_of=path, now=NOW)
    assert {e.keyword for e in found.base} <= {*PATIENT, *STUDY}
    assert (found.base.StudyInstanceUID, found.base.StudyDate) == ("1.2.3", "20200101")
    assert (found.series, found.number) == (None, 1)


def test_a_study_without_a_date_gets_none():
    """All objects of a study say the same of it."""
    base = identity_of(study_of=make({"StudyInstanceUID": "1.2.3"}), now=NOW).base
    assert "StudyDate" not in base


@pytest.mark.parametrize(("number", "following"), [("7", 8), ("", 1), ("-3", 1), (None, 1)])
def test_a_series(number, following):
    found = identity_of(series_of=image(InstanceNumber=number), now=NOW)
    assert (found.series, found.modality, found.number) == ("1.2.3.1", "OT", following)
    assert found.base.SeriesDescription == "Left arm"
    assert "InstanceNumber" not in found.base
    assert "AnatomicRegionSequence" not in found.base


@pytest.mark.parametrize("form", ["json", "list", "bom", "dicom", "dataset"])
def test_a_worklist_item(tmp_path, form):
    item = make(WORKLIST)
    text = item.to_json()
    path = tmp_path / "item"
    if form == "dicom":
        item.SOPClassUID, item.SOPInstanceUID = "1.2.840.10008.5.1.4.31", "1.2"
        saved(item, path)
    else:
        written = {"list": f"[{text}]", "bom": "\ufeff" + text}.get(form, text)
        path.write_text(written, encoding="utf-8")
    base = identity_of(worklist=item if form == "dataset" else path, now=NOW).base
    assert (base.PatientName, base.AccessionNumber) == ("Müller^Jürgen", "A1")
    assert (base.StudyInstanceUID, base.StudyDate) == ("1.2.9", "20240102")
    request = base.RequestAttributesSequence[0]
    assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP1", "S1")
    assert (base.StudyID, base.StudyDescription) == ("RP1", "Photograph")
    assert base.PerformedProcedureStepDescription == "Left arm"
    assert (base.PerformingPhysicianName, base.StationName) == ("Doe^Eve", "CAMERA1")
    assert "ScheduledProcedureStepSequence" not in base


def test_different_patients_or_studies():
    one, other = make({"PatientID": "1"}), make({"PatientID": "2"})
    silent = make({"PatientID": "", "PatientName": "Doe"})
    for sources in (
        {"worklist": one, "study_of": other},
        {"study_of": one, "series_of": other},
        {"worklist": one, "study_of": silent, "series_of": other},
    ):
        with pytest.raises(PixelError, match="different PatientID"):
            identity_of(**sources, now=NOW)
    assert identity_of(worklist=one, study_of=silent, now=NOW)
    studies = [make({"PatientID": "1", "StudyInstanceUID": uid}) for uid in ("1.2", "1.3")]
    with pytest.raises(PixelError, match="different StudyInstanceUID"):
        identity_of(worklist=studies[0], study_of=studies[1], now=NOW)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotDicomError),
        (b"hello", NotDicomError),
        (b"{", CorruptError),
        (b"[]", CorruptError),
        (b"[{}, {}]", CorruptError),
        (b"[1]", CorruptError),
        (b"[" * 100_000, CorruptError),
        (b"{" * 100_000, CorruptError),
        (b'{"00400100":{"vr":"SQ","Value":[' * 20_000, CorruptError),
        (b'{"PatientName": "Doe"}', CorruptError),
        (b'{"00100010": {"vr": "XX", "Value": [1]}}', CorruptError),
        (b'{"00100010": {"vr": "OB", "InlineBinary": "A"}}', CorruptError),
        (b'{"00100010": \xff}', CorruptError),
        (part10(element(0x00280010, "US", b"abc")), CorruptError),
        (part10(element(0x00100010, "PN", b"Doe", length=60_000)), None),
        (part10(b"junk that is no element at all"), None),
    ],
)
def test_what_cannot_be_read(tmp_path, data, error):
    path = tmp_path / "a"
    path.write_bytes(data)
    try:
        read_data_set(path)
    except DicomloomError as caught:
        assert error is None or isinstance(caught, error)
        assert caught.path == str(path)
    else:
        assert error is None


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ReadError) as caught:
            identity_of(template=path, now=NOW)
        assert caught.value.errno


def test_deep_sequences(tmp_path):
    path = tmp_path / "a"
    item = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
    head = element(0x00400100, "SQ", length=UNDEFINED) + item
    path.write_bytes(part10(head * 20_000))
    with pytest.raises(LimitError, match="nest"):
        read_data_set(path)


def test_a_deflated_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr("dicomloom.inflate.MOST", 1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    for size, fits in ((1 << 10, True), (1 << 24, False)):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = element(0x00100020, "LO", b"42") + element(0x00420011, "OB", bytes(size))
        path = tmp_path / "a"
        path.write_bytes(part10(packer.compress(body) + packer.flush(), DEFLATED))
        if fits:
            assert read_data_set(path).PatientID == "42"
        else:
            with pytest.raises(LimitError, match="deflated"):
                read_data_set(path)


def test_json_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(json_model, "LARGEST", 100)
    path = tmp_path / "a"
    path.write_text(json.dumps({"00100020": {"vr": "LO", "Value": ["4" * 90]}}))
    with pytest.raises(LimitError, match="JSON"):
        read_data_set(path)


def test_every_object_of_the_corpus_as_template_and_study(corpus):
    """Real headers, some broken: identity or a clear error."""
    taken = 0
    for name in readable(corpus)[::5]:
        try:
            base = identity_of(template=corpus / name, now=NOW).base
            identity_of(study_of=corpus / name, now=NOW)
        except DicomloomError as error:
            assert error.path == str(corpus / name)
            continue
        assert not {e.tag.group for e in base} & {2, 0x28, 0x7FE0}
        taken += 1
    assert taken > 20


def test_json_of_many_objects_is_refused_before_it_is_read(tmp_path):
    # Three bytes each, and a data set of a KiB.
    path = tmp_path / "a"
    path.write_text('{"00081140": {"vr": "SQ", "Value": [' + "{}," * 300_000 + "{}]}}")
    with pytest.raises(LimitError, match="objects") as caught:
        read_data_set(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("how", ["template", "study_of", "series_of", "worklist"])
def test_a_sequence_where_a_value_should_be(tmp_path, how):
    study = element(0x0020000D, "SQ", b"") + element(0x00400100, "SQ", b"")
    path = tmp_path / "a.dcm"
    path.write_bytes(part10(element(0x00100020, "SQ", b"") + study))
    with pytest.raises(CorruptError, match="is of VR SQ, expected") as caught:
        identity_of(**{how: path}, now=NOW)
    assert caught.value.tag in (0x00100020, 0x0020000D)
