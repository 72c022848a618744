from array import array
from collections.abc import Iterable
from typing import Protocol

from typing_extensions import Buffer

class Reader(Protocol):
    def read_at(self, offset: int, size: int, /) -> bytes: ...
    def size(self) -> int: ...

Source = int | Buffer | Reader
# tag, VR, offset of the header, of the value, length of the value, end, undefined length
Element = tuple[int, str, int, int, int, int | None, bool]

class Header:
    @property
    def start(self) -> int: ...
    @property
    def data_set(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def transfer_syntax(self) -> str | None: ...
    @property
    def meta(self) -> list[Element]: ...
    @property
    def explicit_vr(self) -> bool: ...
    @property
    def big_endian(self) -> bool: ...
    @property
    def deflated(self) -> bool: ...

def read_header(source: Source) -> Header: ...
def list_elements(
    source: Source,
    offset: int,
    explicit_vr: bool,
    big_endian: bool,
    *,
    end: int | None = None,
    stop_at_pixels: bool = True,
    max_depth: int = 64,
) -> list[Element]: ...
def sequence_items(
    source: Source, element: Element, explicit_vr: bool, big_endian: bool, max_depth: int = 64
) -> tuple[array[int], array[int], bytes]: ...
def walk_items(
    source: Source, offset: int, limit: int | None = None
) -> tuple[array[int], array[int], int, bool]: ...
def fragment_items(source: Source, start: int, end: int | None) -> list[tuple[int, int]]: ...

class Records:
    @property
    def offsets(self) -> array[int]: ...
    @property
    def contents(self) -> array[int]: ...
    @property
    def ends(self) -> array[int]: ...
    @property
    def broken(self) -> list[int]: ...
    @property
    def starts(self) -> dict[int, array[int]]: ...
    @property
    def lengths(self) -> dict[int, array[int]]: ...
    @property
    def numbers(self) -> dict[int, array[int]]: ...
    @property
    def end(self) -> int: ...
    @property
    def has_sequence(self) -> bool: ...
    @property
    def length_lies(self) -> bool: ...
    @property
    def cut(self) -> bool: ...

def list_records(
    source: Source,
    offset: int,
    explicit_vr: bool,
    big_endian: bool,
    tags: Iterable[int],
    *,
    numbers: dict[int, int] = ...,
    max_depth: int = 64,
) -> Records: ...
def recode(
    source: Source,
    offset: int,
    end: int,
    from_explicit: bool,
    from_big_endian: bool,
    to_explicit: bool,
    *,
    signed: bool = False,
    max_depth: int = 64,
) -> bytes: ...
