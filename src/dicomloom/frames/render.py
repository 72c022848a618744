"""Frames as files that other programs show: arrays and pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from dicomloom.errors import MissingDependencyError, UnsupportedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    Image.fromarray(shown(reader, frame)).save(into, kind)
    return into.getvalue()


def shown(reader: FrameReader, frame: int) -> NDArray[Any]:
    """Return a frame as it is shown: uint8 of shape (rows, columns) or (rows, columns, 3).

    Modality LUT, then the VOI LUT or window of the object or, without one, from the least value to
    the greatest (PS3.3 C.11.1, C.11.2); MONOCHROME1 is inverted, palettes are applied, and YBR
    becomes RGB.
    """
    import numpy as np
    from pydicom.pixels.processing import (
        apply_color_lut,
        apply_modality_lut,
        apply_voi_lut,
        convert_color_space,
    )

    dataset, pixels = reader.dataset, reader[frame]
    photometric = reader.photometric
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        top = (1 << 8 * pixels.dtype.itemsize) - 1
        return (pixels.astype("f8") * (255 / top)).round().astype("u1")[..., :3]
    if reader.layout.samples > 1:
        if photometric.startswith("YBR_FULL"):
            pixels = convert_color_space(pixels, "YBR_FULL", "RGB", per_frame=False)
        if pixels.dtype.itemsize > 1:
            top = (1 << reader.layout.bits_stored) - 1
            pixels = (pixels.astype("f8") * (255 / top)).round().astype("u1")
        return pixels[..., :3]
    values = apply_modality_lut(pixels, dataset)
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        values = apply_voi_lut(values, dataset)
    values = np.asarray(values, "f8")
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    scaled = (values - least) * (255 / (most - least)) if most > least else values * 0
    scaled = np.nan_to_num(scaled).round().astype("u1")
    return 255 - scaled if photometric == "MONOCHROME1" else scaled
