"""Who converts multi-frame objects: the command of each, and how to see that it did so rightly."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from pydicom.filereader import dcmread
from pydicom.pixels import iter_pixels

from processes import BenchmarkError, Run, Tools, program

LOSSY_MEAN = 4.0  # gray levels of 256 by which a frame may differ on average


@dataclass(frozen=True)
class Conversion:
    """One transfer syntax to write, and who can.

    Attributes
    ----------
    keyword : str
        Of the transfer syntax.
    options : tuple of str
        What `dicomloom transcode` gets besides.
    peers : tuple of tuples of str
        Command lines that lack input and output.
    source : str
        Transfer syntax of the input, as `make_frames.SYNTAXES` has it.
    coded_by : str
        Which of `CONVERSIONS` makes the input out of that, if any.
    lossy : bool
    """

    title: str
    keyword: str
    peers: tuple[tuple[str, ...], ...]
    options: tuple[str, ...] = ()
    source: str = "native"
    coded_by: str = ""
    lossy: bool = False


CONVERSIONS = {
    "rle": Conversion("RLE", "RLELossless", (("dcmcrle",), ("gdcmconv", "--rle"))),
    "jpeg": Conversion(
        "JPEG baseline, quality 80",
        "JPEGBaseline8Bit",
        (("dcmcjpeg", "+eb", "+q", "80"),),
        ("-q", "80"),
        lossy=True,
    ),
    "decode": Conversion(
        "RLE back to native",
        "ExplicitVRLittleEndian",
        (("dcmdrle",), ("gdcmconv", "--raw")),
        source="rle",
    ),
    "jpegll": Conversion(
        "JPEG Lossless SV1", "JPEGLosslessSV1", (("dcmcjpeg", "+e1"), ("gdcmconv", "--jpeg"))
    ),
    "jpegls": Conversion(
        "JPEG-LS lossless", "JPEGLSLossless", (("dcmcjpls",), ("gdcmconv", "--jpegls"))
    ),
    "jpegll-decode": Conversion(
        "JPEG Lossless SV1 back to native",
        "ExplicitVRLittleEndian",
        (("dcmdjpeg",), ("gdcmconv", "--raw")),
        coded_by="jpegll",
    ),
    "jpegls-decode": Conversion(
        "JPEG-LS back to native",
        "ExplicitVRLittleEndian",
        (("dcmdjpls",), ("gdcmconv", "--raw")),
        coded_by="jpegls",
    ),
}

_DECODERS = {"RLE": "dcmdrle", "JPEGLS": "dcmdjpls", "JPEG": "dcmdjpeg"}


@dataclass(frozen=True)
class Converter:
    """One way to make an object from another."""

    name: str
    command: tuple[str, ...]

    def run(self, tools: Tools, source: Path, out: Path) -> Run:
        """Convert; a file that is there already is removed before the clock starts."""
        out.unlink(missing_ok=True)
        return tools.run([*self.command, str(source), str(out)])


class _Ours(Converter):
    """`dicomloom transcode` takes its options behind the files."""

    def run(self, tools: Tools, source: Path, out: Path) -> Run:
        out.unlink(missing_ok=True)
        found, name, *options = self.command
        return tools.run([found, name, str(source), str(out), *options])


def can_transcode() -> bool:
    """Return whether the dicomloom beside this interpreter has the command."""
    found = program("dicomloom")
    return found is not None and not subprocess.call(
        [found, "transcode", "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def ours(keyword: str, *options: str) -> Converter:
    """Return `dicomloom transcode --to keyword`.

    Raises
    ------
    BenchmarkError
        There is no such command.
    """
    found = program("dicomloom")
    if not found or not can_transcode():
        raise BenchmarkError("dicomloom transcode is not installed")
    name = " ".join(["dicomloom transcode --to", keyword, *options])
    return _Ours(name, (found, "transcode", "--to", keyword, *options))


def converters(conversion: Conversion) -> tuple[list[Converter], list[str]]:
    """Return who can convert, dicomloom first, and the names of those that are not here."""
    there, absent = [], []
    if can_transcode():
        there.append(ours(conversion.keyword, *conversion.options))
    else:
        absent.append("dicomloom transcode")
    for command in conversion.peers:
        if program(command[0]):
            there.append(Converter(" ".join(command), command))
        else:
            absent.append(command[0])
    return there, absent


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Return an object with the frames of `path` that pydicom reads quickly.

    JPEG is decoded by DCMTK, so is RLE where pylibjpeg-rle is absent. Neither is dicomloom.
    """
    name = dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.keyword
    decoder = next((tool for start, tool in _DECODERS.items() if name.startswith(start)), None)
    if decoder is None or (decoder == "dcmdrle" and importlib.util.find_spec("rle")):
        yield path
        return
    if not program(decoder):
        raise BenchmarkError(f"{decoder} is not installed: nothing to read {name} with")
    native = path.with_suffix(".native")
    try:
        subprocess.run([decoder, str(path), str(native)], check=True, stdin=subprocess.DEVNULL)
        yield native
    finally:
        native.unlink(missing_ok=True)


def compare(
    source: Path, out: Path, *, taken: Sequence[int] | None = None, lossy: bool = False
) -> float:
    """Compare all frames of two objects; `taken` are those of the source that the other has.

    Returns
    -------
    float
        The mean difference of a sample: 0 unless `lossy`.

    Raises
    ------
    BenchmarkError
        Frames are missing, too many, of another shape, or differ.
    """
    means = []
    with readable(source) as a, readable(out) as b:
        pairs = zip_longest(iter_pixels(a, indices=taken), iter_pixels(b))
        for i, (wanted, found) in enumerate(pairs):
            if wanted is None or found is None:
                raise BenchmarkError(f"{'more' if wanted is None else 'only'} {i} frames")
            if wanted.shape != found.shape or wanted.dtype != found.dtype:
                raise BenchmarkError(
                    f"frame {i} is {found.shape} {found.dtype}, not {wanted.shape} {wanted.dtype}"
                )
            if lossy:
                means.append(np.abs(wanted.astype(np.int32) - found).mean())
            elif not np.array_equal(wanted, found):
                raise BenchmarkError(f"frame {i} differs")
    mean = float(np.mean(means)) if means else 0.0
    if mean > LOSSY_MEAN:
        raise BenchmarkError(f"a sample differs by {mean:.2f} on average")
    return mean


def pixel_position(path: Path) -> int:
    """Return where the value of native Pixel Data begins."""
    with path.open("rb") as file:
        dcmread(file, stop_before_pixels=True)
        return file.tell() + 12  # tag, VR, two reserved bytes, length (PS3.5 7.1.2)
