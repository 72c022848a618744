"""The instances of a concatenation as one object (PS3.3 C.7.6.16.2.2.4)."""

from __future__ import annotations

from dicomloom.errors import PixelError
from dicomloom.frames.stored import StoredFrames


def ordered(parts: list[StoredFrames]) -> list[StoredFrames]:
    """Return the instances in the order of their frames.

    Raises
    ------
    PixelError
        They are not all of one concatenation, or some are missing or there twice.
    """
    first = parts[0]
    uid = first.header.text("ConcatenationUID")
    for part in parts:
        found = part.header.text("ConcatenationUID")
        if found is None or found != uid:
            raise PixelError(
                f"not one concatenation: ConcatenationUID is {uid or 'absent'} in "
                f"{first.path}, {found or 'absent'} in {part.path}",
                path=part.path,
            )
        if part.layout != first.layout:
            raise PixelError(
                f"frames differ within the concatenation: {first.layout} in {first.path}, "
                f"{part.layout} in {part.path}",
                path=part.path,
            )
    made = sorted(parts, key=lambda part: part.header.number("ConcatenationFrameOffsetNumber") or 0)
    at = 0
    for part in made:
        offset = part.header.number("ConcatenationFrameOffsetNumber") or 0
        if offset != at:
            raise PixelError(
                f"frames {min(at, offset)} to {max(at, offset) - 1} of the concatenation are "
                f"{'missing' if offset > at else 'there twice'}: {part.path} begins with frame "
                f"{offset}, {at} was expected",
                path=part.path,
            )
        at += part.count
    total = first.header.number("InConcatenationTotalNumber")
    if total is not None and total != len(made):
        raise PixelError(
            f"the concatenation has {total} instances, {len(made)} were given", path=first.path
        )
    return made
