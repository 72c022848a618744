"""JPEG Lossless, our own: against four decoders, an encoder, and a maker of odd streams."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom import DicomloomError, UnsupportedError
from dicomloom._native.codecs import JPEGLosslessDecoder, JPEGLosslessEncoder
from images import extremes, flat, image, layout, noise
from jpeg_lossless_streams import FLAT, LONG, REVERSED, SKEWED, Scan, frame
from jpeg_peers import by_libjpeg, by_lj92, by_sof3, by_turbo, turbo_codes
from jpeg_segments import adobe, comment, jfif, joined

PICTURES = [image, extremes, noise, flat]
DECODERS = [by_libjpeg, by_turbo, by_sof3, by_lj92]


def encoder_of(of, **options):
    size = of.bits_allocated // 8
    return JPEGLosslessEncoder(
        of.rows, of.columns, of.samples, size, of.bits_stored, of.signed, **options
    )


def coded(pixels, of, **options):
    return b"".join(map(bytes, encoder_of(of, **options).encode(pixels.tobytes())))


def decoded(data, of):
    size = of.bits_allocated // 8
    arguments = of.rows, of.columns, of.samples, size, of.bits_stored, of.signed
    return np.frombuffer(JPEGLosslessDecoder().decode(data, *arguments), of.dtype).reshape(of.shape)


def plain(pixels, bits, predictor):
    """By the maker: one scan."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return joined(frame(pixels, bits, [Scan(tuple(range(pixels.shape[2])), predictor)]))


def read(data, pixels, bits):
    """Our samples of a stream that holds `pixels`, unsigned of shape (rows, columns, samples)."""
    rows, columns, samples = pixels.shape
    size = 1 if bits <= 8 else 2
    found = JPEGLosslessDecoder().decode(data, rows, columns, samples, size, bits, False)
    return np.frombuffer(found, f"<u{size}").reshape(pixels.shape)


def size_of(data):
    """Without stuffed bytes: which of equally long codes is whose decides how many there are."""
    return len(data.replace(b"\xff\0", b"\xff"))


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bits", range(2, 17))
def test_both_ways(bits, samples, predictor):
    for i, picture in enumerate(PICTURES):
        columns = (bits * 97 + samples * 31 + predictor * 13 + i * 17) % 70 + 1
        of = layout(bits, color=samples == 3, rows=7, columns=columns)
        pixels = picture(of, seed=predictor)
        data = coded(pixels, of, predictor=predictor)
        for decode in DECODERS:
            assert (decode(data, of.shape) == pixels).all(), (decode, picture, columns)
        theirs = turbo_codes(pixels, bits, predictor)
        assert size_of(data) <= size_of(theirs), (picture, columns)
        for other in (data, theirs, plain(pixels, bits, predictor)):
            assert (decoded(other, of) == pixels).all(), (picture, columns)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("columns", [*range(1, 20), 31, 32, 33, 63, 64, 65, 70])
def test_every_narrow_width(columns, bits, predictor):
    of = layout(bits, rows=5, columns=columns)
    pixels = noise(of, columns)
    data = coded(pixels, of, predictor=predictor)
    assert (by_libjpeg(data, of.shape) == pixels).all()
    assert (by_turbo(data, of.shape) == pixels).all()
    assert (decoded(data, of) == pixels).all()


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "color"), [(8, False), (8, True), (12, False), (16, True)])
def test_a_wide_frame(bits, color, predictor):
    of = layout(bits, color=color, rows=37, columns=1021)
    for picture in (image, noise):
        pixels = picture(of)
        data = coded(pixels, of, predictor=predictor)
        theirs = turbo_codes(pixels, bits, predictor)
        assert size_of(data) <= size_of(theirs)
        assert (by_libjpeg(data, of.shape) == pixels).all()
        assert (by_turbo(data, of.shape) == pixels).all()
        assert (decoded(data, of) == pixels).all()
        assert (decoded(theirs, of) == pixels).all()


@pytest.mark.parametrize("restart_rows", [1, 2, 3, 100])
@pytest.mark.parametrize("predictor", [1, 2, 7])
def test_restart_intervals(predictor, restart_rows):
    of = layout(12, color=True, rows=23, columns=19)
    pixels = image(of)
    data = coded(pixels, of, predictor=predictor, restart_rows=restart_rows)
    assert (by_libjpeg(data, of.shape) == pixels).all()
    assert (by_turbo(data, of.shape) == pixels).all()
    assert (decoded(data, of) == pixels).all()


@pytest.mark.parametrize("bits", [2, 8, 12, 16])
def test_point_transform(bits):
    of = layout(bits)
    pixels = noise(of)
    for shift in range(bits):
        data = coded(pixels, of, predictor=4, shift=shift)
        assert (by_turbo(data, of.shape) == pixels >> shift << shift).all()
        assert (decoded(data, of) == pixels >> shift << shift).all()


@pytest.mark.parametrize("allocated", [8, 16])
@pytest.mark.parametrize("bits", range(2, 17))
def test_signs_and_containers(bits, allocated):
    """Of signed samples the pattern is coded; the container makes no difference."""
    if bits > allocated:
        return
    of = layout(bits, allocated=allocated, signed=True)
    bare = of.replace(signed=False)
    for pixels in (image(of), extremes(of), noise(of)):
        pattern = (pixels.astype(int) & (1 << bits) - 1).astype(bare.dtype)
        data = coded(pixels, of)
        assert data == coded(pattern, bare)
        assert (by_libjpeg(data, of.shape) == pattern).all()
        assert (decoded(data, of) == pixels).all()
        assert (decoded(data, bare) == pattern).all()


RANDOM = np.random.default_rng(7)
GREY, COLOR, FOUR = (RANDOM.integers(0, 4096, (7, 13, n)).astype("<u2") for n in (1, 3, 4))
BYTES = RANDOM.integers(0, 256, (9, 5, 1)).astype("u1")
ALL = (0, 1, 2)


def each(**options):
    """A scan a component."""
    return [Scan((i,), **options) for i in ALL]


# Pixels, the stream, and who else reads it.
BOTH, FIRST, NOBODY = (by_libjpeg, by_turbo), (by_libjpeg,), ()
GREYS = {
    "skewed": ({"scans": [Scan((0,), tables=(SKEWED,))]}, BOTH),
    "reversed": ({"scans": [Scan((0,), tables=(REVERSED,))]}, BOTH),
    "all codes of 16 bits": ({"scans": [Scan((0,), tables=(LONG,))]}, BOTH),
    "table 3": ({"scans": [Scan((0,), destinations=(3,))]}, BOTH),
    "tables before the frame": ({"scans": [Scan((0,), 4, 0, 2)], "early": True}, BOTH),
    "restart each row": ({"scans": [Scan((0,), 4, restart_rows=1)]}, BOTH),
    "restart each other row": ({"scans": [Scan((0,), 7, restart_rows=2)]}, BOTH),
    "restart never reached": ({"scans": [Scan((0,), 7, restart_rows=50)]}, BOTH),
    "DNL": ({"dnl": True}, NOBODY),
    "DNL and restarts": ({"dnl": True, "scans": [Scan((0,), restart_rows=3)]}, NOBODY),
    "no EOI": ({"end": False}, BOTH),
    "comments": ({"heads": [comment(), comment(b"\xff\xd9\xff\xda")]}, BOTH),
    "an empty comment": ({"heads": [comment(b"")]}, (by_turbo,)),
    "2 x 2": ({"sampling": 2}, BOTH),
    "4 x 4": ({"sampling": 4}, BOTH),
    "component 0": ({"ids": (0,)}, BOTH),
    "component 255": ({"ids": (255,)}, BOTH),
}
COLORS = {
    "a scan each": ({"scans": each()}, BOTH),
    "a scan each, tables once": ({"scans": each(tables=(SKEWED,), destinations=(2,))}, BOTH),
    "each as it likes": ({"scans": [Scan((0,), 1), Scan((1,), 5), Scan((2,), 7)]}, BOTH),
    "in another order": ({"scans": [Scan((2,)), Scan((0,)), Scan((1,))]}, BOTH),
    "two and one": ({"scans": [Scan((0, 1), 4), Scan((2,), 5)]}, BOTH),
    "one and two": ({"scans": [Scan((1,), 6), Scan((0, 2), 3)]}, BOTH),
    "tables redefined": (
        {
            "scans": [
                Scan((0,), tables=(FLAT,)),
                Scan((1,), tables=(SKEWED,)),
                Scan((2,), tables=(REVERSED,)),
            ]
        },
        BOTH,
    ),
    "a table each": ({"scans": [Scan(ALL, 4, tables=(FLAT, SKEWED, REVERSED))]}, BOTH),
    "a segment each": (
        {"scans": [Scan(ALL, 4, tables=(FLAT, SKEWED, LONG))], "segments": "each"},
        BOTH,
    ),
    "tables 3, 0 and 2": (
        {"scans": [Scan(ALL, tables=(FLAT, SKEWED, LONG), destinations=(3, 0, 2))]},
        BOTH,
    ),
    "intervals differ": (
        {"scans": [Scan((0,), 1, 0, 1), Scan((1,), 2, 0, 0), Scan((2,), 3, 0, 4)]},
        BOTH,
    ),
    "R, G and B": ({"ids": (82, 71, 66)}, BOTH),
    "ids backwards": ({"ids": (3, 2, 1)}, BOTH),
    "ids anyhow": ({"ids": (0, 255, 7)}, BOTH),
    "Adobe: not transformed": ({"heads": [adobe(0)]}, BOTH),
    "Adobe: YCbCr": ({"heads": [adobe(1)]}, BOTH),
    "JFIF": ({"heads": [jfif()]}, (by_turbo,)),
    "DNL behind the first of three": ({"scans": each(), "dnl": True}, NOBODY),
    "2 x 2 by pixel": ({"sampling": 2}, FIRST),
    "2 x 2 by pixel, restarts": (
        {"sampling": 2, "scans": [Scan(ALL, 4, restart_rows=1)]},
        FIRST,
    ),
    "4 x 4 by pixel": ({"sampling": 4, "scans": [Scan(ALL, 6)]}, FIRST),
    "2 x 2 each": ({"sampling": 2, "scans": each(predictor=4, restart_rows=3)}, FIRST),
    "2 x 2, two and one": ({"sampling": 2, "scans": [Scan((0, 2), 5), Scan((1,), 7)]}, FIRST),
}
FOURS = {
    "four": ({}, BOTH),
    "four by twos": ({"scans": [Scan((0, 2)), Scan((1, 3), 2)]}, BOTH),
    "four tables": ({"scans": [Scan((0, 1, 2, 3), tables=(FLAT, SKEWED, LONG, FLAT))]}, BOTH),
}
# A.2.3 allows them with two components and more; libjpeg-turbo does not read them either.
IN_BLOCKS = ["2 x 2 by pixel", "2 x 2 by pixel, restarts", "4 x 4 by pixel", "2 x 2, two and one"]
ODD = {
    name: (pixels, options, readers)
    for pixels, cases in ((GREY, GREYS), (COLOR, COLORS), (FOUR, FOURS))
    for name, (options, readers) in cases.items()
}


@pytest.mark.parametrize("name", ODD)
def test_odd_streams(name):
    pixels, options, readers = ODD[name]
    parts = frame(pixels, 12, **options)
    for data in (joined(parts), joined(parts) + b"\0\0tail", joined(parts, fill=3)):
        if name in IN_BLOCKS:
            with pytest.raises(UnsupportedError, match="in blocks"):
                read(data, pixels, 12)
        else:
            assert (read(data, pixels, 12) == pixels).all()
    for reader in readers:
        assert (reader(joined(parts), pixels.shape) == pixels).all(), reader


@pytest.mark.parametrize("bits", range(2, 17))
def test_shifts_of_others(bits):
    pixels = (COLOR.astype(int) * 16 >> 16 - bits).astype("u1" if bits <= 8 else "<u2")
    for shift in range(bits):
        scans = [Scan((0,), 1, shift), Scan((1, 2), 6, max(0, shift - 1))]
        expected = pixels.copy()
        expected[..., 0] = pixels[..., 0] >> shift << shift
        expected[..., 1:] = pixels[..., 1:] >> scans[1].shift << scans[1].shift
        data = joined(frame(pixels, bits, scans))
        assert (read(data, pixels, bits) == expected).all()


def test_in_bands_and_again():
    """Rows in lots, the same encoder for frame after frame, and into a buffer."""
    of = layout(12, color=True, rows=19)
    encoder = encoder_of(of)
    decoder = JPEGLosslessDecoder()
    arguments = of.rows, of.columns, of.samples, 2, 12, False
    for seed in range(3):
        pixels = image(of, seed=seed)
        whole = coded(pixels, of)
        for lot in (1, 4, 19):
            bands = [pixels[i : i + lot].tobytes() for i in range(0, of.rows, lot)]
            encoder.begin()
            for band in bands:
                encoder.count(band)
            for band in bands:
                encoder.rows(band)
            assert b"".join(map(bytes, encoder.end())) == whole
        assert len(whole) <= encoder.bound()
        into = np.zeros(of.shape, of.dtype)
        decoder.decode(whole, *arguments, into=into)
        assert (into == pixels).all()


def pixels_of_kind(kind, bits, shape, seed):
    random, most = np.random.default_rng(seed), (1 << bits) - 1
    if kind == "noise":
        pixels = random.integers(0, 1 << bits, shape)
    elif kind == "ends":
        pixels = random.integers(0, 2, shape) * most
    else:
        pixels = np.cumsum(random.integers(-3, 4, shape), 1) & most
    return pixels.astype("u1" if bits <= 8 else "<u2")


@st.composite
def frames(draw):
    """Depth and unsigned pixels."""
    bits = draw(st.integers(2, 16))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 25), st.integers(1, 4)))
    kind = draw(st.sampled_from(["noise", "ends", "steps"]))
    return bits, pixels_of_kind(kind, bits, shape, draw(st.integers(0, 2**32)))


@st.composite
def streams(draw):
    """A frame, and the scans, tables and segments that some writer might choose for it."""
    bits, pixels = draw(frames())
    samples = pixels.shape[2]
    order = draw(st.permutations(range(samples)))
    cuts = sorted({0, samples, *draw(st.sets(st.integers(0, samples)))})
    scans = []
    for first, last in pairwise(cuts):
        components = tuple(sorted(order[first:last]))
        count = draw(st.sampled_from([1, len(components)]))
        lengths = st.sampled_from([FLAT, SKEWED, REVERSED, LONG])
        scan = Scan(
            components,
            draw(st.integers(1, 7)),
            restart_rows=draw(st.integers(0, 4)),
            tables=tuple(draw(lengths) for _ in range(count)),
            destinations=tuple(draw(st.permutations(range(4)))[:count]),
        )
        scans.append(scan)
    options = {
        # B.2.3: an MCU has at most ten samples.
        "sampling": draw(st.sampled_from([1, 2, 3, 4] if len(scans) == samples else [1])),
        "dnl": draw(st.booleans()),
        "segments": draw(st.sampled_from(["one", "each"])),
        "early": draw(st.booleans()),
        "end": draw(st.booleans()),
    }
    return bits, pixels, joined(frame(pixels, bits, scans, **options), draw(st.integers(0, 2)))


@settings(max_examples=250, deadline=None)
@given(streams())
def test_any_stream_of_the_standard(given_stream):
    bits, pixels, data = given_stream
    assert (read(data, pixels, bits) == pixels).all()


@settings(max_examples=250, deadline=None)
@given(frames(), st.booleans(), st.integers(1, 7), st.integers(0, 5), st.integers(0, 15))
def test_round_trip(given_frame, signed, predictor, restart_rows, shift):
    bits, pattern = given_frame
    shift = min(shift, bits - 1) if shift % 2 else 0
    size = pattern.itemsize

    def with_sign(values):
        wide = values.astype(np.int64)
        return (wide << 64 - bits >> 64 - bits if signed else wide).astype(f"<u{size}")

    arguments = (*pattern.shape, size, bits, signed)
    encoder = JPEGLosslessEncoder(
        *arguments, predictor=predictor, shift=shift, restart_rows=restart_rows
    )
    data = b"".join(map(bytes, encoder.encode(with_sign(pattern).tobytes())))
    assert len(data) <= encoder.bound()
    expected = with_sign(pattern >> shift << shift)
    assert bytes(JPEGLosslessDecoder().decode(data, *arguments)) == expected.tobytes()
    if not shift:
        assert (by_libjpeg(data, pattern.shape) == pattern).all()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 60))
def test_any_bytes_are_decoded_or_refused(tail, at):
    data = joined(frame(BYTES, 8))
    try:
        found = JPEGLosslessDecoder().decode(data[:at] + tail, 9, 5, 1, 1, 8, False)
    except DicomloomError as error:
        assert error.offset is not None
    else:
        assert len(memoryview(found)) == BYTES.size
