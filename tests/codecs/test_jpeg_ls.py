"""JPEG-LS, our own: bit for bit what CharLS writes, and what it, libjpeg and plain Python read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom import DicomloomError
from dicomloom._native.codecs import JPEGLSDecoder, JPEGLSEncoder
from dicomloom.errors import CorruptError, PixelError
from images import extremes, flat, image, layout, noise
from jpeg_ls_model import Preset
from jpeg_ls_streams import Scan, Table, decode, frame, table_parts
from jpeg_peers import by_charls, by_libjpeg, charls_codes
from jpeg_segments import adobe, comment, jfif, joined, spiff

PICTURES = [image, extremes, noise, flat]
NEARS = [0, 1, 2, 3, 7, 31, 255]
# Samples, and how they are interleaved (ILV).
KINDS = [(1, 0), (3, 0), (3, 1), (3, 2)]
NONE, LINE, SAMPLE = range(3)


def encoder_of(of, **options):
    size = of.bits_allocated // 8
    return JPEGLSEncoder(
        of.rows, of.columns, of.samples, size, of.bits_stored, of.signed, **options
    )


def coded(pixels, of, **options):
    return b"".join(map(bytes, encoder_of(of, **options).encode(pixels.tobytes())))


def decoded(data, of):
    size = of.bits_allocated // 8
    arguments = of.rows, of.columns, of.samples, size, of.bits_stored, of.signed
    return np.frombuffer(JPEGLSDecoder().decode(data, *arguments), of.dtype).reshape(of.shape)


def read(data, pixels, bits):
    """Our samples of a stream that holds `pixels`, unsigned of shape (rows, columns, samples)."""
    rows, columns, samples = pixels.shape
    size = pixels.itemsize
    found = JPEGLSDecoder().decode(data, rows, columns, samples, size, bits, False)
    return np.frombuffer(found, f"<u{size}").reshape(pixels.shape)


def scans_for(samples, near, interleave, restart_rows=0):
    if samples == 1 or not interleave:
        return [Scan((i,), near, 0, restart_rows) for i in range(samples)]
    return [Scan(tuple(range(samples)), near, interleave, restart_rows)]


def plain(pixels, bits, near, interleave, restart_rows=0):
    """By the maker."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return joined(frame(pixels, bits, scans_for(pixels.shape[2], near, interleave, restart_rows)))


def scans_of(data):
    """What follows the headers: the first scan's header and all behind it."""
    return data[data.index(b"\xff\xda") :]


def nears_of(bits):
    return [near for near in NEARS if near <= min(255, (1 << bits) - 1 >> 1)]  # C.2.3


@pytest.mark.parametrize(("samples", "interleave"), KINDS)
@pytest.mark.parametrize(
    ("bits", "near"), [(bits, near) for bits in range(2, 17) for near in nears_of(bits)]
)
def test_the_very_bits(bits, near, samples, interleave):
    """The standard leaves a writer no choice, and readers near-lossless samples none either."""
    for i, picture in enumerate(PICTURES):
        columns = (bits * 97 + near * 31 + samples * 13 + interleave * 7 + i * 17) % 70 + 1
        of = layout(bits, color=samples == 3, rows=5, columns=columns)
        pixels = picture(of, seed=near)
        data = coded(pixels, of, near=near, interleave=interleave)
        assert scans_of(data) == scans_of(charls_codes(pixels, bits, near, interleave)), picture
        if i == bits % len(PICTURES):  # plain Python takes its time
            assert scans_of(data) == scans_of(plain(pixels, bits, near, interleave)), picture
        found = decoded(data, of)
        assert (by_charls(data, of.shape) == found).all(), (picture, columns)
        assert (by_libjpeg(data, of.shape) == found).all(), (picture, columns)
        assert abs(found.astype(int) - pixels).max() <= near


@pytest.mark.parametrize(("samples", "interleave"), KINDS)
@pytest.mark.parametrize("columns", range(1, 71))
def test_every_width(columns, samples, interleave):
    for bits, near in ((8, 0), (12, 0), (16, 2)):
        of = layout(bits, color=samples == 3, rows=6, columns=columns)
        for pixels in (flat(of, columns), extremes(of, columns)):
            data = coded(pixels, of, near=near, interleave=interleave)
            assert scans_of(data) == scans_of(charls_codes(pixels, bits, near, interleave))
            found = decoded(data, of)
            assert (by_libjpeg(data, of.shape) == found).all()
            assert abs(found.astype(int) - pixels).max() <= near


@pytest.mark.parametrize(("samples", "interleave"), KINDS)
@pytest.mark.parametrize(("bits", "near"), [(8, 0), (8, 3), (12, 0), (16, 0), (16, 1)])
def test_a_wide_frame(bits, near, samples, interleave):
    of = layout(bits, color=samples == 3, rows=37, columns=1021)
    for picture in PICTURES:
        pixels = picture(of)
        data = coded(pixels, of, near=near, interleave=interleave)
        assert scans_of(data) == scans_of(charls_codes(pixels, bits, near, interleave))
        found = decoded(data, of)
        assert (by_charls(data, of.shape) == found).all()
        assert (by_libjpeg(data, of.shape) == found).all()
        assert abs(found.astype(int) - pixels).max() <= near


RUNS = {
    # Runs of all lengths about those of table J, ended by a step up, down and by the line's end.
    "steps": lambda x, y: (x > y * 3) * 200 + (x > y * 5) * 40,
    "one value": lambda x, y: 0 * x + 77,
    "zeros": lambda x, y: 0 * x,
    "a spot a line": lambda x, y: (x == y * 7 % x.shape[1]) * 255,
    "spots at the end": lambda x, y: (x == x.shape[1] - 1) * (y % 3) * 90,
    "spots at the beginning": lambda x, y: (x == 0) * (y % 3) * 90,
    "columns of two": lambda x, y: x // 2 % 2 * 255,
    "a step by 1": lambda x, y: 100 + (x > y),
    "stripes": lambda x, y: y % 2 * 255 + 0 * x,
    "far between": lambda x, y: (x % 211 == 210) * (y * 31 % 256),
}


@pytest.mark.parametrize(("samples", "interleave"), KINDS)
@pytest.mark.parametrize("near", [0, 1, 5])
@pytest.mark.parametrize("name", RUNS)
def test_runs(name, near, samples, interleave):
    """A.7: run lengths, ends of lines, both kinds of interruption, codes that escape LIMIT."""
    for columns in (1, 2, 9, 640):
        of = layout(8, color=samples == 3, rows=24, columns=columns)
        y, x = np.mgrid[: of.rows, :columns]
        pixels = RUNS[name](x, y).astype("u1")
        if samples == 3:
            pixels = np.stack([pixels, pixels[::-1], pixels * 0 + 9], -1)
        data = coded(pixels, of, near=near, interleave=interleave)
        assert scans_of(data) == scans_of(charls_codes(pixels, 8, near, interleave))
        found = decoded(data, of)
        assert (by_libjpeg(data, of.shape) == found).all()
        assert abs(found.astype(int) - pixels).max() <= near


@pytest.mark.parametrize("restart_rows", [1, 2, 3, 100])
@pytest.mark.parametrize(("samples", "interleave"), KINDS)
def test_restart_intervals(samples, interleave, restart_rows):
    of = layout(12, color=samples == 3, rows=23, columns=19)
    pixels = image(of)
    data = coded(pixels, of, interleave=interleave, restart_rows=restart_rows)
    assert scans_of(data) == scans_of(plain(pixels, 12, 0, interleave, restart_rows))
    assert (by_libjpeg(data, of.shape) == pixels).all()
    assert (by_charls(data, of.shape) == pixels).all()
    assert (decoded(data, of) == pixels).all()


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


@pytest.mark.parametrize("near", [1, 3, 20])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signs_that_an_error_cannot_change(bits, near):
    of = layout(bits, signed=True, rows=20)
    middle = 1 << bits - 1
    pixels = image(of).astype(int)
    # Halved, so that no value is near an end of the range.
    pixels = np.clip(abs(pixels) // 2 + 2 * near, 0, middle - 1 - 2 * near).astype(of.dtype)
    pixels[::2] = -pixels[::2]
    data = coded(pixels, of, near=near)
    pattern = (pixels.astype(int) & (1 << bits) - 1).astype(of.replace(signed=False).dtype)
    assert scans_of(data) == scans_of(charls_codes(pattern, bits, near, 0))
    assert abs(decoded(data, of).astype(int) - pixels).max() <= near
    pixels[5, 5] = middle - near
    with pytest.raises(PixelError, match="could change sign"):
        coded(pixels, of, near=near)


def walk(samples, most=4095, seed=1):
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.integers(-9, 10, (7, 13, samples)), 1)
    return np.clip(steps + most // 2, 0, most).astype("u1" if most < 256 else "<u2")


GREY, COLOR, FOUR = walk(1), walk(3), walk(4)
BYTES, THOUSAND = walk(1, 255), walk(1, 1000)
ALL = (0, 1, 2)
FULL = Preset(1000, 10, 20, 40, 31)
BOTH, FIRST, CHARLS, NOBODY = (by_libjpeg, by_charls), (by_libjpeg,), (by_charls,), ()


def each(**options):
    """A scan a component."""
    return [Scan((i,), **options) for i in ALL]


def one(**options):
    return [Scan((0,), **options)]


# Pixels, depth, how they are coded, and who else reads it.
ODD = {
    "restart each row": (GREY, 12, {"scans": one(restart_rows=1)}, BOTH),
    "restart each other row": (GREY, 12, {"scans": one(restart_rows=2)}, BOTH),
    "restart never reached": (GREY, 12, {"scans": one(restart_rows=100)}, BOTH),
    "interval of 3 bytes": (
        GREY,
        12,
        {"scans": one(restart_rows=3), "interval_bytes": 3},
        BOTH,
    ),
    "interval of 4 bytes": (
        GREY,
        12,
        {"scans": one(restart_rows=3), "interval_bytes": 4},
        BOTH,
    ),
    "restart, a scan each": (COLOR, 12, {"scans": each(restart_rows=3)}, BOTH),
    "restart by line": (COLOR, 12, {"scans": [Scan(ALL, 0, LINE, 2)]}, BOTH),
    "restart by sample": (COLOR, 12, {"scans": [Scan(ALL, 0, SAMPLE, 2)]}, BOTH),
    "no EOI": (GREY, 12, {"end": False}, FIRST),
    "SPIFF": (GREY, 12, {"heads": spiff(12, 7, 13, 1)}, BOTH),
    "JFIF": (BYTES, 8, {"heads": [jfif()]}, BOTH),
    "Adobe": (COLOR, 12, {"scans": [Scan(ALL, 0, SAMPLE)], "heads": [adobe(0)]}, BOTH),
    "comments": (GREY, 12, {"heads": [comment(), comment(b"\xff\xd9\xff\xda")]}, BOTH),
    "thresholds": (GREY, 12, {"scans": one(preset=Preset(0, 5, 9, 30, 0))}, CHARLS),
    "thresholds alike": (GREY, 12, {"scans": one(preset=Preset(0, 9, 9, 9, 0))}, CHARLS),
    "one threshold": (GREY, 12, {"scans": one(preset=Preset(0, 0, 80, 0, 0))}, CHARLS),
    "reset 3": (GREY, 12, {"scans": one(preset=Preset(0, 0, 0, 0, 3))}, CHARLS),
    "reset 255": (GREY, 12, {"scans": one(preset=Preset(0, 0, 0, 0, 255))}, CHARLS),
    "reset 4095": (GREY, 12, {"scans": one(preset=Preset(0, 0, 0, 0, 4095))}, CHARLS),
    "preset of defaults": (
        GREY,
        12,
        {"scans": one(preset=Preset().filled(12, 0))},
        BOTH,
    ),
    "MAXVAL 1000": (THOUSAND, 12, {"scans": one(preset=Preset(1000))}, NOBODY),
    "all of the preset": (THOUSAND, 12, {"scans": one(preset=FULL)}, FIRST),
    "preset of one scan": (
        COLOR,
        12,
        {"scans": [Scan((0,)), Scan((1,), preset=Preset(4095, 6, 7, 8, 9)), Scan((2,))]},
        NOBODY,
    ),
    "in another order": (COLOR, 12, {"scans": [Scan((2,)), Scan((0,)), Scan((1,))]}, FIRST),
    "two by line and one": (COLOR, 12, {"scans": [Scan((0, 1), 0, LINE), Scan((2,))]}, FIRST),
    "one and two by sample": (COLOR, 12, {"scans": [Scan((1,)), Scan((0, 2), 0, SAMPLE)]}, FIRST),
    "R, G and B": (COLOR, 12, {"scans": [Scan(ALL, 0, SAMPLE)], "ids": (82, 71, 66)}, BOTH),
    "ids anyhow": (COLOR, 12, {"scans": [Scan(ALL, 0, LINE)], "ids": (0, 255, 7)}, BOTH),
    "four": (FOUR, 12, {"scans": scans_for(4, 0, NONE)}, BOTH),
    "four by line": (FOUR, 12, {"scans": scans_for(4, 0, LINE)}, BOTH),
    "four by sample": (FOUR, 12, {"scans": scans_for(4, 0, SAMPLE)}, BOTH),
    "two by sample": (COLOR[..., :2], 12, {"scans": scans_for(2, 0, SAMPLE)}, FIRST),
    "DNL": (GREY, 12, {"dnl": True}, FIRST),
    "DNL behind the first of three": (COLOR, 12, {"dnl": True}, FIRST),
    "size of 2 bytes": (GREY, 12, {"oversize": 2}, CHARLS),
    "size of 3 bytes": (GREY, 12, {"oversize": 3}, CHARLS),
    "size of 4 bytes": (GREY, 12, {"oversize": 4}, CHARLS),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_streams(name):
    pixels, bits, options, readers = ODD[name]
    parts = frame(pixels, bits, **options)
    for data in (joined(parts), joined(parts) + b"\0\0tail"):
        assert (read(data, pixels, bits) == pixels).all()
    for reader in (*readers, lambda data, _: decode(data)):
        assert (reader(joined(parts), pixels.shape) == pixels).all(), reader


@pytest.mark.parametrize("interleave", [NONE, LINE, SAMPLE])
@pytest.mark.parametrize("restart_rows", [0, 2])
def test_fill_bytes_before_markers(interleave, restart_rows):
    parts = frame(COLOR, 12, scans_for(3, 0, interleave, restart_rows))
    data = joined(parts, fill=3)
    assert (by_libjpeg(data, COLOR.shape) == COLOR).all()
    assert (read(data, COLOR, 12) == COLOR).all()


def test_every_scan_has_its_near():
    scans = [Scan((0,), 0), Scan((1,), 3), Scan((2,), 1)]
    data = joined(frame(COLOR, 12, scans))
    found = read(data, COLOR, 12)
    assert (found == decode(data)).all()
    assert (found == by_libjpeg(data, COLOR.shape)).all()
    assert list(abs(found.astype(int) - COLOR).max((0, 1))) == [0, 3, 1]


@pytest.mark.parametrize("near", [0, 1, 3])
@pytest.mark.parametrize("most", [100, 127, 128, 200, 255, 1000, 2047, 4000, 4094])
def test_largest_values(most, near):
    """MAXVAL that is no power of two less one, within a larger precision too."""
    pixels = walk(1, most, near)
    for bits in (most.bit_length(), 8 if most < 256 else 15):
        full = Preset(most).filled(bits, near)
        data = joined(frame(pixels, bits, one(near=near, preset=full)))
        brief = joined(frame(pixels, bits, one(near=near, preset=Preset(most))))
        assert (read(data, pixels, bits) == by_libjpeg(data, pixels.shape)).all()
        assert (read(brief, pixels, bits) == decode(data)).all()


def test_mapping_tables():
    """C.2.4.1.2: samples are places in a table; applied, or refused with a reason."""
    random = np.random.default_rng(3)
    places = random.integers(0, 200, (7, 13, 1)).astype("u1")
    for width, identity, first in ((1, 1, None), (1, 255, 50), (2, 7, None), (2, 7, 120)):
        entries = tuple(map(int, random.integers(0, 256**width, 200)))
        table = Table(entries, width, identity)
        parts = frame(places, 8, one(table=identity), heads=table_parts(table, first))
        expected = np.array(entries)[places].astype(f"<u{width}")
        assert (decode(joined(parts)) == expected).all()
        try:
            found = read(joined(parts), expected, 8 * width)
        except DicomloomError as error:
            assert "table" in str(error)
            assert error.offset is not None
        else:
            assert (found == expected).all()


@pytest.mark.parametrize("shift", [1, 3, 7])
def test_point_transform(shift):
    """C.2.3: undone, or refused with a reason."""
    data = joined(frame(GREY, 12, one(shift=shift)))
    assert (decode(data) == GREY >> shift << shift).all()
    try:
        found = read(data, GREY, 12)
    except DicomloomError as error:
        assert error.offset is not None
    else:
        assert (found == GREY >> shift << shift).all()


def test_in_bands_and_again():
    """Rows in lots, the same encoder for frame after frame, and into a buffer."""
    of = layout(12, color=True, rows=19)
    decoder = JPEGLSDecoder()
    arguments = of.rows, of.columns, of.samples, 2, 12, False
    for interleave in (NONE, LINE, SAMPLE):
        encoder = encoder_of(of, interleave=interleave)
        for seed in range(3):
            pixels = image(of, seed=seed)
            whole = coded(pixels, of, interleave=interleave)
            for lot in (1, 4, 19):
                encoder.begin()
                for i in range(0, of.rows, lot):
                    encoder.rows(pixels[i : i + lot].tobytes())
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
    elif kind == "steps":
        pixels = np.cumsum(random.integers(-3, 4, shape), 1) & most
    else:
        pixels = np.where(random.random(shape) < 0.05, random.integers(0, 1 << bits, shape), most)
    return pixels.astype("u1" if bits <= 8 else "<u2")


@st.composite
def frames(draw):
    """Depth, unsigned pixels, and NEAR."""
    bits = draw(st.integers(2, 16))
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 25), st.integers(1, 4)))
    kind = draw(st.sampled_from(["noise", "ends", "steps", "runs"]))
    near = draw(st.one_of(st.just(0), st.integers(0, min(255, (1 << bits) - 1 >> 1))))
    return bits, pixels_of_kind(kind, bits, shape, draw(st.integers(0, 2**32))), near


@settings(max_examples=200, deadline=None)
@given(frames(), st.booleans(), st.sampled_from([NONE, LINE, SAMPLE]), st.integers(0, 5))
def test_round_trip_is_that_of_plain_python(given_frame, signed, interleave, restart_rows):
    bits, pattern, near = given_frame
    size = pattern.itemsize
    near = 0 if signed else near  # which would refuse values near the ends

    def with_sign(values):
        wide = values.astype(np.int64)
        return (wide << 64 - bits >> 64 - bits if signed else wide).astype(f"<u{size}")

    arguments = (*pattern.shape, size, bits, signed)
    options = {"near": near, "interleave": interleave, "restart_rows": restart_rows}
    encoder = JPEGLSEncoder(*arguments, **options)
    data = b"".join(map(bytes, encoder.encode(with_sign(pattern).tobytes())))
    assert len(data) <= encoder.bound()
    assert scans_of(data) == scans_of(plain(pattern, bits, near, interleave, restart_rows))
    found = decode(data)
    assert abs(found - pattern.astype(int)).max() <= near
    assert bytes(JPEGLSDecoder().decode(data, *arguments)) == with_sign(found).tobytes()


# Of 65535 that the standard has: sums of errors stay within 31 bits.
RESET_MOST = 32767


def test_a_reset_beyond_what_sums_hold_is_refused():
    pixels = np.zeros((2, 2, 1), "u2")
    data = joined(frame(pixels, 16, one(preset=Preset(0, 0, 0, 0, RESET_MOST + 1))))
    with pytest.raises(CorruptError, match="has RESET 32768, expected 3 to 32767"):
        read(data, pixels, 16)


@st.composite
def streams(draw):
    """A frame, and the scans and segments that some writer might choose for it."""
    bits, pixels, near = draw(frames())
    samples = pixels.shape[2]
    order = draw(st.permutations(range(samples)))
    scans, left = [], list(order)
    while left:
        count = draw(st.integers(1, len(left)))
        components, left = tuple(sorted(left[:count])), left[count:]
        interleave = draw(st.sampled_from([LINE, SAMPLE])) if count > 1 else NONE
        least = near + 1
        t1, t2, t3 = sorted(draw(st.integers(least, (1 << bits) - 1)) for _ in range(3))
        reset = draw(st.integers(3, max(255, min((1 << bits) - 1, RESET_MOST))))
        preset = draw(st.sampled_from([None, Preset(0, t1, t2, t3, reset)]))
        scans.append(Scan(components, near, interleave, draw(st.integers(0, 4)), preset))
    options = {
        "dnl": len(scans) == 1 and draw(st.booleans()),
        "end": draw(st.booleans()),
        "interval_bytes": draw(st.integers(2, 4)),
    }
    return bits, pixels, joined(frame(pixels, bits, scans, **options))


@settings(max_examples=200, deadline=None)
@given(streams())
def test_any_stream_of_the_standard(given_stream):
    bits, pixels, data = given_stream
    assert (read(data, pixels, bits) == decode(data)).all()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 60))
def test_any_bytes_are_decoded_or_refused(tail, at):
    data = joined(frame(BYTES, 8))
    try:
        found = JPEGLSDecoder().decode(data[:at] + tail, 7, 13, 1, 1, 8, False)
    except DicomloomError as error:
        assert error.offset is not None
    else:
        assert len(memoryview(found)) == BYTES.size
