"""Hostile objects: lies about geometry, cuts at every byte, flipped bytes, bombs (HOSTILE.md)."""

import itertools
import json
import struct
import warnings
import zlib

import numpy as np
import pydicom
import pytest

from dicomloom import (
    CorruptError,
    DicomloomError,
    DicomloomWarning,
    FrameReader,
    FrameWriter,
    NotDicomError,
    TruncatedError,
    recover,
    transcode,
)
from faults import OLD, child, native_object, unfinished
from hostile import deflated, measured
from pixel_objects import DEFLATED_FRAMES, END, PIXELS, RLE, RLE_ZEROS, encapsulated, image, us
from support import DEFLATED, element, item, part10, readable

pytestmark = pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def everything(data, tmp_path):
    """All that can be asked of an object; each answer is a value or a DicomloomError."""
    failures = []

    def ask(call):
        try:
            return call()
        except DicomloomError as error:
            assert str(error)
            failures.append(error)

    def opened():
        with FrameReader(data) as reader:
            ask(lambda: reader.offsets)
            ask(lambda: reader.shape)
            ask(lambda: reader.dtype)
            for i in range(min(len(reader), 4)):
                ask(lambda i=i: reader[i])
                ask(lambda i=i: reader.encoded(i))
            ask(lambda: reader[len(reader) - 1])
            ask(lambda: np.asarray(reader))
            ask(lambda: reader.dataset)

    (tmp_path / "out.dcm").write_bytes(OLD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DicomloomWarning)
        ask(opened)
        for syntax in ("RLELossless", "ExplicitVRLittleEndian"):
            if ask(lambda syntax=syntax: transcode(data, tmp_path / "out.dcm", syntax)) is None:
                assert (tmp_path / "out.dcm").read_bytes() == OLD
            else:
                (tmp_path / "out.dcm").write_bytes(OLD)
    assert not unfinished(tmp_path)
    return failures


# --- X1: products that overflow, counts that lie ---

LARGE = element(0x00280010, "US", us(65535)), element(0x00280011, "US", us(65535))
LIES = {
    "rows": {"rows": LARGE[0]},
    "columns": {"columns": LARGE[1]},
    "both": {"rows": LARGE[0], "columns": LARGE[1]},
    "all": {
        "rows": LARGE[0],
        "columns": LARGE[1],
        "samples": element(0x00280002, "US", us(4)),
        "bits": element(0x00280100, "US", us(64)),
        "frames": element(0x00280008, "IS", b"2147483647"),
    },
    "frames": {"frames": element(0x00280008, "IS", b"2147483647")},
    "more frames": {"frames": element(0x00280008, "IS", b"99999999999999999999")},
    "2^32 bytes": {
        "rows": element(0x00280010, "US", us(32768)),
        "columns": element(0x00280011, "US", us(65534)),
        "bits": element(0x00280100, "US", us(16)),
        "frames": element(0x00280008, "IS", b"4294967298"),
    },
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", ["native", "rle", "rle table", "deflated", "deflated frames"])
def test_geometry_that_lies_allocates_nothing(tmp_path, lie, kind):
    """In a process whose memory is limited: a gigabyte more would be refused."""
    rle = b"".join([struct.pack("<16L", 2, 64, 66, *[0] * 13), b"\0\5\1\6"])
    table, zeros, changes = struct.pack("<3L", 0, 76, 152), deflated(bytes(48)), LIES[lie]
    data = {
        "native": lambda: image(PIXELS.tobytes(), **changes),
        "deflated": lambda: image(PIXELS.tobytes(), DEFLATED, **changes),
        "rle": lambda: encapsulated([rle] * 3, **changes),
        "rle table": lambda: encapsulated([rle] * 3, table=table, **changes),
        "deflated frames": lambda: encapsulated([zeros] * 3, DEFLATED_FRAMES, **changes),
    }[kind]()
    path = tmp_path / "in.dcm"
    path.write_bytes(data)
    script = """
        import resource
        import numpy as np
        from dicomloom import FrameReader, transcode
        import dicomloom.codecs.rle, dicomloom.codecs.native, dicomloom.codecs.deflated
        import pydicom, warnings
        warnings.simplefilter("ignore")
        path, out = sys.argv[1:]
        limit = 1 << 30
        with open("/proc/self/statm") as file:
            limit += int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        said = []
        def ask(call):
            try:
                call()
                said.append("")
            except DicomloomError as error:
                said.append(str(error))
        def all():
            ask(lambda: FrameReader(path))
            try:
                reader = FrameReader(path)
            except DicomloomError:
                return
            ask(lambda: reader.offsets)
            ask(lambda: reader[0])
            ask(lambda: reader[len(reader) - 1])
            ask(lambda: np.asarray(reader))
            ask(lambda: reader.raw(1))
            for syntax in ("RLELossless", "ImplicitVRLittleEndian", "1.2.840.10008.1.2.8.1"):
                ask(lambda: transcode(path, out, syntax))
                ask(lambda: transcode(path, out, syntax, frames=slice(0, None, 2)))
        kib, _ = grown(all)
        print(json.dumps([kib, said]))
        """
    kib, said = measured(script, str(path), str(tmp_path / "out.dcm"))
    assert kib < 40_000
    assert any(said)
    if kind in ("native", "deflated"):  # others are copied, as they are, to their own syntax
        assert not (tmp_path / "out.dcm").exists()


def test_a_count_that_lies_is_no_reason_to_refuse_the_frames_there(tmp_path):
    data = image(PIXELS.tobytes(), frames=element(0x00280008, "IS", b"2147483647"))
    reader = FrameReader(data)
    assert len(reader) == 2147483647
    for i in range(3):
        assert np.array_equal(reader[i], PIXELS[i])
    with pytest.raises(TruncatedError, match=r"frame 3 of 2147483647") as caught:
        reader[3]
    assert caught.value.frame == 3
    with pytest.raises(TruncatedError, match=r"frame 3 of 2147483647"):
        np.asarray(reader)
    with pytest.raises(TruncatedError, match=r"frame 3 of 2147483647") as caught:
        transcode(data, tmp_path / "out.dcm", "RLELossless")
    assert caught.value.frame == 3
    assert transcode(data, tmp_path / "out.dcm", "RLELossless", frames=slice(0, 3)).frames == 3
    assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), PIXELS)


# --- X2: geometry that is none ---

TAGS = {
    "samples": 0x00280002,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits": 0x00280100,
    "stored": 0x00280101,
    "sign": 0x00280103,
}
VALUES = [
    None,
    ("US", b""),
    ("US", us(0)),
    ("US", us(1, 2)),
    ("US", b"\1"),
    ("SS", struct.pack("<h", -4)),
    ("UL", struct.pack("<L", 0xFFFFFFFF)),
    ("FL", struct.pack("<f", float("nan"))),
    ("FD", struct.pack("<d", float("inf"))),
    ("FD", struct.pack("<d", 4.5)),
    ("SV", struct.pack("<q", -(1 << 63))),
    ("LO", b"four"),
    ("IS", b"-4"),
    ("DS", b"1e99"),
    ("OB", bytes(1000)),
    ("UN", us(4)),
    ("UN", b"\1\2\3\4"),
    ("SQ", b""),
    ("SQ", item(element(0x00280010, "US", us(4)))),
    ("US", us(65535)),
    ("US", us(17)),
]


@pytest.mark.parametrize("what", TAGS)
def test_geometry_that_is_none(tmp_path, what):
    for made in VALUES:
        wrong = None if made is None else element(TAGS[what], *made)
        native = image(PIXELS.tobytes(), **{what: wrong})
        rle = b"".join([struct.pack("<16L", 2, 64, 66, *[0] * 13), b"\0\5\1\6"])
        coded = encapsulated([rle] * 3, **{what: wrong})
        for data in (native, coded):
            for failure in everything(data, tmp_path):
                assert isinstance(failure, DicomloomError)
        if what in ("rows", "columns", "bits") and (made is None or made[1] in (b"", us(0))):
            with pytest.raises(CorruptError, match="must be"):
                FrameReader(native)


@pytest.mark.parametrize(
    "value", [b"", b"0 ", b"-1", b"x ", b"1\\2 ", b"1.5 ", b"\0\0", b"1e3 ", b" 3", b"+3"]
)
def test_numbers_of_frames(tmp_path, value):
    data = image(PIXELS.tobytes(), frames=element(0x00280008, "IS", value))
    everything(data, tmp_path)
    if value in (b" 3", b"+3"):
        assert len(FrameReader(data)) == 3
    elif value in (b"", b"0 ", b"\0\0"):
        assert len(FrameReader(data)) == 1
    else:
        with pytest.raises(CorruptError, match="NumberOfFrames"):
            FrameReader(data)


def test_photometric_interpretations_that_are_none(tmp_path):
    for text in (
        b"",
        b"RGB ",
        b"YBR_FULL_422",
        b"PALETTE COLOR ",
        b"\xff\xfe",
        b"A\\B ",
        b"x" * 64,
    ):
        everything(image(PIXELS.tobytes(), photometric=element(0x00280004, "CS", text)), tmp_path)


# --- X9, P5: pixel data shorter or longer than declared ---


@pytest.mark.parametrize("present", [0, 1, 47, 48, 49, 95, 96, 143, 144, 145, 200])
@pytest.mark.parametrize("declared", [None, 0, 2, 144, 1000, 0xFFFFFFFE])
def test_pixel_data_shorter_or_longer_than_declared(tmp_path, present, declared):
    pixels = (PIXELS.tobytes() + bytes(56))[:present]
    data = image(pixels, length=declared)
    path = tmp_path / "in.dcm"
    path.write_bytes(data)
    said = present if declared is None else declared
    whole = min(3, min(present, said) // 48)
    for source in (data, path):
        try:
            reader = FrameReader(source)
        except DicomloomError:
            assert whole == 0
            continue
        for i in range(3):
            if i < whole:
                assert np.array_equal(reader[i], PIXELS[i])
                continue
            with pytest.raises(TruncatedError, match="truncated") as caught:
                reader[i]
            assert caught.value.frame == i
        for syntax in ("RLELossless", "ExplicitVRLittleEndian"):
            if whole == 3:
                transcode(source, tmp_path / "out.dcm", syntax)
                assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), PIXELS)
                (tmp_path / "out.dcm").unlink()
            else:
                with pytest.raises(DicomloomError) as caught:
                    transcode(source, tmp_path / "out.dcm", syntax)
                assert caught.value.frame in (whole, None)
        assert not (tmp_path / "out.dcm").exists()


def objects(tmp_path):
    """Small ones of every way in which frames are stored, by name."""
    source = native_object(tmp_path / "native", PIXELS)
    made = {"native": source.read_bytes()}
    for name, syntax, table in [
        ("implicit", "ImplicitVRLittleEndian", "auto"),
        ("deflated", "DeflatedExplicitVRLittleEndian", "auto"),
        ("rle basic", "RLELossless", "basic"),
        ("rle extended", "RLELossless", "extended"),
        ("rle walked", "RLELossless", "empty"),
    ]:
        transcode(source, tmp_path / "made", syntax, offset_table=table)
        made[name] = (tmp_path / "made").read_bytes()
    return made


@pytest.mark.parametrize(
    "name", ["native", "implicit", "deflated", "rle basic", "rle extended", "rle walked"]
)
def test_cut_at_every_byte(tmp_path, name):
    """P5: frames before the cut equal those of the whole object."""
    data = objects(tmp_path)[name]
    target = tmp_path / "out.dcm"
    counts = []
    for cut in range(len(data) + 1):
        whole = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DicomloomWarning)
            try:
                reader = FrameReader(data[:cut])
            except DicomloomError as error:
                assert not counts or name == "deflated", (cut, error)
                continue
            for i in range(len(reader)):
                try:
                    frame = reader[i]
                except DicomloomError as error:
                    assert error.frame == i
                    continue
                assert np.array_equal(frame, PIXELS[i]), cut
                assert whole == i, cut
                whole += 1
            try:
                transcode(data[:cut], target, "ExplicitVRLittleEndian")
                assert np.array_equal(np.asarray(FrameReader(target)), PIXELS[: len(reader)]), cut
            except DicomloomError:
                assert whole < len(reader), cut
        counts.append(whole)
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3} or name == "deflated"


@pytest.mark.parametrize("length", [None, 0xFFFFE000])
def test_items_under_a_length_are_no_samples(tmp_path, length):
    """A damaged length of compressed pixel data: nobody gets items as pixels."""
    path = tmp_path / "in.dcm"
    path.write_bytes(image(item(b"") + 3 * item(RLE_ZEROS) + END, RLE, length=length))
    for call in (lambda: FrameReader(path), lambda: recover(path, tmp_path / "out.dcm")):
        with pytest.raises(CorruptError, match="begin with an item, but have a length") as raised:
            call()
        assert raised.value.tag == 0x7FE00010
        assert raised.value.path == str(path)
    path.write_bytes(image(PIXELS.tobytes(), RLE))
    with FrameReader(path) as reader:  # which PS3.5 A.4 forbids as well, and some write
        assert (np.asarray(reader) == PIXELS).all()


def test_what_is_no_image(tmp_path):
    for data in (b"", bytes(100), b"II*\0" + bytes(500), part10(b""), b"\x7fELF" + bytes(1000)):
        (tmp_path / "in").write_bytes(data)
        for source in (data, tmp_path / "in"):
            with pytest.raises(NotDicomError) as caught:
                FrameReader(source)
            if source is not data:
                assert caught.value.path == str(source)


@pytest.mark.parametrize("preamble", [b"II*\0" + bytes(124), b"MZ" + bytes(126), b"\x7fELF" * 32])
def test_a_preamble_that_is_another_file(tmp_path, preamble):
    """P11: it is read; what is written has a zero preamble."""
    data = image(PIXELS.tobytes())
    transcode(preamble + data[128:], tmp_path / "out.dcm", "ExplicitVRLittleEndian")
    assert (tmp_path / "out.dcm").read_bytes()[:128] == bytes(128)
    (tmp_path / "in.dcm").write_bytes(preamble + data[128:])
    with FrameWriter(tmp_path / "out.dcm", tmp_path / "in.dcm") as writer:
        writer.write(PIXELS)
    assert (tmp_path / "out.dcm").read_bytes()[:128] == bytes(128)


def test_read_write_read_is_the_same(tmp_path):
    """X11: where nothing changes, a second pass changes no byte."""
    source = native_object(tmp_path / "in.dcm", PIXELS)
    for syntax in ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "RLELossless"):
        transcode(source, tmp_path / "1.dcm", syntax)
        transcode(tmp_path / "1.dcm", tmp_path / "2.dcm", syntax)
        assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "2.dcm").read_bytes()
        transcode(tmp_path / "1.dcm", tmp_path / "3.dcm", "ExplicitVRLittleEndian")
        assert pydicom.dcmread(tmp_path / "3.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("syntax", ["RLELossless", "ImplicitVRLittleEndian"])
def test_meta_information_in_the_data_set_is_not_taken_for_that_of_the_copy(tmp_path, syntax):
    """X11: a damaged tag makes what follows it in group 0002 a part of the data set."""
    source = native_object(tmp_path / "in.dcm", PIXELS)
    damaged = source.read_bytes().replace(b"DICM\2\0\0\0UL", b"DICM\2\1\0\0UL", 1)
    assert damaged != source.read_bytes()
    transcode(damaged, tmp_path / "out.dcm", syntax)
    with FrameReader(source) as before, FrameReader(tmp_path / "out.dcm") as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
    found = pydicom.dcmread(tmp_path / "out.dcm")
    assert found.file_meta.TransferSyntaxUID.keyword == syntax
    assert np.array_equal(found.pixel_array, pydicom.dcmread(source).pixel_array)


def test_a_value_that_implicit_vr_takes_for_a_sequence_can_still_be_read(tmp_path):
    """X11: implicit VR does not say what was written; the value and the frames are there."""
    data = native_object(tmp_path / "in.dcm", PIXELS).read_bytes()
    at = data.index(b"\x28\0\2\0US")
    odd = data[:at] + element(0x00081140, "UI", b"1.2.840.10008.1.2\0") + data[at:]
    transcode(odd, tmp_path / "out.dcm", "ImplicitVRLittleEndian")
    transcode(tmp_path / "out.dcm", tmp_path / "back.dcm", "RLELossless")
    for name in ("out.dcm", "back.dcm"):
        with FrameReader(tmp_path / name) as reader:
            assert np.array_equal(np.asarray(reader), PIXELS)
    assert element(0x00081140, "UN", b"1.2.840.10008.1.2\0") in (tmp_path / "back.dcm").read_bytes()


# --- flipped bytes ---

FLIPPER = """
    import json, random, resource, signal, sys, warnings
    import numpy as np
    from dicomloom import DicomloomError, FrameReader, transcode
    warnings.simplefilter("ignore")
    folder, files = sys.argv[1], json.loads(sys.argv[2])
    import os
    os.fsync = lambda descriptor: None
    if "ASAN_OPTIONS" not in os.environ:  # whose shadow takes terabytes of address space
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    signal.alarm(100)
    outcomes = {}
    for path, seed in files:
        with open(path, "rb") as file:
            data = bytearray(file.read())
        chance = random.Random(f"{os.path.basename(path)}{seed}")
        for _ in range(chance.choice([1, 1, 1, 2, 8])):
            # Half of them in the head, where lengths and geometry are.
            most = len(data) if chance.random() < 0.5 else min(len(data), 3000)
            data[chance.randrange(132, most)] ^= 1 << chance.randrange(8)
        data = bytes(data)
        print(json.dumps([path, seed]), file=sys.stderr, flush=True)
        def read():
            with FrameReader(data) as reader:
                for i in range(min(len(reader), 50)):
                    try:
                        reader[i]
                    except DicomloomError:
                        pass
                reader[len(reader) - 1]
        for call in (read, lambda: transcode(data, f"{folder}/out.dcm", "RLELossless")):
            try:
                call()
                kind = "fine"
            except DicomloomError as error:
                kind = type(error).__name__
            outcomes[kind] = outcomes.get(kind, 0) + 1
    print(json.dumps(outcomes))
    """


def some_of(corpus, tmp_path):
    """Small files with pixels, a few of each transfer syntax, native ones among them."""
    from support import manifest

    by_syntax = {}
    fine = set(readable(corpus))
    for row in manifest(corpus):
        if row["file"] in fine and row["pixel_element"] and int(row["size"]) < 60_000:
            by_syntax.setdefault(row["transfer_syntax"], []).append(str(corpus / row["file"]))
    chosen = [path for paths in by_syntax.values() for path in sorted(paths)[:8]]
    for name, data in objects(tmp_path).items():
        path = tmp_path / f"{name.replace(' ', '-')}.dcm"
        path.write_bytes(data)
        chosen += [str(path)] * 6
    return chosen


@pytest.mark.parametrize("part", range(4))
def test_flipped_bytes(corpus, tmp_path, part):
    """1,000 objects in four processes: no other exception, no signal, no hang."""
    pytest.importorskip("imagecodecs")
    chosen = itertools.islice(itertools.cycle(some_of(corpus, tmp_path)), 1000)
    jobs = [[path, seed] for seed, path in enumerate(chosen) if seed % 4 == part]
    done = child(FLIPPER, tmp_path, json.dumps(jobs), timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout)
    assert sum(outcomes.values()) == 500
    assert len(outcomes) >= 3, outcomes
    assert not unfinished(tmp_path)


# --- P8: bombs ---


def test_a_bomb_in_a_deflated_frame_costs_nothing(tmp_path):
    bomb = zlib.compress(bytes(64 << 20), 9)[2:-4]
    path = tmp_path / "in.dcm"
    path.write_bytes(encapsulated([bomb] * 3, DEFLATED_FRAMES))
    script = """
        import numpy as np
        from dicomloom import FrameReader, transcode
        import dicomloom.codecs.deflated
        path, out = sys.argv[1:]
        def call():
            said = []
            for job in (lambda: FrameReader(path)[0], lambda: transcode(path, out, "RLELossless")):
                try:
                    job()
                except DicomloomError as error:
                    said.append([type(error).__name__, str(error), error.frame])
            return said
        call_once = FrameReader(path).shape
        print(json.dumps(grown(call)))
        """
    kib, said = measured(script, str(path), str(tmp_path / "out.dcm"))
    assert kib < 4_000
    assert [kind for kind, _, _ in said] == ["CorruptError", "CorruptError"]
    assert all("48 bytes" in text for _, text, _ in said)


@pytest.mark.parametrize("where", ["before", "rows", "pixels", "uid", "behind"])
def test_a_bomb_in_a_deflated_data_set_is_bounded_in_memory(tmp_path, where):
    """60 MB of zeros as an element's value, wherever it is: it is passed over, or refused."""
    size = 60_000_000

    def bomb(tag, vr):
        return element(tag, vr, bytes(size))

    changes = {}
    if where == "before":
        changes["bomb"] = bomb(0x00291010, "OB")
    elif where == "rows":
        changes["rows"] = bomb(0x00280010, "OB")
    elif where == "uid":
        changes["uid"] = bomb(0x00080018, "UN")
    pixels = PIXELS.tobytes() + (bytes(size) if where == "pixels" else b"")
    behind = bomb(0x7FE11010, "OB") if where == "behind" else b""
    path = tmp_path / "in.dcm"
    path.write_bytes(image(pixels, DEFLATED, behind=behind, **changes))
    assert path.stat().st_size < 400_000
    script = """
        import numpy as np
        from dicomloom import FrameReader, transcode
        import dicomloom.codecs.rle, dicomloom.codecs.native
        path, out = sys.argv[1:]
        import warnings
        warnings.simplefilter("ignore")
        def call():
            said = []
            for job in (
                lambda: FrameReader(path)[2].tolist(),
                lambda: transcode(path, out, "RLELossless", workers=1).frames,
            ):
                try:
                    said.append(job())
                except DicomloomError as error:
                    said.append(str(error))
            return said
        print(json.dumps(grown(call)))
        """
    kib, said = measured(script, str(path), str(tmp_path / "out.dcm"))
    assert kib < 16_000, said
    if where in ("rows", "uid"):
        keyword = {"rows": "Rows", "uid": "SOPInstanceUID"}[where]
        assert keyword in said[1]
        assert "60000000 bytes" in said[1]
    else:
        assert said == [PIXELS[2].tolist(), 3]
