"""Frames as programs have them, arrays and buffers, as the bytes that codecs take."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dicomloom.codecs.layout import Layout
from dicomloom.errors import PixelError
from dicomloom.frames.pixels import KEYWORDS, PHOTOMETRIC_SAMPLES, impossible

if TYPE_CHECKING:
    from typing_extensions import Buffer

# memoryview formats: (bits, signed, floating); "?" is one bit.
_FORMATS = {
    "?": (1, False, False),
    "B": (8, False, False),
    "c": (8, False, False),
    "b": (8, True, False),
    "H": (16, False, False),
    "h": (16, True, False),
    "I": (32, False, False),
    "i": (32, True, False),
    "L": (64, False, False),
    "l": (64, True, False),
    "Q": (64, False, False),
    "q": (64, True, False),
    "f": (32, False, True),
    "d": (64, False, True),
}


class Frames:
    """One or several frames of a buffer: what it says of them, and their bytes.

    Attributes
    ----------
    shape : tuple of int
        Of the whole buffer; one dimension where it is plain bytes.
    bits, signed, floating
        Of a sample.
    plain : bool
        Bytes without a shape.
    """

    def __init__(self, frame: Buffer) -> None:
        try:
            view = memoryview(frame)
        except ValueError as error:  # of numpy, for dates and the like
            raise PixelError(f"frames must hold integers, floats or bools: {error}") from error
        code = view.format.lstrip("@=<>|!")
        swapped = view.format[0] in ">!" and sys.byteorder == "little" and view.itemsize > 1
        if code not in _FORMATS or swapped or not view.c_contiguous:
            view = _straight(frame)
            code = view.format.lstrip("@=<|")
        if code not in _FORMATS:
            raise PixelError(
                f"frames must hold integers, floats or bools, not items of format {view.format!r}"
            )
        self.bits, self.signed, self.floating = _FORMATS[code]
        if code in "lL":
            self.bits = 8 * view.itemsize
        self.shape = view.shape or ()
        self.plain = view.ndim == 1 and code in "Bc"
        self.data = view.cast("B") if view.nbytes else memoryview(b"")

    def packed(self, layout: Layout, count: int) -> memoryview:
        """Return the frames with eight pixels a byte, each frame beginning with a new byte."""
        import numpy as np

        pixels = np.frombuffer(self.data, np.uint8).reshape(count, layout.rows * layout.columns)
        if self.bits > 1 and pixels.size and int(pixels.max()) > 1:
            raise PixelError(f"pixels of one bit must be 0 or 1, found {int(pixels.max())}")
        return memoryview(np.packbits(pixels, axis=1, bitorder="little").tobytes())


def _straight(frame: Buffer) -> memoryview:
    """Copy an array that is strided or of the other byte order."""
    import numpy as np

    array = np.asarray(frame)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).data


def layout_for(frames: Frames, declared: dict[str, int | str]) -> Layout:
    """Return the layout of frames, filling in what the template does not say.

    Raises
    ------
    PixelError
        The template says otherwise; the message names both values.
    """
    said = dict(declared)
    samples = said.get("samples")
    if samples is None and "photometric" in said:
        samples = PHOTOMETRIC_SAMPLES.get(str(said["photometric"]))
    if frames.plain:
        _needs_shape(said)
    else:
        _agree_on_shape(said, frames.shape, samples)
        one_bit = said.get("bits_allocated") == 1 and frames.bits == 8 and not frames.signed
        if not one_bit:
            _agree(said, bits_allocated=frames.bits)
        if not frames.floating and frames.bits > 1:
            _agree(said, signed=int(frames.signed))
    count = int(said.get("samples", samples or 1))
    photometric = str(said.get("photometric", "MONOCHROME2" if count == 1 else "RGB"))
    if PHOTOMETRIC_SAMPLES.get(photometric, count) != count:
        raise PixelError(
            f"PhotometricInterpretation {photometric} has {PHOTOMETRIC_SAMPLES[photometric]} "
            f"samples a pixel, the frame has {count}"
        )
    trouble = impossible({**said, "samples": count})
    if trouble:
        raise PixelError(trouble)
    bits = int(said["bits_allocated"])
    return Layout(
        int(said["rows"]),
        int(said["columns"]),
        samples=count,
        bits_allocated=bits,
        bits_stored=int(said.get("bits_stored", bits)),
        signed=bool(said.get("signed", 0)),
        photometric=photometric,
        floating=frames.floating and not frames.plain,
    )


def _needs_shape(said: dict[str, int | str]) -> None:
    for name in ("rows", "columns", "bits_allocated"):
        if name not in said:
            raise PixelError(
                f"plain bytes say nothing of their shape: the template must have {KEYWORDS[name]}, "
                "or pass an array of (rows, columns) or (rows, columns, samples)"
            )


def _agree_on_shape(
    said: dict[str, int | str], shape: tuple[int, ...], samples: int | str | None
) -> None:
    if len(shape) == 2:
        _agree(said, rows=shape[0], columns=shape[1], samples=1)
    elif len(shape) == 3 and samples != 1 and (samples == shape[2] or shape[2] in (3, 4)):
        _agree(said, rows=shape[0], columns=shape[1], samples=shape[2])
    elif len(shape) == 3:
        _agree(said, rows=shape[1], columns=shape[2], samples=1)
    elif len(shape) == 4:
        _agree(said, rows=shape[1], columns=shape[2], samples=shape[3])
    else:
        raise PixelError(
            f"a frame has the shape (rows, columns) or (rows, columns, samples), not {shape}"
        )


def _agree(said: dict[str, int | str], **found: int) -> None:
    for name, value in found.items():
        if said.setdefault(name, value) != value:
            raise PixelError(
                f"{KEYWORDS[name]} is {said[name]} in the template, {value} in the frame"
            )


def count_of(frames: Frames, layout: Layout, frame: int) -> int:
    """Return how many frames of a layout there are in a buffer; `frame` is the next one's number.

    Raises
    ------
    PixelError
        They are of another shape or type; the message names both.
    """
    if frames.plain:
        count, rest = divmod(len(frames.data), layout.frame_bytes)
        if rest or not count:
            raise PixelError(
                f"frame {frame}: {len(frames.data)} bytes are no whole number of frames of "
                f"{layout.frame_bytes}",
                frame=frame,
            )
        return count
    one_bit = layout.bits_allocated == 1 and frames.bits in (1, 8)
    if (frames.bits, frames.floating) != (layout.bits_allocated, layout.floating) and not one_bit:
        kind = "floating-point" if frames.floating else "integer"
        raise PixelError(
            f"frame {frame} has {kind} samples of {frames.bits} bits, the object has "
            f"{layout.dtype} of {layout.bits_allocated}",
            frame=frame,
        )
    if not one_bit and not layout.floating and frames.signed != layout.signed:
        raise PixelError(
            f"frame {frame} is {'signed' if frames.signed else 'unsigned'}, PixelRepresentation of "
            f"the object is {int(layout.signed)}",
            frame=frame,
        )
    if frames.shape == layout.shape:
        return 1
    if frames.shape[1:] == layout.shape:
        return frames.shape[0]
    raise PixelError(
        f"frame {frame} has the shape {frames.shape}, the object's frames have {layout.shape}",
        frame=frame,
    )
