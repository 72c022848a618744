"""MPEG-2 transport streams and program streams (ISO/IEC 13818-1)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from dicomloom.dicomize.video.elementary import CODINGS, Scanner
from dicomloom.dicomize.video.sound import sound_of
from dicomloom.dicomize.video.stream import AudioStream, VideoStream, nominal_rate, video_stream
from dicomloom.errors import CorruptError, UnsupportedError
from dicomloom.frames.sources import Source

_CHUNK = 1 << 20
_WRAP = 1 << 33  # of time stamps in units of 1/90,000 s
# ISO/IEC 13818-1 table 2-34, and what ATSC and Blu-ray added.
_VIDEO = {0x01: "MPEG2", 0x02: "MPEG2", 0x1B: "H264", 0x24: "HEVC"}
_AUDIO = {
    0x03: "MPEG", 0x04: "MPEG", 0x0F: "AAC", 0x11: "AAC", 0x80: "LPCM", 0x81: "AC-3", 0x83: "LPCM",
    0x84: "E-AC-3", 0x87: "E-AC-3",
}  # fmt: skip
_MVC = 0x20
_MOST_SECTION = 1024


class _Clock:
    """The first and last time at which a picture is shown."""

    def __init__(self) -> None:
        self.least: int | None = None
        self.most = 0
        self._last = 0

    def add(self, stamp: int) -> None:
        if self.least is None:
            self.least = self.most = self._last = stamp
            return
        # Time stamps wrap about once a day, and pictures come out of order.
        stamp += round((self._last - stamp) / _WRAP) * _WRAP
        self._last = stamp
        self.least, self.most = min(self.least, stamp), max(self.most, stamp)

    def span(self) -> Fraction | None:
        return Fraction(self.most - self.least, 90000) if self.least is not None else None


class _Demultiplexer:
    """Takes the payload of PES packets apart; what the two kinds of streams share."""

    def __init__(self) -> None:
        self.scanner: Scanner | None = None
        self.clock = _Clock()
        self.sounds: dict[int, AudioStream] = {}
        self.mvc = False

    def result(self, container: str, size: int, packet_size: int | None = None) -> VideoStream:
        if self.scanner is None:
            raise UnsupportedError(
                f"the {container} stream has no video that is MPEG-2, H.264 or HEVC"
            )
        self.scanner.feed(b"", final=True)
        coding = self.scanner.coding
        pictures = coding.finish()
        if self.mvc:
            profile = "Stereo High" if pictures.profile == "High" else pictures.profile
            pictures = dataclasses.replace(pictures, stereo="MVC", profile=profile)
        if coding.frames == 0:
            raise CorruptError("the video has no frames")
        span = self.clock.span()
        rate = pictures.frame_rate
        if rate is None and span and coding.frames > 1:
            rate = nominal_rate((coding.frames - 1) / span)
            pictures = dataclasses.replace(pictures, frame_rate=rate)
        duration = span + 1 / rate if span and rate else None
        return video_stream(
            pictures,
            container=container,
            frames=coding.frames,
            size=size,
            duration=duration,
            packet_size=packet_size,
            audio=tuple(self.sounds[key] for key in sorted(self.sounds)),
        )


def _stamp(data: bytes, at: int) -> int:
    return (
        (data[at] >> 1 & 7) << 30
        | data[at + 1] << 22
        | (data[at + 2] >> 1) << 15
        | data[at + 3] << 7
        | data[at + 4] >> 1
    )


def _pes_header(data: bytes) -> tuple[int, int | None] | None:
    """Return the size of the header of a PES packet and its PTS; None where it is cut.

    Knows the header of ISO/IEC 13818-1 2.4.3.6 and that of MPEG-1.
    """
    if len(data) < 9:
        return None
    if data[6] >> 6 == 2:
        size = 9 + data[8]
        stamped = data[7] & 0x80 and data[8] >= 5
        if len(data) < size:
            return None
        return size, _stamp(data, 9) if stamped else None
    at = 6
    while at < len(data) - 1 and data[at] == 0xFF and at < 22:
        at += 1
    if data[at] >> 6 == 1:
        at += 2
    if at + 10 > len(data):
        return None
    if data[at] >> 4 in (2, 3):
        return at + (5 if data[at] >> 4 == 2 else 10), _stamp(data, at)
    return at + 1, None


def packet_layout(head: bytes) -> tuple[int, int] | None:
    """Return packet size and offset of the first packet of a transport stream; None for others."""
    for size, first in ((188, 0), (192, 4), (204, 0)):
        syncs = head[first : first + size * 5 : size]
        if len(syncs) >= 2 and syncs == b"G" * len(syncs):
            return size, first
    return None


class _Transport(_Demultiplexer):
    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[int, bytes] = {0: b""}  # sections that are being gathered, by PID
        self.video = -1
        self.sound_kinds: dict[int, str] = {}
        self._pending: bytes | None = None  # the beginning of a PES header
        self._pieces: list[bytes] = []

    def packets(self, data: bytes, size: int, first: int) -> None:
        """Take whole packets."""
        pieces, tables = self._pieces, self.tables
        for at in range(first, len(data) - 187, size):
            if data[at] != 0x47:
                raise CorruptError(f"a transport packet begins with {data[at]:#04x}, not 0x47")
            number = (data[at + 1] & 31) << 8 | data[at + 2]
            if number != self.video and number not in tables and number not in self.sound_kinds:
                continue
            control = data[at + 3]
            if not control & 0x10:
                continue
            if control & 0xC0 and number == self.video:
                raise UnsupportedError("the transport stream is scrambled")
            start = at + 4
            if control & 0x20:
                start += 1 + data[start]
            end = at + 188
            if start >= end:
                continue
            begins = bool(data[at + 1] & 0x40)
            if number == self.video and not begins and self._pending is None:
                pieces.append(data[start:end])
            else:
                self._payload(number, data[start:end], begins)
        if pieces and self.scanner:
            self.scanner.feed(b"".join(pieces))
        pieces.clear()

    def _payload(self, number: int, payload: bytes, begins: bool) -> None:
        if number == self.video:
            self._begin(payload, begins)
        elif number in self.tables:
            self._table(number, payload, begins)
        elif begins:
            self._sound(number, payload)

    def _begin(self, payload: bytes, begins: bool) -> None:
        payload = payload if begins else (self._pending or b"") + payload
        header = _pes_header(payload)
        if header is None and len(payload) < 512:
            self._pending = payload
            return
        self._pending = None
        size, stamp = header or (0, None)
        if stamp is not None:
            self.clock.add(stamp)
        self._pieces.append(payload[size:])

    def _sound(self, number: int, payload: bytes) -> None:
        header = _pes_header(payload)
        if header:
            found = sound_of(self.sound_kinds.pop(number), payload[header[0] :])
            self.sounds[number] = found

    def _table(self, number: int, payload: bytes, begins: bool) -> None:
        if begins:
            section = payload[1 + payload[0] :]
        elif self.tables[number]:
            section = self.tables[number] + payload
        else:
            return
        if len(section) < 3:
            return
        length = 3 + ((section[1] & 15) << 8 | section[2])
        if len(section) < length:
            self.tables[number] = section if length <= _MOST_SECTION else b""
            return
        self.tables[number] = b""
        section = section[: length - 4]
        if not section:
            return  # shorter than its check sum
        if section[0] == 0 and number == 0:
            for at in range(8, len(section) - 3, 4):
                if section[at] or section[at + 1]:
                    program = (section[at + 2] & 31) << 8 | section[at + 3]
                    self.tables.setdefault(program, b"")
        elif section[0] == 2 and number != 0 and self.video < 0:
            self._program(section)

    def _program(self, section: bytes) -> None:
        if len(section) < 12:
            return
        at = 12 + ((section[10] & 15) << 8 | section[11])
        while at + 5 <= len(section):
            kind = section[at]
            number = (section[at + 1] & 31) << 8 | section[at + 2]
            length = (section[at + 3] & 15) << 8 | section[at + 4]
            descriptors = section[at + 5 : at + 5 + length]
            if kind in _VIDEO and self.video < 0:
                self.video = number
                self.scanner = Scanner(CODINGS[_VIDEO[kind]]())
            elif kind == _MVC:
                self.mvc = True
            elif kind in _AUDIO:
                self._sound_found(number, _AUDIO[kind])
            elif kind == 6:
                for tag, name in ((0x6A, "AC-3"), (0x7A, "E-AC-3")):
                    if _has(descriptors, tag) or b"AC-3" in descriptors:
                        self._sound_found(number, name)
                        break
                else:
                    if b"Opus" in descriptors:
                        self._sound_found(number, "Opus")
            at += 5 + length

    def _sound_found(self, number: int, name: str) -> None:
        self.sound_kinds[number] = name
        self.sounds[number] = AudioStream("MPEG-1 Layer II" if name == "MPEG" else name)


def _has(descriptors: bytes, tag: int) -> bool:
    at = 0
    while at + 2 <= len(descriptors):
        if descriptors[at] == tag:
            return True
        at += 2 + descriptors[at + 1]
    return False


def read_transport(source: Source, size: int, first: int) -> VideoStream:
    """Read a transport stream whose packets have `size` bytes, a chunk at a time."""
    found = _Transport()
    step = _CHUNK // size * size
    offset, whole = 0, source.size()
    while offset < whole:
        data = source.read_at(offset, step)
        if not data:
            break
        found.packets(data, size, first)
        offset += len(data)
    return found.result("MPEG-TS", whole, size)


def read_program(source: Source) -> VideoStream:
    """Read a program stream, a chunk at a time."""
    found = _Demultiplexer()
    offset, whole = 0, source.size()
    data, at = b"", 0
    pieces: list[bytes] = []
    held = 0
    while True:
        if len(data) - at < 1 << 17 and offset < whole:
            more = source.read_at(offset, _CHUNK)
            offset += len(more)
            whole = whole if more else offset
            data, at = data[at:] + more, 0
        at = data.find(b"\0\0\1", at)
        if at < 0 or at + 6 > len(data):
            if offset >= whole:
                break
            data, at = data[-6:], 0
            continue
        kind = data[at + 3]
        if kind < 0xBB:  # a pack header, or no code of this layer
            at += 4
            continue
        end = at + 6 + (data[at + 4] << 8 | data[at + 5])
        packet = data[at:end]
        at = min(end, len(data))
        if kind >> 4 == 0xE:
            piece = _program_video(found, packet)
            if piece:
                pieces.append(piece)
                held += len(piece)
        elif (kind >> 5 == 6 or kind == 0xBD) and kind not in found.sounds:
            _program_sound(found, kind, packet)
        if held >= _CHUNK and found.scanner:
            found.scanner.feed(b"".join(pieces))
            pieces.clear()
            held = 0
    if found.scanner:
        found.scanner.feed(b"".join(pieces))
    return found.result("MPEG-PS", source.size())


def _program_video(found: _Demultiplexer, packet: bytes) -> bytes:
    header = _pes_header(packet)
    if header is None:
        return b""
    size, stamp = header
    if stamp is not None:
        found.clock.add(stamp)
    payload = packet[size:]
    if found.scanner is None:
        # A program stream need not say what it holds: its first bytes do.
        found.scanner = Scanner(CODINGS[codec_of(payload) or "MPEG2"]())
    return payload


def _program_sound(found: _Demultiplexer, kind: int, packet: bytes) -> None:
    header = _pes_header(packet)
    if header is None or header[0] >= len(packet):
        return
    payload = packet[header[0] :]
    if kind != 0xBD:
        found.sounds[kind] = sound_of("MPEG", payload)
    elif payload[0] >> 3 == 0x80 >> 3:
        found.sounds[kind] = sound_of("AC-3", payload[4:])
    elif payload[0] >> 5 == 0xA0 >> 5:
        found.sounds[kind] = AudioStream("LPCM")


def codec_of(data: bytes) -> str | None:
    """Tell the codec of an elementary stream by its first start code; None for what is none."""
    at = data.find(b"\0\0\1")
    if at < 0 or at + 5 > len(data) or data[:at].strip(b"\0"):
        return None
    first, second = data[at + 3], data[at + 4]
    if first == 0xB3:
        return "MPEG2"
    if first >> 1 in (32, 33, 35) and not first & 1 and second >> 3 == 0 and second & 7:
        return "HEVC"
    if first & 0x80 == 0 and first & 31 in (6, 7, 9):
        return "H264"
    return None
