"""HOSTILE.md X8 and X11: every combination of bits; what is read and written again."""

from __future__ import annotations

import io
import itertools
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from dicomloom import DicomloomError, FrameReader, transcode
from dicomloom.frames.header import Header, chunks, read_object
from dicomloom.frames.sources import FileSource
from faults import native_object, noise
from images import image as waves
from objects import LAYOUTS, image_object, save
from pixel_objects import image, us
from support import element, long_run, manifest

ALLOCATED = (1, 2, 7, 8, 9, 12, 15, 16, 17, 24, 32, 33, 63, 64)
CODES = {"RLELossless", "JPEGLSLossless", "ExplicitVRLittleEndian"}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def with_bits(allocated: int, stored: int, high: int, sign: int) -> bytes:
    pixels = np.random.default_rng(allocated).bytes((24 * allocated + 7) // 8)
    return image(
        pixels + bytes(len(pixels) % 2),
        frames=None,
        bits=element(0x00280100, "US", us(allocated)),
        stored=element(0x00280101, "US", us(stored)),
        high=element(0x00280102, "US", us(high & 0xFFFF)),
        sign=element(0x00280103, "US", us(sign)),
    )


def pydicoms(data: bytes):
    """Pixels as pydicom reads them, None where it does not."""
    try:
        return pixel_array(pydicom.dcmread(io.BytesIO(data)), raw=True)
    except (ValueError, AttributeError, NotImplementedError, TypeError):
        return None


def combinations():
    for allocated in range(1, 65) if long_run() else ALLOCATED:
        near = {0, 1, 2, allocated - 1, allocated, allocated + 1, 65}
        for stored in range(66) if long_run() else sorted(near):
            highs = {-1, 0, stored - 2, stored - 1, stored, allocated - 1, 65}
            yield from ((allocated, stored, high, sign) for high in highs for sign in (0, 1))


def test_x08_all_combinations_of_bits(tmp_path):
    """Right pixels, equal to pydicom's, or an error that names BitsAllocated or BitsStored."""
    read = refused = both = 0
    seen = {}
    for allocated, stored, high, sign in combinations():
        data = with_bits(allocated, stored, high, sign)
        try:
            ours = FrameReader(data)[0]
        except DicomloomError as error:
            assert "BitsAllocated" in str(error) or "BitsStored" in str(error), error
            refused += 1
            continue
        assert allocated in (1, 8, 16, 32, 64)
        assert stored <= allocated
        read += 1
        # HighBit moves nothing (PS3.5 8.1.1 has it one less than BitsStored).
        key = (allocated, stored, sign)
        assert np.array_equal(seen.setdefault(key, ours), ours)
        theirs = pydicoms(data)
        if theirs is not None and stored:
            assert theirs.dtype == ours.dtype, key
            assert np.array_equal(ours, theirs), key
            both += 1
    assert read > 100
    assert refused > 500
    assert both > 80


def test_x08_what_is_written_of_all_bits_is_right_or_refused(tmp_path):
    """No writer loses a bit in silence, whatever is said of the bits."""
    written = 0
    for (allocated, stored), sign in itertools.product(
        [(8, 1), (8, 7), (8, 8), (16, 1), (16, 12), (16, 16), (32, 20), (32, 32), (64, 64)], (0, 1)
    ):
        data = with_bits(allocated, stored, stored - 1, sign)
        for syntax in CODES:
            out = tmp_path / "out.dcm"
            try:
                transcode(data, out, syntax)
            except DicomloomError as error:
                text = str(error)
                assert any(word in text for word in ("Bits", "bits", "samples", "value")), text
                assert not out.exists()
                continue
            written += 1
            assert np.array_equal(FrameReader(out)[0], FrameReader(data)[0]), (allocated, stored)
            out.unlink()
    assert written > 30


# --- X11 ---


def values(path):
    """Each element but the pixels: tag, VR and the bytes of its value, by our own listing."""
    source = FileSource(path)
    try:
        header: Header = read_object(source).header
        return {tag: b"".join(chunks(one.ranges())) for tag, one in header.elements.items()}
    finally:
        source.close()


def raw(data_set):
    """Tag, VR and raw value of each element as pydicom has read it, before it converts any."""
    found = {}
    for tag in list(data_set.keys()):
        each = data_set.get_item(tag)
        if int(tag) & 0xFFFF and tag.group != 0x7FE0 and tag != 0xFFFCFFFC:
            found[int(tag)] = repr(data_set[tag].value) if each.VR == "SQ" else each.value or b""
    return found


def test_x11_the_corpus_to_its_own_syntax(corpus, tmp_path):
    """Every element and every frame is what it was, and a second pass changes no byte."""
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    same = 0
    for row in manifest(corpus):
        if row["kind"] not in ("part10", "headerless") or int(row["size"]) > 300_000:
            continue
        path = corpus / row["file"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                source = FileSource(path)
                found = read_object(source)
                syntax = found.transfer_syntax or "1.2.840.10008.1.2"
                source.close()
                if syntax == "1.2.840.10008.1.2.2":
                    continue  # big endian is retired, and is not written
                transcode(path, one, syntax)
            except DicomloomError:
                assert not one.exists()
                continue
            transcode(one, two, syntax)
        same += 1
        assert one.read_bytes() == two.read_bytes(), path
        assert_alike(path, one)
        one.unlink()
    assert same > 150


def assert_alike(path, made):
    before, after = values(path), values(made)
    added = set(after) - set(before)
    assert added <= {0x00080018, *IMAGE_PIXEL}, (path, [f"{tag:08X}" for tag in added])
    lost = set(before) - set(after) - {0x7FE00001, 0x7FE00002}
    assert not lost, (path, [f"{tag:08X}" for tag in lost])
    for tag in set(before) & set(after):
        assert before[tag] == after[tag], (path, f"{tag:08X}")
    try:
        theirs = pydicom.dcmread(path, force=True)
    except Exception:
        return
    mine = pydicom.dcmread(made)
    if "PixelData" not in theirs or theirs.is_little_endian is not True:
        return
    if theirs.is_implicit_VR == mine.is_implicit_VR:
        assert {t: v for t, v in raw(mine).items() if t not in added} == {
            t: v for t, v in raw(theirs).items() if t not in lost
        }, path


# Said where it was not: what a reader must have guessed is written down.
IMAGE_PIXEL = {0x00280002, 0x00280004, 0x00280101, 0x00280102, 0x00280103, 0x00280006}


def test_x11_high_bit_stays_what_it_was(tmp_path):
    """Frames that are copied keep all that says how they are to be read."""
    source = native_object(tmp_path / "in.dcm", noise(2).astype("u2"), BitsStored=12, HighBit=15)
    for syntax in ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian"):
        transcode(source, tmp_path / "out.dcm", syntax)
        assert pydicom.dcmread(tmp_path / "out.dcm").HighBit == 15


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless", "JPEGLosslessSV1"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_x11_read_write_read_again(tmp_path, syntax, name):
    """There and back again: pixels and all other elements are equal, byte for byte."""
    of = LAYOUTS[name]
    source = save(image_object(of, [waves(of), waves(of, seed=1)]), tmp_path / "in.dcm")
    try:
        transcode(source, tmp_path / "1.dcm", syntax)
    except DicomloomError:
        assert name == "8 signed"
        return
    transcode(tmp_path / "1.dcm", tmp_path / "2.dcm", "ExplicitVRLittleEndian")
    transcode(tmp_path / "2.dcm", tmp_path / "3.dcm", syntax)
    assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "3.dcm").read_bytes()
    assert values(source) == values(tmp_path / "2.dcm")
    assert np.array_equal(
        np.asarray(FrameReader(source)), np.asarray(FrameReader(tmp_path / "2.dcm"))
    )
