"""An object in several instances, and back (PS3.3 C.7.6.16.2.2.4)."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, Sequence

from dicomloom import FrameReader, FrameWriter, LimitError, PixelError, transcode
from faults import noise
from support import peer

FRAMES = noise(10, 16, 12)
MF_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def group(number: int) -> Dataset:
    content, made = Dataset(), Dataset()
    content.DimensionIndexValues = [number, number + 100]
    content.StackID = "x" * (number % 3 + 1)
    made.FrameContentSequence = Sequence([content])
    return made


@pytest.fixture
def template() -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = MF_MR, "1.2.3"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    made.PatientID = "in parts"
    made.PerFrameFunctionalGroupsSequence = Sequence([group(i) for i in range(10)])
    made.add_new(0x00540080, "US", list(range(1, 11)))  # SliceVector
    return made


def parts_of(folder):
    return sorted(folder.glob("out-*.dcm"), key=lambda p: int(p.stem.split("-")[1]))


@pytest.mark.parametrize(
    "syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "RLELossless"]
)
@pytest.mark.parametrize("frames", [None, 10])
def test_instances_by_frames(tmp_path, template, syntax, frames):
    with FrameWriter(
        tmp_path / "out.dcm", template, transfer_syntax=syntax, frames=frames, max_instance_frames=4
    ) as writer:
        writer.write(FRAMES)
    parts = parts_of(tmp_path)
    assert [p.name for p in parts] == ["out-1.dcm", "out-2.dcm", "out-3.dcm"]
    assert not list(tmp_path.glob("*.partial"))
    sets = [pydicom.dcmread(part) for part in parts]
    at = 0
    for number, (part, dataset) in enumerate(zip(parts, sets, strict=True), 1):
        count = int(dataset.NumberOfFrames)
        assert dataset.InConcatenationNumber == number
        assert dataset.ConcatenationFrameOffsetNumber == at
        assert dataset.SOPInstanceUIDOfConcatenationSource == "1.2.3"
        assert dataset.get("InConcatenationTotalNumber") == (None if frames is None else 3)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        groups = dataset.PerFrameFunctionalGroupsSequence
        assert list(groups) == [group(i) for i in range(at, at + count)]
        assert dataset[0x00540080].value == list(range(at + 1, at + count + 1))
        pixels = dataset.pixel_array.reshape(count, 16, 12)
        assert np.array_equal(pixels, FRAMES[at : at + count])
        at += count
        import subprocess

        shown = subprocess.run([peer("dcmdump"), part], capture_output=True, check=True)
        assert not shown.stderr
    assert at == 10
    assert len({d.SOPInstanceUID for d in sets} | {"1.2.3"}) == 4
    assert len({d.ConcatenationUID for d in sets}) == 1
    assert np.array_equal(np.asarray(FrameReader([str(p) for p in reversed(parts)])), FRAMES)


def test_instances_by_bytes(tmp_path, template):
    source = tmp_path / "whole.dcm"
    with FrameWriter(source, template) as writer:
        writer.write(FRAMES)
    most = 3000
    report = transcode(source, tmp_path / "out.dcm", "RLELossless", max_instance_bytes=most)
    parts = parts_of(tmp_path)
    assert [str(p) for p in parts] == report.targets
    assert len(parts) > 2
    assert all(p.stat().st_size <= most for p in parts)
    reader = FrameReader(parts)
    assert np.array_equal(np.asarray(reader), FRAMES)
    assert np.array_equal(reader[-1], FRAMES[9])
    assert len(reader.offsets) == 10


@pytest.mark.parametrize("table", ["extended", "basic", "empty"])
@pytest.mark.parametrize("frames", [None, 10])
def test_each_instance_has_a_table_of_its_own(tmp_path, template, table, frames):
    template.FrameTimeVector = [0, *range(1, 10)]
    with FrameWriter(
        tmp_path / "out.dcm", template, transfer_syntax="RLELossless",
        frames=frames, max_instance_frames=3, offset_table=table,
    ) as writer:  # fmt: skip
        writer.write(FRAMES)
    at = 0
    for part in parts_of(tmp_path):
        made = pydicom.dcmread(part)
        count = int(made.NumberOfFrames)
        assert FrameReader(part).offset_table == {"empty": "walked"}.get(table, table)
        assert np.array_equal(made.pixel_array.reshape(count, 16, 12), FRAMES[at : at + count])
        # Increments within the instance: the first frame of each has none (PS3.3 C.7.6.5.1.2).
        steps = [0, *range(at + 1, at + count)]
        assert [float(step) for step in np.atleast_1d(made.FrameTimeVector)] == steps
        if table == "extended":
            assert (
                len(made.ExtendedOffsetTable) == len(made.ExtendedOffsetTableLengths) == 8 * count
            )
        at += count
    assert at == 10
    assert np.array_equal(np.asarray(FrameReader(parts_of(tmp_path)[::-1])), FRAMES)


def test_lossy_instances_say_so_each(tmp_path, template):
    pytest.importorskip("imagecodecs")
    smooth = np.add.outer(np.arange(10), np.add.outer(np.arange(16) * 4, np.arange(12) * 3))
    with FrameWriter(
        tmp_path / "out.dcm", template,
        transfer_syntax="JPEGBaseline8Bit", quality=90, max_instance_frames=4,
    ) as writer:  # fmt: skip
        writer.write(smooth.astype("u1"))
    made = [pydicom.dcmread(part) for part in parts_of(tmp_path)]
    assert [part.LossyImageCompression for part in made] == ["01"] * 3
    assert all(float(part.LossyImageCompressionRatio) > 0 for part in made)
    assert len({part.SOPInstanceUID for part in made}) == 3
    # The lossy object is not the one that the template was.
    assert {part.SOPInstanceUIDOfConcatenationSource for part in made} != {"1.2.3"}
    read = np.asarray(FrameReader(parts_of(tmp_path)))
    assert np.abs(read.astype(int) - smooth).max() < 12


def test_a_frame_that_no_instance_holds(tmp_path, template):
    with (
        pytest.raises(LimitError, match="max_instance_bytes is 200"),
        FrameWriter(tmp_path / "out.dcm", template, max_instance_bytes=200) as writer,
    ):
        writer.write(FRAMES)
    assert not list(tmp_path.iterdir())


def test_instances_that_are_missing_twice_there_or_others(tmp_path, template):
    for name in ("out", "other"):
        with FrameWriter(tmp_path / f"{name}.dcm", template, max_instance_frames=4) as writer:
            writer.write(FRAMES)
    one, two, three = parts_of(tmp_path)
    with pytest.raises(PixelError, match="frames 4 to 7 of the concatenation are missing"):
        FrameReader([one, three])
    with pytest.raises(PixelError, match="there twice"):
        FrameReader([one, two, two, three])
    with pytest.raises(PixelError, match="not one concatenation"):
        FrameReader([one, tmp_path / "other-2.dcm", three])
