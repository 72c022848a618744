"""Coding without loss: other people's decoders give back what went in, bit by bit."""

import io

import numpy as np
import pytest

from dicomloom import DicomloomError, UnsupportedError
from dicomloom.codecs import bitstream, registry
from dicomloom.errors import PixelError
from images import by_program, code, decode, extremes, image, layout, pixels_of, raw

libjpeg = pytest.importorskip("libjpeg")
openjpeg = pytest.importorskip("openjpeg.utils")
pytest.importorskip("imagecodecs")

JPEG = ["JPEGLossless", "JPEGLosslessSV1", "JPEGLSLossless", "JPEGLSNearLossless"]
J2K = ["JPEG2000Lossless", "JPEG2000", "HTJ2KLossless", "HTJ2KLosslessRPCL", "HTJ2K"]
JXL = ["JPEGXLLossless", "JPEGXL"]
OTHERS = [
    "ImplicitVRLittleEndian",
    "ExplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
    "DeflatedImageFrameCompression",
]
NOTHING_LOST = {"JPEGLSNearLossless": {"near": 0}}

LAYOUTS = {
    "8": layout(8),
    "7": layout(7),
    "2": layout(2),
    "10": layout(10),
    "12": layout(12),
    "16": layout(16),
    "8 in 16": layout(8, allocated=16),
    "8 signed": layout(8, signed=True),
    "12 signed": layout(12, signed=True),
    "16 signed": layout(16, signed=True),
    "RGB": layout(8, color=True),
    "RGB 12": layout(12, color=True),
    "RGB 16": layout(16, color=True),
    "YBR_FULL": layout(8, color=True, photometric="YBR_FULL"),
    "MONOCHROME1": layout(8, photometric="MONOCHROME1"),
    "PALETTE COLOR": layout(8, photometric="PALETTE COLOR"),
    "one pixel": layout(12, rows=1, columns=1),
    "one row": layout(8, rows=1, columns=9),
    "three columns": layout(12, rows=130, columns=3),
}


def of_independent(keyword, data, of):
    """The samples by a library that is not the writer; None where there is none."""
    if keyword in JPEG:
        found = libjpeg.decode(data, colour_transform=0)
        if of.signed:  # their bits are there, their sign is not
            shift = of.bits_allocated - of.bits_stored
            found = (found.astype(f"<u{of.bits_allocated // 8}") << shift).view(of.dtype) >> shift
        return found.reshape(of.shape)
    if keyword in J2K:
        return openjpeg.decode(io.BytesIO(data)).reshape(of.shape)
    return None


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("keyword", JPEG + J2K + JXL + OTHERS)
def test_round_trip(keyword, name):
    of = LAYOUTS[name]
    options = NOTHING_LOST.get(keyword, {})
    for pixels in (image(of), extremes(of)):
        if refused(keyword, of):
            with pytest.raises(UnsupportedError, match=f"{keyword} holds .* found "):
                code(keyword, of, pixels, **options)
            continue
        encoder, data = code(keyword, of, pixels, **options)
        assert not encoder.lossy
        assert encoder.method is None
        assert len(data) <= encoder.bound()
        assert (decode(keyword, encoder.layout, data) == pixels).all()
        other = of_independent(keyword, data, of)
        assert other is None or (other == pixels).all()


def refused(keyword, of):
    """What PS3.5 8.2 does not let a syntax hold."""
    if keyword in OTHERS:
        return False
    if keyword in JXL and (of.signed or of.bits_stored < 8 or of.photometric == "YBR_FULL"):
        return True
    lossy = not registry.find(keyword).lossless
    return of.photometric == "PALETTE COLOR" and lossy


@pytest.mark.parametrize("keyword", ["JPEG2000Lossless", "JPEG2000"])
@pytest.mark.parametrize("of", [layout(20), layout(24, signed=True)], ids=["20", "24 signed"])
def test_more_than_16_bits(keyword, of):
    pixels = extremes(of)
    encoder, data = code(keyword, of, pixels)
    assert (decode(keyword, encoder.layout, data) == pixels).all()
    assert (of_independent(keyword, data, of) == pixels).all()


@pytest.mark.parametrize("keyword", J2K + OTHERS)
@pytest.mark.parametrize("columns", [53, 64])
def test_one_bit(keyword, columns):
    of = layout(1, columns=columns)
    pixels = image(of)
    encoder, data = code(keyword, of, pixels)
    assert (decode(keyword, encoder.layout, data) == pixels).all()
    if keyword in J2K:
        assert bitstream.describe(data, registry.find(keyword).uid).bits == 1
        assert (openjpeg.decode(io.BytesIO(data)).reshape(of.shape) == pixels).all()


@pytest.mark.parametrize(
    "keyword", ["JPEGBaseline8Bit", "JPEGLosslessSV1", "JPEGLSLossless", "JPEGXLLossless"]
)
def test_one_bit_is_refused_with_a_reason(keyword):
    with pytest.raises(UnsupportedError, match=f"{keyword} holds BitsAllocated 8.*found 1"):
        registry.find(keyword).encoder(layout(1))


@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor(predictor):
    of = layout(16)
    pixels = extremes(of)
    _, data = code("JPEGLossless", of, pixels, predictor=predictor)
    found = bitstream.describe(data, registry.find("JPEGLossless").uid)
    assert found.details["predictor"] == predictor
    assert (libjpeg.decode(data) == pixels).all()
    assert (decode("JPEGLossless", of, data) == pixels).all()


@pytest.mark.parametrize("name", ["8", "12", "16", "12 signed", "16 signed", "RGB"])
@pytest.mark.parametrize(
    ("program", "keyword"),
    [
        ("dcmdjpeg", "JPEGLossless"),
        ("dcmdjpeg", "JPEGLosslessSV1"),
        ("dcmdjpls", "JPEGLSLossless"),
    ],
)
def test_dcmtk_reads_it(program, keyword, name, tmp_path):
    of = LAYOUTS[name]
    pixels = image(of)
    encoder, data = code(keyword, of, pixels)
    found = by_program(program, keyword, encoder.layout, data, tmp_path)
    assert found.PhotometricInterpretation == of.photometric
    values = found.pixel_array
    # DCMTK leaves the bits above BitsStored clear; pydicom puts the sign there.
    assert (values == pixels).all()


@pytest.mark.parametrize("keyword", JPEG + J2K + ["JPEGXLLossless"])
@pytest.mark.parametrize("of", [layout(12), layout(12, signed=True)], ids=["unsigned", "signed"])
def test_values_that_bits_stored_does_not_hold(keyword, of):
    if keyword == "JPEGXLLossless" and of.signed:
        pytest.skip("JPEG XL holds no signed samples")
    pixels = image(of) // 2  # away from the ends, which near-lossless coding refuses if signed
    pixels[3, 4] = 2048 if of.signed else 4096
    for options in {}, *([{"backend": "library"}] if keyword in JPEG else []):
        with pytest.raises(PixelError, match=f"BitsStored 12.*found {pixels[3, 4]}"):
            code(keyword, of, pixels, **options)


@pytest.mark.parametrize("keyword", JPEG + J2K + JXL + OTHERS)
def test_frames_of_another_size_are_refused(keyword):
    of = layout(8)
    encoder = registry.find(keyword).encoder(of)
    for size in (0, of.frame_bytes - 1, of.frame_bytes + 1):
        with pytest.raises(PixelError, match=f"{of.frame_bytes} bytes.*found {size}"):
            encoder.encode(bytes(size))


@pytest.mark.parametrize("keyword", JPEG + J2K + JXL + OTHERS)
def test_into(keyword):
    of = layout(12)
    pixels = image(of)
    encoder, data = code(keyword, of, pixels)
    decoder = registry.find(keyword).decoder(encoder.layout)
    target = bytearray(of.frame_bytes)
    assert decoder.decode(data, target) is target
    assert (pixels_of(target, of) == decode(keyword, encoder.layout, data)).all()
    with pytest.raises(ValueError, match=f"buffer of {of.frame_bytes} bytes, found 5"):
        decoder.decode(data, bytearray(5))


@pytest.mark.parametrize("keyword", JPEG + J2K + JXL + OTHERS[3:])
def test_padding_is_read_over(keyword):
    of = layout(8, rows=5, columns=5)
    pixels = image(of)
    encoder, data = code(keyword, of, pixels)
    found = decode(keyword, encoder.layout, data + b"\0")
    assert (found == decode(keyword, encoder.layout, data)).all()


@pytest.mark.parametrize("keyword", JPEG + J2K + JXL + OTHERS[3:] + ["JPEGBaseline8Bit"])
def test_a_stream_that_is_cut_off_is_refused(keyword):
    of = layout(8)
    encoder, data = code(keyword, of, image(of))
    decoder = registry.find(keyword).decoder(encoder.layout)
    for left in (0, 1, 3, 20, len(data) // 2, len(data) - 3):
        with pytest.raises(DicomloomError):
            decoder.decode(data[:left])


def test_planes_and_big_endian():
    of = layout(16, color=True)
    pixels = image(of)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    stored = of.replace(planar=1)
    assert (decode("ExplicitVRLittleEndian", stored, planes.tobytes()) == pixels).all()
    swapped = planes.byteswap().tobytes()
    assert (decode("ExplicitVRBigEndian", stored, swapped) == pixels).all()
    assert (decode("ExplicitVRBigEndian", of, pixels.byteswap().tobytes()) == pixels).all()
    bytewise = layout(8)
    assert (
        decode("ExplicitVRBigEndian", bytewise, raw(image(bytewise), bytewise)) == image(bytewise)
    ).all()
    with pytest.raises(UnsupportedError, match="ExplicitVRLittleEndian"):
        registry.find("ExplicitVRBigEndian").encoder(of)


def test_a_deflated_bomb_costs_no_more_than_a_frame():
    import zlib

    of = layout(8)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflater.compress(bytes(10**8)) + deflater.flush()
    with pytest.raises(DicomloomError, match=f"{of.frame_bytes} bytes, found more"):
        decode("DeflatedImageFrameCompression", of, bomb)


@pytest.mark.parametrize("keyword", ["ExplicitVRLittleEndian", "DeflatedImageFrameCompression"])
def test_halved_chroma_comes_back_in_full(keyword):
    stored = layout(8, color=True, columns=6, photometric="YBR_FULL_422")
    pairs = np.arange(stored.rows * 12).astype(stored.dtype).reshape(-1, 4)  # Y, Y, Cb, Cr
    encoder = registry.find(keyword).encoder(stored)
    data = b"".join(map(bytes, encoder.encode(pairs.tobytes())))
    decoder = registry.find(keyword).decoder(stored)
    assert decoder.layout.photometric == "YBR_FULL"
    found = np.frombuffer(decoder.decode(data), stored.dtype).reshape(-1, 2, 3)
    assert (found[:, :, 0] == pairs[:, :2]).all()
    assert (found[:, :, 1:] == pairs[:, None, 2:]).all()
    for wrong in (
        stored.replace(columns=5),
        stored.replace(planar=1),
        stored.replace(samples=1),
        stored.replace(bits_allocated=16),
    ):
        with pytest.raises(UnsupportedError, match="YBR_FULL_422 of BitsAllocated"):
            registry.find(keyword).decoder(wrong)
