"""Every element of a file in its order, sequences entered; nothing is held but where one stands.

Lengths are not believed: a value ends with its item, and where the file ends is an error behind
what was found before. Nesting costs an entry of a list, not a call.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from dicomloom._native import dicom as _dicom
from dicomloom._native import frames as _native
from dicomloom.errors import CorruptError, DicomloomError, LimitError, TruncatedError
from dicomloom.frames.sources import InflatedSource, Source
from dicomloom.tags import format_tag

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TRANSFER_SYNTAX, _CHARSET, _PIXEL_REPRESENTATION = 0x00020010, 0x00080005, 0x00280103
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_IMPLICIT = b"1.2.840.10008.1.2"
_BULK = frozenset(["OB", "OD", "OF", "OL", "OV", "OW"])
_HEADER = 12  # no element header is longer
_LONGEST_NAME = 1024  # of a character set or private creator that is looked at


class Kind(Enum):
    """What an entry is."""

    ELEMENT = "element"
    SEQUENCE = "sequence"
    ITEM = "item"
    FRAGMENTS = "fragments"
    STRAY = "stray"


class Entry(NamedTuple):
    """An element, the head of a sequence or of an item, or bytes that are none of them.

    Attributes
    ----------
    kind : Kind
    level : int
        How many sequences and items it is in.
    tag, vr : int, str
        As the file has them; where it has no VR, the dictionary's.
    known : str
        The VR that its value is read by: of an UN element the dictionary's.
    offset, value : int
        Of its header and its first value byte, in `source`.
    length : int or None
        As its header says; None where it is undefined.
    held : int
        How many value bytes its item leaves it; of fragments those of all of them.
    number : int
        Which item of its sequence, from 0; of fragments how many there are.
    creator : str or None
        Of a private element (PS3.5 7.8.1), where the file names one.
    charset : bytes
        The Specific Character Set that holds for it.
    big_endian : bool
    source : Source
        The file or, of a deflated data set, what it inflates to.
    """

    kind: Kind
    level: int
    tag: int
    vr: str
    known: str
    offset: int
    value: int
    length: int | None
    held: int
    number: int
    creator: str | None
    charset: bytes
    big_endian: bool
    source: Source

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of the value: fewer where the file has fewer."""
        return self.source.read_at(self.value, min(size, self.held))


class _Level:
    """What one is in: the data set, a sequence, an item."""

    __slots__ = (
        *("big", "charset", "creators", "explicit", "group", "items", "kind", "limit", "signed"),
        *("tag", "undefined"),
    )

    def __init__(self, kind: Kind, limit: int | None, explicit: bool, big: bool) -> None:
        self.kind, self.limit, self.explicit, self.big = kind, limit, explicit, big
        self.undefined = False  # a delimiter ends it
        self.tag = self.items = self.group = 0
        self.charset = b""
        self.signed = False
        self.creators: dict[int, str] = {}  # of one group: they stand in front of its elements

    def inside(self, kind: Kind, value: int, length: int | None) -> _Level:
        end = self.limit if length is None else value + length
        made = _Level(kind, _least(end, self.limit), self.explicit, self.big)
        made.undefined = length is None
        made.tag, made.charset, made.signed = self.tag, self.charset, self.signed
        return made


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


@lru_cache(maxsize=1024)
def _private_vr(tag: int, creator: str) -> str:
    # Only where the file has no VR: not worth 0.2 s of import otherwise.
    from pydicom.datadict import private_dictionary_VR

    try:
        return str(private_dictionary_VR(tag, creator))
    except KeyError:
        return "UN"


def _known(tag: int, creator: str | None, signed: bool) -> str:
    """Return the VR of the dictionaries for an element that comes without one."""
    if not tag & 0x10000:
        vr = _dicom.vr_of(tag)
    elif creator is not None:
        vr = _private_vr(tag, creator)
    else:
        vr = "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    if " or " in vr:
        return "UN" if "OW" in vr else "SS" if signed else "US"
    return vr


def walk(source: Source, max_depth: int = 64) -> Iterator[Entry]:
    """Give every element of a file, group 0002 first.

    Parameters
    ----------
    source : Source
    max_depth : int
        How deep sequences may nest.

    Raises
    ------
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
        Behind the elements that were found before the fault.
    """
    try:
        yield from _Walk(source, max_depth).entries()
    except DicomloomError as error:
        if error.path is None:
            error.path = source.path
        raise


class _Walk:
    def __init__(self, source: Source, max_depth: int) -> None:
        self._source, self._max_depth = source, max_depth
        self._cursor = _native.Cursor(source.native)
        self._previous = 0  # tag, for errors
        self._stack: list[_Level] = []

    def entries(self) -> Iterator[Entry]:
        offset, explicit, big = self._cursor.detect()
        start, syntax = offset, b""
        level = _Level(Kind.ITEM, None, explicit, big)
        self._stack = [level]
        while self._cursor.is_meta(offset, explicit, big, syntax):
            entry = self._next(offset, level)
            assert entry is not None  # six bytes of it are there
            yield entry
            if entry.length is None:
                raise CorruptError(
                    f"undefined length in {format_tag(entry.tag)} at byte {offset}",
                    offset=offset,
                    tag=entry.tag,
                )
            if entry.tag == _TRANSFER_SYNTAX:
                syntax = entry.read(_LONGEST_NAME)
            self._previous = entry.tag
            offset = entry.value + entry.length
        if offset > start:
            if not self._source.read_at(offset, 1):
                raise self._cut(offset)
            explicit, big, deflated = _native.encoding_of(syntax or _IMPLICIT)
            if deflated:
                self._source, offset = InflatedSource(self._source, offset), 0
                self._cursor = _native.Cursor(self._source.native)
            explicit, big = self._cursor.encoding(offset, explicit, big)
        self._stack = [_Level(Kind.ITEM, None, explicit, big)]
        yield from self._data_set(offset)

    def _data_set(self, offset: int) -> Iterator[Entry]:
        while self._stack:
            top = self._stack[-1]
            if top.limit is not None and offset >= top.limit:
                self._stack.pop()
                continue
            entry = self._next(offset, top)
            if entry is None:
                if top.limit is None:
                    return
                offset = top.limit  # less than a header is left of the item
            elif entry.tag >> 16 == 0xFFFE or top.kind is Kind.SEQUENCE:
                offset = yield from self._structure(entry, top)
            elif entry.tag >> 16 == 0 and self._previous and not top.undefined:
                # Group 0000 is of messages (PS3.7), not of data sets: it fills up a file or item.
                offset = self._cursor.size() if top.limit is None else top.limit
                yield self._stray(entry, offset)
            else:
                offset = yield from self._element(entry, top)

    def _next(self, offset: int, top: _Level) -> Entry | None:
        """Read the header at offset; None at the end of the data set or item."""
        try:
            found = self._cursor.element(offset, top.limit, top.explicit, top.big, top.signed)
        except TruncatedError:
            found = None
        if found is None:
            if top.limit is not None and top.limit - offset < _HEADER:
                return None
            if len(self._stack) == 1 and offset == self._cursor.size():
                return None
            raise self._cut()
        tag, vr, value, length = found
        held = 0 if length is None else length
        if top.limit is not None:
            held = min(held, top.limit - value)  # a value ends with its item
        creator = self._creator(tag, top)
        known = vr
        if vr == "UN":
            known = _known(tag, creator, top.signed)
            vr = vr if top.explicit else known
        big = top.big and vr != "UN"  # PS3.5 6.2.2 note 4
        level = len(self._stack) - 1
        return Entry(
            *(Kind.ELEMENT, level, tag, vr, known, offset, value, length, held, 0),
            *(creator, top.charset, big, self._source),
        )

    def _cut(self, meta_end: int = -1) -> TruncatedError:
        size = self._cursor.size()
        tag = self._previous
        if size == meta_end:
            return TruncatedError(
                f"truncated: no data set behind the file meta information at byte {size}",
                offset=size,
            )
        return TruncatedError(
            f"truncated in {format_tag(tag)} at byte {size}", offset=size, tag=tag
        )

    def _stray(self, entry: Entry, end: int) -> Entry:
        size = end - entry.offset
        return entry._replace(kind=Kind.STRAY, value=entry.offset, length=size, held=size)

    def _structure(self, entry: Entry, top: _Level) -> Generator[Entry, None, int]:
        """Items and delimiters, and what stands where they should; returns where to go on."""
        in_sequence = top.kind is Kind.SEQUENCE
        if entry.tag == ITEM and in_sequence:
            yield entry._replace(kind=Kind.ITEM, number=top.items)
            top.items += 1
            inner = top.inside(Kind.ITEM, entry.value, entry.length)
            if entry.length is None or entry.length >= 8:
                inner.explicit, inner.big = self._cursor.encoding(
                    entry.value, top.explicit, top.big
                )
            self._stack.append(inner)
            return entry.value
        if entry.tag == ITEM_END and (in_sequence or not top.undefined):
            return entry.value  # stray
        if top.undefined:
            self._stack.pop()
            own = entry.tag == (SEQUENCE_END if in_sequence else ITEM_END)
            return entry.value if own else entry.offset  # else the delimiter is missing
        if in_sequence:
            assert top.limit is not None
            if entry.tag != SEQUENCE_END or entry.value < top.limit:
                yield self._stray(entry, top.limit)
            return top.limit
        end = entry.value + entry.held if entry.tag == ITEM else entry.value
        yield self._stray(entry, end)
        return end

    def _element(self, entry: Entry, top: _Level) -> Generator[Entry, None, int]:
        """One element of a data set or item; returns where to go on."""
        tag = self._previous = entry.tag
        if entry.length is None and (tag in _PIXELS or entry.vr in _BULK):
            return (yield from self._fragments(entry, top))
        if entry.length is None or entry.known == "SQ":
            yield entry._replace(kind=Kind.SEQUENCE, known="SQ")
            if len(self._stack) // 2 >= self._max_depth:
                raise LimitError(
                    f"sequences nest too deep in {format_tag(tag)} at byte {entry.offset}: "
                    f"more than {self._max_depth} levels",
                    offset=entry.offset,
                    tag=tag,
                )
            inner = top.inside(Kind.SEQUENCE, entry.value, entry.length)
            if entry.vr == "UN":  # PS3.5 6.2.2
                inner.explicit = inner.big = False
            self._stack.append(inner)
            return entry.value
        yield entry
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
            self._creator(tag, top)
            name = entry.read(_LONGEST_NAME).decode("latin-1").strip(" \0")
            top.creators[tag & 0xFF] = name
        elif tag == _CHARSET:
            top.charset = entry.read(_LONGEST_NAME)
        elif tag == _PIXEL_REPRESENTATION:
            top.signed = entry.read(2) == (b"\0\1" if top.big else b"\1\0")
        return entry.value + entry.held

    def _fragments(self, entry: Entry, top: _Level) -> Generator[Entry, None, int]:
        starts, lengths, end, complete = _native.walk_items(
            self._source.native, entry.value, top.limit
        )
        # The first item is the basic offset table.
        count = max(0, len(starts) - 1)
        yield entry._replace(
            kind=Kind.FRAGMENTS, number=count, held=sum(lengths) - sum(lengths[:1])
        )
        if not complete:
            found = self._next(end, top)
            if found is None or found.tag == ITEM:
                raise self._cut()
            raise CorruptError(
                f"expected an item or a sequence delimiter of {format_tag(entry.tag)} at byte "
                f"{end}, found {format_tag(found.tag)}",
                offset=end,
                tag=entry.tag,
            )
        return end

    def _creator(self, tag: int, top: _Level) -> str | None:
        """Return the private creator of an element (PS3.5 7.8.1), and remember those that pass."""
        group, block = tag >> 16, (tag & 0xFFFF) >> 8
        if group % 2 == 0:
            return None
        if group != top.group:
            top.group, top.creators = group, {}
        return top.creators.get(block)
