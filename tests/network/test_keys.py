"""Identifiers: what may be asked for at which level, and how it is written."""

import pytest
from pydicom import Dataset

from dicomloom import TagError
from dicomloom.network.find import merged
from dicomloom.network.keys import RETURNED, identifier_of, set_key

UID = "1.2.3"


def built(level="STUDY", root="study", relational=False, **keys):
    return identifier_of(level, root, keys, relational)[0]


@pytest.mark.parametrize(
    ("level", "root", "above"),
    [
        ("PATIENT", "patient", {}),
        ("STUDY", "patient", {"PatientID": "7"}),
        ("SERIES", "patient", {"PatientID": "7", "StudyInstanceUID": UID}),
        ("STUDY", "study", {}),
        ("SERIES", "study", {"StudyInstanceUID": UID}),
        ("IMAGE", "study", {"StudyInstanceUID": UID, "SeriesInstanceUID": UID}),
    ],
)
def test_an_identifier_has_its_level_unique_keys_and_return_keys(level, root, above):
    made = built(level.lower(), root, **above)
    assert made.QueryRetrieveLevel == level
    patient = RETURNED["PATIENT"] if (level, root) == ("STUDY", "study") else ()
    assert {e.keyword for e in made} == {"QueryRetrieveLevel", *above, *RETURNED[level], *patient}
    assert all(made[key].is_empty for key in RETURNED[level])
    assert {key: made[key].value for key in above} == above


@pytest.mark.parametrize(
    ("level", "root", "keys", "says"),
    [
        ("SERIES", "study", {}, "needs StudyInstanceUID, which is missing"),
        ("SERIES", "study", {"StudyInstanceUID": None}, "is missing"),
        ("SERIES", "study", {"StudyInstanceUID": "1.2\\1.3"}, "single value"),
        ("IMAGE", "study", {"StudyInstanceUID": UID}, "needs SeriesInstanceUID"),
        ("STUDY", "patient", {}, "needs PatientID"),
        ("STUDY", "patient", {"PatientID": "7*"}, "single value"),
        ("STUDY", "study", {"Modality": "CT"}, "ask for ModalitiesInStudy"),
        ("STUDY", "study", {"SeriesInstanceUID": UID}, "ask at level SERIES"),
        ("SERIES", "study", {"StudyInstanceUID": UID, "PatientName": "A"}, "of level STUDY"),
        ("PATIENT", "patient", {"StudyDate": ""}, "of level STUDY"),
    ],
)
def test_the_hierarchy_is_kept_unless_the_query_is_relational(level, root, keys, says):
    with pytest.raises(TagError, match=says):
        identifier_of(level, root, keys, False)
    _, needs = identifier_of(level, root, keys, True)
    assert says in needs


def test_a_relational_query_that_keeps_the_hierarchy_needs_no_negotiation():
    assert identifier_of("SERIES", "study", {"StudyInstanceUID": UID}, True)[1] == ""


@pytest.mark.parametrize(
    ("level", "root", "says"),
    [
        ("PATIENT", "study", 'root="patient"'),
        ("FRAME", "study", "STUDY, SERIES, IMAGE"),
        ("STUDY", "worklist", '"study" or "patient"'),
    ],
)
def test_levels_and_roots_that_are_none(level, root, says):
    with pytest.raises(ValueError, match=says):
        identifier_of(level, root, {}, False)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("StudyDate", "20260101"),
        ("StudyDate", "20260101-"),
        ("StudyDate", "-20260101"),
        ("StudyDate", "20260101-20261231"),
        ("StudyTime", "0800-1200"),
        ("StudyTime", "080000.5-"),
        ("AcquisitionDateTime", "20260101120000+0100"),
        ("AcquisitionDateTime", "20260101-20260201"),
        ("AcquisitionDateTime", "20260101-"),
        ("AcquisitionDateTime", "20260101120000-0500-20260102120000-0500"),
        ("PatientName", "DOE*^J?HN"),
        ("PatientName", "*"),
        ("Modality", "C?"),
        ("Modality", "*"),
        ("0008,0050", "A*"),
        ("ScheduledProcedureStepSequence[0].ScheduledStationAETitle", "CAM*"),
        ("ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate", "20260101-"),
    ],
)
def test_what_matches_is_taken_as_it_is(where, value):
    made = Dataset()
    set_key(made, where, value)
    for element in made.iterall():
        if element.VR != "SQ":
            assert str(element.value) == value


def test_a_list_of_uids():
    made = built(StudyInstanceUID="1.2.3\\1.2.4")
    assert list(made.StudyInstanceUID) == ["1.2.3", "1.2.4"]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("StudyDate", "2026-01-01"),
        ("StudyDate", "20260230"),
        ("StudyDate", "20260101-20260230"),
        ("StudyDate", "yesterday"),
        ("StudyTime", "25-26"),
        ("AcquisitionDateTime", "noon"),
        ("Modality", "ct"),
        ("ModalitiesInStudy", "c*"),
        ("StudyInstanceUID", "1.2.*"),
        ("StudyInstanceUID", "1.2\\1.02"),
        ("PatientID", "1\x1b2"),
        ("PatientID", "x" * 65),
        ("SeriesNumber", "one"),
        ("NoSuchKey", ""),
        ('(0009,"ACME",01)', "1"),
        ("00020010", ""),
        ("RequestAttributesSequence", "1"),
        ("QueryRetrieveLevel", "IMAGE"),
    ],
)
def test_keys_that_are_none(where, value):
    with pytest.raises(TagError):
        identifier_of("STUDY", "study", {where: value}, True)


def test_text_gets_a_character_set():
    assert "SpecificCharacterSet" not in built(PatientName="DOE*")
    assert built(PatientName="M\u00fcller*").SpecificCharacterSet == "ISO_IR 100"
    assert built(PatientName="\u5c71\u7530*").SpecificCharacterSet == "ISO_IR 192"


def test_a_data_set_as_query():
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientName, query.StudyID = "STUDY", "A*", ""
    query.StudyInstanceUID = ["1.2", "1.3"]
    code = Dataset()
    code.CodeValue = "7*"
    query.ProcedureCodeSequence = [code]
    made, _ = identifier_of("STUDY", "study", merged(query, {"StudyID": "9"}), False)
    assert (made.PatientName, made.StudyID, len(made.StudyInstanceUID)) == ("A*", "9", 2)
    assert made.ProcedureCodeSequence[0].CodeValue == "7*"
