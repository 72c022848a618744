"""Objects with pixels made element by element, and all that can be asked of them in a child."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

from hostile import deflated
from support import DEFLATED, EXPLICIT_LE, UNDEFINED, element, item, part10

RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
END = element(0xFFFEE0DD, None)


def us(*values):
    return struct.pack(f"<{len(values)}H", *values)


def image(pixels, syntax=EXPLICIT_LE, *, length=None, behind=b"", **changes):
    """An object of 4 x 6 pixels of 16 bits; `changes` replace whole elements, None leaves out."""
    elements = {
        "uid": element(0x00080018, "UI", b"1.2.3\0"),
        "samples": element(0x00280002, "US", us(1)),
        "photometric": element(0x00280004, "CS", b"MONOCHROME2 "),
        "frames": element(0x00280008, "IS", b"3 "),
        "rows": element(0x00280010, "US", us(4)),
        "columns": element(0x00280011, "US", us(6)),
        "bits": element(0x00280100, "US", us(16)),
        "stored": element(0x00280101, "US", us(16)),
        "high": element(0x00280102, "US", us(15)),
        "sign": element(0x00280103, "US", us(0)),
    }
    elements.update(changes)
    made = b"".join(part for part in elements.values() if part is not None)
    vr = "OB" if length == UNDEFINED else "OW"
    made += element(0x7FE00010, vr, pixels, length=length) + behind
    return part10(deflated(made) if syntax == DEFLATED else made, syntax)


def encapsulated(coded, syntax=RLE, table=b"", **changes):
    content = item(table) + b"".join(item(frame + b"\0" * (len(frame) % 2)) for frame in coded)
    return image(content + END, syntax, length=UNDEFINED, **changes)


PIXELS = np.arange(72, dtype="<u2").reshape(3, 4, 6)
# What an RLE frame of `PIXELS` looks like that is all zeros.
RLE_ZEROS = struct.pack("<16L", 2, 64, 66, *[0] * 13) + bytes([233, 0, 233, 0])

# Asks every door for each file of a folder, and prints what they said: a value, or an error of
# ours. Anything else ends the child, whose last line on stderr names the file.
_DOORS = """
import contextlib, io, json, os, pathlib, resource, signal, sys, warnings
import numpy as np
import pydicom.pixels.processing
import PIL.Image
from dicomloom import DicomloomError, FrameReader, dicomize, extract, transcode
from dicomloom.cli.main import main
for family in "jpeg jpeg2000 jpegxl htj2k jpeg_ls jpeg_lossless rle deflated".split():
    __import__("dicomloom.codecs." + family)
os.fsync = lambda descriptor: None
warnings.simplefilter("ignore")
folder, doors, limit = pathlib.Path(sys.argv[1]), sys.argv[2].split(), int(sys.argv[3])

def status(word):
    lines = open("/proc/self/status").read().split(word + ":", 1)
    return int(lines[1].split()[0])

resource.setrlimit(resource.RLIMIT_AS, ((status("VmSize") << 10) + limit,) * 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20,) * 2)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before = status("VmHWM")
out = str(folder / "out")

def reader(path, kind):
    with FrameReader(path) as frames:
        last = len(frames) - 1
        if kind == "one":
            return [frames[0].shape, frames.encoded(last).__len__()]
        if kind == "all":
            return np.asarray(frames).shape
        if kind == "slice":
            return np.asarray(frames[::-1][:2]).shape
        return [len(bytes(frames.raw(0))), frames.offsets.__len__(), len(frames.dataset)]

def command(*arguments):
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = main([str(each) for each in arguments])
    if code:
        raise SystemExit((code, err.getvalue()))
    return 0

ASK = {
    "one": lambda path: reader(path, "one"),
    "all": lambda path: reader(path, "all"),
    "slice": lambda path: reader(path, "slice"),
    "raw": lambda path: reader(path, "raw"),
    "rle": lambda path: transcode(path, out, "RLELossless").frames,
    "native": lambda path: transcode(path, out, "ExplicitVRLittleEndian").frames,
    "jpegls": lambda path: transcode(path, out, "JPEGLSLossless").frames,
    "extract": lambda path: len(extract(path, out, frame=0, overwrite=True)),
    "frames": lambda path: command("frames", path, "--json"),
    "png": lambda path: command("frame", path, 0, "-o", out + ".png"),
    "transcode": lambda path: command("transcode", path, out, "--to", "RLELossless"),
    "dicomize": lambda path: len(dicomize([path], out)),
}
for path in sorted(folder.iterdir()):
    if not path.name.endswith(".dcm"):
        continue
    print(path.name, file=sys.stderr, flush=True)
    signal.alarm(30)
    said = {}
    for door in doors:
        try:
            said[door] = ["", ASK[door](path), None]
        except DicomloomError as error:
            said[door] = [type(error).__name__, str(error), error.frame]
        except SystemExit as error:
            said[door] = [error.args[0][0], error.args[0][1], None]
        for name in os.listdir(folder):
            assert not name.endswith(".partial"), (door, name)
            if name.startswith("out"):
                os.unlink(folder / name)
    print(json.dumps([path.name, status("VmHWM") - before, said]))
"""
DOORS = "one all slice raw rle native jpegls extract frames png transcode"


def asked(folder: Path, doors: str = DOORS, limit: int = 1 << 30) -> dict[str, tuple[int, dict]]:
    """Ask all doors for each ``*.dcm`` of a folder, in a child that may take `limit` bytes more.

    Returns by name by how many KiB the peak of memory had grown by then, and by door what was
    said: the error's class (of a command the exit code) or "", its text or the value, its frame.
    """
    done = subprocess.run(
        [sys.executable, "-c", _DOORS, str(folder), doors, str(limit)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    found = {}
    for line in done.stdout.splitlines():
        name, peak, said = json.loads(line)
        found[name.removesuffix(".dcm")] = (peak, said)
        for door, (kind, text, _) in said.items():
            if kind:
                assert text, (name, door)
                assert kind not in (2,), (name, door, text)
                assert "Traceback" not in text, (name, door, text)
    return found


def saved(folder: Path, objects: dict[str, bytes]) -> Path:
    """Write objects to ``<name>.dcm`` of a folder."""
    folder.mkdir(exist_ok=True)
    for name, data in objects.items():
        (folder / f"{name}.dcm").write_bytes(data)
    return folder
