"""What a series is made of: one record for each frame that has a place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.errors import DicomloomError, TagError
from dicomloom.geometry.directions import checked_directions, cross
from dicomloom.geometry.frame import Frame, frames_of, path_of, read
from dicomloom.geometry.values import (
    Vector,
    Where,
    items_of,
    length_of,
    numbers,
    spacing_pair,
    text_of,
    value_of,
    whole,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.index.scan import Scan

# What may tell images at one place apart, the most telling first: keyword, the functional group
# that has it in enhanced objects, and whether it is a time that differs from slice to slice too.
DIMENSIONS: tuple[tuple[str, str | None, bool], ...] = (
    ("TemporalPositionIdentifier", None, False),
    ("TemporalPositionIndex", "FrameContentSequence", False),
    ("EchoTime", None, False),
    ("EffectiveEchoTime", "MREchoSequence", False),
    ("EchoNumbers", None, False),
    ("DiffusionBValue", "MRDiffusionSequence", False),
    ("DiffusionGradientOrientation", None, False),
    ("TriggerTime", None, True),
    ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence", True),
    ("InversionTime", None, False),
    ("FlipAngle", None, False),
    ("RepetitionTime", None, False),
    ("ComplexImageComponent", "MRImageFrameTypeSequence", False),
    ("ImageType", None, False),
    ("AcquisitionNumber", None, False),
    ("TemporalPositionTimeOffset", "TemporalPositionSequence", True),
    ("FrameAcquisitionDateTime", "FrameContentSequence", True),
    ("AcquisitionDateTime", None, True),
    ("AcquisitionTime", None, True),
    ("ContentTime", None, True),
)
_MOST_ALIKE = 1 << 17
# Single images have these; a b-value is in either kind (PS3.3 C.8.13.5.9).
_PLAIN = (*(name for name, group, _ in DIMENSIONS if group is None), "DiffusionBValue")
_TEXTS = (
    "ComplexImageComponent", "ImageType", "FrameAcquisitionDateTime", "AcquisitionDateTime",
    "AcquisitionTime", "ContentTime",
)  # fmt: skip

# What a scan has to read so that a series can be made of it.
TAGS = (
    "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "InstanceNumber",
    "AnatomicalOrientationType", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence", *_PLAIN,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One frame and its place.

    Attributes
    ----------
    path : str or None
        The file, and `frame` the frame in it; `dataset` instead where data sets were given.
    position, row, column, normal : tuple of 3 float
        As those of `dicomloom.ImagePlane`.
    spacing : (float, float) or None
    values : dict of str to str
        What may tell it from others at the same place, by keyword.
    """

    path: str | None
    frame: int
    dataset: Dataset | None = field(repr=False)
    uid: str
    number: int
    series: str
    reference: str
    segment: str
    position: Vector
    row: Vector
    column: Vector
    normal: Vector
    spacing: tuple[float, float] | None
    thickness: float | None
    between: float | None
    rows: int
    columns: int
    quadruped: bool
    values: dict[str, str] = field(repr=False)

    @property
    def label(self) -> str:
        """How messages name it."""
        name = os.path.basename(self.path) if self.path else self.uid or "a data set"
        return f"{name} frame {self.frame}" if self.frame else name


class Unplaced(NamedTuple):
    """Something that is in no stack, and why.

    Attributes
    ----------
    path : str or None
    reason : str
    readable : bool
        Whether it is DICOM that could be read, but no image with a place.
    """

    path: str | None
    reason: str
    readable: bool


Found = Slice | Unplaced


@lru_cache(maxsize=1024)
def _directions(text: str) -> tuple[Vector, Vector, Vector]:
    value = numbers(text, "ImageOrientationPatient", Where(), 6)
    row, column, _ = checked_directions(value, "ImageOrientationPatient", Where())
    return row, column, cross(row, column)


def from_scan(found: Scan) -> Iterator[Found]:
    """Read the rows of a scan with `TAGS`; multi-frame objects are opened."""
    lacking = [tag for tag in TAGS if tag not in found.schema.names]
    if lacking:
        raise TagError(
            f"a series needs a scan with tags=Series.TAGS; this one lacks {', '.join(lacking[:5])}"
        )
    for batch in found:
        columns = {name: batch.column(name) for name in (*TAGS, "Filename", "Status", "Error")}
        for i in range(len(batch)):
            row = {name: cells[i] for name, cells in columns.items()}
            yield from _of_row(row)


def _of_row(row: dict[str, Any]) -> Iterator[Found]:
    path = str(row["Filename"])
    if row["Status"] != "OK":
        yield Unplaced(path, str(row["Error"]), False)
        return
    if row["PerFrameFunctionalGroupsSequence"] or str(row["NumberOfFrames"] or 1) != "1":
        yield from of_dataset(path)
        return
    where = Where(path)
    try:
        yield _slice_of_row(row, path, where)
    except DicomloomError as error:
        yield Unplaced(path, error.message, True)


def _slice_of_row(row: dict[str, Any], path: str, where: Where) -> Found:
    if row["Rows"] is None or row["Columns"] is None:
        return Unplaced(path, "no image", True)
    for keyword in ("ImageOrientationPatient", "ImagePositionPatient"):
        if row[keyword] in (None, ""):
            return Unplaced(path, f"no {keyword}", True)
    directions = _directions(str(row["ImageOrientationPatient"]))

    def length(keyword: str, *, signed: bool = False) -> float | None:
        value = row[keyword]
        if value in (None, ""):
            return None
        return length_of(str(value), keyword, where, signed=signed)

    pair, between = row["PixelSpacing"], length("SpacingBetweenSlices", signed=True)
    return Slice(
        path=path,
        frame=0,
        dataset=None,
        uid=str(row["SOPInstanceUID"] or ""),
        number=_number(row["InstanceNumber"]),
        series=str(row["SeriesInstanceUID"] or ""),
        reference=str(row["FrameOfReferenceUID"] or ""),
        segment="",
        position=numbers(str(row["ImagePositionPatient"]), "ImagePositionPatient", where, 3),
        row=directions[0],
        column=directions[1],
        normal=directions[2],
        spacing=spacing_pair(str(pair), "PixelSpacing", where) if pair else None,
        thickness=length("SliceThickness"),
        between=abs(between) if between else None,
        rows=whole(str(row["Rows"]), "Rows", where, 1),
        columns=whole(str(row["Columns"]), "Columns", where, 1),
        quadruped=row["AnatomicalOrientationType"] == "QUADRUPED",
        values={
            name: _value(name, str(row[name])) for name in _PLAIN if row[name] not in (None, "")
        },
    )


def _number(value: Any) -> int:
    """Return an InstanceNumber; it only orders what nothing else does, so that 0 may stand in."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def of_dataset(source: Dataset | str | os.PathLike[str]) -> Iterator[Found]:
    """Read the frames of one object."""
    path, given = None, None
    try:
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            dataset = read(path)
        else:
            dataset = given = source
            path = path_of(source)
    except DicomloomError as error:
        yield Unplaced(path, error.message, False)
        return
    where = Where(path)
    try:
        count = frames_of(dataset, where)
    except DicomloomError as error:
        yield Unplaced(path, error.message, True)
        return
    if count > _MOST_ALIKE and not items_of(dataset, "PerFrameFunctionalGroupsSequence", where):
        # NumberOfFrames alone would make any number of records of a file of any size.
        reason = f"{count} frames without functional groups, at most {_MOST_ALIKE} are placed"
        yield Unplaced(path, reason, True)
        return
    if value_of(dataset, "Rows", where) is None:
        yield Unplaced(path, "no image", True)
        return
    for frame in range(count):
        where.frame = frame
        try:
            made = _slice_of_frame(Frame(dataset, frame, where, count), given)
        except DicomloomError as error:
            made = Unplaced(path, error.message, True)
        yield made
        if isinstance(made, Unplaced):
            return  # one reason an object: the frames behind it have the same or none


def _slice_of_frame(found: Frame, given: Dataset | None) -> Found:
    dataset, where = found.dataset, found.where
    if found.coordinates != "patient":
        reason = "slide coordinates" if found.coordinates else "no ImageOrientationPatient"
        return Unplaced(where.path, reason, True)
    if found.position is None:
        return Unplaced(where.path, "; ".join(found.notes) or "no ImagePositionPatient", True)
    assert found.row is not None
    assert found.column is not None
    assert found.normal is not None

    def text(keyword: str) -> str:
        return text_of(dataset, keyword, where) or ""

    segment = found.group("SegmentIdentificationSequence")
    return Slice(
        path=where.path,
        frame=found.frame,
        dataset=given,
        uid=text("SOPInstanceUID"),
        number=_number(text("InstanceNumber")),
        series=text("SeriesInstanceUID"),
        reference=text("FrameOfReferenceUID"),
        segment=text_of(segment, "ReferencedSegmentNumber", where) or "" if segment else "",
        position=found.position,
        row=found.row,
        column=found.column,
        normal=found.normal,
        spacing=found.spacing if found.spacing_from == "PixelSpacing" else None,
        thickness=found.thickness,
        between=found.between,
        rows=found.whole("Rows") or 1,
        columns=found.whole("Columns") or 1,
        quadruped=text("AnatomicalOrientationType") == "QUADRUPED",
        values=_values(found),
    )


def _values(found: Frame) -> dict[str, str]:
    made = {}
    for name, group, _ in DIMENSIONS:
        place = found.group(group) if group else None
        text = text_of(found.dataset if place is None else place, name, found.where)
        if text is not None:
            made[name] = _value(name, text)
    return made


def _value(name: str, text: str) -> str:
    """Write numbers in one way, wherever they were read: 20, 20.0 and 2e1 are the same."""
    if name in _TEXTS:
        return text
    try:
        return "\\".join(f"{float(part):.12g}" for part in text.split("\\"))
    except ValueError:
        return text


def gather(source: Any) -> Iterator[Found]:
    """Yield the frames of whatever `dicomloom.Series.of` takes."""
    from dicomloom.index.scan import Scan

    if isinstance(source, Scan):
        yield from from_scan(source)
        return
    single = isinstance(source, str | os.PathLike) or _is_dataset(source)
    if single or not isinstance(source, Iterable):
        source = [source]
    paths = []
    for part in source:
        if isinstance(part, str | os.PathLike):
            paths.append(part)
        elif _is_dataset(part):
            yield from of_dataset(part)
        else:
            raise TypeError(f"a series is of paths, Datasets or a Scan, not {type(part).__name__}")
    if paths:
        from dicomloom.index.scan import scan

        with scan(paths, TAGS) as found:
            yield from from_scan(found)


def _is_dataset(value: object) -> bool:
    import sys

    pydicom = sys.modules.get("pydicom")
    return pydicom is not None and isinstance(value, pydicom.Dataset)
