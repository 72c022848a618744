"""What parameter sets of H.264 and HEVC have in common."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from dicomloom.dicomize.video.bits import Bits

# ISO/IEC 14496-10 table E-1, ISO/IEC 23008-2 table E.1.
_PIXEL_ASPECTS = (
    (0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11),
    (80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
# Table D-8 of ISO/IEC 14496-10: frame_packing_arrangement_type.
_PACKINGS = {
    0: "checkerboard",
    1: "column interleaved",
    2: "row interleaved",
    3: "side by side",
    4: "top and bottom",
    5: "frame sequential",
}
FRAME_PACKING = 45
CHROMA = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")


class Usability(NamedTuple):
    """The first fields of Video Usability Information, alike in both codecs."""

    pixel_aspect: Fraction | None
    full_range: bool | None
    matrix_coefficients: int | None


def read_usability(bits: Bits) -> Usability:
    """Read VUI from aspect_ratio_info_present_flag up to the location of chroma samples."""
    aspect = full = matrix = None
    if bits.flag():
        indication = bits.read(8)
        width, height = 0, 1
        if indication == 255:
            width, height = bits.read(16), bits.read(16)
        elif indication < len(_PIXEL_ASPECTS):
            width, height = _PIXEL_ASPECTS[indication]
        aspect = Fraction(width, height) if width and height else None
    if bits.flag():  # overscan
        bits.skip(1)
    if bits.flag():  # video signal type
        bits.skip(3)
        full = bits.flag()
        if bits.flag():
            bits.skip(16)
            code = bits.read(8)
            matrix = None if code == 2 else code
    if bits.flag():
        bits.unsigned("chroma_sample_loc_type_top_field", 5)
        bits.unsigned("chroma_sample_loc_type_bottom_field", 5)
    return Usability(aspect, full, matrix)


def sei_messages(payload: bytes) -> list[tuple[int, bytes]]:
    """Return the messages of an unescaped SEI payload, as far as they are whole."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(payload) and len(found) < 64:
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(payload) and payload[at] == 0xFF:
                number += 255
                at += 1
            if at == len(payload):
                return found
            numbers.append(number + payload[at])
            at += 1
        kind, size = numbers
        if at + size > len(payload):
            break
        found.append((kind, payload[at : at + size]))
        at += size
    return found


def frame_packing(messages: list[tuple[int, bytes]]) -> str | None:
    """Return how two views share a frame, where a message says so."""
    for kind, data in messages:
        if kind != FRAME_PACKING:
            continue
        bits = Bits(data, "frame packing arrangement")
        bits.unsigned("frame_packing_arrangement_id", 2**32 - 2)
        if not bits.flag():  # cancel
            packing = bits.read(7)
            return _PACKINGS.get(packing, f"packing {packing}")
    return None
