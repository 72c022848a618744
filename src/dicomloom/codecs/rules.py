"""Which layouts a transfer syntax can hold, and which numbers an option can be."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.codecs.layout import SUBSAMPLED
from dicomloom.errors import LimitError, UnsupportedError

if TYPE_CHECKING:
    from dicomloom.codecs.layout import Layout

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_LARGE = 256 << 20  # bytes of a frame that may be blank
_MOST_RATIO = 4096


class Holds(NamedTuple):
    """The layouts that a transfer syntax can hold, by the tables of PS3.5 8.2."""

    allocated: tuple[int, ...]
    stored: tuple[int, int]
    signed: bool
    photometrics: tuple[str, ...]
    reasons: dict[str, str] = {}  # noqa: RUF012
    """By photometric interpretation or ``"signed"``: why not."""

    def refuse(self, keyword: str, layout: Layout) -> None:
        """Raise UnsupportedError where a layout does not fit."""
        found = self._fault(layout)
        if found:
            raise UnsupportedError(f"{keyword} {found}")

    def _fault(self, layout: Layout) -> str:  # noqa: PLR0911
        if layout.floating:
            return "does not hold floating point pixels: use a native syntax"
        least, most = self.stored
        if layout.bits_allocated not in self.allocated:
            return (
                f"holds BitsAllocated {_listed(self.allocated)}, found {layout.bits_allocated}: "
                "use another transfer syntax or convert the pixels"
            )
        if not least <= layout.bits_stored <= most or layout.bits_stored > layout.bits_allocated:
            return f"holds BitsStored {least} to {most}, found {layout.bits_stored}"
        if layout.signed and not self.signed:
            why = self.reasons.get("signed", "its samples have no sign")
            return f"holds PixelRepresentation 0, found 1: {why}"
        wanted = 1 if layout.photometric in (*MONOCHROME, PALETTE) else 3
        if layout.photometric not in self.photometrics:
            why = self.reasons.get(layout.photometric, "convert the pixels first")
            return f"holds {_listed(self.photometrics)}, found {layout.photometric}: {why}"
        if layout.samples != wanted:
            return f"with {layout.photometric} has SamplesPerPixel {wanted}, found {layout.samples}"
        if wanted == 3 and layout.signed:
            return "holds color with PixelRepresentation 0, found 1"
        if not layout.rows or not layout.columns:
            return f"needs at least one pixel, found {layout.rows} rows, {layout.columns} columns"
        return ""


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def check_readable(keyword: str, allocated: tuple[int, ...], layout: Layout) -> None:
    """Raise UnsupportedError where frames of a data set cannot be decoded."""
    if layout.floating or layout.bits_allocated not in allocated:
        raise UnsupportedError(
            f"{keyword} holds BitsAllocated {_listed(allocated)}, found "
            f"{'floating point of ' if layout.floating else ''}{layout.bits_allocated}"
        )


def check_ratio(coded: int, layout: Layout) -> None:
    """Raise LimitError for a large frame that so few bytes cannot hold unless it is blank.

    Of JPEG 2000 and JPEG XL nobody can tell how much a byte becomes at most: a hundred bytes may be
    a blank frame of 65535 x 65535. One of an image that somebody took is not as large.
    """
    if layout.full_bytes > max(_LARGE, _MOST_RATIO * coded):
        raise LimitError(
            f"{coded} bytes for a frame of {layout.full_bytes}: refused, as bytes that become more "
            f"than {_MOST_RATIO} each are no image of more than {_LARGE} bytes"
        )


def full_width(layout: Layout) -> Layout:
    """Return a layout color by pixel; codestreams give Cb and Cr for every pixel."""
    halved = layout.photometric in SUBSAMPLED
    return layout.replace(planar=0, photometric="YBR_FULL" if halved else layout.photometric)


def number(options: dict[str, Any], name: str, least: float, most: float, default: Any) -> Any:
    """Return an option that is a number within bounds.

    Raises
    ------
    ValueError
        It is not; the message says what was expected.
    """
    value = options.get(name, default)
    if value is None:
        return None
    whole = isinstance(least, int)
    if isinstance(value, str | bytes | bool) or not isfinite(value):
        raise ValueError(f"{name} must be a number from {least} to {most}, not {value!r}")
    value = int(value) if whole and int(value) == value else float(value)
    if (whole and not isinstance(value, int)) or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} must be {kind} from {least} to {most}, not {value!r}")
    return value
