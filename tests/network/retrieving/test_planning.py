"""Keys by level, and the requests that come of them."""

import pytest

from dicomloom.errors import TagError
from dicomloom.network.retrieving.planning import Errand, Instance, Wish
from dicomloom.network.retrieving.proposing import common_classes, compressed, proposals
from support import EXPLICIT_LE, IMPLICIT_LE


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({"PatientID": "1"}, "STUDY"),
        ({"ModalitiesInStudy": "CT"}, "STUDY"),
        ({"StudyDate": "20260101-", "Modality": "CT"}, "SERIES"),
        ({"SOPInstanceUID": "1.2"}, "IMAGE"),
        ({"Modality": "CT", "InstanceNumber": "1"}, "IMAGE"),
        ({"Manufacturer": "X", "Modality": "CT"}, "SERIES"),
        ({"(0020,000D)": "1.2"}, "STUDY"),
    ],
    ids=str,
)
@pytest.mark.parametrize("root", ["study", "patient"])
def test_the_level_is_that_of_the_lowest_key(root, keys, level):
    assert Wish.of(root, None, {"PatientID": "1"} | keys).level == level
    assert Wish.of(root, "image", {"PatientID": "1"}).level == "IMAGE"


def test_keys_go_to_their_level():
    keys = {"PatientID": "1", "StudyDate": "20260101", "Modality": "CT", "Rows": 5, "StudyID": ""}
    made = {"STUDY": {"StudyDate": "20260101"}, "SERIES": {"Modality": "CT"}, "IMAGE": {"Rows": 5}}
    assert Wish.of("patient", None, keys).keys == {"PATIENT": {"PatientID": "1"}} | made
    made["STUDY"]["PatientID"] = "1"
    assert Wish.of("study", None, keys).keys == made


def test_the_patient_root_begins_with_a_patient():
    with pytest.raises(TagError, match="study root"):
        Wish.of("patient", None, {"StudyInstanceUID": "1.2"})


def test_a_patient_is_all_studies():
    assert Wish.of("patient", "PATIENT", {"PatientID": "1"}).level == "STUDY"


@pytest.mark.parametrize("keys", [{}, {"PatientID": None}, {"StudyInstanceUID": []}], ids=str)
def test_not_all_that_there_is(keys):
    with pytest.raises(TagError, match="all that the peer has"):
        Wish.of("study", None, keys)


def test_instances_are_asked_for_by_series_in_lists():
    expected = {f"1.2.{number}": Instance("", f"1.{number % 2}") for number in range(500)}
    errand = Errand("study", "IMAGE", {"StudyInstanceUID": "1.2.3"}, expected)
    asked = []
    for identifier in errand.identifiers():
        uids = identifier.SOPInstanceUID
        assert len(uids) <= 200
        assert {expected[uid].series for uid in uids} == {identifier.SeriesInstanceUID}
        assert (identifier.StudyInstanceUID, identifier.QueryRetrieveLevel) == ("1.2.3", "IMAGE")
        asked += uids
    assert sorted(asked) == sorted(expected)


def test_what_is_lacking_is_asked_for_where_its_series_is_known():
    keys = {"StudyInstanceUID": "1.2.3"}
    known = Errand("study", "STUDY", keys, {"1.2": Instance("", "1"), "1.3": Instance("", "2")})
    assert known.narrowed(["1.3", "9"]).expected == {"1.3": Instance("", "2")}
    unknown = Errand("study", "STUDY", keys)
    assert unknown.narrowed(["1.3"]) is unknown


@pytest.mark.parametrize("count", [0, 1, 3, 4, 40, 63, 64, 127, 200])
def test_all_transfer_syntaxes_are_proposed(count):
    made = proposals([f"1.2.{number}" for number in range(count)])
    assert len(made) <= 127
    classes = {sop_class for sop_class, _ in made}
    assert len(classes) == (min(count, 127) or len(common_classes()))
    for sop_class in classes:
        syntaxes = [one for name, group in made if name == sop_class for one in group]
        assert len(syntaxes) == len(set(syntaxes))
        assert set(syntaxes) == {EXPLICIT_LE, IMPLICIT_LE, *compressed()}
