"""Streams of the two lossless JPEG codecs with faults: an error that says where, never more."""

import struct
from typing import NamedTuple

import numpy as np
import pytest

import jpeg_lossless_streams as lossless
import jpeg_ls_streams as ls
from dicomloom import CorruptError, DicomloomError, TruncatedError, UnsupportedError
from dicomloom._native.codecs import JPEGLosslessDecoder, JPEGLSDecoder
from jpeg_ls_model import Preset
from jpeg_segments import (
    APP0,
    DHT,
    DNL,
    DRI,
    EOI,
    LSE,
    RST0,
    SOF3,
    SOF55,
    SOI,
    SOS,
    Part,
    before,
    frame_header,
    index_of,
    joined,
    replaced,
    without,
)

RANDOM = np.random.default_rng(11)
GREY = RANDOM.integers(0, 256, (6, 11, 1)).astype("u1")
COLOR = RANDOM.integers(0, 256, (6, 11, 3)).astype("u1")


class Kind(NamedTuple):
    name: str
    maker: object
    decoder: type
    sof: int

    def parts(self, pixels, *scans, **options):
        return self.maker.frame(pixels, 8, [self.maker.Scan(*scan) for scan in scans], **options)

    def read(self, data, pixels):
        rows, columns, samples = pixels.shape
        found = self.decoder().decode(data, rows, columns, samples, 1, 8, False)
        return np.frombuffer(found, "u1").reshape(pixels.shape)


JPEG = Kind("JPEG Lossless", lossless, JPEGLosslessDecoder, SOF3)
LS = Kind("JPEG-LS", ls, JPEGLSDecoder, SOF55)
KINDS = pytest.mark.parametrize("kind", [JPEG, LS], ids=lambda kind: kind.name)
ERRORS = CorruptError, TruncatedError, UnsupportedError


def refused(kind, data, pixels, *errors):
    with pytest.raises(errors or ERRORS) as caught:
        kind.read(data, pixels)
    error = caught.value
    assert error.offset is not None, error
    assert 0 <= error.offset <= len(data), error


def restarting(kind, pixels=GREY):
    return kind.parts(pixels, ((0,), 0 if kind is LS else 1, 0, 2))


def of_kind(kind, *scans):
    """One scan of each of some groups of components."""
    first = 0 if kind is LS else 1
    return [
        (components, first, 2 if kind is LS and len(components) > 1 else 0) for components in scans
    ]


# What is wrong with a stream, made of the kind.
STREAMS = {
    "nothing": (GREY, lambda _: []),
    "SOI alone": (GREY, lambda _: [Part(SOI)]),
    "SOI and EOI": (GREY, lambda _: [Part(SOI), Part(EOI)]),
    "no SOI": (GREY, lambda kind: kind.parts(GREY)[1:]),
    "no frame header": (GREY, lambda kind: without(kind.parts(GREY), kind.sof)),
    "two frame headers": (
        GREY,
        lambda kind: before(kind.parts(GREY), SOS, frame_header(kind.sof, 8, 6, 11, (1,), 1)),
    ),
    "a frame header between scans": (
        COLOR,
        lambda kind: before(
            kind.parts(COLOR, *of_kind(kind, (0,), (1, 2))),
            SOS,
            frame_header(kind.sof, 8, 6, 11, (1, 2, 3), 1),
            nth=1,
        ),
    ),
    "no scan": (GREY, lambda kind: without(without(kind.parts(GREY), SOS), None)),
    "a scan's header alone": (GREY, lambda kind: without(kind.parts(GREY), None)),
    "a scan missing": (
        COLOR,
        lambda kind: kind.parts(COLOR, *of_kind(kind, (0,), (2,))),
    ),
    "a scan twice": (
        COLOR,
        lambda kind: kind.parts(COLOR, *of_kind(kind, (0,), (1,), (1,), (2,))),
    ),
    "a component of no frame": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), SOS, Part(SOS, b"\1\7\0\1\0\0")),
    ),
    "a component twice in a scan": (
        COLOR,
        lambda kind: replaced(
            kind.parts(COLOR, *of_kind(kind, (0, 1, 2))), SOS, Part(SOS, b"\3\1\0\1\0\2\0\0\2\0")
        ),
    ),
    "components that share an id": (
        COLOR,
        lambda kind: kind.parts(COLOR, *of_kind(kind, (0, 1, 2)), ids=(1, 1, 2)),
    ),
    "other rows": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 8, 7, 11, (1,), 1)
        ),
    ),
    "other columns": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 8, 6, 12, (1,), 1)
        ),
    ),
    "no columns": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, frame_header(kind.sof, 8, 6, 0, (1,), 1)),
    ),
    "no components": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, frame_header(kind.sof, 8, 6, 11, (), 1)),
    ),
    "more components": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 8, 6, 11, (1, 2, 3), 1)
        ),
    ),
    "other factors": (
        COLOR,
        lambda kind: replaced(
            kind.parts(COLOR, *of_kind(kind, (0, 1, 2))),
            kind.sof,
            Part(kind.sof, struct.pack(">BHHB", 8, 6, 11, 3) + b"\1\x22\0\2\x11\0\3\x11\0"),
        ),
    ),
    "precision 1": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 1, 6, 11, (1,), 1)
        ),
    ),
    "precision 17": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 17, 6, 11, (1,), 1)
        ),
    ),
    "more bits than a sample has": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY), kind.sof, frame_header(kind.sof, 9, 6, 11, (1,), 1)
        ),
    ),
    "rows by a DNL that differs": (
        GREY,
        lambda kind: replaced(kind.parts(GREY, dnl=True), DNL, Part(DNL, struct.pack(">H", 7))),
    ),
    "a short DNL": (
        GREY,
        lambda kind: replaced(kind.parts(GREY, dnl=True), DNL, Part(DNL, b"\0")),
    ),
    "a short frame header": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, Part(kind.sof, b"\x08\0\6\0\x0b")),
    ),
    "a frame header cut in a component": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, Part(kind.sof, b"\x08\0\6\0\x0b\1\1")),
    ),
    "a short scan header": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), SOS, Part(SOS, b"\1\1\0")),
    ),
    "an empty scan header": (GREY, lambda kind: replaced(kind.parts(GREY), SOS, Part(SOS, b""))),
    "a scan of no components": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), SOS, Part(SOS, b"\0\1\0\0")),
    ),
    "a scan of 255 components": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), SOS, Part(SOS, b"\xff\1\0\1\0\0")),
    ),
    "a short DRI": (GREY, lambda kind: before(kind.parts(GREY), SOS, Part(DRI, b"\1"))),
    "an interval, no markers": (
        GREY,
        lambda kind: before(kind.parts(GREY), SOS, Part(DRI, b"\0\1" if kind is LS else b"\0\x0b")),
    ),
    "a wrong restart marker": (
        GREY,
        lambda kind: replaced(restarting(kind), RST0 + 1, Part(RST0 + 2)),
    ),
    "a restart marker missing": (GREY, lambda kind: without(restarting(kind), RST0 + 1)),
    "an interval missing": (
        GREY,
        lambda kind: replaced(restarting(kind), None, Part(None, b""), nth=1),
    ),
    "garbage before a marker": (
        GREY,
        lambda kind: before(kind.parts(GREY), SOS, Part(None, b"\1\2\3")),
    ),
    "SOF1": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, frame_header(0xC1, 8, 6, 11, (1,), 1)),
    ),
    "SOF11, arithmetic": (
        GREY,
        lambda kind: replaced(kind.parts(GREY), kind.sof, frame_header(0xCB, 8, 6, 11, (1,), 1)),
    ),
    "the other's frame header": (
        GREY,
        lambda kind: replaced(
            kind.parts(GREY),
            kind.sof,
            frame_header(SOF3 if kind is LS else SOF55, 8, 6, 11, (1,), 1),
        ),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
@KINDS
def test_faults_of_both(kind, name):
    pixels, make = STREAMS[name]
    refused(kind, joined(make(kind)), pixels)


@KINDS
def test_rows_that_nothing_says(kind):
    """Refused, or taken from the data set."""
    data = joined(without(kind.parts(GREY, dnl=True), DNL))
    try:
        found = kind.read(data, GREY)
    except ERRORS as error:
        assert error.offset is not None
    else:
        assert (found == GREY).all()


def with_table(content):
    return replaced(JPEG.parts(GREY), DHT, Part(DHT, content))


def with_scan(content):
    return replaced(JPEG.parts(GREY), SOS, Part(SOS, content))


FLAT = lossless.table(lossless.FLAT, 0)
TABLES = {
    "no table": without(JPEG.parts(GREY), DHT),
    "another table": JPEG.parts(GREY, ((0,), 1, 0, 0, (lossless.FLAT,), (2,)))[:-3]
    + JPEG.parts(GREY)[-3:],
    "table 4": with_table(b"\4" + FLAT[1:]),
    "an AC table": with_table(b"\x10" + FLAT[1:]),
    "an empty segment": with_table(b""),
    "a table without its counts": with_table(FLAT[:10]),
    "a table without its values": with_table(FLAT[:-1]),
    "an empty table": with_table(bytes(17)),
    "more codes than there are": with_table(b"\0\3" + bytes(15) + b"\0\1\2"),
    "256 codes": with_table(b"\0" + bytes(15) + b"\xff" + bytes(range(255))),
    "category 17": with_table(FLAT[:-1] + b"\x11"),
    "selection value 0": with_scan(b"\1\1\0\0\0\0"),
    "selection value 8": with_scan(b"\1\1\0\x08\0\0"),
    "a point transform of all bits": with_scan(b"\1\1\0\1\0\x08"),
    "an interval of part of a row": before(JPEG.parts(GREY), SOS, Part(DRI, b"\0\5")),
    "a category that is not in the table": replaced(
        JPEG.parts(GREY), DHT, Part(DHT, b"\0\0\2" + bytes(14) + b"\0\1")
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_faults_of_jpeg_lossless(name):
    refused(JPEG, joined(TABLES[name]), GREY)


def ls_scan(content):
    return replaced(LS.parts(GREY), SOS, Part(SOS, content))


def ls_preset(*values):
    return before(LS.parts(GREY), SOS, ls.preset_part(Preset(*values)))


SMALL = ls.Table((7,) * 3)
PRESETS = {
    "NEAR over half of MAXVAL": ls_scan(b"\1\1\0\x80\0\0"),
    "ILV 3": replaced(LS.parts(COLOR, ((0, 1, 2), 0, 2)), SOS, Part(SOS, b"\3\1\0\2\0\3\0\0\3\0")),
    "a table that is not there": ls_scan(b"\1\1\5\0\0\0"),
    "a point transform of all bits": ls_scan(b"\1\1\0\0\0\x08"),
    "ILV 0 of three": replaced(
        LS.parts(COLOR, ((0, 1, 2), 0, 2)), SOS, Part(SOS, b"\3\1\0\2\0\3\0\0\0\0")
    ),
    "MAXVAL over the precision": ls_preset(256),
    "T1 at NEAR": before(LS.parts(GREY, ((0,), 3)), SOS, ls.preset_part(Preset(0, 3, 9, 10))),
    "T2 under T1": ls_preset(0, 9, 8, 20),
    "T3 under T2": ls_preset(0, 5, 12, 11),
    "T3 over MAXVAL": ls_preset(0, 5, 12, 256),
    "RESET 2": ls_preset(0, 0, 0, 0, 2),
    "RESET 65535": ls_preset(0, 0, 0, 0, 65535),
    "an LSE of no type": before(LS.parts(GREY), SOS, Part(LSE, b"")),
    "an LSE of type 9": before(LS.parts(GREY), SOS, Part(LSE, b"\x09\0\0")),
    "a short preset": before(LS.parts(GREY), SOS, Part(LSE, b"\1\0\xff\0\3")),
    "a mapping table too small": before(
        LS.parts(GREY, ((0,), 0, 0, 0, None, 1)), SOS, *ls.table_parts(SMALL)
    ),
    "a mapping table of width 0": before(
        LS.parts(GREY, ((0,), 0, 0, 0, None, 1)), SOS, Part(LSE, b"\2\1\0abc")
    ),
    "a mapping table of another's entries": before(
        LS.parts(GREY, ((0,), 0, 0, 0, None, 1)), SOS, Part(LSE, b"\3\1\1abc")
    ),
    "HP's color transform": LS.parts(COLOR, ((0, 1, 2), 0, 2), heads=[Part(APP0 + 8, b"mrfx\1")]),
}


@pytest.mark.parametrize("name", PRESETS)
def test_faults_of_jpeg_ls(name):
    color = name in ("ILV 0 of three", "ILV 3", "HP's color transform")
    refused(LS, joined(PRESETS[name]), COLOR if color else GREY)


def whole(kind):
    """Streams of several makes to cut and to spoil."""
    yield GREY, joined(kind.parts(GREY))
    yield GREY, joined(restarting(kind))
    yield COLOR, joined(kind.parts(COLOR, *of_kind(kind, (0, 1, 2))))
    yield COLOR, joined(kind.parts(COLOR, *of_kind(kind, (0,), (1,), (2,))))
    yield GREY, joined(kind.parts(GREY, dnl=True))


@KINDS
def test_cut_at_every_byte(kind):
    for pixels, data in whole(kind):
        dnl = b"\xff\xdc" in data
        for left in range(len(data)):
            if left < len(data) - (8 if dnl else 3):
                refused(kind, data[:left], pixels)
                continue
            try:  # the last byte may be a stuffed one
                found = kind.read(data[:left], pixels)
            except TruncatedError as error:
                assert left < len(data) - 2 or dnl, error
            else:
                assert (found == pixels).all()


@KINDS
@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x80, 0x10])
def test_spoiled_bytes(kind, mask):
    """A wrong picture or an error; in the headers, mostly the latter."""
    for pixels, data in whole(kind):
        for at in range(len(data)):
            spoiled = bytearray(data)
            spoiled[at] ^= mask
            try:
                found = kind.read(bytes(spoiled), pixels)
            except DicomloomError as error:
                assert error.offset is not None, (at, error)
            else:
                assert found.shape == pixels.shape


@KINDS
@pytest.mark.parametrize("with_byte", [b"\0", b"\xff", b"\xff\xff", b"\xff\0", b"\xff\xd9"])
def test_bytes_put_in_and_taken_out(kind, with_byte):
    for pixels, data in whole(kind):
        for at in range(len(data)):
            for spoiled in (data[:at] + with_byte + data[at:], data[:at] + data[at + 1 :]):
                try:
                    found = kind.read(spoiled, pixels)
                except DicomloomError as error:
                    assert error.offset is not None, (at, error)
                else:
                    assert found.shape == pixels.shape


@KINDS
def test_a_length_of_every_segment_that_lies(kind):
    parts = kind.parts(COLOR, *of_kind(kind, (0,), (1, 2)))
    for i, part in enumerate(parts):
        if part.marker is None or part.content is None:
            continue
        size = len(part.content) + 2
        for lie in {0, 1, 2, 3, size - 1, size + 1, 0x7FFF, 0xFFFF}:
            spoiled = bytes([0xFF, part.marker]) + struct.pack(">H", lie) + part.content
            data = joined([*parts[:i], Part(None, spoiled), *parts[i + 1 :]])
            refused(kind, data, COLOR)


@KINDS
def test_a_frame_that_the_bytes_cannot_fill(kind):
    """65535 x 65535 samples are said, and few bytes are there."""
    parts = replaced(kind.parts(GREY), kind.sof, frame_header(kind.sof, 16, 65535, 65535, (1,), 1))
    with pytest.raises((TruncatedError, CorruptError)):
        kind.decoder().decode(joined(parts), 65535, 65535, 1, 2, 16, False)


@KINDS
def test_one_decoder_after_a_fault(kind):
    """What a stream left behind, even a broken one, says nothing of the next."""
    parts = kind.parts(GREY)
    good = joined(parts)
    decoder = kind.decoder()
    others = [joined(make(kind)) for _, make in STREAMS.values()]
    others += [joined(each) for each in (TABLES if kind is JPEG else PRESETS).values()]
    bare = joined(parts[: index_of(parts, SOS)])
    for bad in [*others, bare, good[: len(good) // 2]]:
        with pytest.raises(DicomloomError):
            decoder.decode(bad, 6, 11, 1, 1, 8, False)
        assert bytes(decoder.decode(good, 6, 11, 1, 1, 8, False)) == GREY.tobytes()
    if kind is JPEG:
        with pytest.raises(DicomloomError):  # its table was another stream's
            decoder.decode(joined(TABLES["no table"]), 6, 11, 1, 1, 8, False)
