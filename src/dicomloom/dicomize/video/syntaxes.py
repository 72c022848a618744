"""Which transfer syntax holds a video (PS3.5 8.2.5 to 8.2.12)."""

from __future__ import annotations

from fractions import Fraction

from dicomloom.dicomize.video.stream import AudioStream, VideoStream
from dicomloom.errors import TagError, UnsupportedError

# PS3.5 8.2.5: what one fragment holds.
MOST_OF_A_FRAGMENT = 2**32 - 2
_MOST_FRAMES = 2**31 - 1
_NTSC, _NTSC_DOUBLE = Fraction(30000, 1001), Fraction(60000, 1001)
_FILM = Fraction(24000, 1001)
# Table 8.2.7-1 (8-4 of old): rows, columns, rate, interlaced.
_BLU_RAY = frozenset(
    [
        (1080, 1920, Fraction(25), True),
        (1080, 1920, _NTSC, True),
        *((1080, 1920, rate, False) for rate in (Fraction(24), _FILM)),
        *((720, 1280, rate, False) for rate in (Fraction(50), _NTSC_DOUBLE, Fraction(24), _FILM)),
    ]
)
# ISO/IEC 14496-10 table A-1: macroblocks in a second, in a frame; levels of the two syntaxes.
_AVC_LIMITS = {"4.1": (245760, 8192), "4.2": (522240, 8704)}
_AVC_LEVELS = (
    "1",
    "1b",
    "1.1",
    "1.2",
    "1.3",
    "2",
    "2.1",
    "2.2",
    "3",
    "3.1",
    "3.2",
    "4",
    "4.1",
    "4.2",
)
# A.2.4: what a decoder of the High profile decodes.
_WITHIN_HIGH = ("High", "Progressive High", "Constrained High", "Main", "Constrained Baseline")
# ISO/IEC 23008-2 tables A.8 and A.9, level 5.1: luma samples in a picture, in a second.
_HEVC_PICTURE, _HEVC_SECOND = 8912896, 534773760
_HEVC_MOST_LEVEL = (5, 1)
_RATES_ML = (Fraction(25), _NTSC, Fraction(30))
_RATES_HL = (*_RATES_ML, Fraction(50), _NTSC_DOUBLE, Fraction(60))
_MPEG_RATES = (32000, 44100, 48000)
# Table 8.2.12-1 and the list below it: containers, sampling frequencies, channels.
_AUDIO = {
    "LPCM": (("MPEG-TS",), (48000, 96000), (2,)),
    "AC-3": (("MPEG-TS",), (48000,), (2, 6)),
    "AAC": (("MPEG-TS", "MP4"), (48000,), (2, 6)),
    "MP3": (("MPEG-TS", "MP4"), _MPEG_RATES, (1, 2)),
    "MPEG-1 Layer II": (("MPEG-TS", "MP4"), _MPEG_RATES, (2,)),
}
_REMUX = "ffmpeg -i FILE -c copy out.mp4 packs the same pictures anew"
_AVC_ADVICE = (
    "encode it anew: ffmpeg -i FILE -c:v libx264 -profile:v high -level 4.1 -pix_fmt yuv420p "
    "-vf setsar=1 -c:a aac -ar 48000 -ac 2 out.mp4"
)
_HEVC_ADVICE = (
    "encode it anew: ffmpeg -i FILE -c:v libx265 -x265-params level-idc=5.1:high-tier=0 "
    "-pix_fmt yuv420p -vf setsar=1 -c:a aac -ar 48000 -ac 2 out.mp4"
)


def keyword_of(transfer_syntax: str) -> str:
    """Return the keyword of a transfer syntax of video.

    Raises
    ------
    TagError
        It is none.

    Examples
    --------
    >>> keyword_of("1.2.840.10008.1.2.4.102")
    'MPEG4HP41'
    """
    from pydicom import uid

    names = [name for name in dir(uid) if name.startswith(("MPEG2MP", "MPEG4HP", "HEVCM"))]
    for name in names:
        if transfer_syntax in (name, getattr(uid, name)):
            return name
    raise TagError(
        f"{transfer_syntax} is no transfer syntax of video: expected a keyword such as MPEG4HP41 "
        "or its UID"
    )


def transfer_syntax_of(stream: VideoStream, *, bd_compatible: bool = False) -> str:
    """Return the keyword of the transfer syntax that holds a video as it is.

    Parameters
    ----------
    stream : VideoStream
        Of `read_video`.
    bd_compatible : bool
        Hold an H.264 stream against ``MPEG4HP41BD``. What Blu-ray demands beyond the table of
        PS3.5 8.2.7, such as the length of a group of pictures, is for its encoder to keep.

    Returns
    -------
    str
        A keyword of PS3.6. Streams over 2\\ :sup:`32` - 2 bytes get the fragmentable twin, whose
        keyword ends with ``F``; the two of HEVC always are.

    Raises
    ------
    UnsupportedError
        No transfer syntax permits the stream; the message says what it is, what the nearest
        syntax demands, and how to get there.

    Notes
    -----
    PS3.5 8.2.5 to 8.2.12. For H.264 a profile that every decoder of the High profile decodes
    (Main, Constrained Baseline) and a lower level are within "High Profile / Level 4.1"
    (ISO/IEC 14496-10 A.2.4); likewise MPEG-2 Simple profile and Low level. Bit rates are not
    looked at.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from dicomloom.dicomize.video.read import read_video
    >>> path = pathlib.Path(tempfile.mkdtemp(), "video.m2v")
    >>> sequence = bytes.fromhex("000001b3 7804383311942000 000001b5 144200010000")
    >>> picture = bytes.fromhex("00000100 00080000 000001b5 8fffff8000")
    >>> _ = path.write_bytes(sequence + 3 * picture)
    >>> transfer_syntax_of(read_video(path))
    'MPEG2MPHL'
    """
    if stream.frames > _MOST_FRAMES:
        raise _refused(stream, "", f"at most {_MOST_FRAMES} frames", "cut it into parts")
    if stream.frame_rate is None:
        raise _refused(stream, "", "a frame rate", _REMUX)
    if bd_compatible and stream.codec != "H264":
        raise _refused(stream, "MPEG4HP41BD", "H.264", _AVC_ADVICE)
    if stream.codec == "MPEG2":
        keyword = _mpeg2(stream)
        _check_obstacle(stream, keyword)
        return _fitting(stream, keyword)
    _check_container(stream)
    keyword = _hevc(stream) if stream.codec == "HEVC" else _avc(stream, bd_compatible)
    for sound in stream.audio:
        _check_sound(stream, sound, keyword)
    _check_obstacle(stream, keyword)
    return keyword if stream.codec == "HEVC" else _fitting(stream, keyword)


def _fitting(stream: VideoStream, keyword: str) -> str:
    return keyword if stream.size <= MOST_OF_A_FRAGMENT else keyword + "F"


def _refused(stream: VideoStream, syntax: str, demand: str, advice: str) -> UnsupportedError:
    rate = "unknown" if stream.frame_rate is None else f"{float(stream.frame_rate):.6g}"
    scan = "interlaced" if stream.interlaced else "progressive"
    found = (
        f"{stream.codec} {stream.profile} profile at level {stream.level}, {stream.columns} x "
        f"{stream.rows}, {stream.chroma}, {stream.bits} bits, {scan}, {rate} frames/s, in "
        f"{stream.container}"
    )
    return UnsupportedError(
        f"no transfer syntax holds this video ({found}): {syntax or 'DICOM'} demands {demand}; "
        f"{advice}"
    )


def _check_container(stream: VideoStream) -> None:
    syntax = "MPEG4HP41" if stream.codec == "H264" else "HEVCMP51"
    if stream.container not in ("MP4", "MOV", "MPEG-TS"):
        demand = "an MP4 file or an MPEG-2 transport stream (PS3.5 8.2.7 to 8.2.11)"
        raise _refused(stream, syntax, demand, _REMUX)
    if stream.packet_size not in (None, 188):
        demand = f"transport packets of 188 bytes (ISO/IEC 13818-1), not {stream.packet_size}"
        raise _refused(stream, syntax, demand, _REMUX.replace("mp4", "ts"))


def _check_obstacle(stream: VideoStream, keyword: str) -> None:
    if stream.obstacle:
        raise _refused(stream, keyword, stream.obstacle, _REMUX)


def _mpeg2(stream: VideoStream) -> str:
    """PS3.5 8.2.5 and 8.2.6; any container is permitted."""
    rows, columns, rate = stream.rows, stream.columns, stream.frame_rate
    assert rate is not None
    high = stream.level not in ("Main", "Low")
    syntax = "MPEG2MPHL" if high else "MPEG2MPML"
    if stream.profile not in ("Main", "Simple") or stream.chroma != "4:2:0":
        raise _refused(stream, syntax, "Main profile and 4:2:0", _AVC_ADVICE)
    if not high:
        most = 576 if rate == 25 else 480
        if rate not in _RATES_ML or rows > most or columns > 720:
            demand = "at most 720 x 576 at 25, or 720 x 480 at 29.97 or 30 frames/s"
            raise _refused(stream, syntax, demand, _AVC_ADVICE)
    else:
        fits = (rows, columns) in ((720, 1280), (1080, 1920)) and rate in _RATES_HL
        if not fits or stream.level != "High" or (rows == 1080 and rate > 30):
            demand = (
                "High level, and 1920 x 1080 at 25, 29.97 or 30, or 1280 x 720 at 25, 29.97, 30, "
                "50, 59.94 or 60 frames/s"
            )
            raise _refused(stream, syntax, demand, _AVC_ADVICE)
        if stream.display_aspect != Fraction(16, 9):
            raise _refused(
                stream,
                syntax,
                "aspect_ratio_information 0011, which is 16:9",
                "ffmpeg -i FILE -c copy -bsf:v mpeg2_metadata=display_aspect_ratio=16/9 OUT says "
                "so with the same pictures",
            )
    for sound in stream.audio:
        if sound.codec != "MP3" or sound.sampling_frequency not in (None, *_MPEG_RATES):
            raise _refused(
                stream,
                syntax,
                f"MP3 sound at 32, 44.1 or 48 kHz (PS3.5 8.2.5), and this is {_said(sound)}",
                "ffmpeg -i FILE -c:v copy -c:a libmp3lame -ar 48000 OUT leaves the pictures as "
                "they are; -an leaves the sound out",
            )
    return syntax


def _avc(stream: VideoStream, bd_compatible: bool) -> str:
    """PS3.5 8.2.7 to 8.2.9."""
    keyword = "MPEG4HP41"
    if stream.profile == "Stereo High":
        keyword = "MPEG4HP42STEREO"
    elif stream.stereo:
        keyword = "MPEG4HP423D"
    elif _beyond(stream, "4.1"):
        keyword = "MPEG4HP422D"
    if bd_compatible:
        keyword = "MPEG4HP41BD"
    level = "4.1" if "41" in keyword else "4.2"
    profiles = _WITHIN_HIGH if "STEREO" not in keyword else ("Stereo High",)
    within = stream.profile in profiles or "Main" in stream.conforms_to
    if not within or (stream.chroma, stream.bits) != ("4:2:0", 8):
        demand = f"{' or '.join(profiles)} profile, 4:2:0 and 8 bits"
        raise _refused(stream, keyword, demand, _AVC_ADVICE)
    if _beyond(stream, level):
        raise _refused(stream, keyword, f"no more than level {level} allows", _AVC_ADVICE)
    _check_square(stream, keyword, _AVC_ADVICE)
    shape = (stream.rows, stream.columns, stream.frame_rate, stream.interlaced)
    if bd_compatible and (shape not in _BLU_RAY or stream.stereo):
        demand = (
            "1920 x 1080 interlaced at 25 or 29.97, 1920 x 1080 at 23.976 or 24, or 1280 x 720 "
            "at 23.976, 24, 50 or 59.94 frames/s"
        )
        raise _refused(stream, keyword, demand, "MPEG4HP41 may hold it")
    return keyword


def _beyond(stream: VideoStream, level: str) -> bool:
    """Whether a stream says or needs more than a level of H.264 (table A-1)."""
    if stream.level not in _AVC_LEVELS:
        return True
    if _AVC_LEVELS.index(stream.level) > _AVC_LEVELS.index(level):
        return True
    rate, frame = _AVC_LIMITS[level]
    across, down = -(-stream.columns // 16), -(-stream.rows // 16)
    assert stream.frame_rate is not None
    return (
        across * down > frame
        or max(across, down) ** 2 > 8 * frame
        or across * down * stream.frame_rate > rate
    )


def _hevc(stream: VideoStream) -> str:
    """PS3.5 8.2.10 and 8.2.11."""
    keyword = "HEVCMP51" if stream.bits == 8 else "HEVCM10P51"
    profile = "Main" if stream.bits == 8 else "Main 10"
    advice = _HEVC_ADVICE if stream.bits == 8 else _HEVC_ADVICE.replace("420p", "420p10")
    fits = stream.bits in (8, 10) and stream.chroma == "4:2:0"
    if not fits or profile not in (stream.profile, *stream.conforms_to):
        raise _refused(stream, keyword, f"{profile} profile, 4:2:0", advice)
    level = tuple(int(part) for part in f"{stream.level}.0".split(".")[:2])
    samples = stream.rows * stream.columns
    assert stream.frame_rate is not None
    if (
        level > _HEVC_MOST_LEVEL
        or stream.tier != "Main"
        or samples > _HEVC_PICTURE
        or max(stream.rows, stream.columns) ** 2 > 8 * _HEVC_PICTURE
        or samples * stream.frame_rate > _HEVC_SECOND
    ):
        raise _refused(stream, keyword, "Main tier and no more than level 5.1 allows", advice)
    _check_square(stream, keyword, advice)
    return keyword


def _check_square(stream: VideoStream, keyword: str, advice: str) -> None:
    if stream.pixel_aspect not in (None, Fraction(1)):
        demand = f"square pixels, and these are {stream.pixel_aspect} as wide as high"
        raise _refused(stream, keyword, demand, advice)


def _check_sound(stream: VideoStream, sound: AudioStream, keyword: str) -> None:
    """PS3.5 8.2.12."""
    containers, rates, channels = _AUDIO.get(sound.codec, ((), (), ()))
    container = "MP4" if stream.container == "MOV" else stream.container  # which it becomes
    if (
        container in containers
        and sound.sampling_frequency in (None, *rates)
        and sound.channels in (None, *channels)
    ):
        return
    raise _refused(
        stream,
        keyword,
        f"AAC of 2 or 5.1 channels at 48 kHz, or another sound of PS3.5 8.2.12, and this is "
        f"{_said(sound)}",
        "ffmpeg -i FILE -c:v copy -c:a aac -ar 48000 -ac 2 out.mp4 leaves the pictures as they "
        "are; -an leaves the sound out",
    )


def _said(sound: AudioStream) -> str:
    return f"{sound.codec}, {sound.sampling_frequency} Hz, {sound.channels} channels"
