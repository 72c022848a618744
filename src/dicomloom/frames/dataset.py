"""A header as a pydicom data set: what the C core found is what pydicom gets to see."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import TYPE_CHECKING

from dicomloom import inflate
from dicomloom._native import frames as _native
from dicomloom.decoding import broken, settle, tame
from dicomloom.errors import CorruptError, DicomloomError, LimitError, TruncatedError
from dicomloom.frames.header import Header, Stored, read_object
from dicomloom.frames.sources import FileSource, StrPath
from dicomloom.frames.syntaxes import EXPLICIT_LE

if TYPE_CHECKING:
    from pydicom import Dataset

# Sequences in sequences that images have; up to this, a message of pydicom's stays under 1 MB.
_SHALLOW = 8


def read_dataset(
    path: StrPath, wanted: Collection[int] | None = None, *, convert: bool = True
) -> Dataset:
    """Read a DICOM file, in any encoding, up to its pixel data.

    Parameters
    ----------
    path : str or path-like
    wanted : collection of int, optional
        Tags; by default all, those of the file meta information too.
    convert : bool
        Convert all values now, so that none fails later.

    Raises
    ------
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
        They name the file.
    """
    source = FileSource(path)
    try:
        found = read_object(source)
        header = found.header
        if wanted is not None:
            header = header.copy()
            header.elements = {
                tag: element for tag, element in header.elements.items() if tag in wanted
            }
            header.meta = {}
        made = dataset_of(header, found.transfer_syntax or EXPLICIT_LE)
        if convert:
            settle(made, source.path)
    except DicomloomError as error:
        error.path = error.path or source.path
        raise
    finally:
        source.close()
    return made


def dataset_of(header: Header, transfer_syntax: str, *, walkable: bool = False) -> Dataset:
    """Return a header as pydicom reads it; values are converted when they are asked for.

    Parameters
    ----------
    header : Header
    transfer_syntax : str
    walkable : bool
        Whoever gets it may decode, walk or print all of it: see `dicomloom.decoding.tame`, which
        is done where it matters.

    Raises
    ------
    LimitError
        Sequences nest deeper than 64, or what was deflated is larger than a header ever is.
    CorruptError
    """
    from pydicom import dcmread
    from pydicom.uid import UID

    _refuse_bomb(header)
    data = b"".join(header.data_set())
    deep = False
    try:
        # Walked once: pydicom recurses as deep as the bytes nest, and needs every delimiter.
        recoded = _native.recode(data, 0, len(data), True, False, True)
        # What is UN nests as it likes: that shows no sooner than pydicom takes it for a sequence.
        deep = walkable and (b"UN\0\0" in recoded or _is_deep(recoded))
        data = recoded
    except (CorruptError, TruncatedError):
        deep = walkable  # A sequence is broken inside: that shows when somebody asks for it.
    except LimitError as error:
        error.path = header.path
        raise
    try:
        made = dcmread(io.BytesIO(header.file_meta(EXPLICIT_LE) + data))
    except broken() as error:
        raise CorruptError(
            f"pydicom cannot read the header ({type(error).__name__})", path=header.path
        ) from error
    made.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    if deep:
        tame(made, header.path)
    return made


def _is_deep(data: bytes) -> bool:
    """Whether sequences nest so that pydicom's messages, which double a level, grow too long."""
    try:
        _native.recode(data, 0, len(data), True, False, True, max_depth=_SHALLOW)
    except LimitError:
        return True
    return False


def dataset_of_bytes(
    data: bytes, explicit_vr: bool, big_endian: bool, *, path: str | None = None
) -> Dataset:
    """Return encoded elements as pydicom reads them; values are converted when they are asked for.

    Raises
    ------
    LimitError
        Sequences nest deeper than 64.
    CorruptError
    """
    from pydicom.filereader import read_dataset as read

    implicit, little = not explicit_vr, not big_endian
    try:
        # As in `dataset_of`.
        data = _native.recode(data, 0, len(data), explicit_vr, big_endian, True)
        implicit, little = False, True
    except (CorruptError, TruncatedError):
        pass
    except LimitError as error:
        error.path = path
        raise
    try:
        return read(io.BytesIO(data), implicit, little)
    except broken() as error:
        raise CorruptError(
            f"pydicom cannot read the elements ({type(error).__name__})", path=path
        ) from error


def _refuse_bomb(header: Header) -> None:
    """Raise LimitError where deflated bytes would fill memory that the file does not back."""
    total = 0
    for element in header.elements.values():
        if isinstance(element, Stored) and element.sequential:
            total += element.size
    if total > inflate.MOST:
        raise LimitError(
            f"the deflated data set has a header of {total} bytes, more than {inflate.MOST}",
            path=header.path,
        )
