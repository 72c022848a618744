"""Identifiers of C-FIND: which keys belong to which level, and what may be asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dicomloom import attributes
from dicomloom.errors import TagError
from dicomloom.tags import TagPath, parse_tag

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.4 C.3 and C.6: from the top down, each with its unique key.
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
LEVELS = {"patient": tuple(UNIQUE), "study": tuple(UNIQUE)[1:]}
# What is asked for at a level unless the caller says more: the keys that PS3.4 C.6.1.1 calls
# unique and required, and the optional ones that most peers know.
RETURNED = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyInstanceUID"),
        *("StudyDescription", "ReferringPhysicianName", "ModalitiesInStudy"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    "SERIES": (
        *("Modality", "SeriesNumber", "SeriesInstanceUID", "SeriesDescription", "SeriesDate"),
        *("BodyPartExamined", "NumberOfSeriesRelatedInstances"),
    ),
    "IMAGE": ("InstanceNumber", "SOPInstanceUID", "SOPClassUID"),
}
# Others whose level is plain from PS3.4 C.6.1.1; those in neither table may be anywhere.
_OTHERS = {
    "PATIENT": (
        *("IssuerOfPatientID", "PatientBirthTime", "OtherPatientNames", "EthnicGroup"),
        *("PatientComments", "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries"),
        "NumberOfPatientRelatedInstances",
    ),
    "STUDY": (
        *("SOPClassesInStudy", "PhysiciansOfRecord", "AdmittingDiagnosesDescription"),
        *("PatientAge", "PatientSize", "PatientWeight", "Occupation"),
        "AdditionalPatientHistory",
    ),
    "SERIES": ("SeriesTime", "Laterality", "ProtocolName", "PerformedProcedureStepStartDate"),
    "IMAGE": ("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "ContentDate", "ContentTime"),
}
# PS3.4 C.2.2.2.4: where * and ? are wildcards.
_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_RANGES = frozenset(("DA", "TM", "DT"))
# In a DT a hyphen may begin a time zone instead: a range has what looks like one end on a side.
_HYPHEN = {"DA": "-", "TM": "-", "DT": r"(?<![&])-(?=[0-9]{4}[0-9.]*(?:[+-][0-9]{4})?$)"}


def set_key(identifier: Dataset, where: str, value: object) -> None:
    """Set one key: a value, or what PS3.4 C.2.2.2 matches it by; None and "" only ask for it.

    Ranges of dates and times (``20260101-``), wildcards in text (``DOE*``) and lists of UIDs are
    taken beside single values; each part is held to the rules of its VR.

    Raises
    ------
    TagError
        There is no such attribute, or the value breaks its VR.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> made = Dataset()
    >>> set_key(made, "StudyDate", "20260101-20261231")
    >>> set_key(made, "Modality", None)
    >>> made.StudyDate, made["Modality"].is_empty
    ('20260101-20261231', True)
    """
    path = parse_tag(where)
    if value is None or (isinstance(value, str | list) and not value):
        attributes.put(identifier, where, None)
        return
    vr = path.leaf.vr
    if not isinstance(value, str) or vr not in _WILD | _RANGES | {"UI"}:
        attributes.put(identifier, where, value)
        return
    for part in _parts(vr, value):
        attributes.put(identifier, where, part)
    _place(identifier, path, value)


def _parts(vr: str, value: str) -> list[str]:
    """Return single values that are fit for the VR where the value is fit for matching."""
    if vr == "UI":
        return value.split("\\")
    if vr in _WILD:
        # What a question mark stands for is one character; an asterisk may stand for none.
        return [value.replace("*", "").replace("?", "X")]
    ends = [value]
    if vr != "DT":
        ends = value.split("-", 1)
    elif value.endswith("-") or value.startswith("-"):
        ends = [value.strip("-")]
    else:
        ends = re.split(_HYPHEN["DT"], value, maxsplit=1)
    return [end.strip() for end in ends if end.strip()] or [value]


def _place(identifier: Dataset, path: TagPath, value: str) -> None:
    from pydicom.dataelem import DataElement

    for step in path.steps[:-1]:
        identifier = identifier[step.tag].value[step.item]
    leaf = path.leaf
    many = value.split("\\") if leaf.vr == "UI" else [value]
    # Not validated again: a range is no date.
    element = DataElement(leaf.tag, leaf.vr, many if len(many) > 1 else value, validation_mode=0)
    identifier.add(element)


def level_of(keyword: str) -> str | None:
    """Return the level that a key belongs to, None where that is not plain.

    Examples
    --------
    >>> level_of("ModalitiesInStudy"), level_of("Modality"), level_of("Manufacturer")
    ('STUDY', 'SERIES', None)
    """
    for table in (RETURNED, _OTHERS):
        for level, keywords in table.items():
            if keyword in keywords:
                return level
    return None


def identifier_of(
    level: str, root: str, keys: Mapping[str, object], relational: bool
) -> tuple[Dataset, str]:
    """Return the identifier of a query, and why it needs relational queries ("": it does not).

    Raises
    ------
    ValueError
        There is no such root, or no such level in it.
    TagError
        A key is none, its value breaks its VR, or without `relational` it is not allowed at this
        level (PS3.4 C.4.1.2.1).
    """
    from pydicom import Dataset

    if root not in LEVELS:
        raise ValueError(f'root: expected "study" or "patient", not {root!r}')
    levels = LEVELS[root]
    level = level.upper()
    if level not in levels:
        names = ", ".join(levels)
        hint = '; ask with root="patient"' if level == "PATIENT" else ""
        raise ValueError(f"level: expected {names} in the {root} root, not {level!r}{hint}")
    made = Dataset()
    made.QueryRetrieveLevel = level
    above = levels[: levels.index(level)]
    wanted = [UNIQUE[one] for one in above]
    wanted += [*RETURNED["PATIENT"]] if level == "STUDY" and root == "study" else []
    for keyword in (*wanted, *RETURNED[level]):
        set_key(made, keyword, None)
    for where, value in keys.items():
        tag = parse_tag(where).leaf.tag
        if tag == 0x00080052 and value == level:
            continue
        if tag == 0x00080052:
            raise TagError(f"QueryRetrieveLevel is {level}: give the level that you mean", tag=tag)
        set_key(made, where, value)
    why = _beyond_hierarchy(made, level, root)
    if why is not None and not relational:
        raise TagError(f"{why[0]}: {why[1]}, or ask for a relational query (PS3.4 C.4.1.2)")
    attributes.set_charset(made)
    return made, f"{why[0]}: {why[1]}" if why else ""


def _beyond_hierarchy(identifier: Dataset, level: str, root: str) -> tuple[str, str] | None:
    """Return what PS3.4 C.4.1.2.1 does not allow, and what to do about it."""
    levels = LEVELS[root]
    for above in levels[: levels.index(level)]:
        keyword = UNIQUE[above]
        value = identifier.get(keyword)
        text = str(value or "")
        wild = any(character in text for character in "*?") and keyword == "PatientID"
        if not text or identifier[keyword].VM > 1 or wild:
            found = "is missing" if not text else "has to be a single value"
            return f"a {level} query needs {keyword}, which {found}", f"give the {keyword}"
    for element in identifier:
        own = level_of(element.keyword)
        if root == "study" and own == "PATIENT":
            own = "STUDY"  # PS3.4 C.6.2.1
        if own in (None, level) or element.keyword in (
            UNIQUE[one] for one in levels[: levels.index(level)]
        ):
            continue
        hint = f"ask at level {own}"
        if element.keyword == "Modality" and level == "STUDY":
            hint = "ask for ModalitiesInStudy"
        return f"{element.keyword} is a key of level {own}, not of {level}", hint
    return None
