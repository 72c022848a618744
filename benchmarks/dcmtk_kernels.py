"""What DCMTK's coders cost a frame: whole programs on an object of many such frames.

Processor seconds of dcmcjpeg, dcmdjpeg, dcmcjpls or dcmdjpls, less those that dcmconv takes to copy
the object uncompressed: starting, parsing, reading and writing are all in the latter.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from kernels import Image

DCMTK = "DCMTK"
COPY = ("dcmconv",)
PROGRAMS = {
    "JPEGLosslessSV1": (("dcmcjpeg", "+e1"), ("dcmdjpeg",)),
    "JPEGLSLossless": (("dcmcjpls",), ("dcmdjpls",)),
}
OBJECT_BYTES = 48_000_000  # at least: what is taken off shall be small
ROUNDS = 3


class Costs(NamedTuple):
    """Seconds for all frames of an image, and what was coded."""

    code: float
    decode: float
    coded: list[bytes]


def have(syntax: str) -> bool:
    return all(shutil.which(command[0]) for command in (COPY, *PROGRAMS.get(syntax, ((),))))


def version() -> str:
    said = subprocess.run([COPY[0], "--version"], capture_output=True, text=True, check=False)
    return said.stdout.split(" v", 1)[-1].split(" ", 1)[0]


def costs(image: Image, syntax: str) -> Costs:
    """Code and decode; DCMTK decodes what it coded.

    Raises
    ------
    ValueError
        A program failed, or frames came back otherwise.
    """
    there = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=there if there.is_dir() else None) as name:
        folder = Path(name)
        native, coded, back = (folder / each for each in ("native", "coded", "back"))
        many = max(len(image.frames), -(-OBJECT_BYTES // len(image.frames[0])))
        frames = list(itertools.islice(itertools.cycle(image.frames), many))
        _write(native, image, frames)
        code, decode = PROGRAMS[syntax]
        jobs = {COPY: (native, back), code: (native, coded), decode: (coded, back)}
        taken: dict[tuple[str, ...], list[float]] = {command: [] for command in jobs}
        for _ in range(ROUNDS):
            for command, (source, out) in jobs.items():
                taken[command].append(_seconds([*command, str(source), str(out)]))
        if dcmread(back).PixelData[: sum(map(len, frames))] != b"".join(frames):
            raise ValueError("DCMTK gives other pixels back")
        streams = generate_frames(dcmread(coded).PixelData, number_of_frames=many)
        share = len(image.frames) / many
        off = statistics.median(taken[COPY])
        return Costs(
            (statistics.median(taken[code]) - off) * share,
            (statistics.median(taken[decode]) - off) * share,
            list(itertools.islice(streams, len(image.frames))),
        )


def _write(path: Path, image: Image, frames: list[bytes]) -> None:
    at = image.layout
    ds = Dataset()
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[image.name])
    ds.SamplesPerPixel = at.samples
    ds.PhotometricInterpretation = at.photometric
    if at.samples == 3:
        ds.PlanarConfiguration = 0
    ds.NumberOfFrames = len(frames)
    ds.Rows, ds.Columns = at.rows, at.columns
    ds.BitsAllocated = at.bits_allocated
    ds.BitsStored, ds.HighBit = at.bits_stored, at.bits_stored - 1
    ds.PixelRepresentation = int(at.signed)
    ds.PixelData = b"".join(frames) + bytes(len(frames) * len(frames[0]) % 2)
    ds["PixelData"].VR = "OW" if at.bits_allocated > 8 else "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)


def _seconds(command: list[str]) -> float:
    """Return what a program took of a processor; it inherits the one processor of this process."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    said = child.stderr.read().decode(errors="replace") if child.stderr else ""
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.stderr:
        child.stderr.close()
    if child.returncode:
        raise ValueError(f"{command[0]}: {said.strip()[-200:]}")
    return usage.ru_utime + usage.ru_stime
