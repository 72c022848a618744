"""Attributes from text and values: held to PS3.5 and PS3.6, written and read back by pydicom."""

from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomloom.attributes import check, make, put, set_charset
from dicomloom.errors import TagError

# One attribute a VR, of one value at most or of any number.
OF_VR = {
    "AE": "StationAETitle",
    "AS": "PatientAge",
    "CS": "BodyPartExamined",
    "DA": "PatientBirthDate",
    "DS": "SliceThickness",
    "DT": "AcquisitionDateTime",
    "IS": "InstanceNumber",
    "LO": "PatientID",
    "LT": "PatientComments",
    "PN": "PatientName",
    "SH": "AccessionNumber",
    "ST": "InstitutionAddress",
    "TM": "PatientBirthTime",
    "UC": "LongCodeValue",
    "UI": "InstanceCreatorUID",
    "UR": "RetrieveURL",
    "UT": "TextValue",
    "US": "SamplesPerPixel",
    "SS": "TagAngleSecondAxis",
    "UL": "RegionFlags",
    "SL": "ReferencePixelX0",
    "FL": "ExaminedBodyThickness",
    "FD": "ExposureTimeInms",
}
NUMBERS = {
    "US": (0, 2**16),
    "SS": (-(2**15), 2**15),
    "UL": (0, 2**32),
    "SL": (-(2**31), 2**31),
}


def test_the_table_above_is_that_of_ps3_6():
    assert {vr: pydicom.datadict.dictionary_VR(word) for vr, word in OF_VR.items()} == {
        vr: vr for vr in OF_VR
    }


def round_trip(dataset: Dataset, syntax=ExplicitVRLittleEndian) -> Dataset:
    into = io.BytesIO()
    implicit = syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(
        into, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=False
    )
    read = pydicom.dcmread(io.BytesIO(into.getvalue()), force=True)
    read.decode()
    return read


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(OF_VR)), st.text(max_size=70) | st.from_regex(r"[-0-9.+A-Z:/]{0,20}"))
@example("DS", "0")
@example("IS", "0")
@example("AS", "042Y\n")
@example("AS", "٠٤٢Y")
@example("DA", "20240101\n")
@example("DA", "٢٠٢٤٠١٠١")
@example("DS", "٣")
@example("LO", "\udc80")
@example("PN", "a\x1b$B")
@example("FL", "1e39")
@example("IS", "2147483648")
def test_what_is_taken_can_be_written_and_read(vr, text):
    """Nothing that goes in comes out as something else, or breaks the writer."""
    keyword = OF_VR[vr]
    try:
        made = make({keyword: text})
    except TagError as error:
        assert keyword in str(error)
        return
    before = made[keyword].value
    set_charset(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
        after = round_trip(made)[keyword].value
    if isinstance(before, str):
        assert str(after or "") == before.rstrip(" ") or str(after or "").strip() == before.strip()
    elif vr == "FL" and before is not None:
        assert after == pytest.approx(before, rel=1e-6, abs=1e-37, nan_ok=True)
    elif vr == "FD" and before is not None:
        assert after == pytest.approx(before, rel=0, abs=0, nan_ok=True)
    elif before is not None:
        assert after == before


@given(st.sampled_from(sorted(NUMBERS)), st.integers(-(2**33), 2**33))
def test_ranges_of_whole_numbers(vr, number):
    least, end = NUMBERS[vr]
    for value in (number, str(number), hex(number)):
        try:
            made = make({OF_VR[vr]: value})[OF_VR[vr]].value
        except TagError:
            assert not least <= number < end
        else:
            assert least <= number < end
            assert made == number


@pytest.mark.parametrize(
    ("where", "value", "rule"),
    [
        ("PatientBirthDate", "1970-01-01", "YYYYMMDD"),
        ("PatientBirthDate", "20240231", "day"),
        ("PatientBirthDate", "19700101-19710101", "YYYYMMDD"),
        ("StudyTime", "12:30", "HHMMSS"),
        ("StudyTime", "250000", "HHMMSS"),
        ("PatientSex", "male", "A-Z"),
        ("PatientAge", "42", "042Y"),
        ("SliceThickness", "1,5", "decimal"),
        ("SliceThickness", "nan", "decimal"),
        ("InstanceNumber", "1.5", "whole number"),
        ("InstanceNumber", "99999999999", "2147483647"),
        ("Rows", "65536", "0 to 65535"),
        ("Rows", "1_0", "whole number"),
        ("Rows", "1.0", "whole number"),
        ("SmallestImagePixelValue", "65536", "65535"),
        ("SOPInstanceUID", "1.02.3", "leading zero"),
        ("SOPInstanceUID", "1." * 40 + "1", "64"),
        ("AccessionNumber", "x" * 17, "16 characters"),
        ("PatientID", "a\nb", "not allowed"),
        ("PatientID", "x" * 65, "64 characters"),
        ("PatientName", "a=b=c=d", "groups"),
        ("PatientName", "x" * 65, "64"),
        ("PatientComments", "\0", "not allowed"),
        ("ExaminedBodyThickness", "1e39", "3.4e38"),
        ("LUTData", "1\\2", "bytes"),
        ("PixelData", "00", "bytes"),
        ("PatientName", 5, "PN"),
    ],
)
def test_refusals_name_attribute_value_and_rule(where, value, rule):
    made = Dataset()
    with pytest.raises(TagError) as caught:
        put(made, where, value)
    said = str(caught.value)
    assert where in said
    assert rule in said
    assert caught.value.tag == pydicom.datadict.tag_for_keyword(where)
    assert len(made) == 0


@pytest.mark.parametrize(
    ("keyword", "value", "fits"),
    [
        ("PixelSpacing", "0.5", False),
        ("PixelSpacing", "0.5\\0.5", True),
        ("ImageType", "ORIGINAL", False),
        ("ImageType", "DERIVED\\SECONDARY\\X", True),
        ("ImagePositionPatient", [1, 2, 3, 4], False),
        ("OtherPatientNames", "A\\B\\C", True),
        ("PatientID", "a\\b", False),
        ("TagAngleSecondAxis", "", True),
        ("GraphicData", "1\\2\\3", True),
        ("ROIDisplayColor", "1\\2", False),
        ("ContourData", "1\\2\\3\\4\\5", False),
        ("ContourData", "1\\2\\3\\4\\5\\6", True),
        ("BluePaletteColorLookupTableDescriptor", "256\\0\\16", True),
        ("ReferencedFrameNumbers", "1\\\\2", False),
    ],
)
def test_numbers_of_values(keyword, value, fits):
    if fits:
        assert keyword in make({keyword: value})
    else:
        with pytest.raises(TagError):
            make({keyword: value})


def test_numbers_that_ds_does_not_hold_are_rounded():
    made = make({"SliceThickness": 1 / 3, "PixelSpacing": [0.1 + 0.2, 2 / 3]})
    assert float(made.SliceThickness) == pytest.approx(1 / 3, abs=1e-13)
    assert all(len(str(value)) <= 16 for value in made.PixelSpacing)
    assert round_trip(made).PixelSpacing == made.PixelSpacing


@pytest.mark.parametrize("zero", ["0", 0, 0.0, "-0", "0.0"])
def test_zero_is_a_value(zero):
    assert make({"SliceThickness": zero}).SliceThickness == 0
    if str(zero) == "0":
        assert make({"InstanceNumber": zero}).InstanceNumber == 0


def test_paths():
    made = Dataset()
    put(made, "AnatomicRegionSequence[1].CodeMeaning", "Skin")
    put(made, "AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeValue", "7")
    assert [len(item) for item in made.AnatomicRegionSequence] == [1, 1]
    inner = made.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0]
    assert inner.CodeValue == "7"
    put(made, "(0008,2218)[1].(0008,0104)", "Arm")
    assert made.AnatomicRegionSequence[1].CodeMeaning == "Arm"


@pytest.mark.parametrize(
    "where",
    [
        "PatientNane",
        "AnatomicRegionSequence",
        "AnatomicRegionSequence[*].CodeMeaning",
        "AnatomicRegionSequence[1000].CodeMeaning",
        "AnatomicRegionSequence[0].Rows",
        "AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].Rows",
        "PatientID[0].Rows",
        "0009,1001",
        '0009,"ACME",01',
        '0009,"ACME",01[0].CodeValue',
        "TransferSyntaxUID",
        "(0010,0000)",
        "FFFE,E000",
        "",
    ],
)
def test_what_cannot_be_set_changes_nothing(where):
    made = Dataset()
    with pytest.raises(TagError):
        put(made, where, "x")
    assert made == Dataset()


def test_private_attributes_of_bytes_are_refused_too():
    with pytest.raises(TagError, match="template"):
        make({"0009,1001": b"x"})


def test_items_as_values_are_checked():
    good, bad = Dataset(), Dataset()
    good.CodeValue, bad.CodeValue = "7", "x" * 17
    assert make({"AnatomicRegionSequence": [good]}).AnatomicRegionSequence[0] is good
    with pytest.raises(TagError, match=r"AnatomicRegionSequence\[0\]\.CodeValue"):
        make({"AnatomicRegionSequence": [bad]})
    whole = Dataset()
    whole.AnatomicRegionSequence = [bad]
    with pytest.raises(TagError, match="16 characters"):
        check(whole)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Doe^Jane"], None),
        (["Müller^Jürgen"], "ISO_IR 100"),
        (["Yamada^Tarou=山田^太郎"], "ISO_IR 192"),
        (["Müller", "Люкceмбypг"], "ISO_IR 192"),
        (["Doe\u20ac"], "ISO_IR 192"),
    ],
)
def test_character_sets(names, expected):
    made = make({"PatientName": names[0], "AnatomicRegionSequence[0].CodeMeaning": names[-1]})
    set_charset(made)
    assert made.get("SpecificCharacterSet") == expected
    read = round_trip(made)
    assert read.PatientName == names[0]
    assert read.AnatomicRegionSequence[0].CodeMeaning == names[-1]


@pytest.mark.parametrize(
    ("charset", "name", "kept"),
    [
        ("ISO_IR 144", "Люкceмбypг", True),
        ("ISO_IR 100", "Люкceмбypг", False),
        ("ISO_IR 192", "Müller", True),
        ("no such set", "Müller", False),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", True),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller=Люк", True),
        (["", "ISO 2022 IR 87"], "홍^길동", False),
        ("ISO_IR 144", "Doe", True),
    ],
)
def test_the_character_set_of_a_template_stays_where_it_suffices(charset, name, kept):
    made = make({"PatientName": name})
    made.SpecificCharacterSet = charset
    set_charset(made)
    assert (made.SpecificCharacterSet == charset) == kept
    if kept or made.SpecificCharacterSet in ("ISO_IR 100", "ISO_IR 192"):
        assert str(round_trip(made).PatientName) == name


def test_items_have_no_character_set_of_their_own():
    made = make({"PatientName": "Müller", "AnatomicRegionSequence[0].CodeMeaning": "Haut ü"})
    made.AnatomicRegionSequence[0].SpecificCharacterSet = "ISO_IR 144"
    set_charset(made)
    assert "SpecificCharacterSet" not in made.AnatomicRegionSequence[0]
    assert round_trip(made).AnatomicRegionSequence[0].CodeMeaning == "Haut ü"


@given(st.lists(st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=20)))
def test_any_text_survives(texts):
    made = Dataset()
    for number, text in enumerate(texts):
        assume(text == text.strip())
        put(made, f"AnatomicRegionSequence[{number}].CodeMeaning", text)
    set_charset(made)
    read = round_trip(made)
    found = [item.CodeMeaning or "" for item in read.get("AnatomicRegionSequence", [])]
    assert found == texts
