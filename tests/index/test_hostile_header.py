"""HOSTILE.md, parsing: a test's name begins with the row it is about."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomloom import (
    CorruptError,
    DicomloomError,
    LimitError,
    NotDicomError,
    ReadError,
    TruncatedError,
    read_tags,
    scan,
)
from support import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    LONG_VRS,
    UNDEFINED,
    element,
    item,
    part10,
    sequence,
)

UID, NAME, BEHIND = "SOPInstanceUID", "PatientName", "PatientID"
SQ = 0x00081140  # ReferencedImageSequence
IN_SQ = 0x00081155  # ReferencedSOPInstanceUID
SYNTAXES = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED]


def uid(vr="UI", *, big=False):
    return element(0x00080018, vr, b"1.2.3\0", big=big)


def behind(vr="LO", *, big=False):
    return element(0x00100020, vr, b"behind", big=big)


def framed(data_set, syntax, **meta):
    if syntax == DEFLATED:
        data_set = deflated(data_set)
    return part10(data_set, syntax, **meta)


def deflated(data):
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(data) + deflater.flush()
    return data + b"\0" * (len(data) % 2)


def outcome(source, tags):
    """Values, and the error or None."""
    try:
        return read_tags(source, tags), None
    except DicomloomError as error:
        return error.values, error


def rows_of(paths, tags, **options):
    """Status and values by file name."""
    with scan(paths, tags, **options) as batches:
        rows = [row for batch in batches for row in batch.rows()]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def measured(script, *arguments):
    """Run lines in another process; `grown(call)` gives the KiB by which its peak memory grew."""
    head = """
        import io, json, re, sys
        from dicomloom import DicomloomError, read_tags, scan
        def peak():
            # Not ru_maxrss: Linux lets a new process inherit that of the process that started it.
            try:
                with open("/proc/self/status") as file:
                    return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])
            except FileNotFoundError:
                import resource
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        def outcome(source, tags):
            try:
                return read_tags(source, tags), ""
            except DicomloomError as error:
                return error.values, str(error)
        def grown(call):
            before = peak()
            result = call()
            return peak() - before, result
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_measure_sees_memory():
    script = "print(json.dumps(grown(lambda: len(bytearray(16 << 20)))))"
    kib, size = measured(script)
    assert kib >= 15_000
    assert size == 16 << 20


# --- P1: nesting ----------------------------------------------------------------------------------


def nested(depth, *, vr="SQ", undefined=True, closed=True):
    """Sequences of one item each, one in the other."""
    if undefined:
        head = element(SQ, vr, length=UNDEFINED) + element(0xFFFEE000, None, length=UNDEFINED)
        tail = element(0xFFFEE00D, None) + element(0xFFFEE0DD, None)
        return head * depth + tail * depth * closed
    level = len(element(SQ, vr)) + 8
    heads = []
    for left in range(depth - 1, -1, -1):
        inside = left * level
        heads.append(element(SQ, vr, length=inside + 8) + element(0xFFFEE000, None, length=inside))
    return b"".join(heads)


DEEP = 100_000
NESTED = {
    "undefined": (EXPLICIT_LE, lambda: nested(DEEP)),
    "undefined, not closed": (EXPLICIT_LE, lambda: nested(DEEP, closed=False)),
    "implicit": (IMPLICIT_LE, lambda: nested(DEEP, vr=None)),
    "in UN": (
        EXPLICIT_LE,
        lambda: sequence(SQ, [item(nested(DEEP, vr=None), length=UNDEFINED)], "UN", undefined=True),
    ),
    "in a private UN": (
        EXPLICIT_LE,
        lambda: sequence(
            0x00091001, [item(nested(DEEP, vr=None), length=UNDEFINED)], "UN", undefined=True
        ),
    ),
    "UN, UN, UN": (EXPLICIT_LE, lambda: nested(DEEP, vr="UN")),
    "deflated": (DEFLATED, lambda: nested(DEEP)),
}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("way", ["hop", "count", "path", "all"])
def test_p1_nesting_100_000_deep_is_an_error(kind, way):
    syntax, made = NESTED[kind]
    explicit = syntax != IMPLICIT_LE
    raw = framed(
        uid("UI" if explicit else None) + made() + behind("LO" if explicit else None), syntax
    )
    step = "(0009,1001)" if "private" in kind else "ReferencedImageSequence"
    below = {
        "hop": [],
        "count": [step],
        "path": ["ReferencedImageSequence[0]." * 31 + UID],
        "all": ["ReferencedImageSequence[*]." * 31 + UID],
    }[way]
    result = []
    # A stack of 256 KiB: nothing may recurse on what a file says.
    threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: result.append(outcome(raw, [UID, *below, BEHIND])))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(0)
    values, error = result[0]
    assert isinstance(error, LimitError)
    assert "nest too deep" in str(error)
    assert error.tag == (0x00091001 if "private" in kind else SQ)
    assert error.offset
    assert values[UID] == "1.2.3"
    assert values[BEHIND] is None


@pytest.mark.parametrize("vr", ["SQ", None])
def test_p1_defined_lengths_nest_as_deep_as_they_like(vr):
    """They are hopped over: their depth costs nothing."""
    raw = part10(
        uid(vr and "UI") + nested(DEEP, vr=vr, undefined=False) + behind(vr and "LO"),
        EXPLICIT_LE if vr else IMPLICIT_LE,
    )
    inner = "ReferencedImageSequence[0]." * 31 + "ReferencedImageSequence"
    wanted = {UID: "1.2.3", "ReferencedImageSequence": "1", inner: "1", BEHIND: "behind"}
    assert read_tags(raw, wanted) == wanted


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
@pytest.mark.parametrize("way", ["hop", "count"])
def test_p1_the_limit_is_64_sequences(syntax, way):
    explicit = syntax == EXPLICIT_LE
    tags = [BEHIND] if way == "hop" else ["ReferencedImageSequence", BEHIND]
    for depth, fits in [(1, True), (63, True), (64, True), (66, False)]:
        deep = nested(depth, vr="SQ" if explicit else None)
        raw = part10(deep + behind("LO" if explicit else None), syntax)
        values, error = outcome(raw, tags)
        assert (error is None) == fits, depth
        assert values[BEHIND] == ("behind" if fits else None)


# --- P2: lengths that lie -------------------------------------------------------------------------

BY_VR = {
    "AE": 0x00080054, "AS": 0x00101010, "AT": 0x00280009, "CS": 0x00080060, "DA": 0x00080020,
    "DS": 0x00101030, "DT": 0x0008002A, "FD": 0x00189073, "FL": 0x00189345, "IS": 0x00200013,
    "LO": 0x00081030, "LT": 0x001021B0, "OB": 0x00282000, "OD": 0x7FE00009, "OF": 0x7FE00008,
    "OL": 0x00660129, "OV": 0x7FE00001, "OW": 0x7FE00010, "PN": 0x00081070, "SH": 0x00081010,
    "SL": 0x00186020, "SQ": SQ, "SS": 0x00189219, "ST": 0x00080081, "SV": 0x00720082,
    "TM": 0x00080030, "UC": 0x00080119, "UI": 0x00200052, "UL": 0x00081161, "UN": 0x00091001,
    "UR": 0x00081190, "US": 0x00280010, "UT": 0x0040A160, "UV": 0x00720083,
}  # fmt: skip


def lying(vr, syntax, claim):
    """An element that claims more bytes than follow it, behind one that is whole."""
    explicit = syntax != IMPLICIT_LE
    big = syntax == EXPLICIT_BE
    value = item(element(IN_SQ, "UI" if explicit else None, b"1.2.", big=big), big=big)
    content = value if vr == "SQ" else b"12345678"
    lie = element(BY_VR[vr], vr if explicit else None, content, big=big, length=claim)
    first = element(0x00080016, "UI" if explicit else None, b"1.2\0", big=big)
    return framed(first + lie, syntax)


CLAIMS = [65_534, 100_000, 0x00100001, 0x7FFFFFFE, 0xFFFFFFFE]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("vr", BY_VR)
def test_p2_a_length_beyond_the_file_truncates_that_element(vr, syntax):
    short = syntax != IMPLICIT_LE and vr not in LONG_VRS
    tag = BY_VR[vr]
    for claim in CLAIMS[: 1 if short else None]:
        raw = lying(vr, syntax, claim)
        end = None if syntax == DEFLATED else len(raw)
        for wanted in ([f"({tag >> 16:04x},{tag & 0xFFFF:04x})"], ["(7fe0,ffff)"]):
            for source in (raw, io.BytesIO(raw)):
                values, error = outcome(source, ["SOPClassUID", *wanted])
                assert values == {"SOPClassUID": "1.2", wanted[0]: None}
                assert isinstance(error, TruncatedError), (claim, wanted, error)
                assert error.tag == tag
                assert f"truncated in ({tag >> 16:04x},{tag & 0xFFFF:04x}) at byte " in str(error)
                assert end is None or error.offset == end
                assert str(error).endswith(f" {error.offset}")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_p2_values_in_the_items_of_a_truncated_sequence_are_delivered(syntax):
    inside = "ReferencedImageSequence[0].ReferencedSOPInstanceUID"
    all_ = "ReferencedImageSequence[*].ReferencedSOPInstanceUID"
    for tags in ([inside], [all_], ["ReferencedImageSequence", inside], [all_, inside]):
        values, error = outcome(lying("SQ", syntax, 0xFFFFFFFE), [*tags, BEHIND])
        assert isinstance(error, TruncatedError)
        assert values == {
            tag: None if tag in ("ReferencedImageSequence", BEHIND) else "1.2."
            for tag in [*tags, BEHIND]
        }


def test_p2_lengths_that_lie_cost_no_memory(tmp_path):
    names = {}
    for syntax in SYNTAXES:
        for vr, tag in BY_VR.items():
            path = tmp_path / f"{len(names)}.dcm"
            short = syntax != IMPLICIT_LE and vr not in LONG_VRS
            path.write_bytes(lying(vr, syntax, 65_534 if short else 0xFFFFFFFE))
            names[str(path)] = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
    script = """
        names = json.loads(sys.argv[1])
        warm, _ = min(names.items())
        outcome(warm, ["SOPClassUID"])
        with open(warm, "rb") as file:
            outcome(io.BytesIO(file.read()), ["SOPClassUID"])
        def run():
            worst = []
            for name, tag in names.items():
                values, error = outcome(name, ["SOPClassUID", tag])
                with open(name, "rb") as file:
                    again, error_again = outcome(file, ["SOPClassUID", tag])
                whole = values == again == {"SOPClassUID": "1.2", tag: None}
                if not whole or "truncated in" not in error or "truncated in" not in error_again:
                    worst.append([name, tag, values, error])
            return worst
        print(json.dumps(grown(run)))
        """
    kib, wrong = measured(script, json.dumps(names))
    assert not wrong
    assert kib < 4096


@pytest.fixture
def sparse(tmp_path):
    """Values of 2 GiB that the file backs, with holes."""
    files = {}
    for vr, tag in {"UT": 0x0040A160, "UN": 0x00091001, "OW": 0x7FE00010, "UC": 0x00080119}.items():
        path = tmp_path / f"{vr}.dcm"
        head = part10(uid() + element(tag, vr, length=1 << 31))
        path.write_bytes(head)
        os.truncate(path, len(head) + (1 << 31))
        with path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(element(0x7FE10010, "LO", b"ACME"))
        files[str(path)] = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
    return files


def test_p2_true_lengths_of_gigabytes_cost_no_memory(sparse):
    script = """
        files = json.loads(sys.argv[1])
        outcome(min(files), ["SOPInstanceUID"])
        def run():
            return {tag: outcome(path, ["SOPInstanceUID", tag]) for path, tag in files.items()}
        def hop():
            return {tag: outcome(path, ["(7fe1,0010)"]) for path, tag in files.items()}
        print(json.dumps([*grown(run), *grown(hop)]))
        """
    kib, wanted, hop_kib, hopped = measured(script, json.dumps(sparse))
    for tag, (values, error) in wanted.items():
        assert values["SOPInstanceUID"] == "1.2.3"
        if tag in ("(0040,a160)", "(0008,0119)"):  # text: above the limit of one value
            assert values[tag] is None
            assert f"a value longer than the limit in {tag} at byte " in error
        else:
            assert (values[tag], error) == (str(1 << 31), "")
    assert all(found == [{"(7fe1,0010)": "ACME"}, ""] for found in hopped.values())
    assert max(kib, hop_kib) < 4096


# --- P3: file meta information --------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "claim",
    [0, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, "+2", "+8", "+1000", "-1", "-2", "-12", "one less",
     "absent", "two bytes", "eight bytes"],
)  # fmt: skip
def test_p3_the_group_length_is_not_believed(claim, syntax):
    big = syntax == EXPLICIT_BE
    vrs = (None, None) if syntax == IMPLICIT_LE else ("UI", "LO")
    data_set = uid(vrs[0], big=big) + behind(vrs[1], big=big)
    extra = element(0x00020012, "UI", b"1.2.") + element(0x00020013, "SH", b"ACME")
    whole = framed(data_set, syntax, extra_meta=extra)
    length = struct.unpack_from("<L", whole, 140)[0]
    if claim == "absent":
        raw = whole[:132] + whole[144:]
    elif claim == "two bytes":
        raw = whole[:132] + element(0x00020000, "US", b"\0\0") + whole[144:]
    elif claim == "eight bytes":
        raw = whole[:132] + element(0x00020000, "UL", bytes(8)) + whole[144:]
    else:
        if claim == "one less":  # ends where an element ends, but not the last
            claim = length - len(element(0x00020013, "SH", b"ACME"))
        elif isinstance(claim, str):
            claim = length + int(claim)
        raw = framed(data_set, syntax, extra_meta=extra, group_length=claim)
    wanted = {"(0002,0010)": syntax, "(0002,0013)": "ACME", UID: "1.2.3", BEHIND: "behind"}
    assert read_tags(raw, wanted) == wanted


@pytest.mark.parametrize("vr", ["UN", "OB", "SQ", "LO", "US", "UT", "ZZ", "??", "\0\0"])
@pytest.mark.parametrize("tag", [0x00020002, 0x00020010, 0x00020013])
def test_p3_impossible_vrs_in_group_2(vr, tag):
    value = EXPLICIT_LE.encode() + b"\0"
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if vr == "\0\0":  # implicit VR
        head += struct.pack("<L", len(value))
    elif vr in LONG_VRS or vr == "ZZ":
        head += vr.encode() + struct.pack("<HL", 0, len(value))
    else:
        head += vr.encode() + struct.pack("<H", len(value))
    meta = element(0x00020000, "UL", bytes(4)) + head + value
    raw = bytes(128) + b"DICM" + meta + uid() + behind()
    values, error = outcome(raw, ["(0002,0000)", UID, BEHIND])
    assert values["(0002,0000)"] == "0"
    if vr == "??":  # two bytes that are no VR are the length of an implicit VR element
        assert isinstance(error, TruncatedError)
        assert error.tag == tag
        assert error.offset == len(raw)
    else:
        assert error is None
        assert (values[UID], values[BEHIND]) == ("1.2.3", "behind")


@pytest.mark.parametrize("vr", ["OB", "SQ", "UN", "UT"])
def test_p3_an_undefined_length_in_group_2(vr):
    meta = element(0x00020010, "UI", EXPLICIT_LE.encode() + b"\0")
    at = 132 + len(meta)
    raw = bytes(128) + b"DICM" + meta + element(0x00020102, vr, b"12345678", length=UNDEFINED)
    values, error = outcome(raw + uid(), ["(0002,0010)", "(0002,0102)", UID])
    assert isinstance(error, CorruptError)
    assert (error.tag, error.offset) == (0x00020102, at)
    assert f"(0002,0102) at byte {at}" in str(error)
    assert values["(0002,0010)"] == EXPLICIT_LE


def test_p3_a_length_in_group_2_beyond_the_file():
    meta = element(0x00020010, "UI", EXPLICIT_LE.encode() + b"\0")
    for lie in (
        element(0x00020102, "OB", b"12345678", length=0xFFFFFFFE),
        element(0x00020013, "SH", b"12345678", length=0xFFFE),
    ):
        raw = bytes(128) + b"DICM" + meta + lie
        values, error = outcome(raw, ["(0002,0010)", "(0002,0013)", UID])
        assert isinstance(error, TruncatedError)
        assert error.tag == struct.unpack("<HH", lie[:4])[1] | 0x00020000
        assert error.offset == len(raw)
        assert values == {"(0002,0010)": EXPLICIT_LE, "(0002,0013)": None, UID: None}


@pytest.mark.parametrize("meta_syntax", ["explicit", "implicit", "big"])
@pytest.mark.parametrize("claimed", [*SYNTAXES[:3], "1.2.3.4", "", None])
@pytest.mark.parametrize("real", SYNTAXES[:3])
def test_p3_a_transfer_syntax_that_lies(real, claimed, meta_syntax):
    """The first element says how the data set is encoded, whatever group 2 says and is itself."""
    big = meta_syntax == "big"
    vr = None if meta_syntax == "implicit" else "UI"
    meta = element(0x00020002, vr, b"1.2.", big=big)
    if claimed is not None:
        value = claimed.encode() + b"\0" * (len(claimed) % 2)
        meta += element(0x00020010, vr, value, big=big)
    big = real == EXPLICIT_BE
    vrs = (None, None) if real == IMPLICIT_LE else ("UI", "LO")
    raw = bytes(128) + b"DICM" + meta + uid(vrs[0], big=big) + behind(vrs[1], big=big)
    wanted = {"(0002,0002)": "1.2.", UID: "1.2.3", BEHIND: "behind"}
    assert read_tags(raw, wanted) == wanted


def test_p3_meta_and_nothing_else():
    raw = part10(b"")
    assert read_tags(raw, "(0002,0010)") == {"(0002,0010)": EXPLICIT_LE}
    values, error = outcome(raw, ["(0002,0010)", UID])
    assert isinstance(error, TruncatedError)
    assert values == {"(0002,0010)": EXPLICIT_LE, UID: None}
    assert error.offset == len(raw)


# --- P4: delimiters and items ---------------------------------------------------------------------

ITEM_END = element(0xFFFEE00D, None)
SEQUENCE_END = element(0xFFFEE0DD, None)
INNER = element(IN_SQ, "UI", b"1.2.")
OPEN = element(0xFFFEE000, None, length=UNDEFINED)
COUNT = "ReferencedImageSequence"
ALL = "ReferencedImageSequence[*].ReferencedSOPInstanceUID"


def opened(content):
    return element(SQ, "SQ", length=UNDEFINED) + content


@pytest.mark.parametrize(
    "stray",
    [
        ITEM_END,
        SEQUENCE_END,
        SEQUENCE_END * 3 + ITEM_END,
        element(0xFFFEE000, None),
        item(element(0x00100010, "PN", b"Doe^Jane")),
        item(element(IN_SQ, "UI", b"9.9."), length=UNDEFINED),
    ],
    ids=["item end", "sequence end", "many", "empty item", "item", "undefined item"],
)
def test_p4_stray_delimiters_and_items_outside_sequences(stray):
    wanted = {UID: "1.2.3", COUNT: "1", ALL: "1.2.", NAME: None, BEHIND: "behind"}
    whole = sequence(SQ, [item(INNER)], undefined=True)
    for data_set in (uid() + stray + whole + behind(), uid() + whole + stray + behind()):
        assert read_tags(part10(data_set), wanted) == wanted
        assert read_tags(part10(data_set), BEHIND) == {BEHIND: "behind"}


BROKEN = {
    # what stands between the tag of an undefined sequence and the element behind it: items, values
    "no item delimiter": (OPEN + INNER + OPEN + INNER + SEQUENCE_END, 2, 2),
    "no sequence delimiter": (OPEN + INNER + ITEM_END, 1, 1),
    "no item delimiter but the last": (OPEN + INNER + OPEN + INNER + ITEM_END + SEQUENCE_END, 2, 2),
    "stray item delimiter": (item(INNER) + ITEM_END + item(INNER) + SEQUENCE_END, 2, 2),
    "two item delimiters": (OPEN + INNER + ITEM_END * 2 + item(INNER) + SEQUENCE_END, 2, 2),
    "empty": (SEQUENCE_END, 0, 0),
    "empty, not closed": (b"", 0, 0),
    "empty items": (item() + item(length=UNDEFINED) + item() + SEQUENCE_END, 3, 0),
    "two sequence delimiters": (item(INNER) + SEQUENCE_END * 2, 1, 1),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "tags", [[], [COUNT], [ALL], [COUNT, ALL]], ids=["-", "count", "all", "both"]
)
def test_p4_missing_delimiters(kind, tags):
    content, items, values = BROKEN[kind]
    wanted = {UID: "1.2.3", BEHIND: "behind"}
    wanted |= {COUNT: str(items)} if COUNT in tags else {}
    wanted |= {ALL: "\\".join(["1.2."] * values) or None} if ALL in tags else {}
    raw = part10(uid() + opened(content) + behind())
    assert read_tags(raw, wanted) == wanted
    # The same inside an item that has a length.
    inside = "ProcedureCodeSequence[0]."
    raw = part10(uid() + sequence(0x00081032, [item(opened(content))]) + behind())
    wanted = {t if t in (UID, BEHIND) else inside + t: value for t, value in wanted.items()}
    assert read_tags(raw, wanted) == wanted


@pytest.mark.parametrize(
    "tags", [[], [COUNT], [ALL], [COUNT, ALL]], ids=["-", "count", "all", "both"]
)
@pytest.mark.parametrize("claim", [20, 1000, 0x7FFFFFFF, 0xFFFFFFFE])
def test_p4_an_item_longer_than_its_sequence(claim, tags):
    long = element(0xFFFEE000, None, length=claim) + INNER
    raw = part10(uid() + element(SQ, "SQ", long) + behind())
    wanted = {UID: "1.2.3", COUNT: "1", ALL: "1.2.", BEHIND: "behind"}
    wanted = {tag: text for tag, text in wanted.items() if tag in (UID, BEHIND, *tags)}
    assert read_tags(raw, wanted) == wanted


@pytest.mark.parametrize("undefined", [False, True])
def test_p4_a_sequence_longer_than_its_item(undefined):
    inner = element(SQ, "SQ", item(INNER), length=1000)
    raw = part10(uid() + sequence(0x00081032, [item(inner)], undefined=undefined) + behind())
    inside = f"ProcedureCodeSequence[0].{ALL}"
    wanted = {UID: "1.2.3", "ProcedureCodeSequence": "1", inside: "1.2.", BEHIND: "behind"}
    assert read_tags(raw, wanted) == wanted


@pytest.mark.parametrize("vr", ["LO", "UT", "OB", "US"])
def test_p4_a_value_longer_than_its_item(vr):
    """PS3.5 7.5.1: an item's length is that of the data set in it. What stands behind the item is
    never part of a value in it, and is read."""
    tag = {"LO": 0x00080104, "UT": 0x00080120, "OB": 0x00282000, "US": 0x00280010}[vr]
    keyword = {"LO": "CodeMeaning", "UT": "URNCodeValue", "OB": "ICCProfile", "US": "Rows"}[vr]
    inner = element(0x00080100, "SH", b"code") + element(tag, vr, b"AB", length=16)
    raw = part10(uid() + sequence(0x00081032, [item(inner)]) + behind())
    path = f"ProcedureCodeSequence[0].{keyword}"
    values, _ = outcome(raw, [UID, "ProcedureCodeSequence[0].CodeValue", path, BEHIND])
    assert values[UID] == "1.2.3"
    assert values["ProcedureCodeSequence[0].CodeValue"] == "code"
    assert values[path] in {None, *{"US": ["16961"], "OB": ["2"]}.get(vr, ["AB"])}
    assert values[BEHIND] == "behind"


def test_p4_delimiters_in_sequences_that_have_a_length():
    for content in (
        item(INNER) + SEQUENCE_END,
        item(INNER, length=UNDEFINED) + SEQUENCE_END,
        OPEN + INNER,
        item(INNER) + b"\0" * 4,
    ):
        raw = part10(uid() + element(SQ, "SQ", content) + behind())
        wanted = {UID: "1.2.3", COUNT: "1", ALL: "1.2.", BEHIND: "behind"}
        assert read_tags(raw, wanted) == wanted


def test_p4_an_undefined_length_where_there_is_none():
    """PS3.5 7.1.1: only SQ, UN, OB and OW may have it; a count of bytes is no name."""
    raw = part10(uid() + element(0x00100010, "UT", b"Doe^Jane", length=UNDEFINED) + behind())
    values, _ = outcome(raw, [UID, NAME])
    assert values == {UID: "1.2.3", NAME: None}
    raw = part10(
        uid(None) + element(0x00100010, None, item(b"Doe^Jane") + SEQUENCE_END, length=UNDEFINED),
        IMPLICIT_LE,
    )
    values, _ = outcome(raw, [UID, NAME])
    assert values == {UID: "1.2.3", NAME: None}


# --- P5: truncation -------------------------------------------------------------------------------

FOLDER = "pydicom__pydicom/src/pydicom/data/test_files"
CODE = "ConceptNameCodeSequence[0]."
CUT = {
    f"{FOLDER}/rtplan.dcm": [
        "(0002,0010)", "StudyDate", "Manufacturer", "ReferencedStudySequence", NAME, BEHIND,
        "StudyInstanceUID", "RTPlanLabel", "DoseReferenceSequence[*].TargetPrescriptionDose",
        "FractionGroupSequence[0].ReferencedBeamSequence[0].BeamMeterset",
        "BeamSequence", "BeamSequence[0].BeamName",
        "BeamSequence[0].ControlPointSequence[*].CumulativeMetersetWeight",
        "BeamSequence[0].ControlPointSequence[1].ControlPointIndex", "ApprovalStatus",
    ],
    f"{FOLDER}/reportsi.dcm": [
        "(0002,0002)", "(0002,0010)", "SpecificCharacterSet", "StudyDate", NAME, BEHIND,
        "StudyInstanceUID", "ConceptNameCodeSequence", CODE + "CodeMeaning",
        "ContentSequence", "ContentSequence[0].RelationshipType",
        "ContentSequence[*].ValueType", "ContentSequence[*]." + CODE + "CodeMeaning",
    ],
    f"{FOLDER}/rtdose_expb_1frame.dcm": [
        "(0002,0010)", "StudyDate", NAME, BEHIND, "Rows", "PixelSpacing", "DoseUnits",
        "ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID", "PixelData",
    ],
    "cornerstonejs__dicomParser/testImages/deflate/report_dfl": [
        "(0002,0010)", "SOPClassUID", NAME, "StudyInstanceUID", "ContentSequence",
        "ContentSequence[0].ValueType", "ContentSequence[*]." + CODE + "CodeMeaning",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_p5_truncation_at_every_byte(name, corpus):
    raw = (corpus / name).read_bytes()
    is_deflated = "deflate" in name
    tags = CUT[name]
    whole = read_tags(raw, tags)
    assert sum(value is not None for value in whole.values()) > len(tags) - 3
    # Where the bytes of a value end, for values that stand in the file once, as text.
    ends = {}
    for tag, value in whole.items():
        if value and len(value) > 5 and raw.count(value.encode()) == 1 and not is_deflated:
            ends[tag] = raw.index(value.encode()) + len(value) + len(value) % 2
    assert is_deflated or len(ends) > 3
    seen = dict.fromkeys(tags)
    boundaries = 0
    for cut in range(len(raw)):
        values, error = outcome(raw[:cut], tags)
        for tag, value in values.items():
            if "[*]" in tag and value is not None:  # as many as there are
                assert (whole[tag] + "\\").startswith(value + "\\"), (cut, tag)
            else:
                assert value in (None, whole[tag]), (cut, tag)
            assert value is not None or seen[tag] is None, (cut, tag)
            seen[tag] = value
            assert value is not None or cut < ends.get(tag, len(raw)), (cut, tag)
        if error is None:
            boundaries += values != whole
        elif cut < 132:
            assert isinstance(error, NotDicomError), cut
        else:
            assert isinstance(error, TruncatedError), (cut, error)
            assert f"at byte {error.offset}" in str(error)
            # Less than an element is named by where it begins.
            assert is_deflated or error.offset == (132 if cut < 140 else cut)
    # Between two elements nothing tells that there were more.
    assert boundaries < 60


@pytest.mark.parametrize("name", CUT)
def test_p5_truncated_files_in_a_scan(name, corpus, tmp_path):
    raw = (corpus / name).read_bytes()
    tags = CUT[name]
    expected = {}
    for cut in range(0, len(raw), 23):
        path = tmp_path / f"{cut}.dcm"
        path.write_bytes(raw[:cut])
        values, error = outcome(raw[:cut], tags)
        status = ("OK", None) if error is None else ("ERROR", str(error))
        expected[str(path)] = (status[0], *values.values(), status[1])
    assert rows_of(tmp_path, tags) == expected


# --- P9: many items -------------------------------------------------------------------------------


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    bytes = 0

    def read(self, size=-1):
        data = super().read(size)
        self.bytes += len(data)
        return data


@pytest.mark.parametrize(
    "tag", [None, COUNT, ALL, "ReferencedImageSequence[9999999].ReferencedSOPInstanceUID"]
)
def test_p9_ten_million_empty_items_are_read_once(tag):
    many = element(SQ, "SQ", length=UNDEFINED) + b"\xfe\xff\0\xe0\0\0\0\0" * 10_000_000
    raw = part10(uid() + many + SEQUENCE_END + behind())
    del many
    wanted = {UID: "1.2.3"} | ({tag: "10000000" if tag == COUNT else None} if tag else {})
    wanted[BEHIND] = "behind"
    file = Counting(raw)
    assert read_tags(file, wanted) == wanted
    assert file.bytes < len(raw) * 1.1


@pytest.mark.parametrize("undefined", [True, False])
def test_p9_items_of_undefined_length_are_read_once(undefined):
    many = item(item(), length=UNDEFINED) if undefined else item(length=UNDEFINED)
    content = many * 300_000
    raw = part10(uid() + opened(content) + SEQUENCE_END + behind())
    wanted = {UID: "1.2.3", COUNT: "300000", ALL: None, BEHIND: "behind"}
    for tags in ([COUNT], [ALL], []):
        file = Counting(raw)
        chosen = {tag: text for tag, text in wanted.items() if tag in (UID, BEHIND, *tags)}
        if not undefined:
            assert read_tags(file, chosen) == chosen
            assert file.bytes < len(raw) * 1.1
        else:  # items in items: no data set, and no reason to hang
            outcome(file, chosen)
            assert file.bytes < len(raw) * 1.1


# --- P10, P11: what is and is not DICOM -----------------------------------------------------------


@pytest.mark.parametrize(
    "magic",
    [b"", b"\0", b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0",
     b"MM\0*", b"%PDF-1.7\n", b"PK\3\4", b"\x1f\x8b\x08", b"\x7fELF", b"MZ", b"DICM", b"<html>",
     b"{\"a\": 1}", b"version https://git-lfs.github.com/spec/v1\n", b"SQLite format 3\0",
     b"a,b,c\n1,2,3\n", b"\x08\0\x05\0", b"\x08\0\x16\0UI\x04\0", bytes(128) + b"dicm",
     bytes(128) + b"DICM"],
)  # fmt: skip
@pytest.mark.parametrize("rest", ["nothing", "zeros", "text", "noise"])
def test_p10_look_alikes_are_refused_with_a_reason(magic, rest):
    noise = random.Random(repr(magic)).randbytes(4000)
    text = b"The quick brown fox jumps over the lazy dog.\n" * 90
    raw = magic + {"nothing": b"", "zeros": bytes(4000), "text": text, "noise": noise}[rest]
    with pytest.raises(DicomloomError, match=r"^(not DICOM: \w|truncated: \w)") as raised:
        read_tags(raw, UID)
    assert raised.value.values == {UID: None}


def test_p10_noise_is_never_dicom():
    source = random.Random(10)
    for _ in range(3000):
        with pytest.raises(NotDicomError):
            read_tags(source.randbytes(source.randrange(2000)), UID)


@pytest.mark.parametrize(
    "preamble",
    [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"MZ\x90\0", b"\x7fELF\2\1\1\0", b"%PDF-1.4\n",
     b"PK\3\4", b"#!/bin/sh\n", b"\x08\0\x05\0CS\x0a\0ISO_IR 100", b"\xff" * 128],
)  # fmt: skip
def test_p11_the_preamble_may_be_anything(preamble):
    raw = part10(uid() + behind(), preamble=preamble.ljust(128, b"\0"))
    assert read_tags(raw, [UID, BEHIND]) == {UID: "1.2.3", BEHIND: "behind"}


def test_p11_polyglots_of_the_corpus_are_read(corpus):
    rows = rows_of(corpus / "generated" / "polyglot-preamble", [UID, "Rows"])
    assert len(rows) >= 7
    assert {row[0] for row in rows.values()} == {"OK"}
    assert all(row[1] and row[2] for row in rows.values())


# --- flipped bytes --------------------------------------------------------------------------------

FLIPPED = [
    f"{FOLDER}/rtplan.dcm",
    f"{FOLDER}/reportsi.dcm",
    f"{FOLDER}/rtdose_expb_1frame.dcm",
    f"{FOLDER}/nested_priv_SQ.dcm",
    f"{FOLDER}/UN_sequence.dcm",
    f"{FOLDER}/ExplVR_BigEndNoMeta.dcm",
    "pydicom__pydicom/src/pydicom/data/charset_files/chrH32.dcm",
    "pydicom__pydicom/src/pydicom/data/charset_files/chrX2.dcm",
    "cornerstonejs__dicomParser/testImages/deflate/report_dfl",
]
FLIPPED_TAGS = [
    "(0002,0010)", UID, NAME, "StudyDate", "Rows", "ContentSequence[*].ValueType",
    "BeamSequence[0].ControlPointSequence[*].GantryAngle", '(0007,"UNKNOWN",01)', "PixelData",
]  # fmt: skip


@pytest.mark.parametrize("name", FLIPPED)
def test_p12_flipped_bytes_raise_nothing_but_our_errors(name, corpus):
    """A crash would end this process. Clean under UBSan: see native/tests and native/fuzz."""
    raw = bytearray((corpus / name).read_bytes()[:6000])
    read = 0
    for at in range(min(2000, len(raw))):
        kept = raw[at]
        for value in (kept ^ 0xFF, kept ^ 0x01):
            raw[at] = value
            values, error = outcome(raw, FLIPPED_TAGS)
            read += error is None
            assert values.keys() == set(FLIPPED_TAGS)
            assert error is None or str(error)
        raw[at] = kept
    assert read


def test_p12_flipped_bytes_in_a_scan(corpus, tmp_path):
    raw = bytearray((corpus / FLIPPED[1]).read_bytes())
    for at in range(0, 2000, 7):
        raw[at] ^= 0xFF
        (tmp_path / str(at)).write_bytes(raw)
        raw[at] ^= 0xFF
    rows = rows_of(tmp_path, FLIPPED_TAGS, typed=True)
    assert len(rows) == len(range(0, 2000, 7))
    assert all((row[0] == "OK") == (row[-1] is None) for row in rows.values())


# --- P8: deflate ----------------------------------------------------------------------------------


def bomb(prefix, mebibytes, suffix=b""):
    """A deflated data set: prefix, mebibytes of zeros, suffix. Small, and quickly made."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = deflater.compress(prefix) + deflater.flush(zlib.Z_FULL_FLUSH)
    zeros = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    tail = deflater.compress(suffix) + deflater.flush()
    return part10(head + zeros * mebibytes + tail, DEFLATED)


def test_p8_deflate_bombs_are_bounded(tmp_path):
    size = 1000 << 20
    files = {
        "hop": bomb(uid() + element(0x00091001, "OB", length=size), 1000, behind()),
        "count": bomb(uid() + element(0x00091001, "OB", length=size), 1000, behind()),
        "text": bomb(uid() + element(0x0008010E, "UR", length=1 << 20), 400, behind()),
        "long text": bomb(uid() + element(0x0008010E, "UR", length=size), 1000, behind()),
        "zeros": bomb(uid(), 1000),
        "items": bomb(uid() + opened(b""), 1000),
    }
    tags = {
        "count": ["(0009,1001)"],
        "text": ["(0008,010e)"],
        "long text": ["(0008,010e)"],
        "items": [COUNT],
    }
    paths = {}
    for kind, raw in files.items():
        paths[kind] = str(tmp_path / kind)
        Path(paths[kind]).write_bytes(raw)
    small = tmp_path / "small"
    small.write_bytes(bomb(uid(), 2))
    script = """
        paths, tags, small = map(json.loads, sys.argv[1:])
        outcome(small, ["SOPInstanceUID", "PatientID"])
        found = {}
        for kind, path in paths.items():
            wanted = ["SOPInstanceUID", *tags.get(kind, []), "PatientID"]
            found[kind] = grown(lambda: outcome(path, wanted))
            found[kind + ", only before"] = grown(lambda: outcome(path, wanted[:1]))
        print(json.dumps(found))
        """
    found = measured(script, json.dumps(paths), json.dumps(tags), json.dumps(str(small)))
    for kind, (kib, (values, error)) in found.items():
        assert kib < 4096, kind
        assert values["SOPInstanceUID"] == "1.2.3", kind
        if "only" in kind:
            assert not error, kind
        else:
            assert error, kind
            assert values["PatientID"] is None, kind
    assert "limit" in found["long text"][1][1]


def test_p8_a_bomb_costs_only_its_own_row(tmp_path):
    (tmp_path / "bomb").write_bytes(
        bomb(uid() + element(0x00091001, "OB", length=400 << 20), 400, behind())
    )
    for i in range(10):
        (tmp_path / f"{i}").write_bytes(framed(uid() + behind(), DEFLATED))
    rows = rows_of(tmp_path, [UID, BEHIND])
    status, *values, error = rows.pop(str(tmp_path / "bomb"))
    assert (status, values) == ("ERROR", ["1.2.3", None])
    assert error
    assert set(rows.values()) == {("OK", "1.2.3", "behind", None)}
    assert len(rows) == 10


@pytest.mark.parametrize("at", ["first byte", "middle", "end", "nothing"])
def test_p8_broken_deflated_streams(at):
    packed = deflated(
        uid() + element(0x00091001, "OB", random.Random(8).randbytes(50_000)) + behind()
    )
    # "nothing": a stream that only begins; there is no saying that nothing else was in it.
    if at == "first byte":
        broken = b"\xff\xff" + packed[2:]
    elif at == "middle":
        broken = packed[:25_000]
    elif at == "end":
        broken = packed[:-6]
    else:
        broken = b"\0\0"
    values, error = outcome(part10(broken, DEFLATED), [UID, BEHIND])
    assert isinstance(error, CorruptError | TruncatedError)
    assert values[BEHIND] is None
    assert values[UID] == (None if at in ("first byte", "nothing") else "1.2.3")


# --- P13: files that are not files, or do not stay ------------------------------------------------


@pytest.fixture
def folder():
    """A folder that other users can enter, unlike those of pytest."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    for each in made.rglob("*"):
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def unprivileged():
    """As a user whom permissions stop; root reads everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10(uid() + behind()))
    return str(path)


GOOD = ("OK", "1.2.3", "behind", None)


def bad(reason):
    return ("ERROR", None, None, reason)


def words(code):
    """The system's words, as they stand inside a sentence."""
    return os.strerror(code)[0].lower() + os.strerror(code)[1:]


def test_p13_what_is_no_file_is_not_opened(folder):
    expected = {write(folder / "a" / "1"): GOOD, write(folder / "a" / "b" / "2"): GOOD}
    os.mkfifo(folder / "a" / "fifo")
    (folder / "a" / "linked fifo").symlink_to("fifo")
    (folder / "a" / "zeros").symlink_to("/dev/zero")
    (folder / "a" / "loop").symlink_to(".")
    (folder / "a" / "b" / "up").symlink_to("../..")
    (folder / "a" / "linked").symlink_to("b/2")
    expected[str(folder / "a" / "linked")] = GOOD
    (folder / "a" / "dangling").symlink_to("nowhere")
    expected[str(folder / "a" / "dangling")] = bad(words(errno.ENOENT))
    (folder / "a" / "self").symlink_to("self")
    expected[str(folder / "a" / "self")] = bad(words(errno.ELOOP))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket is short
        server.bind("socket")
        os.chdir(here)
        for follow in (False, True):
            assert rows_of(folder, [UID, BEHIND], follow_symlinks=follow) == expected


def test_p13_given_by_name_they_are_rows_of_their_own(folder):
    os.mkfifo(folder / "fifo")
    (folder / "gone").symlink_to("nowhere")
    names = [folder / "fifo", Path("/dev/zero"), folder / "gone", folder / "absent"]
    good = write(folder / "good")
    rows = rows_of([*names, good], [UID, BEHIND])
    assert rows == {
        str(names[0]): bad("not a regular file"),
        str(names[1]): bad("not a regular file"),
        str(names[2]): bad(words(errno.ENOENT)),
        str(names[3]): bad(words(errno.ENOENT)),
        good: GOOD,
    }


def test_p13_read_tags_of_what_is_no_file(folder):
    os.mkfifo(folder / "fifo")
    for path, code in [
        (folder / "fifo", None),
        (folder, errno.EISDIR),
        (folder / "x", errno.ENOENT),
    ]:
        with pytest.raises(ReadError) as raised:
            read_tags(path, UID)
        assert isinstance(raised.value, OSError)
        assert raised.value.path == str(path)
        assert raised.value.values == {UID: None}
        assert code is None or raised.value.errno == code
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(DicomloomError):
            read_tags(device, UID)


def test_p13_linked_folders_are_entered_once(folder):
    first = write(folder / "tree" / "deep" / "1")
    (folder / "tree" / "again").symlink_to("deep")
    (folder / "tree" / "deep" / "back").symlink_to("..")
    (folder / "other").symlink_to("tree")
    assert rows_of(folder, [UID, BEHIND]) == {first: GOOD}
    rows = rows_of(folder, [UID, BEHIND], follow_symlinks=True)
    assert list(rows.values()) == [GOOD]


def test_p13_what_may_not_be_read_is_a_row(folder):
    good = write(folder / "good")
    hidden, closed = Path(write(folder / "hidden")), Path(write(folder / "closed" / "1")).parent
    hidden.chmod(0)
    closed.chmod(0)
    reason = words(errno.EACCES)
    with unprivileged():
        rows = rows_of(folder, [UID, BEHIND])
        with pytest.raises(ReadError, match=reason) as raised:
            read_tags(hidden, UID)
    assert rows == {
        good: GOOD,
        str(hidden): bad(reason),
        str(closed): bad(f"cannot list the directory: {reason}"),
    }
    assert raised.value.errno == errno.EACCES


def test_p13_files_that_vanish_while_the_scan_runs(folder):
    """A thread that is a few rows ahead has listed names whose files then go."""
    names = {write(folder / f"{i:02}") for i in range(30)}
    rows = {}
    with scan(folder, [UID, BEHIND], threads=1, batch_size=1) as batches:
        for batch in batches:
            for name, *row in batch.rows():
                assert name not in rows
                rows[name] = tuple(row)
            for name in names:
                Path(name).unlink(missing_ok=True)
    assert rows.keys() == names
    gone = bad(words(errno.ENOENT))
    assert set(rows.values()) == {GOOD, gone}
    assert sum(row == GOOD for row in rows.values()) < 10


class Unsteady(io.BytesIO):
    """A file that changes after some reads."""

    def __init__(self, raw, reads, change):
        super().__init__(raw)
        self.reads = reads
        self.change = change

    def read(self, size=-1):
        if self.reads == 0:
            self.change(self)
        self.reads -= 1
        return super().read(size)


LONG = uid() + element(0x00091001, "OB", bytes(500_000)) + behind()


@pytest.mark.parametrize("left", [0, 100, 300_000, 500_190])
def test_p13_a_file_that_shrinks_while_it_is_read(left):
    values, error = outcome(
        Unsteady(part10(LONG), 1, lambda file: file.truncate(left)), [UID, BEHIND]
    )
    assert isinstance(error, TruncatedError)
    assert values == {UID: "1.2.3", BEHIND: None}


@pytest.mark.parametrize("reads", [1, 9])  # the header, and eight pieces of 64 KiB
def test_p13_a_file_that_shrinks_within_a_value_or_behind_it(reads):
    raw = part10(uid() + element(0x0008010E, "UR", b"a" * 500_000) + behind())
    values, error = outcome(
        Unsteady(raw, reads, lambda file: file.truncate(200_000)), [UID, "(0008,010e)", BEHIND]
    )
    assert isinstance(error, TruncatedError)
    assert values.pop("(0008,010e)") == (None if reads == 1 else "a" * 500_000)
    assert values == {UID: "1.2.3", BEHIND: None}


def test_p13_a_file_that_grows_while_it_is_read():
    def grow(file):
        at = file.tell()
        file.seek(0, io.SEEK_END)
        file.write(bytes(100_000))
        file.seek(at)

    values, error = outcome(Unsteady(part10(LONG), 1, grow), [UID, BEHIND])
    assert error is None
    assert values == {UID: "1.2.3", BEHIND: "behind"}


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, DEFLATED])
def test_p13_a_file_that_the_system_takes_away(code, syntax):
    def fail(file):
        raise OSError(code, os.strerror(code))

    data_set = uid() + element(0x00091001, "OB", random.Random(13).randbytes(500_000)) + behind()
    raw = framed(data_set, syntax)
    values, error = outcome(Unsteady(raw, 3 if syntax == DEFLATED else 1, fail), [UID, BEHIND])
    assert isinstance(error, ReadError)
    assert os.strerror(code) in str(error)
    assert error.errno == code
    assert values == {UID: "1.2.3", BEHIND: None}


def test_p13_an_interrupt_while_a_file_is_read_is_not_swallowed():
    def interrupt(file):
        raise KeyboardInterrupt

    for syntax in (EXPLICIT_LE, DEFLATED):
        with pytest.raises(KeyboardInterrupt):
            read_tags(Unsteady(framed(uid() + behind(), syntax), 0, interrupt), UID)
