"""MP4 and QuickTime files (ISO/IEC 14496-12, 14496-14, 14496-15)."""

from __future__ import annotations

import dataclasses
import datetime
import struct
from fractions import Fraction

from dicomloom.dicomize.video.boxes import Box, BoxFile, named, parts
from dicomloom.dicomize.video.changes import Track, changes
from dicomloom.dicomize.video.descriptors import read_descriptor
from dicomloom.dicomize.video.elementary import CODINGS, Coding, Scanner
from dicomloom.dicomize.video.h264 import H264
from dicomloom.dicomize.video.hevc import Hevc
from dicomloom.dicomize.video.sound import aac_configuration
from dicomloom.dicomize.video.stream import AudioStream, VideoStream, nominal_rate, video_stream
from dicomloom.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from dicomloom.frames.sources import Source

_TABLES = (b"stsz", b"stz2", b"stsc", b"stco", b"co64")
_MOST_TRACKS = 64
_SAMPLE = 1 << 18  # of a first sample, for what stands in front of its slices
_EPOCH = datetime.datetime(1904, 1, 1, tzinfo=datetime.UTC)
_CODECS = {b"avc1": "H264", b"avc3": "H264", b"hvc1": "HEVC", b"hev1": "HEVC"}
_OBJECT_TYPES = {
    0x40: "AAC", 0x66: "AAC", 0x67: "AAC", 0x68: "AAC", 0x69: "MP3", 0x6B: "MP3", 0xA5: "AC-3",
}  # fmt: skip
_SOUND = {b".mp3": "MP3", b"ac-3": "AC-3", b"ec-3": "E-AC-3", b"Opus": "Opus", b"alac": "ALAC"}
_PCM = (b"sowt", b"twos", b"lpcm", b"raw ", b"ipcm", b"in24")
_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"pnot", b"uuid")
_BRANDS = frozenset([b"isom", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash", b"hvc1"])


@dataclasses.dataclass
class _Track:
    """What a track box says."""

    box: Box
    tables: dict[bytes, Box] = dataclasses.field(default_factory=dict)
    fragmented: bool = False
    number: int = 0
    handler: bytes = b""
    timescale: int = 0
    duration: int = 0
    rotation: int = 0
    entry: bytes = b""
    samples: int = 0
    ticks: int = 0
    deltas: tuple[int, int] = (0, 0)  # the least and the greatest
    first: tuple[int, int] | None = None  # offset and size of the first sample
    default: int = 0  # ticks of a sample of a fragment
    pixel_aspect: Fraction | None = None


def has_boxes(head: bytes) -> bool:
    """Whether a file that begins so is of boxes."""
    return head[4:8] in _FIRST


def read_mp4(source: Source) -> VideoStream:
    """Read the boxes of a file, but for the coded pictures themselves."""
    file = BoxFile(source)
    tracks: list[_Track] = []
    created: datetime.datetime | None = None
    container = "MOV"
    try:
        for box in file.boxes(0, file.size):
            if box.kind == b"ftyp":
                container = _container(file.content(box))
            elif box.kind == b"moov":
                if tracks:
                    raise CorruptError("there are two movie boxes", offset=box.start)
                created = _read_movie(file, box, tracks)
            elif box.kind == b"moof":
                _read_fragment(file, box, tracks)
    except struct.error as error:
        raise CorruptError(f"a box is too short for its fields: {error}") from error
    if not tracks:
        raise TruncatedError("there is no movie box: the recording was not finished, or cut")
    try:
        return _video(file, tracks, container, created)
    except struct.error as error:
        raise CorruptError(f"a sample entry is too short for its fields: {error}") from error


def _container(brands: bytes) -> str:
    names = {brands[:4], *(brands[i : i + 4] for i in range(8, len(brands) - 3, 4))}
    iso = any(name in _BRANDS or name[:3] == b"iso" for name in names)
    return "MOV" if b"qt  " in names and not iso else "MP4"


def _read_movie(file: BoxFile, movie: Box, tracks: list[_Track]) -> datetime.datetime | None:
    created = None
    defaults: dict[int, int] = {}
    for box in file.boxes(movie.start, movie.end):
        if box.kind == b"mvhd":
            data = file.content(box)
            seconds = struct.unpack_from(">Q" if data[:1] == b"\1" else ">L", data, 4)[0]
            # From 1904, and no later than a calendar goes.
            created = _EPOCH + datetime.timedelta(0, seconds) if 0 < seconds < 2**34 else None
        elif box.kind == b"trak":
            if len(tracks) == _MOST_TRACKS:
                raise LimitError(f"more than {_MOST_TRACKS} tracks", offset=box.start)
            tracks.append(_read_track(file, box))
        elif box.kind == b"mvex":
            for inner in file.boxes(box.start, box.end):
                if inner.kind == b"trex":
                    number, _, ticks = struct.unpack_from(">3L", file.content(inner), 4)
                    defaults[number] = ticks
    for track in tracks:
        track.default = defaults.get(track.number, 0)
    if not tracks:
        raise CorruptError("the movie box has no track", offset=movie.start)
    return created


def _read_track(file: BoxFile, box: Box) -> _Track:
    track = _Track(box)
    # Containers on the way down are opened in place: the nesting that is known is the deepest.
    open_boxes = [box]
    while open_boxes:
        outer = open_boxes.pop()
        for inner in file.boxes(outer.start, outer.end):
            kind = inner.kind
            if kind in (b"mdia", b"minf", b"stbl") and len(open_boxes) < 8:
                open_boxes.append(inner)
            elif kind == b"tkhd":
                _read_track_header(file.content(inner), track)
            elif kind == b"mdhd":
                data = file.content(inner)
                form = ">LQ" if data[:1] == b"\1" else ">LL"
                at = 20 if data[:1] == b"\1" else 12
                track.timescale, track.duration = struct.unpack_from(form, data, at)
            elif kind == b"hdlr" and outer.kind == b"mdia":
                track.handler = file.content(inner)[8:12]
            elif kind == b"stsd":
                _read_description(file.content(inner), track)
            elif kind == b"stts":
                _read_times(file, inner, track)
            elif kind in _TABLES:
                track.tables[kind] = inner
    _read_first(file, track)
    return track


def _read_first(file: BoxFile, track: _Track) -> None:
    """Read how many samples there are, and where the first of them lies."""
    size = chunk = 0
    for kind, box in track.tables.items():
        if kind in (b"stsz", b"stz2"):
            size = _read_sizes(file, box, track)
        elif kind in (b"stco", b"co64"):
            width = 4 if kind == b"stco" else 8
            count = struct.unpack_from(">L", file.content(box, 8), 4)[0]
            if count:
                chunk = int.from_bytes(next(file.entries(box, 8, width, count)), "big")
    if track.samples and size:
        track.first = (chunk, size)


def _read_track_header(data: bytes, track: _Track) -> None:
    long = data[:1] == b"\1"
    track.number = struct.unpack_from(">L", data, 20 if long else 12)[0]
    across, down = struct.unpack_from(">2l", data, 52 if long else 40)
    turn = {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}
    sign = ((across > 0) - (across < 0), (down > 0) - (down < 0))
    track.rotation = turn.get(sign, 0)


def _read_times(file: BoxFile, box: Box, track: _Track) -> None:
    count = struct.unpack_from(">L", file.content(box, 8), 4)[0]
    samples = least = most = 0
    for i, data in enumerate(file.entries(box, 8, 8, count)):
        repeated, delta = struct.unpack(">LL", data)
        # The last sample is often given what is left of the movie's duration.
        if i == 0 or repeated > 1 or i < count - 1:
            least = min(least, delta) if samples else delta
            most = max(most, delta)
        samples += repeated
        track.ticks += repeated * delta
    track.deltas = (least, most)


def _read_sizes(file: BoxFile, box: Box, track: _Track) -> int:
    """Read how many samples there are; return the size of the first."""
    each, count = map(int, struct.unpack_from(">LL", file.content(box, 12), 4))
    track.samples = count
    if box.kind == b"stz2":
        width = each & 255
        if width not in (4, 8, 16) or count * width > 8 * (box.end - box.start - 12):
            raise CorruptError(f"box {named(box.kind)} claims {count} samples", offset=box.start)
        return 1 << int(width)  # at most
    if each:
        if each * count > file.size:
            raise CorruptError(
                f"{count} samples of {each} bytes do not fit into the file", offset=box.start
            )
        return each
    return int.from_bytes(next(file.entries(box, 12, 4, count), b""), "big")


def _read_description(data: bytes, track: _Track) -> None:
    count, size = struct.unpack_from(">LL", data, 4)
    if not 16 <= size <= len(data) - 8:
        raise CorruptError(f"a sample entry claims {size} bytes")
    if count > 1 and track.handler != b"soun":
        other = data[8 + size + 4 : 8 + size + 8]
        if other and other != data[12:16]:
            raise UnsupportedError("the track changes its codec on the way; encode it anew")
    track.entry = data[8 : 8 + size]


def _read_fragment(file: BoxFile, fragment: Box, tracks: list[_Track]) -> None:
    by_number = {track.number: track for track in tracks}
    for box in file.boxes(fragment.start, fragment.end):
        if box.kind != b"traf":
            continue
        track: _Track | None = None
        ticks = 0
        base = fragment.start - 8
        for inner in file.boxes(box.start, box.end):
            if inner.kind == b"tfhd":
                data = file.content(inner)
                flags, number = struct.unpack_from(">LL", data)
                track = by_number.get(number)
                at, ticks = 8, track.default if track else 0
                if flags & 1:
                    base = struct.unpack_from(">Q", data, at)[0]
                at += 8 * (flags & 1) + 2 * (flags & 2)
                if flags & 8:
                    ticks = struct.unpack_from(">L", data, at)[0]
            elif inner.kind == b"trun" and track:
                _read_run(file, inner, track, ticks, base)


def _read_run(file: BoxFile, box: Box, track: _Track, ticks: int, base: int) -> None:
    head = file.content(box, 16)
    flags, count = struct.unpack_from(">LL", head)
    at = 8 + (flags & 1) * 4 + (flags >> 2 & 1) * 4
    with_ticks, with_size = flags >> 8 & 1, flags >> 9 & 1
    width = 4 * (flags >> 8 & 15).bit_count()
    track.fragmented = True
    if track.samples + count > file.size:
        raise CorruptError("the fragments claim more samples than bytes", offset=box.start)
    sizes: list[int] = []
    before = track.samples
    if width:
        for entry in file.entries(box, at, width, count):
            delta = int.from_bytes(entry[:4], "big") if with_ticks else ticks
            _one_more(track, 1, delta)
            if with_size and not sizes:
                sizes.append(int.from_bytes(entry[4 * with_ticks :][:4], "big"))
    elif count:
        _one_more(track, count, ticks)
    if before == 0 and sizes and flags & 1:
        offset = base + struct.unpack_from(">l", head, 8)[0]
        track.first = (max(0, offset), sizes[0])


def _one_more(track: _Track, count: int, delta: int) -> None:
    least, most = track.deltas
    track.deltas = (min(least, delta) if track.samples else delta, max(most, delta))
    track.samples += count
    track.ticks += count * delta


def _video(
    file: BoxFile, tracks: list[_Track], container: str, created: datetime.datetime | None
) -> VideoStream:
    videos = [track for track in tracks if track.handler == b"vide" and track.entry]
    if not videos:
        raise UnsupportedError("there is no video track")
    known = [track for track in videos if _codec(track.entry)]
    if not known:
        raise UnsupportedError(
            f"the video is coded as {videos[0].entry[4:8]!r}: DICOM has transfer syntaxes for "
            "MPEG-2, H.264 and HEVC; encode it anew, as H.264 High profile at level 4.1 for example"
        )
    track = known[0]
    codec = _codec(track.entry)
    assert codec is not None
    coding = CODINGS[codec]()
    _read_configuration(coding, track)
    _read_first_sample(file, coding, track)
    pictures = coding.finish()
    if track.samples == 0:
        raise CorruptError("the video track has no frames")
    rate, constant, duration = None, True, None
    if track.timescale and track.ticks:
        duration = Fraction(track.ticks, track.timescale)
        least, most = track.deltas
        constant = most - least <= 1
        rate = track.samples / duration
        if constant:
            rate = Fraction(track.timescale, most) if least == most else rate
            rate = nominal_rate(rate)
    pictures = dataclasses.replace(
        pictures,
        frame_rate=rate or pictures.frame_rate,
        pixel_aspect=pictures.pixel_aspect or track.pixel_aspect,
    )
    kept = [track.handler in (b"vide", b"soun") for track in tracks]
    changed = changes(
        file,
        [
            Track(one.box, one.tables, stays, one.fragmented)
            for one, stays in zip(tracks, kept, strict=True)
        ],
        # Of MPEG-2 every container is permitted (PS3.5 8.2.5).
        quicktime=container == "MOV" and codec != "MPEG2",
    )
    return video_stream(
        pictures,
        container=container,
        changed=changed,
        frames=track.samples,
        size=file.size,
        duration=duration,
        constant_rate=constant,
        rotation=track.rotation,
        creation_time=created,
        audio=tuple(_sound(one.entry) for one in tracks if one.handler == b"soun" and one.entry),
    )


def _codec(entry: bytes) -> str | None:
    kind = entry[4:8]
    if kind == b"mp4v":
        found = read_descriptor(entry, 86).object_type
        return "MPEG2" if found is not None and 0x60 <= found <= 0x65 else None
    if kind in (b"m2v1", b"mp2v") or kind[:3] in (b"hdv", b"xdv", b"mx5"):
        return "MPEG2"
    return _CODECS.get(kind)


def _read_configuration(coding: Coding, track: _Track) -> None:
    """Hand over the parameter sets of avcC or hvcC (ISO/IEC 14496-15 5.3.3, 8.3.3)."""
    for kind, data in parts(track.entry, 86):
        if kind == b"avcC" and isinstance(coding, H264) and len(data) > 6:
            at = 5
            for mask in (31, 255):
                count, at = (data[at] & mask if at < len(data) else 0), at + 1
                at = _hand_over(coding, data, at, count)
        elif kind == b"hvcC" and isinstance(coding, Hevc) and len(data) > 22:
            at = 23
            for _ in range(data[22]):
                if at + 3 > len(data):
                    break
                at = _hand_over(coding, data, at + 3, struct.unpack_from(">H", data, at + 1)[0])
        elif kind == b"pasp" and len(data) >= 8:
            across, down = struct.unpack_from(">LL", data)
            track.pixel_aspect = Fraction(across, down) if across and down else None
        elif kind == b"mvcC" and isinstance(coding, H264):
            coding.stereo = "MVC"


def _hand_over(coding: Coding, data: bytes, at: int, count: int) -> int:
    for _ in range(count):
        if at + 2 > len(data):
            break
        size = struct.unpack_from(">H", data, at)[0]
        if size and at + 2 + size <= len(data):
            coding.unit(data[at + 2 : at + 2 + size])
        at += 2 + size
    return at


def _read_first_sample(file: BoxFile, coding: Coding, track: _Track) -> None:
    """Look for parameter sets and SEI in front of the first slice."""
    if track.first is None:
        return
    offset, size = track.first
    data = file.source.read_at(offset, min(size, _SAMPLE)) if offset < file.size else b""
    if coding.codec == "MPEG2":
        Scanner(coding).feed(data, final=True)
        return
    at = 0
    width = 4
    for kind, found in parts(track.entry, 86):
        if kind == b"avcC" and len(found) > 4:
            width = 1 + (found[4] & 3)
        elif kind == b"hvcC" and len(found) > 21:
            width = 1 + (found[21] & 3)
    while at + width < len(data):
        length = int.from_bytes(data[at : at + width], "big")
        at += width
        if length:
            coding.unit(data[at : at + min(length, coding.needed)])
        at += length


def _sound(entry: bytes) -> AudioStream:
    kind = entry[4:8]
    version = struct.unpack_from(">H", entry, 16)[0]
    channels = struct.unpack_from(">H", entry, 24)[0]
    rate = struct.unpack_from(">L", entry, 32)[0] >> 16
    # QuickTime's version 1 of the entry is 16 bytes longer, version 2 is 36.
    at = 36 + {1: 16, 2: 36}.get(version, 0)
    if kind == b"mp4a":
        found, specific = read_descriptor(entry, at)
        name = _OBJECT_TYPES.get(found or 0, f"object type {found}")
        if name == "AAC" and (coded := aac_configuration(specific)):
            return coded
        channels = 0  # of this entry always 2 (ISO/IEC 14496-14 5.6), whatever is coded
    elif kind in _PCM:
        name = "LPCM"
    else:
        name = _SOUND.get(kind, kind.decode("latin-1"))
    return AudioStream(name, rate or None, channels or None)
