"""What the first bytes of a sound stream say of it."""

from __future__ import annotations

from dicomloom.dicomize.video.bits import Bits
from dicomloom.dicomize.video.stream import AudioStream
from dicomloom.errors import CorruptError

# ISO/IEC 14496-3 table 1.18, ISO/IEC 11172-3 2.4.2.3, ETSI TS 102 366 tables 4.1 and 5.8.
_AAC_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_MPEG_RATES = (44100, 48000, 32000)
_AC3_RATES = (48000, 44100, 32000)
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)
_SBR, _PS = 5, 29  # ISO/IEC 14496-3 table 1.17
_LAYERS = {3: "MPEG-1 Layer I", 2: "MPEG-1 Layer II", 1: "MP3"}


def aac_configuration(data: bytes) -> AudioStream | None:
    """Return what AudioSpecificConfig says (ISO/IEC 14496-3 1.6.2.1); None where it is cut."""
    bits = Bits(data[:64], "AudioSpecificConfig")
    try:
        kind = _audio_object_type(bits)
        rate = _sampling_frequency(bits)
        channels = bits.read(4)
        if kind in (_SBR, _PS):
            # The rate at which it is played comes behind that of the core.
            rate = _sampling_frequency(bits)
    except CorruptError:
        return None
    if kind == _PS and channels == 1:
        channels = 2
    return AudioStream("AAC", rate, {7: 8, 11: 7, 12: 8, 14: 8}.get(channels, channels) or None)


def _audio_object_type(bits: Bits) -> int:
    kind = bits.read(5)
    return 32 + bits.read(6) if kind == 31 else kind


def _sampling_frequency(bits: Bits) -> int | None:
    index = bits.read(4)
    if index == 15:
        return bits.read(24)
    return _AAC_RATES[index] if index < len(_AAC_RATES) else None


def sound_of(name: str, data: bytes) -> AudioStream:
    """Return what a frame header says; else the name alone."""
    if name == "AAC":
        return _adts(data) or AudioStream(name)
    if name == "MPEG":
        return _mpeg(data) or AudioStream("MPEG-1 Layer II")
    if name == "AC-3":
        return _ac3(data) or AudioStream(name)
    if name == "LPCM" and len(data) > 3:
        # The header that Blu-ray puts in front of its samples.
        channels = {1: 1, 3: 2}.get(data[2] >> 4)
        rate = {1: 48000, 4: 96000, 5: 192000}.get(data[2] & 15)
        return AudioStream(name, rate, channels)
    return AudioStream(name)


def _adts(data: bytes) -> AudioStream | None:
    for at in range(len(data) - 3):
        if data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0:
            rate = data[at + 2] >> 2 & 15
            channels = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
            if rate < len(_AAC_RATES):
                return AudioStream("AAC", _AAC_RATES[rate], {7: 8}.get(channels, channels) or None)
    return None


def _mpeg(data: bytes) -> AudioStream | None:
    for at in range(len(data) - 3):
        if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0:
            version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
            rate = data[at + 2] >> 2 & 3
            if version == 1 or layer == 0 or rate == 3:
                continue
            halves = {3: 1, 2: 2, 0: 4}[version]  # MPEG-1, MPEG-2, MPEG-2.5
            name = _LAYERS[layer]
            if version != 3 and layer != 1:
                name = name.replace("MPEG-1", "MPEG-2")
            return AudioStream(
                name, _MPEG_RATES[rate] // halves, 1 if data[at + 3] >> 6 == 3 else 2
            )
    return None


def _ac3(data: bytes) -> AudioStream | None:
    at = data.find(b"\x0b\x77")
    if at < 0 or at + 8 > len(data) or data[at + 4] >> 6 == 3:
        return None
    mode = data[at + 6] >> 5
    # acmod is followed by mix levels, as it needs them, and lfeon.
    skipped = (
        (2 if mode & 1 and mode != 1 else 0) + (2 if mode & 4 else 0) + (2 if mode == 2 else 0)
    )
    low = data[at + 6] << 8 | data[at + 7]
    effects = low >> (12 - skipped) & 1
    return AudioStream("AC-3", _AC3_RATES[data[at + 4] >> 6], _AC3_CHANNELS[mode] + effects)
