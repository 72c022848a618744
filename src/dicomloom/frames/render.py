"""Frames as files that other programs show: arrays and pictures."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from dicomloom.errors import (
    CorruptError,
    DicomloomError,
    MissingDependencyError,
    UnsupportedError,
)

# What pydicom and numpy raise where lookup tables, windows and slopes are not what they must be.
_NO_SENSE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    struct.error,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from dicomloom.frames.reader import FrameReader


def as_file(reader: FrameReader, frame: int, suffix: str) -> bytes:
    """Return a frame as the bytes of a file of that suffix.

    Raises
    ------
    UnsupportedError
        Pillow writes no such files.
    MissingDependencyError
        Pillow is not there.
    """
    into = io.BytesIO()
    if suffix == ".npy":
        import numpy as np

        np.save(into, reader[frame])
        return into.getvalue()
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            f"{suffix} files need Pillow: pip install 'dicomloom[images]'"
        ) from error
    kind = Image.registered_extensions().get(suffix)
    if kind is None or kind not in Image.SAVE:
        raise UnsupportedError(f"{suffix} is no picture that Pillow writes: try .png, .npy or .raw")
    picture = Image.fromarray(shown(reader, frame))
    try:
        picture.save(into, kind)
    except (ValueError, OSError, KeyError, struct.error) as error:  # such as too many columns
        raise UnsupportedError(
            f"Pillow writes no {suffix} of {picture.width} x {picture.height} pixels: {error}; try "
            ".png, .npy or .raw",
            frame=frame,
        ) from error
    return into.getvalue()


def shown(reader: FrameReader, frame: int) -> NDArray[Any]:
    """Return a frame as it is shown: uint8 of shape (rows, columns) or (rows, columns, 3).

    Modality LUT, then the VOI LUT or window of the object or, without one, from the least value to
    the greatest (PS3.3 C.11.1, C.11.2); MONOCHROME1 is inverted, palettes are applied, and YBR
    becomes RGB. Overlays are not drawn.

    Raises
    ------
    CorruptError, UnsupportedError
        The frame cannot be decoded, or tables and windows of the data set make no sense.
    """
    import numpy as np

    try:
        with np.errstate(all="ignore"):
            return _shown(reader, frame)
    except DicomloomError:
        raise
    except _NO_SENSE as error:
        raise CorruptError(
            f"frame {frame} cannot be shown, what the data set says of it makes no sense to "
            f"pydicom: {error}; try .npy or .raw",
            frame=frame,
        ) from error


def _shown(reader: FrameReader, frame: int) -> NDArray[Any]:
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, convert_color_space

    from dicomloom.frames.palette import colored

    dataset, pixels = reader.dataset, reader[frame]
    photometric = reader.photometric
    if photometric == "PALETTE COLOR":
        return colored(pixels, dataset)
    if reader.layout.samples == 2:
        raise UnsupportedError("SamplesPerPixel is 2, which is neither gray nor color")
    if reader.layout.samples > 1:
        if photometric.startswith("YBR_FULL"):
            pixels = convert_color_space(pixels, "YBR_FULL", "RGB", per_frame=False)
        if pixels.dtype.itemsize > 1:
            top = (1 << reader.layout.bits_stored) - 1
            pixels = (pixels.astype("f8") * (255 / top)).round().astype("u1")
        return pixels[..., :3]
    scaled = _scaled(apply_modality_lut(pixels, dataset), dataset)
    made: NDArray[Any] = (np.nan_to_num(scaled) * 255).round().astype("u1")
    return 255 - made if photometric == "MONOCHROME1" else made


def _scaled(values: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Return values between 0 and 1: by VOI LUT, by window, or from the least to the greatest."""
    import numpy as np
    from pydicom.pixels.processing import apply_voi

    if dataset.get("VOILUTSequence"):
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        lut = apply_voi(np.asarray(values).astype("i8"), dataset)
        return np.asarray(lut / ((1 << bits) - 1)).clip(0, 1)
    values = np.asarray(values, "f8")
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width <= 0:
        finite = values[np.isfinite(values)]
        least, most = (finite.min(), finite.max()) if finite.size else (0, 0)
        made = (values - least) / (most - least) if most > least else np.zeros_like(values)
        return np.asarray(made.clip(0, 1))
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR":  # C.11.2.1.2.1
        center, width = center - 0.5, width - 1
        if width <= 0:
            return np.asarray((values > center).astype("f8"))
    return np.asarray(((values - center) / width + 0.5).clip(0, 1))


def _first(value: Any) -> float | None:
    """Return the first of several windows."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:
        return float(value[0]) if value else None
