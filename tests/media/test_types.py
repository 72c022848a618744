"""Which record a SOP Class has, and its keys, as pydicom has them from PS3.3 annex F."""

import contextlib

import pydicom
import pytest
from pydicom import Dataset, fileset
from pydicom._uid_dict import UID_dictionary

from dicomloom.media.records import AT_ROOT, KEYS, LEVELS, record_type

# pydicom takes the UID as it is, and asks of raw data a number that DCMTK leaves empty as we do.
EXCEPT = {("STUDY", "StudyInstanceUID"), ("RAW DATA", "InstanceNumber")}
# In the standard since pydicom's table was made.
NEWER = {"ANNOTATION", "INVENTORY", "WAVEFORM PRESENTATION"}
# What pydicom tells by Modality or an attribute, and not by the class.
BY_CONTENT = {
    "ENCAP DOC": {"EncapsulatedDocument": b"x"},
    "RT PLAN": {"RTPlanLabel": "x"},
    "RADIOTHERAPY": {"Modality": "RTRAD"},
    "PLAN": {"Modality": "PLAN"},
}


def keys_of_pydicom(kind, monkeypatch) -> set[str]:
    """The keys that pydicom's function for a record refuses to do without."""
    asked: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(fileset, "_check_dataset", lambda _, keywords: asked.extend(keywords))
        # Behind the check it copies what an empty data set lacks.
        with contextlib.suppress(AttributeError):
            fileset.DIRECTORY_RECORDERS[kind](Dataset())
    return set(asked)


@pytest.mark.parametrize("kind", sorted(set(KEYS) - NEWER))
def test_keys_of_type_1(kind, monkeypatch):
    ours = {keyword for keyword, need in KEYS[kind].items() if need == 1}
    differing = ours ^ keys_of_pydicom(kind, monkeypatch)
    assert {(kind, keyword) for keyword in differing} <= EXCEPT


def test_every_record_type_is_known():
    assert set(KEYS) - set(fileset.DIRECTORY_RECORDERS) == NEWER
    assert set(fileset.DIRECTORY_RECORDERS) <= set(KEYS)


def test_the_record_of_each_class_that_pydicom_knows():
    compared = set()
    for uid, (_, what, *_) in UID_dictionary.items():
        if what != "SOP Class":
            continue
        ours = record_type(uid)
        data = Dataset()
        data.SOPClassUID, data.Modality = pydicom.uid.UID(uid), "OT"
        for keyword, value in BY_CONTENT.get(ours, {}).items():
            setattr(data, keyword, value)
        theirs = fileset._single_level_record_type(data)
        if theirs != "PATIENT":
            assert (ours, ours in AT_ROOT) == (theirs, True), uid
        else:
            theirs = fileset._four_level_record_type(data)
            # A class that pydicom does not know is an image to it.
            assert theirs in (ours, "IMAGE"), uid
        if theirs == ours:
            compared.add(ours)
    assert compared >= set(KEYS) - NEWER - set(LEVELS)
