"""`ImagePlane`: where one frame lies, and what is at its edges."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dicomloom.errors import DicomloomWarning, UnsupportedError
from dicomloom.geometry.directions import (
    LEAN_DEGREES,
    Breast,
    Edges,
    PatientPosition,
    breast,
    edges_of,
    letters,
    nearest_plane,
    patient_position,
    stated_letters,
)
from dicomloom.geometry.frame import Frame, frames_of, path_of, read
from dicomloom.geometry.values import Vector, Where, items_of, text_of, value_of
from dicomloom.tags import parse_tag

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray
    from pydicom import Dataset


@dataclass(frozen=True)
class ImagePlane:
    """Where one frame lies in the patient, and what is at the edges of its picture.

    Made by `ImagePlane.of`. What the data set does not say is None: nothing is guessed.

    Attributes
    ----------
    path : str or None
        The file, where it is known; `frame` the frame, counted from 0.
    rows, columns : int or None
    coordinates : {"patient", "slide", None}
        The system of `position`, directions and `affine`: the patient-based one (LPS, PS3.3
        C.7.6.2.1.1), that of a microscope slide (C.8.12.2.1), or none.
    position : tuple of 3 float, or None
        The center of the first pixel, mm.
    row_direction, column_direction, normal : tuple of 3 float, or None
        Where columns grow along a row (the first three values of ImageOrientationPatient), where
        rows grow down a column, and their right-handed cross product. Of length 1.
    spacing : (float, float) or None
        Between rows, between columns, mm; of `spacing_from`: PixelSpacing, ImagerPixelSpacing or
        NominalScannedPixelSpacing. The latter two are at the detector or film, not in the patient.
    thickness, spacing_between_slices : float or None
        SliceThickness and the size of SpacingBetweenSlices where they are stated, mm.
    letters : (str, str) or None
        Of the row and the column direction, as PatientOrientation has them (C.7.6.1.1.1).
    letters_from : str or None
        "ImageOrientationPatient", else "PatientOrientation".
    patient_position : PatientPosition or None
        PatientPosition (C.7.3.1.1.2), parsed. Letters and `affine` do not depend on it.
    quadruped : bool
        Whether letters are those of quadrupeds. Of a coordinate system they are those of the trunk;
        on a head CR is rostral, on a limb proximal.
    breast : Breast or None
        What is at the edges of a mammogram.
    notes : tuple of str
        What is odd about the data set.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> plane = ImagePlane.of(get_testdata_file("CT_small.dcm"))
    >>> plane.letters, plane.name, plane.edges.left
    (('L', 'P'), 'axial', 'R')
    >>> plane.to_patient([[0, 0, 0], [127, 0, 0]]).round(2).tolist()
    [[-158.14, -179.04, -75.7], [-74.13, -179.04, -75.7]]
    """

    path: str | None = field(repr=False)
    frame: int
    rows: int | None
    columns: int | None
    coordinates: str | None
    position: Vector | None
    row_direction: Vector | None
    column_direction: Vector | None
    normal: Vector | None
    spacing: tuple[float, float] | None
    spacing_from: str | None
    thickness: float | None
    spacing_between_slices: float | None
    letters: tuple[str, str] | None
    letters_from: str | None
    patient_position: PatientPosition | None
    quadruped: bool
    breast: Breast | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset | str | os.PathLike[str], frame: int = 0) -> Self:
        """Read the plane of a frame.

        Parameters
        ----------
        dataset : pydicom Dataset, or path
            Single-frame, enhanced multi-frame (functional groups, PS3.3 C.7.6.16), RT Dose
            (GridFrameOffsetVector), reconstructed NM (SliceVector), or whole slide images. Of a
            path only the header is read.
        frame : int
            Counted from 0; negative numbers count from the end.

        Returns
        -------
        ImagePlane

        Raises
        ------
        CorruptError
            An element is not what it must be: not six finite numbers, directions not of length 1 or
            not at right angles, a spacing that is not greater than 0. It has the tag.
        FrameError
            There is no such frame.
        UnsupportedError
            The frames lie in an ultrasound volume's coordinates.
        NotDicomError, TruncatedError, LimitError, ReadError
            The file cannot be read.

        Warns
        -----
        DicomloomWarning
            Directions are a little off, and were taken as if they were right: see `notes`.
        """
        if isinstance(dataset, str | os.PathLike):
            dataset = read(dataset)
        where = Where(path_of(dataset))
        count = frames_of(dataset, where)
        if frame < 0:
            frame += count
        where.frame = frame
        found = Frame(dataset, frame, where, count)
        for note in found.notes:
            if note.startswith("ImageOrientation"):
                warnings.warn(note, DicomloomWarning, stacklevel=2)
        return cls(**_fields(found, where))

    # --- letters ---

    @property
    def edges(self) -> Edges | None:
        """The letters at the four edges of the picture; None where nothing says them."""
        return edges_of(*self.letters, quadruped=self.quadruped) if self.letters else None

    @property
    def nearest_plane(self) -> str | None:
        """The main plane nearest to it: "axial", "sagittal" or "coronal".

        Of quadrupeds "transverse", "sagittal" or "dorsal". None without ImageOrientationPatient.
        """
        return self._nearest[0] if self._nearest else None

    @property
    def obliquity(self) -> float | None:
        """The angle to `nearest_plane`, degrees."""
        return self._nearest[1] if self._nearest else None

    @property
    def name(self) -> str | None:
        """`nearest_plane` where it is less than 5 degrees off, else "oblique"."""
        if self._nearest is None:
            return None
        return self._nearest[0] if self._nearest[1] < LEAN_DEGREES else "oblique"

    @cached_property
    def _nearest(self) -> tuple[str, float] | None:
        if self.coordinates != "patient" or self.normal is None:
            return None
        return nearest_plane(self.normal, quadruped=self.quadruped)

    # --- coordinates ---

    @property
    def slice_step(self) -> float:
        """What one step of the third index is, mm.

        SpacingBetweenSlices, else SliceThickness, else 1.
        """
        return self.spacing_between_slices or self.thickness or 1.0

    @cached_property
    def affine(self) -> NDArray[Any]:
        """The 4x4 matrix from (column index, row index, slice, 1) to mm in `coordinates`.

        Indices are of pixel centers, from 0 (PS3.3 C.7.6.2.1.1); this plane is slice 0, and the
        third axis is the normal with a step of `slice_step`.

        Raises
        ------
        UnsupportedError
            Position, orientation or spacing is not stated; the message says which.
        """
        import numpy as np

        if self.row_direction is None or self.column_direction is None or self.normal is None:
            raise self._lacks("ImageOrientationPatient")
        if self.position is None:
            raise self._lacks("ImagePositionPatient")
        if self.spacing is None:
            raise self._lacks("PixelSpacing")
        made = np.eye(4)
        made[:3, 0] = np.multiply(self.row_direction, self.spacing[1])
        made[:3, 1] = np.multiply(self.column_direction, self.spacing[0])
        made[:3, 2] = np.multiply(self.normal, self.slice_step)
        made[:3, 3] = self.position
        return made

    @property
    def affine_ras(self) -> NDArray[Any]:
        """The same matrix to RAS mm, as nibabel and NIfTI have it: x and y change their signs."""
        if self.coordinates == "slide":
            raise UnsupportedError("slide coordinates have no RAS: use affine", path=self.path)
        return self.affine * [[-1], [-1], [1], [1]]

    @cached_property
    def inverse(self) -> NDArray[Any]:
        """The inverse of `affine`, from mm to (column, row, slice)."""
        import numpy as np

        made: NDArray[Any] = np.linalg.inv(self.affine)
        return made

    def to_patient(self, points: ArrayLike) -> NDArray[Any]:
        """Map indices to mm in `coordinates`.

        Parameters
        ----------
        points : array of shape (..., 2) or (..., 3)
            (column, row) or (column, row, slice), fractions allowed.

        Returns
        -------
        array of float64, shape (..., 3)
        """
        import numpy as np

        given = np.asarray(points, "f8")
        if given.shape[-1:] == (2,):
            given = np.concatenate([given, np.zeros((*given.shape[:-1], 1))], axis=-1)
        return transform(self.affine, given)

    def to_index(self, points: ArrayLike) -> NDArray[Any]:
        """Map mm to indices.

        Parameters
        ----------
        points : array of shape (..., 3)
            In `coordinates`, mm.

        Returns
        -------
        array of float64, shape (..., 3)
            (column, row, slice), not rounded; ``slice * slice_step`` is the distance to the plane.
        """
        return transform(self.inverse, points)

    def _lacks(self, keyword: str) -> UnsupportedError:
        tag = parse_tag(keyword).leaf.tag
        said = f" ({'; '.join(self.notes)})" if self.notes else ""
        return UnsupportedError(
            f"no {keyword} is stated for this frame, so that it has no place in mm{said}",
            path=self.path,
            tag=tag,
            frame=self.frame,
        )

    # --- words ---

    def as_dict(self) -> dict[str, Any]:
        """Return what is known as plain lists and numbers, for JSON."""
        made = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name not in ("patient_position", "breast")
        }
        made["edges"] = self.edges._asdict() if self.edges else None
        made["name"], made["nearest_plane"] = self.name, self.nearest_plane
        made["obliquity"] = self.obliquity
        for name in ("patient_position", "breast"):
            value = getattr(self, name)
            made[name] = value._asdict() if value else None
        placed = self.position is not None and self.spacing is not None and self.normal is not None
        made["affine"] = self.affine.tolist() if placed else None
        return made


def transform(matrix: NDArray[Any], points: ArrayLike) -> NDArray[Any]:
    """Apply a 4x4 matrix to points of shape (..., 3).

    Raises
    ------
    ValueError
        The last axis is not 3.
    """
    import numpy as np

    given = np.asarray(points, "f8")
    if given.shape[-1:] != (3,):
        raise ValueError(f"points must have shape (..., 3), not {given.shape}")
    made: NDArray[Any] = given @ matrix[:3, :3].T + matrix[:3, 3]
    return made


_MAMMOGRAPHY = ("MG",)


def _fields(found: Frame, where: Where) -> dict[str, Any]:
    """Return the fields of an ImagePlane."""
    dataset = found.dataset
    quadruped = text_of(dataset, "AnatomicalOrientationType", where) == "QUADRUPED"
    stated = None
    value = value_of(dataset, "PatientOrientation", where)
    oriented = found.coordinates == "patient" and found.row is not None
    if value is not None:
        try:
            parts = [value] if isinstance(value, str) else list(value)
            stated = stated_letters(parts, quadruped, where)
        except ValueError as error:
            if not oriented:
                raise
            found.notes.append(getattr(error, "message", str(error)))
    named, source = stated, "PatientOrientation" if stated else None
    if oriented:
        assert found.row is not None
        assert found.column is not None
        made = (
            letters(found.row, quadruped=quadruped),
            letters(found.column, quadruped=quadruped),
        )
        pairs = zip(stated or made, made, strict=True)
        if any(not theirs.startswith(ours[:1]) for theirs, ours in pairs):
            found.notes.append(
                "PatientOrientation says {}\\{}, ImageOrientationPatient {}\\{}: the latter "
                "counts".format(*(stated or made), *made)
            )
        named, source = made, "ImageOrientationPatient"
    code = text_of(dataset, "PatientPosition", where)
    position = patient_position(code) if code else None
    if code and position is None:
        found.notes.append(f"PatientPosition {code!r:.40} has no gantry or is not one of PS3.3")
    return {
        "path": where.path,
        "frame": found.frame,
        "rows": found.whole("Rows"),
        "columns": found.whole("Columns"),
        "coordinates": found.coordinates,
        "position": found.position,
        "row_direction": found.row,
        "column_direction": found.column,
        "normal": found.normal,
        "spacing": found.spacing,
        "spacing_from": found.spacing_from,
        "thickness": found.thickness,
        "spacing_between_slices": found.between,
        "letters": named,
        "letters_from": source,
        "patient_position": position,
        "quadruped": quadruped,
        "breast": _breast(found, named, where),
        "notes": tuple(found.notes),
    }


def _breast(found: Frame, named: tuple[str, str] | None, where: Where) -> Breast | None:
    dataset = found.dataset
    if named is None or text_of(dataset, "Modality", where) not in _MAMMOGRAPHY:
        return None
    if text_of(dataset, "AnatomicalOrientationType", where) == "QUADRUPED":
        return None
    view = text_of(dataset, "ViewPosition", where)
    codes = items_of(dataset, "ViewCodeSequence", where)
    if view is None and codes:
        view = text_of(codes[0], "CodeMeaning", where)
    side = text_of(dataset, "ImageLaterality", where) or text_of(dataset, "Laterality", where)
    anatomy = found.group("FrameAnatomySequence")
    if side is None and anatomy is not None:  # tomosynthesis, PS3.3 C.7.6.16.2.8
        side = text_of(anatomy, "FrameLaterality", where)
    return breast(edges_of(*named), side, view)
