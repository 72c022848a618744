"""Parameter sets, SEI and slice headers of H.264 (ISO/IEC 14496-10 7.3)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import NamedTuple

from dicomloom.dicomize.video.bits import Bits, unescape
from dicomloom.dicomize.video.mpeg2 import same_size
from dicomloom.dicomize.video.parameters import (
    CHROMA,
    frame_packing,
    read_usability,
    sei_messages,
)
from dicomloom.dicomize.video.stream import Pictures
from dicomloom.errors import CorruptError

_PROFILES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    118: "Multiview High",
    122: "High 4:2:2",
    128: "Stereo High",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
    83: "Scalable Baseline",
    86: "Scalable High",
}
_WITH_CHROMA = frozenset([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])
_SLICE, _IDR, _SEI, _SPS, _PPS, _SUBSET_SPS = 1, 5, 6, 7, 8, 15
_MOST_MACROBLOCKS = 1024  # a side: 16,384 pixels


class Sequence(NamedTuple):
    """A sequence parameter set: what it says of pictures, and what slices need of it."""

    number: int
    pictures: Pictures
    frame_num_bits: int
    fields: bool
    separate_planes: bool


class Slice(NamedTuple):
    """The start of a slice header: parity is 0 for a frame, 1 for a top, 2 for a bottom field."""

    first: bool
    parity: int
    frame_num: int
    idr: bool


class H264:
    """Reads NAL units of H.264 as they come, and counts frames."""

    codec = "H264"
    # NAL units with slices, parameter sets or SEI, whatever their nal_ref_idc.
    pattern = (
        rb"\x00\x00\x01[\x01\x05-\x08\x0f\x21\x25\x27\x28\x2f"
        rb"\x41\x45\x47\x48\x4f\x61\x65\x67\x68\x6f]"
    )
    needed = 1024

    def __init__(self) -> None:
        self.frames = 0
        self.pictures: Pictures | None = None
        self.stereo: str | None = None
        self._sequences: dict[int, Sequence] = {}
        self._picture_sets: dict[int, int] = {}
        self._field: Slice | None = None  # one whose partner is still to come

    def unit(self, data: bytes) -> None:
        """Take a NAL unit, or its beginning."""
        kind = data[0] & 31
        if kind in (_SLICE, _IDR):
            found = self.slice_of(data)
            if found and found.first:
                self._count(found)
        elif kind == _SPS:
            self.add_sequence(data)
        elif kind == _PPS:
            bits = Bits(unescape(data[1:16]), "H.264 picture parameter set")
            number = bits.unsigned("pic_parameter_set_id", 255)
            self._picture_sets[number] = bits.unsigned("seq_parameter_set_id", 31)
        elif kind == _SUBSET_SPS:
            if len(data) > 1 and data[1] in (118, 128):
                self.stereo = "MVC"
        elif kind == _SEI and self.stereo is None:
            self.stereo = frame_packing(sei_messages(unescape(data[1:])))

    def add_sequence(self, data: bytes) -> Sequence:
        """Take a sequence parameter set."""
        found = _read_sequence(unescape(data[1:]))
        self._sequences[found.number] = found
        self.pictures = same_size(self.pictures, found.pictures)
        return found

    def finish(self) -> Pictures:
        """Return what was found."""
        if self.pictures is None:
            raise CorruptError("no H.264 sequence parameter set was found")
        profile = self.pictures.profile
        if self.stereo == "MVC" and profile in ("High", "Main"):
            profile = "Stereo High"
        return dataclasses.replace(self.pictures, profile=profile, stereo=self.stereo)

    def slice_of(self, data: bytes) -> Slice | None:
        """Read the start of a slice header; None before its parameter sets came."""
        bits = Bits(unescape(data[1:40]), "H.264 slice header")
        first = bits.unsigned("first_mb_in_slice", _MOST_MACROBLOCKS**2)
        bits.unsigned("slice_type", 9)
        number = bits.unsigned("pic_parameter_set_id", 255)
        sequence = self._sequences.get(self._picture_sets.get(number, -1))
        if sequence is None:
            return None
        if sequence.separate_planes:
            bits.skip(2)
        frame_num = bits.read(sequence.frame_num_bits)
        parity = 0
        if sequence.fields and bits.flag():
            parity = 1 + bits.read(1)
        return Slice(first == 0, parity, frame_num, data[0] & 31 == _IDR)

    def _count(self, found: Slice) -> None:
        """Count a picture, unless it is the second field of a frame (7.4.1.2.4)."""
        before, self._field = self._field, None
        if (
            found.parity
            and before
            and before.parity != found.parity
            and before.frame_num == found.frame_num
            and (before.idr or not found.idr)
        ):
            return
        self.frames += 1
        if found.parity:
            self._field = found


def _read_sequence(data: bytes) -> Sequence:
    bits = Bits(data, "H.264 sequence parameter set")
    profile, flags, level = bits.read(8), bits.read(8), bits.read(8)
    number = bits.unsigned("seq_parameter_set_id", 31)
    chroma, depth, separate = 1, 8, False
    if profile in _WITH_CHROMA:
        chroma = bits.unsigned("chroma_format_idc", 3)
        separate = chroma == 3 and bits.flag()
        depth = 8 + bits.unsigned("bit_depth_luma_minus8", 6)
        depth = max(depth, 8 + bits.unsigned("bit_depth_chroma_minus8", 6))
        bits.skip(1)  # lossless transform bypass
        if bits.flag():
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    frame_num_bits = 4 + bits.unsigned("log2_max_frame_num_minus4", 12)
    _skip_order_count(bits)
    bits.unsigned("max_num_ref_frames", 16)
    bits.skip(1)
    columns = 16 * (1 + bits.unsigned("pic_width_in_mbs_minus1", _MOST_MACROBLOCKS - 1))
    rows = 16 * (1 + bits.unsigned("pic_height_in_map_units_minus1", _MOST_MACROBLOCKS - 1))
    frames_only = bits.flag()
    if not frames_only:
        rows *= 2
        bits.skip(1)
    bits.skip(1)
    if bits.flag():
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (1 if frames_only else 2)
        left, right, top, bottom = (bits.unsigned("frame_cropping", 1 << 14) for _ in range(4))
        columns -= across * (left + right)
        rows -= down * (top + bottom)
    if columns <= 0 or rows <= 0:
        raise CorruptError("H.264 sequence parameter set: nothing is left after cropping")
    name, conforms = _profile(profile, flags)
    pictures = Pictures(
        "H264",
        name,
        _level(profile, flags, level),
        rows,
        columns,
        bits=depth,
        chroma=CHROMA[chroma],
        interlaced=not frames_only,
        conforms_to=conforms,
    )
    if bits.flag():
        pictures = _with_usability(bits, pictures)
    return Sequence(number, pictures, frame_num_bits, not frames_only, separate)


def _profile(profile: int, flags: int) -> tuple[str, tuple[str, ...]]:
    """Return the name of a profile, and the others its constraint flags promise (7.4.2.1.1)."""
    sets = [bool(flags >> (7 - i) & 1) for i in range(6)]
    name = _PROFILES.get(profile, f"profile {profile}")
    if profile == 66 and sets[1]:
        name = "Constrained Baseline"
    elif profile == 100 and sets[4]:
        name = "Constrained High" if sets[5] else "Progressive High"
    elif profile in (110, 122, 244) and sets[3]:
        name = name.removesuffix(" Predictive") + " Intra"
    others = [
        other
        for i, other in enumerate(("Baseline", "Main", "Extended"))
        if sets[i] and other != name and profile in (66, 77, 88)
    ]
    return name, tuple(others)


def _level(profile: int, flags: int, level: int) -> str:
    if level == 9 or (level == 11 and profile in (66, 77, 88) and flags & 0x10):
        return "1b"
    return f"{level // 10}.{level % 10}" if level % 10 else f"{level // 10}"


def _skip_scaling_lists(bits: Bits, count: int) -> None:
    for i in range(count):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if i < 6 else 64):
            if following:
                following = (last + bits.signed("delta_scale", 128)) % 256
            last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.unsigned("pic_order_cnt_type", 2)
    if kind == 0:
        bits.unsigned("log2_max_pic_order_cnt_lsb_minus4", 12)
    elif kind == 1:
        bits.skip(1)
        bits.signed("offset_for_non_ref_pic", 2**31)
        bits.signed("offset_for_top_to_bottom_field", 2**31)
        for _ in range(bits.unsigned("num_ref_frames_in_pic_order_cnt_cycle", 255)):
            bits.signed("offset_for_ref_frame", 2**31)


def _with_usability(bits: Bits, pictures: Pictures) -> Pictures:
    usability = read_usability(bits)
    rate = None
    if bits.flag():
        units, scale = bits.read(32), bits.read(32)
        bits.skip(1)
        # E.2.1: the clock ticks once a field, also where frames are coded.
        rate = Fraction(scale, 2 * units) if units and scale else None
    most = None
    for _ in ("nal", "vcl"):
        if bits.flag():
            most = _bit_rate(bits)
    return dataclasses.replace(pictures, **usability._asdict(), frame_rate=rate, max_bit_rate=most)


def _bit_rate(bits: Bits) -> int:
    """Read a description of the buffering model (E.1.2); return its greatest bit rate."""
    count = 1 + bits.unsigned("cpb_cnt_minus1", 31)
    scale = bits.read(4)
    bits.skip(4)
    most = 0
    for _ in range(count):
        most = 1 + bits.unsigned("bit_rate_value_minus1", 2**32 - 2)
        bits.unsigned("cpb_size_value_minus1", 2**32 - 2)
        bits.skip(1)
    bits.skip(20)
    return most << (6 + scale)
