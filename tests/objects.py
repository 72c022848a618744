"""Whole objects to read and write, and other people's programs over them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from images import layout
from support import peer

# What codecs differ in: depth, sign, color.
LAYOUTS = {
    "8": layout(8),
    "12": layout(12),
    "16": layout(16),
    "8 signed": layout(8, signed=True),
    "12 signed": layout(12, signed=True),
    "16 signed": layout(16, signed=True),
    "RGB": layout(8, color=True),
}

UID = "1.2.3.4"
# PS3.3 A.8.3 to A.8.5: multi-frame, by samples and bits.
_SECONDARY_CAPTURE = {
    (1, 8): "1.2.840.10008.5.1.4.1.1.7.2",
    (1, 16): "1.2.840.10008.5.1.4.1.1.7.3",
    (3, 8): "1.2.840.10008.5.1.4.1.1.7.4",
}


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a peer that has to succeed."""
    command = [peer(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-500:])
    return done


def image_object(of, frames, **attributes) -> pydicom.Dataset:
    """A native object with these frames, which are arrays of the layout."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = _SECONDARY_CAPTURE[of.samples, of.bits_allocated], UID
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    made.Modality, made.ConversionType = "OT", "WSD"
    made.PatientName = made.PatientID = made.PatientBirthDate = made.PatientSex = ""
    made.StudyID = made.StudyDate = made.StudyTime = made.AccessionNumber = ""
    made.ReferringPhysicianName = made.PatientOrientation = ""
    made.SeriesNumber, made.InstanceNumber = 1, 1
    made.Rows, made.Columns, made.SamplesPerPixel = of.rows, of.columns, of.samples
    made.BitsAllocated, made.BitsStored = of.bits_allocated, of.bits_stored
    made.HighBit, made.PixelRepresentation = of.bits_stored - 1, int(of.signed)
    made.PhotometricInterpretation = of.photometric
    if of.samples > 1:
        made.PlanarConfiguration = 0
    made.NumberOfFrames = len(frames)
    data = b"".join(frame.tobytes() for frame in frames)
    made.PixelData = data + bytes(len(data) % 2)
    made["PixelData"].VR = "OB" if of.bits_allocated <= 8 else "OW"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def save(data_set: pydicom.Dataset, path: Path) -> Path:
    data_set.save_as(path, enforce_file_format=True)
    return path


def frames_of(path: Path, count: int, **options) -> np.ndarray:
    """All frames as pydicom decodes them, as they are stored unless asked otherwise."""
    pixels = pixel_array(path, **{"raw": True, **options})
    return pixels if count > 1 else pixels[None]


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The greatest difference of two samples."""
    assert ours.shape == theirs.shape
    if np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        return 0
    return float(np.abs(ours.astype(np.float64) - theirs).max())
