"""W1: a writer that is killed, at any moment, in any syntax; what `recover` makes of what it left.

How many frames are whole in a partial file is counted here by looking at its bytes, not by asking
the code under test.
"""

import json
import os
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pydicom
import pytest

from dicomloom import (
    DicomloomError,
    FrameReader,
    FrameWriter,
    NotDicomError,
    TruncatedError,
    recover,
    transcode,
)
from faults import OLD, child, command, native_object, noise, unfinished

SYNTAXES = [
    "RLELossless",
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
    "JPEGBaseline8Bit",
]
COUNT, SIDE = 40, 48
POINTS = 20
MOMENTS = ["_put_head", "seal", "place", "sync_folder"]
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENVIRONMENT = {**os.environ, "PYTHONPATH": TESTS}
ENCAPSULATED = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Hundreds of files; none of them has to survive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


# A process that writes the same object again and again in children of its own, and kills each at
# another moment: when its file has reached some size, which is polled, so it may be anywhere.
KILLER = """
    import os, random, signal, sys, time, warnings
    import numpy as np
    from dicomloom import FrameWriter
    from faults import noise
    from dicomloom.codecs.registry import find
    from dicomloom.codecs.layout import Layout

    folder, syntax, known, points, count, side = sys.argv[1:]
    points, count, side = int(points), int(count), int(side)
    frames = noise(count, side, side, seed=7)
    find(syntax).encoder(Layout(side, side)).encode(frames[0])  # loads what codes, once

    def write(path, workers):
        writer = FrameWriter(
            path, {"PatientID": "killed"}, transfer_syntax=syntax, workers=workers,
            frames=count if known == "known" else None,
            max_memory=(100_000 if syntax.startswith("JPEG") else 20_000) * workers,
        )
        with writer:
            for frame in frames:
                writer.write(frame)
                time.sleep(0.0003)

    write(f"{folder}/whole.dcm", 2)
    size = os.path.getsize(f"{folder}/whole.dcm")
    chance = random.Random(syntax + known)
    for point in range(points):
        path = f"{folder}/{point}.dcm"
        with open(path, "wb") as file:
            file.write(b"old")
        process = os.fork()
        if process == 0:
            write(path, 1 + point % 2)
            os._exit(0)
        limit = chance.random() * size
        while os.waitpid(process, os.WNOHANG) == (0, 0):
            try:
                if os.path.getsize(path + ".partial") >= limit:
                    time.sleep(chance.random() / 2000)
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
                    break
            except FileNotFoundError:
                pass
    """


def items_of(data):
    """The whole fragments behind the offset table, by PS3.5 A.4."""
    at = data.index(ENCAPSULATED) + len(ENCAPSULATED)
    found = []
    while data[at : at + 4] == b"\xfe\xff\x00\xe0" and at + 8 <= len(data):
        (size,) = struct.unpack_from("<L", data, at + 4)
        if at + 8 + size > len(data):
            break
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found[1:]


def frames_in(data, syntax, size):
    """The whole frames of a partial file, as they are stored; None where it has no pixel data."""
    start = 144 + int.from_bytes(data[140:144], "little") if len(data) >= 144 else len(data)
    data_set = data[start:]
    if syntax.startswith("Deflated"):
        data_set = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set)
    if syntax in ("RLELossless", "JPEGBaseline8Bit") or syntax.startswith("Encapsulated"):
        return items_of(data_set) if ENCAPSULATED in data_set else None
    mark = b"\xe0\x7f\x10\x00" + (b"" if syntax.startswith("Implicit") else b"OB\0\0")
    if mark not in data_set:
        return None
    pixels = data_set[data_set.index(mark) + len(mark) + 4 :]
    return [pixels[at : at + size] for at in range(0, len(pixels) - size + 1, size)]


def no_complaint(path, syntax):
    tool = shutil.which("dcmdump")
    if tool is None:
        return
    done = subprocess.run([tool, str(path)], capture_output=True, check=False)
    assert done.returncode == 0
    # DCMTK knows not every syntax by name; what it says then is no error.
    complaints = [line for line in done.stderr.splitlines() if line.startswith((b"E:", b"F:"))]
    assert not complaints, complaints


def check(path, stored, frames, syntax):
    """What was recovered is what was there, and says so of itself."""
    found = pydicom.dcmread(path)
    assert found.NumberOfFrames == len(stored)
    assert found.PatientID == "killed"
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    with FrameReader(path) as reader:
        assert len(reader) == len(stored)
        for i, frame in enumerate(stored):
            assert reader.encoded(i) == frame
        if syntax == "JPEGBaseline8Bit":
            there = sum(map(len, stored))
            ratio = len(stored) * frames[0].nbytes / there
            assert float(found.LossyImageCompressionRatio) == pytest.approx(ratio, rel=0.01)
            assert found.LossyImageCompression == "01"
            assert found.LossyImageCompressionMethod == "ISO_10918_1"
            assert reader[len(stored) - 1].shape == frames[0].shape
        else:
            assert np.array_equal(np.asarray(reader), frames[: len(stored)])
            if syntax.startswith(("RLE", "Explicit", "Implicit", "Deflated")):
                assert np.array_equal(found.pixel_array.reshape(-1, *frames.shape[1:]), reader)
    no_complaint(path, syntax)


@pytest.mark.parametrize("known", ["known", "unknown"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_killed_at_any_moment(tmp_path, syntax, known):
    if syntax.startswith("JPEG"):
        pytest.importorskip("imagecodecs")
    done = child(KILLER, tmp_path, syntax, known, POINTS, COUNT, SIDE, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    frames = noise(COUNT, SIDE, SIDE, seed=7)
    counts = set()
    for point in range(POINTS):
        target = tmp_path / f"{point}.dcm"
        # Of an unknown number of frames there is a second file at the end, for the larger head.
        left = sorted(tmp_path.glob(f"{point}.dcm*.partial"))
        partial = left[-1] if left else tmp_path / "none"
        if not partial.exists():
            assert len(FrameReader(target)) == COUNT  # it was faster
            continue
        assert target.read_bytes() == b"old" or len(FrameReader(target)) == COUNT
        data = partial.read_bytes()
        stored = frames_in(data, syntax, SIDE * SIDE)
        out = tmp_path / f"{point}.out.dcm"
        if not stored:
            with pytest.raises((NotDicomError, TruncatedError)) as caught:
                recover(partial, out)
            assert caught.value.path == str(partial)
            assert not out.exists()
        else:
            report = recover(partial, out)
            assert report.frames == len(stored)
            check(out, stored[:COUNT], frames, syntax)
        assert partial.read_bytes() == data
        counts.add(len(stored or []))
    assert len(counts) > 3, counts  # or it was no test


AT_THE_END = """
    import os, signal, sys
    import pydicom
    from dicomloom import FrameWriter
    from dicomloom import files
    from dicomloom.frames.instance import Instance
    from faults import noise

    folder, syntax = sys.argv[1:]
    owners = {"_put_head": Instance, "seal": files.Partial, "place": files.Partial,
              "sync_folder": files}
    template = pydicom.Dataset()
    template.PatientID = "killed"
    template.private_block(0x7FE1, "BEHIND", create=True).add_new(1, "OB", bytes(5000))
    frames = noise(9, 32, 32)
    for moment, owner in owners.items():
        for count in (9, None):
            process = os.fork()
            if process == 0:
                setattr(owner, moment, lambda *given: os.kill(os.getpid(), signal.SIGKILL))
                path = f"{folder}/{moment}-{count}"
                with FrameWriter(path, template, transfer_syntax=syntax, frames=count) as writer:
                    writer.write(frames)
                os._exit(0)
            assert os.waitpid(process, 0)[1] == signal.SIGKILL
    """


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_killed_at_the_end(tmp_path, syntax):
    """All frames are there, and elements behind them are not taken for frames."""
    done = child(AT_THE_END, tmp_path, syntax, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    frames = noise(9, 32, 32)
    for name in [f"{moment}-{count}" for moment in MOMENTS for count in (9, None)]:
        target = tmp_path / name
        left = sorted(tmp_path.glob(f"{name}*.partial"))
        if name.startswith("sync_folder"):
            assert not left
        else:
            assert not target.exists()
            assert recover(left[-1], target).frames == 9, name
        assert len(FrameReader(target)) == 9
        if not syntax.startswith("JPEG"):
            assert np.array_equal(np.asarray(FrameReader(target)), frames)
        assert pydicom.dcmread(target).NumberOfFrames == 9
        no_complaint(target, syntax)


@pytest.mark.parametrize("bits", [1, 12, 16])
def test_what_was_cut_at_every_byte(tmp_path, bits):
    """Frames of 15 one-bit pixels do not end with a byte; those of 16 bits may be cut in half."""
    shape = (3, 5)
    kind = "?" if bits == 1 else "<u2"
    frames = np.random.default_rng(3).integers(0, 2 if bits == 1 else 1 << bits, (9, *shape))
    template = {"PatientID": "killed", "BitsStored": bits, "BitsAllocated": 1 if bits == 1 else 16}
    target, partial = tmp_path / "out.dcm", tmp_path / "out.dcm.partial"
    with FrameWriter(target, template, transfer_syntax="ExplicitVRLittleEndian") as writer:
        writer.write(frames.astype(kind))
    whole = target.read_bytes()
    at = whole.index(b"\xe0\x7f\x10\x00O") + 12
    # As it is while it is written: neither length nor count.
    head = whole[: at - 4] + bytes(4)
    head = head.replace(b"IS\x0a\x009         ", b"IS\x0a\x000         ")
    for cut in range(at - 20, len(whole) + 1):
        partial.write_bytes((head + whole[at:])[:cut])
        count = min(9, max(0, cut - at) * 8 // (15 * (1 if bits == 1 else 16)))
        if count == 0:
            with pytest.raises((NotDicomError, TruncatedError)):
                recover(partial, target)
            continue
        # The byte that fills up the length may look like frames of few bits.
        assert recover(partial, target).frames == count, cut
        assert np.array_equal(np.asarray(FrameReader(target)), frames[:count])


@pytest.mark.parametrize(
    "name", ["garbage", "empty", "text", "preamble", "header only", "no pixels"]
)
def test_nothing_to_recover(tmp_path, name):
    source = native_object(tmp_path / "in.dcm", noise(1, 8, 8)).read_bytes()
    pixels = source.index(b"\xe0\x7f\x10\x00OB")
    data = {
        "garbage": bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype="u1")),
        "empty": b"",
        "text": b"This is no DICOM file." * 50,
        "preamble": bytes(128) + b"DICM",
        "header only": source[: pixels + 12],
        "no pixels": source[:pixels],
    }[name]
    partial, target = tmp_path / "out.dcm.partial", tmp_path / "out.dcm"
    partial.write_bytes(data)
    target.write_bytes(OLD)
    with pytest.raises(DicomloomError) as caught:
        recover(partial, target)
    assert caught.value.path == str(partial)
    assert target.read_bytes() == OLD
    assert unfinished(tmp_path) == ["out.dcm.partial"]
    done = command("recover", partial, target)
    assert done.returncode == 20, done.stderr
    assert "Traceback" not in done.stderr
    assert str(partial) in done.stderr


def test_functional_groups_and_vectors_are_those_of_the_frames_that_are_there(tmp_path):
    template = pydicom.Dataset()
    template.PatientID = "killed"
    template.FrameTimeVector = list(range(9))
    items = []
    for i in range(9):
        item = pydicom.Dataset()
        item.FrameLabelVector = str(i)
        items.append(item)
    template.PerFrameFunctionalGroupsSequence = items
    target, partial = tmp_path / "out.dcm", tmp_path / "out.dcm.partial"
    frames = noise(9, 16, 16)
    with pytest.raises(ZeroDivisionError), FrameWriter(
        target, template, transfer_syntax=SYNTAXES[4], max_memory=300
    ) as writer:  # fmt: skip
        for frame in frames[:5]:
            writer.write(frame)
        shutil.copy(partial, tmp_path / "left")
        raise ZeroDivisionError
    assert recover(tmp_path / "left", target).frames == 5
    found = pydicom.dcmread(target)
    groups = found.PerFrameFunctionalGroupsSequence
    assert [item.FrameLabelVector for item in groups] == list("01234")
    assert len(found.FrameTimeVector) == 5
    assert np.array_equal(np.asarray(FrameReader(target)), frames[:5])


def test_an_earlier_ratio_is_kept(tmp_path):
    """A second lossy coding: the first ratio stays, the second is that of the frames there."""
    pytest.importorskip("imagecodecs")
    source = native_object(
        tmp_path / "in.dcm",
        noise(6),
        LossyImageCompression="01",
        LossyImageCompressionRatio="7.5",
        LossyImageCompressionMethod="ISO_14495_1",
    )
    transcode(source, tmp_path / "whole.dcm", "JPEGBaseline8Bit")
    target, partial = tmp_path / "out.dcm", tmp_path / "left"
    script = """
        import os, signal, sys
        from dicomloom import transcode
        from dicomloom.frames.instance import Instance
        Instance.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
        transcode(sys.argv[1], sys.argv[2], "JPEGBaseline8Bit")
        """
    assert child(script, source, target).returncode == -9
    (tmp_path / "out.dcm.partial").rename(partial)
    report = recover(partial, target)
    found, whole = pydicom.dcmread(target), pydicom.dcmread(tmp_path / "whole.dcm")
    assert report.frames == 6
    assert [float(ratio) for ratio in found.LossyImageCompressionRatio] == pytest.approx(
        [float(ratio) for ratio in whole.LossyImageCompressionRatio], rel=0.01
    )
    assert found.LossyImageCompressionMethod == ["ISO_14495_1", "ISO_10918_1"]


def test_recovering_onto_itself_and_what_is_whole(tmp_path):
    source = native_object(tmp_path / "in.dcm", noise(4))
    assert recover(source, source).frames == 4
    assert np.array_equal(pydicom.dcmread(source).pixel_array, noise(4))
    assert not unfinished(tmp_path)


def test_the_command(tmp_path):
    source = native_object(tmp_path / "in.dcm", noise(4))
    data = source.read_bytes()
    source.write_bytes(data[: -64 * 64 - 5])
    done = command("recover", source, tmp_path / "out.dcm", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["targets"]) == (2, [str(tmp_path / "out.dcm")])
    assert command("recover", tmp_path / "nowhere", tmp_path / "out.dcm").returncode == 20
    assert command("recover", source, tmp_path / "nowhere" / "out.dcm").returncode == 40
    assert command("recover", source).returncode == 2


def test_one_frame_of_a_multi_frame_object(tmp_path):
    """Its IOD has NumberOfFrames, whatever the number."""
    source = native_object(tmp_path / "in.dcm", noise(4))
    source.write_bytes(source.read_bytes()[: -2 * 64 * 64 - 5])
    assert recover(source, tmp_path / "out.dcm").frames == 1
    assert pydicom.dcmread(tmp_path / "out.dcm").NumberOfFrames == 1
