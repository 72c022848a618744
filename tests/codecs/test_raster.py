"""What JPEG Lossless and JPEG-LS share: bands of rows, pieces, threads, libraries instead."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom import CorruptError, DicomloomError, TruncatedError, UnsupportedError
from dicomloom.codecs import bitstream, registry
from dicomloom.codecs.base import RowEncoder
from dicomloom.codecs.raster import BACKENDS
from dicomloom.errors import PixelError
from images import code, decode, image, layout

# Each with options that lose nothing.
CODECS = {
    "JPEGLossless": {"predictor": 5},
    "JPEGLosslessSV1": {},
    "JPEGLSLossless": {},
    "JPEGLSNearLossless": {"near": 0},
}
LOSSY = {"JPEGLSNearLossless": {"near": 3}}
LAYOUTS = [
    layout(8),
    layout(12, signed=True),
    layout(16),
    layout(2, rows=9, columns=1),
    layout(8, color=True),
    layout(12, color=True, photometric="YBR_FULL"),
]
CASES = [(keyword, of) for keyword in CODECS for of in LAYOUTS]


def encoder_of(keyword, of, **options):
    return registry.find(keyword).encoder(of, **{**CODECS[keyword], **options})


def joined(pieces):
    return b"".join(map(bytes, pieces))


def by_bands(encoder, frame, heights):
    """Give all rows, again and again so many at once, as `passes` asks for."""
    stride = encoder.source.row_bytes
    encoder.begin()
    for take in (encoder.count, encoder.rows)[-encoder.passes :]:
        at, turn = 0, 0
        while at < len(frame):
            size = heights[turn % len(heights)] * stride
            take(frame[at : at + size])
            at, turn = at + size, turn + 1
    return joined(encoder.end())


# --- encoders ---


@pytest.mark.parametrize(("keyword", "of"), CASES, ids=str)
def test_bands_give_the_bytes_of_the_whole(keyword, of):
    frame = image(of).tobytes()
    encoder = encoder_of(keyword, of)
    assert isinstance(encoder, RowEncoder)
    assert encoder.passes == (1 if "LS" in keyword else 2)
    whole = joined(encoder.encode(frame))
    for heights in ([1], [2, 5], [of.rows - 1], [of.rows], [0, 3]):
        assert by_bands(encoder, frame, heights) == whole
    assert joined(encoder.encode(frame)) == whole
    assert len(whole) <= encoder.bound()
    assert bytes(registry.find(keyword).decoder(of).decode(whole)) == frame


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*CODECS]),
    st.integers(1, 12),
    st.integers(1, 40),
    st.sampled_from([(8, False), (8, True), (5, False), (11, True), (16, False), (16, True)]),
    st.lists(st.integers(1, 13), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_any_frame_in_any_bands(keyword, rows, columns, kind, heights, seed):
    of = layout(kind[0], signed=kind[1], rows=rows, columns=columns)
    frame = image(of, noise=seed % 3, seed=seed).tobytes()
    encoder = encoder_of(keyword, of)
    data = by_bands(encoder, frame, heights)
    assert data == joined(encoder.encode(frame))
    assert bytes(registry.find(keyword).decoder(of).decode(data)) == frame


@pytest.mark.parametrize("keyword", LOSSY)
def test_bands_where_something_is_lost(keyword):
    of = layout(12)
    frame = image(of).tobytes()
    encoder = encoder_of(keyword, of, **LOSSY[keyword])
    whole = joined(encoder.encode(frame))
    assert by_bands(encoder, frame, [4, 1]) == whole
    assert abs(decode(keyword, of, whole).astype(int) - image(of)).max() == 3


@pytest.mark.parametrize("keyword", CODECS)
def test_pieces_live_until_the_next_frame(keyword):
    of = layout(8)
    frame, other = image(of).tobytes(), image(of, seed=1).tobytes()
    encoder = encoder_of(keyword, of)
    pieces = encoder.encode(frame)
    data = joined(pieces)
    assert sum(len(piece) for piece in pieces) == len(data)
    with memoryview(pieces[-1]) as held:
        assert held.readonly
        with pytest.raises(BufferError, match="still in use"):
            encoder.begin()
        with pytest.raises(BufferError, match="still in use"):
            encoder.encode(other)
        assert data.endswith(held)
    encoder.encode(other)
    with pytest.raises(BufferError, match="has begun another frame"):
        memoryview(pieces[0])
    last = encoder.encode(frame)
    del encoder  # a piece keeps what it shows
    assert joined(last) == data


@pytest.mark.parametrize("keyword", CODECS)
def test_rows_are_counted(keyword):
    of = layout(8, rows=3, columns=4)
    frame = image(of).tobytes()
    encoder = encoder_of(keyword, of)
    whole = joined(encoder.encode(frame))
    for step in (lambda: encoder.rows(frame), encoder.end):
        with pytest.raises(DicomloomError, match="no frame (was|has) beg"):
            step()
    for take in (encoder.count, encoder.rows)[-encoder.passes :]:
        encoder.begin()
        if take == encoder.rows and encoder.passes == 2:
            encoder.count(frame)
        take(frame[:8])
        with pytest.raises(ValueError, match="3 bytes are no whole rows of 4"):
            take(bytes(3))
        with pytest.raises(DicomloomError, match="1 of 3 rows|3 of 3 rows"):
            encoder.end()
        with pytest.raises(DicomloomError, match="2 rows.* 1 (are )?left of"):
            take(frame[:8])
        take(frame[8:])  # none of this did any harm
    assert joined(encoder.end()) == whole
    with pytest.raises(DicomloomError, match="no frame (was|has) beg"):
        encoder.end()


@pytest.mark.parametrize("keyword", [name for name in CODECS if "LS" not in name])
def test_two_passes_see_the_same_rows(keyword):
    of = layout(8)
    frame, other = image(of).tobytes(), image(of, noise=1).tobytes()
    encoder = encoder_of(keyword, of)
    whole = joined(encoder.encode(frame))
    encoder.begin()
    encoder.count(frame[: 2 * of.row_bytes])
    with pytest.raises(DicomloomError, match="35 of 37 rows are not counted"):
        encoder.rows(frame[: 2 * of.row_bytes])
    encoder.begin()
    encoder.count(frame)
    with pytest.raises(DicomloomError, match="not what it was when it was counted"):
        encoder.rows(other)
        encoder.end()
    encoder.begin()
    encoder.count(frame)
    encoder.rows(frame[: of.row_bytes])
    with pytest.raises(DicomloomError, match="no frame was begun whose rows can be counted"):
        encoder.count(frame)
    assert by_bands(encoder, frame, [7]) == whole  # begin() drops what was not ended


@pytest.mark.parametrize("keyword", CODECS)
def test_a_value_that_does_not_fit_says_where_and_harms_no_later_frame(keyword):
    of = layout(12)
    pixels = image(of)
    encoder = encoder_of(keyword, of)
    whole = joined(encoder.encode(pixels.tobytes()))
    wrong = pixels.copy()
    wrong[30, 50] = 5000
    for step in (
        lambda: encoder.encode(wrong.tobytes()),
        lambda: by_bands(encoder, wrong.tobytes(), [4]),
    ):
        with pytest.raises(PixelError, match=r"BitsStored 12.*5000.*row 30, column 50"):
            step()
        with pytest.raises(DicomloomError, match="no frame (was|has) beg"):
            encoder.end()
        assert joined(encoder.encode(pixels.tobytes())) == whole


@pytest.mark.parametrize("keyword", CODECS)
def test_an_encoder_belongs_to_one_thread(keyword):
    """Others are refused, or wait for the GIL; whatever they do, nothing breaks."""
    of = layout(16, rows=256, columns=256)
    frame = image(of).tobytes()
    encoder = encoder_of(keyword, of)
    whole = joined(encoder.encode(frame))
    others = []

    def work():
        for _ in range(20):
            try:
                encoder.encode(frame)
            except (RuntimeError, BufferError, DicomloomError) as error:
                others.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert joined(encoder.encode(frame)) == whole


# --- decoders ---


@pytest.mark.parametrize("keyword", CODECS)
def test_one_decoder_for_eight_threads(keyword):
    """Frames of different contents and lengths, some of them broken, at the same time."""
    of = layout(12, signed=True, rows=200, columns=190)
    encoder = encoder_of(keyword, of)
    frames = [image(of, noise=0.01 * seed, seed=seed).tobytes() for seed in range(8)]
    coded = [joined(encoder.encode(frame)) for frame in frames]
    decoder = registry.find(keyword).decoder(of)
    right = []

    def work(mine):
        target = bytearray(of.frame_bytes)
        for n in range(12):
            which = (mine + n) % 8
            if n % 4 == 3:
                try:
                    decoder.decode(coded[which][: len(coded[which]) // 2])
                except TruncatedError:
                    right.append(True)
            elif n % 2:
                right.append(decoder.decode(coded[which], target) is target)
                right.append(target == frames[which])
            else:
                right.append(decoder.decode(coded[which]) == frames[which])

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == 8 * 15 * [True]


@pytest.mark.parametrize("keyword", CODECS)
def test_into_any_buffer(keyword):
    of = layout(16)
    pixels = image(of)
    _, data = code(keyword, of, pixels, **CODECS[keyword])
    decoder = registry.find(keyword).decoder(of)
    into = np.zeros(of.shape, of.dtype)
    assert decoder.decode(memoryview(data), into) is into
    assert (into == pixels).all()
    assert isinstance(decoder.decode(bytearray(data)), bytearray)
    with pytest.raises(BufferError):
        decoder.decode(data, bytes(of.frame_bytes))
    with pytest.raises(ValueError, match="contiguous"):
        decoder.decode(data, np.zeros((2 * of.rows, of.columns), of.dtype)[::2])
    assert bytes(decoder.decode(data)) == pixels.tobytes()


@pytest.mark.parametrize(("keyword", "of"), CASES, ids=str)
def test_an_end_that_is_missing_and_one_that_came_too_soon(keyword, of):
    """All samples are there without EOI; with less than all of them, none are made up."""
    pixels = image(of)
    _, data = code(keyword, of, pixels, **CODECS[keyword])
    assert data.endswith(b"\xff\xd9")
    for complete in (data[:-1], data[:-2], data + b"\0", data + bytes(100)):
        assert (decode(keyword, of, complete) == pixels).all()
    if len(data) < 100:
        return
    for cut in (data[:-20], data[: len(data) // 2], data[: len(data) // 2] + b"\xff\xd9"):
        with pytest.raises(TruncatedError):
            decode(keyword, of, cut)


@pytest.mark.parametrize("keyword", CODECS)
def test_no_room_is_made_for_what_the_bytes_cannot_fill(keyword):
    small, of = layout(16), layout(16, rows=65535, columns=65535)
    _, data = code(keyword, small, image(small))
    at = max(data.find(b"\xff\xc3"), data.find(b"\xff\xf7")) + 5
    with pytest.raises(TruncatedError, match="gives at most [0-9]+ bytes of 8589672450"):
        decode(keyword, of, data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])


@pytest.mark.parametrize("keyword", CODECS)
@pytest.mark.parametrize("of", [layout(8), layout(16), layout(8, color=True)], ids=str)
def test_what_is_all_alike_is_not_taken_for_too_little(keyword, of):
    of = of.replace(rows=700, columns=900)
    pixels = np.zeros(of.shape, of.dtype)
    _, data = code(keyword, of, pixels, **CODECS[keyword])
    assert len(data) < 2 * of.rows * of.columns * of.samples // 8
    assert (decode(keyword, of, data) == 0).all()


@pytest.mark.parametrize("keyword", CODECS)
def test_layouts_that_cannot_be_decoded(keyword):
    codec = registry.find(keyword)
    for of, words in (
        (layout(8).replace(samples=5), "SamplesPerPixel 1 to 4, found 5"),
        (layout(8).replace(samples=0), "SamplesPerPixel 1 to 4, found 0"),
        (layout(20), "BitsAllocated 8, 16, found 32"),
        (layout(1), "found 1"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            codec.decoder(of)


# --- rows that are said later ---


def rows_later(data, rows):
    """The stream with 0 rows in its frame header, and how many there are in a DNL."""
    at = max(data.find(b"\xff\xc3"), data.find(b"\xff\xf7")) + 5
    dnl = b"\xff\xdc\0\4" + rows.to_bytes(2, "big")
    return data[:at] + b"\0\0" + data[at + 2 : -2] + dnl + data[-2:]


@pytest.mark.parametrize("of", [layout(8), layout(12, color=True)], ids=str)
@pytest.mark.parametrize("keyword", CODECS)
def test_the_number_of_rows_may_follow(keyword, of):
    """ISO/IEC 10918-1 B.2.5: DNL, and 0 in the frame header."""
    pixels = image(of)
    _, data = code(keyword, of, pixels, **CODECS[keyword])
    later, uid = rows_later(data, of.rows), registry.find(keyword).uid
    found = bitstream.describe(later, uid)
    assert found[:4] == (None, of.columns, of.samples, of.bits_stored)
    assert bitstream.check(later, uid, of.replace(rows=99), strict=True) == found
    with pytest.raises(CorruptError, match="says Columns 8, the bitstream 53"):
        bitstream.check(later, uid, of.replace(columns=8))
    assert (decode(keyword, of, later) == pixels).all()
    # Without DNL one of the libraries takes memory for rows for ever.
    for stream in (later, later.replace(b"\xff\xdc\0\4", b"")):
        with pytest.raises(UnsupportedError, match="not said before its first scan"):
            decode(keyword, of, stream, backend="library")
    for rows in (of.rows - 1, of.rows + 1):
        with pytest.raises((CorruptError, TruncatedError)):
            decode(keyword, of.replace(rows=rows), later)
        with pytest.raises(CorruptError, match=f"says {rows} rows, expected {of.rows}"):
            decode(keyword, of, rows_later(data, rows))


@pytest.mark.parametrize("keyword", ["JPEGBaseline8Bit", "JPEGExtended12Bit"])
def test_frames_of_the_dct_have_their_rows_at_once(keyword):
    of = layout(8 if "8" in keyword else 12)
    _, data = code(keyword, of, image(of))
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc1")) + 5
    with pytest.raises(UnsupportedError, match="0 rows, 53 columns .size given later"):
        decode(keyword, of, data[:at] + b"\0\0" + data[at + 2 :])


@pytest.mark.parametrize("keyword", CODECS)
def test_columns_must_be_said_before_the_first_scan(keyword):
    of = layout(8)
    _, data = code(keyword, of, image(of))
    at = max(data.find(b"\xff\xc3"), data.find(b"\xff\xf7")) + 7
    without = data[:at] + b"\0\0" + data[at + 2 :]
    with pytest.raises((UnsupportedError, CorruptError), match=r"\b0 columns"):
        decode(keyword, of, without)


def test_size_of_jpeg_ls_by_lse():
    of = layout(8)
    _, data = code("JPEGLSLossless", of, image(of))
    at = data.find(b"\xff\xf7") + 5
    scan = data.find(b"\xff\xda")
    size = b"\xff\xf8\0\x08\x04\x02" + data[at : at + 4]  # 14495-1 C.2.4.1.4
    told = data[:at] + b"\0\0\0\0" + data[at + 4 : scan] + size + data[scan:]
    assert (decode("JPEGLSLossless", of, told) == decode("JPEGLSLossless", of, data)).all()


# --- libraries in their place ---


@pytest.mark.parametrize(("keyword", "of"), CASES, ids=str)
def test_libraries_and_dicomloom_read_each_other(keyword, of):
    pixels = image(of)
    for writer in BACKENDS:
        encoder, data = code(keyword, of, pixels, **CODECS[keyword], backend=writer)
        assert type(encoder).__name__.startswith("Library") == (writer == "library")
        assert (encoder.layout, encoder.lossy) == (of, False)
        for reader in BACKENDS:
            assert (decode(keyword, of, data, backend=reader) == pixels).all()


@pytest.mark.parametrize("keyword", LOSSY)
def test_libraries_and_dicomloom_lose_alike(keyword):
    of = layout(12)
    made = {name: code(keyword, of, image(of), backend=name, **LOSSY[keyword]) for name in BACKENDS}
    ours, theirs = made["dicomloom"], made["library"]
    assert ours[0].description == theirs[0].description
    assert ours[0].method == theirs[0].method == "ISO_14495_1"
    found = [decode(keyword, of, data, backend=name) for _, data in made.values() for name in made]
    assert all((each == found[0]).all() for each in found)


@pytest.mark.parametrize("keyword", CODECS)
def test_the_backends_have_names(keyword):
    codec, of = registry.find(keyword), layout(8)
    for wrong in ("imagecodecs", "", 1, True):
        for make in (codec.encoder, codec.decoder):
            with pytest.raises(ValueError, match="backend must be dicomloom or library, not"):
                make(of, backend=wrong)
    for make in (codec.encoder, codec.decoder):  # None is as if nothing were said
        assert type(make(of, backend=None)) is type(make(of)) is type(make(of, backend="dicomloom"))
    with pytest.raises(TypeError, match=rf"{keyword} has no option speed; it takes .*backend"):
        codec.encoder(of, speed=3)
