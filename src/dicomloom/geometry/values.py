"""Values of a data set that geometry is made of, with errors that name the element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomloom.errors import CorruptError, DicomloomError
from dicomloom.tags import format_tag, parse_tag

if TYPE_CHECKING:
    from pydicom import Dataset

Vector = tuple[float, ...]
_LONGEST = 256  # characters of a text
# Of lengths in mm and what is made of them: squares and cubes of these are numbers, too.
_LEAST, _MOST = 1e-50, 1e50


class Where:
    """Which object and frame messages speak of."""

    __slots__ = ("frame", "path")

    def __init__(self, path: str | None = None, frame: int | None = None) -> None:
        self.path = path
        self.frame = frame

    def corrupt(self, keyword: str, rest: str) -> CorruptError:
        """Return the error for an element whose value cannot be."""
        tag = parse_tag(keyword).leaf.tag
        return CorruptError(
            f"{keyword} {format_tag(tag)} {rest}", path=self.path, tag=tag, frame=self.frame
        )


def value_of(dataset: Dataset, keyword: str, where: Where) -> Any:
    """Return the value of an element; None where it is absent or empty.

    Raises
    ------
    CorruptError
        pydicom cannot make a value of its bytes.
    """
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    if tag not in dataset:
        return None
    try:
        value = dataset[tag].value
    except DicomloomError:
        raise
    except Exception as error:  # what pydicom raises for bytes that are no value is of many kinds
        raise where.corrupt(keyword, f"cannot be read: {error}") from error
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return None
    return value


def text_of(dataset: Dataset, keyword: str, where: Where) -> str | None:
    """Return a value as text, several joined by backslashes; None where it is absent or empty.

    What is longer than 256 characters, as nothing that is asked for here, is cut: each frame of
    an object keeps it.
    """
    value = value_of(dataset, keyword, where)
    if value is None:
        return None
    if not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        return "\\".join(str(part) for part in value[:_LONGEST])[:_LONGEST]
    return str(value).strip()[:_LONGEST] or None


def items_of(dataset: Dataset, keyword: str, where: Where) -> Any:
    """Return the items of a sequence; an empty tuple where it is absent or empty."""
    from pydicom.sequence import Sequence

    value = value_of(dataset, keyword, where)
    if value is None:
        return ()
    if not isinstance(value, Sequence):
        raise where.corrupt(keyword, "must be a sequence; its VR is another")
    return value


def parts_of(value: Any) -> Any:
    """Return a sequence of the values; `value` is what pydicom gives, or text with backslashes."""
    if isinstance(value, str):
        return value.split("\\")
    return value if hasattr(value, "__iter__") and not isinstance(value, bytes) else (value,)


def numbers(value: Any, keyword: str, where: Where, count: int | None = None) -> Vector:
    """Return numbers, none beyond 1e50; `value` is what pydicom gives, or text with backslashes.

    Raises
    ------
    CorruptError
        There are not `count`, or one is no such number.
    """
    try:
        found = tuple(float(part) for part in parts_of(value))
    except (TypeError, ValueError, OverflowError):
        wanted = f"{count or 1} number{'s' if (count or 1) > 1 else ''}"
        raise where.corrupt(keyword, f"must be {wanted}, found {str(value)!r:.80}") from None
    if count is not None and len(found) != count:
        raise where.corrupt(keyword, f"must be {count} numbers, found {len(found)}")
    if not all(abs(number) <= _MOST for number in found):  # NaN is not, either
        raise where.corrupt(keyword, f"must be finite, up to {_MOST:g}, found {str(value)!r:.80}")
    return found


def vector_of(dataset: Dataset, keyword: str, count: int, where: Where) -> Vector | None:
    """Return an element of so many finite numbers; None where it is absent or empty."""
    value = value_of(dataset, keyword, where)
    return None if value is None else numbers(value, keyword, where, count)


def spacing_pair(value: Any, keyword: str, where: Where) -> tuple[float, float]:
    """Return (between rows, between columns) in mm, both greater than 0 (PS3.3 10.7.1.3)."""
    row, column = numbers(value, keyword, where, 2)
    if row < _LEAST or column < _LEAST:
        raise where.corrupt(
            keyword,
            f"must be two distances greater than 0 mm, found {row:g} and {column:g}; "
            "correct them, or remove the element if they are not known",
        )
    return row, column


def length_of(value: Any, keyword: str, where: Where, *, signed: bool = False) -> float | None:
    """Return a distance in mm; None for 0, which some write where they know nothing."""
    (length,) = numbers(value, keyword, where, 1)
    if length < 0 and not signed:
        raise where.corrupt(keyword, f"must not be negative, found {length:g} mm")
    return length or None


def whole(value: Any, keyword: str, where: Where, least: int = 0) -> int:
    """Return a whole number of at least `least`."""
    (number,) = numbers(value, keyword, where, 1)
    if number % 1 or number < least:
        raise where.corrupt(keyword, f"must be a whole number from {least} on, found {number:g}")
    return int(number)
