"""Whose object it is: patient, study, series and instance, made once or taken from elsewhere.

What a file says under a template, a series or a worklist item is copied by module, as PS3.3 and
IHE's scheduled workflow (RAD TF-2 appendix A) have it.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.dicomize.copied import OWN, PATIENT, SERIES, STUDY
from dicomloom.errors import CorruptError, NotDicomError, PixelError, ReadError
from dicomloom.frames.output import new_uid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pydicom import Dataset

StrPath = str | os.PathLike[str]
_PIXELS = 0x0028
_PIXEL_DATA = 0x7FE0
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

    Raises
    ------
    PixelError
        Two sources name different patients.
    NotDicomError, ReadError, CorruptError
        A file cannot be read.
    """
    from pydicom import Dataset

    base = Dataset()
    if template is not None:
        base.update(_template(read_data_set(template)))
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
        number = int(patients[-1][1].get("InstanceNumber") or 0) + 1
    if not base.get("StudyInstanceUID"):
        base.StudyInstanceUID = new_uid()
    if not base.get("StudyDate"):
        base.StudyDate, base.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return Identity(base, series, modality, number)


def read_data_set(source: StrPath | Dataset) -> Dataset:
    """Return a data set from a DICOM file, or one of the DICOM JSON model (PS3.18 F).

    Raises
    ------
    ReadError, NotDicomError, CorruptError
    """
    from pydicom import Dataset, dcmread
    from pydicom.errors import InvalidDicomError

    if isinstance(source, Dataset):
        return source
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            if file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
                return _json(path)
        read = dcmread(path, stop_before_pixels=True)
        read.decode()
        return read
    except OSError as error:
        made = ReadError(f"cannot read: {error.strerror or error}", path=path)
        made.errno = error.errno
        raise made from error
    except InvalidDicomError as error:
        raise NotDicomError(
            "expected a DICOM file, or a data set as DICOM JSON", path=path
        ) from error


def _json(path: str) -> Dataset:
    import json

    from pydicom import Dataset

    with open(path, encoding="utf-8-sig") as file:
        try:
            item = json.load(file)
            if isinstance(item, list):
                if len(item) != 1:
                    raise ValueError(f"{len(item)} data sets, expected one")
                item = item[0]
            return Dataset.from_json(item)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptError(
                f"expected one data set as DICOM JSON (PS3.18 F): {error}", path=path
            ) from error


def _copied(source: Dataset, keywords: Iterable[str]) -> Dataset:
    from pydicom import Dataset

    made = Dataset()
    for keyword in keywords:
        if keyword in source:
            made.add(source[keyword])
    return made


def _template(source: Dataset) -> Dataset:
    from pydicom import Dataset

    made = Dataset()
    for element in source:
        group = element.tag.group
        pixels = group in (2, _PIXELS, _PIXEL_DATA) or group & 0xFF00 in (_OVERLAYS, _CURVES)
        if not pixels and element.keyword not in OWN:
            made.add(element)
    return made


def _scheduled(item: Dataset) -> Dataset:
    """Return what a scheduled procedure step means for the objects of its acquisition."""
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
            setattr(made, into, source[keyword].value)
    return made


def _one_patient(sources: list[tuple[str, Dataset]]) -> None:
    """Raise where sources that belong to one object name different patients or studies."""
    for (first, one), (second, other) in itertools.pairwise(sources):
        for keyword in ("PatientID", "StudyInstanceUID"):
            if keyword in one and keyword in other and one[keyword].value != other[keyword].value:
                raise PixelError(
                    f"{first} and {second} have different {keyword}: they cannot be of one object"
                )
