"""Where a frame's geometry is stated: in the object, its functional groups, vectors or tiles."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dicomloom.errors import FrameError, UnsupportedError
from dicomloom.geometry.directions import checked_directions, cross
from dicomloom.geometry.values import (
    Vector,
    Where,
    items_of,
    length_of,
    numbers,
    parts_of,
    spacing_pair,
    text_of,
    value_of,
    vector_of,
    whole,
)
from dicomloom.tags import parse_tag

if TYPE_CHECKING:
    from pydicom import Dataset

# Everything that a plane or a series is made of; the rest of a header is not looked at.
KEYWORDS = (
    "ImageType", "SOPClassUID", "SOPInstanceUID", "AcquisitionDateTime", "AcquisitionTime",
    "ContentTime", "Modality", "AnatomicalOrientationType", "SliceThickness", "RepetitionTime",
    "EchoTime", "InversionTime", "EchoNumbers", "SpacingBetweenSlices", "TriggerTime",
    "NominalScannedPixelSpacing", "ImagerPixelSpacing", "FlipAngle", "ViewPosition",
    "PatientPosition", "DiffusionBValue", "DiffusionGradientOrientation", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesDescription", "AcquisitionNumber", "InstanceNumber",
    "PatientOrientation", "ImagePositionPatient", "ImageOrientationPatient",
    "FrameOfReferenceUID", "Laterality", "ImageLaterality", "TemporalPositionIdentifier",
    "NumberOfFrames", "FrameIncrementPointer", "Rows", "Columns", "PixelSpacing",
    "ImageOrientationSlide", "TotalPixelMatrixOriginSequence", "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows", "TotalPixelMatrixFocalPlanes", "DimensionOrganizationType",
    "DetectorInformationSequence", "SliceVector", "ViewCodeSequence", "GridFrameOffsetVector",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


def read(path: str | os.PathLike[str]) -> Dataset:
    """Read what `KEYWORDS` name of a file, in any encoding, without its pixels.

    Raises
    ------
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
    """
    from dicomloom.frames.dataset import read_dataset

    name = os.fspath(path)
    wanted = {parse_tag(keyword).leaf.tag for keyword in KEYWORDS} | {0x00080005}
    made = read_dataset(name, wanted, convert=False)
    made.filename = name
    return made


def path_of(dataset: Dataset) -> str | None:
    """Return the path that a data set was read from, if that is known."""
    name = getattr(dataset, "filename", None)
    return os.fspath(name) if isinstance(name, str | os.PathLike) else None


def frames_of(dataset: Dataset, where: Where) -> int:
    """Return how many frames there are to have a geometry."""
    groups = len(items_of(dataset, "PerFrameFunctionalGroupsSequence", where))
    value = value_of(dataset, "NumberOfFrames", where)
    stated = 1 if value is None else whole(value, "NumberOfFrames", where, 1)
    if groups and value is not None and groups != stated:
        raise where.corrupt(
            "NumberOfFrames",
            f"is {stated}, but PerFrameFunctionalGroupsSequence has {groups} items",
        )
    return groups or stated


class Frame:
    """One frame's attributes, wherever they are stated.

    Attributes
    ----------
    coordinates : {"patient", "slide", None}
        What `position` and `row`, `column` are relative to; None where neither is stated.
    position, row, column, normal : tuple of 3 float, or None
        The center of the first pixel in mm, and directions of length 1.
    spacing : (float, float) or None
        Between rows, between columns, in mm; `spacing_from` is the keyword that says it.
    thickness, between : float or None
        SliceThickness and SpacingBetweenSlices, mm.
    notes : list of str
    """

    def __init__(self, dataset: Dataset, frame: int, where: Where, count: int) -> None:
        if not 0 <= frame < count:
            raise FrameError(
                f"frame {frame} of an object with {count} frames",
                path=where.path,
                frame=frame,
            )
        self.dataset, self.frame, self.where, self.count = dataset, frame, where, count
        self.notes: list[str] = []
        self.coordinates: str | None = None
        self.position: Vector | None = None
        self.row: Vector | None = None
        self.column: Vector | None = None
        self.normal: Vector | None = None
        per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence", where)
        shared = items_of(dataset, "SharedFunctionalGroupsSequence", where)
        self._groups = [*([per_frame[frame]] if per_frame else []), *shared[:1]]
        self._orientation()
        self._measures()

    def group(self, keyword: str) -> Any:
        """Return the item of a functional group, the frame's own before the shared; else None."""
        for item in self._groups:
            found = items_of(item, keyword, self.where)
            if found:
                return found[0]
        return None

    def find(self, sequence: str, keyword: str, count: int) -> Vector | None:
        """Return numbers of a functional group or, without one, of the object itself."""
        for place in (self.group(sequence), self.dataset):
            if place is not None:
                found = vector_of(place, keyword, count, self.where)
                if found is not None:
                    return found
        return None

    def whole(self, keyword: str, least: int = 1) -> int | None:
        """Return a whole number of the object; None where it is absent."""
        value = value_of(self.dataset, keyword, self.where)
        return None if value is None else whole(value, keyword, self.where, least)

    # --- orientation and position ---

    def _orientation(self) -> None:
        where = self.where
        keyword = "ImageOrientationPatient"
        cosines = self.find("PlaneOrientationSequence", keyword, 6)
        detectors = items_of(self.dataset, "DetectorInformationSequence", where)
        if cosines is None and detectors:  # PS3.3 C.8.4.11.1.1, nuclear medicine
            cosines = vector_of(detectors[0], keyword, 6, where)
        self.coordinates = "patient" if cosines is not None else None
        if cosines is None:
            keyword = "ImageOrientationSlide"
            cosines = vector_of(self.dataset, keyword, 6, where)
            if cosines is None:
                self._volume_coordinates()
                return
            self.coordinates = "slide"
        self.row, self.column, note = checked_directions(cosines, keyword, where)
        self.normal = cross(self.row, self.column)
        if note:
            self.notes.append(note)
        if self.coordinates == "patient":
            self.position = self.find("PlanePositionSequence", "ImagePositionPatient", 3)
            if self.position is None and detectors:
                self.position = vector_of(detectors[0], "ImagePositionPatient", 3, where)

    def _volume_coordinates(self) -> None:
        if self.group("PlaneOrientationVolumeSequence") is not None:
            raise UnsupportedError(
                "the frames lie in the coordinates of an ultrasound volume "
                "(PlaneOrientationVolumeSequence, PS3.3 C.8.24.2), not of a patient; transform "
                "them by the volume's own matrix",
                path=self.where.path,
                tag=parse_tag("PlaneOrientationVolumeSequence").leaf.tag,
                frame=self.frame,
            )

    def _measures(self) -> None:
        where, dataset = self.where, self.dataset
        measures = self.group("PixelMeasuresSequence")
        places = [place for place in (measures, dataset) if place is not None]
        self.spacing: tuple[float, float] | None = None
        self.spacing_from: str | None = None
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            for place in places:
                value = value_of(place, keyword, where)
                if value is not None and self.spacing is None:
                    self.spacing = spacing_pair(value, keyword, where)
                    self.spacing_from = keyword
        self.thickness = self._length(places, "SliceThickness")
        stacked = self._length(places, "SpacingBetweenSlices", signed=True)
        self.between = abs(stacked) if stacked else None
        if self.coordinates == "slide":
            self.position = self._slide_position()
        elif self.position is not None and self.count > 1:
            self.position = self._stacked(self.position, stacked)

    def _length(self, places: list[Any], keyword: str, *, signed: bool = False) -> float | None:
        for place in places:
            value = value_of(place, keyword, self.where)
            if value is not None:
                return length_of(value, keyword, self.where, signed=signed)
        return None

    # --- frames whose position follows from a rule ---

    def _along(self, start: Vector, distance: float) -> Vector:
        assert self.normal is not None
        return tuple(a + distance * n for a, n in zip(start, self.normal, strict=True))

    def _stacked(self, start: Vector, between: float | None) -> Vector | None:
        """Return where a frame lies if a vector of the object says so."""
        if self.group("PlanePositionSequence") is not None:
            return start
        where, frame = self.where, self.frame
        offsets = value_of(self.dataset, "GridFrameOffsetVector", where)
        if offsets is not None:
            return self._on_grid(start, parts_of(offsets))
        slices = value_of(self.dataset, "SliceVector", where)
        kind = (text_of(self.dataset, "ImageType", where) or "").split("\\")
        if slices is not None and between and len(kind) > 2 and kind[2].startswith("RECON"):
            # PS3.3 C.8.4.15: along the normal, the sign of SpacingBetweenSlices counts.
            parts = parts_of(slices)
            if len(parts) != self.count:
                raise where.corrupt(
                    "SliceVector", f"must be {self.count} numbers, found {len(parts)}"
                )
            (number,) = numbers(parts[frame : frame + 1], "SliceVector", where, 1)
            return self._along(start, (number - 1) * between)
        pointer = text_of(self.dataset, "FrameIncrementPointer", where) or ""
        moments = "(0018,1063)" in pointer or "(0018,1065)" in pointer  # of one plane
        if frame == 0 or moments:
            return start
        self.notes.append(
            f"nothing says where frame {frame} lies: ImagePositionPatient is the first frame's"
        )
        return None

    def _on_grid(self, start: Vector, offsets: Any) -> Vector:
        """Return where a frame of an RT Dose lies (PS3.3 C.8.8.3.2)."""
        keyword = "GridFrameOffsetVector"
        if len(offsets) < self.count:
            raise self.where.corrupt(keyword, f"must be {self.count} numbers, found {len(offsets)}")
        # Not all of them: each frame comes here.
        first, own = numbers((offsets[0], offsets[self.frame]), keyword, self.where, 2)
        if first == 0:
            return self._along(start, own)
        # Else they are z itself, which only axial planes have.
        assert self.normal is not None
        if abs(self.normal[2]) < 0.999 or abs(first - start[2]) > 0.01:
            raise self.where.corrupt(
                keyword,
                "must begin with 0 or, where planes are axial, with the z of "
                f"ImagePositionPatient; found {first:g}",
            )
        return (start[0], start[1], own)

    def _slide_position(self) -> Vector | None:
        """Return where a tile begins in the slide's coordinates (PS3.3 C.7.6.17, C.8.12)."""
        where = self.where
        origins = items_of(self.dataset, "TotalPixelMatrixOriginSequence", where)
        depth = "ZOffsetInSlideCoordinateSystem"
        names = ("XOffsetInSlideCoordinateSystem", "YOffsetInSlideCoordinateSystem", depth)
        own = self.group("PlanePositionSlideSequence")
        if own is not None:
            xyz = [vector_of(own, name, 1, where) for name in names]
            if xyz[0] and xyz[1]:
                return (xyz[0][0], xyz[1][0], xyz[2][0] if xyz[2] else 0.0)
        if not origins:
            return None
        at = [vector_of(origins[0], name, 1, where) for name in names]
        if at[0] is None or at[1] is None:
            return None
        origin = (at[0][0], at[1][0], at[2][0] if at[2] else 0.0)
        if text_of(self.dataset, "DimensionOrganizationType", where) != "TILED_FULL":
            return origin if self.count == 1 else None
        return self._tile(origin)

    def _tile(self, origin: Vector) -> Vector | None:
        """Return where a tile of TILED_FULL begins: columns, then rows, then focal planes."""
        names = ("TotalPixelMatrixColumns", "TotalPixelMatrixRows", "Columns", "Rows")
        sizes = [self.whole(name) for name in names]
        if self.spacing is None or self.row is None or self.column is None or None in sizes:
            return None
        total_columns, total_rows, columns, rows = (size or 1 for size in sizes)
        across, down = -(-total_columns // columns), -(-total_rows // rows)
        plane, tile = divmod(self.frame, across * down)
        focal = plane % (self.whole("TotalPixelMatrixFocalPlanes") or 1)
        x = (tile % across) * columns * self.spacing[1]
        y = (tile // across) * rows * self.spacing[0]
        depth = focal * (self.between or 0.0)
        made = [o + r * x + c * y for o, r, c in zip(origin, self.row, self.column, strict=True)]
        return (made[0], made[1], made[2] + depth)
