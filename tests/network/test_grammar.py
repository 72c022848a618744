"""What is a data set, and what only looks like one: held against pydicom and real files."""

import random

import pydicom
import pytest
from pydicom import Dataset
from pydicom.filewriter import write_dataset

from dicomloom.network.grammar import check_data_set
from support import UNDEFINED, element, item, readable, sequence

UID = element(0x0020000D, "UI", b"1.2.3\0")


def encoded(dataset, implicit):
    from pydicom.filebase import DicomBytesIO

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, implicit
    write_dataset(out, dataset)
    return out.getvalue()


def test_real_data_sets_pass_and_their_parts_do_not(corpus):
    """Little Endian headers of real files; cut anywhere but between elements, they are none."""
    count = 0
    for name in readable(corpus)[::7]:
        read = pydicom.dcmread(corpus / name, force=True, stop_before_pixels=True)
        implicit, little = read.original_encoding
        if not little or not read or (corpus / name).stat().st_size > 200_000:
            continue
        try:
            data = encoded(read, implicit)
        except Exception:
            continue
        check_data_set(data, implicit)
        with pytest.raises(ValueError, match="byte"):
            check_data_set(data[:-1], implicit)
        count += 1
    assert count > 20


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_sequences(undefined, implicit):
    vr = None if implicit else "UI"
    inner = element(0x00081150, vr, b"1.2\0")
    length = UNDEFINED if undefined else None
    items = [item(inner, length=length), item(b"", length=length)]
    made = sequence(0x00081140, items, None if implicit else "SQ", undefined=undefined) + element(
        0x0020000D, vr, b"1.2\0"
    )
    check_data_set(made, implicit)
    for cut in range(1, len(made)):
        if cut != len(made) - len(inner):
            with pytest.raises(ValueError, match="byte"):
                check_data_set(made[:cut], implicit)


def test_a_sequence_of_vr_un_is_implicit():
    """PS3.5 6.2.2."""
    inner = element(0x00081150, None, b"1.2\0")
    check_data_set(sequence(0x00091001, [item(inner)], "UN", undefined=True) + UID, False)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (UID + b"\0" * 7, "too few"),
        (element(0x00324000, "UT", b"")[:-1], "too few"),
        (element(0x00324000, "UT", b"abc", length=UNDEFINED), "no length"),
        (element(0x00081140, "ZZ", b""), "no VR"),
        (item(b""), "unexpected"),
        (element(0x00081140, "SQ", UID), "unexpected"),
        (element(0x00081140, "SQ", item(b"", length=4)), "4 bytes, of which 0"),
        (element(0xFFFEE0DD, None), "unexpected"),
    ],
)
def test_what_is_none(data, says):
    with pytest.raises(ValueError, match=says):
        check_data_set(data, False)


def test_nesting_has_an_end():
    made = UID
    for _ in range(25):
        made = element(0x00081140, "SQ", item(made))
    check_data_set(made, False)
    for _ in range(5000):
        made = element(0x00081140, "SQ", item(made))
    with pytest.raises(ValueError, match="nested"):
        check_data_set(made, False)


def test_changed_bytes_raise_nothing_else():
    made = Dataset()
    made.PatientName, made.StudyInstanceUID = "A^B", "1.2.3"
    made.ProcedureCodeSequence = [Dataset(), Dataset()]
    good, chance, taken = encoded(made, False), random.Random(5), 0
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            check_data_set(bytes(data), bool(chance.randrange(2)))
        except ValueError:
            continue
        taken += 1
    assert 0 < taken < 3000
