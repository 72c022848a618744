"""Palettes (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9): from pixels to colors.

Not pydicom's `apply_color_lut`: it wraps pixels of 16 bits where entries have 8, and expands
segmented tables without an end where their segments lead to one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomloom.errors import CorruptError, UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

_COLORS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 1 << 16
_MOST_BYTES = 16 * _MOST_ENTRIES  # of a segmented table, a segment for each entry
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def colored(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """Return the colors of pixels, uint8 of shape (rows, columns, 3).

    Pixels in front of the first entry have its color, those behind the last one that of the last.

    Parameters
    ----------
    pixels : ndarray
        Integers of shape (rows, columns).
    dataset : pydicom.Dataset
        In little endian.

    Raises
    ------
    CorruptError
        A descriptor or table is missing, too short, or makes no sense; the message names it.
    UnsupportedError
        Entries of neither 8 nor 16 bits.
    """
    import numpy as np

    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise CorruptError(
            f"PALETTE COLOR with pixels of shape {pixels.shape} and type {pixels.dtype}: expected "
            "one integer a pixel"
        )
    # C.7.6.3.1.5: the three have one number of entries, one first value, and one depth.
    count, first, bits = _descriptor(dataset)
    tables = [_table(dataset, color, count, bits) for color in _COLORS]
    index = pixels.astype("i4" if pixels.dtype.itemsize <= 2 else "i8") - first
    made: NDArray[np.uint8] = np.stack(tables, -1)[index.clip(0, count - 1)]
    return made


def _descriptor(dataset: Dataset) -> tuple[int, int, int]:
    keyword = "RedPaletteColorLookupTableDescriptor"
    value = dataset.get(keyword)
    numbers = [] if value is None or isinstance(value, str | bytes | int) else list(value)
    if len(numbers) != 3 or not all(isinstance(number, int) for number in numbers):
        raise CorruptError(
            f"{keyword} must be three numbers where PhotometricInterpretation is PALETTE COLOR "
            f"(PS3.3 C.7.6.3), found {'nothing' if value is None else repr(value)[:40]}"
        )
    count, first, bits = numbers
    if bits not in (8, 16):
        raise UnsupportedError(f"{keyword} says entries of {bits} bits, expected 8 or 16")
    if not 0 <= count <= _MOST_ENTRIES:
        raise CorruptError(f"{keyword} says {count} entries, expected 0 (65,536) to 65,535")
    return count or _MOST_ENTRIES, first, bits


def _table(dataset: Dataset, color: str, count: int, bits: int) -> NDArray[np.uint8]:
    """Return the entries of a color, cut to 8 bits."""
    import numpy as np

    keyword = f"{color}PaletteColorLookupTableData"
    data = _bytes(dataset, keyword)
    if data:
        # C.7.6.3.1.6: entries of 8 bits lie two to a word; in some files each in one of its own.
        width = 2 if len(data) >= 2 * count else 1
        if len(data) < count * bits // 8:
            raise CorruptError(
                f"{keyword} has {len(data)} bytes, expected {count * bits // 8}: {count} entries "
                f"of {bits} bits"
            )
        entries = np.frombuffer(data, f"<u{width}", count)
    else:
        keyword = f"Segmented{keyword}"
        data = _bytes(dataset, keyword)
        if not 0 < len(data) <= _MOST_BYTES:
            raise CorruptError(
                f"{keyword} has {len(data)} bytes, expected 1 to {_MOST_BYTES}, as there is no "
                f"{color}PaletteColorLookupTableData"
            )
        width = bits // 8
        words = np.frombuffer(data, f"<u{width}", len(data) // width).tolist()
        entries = np.array(_expanded(words, width, count, keyword), f"u{width}")
    top = 255 if bits == 8 and (width == 1 or entries.max() <= 255) else 65535
    return (entries.astype("f8") * (255 / top)).round().astype("u1")


def _bytes(dataset: Dataset, keyword: str) -> bytes:
    import numpy as np

    value = dataset.get(keyword)
    if value is None or isinstance(value, bytes):
        return value or b""
    numbers = [value] if isinstance(value, int) else list(value)  # of VR US
    if not all(isinstance(number, int) and 0 <= number < 1 << 16 for number in numbers):
        raise CorruptError(f"{keyword} is no table of entries")
    return np.array(numbers, "<u2").tobytes()


def _expanded(words: list[int], width: int, count: int, keyword: str) -> list[int]:
    """Return the entries of a segmented table (C.7.9.2), of which there must be `count`."""
    made: list[int] = []
    at = 0
    while at + 1 < len(words) and len(made) < count:
        if words[at] != _INDIRECT:
            at = _segment(words, at, made, keyword)
            continue
        many, where = words[at + 1], words[at + 2 : at + 2 + 4 // width]
        if len(where) < 4 // width:
            raise CorruptError(f"{keyword} ends within a segment at entry {len(made)}")
        at += 2 + 4 // width
        # The offset is one of bytes, its least significant part first.
        copied = sum(part << 8 * width * i for i, part in enumerate(where)) // width
        for _ in range(many):
            if len(made) >= count:
                break
            copied = _segment(words, copied, made, keyword)
    if len(made) != count:
        raise CorruptError(f"{keyword} makes {len(made)} entries, expected {count}")
    return made


def _segment(words: list[int], at: int, made: list[int], keyword: str) -> int:
    """Append the entries of a discrete or linear segment; returns where the next one begins."""
    import numpy as np

    kind, length = (*words[at : at + 2], -1, -1)[:2]
    values = words[at + 2 : at + 2 + (length if kind == _DISCRETE else 1)]
    # A segment without entries, or one that leads to another that does so, may go on for ever.
    if kind not in (_DISCRETE, _LINEAR) or length < 1 or (kind == _LINEAR and not made):
        raise CorruptError(
            f"{keyword} has a segment at entry {len(made)} of type {kind} and length {length}, "
            "which cannot be there (PS3.3 C.7.9.2)"
        )
    if len(values) < (length if kind == _DISCRETE else 1):
        raise CorruptError(f"{keyword} ends within a segment at entry {len(made)}")
    if kind == _DISCRETE:
        made.extend(values)
    else:
        last = made[-1]
        step = (values[0] - last) / length
        made.extend(np.linspace(last + step, values[0], length).round().astype(int).tolist())
    return at + 2 + len(values)
