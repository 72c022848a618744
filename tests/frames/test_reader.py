"""FrameReader as a sequence, for numpy and dask, from many threads, from any source."""

from __future__ import annotations

import io
import threading

import numpy as np
import pydicom
import pytest

from dicomloom import FrameReader, FrameWriter, NotDicomError, ReadError, transcode
from faults import native_object, noise
from support import peer_module

FRAMES = noise(12, 10, 14).reshape(12, 10, 14)


@pytest.fixture(params=["ExplicitVRLittleEndian", "RLELossless", "DeflatedExplicitVRLittleEndian"])
def path(request, tmp_path):
    made = tmp_path / "in.dcm"
    with FrameWriter(made, {"PatientID": "reader"}, transfer_syntax=request.param) as writer:
        writer.write(FRAMES)
    return made


def test_it_is_a_sequence_of_arrays(path):
    with FrameReader(path) as reader:
        assert (len(reader), reader.shape, reader.ndim) == (12, (12, 10, 14), 3)
        assert reader.dtype == np.uint8
        assert np.array_equal(reader[3], FRAMES[3])
        assert np.array_equal(reader[np.int64(-1)], FRAMES[-1])
        assert np.array_equal(np.stack(list(reader)), FRAMES)
        assert reader[0].flags.writeable
        assert reader.dataset.PatientID == "reader"
        for wrong in (12, -13):
            with pytest.raises(IndexError, match="12 frames"):
                reader[wrong]


def test_slices_are_views_that_read_when_asked(path):
    reader = FrameReader(path)
    view = reader[2:11:3]
    assert (len(view), view.shape) == (3, (3, 10, 14))
    assert np.array_equal(view[1], FRAMES[5])
    assert np.array_equal(np.asarray(view[::-1]), FRAMES[2:11:3][::-1])
    assert np.array_equal(np.asarray(reader, dtype="f4"), FRAMES.astype("f4"))


@pytest.mark.parametrize(
    "index",
    [
        (slice(1, 5), slice(2, 4)),
        (3, slice(None), 5),
        (slice(None, None, 5), 1, slice(3, 9, 2)),
        (Ellipsis, 2),
        (-1,),
    ],
)
def test_tuples_index_as_numpy_does(path, index):
    assert np.array_equal(FrameReader(path)[index], FRAMES[index])


def test_dask_takes_it_as_it_is(path):
    array = peer_module("dask.array").from_array(FrameReader(path))
    assert array.shape == FRAMES.shape
    assert np.array_equal(array.compute(), FRAMES)
    assert np.array_equal(array[4:9, 2:].compute(), FRAMES[4:9, 2:])


def test_many_threads_at_once(path):
    reader, wrong = FrameReader(path), []

    def read(seed):
        picked = np.random.default_rng(seed).integers(0, 12, 100)
        wrong.extend(i for i in picked if not np.array_equal(reader[i], FRAMES[i]))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_any_source(path):
    data = path.read_bytes()
    for source in (str(path), data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert np.array_equal(np.asarray(FrameReader(source)), FRAMES)
    with path.open("rb") as file:
        reader = FrameReader(file)
        assert np.array_equal(reader[7], FRAMES[7])
        reader.close()
        assert not file.closed


def test_offsets_lead_to_the_frames(tmp_path):
    made = native_object(tmp_path / "native.dcm", FRAMES)
    data = made.read_bytes()
    offsets = FrameReader(made).offsets
    assert offsets.dtype == np.uint64
    for i, offset in enumerate(offsets):
        assert data[int(offset) : int(offset) + 140] == FRAMES[i].tobytes()


def test_what_has_no_pixels(tmp_path):
    from pydicom.data import get_testdata_file

    with pytest.raises(NotDicomError, match="no pixel data"):
        FrameReader(get_testdata_file("rtplan.dcm"))
    with pytest.raises(ReadError, match="No such file"):
        FrameReader(tmp_path / "nowhere.dcm")


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_bits_stored_are_no_part_of_a_sample(tmp_path, signed):
    kind = "i2" if signed else "u2"
    values = noise(2, 6, 6).astype(kind)
    stored = (values & 0xFFF).astype("u2") | np.uint16(0x5000)
    made = native_object(tmp_path / "in.dcm", stored.view(kind), BitsStored=12, HighBit=11)
    expected = pydicom.dcmread(made).pixel_array
    assert np.array_equal(np.asarray(FrameReader(made)), expected)
    for syntax in (
        "EncapsulatedUncompressedExplicitVRLittleEndian",
        "DeflatedImageFrameCompression",
        "RLELossless",
    ):
        transcode(made, tmp_path / "out.dcm", syntax)
        assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), expected)
