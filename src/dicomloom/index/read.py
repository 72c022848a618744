"""`read_tags`: wanted values of one file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import BinaryIO

from dicomloom._native.scan import Plan, read_row
from dicomloom.errors import DicomloomError
from dicomloom.index import charsets
from dicomloom.index.scan import LIMITS, StrPath
from dicomloom.index.schema import compile_plan
from dicomloom.inflate import InflatedReader
from dicomloom.tags import parse_tag


class _FileReader:
    """A seekable file object as the C core reads sources."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def read_at(self, offset: int, size: int) -> bytes:
        self._file.seek(self._start + offset)
        return self._file.read(size)

    def size(self) -> int:
        return self._file.seek(0, io.SEEK_END) - self._start


@lru_cache(maxsize=64)
def _plan(tags: tuple[str, ...]) -> Plan:
    """Compile what is wanted: as dear as reading it, and mostly the same as before."""
    return compile_plan(map(parse_tag, tags), ["text"] * len(tags))


def read_tags(
    source: StrPath | bytes | bytearray | memoryview | BinaryIO, tags: str | Iterable[str]
) -> dict[str, str | None]:
    """Read wanted values of one file; reading stops behind the last of them.

    Parameters
    ----------
    source : path, bytes-like, or file object
        A file object is read from where it stands, must be seekable, and is left where it was.
    tags : str or iterable of str
        See `dicomloom.tags.parse_tag`.

    Returns
    -------
    dict of str to (str or None)
        For each tag as it was written: its value as text, several values separated by backslashes;
        the item count of a sequence, the byte length of a binary value; None where it is absent.

    Raises
    ------
    TagError
        A tag is not one.
    NotDicomError, TruncatedError, CorruptError, LimitError, UnsupportedError
        The bytes could not be read as far as the last wanted tag; the message says where. The
        attribute ``values`` of the exception holds what was read before.
    ReadError
        The file could not be opened or read.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> read_tags(get_testdata_file("CT_small.dcm"), ["PatientID", "PixelSpacing", "PixelData"])
    {'PatientID': '1CT1', 'PixelSpacing': '0.661468\\\\0.661468', 'PixelData': '32768'}
    """
    wanted = tuple(dict.fromkeys([tags] if isinstance(tags, str) else tags))
    plan = _plan(wanted)
    path = None
    if isinstance(source, bytes | bytearray | memoryview):
        table, error = read_row(plan, (source,), LIMITS, InflatedReader)
    elif isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        table, error = read_row(plan, os.fsencode(path), LIMITS, InflatedReader)
    else:
        position = source.tell()
        try:
            table, error = read_row(plan, (_FileReader(source),), LIMITS, InflatedReader)
        finally:
            source.seek(position)
    table.resolve(charsets.decode)
    values: dict[str, str | None] = {}
    for i, text in enumerate(wanted):
        column = table.values(i)
        values[text] = str(column[0]) if column and column[0] is not None else None
    if error is not None:
        if isinstance(error, DicomloomError):
            error.path = path
            error.values = values
        raise error
    return values
