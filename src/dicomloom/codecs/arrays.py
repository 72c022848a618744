"""Frames as arrays for the libraries that want them.

What goes in is checked, what comes out is fitted. Imports numpy: only the families that code
through a library come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dicomloom.codecs.native import check_size, deliver
from dicomloom.errors import CorruptError, PixelError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout

Array = np.ndarray[Any, np.dtype[Any]]


def load(frame: Buffer, layout: Layout, *, pattern: bool = False) -> Array:
    """Return the samples of a frame, of shape (rows, columns[, samples]).

    Parameters
    ----------
    frame : buffer
        Of `layout.frame_bytes` bytes; one-bit pixels become 0 and 1 of a byte each.
    layout : Layout
    pattern : bool
        Give signed values as the unsigned number that has their `bits_stored` bits, and up to eight
        bits in a byte: for codecs that know no sign, and no container but the least.

    Raises
    ------
    PixelError
        The frame has another size, or values that `bits_stored` bits do not hold.
    """
    view = memoryview(frame).cast("B")
    check_size(view, layout)
    if layout.bits_allocated == 1:
        count = layout.rows * layout.columns * layout.samples
        bits = np.unpackbits(np.frombuffer(view, np.uint8), count=count, bitorder="little")
        return bits.reshape(layout.shape)
    array: Array = np.frombuffer(view, layout.dtype).reshape(layout.shape)
    if layout.bits_stored < layout.bits_allocated:
        _check_range(array, layout)
    if pattern and layout.signed:
        array = array.view(f"<u{layout.bits_allocated // 8}")
        if layout.bits_stored < layout.bits_allocated:
            array = array & array.dtype.type((1 << layout.bits_stored) - 1)
    if pattern and layout.bits_stored <= 8:
        array = array.astype(np.uint8, copy=False)
    return array


def _check_range(array: Array, layout: Layout) -> None:
    # Compare in Python's integers: numpy would wrap.
    bits = layout.bits_stored
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if layout.signed else (0, (1 << bits) - 1)
    if not array.size:
        return
    worst = int(array.max())
    if worst <= most and layout.signed:
        worst = int(array.min())
    if not least <= worst <= most:
        raise PixelError(
            f"expected values from {least} to {most} (BitsStored {bits}), found {worst}: give the "
            "true BitsStored, or clear the unused bits first"
        )


def store(
    array: Array, layout: Layout, into: Buffer | None, *, bits: int, signed: bool = False
) -> Buffer:
    """Fit what a library decoded to a layout.

    Parameters
    ----------
    array : ndarray
        Integers of any width, (rows, columns[, samples]).
    layout : Layout
        What is to come out.
    into : writable buffer, optional
    bits : int
        Precision of the bitstream.
    signed : bool
        Whether the bitstream itself knows a sign (JPEG 2000). Where it does not, the value is a
        pattern of bits whose sign is the last of `layout.bits_stored`, or of `bits` where they are
        fewer.

    Raises
    ------
    CorruptError
        Shape or width do not fit.
    """
    if array.size != layout.rows * layout.columns * layout.samples:
        raise CorruptError(
            f"expected {layout.rows} rows, {layout.columns} columns, {layout.samples} samples, "
            f"found an array of shape {array.shape}"
        )
    if layout.bits_allocated == 1:
        packed = np.packbits(array.reshape(-1) != 0, bitorder="little")
        return _deliver(packed, layout, into)
    return _deliver(_fit(array, layout, bits, signed), layout, into)


def _fit(array: Array, layout: Layout, bits: int, signed: bool) -> Array:
    width = layout.bits_allocated
    unsigned = np.dtype(f"<u{width // 8}")
    wide = array.astype(unsigned, copy=False)  # sign-extends and wraps, as C does
    if not layout.signed:
        # A signed codestream in an unsigned data set: its bits count, as pydicom reads it.
        return wide & unsigned.type((1 << bits) - 1) if signed and bits < width else wide
    shift = width - min(bits, layout.bits_stored)
    values = wide.view(layout.dtype)
    return (values << shift) >> shift if shift else values


def _deliver(array: Array, layout: Layout, into: Buffer | None) -> Buffer:
    flat: NDArray[np.uint8] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return deliver(flat.data, layout, into)
