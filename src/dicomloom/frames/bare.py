"""Objects without pixel data, such as reports, in another uncompressed transfer syntax."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dicomloom._native import frames as _native
from dicomloom.errors import UnsupportedError
from dicomloom.files import Replacing
from dicomloom.frames.header import TRAILING_PADDING, Header
from dicomloom.frames.instance import gathered
from dicomloom.frames.syntaxes import DEFLATED_LE, IMPLICIT_LE, NATIVE

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.frames.sources import StrPath


def write_bare(header: Header, target: StrPath, transfer_syntax: str) -> int:
    """Write an object that is all header; returns how many bytes its data set has.

    Parameters
    ----------
    header : Header
        All elements of the object.
    target : str or path-like
    transfer_syntax : str
        UID of an uncompressed one.

    Raises
    ------
    UnsupportedError
        The transfer syntax is for pixel data.
    WriteError

    Notes
    -----
    Implicit VR holds the whole of it in memory, twice.
    """
    if transfer_syntax not in NATIVE:
        raise UnsupportedError(
            "there are no pixel data to be coded: give an uncompressed transfer syntax",
            path=header.path,
        )
    header.elements.pop(TRAILING_PADDING, None)
    size = 0
    with Replacing(os.fspath(target)) as file:
        file.write(header.file_meta(transfer_syntax))
        for chunk in _encoded(header.data_set(), transfer_syntax):
            size += file.write(chunk)
    return size


def _encoded(data_set: Iterator[Buffer], transfer_syntax: str) -> Iterable[Buffer]:
    if transfer_syntax == IMPLICIT_LE:
        data = b"".join(data_set)
        return [_native.recode(data, 0, len(data), True, False, False)]
    chunks = gathered(data_set)
    return _deflated(chunks) if transfer_syntax == DEFLATED_LE else chunks


def _deflated(chunks: Iterable[Buffer]) -> Iterator[bytes]:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for chunk in chunks:
        data = deflater.compress(chunk)
        size += len(data)
        yield data
    data = deflater.flush()
    yield data + b"\0" * ((size + len(data)) % 2)  # PS3.5 A.5
