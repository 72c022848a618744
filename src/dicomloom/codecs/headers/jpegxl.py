"""JPEG XL (ISO/IEC 18181-1 Annex D, 18181-2): signature, size and metadata."""

from __future__ import annotations

from dicomloom.codecs.headers import Parsed
from dicomloom.errors import CorruptError, UnsupportedError

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_MOST_BOXES = 100
# ISO/IEC 18181-1 table D.3: width as a multiple of height.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZES = (9, 13, 18, 30)


class _Bits:
    """Bits, the least significant of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise CorruptError("the JPEG XL header is cut off")
        self._left -= count
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken

    def choose(self, choices: tuple[tuple[int, int], ...]) -> int:
        """Read one of four (base, bits) pairs by a selector of two bits: U32()."""
        base, count = choices[self.take(2)]
        return base + self.take(count)


def parse(data: bytes) -> Parsed:
    """Return rows, columns, samples, bits and details of a codestream, perhaps in a container."""
    boxed = data.startswith(CONTAINER)
    details: dict[str, object] = {"format": "container" if boxed else "codestream"}
    stream = _unboxed(data, details) if boxed else data
    if stream[:2] != b"\xff\x0a":
        found = stream[:4].hex(" ").upper() or "nothing"
        raise CorruptError(f"expected a JPEG XL codestream (FF 0A), found {found}")
    bits = _Bits(stream[2:130])
    rows, columns = _size(bits)
    samples, precision = _metadata(bits, details)
    return rows, columns, samples, precision, details


def _unboxed(data: bytes, details: dict[str, object]) -> bytes:
    at = 0
    for _ in range(_MOST_BOXES):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if kind == b"jbrd":
            details["jpeg"] = True
        if kind == b"jxlc":
            return data[at + head :]
        if kind == b"jxlp":
            return data[at + head + 4 :]
        if length < head or at + length >= len(data):
            break
        at += length
    raise CorruptError("a JPEG XL file without a codestream in its first boxes")


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    rows = 8 * (1 + bits.take(5)) if small else bits.choose(tuple((1, n) for n in _SIZES))
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio - 1]
        return rows, rows * over // under
    return rows, 8 * (1 + bits.take(5)) if small else bits.choose(tuple((1, n) for n in _SIZES))


def _metadata(bits: _Bits, details: dict[str, object]) -> tuple[int, int]:
    """Return samples and precision (ImageMetadata, 18181-1 D.3.1)."""
    details["xyb"] = True
    if bits.take(1):  # all_default
        return 3, 8
    if bits.take(1):  # extra_fields
        details["orientation"] = 1 + bits.take(3)
        if bits.take(1):  # have_intr_size
            _size(bits)
        if bits.take(1) or bits.take(1):
            raise UnsupportedError("a JPEG XL stream with a preview or an animation")
    if bits.take(1):
        raise UnsupportedError("a JPEG XL stream of floating point samples")
    precision = bits.choose(((8, 0), (10, 0), (12, 0), (1, 6)))
    bits.take(1)  # modular_16bit_buffers
    extra = bits.choose(((0, 0), (1, 0), (2, 4), (1, 12)))
    if extra:
        raise UnsupportedError(f"a JPEG XL stream with {extra} extra channels")
    details["xyb"] = bool(bits.take(1))
    if bits.take(1):  # colour_encoding.all_default: sRGB
        return 3, precision
    bits.take(1)  # want_icc
    space = bits.choose(((0, 0), (1, 0), (2, 4), (18, 6)))
    return (1 if space == 1 else 3), precision
