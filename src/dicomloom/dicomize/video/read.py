"""`read_video`: what a video file is, by its bytes."""

from __future__ import annotations

from dicomloom.dicomize.video.elementary import CODINGS, Scanner
from dicomloom.dicomize.video.mp4 import has_boxes, read_mp4
from dicomloom.dicomize.video.mpegts import (
    codec_of,
    packet_layout,
    read_program,
    read_transport,
)
from dicomloom.dicomize.video.stream import VideoStream, video_stream
from dicomloom.errors import CorruptError, DicomloomError, UnsupportedError
from dicomloom.frames.sources import FileSource, Source, StrPath

_CHUNK = 1 << 20
_HEAD = 4096
_OTHERS = (
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (0, b"RIFF", "an AVI file"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file"),
    (0, b"FLV", "a Flash video"),
    (0, b"OggS", "an Ogg file"),
    (128, b"DICM", "a DICOM file"),
)


def read_video(path: StrPath) -> VideoStream:
    """Read what a video file is, without decoding its pictures.

    Knows MP4 and QuickTime files (also fragmented), MPEG-2 transport and program streams, and
    elementary streams of MPEG-2, H.264 and HEVC, by their bytes, whatever they are called. Holds
    about 3 MiB at most, whatever the size of the file; of an MP4 file the pictures are not read.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    VideoStream

    Raises
    ------
    UnsupportedError
        The file is something else, or its pictures are coded otherwise.
    TruncatedError, CorruptError, LimitError
        The file ends too early, or breaks the grammar of its format.
    ReadError
        The system would not let it be read.

    Notes
    -----
    ISO/IEC 14496-12, 13818-1, 13818-2, 14496-10 and 23008-2.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "video.m2v")
    >>> sequence = bytes.fromhex("000001b3 7804383311942000 000001b5 144200010000")
    >>> picture = bytes.fromhex("00000100 00080000 000001b5 8fffff8000")
    >>> _ = path.write_bytes(sequence + 3 * picture)
    >>> video = read_video(path)
    >>> video.codec, video.profile, video.level, video.columns, video.rows, video.frames
    ('MPEG2', 'Main', 'High', 1920, 1080, 3)
    """
    source = FileSource(path)
    try:
        return _read(source)
    except DicomloomError as error:
        error.path = error.path or source.path
        raise
    finally:
        source.close()


def _read(source: Source) -> VideoStream:
    head = source.read_at(0, _HEAD)
    if has_boxes(head):
        return read_mp4(source)
    layout = packet_layout(head)
    if layout:
        return read_transport(source, *layout)
    if head[:4] == b"\0\0\1\xba":
        return read_program(source)
    codec = codec_of(head)
    if codec:
        return _read_elementary(source, codec)
    named = [name for at, magic, name in _OTHERS if head[at : at + len(magic)] == magic]
    found = named[0] if named else "nothing that is known as a video" if head else "an empty file"
    raise UnsupportedError(
        f"this is {found}: expected MP4, QuickTime, an MPEG-2 transport or program stream, or an "
        "elementary stream of MPEG-2, H.264 or HEVC; where its pictures are one of these, "
        "ffmpeg -i FILE -c copy out.mp4 packs them anew"
    )


def _read_elementary(source: Source, codec: str) -> VideoStream:
    scanner = Scanner(CODINGS[codec]())
    offset = 0
    while data := source.read_at(offset, _CHUNK):
        scanner.feed(data)
        offset += len(data)
    scanner.feed(b"", final=True)
    pictures = scanner.coding.finish()
    if scanner.coding.frames == 0:
        raise CorruptError("the video has no frames")
    return video_stream(pictures, container="ES", frames=scanner.coding.frames, size=source.size())
