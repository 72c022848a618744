"""What the tests of hard faults share: small disks, children, objects, what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian

from dicomloom import FrameWriter

SYNTAXES = [
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
    "RLELossless",
    "JPEGBaseline8Bit",
]
TEMPLATE = {"PatientID": "after"}
OLD = b"what stood here before" * 1000


def noise(count: int, rows: int = 64, columns: int = 64, seed: int = 1) -> np.ndarray:
    """Frames that nothing compresses."""
    shape = (count, rows, columns)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def native_object(path: Path, frames: np.ndarray, **attributes: object) -> Path:
    """Write frames as pydicom writes them: a source that owes nothing to us."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.2"
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientID = "before"
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape[:3]
    dataset.BitsAllocated = dataset.BitsStored = 8 * frames.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(frames.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    data = frames.astype(frames.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if frames.itemsize > 1 else "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


def sparse_object(
    path: Path, count: int, rows: int, columns: int, *, bits: int = 8, **attributes: object
) -> Path:
    """A native object whose pixels take no room: zeros that are not on the disk."""
    frame = np.zeros((1, rows, columns), f"u{bits // 8}")
    native_object(path, frame, NumberOfFrames=count, **attributes)
    data = path.read_bytes()
    size = rows * columns * bits // 8
    assert size % 2 == 0
    at = len(data) - size
    data = data[: at - 4]
    with path.open("wb") as file:
        file.write(data + (count * size).to_bytes(4, "little"))
        file.truncate(at + count * size)
    return path


def unfinished(folder: Path) -> list[str]:
    """Names that a writer leaves only where it is killed."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".partial"))


def frame_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dicomloom-frames"]


def child(script: str, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run lines in another process."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, **{"timeout": 30, **options}
    )


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run `dicomloom`."""
    return subprocess.run(
        [sys.executable, "-m", "dicomloom", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120,
        **{"text": True, **options},
    )  # fmt: skip


def untouched(path: Path) -> bool:
    return path.read_bytes() == OLD and not unfinished(path.parent)


def write_all(path: Path, pixels: np.ndarray, syntax: str, **options: object) -> None:
    with FrameWriter(path, TEMPLATE, transfer_syntax=syntax, **options) as writer:
        for frame in pixels:
            writer.write(frame)
