"""What is known of a video stream."""

from __future__ import annotations

import dataclasses
import datetime
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomloom.dicomize.video.changes import Changes
    from dicomloom.dicomize.video.patches import Patch

# What an encoder means by a rate that its container can only round to.
_RATES = (
    *(Fraction(number * 1000, 1001) for number in (24, 30, 48, 60, 120)),
    *(Fraction(number) for number in (24, 25, 30, 48, 50, 60, 100, 120)),
)


@dataclasses.dataclass(frozen=True)
class AudioStream:
    """Sound beside the pictures of a video.

    Attributes
    ----------
    codec : str
        ``"AAC"``, ``"AC-3"``, ``"MP3"``, ``"MPEG-1 Layer II"``, ``"LPCM"``, or what else it is.
    sampling_frequency : int or None
        In Hz.
    channels : int or None
        6 for 5.1; None where it is not known.
    """

    codec: str
    sampling_frequency: int | None = None
    channels: int | None = None


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What the headers of the coded pictures say; the part of `VideoStream` that is the codec's.

    The attributes are those of `VideoStream`.
    """

    codec: str
    profile: str
    level: str
    rows: int
    columns: int
    bits: int = 8
    chroma: str = "4:2:0"
    interlaced: bool = False
    tier: str | None = None
    conforms_to: tuple[str, ...] = ()
    frame_rate: Fraction | None = None
    pixel_aspect: Fraction | None = None
    display_aspect: Fraction | None = None
    full_range: bool | None = None
    matrix_coefficients: int | None = None
    max_bit_rate: int | None = None
    stereo: str | None = None


@dataclasses.dataclass(frozen=True)
class VideoStream:
    """A video file: how it is packed, how its pictures are coded, how many there are.

    Attributes
    ----------
    container : str
        ``"MP4"``, ``"MOV"``, ``"MPEG-TS"``, ``"MPEG-PS"``, or ``"ES"`` for a bare elementary
        stream.
    packet_size : int or None
        Of a transport stream: 188, or 192 or 204 where something is added to each packet.
    codec : str
        ``"MPEG2"``, ``"H264"`` or ``"HEVC"``.
    profile, level : str
        As the codec's standard writes them: ``"High"`` and ``"4.1"``, ``"Main 10"`` and ``"5.1"``,
        ``"Main"`` and ``"High 1440"``.
    tier : str or None
        ``"Main"`` or ``"High"``, of HEVC.
    conforms_to : tuple of str
        Further profiles to which the stream says it conforms, by its constraint or compatibility
        flags.
    rows, columns : int
        Of a frame as it is displayed, after cropping, before rotation, in pixels.
    bits : int
        Of a sample.
    chroma : str
        ``"4:2:0"``, ``"4:2:2"``, ``"4:4:4"``, or ``"4:0:0"`` for one component.
    interlaced : bool
        Frames may be coded as two fields.
    frame_rate : Fraction or None
        Frames, not fields, in a second; None where nothing says it.
    constant_rate : bool
        False where the times between frames differ; `frame_rate` is then their mean.
    frames : int
        Frames that are displayed; the two fields of a frame count once.
    duration : Fraction or None
        In seconds.
    pixel_aspect : Fraction or None
        Width of a pixel to its height; None where it is not said.
    display_aspect : Fraction or None
        Width of the displayed picture to its height, where MPEG-2 says it outright.
    full_range : bool or None
        Samples from 0 to the greatest value (True), or with head- and footroom (False).
    matrix_coefficients : int or None
        How colors became samples: a code of ISO/IEC 23091-2 8.3 (1: BT.709, 5 and 6: BT.601).
    stereo : str or None
        How two views are packed: ``"side by side"``, ``"top and bottom"``, ``"MVC"`` ...
    audio : tuple of AudioStream
    rotation : int
        Degrees clockwise by which a player of the container turns the frames.
    creation_time : datetime or None
        When the container says that it was made, UTC.
    bit_rate : int or None
        Of the whole file on average, in bit/s.
    max_bit_rate : int or None
        What the stream's own headers promise not to exceed, in bit/s.
    size : int
        Of the file, in bytes.
    patches : tuple of Patch
        What `write_video` changes in its copy: places of recording blanked, QuickTime made MP4.
        Coded pictures and sound are never in it, and no byte moves.
    notes : tuple of str
        What the patches change, in words.
    obstacle : str or None
        What the file would need to have to be stored so, in words; None where nothing hinders.
    """

    container: str
    packet_size: int | None
    codec: str
    profile: str
    level: str
    tier: str | None
    conforms_to: tuple[str, ...]
    rows: int
    columns: int
    bits: int
    chroma: str
    interlaced: bool
    frame_rate: Fraction | None
    constant_rate: bool
    frames: int
    duration: Fraction | None
    pixel_aspect: Fraction | None
    display_aspect: Fraction | None
    full_range: bool | None
    matrix_coefficients: int | None
    stereo: str | None
    audio: tuple[AudioStream, ...]
    rotation: int
    creation_time: datetime.datetime | None
    bit_rate: int | None
    max_bit_rate: int | None
    size: int
    patches: tuple[Patch, ...] = ()
    notes: tuple[str, ...] = ()
    obstacle: str | None = None


def video_stream(
    pictures: Pictures,
    *,
    container: str,
    frames: int,
    size: int,
    duration: Fraction | None = None,
    packet_size: int | None = None,
    constant_rate: bool = True,
    audio: tuple[AudioStream, ...] = (),
    rotation: int = 0,
    creation_time: datetime.datetime | None = None,
    changed: Changes | None = None,
) -> VideoStream:
    """Put together what the pictures and the container say."""
    if duration is None and pictures.frame_rate:
        duration = frames / pictures.frame_rate
    said = {field.name: getattr(pictures, field.name) for field in dataclasses.fields(pictures)}
    return VideoStream(
        **said,
        container=container,
        frames=frames,
        size=size,
        duration=duration,
        packet_size=packet_size,
        constant_rate=constant_rate,
        audio=audio,
        rotation=rotation,
        creation_time=creation_time,
        bit_rate=round(8 * size / duration) if duration else None,
        **(changed._asdict() if changed else {}),
    )


def nominal_rate(rate: Fraction) -> Fraction:
    """Return the rate of broadcast and film that a measured one is within rounding; else itself."""
    best = min(_RATES, key=lambda known: abs(known - rate))
    return best if abs(best - rate) < best * Fraction(3, 10000) else rate
