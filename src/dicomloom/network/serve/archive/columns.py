"""What the catalog holds of an object, and as what it is compared (PS3.4 C.6.1.1, C.2.2.2)."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache

from dicomloom.network.keys import RETURNED, UNIQUE
from dicomloom.tags import parse_tag

# Follow from several objects; see `query`.
COMPUTED = frozenset(
    (
        *("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries"),
        *("NumberOfPatientRelatedInstances", "NumberOfStudyRelatedSeries"),
        *("NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"),
        *("ModalitiesInStudy", "SOPClassesInStudy"),
    )
)
_MORE = {
    "PATIENT": (
        *("IssuerOfPatientID", "PatientBirthTime", "OtherPatientIDs", "OtherPatientNames"),
        *("EthnicGroup", "PatientComments"),
    ),
    "STUDY": (
        *("PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "AdmittingDiagnosesDescription"),
        *("PatientAge", "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory"),
    ),
    "SERIES": (
        *("SeriesTime", "Laterality", "ProtocolName", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime", "PerformingPhysicianName", "OperatorsName"),
        *("InstitutionName", "Manufacturer", "ManufacturerModelName", "StationName"),
    ),
    "IMAGE": (
        *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "ContentDate", "ContentTime"),
        *("AcquisitionDate", "AcquisitionTime", "ImageType", "ImageComments"),
    ),
}
SYNTAX, NAMED = "(0002,0010)", "(0002,0003)"
# The attributes of each level that an object has itself.
STORED = {
    level: tuple(
        keyword
        for keyword in dict.fromkeys((UNIQUE[level], *RETURNED[level], *_MORE[level]))
        if keyword not in COMPUTED
    )
    for level in UNIQUE
}
# A study's patient is what its objects say: there is no table of patients.
TABLES = {
    "study": STORED["PATIENT"] + STORED["STUDY"],
    "series": STORED["SERIES"],
    "instance": STORED["IMAGE"],
}
SCANNED = (*TABLES["study"], *TABLES["series"], *TABLES["instance"], SYNTAX, NAMED)
# Begins what a JSON array of alternatives follows: values, or component groups of a name.
SEVERAL = "\x1f"
_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):?(?:([0-9]{2}):?(?:([0-9]{2})(?:\.([0-9]{1,6}))?)?)?", re.ASCII)


@lru_cache(maxsize=1024)
def vr_of(keyword: str) -> str:
    """Return the VR of PS3.6."""
    return parse_tag(keyword).leaf.vr


@lru_cache(maxsize=1024)
def is_keyed(keyword: str) -> bool:
    """Whether values are compared in another form than they have, in a column of their own."""
    leaf = parse_tag(keyword).leaf
    return leaf.vr in ("PN", "DA", "TM") or (leaf.vm != "1" and leaf.vr != "UI")


@lru_cache(maxsize=1024)
def has_several(keyword: str) -> bool:
    """Whether the form in which values are compared may be an array, after `SEVERAL`."""
    leaf = parse_tag(keyword).leaf
    return is_keyed(keyword) and (leaf.vr == "PN" or leaf.vm != "1")


def column_of(keyword: str) -> str:
    """Return the column that a key is compared with."""
    return f"{keyword}_key" if is_keyed(keyword) else keyword


def key_of(keyword: str, text: str) -> str:
    r"""Return the form in which a value, or several, is compared.

    Examples
    --------
    >>> key_of("PatientName", "Doe^John^^"), key_of("StudyTime", "1015"), key_of("StudyDate", "?")
    ('doe^john', '101500.000000', '')
    >>> key_of("ImageType", "ORIGINAL\\PRIMARY")
    '\x1f["ORIGINAL", "PRIMARY"]'
    """
    if not text:
        return ""
    vr = vr_of(keyword)
    alternatives: list[str] = []
    for value in text.split("\\"):
        if vr == "PN":
            name = name_key(value)
            alternatives += [name, *name.split("=")] if "=" in name else [name]
        elif vr == "DA":
            alternatives.append(date_key(value))
        elif vr == "TM":
            alternatives.append(time_key(value))
        else:
            alternatives.append(value.strip(" "))
    if len(alternatives) == 1 or not has_several(keyword):
        # No file may say that an array follows.
        return alternatives[0].lstrip(SEVERAL)
    return SEVERAL + json.dumps(alternatives, ensure_ascii=False)


def name_key(text: str) -> str:
    """Return a name, or a pattern of names, without what does not count: case, trailing ``^ =``."""
    folded = unicodedata.normalize("NFC", text).casefold()
    groups = (
        "^".join(part.strip(" ") for part in group.split("^")).rstrip("^")
        for group in folded.split("=")
    )
    return "=".join(groups).rstrip("=")


def date_key(text: str) -> str:
    """Return YYYYMMDD, "" where that is no date; dots are of ACR-NEMA (PS3.5 6.2)."""
    match = _DATE.fullmatch(text.strip(" "))
    return match[1] + match[3] + match[4] if match else ""


def time_key(text: str, *, last: bool = False) -> str:
    """Return HHMMSS.FFFFFF, "" where that is no time; filled up with the first, or last, there is.

    Examples
    --------
    >>> time_key("10"), time_key("10", last=True)
    ('100000.000000', '105959.999999')
    """
    match = _TIME.fullmatch(text.strip(" "))
    if not match:
        return ""
    hours, minutes, seconds, fraction = match.groups()
    fill = "59" if last else "00"
    digits = (fraction or "").ljust(6, "9" if last else "0")
    return f"{hours}{minutes or fill}{seconds or fill}.{digits}"
