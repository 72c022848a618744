"""`dump`: all elements of one file, or those that are wanted, as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from dicomloom.dump.text import line
from dicomloom.dump.walk import Entry, Kind, walk
from dicomloom.errors import DicomloomError
from dicomloom.frames.sources import StrPath, open_source
from dicomloom.tags import Step, parse_tag

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Tag, private creator, and which item of it one is in.
_Place = tuple[int, str | None, int | None]


def dump(
    source: StrPath | Buffer | BinaryIO,
    tags: str | Iterable[str] | None = None,
    *,
    width: int = 120,
    max_depth: int = 64,
) -> Iterator[str]:
    """Give every element of a file as a line: tag, VR, length, keyword, value.

    Parameters
    ----------
    source : path, bytes-like, or seekable binary file object
    tags : str or iterable of str
        Only these, what is in them, and the sequences that lead to them; see
        `dicomloom.tags.parse_tag`.
    width : int
        Characters of a line; longer values end in ``...``. A value has 16 at least.
    max_depth : int
        How deep sequences may nest.

    Yields
    ------
    str
        Without control characters, line ends among them. Items are indented below their sequence,
        elements below their item. Text is decoded by the character set that holds where it stands.

    Raises
    ------
    TagError
        A tag is not one.
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
        Behind the lines of what was found before the fault.

    Notes
    -----
    Reads headers, and of values what is shown: the memory that it takes does not depend on the
    size of the file, but for 16 bytes a fragment of encapsulated pixel data.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> for text in dump(get_testdata_file("CT_small.dcm"), ["PatientName", "Rows"], width=60):
    ...     print(text)
    (0010,0010) PN     22 PatientName  CompressedSamples^CT1
    (0028,0010) US      2 Rows  128
    """
    opened = open_source(source)
    try:
        for entry in chosen(walk(opened, max_depth), tags):
            yield guarded_line(entry, width, opened.path)
    finally:
        opened.close()


def guarded_line(entry: Entry, width: int, path: str | None) -> str:
    """Return an entry as a line; an error in reading its value names the path."""
    try:
        return line(entry, width)
    except DicomloomError as error:
        if error.path is None:
            error.path = path
        raise


def chosen(entries: Iterable[Entry], tags: str | Iterable[str] | None) -> Iterator[Entry]:
    """Give the entries on the way to some tags, these, and what is in them; all with None."""
    if tags is None:
        yield from entries
        return
    wanted = [parse_tag(tag).steps for tag in ([tags] if isinstance(tags, str) else tags)]
    places: list[_Place] = []
    for entry in entries:
        del places[(entry.level + 1) // 2 :]
        if entry.kind is Kind.ITEM:
            tag, creator, _ = places.pop()
            places.append((tag, creator, entry.number))
        else:
            places.append((entry.tag, entry.creator, None))
        if any(_matches(places, steps) for steps in wanted):
            yield entry


def _matches(places: list[_Place], steps: tuple[Step, ...]) -> bool:
    """Whether a place lies on the way to a wanted one, or in it."""
    for (tag, creator, item), step in zip(places, steps, strict=False):
        if step.creator is not None:
            if creator != step.creator or (tag & 0xFFFF00FF) != step.tag:
                return False
        elif tag != step.tag:
            return False
        if item is not None and step.item >= 0 and item != step.item:
            return False
    return True
