"""The DICOM JSON model of whole data sets."""

import json

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicomloom import DicomloomWarning
from dicomloom.decoding import broken
from dicomloom.json_model import model_of


def raw(tag, vr, data):
    return RawDataElement(Tag(tag), vr, len(data), data, 0, False, True)


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.filterwarnings("ignore:The value length|Invalid value for VR:UserWarning")
def test_what_is_merely_long_or_odd_is_there(lenient):
    """A name of 20 characters in a SH is what archives have; it is no reason to leave it out."""
    made, item = Dataset(), Dataset()
    for dataset in (made, item):
        dataset[0x00080050] = raw(0x00080050, "SH", b"12345678901234567890")
        dataset[0x00080018] = raw(0x00080018, "UI", b"1.2.abc ")
        dataset[0x00080060] = raw(0x00080060, "CS", b"ct")
    made.RequestAttributesSequence = [item]
    model = model_of(made, lenient=lenient)
    for found in (model, model["00400275"]["Value"][0]):
        assert found["00080050"] == {"vr": "SH", "Value": ["12345678901234567890"]}
        assert found["00080018"]["Value"] == ["1.2.abc"]
        assert found["00080060"]["Value"] == ["ct"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_what_has_no_place_is_left_out_with_a_word_or_raises():
    made, item = Dataset(), Dataset()
    item.PatientID = "7"
    item[0x00280010] = raw(0x00280010, "US", b"\1")
    item[0x00201208] = raw(0x00201208, "IS", b"few ")
    made.RequestAttributesSequence = [item]
    with pytest.warns(DicomloomWarning) as notes:
        model = model_of(made, lenient=True)
    assert model["00400275"]["Value"] == [{"00100020": {"vr": "LO", "Value": ["7"]}}]
    told = [str(note.message) for note in notes if note.category is DicomloomWarning]
    assert [text[:11] for text in told] == ["(0028,0010)", "(0020,1208)"]
    with pytest.raises(broken()):
        model_of(made)


def test_settings_of_the_process_stay(monkeypatch):
    """Other threads convert values meanwhile: pydicom's modes are theirs as well."""
    seen = []

    def noted(name):
        def setter(settings, value):
            seen.append((name, value))

        return property(getattr(type(pydicom.config.settings), name).fget, setter)

    for name in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(type(pydicom.config.settings), name, noted(name))
    made = Dataset()
    made.PatientID = "7"
    assert model_of(made, lenient=True)
    assert not seen


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_numbers_that_json_has_not_are_text():
    """PS3.18 F.2.3; a bare NaN is a syntax error for most that read JSON."""
    made = Dataset()
    made.add_new(0x00186020, "FD", float("nan"))
    made.add_new(0x00186022, "FD", [float("inf"), -float("inf"), 0.5])
    made[0x00101030] = raw(0x00101030, "DS", b"NaN ")
    made[0x00101020] = raw(0x00101020, "DS", b"")
    model = model_of(made)
    assert model["00186020"]["Value"] == ["NaN"]
    assert model["00186022"]["Value"] == ["Infinity", "-Infinity", 0.5]
    assert model["00101030"]["Value"] == ["NaN"]
    assert model["00101020"] == {"vr": "DS"}
    text = json.dumps(model, allow_nan=False)
    read = Dataset.from_json(text)
    assert read[0x00186022].value == [float("inf"), -float("inf"), 0.5]
    assert read[0x00186020].value != read[0x00186020].value
