"""Offset tables: those we write against pydicom's reading, those of others in every broken way."""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_fragments, parse_basic_offsets

from dicomloom import CorruptError, FrameReader, FrameWriter, LimitError, TruncatedError, transcode
from dicomloom.codecs.layout import Layout
from dicomloom.codecs.registry import find
from dicomloom.errors import OffsetTableWarning
from dicomloom.frames.instance import EncapsulatedBody
from faults import noise
from support import UNDEFINED, element, item, part10

RLE = "1.2.840.10008.1.2.5"
FRAMES = noise(5, 9, 7)
CODER = find("RLELossless").encoder(Layout(9, 7))
CODED = [b"".join(CODER.encode(frame.tobytes())) for frame in FRAMES]


def us(tag, value):
    return element(tag, "US", struct.pack("<H", value))


def an_object(pixels, *, frames=5, extended=b"", syntax=RLE):
    """A data set with this encapsulated pixel data, and elements in front of it."""
    head = (
        us(0x00280002, 1)
        + element(0x00280004, "CS", b"MONOCHROME2 ")
        + element(0x00280008, "IS", f"{frames:<2}".encode())
        + us(0x00280010, 9) + us(0x00280011, 7) + us(0x00280100, 8) + us(0x00280101, 8)
        + us(0x00280102, 7) + us(0x00280103, 0)
    )  # fmt: skip
    return part10(head + extended + element(0x7FE00010, "OB", pixels, length=UNDEFINED), syntax)


def even(data):
    return data + b"\0" * (len(data) % 2)


def items(fragments, table=b"", *, end=True):
    made = item(table) + b"".join(item(even(fragment)) for fragment in fragments)
    return made + (element(0xFFFEE0DD, None) if end else b"")


def offsets_of(fragments_of_each):
    found, at = [], 0
    for fragments in fragments_of_each:
        found.append(at)
        at += sum(8 + len(even(fragment)) for fragment in fragments)
    return found


def basic(offsets):
    return struct.pack(f"<{len(offsets)}L", *offsets)


def extended(offsets, lengths):
    table, sizes = (struct.pack(f"<{len(v)}Q", *v) for v in (offsets, lengths))
    return element(0x7FE00001, "OV", table) + element(0x7FE00002, "OV", sizes)


def reads(data, *, warns=False):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader = FrameReader(data)
        got = np.asarray(reader)
    assert np.array_equal(got, FRAMES)
    assert [w.category for w in caught] == ([OffsetTableWarning] if warns else [])
    return reader.offset_table


ONE_EACH = [[coded] for coded in CODED]
IN_THREE = [[c[:64], c[64:90], c[90:]] for c in CODED]
STARTS = offsets_of(ONE_EACH)
SIZES = [len(even(coded)) for coded in CODED]


def flat(fragments_of_each):
    return [fragment for fragments in fragments_of_each for fragment in fragments]


def test_frames_by_each_kind_of_table():
    assert reads(an_object(items(CODED))) == "walked"
    assert reads(an_object(items(CODED, basic(STARTS)))) == "basic"
    assert reads(an_object(items(CODED), extended=extended(STARTS, SIZES))) == "extended"


def test_lengths_without_the_padding_are_what_is_given_back():
    odd = [c.rstrip(b"\0") if i == 0 else c for i, c in enumerate(CODED)]
    lengths = [len(c) for c in odd]
    reader = FrameReader(
        an_object(items(odd), extended=extended(offsets_of([[c] for c in odd]), lengths))
    )
    assert [reader.encoded(i) for i in range(5)] == odd


def test_frames_in_several_fragments():
    table = basic(offsets_of(IN_THREE))
    assert reads(an_object(items(flat(IN_THREE), table))) == "basic"
    mixed = [CODED[0:1], *IN_THREE[1:3], *ONE_EACH[3:]]
    assert reads(an_object(items(flat(mixed), basic(offsets_of(mixed))))) == "basic"


def test_a_single_frame_takes_all_fragments():
    data = an_object(items(IN_THREE[0]), frames=1)
    assert np.array_equal(FrameReader(data)[0], FRAMES[0])


@pytest.mark.parametrize("syntax", ["JPEGBaseline8Bit", "JPEGLSLossless", "JPEG2000Lossless"])
def test_markers_tell_where_frames_begin_without_a_table(syntax):
    pytest.importorskip("imagecodecs")
    codec = find(syntax)
    encoder = codec.encoder(Layout(9, 7))
    coded = [b"".join(bytes(p) for p in encoder.encode(frame.tobytes())) for frame in FRAMES]
    pieces = [[c[:20], c[20:60], c[60:]] for c in coded]
    reader = FrameReader(an_object(items(flat(pieces)), syntax=codec.uid))
    assert [reader.encoded(i)[: len(c)] for i, c in enumerate(coded)] == coded


def test_fragments_that_nothing_tells_apart_are_refused():
    three = [b"\1\2" * 40] * 7
    with pytest.raises(CorruptError, match="7 fragments hold 5 frames"):
        FrameReader(an_object(items(three))).encoded(0)


SWAPPED = [STARTS[1], STARTS[0], *STARTS[2:]]
BROKEN = {
    "too few": basic(STARTS[:4]),
    "too many": basic([*STARTS, STARTS[-1] + 100]),
    "not whole": basic(STARTS)[:-2],
    "does not begin with 0": basic([2, *STARTS[1:]]),
    "descending": basic([0, STARTS[2], STARTS[1], *STARTS[3:]]),
    "odd": basic([0, STARTS[1] + 1, *STARTS[2:]]),
    "into a frame": basic([0, STARTS[1] + 2, *STARTS[2:]]),
    "outside": basic([*STARTS[:4], 0x7FFFFFF0]),
    "the same twice": basic([0, STARTS[1], STARTS[1], *STARTS[3:]]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_basic_table_is_noticed(name):
    assert reads(an_object(items(CODED, BROKEN[name])), warns=True) == "walked"


BROKEN_EXTENDED = {
    "too few": extended(STARTS[:4], SIZES[:4]),
    "into a frame": extended([0, STARTS[1] + 2, *STARTS[2:]], SIZES),
    "outside": extended([*STARTS[:4], 1 << 40], SIZES),
    "huge": extended([*STARTS[:4], (1 << 64) - 2], SIZES),
    "odd": extended([*STARTS[:4], STARTS[4] + 1], SIZES),
    "lengths of others": extended(STARTS, [size + 10 for size in SIZES]),
}


@pytest.mark.parametrize("name", BROKEN_EXTENDED)
def test_a_broken_extended_table_is_noticed(name):
    assert reads(an_object(items(CODED), extended=BROKEN_EXTENDED[name]), warns=True) == "walked"


EMPTY = {
    "behind each frame": flat([c, b""] for c in CODED),
    "in front": [b"", *CODED],
    "within a frame": [CODED[0][:64], b"", CODED[0][64:], *CODED[1:]],
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_fragments_are_part_of_the_frame_before_them(name):
    fragments = EMPTY[name]
    if name == "in front":
        # There is no frame before: neither a count nor the marks of frames tell what it is.
        with pytest.raises(CorruptError, match="6 fragments hold 5 frames"):
            FrameReader(an_object(items(fragments)))[0]
        return
    assert reads(an_object(items(fragments))) == "walked"
    starts = [i for i, fragment in enumerate(fragments) if fragment in (*CODED, CODED[0][:64])]
    ends = [*starts[1:], len(fragments)]
    table = offsets_of([fragments[a:b] for a, b in zip(starts, ends, strict=True)])
    assert reads(an_object(items(fragments, basic(table)))) == "basic"


def test_a_frame_whose_only_fragment_is_empty_is_named():
    reader = FrameReader(an_object(items([*CODED[:2], b"", *CODED[3:]], basic(STARTS_2_EMPTY))))
    for i in (0, 1, 3, 4):
        assert np.array_equal(reader[i], FRAMES[i])
    with pytest.raises(TruncatedError, match="0 are there") as caught:
        reader[2]
    assert caught.value.frame == 2


@pytest.mark.parametrize("count", [1, len(FRAMES)])
@pytest.mark.parametrize("table", [b"", basic([0, 8])], ids=["no table", "a table"])
def test_no_fragment_at_all_is_a_missing_frame(tmp_path, count, table):
    data = an_object(items([], table), frames=count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = FrameReader(data)
        assert len(reader.offsets) == 0
        for ask in (reader.encoded, reader.__getitem__):
            with pytest.raises(TruncatedError, match="frame 0 of") as caught:
                ask(0)
            assert caught.value.frame == 0
        with pytest.raises(TruncatedError, match="frame 0 of"):
            transcode(data, tmp_path / "out.dcm", "ExplicitVRLittleEndian")
    assert not list(tmp_path.iterdir())


STARTS_2_EMPTY = offsets_of([CODED[0:1], CODED[1:2], [b""], CODED[3:4], CODED[4:5]])


def test_both_tables_at_once():
    """PS3.3 C.7.6.3.1.8 forbids it; frames are right whichever is wrong."""
    right = extended(STARTS, SIZES)
    reads(an_object(items(CODED, basic(STARTS)), extended=right))
    assert reads(an_object(items(CODED, BROKEN["descending"]), extended=right), warns=True)
    wrong = BROKEN_EXTENDED["into a frame"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OffsetTableWarning)
        assert np.array_equal(
            np.asarray(FrameReader(an_object(items(CODED, basic(STARTS)), extended=wrong))), FRAMES
        )


@pytest.mark.parametrize("target", ["ExplicitVRLittleEndian", "RLELossless"])
@pytest.mark.parametrize("name", [*BROKEN, *BROKEN_EXTENDED])
def test_broken_tables_are_mended_by_transcoding(tmp_path, name, target):
    if name in BROKEN:
        source = an_object(items(CODED, BROKEN[name]))
    else:
        source = an_object(items(CODED), extended=BROKEN_EXTENDED[name])
    path = tmp_path / "out.dcm"
    with pytest.warns(OffsetTableWarning, match="walking the items"):
        transcode(source, path, target)
    made = pydicom.dcmread(path)
    assert "ExtendedOffsetTable" not in made
    assert np.array_equal(made.pixel_array, FRAMES)
    if target == "RLELossless":
        assert parse_basic_offsets(made.PixelData) == STARTS


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(
    "target", ["ExplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian", "RLELossless"]
)
def test_uncompressed_frames_of_odd_size_in_fragments(tmp_path, target, pieces):
    """63 bytes a frame, padded in their last fragment: the padding is in no other syntax."""
    cut = 40 if pieces == 2 else 0
    fragments = [[f.tobytes()[:cut], f.tobytes()[cut:]][-pieces:] for f in FRAMES]
    source = an_object(
        items(flat(fragments), basic(offsets_of(fragments))), syntax="1.2.840.10008.1.2.1.98"
    )
    assert np.array_equal(np.asarray(FrameReader(source)), FRAMES)
    transcode(source, tmp_path / "out.dcm", target)
    assert np.array_equal(pydicom.dcmread(tmp_path / "out.dcm").pixel_array, FRAMES)


def test_without_a_delimiter_all_frames_are_there():
    assert reads(an_object(items(CODED, end=False))) == "walked"


@pytest.mark.parametrize("table", [b"", basic(STARTS)])
def test_a_frame_that_is_cut_off_is_named_and_the_others_are_read(table):
    whole = an_object(items(CODED, table, end=False))
    reader = FrameReader(whole[:-5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OffsetTableWarning)
        with pytest.raises(TruncatedError, match="frame 4") as caught:
            reader[4]
        assert caught.value.frame == 4
        for i in range(4):
            assert np.array_equal(reader[i], FRAMES[i])


# --- what we write ---


@pytest.mark.parametrize("frames", [None, 5])
@pytest.mark.parametrize("kind", ["auto", "basic", "extended", "empty"])
def test_the_tables_we_write_as_pydicom_reads_them(tmp_path, kind, frames):
    path = tmp_path / "out.dcm"
    with FrameWriter(
        path, {}, transfer_syntax="RLELossless", frames=frames, offset_table=kind
    ) as writer:
        writer.write(FRAMES)
    dataset = pydicom.dcmread(path)
    pixels = io.BytesIO(dataset.PixelData)
    found = parse_basic_offsets(pixels)
    fragments = list(generate_fragments(pixels))
    assert fragments == [even(c) for c in CODED]
    assert found == (STARTS if kind in ("auto", "basic") else [])
    if kind == "extended":
        assert struct.unpack("<5Q", dataset.ExtendedOffsetTable) == tuple(STARTS)
        assert struct.unpack("<5Q", dataset.ExtendedOffsetTableLengths) == tuple(SIZES)
    else:
        assert "ExtendedOffsetTable" not in dataset
    assert np.array_equal(dataset.pixel_array, FRAMES)


def kinds(table, expected, bound, lengths):
    body = EncapsulatedBody(table, expected, bound)
    body._lengths.extend(lengths)
    for length in lengths:
        body._last = body._total
        body._total += length + 8
    return b"".join(bytes(piece) for piece in body.prelude(final=True))[:4] == b"\xe0\x7f\x01\x00"


def test_auto_chooses_the_table_that_is_sure_to_reach():
    assert not kinds("auto", 3, 1 << 30, [10, 10, 10])
    assert kinds("auto", 5, 1 << 30, [10] * 5)  # might not have reached
    assert not kinds("auto", None, 1 << 30, [0xF0000000, 10])
    assert kinds("auto", None, 1 << 30, [0xF0000000, 0x0FFFFFF0, 10])


def test_a_basic_table_that_cannot_reach_is_an_error():
    body = EncapsulatedBody("basic", None, 1 << 30)
    body._total = 1 << 32
    with pytest.raises(LimitError, match="offset_table='auto'"):
        body.frame([b"12"])


def test_an_object_of_6_gib(tmp_path):
    """Written, closed, opened again, and looked at in front, in the middle, at the end."""
    folder = next(
        (
            f
            for f in ("/dev/shm", tmp_path)
            if Path(f).is_dir() and shutil.disk_usage(f).free > 9 << 30
        ),
        None,
    )
    if folder is None:
        pytest.skip("needs 9 GiB of room in /dev/shm or for temporary files")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        path = Path(work) / "large.dcm"
        frame = noise(1, 4096, 8192)[0]
        count = 192
        with FrameWriter(
            path, {}, transfer_syntax="EncapsulatedUncompressedExplicitVRLittleEndian", frames=count
        ) as writer:
            for i in range(count):
                frame[0, 0] = i
                writer.write(frame)
        assert path.stat().st_size > 6 << 30
        with FrameReader(path) as reader:
            assert (len(reader), reader.offset_table) == (count, "extended")
            for i in (0, count // 2, count - 1):
                frame[0, 0] = i
                assert np.array_equal(reader[i], frame)
        last = Path(work) / "last.dcm"
        assert transcode(path, last, "RLELossless", frames=[count - 1]).frames == 1
        assert np.array_equal(FrameReader(last)[0], frame)
