"""EXIF: against Pillow, which writes it, and against the rules of the attributes it becomes."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dicomloom.attributes import make
from dicomloom.dicomize.compose import _TURNS
from dicomloom.dicomize.exif import read_exif
from dicomloom.errors import CorruptError
from support import peer_module

EXIF_IFD, GPS_IFD = 0x8769, 0x8825


def written(main=(), taken=(), gps=(), order="<") -> bytes:
    """A TIFF structure of Pillow's making."""
    exif = peer_module("PIL.Image").Exif()
    exif.endian = order
    for tag, value in dict(main).items():
        exif[tag] = value
    exif[EXIF_IFD] = dict(taken)
    if gps:
        exif[GPS_IFD] = dict(gps)
    return exif.tobytes().removeprefix(b"Exif\0\0")


MAIN = {0x010F: "Maker", 0x0110: "Model 3", 0x0112: 6, 0x0131: "1.2", 0x013B: "Jane Doe"}
TAKEN = {
    0x829A: 0.004,
    0x829D: 2.8,
    0x8822: 2,
    0x8827: 200,
    0x9003: "2024:02:29 12:34:56",
    0x9011: "+01:30",
    0x9291: "789",
    0x9209: 0b1011111,
    0x920A: 50.0,
    0x9204: -0.5,
    0xA430: "Jane Doe",
    0xA431: "SN 1",
    0xA433: "Lens maker",
    0xA434: "50 mm",
    0xA402: 1,
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rational", [False, True])
def test_what_pillow_writes(order, rational):
    """Real numbers as rationals, as CIPA DC-008 has them, or as doubles, as Pillow has it."""
    taken = dict(TAKEN)
    for tag, value in TAKEN.items():
        if rational and isinstance(value, float):
            parts = Fraction(str(value)).as_integer_ratio()
            taken[tag] = peer_module("PIL.TiffImagePlugin").IFDRational(*parts)
    data = written(MAIN, taken, order=order)
    assert data[:2] == (b"II" if order == "<" else b"MM")
    found = read_exif(data)
    assert (found.orientation, found.gps) == (6, False)
    assert found.attributes == {
        "Manufacturer": "Maker",
        "ManufacturerModelName": "Model 3",
        "SoftwareVersions": "1.2",
        "DeviceSerialNumber": "SN 1",
        "LensMake": "Lens maker",
        "LensModel": "50 mm",
        "ExposureTimeInSeconds": "0.004",
        "FNumber": "2.8",
        "ExposureBiasValue": "-0.5",
        "FocalLength": "50",
        "ExposureProgram": 2,
        "ExposureMode": 1,
        "PhotographicSensitivity": "200",
        "FlashFiringStatus": 1,
        "FlashReturnStatus": 3,
        "FlashMode": 3,
        "FlashFunctionPresent": 0,
        "FlashRedEyeMode": 1,
        "ContentDate": "20240229",
        "ContentTime": "123456.789",
        "AcquisitionDateTime": "20240229123456.789+0130",
    }
    assert len(make(found.attributes)) == len(found.attributes)


def test_positions_are_seen_and_not_told():
    found = read_exif(written(MAIN, TAKEN, {1: "N", 2: (52.0, 31.0, 7.0), 29: "2024:02:29"}))
    assert found.gps
    assert not any("GPS" in keyword or value == "N" for keyword, value in found.attributes.items())
    assert "Jane Doe" not in found.attributes.values()


@pytest.mark.parametrize("where", ["main", "exif", "thumbnail"])
@pytest.mark.parametrize("kind", [4, 13, 99])
def test_a_pointer_to_positions_anywhere(where, kind):
    entry = struct.pack("<HHLL", GPS_IFD, kind, 1, 8)
    pointer = struct.pack("<HHLL", EXIF_IFD, 4, 1, 26)
    empty = struct.pack("<HHLL", 0x0112, 3, 1, 1)
    first, following = {
        "main": (entry, 0),
        "exif": (pointer, 0),
        "thumbnail": (empty, 26),
    }[where]
    data = b"II*\0\x08\0\0\0\1\0" + first + struct.pack("<L", following) + b"\1\0" + entry
    assert read_exif(data).gps
    without = data.replace(entry, empty)
    assert not read_exif(without).gps


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({0x9003: "2024:02:29 12:34:56"}, "20240229123456"),
        ({0x9003: "2023:02:29 12:34:56"}, None),
        ({0x9003: "0000:00:00 00:00:00"}, None),
        ({0x9003: "    :  :     :  :  "}, None),
        ({0x9003: "2024-02-29 12:34:56"}, None),
        ({0x9003: "broken", 0x9004: "2020:01:02 03:04:05"}, "20200102030405"),
        ({0x9003: "2024:02:29 12:34:56", 0x9291: "1234567890"}, "20240229123456"),
        ({0x9003: "2024:02:29 12:34:56", 0x9291: "12345678"}, "20240229123456.123456"),
        ({0x9003: "2024:02:29 12:34:56", 0x9011: "Z"}, "20240229123456"),
        ({0x9003: "2024:02:29 12:34:56", 0x9011: "+99:99"}, "20240229123456"),
        ({0x9003: "2024:02:29 12:34:56", 0x9011: "-11:00"}, "20240229123456-1100"),
    ],
)
def test_moments(taken, expected):
    found = read_exif(written(taken=taken)).attributes
    assert found.get("AcquisitionDateTime") == expected
    assert make(found) is not None


def test_digits_of_other_scripts_are_no_date():
    data = written(taken={0x9003: b"2024:02:29 12:34:56"})
    strange = "٢٠٢٤:٠٢:٢٩ ١٢:٣٤:٥٦".encode()
    entry = struct.pack("<HHLL", 0x9003, 2, len(strange), 26)
    data = b"II*\0\x08\0\0\0\1\0" + entry + bytes(4) + strange
    assert read_exif(data).attributes == {}


def test_values_are_held_to_their_vr():
    made = read_exif(
        written(
            {0x010F: "x" * 200, 0x0110: "a\\b\x07c", 0x0112: 9},
            {0x829A: 1e-9, 0x9206: 4e9, 0x920A: 1 / 3, 0x8827: 65535, 0x9208: 255},
        )
    )
    assert made.orientation == 1
    assert made.attributes["Manufacturer"] == "x" * 64
    assert made.attributes["ManufacturerModelName"] == "a/bc"
    for keyword, value in made.attributes.items():
        assert make({keyword: value})[keyword].value is not None


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"Exif\0\0II*\0\x08\0\0\0", b"II+\0\x08\0\0\0\0\0\0\0", b"II\0*" * 4]
)
def test_no_tiff(data):
    with pytest.raises(CorruptError, match="TIFF"):
        read_exif(data)


def test_loops_and_offsets_outside():
    itself = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLLL", EXIF_IFD, 4, 1, 8, 8)
    assert read_exif(itself).attributes == {}
    for at in (0, 7, 26, 1 << 31, 0xFFFFFFFF):
        outside = b"II*\0" + struct.pack("<L", at) + b"\1\0" + bytes(12)
        assert read_exif(outside) == (1, {}, False)
    many = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHLL", 0x010F, 2, 0xFFFFFFFF, 0) * 65535
    assert read_exif(many).attributes == {}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mangled(data):
    broken = bytearray(written(MAIN, TAKEN, order=data.draw(st.sampled_from("<>"))))
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_exif(bytes(broken[: data.draw(st.integers(0, len(broken)))]))
    except CorruptError:
        return
    assert 1 <= found.orientation <= 8
    make(found.attributes)


NUMBERS = st.integers(0, 0xFFFFFFFF)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(TAKEN)), st.integers(0, 14), NUMBERS, NUMBERS)))
@example([(0x9209, 9, 1, 0xFFFFFFFF), (0x8827, 9, 1, 0xFFFFFFFF), (0x829A, 10, 1, 8)])
def test_any_entries_make_attributes_that_hold(entries):
    directory = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + directory + bytes(4)
    made = make(read_exif(data).attributes)
    assert all(element.VM == 1 for element in made)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_are_those_of_pillow(orientation):
    """ImageHorizontalFlip, then ImageRotation clockwise (PS3.3 C.10.8, C.8.12.1.1.7)."""
    module, ops = peer_module("PIL.Image"), peer_module("PIL.ImageOps")
    pixels = np.arange(12, dtype="u1").reshape(3, 4)
    image = module.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ops.exif_transpose(image))
    flip, degrees = _TURNS.get(orientation, ("N", 0))
    turned = pixels[:, ::-1] if flip == "Y" else pixels
    assert np.array_equal(np.rot90(turned, -degrees // 90), upright)
