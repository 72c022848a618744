"""Headers: what is written holds to the standard, what is hostile raises, and nothing else."""

import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomloom import CorruptError, DicomloomError, UnsupportedError
from dicomloom.codecs import bitstream, registry
from dicomloom.codecs.layout import Layout
from images import code, image, layout

pytest.importorskip("imagecodecs")

WITH_HEADERS = [
    entry.uid for entry in registry.entries() if entry.module not in ("native", "deflated")
]
WRITTEN = [
    "JPEGBaseline8Bit",
    "JPEGExtended12Bit",
    "JPEGLossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "JPEGLSNearLossless",
    "JPEG2000Lossless",
    "JPEG2000",
    "HTJ2KLossless",
    "HTJ2KLosslessRPCL",
    "HTJ2K",
    "JPEGXLLossless",
    "JPEGXLJPEGRecompression",
    "JPEGXL",
    "RLELossless",
]
EIGHT_ONLY = ("JPEGBaseline8Bit", "JPEGXLJPEGRecompression")


def coded(keyword, of=None):
    of = of or layout(8 if keyword in EIGHT_ONLY else 12)
    encoder, data = code(keyword, of, image(of))
    return registry.find(keyword).uid, encoder.layout, data


@pytest.mark.parametrize("keyword", WRITTEN)
def test_what_is_written_is_described_and_passes_the_check(keyword):
    uid, of, data = coded(keyword)
    found = bitstream.check(data, uid, of, strict=True)
    if keyword == "RLELossless":
        assert found[:4] == (None, None, None, None)
        assert found.details["segments"] == 2
    else:
        assert found[:4] == (of.rows, of.columns, of.samples, of.bits_stored)
    assert bitstream.starts_frame(data[:16], uid)
    assert not bitstream.starts_frame(data[20:36], uid)
    assert not bitstream.starts_frame(b"", uid)


@pytest.mark.parametrize("bits", [2, 7, 8, 9, 10, 12, 15, 16])
@pytest.mark.parametrize("keyword", [k for k in WRITTEN if "Loss" in k and "RLE" not in k])
def test_precision_is_bits_stored(keyword, bits):
    if "XL" in keyword and bits < 8:
        pytest.skip("JPEG XL is written from 8 bits on")
    for signed in (False, True):
        if signed and "JPEGXL" in keyword:
            continue
        of = layout(bits, signed=signed)
        encoder = registry.find(keyword).encoder(of, **({"near": 0} if "Near" in keyword else {}))
        (data,) = encoder.encode(image(of).tobytes())
        found = bitstream.describe(data, registry.find(keyword).uid)
        assert found.bits == bits
        assert found.details.get("signed", signed) == signed


def segments(data):
    """Markers up to the first scan."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        found.append(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


@pytest.mark.parametrize("of", [layout(8), layout(12), layout(16), layout(8, color=True)], ids=str)
def test_jpeg_ls_has_no_spiff_header(of):
    for keyword in ("JPEGLSLossless", "JPEGLSNearLossless"):
        _, _, data = coded(keyword, of)
        assert data[:2] == b"\xff\xd8"
        assert not {*range(0xE0, 0xF0)} & set(segments(data))
        assert data.endswith(b"\xff\xd9")


def test_the_processes_of_jpeg():
    color = layout(8, color=True)
    for keyword, of, process in (
        ("JPEGBaseline8Bit", color, "SOF0"),
        ("JPEGExtended12Bit", layout(12), "SOF1"),
        ("JPEGLossless", layout(16), "SOF3"),
        ("JPEGLosslessSV1", color, "SOF3"),
        ("JPEGLSLossless", color, "SOF55"),
    ):
        uid, _, data = coded(keyword, of)
        details = bitstream.describe(data, uid).details
        assert details["process"] == process
        assert details.get("predictor", 1) == 1
        if process == "SOF55":
            assert details["interleave"] == 2


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_component_transform_and_label_agree(photometric):
    of = layout(8, color=True, photometric=photometric)
    for keyword, label in (
        ("JPEG2000Lossless", "YBR_RCT"),
        ("JPEG2000", "YBR_RCT"),
        ("HTJ2KLossless", "YBR_RCT"),
        ("HTJ2K", "YBR_RCT"),
    ):
        uid, written, data = coded(keyword, of)
        details = bitstream.describe(data, uid).details
        assert details["mct"] == (photometric == "RGB")
        assert written.photometric == (label if photometric == "RGB" else "YBR_FULL")
        assert details["reversible"]
        assert details["format"] == "codestream"
    for keyword in ("JPEG2000", "HTJ2K"):
        encoder, data = code(keyword, of, image(of), quality=40)
        details = bitstream.describe(data, registry.find(keyword).uid).details
        assert not details["reversible"]
        assert details["mct"] == (photometric == "RGB")
        assert encoder.layout.photometric == ("YBR_ICT" if photometric == "RGB" else "YBR_FULL")


@pytest.mark.parametrize(("rows", "columns", "levels"), [(40, 50, 5), (64, 5000, 7), (3000, 9, 6)])
def test_rpcl_has_its_thumbnail_and_lengths(rows, columns, levels):
    of = layout(8, rows=rows, columns=columns)
    uid, written, data = coded("HTJ2KLosslessRPCL", of)
    details = bitstream.check(data, uid, written, strict=True).details
    assert details["progression"] == "RPCL"
    assert details["levels"] == levels
    assert details["tlm"]
    assert max(rows, columns) / 2**levels <= 64


@pytest.mark.parametrize(("of", "form"), [(layout(12), "codestream"), (layout(16), "container")])
def test_jpeg_xl_is_a_bare_codestream_where_it_may_be(of, form):
    uid, _, data = coded("JPEGXLLossless", of)
    assert bitstream.describe(data, uid).details["format"] == form


def test_strict_names_what_breaks_the_rule():
    for keyword, of, options, wrong, words in (
        ("JPEGLossless", layout(8), {"predictor": 4}, "JPEGLosslessSV1", "predictor 4"),
        ("JPEGLSNearLossless", layout(8), {"near": 3}, "JPEGLSLossless", "near 3"),
        ("JPEG2000", layout(8), {"quality": 40}, "JPEG2000Lossless", "reversible False"),
        ("HTJ2KLossless", layout(8), {}, "HTJ2KLosslessRPCL", "tlm False"),
        ("HTJ2KLossless", layout(8), {}, "JPEG2000Lossless", "does not hold HTJ2K"),
        ("JPEG2000Lossless", layout(8), {}, "HTJ2KLossless", "does not hold JPEG 2000 Part 1"),
        ("JPEGBaseline8Bit", layout(8), {}, "JPEGLossless", "SOF3.*SOF0"),
        ("JPEGExtended12Bit", layout(12), {}, "JPEGBaseline8Bit", "SOF0.*SOF1"),
    ):
        encoder, data = code(keyword, of, image(of), **options)
        uid = registry.find(wrong).uid
        with pytest.raises(CorruptError, match=words):
            bitstream.check(data, uid, encoder.layout, strict=True)
        bitstream.check(data, uid, encoder.layout)  # readers need not mind
    uid, of, data = coded("JPEG2000Lossless")
    with pytest.raises(CorruptError, match="PixelRepresentation 1.*unsigned"):
        bitstream.check(data, uid, of.replace(signed=True), strict=True)


def test_one_format_in_place_of_another_is_named():
    _, of, jpeg = coded("JPEGBaseline8Bit")
    _, _, jpeg_ls = coded("JPEGLSLossless", layout(8))
    for data, keyword, words in (
        (jpeg, "JPEG2000", "expected a JPEG 2000 codestream .FF 4F., found FF D8 FF E0"),
        (jpeg, "JPEGLSLossless", "expected a JPEG-LS frame, found JPEG"),
        (jpeg_ls, "JPEGLosslessSV1", "expected a JPEG frame, found JPEG-LS"),
        (jpeg, "JPEGXL", "expected a JPEG XL codestream .FF 0A., found FF D8"),
        (jpeg, "RLELossless", "expected 1 to 15 RLE segments"),
        (b"", "JPEGBaseline8Bit", "found nothing"),
    ):
        with pytest.raises(CorruptError, match=words):
            bitstream.check(data, registry.find(keyword).uid, of)


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.keyword)
def test_frames_without_a_header(entry):
    if entry.uid in WITH_HEADERS:
        return
    with pytest.raises(UnsupportedError, match="no header"):
        bitstream.describe(bytes(100), entry.uid)
    assert bitstream.check(bytes(100), entry.uid, layout(8)) is None
    assert bitstream.starts_frame(bytes(16), entry.uid)


def test_a_start_behind_fill_bytes():
    uid = registry.find("JPEGBaseline8Bit").uid
    _, _, data = coded("JPEGBaseline8Bit")
    assert bitstream.starts_frame(b"\xff\xff\xff" + data[:13], uid)
    assert bitstream.describe(b"\xff\xff\xff" + data, uid).rows == 37
    assert not bitstream.starts_frame(b"\xff" * 16, uid)


def test_a_header_behind_a_large_color_profile():
    uid, of, data = coded("JPEGBaseline8Bit")
    profile = b"\xff\xe2" + struct.pack(">H", 65000) + bytes(64998)
    found = bitstream.check(data[:2] + 20 * profile + data[2:], uid, of)
    assert found.rows == of.rows


# XTsiz, YTsiz, XTOsiz, YTOsiz and the sampling of the first component, behind FF 51.
@pytest.mark.parametrize(
    ("at", "value"),
    [
        *((22, bytes(4)), (26, bytes(4))),  # which libraries divide by
        *((30, b"\0\0\0\1"), (34, b"\0\0\0\1"), (30, b"\xff\xff\xff\xff")),
        *((41, b"\0"), (42, b"\0")),
    ],
)
@pytest.mark.parametrize("keyword", ["JPEG2000Lossless", "HTJ2KLossless"])
def test_tiles_and_samples_that_are_none(keyword, at, value):
    """15444-1 B.2, B.3: the first tile has some of the image, and a component some samples."""
    uid, of, data = coded(keyword)
    data = bytearray(data)
    at += data.index(b"\xff\x51")
    data[at : at + len(value)] = value
    with pytest.raises(CorruptError, match="SIZ"):
        bitstream.describe(data, uid)
    with pytest.raises(CorruptError, match="SIZ"):
        registry.find(uid).decoder(of).decode(bytes(data))


def test_more_tiles_than_there_are_numbers():
    uid, of, data = coded("JPEG2000Lossless")
    at = data.index(b"\xff\x51") + 6
    for side, good in ((255, True), (256, False)):
        sizes = struct.pack(">6L", side, side, 0, 0, 1, 1)
        made = data[:at] + sizes + data[at + 24 :]
        square = of.replace(rows=side, columns=side)
        if good:
            assert bitstream.check(made, uid, square).details["tiles"] == side * side
        else:
            with pytest.raises(CorruptError, match="65536 tiles"):
                bitstream.check(made, uid, square)


def test_a_codestream_in_a_jp2_file_is_read():
    import imagecodecs

    of = layout(8)
    pixels = image(of)
    data = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="jp2", reversible=True)
    codec = registry.find("JPEG2000Lossless")
    assert bitstream.starts_frame(data[:16], codec.uid)
    assert bitstream.describe(data, codec.uid).details["format"] == "jp2"
    with pytest.raises(CorruptError, match="JP2 file format header"):
        bitstream.check(data, codec.uid, of, strict=True)
    assert (
        np.frombuffer(codec.decoder(of).decode(data), np.uint8).reshape(of.shape) == pixels
    ).all()


SAMPLES = dict.fromkeys(WITH_HEADERS, b"")
for name in WRITTEN:
    sample = coded(name)
    SAMPLES[sample[0]] = sample[2][:600]
LAYOUTS = st.builds(
    Layout,
    st.integers(0, 100),
    st.integers(0, 100),
    samples=st.sampled_from([1, 3]),
    bits_allocated=st.sampled_from([1, 8, 16, 32]),
)


def survives(data, uid, of):
    bitstream.starts_frame(data, uid)
    for call in (
        lambda: bitstream.describe(data, uid),
        lambda: bitstream.check(data, uid, of),
        lambda: bitstream.check(data, uid, of, strict=True),
    ):
        try:
            call()
        except DicomloomError as error:
            assert str(error)


@given(data=st.binary(max_size=300), uid=st.sampled_from(WITH_HEADERS), of=LAYOUTS)
def test_any_bytes(data, uid, of):
    survives(data, uid, of)


@given(data=st.data(), uid=st.sampled_from(WITH_HEADERS), of=LAYOUTS)
def test_bytes_that_begin_well(data, uid, of):
    """A true header, with some bytes changed, cut somewhere, or with others behind."""
    header = bytearray(SAMPLES[uid])
    if not header:
        return
    for _ in range(data.draw(st.integers(0, 6))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(header)))
    survives(bytes(header[:cut]) + data.draw(st.binary(max_size=40)), uid, of)


@given(st.binary(max_size=64))
@example(b"\x00\x00\x00\x0cJXL \r\n\x87\n" + b"\x00\x00\x00\x01jxlc")
@example(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x01jp2c")
def test_boxes(tail):
    for start in (b"\x00\x00\x00\x0cJXL \r\n\x87\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n"):
        for uid in (registry.find("JPEGXL").uid, registry.find("JPEG2000").uid):
            survives(start + tail, uid, layout(8))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(
    keyword=st.sampled_from(
        ["JPEGLossless", "JPEGLSLossless", "JPEG2000Lossless", "HTJ2KLossless"]
    ),
    data=st.data(),
)
def test_a_corrupt_body_decodes_or_raises(keyword, data):
    """Libraries are trusted with damage behind a true header, not with the header itself."""
    uid, of, stream = coded(keyword, layout(8, rows=16, columns=16))
    changed = bytearray(stream)
    for _ in range(3):
        changed[data.draw(st.integers(len(stream) // 2, len(stream) - 1))] ^= 0x55
    try:
        frame = registry.find(uid).decoder(of).decode(bytes(changed))
    except DicomloomError:
        return
    assert memoryview(frame).nbytes == of.frame_bytes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("of", [layout(8), layout(12, signed=True), layout(8, color=True)], ids=str)
@pytest.mark.parametrize("options", [{}, {"quality": 60}], ids=["reversible", "irreversible"])
def test_damage_that_imagecodecs_swallows_is_told(of, options, monkeypatch):
    """It prints an error and gives zeros; frames of true zeros must not be taken for that."""
    from dicomloom.codecs import backends

    monkeypatch.setattr(backends.OPENJPEG, "least", (999,))
    monkeypatch.setattr(backends.OPENJPEG, "_loaded", None)
    of = of.replace(rows=64, columns=64)
    decoder = registry.find("HTJ2K").decoder(of)
    encoder, data = code("HTJ2K", of, image(of), **options)
    raised = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        changed = bytearray(data)
        for place in random.integers(len(data) // 2, len(data), 3):
            changed[place] ^= 0x55
        try:
            frame = decoder.decode(bytes(changed))
        except DicomloomError:
            raised += 1
        else:
            assert np.frombuffer(frame, of.dtype).reshape(of.shape)[-1].any()
    assert raised
    zeros = np.zeros(of.shape, of.dtype)
    encoder, data = code("HTJ2K", of, zeros, **options)
    assert bytes(registry.find("HTJ2K").decoder(encoder.layout).decode(data)) == zeros.tobytes()
