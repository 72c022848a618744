"""No call of the C core leaves anything behind, not even one that fails; see `leaks`.

10,000 calls of each in the long run, fewer in the other.
"""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from dicomloom._native import codecs, dicom, frames, network, scan
from dicomloom.index.schema import Schema
from dicomloom.inflate import InflatedReader
from hostile import deflated
from leaks import check, failing
from support import DEFLATED, EXPLICIT_LE, UNDEFINED, element, item, long_run, part10, sequence

LIMITS = (64, 65536)
CT = get_testdata_file("CT_small.dcm")
PATH = CT.encode()
CONTENT = Path(CT).read_bytes()
DATA_SET = element(0x00080018, "UI", b"1.2.3\0") + sequence(
    0x00081140, [item(element(0x00081155, "UI", b"1.2.4\0"))]
)
SMALL = part10(DATA_SET, EXPLICIT_LE)
CUT = SMALL[:-5]
OPEN = item(length=UNDEFINED)[:8]
DEEP = part10(
    b"".join(
        element(0x00081140, "SQ", length=UNDEFINED) + item()[:4] + b"\xff" * 4 for _ in range(99)
    ),
    EXPLICIT_LE,
)
SQUEEZED = part10(deflated(element(0x00100020, "LO", b"42")), DEFLATED)
BROKEN = part10(deflated(element(0x00100020, "LO", b"42" * 500))[:9] + b"\xff" * 9, DEFLATED)
PIXELS = np.random.default_rng(1).integers(0, 4096, (16, 16), dtype=np.uint16).tobytes()
PLAN = Schema(["PatientID", "PatientName"]).plan()


def rows(source):
    return scan.read_row(PLAN, source, LIMITS, InflatedReader)


TABLE = rows((SMALL,))[0]
TEXT = scan.Text()


def capsules():
    TABLE.array_capsule(), scan.schema_capsule(("a", "b"), ("text", "date32"))


def streams():
    scan.stream_capsule(iter([TABLE]), ("a", "b"), ("text", "text"))


def knows():
    known = scan.Known()
    known.add("a", 1, 2, 3)
    return known.keeps("a", 1, 2, 3)


def resolves():
    """Values in a character set that Python decodes."""
    table, _ = rows((CHARSET,))
    table.resolve(lambda raw, charset, vr: raw.decode("latin-1"))


CHARSET = part10(
    element(0x00080005, "CS", b"ISO 2022 IR 87 ") + element(0x00100010, "PN", b"\x1b$B;3ED\x1b(B"),
    EXPLICIT_LE,
)
ELEMENTS = frames.list_elements(
    SMALL, (HEADER := frames.read_header(SMALL)).data_set, HEADER.explicit_vr, HEADER.big_endian
)
FRAGMENTS = item() + item(b"abcd") + element(0xFFFEE0DD, None)
RECORDS = sequence(0x00041220, [item(element(0x00041430, "CS", b"IMAGE "))])


def lists(content, **options):
    header = frames.read_header(content)
    return frames.list_elements(
        content, header.data_set, header.explicit_vr, header.big_endian, **options
    )


class Source:
    """A byte source in Python."""

    def __init__(self, content):
        self.content = content

    def read_at(self, offset, size):
        return self.content[offset : offset + size]

    def size(self):
        return len(self.content)


class Failing(Source):
    def read_at(self, offset, size):
        raise OSError(116, "stale")


RLE = codecs.RLEEncoder(16, 16, 1, 2)
JPEG = codecs.JPEGLosslessEncoder(16, 16, 1, 2, 16, False)
JLS = codecs.JPEGLSEncoder(16, 16, 1, 2, 16, False)
CODED = {encoder: b"".join(encoder.encode(PIXELS)) for encoder in (RLE, JPEG, JLS)}
DECODERS = {JPEG: codecs.JPEGLosslessDecoder(), JLS: codecs.JPEGLSDecoder()}


def decodes(encoder, cut=None):
    return DECODERS[encoder].decode(CODED[encoder][:cut], 16, 16, 1, 2, 16, False)


def pieces(encoder):
    encoder.begin()
    if encoder is JPEG:
        encoder.count(PIXELS)
    encoder.rows(PIXELS)
    return bytes(encoder.end()[-1])


class Wire:
    """A connection within this process: what is sent comes back."""

    def __init__(self):
        self.held = b""

    def receive(self, buffer, seconds):
        if not self.held:
            raise TimeoutError
        taken, self.held = self.held[: len(buffer)], self.held[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def send(self, buffer, seconds):
        self.held += bytes(buffer)
        return len(buffer)


WIRE = Wire()
TALK = network.Fragments(WIRE, 1 << 16, 5.0)
ENDS = [end.detach() for end in socket.socketpair()]  # as long as the process
OUT, IN = (network.Fragments(end, 1 << 16, 5.0) for end in ENDS)


def talks():
    TALK.send(1, 1 << 14, b"command", b"data")
    TALK.arrive(1.0)
    TALK.read_part(100)
    TALK.arrive(1.0)
    TALK.write_part(-1, 100)
    TALK.arrive(0.0)  # nothing


def goes():
    OUT.send(1, 1 << 14, b"command", b"data")
    IN.arrive(1.0)
    IN.read_part(100)
    IN.arrive(1.0)
    IN.read_part(100)
    IN.put(b"ab")
    IN.rest()


def too_much():
    OUT.send(1, 1 << 14, b"command", None)
    IN.arrive(1.0)
    try:
        IN.read_part(3)
    finally:
        IN.rest()


def garbage():
    fragments = network.Fragments(WIRE, 1 << 16, 5.0)
    fragments.put(b"\x04\0\xff\xff\xff\xff")
    fragments.arrive(0.0)


CORE = {
    "scan.Plan": lambda: Schema(["PatientID", "ReferencedImageSequence[0].0008,1155"]).plan(),
    "scan.Plan, refused": failing(lambda: scan.Plan([([(1, None, 0, "UI")], "none")]), KeyError),
    "scan.Known": knows,
    "scan.read_row of bytes": lambda: rows((CONTENT,)),
    "scan.read_row of a path": lambda: rows(PATH),
    "scan.read_row of no path": lambda: rows(b"/nowhere/at/all"),
    "scan.read_row of a NUL": failing(lambda: rows(b"/a\0b"), ValueError),
    "scan.read_row, cut": lambda: rows((CUT,)),
    "scan.read_row of a source": lambda: rows((Source(SMALL),)),
    "scan.read_row of a failing source": lambda: rows((Failing(SMALL),)),
    "scan.read_row, deflated": lambda: rows((SQUEEZED,)),
    "scan.read_row, broken deflated": lambda: rows((BROKEN,)),
    "scan.Table": lambda: (TABLE.values(0), TABLE.types, TABLE.rows, TABLE.misfits),
    "scan.Table.resolve": resolves,
    "scan.Text.csv": lambda: (TEXT.csv(TABLE), bytes(TEXT)),
    "scan.Text.json": lambda: (TEXT.json(TABLE, [b'"a":', b'"b":']), bytes(TEXT)),
    "scan.Text.json, refused": failing(lambda: TEXT.json(TABLE, ["a", "b"]), TypeError),
    "scan capsules": capsules,
    "scan.stream_capsule": streams,
    "dicom.find_tag": lambda: (dicom.find_tag(0x00100010), dicom.find_tag(0x00100011)),
    "dicom.find_keyword": lambda: (dicom.find_keyword("PatientID"), dicom.find_keyword("X")),
    "dicom.vr_of": lambda: dicom.vr_of(0x00100010),
    "frames.read_header": lambda: frames.read_header(CONTENT).transfer_syntax,
    "frames.read_header of no DICOM": failing(lambda: frames.read_header(b"GIF89a" * 50)),
    "frames.list_elements": lambda: lists(SMALL, stop_at_pixels=False),
    "frames.list_elements, cut": failing(lambda: lists(CUT)),
    "frames.list_elements, too deep": failing(lambda: lists(DEEP)),
    "frames.list_elements of a failing source": failing(
        lambda: frames.list_elements(Failing(SMALL), 0, True, False), OSError
    ),
    "frames.sequence_items": lambda: frames.sequence_items(SMALL, ELEMENTS[1], True, False),
    "frames.walk_items": lambda: frames.walk_items(FRAGMENTS, 0),
    "frames.fragment_items": lambda: frames.fragment_items(FRAGMENTS, 8, 20),
    "frames.fragment_items, none": failing(lambda: frames.fragment_items(FRAGMENTS, 9, 20)),
    "frames.list_records": lambda: frames.list_records(
        RECORDS, 0, True, False, [0x00041430, 0x00041400], numbers={0x00041400: 7}
    ),
    "frames.recode": lambda: frames.recode(DATA_SET, 0, len(DATA_SET), True, False, False),
    "frames.recode, cut": failing(
        lambda: frames.recode(DATA_SET[:-3], 0, len(DATA_SET) - 3, True, False, False)
    ),
    "codecs.RLEEncoder": lambda: codecs.RLEEncoder(16, 16, 1, 2).encode(PIXELS),
    "codecs.RLEEncoder of pieces": lambda: pieces(RLE),
    "codecs.RLEEncoder, refused": failing(lambda: codecs.RLEEncoder(0, 0, 9, 9), ValueError),
    "codecs.RLEEncoder, too few": failing(lambda: RLE.encode(PIXELS[:5])),
    "codecs.rle_decode": lambda: codecs.rle_decode(CODED[RLE], 16, 16, 1, 2),
    "codecs.rle_decode, cut": failing(lambda: codecs.rle_decode(CODED[RLE][:70], 16, 16, 1, 2)),
    "codecs.JPEGLosslessEncoder": lambda: bytes(JPEG.encode(PIXELS)[0]),
    "codecs.JPEGLosslessEncoder, new": lambda: codecs.JPEGLosslessEncoder(16, 16, 1, 2, 16, False),
    "codecs.JPEGLosslessEncoder of pieces": lambda: pieces(JPEG),
    "codecs.JPEGLosslessDecoder": lambda: decodes(JPEG),
    "codecs.JPEGLosslessDecoder, cut": failing(lambda: decodes(JPEG, 60)),
    "codecs.JPEGLSEncoder": lambda: bytes(JLS.encode(PIXELS)[0]),
    "codecs.JPEGLSEncoder, new": lambda: codecs.JPEGLSEncoder(16, 16, 1, 2, 16, False).bound(),
    "codecs.JPEGLSEncoder of pieces": lambda: pieces(JLS),
    "codecs.JPEGLSDecoder": lambda: decodes(JLS),
    "codecs.JPEGLSDecoder, cut": failing(lambda: decodes(JLS, 40)),
    "network.Fragments, new": lambda: network.Fragments(WIRE, 1 << 16, 5.0),
    "network.Fragments over Python": talks,
    "network.Fragments over a socket": goes,
    "network.Fragments, too much": failing(too_much),
    "network.Fragments, garbage": failing(garbage),
}


@pytest.mark.parametrize("name", CORE)
def test_the_core_leaves_nothing(name):
    check(CORE[name], 10_000 if long_run() else 2_000)
