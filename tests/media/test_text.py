"""Text of a record, that of its sequences included, is what the object's was, for other readers."""

import pydicom
import pytest
from pydicom import Dataset

from dicomloom import DicomDir
from discs import an_object
from objects import run

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
JAPANESE, GERMAN, CZECH = "Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jörg", "Dvořák^Jiří"
# The object's set and texts; the set that its records should have.
SETS = {
    "ascii": ("ISO_IR 100", "Doe^Jane", "Report", "Findings", None),
    "latin 1 in the sequence only": ("ISO_IR 100", "Doe^Jane", "Größe", "Maß", "ISO_IR 100"),
    "latin 2": ("ISO_IR 101", CZECH, "Zpráva", "Nález ěščř", "ISO_IR 101"),
    "utf-8": ("ISO_IR 192", JAPANESE, "報告書 für 山田", "Größe 大きさ", "ISO_IR 192"),
    "code extensions": (["", "ISO 2022 IR 87"], JAPANESE, "検査報告", "所見", "ISO_IR 192"),
    "latin 1 and japanese": (
        ["ISO 2022 IR 100", "ISO 2022 IR 87"],
        GERMAN,
        "Größe",
        "所見",
        "ISO_IR 192",
    ),
    "gb18030": ("GB18030", "Wang^XiaoDong=王^小东", "检查报告", "所见", "ISO_IR 192"),
}


def code(meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = "1", "99X", meaning
    return made


def title(meaning: str, finding: str, person: str, kept: bool = True) -> dict:
    """What an SR document has of its title: its code, and a modifier with text of all kinds."""
    item = Dataset()
    item.RelationshipType = "HAS CONCEPT MOD" if kept else "CONTAINS"
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [code(meaning)]
    item.TextValue = finding
    item.PersonName = person
    return {"ConceptNameCodeSequence": [code(meaning)], "ContentSequence": [item]}


def sr(path, charset, person, meaning, finding, **more):
    return an_object(
        path,
        SOPClassUID=BASIC_TEXT_SR,
        SpecificCharacterSet=charset,
        PatientName=person,
        CompletionFlag="COMPLETE",
        VerificationFlag="VERIFIED",
        ContentDate="20240102",
        ContentTime="030405",
        **{**title(meaning, finding, person), **more},
    )


@pytest.mark.parametrize("case", SETS)
def test_records_keep_text(tmp_path, case):
    charset, person, meaning, finding, wanted = SETS[case]
    sr(tmp_path / "A", charset, person, meaning, finding)
    made = DicomDir.create(tmp_path)
    assert made.findings == []
    patient, _, _, record = pydicom.dcmread(made.path).DirectoryRecordSequence
    assert record.get("SpecificCharacterSet") == wanted
    patient.decode()
    record.decode()
    (item,) = record.ContentSequence
    assert patient.PatientName == person
    assert record.ConceptNameCodeSequence[0].CodeMeaning == meaning
    assert item.ConceptNameCodeSequence[0].CodeMeaning == meaning
    assert (item.TextValue, item.PersonName) == (finding, person)
    assert "SpecificCharacterSet" not in item
    assert next(DicomDir.open(made.path).patients).get("PatientName") == person
    printed = run("dcmdump", "+U8", "+P", "CodeMeaning", made.path).stdout.decode()
    assert printed.count(f"[{meaning}]") == 2


def test_an_item_with_a_set_of_its_own(tmp_path):
    """pydicom reads an item's own set, too: what it reads from the copy is what was meant."""
    with_own = code("Größe 大きさ")
    with_own.SpecificCharacterSet = "ISO_IR 192"
    sr(
        tmp_path / "A",
        "ISO_IR 100",
        GERMAN,
        "Maß",
        "-",
        ConceptNameCodeSequence=[with_own],
    )
    data = pydicom.dcmread(tmp_path / "A")
    assert data.ConceptNameCodeSequence[0].CodeMeaning == "Größe 大きさ"
    record = pydicom.dcmread(DicomDir.create(tmp_path).path).DirectoryRecordSequence[-1]
    assert record.SpecificCharacterSet == "ISO_IR 192"
    record.decode()
    assert record.ConceptNameCodeSequence[0].CodeMeaning == "Größe 大きさ"
    assert record.ContentSequence[0].PersonName == GERMAN


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian"])
def test_sequences_of_other_encodings(tmp_path, syntax):
    sr(tmp_path / "A", "ISO_IR 192", JAPANESE, "報告書", "所見")
    data = pydicom.dcmread(tmp_path / "A")
    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    data.save_as(tmp_path / "A", enforce_file_format=True)
    made = DicomDir.create(tmp_path)
    assert made.findings == []
    record = pydicom.dcmread(made.path).DirectoryRecordSequence[-1]
    record.decode()
    assert record.ConceptNameCodeSequence[0].CodeMeaning == "報告書"
    assert record.ContentSequence[0].PersonName == JAPANESE


def test_only_what_modifies_the_title_is_copied(tmp_path):
    content = title("Title", "x", "y")["ContentSequence"]
    content += title("Other", "x", "y", kept=False)["ContentSequence"]
    sr(tmp_path / "A", "ISO_IR 100", "Doe", "Title", "x", ContentSequence=content)
    record = pydicom.dcmread(DicomDir.create(tmp_path).path).DirectoryRecordSequence[-1]
    assert [item.RelationshipType for item in record.ContentSequence] == ["HAS CONCEPT MOD"]


def test_what_is_too_long_or_no_number_is_told_and_spoils_nothing(tmp_path):
    """A description of 70,000 letters, as implicit VR holds it, becomes UN (PS3.5 6.2.2)."""
    an_object(tmp_path / "A", SOPClassUID="1.2.840.10008.5.1.4.1.1.4.2", StudyDescription="x")
    data = pydicom.dcmread(tmp_path / "A")
    data.StudyDescription = "ä" * 70_000
    data.SpecificCharacterSet = "ISO_IR 100"
    data["Rows"] = pydicom.DataElement("Rows", "US", [3, 4])
    data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    data.save_as(tmp_path / "A", implicit_vr=True)
    made = DicomDir.create(tmp_path)
    missing = {each.message.split()[0] for each in made.findings if each.kind == "key"}
    assert "Rows" in missing
    _, study, _, record = pydicom.dcmread(made.path).DirectoryRecordSequence
    assert len(study[0x00081030].value) == 70_000
    assert record["Rows"].value is None
    assert DicomDir.open(made.path).findings == []


def test_a_sequence_that_nests_without_end_is_left_out(tmp_path):
    sr(tmp_path / "A", "ISO_IR 100", "Doe", "Title", "x")
    data = pydicom.dcmread(tmp_path / "A")
    for _ in range(200):
        outer = code("deep")
        outer.ConceptNameCodeSequence = data.ConceptNameCodeSequence
        data.ConceptNameCodeSequence = [outer]
    data.save_as(tmp_path / "A")
    made = DicomDir.create(tmp_path)
    assert {each.kind for each in made.findings} == {"key"}
    assert any("nested" in each.message for each in made.findings)
