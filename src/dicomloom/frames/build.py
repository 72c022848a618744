"""What the command `build` gives to a `FrameWriter`: a template, and pictures as frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from dicomloom.errors import UnsupportedError
from dicomloom.frames.pictures import pages

if TYPE_CHECKING:
    from pydicom import Dataset
    from typing_extensions import Buffer


def template_of(
    path: str | None, settings: Mapping[str, str], pixels: Mapping[str, object]
) -> Dataset:
    """Return a data set from a file, attributes as text, and Image Pixel attributes.

    Raises
    ------
    TagError
        A keyword is unknown, or its value does not fit its VR.
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
        The file cannot be read.
    """
    from pydicom import Dataset

    from dicomloom.attributes import put
    from dicomloom.frames.dataset import read_dataset

    dataset = read_dataset(path) if path else Dataset()
    for keyword, text in settings.items():
        put(dataset, keyword, text)
    for keyword, value in pixels.items():
        setattr(dataset, keyword, value)
    return dataset


def images(paths: Iterable[str]) -> Iterator[Buffer]:
    """Read pictures, and all pages of those that have several, as frames.

    Raises
    ------
    MissingDependencyError, ReadError, UnsupportedError, LimitError
        See `dicomloom.frames.pictures.pages`.
    """
    for path in paths:
        for page in pages(path):
            if page.notes:
                raise UnsupportedError(
                    f"a picture that would be changed ({page.notes[0]}): convert it first, or use "
                    "dicomloom dicomize",
                    path=path,
                )
            yield memoryview(page.pixels)
