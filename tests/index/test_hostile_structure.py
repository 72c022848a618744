"""HOSTILE.md P1 to P4: nesting, lengths, file meta information, delimiters.

A test's name begins with its row.
"""

from __future__ import annotations

import io
import json
import os
import struct
import threading

import pytest

from dicomloom import (
    CorruptError,
    LimitError,
    TruncatedError,
    read_tags,
)
from hostile import (
    ALL,
    BEHIND,
    COUNT,
    IN_SQ,
    NAME,
    SEQUENCE_END,
    SQ,
    SYNTAXES,
    UID,
    behind,
    framed,
    measured,
    opened,
    outcome,
    uid,
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
INNER = element(IN_SQ, "UI", b"1.2.")
OPEN = element(0xFFFEE000, None, length=UNDEFINED)


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
