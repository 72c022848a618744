"""HOSTILE.md X5 and X6: palettes, lookup tables and overlays, where frames become pictures."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest

from dicomloom import CorruptError, DicomDir, FrameReader, UnsupportedError, transcode
from dicomloom.frames.palette import colored
from dicomloom.frames.render import shown
from discs import an_object
from pixel_objects import PIXELS, asked, image, saved, us
from support import element

RED, GREEN, BLUE = 0x00281101, 0x00281102, 0x00281103
DATA = (0x00281201, 0x00281202, 0x00281203)
SEGMENTED = (0x00281221, 0x00281222, 0x00281223)
PALETTE = element(0x00280004, "CS", b"PALETTE COLOR ")


def palette(descriptor, tables, *, segmented=False, vr="OW", **changes):
    """An object of `PIXELS` with a palette; None leaves out."""
    numbers = b"" if descriptor is None else struct.pack(f"<{len(descriptor)}H", *descriptor)
    made = {f"d{tag:X}": element(tag, "US", numbers) for tag in (RED, GREEN, BLUE)}
    for tag, table in zip(SEGMENTED if segmented else DATA, tables, strict=False):
        if table is not None:
            made[f"t{tag:X}"] = element(tag, vr, table)
    return image(PIXELS.tobytes(), photometric=PALETTE, **made, **changes)


RAMP = np.arange(0, 65536, 256, "<u2")
WHOLE = [RAMP.tobytes(), RAMP[::-1].tobytes(), bytes(512)]
ENDLESS = us(0, 1, 5, *[2, 65535, 0, 0] * 200)  # each copies segments that copy segments
BROKEN = {
    "no descriptor": (None, WHOLE),
    "two numbers": ((256, 0), WHOLE),
    "four numbers": ((256, 0, 16, 16), WHOLE),
    "0 bits": ((256, 0, 0), WHOLE),
    "12 bits": ((256, 0, 12), WHOLE),
    "65535 bits": ((256, 0, 65535), WHOLE),
    "no tables": ((256, 0, 16), []),
    "no blue": ((256, 0, 16), WHOLE[:2]),
    "0 is 65,536 entries": ((0, 0, 16), WHOLE),
    "more entries than bytes": ((300, 0, 16), WHOLE),
    "empty tables": ((256, 0, 16), [b""] * 3),
}
BROKEN_SEGMENTS = {
    "past the end": us(0, 200, 1, 2, 3),
    "too few entries": us(0, 3, 1, 2, 3),
    "begins with a line": us(1, 256, 5),
    "begins with a copy": us(2, 1, 0, 0),
    "of no length": us(0, 0, 1, 0, 0, 0),
    "a line of no length": us(0, 1, 5, 1, 0, 9),
    "unknown": us(7, 3, 1, 2, 3),
    "copies itself": us(0, 1, 5, 2, 1, 6, 0),
    "copies copies": ENDLESS,
    "copies from outside": us(0, 1, 5, 2, 1, 0xFFFF, 0xFFFF),
    "ends within a copy": us(0, 1, 5, 2, 1),
}


def test_x05_palettes_that_make_no_sense(tmp_path):
    """Descriptors and tables that lie: an error that names them, and neither hang nor memory."""
    objects = {name: palette(*broken) for name, broken in BROKEN.items()}
    for name, table in BROKEN_SEGMENTS.items():
        objects[f"segments {name}"] = palette((256, 0, 16), [table] * 3, segmented=True)
    large = us(0, 1, 5) + us(1, 65535, 9, 1, 65535, 5) * 200_000
    objects["segments of megabytes"] = palette((0, 0, 16), [large] * 3, segmented=True)
    found = asked(saved(tmp_path / "in", objects), "all raw rle png extract", limit=768 << 20)
    for name, (peak, said) in found.items():
        assert peak < 64 << 10, name
        assert [said[door][0] for door in ("all", "raw", "rle")] == [""] * 3, name  # just numbers
        assert said["png"][0] == 20, (name, said)
        assert "Palette" in said["png"][1], (name, said["png"])
        assert said["extract"][0] in ("CorruptError", "UnsupportedError"), name


def test_x05_an_index_outside_has_the_color_of_the_end():
    """PS3.3 C.7.6.3.1.5: before the first entry its color, behind the last that of the last."""
    reader = FrameReader(palette((4, 10, 16), [us(0, 65535, 0, 32896)] * 3))
    gray = shown(reader, 0)[..., 0].ravel()
    assert gray.tolist() == [0] * 11 + [255, 0] + [128] * 11
    # Entries of 8 bits, of which there are more than pixels of 8 bits can tell apart.
    eight = FrameReader(palette((300, 0, 8), [bytes(range(200)) + bytes(100)] * 3))
    assert shown(eight, 2)[..., 0].ravel().tolist() == list(range(48, 72))
    wide = PIXELS.astype("u2") + 500  # pixels that wrap in the 8 bits of an entry
    reader = FrameReader(palette((256, 0, 8), [bytes(range(256))] * 3))
    assert (colored(wide[0], reader.dataset) == 255).all()


def test_x05_palettes_are_pydicoms():
    """Plain and segmented palettes, as pydicom applies them where it does so rightly."""
    from pydicom.pixels import apply_color_lut

    line = us(0, 2, 0, 256, 1, 254, 65535)
    for data in (
        palette((256, 0, 16), WHOLE),
        palette((256, 3, 16), WHOLE),
        palette((256, 0, 16), [line] * 3, segmented=True),
        palette((256, 0, 8), [bytes(range(256))] * 3),
    ):
        made = shown(FrameReader(data), 1)
        theirs = apply_color_lut(PIXELS[1], pydicom.dcmread(io.BytesIO(data)))
        top = 255 if theirs.dtype == np.uint8 else 65535
        assert np.array_equal(made, (theirs * (255 / top)).round().astype("u1"))
    # A copy: pydicom counts its offset in entries, PS3.3 C.7.9.2.3 in bytes.
    copied = us(0, 3, 1, 2, 3, 2, 1, 0, 0, 0, 250, *range(250))
    data = palette((256, 0, 16), [copied] * 3, segmented=True)
    red = colored(np.arange(256, dtype="u2").reshape(16, 16), FrameReader(data).dataset)
    wanted = np.array([1, 2, 3, 1, 2, 3, *range(250)]) * (255 / 65535)
    assert np.array_equal(red[..., 0].ravel(), wanted.round())


def lut(descriptor, data, tag):
    item = element(0x00283002, "US", us(*descriptor)) + element(0x00283006, "OW", data)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    return {"lut": element(tag, "SQ", item)}


MODALITY, VOI = 0x00283000, 0x00283010
TABLES = {
    "whole": ((256, 0, 16), RAMP.tobytes()),
    "shorter": ((256, 0, 16), RAMP.tobytes()[:100]),
    "0 entries": ((0, 0, 16), RAMP.tobytes()),
    "0 bits": ((256, 0, 0), RAMP.tobytes()),
    "65535 bits": ((256, 0, 65535), RAMP.tobytes()),
    "two numbers": ((256, 0), RAMP.tobytes()),
    "empty": ((), b""),
    "first behind all": ((256, 65535, 16), RAMP.tobytes()),
}


def ds(**texts):
    """Windows and slopes."""
    tags = {"intercept": 0x281052, "slope": 0x281053, "center": 0x281050, "width": 0x281051}
    return {
        name: element(tags[name], "DS", text.encode() + b" " * (len(text) % 2))
        for name, text in texts.items()
    }


def numbers(**values):
    tags = {"samples": 0x280002, "rows": 0x280010, "columns": 0x280011, "bits": 0x280100}
    tags["stored"] = 0x280101
    return {name: element(tags[name], "US", us(value)) for name, value in values.items()}


WINDOWS = {
    "slope of text": ds(slope="abc", intercept="0"),
    "huge slope": ds(slope="1e308", intercept="1e308"),
    "two slopes": ds(slope="1\\2", intercept="0"),
    "window of nan": ds(center="nan", width="1"),
    "no width": ds(center="5", width="0"),
    "negative width": ds(center="5", width="-9"),
    "empty": ds(center="", width=""),
    "two samples": numbers(samples=2, rows=2),
    "four samples": numbers(samples=4, rows=1),
}


def test_x05_lookup_tables_and_windows_that_make_no_sense(tmp_path):
    """A picture or an error that says so; the pixels themselves are read all the same."""
    objects = {f"window {name}": image(PIXELS.tobytes(), **made) for name, made in WINDOWS.items()}
    for name, table in TABLES.items():
        for tag in (MODALITY, VOI):
            for bits in (8, 16):
                stored = numbers(bits=bits, stored=bits)
                made = image(PIXELS.tobytes(), **stored, **lut(*table, tag))
                objects[f"{tag:X} {bits} {name}"] = made
    found = asked(saved(tmp_path / "in", objects), "all png extract")
    for name, (_, said) in found.items():
        assert said["all"][0] == "", name
        assert said["png"][0] in ("", 20), (name, said)
        if said["png"][0] == 20:
            assert "frame 0" in said["png"][1] or "Samples" in said["png"][1], said
        if name.endswith("whole"):
            assert said["png"][0] == "", (name, said)


def test_x05_a_picture_that_pillow_does_not_write(tmp_path):
    """Too large for a format: said so, instead of what Pillow raises."""
    from dicomloom.frames.render import as_file

    reader = FrameReader(image(bytes(120_000), **numbers(rows=1, columns=20_000)))
    with pytest.raises(UnsupportedError, match=r"\.webp of 20000 x 1 pixels"):
        as_file(reader, 0, ".webp")
    assert as_file(reader, 0, ".png").startswith(b"\x89PNG")


def test_x05_one_bad_palette_keeps_no_dicomdir_from_being_made(tmp_path):
    """With --icons, an image that cannot be shown has no icon, and all others have theirs."""
    an_object(tmp_path / "D" / "A", 1)
    wrong = {"PhotometricInterpretation": "PALETTE COLOR"}
    wrong["RedPaletteColorLookupTableDescriptor"] = [256, 0, 16]
    wrong["RedPaletteColorLookupTableData"] = b"\0\0"
    an_object(tmp_path / "D" / "B", 2, **wrong)
    an_object(tmp_path / "D" / "C", 3, RescaleSlope="1", RescaleIntercept="", SamplesPerPixel=7)
    made = DicomDir.create(tmp_path / "D", icons=True)
    assert sum("icon" in finding.message for finding in made.findings) == 2
    records = pydicom.dcmread(tmp_path / "D" / "DICOMDIR").DirectoryRecordSequence
    assert sum("IconImageSequence" in record for record in records) == 1
    assert len([record for record in records if record.DirectoryRecordType == "IMAGE"]) == 3


OVERLAYS = {
    "larger": (us(60000), us(60000), struct.pack("<2h", 1, 1), b"\xff\xff"),
    "negative origin": (us(4), us(6), struct.pack("<2h", -30000, -30000), b"\xff\xff\xff\0"),
    "no size": (us(0), us(0), struct.pack("<2h", 0, 0), b""),
    "wrong VR": (b"\4", us(6, 6), b"\1", bytes(3000)),
    "of 65535 frames": (us(65535), us(65535), struct.pack("<2h", 32767, -32768), bytes(2)),
}


@pytest.mark.parametrize("group", [0x6000, 0x601E])
def test_x06_overlays_are_passed_on_and_never_drawn(tmp_path, group):
    """No overlay is laid over pixels: whatever it says of itself, the frames are the same."""
    plain = FrameReader(image(PIXELS.tobytes()))
    objects = {}
    for name, (rows, columns, origin, data) in OVERLAYS.items():
        tag = group << 16
        objects[name] = image(
            PIXELS.tobytes(),
            a=element(tag | 0x10, "US", rows) + element(tag | 0x11, "US", columns),
            b=element(tag | 0x15, "IS", b"65535 ") + element(tag | 0x40, "CS", b"G "),
            c=element(tag | 0x50, "SS", origin) + element(tag | 0x100, "US", us(16)),
            d=element(tag | 0x102, "US", us(65535)) + element(tag | 0x3000, "OW", data),
        )
    found = asked(saved(tmp_path / "in", objects))
    for name, (peak, said) in found.items():
        assert peak < 48 << 10
        assert {kind for kind, _, _ in said.values()} == {""}, (name, said)
        reader = FrameReader(objects[name])
        assert np.array_equal(np.asarray(reader), PIXELS)
        assert np.array_equal(shown(reader, 1), shown(plain, 1))
        transcode(objects[name], tmp_path / "out.dcm", "RLELossless")
        kept = pydicom.dcmread(tmp_path / "out.dcm")
        assert kept.get_item((group, 0x3000)).value == OVERLAYS[name][3] or not OVERLAYS[name][3]


def test_x05_a_reader_says_which_descriptor_it_means():
    """The error is ours, and names the attribute."""
    with pytest.raises(CorruptError, match="RedPaletteColorLookupTableDescriptor must be three"):
        shown(FrameReader(palette(None, WHOLE)), 0)
