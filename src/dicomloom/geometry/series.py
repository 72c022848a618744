"""`Series`: images in the order in which they lie, and what is wrong with them."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dicomloom.geometry.dimensions import Split, split
from dicomloom.geometry.findings import Finding
from dicomloom.geometry.images import TAGS, Slice, Unplaced, gather
from dicomloom.geometry.stack import Stack

if TYPE_CHECKING:
    from typing import Self

    from pydicom import Dataset

    from dicomloom.index.scan import Scan

    Source = Dataset | str | os.PathLike[str] | Iterable[Dataset | str | os.PathLike[str]] | Scan

# Direction cosines that differ by no more are one orientation (0.06 degrees).
ORIENTATION_TOLERANCE = 1e-3
# Images nearer along the normal, mm, are at one place; finer where slices are thinner.
POSITION_TOLERANCE = 0.01
# Weights that tell most directions apart by one number.
_WEIGHTS = (1.0, 0.7, 0.53, 0.41, 0.31, 0.23)


class Series(Sequence[Stack]):
    """Images in stacks: those of one series, frame of reference, orientation, size and spacing.

    Made by `Series.of`; a sequence of `Stack`, each a volume on its own: where several images lie
    at the same place and an attribute tells them apart (time, echo, b-value ...), there is a stack
    for each of its values.

    Attributes
    ----------
    stacks : tuple of Stack
    findings : tuple of Finding
        Those of all stacks, and what is said of several stacks.
    unplaced : tuple of Unplaced
        Files and objects that are in no stack, each with its reason: they cannot be read
        (``readable`` is False), are no images, or do not say where they lie.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> series = Series.of([get_testdata_file(f"dicomdirtests/98892001/CT5N/{name}")
    ...                     for name in ("2062", "2392", "2693", "3023", "3353")])
    >>> len(series), series[0].shape, series[0].slice_spacing
    (1, (5, 16, 16), 2.5)
    """

    TAGS = TAGS
    """What a scan must read for `Series.of`: ``dicomloom.scan(paths, dicomloom.Series.TAGS)``."""

    def __init__(
        self,
        stacks: Iterable[Stack],
        findings: Iterable[Finding],
        unplaced: Iterable[Unplaced],
    ) -> None:
        self.stacks = tuple(stacks)
        self.unplaced = tuple(unplaced)
        own = [finding for stack in self.stacks for finding in stack.findings]
        self.findings = (*findings, *own)

    @classmethod
    def of(cls, source: Source) -> Self:
        """Sort images into stacks.

        Parameters
        ----------
        source : path, Dataset, iterable of these, or Scan
            Files, folders with all below them, or a scan with the tags `Series.TAGS`. Of files only
            headers are read. Frames of multi-frame objects count like single images.

        Returns
        -------
        Series
            Does not depend on the order of `source`. Holds about 2 kB an image.

        Raises
        ------
        TagError
            The scan lacks some of `Series.TAGS`.
        TypeError
            It is none of these.

        Notes
        -----
        Orientations are the same where no direction cosine differs by more than 0.001. Places are
        the same where they are less than 0.01 mm apart along the normal (a tenth of SliceThickness
        or SpacingBetweenSlices, if that is less).
        """
        images: list[Slice] = []
        unplaced = []
        for found in gather(source):
            if isinstance(found, Slice):
                images.append(found)
            else:
                unplaced.append(found)
        images.sort(key=_key)
        images, findings = _distinct(images)
        stacks: list[Stack] = []
        for group in _groups(images):
            made, said = _stacks(group)
            stacks += made
            findings += said
        unplaced.sort(key=lambda each: (each.path or "", each.reason))
        return cls(stacks, findings, unplaced)

    def __len__(self) -> int:
        return len(self.stacks)

    def __getitem__(self, index: Any) -> Any:
        """Return a stack, or a tuple of them for a slice."""
        return self.stacks[index]

    def __iter__(self) -> Iterator[Stack]:
        return iter(self.stacks)

    def __repr__(self) -> str:
        images = sum(len(stack.slices) for stack in self.stacks)
        return (
            f"<Series of {len(self.stacks)} stacks, {images} images, "
            f"{len(self.findings)} findings, {len(self.unplaced)} unplaced>"
        )


def _key(image: Slice) -> tuple[Any, ...]:
    """Order images whatever the order they came in."""
    return (
        image.series, image.reference, image.segment, image.rows, image.columns,
        image.spacing or (), image.row, image.column, image.position, image.number, image.uid,
        image.frame, image.path or "",
    )  # fmt: skip


def _distinct(images: list[Slice]) -> tuple[list[Slice], list[Finding]]:
    """Leave out instances that are there twice."""
    seen: dict[tuple[str, int, Any], Slice] = {}
    kept, findings = [], []
    for image in images:
        key = (image.uid, image.frame, image.position)
        first = seen.get(key) if image.uid else None
        if first is not None:
            findings.append(
                Finding(
                    "same instance",
                    f"{image.label} has the SOPInstanceUID of {first.label}, and was left out",
                    (first, image),
                )
            )
            continue
        seen[key] = image
        kept.append(image)
    return kept, findings


def _groups(images: list[Slice]) -> Iterator[list[Slice]]:
    """Divide by series, frame of reference, segment, size, spacing and orientation."""
    plain: dict[tuple[Any, ...], list[Slice]] = {}
    for image in images:
        key = (image.series, image.reference, image.segment, image.rows, image.columns)
        plain.setdefault(key, []).append(image)
    for group in plain.values():
        spaced: list[tuple[tuple[float, float] | None, list[Slice]]] = []
        for image in group:  # in ascending order of spacing
            if not spaced or not _near(spaced[-1][0], image.spacing):
                spaced.append((image.spacing, []))
            spaced[-1][1].append(image)
        for _, part in spaced:
            yield from _oriented(part)


def _near(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool:
    if a is None or b is None:
        return a is b
    return all(abs(x - y) <= 1e-3 * x for x, y in zip(a, b, strict=True))


def _oriented(images: list[Slice]) -> Iterator[list[Slice]]:
    """Divide by orientation: each image joins the first group whose first image is near enough."""

    def weigh(cosines: tuple[float, ...]) -> float:
        return sum(w * c for w, c in zip(_WEIGHTS, cosines, strict=True))

    groups: dict[tuple[float, ...], list[Slice]] = {}
    same: dict[tuple[float, ...], list[Slice]] = {}
    for image in images:
        same.setdefault((*image.row, *image.column), []).append(image)
    reach = ORIENTATION_TOLERANCE * sum(_WEIGHTS)
    found: list[tuple[float, tuple[float, ...]]] = []
    for cosines, part in same.items():
        weight = weigh(cosines)
        start = bisect.bisect_left(found, (weight - reach,))
        for other_weight, other in found[start:]:
            if other_weight > weight + reach:
                break
            if all(
                abs(a - b) <= ORIENTATION_TOLERANCE for a, b in zip(cosines, other, strict=True)
            ):
                groups[other] += part
                break
        else:
            bisect.insort(found, (weight, cosines))
            groups[cosines] = list(part)
    yield from groups.values()


def _stacks(images: list[Slice]) -> tuple[list[Stack], list[Finding]]:
    """Sort images of one orientation along their normal, and divide what is at the same place."""
    normal = images[0].normal
    at = [sum(n * x for n, x in zip(normal, image.position, strict=True)) for image in images]
    order = sorted(range(len(images)), key=lambda i: at[i])  # stable: else the order of _key
    thin = [image.between or image.thickness for image in images[:1]]
    tolerance = min([POSITION_TOLERANCE, *(0.1 * mm for mm in thin if mm)])
    places: list[int] = []
    for before, i in zip([order[0], *order], order, strict=False):
        last = places[-1] if places else 0
        places.append(last + (at[i] - at[before] > tolerance))
    sorted_images = [images[i] for i in order]
    parts = split(sorted_images, places)
    findings = [_said(parts, sorted_images, places)] if len(parts) > 1 else []
    stacks = []
    segment = sorted_images[0].segment
    common = {"ReferencedSegmentNumber": segment} if segment else {}
    for values, members in parts:
        stacks.append(_stack(sorted_images, places, {**common, **values}, members))
    return stacks, findings


def _stack(images: list[Slice], places: Sequence[int], values: Split, members: list[int]) -> Stack:
    kept: list[Slice] = []
    copies: list[tuple[Slice, Slice]] = []
    last = -1
    for i in members:
        if places[i] == last:
            copies.append((kept[-1], images[i]))
        else:
            kept.append(images[i])
            last = places[i]
    return Stack(kept, values, copies)


def _said(
    parts: list[tuple[Split, list[int]]], images: list[Slice], places: Sequence[int]
) -> Finding:
    names = " and ".join(parts[0][0])
    count = len(set(places))
    return Finding(
        "dimension",
        f"{len(images)} images at {count} place{'s' if count > 1 else ''}: "
        f"{len(parts)} stacks, by {names}",
        tuple(images),
    )


# What is public of the room beside ImagePlane.
__all__ = ["Finding", "Series", "Slice", "Stack", "Unplaced"]
