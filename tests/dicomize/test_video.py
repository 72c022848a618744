"""Video: what ffmpeg makes, read as ffprobe reads it, and written as others read it."""

from __future__ import annotations

import contextlib
import itertools
import json
import struct
import subprocess
import tracemalloc
from fractions import Fraction

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_fragments

from clips import HD, SMALL, X264, X265, ffmpeg
from dicomloom.dicomize.video.attributes import pixel_attributes
from dicomloom.dicomize.video.read import read_video
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.dicomize.video.write import write_video
from dicomloom.errors import (
    CorruptError,
    DicomloomError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from support import peer

_M2V = "-c:v mpeg2video -bf 2 -b:v 4M"
_PROBE = "-v error -count_frames -select_streams v:0 -show_streams -of json"
_DAR = "-bsf:v mpeg2_metadata=display_aspect_ratio=16/9"
# name: size, rate, frames, options, transfer syntax (None: refused)
CLIPS = {
    "main.mp4": (SMALL, "25", 12, f"{X264} -profile:v main -preset veryfast", "MPEG4HP41"),
    "base.mp4": (SMALL, "30", 5, f"{X264} -profile:v baseline", "MPEG4HP41"),
    "high.mp4": (
        HD, "30000/1001", 5, f"{X264} -preset veryfast -profile:v high -level 4.0", "MPEG4HP41",
    ),
    "fast.mp4": (HD, "60", 4, f"{X264} -level 4.2", "MPEG4HP422D"),
    "frag.mp4": (SMALL, "25", 12, f"{X264} -movflags frag_keyframe+empty_moov -g 4", "MPEG4HP41"),
    "start.mp4": (SMALL, "25", 6, f"{X264} -movflags +faststart", "MPEG4HP41"),
    "tff.ts": (
        HD, "25", 6, f"{X264} -profile:v high -flags +ildct+ilme -x264-params tff=1 -level 4.1",
        "MPEG4HP41",
    ),
    "h264.ts": (SMALL, "24000/1001", 8, X264, "MPEG4HP41"),
    "packed.mp4": (SMALL, "25", 4, f"{X264} -x264-params frame-packing=3", "MPEG4HP423D"),
    "ten.mp4": (SMALL, "25", 4, "-c:v libx264 -pix_fmt yuv420p10le", None),
    "422.mp4": (SMALL, "25", 4, "-c:v libx264 -pix_fmt yuv422p", None),
    "sar.mp4": (SMALL, "25", 4, f"{X264} -vf setsar=4/3", None),
    "quick.mov": (SMALL, "25", 4, f"{X264} -f mov", "MPEG4HP41"),
    "raw.h264": (SMALL, "25", 6, f"{X264} -f h264", None),
    "hevc.mp4": (SMALL, "50", 8, f"{X265} -pix_fmt yuv420p", "HEVCMP51"),
    "hevc.ts": (SMALL, "25", 8, f"{X265} -pix_fmt yuv420p", "HEVCMP51"),
    "hevc10.mp4": (SMALL, "25", 5, f"{X265} -pix_fmt yuv420p10le -tag:v hvc1", "HEVCM10P51"),
    "raw.hevc": (SMALL, "25", 5, f"{X265} -pix_fmt yuv420p -f hevc", None),
    "pal.m2v": ("720x576", "25", 8, f"{_M2V} -f mpeg2video", "MPEG2MPML"),
    "ntsc.ts": ("720x480", "30000/1001", 8, f"{_M2V} -flags +ildct+ilme -top 1", "MPEG2MPML"),
    "sd.vob": ("720x576", "25", 8, f"{_M2V} -f vob", "MPEG2MPML"),
    "hd.ts": (HD, "25", 4, f"{_M2V} {_DAR}", "MPEG2MPHL"),
    "hd.mp4": ("1280x720", "50", 4, f"{_M2V} {_DAR}", None),  # at level High 1440
}  # fmt: skip


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Makes a clip of the table when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name):
        path = folder / name
        if not path.exists():
            ffmpeg(*CLIPS[name][:4], path)
        return path

    return make


def probed(path):
    done = subprocess.run(
        [peer("ffprobe"), *_PROBE.split(), str(path)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)["streams"][0]


@pytest.mark.parametrize("name", CLIPS)
def test_read_as_ffprobe_reads(clip, name):
    path = clip(name)
    found, theirs = read_video(path), probed(path)
    codecs = {"h264": "H264", "hevc": "HEVC", "mpeg2video": "MPEG2"}
    assert found.codec == codecs[theirs["codec_name"]]
    assert (found.columns, found.rows) == (theirs["width"], theirs["height"])
    assert found.frames == int(theirs["nb_read_frames"])
    assert found.size == path.stat().st_size
    if name not in ("raw.h264", "raw.hevc"):  # of which ffprobe guesses
        assert found.frame_rate == Fraction(theirs["r_frame_rate"])
    if found.codec == "MPEG2":
        assert {"Main": 8, "High 1440": 6, "High": 4}[found.level] == theirs["level"]
    else:
        unit = 10 if found.codec == "H264" else 30
        assert round(float(found.level) * unit) == theirs["level"]
        assert found.profile == theirs["profile"]
    layout = {"4:2:0": "yuv420p", "4:2:2": "yuv422p"}[found.chroma]
    assert theirs["pix_fmt"] == layout + ("10le" if found.bits == 10 else "")
    if "sample_aspect_ratio" in theirs and found.pixel_aspect:
        assert found.pixel_aspect == Fraction(theirs["sample_aspect_ratio"].replace(":", "/"))
    assert found.interlaced == (theirs.get("field_order", "progressive") != "progressive")
    if "duration" in theirs and found.container != "ES":
        assert float(found.duration) == pytest.approx(float(theirs["duration"]), abs=0.05)


@pytest.mark.parametrize("name", CLIPS)
def test_transfer_syntax(clip, name):
    expected = CLIPS[name][4]
    stream = read_video(clip(name))
    if expected:
        assert transfer_syntax_of(stream) == expected
    else:
        with pytest.raises(UnsupportedError, match=r"demands .*ffmpeg"):
            transfer_syntax_of(stream)


def test_bd_compatible(clip):
    tff = read_video(clip("tff.ts"))
    assert transfer_syntax_of(tff, bd_compatible=True) == "MPEG4HP41BD"
    with pytest.raises(UnsupportedError, match="1280 x 720"):
        transfer_syntax_of(read_video(clip("main.mp4")), bd_compatible=True)


@pytest.mark.parametrize(
    ("name", "options", "codec", "rate", "permitted"),
    [
        ("aac.mp4", "-c:a aac -ar 48000 -ac 2", "AAC", 48000, True),
        ("phone.mp4", "-c:a aac -ar 44100 -ac 1", "AAC", 44100, False),
        ("aac.ts", "-c:a aac -ar 48000 -ac 2", "AAC", 48000, True),
        ("ac3.ts", "-c:a ac3 -ar 48000 -ac 2", "AC-3", 48000, True),
        ("mp2.ts", "-c:a mp2 -ar 44100 -ac 2", "MPEG-1 Layer II", 44100, True),
    ],
)
def test_sound(tmp_path, name, options, codec, rate, permitted):
    sine = ["-f", "lavfi", "-i", "sine=duration=2"]
    path = ffmpeg(SMALL, "25", 50, f"{X264} {options}", tmp_path / name, sound=sine)
    stream = read_video(path)
    assert [(sound.codec, sound.sampling_frequency) for sound in stream.audio] == [(codec, rate)]
    assert stream.audio[0].channels == int(options[-1])
    if permitted:
        assert transfer_syntax_of(stream) == "MPEG4HP41"
    else:
        with pytest.raises(UnsupportedError, match=f"{codec}, {rate} Hz"):
            transfer_syntax_of(stream)


def dataset_of(stream):
    made = pydicom.Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3"
    made.PatientName = "Doe^Jane"
    for keyword, value in pixel_attributes(stream).items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("name", ["high.mp4", "pal.m2v", "hevc10.mp4", "hd.ts"])
def test_written_and_read_by_others(clip, tmp_path, name):
    path, target = clip(name), tmp_path / "video.dcm"
    stream = read_video(path)
    syntax = transfer_syntax_of(stream)
    assert write_video(target, dataset_of(stream), path, syntax) == 1
    data = path.read_bytes()
    read = pydicom.dcmread(target)
    assert read.file_meta.TransferSyntaxUID == getattr(pydicom.uid, syntax)
    fragments = list(generate_fragments(read.PixelData))
    assert fragments == [b"", data + bytes(len(data) % 2)]
    assert "EncapsulatedPixelDataValueTotalLength" not in read  # one fragment
    assert (read.Rows, read.Columns) == (stream.rows, stream.columns)
    assert read.NumberOfFrames == CLIPS[name][2]
    assert float(read.FrameTime) == pytest.approx(1000 / float(Fraction(CLIPS[name][1])), rel=1e-9)
    dump = subprocess.run([peer("dcmdump"), str(target)], capture_output=True, check=True)
    assert not [line for line in dump.stderr.splitlines() if line[:2] in (b"W:", b"E:", b"F:")]
    (tmp_path / "back").write_bytes(fragments[1][: stream.size])
    assert probed(tmp_path / "back")["nb_read_frames"] == str(stream.frames)


def test_several_fragments(tmp_path):
    path, target = tmp_path / "video", tmp_path / "video.dcm"
    data = bytes(i % 251 for i in range(10001))
    path.write_bytes(data)
    about = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.2.3"}
    target.write_bytes(b"as it was")
    with pytest.raises(LimitError, match="fragmentable twin"):
        write_video(target, about, path, "MPEG4HP41", max_fragment_bytes=4096)
    assert target.read_bytes() == b"as it was"
    assert write_video(target, about, path, "MPEG4HP41F", max_fragment_bytes=4096) == 3
    fragments = list(generate_fragments(pydicom.dcmread(target).PixelData))
    assert [len(one) for one in fragments] == [0, 4096, 4096, 1810]
    assert b"".join(fragments) == data + b"\0"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["video", "video.dcm"]


def box(kind, *content, size=None):
    data = b"".join(content)
    return struct.pack(">L4s", 8 + len(data) if size is None else size, kind) + data


def table(kind, *numbers):
    return box(b"moov", box(b"trak", box(kind, *(struct.pack(">L", one) for one in numbers))))


def test_huge_file_in_constant_memory(clip, tmp_path):
    """A movie box behind more than 4 GiB of a sparse media data box."""
    whole = clip("main.mp4").read_bytes()
    at = whole.index(b"moov") - 4
    path = tmp_path / "huge.mp4"
    rest = 5 << 30
    with path.open("wb") as file:
        file.write(whole[:at])
        file.write(struct.pack(">L4sQ", 1, b"mdat", rest))
        file.seek(rest - 16, 1)
        file.write(whole[at:])
    tracemalloc.start()
    try:
        stream = read_video(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stream.frames, stream.size) == (12, path.stat().st_size)
    assert peak < 4 << 20
    assert transfer_syntax_of(stream) == "MPEG4HP41F"
    assert pixel_attributes(stream)["EncapsulatedPixelDataValueTotalLength"] == stream.size


@pytest.mark.parametrize("name", ["main.mp4", "frag.mp4", "h264.ts", "sd.vob", "raw.hevc"])
def test_truncated_anywhere(clip, tmp_path, name):
    data = clip(name).read_bytes()
    path = tmp_path / "cut"
    for size in itertools.chain(range(64), range(64, len(data), max(1, len(data) // 100))):
        path.write_bytes(data[:size])
        try:
            assert 0 < read_video(path).frames <= CLIPS[name][2]
        except DicomloomError as error:
            assert error.path == str(path)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (box(b"ftyp", size=7), CorruptError),
        (box(b"ftyp", b"isom") + struct.pack(">L4sQ", 1, b"mdat", 2**63), TruncatedError),
        (box(b"ftyp", b"isom") + struct.pack(">L4sQ", 1, b"mdat", 3), CorruptError),
        (box(b"ftyp", b"isom"), TruncatedError),
        (box(b"moov"), CorruptError),
        (box(b"moov", *[box(b"trak")] * 100), LimitError),
        (box(b"moov", box(b"trak", *[struct.pack(">L4s", 0, b"mdia")] * 9999)), UnsupportedError),
        (table(b"stsz", 0, 0, 2**32 - 1), CorruptError),
        (table(b"stsz", 0, 9, 2**32 - 1), CorruptError),
        (table(b"stts", 0, 2**32 - 1), CorruptError),
        (b"", UnsupportedError),
        (b"\x1a\x45\xdf\xa3" + bytes(99), UnsupportedError),
        (b"G" + bytes(187) + b"G" + bytes(400), UnsupportedError),
    ],
)  # fmt: skip
def test_mangled(tmp_path, data, error):
    path = tmp_path / "video"
    path.write_bytes(data)
    with pytest.raises(error):
        read_video(path)


@pytest.mark.parametrize("name", ["main.mp4", "frag.mp4", "h264.ts", "pal.m2v", "hevc.ts"])
def test_changed_at_random(clip, tmp_path, name):
    data = clip(name).read_bytes()
    path = tmp_path / "changed"
    where = st.one_of(st.integers(0, min(len(data), 3000) - 1), st.integers(0, len(data) - 1))

    @settings(
        max_examples=40, deadline=5000, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(st.lists(st.tuples(where, st.integers(0, 255)), min_size=1, max_size=8))
    def change(changes):
        made = bytearray(data)
        for at, value in changes:
            made[at] = value
        path.write_bytes(made)
        with contextlib.suppress(DicomloomError):
            assert read_video(path).frames > 0

    change()


@pytest.mark.parametrize("length", range(5))
def test_sections_of_a_transport_stream_that_end_before_their_check_sum(tmp_path, length):
    table = b"\x47\x40\x00\x10\0" + bytes([0, 0xB0, length]) + bytes(180)
    path = tmp_path / "video.ts"
    path.write_bytes(table * 6)
    with pytest.raises(UnsupportedError, match="no video"):
        read_video(path)
