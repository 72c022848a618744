"""What a bitstream says of itself, by its first bytes: nothing is decoded, no library is asked.

`describe` reads sizes, `check` holds them against a data set, `starts_frame` finds where frames
begin in fragments without an offset table. Hostile bytes are normal input: each parser looks at a
bounded number of bytes and raises CorruptError or UnsupportedError, nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dicomloom.codecs.headers import jpeg, jpeg2000, jpegxl, rle
from dicomloom.errors import CorruptError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout

_UID = "1.2.840.10008.1.2"
_DCT = frozenset(f"{_UID}.4.{n}" for n in (50, 51, 52, 53, 54, 55, 56))
_LOSSLESS = frozenset(f"{_UID}.4.{n}" for n in (57, 58, 70))
_JPEG = _DCT | _LOSSLESS
_JPEG_LS = frozenset((f"{_UID}.4.80", f"{_UID}.4.81"))
_JPEG_2000 = frozenset((f"{_UID}.4.90", f"{_UID}.4.91"))
_HTJ2K = frozenset(f"{_UID}.4.{n}" for n in (201, 202, 203))
_JPEG_XL = frozenset(f"{_UID}.4.{n}" for n in (110, 111, 112))
_RLE = f"{_UID}.5"
# Coding processes of ISO/IEC 10918-1, by SOF marker, that PS3.5 A.4.1 and its retired rows allow.
_PROCESSES = {
    f"{_UID}.4.50": ("SOF0",),
    f"{_UID}.4.51": ("SOF0", "SOF1"),
    f"{_UID}.4.53": ("SOF2",),
    f"{_UID}.4.55": ("SOF2",),
}
_HEADER = 4 * 1024  # of most frames, enough to find their size in
_LONG_HEADER = 4 * 1024 * 1024  # of those with color profiles and the like


class Description(NamedTuple):
    """What a bitstream says of itself; None where its format does not say.

    Attributes
    ----------
    rows, columns, samples, bits : int or None
        `bits` is the precision of a sample.
    details : dict
        By format: ``format``, ``process``, ``ids``, ``sampling``, ``jfif``, ``adobe``,
        ``predictor``, ``near``, ``signed``, ``mct``, ``reversible``, ``progression``, ``levels``,
        ``tiles``, ``tlm``, ``xyb``, ``segments``.
    """

    rows: int | None
    columns: int | None
    samples: int | None
    bits: int | None
    details: dict[str, object]


def describe(data: Buffer, uid: str) -> Description:
    """Return size, samples and precision as the bitstream has them.

    Parameters
    ----------
    data : buffer
        The frame, or its first bytes.
    uid : str
        Transfer syntax UID: which format to expect.

    Raises
    ------
    CorruptError
        The bytes are not of that format, or end within its header.
    UnsupportedError
        They are, but in a kind that is not read; or the syntax has no header of its own.
    """
    view = memoryview(data).cast("B")
    try:
        return _describe(bytes(view[:_HEADER]), uid)
    except CorruptError:
        if view.nbytes <= _HEADER:
            raise
        return _describe(bytes(view[:_LONG_HEADER]), uid)


def _describe(prefix: bytes, uid: str) -> Description:
    if uid in _JPEG:
        return Description(*jpeg.parse(prefix, lossless_ls=False))
    if uid in _JPEG_LS:
        return Description(*jpeg.parse(prefix, lossless_ls=True))
    if uid in _JPEG_2000 or uid in _HTJ2K:
        return Description(*jpeg2000.parse(prefix))
    if uid in _JPEG_XL:
        return Description(*jpegxl.parse(prefix))
    if uid == _RLE:
        return Description(*rle.parse(prefix))
    raise UnsupportedError(f"frames of transfer syntax {uid} have no header that says their size")


def check(data: Buffer, uid: str, layout: Layout, *, strict: bool = False) -> Description | None:
    """Raise where a bitstream contradicts the data set it is meant for.

    Parameters
    ----------
    data : buffer
        The whole frame.
    uid : str
        Transfer syntax UID.
    layout : Layout
        What the data set says.
    strict : bool
        Also hold it to what PS3.5 asks of this syntax: coding process, predictor, reversible
        transforms, sign. For writing; files that are read break these harmlessly.

    Returns
    -------
    Description or None
        None for syntaxes whose frames have no header.

    Raises
    ------
    CorruptError
        Format, size, number of samples or precision are not those of `layout`; the message names
        both.
    """
    try:
        found = describe(data, uid)
    except UnsupportedError:
        if uid in _JPEG or uid in _JPEG_LS or uid in _JPEG_2000 or uid in _HTJ2K or uid in _JPEG_XL:
            raise
        return None
    pairs = (
        ("Rows", layout.rows, found.rows),
        ("Columns", layout.columns, found.columns),
        ("SamplesPerPixel", layout.samples, found.samples),
    )
    for name, said, coded in pairs:
        if coded is not None and said != coded:
            raise CorruptError(f"the data set says {name} {said}, the bitstream {coded}")
    tiles = found.details.get("tiles", 1)
    if isinstance(tiles, int) and tiles > jpeg2000.MOST_TILES:
        raise CorruptError(
            f"a JPEG 2000 image of {tiles} tiles, at most {jpeg2000.MOST_TILES} have numbers"
        )
    if found.bits is not None and found.bits > layout.bits_allocated:
        raise CorruptError(
            f"the data set says BitsAllocated {layout.bits_allocated}, the bitstream has samples "
            f"of {found.bits} bits"
        )
    if uid == _RLE:
        _check_segments(found, layout)
    if strict:
        _check_rules(found, uid, layout)
    return found


def starts_frame(data_prefix: Buffer, uid: str) -> bool:
    """Return whether a fragment begins a frame, judged by its first bytes (16 suffice).

    Where the syntax puts each frame into exactly one fragment (PS3.5 A.4) and has no marker, the
    answer is always True.
    """
    prefix = bytes(memoryview(data_prefix).cast("B")[:32])
    if uid in _JPEG or uid in _JPEG_LS:
        # ISO/IEC 10918-1 B.1.1.2: any number of fill bytes may stand before a marker.
        at = len(prefix) - len(prefix.lstrip(b"\xff"))
        return at > 0 and prefix[at : at + 2] == b"\xd8\xff"
    if uid in _JPEG_2000 or uid in _HTJ2K:
        return prefix.startswith((b"\xff\x4f\xff\x51", jpeg2000.JP2))
    if uid in _JPEG_XL:
        return prefix.startswith((b"\xff\x0a", jpegxl.CONTAINER))
    if uid == _RLE:
        return rle.starts(prefix)
    return True


def _check_segments(found: Description, layout: Layout) -> None:
    wanted = layout.samples * max(layout.bits_allocated // 8, 1)
    if found.details["segments"] != wanted:
        raise CorruptError(
            f"the data set says {layout.samples} samples of {layout.bits_allocated} bits, so "
            f"{wanted} RLE segments; the frame has {found.details['segments']}"
        )


def _check_rules(found: Description, uid: str, layout: Layout) -> None:
    details = found.details
    wanted = _PROCESSES.get(uid, ("SOF3",) if uid in _LOSSLESS else None)
    if wanted and details["process"] not in wanted:
        raise CorruptError(
            f"transfer syntax {uid} holds JPEG frames of {' or '.join(wanted)}, the bitstream is "
            f"{details['process']}"
        )
    facts = (
        (f"{_UID}.4.70", "predictor", 1, "selection value 1"),
        (f"{_UID}.4.80", "near", 0, "NEAR 0, lossless"),
        (f"{_UID}.4.90", "reversible", True, "a reversible transform"),
        (f"{_UID}.4.201", "reversible", True, "a reversible transform"),
        (f"{_UID}.4.202", "reversible", True, "a reversible transform"),
        (f"{_UID}.4.202", "progression", "RPCL", "progression RPCL"),
        (f"{_UID}.4.202", "tlm", True, "tile-part lengths (TLM)"),
    )
    for syntax, name, value, words in facts:
        if uid == syntax and details.get(name, value) != value:
            raise CorruptError(
                f"transfer syntax {uid} asks for {words}; the bitstream has {name} {details[name]}"
            )
    if uid in _HTJ2K or uid in _JPEG_2000:
        if details["high_throughput"] != (uid in _HTJ2K):
            kind = "HTJ2K" if details["high_throughput"] else "JPEG 2000 Part 1"
            raise CorruptError(f"transfer syntax {uid} does not hold {kind} codestreams")
        if details["format"] != "codestream":
            raise CorruptError("PS3.5 A.4.4: the JP2 file format header shall not be included")
        if details["signed"] != layout.signed:
            raise CorruptError(
                f"the data set says PixelRepresentation {int(layout.signed)}, the bitstream has "
                f"{'signed' if details['signed'] else 'unsigned'} samples"
            )
