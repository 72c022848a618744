"""Videos that are made less often: two views, other packets, turned, timed unevenly, large."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import tracemalloc
from fractions import Fraction

import pytest

from clips import SMALL, X264, ffmpeg
from dicomloom.dicomize.video.attributes import pixel_attributes
from dicomloom.dicomize.video.read import read_video
from dicomloom.dicomize.video.sound import aac_configuration
from dicomloom.dicomize.video.stream import AudioStream
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.errors import UnsupportedError
from support import peer

NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    path = tmp_path_factory.mktemp("transport") / "plain.ts"
    return ffmpeg(SMALL, "25", 8, f"{X264} -profile:v high -preset veryfast", path)


def packed(source, target, *options):
    command = [peer("ffmpeg"), "-nostdin", "-v", "error", "-i", str(source), *options]
    subprocess.run([*command, "-c", "copy", str(target)], check=True, timeout=60)
    return target


def probed(path, entries):
    command = [peer("ffprobe"), "-v", "error", "-select_streams", "v:0", "-show_entries", entries]
    done = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, check=True)
    return json.loads(done.stdout)["streams"][0]


def test_multiview(tmp_path, transport):
    """The SEI that x264 signs with becomes a subset SPS (NAL unit 15) of profile 128."""
    data = transport.read_bytes()
    assert data.count(b"\0\0\1\x06\x05") == 1
    path = tmp_path / "a.ts"
    path.write_bytes(data.replace(b"\0\0\1\x06\x05", b"\0\0\1\x6f\x80"))
    stream = read_video(path)
    assert (stream.profile, stream.stereo, stream.frames) == ("Stereo High", "MVC", 8)
    assert transfer_syntax_of(stream) == "MPEG4HP42STEREO"
    assert pixel_attributes(stream)["StereoPairsPresent"] == "YES"


@pytest.mark.parametrize(
    ("packing", "name"), [(3, "side by side"), (4, "top and bottom"), (5, "frame sequential")]
)
def test_frame_packing(tmp_path, packing, name):
    options = X264.replace("bframes=2", f"bframes=0:frame-packing={packing}")
    path = ffmpeg(SMALL, "25", 3, options, tmp_path / "a.mp4")
    for one in (path, packed(path, tmp_path / "a.ts")):
        stream = read_video(one)
        assert stream.stereo == name
        assert transfer_syntax_of(stream) == "MPEG4HP423D"


@pytest.mark.parametrize(("front", "behind"), [(4, 0), (0, 16)])
def test_packets_with_something_added(tmp_path, transport, front, behind):
    data = transport.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(bytes(front) + one + bytes(behind) for one in packets))
    stream, plain = read_video(path), read_video(transport)
    assert stream.packet_size == 188 + front + behind
    assert (stream.frames, stream.profile, stream.duration) == (
        plain.frames, plain.profile, plain.duration,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="packets of 188 bytes"):
        transfer_syntax_of(stream)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_rotation_and_time_of_creation(tmp_path, transport, turned):
    path = packed(
        transport, tmp_path / "a.mp4", "-metadata:s:v", f"rotate={turned}",
        "-metadata", "creation_time=2020-01-02T03:04:05Z",
    )  # fmt: skip
    stream = read_video(path)
    theirs = probed(path, "stream_side_data=rotation")["side_data_list"][0]["rotation"]
    assert stream.rotation == -theirs % 360 != 0  # theirs is counterclockwise
    when = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert stream.creation_time == when
    assert (stream.columns, stream.rows) == (128, 96)


def test_variable_frame_rate(tmp_path):
    uneven = "-vf setpts='if(lt(N,4),N,N*2)/25/TB' -vsync vfr"
    path = ffmpeg(SMALL, "25", 8, f"{X264} {uneven}", tmp_path / "a.mp4")
    stream = read_video(path)
    theirs = probed(path, "stream=avg_frame_rate,duration")
    assert not stream.constant_rate
    assert stream.frame_rate == Fraction(theirs["avg_frame_rate"])
    assert float(stream.duration) == pytest.approx(float(theirs["duration"]), abs=0.001)
    assert float(pixel_attributes(stream)["FrameTime"]) == pytest.approx(
        1000 * float(stream.duration) / stream.frames
    )


@pytest.mark.parametrize("kind", ["transport stream", "elementary stream"])
def test_large_streams_in_constant_memory(tmp_path, transport, kind):
    path = tmp_path / "large"
    size = 64 << 20
    if kind == "transport stream":
        data = transport.read_bytes()
        with path.open("wb") as file:
            file.write(data)
            for _ in range(size // (188 << 10)):
                file.write(NULL_PACKET * 1024)
    else:
        packed(transport, tmp_path / "a.h264")
        with path.open("wb") as file:
            file.write((tmp_path / "a.h264").read_bytes())
            file.truncate(size)  # zeros behind a NAL unit are permitted (14496-10 B.1)
    tracemalloc.start()
    try:
        stream = read_video(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stream.frames == 8
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # ISO/IEC 14496-3 1.6.2.1: five bits of type, four of rate, four of channels.
        ("1190", AudioStream("AAC", 48000, 2)),
        ("1208", AudioStream("AAC", 44100, 1)),
        ("11b0", AudioStream("AAC", 48000, 6)),
        ("11b8", AudioStream("AAC", 48000, 8)),
        ("2b098800", AudioStream("AAC", 48000, 1)),  # SBR: 24 kHz coded, 48 kHz played
        ("eb098800", AudioStream("AAC", 48000, 2)),  # parametric stereo
        ("17801f4010", AudioStream("AAC", 16000, 2)),  # a rate outside the table
        ("1180", AudioStream("AAC", 48000, None)),  # channels in a program configuration
        ("11", None),
        ("", None),
    ],
)
def test_channels_of_aac(data, expected):
    assert aac_configuration(bytes.fromhex(data)) == expected


@pytest.mark.parametrize(
    ("sounds", "modes"),
    [
        ((2,), ["STEREO"]),
        ((1, 2), ["MONO", "STEREO"]),
        ((6,), []),
        ((None,), []),
        ((2, 2, 2), []),
        ((), None),
    ],
)
def test_what_is_said_of_sound(transport, sounds, modes):
    audio = tuple(AudioStream("AAC", 48000, channels) for channels in sounds)
    attributes = pixel_attributes(dataclasses.replace(read_video(transport), audio=audio))
    found = attributes.get("MultiplexedAudioChannelsDescriptionCodeSequence")
    assert (found is None) == (modes is None)
    assert [item.ChannelMode for item in found or []] == (modes or [])
    assert [item.ChannelIdentificationCode for item in found or []] == list(
        range(1, 1 + len(modes or []))
    )
    assert all(item.ChannelSourceSequence[0].CodeMeaning == "Unknown" for item in found or [])
