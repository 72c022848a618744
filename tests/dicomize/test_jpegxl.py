"""JPEG XL: what is stored decodes to the same, and what it lost is said; against libjxl."""

from __future__ import annotations

import io
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom.dicomize.boxes import boxes
from dicomloom.dicomize.coded import read_coded
from dicomloom.dicomize.icc import srgb
from dicomloom.errors import CorruptError, DicomloomError, UnsupportedError
from support import peer, peer_module

GPS_IFD, ORIENTATION = 0x8825, 0x0112


def scene(shape=(24, 40, 3), dtype="u1", factor=1):
    y, x = np.indices(shape[:2])
    base = np.stack([3 * x, 5 * y, 200 - 2 * x], -1) if shape[2:] else 3 * x + y
    return ((base + np.random.default_rng(3).integers(0, 4, base.shape)) * factor).astype(dtype)


def jpeg(orientation=1, gps=False, **options) -> bytes:
    module = peer_module("PIL.Image")
    into, exif = io.BytesIO(), module.Exif()
    if orientation > 1:
        exif[ORIENTATION] = orientation
    if gps:
        exif[GPS_IFD] = {1: "N", 2: (52.0, 31.0, 7.0)}
    if len(exif):
        options["exif"] = exif
    module.fromarray(scene()).save(into, "JPEG", **options)
    return into.getvalue()


@pytest.fixture
def cjxl(tmp_path):
    program = peer("cjxl")

    def run(picture, *arguments) -> bytes:
        source, target = tmp_path / "in", tmp_path / "out.jxl"
        if isinstance(picture, bytes):
            source = source.with_suffix(".jpg")
            source.write_bytes(picture)
        else:
            source = source.with_suffix(".png")
            peer_module("PIL.Image").fromarray(picture).save(source)
        subprocess.run([program, source, target, *arguments], check=True, capture_output=True)
        return target.read_bytes()

    return run


def decoded(data):
    return peer_module("imagecodecs").jpegxl_decode(data)


@pytest.mark.parametrize("boxed", ["--container=0", "--container=1"])
@pytest.mark.parametrize("shape", [(24, 40, 3), (24, 40), (16, 16, 3), (300, 7)])
def test_lossless(cjxl, shape, boxed):
    pixels = scene(shape)
    data = cjxl(pixels, "-d", "0", boxed)
    found = read_coded(data)
    assert (found.syntax, found.lossy) == ("JPEGXLLossless", False)
    assert (found.rows, found.columns) == shape[:2]
    assert found.photometric == ("RGB" if len(shape) == 3 else "MONOCHROME2")
    assert found.stream.startswith(b"\xff\x0a")
    assert np.array_equal(decoded(found.stream), pixels)


def test_sixteen_bits_and_what_they_need(cjxl):
    pixels = scene((24, 40), "u2", 200)
    data = cjxl(pixels, "-d", "0")
    found = read_coded(data)
    assert (found.bits, found.samples, found.lossy) == (16, 1, False)
    assert np.array_equal(decoded(found.stream), pixels)
    with_level = data if b"jxll" in data[:64] else boxed(data, (b"jxll", b"\x0a"), (b"xml ", b"x"))
    kept = read_coded(with_level)
    assert b"jxll" in kept.stream
    assert b"xml " not in kept.stream
    assert np.array_equal(decoded(kept.stream), pixels)


def boxed(codestream: bytes, *others: tuple[bytes, bytes]) -> bytes:
    made = [(b"JXL ", b"\r\n\x87\n"), (b"ftyp", b"jxl \0\0\0\0jxl "), *others]
    made = made if any(kind == b"jxlp" for kind, _ in made) else [*made, (b"jxlc", codestream)]
    return b"".join(struct.pack(">L", 8 + len(body)) + kind + body for kind, body in made)


@pytest.mark.parametrize("arguments", [("-d", "1"), ("-d", "1", "-m", "1"), ("-d", "3")])
@pytest.mark.parametrize("shape", [(24, 40, 3), (24, 40)])
def test_lossy(cjxl, shape, arguments):
    data = cjxl(scene(shape), *arguments)
    found = read_coded(data)
    assert (found.syntax, found.lossy, found.method) == ("JPEGXL", True, "ISO_18181_1")
    assert found.photometric == ("XYB" if len(shape) == 3 else "MONOCHROME2")
    assert not np.array_equal(decoded(data), scene(shape))
    assert np.array_equal(decoded(found.stream), decoded(data))


def test_a_recompressed_jpeg_comes_back(cjxl, tmp_path):
    original = jpeg()
    found = read_coded(cjxl(original, "--lossless_jpeg=1"))
    assert (found.syntax, found.lossy) == ("JPEGXLJPEGRecompression", True)
    assert (found.method, found.photometric) == ("ISO_10918_1", "YBR_FULL_422")
    (tmp_path / "a.jxl").write_bytes(found.stream)
    subprocess.run(
        [peer("djxl"), tmp_path / "a.jxl", tmp_path / "a.jpg"], check=True, capture_output=True
    )
    assert (tmp_path / "a.jpg").read_bytes() == original


def test_the_samples_of_a_jpeg_are_not_lossless(cjxl):
    """Without its box jbrd a recompressed JPEG is a stream without XYB, and lossy all the same."""
    data = cjxl(jpeg(), "--lossless_jpeg=1")
    bare = b"".join(body[4:] for kind, body in boxes(data) if kind == b"jxlp")
    bare = bare or dict(boxes(data))[b"jxlc"]
    found = read_coded(bare)
    assert (found.syntax, found.lossy) == ("JPEGXL", True)
    assert decoded(bare).shape == scene().shape


def test_positions_in_a_recompressed_jpeg_are_refused(cjxl):
    """Seen in its EXIF or XMP, or not to be seen, because the box is compressed."""
    data = cjxl(jpeg(), "--lossless_jpeg=1")
    assert read_coded(data).stream == data
    tiff = jpeg(gps=True).partition(b"Exif\0\0")[2]
    for kind, body in (
        (b"Exif", bytes(4) + tiff),
        (b"Exif", bytes(4) + b"not TIFF"),
        (b"xml ", b"<exif:GPSLatitude>"),
        (b"brob", b"xml \x0b"),
    ):
        with pytest.raises(UnsupportedError, match=r"where it was taken.*djxl"):
            read_coded(data + struct.pack(">L", 8 + len(body)) + kind + body)
    harmless = bytes(4) + jpeg(orientation=3).partition(b"Exif\0\0")[2].partition(b"\xff\xdb")[0]
    box = struct.pack(">L", 8 + len(harmless)) + b"Exif" + harmless
    assert read_coded(data + box).stream == data + box


def test_metadata_of_a_container_are_left_out(cjxl):
    stream = cjxl(scene(), "-d", "0", "--container=0")
    data = boxed(stream, (b"Exif", b"\0\0\0\0II*\0\x08\0\0\0\0\0GPS!"), (b"xml ", b"<GPS/>"))
    found = read_coded(data)
    assert found.stream == stream
    assert found.notes == ("box Exif was left out", "box xml was left out")


def test_parts_of_a_codestream(cjxl):
    stream = cjxl(scene(), "-d", "0", "--container=0")
    first, last = struct.pack(">L", 0), struct.pack(">L", 1 | 1 << 31)
    parts = [(b"jxlp", first + stream[:50]), (b"jxlp", last + stream[50:])]
    assert read_coded(boxed(b"", *parts)).stream == stream
    for wrong in (parts[:1], parts[::-1], [parts[0], parts[0], parts[1]]):
        with pytest.raises(CorruptError, match="part"):
            read_coded(boxed(b"", *wrong))


def test_decoders_turn_what_a_codestream_says_to_turn(cjxl):
    """So its Rows and Columns would be those of no decoder that does not: it is refused."""
    data = cjxl(jpeg(orientation=6), "--lossless_jpeg=0", "-d", "0")
    assert decoded(data).shape == (40, 24, 3)
    with pytest.raises(UnsupportedError, match=r"orientation 6.*djxl"):
        read_coded(data)


def test_a_color_profile_before_the_frame(tmp_path):
    """It is coded itself: what stands behind it is not reached, and nothing is claimed."""
    path, target = tmp_path / "in.png", tmp_path / "out.jxl"
    peer_module("PIL.Image").fromarray(scene()).save(path, icc_profile=srgb())
    subprocess.run([peer("cjxl"), path, target, "-d", "0"], check=True, capture_output=True)
    found = read_coded(target.read_bytes())
    assert (found.syntax, found.lossy) == ("JPEGXL", True)
    assert "taken as lossy" in found.notes[-1]
    assert np.array_equal(decoded(found.stream), scene())


def test_cut_and_mangled(cjxl):
    """A codestream does not say how long it is; a box does, and headers do."""
    data = cjxl(scene((8, 8)), "-d", "0", "--container=1")
    for end in range(len(data)):
        with pytest.raises(DicomloomError):
            read_coded(data[:end])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1))
    def mangled(changes):
        broken = bytearray(data)
        for at, value in changes:
            broken[at] = value
        try:
            found = read_coded(bytes(broken))
        except DicomloomError:
            return
        assert found.format == "JPEG XL" or not broken.startswith(b"\xff\x0a")

    mangled()
