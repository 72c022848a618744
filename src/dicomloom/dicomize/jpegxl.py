"""JPEG XL files: what of them is stored, and whether their coding lost something."""

from __future__ import annotations

from typing import NamedTuple

from dicomloom.codecs.headers.jpegxl import CONTAINER
from dicomloom.dicomize.boxes import boxes
from dicomloom.dicomize.exif import read_exif
from dicomloom.errors import CorruptError, UnsupportedError

BACK = "make a JPEG or PNG of it (djxl), and dicomize that"
_RENDERED = (b"jxlc", b"jxlp")
_LEVEL_5_BITS = 12  # beyond, a file needs its box jxll (ISO/IEC 18181-2)
_GRAY, _XYB_SPACE, _CUSTOM = 1, 2, 2


class Stored(NamedTuple):
    """What of a JPEG XL file goes into an object.

    Attributes
    ----------
    stream : bytes
        A codestream, or the container that is needed beside it.
    recompressed : bool
        Whether it is a JPEG, coded again without loss (box ``jbrd``).
    lossless : bool
        Whether samples are coded as they are; False where that cannot be told.
    notes : tuple of str
    """

    stream: bytes
    recompressed: bool
    lossless: bool
    notes: tuple[str, ...]


def to_store(data: bytes) -> Stored:
    """Return what is stored of a codestream or container.

    Metadata are left out. Of a recompressed JPEG they are part: it is stored whole, and refused
    where it may say where it was taken.

    Raises
    ------
    CorruptError
        The container breaks its format, or is cut off.
    UnsupportedError
        A recompressed JPEG may say where it was taken.
    """
    if not data.startswith(CONTAINER):
        return Stored(data, False, _modular(data), ())
    found = list(boxes(data))
    kinds = {kind for kind, _ in found}
    stream = _codestream(found)
    if b"jbrd" in kinds:
        if any(_says_where(kind, body) for kind, body in found):
            raise UnsupportedError(
                "a JPEG in JPEG XL whose EXIF or XMP, which belong to it, say where it was taken "
                f"or are compressed, so that nobody sees: {BACK}"
            )
        return Stored(data, True, False, ())
    notes = tuple(
        f"box {kind.decode('latin-1').strip()} was left out"
        for kind in dict.fromkeys(kind for kind, _ in found)
        if kind in (b"Exif", b"xml ", b"brob", b"jumb")
    )
    lossless = _modular(stream)
    if b"jxll" in kinds:
        kept = [one for one in found if one[0] in (b"JXL ", b"ftyp", b"jxll", *_RENDERED)]
        stream = b"".join((len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in kept)
    return Stored(stream, False, lossless, notes)


def _codestream(found: list[tuple[bytes, bytes]]) -> bytes:
    whole = [body for kind, body in found if kind == b"jxlc"]
    parts = [body for kind, body in found if kind == b"jxlp"]
    if len(whole) == 1 and not parts:
        return whole[0]
    numbers = [int.from_bytes(part[:4], "big") for part in parts]
    wanted = [*range(len(parts) - 1), len(parts) - 1 | 1 << 31]
    if whole or not parts or numbers != wanted:
        raise CorruptError(
            f"expected one JPEG XL codestream, found {len(whole)} whole and {len(parts)} parts"
            ", some of which are missing or out of order" * bool(parts)
        )
    return b"".join(part[4:] for part in parts)


def _says_where(kind: bytes, body: bytes) -> bool:
    """Return whether a box may have a position: EXIF or XMP that does, or that cannot be read."""
    if kind == b"Exif":
        try:
            return read_exif(body[4 + int.from_bytes(body[:4], "big") :]).gps
        except CorruptError:
            return True
    return kind == b"brob" or (kind == b"xml " and b"GPS" in body)


class _Bits:
    """Bits of a codestream, the least significant of each byte first (18181-1 B.2)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._at, self._end = 0, 8 * len(data)

    def take(self, count: int) -> int:
        if self._at + count > self._end:
            raise CorruptError("the JPEG XL header is cut off")
        taken = self._value >> self._at & ((1 << count) - 1)
        self._at += count
        return taken

    def choose(self, *choices: tuple[int, int]) -> int:
        base, count = choices[self.take(2)]
        return base + self.take(count)

    def enumerated(self) -> int:
        return self.choose((0, 0), (1, 0), (2, 4), (18, 6))

    def align(self) -> None:
        self._at += -self._at % 8


def _modular(stream: bytes) -> bool:
    """Return whether the first frame codes samples as they are: modular, without XYB.

    The other mode, VarDCT, loses something. False where the header is of a kind that is not
    followed up to there: a color profile, which is coded itself, stands before it.
    """
    bits = _Bits(stream[2:400])
    _skip_size(bits)
    if bits.take(1) or not _skip_metadata(bits):  # all_default: XYB
        return False
    bits.align()
    if bits.take(1):  # FrameHeader, all_default: VarDCT
        return False
    bits.take(2)  # frame_type
    return bool(bits.take(1))


def _skip_metadata(bits: _Bits) -> bool:
    """Pass over ImageMetadata and CustomTransformData (18181-1 D.3); return whether that went."""
    extra = bits.take(1)
    if extra and (bits.take(6) >> 3):  # orientation; intrinsic size, preview, animation
        return False
    if bits.take(1):  # floating point
        return False
    bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    bits.take(1)  # modular_16bit_buffers
    if bits.take(3):  # extra channels, XYB
        return False
    if not bits.take(1) and not _skip_color(bits):
        return False
    if extra and not bits.take(1):  # ToneMapping
        bits.take(16 + 16 + 1 + 16)
    # Extensions; then the weights of upsampling, unless all_default.
    return not bits.take(2) and (bool(bits.take(1)) or not bits.take(3))


def _skip_size(bits: _Bits) -> None:
    small = bits.take(1)
    for side in (0, 1):
        if side and bits.take(3):  # the width follows from the height
            return
        if small:
            bits.take(5)
        else:
            bits.choose((1, 9), (1, 13), (1, 18), (1, 30))


def _skip_color(bits: _Bits) -> bool:
    """Pass over a ColorEncoding; return whether it was followed to its end."""
    if bits.take(1):  # want_icc
        return False
    space = bits.enumerated()
    if space != _XYB_SPACE:
        if bits.enumerated() == _CUSTOM:
            _skip_points(bits, 1)
        if space != _GRAY and bits.enumerated() == _CUSTOM:
            _skip_points(bits, 3)
        if bits.take(1):
            bits.take(24)  # gamma
        else:
            bits.enumerated()
    bits.enumerated()  # rendering intent
    return True


def _skip_points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.choose((0, 19), (524288, 19), (1048576, 20), (2097152, 21))
