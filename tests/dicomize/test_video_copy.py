"""What differs between a video and its copy: places of recording, QuickTime; and hard faults."""

from __future__ import annotations

import hashlib
import itertools
import struct
import subprocess
import sys

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_fragments

from clips import SMALL, X264, X265, ffmpeg
from dicomloom.dicomize.video import write as write_module
from dicomloom.dicomize.video.boxes import BoxFile
from dicomloom.dicomize.video.patches import Patch, in_order, pieces
from dicomloom.dicomize.video.quicktime import as_mp4
from dicomloom.dicomize.video.read import read_video
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.dicomize.video.write import write_video
from dicomloom.errors import DicomloomError, TruncatedError, UnsupportedError, WriteError
from dicomloom.frames.sources import FileSource
from faults import OLD, child, unfinished
from support import PRINT_PEAK, peer

UIDS = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1.1", "SOPInstanceUID": "1.2.3"}
SINE = ["-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000"]
AAC = "-c:a aac -ac 2"
PLACE = b"+48.2000+016.3000/"


def box(kind, *content, size=None):
    data = b"".join(content)
    return struct.pack(">L4s", 8 + len(data) if size is None else size, kind) + data


def full(kind, *content):
    return box(kind, bytes(4), *content)


def copied(path, target):
    """Write a video, and return what pydicom finds in it."""
    stream = read_video(path)
    write_video(target, UIDS, path, transfer_syntax_of(stream))
    fragments = list(generate_fragments(pydicom.dcmread(target).PixelData))
    assert [len(one) for one in fragments] == [0, stream.size + stream.size % 2]
    return fragments[1][: stream.size]


def decoded(path):
    """The pictures and sounds that ffmpeg makes of a file, as a digest."""
    command = [peer("ffmpeg"), "-v", "error", "-i", str(path), "-map", "0:v", "-map", "0:a?"]
    done = subprocess.run([*command, "-f", "md5", "-"], capture_output=True, check=True, timeout=60)
    assert not done.stderr
    return done.stdout


def tree(data, start=0, end=None, path=()):
    """Boxes of a file in memory, by type: an independent walk."""
    end = len(data) if end is None else end
    found = []
    while end - start >= 8:
        size, kind = struct.unpack_from(">L4s", data, start)
        assert 8 <= size <= end - start
        found.append(("/".join([*path, kind.decode("latin-1")]), data[start + 8 : start + size]))
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta"):
            found += tree(data, start + 8, start + size, (*path, kind.decode("latin-1")))
        start += size
    return found


def inserted(data, more):
    """A file whose movie box is last, with more boxes at the end of that."""
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    assert at + size == len(data)
    return data[:at] + struct.pack(">L", size + len(more)) + data[at + 4 :] + more


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")

    def make(name, options=f"{X264} {AAC}", frames=8):
        path = folder / name
        if not path.exists():
            ffmpeg(SMALL, "25", frames, options, path, sound=SINE)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mov", f"{X264} {AAC}"),
        ("b.mov", f"{X265} -pix_fmt yuv420p -tag:v hvc1 {AAC}"),
        ("c.mov", f"{X264} -an -movflags +faststart"),
        ("d.mov", f"{X264} {AAC} -movflags use_metadata_tags -metadata "
                  "com.apple.quicktime.location.ISO6709=+48.2000+016.3000/"),
    ],
)  # fmt: skip
def test_quicktime_becomes_mp4(videos, tmp_path, name, options):
    path = videos(name, options)
    stream = read_video(path)
    assert (stream.container, stream.obstacle) == ("MOV", None)
    assert any("became MP4" in note for note in stream.notes)
    before, data = path.read_bytes(), copied(path, tmp_path / "made.dcm")
    (tmp_path / "back.mp4").write_bytes(data)
    assert decoded(tmp_path / "back.mp4") == decoded(path)
    again = read_video(tmp_path / "back.mp4")
    assert (again.container, again.patches, again.audio) == ("MP4", (), stream.audio)
    media = dict(tree(before))["mdat"]
    assert dict(tree(data))["mdat"] == media
    assert PLACE not in data
    for remnant in (b"qt  ", b"mhlr", b"dhlr", b"FFMP", b"wave", b"chan", b"udta", b"wide"):
        assert remnant not in data
    handlers = [content for where, content in tree(data) if where.endswith("mdia/hdlr")]
    assert handlers
    assert all(one[4:8] == one[12:24].strip(b"\0") + bytes(4) for one in handlers)
    assert all(one.endswith(b"Handler\0") for one in handlers)


def test_sound_entry_is_that_of_mp4(videos, tmp_path):
    """What ffmpeg writes into MP4 itself is the model."""
    mov, mp4 = videos("a.mov"), videos("a.mp4")

    def sound(data):
        return next(one for where, one in tree(data) if where.endswith("stsd") and b"mp4a" in one)

    made, model = sound(copied(mov, tmp_path / "made.dcm")), sound(mp4.read_bytes())
    esds = model.index(b"esds") - 4
    assert made[12 : 8 + 36] == model[12 : 8 + 36]
    assert made[esds : esds + 8] == model[esds : esds + 8]
    rest = made[esds + int.from_bytes(made[esds : esds + 4], "big") :]
    assert (int.from_bytes(rest[:4], "big"), rest[4:8]) == (len(rest), b"free")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"url \0\0\0\1", b"url \0\0\0\0", "not in another"),
        (b"chan\0\0\0\0", b"mystery!", None),
        (b"esds\0\0\0\0", b"osds\0\0\0\0", "box esds|object type"),
    ],
)
def test_quicktime_that_does_not_fit(videos, tmp_path, old, new, says):
    data = videos("a.mov").read_bytes()
    assert old in data
    path = tmp_path / "a.mov"
    path.write_bytes(data.replace(old, new))
    if says is None:
        copied(path, tmp_path / "made.dcm")
        return
    stream = read_video(path)
    assert stream.frames == 8
    with pytest.raises(UnsupportedError, match=says):
        transfer_syntax_of(stream)
    with pytest.raises(UnsupportedError, match="-c copy"):
        write_video(tmp_path / "made.dcm", UIDS, path, "MPEG4HP41")
    assert [one.name for one in tmp_path.iterdir()] == ["a.mov"]


def test_a_sample_entry_that_ends_with_zeros(videos, tmp_path):
    """As QuickTime may write it: four zeros behind the boxes of the video's entry."""
    data = videos("c.mov", f"{X264} -an").read_bytes()
    end = data.index(b"pasp") + 12
    made = bytearray(data[:end] + bytes(4) + data[end:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = made.index(kind, made.index(b"moov") if kind != b"moov" else 0) - 4
        made[at : at + 4] = (int.from_bytes(made[at : at + 4], "big") + 4).to_bytes(4, "big")
    (tmp_path / "a.mov").write_bytes(made)
    back = copied(tmp_path / "a.mov", tmp_path / "made.dcm")
    entry = next(one for where, one in tree(back) if where.endswith("stsd"))[8:]
    at, kinds = 86, []
    while at < len(entry):
        size, kind = struct.unpack_from(">L4s", entry, at)
        assert size >= 8
        kinds.append(kind)
        at += size
    assert (at, kinds) == (len(entry), [b"avcC", b"pasp"])


def item(kind, value):
    return box(kind, box(b"data", struct.pack(">LL", 1, 0), value))


MAKE, LOCATION = b"com.apple.quicktime.make", b"com.apple.quicktime.location.ISO6709"
KEYS = full(b"keys", struct.pack(">L", 2), box(b"mdta", MAKE), box(b"mdta", LOCATION))
HANDLER = full(b"hdlr", bytes(4), b"mdta", bytes(13))
LIST = box(b"ilst", item(struct.pack(">L", 1), b"Maker"), item(struct.pack(">L", 2), PLACE))
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<exif:GPSLatitude>48.2</exif>"
PLACES = {
    "3GPP": box(b"udta", full(b"loci", b"\x15\xc7Vienna\0", bytes(13), b"earth\0\0")),
    "QuickTime": box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7" + PLACE)),
    "track": box(b"udta", box(b"\xa9nam", b"\0\1\0\0x"), box(b"\xa9xyz", PLACE)),
    "keys": full(b"meta", HANDLER, KEYS, LIST),
    "keys of QuickTime": box(b"meta", HANDLER, KEYS, LIST),
    "keys in user data": box(b"udta", full(b"meta", HANDLER, KEYS, LIST)),
    "keys behind": full(b"meta", HANDLER, LIST, KEYS),
    "iTunes": box(b"udta", full(b"meta", HANDLER, box(b"ilst", item(b"\xa9xyz", PLACE)))),
    "free form": full(
        b"meta", HANDLER,
        box(b"ilst", box(b"----", full(b"mean", b"x"), full(b"name", b"GPSCoordinates"),
                         box(b"data", bytes(8), PLACE))),
    ),
    "XMP": box(b"uuid", XMP),
    "XMP in user data": box(b"udta", box(b"XMP_", XMP)),
    "broken": box(b"udta", box(b"what", PLACE, size=9999)),
    "Novatek": box(b"gps ", PLACE),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_where_it_was_taken_is_not_carried_over(videos, tmp_path, name):
    plain = videos("plain.mp4").read_bytes()
    path = tmp_path / "a.mp4"
    path.write_bytes(inserted(plain, PLACES[name]))
    data = copied(path, tmp_path / "made.dcm")
    for secret in (PLACE, b"Vienna", b"48.2"):
        assert secret not in data
    assert any("GPS" in note for note in read_video(path).notes)
    # Everything else is as it was.
    before = path.read_bytes()
    assert len(data) == len(before)
    assert data[: len(plain)] == before[: len(plain)]
    if "keys" in name:
        assert b"Maker" in data
    (tmp_path / "back.mp4").write_bytes(data)
    assert read_video(tmp_path / "back.mp4").frames == 8
    assert decoded(tmp_path / "back.mp4") == decoded(videos("plain.mp4"))


@pytest.mark.parametrize("name", ["place.mp4", "place.mov"])
def test_location_that_ffmpeg_wrote(videos, tmp_path, name):
    place = "-metadata location=+48.2000+016.3000/ -metadata location-eng=+48.2000+016.3000/"
    path = videos(name, f"{X264} {AAC} {place}")
    (tmp_path / "back.mp4").write_bytes(copied(path, tmp_path / "made.dcm"))
    for file, expected in ((path, True), (tmp_path / "back.mp4", False)):
        command = [peer("ffprobe"), "-v", "error", "-show_entries", "format_tags", str(file)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        assert (b"location" in done.stdout) == expected


def test_nothing_to_change_is_copied_byte_for_byte(videos, tmp_path):
    path = videos("plain.mp4")
    assert read_video(path).patches == ()
    assert copied(path, tmp_path / "made.dcm") == path.read_bytes()
    mov = videos("a.mov")
    write_video(tmp_path / "b.dcm", UIDS, mov, "MPEG4HP41", patches=())
    back = list(generate_fragments(pydicom.dcmread(tmp_path / "b.dcm").PixelData))[1]
    assert back[: mov.stat().st_size] == mov.read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_other_tracks_and_their_samples_are_blanked(videos, tmp_path, suffix):
    """Subtitles stand for the telemetry that cameras put beside the pictures."""
    text = tmp_path / "a.srt"
    text.write_text("1\n00:00:00,000 --> 00:00:00,100\nGPS 48.2 16.3\n")
    path = tmp_path / f"a.{suffix}"
    command = [peer("ffmpeg"), "-v", "error", "-i", str(videos("plain.mp4")), "-i", str(text)]
    command += ["-map", "0", "-map", "1", "-c", "copy", "-c:s", "mov_text", str(path)]
    subprocess.run(command, check=True, timeout=60)
    assert b"GPS 48.2 16.3" in path.read_bytes()
    data = copied(path, tmp_path / "made.dcm")
    assert b"GPS" not in data
    assert any("blanked" in note for note in read_video(path).notes)
    (tmp_path / "back.mp4").write_bytes(data)
    again = read_video(tmp_path / "back.mp4")
    assert (again.frames, len(again.audio)) == (8, 1)
    assert decoded(tmp_path / "back.mp4") == decoded(videos("plain.mp4"))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=0, max_size=20)), max_size=6),
    st.integers(1, 30),
)
def test_patches_in_pieces(changes, step):
    data = bytes(range(100, 180))
    patches = in_order(Patch(at, len(new), new) for at, new in changes)
    assert all(one.end <= two.offset for one, two in itertools.pairwise(patches))
    expected = bytearray(data)
    for at, new in sorted(changes, key=lambda one: (one[0], -len(one[1])), reverse=True):
        expected[at : at + len(new)] = new
    made = b""
    for start in range(0, 80, step):
        for begin, end, patch in pieces(patches, start, min(80, start + step)):
            made += patch.bytes_at(begin, end) if patch else data[begin:end]
    covered = {i for at, new in changes for i in range(at, at + len(new))}
    assert len(made) == 80
    assert [made[i] for i in range(80) if i not in covered] == [
        data[i] for i in range(80) if i not in covered
    ]
    if len(covered) == sum(len(new) for _, new in changes):  # nothing overlaps
        assert made == bytes(expected)


@pytest.mark.parametrize("name", ["a.mov", "place.mp4"])
def test_changed_at_random(videos, tmp_path, name):
    data = videos(name).read_bytes()
    first = data.index(b"moov")
    path = tmp_path / "changed"

    @settings(
        max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        st.lists(
            st.tuples(st.integers(first, len(data) - 1), st.integers(0, 255)),
            min_size=1,
            max_size=6,
        )
    )
    def change(changes):
        made = bytearray(data)
        for at, value in changes:
            made[at] = value
        path.write_bytes(made)
        try:
            stream = read_video(path)
            write_video(tmp_path / "made.dcm", UIDS, path, "MPEG4HP41")
        except DicomloomError as error:
            assert error.path == str(path)
            return
        assert (tmp_path / "made.dcm").stat().st_size > stream.size

    change()


def test_a_file_that_becomes_shorter(tmp_path, monkeypatch):
    path, target = tmp_path / "video", tmp_path / "video.dcm"
    path.write_bytes(bytes(100_000))
    target.write_bytes(OLD)
    real = write_module._write_head

    def shorten(*arguments):
        real(*arguments)
        path.write_bytes(bytes(60_000))

    monkeypatch.setattr(write_module, "_write_head", shorten)
    with pytest.raises(TruncatedError, match="became shorter") as caught:
        write_video(target, UIDS, path, "MPEG4HP41")
    assert (caught.value.path, caught.value.offset) == (str(path), 60_000)
    assert target.read_bytes() == OLD
    assert unfinished(tmp_path) == []


def test_a_full_disk(tmp_path):
    """RLIMIT_FSIZE ends a file as a full disk does, by an errno."""
    path, target = tmp_path / "video", tmp_path / "video.dcm"
    path.write_bytes(bytes(3 << 20))
    target.write_bytes(OLD)
    done = child(
        """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        from dicomloom.dicomize.video.write import write_video
        from dicomloom import WriteError
        about = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.2.3"}
        try:
            write_video(sys.argv[2], about, sys.argv[1], "MPEG4HP41")
        except WriteError as error:
            print(error.errno, error.path)
        """,
        path,
        target,
    )
    assert done.stdout.split() == ["27", str(target)], done.stderr
    assert target.read_bytes() == OLD
    assert unfinished(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "video").write_bytes(b"video")
    with pytest.raises(WriteError):
        write_video(tmp_path / "absent" / "a.dcm", UIDS, tmp_path / "video", "MPEG4HP41")


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_video(tmp_path):
    script = """
import sys
from dicomloom.dicomize.video.write import write_video
about = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.2.3"}
write_video(sys.argv[2], about, sys.argv[1], "MPEG4HP41")
"""
    peaks = []
    for size in (30_000_000, 300_000_000):
        path, target = tmp_path / "video", tmp_path / "video.dcm"
        with path.open("wb") as file:
            file.truncate(size)
        done = child(script + PRINT_PEAK, path, target)
        assert done.returncode == 0, done.stderr
        assert target.stat().st_size > size
        peaks.append(int(done.stdout))
        target.unlink()
    assert peaks[1] < peaks[0] + 8192


def test_a_digest_of_what_is_written(videos, tmp_path):
    """Twice the same, whatever the fragments."""
    path = videos("place.mov", f"{X264} {AAC} -metadata location=+48.2000+016.3000/")
    digests = set()
    for most in (2, 1000, 4096, 1 << 30):
        write_video(tmp_path / "a.dcm", UIDS, path, "MPEG4HP41F", max_fragment_bytes=most)
        value = pydicom.dcmread(tmp_path / "a.dcm").PixelData
        whole = b"".join(list(generate_fragments(value))[1:])
        digests.add(hashlib.sha256(whole).hexdigest())
    assert len(digests) == 1


def test_a_thousand_places_and_more_than_can_be_listed(videos, tmp_path):
    plain = videos("plain.mp4").read_bytes()
    path = tmp_path / "a.mp4"
    path.write_bytes(inserted(plain, box(b"udta", box(b"loci", PLACE) * 5000)))
    stream = read_video(path)
    assert len(stream.patches) <= 2  # the whole of the user data
    assert PLACE not in copied(path, tmp_path / "made.dcm")
    path.write_bytes(inserted(plain, box(b"loci", PLACE) * 40_000))
    stream = read_video(path)
    assert (stream.frames, stream.patches) == (8, ())
    with pytest.raises(UnsupportedError, match="places to change"):
        transfer_syntax_of(stream)


def telemetry(offset):
    """A track box of some other handler, with one sample of nine bytes at an offset."""

    def numbers(kind, *values):
        return full(kind, *(struct.pack(">L", value) for value in values))

    samples = box(
        b"stbl", full(b"stsd", struct.pack(">L", 1), box(b"camm", bytes(8))),
        numbers(b"stts", 0), numbers(b"stsc", 1, 1, 1, 1), numbers(b"stsz", 9, 1),
        numbers(b"stco", 1, offset),
    )  # fmt: skip
    header = full(b"mdhd", bytes(8), struct.pack(">LL", 1000, 0), bytes(4))
    handler = full(b"hdlr", bytes(4), b"camm", bytes(13))
    return box(b"trak", box(b"mdia", header, handler, box(b"minf", samples)))


def test_telemetry_that_lies_elsewhere_is_refused(videos, tmp_path):
    plain = videos("plain.mp4").read_bytes()
    path = tmp_path / "a.mp4"
    # A second media data box with the sample in it, then a track that has it there.
    at = plain.index(b"moov") - 4
    data = plain[:at] + box(b"mdat", b"48.2 16.3") + plain[at:]
    path.write_bytes(inserted(data, telemetry(at + 8)))
    assert b"48.2" not in copied(path, tmp_path / "made.dcm")
    for offset in (0, 4, at + 12):
        path.write_bytes(inserted(data, telemetry(offset)))
        with pytest.raises(UnsupportedError, match="media data of this file"):
            transfer_syntax_of(read_video(path))


@pytest.mark.parametrize("kind", [b"hdlr", b"mdhd"])
def test_no_patch_of_a_box_that_is_too_short_reaches_the_next(tmp_path, kind):
    path = tmp_path / "a.mov"
    path.write_bytes(box(b"moov", box(kind, bytes(8)), box(b"free", b"x" * 64)))
    source = FileSource(path)
    try:
        with pytest.raises(UnsupportedError, match="with all of its fields"):
            list(as_mp4(BoxFile(source), frozenset()))
    finally:
        source.close()
