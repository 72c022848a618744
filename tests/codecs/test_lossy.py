"""Coding with loss: within bounds, no color mistaken, and what the data set has to say of it."""

import io
import itertools

import numpy as np
import pydicom
import pytest

from dicomloom import UnsupportedError
from dicomloom.codecs import bitstream, registry
from dicomloom.errors import PixelError
from images import by_program, code, decode, extremes, image, layout, psnr

libjpeg = pytest.importorskip("libjpeg")
openjpeg = pytest.importorskip("openjpeg.utils")
pytest.importorskip("imagecodecs")

MONO, WIDE, RGB = layout(8), layout(12), layout(8, color=True)
METHODS = {
    "JPEGBaseline8Bit": "ISO_10918_1",
    "JPEGExtended12Bit": "ISO_10918_1",
    "JPEGLSNearLossless": "ISO_14495_1",
    "JPEG2000": "ISO_15444_1",
    "HTJ2K": "ISO_15444_15",
    "JPEGXL": "ISO_18181_1",
    "JPEGXLJPEGRecompression": "ISO_10918_1",
}
# Least PSNR in dB of waves with 0.5 % of noise.
CASES = [
    ("JPEGBaseline8Bit", MONO, {}, 42),
    ("JPEGBaseline8Bit", RGB, {}, 33),
    ("JPEGBaseline8Bit", RGB, {"subsampling": "444"}, 38),
    ("JPEGBaseline8Bit", MONO, {"quality": 30}, 36),
    ("JPEGExtended12Bit", MONO, {}, 42),
    ("JPEGExtended12Bit", WIDE, {}, 45),
    ("JPEGExtended12Bit", layout(12, color=True), {"subsampling": "444"}, 40),
    ("JPEGLSNearLossless", MONO, {}, 43),
    ("JPEGLSNearLossless", RGB, {"near": 5}, 36),
    ("JPEGLSNearLossless", WIDE, {"near": 9}, 55),
    ("JPEG2000", MONO, {"quality": 45}, 44),
    ("JPEG2000", RGB, {"quality": 45}, 43),
    ("JPEG2000", WIDE, {"quality": 60}, 59),
    ("JPEG2000", layout(12, signed=True), {"ratio": 6}, 38),
    ("JPEG2000", RGB, {"ratio": 6}, 35),
    ("HTJ2K", MONO, {"quality": 45}, 40),
    ("HTJ2K", RGB, {"quality": 45}, 36),
    ("HTJ2K", layout(10, signed=True), {"quality": 55}, 48),
    ("HTJ2K", WIDE, {"quality": 60}, 52),
    ("HTJ2K", layout(16), {"quality": 60}, 52),
    ("JPEGXL", MONO, {"distance": 0.5}, 38),
    ("JPEGXL", RGB, {"quality": 90}, 32),
    ("JPEGXL", layout(16), {"distance": 0.5}, 38),
    ("JPEGXLJPEGRecompression", MONO, {}, 42),
    ("JPEGXLJPEGRecompression", RGB, {}, 33),
]


@pytest.mark.parametrize(
    ("keyword", "of", "options", "least"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)]
)
def test_close_to_what_went_in(keyword, of, options, least):
    pixels = image(of, noise=0.005)
    encoder, data = code(keyword, of, pixels, **options)
    assert encoder.lossy
    assert encoder.method == METHODS[keyword]
    assert encoder.description
    assert len(data) <= encoder.bound()
    codec = registry.find(keyword)
    assert not codec.lossless
    decoder = codec.decoder(encoder.layout)
    assert decoder.layout.photometric == of.photometric
    assert psnr(decode(keyword, encoder.layout, data), pixels, of.bits_stored) > least
    found = bitstream.check(data, codec.uid, encoder.layout, strict=True)
    assert found.bits == of.bits_stored


@pytest.mark.parametrize(
    ("keyword", "options"),
    [
        ("JPEGBaseline8Bit", {"subsampling": "444"}),
        ("JPEG2000", {"quality": 40}),
        ("HTJ2K", {"quality": 40}),
        ("JPEGXL", {"distance": 1}),
        ("JPEGXLJPEGRecompression", {}),
    ],
)
def test_flat_colors_keep_their_hue(keyword, options):
    """One patch each of the corners of the cube: a swapped or missing transform shows at once."""
    of = layout(8, color=True, rows=16, columns=8 * 16)
    corners = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8)
    pixels = np.repeat(np.repeat(corners[None], 16, 0), 16, 1)
    encoder, data = code(keyword, of, pixels, **options)
    found = decode(keyword, encoder.layout, data).reshape(16, 8, 16, 3)[:, :, 4:12].mean((0, 2))
    assert abs(found - corners).max() < 40


@pytest.mark.parametrize("of", [MONO, layout(8, signed=True), WIDE, layout(16)], ids=str)
@pytest.mark.parametrize(
    ("keyword", "options"),
    [
        ("JPEGBaseline8Bit", {"quality": 20}),
        ("JPEGExtended12Bit", {"quality": 20}),
        ("JPEG2000", {"quality": 25}),
        ("HTJ2K", {"quality": 25}),
        ("JPEGXL", {"distance": 3}),
        ("JPEGLSNearLossless", {"near": 7}),
    ],
)
def test_white_does_not_turn_black(keyword, options, of):
    """Overshoot beyond the range is clipped, not wrapped."""
    pixels = extremes(of)
    try:
        encoder, data = code(keyword, of, pixels, **options)
    except (UnsupportedError, PixelError):
        assert keyword.startswith(("JPEGB", "JPEGE", "JPEGXL", "JPEGLS"))
        return
    error = abs(decode(keyword, encoder.layout, data).astype(int) - pixels)
    assert error.max() < 0.9 * 2**of.bits_stored
    assert error.mean() < 0.25 * 2**of.bits_stored


@pytest.mark.parametrize("near", [0, 1, 3, 10])
@pytest.mark.parametrize(
    "of", [MONO, WIDE, layout(16), RGB, layout(12, signed=True), layout(16, signed=True)], ids=str
)
def test_near_is_the_greatest_error(of, near):
    pixels = image(of, noise=0.005)
    if of.signed:
        pixels = pixels // 2  # away from the ends of the range
    encoder, data = code("JPEGLSNearLossless", of, pixels, near=near)
    assert encoder.lossy == (near > 0)
    assert (encoder.method is None) == (near == 0)
    found = decode("JPEGLSNearLossless", encoder.layout, data).astype(int)
    assert abs(found - pixels).max() <= near
    assert bitstream.describe(data, registry.find("JPEGLSNearLossless").uid).details["near"] == near
    if not of.signed:
        assert abs(libjpeg.decode(data).astype(int) - pixels).max() <= near


def test_near_does_not_change_a_sign():
    of = layout(12, signed=True)
    with pytest.raises(PixelError, match="within 2 of 2047 or -2048"):
        code("JPEGLSNearLossless", of, extremes(of))


@pytest.mark.parametrize(("of", "options"), [(MONO, {}), (WIDE, {}), (RGB, {"subsampling": "444"})])
def test_others_decode_jpeg_alike(of, options, tmp_path):
    keyword = "JPEGExtended12Bit" if of.bits_stored == 12 else "JPEGBaseline8Bit"
    encoder, data = code(keyword, of, image(of), **options)
    ours = decode(keyword, encoder.layout, data).astype(int)
    theirs = libjpeg.decode(data, colour_transform=int(of.samples == 3))
    # ISO/IEC 10918-2 lets inverse transforms differ by one.
    assert abs(ours - theirs).max() <= (1 if of.samples == 1 else 3)
    found = by_program("dcmdjpeg", keyword, encoder.layout, data, tmp_path)
    assert abs(pydicom.pixels.pixel_array(found, raw=True).astype(int) - ours).max() <= 4


@pytest.mark.parametrize("options", [{"quality": 45}, {"ratio": 8}])
@pytest.mark.parametrize("of", [MONO, WIDE, RGB], ids=["8", "12", "RGB"])
def test_others_decode_jpeg_2000_alike(of, options):
    keywords = ["JPEG2000"] + (["HTJ2K"] if "quality" in options else [])
    for keyword in keywords:
        encoder, data = code(keyword, of, image(of), **options)
        ours = decode(keyword, encoder.layout, data).astype(int)
        assert abs(openjpeg.decode(io.BytesIO(data)).astype(int) - ours).max() <= 1


@pytest.mark.parametrize("ratio", [4, 10, 25])
@pytest.mark.parametrize("of", [MONO, WIDE, RGB, layout(16)], ids=["8", "12", "RGB", "16"])
def test_ratio_is_of_the_raw_frame(of, ratio):
    of = of.replace(rows=256, columns=256)
    _, data = code("JPEG2000", of, image(of), ratio=ratio)
    assert 0.99 * ratio < of.frame_bytes / len(data) < 1.2 * ratio


def test_what_jpeg_says_of_its_color():
    uid = registry.find("JPEGBaseline8Bit").uid
    for sampling, name, factors in (
        ("422", "YBR_FULL_422", ((2, 1), (1, 1), (1, 1))),
        ("4:4:4", "YBR_FULL", ((1, 1), (1, 1), (1, 1))),
    ):
        encoder, data = code("JPEGBaseline8Bit", RGB, image(RGB), subsampling=sampling)
        assert encoder.layout.photometric == name
        assert encoder.layout.planar == 0
        details = bitstream.describe(data, uid).details
        assert details["sampling"] == factors
        assert details["jfif"]
    encoder, _ = code("JPEGBaseline8Bit", MONO, image(MONO))
    assert encoder.layout.photometric == "MONOCHROME2"


def test_ybr_full_is_coded_as_it_is():
    rgb = image(RGB, noise=0)
    ybr = pydicom.pixels.convert_color_space(rgb, "RGB", "YBR_FULL")
    of = RGB.replace(photometric="YBR_FULL")
    encoder, data = code("JPEGBaseline8Bit", of, ybr, subsampling="444", quality=98)
    assert encoder.layout.photometric == "YBR_FULL"
    assert psnr(decode("JPEGBaseline8Bit", encoder.layout, data), rgb, 8) > 40


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("space", ["RGB", "YCBCR"])
@pytest.mark.parametrize("marked", [True, False])
def test_whose_word_counts_for_color(space, label, marked):
    """Component names and markers speak of the stream; where they do not, the data set does."""
    import imagecodecs

    pixels = image(RGB, noise=0)
    settings = {"colorspace": "RGB", "outcolorspace": space, "subsampling": "444"}
    data = imagecodecs.jpeg8_encode(pixels, 95, **settings)
    if not marked:
        data = unmarked(data)
    found = decode("JPEGBaseline8Bit", RGB.replace(photometric=label), data)
    right = marked or (space == "RGB") == (label == "RGB")
    assert (psnr(found, pixels, 8) > 30) == right


def unmarked(data):
    """Without its application segment, components called 1, 2, 3."""
    stream = bytearray(data[:2] + data[4 + int.from_bytes(data[4:6], "big") :])
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        at = stream.index(marker)
        for n in range(3):
            stream[at + first + n * step] = n + 1
    return bytes(stream)


def test_a_recompressed_jpeg_comes_back_byte_for_byte():
    codec = registry.find("JPEGXLJPEGRecompression")
    for of in (MONO.replace(rows=256, columns=256), RGB.replace(rows=256, columns=256)):
        encoder, stream = code("JPEGBaseline8Bit", of, image(of))
        data = codec.recompress(stream)
        assert codec.restore(data) == stream
        assert len(data) < len(stream)
        ours = decode("JPEGXLJPEGRecompression", encoder.layout, data)
        assert (ours == decode("JPEGBaseline8Bit", encoder.layout, stream)).all()
    with pytest.raises(UnsupportedError, match="libjxl"):
        codec.recompress(b"\xff\xd8 not a JPEG")


def test_palette_colors_are_not_coded_with_loss():
    of = layout(8, photometric="PALETTE COLOR")
    for keyword in METHODS:
        with pytest.raises(UnsupportedError, match=f"{keyword} holds .*found PALETTE COLOR"):
            registry.find(keyword).encoder(of)


@pytest.mark.parametrize(
    ("keyword", "options", "words"),
    [
        ("JPEGBaseline8Bit", {"quality": 0}, "quality must be a whole number from 1 to 100, not 0"),
        ("JPEGBaseline8Bit", {"quality": "good"}, "quality must be a number"),
        ("JPEGBaseline8Bit", {"subsampling": "420"}, "subsampling must be 422 or 444"),
        ("JPEGLossless", {"predictor": 8}, "predictor must be a whole number from 1 to 7"),
        ("JPEGLSNearLossless", {"near": 128}, "near must be a whole number from 0 to 127"),
        ("JPEG2000", {"quality": 40, "ratio": 4}, "quality or ratio, not both"),
        ("JPEG2000", {"ratio": 0.5}, "ratio must be a number from 1.0"),
        ("JPEGXL", {"quality": 90, "distance": 1}, "quality or distance, not both"),
        ("DeflatedImageFrameCompression", {"level": 12}, "level must be a whole number"),
    ],
)
def test_options_are_checked(keyword, options, words):
    with pytest.raises(ValueError, match=words):
        registry.find(keyword).encoder(MONO, **options)


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.keyword)
def test_options_that_are_not_taken(entry):
    if entry.keyword == "ExplicitVRBigEndian":
        pytest.skip("is not written at all")
    with pytest.raises(TypeError, match=f"{entry.keyword} has no option nonsense"):
        registry.find(entry.uid).encoder(MONO, nonsense=1)
