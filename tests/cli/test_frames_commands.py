"""The commands of multi-frame objects as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from dicomloom import FrameReader, FrameWriter
from faults import native_object, noise
from support import peer_module

CT = get_testdata_file("CT_small.dcm")
RGB = get_testdata_file("SC_rgb_small_odd.dcm")
FRAMES = noise(6, 20, 30)


def run(*arguments, **options):
    command = [sys.executable, "-m", "dicomloom", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, check=False, timeout=60, **{"text": True, **options}
    )


@pytest.fixture
def cine(tmp_path):
    return native_object(tmp_path / "cine.dcm", FRAMES)


# --- transcode ---


def test_transcode_a_file(tmp_path, cine):
    out = tmp_path / "out.dcm"
    done = run("transcode", cine, out, "--to", "RLELossless")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{out}: RLELossless, 6 frames" in done.stderr
    assert np.array_equal(pydicom.dcmread(out).pixel_array, FRAMES)
    shown = json.loads(run("transcode", out, out, "--to", "1.2.840.10008.1.2.1", "--json").stdout)
    assert (shown["frames"], shown["transfer_syntax"]) == (6, "ExplicitVRLittleEndian")
    assert np.array_equal(pydicom.dcmread(out).pixel_array, FRAMES)


@pytest.mark.parametrize(
    ("chosen", "kept"), [("0:6:2", [0, 2, 4]), ("-2:", [4, 5]), ("5,0", [5, 0]), ("3", [3])]
)
def test_transcode_some_frames(tmp_path, cine, chosen, kept):
    out = tmp_path / "out.dcm"
    assert run("transcode", cine, out, "--to", "RLELossless", f"--frames={chosen}").returncode == 0
    assert np.array_equal(np.asarray(FrameReader(out)), FRAMES[kept])


def test_transcode_a_tree_names_what_fails(tmp_path, cine):
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    cine.rename(tree / "a" / "b" / "cine.dcm")
    (tree / "ct.dcm").write_bytes(Path(CT).read_bytes())
    (tree / "notes.txt").write_text("no DICOM")
    out = tree / "coded"  # inside: not transcoded again
    for _ in range(2):
        done = run("transcode", tree, out, "--to", "RLELossless", "-j", 2, "--json")
        assert done.returncode == 1
        assert "notes.txt: not DICOM" in done.stderr
        assert "2 files written, 1 failed" in done.stderr
        rows = json.loads(done.stdout)
        assert [("error" in row) for row in rows].count(True) == 1
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == ["a/b/cine.dcm", "ct.dcm"]
    assert np.array_equal(pydicom.dcmread(out / "a/b/cine.dcm").pixel_array, FRAMES)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["IN", "out.dcm"], 2, "--to"),
        (["IN", "out.dcm", "--to", "JPEGBaseline"], 2, "did you mean JPEGBaseline8Bit"),
        (["IN", "out.dcm", "--to", "RLELossless", "-q", "80"], 2, "takes no options; quality"),
        (["IN", "out.dcm", "--to", "JPEG2000", "--option", "x=1"], 2, "quality, ratio; x is none"),
        (["IN", "out.dcm", "--to", "RLELossless", "--max-memory", "much"], 2, "such as 16MiB"),
        (["IN", "out.dcm", "--to", "RLELossless", "--frames", "a:b"], 2, "such as 0:100:2"),
        (["IN", "out.dcm", "--to", "RLELossless", "--max-memory", "100"], 20, "max_memory is 100"),
        (["IN", "out.dcm", "--to", "ExplicitVRBigEndian"], 20, "retired"),
        (["IN", ".", "--to", "RLELossless"], 2, "is a directory"),
        (["nowhere", "out.dcm", "--to", "RLELossless"], 20, "no such file"),
        (["IN", "nowhere/out.dcm", "--to", "RLELossless"], 40, "cannot write"),
        (["IN", "/dev/full", "--to", "RLELossless"], 40, "regular file"),
    ],
)
def test_transcode_exit_codes(tmp_path, cine, arguments, code, says):
    given = [str(cine) if word == "IN" else word for word in arguments]
    done = run("transcode", *given, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("size", ["100000", "100kB", "1MiB", "0.5M", "1G"])
def test_sizes_as_people_write_them(tmp_path, cine, size):
    arguments = ("--to", "RLELossless", "--max-memory", size)
    assert run("transcode", cine, tmp_path / "out.dcm", *arguments).returncode == 0


def test_progress_only_where_asked_for(tmp_path, cine):
    out = tmp_path / "out.dcm"
    assert "of 6 frames" not in run("transcode", cine, out, "--to", "RLELossless").stderr
    done = run("transcode", cine, out, "--to", "RLELossless", "--progress")
    assert done.returncode == 0


# --- build ---


def test_build_from_raw_frames(tmp_path):
    raw, out = tmp_path / "cine.raw", tmp_path / "out.dcm"
    values = (FRAMES.astype("u2") << 4).astype("<u2")
    raw.write_bytes(values.tobytes())
    shape = ("--rows", 20, "--columns", 30, "--bits", 12)
    said = ["PatientID=7", "PatientName=Doe^Jane", "FrameTime=20", "SeriesNumber=3"]
    settings = [word for value in said for word in ("--set", value)]
    done = run("build", out, "--raw", raw, *shape, "--to", "RLELossless", *settings)
    assert done.returncode == 0, done.stderr
    made = pydicom.dcmread(out)
    assert np.array_equal(made.pixel_array, values)
    assert (made.PatientID, made.PatientName, made.FrameTime) == ("7", "Doe^Jane", 20)
    assert (made.BitsAllocated, made.BitsStored, made.SeriesNumber) == (16, 12, 3)
    with raw.open("rb") as file:
        done = run("build", out, "--raw", "-", *shape, stdin=file)
    assert done.returncode == 0
    assert np.array_equal(pydicom.dcmread(out).pixel_array, values)


def test_build_with_a_template(tmp_path):
    raw, out = tmp_path / "one.raw", tmp_path / "out.dcm"
    raw.write_bytes(pydicom.dcmread(CT).PixelData[::-1])
    assert run("build", out, "--raw", raw, "--template", CT).returncode == 0
    made, template = pydicom.dcmread(out), pydicom.dcmread(CT)
    assert made.PixelData == template.PixelData[::-1]
    assert made.PatientName == template.PatientName


def test_build_from_pictures(tmp_path):
    image = peer_module("PIL.Image")
    paths = []
    for i, frame in enumerate(FRAMES[:2]):
        paths.append(tmp_path / f"{i}.png")
        image.fromarray(frame).save(paths[-1])
    pages = [image.fromarray(frame) for frame in FRAMES[2:]]
    paths.append(tmp_path / "pages.tif")
    pages[0].save(paths[-1], save_all=True, append_images=pages[1:])
    out = tmp_path / "out.dcm"
    assert run("build", out, *paths).returncode == 0
    assert np.array_equal(pydicom.dcmread(out).pixel_array, FRAMES)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "give IMAGEs"),
        (["a.png", "--raw", "x.raw"], 2, "give IMAGEs"),
        (["--raw", "x.raw", "--rows", "4", "--columns", "5"], 20, "ends with 2 bytes of frame 1"),
        (["--raw", "x.raw"], 20, "Rows"),
        (["--raw", "x.raw", "--rows", "4", "--columns", "5", "--set", "PatientNane=x"], 2,
         "did you mean PatientName"),
        (["--raw", "nowhere"], 20, "nowhere"),
        (["nowhere.png"], 20, "nowhere.png"),
        (["x.raw"], 20, "cannot read the picture"),
    ],
)  # fmt: skip
def test_build_exit_codes(tmp_path, arguments, code, says):
    (tmp_path / "x.raw").write_bytes(bytes(22))
    done = run("build", "out.dcm", *arguments, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr
    assert not list(tmp_path.glob("out*"))


# --- frames, frame ---


def test_frames_tells_where_they_are(tmp_path, cine):
    shown = json.loads(run("frames", cine, "--json").stdout)
    assert (shown["frames"], shown["shape"], shown["offset_table"]) == (6, [20, 30], "native")
    data = cine.read_bytes()
    at = zip(shown["offsets"], shown["lengths"], strict=True)
    assert [data[o : o + n] for o, n in at] == [frame.tobytes() for frame in FRAMES]
    coded = tmp_path / "rle.dcm"
    run("transcode", cine, coded, "--to", "RLELossless")
    text = run("frames", coded).stdout
    assert "transfer syntax RLELossless" in text
    assert "20 x 30" in text
    shown = json.loads(run("frames", coded, "--json").stdout)
    data = coded.read_bytes()
    reader = FrameReader(coded)
    for i, (o, n) in enumerate(zip(shown["offsets"], shown["lengths"], strict=True)):
        assert data[o : o + n] == reader.encoded(i)


def test_frame_as_array_bytes_and_bitstream(tmp_path, cine):
    for name in ("f.npy", "f.raw"):
        assert run("frame", cine, 4, "-o", tmp_path / name).returncode == 0
    assert np.array_equal(np.load(tmp_path / "f.npy"), FRAMES[4])
    assert (tmp_path / "f.raw").read_bytes() == FRAMES[4].tobytes()
    assert run("frame", cine, 5, text=False).stdout == FRAMES[5].tobytes()
    jpeg = get_testdata_file("examples_ybr_color.dcm")
    done = run("frame", jpeg, 2, "--encoded", "-o", tmp_path / "f.jpg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f.jpg").read_bytes() == FrameReader(jpeg).encoded(2)


def shown_by_pydicom(path):
    dataset = pydicom.dcmread(path)
    values = np.asarray(
        apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset), "f8"
    )
    scaled = (values - values.min()) * (255 / (values.max() - values.min()))
    return scaled.round().astype("u1")


def test_frame_as_a_picture(tmp_path, cine):
    image = peer_module("PIL.Image")
    windowed = pydicom.dcmread(CT)
    windowed.WindowCenter, windowed.WindowWidth = 100, 400
    windowed.save_as(tmp_path / "window.dcm")
    inverted = pydicom.dcmread(CT)
    inverted.PhotometricInterpretation = "MONOCHROME1"
    inverted.save_as(tmp_path / "inverted.dcm")
    pictures = {}
    for name, path in [("ct", CT), ("window", tmp_path / "window.dcm"),
                       ("inverted", tmp_path / "inverted.dcm"), ("rgb", RGB)]:  # fmt: skip
        out = tmp_path / f"{name}.png"
        done = run("frame", path, 0, "-o", out)
        assert done.returncode == 0, done.stderr
        pictures[name] = np.asarray(image.open(out))
    assert np.array_equal(pictures["ct"], shown_by_pydicom(CT))
    assert np.array_equal(pictures["window"], shown_by_pydicom(tmp_path / "window.dcm"))
    assert not np.array_equal(pictures["window"], pictures["ct"])
    assert np.array_equal(pictures["inverted"], 255 - pictures["ct"])
    assert np.array_equal(pictures["rgb"], pydicom.dcmread(RGB).pixel_array)
    palette = get_testdata_file("examples_palette.dcm")
    assert run("frame", palette, 0, "-o", tmp_path / "p.png").returncode == 0
    from pydicom.pixels.processing import apply_color_lut

    dataset = pydicom.dcmread(palette)
    colors = apply_color_lut(dataset.pixel_array, dataset)
    shown = np.asarray(image.open(tmp_path / "p.png"))
    top = (1 << 8 * colors.dtype.itemsize) - 1
    assert np.array_equal(shown, (colors * (255 / top)).round().astype("u1"))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["6", "-o", "out.raw"], 2, "6 frames"),
        (["x", "-o", "out.raw"], 2, "invalid int"),
        (["0", "-o", "out.docx"], 20, ".docx"),
        (["0", "-o", "nowhere/out.raw"], 40, "cannot write"),
    ],
)
def test_frame_exit_codes(tmp_path, cine, arguments, code, says):
    done = run("frame", cine, *arguments, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr


# --- codecs, recover ---


def test_codecs_lists_every_syntax():
    rows = json.loads(run("codecs", "--json").stdout)
    assert len(rows) > 20
    for row in rows:
        known = getattr(pydicom.uid, row["keyword"], None)
        assert known is None or known == row["uid"]
    rle = next(row for row in rows if row["keyword"] == "RLELossless")
    assert (rle["reads"], rle["writes"]) == (["dicomloom"], ["dicomloom"])
    lines = run("codecs").stdout.splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[0].split()[:4] == ["KEYWORD", "UID", "READS", "WRITES"]


def test_recover_what_a_killed_writer_left(tmp_path):
    partial, out = tmp_path / "left.partial", tmp_path / "out.dcm"
    writer = FrameWriter(tmp_path / "cine.dcm", {}, transfer_syntax="RLELossless", workers=1)
    for frame in FRAMES:
        writer.write(frame)
    writer._flush()
    partial.write_bytes((tmp_path / "cine.dcm.partial").read_bytes()[:-3])
    writer.__exit__(RuntimeError, RuntimeError(), None)
    done = run("recover", partial, out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 5
    assert np.array_equal(pydicom.dcmread(out).pixel_array, FRAMES[:5])
    (tmp_path / "empty").write_bytes(b"")
    done = run("recover", tmp_path / "empty", out)
    assert (done.returncode, "Traceback" in done.stderr) == (20, False)


def test_completion_knows_the_commands():
    script = run("completion", "bash").stdout
    for command in ("transcode", "build", "frames", "frame", "recover", "codecs"):
        assert f'"{command} -"*)' in script
