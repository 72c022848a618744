"""The pixels of a stack, read frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dicomloom.errors import PixelError, UnsupportedError
from dicomloom.geometry.frame import path_of
from dicomloom.geometry.images import Slice
from dicomloom.geometry.values import Where, items_of, vector_of
from dicomloom.tags import parse_tag

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from dicomloom.frames.reader import FrameReader


def read_volume(
    slices: Sequence[Slice], grid: Sequence[int], *, rescale: bool, fill: float | None
) -> NDArray[Any]:
    """Return an array with each slice at its place in the grid; see `Stack.volume`."""
    import numpy as np

    made: NDArray[Any] | None = None
    with _Pixels() as pixels:
        for each, k in zip(slices, grid, strict=True):
            frame, bits = pixels.read(each)
            if rescale:
                slope, intercept = _rescale(pixels.header(each), each)
                frame = frame.astype("f4" if bits <= 16 else "f8") * slope + intercept
            if made is None:  # there is room for what a frame's bytes have shown to be
                made = np.empty((grid[-1] + 1, *frame.shape), frame.dtype)
                if len(grid) < len(made):
                    _fill(made, grid, fill)
            if frame.shape != made.shape[1:] or frame.dtype != made.dtype:
                raise PixelError(
                    f"slices must be alike: the first is {made.shape[1:]} of {made.dtype}, "
                    f"{each.label} {frame.shape} of {frame.dtype}",
                    path=each.path,
                    frame=each.frame,
                )
            made[k] = frame
    assert made is not None  # a stack has slices
    return made


def _fill(made: NDArray[Any], grid: Sequence[int], fill: float | None) -> None:
    import numpy as np

    value = np.asarray(0 if fill is None else fill)
    if not np.can_cast(np.min_scalar_type(value.item()), made.dtype, "same_kind"):
        raise PixelError(f"fill must be a value of {made.dtype}, not {fill}; try rescale=True")
    info = np.iinfo(made.dtype) if made.dtype.kind in "iu" else None
    if info is not None and not info.min <= value <= info.max:
        raise PixelError(f"fill must be from {info.min} to {info.max}, not {fill}")
    there = set(grid)
    for k in range(len(made)):
        if k not in there:
            made[k] = value


class _Pixels:
    """One file open at a time: frames of a multi-frame object follow one another."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._reader: FrameReader | None = None

    def __enter__(self) -> _Pixels:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def read(self, each: Slice) -> tuple[NDArray[Any], int]:
        """Return a frame, and how many bits its samples are stored in."""
        if each.dataset is not None and "PixelData" in each.dataset:
            return _of_dataset(each.dataset, each.frame), int(each.dataset.BitsAllocated)
        reader = self._open(each)
        return reader[each.frame], reader.layout.bits_allocated

    def header(self, each: Slice) -> Dataset:
        """Return the data set that says how values are rescaled."""
        return each.dataset if each.dataset is not None else self._open(each).dataset

    def _open(self, each: Slice) -> FrameReader:
        from dicomloom.frames.reader import FrameReader

        path = each.path or (path_of(each.dataset) if each.dataset is not None else None)
        if path is None:
            raise UnsupportedError(
                "a data set without PixelData and without a file has no pixels to read: give paths"
            )
        if self._reader is None or path != self._path:
            if self._reader is not None:
                self._reader.close()
            self._reader, self._path = None, path
            self._reader = FrameReader(path)
        return self._reader


def _of_dataset(dataset: Dataset, frame: int) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    try:
        made: NDArray[Any] = pixel_array(dataset, index=frame, raw=True)
    except Exception as error:  # pydicom's decoders raise many kinds
        raise PixelError(
            f"pydicom cannot decode the pixels: {error}", path=path_of(dataset), frame=frame
        ) from error
    return made


def _rescale(dataset: Dataset, each: Slice) -> tuple[float, float]:
    """Return slope and intercept: of the frame's functional group, else the object's, else 1, 0."""
    where = Where(each.path, each.frame)
    if items_of(dataset, "ModalityLUTSequence", where):
        raise UnsupportedError(
            "values are rescaled by a table, ModalityLUTSequence: read stored values, and apply "
            "pydicom.pixels.apply_modality_lut",
            path=each.path,
            tag=parse_tag("ModalityLUTSequence").leaf.tag,
        )
    places = [dataset]
    per_frame = items_of(dataset, "PerFrameFunctionalGroupsSequence", where)
    shared = items_of(dataset, "SharedFunctionalGroupsSequence", where)
    for group in (*shared[:1], *per_frame[each.frame : each.frame + 1]):
        places[:0] = items_of(group, "PixelValueTransformationSequence", where)[:1]
    for place in places:
        slope = vector_of(place, "RescaleSlope", 1, where)
        intercept = vector_of(place, "RescaleIntercept", 1, where)
        if slope is not None or intercept is not None:
            return (slope or (1.0,))[0], (intercept or (0.0,))[0]
    return 1.0, 0.0
