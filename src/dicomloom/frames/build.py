"""What the command `build` gives to a `FrameWriter`: a template, and pictures as frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from dicomloom.errors import MissingDependencyError, ReadError, UnsupportedError

if TYPE_CHECKING:
    from pydicom import Dataset
    from typing_extensions import Buffer

_MODES = {"1": "?", "L": "u1", "I;16": "u2", "I;16B": "u2", "RGB": "u1"}


def template_of(
    path: str | None, settings: Mapping[str, str], pixels: Mapping[str, object]
) -> Dataset:
    """Return a data set from a file, attributes as text, and Image Pixel attributes.

    Raises
    ------
    TagError
        A keyword is unknown, or its value does not fit its VR.
    """
    import pydicom

    from dicomloom.attributes import put

    dataset = (
        pydicom.dcmread(path, stop_before_pixels=True, force=True) if path else pydicom.Dataset()
    )
    for keyword, text in settings.items():
        put(dataset, keyword, text)
    for keyword, value in pixels.items():
        setattr(dataset, keyword, value)
    return dataset


def images(paths: Iterable[str]) -> Iterator[Buffer]:
    """Read pictures, and all pages of those that have several, as frames.

    Raises
    ------
    MissingDependencyError
        Pillow is not there.
    ReadError, UnsupportedError
        A picture cannot be read, or is of a kind that needs a decision first.
    """
    try:
        from PIL import Image, ImageSequence
    except ImportError as error:
        raise MissingDependencyError(
            "pictures need Pillow: pip install 'dicomloom[images]'"
        ) from error
    import numpy as np

    for path in paths:
        try:
            with Image.open(path) as picture:
                for page in ImageSequence.Iterator(picture):
                    shown = page.convert("RGB") if page.mode in ("P", "YCbCr") else page
                    kind = _MODES.get(shown.mode)
                    if kind is None:
                        raise UnsupportedError(
                            f"a picture of mode {page.mode}; gray of 1, 8 or 16 bits, palette and "
                            "RGB are taken: convert it first",
                            path=path,
                        )
                    yield np.asarray(shown).astype(kind).data
        except (OSError, SyntaxError, ValueError) as error:
            if isinstance(error, UnsupportedError):
                raise
            made = ReadError(f"cannot read the picture: {error}", path=path)
            made.errno = getattr(error, "errno", None)
            raise made from error
