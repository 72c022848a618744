"""Make multi-frame objects to measure on, of any size, in constant memory.

    python make_frames.py big.dcm big                     # 300 frames of 1020 x 818 RGB, 751 MB
    python make_frames.py huge.dcm huge                   # 6 GiB of the same, encapsulated
    python make_frames.py small.dcm big --frames 10
    python make_frames.py slow.dcm many-rle --table none

The header is built by pydicom, frames are drawn one at a time. The same --seed gives the same
frames; the first samples of each frame hold its number (see `stamp`), so none equals another.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.pixels import get_encoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RLELossless,
    generate_uid,
)

from pictures import KINDS, Picture, Pictures

UNCOMPRESSED = "1.2.840.10008.1.2.1.98"  # encapsulated; pydicom has no name for it
SYNTAXES = {"native": ExplicitVRLittleEndian, "uncompressed": UNCOMPRESSED, "rle": RLELossless}
TABLES = ("extended", "basic", "none")
MOST_NATIVE = 2**32 - 2
STAMPED_BITS = 24
FLUSH_BYTES = 1 << 20


@dataclass(frozen=True)
class Spec:
    """An object to make.

    Attributes
    ----------
    kind : str
        What is seen: one of `pictures.KINDS`.
    frames, rows, columns : int
    syntax : str
        One of `SYNTAXES`.
    distinct : int
        How many pictures are drawn, and then repeated; 0 draws each frame anew. They are held in
        memory.
    table : str
        One of `TABLES`, where the frames are encapsulated.
    seed : int
    """

    kind: str
    frames: int
    rows: int
    columns: int
    syntax: str = "native"
    distinct: int = 0
    table: str = "extended"
    seed: int = 0

    @property
    def frame_bytes(self) -> int:
        _, samples, bits = KINDS[self.kind]
        return self.rows * self.columns * samples * (2 if bits > 8 else 1)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of all frames as native pixel data."""
        return self.frames * self.frame_bytes


SPECS = {
    "big": Spec("photo", 300, 1020, 818),
    "huge": Spec("photo", 2574, 1020, 818, "uncompressed", distinct=30),
    "million": Spec("gray", 1_000_000, 64, 64, distinct=1024),
    "many": Spec("ct", 10_000, 128, 128, distinct=256),
    "many-rle": Spec("ct", 10_000, 128, 128, "rle", distinct=256),
    "ct": Spec("ct", 300, 512, 512),
    "ultrasound": Spec("ultrasound", 100, 768, 1024),
    "empty": Spec("empty", 300, 512, 512),
    "noise": Spec("noise", 100, 512, 512),
}


def stamp(frame: Picture, number: int, bits: int) -> None:
    """Write a frame's number into its first samples, lowest bits first, `bits` at most in each."""
    flat = frame.reshape(-1)
    for i in range(-(-STAMPED_BITS // bits)):
        flat[i] = number >> (i * bits) & ((1 << bits) - 1)


def frames(spec: Spec) -> Iterator[Picture]:
    """Draw all frames of an object; each is valid until the next is asked for."""
    pictures = Pictures(spec.kind, spec.rows, spec.columns, spec.seed)
    held: list[Picture] = []
    for i in range(spec.frames):
        if spec.distinct and i >= spec.distinct:
            frame = held[i % spec.distinct]
        else:
            frame = pictures.frame(i)
            if spec.distinct:
                held.append(frame)
        stamp(frame, i, pictures.bits_stored)
        yield frame


def frame_at(spec: Spec, number: int) -> Picture:
    """Draw one frame of an object, as `frames` does."""
    pictures = Pictures(spec.kind, spec.rows, spec.columns, spec.seed)
    frame = pictures.frame(number % spec.distinct if spec.distinct else number)
    stamp(frame, number, pictures.bits_stored)
    return frame


def _sop_class(samples: int, bits: int) -> str:
    if samples == 3:
        return MultiFrameTrueColorSecondaryCaptureImageStorage
    if bits > 8:
        return MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    return MultiFrameGrayscaleByteSecondaryCaptureImageStorage


def data_set(spec: Spec) -> Dataset:
    """Return the data set of an object, all but its pixels (PS3.3 A.8.3 to A.8.5)."""
    _, samples, bits = KINDS[spec.kind]

    def uid(what: str) -> str:
        return generate_uid(entropy_srcs=[repr(spec), what])

    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = _sop_class(samples, bits)
    ds.SOPInstanceUID = uid("instance")
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20240102"
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101112"
    ds.AccessionNumber = "A0000001"
    ds.Modality = "OT"
    ds.ConversionType = "DI" if samples == 3 else "WSD"
    ds.Manufacturer = "dicomloom benchmarks"
    ds.ReferringPhysicianName = "REFERRING^PHYSICIAN"
    ds.PatientName = "FAMILY^GIVEN"
    ds.PatientID = "P0000001"
    ds.PatientBirthDate = "19500102"
    ds.PatientSex = "O"
    ds.FrameTime = "40"
    ds.StudyInstanceUID = uid("study")
    ds.SeriesInstanceUID = uid("series")
    ds.StudyID = "1"
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Laterality = ds.PatientOrientation = None
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        ds.PlanarConfiguration = 0
    ds.NumberOfFrames = spec.frames
    ds.FrameIncrementPointer = 0x00181063  # FrameTime
    ds.Rows, ds.Columns = spec.rows, spec.columns
    ds.BitsAllocated = 16 if bits > 8 else 8
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = 0
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    if samples == 1:
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.PresentationLUTShape = "IDENTITY"
    return ds


def _header(spec: Spec) -> bytes:
    ds = data_set(spec)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = SYNTAXES[spec.syntax]
    ds.file_meta = meta
    into = io.BytesIO()
    dcmwrite(into, ds, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return into.getvalue()


def _element(element: int, vr: bytes, length: int) -> bytes:
    """Return the head of an element of group 7FE0 with a length of 32 bits."""
    return struct.pack("<HH2sHI", 0x7FE0, element, vr, 0, length)


def _item(length: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, length)


def _coder(spec: Spec) -> Callable[[Picture], bytes]:
    """Return what makes the bitstream of a frame; RLE is fast where pylibjpeg-rle is installed."""
    if spec.syntax != "rle":
        return np.ndarray.tobytes
    encoder = get_encoder(RLELossless)
    plugins = encoder.available_plugins
    _, samples, bits = KINDS[spec.kind]
    options = {
        "rows": spec.rows,
        "columns": spec.columns,
        "samples_per_pixel": samples,
        "bits_allocated": 16 if bits > 8 else 8,
        "bits_stored": bits,
        "pixel_representation": 0,
        "photometric_interpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "planar_configuration": 0,
        "number_of_frames": 1,
        "encoding_plugin": "pylibjpeg" if "pylibjpeg" in plugins else plugins[0],
    }
    return lambda frame: encoder.encode(frame, **options)


class Tables:
    """The offset tables of encapsulated frames: room is left for them, and filled at the end."""

    def __init__(self, out: BinaryIO, kind: str, count: int) -> None:
        self._out, self._kind = out, kind
        self._offsets, self._lengths = array("Q"), array("Q")
        if kind == "extended":
            self._where = []
            for element in (1, 2):
                out.write(_element(element, b"OV", 8 * count))
                self._where.append(out.tell())
                out.write(bytes(8 * count))
        out.write(_element(0x10, b"OB", 0xFFFFFFFF))
        out.write(_item(4 * count if kind == "basic" else 0))
        if kind == "basic":
            self._where = [out.tell()]
            out.write(bytes(4 * count))
        self._first = out.tell()

    def add(self, length: int) -> None:
        """Note a frame whose item begins here."""
        self._offsets.append(self._out.tell() - self._first)
        self._lengths.append(length)

    def fill(self) -> None:
        """Write the tables into the room that was left for them."""
        if self._kind == "none":
            return
        if self._kind == "basic" and self._offsets[-1] >= 2**32:
            raise OverflowError("frames lie behind 4 GiB: a basic offset table cannot say where")
        width = "<u8" if self._kind == "extended" else "<u4"
        # zip: a basic table has room for offsets only.
        for where, values in zip(self._where, (self._offsets, self._lengths), strict=False):
            self._out.seek(where)
            self._out.write(np.array(values).astype(width).tobytes())


def _write_native(out: BinaryIO, spec: Spec) -> None:
    if spec.pixel_bytes > MOST_NATIVE:
        raise OverflowError(
            f"{spec.pixel_bytes:,} bytes of native pixel data are more than {MOST_NATIVE:,}: "
            "take --syntax uncompressed or rle"
        )
    _, _, bits = KINDS[spec.kind]
    padding = spec.pixel_bytes % 2
    out.write(_element(0x10, b"OW" if bits > 8 else b"OB", spec.pixel_bytes + padding))
    for frame in frames(spec):
        out.write(frame)
    out.write(bytes(padding))


def _write_encapsulated(out: BinaryIO, spec: Spec) -> None:
    code = _coder(spec)
    tables = Tables(out, spec.table, spec.frames)
    for frame in frames(spec):
        coded = code(frame)
        tables.add(len(coded))
        padding = len(coded) % 2
        out.write(_item(len(coded) + padding))
        out.write(coded)
        out.write(bytes(padding))
    out.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    tables.fill()


def make_frames(path: Path, spec: Spec) -> Spec:
    """Write an object; holds a frame, the distinct pictures, and 16 bytes a frame for the tables.

    Raises
    ------
    OverflowError
        Native pixel data, or a basic offset table, would not fit.
    """
    with path.open("wb", buffering=FLUSH_BYTES) as out:
        out.write(_header(spec))
        (_write_native if spec.syntax == "native" else _write_encapsulated)(out, spec)
    return spec


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", type=Path, help="the file to write")
    parser.add_argument("spec", choices=SPECS, help="what to make; the options change it")
    parser.add_argument("--kind", choices=KINDS, help="what is seen")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--columns", type=int)
    parser.add_argument("--syntax", choices=SYNTAXES)
    parser.add_argument("--distinct", type=int, help="pictures drawn, then repeated; 0: all")
    parser.add_argument("--table", choices=TABLES, help="of encapsulated frames (extended)")
    parser.add_argument("--seed", type=int)
    args = vars(parser.parse_args(arguments))
    path, spec = args.pop("path"), SPECS[args.pop("spec")]
    try:
        make_frames(path, replace(spec, **{k: v for k, v in args.items() if v is not None}))
    except OverflowError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
