"""Coded pictures: what is said of them, against decoders; what is stored; what is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import tracemalloc

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom.dicomize.coded import is_coded, read_coded
from dicomloom.dicomize.icc import srgb
from dicomloom.errors import CorruptError, DicomloomError, UnsupportedError
from jpeg_segments import EOI, Part, adobe, jfif, joined
from support import peer, peer_module

FOLDER = "codestreams/PyPI__wsidicom-data"
SYNTAXES = {
    "JPEG-LS_Lossless": "JPEGLSLossless",
    "JPEG-LS_Lossy": "JPEGLSNearLossless",
    "JPEG_2000_Image_Compression__": "JPEG2000Lossless",
    "JPEG_2000_Image_Compression-": "JPEG2000",
    "JPEG_Baseline": "JPEGBaseline8Bit",
    "JPEG_Extended": "JPEGExtended12Bit",
    "JPEG_Lossless": "JPEGLossless",
}
GPS_IFD, ORIENTATION, CAMERA = 0x8825, 0x0112, 0x0110


def scene(shape=(24, 40, 3), dtype="u1"):
    """A picture in which every channel is another, with a little noise."""
    y, x = np.indices(shape[:2])
    base = np.stack([3 * x, 5 * y, 255 - 2 * x], -1)[..., : shape[2]] if shape[2:] else 3 * x + y
    noise = np.random.default_rng(7).integers(0, 4, base.shape)
    return np.clip(base + noise, 0, 255).astype(dtype)


def saved(pixels, form="JPEG", mode=None, **options) -> bytes:
    image = peer_module("PIL.Image").fromarray(pixels)
    into = io.BytesIO()
    (image.convert(mode) if mode else image).save(into, form, **options)
    return into.getvalue()


def opened(data):
    return peer_module("PIL.Image").open(io.BytesIO(data))


def exif(gps=False, orientation=1) -> bytes:
    made = peer_module("PIL.Image").Exif()
    made[CAMERA], made[ORIENTATION] = "camera 1", orientation
    if gps:
        made[GPS_IFD] = {1: "N", 2: (52.0, 31.0, 7.0)}
    return made.tobytes()


def with_parts(data: bytes, *parts: Part) -> bytes:
    """Put segments behind SOI."""
    return data[:2] + joined(parts) + data[2:]


def scan_of(data: bytes) -> bytes:
    return data[data.index(b"\xff\xda") :]


# --- Every file of the corpus ---


def streams(corpus):
    return sorted(
        path for path in (corpus / FOLDER).iterdir() if path.suffix in (".jpg", ".jls", ".jp2")
    )


def test_the_corpus_against_decoders(corpus):
    codecs, libjpeg = peer_module("imagecodecs"), peer_module("libjpeg")
    decoders = {"jls": codecs.jpegls_decode, "jp2": codecs.jpeg2k_decode}
    files = streams(corpus)
    assert len(files) >= 20
    for path in files:
        data = path.read_bytes()
        found = read_coded(data)
        pixels = decoders.get(path.suffix[1:], libjpeg.decode)(data)
        shape = pixels.shape[:2] + ((3,) if pixels.ndim == 3 else ())
        assert (found.rows, found.columns) == shape[:2], path.name
        assert found.samples == (3 if len(shape) == 3 else 1), path.name
        expected = next(v for k, v in SYNTAXES.items() if path.name.startswith(k))
        assert found.syntax.removesuffix("SV1") == expected
        assert int(pixels.max()) < 2**found.bits <= 2 ** int(path.stem.rpartition("-")[2])
        lossless = "Lossless" in path.name and "Near" not in path.name
        assert found.lossy == (not lossless), path.name
        assert found.stream in data
        assert (found.unfit, found.signed) == ("", False)
        assert is_coded(data[:16])


def test_the_corpus_against_img2dcm(corpus, tmp_path):
    """RGB JPEG apart: img2dcm says YBR_FULL_422 of it, a decoder that it is RGB."""
    program = peer("img2dcm")
    checked = 0
    for path in streams(corpus):
        if "JPEG_Baseline" not in path.name:
            continue
        target = tmp_path / "a.dcm"
        subprocess.run([program, "-i", "JPEG", path, target], check=True, capture_output=True)
        theirs, ours = pydicom.dcmread(target), read_coded(path.read_bytes())
        assert theirs.file_meta.TransferSyntaxUID.keyword == ours.syntax
        assert (theirs.Rows, theirs.Columns) == (ours.rows, ours.columns)
        assert (theirs.SamplesPerPixel, theirs.BitsStored) == (ours.samples, ours.bits)
        if "-RGB-" in path.name:
            assert theirs.PhotometricInterpretation == "YBR_FULL_422"
            assert ours.photometric == "RGB"
            # What libjpeg shows is what is coded: it converts nothing.
            coded = peer_module("libjpeg").decode(path.read_bytes(), colour_transform=0)
            shown = np.asarray(opened(path.read_bytes())).astype(int)
            assert np.abs(shown - coded).max() <= 2
        else:
            assert theirs.PhotometricInterpretation == ours.photometric
        checked += 1
    assert checked >= 3


# --- JPEG ---


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("restart", [0, 2])
def test_jpeg_of_any_subsampling(subsampling, restart):
    data = saved(scene(), subsampling=subsampling, restart_marker_blocks=restart)
    found = read_coded(data)
    assert (found.syntax, found.photometric) == ("JPEGBaseline8Bit", "YBR_FULL_422")
    assert (found.stream, found.notes, found.method) == (data, (), "ISO_10918_1")
    assert found.ratio == pytest.approx(24 * 40 * 3 / len(data))
    assert (found.rows, found.columns, found.samples, found.bits) == (24, 40, 3, 8)


def test_jpeg_kinds():
    gray = read_coded(saved(scene((24, 40))))
    assert (gray.samples, gray.photometric, gray.syntax) == (1, "MONOCHROME2", "JPEGBaseline8Bit")
    rgb = read_coded(saved(scene(), keep_rgb=True))
    assert (rgb.photometric, rgb.syntax) == ("RGB", "JPEGBaseline8Bit")
    for data, word in (
        (saved(scene(), progressive=True), "progressive"),
        (saved(scene(), mode="CMYK"), "4 components"),
        (saved(scene()).replace(b"\xff\xc0", b"\xff\xc9", 1), "arithmetic"),
    ):
        found = read_coded(data)
        assert found.syntax == ""
        assert word in found.unfit


def test_jpeg_of_12_bits():
    codecs = peer_module("imagecodecs")
    data = codecs.jpeg8_encode(scene((24, 40)).astype("u2") * 16, bitspersample=12)
    found = read_coded(data)
    assert (found.syntax, found.bits, found.samples) == ("JPEGExtended12Bit", 12, 1)
    color = read_coded(codecs.jpeg8_encode(scene().astype("u2") * 16, bitspersample=12))
    assert (color.syntax, "12-bit color" in color.unfit) == ("", True)
    broken = data.replace(b"\xff\xc1", b"\xff\xc0", 1)
    with pytest.raises(CorruptError, match="12 bits"):
        read_coded(broken)


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        ([], "YBR_FULL_422"),
        ([jfif()], "YBR_FULL_422"),
        ([adobe(0)], "RGB"),
        ([adobe(1)], "YBR_FULL_422"),
        ([jfif(), adobe(0)], "YBR_FULL_422"),
    ],
)
def test_photometric_interpretation_is_what_libjpeg_decodes(markers, expected):
    """A red picture is red only where a decoder makes of the components what we say."""
    plain = saved(np.full((16, 16, 3), (230, 40, 20), "u1"), quality=95, subsampling=0)
    length = int.from_bytes(plain[4:6], "big")
    assert plain[2:4] == b"\xff\xe0"
    bare = plain[:2] + plain[4 + length :]
    data = with_parts(bare, *markers)
    assert read_coded(data).photometric == expected
    decoded = np.asarray(opened(data).convert("RGB"))[8, 8]
    converted = abs(int(decoded[0]) - 230) < 8
    assert converted == (expected == "YBR_FULL_422")


def test_icc_in_several_parts():
    profile = srgb() + b"\0" * 150_000
    profile = len(profile).to_bytes(4, "big") + profile[4:]
    data = saved(scene(), icc_profile=profile)
    assert data.count(b"ICC_PROFILE\0") == 3
    assert read_coded(data).icc == profile == opened(data).info["icc_profile"]
    missing = data.replace(b"ICC_PROFILE\0\3", b"ICC_PROFILX\0\3")
    assert read_coded(missing).icc is None


def test_a_profile_of_another_color_space_is_left_out():
    profile = srgb().replace(b"RGB ", b"CMYK", 1)
    found = read_coded(saved(scene(), icc_profile=profile))
    assert found.icc is None
    assert "not of RGB" in found.notes[0]


# --- Where it was taken, and what is behind the end ---

XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><exif:GPSLatitude>52</exif:GPSLatitude></x>"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + bytes(8)


def jpegs_with_places():
    plain = saved(scene())
    yield "exif", saved(scene(), exif=exif(gps=True))
    yield "xmp", with_parts(plain, Part(0xE1, XMP))
    yield (
        "extended",
        with_parts(plain, Part(0xE1, EXTENDED + b"<G exif:G"), Part(0xE1, EXTENDED + b"PSLat")),
    )
    yield "broken", with_parts(plain, Part(0xE1, b"Exif\0\0" + b"XX*\0GPSLatitude"))
    entry = struct.pack("<HHLL", GPS_IFD, 13, 1, 26)  # type IFD, as TIFF for EP has it
    yield (
        "ifd",
        with_parts(plain, Part(0xE1, b"Exif\0\0II*\0\x08\0\0\0\1\0" + entry + bytes(4) + b"GPS!")),
    )


@pytest.mark.parametrize("name", ["exif", "xmp", "extended", "broken", "ifd"])
def test_places_are_left_out_and_the_scan_is_not_touched(name):
    data = dict(jpegs_with_places())[name]
    found = read_coded(data)
    assert found.stream != data
    assert b"GPS" not in found.stream
    assert b"Exif" not in found.stream
    assert scan_of(found.stream) == scan_of(data)
    assert "where it was taken" in " ".join(found.notes)
    assert not opened(found.stream).getexif()
    assert np.array_equal(np.asarray(opened(found.stream)), np.asarray(opened(data)))


def test_other_metadata_stays():
    data = saved(scene(), exif=exif(orientation=6), comment=b"kept")
    found = read_coded(data)
    assert (found.stream, found.notes) == (data, ())
    assert (found.exif.orientation, found.exif.gps) == (6, False)
    assert found.exif.attributes["ManufacturerModelName"] == "camera 1"


def test_a_second_picture_behind_the_first():
    first = saved(scene(), exif=exif())
    found = read_coded(first + saved(scene((8, 8, 3)), exif=exif(gps=True)))
    assert found.stream == first
    assert "behind the end" in found.notes[0]
    assert read_coded(first + b"\0").stream == first + b"\0"
    assert read_coded(first + bytes(1000)).stream == first


def test_thumbnails_do_not_end_a_stream():
    thumbnail = saved(scene((8, 8, 3)))
    data = with_parts(saved(scene()), Part(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + thumbnail))
    assert read_coded(data).stream == data


# --- JPEG 2000 and HTJ2K ---


def test_jp2_with_profile_and_color_spaces():
    codecs = peer_module("imagecodecs")
    lossless = codecs.jpeg2k_encode(scene(), codecformat="jp2", reversible=True, level=0)
    found = read_coded(lossless)
    assert (found.syntax, found.lossy, found.samples) == ("JPEG2000Lossless", False, 3)
    assert found.stream.startswith(b"\xff\x4f\xff\x51")
    assert np.array_equal(codecs.jpeg2k_decode(found.stream), scene())
    at = lossless.index(b"colr") + 4
    assert lossless[at : at + 7] == b"\1\0\0\0\0\0\x10"
    cielab = read_coded(lossless[: at + 6] + b"\x0e" + lossless[at + 7 :])
    assert "color space 14" in cielab.unfit
    profile = srgb()
    box = struct.pack(">L", 11 + len(profile)) + b"colr\2\0\0" + profile
    start = at - 8
    jp2h = lossless.index(b"jp2h") - 4
    size = int.from_bytes(lossless[jp2h : jp2h + 4], "big") + len(box) - 15
    data = lossless[:jp2h] + struct.pack(">L", size) + lossless[jp2h + 4 : start]
    made = read_coded(data + box + lossless[start + 15 :])
    assert (made.icc, made.unfit, made.stream) == (profile, "", found.stream)


def jp2(codestream: bytes, *inner: bytes) -> bytes:
    def box(kind, body):
        return struct.pack(">L", 8 + len(body)) + kind + body

    signature = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    header = b"".join(box(one[:4], one[4:]) for one in inner)
    return signature + box(b"jp2h", header) + box(b"jp2c", codestream)


def test_jp2_of_ycc_palette_and_turned_channels():
    codecs = peer_module("imagecodecs")
    plain = codecs.jpeg2k_encode(scene(), codecformat="j2k", reversible=True, level=0, mct=False)
    ycc = b"colr\1\0\0\0\0\0\x12"
    assert read_coded(jp2(plain, ycc)).photometric == "YBR_FULL"
    assert read_coded(plain).photometric == "RGB"
    mixed = codecs.jpeg2k_encode(scene(), codecformat="j2k", reversible=True, level=0, mct=True)
    assert read_coded(mixed).photometric == "YBR_RCT"
    assert "sYCC" in read_coded(jp2(mixed, ycc)).unfit
    gray = codecs.jpeg2k_encode(scene((24, 40)), codecformat="j2k", reversible=True, level=0)
    assert "palette" in read_coded(jp2(gray, b"pclr\0\2\3\7\7\7" + bytes(6))).unfit
    order = [struct.pack(">HHH", n, 0, c) for n, c in ((0, 3), (1, 2), (2, 1))]
    assert "order" in read_coded(jp2(plain, b"cdef\0\3" + b"".join(order))).unfit
    assert read_coded(
        jp2(plain, b"cdef\0\3" + struct.pack(">9H", 0, 0, 1, 1, 0, 2, 2, 0, 3))
    ).syntax


@pytest.mark.parametrize(("bits", "stored"), [(1, False), (2, True), (12, True), (16, True)])
def test_bits_of_jpeg_2000(bits, stored):
    codecs = peer_module("imagecodecs")
    pixels = (np.arange(64).reshape(8, 8) * 1021 % 2**bits).astype("u1" if bits <= 8 else "u2")
    data = codecs.jpeg2k_encode(
        pixels, codecformat="j2k", reversible=True, level=0, bitspersample=bits
    )
    found = read_coded(data)
    assert (found.bits, found.syntax == "JPEG2000Lossless") == (bits, stored)
    assert stored or "1 bits a sample" in found.unfit


def test_htj2k():
    codecs = peer_module("imagecodecs")
    data = codecs.htj2k_encode(scene((24, 40)), reversible=True)
    found = read_coded(data)
    assert found.format == "HTJ2K"
    assert found.syntax.startswith("HTJ2KLossless")
    assert np.array_equal(codecs.htj2k_decode(found.stream), scene((24, 40)))
    lossy = read_coded(codecs.htj2k_encode(scene((24, 40)), reversible=False))
    assert (lossy.syntax, lossy.lossy, lossy.method) == ("HTJ2K", True, "ISO_15444_15")


# --- Hostile bytes ---


def small():
    codecs = peer_module("imagecodecs")
    gray = scene((8, 8))
    yield "jpeg", saved(gray, exif=exif(gps=True))
    yield "jpeg-ls", codecs.jpegls_encode(gray)
    yield "jp2", codecs.jpeg2k_encode(gray, codecformat="jp2", reversible=True, level=0)
    yield "htj2k", codecs.htj2k_encode(gray, reversible=True)


def test_cut_at_every_byte():
    for name, data in small():
        assert read_coded(data).syntax, name
        for end in range(len(data) - 1):
            with pytest.raises(DicomloomError):
                read_coded(data[:end])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(range(4)), st.data())
def test_mangled(which, draw):
    data = bytearray(list(small())[which][1])
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        found = read_coded(bytes(data))
    except DicomloomError:
        return
    assert max(found.rows, found.columns) <= 65535
    assert len(found.stream) <= len(data)


def test_sizes_that_dicom_does_not_hold():
    codecs = peer_module("imagecodecs")
    data = codecs.jpeg2k_encode(scene((24, 40)), codecformat="j2k", reversible=True, level=0)
    at = data.index(b"\xff\x51") + 6
    with pytest.raises(UnsupportedError, match="65535"):
        read_coded(data[:at] + struct.pack(">L", 70_000) + data[at + 4 :])


def test_memory_is_that_of_the_file():
    """A box or segment that claims gigabytes, a thousand scans, nothing but markers."""
    claims = struct.pack(">L", 0x7FFFFFFF)
    jpeg = saved(scene())
    hostile = [
        jp2(b"")[:32] + claims + b"jp2c\xff\x4f",
        jpeg[:2] + b"\xff\xe1\xff\xff" + jpeg[2:40],
        jpeg[:-2] + b"\xff\xda\0\2" * 100_000,
        b"\xff\xd8" + b"\xff" * 500_000,
        b"\xff\xd8" + b"\xff\xd0" * 250_000,
        jp2(b"")[:32] + b"\0\0\0\x08free" * 100_000,
    ]
    tracemalloc.start()
    for data in hostile:
        with pytest.raises(DicomloomError):
            read_coded(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_nothing_of_these():
    for data in (b"", b"\x89PNG", b"\xff\xd8", bytes([0xFF, 0xD8, 0xFF, EOI])):
        with pytest.raises(CorruptError):
            read_coded(data)
    assert not is_coded(b"\x89PNG\r\n\x1a\n")
