"""Values of pydicom data sets, converted with bounds, and errors of one kind."""

from io import BytesIO

import pytest
from pydicom.filereader import read_dataset

from dicomloom import CorruptError, LimitError
from dicomloom.decoding import MOST_DEPTH, element_of, settle, tame
from support import element, item, sequence

SEQUENCE = 0x00081140
ROWS = element(0x00280010, "US", b"123")
# Without a value, and of a VR that is none: pydicom takes it for one that it has yet to read.
PUT_OFF = element(0x00081150, "UI", b"1.2\0") + b"\x08\0\x55\x11W\0\0\0"


def read(data):
    return read_dataset(BytesIO(data), False, True)


def nested(depth, inner=b""):
    for _ in range(depth):
        inner = sequence(SEQUENCE, [item(inner)])
    return inner


@pytest.mark.parametrize("depth", [0, 1, 3, MOST_DEPTH])
def test_settle_converts_all_values(depth):
    made = read(nested(depth, element(0x00280010, "US", b"\7\0")))
    settle(made)
    for _ in range(depth):
        made = made[SEQUENCE].value[0]
    assert made.Rows == 7


@pytest.mark.parametrize("convert", [settle, tame])
def test_what_nests_too_deep_is_a_limit(convert):
    with pytest.raises(LimitError, match="nest deeper than 64") as caught:
        convert(read(nested(MOST_DEPTH + 1)), "a.dcm")
    assert (caught.value.path, caught.value.tag) == ("a.dcm", SEQUENCE)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("broken", [ROWS, PUT_OFF], ids=["length", "VR"])
def test_settle_names_what_is_no_value(depth, broken):
    with pytest.raises(CorruptError, match="no value of its VR") as caught:
        settle(read(nested(depth, broken)), "a.dcm")
    assert caught.value.path == "a.dcm"
    assert caught.value.tag in (0x00280010, 0x00081155)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("broken", [ROWS, PUT_OFF], ids=["length", "VR"])
def test_what_is_tame_can_be_walked_and_printed(depth, broken):
    made = read(nested(depth, broken))
    tame(made)
    assert "UN" in [found.VR for found in made.iterall()]
    made.decode()
    assert str(made)


def test_only_sequences_and_pixels_end_by_a_delimiter():
    """PS3.5 7.1.1. pydicom would write the rest again so that nobody can read it."""
    text = b"\x08\0\x30\x10\xff\xff\xff\xff" + item(b"abcd") + b"\xfe\xff\xdd\xe0\0\0\0\0"
    with pytest.raises(CorruptError, match=r"\(0008,1030\)"):
        settle(read_dataset(BytesIO(text), True, True))
    inner = b"\x40\0\x75\x02\xff\xff\xff\xff" + item(text) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    made = read_dataset(BytesIO(inner), True, True)
    tame(made)
    found = made.RequestAttributesSequence[0]["StudyDescription"]
    assert (found.VR, found.value, found.is_undefined_length) == ("UN", item(b"abcd"), False)
    pixels = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + item(b"") + item(b"12")
    made = read(sequence(0x00880200, [item(pixels + b"\xfe\xff\xdd\xe0\0\0\0\0")]))
    tame(made)
    assert made.IconImageSequence[0]["PixelData"].is_undefined_length


def test_tame_leaves_what_stands_outside_of_sequences_to_who_asks():
    made = read(ROWS + element(0x00280011, "US", b"\7\0"))
    tame(made)
    assert made.Columns == 7
    with pytest.raises(CorruptError, match=r"\(0028,0010\)"):
        element_of(made, 0x00280010)


def test_text_is_in_the_character_set_of_its_item():
    inner = element(0x00080005, "CS", b"ISO_IR 144") + element(0x00100020, "LO", b"\xbf\xb0")
    made = read(element(0x00080005, "CS", b"ISO_IR 100") + sequence(SEQUENCE, [item(inner)]))
    settle(made)
    assert made[SEQUENCE].value[0].PatientID == "ПА"
