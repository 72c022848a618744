"""Rows P1 to P12: bytes that lie, through every door that parses.

Details of the index are proved in tests/index/test_hostile_*.py, of frames in
tests/frames/test_hostile_objects.py; here each row goes through the public functions.
"""

import struct
import warnings
import zlib

import pytest

from dicomloom import DicomDir, FrameReader, LimitError, read_tags, transcode
from dicomloom.decoding import settle
from dicomloom.frames.dataset import read_dataset
from dicomloom.media import check as media
from doors import DOORS, through
from hostile import ALL_VRS, IN_SQ, SQ, behind, deflated, pixels, uid, whole
from support import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNDEFINED,
    element,
    item,
    part10,
    sequence,
)

DEEP = 100_000
LOOKS = [door for door in DOORS if door.name != "validate"]  # in this process
doors = pytest.mark.parametrize("door", LOOKS, ids=[door.name for door in LOOKS])
every_door = pytest.mark.parametrize("door", DOORS, ids=[door.name for door in DOORS])


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def nested(way, depth):
    """Return sequences in sequences."""
    vr = None if way.endswith("implicit") else "SQ"
    if way.startswith("defined"):
        pieces, size = [], 0
        for level in range(depth):
            pieces.append(element(0xFFFEE000, None, length=size))
            size += 8
            outer = "UN" if way == "defined in UN" and level == depth - 1 else vr
            inner = None if way == "defined in UN" and level < depth - 1 else outer
            pieces.append(element(SQ, inner, length=size))
            size += 8 if inner is None else 12
        return b"".join(reversed(pieces))
    inner = None if way == "in UN" else vr
    outer = element(SQ, "UN" if way == "in UN" else vr, length=UNDEFINED)
    step = element(0xFFFEE000, None, length=UNDEFINED) + element(SQ, inner, length=UNDEFINED)
    return outer + step * (depth - 1)


WAYS = ["undefined", "implicit", "in UN", "defined", "defined implicit", "defined in UN"]


@doors
@pytest.mark.parametrize("way", WAYS)
def test_p01_nesting(tmp_path, door, way):
    """Sequences nest 500 and 100,000 deep: an answer or an error, at once, and no recursion."""
    syntax = IMPLICIT_LE if way.endswith("implicit") else EXPLICIT_LE
    for depth in (500, DEEP):
        path = tmp_path / "deep.dcm"
        path.write_bytes(whole(nested(way, depth), syntax))
        through(door, path, tmp_path / str(depth))


@pytest.mark.parametrize("way", ["undefined", "defined", "defined in UN"])
def test_p01_the_limit_is_64(tmp_path, way):
    """What nests 64 deep is read to its end, and what nests deeper is refused for that reason."""
    path = tmp_path / "deep.dcm"
    end = element(0xFFFEE0DD, None)
    for depth, allowed in ((64, True), (66, False)):
        data = nested(way, depth)
        if way == "undefined":
            data += (end + element(0xFFFEE00D, None)) * (depth - 1) + end
        path.write_bytes(whole(data))
        if allowed:
            assert read_dataset(path).PatientID == "behind"
            continue
        with pytest.raises(LimitError, match="nest") as caught:
            read_dataset(path)
        assert caught.value.path == str(path)


def directory(inner):
    record = element(0x00041400, "UL", bytes(4)) + element(0x00041410, "US", b"\xff\xff")
    record += element(0x00041420, "UL", bytes(4)) + element(0x00041430, "CS", b"PATIENT ") + inner
    head = element(0x00041200, "UL", bytes(4)) + element(0x00041212, "US", b"\0\0")
    return part10(head + sequence(0x00041220, [item(record)]))


@pytest.mark.parametrize("depth", [500, DEEP])
@pytest.mark.parametrize("way", ["undefined", "in UN", "defined", "defined in UN"])
def test_p01_nesting_in_a_directory_record(tmp_path, way, depth):
    """A record that nests is a finding of the check, and no reason to stop."""
    path = tmp_path / "DICOMDIR"
    path.write_bytes(directory(nested(way, depth)))
    found = media.check(path)
    # pydicom leaves UN of more than 65,534 bytes as bytes.
    read = way == "defined in UN" and depth == DEEP
    assert read or any(finding.kind == "record" for finding in found)
    for node in DicomDir.open(path).children:
        assert node.get("Rows") is None


def test_p01_a_fault_deep_inside_doubles_no_message(tmp_path):
    """A value that is none, 60 sequences deep, is told at once and in a line."""
    inner = element(0x00280010, "US", b"123")
    for _ in range(60):
        inner = sequence(SQ, [item(inner)])
    path = tmp_path / "deep.dcm"
    path.write_bytes(whole(inner))
    with pytest.raises(ValueError, match=r"\(0028,0010\)") as caught:
        read_dataset(path)
    assert len(str(caught.value)) < 300


@doors
def test_p02_lengths_beyond_the_file(tmp_path, door):
    """Whatever a length says, an answer or an error that names the file comes at once."""
    path = tmp_path / "lie.dcm"
    for vr in ALL_VRS.split():
        for length in (0xFFFFFFFE, 0x7FFFFFFF) if len(element(SQ, vr)) == 12 else (0xFFFE,):
            path.write_bytes(whole(element(0x00090010, vr, b"ab", length=length)))
            through(door, path, tmp_path / vr)


@doors
def test_p03_group_lengths_that_lie(tmp_path, door):
    """The group length of the file meta information is believed by nobody."""
    path = tmp_path / "meta.dcm"
    refused = set()
    for claim in (None, 0, 4, 1000, 0xFFFFFFFF):
        path.write_bytes(whole(group_length=claim))
        refused.add(type(through(door, path, tmp_path / str(claim))))
    assert len(refused) == 1  # the lie changes nothing
    for vr in ("ZZ", "SQ", "UN", "US", "\0\0"):
        path.write_bytes(whole(extra_meta=element(0x00020016, vr, b"ab")))
        through(door, path, tmp_path / f"{len(vr)}{ord(vr[0])}")


STRAY = {
    "item end": element(0xFFFEE00D, None),
    "sequence end": element(0xFFFEE0DD, None),
    "item": item(b""),
    "item of a length that lies": element(0xFFFEE000, None, length=0xFFFFFFF0),
    "no item end": element(SQ, "SQ", length=UNDEFINED)
    + element(0xFFFEE000, None, length=UNDEFINED)
    + element(0xFFFEE0DD, None),
    "no sequence end": element(SQ, "SQ", length=UNDEFINED) + item(element(IN_SQ, "UI", b"1.2\0")),
    "item longer than its parent": element(SQ, "SQ", element(0xFFFEE000, None, length=999)),
    "value longer than its item": sequence(SQ, [item(element(IN_SQ, "UI", b"1.2\0", length=99))]),
}


@every_door
@pytest.mark.parametrize("stray", STRAY)
def test_p04_delimiters(tmp_path, door, stray):
    """Delimiters that are missing or stray cost no more than where they are."""
    path = tmp_path / "stray.dcm"
    path.write_bytes(whole(STRAY[stray]))
    through(door, path, tmp_path / "out")


@doors
def test_p05_cut_at_every_byte(tmp_path, door):
    """A file that ends anywhere is refused or read, and the file is named."""
    data = whole(sequence(SQ, [item(element(IN_SQ, "UI", b"1.2\0"))], undefined=True))
    path = tmp_path / "cut.dcm"
    step = 1 if door.name.startswith(("read_tags", "FrameReader")) else 23
    for size in range(132, len(data), step):
        path.write_bytes(data[:size])
        through(door, path, tmp_path / str(size))


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_p05_values_before_the_cut_are_those_of_the_whole(syntax):
    """What stands in front of the cut is delivered as it is in the whole file."""
    data = whole(syntax=syntax)
    tags = ["SOPInstanceUID", "PatientID", "Rows"]
    complete, counts = read_tags(data, tags), []
    for size in range(132, len(data) + 1):
        try:
            values = read_tags(data[:size], tags)
        except ValueError as error:
            values = error.values
        found = {name: value for name, value in values.items() if value is not None}
        assert found.items() <= complete.items()
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 3


@doors
def test_p06_lengths_that_fit_no_value(tmp_path, door):
    """Half numbers, no value and 65,535 values: no exception but ours."""
    path = tmp_path / "odd.dcm"
    values = (b"", b"1", b"123", b"\\" * 65_534)
    for vr in ("AT", "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US", "PN", "DA", "UI", "SQ"):
        for tag in (0x00200032, 0x00280010, 0x00080018):
            value = values[(ALL_VRS.index(vr) + tag) % 4]
            path.write_bytes(whole(element(tag, vr, value)))
            through(door, path, tmp_path / f"{vr}{tag}")


@doors
def test_p07_character_sets(tmp_path, door):
    """Unknown sets, twenty of them, and an escape at the end of a value spoil nothing else."""
    path = tmp_path / "text.dcm"
    twenty = b"\\".join([b"ISO 2022 IR 87"] * 20) + b" "
    sets = (b"NO SUCH SET ", twenty, b"\\ISO 2022 IR 149", b"\xff\xfe")
    for number, charset in enumerate(sets):
        for name in (b"abc\x1b", b"\x1b$)C\xb1\xe8", b"\x1b$B\xff"):
            text = element(0x00080005, "CS", charset) + element(0x00100010, "PN", name)
            inside = sequence(SQ, [item(text)])
            path.write_bytes(whole(text + inside))
            through(door, path, tmp_path / f"{number}{len(name)}")


def bomb(size):
    """Return a deflated stream of an element of so many zeros, made in pieces."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = [deflater.compress(uid() + element(0x00090010, "OB", length=size))]
    zeros = bytes(1 << 20)
    data += [deflater.compress(zeros) for _ in range(size >> 20)]
    data.append(deflater.compress(behind() + pixels()))
    return b"".join(data) + deflater.flush()


@pytest.fixture(scope="module")
def gigabyte():
    return part10(bomb(1 << 30), DEFLATED)


@pytest.mark.parametrize(
    "name", ["scan", "FrameReader of a path", "FrameReader.dataset", "build's template", "recover"]
)
def test_p08_a_bomb_in_the_header_is_capped(tmp_path, gigabyte, name):
    """Inflating stops at 256 MiB where a header is looked for, and the error says so."""
    path = tmp_path / "bomb.dcm"
    path.write_bytes(gigabyte)
    (door,) = (door for door in DOORS if door.name == name)
    error = through(door, path, tmp_path / "out")
    assert door.tells or (isinstance(error, LimitError) and "limit" in error.message)


def test_p08_pixels_are_inflated_only_when_they_are_asked_for(tmp_path, monkeypatch):
    """Opening an object inflates its header, not the zeros behind it."""
    from dicomloom import inflate

    steps = []
    real = inflate.InflatedReader._inflate
    monkeypatch.setattr(
        inflate.InflatedReader, "_inflate", lambda self: (steps.append(1), real(self))[1]
    )
    rows = b"\0\x10"  # 4,096
    head = pixels()[: -len(element(0x7FE00010, "OB", b"\1\2"))]
    head = head.replace(b"\x28\0\x10\0US\2\0\1\0", b"\x28\0\x10\0US\2\0" + rows)
    head = head.replace(b"\x28\0\x11\0US\2\0\2\0", b"\x28\0\x11\0US\2\0" + rows)
    data = uid() + head + element(0x7FE00010, "OB", bytes(1 << 24))
    path = tmp_path / "zeros.dcm"
    path.write_bytes(part10(deflated(data), DEFLATED))
    with FrameReader(path) as reader:
        opened = len(steps)
        assert not reader[0].any()
    assert opened <= 4
    assert len(steps) > 100


@doors
def test_p09_empty_items(tmp_path, door):
    """A hundred thousand items without content are walked, not counted against anybody."""
    path = tmp_path / "items.dcm"
    empty = element(0xFFFEE000, None)
    path.write_bytes(whole(element(SQ, "SQ", empty * DEEP)))
    error = through(door, path, tmp_path / "out")
    assert not isinstance(error, LimitError)


def test_p09_reading_is_linear_in_the_bytes():
    """Four times as many items are four times as many bytes read, whoever reads."""

    class Counting:
        def __init__(self, data):
            self.data, self.bytes = data, 0

        def read_at(self, offset, size):
            self.bytes += len(self.data[offset : offset + size])
            return self.data[offset : offset + size]

        def size(self):
            return len(self.data)

    from dicomloom._native import frames

    read = []
    for count in (DEEP, 4 * DEEP):
        data = whole(
            element(SQ, "SQ", length=UNDEFINED)
            + element(0xFFFEE000, None) * count
            + element(0xFFFEE0DD, None)
        )
        source = Counting(data)
        start = frames.read_header(source).data_set
        entries = frames.list_elements(source, start, True, False)
        items = frames.sequence_items(source, entries[1], True, False)
        assert len(items[0]) == count
        read.append(source.bytes)
        assert source.bytes < 4 * len(data)
    assert read[1] < 4.5 * read[0]


@every_door
def test_p10_look_alikes(tmp_path, corpus, door):
    """What only looks like DICOM is refused with a reason, and the file is named."""
    folder = corpus / "generated" / "lookalikes"
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    assert files
    for number, file in enumerate(files):
        through(door, file, tmp_path / str(number))


PREAMBLES = {"TIFF": b"II*\0\x08\0\0\0", "PE": b"MZ\x90\0", "ELF": b"\x7fELF\2\1\1\0"}


@pytest.mark.parametrize("kind", PREAMBLES)
@every_door
def test_p11_preambles(tmp_path, door, kind):
    """A preamble that is the head of a program changes nothing, and is copied by no writer."""
    path = tmp_path / "poly.dcm"
    path.write_bytes(whole())
    plain = type(through(door, path, tmp_path / "plain"))
    path.write_bytes(whole(preamble=PREAMBLES[kind].ljust(128, b"\x90")))
    assert type(through(door, path, tmp_path / "out")) is plain
    written = [file for file in (tmp_path / "out").iterdir() if file.suffix == ".dcm"]
    written += list((tmp_path / "out").glob("DICOMDIR"))
    for file in written:
        assert file.read_bytes()[:132] == bytes(128) + b"DICM"


def test_p11_there_is_no_way_to_keep_a_preamble(tmp_path):
    """No option keeps it: what stands there is nobody's business (PS3.10 7.5)."""
    import inspect

    for call in (transcode, read_dataset, settle):
        assert not [name for name in inspect.signature(call).parameters if "preamble" in name]


@doors
def test_p12_flipped_bytes(tmp_path, door):
    """Any byte of a small file may be another one; no exception but ours leaves."""
    data = whole(sequence(SQ, [item(element(IN_SQ, "UI", b"1.2\0"))]))
    path = tmp_path / "flipped.dcm"
    for at in range(132, len(data), 17):
        for value in (0x00, 0xFF):
            path.write_bytes(data[:at] + struct.pack("B", value) + data[at + 1 :])
            through(door, path, tmp_path / f"{at}-{value}")
