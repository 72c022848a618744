"""transcode: as a shell sees it."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from dicomloom import FrameReader
from faults import OLD, native_object, noise, unfinished
from faults import command as shell
from shell import JPEG, RLE, command, fails, works

CT = get_testdata_file("CT_small.dcm")


def test_transcode(tmp_path, source):
    out = tmp_path / "out.dcm"
    done = shell("transcode", source, out, "--to", "RLELossless")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{out}: RLELossless, 10 frames, ")
    found = pydicom.dcmread(out)
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert np.array_equal(found.pixel_array, noise(10, 32, 48))
    works("transcode", out, out, "--to", "1.2.840.10008.1.2.1")  # by UID, onto itself
    assert pydicom.dcmread(out).PixelData == noise(10, 32, 48).tobytes()


def test_transcode_json(tmp_path, source):
    out = tmp_path / "out.dcm"
    done = works("transcode", source, out, "--to", "rlelossless", "--json")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["source"] == str(source)
    assert report["targets"] == [str(out)]
    assert report["transfer_syntax"] == "RLELossless"
    assert (report["frames"], report["raw_bytes"], report["lossy"]) == (10, 15360, False)
    assert report["sop_instance_uid"] == "1.2.3.4"
    assert report["ratio"] == pytest.approx(15360 / report["encoded_bytes"], abs=0.001)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("0:10:2", slice(0, 10, 2)),
        ("5:", slice(5, None)),
        (":3", slice(3)),
        ("-3:", slice(-3, None)),
        ("::-1", slice(None, None, -1)),
        ("7", [7]),
        ("0,5,9", [0, 5, 9]),
        ("9,-10,3,3", [9, 0, 3, 3]),
        ("2:1000", slice(2, None)),
    ],
)
def test_transcode_frames(tmp_path, source, text, chosen):
    out = tmp_path / "out.dcm"
    for to in ("RLELossless", "ExplicitVRLittleEndian"):
        works("transcode", source, out, "--to", to, f"--frames={text}")
        assert np.array_equal(np.asarray(FrameReader(out)), noise(10, 32, 48)[chosen])
    found = pydicom.dcmread(out)
    assert found.SOPInstanceUID != "1.2.3.4"
    assert found.ImageType[0] == "DERIVED"


@pytest.mark.parametrize("size", ["16MiB", "500kB", "1G", "100000", "1.5M", "64 KiB", "64kib"])
def test_transcode_max_memory(tmp_path, source, size):
    works("transcode", source, tmp_path / "out.dcm", "--to", "RLELossless", "--max-memory", size)


USAGE = [
    ([], "--to"),
    (["--to"], "--to"),
    (["--to", "RLELosless"], "did you mean RLELossless"),
    (["--to", "JPEG2000Losless"], "JPEG2000Lossless"),
    (["--to", "1.2.840.10008.1.2.4.57.1"], "1.2.840.10008.1.2.4.57 (JPEGLossless)"),
    (["--to", "x"], "dicomloom codecs"),
    (["--to", "ExplicitVRBigEndian"], "write ExplicitVRLittleEndian"),
    ([*RLE, "-q", "80"], "RLELossless takes no options; quality is none"),
    ([*RLE, "--ratio", "8"], "RLELossless takes no options; ratio is none"),
    (["--to", "JPEGLSLossless", "--near", "2"], "near is none"),
    (["--to", "JPEGBaseline8Bit", "--near", "2"], "takes the options quality"),
    ([*JPEG, "-q", "500"], "quality must be"),
    ([*JPEG, "-q", "0"], "quality must be"),
    ([*JPEG, "-q", "nan"], "quality must be"),
    ([*JPEG, "-q", "much"], "much"),
    (["--to", "JPEG2000", "--ratio", "-1"], "ratio must be"),
    (["--to", "JPEGLSNearLossless", "--near", "-1"], "near must be"),
    ([*RLE, "-j", "0"], "at least 1"),
    ([*RLE, "-j", "two"], "two"),
    ([*RLE, "--max-memory", "0"], "at least 1 byte"),
    ([*RLE, "--max-memory", "lots"], "a size such as 16MiB"),
    ([*RLE, "--max-memory", "-5M"], "--max-memory"),
    ([*RLE, "--max-memory", "inf"], "a size such as 16MiB"),
    ([*RLE, "--max-memory", "nan"], "a size such as 16MiB"),
    ([*RLE, "--frames", "a:b"], "frames such as 0:100:2"),
    ([*RLE, "--frames", "0:1:0"], "frames such as 0:100:2"),
    ([*RLE, "--frames", "1:2:3:4"], "frames such as 0:100:2"),
    ([*RLE, "--frames", ""], "frames such as 0:100:2"),
    ([*RLE, "--frames", "5:5"], "no frame is chosen of 10"),
    ([*RLE, "--frames", "10:"], "no frame is chosen of 10"),
    ([*RLE, "--frames", "0,10"], "frame 10 of an object with 10 frames"),
    ([*RLE, "--frames=-11"], "frame -11 of an object with 10 frames"),
    ([*RLE, "--offset-table", "large"], "auto"),
    ([*RLE, "--max-instance-bytes", "0"], "at least 1 byte"),
    ([*RLE, "--max-instance-frames", "0"], "at least 1"),
    ([*RLE, "--unheard-of"], "--unheard-of"),
    ([*RLE, "--option", "speed=9"], "speed is none"),
    ([*RLE, "--option", "speed"], "KEYWORD=VALUE"),
    (["--to", "DeflatedImageFrameCompression", "--option", "level=99"], "level must be"),
    (["--to", "DeflatedImageFrameCompression", "--option", "level=much"], "level must be"),
    (["--to", "JPEGLSLossless", "--option", "backend=charls"], "backend must be dicomloom or"),
    ([*RLE, "--option", "backend=charls"], "backend must be dicomloom or library, not 'charls'"),
    ([*RLE, "--option", "backend=library"], "neither ExplicitVRLittleEndian nor RLELossless"),
]


@pytest.mark.parametrize(("options", "says"), USAGE)
def test_transcode_usage(tmp_path, source, options, says):
    """2, and words for people; nothing is written."""
    if "JPEG" in str(options):
        pytest.importorskip("imagecodecs")
    out = tmp_path / "out.dcm"
    out.write_bytes(OLD)
    fails(2, "transcode", source, out, *options, says=says)
    assert out.read_bytes() == OLD
    assert not unfinished(tmp_path)


def test_transcode_exit_codes(tmp_path, source):
    out = tmp_path / "out.dcm"
    out.write_bytes(OLD)
    text = tmp_path / "text"
    text.write_text("no DICOM" * 100)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(source.read_bytes()[:-2000])
    fails(20, "transcode", tmp_path / "nowhere", out, *RLE, says="no such file or directory")
    fails(20, "transcode", text, out, *RLE, says=f"{text}: ")
    fails(20, "transcode", cut, out, *RLE, says=f"{cut}: truncated: frame 8 of 10")
    fails(20, "transcode", source, out, *RLE, "--max-memory", "1000", says="max_memory is 1000")
    (tmp_path / "folder").mkdir()
    fails(2, "transcode", source, tmp_path / "folder", *RLE, says="is a directory, IN a file")
    fails(40, "transcode", source, tmp_path / "nowhere" / "out", *RLE, says="cannot write")
    fails(40, "transcode", source, "/dev/full", *RLE, says="/dev/full: cannot write")
    fails(40, "transcode", source, text / "out.dcm", *RLE, says="cannot write")
    assert out.read_bytes() == OLD
    assert not unfinished(tmp_path)


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    for i, folder in enumerate(("", "a", "a/b")):
        native_object(top / folder / f"{i}.dcm", noise(3 + i, 16, 16, seed=i))
    (top / "a" / "notes.txt").write_text("no DICOM\n" * 30)
    (top / "cut.dcm").write_bytes((top / "0.dcm").read_bytes()[:-100])
    return top


def files_of(top):
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


@pytest.mark.parametrize("jobs", [1, 3])
def test_transcode_a_tree(tmp_path, tree, jobs):
    before = {name: (tree / name).read_bytes() for name in files_of(tree)}
    out = tmp_path / "out"
    done = shell("transcode", tree, out, *RLE, "-j", jobs)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("3 files written, 2 failed\n")
    assert f"{tree}/a/notes.txt: not DICOM" in done.stderr
    assert f"{tree}/cut.dcm: truncated: frame 2 of 3" in done.stderr
    assert len(done.stderr.splitlines()) == 3
    assert files_of(out) == ["0.dcm", "a/1.dcm", "a/b/2.dcm"]
    for i, name in enumerate(files_of(out)):
        assert np.array_equal(np.asarray(FrameReader(out / name)), noise(3 + i, 16, 16, seed=i))
    assert {name: (tree / name).read_bytes() for name in files_of(tree)} == before


def test_transcode_a_tree_json(tmp_path, tree):
    done = command("transcode", tree, tmp_path / "out", *RLE, "--json")
    assert done.returncode == 1
    reports = json.loads(done.stdout)
    assert [report["source"] for report in reports] == [
        f"{tree}/{name}" for name in ("0.dcm", "cut.dcm", "a/1.dcm", "a/notes.txt", "a/b/2.dcm")
    ]
    assert ["error" in report for report in reports] == [False, True, False, True, False]
    assert sum(report.get("frames", 0) for report in reports) == 12
    (tree / "a" / "notes.txt").unlink()
    (tree / "cut.dcm").unlink()
    works("transcode", tree, tmp_path / "out", *RLE)


def test_transcode_a_tree_into_itself(tmp_path, tree):
    """OUT below IN: what is written there is not read again; and OUT may be IN."""
    (tree / "a" / "notes.txt").unlink()
    (tree / "cut.dcm").unlink()
    works("transcode", tree, tree / "a" / "rle", *RLE)
    works("transcode", tree, tree / "a" / "rle", *RLE)
    assert files_of(tree / "a" / "rle") == ["0.dcm", "a/1.dcm", "a/b/2.dcm"]
    shutil.rmtree(tree / "a" / "rle")
    works("transcode", tree, tree, *RLE)
    assert files_of(tree) == ["0.dcm", "a/1.dcm", "a/b/2.dcm"]
    for name in files_of(tree):
        assert pydicom.dcmread(tree / name).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"


def test_a_tree_with_what_no_file_is(tmp_path, tree):
    """Links are followed, a loop is not, FIFOs are not waited for."""
    (tree / "a" / "notes.txt").unlink()
    (tree / "cut.dcm").unlink()
    os.mkfifo(tree / "fifo")
    (tree / "link.dcm").symlink_to(tree / "0.dcm")
    (tree / "loop").symlink_to(tree)
    works("transcode", tree, tmp_path / "out", *RLE)
    assert files_of(tmp_path / "out") == ["0.dcm", "a/1.dcm", "a/b/2.dcm", "link.dcm"]


def test_what_one_file_of_a_tree_has_not(tmp_path, tree):
    """Frame 4 is in one of three: the others are failures, not the end."""
    (tree / "a" / "notes.txt").unlink()
    (tree / "cut.dcm").unlink()
    done = command("transcode", tree, tmp_path / "out", *RLE, "--frames", "0,4")
    assert done.returncode == 1
    assert "1 files written, 2 failed" in done.stderr
    assert "frame 4 of an object with 3 frames" in done.stderr
    assert files_of(tmp_path / "out") == ["a/b/2.dcm"]


def test_a_folder_of_a_tree_that_cannot_be_read(tmp_path, tree):
    """It is named, and the exit code is not 0."""
    script = """
import os, sys
real = os.scandir
def scandir(path):
    if str(path).endswith("/b"):
        raise PermissionError(13, "Permission denied", path)
    return real(path)
os.scandir = scandir
from dicomloom.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    (tree / "a" / "notes.txt").unlink()
    (tree / "cut.dcm").unlink()
    done = subprocess.run(
        [sys.executable, "-c", script, "transcode", str(tree), str(tmp_path / "out"), *RLE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert f"{tree}/a/b: " in done.stderr
    assert files_of(tmp_path / "out") == ["0.dcm", "a/1.dcm"]


@pytest.mark.parametrize("options", [["-q", "500"], ["--near", "1"], ["--max-memory", "x"]])
def test_usage_of_a_tree_is_usage_too(tmp_path, tree, options):
    pytest.importorskip("imagecodecs")
    fails(2, "transcode", tree, tmp_path / "out", *JPEG, *options)


@pytest.mark.parametrize("keyword", ["JPEGLosslessSV1", "JPEGLSLossless"])
def test_transcode_by_libraries(tmp_path, source, keyword):
    """--option backend is for what decodes as well as for what codes."""
    pytest.importorskip("imagecodecs")
    library = ["--option", "backend=library"]
    coded, out = tmp_path / "coded.dcm", tmp_path / "out.dcm"
    for coding, decoding in ((library, []), ([], library), (library, library)):
        works("transcode", source, coded, "--to", keyword, *coding)
        for to in ("RLELossless", "ExplicitVRLittleEndian", keyword):
            works("transcode", coded, out, "--to", to, *decoding)
            assert np.array_equal(np.asarray(FrameReader(out)), noise(10, 32, 48))
    fails(2, "transcode", coded, out, *RLE, "--option", "backend=charls", says="backend must be")


def test_a_tree_where_only_some_have_a_choice(tmp_path, tree):
    pytest.importorskip("imagecodecs")
    works("transcode", tree / "0.dcm", tree / "0.dcm", "--to", "JPEGLSLossless")
    done = command("transcode", tree, tmp_path / "out", *RLE, "--option", "backend=library")
    assert done.returncode == 1
    assert "1.dcm: neither ExplicitVRLittleEndian nor RLELossless takes" in done.stderr
    assert files_of(tmp_path / "out") == ["0.dcm"]


def test_concatenations_by_command(tmp_path, source):
    out = tmp_path / "out.dcm"
    done = works("transcode", source, out, *RLE, "--max-instance-frames", "4", "--json")
    assert json.loads(done.stdout)["targets"] == [f"{tmp_path}/out-{i}.dcm" for i in (1, 2, 3)]
