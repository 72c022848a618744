"""Data sets with a place in the patient, made for tests."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def dataset(**attributes) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def image(position=(0, 0, 0), orientation=(1, 0, 0, 0, 1, 0), *, pixel=None, **attributes):
    """A CT image of 4 x 5 pixels, all of them `pixel`."""
    made = dataset(SOPClassUID=CT, Modality="CT", SeriesInstanceUID="1.2.3", Rows=4, Columns=5)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.FrameOfReferenceUID = "1.2.4"
    made.ImagePositionPatient = [f"{x:.10g}" for x in position]
    made.ImageOrientationPatient = [f"{x:.10g}" for x in orientation]
    made.PixelSpacing = [0.5, 0.7]
    made.SOPInstanceUID = f"1.2.5.{zlib.crc32(repr(position).encode())}"
    if pixel is not None:
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation = 15, 1
        made.PixelData = np.full((4, 5), pixel, "<i2").tobytes()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def save(made: Dataset, path):
    made.save_as(path, enforce_file_format=True)
    return path


def enhanced(positions, orientation=(1, 0, 0, 0, 1, 0), *, frames=(), **attributes) -> Dataset:
    """An enhanced CT; `frames` are functional groups to add to each frame's."""
    made = image(**attributes)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(made, keyword)
    made.SOPClassUID, made.NumberOfFrames = ENHANCED_CT, len(positions)
    measures = dataset(PixelSpacing=[0.5, 0.7], SliceThickness=2)
    plane = dataset(ImageOrientationPatient=list(orientation))
    shared = dataset(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[plane])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for i, position in enumerate(positions):
        place = dataset(ImagePositionPatient=[float(x) for x in position])
        more = frames[i] if frames else {}
        groups.append(dataset(PlanePositionSequence=[place], **more))
    made.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return made


@st.composite
def rotations(draw) -> np.ndarray:
    """Right-handed orthonormal matrices, from unit quaternions; its rows are directions."""
    w, x, y, z = (draw(st.floats(-1, 1, width=32)) for _ in range(4))
    length = np.sqrt(w * w + x * x + y * y + z * z)
    if length < 1e-3:
        return np.eye(3)
    w, x, y, z = (part / length for part in (w, x, y, z))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
