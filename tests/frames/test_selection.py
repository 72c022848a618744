"""Some frames of an object: what belongs to a frame goes with it."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, Sequence

from dicomloom import FrameError, FrameReader, transcode
from faults import native_object, noise

FRAMES = noise(6, 8, 8)


def group(number):
    made, content = Dataset(), Dataset()
    content.FrameComments = f"frame {number}"
    made.FrameContentSequence = Sequence([content])
    return made


@pytest.fixture
def source(tmp_path):
    return native_object(
        tmp_path / "in.dcm",
        FRAMES,
        PerFrameFunctionalGroupsSequence=Sequence([group(i) for i in range(6)]),
        FrameTimeVector=[0, 10, 20, 30, 40, 50],
        DetectorVector=[1, 1, 2, 2, 3, 3],
        FrameLabelVector=["a", "b", "c", "d", "e", "f"],
        ImageType=["ORIGINAL", "PRIMARY"],
    )


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless", "JPEGLSLossless"])
@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        (slice(0, 6, 2), [0, 2, 4]),
        (slice(-2, None), [4, 5]),
        ([5, 1, 1], [5, 1, 1]),
        (slice(None), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_belongs_to_frames_is_chosen_with_them(tmp_path, source, syntax, chosen, kept):
    out = tmp_path / "out.dcm"
    assert transcode(source, out, syntax, frames=chosen).frames == len(kept)
    before, found = pydicom.dcmread(source), pydicom.dcmread(out)
    assert np.array_equal(np.asarray(FrameReader(out)), FRAMES[kept])
    assert found.NumberOfFrames == len(kept)
    assert list(found.PerFrameFunctionalGroupsSequence) == [group(i) for i in kept]
    assert list(found.DetectorVector) == [before.DetectorVector[i] for i in kept]
    assert list(found.FrameLabelVector) == [before.FrameLabelVector[i] for i in kept]
    times = np.cumsum([float(step) for step in before.FrameTimeVector])[kept]
    expected = [0.0, *np.diff(times)] if kept != [0, 1, 2, 3, 4, 5] else [0, 10, 20, 30, 40, 50]
    assert [float(step) for step in found.FrameTimeVector] == expected
    derived = kept != [0, 1, 2, 3, 4, 5]
    assert (found.SOPInstanceUID != before.SOPInstanceUID) == derived
    assert found.ImageType[0] == ("DERIVED" if derived else "ORIGINAL")
    assert ("DerivationDescription" in found) == derived


def test_no_frame_or_none_of_the_object(tmp_path, source):
    with pytest.raises(FrameError, match="no frame is chosen of 6"):
        transcode(source, tmp_path / "out.dcm", "RLELossless", frames=slice(6, 9))
    with pytest.raises(FrameError, match="frame 6 of an object with 6 frames"):
        transcode(source, tmp_path / "out.dcm", "RLELossless", frames=[6])
    assert not (tmp_path / "out.dcm").exists()
