"""Whose object it is: patient, study, series and instance, made once or taken from elsewhere.

What a file says under a template, a series or a worklist item is copied by module, as PS3.3 and
IHE's scheduled workflow (RAD TF-2 appendix A) have it.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.dicomize.copied import OWN, PATIENT, SERIES, STUDY
from dicomloom.errors import (
    CorruptError,
    NotDicomError,
    PixelError,
)
from dicomloom.json_model import read_data_sets
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pydicom import Dataset
    from pydicom.dataelem import DataElement

StrPath = str | os.PathLike[str]
# Groups that a template does not give: file meta information, pixels and what describes them,
# encryption and its history, waveforms, spectra, signatures, padding.
_NEVER = frozenset((0, 2, 0x0028, 0x0400, 0x4FFE, 0x5400, 0x5600, 0x7FE0, 0xFFFA, 0xFFFC))
_OVERLAYS, _CURVES = 0x6000, 0x5000


class Identity(NamedTuple):
    """What all objects of one call share.

    Attributes
    ----------
    base : pydicom.Dataset
        The attributes of patient, study and series, and those of a template.
    series : str or None
        SeriesInstanceUID, where objects join an existing series; its `modality` and the
        InstanceNumber of the object it was taken from go with it.
    modality : str or None
    number : int
    """

    base: Dataset
    series: str | None
    modality: str | None
    number: int


def identity_of(
    *,
    template: StrPath | Dataset | None = None,
    study_of: StrPath | Dataset | None = None,
    series_of: StrPath | Dataset | None = None,
    worklist: StrPath | Dataset | None = None,
    now: datetime,
) -> Identity:
    """Return what the objects of one call share; a new study where none is given.

    A template gives all but what is of its own object: UIDs, times, numbers, pixels, overlays,
    curves, signatures (`copied.OWN` and whole groups). Its private attributes come over as they
    are, with their creators: there is no other way to give them. Where a worklist item, study or
    series says whose the object is, nothing of the template's patient and study does. The data
    sets that are given stay as they are.

    Raises
    ------
    PixelError
        Two sources name different patients.
    NotDicomError, ReadError, CorruptError, LimitError
        A file cannot be read.

    Examples
    --------
    >>> from datetime import datetime
    >>> from dicomloom.attributes import make
    >>> ct = make({"PatientID": "42", "StudyInstanceUID": "1.2.3", "Rows": 512})
    >>> shared = identity_of(study_of=ct, now=datetime(2024, 1, 2)).base
    >>> shared.PatientID, shared.StudyInstanceUID, "Rows" in shared
    ('42', '1.2.3', False)
    """
    alone = all(source is None for source in (worklist, study_of, series_of))
    base = _start(template, alone=alone)
    # Text is kept decoded: the objects choose a character set of their own.
    patients: list[tuple[str, Dataset]] = []
    if worklist is not None:
        item = read_data_set(worklist)
        patients.append(("the worklist item", item))
        base.update(_scheduled(item))
    for name, source, keywords in (
        ("the study", study_of, PATIENT + STUDY),
        ("the series", series_of, PATIENT + STUDY + SERIES),
    ):
        if source is not None:
            found = read_data_set(source)
            patients.append((name, found))
            base.update(_copied(found, keywords))
    _one_patient(patients)
    series = modality = None
    number = 1
    if series_of is not None:
        series, modality = base.get("SeriesInstanceUID"), base.get("Modality")
        base.pop("Modality", None)
        number = _number_of(patients[-1][1]) + 1
    if not base.get("StudyInstanceUID"):
        base.StudyInstanceUID = new_uid()
    # An existing study keeps its date, be it empty: its objects must agree.
    if study_of is None and series_of is None:
        base.StudyDate, base.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return Identity(base, series, modality, number)


def _start(template: StrPath | Dataset | None, *, alone: bool) -> Dataset:
    """Return what a template gives; where others say whose the object is, without its patient."""
    from pydicom import Dataset

    base = Dataset()
    if template is not None:
        base.update(_template(read_data_set(template)))
    if not alone:
        for keyword in (*PATIENT, *STUDY):
            if keyword in base:
                delattr(base, keyword)
    return base


def _number_of(member: Dataset) -> int:
    """Return InstanceNumber, 0 where there is none that counts."""
    value = member.get("InstanceNumber")
    return int(value) if isinstance(value, int) and value > 0 else 0


def read_data_set(source: StrPath | Dataset) -> Dataset:
    """Return a data set from a DICOM file, or one of the DICOM JSON model (PS3.18 F).

    Raises
    ------
    ReadError, NotDicomError, TruncatedError, CorruptError
    LimitError
        Sequences nest deeper than 64; or it is larger than a header ever is.
    """
    from pydicom import Dataset

    from dicomloom.frames.dataset import read_dataset
    from dicomloom.frames.sources import FileSource

    if isinstance(source, Dataset):
        return source
    path = os.fspath(source)
    file = FileSource(path)
    try:
        start = file.read_at(0, 256)
    finally:
        file.close()
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _json(path)
    try:
        return read_dataset(path)
    except NotDicomError as error:
        raise NotDicomError(
            f"expected a DICOM file, or a data set as DICOM JSON: {error.message}", path=path
        ) from error


def _json(path: str) -> Dataset:
    found = read_data_sets(path)
    if len(found) != 1:
        raise CorruptError(
            f"expected one data set as DICOM JSON (PS3.18 F), found {len(found)}", path=path
        )
    return found[0]


def _copied(source: Dataset, keywords: Iterable[str]) -> Dataset:
    from copy import deepcopy

    from pydicom import Dataset

    made = Dataset()
    for keyword in keywords:
        if keyword in source:
            _check_kind(source[keyword])
            made.add(deepcopy(source[keyword]))  # what is set later must not reach the source
    return made


def _check_kind(element: DataElement) -> None:
    """Raise CorruptError for a sequence where PS3.6 has a value, and the other way round."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    if not dictionary_has_tag(element.tag):
        return
    expected = dictionary_VR(element.tag)
    if (element.VR == "SQ") != (expected == "SQ"):
        raise CorruptError(
            f"{element.keyword or element.tag} is of VR {element.VR}, expected {expected}: take it "
            "out of the object that is joined",
            tag=int(element.tag),
        )


def _template(source: Dataset) -> Dataset:
    from copy import deepcopy

    from pydicom import Dataset

    made = Dataset()
    for element in source:
        group = element.tag.group
        never = group in _NEVER or group & 0xFF00 in (_OVERLAYS, _CURVES)
        # PS3.5 7.8.1: without its creator a private attribute means nothing.
        orphan = element.tag.is_private and not (
            element.tag.is_private_creator or element.private_creator
        )
        if not never and not orphan and element.tag.element and element.keyword not in OWN:
            _check_kind(element)
            made.add(deepcopy(element))
    return made


def _scheduled(item: Dataset) -> Dataset:
    """Return what a scheduled procedure step means for the objects of its acquisition."""
    from copy import deepcopy

    from pydicom import Dataset

    made = _copied(item, [k for k in (*PATIENT, *STUDY) if k not in ("StudyDate", "StudyTime")])
    steps = item.get("ScheduledProcedureStepSequence") or []
    step = steps[0] if steps else Dataset()
    request = _copied(
        item,
        (
            "RequestedProcedureID",
            "RequestedProcedureDescription",
            "RequestedProcedureCodeSequence",
            "AccessionNumber",
            "StudyInstanceUID",
        ),
    )
    request.update(
        _copied(
            step,
            (
                "ScheduledProcedureStepID",
                "ScheduledProcedureStepDescription",
                "ScheduledProtocolCodeSequence",
            ),
        )
    )
    if len(request):
        made.RequestAttributesSequence = [request]
    for source, keyword, into in (
        (item, "RequestedProcedureID", "StudyID"),
        (item, "RequestedProcedureDescription", "StudyDescription"),
        (item, "RequestedProcedureCodeSequence", "ProcedureCodeSequence"),
        (step, "ScheduledProcedureStepDescription", "PerformedProcedureStepDescription"),
        (step, "ScheduledProtocolCodeSequence", "PerformedProtocolCodeSequence"),
        (step, "ScheduledPerformingPhysicianName", "PerformingPhysicianName"),
        (step, "ScheduledStationName", "StationName"),
    ):
        if source.get(keyword) and not made.get(into):
            setattr(made, into, deepcopy(source[keyword].value))
    return made


def _one_patient(sources: list[tuple[str, Dataset]]) -> None:
    """Raise where sources that belong to one object name different patients or studies."""
    for (first, one), (second, other) in itertools.combinations(sources, 2):
        for keyword in ("PatientID", "StudyInstanceUID"):
            values = {one.get(keyword), other.get(keyword)} - {None, ""}
            if len(values) > 1:
                raise PixelError(
                    f"{first} and {second} have different {keyword}: they cannot be of one object"
                )
