"""pydicom's decoders, the last resort: whatever plugin it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomloom.codecs.backends import PYDICOM
from dicomloom.errors import CorruptError

if TYPE_CHECKING:
    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.layout import Layout


def plugins(uid: str) -> list[str]:
    """Return the names of pydicom's plugins that are there for a transfer syntax."""
    from pydicom.pixels.decoders.base import get_decoder

    try:
        found = get_decoder(uid).available_plugins
    except NotImplementedError:
        return []
    return list(found)


def decode(uid: str, data: memoryview, layout: Layout) -> Array | None:
    """Decode one frame, colors as dicomloom gives them; None where pydicom has nothing that could.

    Raises
    ------
    CorruptError
        Its plugins fail.
    """
    if not plugins(uid):
        return None
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    attributes: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric,
        "planar_configuration": 0,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    lossy_jpeg = uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
    try:
        with PYDICOM.lock:  # its plugins are not all made for threads
            array, _ = get_decoder(uid).as_array(
                encapsulate([bytes(data)]),
                raw=not lossy_jpeg,
                index=0,
                **attributes,
            )
    except (RuntimeError, ValueError, OSError, NotImplementedError) as error:
        raise CorruptError(f"pydicom does not decode the frame: {error}") from error
    decoded: Array = array
    return decoded
