"""Parameter sets, SEI and slice headers of HEVC (ISO/IEC 23008-2 7.3)."""

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
    1: "Main",
    2: "Main 10",
    3: "Main Still Picture",
    4: "Format Range Extensions",
    5: "High Throughput",
    6: "Multiview Main",
    7: "Scalable Main",
    8: "3D Main",
    9: "Screen Content",
}
_VPS, _SPS, _PREFIX_SEI = 32, 33, 39
_RASL = (8, 9)
_CRA, _FIRST_IRAP, _LAST_IRAP = 21, 16, 21
_BLA = (16, 17, 18)


class _Profile(NamedTuple):
    name: str
    tier: str
    level: str
    conforms_to: tuple[str, ...]
    interlaced: bool


class Hevc:
    """Reads NAL units of HEVC as they come, and counts frames."""

    codec = "HEVC"
    # Slices (0 to 9, 16 to 21), VPS, SPS and prefix SEI of the base layer.
    pattern = (
        rb"\x00\x00\x01[\x00\x02\x04\x06\x08\x0a\x0c\x0e\x10\x12"
        rb"\x20\x22\x24\x26\x28\x2a\x40\x42\x4e]"
    )
    needed = 1024

    def __init__(self) -> None:
        self.pictures: Pictures | None = None
        self.stereo: str | None = None
        self._counted = 0
        self._fields = False
        self._timing: Fraction | None = None  # of the VPS
        self._skipping = True  # leading pictures that refer to what is not there

    @property
    def frames(self) -> int:
        """Frames so far."""
        return (self._counted + 1) // 2 if self._fields else self._counted

    def unit(self, data: bytes) -> None:
        """Take a NAL unit, or its beginning."""
        kind = data[0] >> 1 & 63
        if len(data) < 3 or data[0] & 1 or data[1] >> 3:
            return  # not of the base layer
        if kind < 32:
            if data[2] & 0x80 and self.pictures:
                self._count(kind)
        elif kind == _SPS:
            self.add_sequence(data)
        elif kind == _VPS:
            self._timing = _video_timing(Bits(unescape(data[2:]), "HEVC video parameter set"))
        elif kind == _PREFIX_SEI and self.stereo is None:
            self.stereo = frame_packing(sei_messages(unescape(data[2:])))

    def add_sequence(self, data: bytes) -> None:
        """Take a sequence parameter set."""
        found, self._fields = _read_sequence(unescape(data[2:]))
        self.pictures = same_size(self.pictures, found)

    def finish(self) -> Pictures:
        """Return what was found."""
        if self.pictures is None:
            raise CorruptError("no HEVC sequence parameter set was found")
        rate = self.pictures.frame_rate
        if rate is None and self._timing:
            rate = self._timing / (2 if self._fields else 1)
        return dataclasses.replace(self.pictures, frame_rate=rate, stereo=self.stereo)

    def _count(self, kind: int) -> None:
        if kind in _RASL and self._skipping:
            return  # 8.1.3: not displayed behind the CRA with which decoding begins
        if _FIRST_IRAP <= kind <= _LAST_IRAP:
            self._skipping = kind in _BLA or (kind == _CRA and self._counted == 0)
        self._counted += 1


def _read_profile(bits: Bits, sub_layers: int) -> _Profile:
    """Read profile_tier_level (7.3.3)."""
    bits.skip(2)
    tier = "High" if bits.flag() else "Main"
    profile = bits.read(5)
    flags = bits.read(32)
    compatible = [i for i in range(1, 32) if flags >> (31 - i) & 1]
    bits.skip(1)
    interlaced = bits.flag()
    bits.skip(46)
    level = bits.read(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.skip(88 * has_profile + 8 * has_level)
    name = _PROFILES.get(profile, f"profile {profile}")
    others = tuple(_PROFILES[i] for i in compatible if i in _PROFILES and i != profile)
    whole, tenth = divmod(level, 30)
    text = f"{whole}.{tenth // 3}" if tenth else f"{whole}"
    return _Profile(name, tier, text, others, interlaced)


def _read_sequence(data: bytes) -> tuple[Pictures, bool]:
    bits = Bits(data, "HEVC sequence parameter set")
    bits.skip(4)
    sub_layers = bits.read(3)
    bits.skip(1)
    profile = _read_profile(bits, sub_layers)
    bits.unsigned("sps_seq_parameter_set_id", 15)
    chroma = bits.unsigned("chroma_format_idc", 3)
    if chroma == 3:
        bits.skip(1)
    columns = bits.unsigned("pic_width_in_luma_samples", 16384)
    rows = bits.unsigned("pic_height_in_luma_samples", 16384)
    if bits.flag():
        across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
        left, right, top, bottom = (bits.unsigned("conf_win_offset", 16384) for _ in range(4))
        columns -= across * (left + right)
        rows -= down * (top + bottom)
    if columns <= 0 or rows <= 0:
        raise CorruptError("HEVC sequence parameter set: nothing is left after cropping")
    depth = 8 + bits.unsigned("bit_depth_luma_minus8", 8)
    depth = max(depth, 8 + bits.unsigned("bit_depth_chroma_minus8", 8))
    _skip_coding(bits, sub_layers)
    found = Pictures(
        "HEVC",
        profile.name,
        profile.level,
        rows,
        columns,
        bits=depth,
        chroma=CHROMA[chroma],
        interlaced=profile.interlaced,
        tier=profile.tier,
        conforms_to=profile.conforms_to,
    )
    if not bits.flag():
        return found, False
    usability = read_usability(bits)
    bits.skip(1)
    fields = bits.flag()
    bits.skip(1)
    if bits.flag():
        for _ in range(4):
            bits.unsigned("def_disp_win_offset", 16384)
    rate = _read_timing(bits) if bits.flag() else None
    found = dataclasses.replace(found, **usability._asdict(), frame_rate=rate)
    if fields:
        # Each picture is a field: D.3.3, pic_struct. A frame has the rows of two.
        found = dataclasses.replace(
            found, rows=2 * rows, interlaced=True, frame_rate=rate / 2 if rate else None
        )
    return found, fields


def _skip_coding(bits: Bits, sub_layers: int) -> None:
    """Pass over what stands between bit depth and VUI (7.3.2.2.1)."""
    order_bits = 4 + bits.unsigned("log2_max_pic_order_cnt_lsb_minus4", 12)
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        for name in ("max_dec_pic_buffering_minus1", "max_num_reorder_pics"):
            bits.unsigned(f"sps_{name}", 16)
        bits.unsigned("sps_max_latency_increase_plus1", 2**32 - 2)
    for _ in range(6):
        bits.unsigned("log2_size_of_blocks", 32)
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.skip(2)
    if bits.flag():  # PCM
        bits.skip(8)
        bits.unsigned("log2_min_pcm_luma_coding_block_size_minus3", 2)
        bits.unsigned("log2_diff_max_min_pcm_luma_coding_block_size", 3)
        bits.skip(1)
    pictures = 0
    for i in range(bits.unsigned("num_short_term_ref_pic_sets", 64)):
        pictures = _skip_reference_set(bits, i, pictures)
    if bits.flag():
        for _ in range(bits.unsigned("num_long_term_ref_pics_sps", 32)):
            bits.skip(order_bits + 1)
    bits.skip(2)


def _skip_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.unsigned("scaling_list_pred_matrix_id_delta", 5)
                continue
            if size > 1:
                bits.signed("scaling_list_dc_coef_minus8", 247)
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.signed("scaling_list_delta_coef", 128)


def _skip_reference_set(bits: Bits, index: int, before: int) -> int:
    """Pass over st_ref_pic_set (7.3.7); return how many pictures it has, `before` the last had."""
    if index and bits.flag():
        bits.skip(1)
        bits.unsigned("abs_delta_rps_minus1", 2**15 - 1)
        count = 0
        for _ in range(before + 1):
            used = bits.flag()
            count += used or bits.flag()
        return count
    count = 0
    for name in ("num_negative_pics", "num_positive_pics"):
        count += bits.unsigned(name, 16)
    for _ in range(count):
        bits.unsigned("delta_poc_minus1", 2**15 - 1)
        bits.skip(1)
    return count


def _read_timing(bits: Bits) -> Fraction | None:
    units, scale = bits.read(32), bits.read(32)
    return Fraction(scale, units) if units and scale else None


def _video_timing(bits: Bits) -> Fraction | None:
    """Return the rate in a video parameter set (7.3.2.1)."""
    bits.skip(12)
    sub_layers = bits.read(3)
    bits.skip(17)
    _read_profile(bits, sub_layers)
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        for _ in range(3):
            bits.unsigned("vps_sub_layer_ordering", 2**32 - 2)
    layers = 1 + bits.read(6)
    for _ in range(bits.unsigned("vps_num_layer_sets_minus1", 1023)):
        bits.skip(layers)
    return _read_timing(bits) if bits.flag() else None
