"""Pictures of other formats as frames, through Pillow."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.errors import (
    DicomloomError,
    LimitError,
    MissingDependencyError,
    ReadError,
    UnsupportedError,
)
from dicomloom.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Buffer

_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")  # MPO is opened as JPEG
_LARGEST = 65535  # Rows and Columns are of VR US
_MOST_CHUNKS = 1000
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF
# What Pillow raises where a file breaks its format.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_FITS = "gray of 1, 8 or 16 bits, palettes, and color of 8 bits are taken: convert it first"
# Mode of Pillow -> samples and bits of a sample.
_MODES = {
    "1": (1, 1),
    "L": (1, 8),
    "I;16": (1, 16),
    "I;16L": (1, 16),
    "I;16B": (1, 16),
    "RGB": (3, 8),
}
_CONVERTED = {
    "RGBA": "blended with white where it is transparent",
    "LA": "blended with white where it is transparent",
    "PA": "blended with white where it is transparent",
    "RGBa": "blended with white where it is transparent",
    "CMYK": "converted from CMYK to RGB, without a color profile",
    "P": "",
    "YCbCr": "",
    "RGBX": "",
}


class Page(NamedTuple):
    """One page of a picture.

    Attributes
    ----------
    rows, columns, samples, bits : int
        `bits` of a sample: 1, 8 or 16, all used.
    pixels : buffer
        Of shape (rows, columns[, 3]): bool, uint8 or uint16.
    notes : tuple of str
        What was changed, where something was.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    pixels: Buffer
    notes: tuple[str, ...]


class Facts(NamedTuple):
    """What a picture says of itself beside its pixels.

    Attributes
    ----------
    format : str
        As Pillow names it.
    lossy : bool
        Whether the file was coded with loss.
    icc, exif : bytes or None
    pages : int
    """

    format: str
    lossy: bool
    icc: bytes | None
    exif: bytes | None
    pages: int


def pillow() -> Any:
    """Return Pillow's module Image.

    Raises
    ------
    MissingDependencyError
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need Pillow: pip install 'dicomloom[images]'"
        ) from error
    return Image


def facts_of(path: str) -> Facts:
    """Return what a picture says of itself; its pixels are not read.

    Raises
    ------
    MissingDependencyError, ReadError, UnsupportedError, LimitError
    """
    with _opened(path) as picture, _told(path):
        exif, icc = picture.info.get("exif"), picture.info.get("icc_profile")
        return Facts(
            picture.format or "",
            _lossy(picture, path),
            # A profile of CMYK says nothing of the RGB that is made of it.
            icc if isinstance(icc, bytes) and icc[16:20] in (b"RGB ", b"GRAY") else None,
            exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) and exif else None,
            _count(picture),
        )


def pages(
    path: str, numbers: Iterable[int] | None = None, *, upright: bool = False
) -> Iterator[Page]:
    """Read the pages of a picture, one at a time.

    Parameters
    ----------
    path : str
    numbers : iterable of int, optional
        Which ones, counted from 0; all of them by default.
    upright : bool
        Turn them as EXIF says.

    Raises
    ------
    MissingDependencyError
        Pillow is not there.
    ReadError, UnsupportedError, LimitError
        A picture cannot be read, is of a kind that needs a decision first, or larger than Pillow
        dares to read.
    """
    with _opened(path) as picture:
        with _told(path):
            count = _count(picture)
        for number in range(count) if numbers is None else numbers:
            with _told(path, f"page {number + 1} of "):
                picture.seek(number)
                page = _page(picture, upright)
            yield page


def _count(picture: Image) -> int:
    """Return how many pages there are; the others of MPO are previews and second views."""
    return 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)


@contextlib.contextmanager
def _told(path: str, what: str = "") -> Iterator[None]:
    """Turn what Pillow raises in the block into our errors."""
    module = pillow()
    try:
        yield
    except DicomloomError as error:
        error.path = error.path or path
        raise
    except module.DecompressionBombError as error:
        raise LimitError(
            f"{what}a picture this large is refused: {error}; cut it into pieces first", path=path
        ) from error
    except _BROKEN as error:
        raise _unreadable(path, error, what) from error


class _opened:  # noqa: N801 - a context manager that is used like a function
    """Open a picture, and turn what Pillow raises into our errors."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Image:
        with _told(self._path):
            os.close(open_regular(self._path))  # Pillow would wait for who writes to a FIFO
            # Only these: others run programs (EPS) or read what nobody asked for.
            picture: Image = pillow().open(self._path, formats=_FORMATS)
        self._picture = picture
        return picture

    def __exit__(self, *_: object) -> None:
        self._picture.close()


def _unreadable(path: str, error: Exception, what: str = "") -> ReadError:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    made = ReadError(f"cannot read {what}the picture: {said.replace(repr(path), 'it')}", path=path)
    made.errno = getattr(error, "errno", None)
    return made


def _lossy(picture: Image, path: str) -> bool:
    if picture.format == "WEBP":
        return _has_lossy_chunk(path)
    return picture.format in ("JPEG", "MPO", "JPEG2000") or picture.info.get("compression") in (
        "jpeg",
        "tiff_jpeg",
        "webp",
    )


def _has_lossy_chunk(path: str) -> bool:
    """Return whether a WebP file has a chunk VP8, perhaps in the first frame of an animation."""
    with open(path, "rb") as file:
        at = 12
        for _ in range(_MOST_CHUNKS):
            file.seek(at)
            head = file.read(8)
            if len(head) < 8 or head[:4] == b"VP8 ":
                return len(head) == 8
            # A frame of an animation: 16 bytes, then chunks of its own.
            inside = head[:4] == b"ANMF"
            at += 24 if inside else 8 + int.from_bytes(head[4:], "little") + (head[4] & 1)
    return False


def _page(picture: Image, upright: bool) -> Page:
    import numpy as np

    notes: list[str] = []
    if max(picture.size) > _LARGEST:
        raise UnsupportedError(
            f"a picture of {picture.width} x {picture.height}; DICOM has at most {_LARGEST} rows "
            "and columns: cut it into pieces first"
        )
    if _sixteen_bit_color(picture):
        if picture.mode in ("RGBA", "LA"):
            raise UnsupportedError(f"a picture of 16 bits with transparency; {_FITS}")
        notes.append("color of 16 bits was cut to 8, the most that color in DICOM has")
    shown = picture
    if upright:
        from PIL import ImageOps

        shown = ImageOps.exif_transpose(picture)  # a copy, even where nothing is turned
    shown = _converted(shown, notes)
    if shown.mode not in _MODES:
        raise UnsupportedError(f"a picture of mode {picture.mode}; {_FITS}")
    samples, bits = _MODES[shown.mode]
    pixels: Any = np.asarray(shown)
    if bits == 16 and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        pixels = ~pixels  # as Pillow does with 1 and 8 bits
    pixels = pixels.astype("?" if bits == 1 else "u1" if bits == 8 else "u2", copy=False)
    return Page(shown.height, shown.width, samples, bits, pixels, tuple(notes))


def _sixteen_bit_color(picture: Image) -> bool:
    """Return whether Pillow drops the lower half of each sample while it reads."""
    tile: list[Any] = getattr(picture, "tile", [])
    return bool(tile) and picture.mode[:2] in ("RG", "LA") and ";16" in str(tile[0][3])


def _converted(picture: Image, notes: list[str]) -> Image:
    mode = picture.mode
    if mode in ("1", "L", "RGB") and "transparency" in picture.info:
        # One gray or color is transparent.
        into = "RGBA" if mode == "RGB" else "LA"
        return _without_alpha(picture.convert("RGBA"), into, notes)
    if mode not in _CONVERTED:
        return picture
    if mode == "P" and "transparency" in picture.info:
        picture, mode = picture.convert("RGBA"), "RGBA"
    if mode in ("RGBA", "LA", "PA", "RGBa"):
        return _without_alpha(picture.convert("RGBA"), mode, notes)
    if _CONVERTED[mode]:
        notes.append(_CONVERTED[mode])
    if mode == "P" and _gray_palette(picture):
        return picture.convert("L")
    return picture.convert("RGB")


def _without_alpha(picture: Image, mode: str, notes: list[str]) -> Image:
    into = "L" if mode == "LA" else "RGB"
    extrema: Any = picture.getextrema()
    if extrema[3] == (255, 255):
        return picture.convert(into)
    notes.append(_CONVERTED[mode])
    white = pillow().new("RGBA", picture.size, "white")
    made: Image = pillow().alpha_composite(white, picture).convert(into)
    return made


def _gray_palette(picture: Image) -> bool:
    colors = picture.getpalette() or []
    return bool(colors) and colors[0::3] == colors[1::3] == colors[2::3]


def is_picture(prefix: bytes) -> bool:
    """Return whether a file that begins with these bytes is a picture that Pillow may read."""
    return prefix.startswith(
        (b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    ) or (prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP")
