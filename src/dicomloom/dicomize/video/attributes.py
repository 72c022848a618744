"""Attributes of a data set that follow from a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomloom.dicomize.codes import UNKNOWN, code_item
from dicomloom.dicomize.video.stream import AudioStream, VideoStream
from dicomloom.dicomize.video.syntaxes import MOST_OF_A_FRAGMENT
from dicomloom.errors import UnsupportedError

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.3 C.7.6.1.1.5.2.
_METHODS = {"MPEG2": "ISO_13818_2", "H264": "ISO_14496_10", "HEVC": "ISO_23008_2"}
_MODES = {1: "MONO", 2: "STEREO"}
_FRAME_TIME = 0x00181063


def pixel_attributes(stream: VideoStream) -> dict[str, object]:
    """Return the attributes of a data set that follow from a video, by keyword.

    Those of the modules Image Pixel, Cine and Multi-frame, and what General Image says of lossy
    compression (PS3.3 C.7.6.3, C.7.6.5, C.7.6.6, C.7.6.1), with the values that PS3.5 8.2.5 to
    8.2.11 demand. FrameTime is in ms, and the mean where times between frames differ.
    MultiplexedAudioChannelsDescriptionCodeSequence is there where there is sound: MONO or STEREO,
    from an unknown source; empty where it has other numbers of channels.

    Raises
    ------
    UnsupportedError
        Nothing says how many frames a second has.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dicomloom.dicomize.video.read import read_video
    >>> path = pathlib.Path(tempfile.mkdtemp(), "video.m2v")
    >>> sequence = bytes.fromhex("000001b3 7804383311942000 000001b5 144200010000")
    >>> picture = bytes.fromhex("00000100 00080000 000001b5 8fffff8000")
    >>> _ = path.write_bytes(sequence + 3 * picture)
    >>> attributes = pixel_attributes(read_video(path))
    >>> attributes["NumberOfFrames"], attributes["FrameTime"]
    (3, '40')
    """
    rate = stream.frame_rate
    if not rate:
        raise UnsupportedError(
            "the frame rate is not known, and FrameTime needs it: pack the video into MP4, with "
            "ffmpeg -r RATE -i FILE -c copy out.mp4"
        )
    raw = stream.rows * stream.columns * stream.frames * 3 * stream.bits / 8
    found: dict[str, object] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "YBR_PARTIAL_420",
        "PlanarConfiguration": 0,
        "Rows": stream.rows,
        "Columns": stream.columns,
        "BitsAllocated": 8 if stream.bits == 8 else 16,
        "BitsStored": stream.bits,
        "HighBit": stream.bits - 1,
        "PixelRepresentation": 0,
        "NumberOfFrames": stream.frames,
        "FrameIncrementPointer": _FRAME_TIME,
        "FrameTime": f"{float(1000 / rate):.12g}",
        "CineRate": max(1, round(rate)),
        "RecommendedDisplayFrameRate": max(1, round(rate)),
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": f"{raw / stream.size:.6g}",
        "LossyImageCompressionMethod": _METHODS[stream.codec],
    }
    if stream.size > MOST_OF_A_FRAGMENT:
        # Only several fragments need it, and its VR is new: readers stumble over it.
        found["EncapsulatedPixelDataValueTotalLength"] = stream.size
    if stream.pixel_aspect and stream.pixel_aspect != 1:
        # C.7.6.3.1.7: height first.
        aspect = stream.pixel_aspect
        found["PixelAspectRatio"] = [aspect.denominator, aspect.numerator]
    if stream.stereo:
        found["StereoPairsPresent"] = "YES"
    if stream.audio:
        found["MultiplexedAudioChannelsDescriptionCodeSequence"] = _channels(stream.audio)
    return found


def _channels(sounds: tuple[AudioStream, ...]) -> list[Dataset]:
    """Describe sound as the module Cine wants it (PS3.3 C.7.6.5, type 2C)."""
    from pydicom import Dataset

    if len(sounds) > 2 or any(sound.channels not in _MODES for sound in sounds):
        # Modes are there for one signal and for two, identifications for a main and a
        # complementary channel: of 5.1 nothing true can be said.
        return []
    items = []
    for number, sound in enumerate(sounds, 1):
        # No stream says what was recorded: voice, Doppler, heart sounds ... (CID 3000).
        item = Dataset()
        item.ChannelIdentificationCode = number
        item.ChannelMode = _MODES[sound.channels or 0]
        item.ChannelSourceSequence = [code_item(*UNKNOWN)]
        items.append(item)
    return items
