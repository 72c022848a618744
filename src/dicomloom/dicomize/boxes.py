"""Boxes of the ISO base file formats: JP2 (ISO/IEC 15444-1 I.4) and JPEG XL (18181-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomloom.errors import CorruptError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BOXES = 1000


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk boxes that lie one behind the other: type and content.

    Raises
    ------
    CorruptError
        A box is longer than what is left, or shorter than its own header.
    LimitError
        There are more than a thousand.

    Examples
    --------
    >>> list(boxes(bytes([0, 0, 0, 10]) + b"colr" + bytes([1, 0])))
    [(b'colr', b'\\x01\\x00')]
    """
    at = 0
    for _ in range(_MOST_BOXES):
        if at == len(data):
            return
        length, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if end < at + head or end > len(data):
            raise CorruptError(
                f"box {kind.decode('latin-1')!r} at byte {at} says {length} bytes, "
                f"{len(data) - at} are left"
            )
        yield kind, data[at + head : end]
        at = end
    raise LimitError(f"more than {_MOST_BOXES} boxes, one behind the other")
