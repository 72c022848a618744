"""Every value of the corpus against pydicom's."""

from __future__ import annotations

import re
import struct
import warnings
from fnmatch import fnmatch
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.sequence import Sequence

from dicomloom import DicomloomError, read_tags, scan
from dicomloom.index.schema import DEFAULT_TAGS
from pydicom_values import element_text
from support import manifest, readable

TAGS = (
    # two deep and more, one item and all items
    "SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing",
    "PerFrameFunctionalGroupsSequence[*].PlanePositionSequence[0].ImagePositionPatient",
    "PerFrameFunctionalGroupsSequence[*].FrameContentSequence[*].DimensionIndexValues",
    "SegmentSequence[*].SegmentedPropertyTypeCodeSequence[0].CodeMeaning",
    "BeamSequence[*].ControlPointSequence[*].GantryAngle",
    "SegmentSequence[1].SegmentedPropertyTypeCodeSequence[*].CodeValue",
    "SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]"
    ".RealWorldValueFirstValueMapped",
    "PerFrameFunctionalGroupsSequence[*].DerivationImageSequence[*].SourceImageSequence",
    "DirectoryRecordSequence[*].ReferencedFileID",
    # private
    '(0009,"GEMS_IDEN_01",01)',
    '(0019,"GEMS_ACQU_01",02)',
    '(0027,"GEMS_IMAG_01",42)',
    '(0013,"CTP",10)',
    '(0029,"SIEMENS MEDCOM HEADER",40)[0].(0029,"SIEMENS MEDCOM HEADER",42)',
    # binary numbers: US, SS, FD, FL, UL, AT
    "Rows",
    "PixelPaddingValue",
    "SmallestImagePixelValue",
    "AcquisitionDuration",
    "CalciumScoringMassFactorDevice",
    "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity",
    "FrameIncrementPointer",
    # numbers as text, counts, lengths, file meta information, text
    "ImageOrientationPatient",
    "InstanceNumber",
    "SourceImageSequence",
    "PixelData",
    "RedPaletteColorLookupTableData",
    "(0002,0002)",
    "(0002,0010)",
    "(0002,0013)",
    "ImageComments",
    "DerivationDescription",
    "SpecimenDescriptionSequence[0].SpecimenPreparationSequence[*]"
    ".SpecimenPreparationStepContentItemSequence[*].TextValue",
    "ReferringPhysicianName",
    "OtherPatientIDsSequence",
)

_TRUNCATED = (
    "the file ends inside: an error names the byte, and half a value is none (HOSTILE P2, P5)"
)
_UN = "PS3.5 6.2.2 note 4: the value of a UN is implicit VR little endian in any transfer syntax"
_BIG_ENDIAN_UN = "*/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm"

# (files, tags as a regular expression) -> why dicomloom's value is right where pydicom has another.
EXPECTED = {
    ("*/charset_files/chrX[12].dcm", "PatientName"): (
        "PS3.5 6.2.1: a trailing = may be left out, so it may be there; values are not rewritten"
    ),
    (_BIG_ENDIAN_UN, r'\(00..,"GEMS_\w+",..\)'): _UN,
    ("*/MR_truncated.dcm", "Status|PixelData"): _TRUNCATED,
    ("*/rtplan_truncated.dcm", "Status"): _TRUNCATED,
}
EXPECTED_OF_ALL = {
    ("*/charset_files/chrX[12].dcm", r"\(0010,0010\)"): EXPECTED[
        "*/charset_files/chrX[12].dcm", "PatientName"
    ],
    (_BIG_ENDIAN_UN, r'\(00..,"GEMS_\w+",..\)'): _UN,
    ("*/MR_truncated.dcm", r"Status|\(7fe0,0010\)"): _TRUNCATED,
    (
        "*/rtplan_truncated.dcm",
        r"Status|\(300a,00b0\)(\[0\]\.\(300a,0111\)(\[0\]\.\(300a,012c\))?)?",
    ): (_TRUNCATED),
}

_STEP = re.compile(r'(\((?:[^")]|"[^"]*")*\)|[^.\[(]+)(?:\[(\*|\d+)\])?(?:\.|$)')


def find_element(data_set, step):
    private = re.fullmatch(r'\((\w{4}),"(.+)",(\w\w)\)', step)
    if private:
        group = int(private[1], 16)
        for block in range(0x10, 0x100):
            creator = data_set.get((group, block))
            if creator is not None and str(creator.value).strip() == private[2]:
                return data_set.get((group, block << 8 | int(private[3], 16)))
        return None
    number = re.fullmatch(r"\((\w{4}),(\w{4})\)", step)
    tag = int(number[1] + number[2], 16) if number else tag_for_keyword(step)
    if tag >> 16 == 2:
        data_set = getattr(data_set, "file_meta", {})
    return data_set.get(pydicom.tag.Tag(tag))


def pydicom_elements(data_set, path):
    """The elements that a path leads to."""
    steps = _STEP.findall(path)
    assert steps, path
    found = [data_set]
    for step, chosen in steps[:-1]:
        entered = []
        for each in found:
            element = find_element(each, step)
            if element is None or not isinstance(element.value, Sequence):
                continue
            items = list(element.value)
            entered += items if chosen == "*" else items[int(chosen) : int(chosen) + 1]
        found = entered
    elements = [find_element(each, steps[-1][0]) for each in found]
    return [element for element in elements if element is not None]


def pydicom_text(data_set, path):
    """What dicomloom documents, from pydicom's values: (text or None, VR)."""
    elements = pydicom_elements(data_set, path)
    if not elements:
        return None, None
    return "\\".join(element_text(each) for each in elements), elements[0].VR


def numbers(text, vr):
    values = [float(v) if v.strip() else None for v in text.split("\\")]
    return [v if v is None or vr != "FL" else struct.pack("<f", v) for v in values]


def same(ours, theirs, vr):
    if ours is None or theirs is None or vr not in ("DS", "FD", "FL", "IS"):
        return ours == theirs
    try:
        return numbers(ours, vr) == numbers(theirs, vr)
    except ValueError:
        return ours == theirs


@pytest.fixture(scope="module")
def data_sets(corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: pydicom.dcmread(corpus / name, force=True, defer_size="64 KB")
            for name in readable(corpus)
        }


def judge(differences, expected):
    """Every difference is listed, and what is listed is still one."""
    stale = set(expected)
    unlisted = []
    for name, tag, ours, theirs in differences:
        listed = [e for e in expected if fnmatch(name, e[0]) and re.fullmatch(e[1], tag)]
        stale.difference_update(listed)
        if not listed:
            unlisted.append(f"{name} {tag}: {ours!r}, pydicom {theirs!r}")
    assert not unlisted, "\n".join(unlisted[:40])
    assert not stale, f"no longer a difference: {stale}"


def scanned(corpus, names, tags):
    """The rows of a scan by file: (Status, values ..., Error)."""
    rows = {}
    with scan([corpus / name for name in names], tags) as batches:
        for batch in batches:
            for name, *row in batch.rows():
                rows[str(Path(name).relative_to(corpus))] = row
    assert rows.keys() == set(names)
    return rows


@pytest.mark.filterwarnings("ignore")
def test_scan_equals_pydicom(corpus, data_sets):
    assert len(data_sets) > 300
    differences = []
    seen = dict.fromkeys((*DEFAULT_TAGS, *TAGS), 0)
    for tags in (DEFAULT_TAGS, TAGS):
        rows = scanned(corpus, data_sets, tags)
        for name, data_set in data_sets.items():
            status, *values, error = rows[name]
            if status != "OK":
                differences.append((name, "Status", error, "OK"))
            for tag, ours in zip(tags, values, strict=True):
                theirs, vr = pydicom_text(data_set, tag)
                seen[tag] += theirs is not None
                if not same(ours, theirs, vr):
                    differences.append((name, tag, ours, theirs))
    judge(differences, EXPECTED)
    assert all(seen.values()), f"in no file: {[tag for tag in seen if not seen[tag]]}"


def every_path(data_set, prefix="", depth=0):
    """Paths to all elements of a data set, sequences entered at their first item."""
    if depth == 0 and hasattr(data_set, "file_meta"):
        for tag in sorted(data_set.file_meta.keys()):
            yield f"({tag.group:04x},{tag.element:04x})"
    for tag in sorted(data_set.keys()):
        creator = None
        if tag.is_private and tag.element > 0xFF:
            creator = find_creator(data_set, tag)
        if creator:
            name = f'({tag.group:04x},"{creator}",{tag.element & 0xFF:02x})'
        else:
            name = f"({tag.group:04x},{tag.element:04x})"
        yield prefix + name
        value = data_set[tag].value
        if isinstance(value, Sequence) and len(value) and depth < 4:
            yield from every_path(value[0], f"{prefix}{name}[0].", depth + 1)


def find_creator(data_set, tag):
    creator = data_set.get((tag.group, tag.element >> 8))
    return creator and str(creator.value).strip().replace('"', "")


@pytest.mark.filterwarnings("ignore")
def test_every_element_equals_pydicom(corpus, data_sets):
    differences = []
    compared = 0
    for name, data_set in data_sets.items():
        paths = list(every_path(data_set))
        try:
            values = read_tags(corpus / name, paths)
        except DicomloomError as error:
            values = error.values
            differences.append((name, "Status", str(error), "OK"))
        for path in paths:
            theirs, vr = pydicom_text(data_set, path)
            compared += 1
            if not same(values[path], theirs, vr):
                differences.append((name, path, values[path], theirs))
    judge(differences, EXPECTED_OF_ALL)
    assert compared > 10_000


def test_what_is_not_dicom_is_refused_with_a_reason(corpus):
    kinds = {row["file"]: row["kind"] for row in manifest(corpus)}
    others = [name for name, kind in kinds.items() if kind not in ("part10", "headerless")]
    assert len(others) > 40
    rows = scanned(corpus, others, None)
    for name, (status, *values, error) in rows.items():
        assert status == "ERROR", name
        assert error, name
        assert not any(values), name
        with pytest.raises(DicomloomError, match=r"\w") as raised:
            read_tags(corpus / name, DEFAULT_TAGS)
        assert raised.value.path == str(corpus / name)
