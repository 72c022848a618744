"""The native reader of headers, items and encodings against pydicom, on the whole corpus."""

from __future__ import annotations

import os
import threading
import warnings
from array import array
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.encaps import generate_fragments, parse_fragments
from pydicom.filereader import read_dataset

from dicomloom._native import frames as native
from dicomloom.errors import (
    CorruptError,
    LimitError,
    NotDicomError,
    ReadError,
    TruncatedError,
)
from support import (
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNDEFINED,
    element,
    item,
    part10,
    readable,
    sequence,
)

PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
SQ, ROWS, PIXEL_DATA = 0x00081140, 0x00280010, 0x7FE00010
DELIMITER = element(0xFFFEE0DD, None)
# What pydicom reads silently, and has no end: the list says so.
CUT = ("*/MR_truncated.dcm", "*/rtplan_truncated.dcm")


class Read(NamedTuple):
    name: str
    data: bytes
    header: native.Header
    elements: list[native.Element]  # to the pixels
    trailing: list[native.Element]
    end: int  # of the elements in front of the pixels
    dataset: pydicom.Dataset  # unless something asks for values, as raw elements


@cache
def _files(corpus: Path) -> list[Read]:
    found = []
    for name in readable(corpus):
        if any(Path(name).match(pattern) for pattern in CUT):
            continue
        data = (corpus / name).read_bytes()
        try:
            header = native.read_header(data)
        except NotDicomError:
            assert name.endswith("no_meta.dcm")  # "DICM" nowhere, and a first group of 0020
            continue
        if header.deflated:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(BytesIO(data), force=True)
        encoding = (header.explicit_vr, header.big_endian)
        elements = native.list_elements(data, header.data_set, *encoding)
        end, trailing = header.size, []
        if elements and elements[-1][0] in PIXELS:
            end, behind = elements[-1][2], elements[-1][5]
            if behind is None:
                behind = native.walk_items(data, elements[-1][3])[2]
            if behind <= header.size:
                trailing = native.list_elements(data, behind, *encoding, stop_at_pixels=False)
        elif elements:
            end = elements[-1][5]
        found.append(Read(name, data, header, elements, trailing, end, dataset))
    assert len(found) > 300
    return found


@pytest.fixture
def files(corpus):
    return _files(corpus)


def raw(dataset: pydicom.Dataset) -> dict[int, RawDataElement | DataElement]:
    return {int(tag): dataset.get_item(tag) for tag in dataset._dict}


def test_tags_vrs_and_values_are_pydicoms(files):
    for file in files:
        theirs = raw(file.dataset)
        ours = {entry[0]: entry for entry in (*file.elements, *file.trailing)}
        assert list(ours) == sorted(theirs, key=list(ours).index), file.name
        for tag, vr, offset, value, length, end, undefined in ours.values():
            their = theirs[tag]
            assert offset < value
            if isinstance(their, DataElement):  # a sequence, or what pydicom had to look at
                assert vr in (their.VR, "UN"), (file.name, hex(tag))
                continue
            if file.header.explicit_vr:
                assert vr == (their.VR or "UN"), (file.name, hex(tag))
            if undefined:
                assert (tag, end) == (PIXEL_DATA, None)
                continue
            assert end == value + length
            assert file.data[value : value + length] == (their.value or b""), (file.name, hex(tag))


def test_vrs_of_implicit_vr_are_pydicoms(files):
    implicit = [file for file in files if not file.header.explicit_vr]
    assert len(implicit) > 30
    for file in implicit:
        for tag, vr, *_ in file.elements:
            if tag >> 16 & 1 or tag & 0xFFFF == 0 or vr == "SQ":
                continue
            their = file.dataset[tag].VR
            assert vr == {"OB or OW": "OW"}.get(their, their), (file.name, hex(tag))


def test_file_meta_information_is_pydicoms(files):
    for file in files:
        theirs = raw(file.dataset.file_meta)
        assert [entry[0] for entry in file.header.meta] == list(theirs), file.name
        for tag, vr, offset, value, length, end, undefined in file.header.meta:
            assert file.header.start <= offset < value <= value + length == end
            assert not undefined
            their = file.dataset.file_meta[tag]
            assert vr == their.VR
            if vr == "UI":
                text = file.data[value : value + length].rstrip(b"\0 ").decode()
                assert text == their.value
        syntax = file.dataset.file_meta.get("TransferSyntaxUID")
        assert file.header.transfer_syntax == syntax, file.name
        assert file.header.size == len(file.data)


def check_items(data, entry, header, dataset, name):
    """Each item of a sequence, and of the sequences in it, has pydicom's elements."""
    explicit, big = header
    starts, ends, undefined = native.sequence_items(data, entry, explicit, big)
    assert isinstance(starts, array)
    assert starts.typecode == ends.typecode == "Q"
    assert len(starts) == len(ends) == len(undefined) == len(dataset), name
    if entry[1] == "UN":
        explicit = big = False
    checked = 1
    for start, end, inner in zip(starts, ends, dataset, strict=True):
        entries = native.list_elements(data, start, explicit, big, end=end, stop_at_pixels=False)
        assert [e[0] for e in entries] == [int(tag) for tag in inner._dict], name
        for e in entries:
            their = inner.get_item(e[0])
            if isinstance(their, DataElement) and their.VR == "SQ":
                checked += check_items(data, e, (explicit, big), their.value, name)
    return checked


def test_items_of_sequences_are_pydicoms(files):
    checked = 0
    for file in files:
        theirs = raw(file.dataset)
        encoding = (file.header.explicit_vr, file.header.big_endian)
        for entry in file.elements:
            their = theirs[entry[0]]
            if isinstance(their, DataElement) and their.VR == "SQ":
                checked += check_items(file.data, entry, encoding, their.value, file.name)
    assert checked > 1000


# --- items of pixel data --------------------------------------------------------------------------


def test_fragments_are_pydicoms(files):
    encapsulated = [file for file in files if file.elements and file.elements[-1][5] is None]
    assert len(encapsulated) > 50
    for file in encapsulated:
        start = file.elements[-1][3]
        offsets, lengths, end, complete = native.walk_items(file.data, start)
        value = file.dataset.PixelData
        assert complete or file.name.endswith("_too_short.dcm")
        count, positions = parse_fragments(value)
        if complete:
            assert len(offsets) == count
            assert [offset - 8 - start for offset in offsets] == positions
            assert end == start + len(value) + 8
        parts = [
            file.data[offset : offset + length]
            for offset, length in zip(offsets, lengths, strict=True)
        ]
        theirs = list(generate_fragments(value))
        assert parts == theirs[: len(parts)]
        assert len(theirs) - len(parts) <= (not complete)
        pairs = list(zip(offsets, lengths, strict=True))
        last = offsets[-1] + lengths[-1]
        assert native.fragment_items(file.data, start, last) == pairs
        if complete:
            assert native.fragment_items(file.data, start, None) == pairs


def test_fragments_of_one_frame():
    items = [b"", b"aa", b"bbbb", b""]
    data = b"xyz" + b"".join(item(content) for content in items) + DELIMITER + b"behind"
    offsets, lengths, end, complete = native.walk_items(data, 3)
    assert (list(offsets), list(lengths)) == ([11, 19, 29, 41], [0, 2, 4, 0])
    assert (end, complete) == (49, True)
    assert native.fragment_items(data, 11, 33) == [(19, 2), (29, 4)]
    assert native.fragment_items(data, 11, 11) == []
    with pytest.raises(CorruptError, match="no item of encapsulated pixel data") as caught:
        native.fragment_items(data, 12, 33)
    assert (caught.value.offset, caught.value.tag) == (12, PIXEL_DATA)
    with pytest.raises(CorruptError, match="longer than its frame"):
        native.fragment_items(data, 11, 32)
    with pytest.raises(TruncatedError):
        native.fragment_items(data[:30], 11, 33)
    _, lengths, end, complete = native.walk_items(data, 3, 30)
    assert (list(lengths), end, complete) == ([0, 2], 21, False)


# --- recoding -------------------------------------------------------------------------------------


def recoded(file: Read, to_explicit: bool) -> bytes:
    header = file.header
    return native.recode(
        file.data, header.data_set, file.end, header.explicit_vr, header.big_endian, to_explicit
    )


def read(data: bytes, explicit: bool) -> pydicom.Dataset:
    return read_dataset(BytesIO(data), not explicit, True)


def swapped(value: bytes, unit: int) -> bytes:
    return b"".join(value[i : i + unit][::-1] for i in range(0, len(value), unit))


UNITS = {"US": 2, "SS": 2, "AT": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4}
UNITS |= dict.fromkeys(["FD", "OD", "OV", "SV", "UV"], 8)


def is_sequence(dataset: pydicom.Dataset, tag: int) -> bool:
    vr = dataset.get_item(tag).VR
    return vr == "SQ" or (vr is None and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ")


def as_text(value) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return "" if value is None else text.rstrip("\0 ")


def same(ours: pydicom.Dataset, theirs: pydicom.Dataset, big: bool, exact: bool) -> bool:
    """Whether both have the same elements with the same bytes; with `exact` the same VRs too."""
    tags = [tag for tag in theirs._dict if tag.element != 0 and tag not in PIXELS]
    assert [tag for tag in ours._dict if tag not in PIXELS] == tags
    for tag in tags:
        our, their = ours.get_item(tag), theirs.get_item(tag)
        if is_sequence(ours, tag) or is_sequence(theirs, tag):  # of UN, the dictionary knows it
            inner = list(zip(ours[tag].value, theirs[tag].value, strict=True))
            assert all(same(a, b, big, exact) for a, b in inner)
            continue
        if isinstance(our, DataElement) or isinstance(their, DataElement):
            assert as_text(ours[tag].value) == as_text(theirs[tag].value), tag  # looked at
            continue
        value = their.value or b""
        if big and their.VR in UNITS:
            value = swapped(value, UNITS[their.VR])
            if their.VR[0] != "O" and not tag.is_private:  # numbers, as pydicom reads them
                assert ours[tag].value == theirs[tag].value, tag
        assert (our.value or b"") == value, tag
        assert not exact or our.VR == their.VR, tag
    return True


def before_pixels(file: Read) -> pydicom.Dataset:
    """The original's elements in front of its pixels, once more: values are read here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(file.data), stop_before_pixels=True, force=True)
    for tag in [tag for tag in dataset._dict if tag > PIXEL_DATA]:
        del dataset[tag]
    return dataset


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("to_explicit", [True, False])
def test_recoded_is_equal_to_pydicom(files, to_explicit):
    for file in files:
        ours = read(recoded(file, to_explicit), to_explicit)
        exact = to_explicit and file.header.explicit_vr
        assert same(ours, before_pixels(file), file.header.big_endian, exact), file.name


@pytest.mark.filterwarnings("ignore")
def test_recoding_there_and_back_again(files):
    for file in files:
        explicit, implicit = recoded(file, True), recoded(file, False)
        again = native.recode(implicit, 0, len(implicit), False, False, True)
        assert same(read(again, True), read(explicit, True), False, False), file.name
        assert native.recode(explicit, 0, len(explicit), True, False, False) == implicit
        assert native.recode(explicit, 0, len(explicit), True, False, True) == explicit
        assert native.recode(again, 0, len(again), True, False, False) == implicit


def test_recoding_to_the_same_encoding_is_the_identity(files):
    checked = 0
    for file in files:
        entries = [entry for entry in file.elements if entry[2] < file.end]
        lengths = [entry for entry in entries if entry[0] & 0xFFFF == 0]
        if not file.header.explicit_vr or file.header.big_endian or lengths:
            continue
        if file.name.endswith("DICOMDIR-nooffset"):  # has an item longer than its sequence
            continue
        assert recoded(file, True) == file.data[file.header.data_set : file.end], file.name
        checked += 1
    assert checked > 200


@pytest.mark.parametrize(("signed", "vr"), [(False, b"US"), (True, b"SS")])
def test_pixel_representation_decides(signed, vr):
    data = element(0x00280106, None, b"\xff\xff")
    made = native.recode(data, 0, len(data), False, False, True, signed=signed)
    assert made == element(0x00280106, vr.decode(), b"\xff\xff")
    inside = element(0x00280103, None, bytes([signed, 0])) + data
    made = native.recode(inside, 0, len(inside), False, False, True, signed=not signed)
    assert made[-4:-2] == b"\x02\0"
    assert made[-8 + 2 : -4] == vr


# --- sources, errors ------------------------------------------------------------------------------


class Reader:
    def __init__(self, data, failure=None):
        self.data, self.failure = data, failure

    def read_at(self, offset, size):
        if self.failure is not None:
            raise self.failure
        return self.data[offset : offset + size]

    def size(self):
        return len(self.data)


def everything(source):
    header = native.read_header(source)
    entries = native.list_elements(source, header.data_set, True, False)
    items = native.sequence_items(source, entries[0], True, False)
    walked = native.walk_items(source, entries[-1][3])
    fragments = native.fragment_items(source, entries[-1][3], walked[2])
    made = native.recode(source, header.data_set, entries[-1][2], True, False, False)
    return header.transfer_syntax, header.meta, entries, items, walked, fragments, made


def sample():
    inner = item(element(ROWS, "US", b"\1\0"))
    frames = element(PIXEL_DATA, "OB", item() + item(b"frame 1 ") + DELIMITER, length=UNDEFINED)
    return part10(sequence(SQ, [inner, inner], undefined=True) + frames)


def test_every_kind_of_source_gives_the_same(tmp_path):
    path = tmp_path / "f.dcm"
    path.write_bytes(sample())
    descriptor = os.open(path, os.O_RDONLY)
    try:
        wanted = everything(sample())
        for source in (
            descriptor,
            memoryview(sample()),
            bytearray(sample()),
            Reader(sample()),
            descriptor,  # it is still open
        ):
            assert everything(source) == wanted
    finally:
        os.close(descriptor)
    assert wanted[0] == EXPLICIT_LE
    assert [entry[0] for entry in wanted[2]] == [SQ, PIXEL_DATA]


def test_failures_of_a_source():
    with pytest.raises(ReadError, match="bad file descriptor"):
        native.read_header(10**6)
    failure = OSError(5, "the store is away")
    with pytest.raises(ReadError, match="the store is away") as caught:
        native.read_header(Reader(sample(), failure))
    assert caught.value.__cause__ is failure
    with pytest.raises(KeyboardInterrupt):
        native.read_header(Reader(sample(), KeyboardInterrupt()))
    with pytest.raises(TypeError):
        native.read_header("a path")
    with pytest.raises(OverflowError):
        native.list_elements(b"", -1, True, False)


def test_what_is_cut_off_says_where():
    data = element(SQ, "SQ", length=UNDEFINED) + item(element(ROWS, "US", b"\1\0"))
    with pytest.raises(TruncatedError) as caught:
        native.list_elements(data, 0, True, False)
    assert (caught.value.tag, caught.value.offset) == (SQ, len(data))
    data = element(ROWS, "US", b"\1\0") + element(0x00282000, "OB", b"12", length=4)
    for call in (
        lambda: native.list_elements(data, 0, True, False),
        lambda: native.recode(data, 0, len(data), True, False, False),
    ):
        with pytest.raises(TruncatedError) as caught:
            call()
        assert (caught.value.tag, caught.value.offset) == (0x00282000, len(data))


def test_pixels_may_reach_behind_the_end():
    data = element(PIXEL_DATA, "OW", b"12", length=4096)
    assert native.list_elements(data, 0, True, False) == [
        (PIXEL_DATA, "OW", 0, 12, 4096, 12 + 4096, False)
    ]


def test_depth_is_a_limit():
    data = element(ROWS, "US", b"\1\0")
    for _ in range(5):
        data = sequence(SQ, [item(data, length=UNDEFINED)], undefined=True)
    assert len(native.list_elements(data, 0, True, False, max_depth=5)) == 1
    assert native.recode(data, 0, len(data), True, False, True, max_depth=5) == data
    for call in (native.list_elements, native.recode):
        arguments = (True, False) if call is native.list_elements else (len(data), True, False, 1)
        with pytest.raises(LimitError) as caught:
            call(data, 0, *arguments, max_depth=4)
        assert caught.value.tag == SQ


def test_headers_of_all_kinds():
    data_set = element(0x00080060, "CS", b"MR") + element(ROWS, "US", b"\1\0")
    implicit = element(0x00080060, None, b"MR") + element(ROWS, None, b"\1\0")
    whole = part10(data_set)
    for skipped in (0, 128, 132):  # preamble, DICM
        header = native.read_header(whole[skipped:])
        assert header.start == 132 - skipped
        assert (header.explicit_vr, header.deflated) == (True, False)
        assert len(whole) - skipped - header.data_set == len(data_set)
    bare = native.read_header(implicit)
    assert (bare.start, bare.data_set, bare.transfer_syntax, bare.meta) == (0, 0, None, [])
    assert not bare.explicit_vr
    assert not native.read_header(part10(implicit, "1.2.840.113619.5.2")).explicit_vr
    assert not native.read_header(part10(implicit, EXPLICIT_LE)).explicit_vr
    assert native.read_header(part10(data_set, IMPLICIT_LE)).explicit_vr
    deflated = native.read_header(part10(b"\1\2\3", "1.2.840.10008.1.2.1.99"))
    assert deflated.deflated
    assert deflated.size - deflated.data_set == 3
    with pytest.raises(NotDicomError, match="JPEG"):
        native.read_header(b"\xff\xd8\xff" + bytes(200))


def test_threads_share_a_descriptor(tmp_path):
    path = tmp_path / "f.dcm"
    path.write_bytes(sample())
    wanted, wrong = everything(sample()), []
    descriptor = os.open(path, os.O_RDONLY)

    def work():
        wrong.extend(1 for _ in range(50) if everything(descriptor) != wanted)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(descriptor)
    assert not wrong
