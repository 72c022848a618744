"""`Stack`: parallel slices in order, one matrix for them, and their pixels as one array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dicomloom.errors import UnsupportedError
from dicomloom.geometry.directions import LEAN_DEGREES, Edges, edges_of, letters, nearest_plane
from dicomloom.geometry.findings import Finding, shear_of, stated_spacing, steps_of
from dicomloom.geometry.images import Slice
from dicomloom.geometry.plane import transform

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Stack:
    """Parallel slices of one size, in ascending order along their normal.

    Found in a `dicomloom.Series`.

    Attributes
    ----------
    slices : tuple of Slice
        One for each place that has an image.
    split : dict of str to str
        What distinguishes it from other stacks at the same places, as ``{"EchoTime": "20"}``.
    series, frame_of_reference : str
        SeriesInstanceUID and FrameOfReferenceUID.
    grid : tuple of int, or None
        The slice index of each of `slices`: with gaps some indices have none. None where slices
        are not evenly spaced.
    slice_spacing : float or None
        From slice to slice along the normal, mm; None of a single slice.
    tilt : float
        Between the normal and the line on which the first pixels lie, degrees; 0 if it is below
        0.1.
    findings : tuple of Finding
        What is odd about it; none means an even, complete, straight stack.
    """

    def __init__(
        self,
        slices: Sequence[Slice],
        split: dict[str, str],
        copies: Sequence[tuple[Slice, Slice]] = (),
    ) -> None:
        import numpy as np

        self.slices = tuple(slices)
        self.split = dict(split)
        first = self.slices[0]
        self.series, self.frame_of_reference = first.series, first.reference
        normal = np.array(first.normal)
        along = self.positions @ normal
        steps = steps_of(self.slices, along.tolist())
        self.grid, self.slice_spacing = steps.grid, steps.usual
        self._direction, self.tilt, bent = shear_of(self.slices, self.positions, along, normal)
        bare = [] if first.spacing else [_bare(self.slices)]
        self.findings: tuple[Finding, ...] = (
            *[_copy(kept, other) for kept, other in copies],
            *steps.findings,
            *bent,
            *stated_spacing(self.slices, steps.usual),
            *bare,
        )
        self._shifted = any(finding.kind == "shifted" for finding in bent)

    # --- what it is ---

    @cached_property
    def positions(self) -> NDArray[Any]:
        """The center of the first pixel of each slice, mm, LPS: float64 of shape (slices, 3)."""
        import numpy as np

        return np.array([each.position for each in self.slices], "f8")

    @property
    def regular(self) -> bool:
        """Whether one matrix describes it: evenly spaced, save for gaps, and on a straight line."""
        return self.grid is not None and not self._shifted

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices (those that gaps lack included), rows, columns."""
        count = self.grid[-1] + 1 if self.grid else len(self.slices)
        return (count, self.slices[0].rows, self.slices[0].columns)

    @property
    def letters(self) -> tuple[str, str, str]:
        """The letters of the directions of rows, columns and slices."""
        first = self.slices[0]
        row, column, normal = (
            letters(direction, quadruped=first.quadruped)
            for direction in (first.row, first.column, first.normal)
        )
        return row, column, normal

    @property
    def edges(self) -> Edges:
        """The letters at the edges of each slice."""
        return edges_of(*self.letters[:2], quadruped=self.slices[0].quadruped)

    @property
    def name(self) -> str:
        """The main plane of its slices, or "oblique", as `dicomloom.ImagePlane.name`."""
        name, angle = nearest_plane(self.slices[0].normal, quadruped=self.slices[0].quadruped)
        return name if angle < LEAN_DEGREES else "oblique"

    def __len__(self) -> int:
        return len(self.slices)

    def __repr__(self) -> str:
        what = "".join(f", {name} {value}" for name, value in self.split.items())
        return f"<Stack: {self.name}, {len(self)} slices{what}, {len(self.findings)} findings>"

    # --- coordinates ---

    @cached_property
    def affine(self) -> NDArray[Any]:
        """The 4x4 matrix from (column, row, slice, 1) to patient LPS mm.

        Indices are of pixel centers, from 0; slices count as in `grid`, which is the first axis of
        `volume`. The third column has the shear of a tilt. Of a single slice its length is
        SpacingBetweenSlices, else SliceThickness, else 1.

        Raises
        ------
        UnsupportedError
            There is none: slices are unevenly spaced or shifted, or PixelSpacing is not stated.
        """
        import numpy as np

        first = self.slices[0]
        if self.grid is None or self._shifted or first.spacing is None:
            kinds = ("uneven", "shifted", "no spacing")
            why = next((f.text for f in self.findings if f.kind in kinds), "large gaps")
            raise UnsupportedError(
                f"no one matrix describes this stack: {why}; use `positions`, slice by slice",
                path=first.path,
            )
        step = self.slice_spacing or first.between or first.thickness or 1.0
        made = np.eye(4)
        made[:3, 0] = np.multiply(first.row, first.spacing[1])
        made[:3, 1] = np.multiply(first.column, first.spacing[0])
        made[:3, 2] = self._direction * step
        # Where the slices lie is rounded: begin where all of them together say.
        made[:3, 3] = (self.positions - np.outer(self.grid, made[:3, 2])).mean(axis=0)
        return made

    @property
    def affine_ras(self) -> NDArray[Any]:
        """The same matrix to RAS mm, as nibabel and NIfTI have it."""
        return self.affine * [[-1], [-1], [1], [1]]

    def to_patient(self, points: ArrayLike) -> NDArray[Any]:
        """Map (column, row, slice) of shape (..., 3) to patient LPS mm, float64 of that shape."""
        return transform(self.affine, points)

    def to_index(self, points: ArrayLike) -> NDArray[Any]:
        """Map patient LPS mm of shape (..., 3) to (column, row, slice), not rounded."""
        import numpy as np

        return transform(np.linalg.inv(self.affine), points)

    # --- pixels ---

    def volume(self, *, rescale: bool = False, fill: float | None = None) -> NDArray[Any]:
        """Read the pixels of all slices.

        Parameters
        ----------
        rescale : bool
            Apply RescaleSlope and RescaleIntercept (PS3.3 C.11.1), each slice its own, to float32;
            to float64 where samples have more than 16 bits.
        fill : number, optional
            What slices that gaps lack are made of. Without it a stack with gaps is refused.

        Returns
        -------
        array of shape (slices, rows, columns), or (slices, rows, columns, samples)
            Stored values, unless they are rescaled. ``volume[k, j, i]`` lies at
            ``to_patient((i, j, k))``. Frames are read one by one: memory is that of the array and a
            frame.

        Raises
        ------
        UnsupportedError
            Slices are missing, and `fill` is not given; or values are rescaled by a table.
        PixelError
            Slices differ in size or type.
        CorruptError, TruncatedError, MissingDependencyError, ReadError
            A frame cannot be read; the error has path and frame.
        """
        from dicomloom.geometry.volume import read_volume

        grid: Sequence[int] = self.grid or range(len(self.slices))
        missing = grid[-1] + 1 - len(grid)
        if missing and fill is None:
            raise UnsupportedError(
                f"{missing} of {grid[-1] + 1} slices are missing: give fill=, the value of their "
                "pixels",
                path=self.slices[0].path,
            )
        return read_volume(self.slices, grid, rescale=rescale, fill=fill)

    # --- words ---

    def as_dict(self) -> dict[str, Any]:
        """Return what is known as plain lists and numbers, for JSON."""
        first = self.slices[0]
        return {
            "series": self.series,
            "frame_of_reference": self.frame_of_reference,
            "split": self.split,
            "name": self.name,
            "letters": list(self.letters),
            "edges": self.edges._asdict(),
            "shape": list(self.shape),
            "spacing": list(first.spacing) if first.spacing else None,
            "slice_spacing": self.slice_spacing,
            "tilt": self.tilt,
            "regular": self.regular,
            "affine": self.affine.tolist() if self.regular and first.spacing else None,
            "slices": [
                {"path": each.path, "frame": each.frame, "position": list(each.position)}
                for each in self.slices
            ],
            "findings": [
                {"kind": finding.kind, "text": finding.text, "value": finding.value}
                for finding in self.findings
            ],
        }


def _copy(kept: Slice, other: Slice) -> Finding:
    away = math.dist(kept.position, other.position)
    spacing = min(kept.spacing or (1.0, 1.0))
    if away > 0.1 * spacing:
        text = f"{other.label} is as deep as {kept.label}, {away:.3g} mm beside it"
    else:
        text = f"{other.label} is at the place of {kept.label}, and nothing tells them apart"
    return Finding("duplicate", f"{text}: it was left out", (kept, other))


def _bare(slices: tuple[Slice, ...]) -> Finding:
    return Finding("no spacing", "PixelSpacing is not stated", slices)
