"""Some frames of an object: what of its header belongs to each frame is chosen with them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

from dicomloom.errors import FrameError
from dicomloom.frames.header import Header, Made, SelectedItems, text_value

PER_FRAME_GROUPS = 0x52009230
_FRAME_TIME_VECTOR = 0x00181065
# Attributes with one value a frame: PS3.3 C.8.4.8 (NM), C.8.6.3 and C.7.6.5 (cine).
_VECTORS = (
    0x00182002,  # FrameLabelVector
    0x00182003,  # FramePrimaryAngleVector
    0x00182004,  # FrameSecondaryAngleVector
    0x00182005,  # SliceLocationVector
    0x00182006,  # DisplayWindowLabelVector
    0x00540010,  # EnergyWindowVector
    0x00540020,  # DetectorVector
    0x00540050,  # RotationVector
    0x00540060,  # RRIntervalVector
    0x00540070,  # TimeSlotVector
    0x00540080,  # SliceVector
    0x00540090,  # AngularViewVector
    0x00540100,  # TimeSliceVector
    0x00540030,  # PhaseVector
)
_CODES = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


def chosen_frames(frames: slice | Sequence[int] | None, count: int) -> range | list[int]:
    """Return which frames are asked for; None asks for all.

    Raises
    ------
    FrameError
        One that is not there, or none.
    """
    if frames is None:
        return range(count)
    chosen: range | list[int]
    if isinstance(frames, slice):
        chosen = range(count)[frames]
    else:
        wrong = [i for i in frames if not -count <= i < count]
        if wrong:
            raise FrameError(f"frame {wrong[0]} of an object with {count} frames", frame=wrong[0])
        chosen = [range(count)[i] for i in frames]
    if not chosen:
        raise FrameError(f"no frame is chosen of {count}")
    return chosen


def per_frame_items(header: Header) -> int | None:
    """Return how many items Per-Frame Functional Groups have; None where there are none."""
    element = header.elements.get(PER_FRAME_GROUPS)
    if element is None or isinstance(element, Made):
        return None
    return len(element.items()[1])


def select_frames(header: Header, chosen: range | list[int], count: int) -> None:
    """Leave in a header only what belongs to the chosen frames of `count`.

    Per-Frame Functional Groups and the vectors with a value for each frame are divided; a Frame
    Time Vector (PS3.3 C.7.6.5.1.2) keeps the times: increments of skipped frames are added up.
    """
    element = header.elements.get(PER_FRAME_GROUPS)
    if element is not None and not isinstance(element, Made):
        items = element.items()
        if len(items[1]) == count:
            header.elements[PER_FRAME_GROUPS] = SelectedItems(PER_FRAME_GROUPS, items, chosen)
    for tag in _VECTORS:
        _select_values(header, tag, chosen, count)
    _select_times(header, chosen, count)


def _select_values(header: Header, tag: int, chosen: range | list[int], count: int) -> None:
    element = header.elements.get(tag)
    if element is None:
        return
    value = element.value
    code = _CODES.get(element.vr)
    if code is None:
        parts = value.rstrip(b" \0").split(b"\\")
        if len(parts) == count:
            kept = b"\\".join(parts[i] for i in chosen)
            header.elements[tag] = Made(tag, element.vr, text_value(element.vr, kept))
        return
    size = struct.calcsize(code)
    if len(value) == size * count:
        kept = b"".join(value[size * i : size * (i + 1)] for i in chosen)
        header.elements[tag] = Made(tag, element.vr, kept)


def _select_times(header: Header, chosen: range | list[int], count: int) -> None:
    element = header.elements.get(_FRAME_TIME_VECTOR)
    if element is None:
        return
    try:
        steps = [float(part) for part in element.value.decode("ascii").strip(" \0").split("\\")]
    except ValueError:
        return
    if len(steps) != count:
        return
    times = []
    now = 0.0
    for step in steps:
        now += step
        times.append(now)
    made = [0.0] + [times[b] - times[a] for a, b in pairwise(chosen)]
    text = "\\".join(f"{step:.10g}" for step in made)
    header.elements[_FRAME_TIME_VECTOR] = Made(_FRAME_TIME_VECTOR, "DS", text_value("DS", text))
