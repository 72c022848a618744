"""HOSTILE.md P5, P9 to P12: truncation, many items, look-alikes, flipped bytes.

A test's name begins with its row.
"""

from __future__ import annotations

import io
import random

import pytest

from dicomloom import (
    DicomloomError,
    NotDicomError,
    TruncatedError,
    read_tags,
)
from hostile import (
    ALL,
    BEHIND,
    COUNT,
    NAME,
    SEQUENCE_END,
    SQ,
    UID,
    behind,
    opened,
    outcome,
    rows_of,
    uid,
)
from support import (
    UNDEFINED,
    element,
    item,
    part10,
)

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


def test_p12_a_damaged_tag_among_the_meta_elements_hides_nothing():
    """It begins the data set, behind all that is wanted; what follows shows that it lies."""
    meta = element(0x00020013, "SH", b"NAME") + element(0x00020016, "AE", b"AE")
    data = part10(meta + element(0x00100020, "LO", b"42"))
    damaged = data.replace(b"\2\0\x13\0SH", b"\2\xf8\x13\0SH")
    assert damaged != data
    assert read_tags(damaged, "PatientID") == read_tags(data, "PatientID") == {"PatientID": "42"}


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
