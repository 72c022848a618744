"""What stands in front of pixel data: elements as bytes, read and rewritten without decoding them.

An element that nobody touches is copied from its file as it is, in pieces, whatever its size: a
header may be larger than memory. Everything is explicit VR little endian until it is written.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dicomloom._native import dicom as _dicom
from dicomloom._native import frames as _native
from dicomloom.errors import CorruptError, DicomloomError, LimitError
from dicomloom.frames.sources import BytesSource, InflatedSource, Source
from dicomloom.tags import format_tag
from dicomloom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from typing_extensions import Buffer

    # What an element is in a file: bytes, and bytes of a source from one offset to another.
    Ranges = Iterator[Buffer | tuple[Source, int, int]]

MEDIA_STORAGE_UID = 0x00020003
EXTENDED_TABLE = 0x7FE00001
EXTENDED_LENGTHS = 0x7FE00002
FLOAT_PIXELS = 0x7FE00008
DOUBLE_PIXELS = 0x7FE00009
PIXELS = 0x7FE00010
PIXEL_TAGS = (FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS)
TRAILING_PADDING = 0xFFFCFFFC
UNDEFINED = 0xFFFFFFFF
ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)

_OWN_META = frozenset([0x00020000, 0x00020001, 0x00020010, 0x00020012, 0x00020013])

# PS3.5 7.1.2: two reserved bytes and a 32-bit length.
_LONG_VRS = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_CHUNK = 1 << 20
_WINDOW = 1 << 16
_LONGEST = 1 << 16  # of values that are read as text or numbers
_MOST_META = 1 << 24  # of group 0002, which is held


def element_head(tag: int, vr: str, length: int) -> bytes:
    """Return the header of an element in explicit VR little endian (PS3.5 7.1.2)."""
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def tag_of(keyword: str) -> tuple[int, str]:
    """Return tag and VR of a keyword of PS3.6."""
    entry = _dicom.find_keyword(keyword)
    if entry is None:
        raise ValueError(f"{keyword} is no keyword of PS3.6")
    return entry[0], entry[2]


class Made:
    """An element whose value is held here.

    Like the others it has `tag`, `vr`, `value`, and `ranges`, which gives what it is in a file.
    """

    __slots__ = ("tag", "value", "vr")

    def __init__(self, tag: int, vr: str, value: bytes) -> None:
        self.tag, self.vr, self.value = tag, vr, value

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.value)

    def ranges(self) -> Ranges:
        """Return header and value."""
        yield element_head(self.tag, self.vr, len(self.value)) + self.value


class Stored:
    """An element that stays where it lies, in explicit VR little endian."""

    __slots__ = ("_head", "_source", "_undefined", "_value", "tag", "vr")

    def __init__(
        self,
        source: Source,
        tag: int,
        vr: str,
        offset: int,
        value: int,
        length: int,
        end: int | None,
        undefined: bool,
    ) -> None:
        assert end is not None  # only encapsulated pixel data are not walked
        self.tag, self.vr = tag, vr
        self._source, self._head, self._undefined = source, (offset, end), undefined
        self._value = (value, length)

    @property
    def value(self) -> bytes:
        """The bytes of the value."""
        start, length = self._value
        return self._source.exactly(start, length)

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self._value[1]

    @property
    def sequential(self) -> bool:
        """Whether the value was deflated: it may be a thousand times what the file has."""
        return self._source.sequential

    def ranges(self) -> Ranges:
        """Return where it lies."""
        start, end = self._head
        yield (self._source, start, end)

    def items(self) -> tuple[Source, array[int], array[int]]:
        """Return where the contents of a sequence's items begin and end."""
        (start, end), (value, length) = self._head, self._value
        element = (self.tag, self.vr, start, value, length, end, self._undefined)
        starts, ends, _ = _native.sequence_items(self._source.native, element, True, False)
        return self._source, starts, ends


class SelectedItems:
    """A sequence of some items of another one."""

    __slots__ = ("_all", "_chosen", "tag")
    vr = "SQ"

    def __init__(
        self, tag: int, items: tuple[Source, array[int], array[int]], chosen: range | list[int]
    ) -> None:
        self.tag, self._all, self._chosen = tag, items, chosen

    @property
    def value(self) -> bytes:
        """The chosen items, with the delimiter behind them."""
        return b"".join(chunks(self.ranges()))[12:]

    @property
    def size(self) -> int:
        """Bytes of the value."""
        _, starts, ends = self._all
        return sum(8 + ends[i] - starts[i] for i in self._chosen) + len(SEQUENCE_END)

    def ranges(self) -> Ranges:
        """Return a sequence of undefined length, whose items have lengths."""
        source, starts, ends = self._all
        yield element_head(self.tag, "SQ", UNDEFINED)
        for i in self._chosen:
            yield ITEM + struct.pack("<L", ends[i] - starts[i])
            yield (source, starts[i], ends[i])
        yield SEQUENCE_END

    def items(self) -> tuple[Source, array[int], array[int]]:
        """Return where the contents of the chosen items begin and end."""
        source, starts, ends = self._all
        return (
            source,
            array("Q", [starts[i] for i in self._chosen]),
            array("Q", [ends[i] for i in self._chosen]),
        )


Element = Made | Stored | SelectedItems


def chunks(ranges: Ranges) -> Iterator[Buffer]:
    """Read ranges in pieces that memory bears, those that lie side by side together."""
    held: tuple[Source, int, int] | None = None
    for piece in ranges:
        if isinstance(piece, tuple) and held and piece[0] is held[0] and piece[1] == held[2]:
            held = (piece[0], held[1], piece[2])
            continue
        if held:
            yield from _read(*held)
            held = None
        if isinstance(piece, tuple):
            held = piece
        else:
            yield piece
    if held:
        yield from _read(*held)


def _read(source: Source, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        size = min(_CHUNK, end - start)
        yield source.exactly(start, size)
        start += size


def text_value(vr: str, text: str | bytes) -> bytes:
    """Return text as a value of a VR: even, padded as PS3.5 6.2 says."""
    # Latin-1 as `Header.text` decodes: bytes that ASCII does not know stay what they are.
    value = text.encode("latin-1") if isinstance(text, str) else text
    return value + ((b"\0" if vr == "UI" else b" ") if len(value) % 2 else b"")


class Header:
    """The elements of a data set but for its pixel data.

    Attributes
    ----------
    elements : dict of int to Element
        By tag.
    meta : dict of int to Element
        Of group 0002, without what every writer says anew.
    path : str or None
        Where it was read, for messages.
    """

    def __init__(self, path: str | None = None) -> None:
        self.elements: dict[int, Element] = {}
        self.meta: dict[int, Element] = {}
        self.path = path

    def copy(self) -> Header:
        """Return a header that can be changed without changing this one."""
        made = Header(self.path)
        made.elements = dict(self.elements)
        made.meta = dict(self.meta)
        return made

    def __contains__(self, keyword: str) -> bool:
        return tag_of(keyword)[0] in self.elements

    def value(self, keyword: str) -> bytes | None:
        """Return the bytes of a value; None where the element is absent."""
        element = self.elements.get(tag_of(keyword)[0])
        return None if element is None else element.value

    def text(self, keyword: str) -> str | None:
        """Return a value as text without padding; None where it is absent or empty."""
        element = self.elements.get(tag_of(keyword)[0])
        if isinstance(element, Stored) and element.size > _LONGEST:
            # Zeros that were deflated may be a thousand times what the file has.
            raise CorruptError(
                f"{keyword} {format_tag(element.tag)} has {element.size} bytes, expected no more "
                f"than {_LONGEST}",
                path=self.path,
                tag=element.tag,
            )
        value = None if element is None else element.value
        return None if value is None else value.decode("latin-1").strip(" \0") or None

    def texts(self, keyword: str) -> list[str]:
        """Return the values of a multi-valued text."""
        text = self.text(keyword)
        return [] if text is None else [part.strip(" ") for part in text.split("\\")]

    def number(self, keyword: str) -> int | None:
        """Return a value that has to be one whole number; None where it is absent or empty."""
        tag, standard = tag_of(keyword)
        element = self.elements.get(tag)
        if element is None:
            return None
        long = isinstance(element, Stored) and element.size > _LONGEST
        value = b"" if long else element.value
        code = _NUMBERS.get(standard if element.vr == "UN" else element.vr)
        if isinstance(element, Stored) and long:
            found = f"{element.size} bytes"
        elif code is not None:
            size = struct.calcsize(code)
            if len(value) == 0:
                return None
            if len(value) == size:
                number = struct.unpack("<" + code, value)[0]
                if number % 1 == 0:  # neither a fraction, nor infinite, nor NaN
                    return int(number)
                found = str(number)
            else:
                found = f"{len(value)} bytes"
        else:
            text = value.decode("latin-1").strip(" \0")
            if not text:
                return None
            try:
                return int(text)
            except ValueError:
                found = repr(text[:40])
        raise CorruptError(
            f"{keyword} {format_tag(tag)} must be one whole number ({standard}), found {found}",
            path=self.path,
            tag=tag,
        )

    def put(self, keyword: str, value: int | str | bytes) -> None:
        """Set an element; text and numbers are encoded as its VR says."""
        tag, vr = tag_of(keyword)
        if isinstance(value, int) and vr in _NUMBERS:
            data = struct.pack("<" + _NUMBERS[vr], value)
        elif isinstance(value, bytes) and vr in _LONG_VRS:
            data = value
        else:
            data = text_value(vr, value if isinstance(value, bytes) else str(value))
        self.elements[tag] = Made(tag, vr, data)

    def remove(self, *keywords: str) -> None:
        """Take elements out, where they are there."""
        for keyword in keywords:
            self.elements.pop(tag_of(keyword)[0], None)

    def data_set(self, first: int = 0, last: int = UNDEFINED) -> Iterator[Buffer]:
        """Return the elements with tags from `first` to `last`, encoded, in pieces.

        Without group 0002, which is none of a data set (PS3.10 7.1): a file whose meta information
        is damaged may leave some there, and behind the new one they would count as part of it.
        """

        def ranges() -> Ranges:
            for tag in sorted(self.elements):
                if first <= tag <= last and tag >> 16 != 2:
                    yield from self.elements[tag].ranges()

        return chunks(ranges())

    def file_meta(self, transfer_syntax: str) -> bytes:
        """Return preamble, prefix and File Meta Information (PS3.10 7.1)."""
        made = [
            Made(0x00020001, "OB", b"\0\1"),
            Made(0x00020010, "UI", text_value("UI", transfer_syntax)),
            Made(0x00020012, "UI", text_value("UI", IMPLEMENTATION_CLASS_UID)),
            Made(0x00020013, "SH", text_value("SH", IMPLEMENTATION_VERSION_NAME)),
        ]
        for tag, keyword in ((0x00020002, "SOPClassUID"), (MEDIA_STORAGE_UID, "SOPInstanceUID")):
            uid = self.text(keyword)
            if uid is not None or tag not in self.meta:
                made.append(Made(tag, "UI", text_value("UI", uid or "")))
        elements = {**self.meta, **{element.tag: element for element in made}}
        size = sum(element.size for element in elements.values())
        if size > _MOST_META:
            raise LimitError(
                f"file meta information of {size} bytes, expected no more than {_MOST_META}",
                path=self.path,
            )
        # Group 0002 is in explicit VR little endian (PS3.10 7.1), whatever it was.
        data = b"".join(
            b"".join(Made(tag, elements[tag].vr, elements[tag].value).ranges())  # type: ignore[arg-type]
            for tag in sorted(elements)
        )
        length = element_head(0x00020000, "UL", 4) + struct.pack("<L", len(data))
        return bytes(128) + b"DICM" + length + data


class PixelElement(NamedTuple):
    """Where pixel data lie: tag, first byte of the value, its length (None: encapsulated)."""

    tag: int
    vr: str
    value: int
    length: int | None
    end: int | None


class StoredObject(NamedTuple):
    """A data set as it was found.

    `source` holds the data set at the offsets of `pixels`: the file itself or, where that is
    deflated, what it inflates to.
    """

    header: Header
    source: Source
    transfer_syntax: str | None
    explicit_vr: bool
    big_endian: bool
    pixels: PixelElement | None


def read_object(source: Source) -> StoredObject:
    """Read the header of a DICOM file in any encoding, up to its pixel data.

    Raises
    ------
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
    """
    try:
        return _read_object(source)
    except DicomloomError as error:
        error.path = error.path or source.path
        raise


def _read_object(source: Source) -> StoredObject:
    found = _native.read_header(source.native)
    header = Header(source.path)
    for entry in found.meta:
        if entry[0] in _OWN_META:
            continue
        header.meta[entry[0]] = (
            Stored(source, *entry)
            if entry[4] > _LONGEST
            else Made(entry[0], entry[1], source.exactly(entry[3], entry[4]))
        )
    explicit, big, start = found.explicit_vr, found.big_endian, found.data_set
    if found.deflated:
        source, start, explicit, big = InflatedSource(source, start), 0, True, False
    entries = _native.list_elements(source.native, start, explicit, big)
    if isinstance(source, InflatedSource):
        source.lift()
    pixels = None
    if entries and entries[-1][0] in PIXEL_TAGS:
        tag, vr, offset, value, length, end, undefined = entries.pop()
        pixels = PixelElement(tag, vr, value, None if undefined else length, end)
    end = offset if pixels else None
    header.elements = _elements(source, entries, start, end, explicit, big)
    return StoredObject(header, source, found.transfer_syntax, explicit, big, pixels)


def read_trailing(source: Source, start: int, found: StoredObject) -> Header:
    """Return the elements behind the pixel data of an object."""
    explicit, big = found.explicit_vr, found.big_endian
    header = Header(source.path)
    if source.read_at(start, 1):
        entries = _native.list_elements(source.native, start, explicit, big, stop_at_pixels=False)
        header.elements = _elements(source, entries, start, None, explicit, big)
        header.elements.pop(TRAILING_PADDING, None)
    return header


def _elements(
    source: Source,
    entries: list[_native.Element],
    start: int,
    end: int | None,
    explicit: bool,
    big: bool,
) -> dict[int, Element]:
    """Return elements as they lie, or recoded where they are not in explicit VR little endian."""
    if not explicit or big or _is_mixed(source, entries):
        if end is None:
            end = (entries[-1][5] or start) if entries else start
        return header_of(_native.recode(source.native, start, end, explicit, big, True)).elements
    # Group lengths are retired, and would be wrong.
    return {entry[0]: Stored(source, *entry) for entry in entries if entry[0] & 0xFFFF}


def _is_mixed(source: Source, entries: list[_native.Element]) -> bool:
    """Return whether an element is without the VR that explicit VR asks for.

    Copied as it is, it might be the first one of the copy, which would be taken for implicit VR.
    """
    held, at = b"", 0
    end = entries[-1][2] + 8 if entries else 0  # what is behind may not be there
    for _, vr, offset, *_ in entries:
        if not at <= offset <= at + len(held) - 6:
            held, at = source.read_at(offset, min(_WINDOW, end - offset)), offset
        if held[offset - at + 4 : offset - at + 6] != vr.encode():
            return True
    return False


def header_of(data: bytes) -> Header:
    """Return the header whose elements are these bytes, in explicit VR little endian."""
    header = Header()
    source = BytesSource(data)
    for entry in _native.list_elements(data, 0, True, False, stop_at_pixels=False):
        header.elements[entry[0]] = Stored(source, *entry)
    return header
