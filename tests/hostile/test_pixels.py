"""HOSTILE.md X1, X2, X3, X7, X9: what the data set says of its pixels, and where they are.

Each is proved through all doors that read pixels: `FrameReader`, `transcode`, `extract`, and the
commands. What single codecs do with hostile bitstreams is in test_pixels_codecs.py.
"""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest

from dicomloom import DicomloomWarning, FrameReader
from hostile import deflated
from pixel_objects import (
    DEFLATED_FRAMES,
    PIXELS,
    RLE_ZEROS,
    asked,
    encapsulated,
    image,
    saved,
    us,
)
from support import DEFLATED, UNDEFINED, element, item

TAGS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits": 0x00280100,
    "stored": 0x00280101,
    "high": 0x00280102,
    "sign": 0x00280103,
    "planar": 0x00280006,
}
KEYWORDS = {
    "samples": "SamplesPerPixel",
    "rows": "Rows",
    "columns": "Columns",
    "bits": "BitsAllocated",
    "stored": "BitsStored",
}
FRAMES = 0x00280008


def geometry(**numbers: int) -> dict[str, bytes]:
    return {name: element(TAGS[name], "US", us(value)) for name, value in numbers.items()}


def frames(text: bytes) -> dict[str, bytes]:
    return {"frames": element(FRAMES, "IS", text + b" " * (len(text) % 2))}


# --- X1 ---

LARGEST = geometry(rows=65535, columns=65535, samples=3, bits=32, stored=32)
LIES = {
    "pixels": LARGEST,
    "pixels-and-frames": LARGEST | frames(b"2147483647"),
    "frames": frames(b"2147483647"),
    "more-frames-than-IS-holds": frames(b"99999999999999999999"),
    # 65536 x 65536 x 8 bits and 2^32 frames are 0 in 32, and 2^64 bits in 64.
    "products-that-wrap": geometry(rows=32768, columns=32768, bits=64, stored=64, samples=4)
    | frames(b"2147483646"),
}


def test_x01_products_that_overflow_make_no_room(tmp_path):
    """With 512 MiB to spare, lies about size are told in terms of bytes that are not there."""
    objects = {}
    table = struct.pack("<3L", 0, 8 + len(RLE_ZEROS), 16 + 2 * len(RLE_ZEROS))
    for name, lie in LIES.items():
        objects[f"native {name}"] = image(PIXELS.tobytes(), **lie)
        objects[f"rle {name}"] = encapsulated([RLE_ZEROS] * 3, table=table, **lie)
        objects[f"deflated {name}"] = image(PIXELS.tobytes(), DEFLATED, **lie)
        inflates = deflated(bytes(48))
        objects[f"frames {name}"] = encapsulated([inflates] * 3, DEFLATED_FRAMES, **lie)
    found = asked(saved(tmp_path / "in", objects), limit=512 << 20)
    for name, (peak, said) in found.items():
        assert peak < 48 << 10, name
        kind, text, _ = said["all"]
        assert kind in ("TruncatedError", "CorruptError", "UnsupportedError"), name
        if "more-frames" in name:
            assert "NumberOfFrames" in text, name
        elif name.endswith(" frames"):  # what is there is given all the same
            assert said["one"][0] in ("", "TruncatedError"), name
            assert said["raw"][0] == "", name
        else:
            assert said["one"][0], name
            assert said["frames"][0] in (20, ""), name


def test_x01_lengths_that_the_file_does_not_back_make_no_room(tmp_path):
    """An item of 4 GiB in a small file costs nothing, wherever a table leads to it."""
    long = element(0xFFFEE000, None, RLE_ZEROS, length=0xFFFFFFF0)
    offsets = element(0x7FE00001, "OV", struct.pack("<3Q", 0, 0x4C, 0x98))
    sizes = element(0x7FE00002, "OV", struct.pack("<3Q", *[0xFFFFFFF0] * 3))
    whole = item(RLE_ZEROS)
    pixels = item() + whole * 2 + long
    tables = offsets + sizes
    objects = {
        "extended": image(pixels, "1.2.840.10008.1.2.5", length=UNDEFINED, tables=tables),
        "walked": image(pixels, "1.2.840.10008.1.2.5", length=UNDEFINED),
        "a table of 4 GiB": image(
            element(0xFFFEE000, None, length=0xFFFFFFFC) + whole * 3,
            "1.2.840.10008.1.2.5",
            length=UNDEFINED,
            **frames(b"1073741823"),
        ),
        "native": image(PIXELS.tobytes(), length=0xFFFFFFFE, **LARGEST),
    }
    found = asked(saved(tmp_path / "in", objects), limit=512 << 20)
    for name, (peak, said) in found.items():
        assert peak < 48 << 10, name
        assert said["all"][0] in ("TruncatedError", "CorruptError"), name
    for name in ("extended", "walked"):
        assert found[name][1]["all"][2] == 2, name
        assert found[name][1]["raw"][0] == "", name


# --- X2 ---

WRONG = {
    "absent": None,
    "empty": ("US", b""),
    "zero": ("US", us(0)),
    "two values": ("US", us(4, 4)),
    "half a value": ("US", b"\4"),
    "negative": ("SS", struct.pack("<h", -4)),
    "UL": ("UL", struct.pack("<L", 0xFFFFFFFF)),
    "OB": ("OB", us(4)),
    "long OB": ("OB", bytes(5000)),
    "DS": ("DS", b"4.0 "),
    "exponent": ("DS", b"1e99"),
    "text": ("LO", b"four"),
    "nan": ("FD", struct.pack("<d", float("nan"))),
    "sequence": ("SQ", item(element(0x00280010, "US", us(4)))),
}
COUNTS = [b"-5", b"1.5 ", b"abc ", b"3\\3", b"1e3 ", b"0x3 ", b"4294967299"]


def test_x02_geometry_that_is_none_is_named(tmp_path):
    """A wrong VR, two values, none, or a negative one: the error names the attribute."""
    objects, named = {}, {}
    for what, keyword in KEYWORDS.items():
        for how, wrong in WRONG.items():
            made = None if wrong is None else element(TAGS[what], *wrong)
            objects[f"{what} {how}"] = image(PIXELS.tobytes(), **{what: made})
            named[f"{what} {how}"] = keyword
    for count in COUNTS:
        name = f"frames {count.decode().strip().replace(chr(92), ' and ')}"
        objects[name], named[name] = image(PIXELS.tobytes(), **frames(count)), "NumberOfFrames"
    found = asked(saved(tmp_path / "in", objects), "one all frames rle png", limit=512 << 20)
    refused = 0
    for name, (_, said) in found.items():
        kinds = {said["one"][0], said["rle"][0]}
        if kinds == {""}:
            continue
        refused += 1
        texts = " ".join(str(text) for _, text, _ in said.values())
        # Sizes that are possible, but not those of the bytes, are told in bytes.
        assert named[name] in texts or "bytes" in texts or "fragments" in texts, (name, said)
        assert said["frames"][0] in (20, "")
        assert said["png"][0] in (20, "")
    assert refused >= 50, refused
    for what in ("rows", "columns", "bits"):
        for how in ("absent", "empty", "zero", "two values", "OB", "text", "exponent", "nan"):
            kind, text, _ = found[f"{what} {how}"][1]["one"]
            # Two bytes of OB are the number of US: what they say is plain.
            assert kind == "CorruptError" or how == "OB", (what, how)
            assert how == "OB" or KEYWORDS[what] in text, (what, how, text)
    for count in COUNTS:
        name = f"frames {count.decode().strip().replace(chr(92), ' and ')}"
        kind, text, _ = found[name][1]["one"]
        assert kind == "CorruptError"
        assert "NumberOfFrames" in text


# --- X3 ---


def rle(count: int, offsets: list[int], body: bytes = b"\xe9\0\xe9\0") -> bytes:
    return struct.pack("<16L", count, *(offsets + [0] * 15)[:15]) + body


BROKEN_RLE = {
    "0 segments": rle(0, []),
    "1 segment": rle(1, [64]),
    "15 segments": rle(15, [64 + n for n in range(15)], bytes(30)),
    "16 segments": rle(16, [64] * 15),
    "2^32-1 segments": rle(0xFFFFFFFF, [64, 66]),
    "offsets backwards": rle(2, [66, 64]),
    "offset in the header": rle(2, [0, 66]),
    "offset outside": rle(2, [64, 10_000]),
    "offset of 2^32-1": rle(2, [64, 0xFFFFFFFF]),
    "an empty segment": rle(2, [64, 64]),
    "a literal past the end": rle(2, [64, 66], b"\xe9\0\x17\0"),
    "a run without a byte": rle(2, [64, 65], b"\xe9\xe9\0\0"),
    "nothing but no-operations": rle(2, [64, 66], b"\xe9\0" + b"\x80" * 5000),
    "half a header": RLE_ZEROS[:40],
    "nothing": b"",
}
PAST_THE_FRAME = rle(2, [64, 66], b"\x81\0\x81\0")  # 128 bytes where 24 are wanted


def test_x03_rle_segments_that_lie(tmp_path):
    """Broken headers and segments are refused with the frame's number; its neighbors are read."""
    objects = {
        name: encapsulated([RLE_ZEROS, broken, RLE_ZEROS]) for name, broken in BROKEN_RLE.items()
    }
    objects["past the frame"] = encapsulated([RLE_ZEROS, PAST_THE_FRAME, RLE_ZEROS])
    found = asked(saved(tmp_path / "in", objects), "all raw slice native frames transcode")
    for name, (peak, said) in found.items():
        assert peak < 48 << 10
        assert said["raw"] == ["", [48, 3, said["raw"][1][2]], None], name
        if name == "past the frame":  # what a run gives beyond is not written anywhere
            assert said["all"] == ["", [3, 4, 6], None]
            continue
        for door in ("all", "slice", "native"):
            kind, text, frame = said[door]
            assert kind in ("CorruptError", "TruncatedError"), (name, door)
            assert frame == 1, (name, door, text)
        # Coded frames of the same syntax are passed on as they are.
        assert said["transcode"][0] in ("", 20), name
    data = objects["past the frame"]
    assert not np.asarray(FrameReader(data)).any()


# --- X7 ---

SIZE = 8 + len(RLE_ZEROS)
IN_ORDER = [0, SIZE, 2 * SIZE]
BASIC = {
    "unordered": [0, 2 * SIZE, SIZE],
    "odd": [0, SIZE + 1, 2 * SIZE],
    "outside": [0, SIZE, 0x7FFFFFF0],
    "of 2^32-2": [0, SIZE, 0xFFFFFFFE],
    "too few": [0, SIZE],
    "too many": [*IN_ORDER, 3 * SIZE],
    "all the same": [0, 0, 0],
    "into a frame": [0, SIZE + 8, 2 * SIZE],
}
EXTENDED = {
    "outside": ([0, SIZE, 1 << 40], [SIZE - 8] * 3),
    "of 2^64-2": ([0, SIZE, (1 << 64) - 2], [SIZE - 8] * 3),
    "odd": ([0, SIZE + 1, 2 * SIZE], [SIZE - 8] * 3),
    "too few": (IN_ORDER[:2], [SIZE - 8] * 2),
    "all the same": ([0, 0, 0], [SIZE - 8] * 3),
    "uneven lengths": (IN_ORDER, [SIZE - 8, SIZE - 200 & (1 << 64) - 1, 1 << 63]),
    "lengths of others": (IN_ORDER, [0, 1, 2]),
    "too few lengths": (IN_ORDER, [SIZE - 8]),
}


def test_x07_offset_tables_that_lie(tmp_path):
    """Frames are right whatever the tables say: the items themselves are walked."""
    zero, one, two = RLE_ZEROS, rle(2, [64, 66], b"\xe9\0\xe9\1"), rle(2, [64, 66], b"\xe9\0\xe9\2")
    objects = {}
    for name, offsets in BASIC.items():
        table = struct.pack(f"<{len(offsets)}L", *offsets)
        objects[f"basic {name}"] = encapsulated([zero, one, two], table=table)
    for name, (offsets, lengths) in EXTENDED.items():
        tables = element(0x7FE00001, "OV", struct.pack(f"<{len(offsets)}Q", *offsets))
        tables += element(0x7FE00002, "OV", struct.pack(f"<{len(lengths)}Q", *lengths))
        objects[f"extended {name}"] = encapsulated([zero, one, two], tables=tables)
    content = item() + item(zero) + item(one) + item(two)
    objects["no end item"] = image(content, "1.2.840.10008.1.2.5", length=UNDEFINED)
    found = asked(saved(tmp_path / "in", objects), "all native frames transcode slice")
    for name, (_, said) in found.items():
        assert [kind for kind, _, _ in said.values()] == [""] * 5, (name, said)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DicomloomWarning)
            values = np.asarray(FrameReader(objects[name]))[:, 0, 0]
        assert values.tolist() == [0, 1, 2], name


def test_x07_an_empty_fragment_is_the_fault_of_its_frame(tmp_path):
    """An empty frame is named; those beside it are read."""
    found = asked(
        saved(tmp_path / "in", {"empty": encapsulated([RLE_ZEROS, b"", RLE_ZEROS])}),
        "one raw all native",
    )
    said = found["empty"][1]
    assert said["one"][0] == said["raw"][0] == ""
    assert [said[door][2] for door in ("all", "native")] == [1, 1]


def test_x07_a_table_is_no_bomb(tmp_path):
    """Many entries that lead to one fragment do not make it many frames."""
    count = 50_000
    tables = element(0x7FE00001, "OV", bytes(8 * count))
    data = encapsulated([RLE_ZEROS], tables=tables, **frames(str(count).encode()))
    found = asked(saved(tmp_path / "in", {"bomb": data}), "native rle all")
    assert {kind for kind, _, _ in found["bomb"][1].values()} == {"TruncatedError"}


# --- X9 ---


@pytest.mark.parametrize("name", ["native", "odd", "deflated", "rle"])
def test_x09_pixel_data_shorter_or_longer_than_declared(tmp_path, name):
    """What is whole is given, the frame that is cut is named, nothing behind the end is read."""
    odd = geometry(rows=3, columns=5, bits=8, stored=8) if name == "odd" else {}
    size = 15 if odd else 48
    pixels = PIXELS.tobytes()[: 3 * size]
    if name == "rle":
        made = {f"{n} of 3": encapsulated([RLE_ZEROS] * n) for n in (1, 2, 3, 4)}
        made["2.5 of 3"] = encapsulated([RLE_ZEROS] * 3)[: -8 - 10]
    else:
        syntax = {"syntax": DEFLATED} if name == "deflated" else {}
        made = {
            f"{n} of 3": image((pixels + bytes(size))[: int(n * size)], **syntax, **odd)
            for n in (0, 0.5, 1, 2, 2.5, 3, 4)
        }
        if not syntax:  # the length says more than the file has
            made["lie of 3"] = image(pixels[: 2 * size], length=3 * size, **odd)
    found = asked(saved(tmp_path / "in", made))
    whole = {"0": 0, "0.5": 0, "1": 1, "2": 2, "2.5": 2, "lie": 2, "3": 3, "4": 3}
    for case, (_, said) in found.items():
        there = whole[case.split()[0]]
        if there == 3 and (case, name) != ("4 of 3", "rle"):
            assert {kind for kind, _, _ in said.values()} == {""}, (case, said)
            continue
        if (case, name) == ("4 of 3", "rle"):  # nobody can tell which three they are
            assert said["all"][0] in ("", "CorruptError"), said
            continue
        for door in ("all", "native", "jpegls"):
            kind, text, frame = said[door]
            assert kind == "TruncatedError", (case, door, text)
            assert frame == there, (case, door, text)
            assert f"frame {there} of 3" in text, (case, door, text)
        assert (said["raw"][0] == "") == (there > 0), case
        assert said["frames"][0] == 20
