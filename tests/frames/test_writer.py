"""`FrameWriter`: what it takes, what it refuses and in which words, and what it holds meanwhile."""

import io
import os
import threading

import numpy as np
import pydicom
import pytest

from dicomloom import (
    CorruptError,
    FrameReader,
    FrameWriter,
    LimitError,
    PixelError,
    TagError,
    UnsupportedError,
    transcode,
)
from dicomloom.frames import output
from faults import native_object, noise, unfinished

PLAIN = {"Rows": 64, "Columns": 64, "BitsAllocated": 8}
CAPSULE = "EncapsulatedUncompressedExplicitVRLittleEndian"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.dcm"


def written(path, pixels, template=None, **options):
    """Write an object, and read it back through pydicom."""
    with FrameWriter(path, template or {}, **options) as writer:
        for frame in pixels:
            writer.write(frame)
    return pydicom.dcmread(path)


# --- contradictions: each error names both values ---

PHOTOMETRIC = "PhotometricInterpretation"
CONTRADICTIONS = [
    ({"BitsAllocated": 8}, np.zeros((4, 6), "u2"), ["BitsAllocated", "8", "16"]),
    ({"BitsAllocated": 16}, np.zeros((4, 6), "u1"), ["BitsAllocated", "16", "8"]),
    ({"PixelRepresentation": 1}, np.zeros((4, 6), "u2"), ["PixelRepresentation", "1", "0"]),
    ({"PixelRepresentation": 0}, np.zeros((4, 6), "i2"), ["PixelRepresentation", "0", "1"]),
    ({"Rows": 5}, np.zeros((4, 6), "u1"), ["Rows", "5", "4"]),
    ({"Columns": 7}, np.zeros((4, 6), "u1"), ["Columns", "7", "6"]),
    ({"Rows": 5}, np.zeros((9, 4, 6), "u1"), ["Rows", "5", "4"]),
    ({"SamplesPerPixel": 3}, np.zeros((4, 6), "u1"), ["SamplesPerPixel", "3", "1"]),
    ({"SamplesPerPixel": 3}, np.zeros((4, 6, 4), "u1"), ["SamplesPerPixel", "3", "4"]),
    ({PHOTOMETRIC: "MONOCHROME2"}, np.zeros((2, 4, 6, 3), "u1"), ["MONOCHROME2", "1", "3"]),
    ({PHOTOMETRIC: "RGB"}, np.zeros((4, 6), "u1"), ["RGB", "3", "1"]),
    ({PHOTOMETRIC: "RGB", "SamplesPerPixel": 1}, np.zeros((4, 6), "u1"), ["RGB", "3", "1"]),
    ({"BitsStored": 12}, np.zeros((4, 6), "u1"), ["BitsStored", "12", "8"]),
    ({"BitsStored": 12, "BitsAllocated": 8}, np.zeros((4, 6), "u1"), ["BitsStored", "12", "8"]),
    ({"BitsAllocated": 1}, np.zeros((4, 6), "u2"), ["BitsAllocated", "1", "16"]),
    ({}, np.zeros((0, 6), "u1"), ["Rows", "0"]),
    ({}, np.zeros((4, 0), "u1"), ["Columns", "0"]),
    ({}, np.zeros((70_000, 1), "u1"), ["Rows", "70000", "65535"]),
    ({}, np.zeros((1, 70_000), "u1"), ["Columns", "70000", "65535"]),
    ({}, np.zeros((2, 3, 4, 5, 6), "u1"), ["shape", "(2, 3, 4, 5, 6)"]),
    ({}, np.zeros(24, "u2"), ["shape", "(24,)"]),
    ({}, np.uint8(3), ["shape", "()"]),
    ({}, np.zeros((4, 6), "c8"), ["integers, floats or bools", "Zf"]),
    ({}, np.zeros((4, 6), "f2"), ["integers, floats or bools", "e"]),
    ({}, np.zeros((4, 6), "M8[s]"), ["integers, floats or bools"]),
    ({}, np.array([["a"]]), ["integers, floats or bools"]),
    ({}, bytes(24), ["plain bytes", "Rows"]),
    ({"Rows": 4, "Columns": 6}, bytes(24), ["plain bytes", "BitsAllocated"]),
    ({"Rows": 4, "Columns": 6, "BitsAllocated": 8}, bytes(25), ["25", "24"]),
    ({"Rows": 4, "Columns": 6, "BitsAllocated": 8}, b"", ["0 bytes", "24"]),
]  # fmt: skip


@pytest.mark.parametrize(("template", "frame", "words"), CONTRADICTIONS)
def test_a_first_frame_that_contradicts_the_template(path, template, frame, words):
    with pytest.raises(PixelError) as caught, FrameWriter(path, template) as writer:
        writer.write(frame)
    for word in words:
        assert word in str(caught.value)
    assert not path.exists()
    assert not unfinished(path.parent)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.zeros((4, 6), "u1"), np.zeros((4, 6), "u2"), ["frame 1", "of 16 bits", "of 8"]),
        (np.zeros((4, 6), "u2"), np.zeros((4, 6), "i2"), ["frame 1", "signed", "Pixel", "0"]),
        (np.zeros((4, 6), "u2"), np.zeros((6, 4), "u2"), ["frame 1", "(6, 4)", "(4, 6)"]),
        (np.zeros((4, 6), "u1"), np.zeros((4, 6, 3), "u1"), ["frame 1", "(4, 6, 3)", "(4, 6)"]),
        (np.zeros((4, 6, 3), "u1"), np.zeros((4, 6), "u1"), ["frame 1", "(4, 6)", "(4, 6, 3)"]),
        (np.zeros((4, 6), "f4"), np.zeros((4, 6), "u4"), ["frame 1", "integer", "<f4"]),
        (np.zeros((4, 6), "u4"), np.zeros((4, 6), "f4"), ["frame 1", "floating-point", "<u4"]),
        (np.zeros((4, 6), "u1"), bytes(23), ["frame 1", "23", "24"]),
        (np.zeros((3, 4, 6), "u1"), bytes(23), ["frame 3", "23", "24"]),
    ],
)  # fmt: skip
def test_a_later_frame_that_contradicts_the_first(path, first, second, words):
    with FrameWriter(path, {}) as writer:
        writer.write(first)
        with pytest.raises(PixelError) as caught:
            writer.write(second)
        number = writer.frames
    for word in words:
        assert word in str(caught.value)
    assert caught.value.frame == number
    assert len(FrameReader(path)) == number


def test_a_pixel_of_one_bit_is_0_or_1(path):
    with pytest.raises(PixelError, match=r"0 or 1, found 7"):
        written(path, [np.full((4, 6), 7, "u1")], {"BitsAllocated": 1})


@pytest.mark.parametrize("given", [3, 5])
@pytest.mark.parametrize("syntax", ["RLELossless", "ExplicitVRLittleEndian"])
@pytest.mark.parametrize("workers", [1, 2])
def test_frames_announced_and_written(path, given, syntax, workers):
    with pytest.raises(PixelError) as caught:
        written(path, noise(given), frames=4, transfer_syntax=syntax, workers=workers)
    assert "4" in str(caught.value)
    assert "announced" in str(caught.value)
    assert given > 4 or "3 were written" in str(caught.value)
    assert not path.exists()
    assert not unfinished(path.parent)


def grouped(count):
    made = pydicom.Dataset()
    made.PerFrameFunctionalGroupsSequence = [pydicom.Dataset() for _ in range(count)]
    return made


def test_items_for_each_frame(path):
    with pytest.raises(PixelError) as caught:
        written(path, noise(3), grouped(4), frames=3)
    assert "4 items" in str(caught.value)
    assert "3 frames were announced" in str(caught.value)
    with pytest.raises(PixelError, match=r"frame 4 has no item .* 4"):
        written(path, noise(5), grouped(4))
    assert not path.exists()
    assert len(written(path, noise(4), grouped(4)).PerFrameFunctionalGroupsSequence) == 4


def test_zero_frames(path):
    with pytest.raises(PixelError, match="no frame was written"), FrameWriter(path, {}):
        pass
    with pytest.raises(PixelError, match="no frame was written"), FrameWriter(path, {}) as writer:
        assert writer.write_from([]) == 0
    with pytest.raises(PixelError, match="no frame was written"):
        FrameWriter(path, {"Rows": 4, "Columns": 4, "BitsAllocated": 8}).close()
    with (
        pytest.raises(PixelError, match="no frame was written"),
        FrameWriter(path, PLAIN) as writer,
    ):
        assert writer.write_from(io.BytesIO()) == 0
    with pytest.raises(PixelError, match="no frame was written"), FrameWriter(path, {}) as writer:
        writer.write(np.zeros((0, 4, 6), "u1"))
    with pytest.raises(PixelError, match="1 frames? were announced|no frame"):
        FrameWriter(path, {}, frames=1).close()
    assert not os.listdir(path.parent)


def test_a_closed_writer(path):
    writer = FrameWriter(path, {})
    writer.write(np.zeros((4, 6), "u1"))
    writer.close()
    writer.close()
    for call in (writer.write, writer.write_encoded):
        with pytest.raises(ValueError, match="closed"):
            call(bytes(24))
    with pytest.raises(ValueError, match="closed"):
        writer.write_from([bytes(24)])
    assert writer.frames == 1
    assert len(FrameReader(path)) == 1


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"transfer_syntax": "RLELosless"}, UnsupportedError, "did you mean RLELossless"),
        ({"offset_table": "huge"}, ValueError, "auto, basic, extended, empty, not 'huge'"),
        ({"frames": 0}, ValueError, "at least 1, not 0"),
        ({"max_instance_bytes": 0}, ValueError, "at least 1, not 0"),
        ({"workers": 0}, ValueError, "at least 1, not 0"),
        ({"quality": 80}, TypeError, "no option quality"),
        ({"transfer_syntax": "ExplicitVRBigEndian"}, UnsupportedError, "ExplicitVRLittleEndian"),
    ],
)
def test_arguments(path, options, kind, words):
    with pytest.raises(kind) as caught:
        written(path, noise(1), **{"transfer_syntax": "RLELossless", **options})
    assert words in str(caught.value)
    assert not os.listdir(path.parent)


def test_keywords_that_are_none(path):
    with pytest.raises(TagError, match=r"PatientNane.*did you mean PatientName"):
        FrameWriter(path, {"PatientNane": "x"})
    with pytest.raises(TagError, match="no keyword of PS3.6"):
        FrameWriter(path, {"qqqqqqqqqqqq": "x"})
    with pytest.raises(TypeError, match="Dataset, a path or a dict, not list"):
        FrameWriter(path, ["PatientID"])
    assert not os.listdir(path.parent)


@pytest.mark.parametrize("value", ["many", 70_000, -1, [1, 2], 1.5, b"\0\0\0"])
def test_a_value_that_does_not_fit_its_keyword(path, value):
    with pytest.raises((TagError, CorruptError, PixelError), match="Rows"):
        written(path, [np.zeros((4, 6), "u1")], {"Rows": value})
    assert not os.listdir(path.parent)


# --- templates ---


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_pixel_attributes_are_taken_from_the_first_frame(path, kind, shape):
    frames = np.arange(np.prod((3, *shape))).reshape(3, *shape).astype(kind)
    found = written(path, frames)
    bits = 8 * np.dtype(kind).itemsize
    assert (found.Rows, found.Columns, found.NumberOfFrames) == (5, 7, 3)
    assert found.SamplesPerPixel == (3 if len(shape) == 3 else 1)
    assert found.PhotometricInterpretation == ("RGB" if len(shape) == 3 else "MONOCHROME2")
    assert (found.BitsAllocated, found.BitsStored, found.HighBit) == (bits, bits, bits - 1)
    assert found.PixelRepresentation == int(kind[0] == "i")
    assert ("PlanarConfiguration" in found) == (len(shape) == 3)
    assert np.array_equal(found.pixel_array, frames)


def test_what_the_template_says_stays(path):
    template = {
        "PatientName": "Yamada^Tarou",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1",
        "SOPInstanceUID": "1.2.3",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PhotometricInterpretation": "MONOCHROME1",
    }
    found = written(path, [np.zeros((4, 6), "u2")], template)
    for keyword, value in template.items():
        assert found[keyword].value == value
    assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert "StudyInstanceUID" in found


@pytest.mark.parametrize("kind", ["dict", "Dataset", "path", "str", "FileDataset"])
def test_kinds_of_templates(tmp_path, path, kind):
    source = native_object(tmp_path / "in.dcm", noise(2, 4, 6))
    dataset = pydicom.dcmread(source)
    template = {
        "dict": {"PatientID": "before", "SOPInstanceUID": "1.2.3.4"},
        "Dataset": pydicom.Dataset(dataset),
        "FileDataset": dataset,
        "path": source,
        "str": str(source),
    }[kind]
    frames = noise(3, 4, 6, seed=9)
    found = written(path, frames, template)
    assert (found.PatientID, found.SOPInstanceUID) == ("before", "1.2.3.4")
    assert np.array_equal(found.pixel_array, frames)
    assert dataset.NumberOfFrames == 2  # a template is not changed
    assert len(dataset.PixelData) == 48


def test_a_template_whose_pixels_are_ignored_for_good(tmp_path, path):
    """Another size of file than frames: only what it says of pixels counts, and it says 4 x 6."""
    source = native_object(tmp_path / "in.dcm", noise(1, 4, 6))
    with pytest.raises(PixelError, match="Rows is 4 in the template, 5 in the frame"):
        written(path, noise(1, 5, 6), source)


# --- arrays and buffers ---


@pytest.mark.parametrize("kind", [">u2", ">i2", ">u4", ">f4", ">f8", "<u2"])
@pytest.mark.parametrize("form", ["plain", "strided", "Fortran", "reversed", "broadcast"])
def test_forms_of_arrays(path, kind, form):
    base = np.random.default_rng(2).integers(0, 1000, (3, 8, 10)).astype(kind)
    frames = {
        "plain": base,
        "strided": base[:, ::2, ::3],
        "Fortran": np.asfortranarray(base),
        "reversed": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[0], (3, 8, 10)),
    }[form]
    with FrameWriter(path, {}) as writer:
        writer.write(frames[0])
        writer.write(frames[1:])
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("count", [1, 3])
def test_plain_bytes(path, make, count):
    template = {"Rows": 4, "Columns": 6, "BitsAllocated": 16}
    frames = np.arange(count * 24, dtype="<u2").reshape(count, 4, 6)
    found = written(path, [make(frames.tobytes())], template)
    assert np.array_equal(found.pixel_array.reshape(frames.shape), frames)


def test_a_buffer_may_be_used_again_at_once(path):
    """A camera has one buffer, and fills it anew."""
    frames = noise(40, 300, 300)
    for options in ({}, {"workers": 3}, {"transfer_syntax": "RLELossless", "workers": 3}):
        buffer = np.empty((300, 300), "u1")
        with FrameWriter(path, {}, **options) as writer:
            for frame in frames:
                buffer[:] = frame
                writer.write(buffer)
            buffer[:] = 0
        assert np.array_equal(np.asarray(FrameReader(path)), frames)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_floats(path, kind):
    frames = np.random.default_rng(4).normal(size=(3, 4, 6)).astype(kind)
    frames[0, 0, :3] = np.nan, np.inf, -0.0
    found = written(path, frames)
    keyword = "FloatPixelData" if kind == "f4" else "DoubleFloatPixelData"
    assert found[keyword].value == frames.tobytes()
    assert "PixelData" not in found
    assert "BitsStored" not in found
    assert "PixelRepresentation" not in found
    assert np.array_equal(found.pixel_array, frames, equal_nan=True)
    for syntax in ("RLELossless", CAPSULE, "DeflatedImageFrameCompression"):
        with pytest.raises((PixelError, UnsupportedError), match="Float"):
            written(path.parent / "other", frames, transfer_syntax=syntax)
    written(path, frames, transfer_syntax="DeflatedExplicitVRLittleEndian")
    assert np.array_equal(np.asarray(FrameReader(path)), frames, equal_nan=True)


@pytest.mark.parametrize("kind", ["bool", "u1", "packed"])
@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (1, 1), (7, 9), (2, 3)])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_one_bit_native(path, shape, kind, count):
    """Frames follow one another bit by bit (PS3.5 8.1.1): what pydicom reads, too."""
    frames = np.random.default_rng(5).integers(0, 2, (count, *shape), dtype="u1")
    template = {"BitsAllocated": 1, "BitsStored": 1, "Rows": shape[0], "Columns": shape[1]}
    given = [frame.astype(bool) if kind == "bool" else frame for frame in frames]
    if kind == "packed":
        given = [np.packbits(frame, bitorder="little").tobytes() for frame in frames]
    found = written(path, given, template)
    bits = np.packbits(frames.reshape(-1), bitorder="little").tobytes()
    assert found.PixelData == bits + b"\0" * (len(bits) % 2)
    assert np.array_equal(found.pixel_array.reshape(frames.shape), frames)
    reader = FrameReader(path)
    assert np.array_equal(np.asarray(reader), frames)
    assert reader.dtype == "u1"


@pytest.mark.parametrize("syntax", [CAPSULE, "DeflatedImageFrameCompression"])
@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (7, 9)])
def test_one_bit_encapsulated(path, syntax, shape):
    """Each frame begins with a byte of its own; back to native the bits close up again."""
    frames = np.random.default_rng(5).integers(0, 2, (9, *shape), dtype="u1")
    written(path, frames.astype(bool), transfer_syntax=syntax)
    assert np.array_equal(np.asarray(FrameReader(path)), frames)
    transcode(path, path.parent / "native.dcm", "ExplicitVRLittleEndian")
    found = pydicom.dcmread(path.parent / "native.dcm")
    assert np.array_equal(found.pixel_array, frames)


# --- write_from ---


class Pipe:
    """A file that gives what it has, as pipes do."""

    def __init__(self, data, step):
        self.file, self.step = io.BytesIO(data), step

    def read(self, size):
        return self.file.read(min(size, self.step))


@pytest.mark.parametrize("rest", [0, 1, 4095])
def test_from_a_file_or_a_pipe(path, rest):
    frames = noise(6)
    data = frames.tobytes() + bytes(rest)
    for source in (io.BytesIO(data), Pipe(data, 1000), Pipe(data, 4096), Pipe(data, 5000)):
        path.unlink(missing_ok=True)
        if rest:
            with pytest.raises(PixelError) as caught, FrameWriter(path, PLAIN) as writer:
                writer.write_from(source)
            assert f"{rest} bytes of frame 6, which has 4096" in str(caught.value)
            assert caught.value.frame == 6
            assert not os.listdir(path.parent)
            continue
        with FrameWriter(path, PLAIN) as writer:
            assert writer.write_from(source) == 6
        assert np.array_equal(np.asarray(FrameReader(path)), frames)


def test_from_a_real_pipe(path):
    frames = noise(60)
    end, begin = os.pipe()

    def feed():
        with os.fdopen(begin, "wb") as file:
            file.write(frames.tobytes())

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(end, "rb", buffering=0) as file, FrameWriter(
        path, PLAIN, transfer_syntax="RLELossless"
    ) as writer:  # fmt: skip
        assert writer.write_from(file) == 60
    thread.join()
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


def test_from_a_file_without_knowing_the_size(path):
    with pytest.raises(PixelError, match="Rows"), FrameWriter(path, {}) as writer:
        writer.write_from(io.BytesIO(bytes(100)))


def test_from_iterables(path):
    frames = noise(9)
    with FrameWriter(path, {}) as writer:
        assert writer.write_from(frames[:3]) == 3
        assert writer.write_from(iter(frames[3:5])) == 2
        assert writer.write_from([frames[5:8], frames[8].tobytes()]) == 4
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


def test_from_a_reader(tmp_path, path):
    source = native_object(tmp_path / "in.dcm", noise(9))
    with FrameReader(source) as reader, FrameWriter(path, source) as writer:
        assert writer.write_from(reader[2:8:2]) == 3
    assert np.array_equal(np.asarray(FrameReader(path)), noise(9)[2:8:2])


# --- memory ---


@pytest.mark.parametrize("syntax", ["RLELossless", "ExplicitVRLittleEndian", CAPSULE])
def test_a_frame_that_does_not_fit_is_refused(path, syntax):
    with pytest.raises(LimitError) as caught:
        written(path, noise(1), transfer_syntax=syntax, max_memory=4000)
    assert "4096 raw" in str(caught.value)
    assert "max_memory is 4000" in str(caught.value)
    assert not os.listdir(path.parent)


def test_the_least_that_the_error_names_is_enough(path):
    with pytest.raises(LimitError) as caught:
        written(path, noise(1), transfer_syntax="RLELossless", max_memory=1)
    least = int(str(caught.value).split("one frame needs ")[1].split()[0])
    with pytest.raises(LimitError):
        written(path, noise(1), transfer_syntax="RLELossless", max_memory=least - 1)
    written(path, noise(3), transfer_syntax="RLELossless", max_memory=least)
    assert len(FrameReader(path)) == 3


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_slow_sink_holds_a_fast_producer_back(path, monkeypatch, workers):
    """Counted at the sink: how far the producer is ahead of what is written."""
    ahead, gate = [], threading.Event()
    append = output.Output.append

    def slow(self, frames):
        gate.wait(0.01)
        ahead.append(writer.frames - self.frames)
        append(self, frames)

    monkeypatch.setattr(output.Output, "append", slow)
    frame = noise(1, 600, 600)[0]
    with FrameWriter(path, {}, transfer_syntax="RLELossless", workers=workers) as writer:
        for _ in range(25):
            writer.write(frame)
    # `depth` in flight, and the one that is being given.
    assert max(ahead) <= workers + 1
    assert len(FrameReader(path)) == 25


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_memory_in_flight(path, workers):
    """By tracemalloc: never more than max_memory, and what the constant parts take."""
    import tracemalloc

    frame = noise(1, 1000, 1000)[0]
    limit = 5_000_000
    with FrameWriter(
        path, {}, transfer_syntax=CAPSULE, workers=workers, max_memory=limit
    ) as writer:  # fmt: skip
        writer.write(frame)
        tracemalloc.start()
        try:
            for _ in range(50):
                writer.write(frame)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < limit + 200_000


# --- native pixel data beyond 2^32-2 bytes ---


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"])
def test_too_long_for_a_native_length_up_front(path, syntax):
    frame = np.zeros((1024, 1024), "u1")
    with pytest.raises(LimitError) as caught, FrameWriter(
        path, {}, transfer_syntax=syntax, frames=4096
    ) as writer:  # fmt: skip
        writer.write(frame)
    for word in ("4294967296", "2^32-2", CAPSULE, "max_instance_bytes", "max_instance_frames"):
        assert word in str(caught.value)
    assert not os.listdir(path.parent)


def test_too_long_for_a_native_length_midway(path, monkeypatch):
    """The count is not known: the frame that is too many is refused, nothing stays."""
    from dicomloom.frames import instance

    monkeypatch.setattr(instance, "NATIVE_MOST", 10 * 4096)
    with pytest.raises(LimitError, match=r"45056 bytes exceed 2\^32-2"):
        written(path, noise(11), transfer_syntax="ExplicitVRLittleEndian")
    assert not os.listdir(path.parent)
    assert written(path, noise(10)).NumberOfFrames == 10


def test_too_long_for_a_native_length_when_transcoding(tmp_path, path, monkeypatch):
    written(tmp_path / "in.dcm", noise(11), transfer_syntax=CAPSULE)
    monkeypatch.setattr(output, "NATIVE_MOST", 10 * 4096)
    with pytest.raises(LimitError, match=CAPSULE):
        transcode(tmp_path / "in.dcm", path, "ExplicitVRLittleEndian")
    assert os.listdir(tmp_path) == ["in.dcm"]
