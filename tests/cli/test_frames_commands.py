"""build, frames, frame, codecs, recover: as a shell sees them."""

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from dicomloom import FrameReader
from faults import OLD, native_object, noise, unfinished
from shell import JPEG, RLE, fails, works

CT = get_testdata_file("CT_small.dcm")


# --- build ---


def test_build_from_raw(tmp_path):
    frames = noise(6, 20, 30)
    (tmp_path / "raw").write_bytes(frames.tobytes())
    out = tmp_path / "out.dcm"
    size = ["--rows", 20, "--columns", 30]
    done = works("build", out, "--raw", tmp_path / "raw", *size, "--set", "PatientID=42")
    assert done.stderr == f"{out}: 6 frames\n"
    found = pydicom.dcmread(out)
    assert (found.PatientID, found.NumberOfFrames, found.BitsStored) == ("42", 6, 8)
    assert np.array_equal(found.pixel_array, frames)
    done = works("build", out, "--raw", tmp_path / "raw", *size, *RLE, "--json")
    assert json.loads(done.stdout) == {"target": str(out), "frames": 6}
    done = works("build", out, "--raw", "-", *size, *RLE, input=frames.tobytes(), text=False)
    assert np.array_equal(np.asarray(FrameReader(out)), frames)


@pytest.mark.parametrize(
    ("options", "kind", "shape", "facts"),
    [
        (["--bits", 12], "<u2", (5, 6), ("MONOCHROME2", 16, 12, 0)),
        (["--bits", 16, "--signed"], "<i2", (5, 6), ("MONOCHROME2", 16, 16, 1)),
        (["--bits", 32], "<u4", (5, 6), ("MONOCHROME2", 32, 32, 0)),
        (["--samples", 3], "u1", (5, 6, 3), ("RGB", 8, 8, 0)),
        (["--samples", 3, "--photometric", "YBR_FULL"], "u1", (5, 6, 3), ("YBR_FULL", 8, 8, 0)),
        (["--photometric", "MONOCHROME1"], "u1", (5, 6), ("MONOCHROME1", 8, 8, 0)),
    ],
)
def test_build_kinds_of_pixels(tmp_path, options, kind, shape, facts):
    frames = np.random.default_rng(1).integers(0, 120, (3, *shape)).astype(kind)
    (tmp_path / "raw").write_bytes(frames.tobytes())
    out = tmp_path / "out.dcm"
    works("build", out, "--raw", tmp_path / "raw", "--rows", 5, "--columns", 6, *options)
    found = pydicom.dcmread(out)
    assert facts == (
        found.PhotometricInterpretation,
        found.BitsAllocated,
        found.BitsStored,
        found.PixelRepresentation,
    )
    assert np.array_equal(np.asarray(FrameReader(out)), frames)


def test_build_with_one_bit(tmp_path):
    frames = np.random.default_rng(1).integers(0, 2, (3, 5, 7), dtype="u1")
    packed = b"".join(np.packbits(frame, bitorder="little").tobytes() for frame in frames)
    (tmp_path / "raw").write_bytes(packed)
    out = tmp_path / "out.dcm"
    works("build", out, "--raw", tmp_path / "raw", "--rows", 5, "--columns", 7, "--bits", 1)
    assert np.array_equal(pydicom.dcmread(out).pixel_array, frames)


def test_build_from_a_template(tmp_path):
    (tmp_path / "raw").write_bytes(noise(2, 128, 256).tobytes())
    out = tmp_path / "out.dcm"
    works(
        "build", out, "--raw", tmp_path / "raw", "--template", CT,
        "--set", "PatientName=Doe^Jane", "--set", "ImageType=DERIVED\\PRIMARY\\AXIAL",
        "--set", "SliceThickness=2.5", "--set", "SmallestImagePixelValue=0",
        "--set", "FrameIncrementPointer=00181063", "--set", "AccessionNumber=",
    )  # fmt: skip
    found, given = pydicom.dcmread(out), pydicom.dcmread(CT)
    assert found.StudyInstanceUID == given.StudyInstanceUID
    assert found.PatientName == "Doe^Jane"
    assert list(found.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert (found.SliceThickness, found.AccessionNumber) == (2.5, "")
    assert found.FrameIncrementPointer == 0x00181063
    assert found.PixelData == noise(2, 128, 256).tobytes()


def test_build_usage(tmp_path):
    out, raw = tmp_path / "out.dcm", tmp_path / "raw"
    raw.write_bytes(bytes(1000))
    out.write_bytes(OLD)
    size = ["--rows", "10", "--columns", "10"]
    for options, code, says in [
        ([], 2, "give IMAGEs, or raw frames with --raw"),
        (["--raw", raw, "picture.png"], 2, "give IMAGEs, or raw frames with --raw"),
        (["--raw", raw, *size, "--set", "PatientID"], 2, "KEYWORD=VALUE"),
        (["--raw", raw, *size, "--set", "PatientNane=x"], 2, "did you mean PatientName"),
        (["--raw", raw, *size, "--set", "Rows=x"], 2, "no value of VR US"),
        (["--raw", raw, *size, "--set", "ReferencedImageSequence=x"], 2, "ReferencedImageSequence"),
        (["--raw", raw, *size, "--set", "ICCProfile=abc"], 2, "ICCProfile"),
        (["--raw", raw, *size, "--set", "FrameIncrementPointer=x"], 2, "FrameIncrementPointer"),
        (["--raw", raw, *size, "--set", "SmallestImagePixelValue=70000"], 2, "SmallestImagePixel"),
        (["--raw", raw, *size, "--bits", "65"], 2, "1 to 64"),
        (["--raw", raw, "--rows", "0", "--columns", "10"], 2, "at least 1"),
        (["--raw", raw, *size, "-q", "80", *RLE], 2, "takes no options"),
        (["--raw", raw], 20, "Rows"),
        (["--raw", raw, "--rows", "7", "--columns", "10"], 20, "20 bytes of frame 14"),
        (["--raw", raw, "--rows", "70000", "--columns", "1"], 2, "Rows"),
        (["--raw", tmp_path / "nowhere", *size], 20, "nowhere"),
        (["--raw", tmp_path, *size], 20, "directory"),
        (["--raw", raw, *size, "--template", tmp_path / "nowhere"], 20, "nowhere"),
        (["--raw", "-", *size], 20, "no frame was written"),
        (["nowhere.png"], 20, "nowhere.png"),
        ([raw], 20, "cannot read the picture"),
        (["--raw", raw, *size, "--samples", "4", "--photometric", "RGB"], 20, "RGB"),
    ]:
        nothing = {"stdin": subprocess.DEVNULL} if "-" in options else {}
        done = fails(code, "build", out, *options, **nothing)
        assert says in done.stderr, (options, done.stderr)
        assert out.read_bytes() == OLD
        assert not unfinished(tmp_path)
    fails(40, "build", tmp_path / "nowhere" / "out", "--raw", raw, *size, says="cannot write")


def test_build_from_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    gray = noise(3, 20, 30)
    for i, frame in enumerate(gray):
        image.fromarray(frame).save(tmp_path / f"{i}.png")
    out = tmp_path / "out.dcm"
    works("build", out, *(tmp_path / f"{i}.png" for i in range(3)), *RLE)
    assert np.array_equal(np.asarray(FrameReader(out)), gray)

    pages = [image.fromarray(frame) for frame in gray]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    works("build", out, tmp_path / "pages.tiff", tmp_path / "0.png")
    assert np.array_equal(pydicom.dcmread(out).pixel_array, gray[[0, 1, 2, 0]])

    deep = np.arange(600, dtype="u2").reshape(20, 30) * 100
    image.fromarray(deep).save(tmp_path / "deep.png")
    works("build", out, tmp_path / "deep.png")
    assert np.array_equal(pydicom.dcmread(out).pixel_array, deep)

    color = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype="u1")
    image.fromarray(color).save(tmp_path / "color.png")
    works("build", out, tmp_path / "color.png", tmp_path / "color.png")
    assert np.array_equal(pydicom.dcmread(out).pixel_array, [color, color])

    bits = color[..., 0] > 127
    image.fromarray(bits).save(tmp_path / "bits.png")
    works("build", out, tmp_path / "bits.png", tmp_path / "bits.png")
    assert np.array_equal(pydicom.dcmread(out).pixel_array, [bits, bits])

    image.fromarray(color).quantize(256).save(tmp_path / "palette.png")
    works("build", out, tmp_path / "palette.png")
    shown = np.asarray(image.open(tmp_path / "palette.png").convert("RGB"))
    assert np.array_equal(pydicom.dcmread(out).pixel_array, shown)

    image.fromarray(np.dstack([color, color[..., :1]])).save(tmp_path / "alpha.png")
    fails(20, "build", out, tmp_path / "alpha.png", says="blended with white")
    image.fromarray(gray[0][:10]).save(tmp_path / "small.png")
    done = fails(20, "build", out, tmp_path / "0.png", tmp_path / "small.png")
    assert "(10, 30)" in done.stderr
    assert "(20, 30)" in done.stderr
    assert np.array_equal(pydicom.dcmread(out).pixel_array, shown)


# --- frames ---


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle_2frame.dcm",
        "CT_small.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEG2000.dcm",
        "rtdose.dcm",
        "MR_small_bigendian.dcm",
    ],
)
def test_frames(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom has no {name} here")
    given = pydicom.dcmread(path)
    count = int(given.get("NumberOfFrames", 1))
    facts = json.loads(works("frames", path, "--json").stdout)
    assert facts["path"] == path
    assert facts["frames"] == count
    assert facts["shape"][:2] == [given.Rows, given.Columns]
    assert len(facts["shape"]) == (3 if given.SamplesPerPixel > 1 else 2)
    assert facts["photometric"] == given.PhotometricInterpretation
    assert facts["transfer_syntax"] == given.file_meta.TransferSyntaxUID.keyword
    assert facts["bits_stored"] == given.BitsStored
    assert np.dtype(facts["dtype"]).itemsize == max(given.BitsAllocated // 8, 1)
    encapsulated = given.file_meta.TransferSyntaxUID.is_encapsulated
    assert (facts["offset_table"] == "native") != encapsulated
    assert [len(facts[key]) for key in ("offsets", "lengths", "fragments")] == [count] * 3
    if encapsulated:
        coded = list(pydicom.encaps.generate_frames(given.PixelData, number_of_frames=count))
        assert facts["lengths"] == [len(frame) for frame in coded]
        with open(path, "rb") as file:
            data = file.read()
        for offset, frame in zip(facts["offsets"], coded, strict=True):
            assert data[offset : offset + 20] == frame[:20]
    text = works("frames", path).stdout
    for fact in (count, given.file_meta.TransferSyntaxUID.keyword, facts["offset_table"]):
        assert f" {fact}\n" in text
    assert " x ".join(map(str, facts["shape"])) in text


def test_frames_exit_codes(tmp_path, source):
    fails(20, "frames", tmp_path / "nowhere", says="nowhere: cannot read")
    fails(20, "frames", tmp_path, says="directory")
    fails(20, "frames", get_testdata_file("rtplan.dcm"), says="no pixel data")
    fails(2, "frames", says="FILE")
    (tmp_path / "cut.dcm").write_bytes(source.read_bytes()[:-100])
    fails(20, "frames", tmp_path / "cut.dcm", "--json", says="frame 9 of 10")


# --- frame ---


def test_frame_as_array_and_bytes(tmp_path, source):
    frames = noise(10, 32, 48)
    works("frame", source, 3, "-o", tmp_path / "3.npy")
    assert np.array_equal(np.load(tmp_path / "3.npy"), frames[3])
    for name in ("3.raw", "3.bin", "3"):
        works("frame", source, 3, "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes() == frames[3].tobytes()
    assert works("frame", source, 3, text=False).stdout == frames[3].tobytes()
    works("frame", source, -1, "-o", tmp_path / "last.raw")
    assert (tmp_path / "last.raw").read_bytes() == frames[9].tobytes()


def test_frame_encoded(tmp_path, source):
    pytest.importorskip("imagecodecs")
    works("transcode", source, tmp_path / "jpeg.dcm", *JPEG)
    coded = FrameReader(tmp_path / "jpeg.dcm").encoded(2)
    assert works("frame", tmp_path / "jpeg.dcm", 2, "--encoded", text=False).stdout == coded
    works("frame", tmp_path / "jpeg.dcm", 2, "--encoded", "-o", tmp_path / "2.jpg")
    assert (tmp_path / "2.jpg").read_bytes() == coded
    image = pytest.importorskip("PIL.Image").open(tmp_path / "2.jpg")
    assert image.size == (48, 32)


def picture(path, frame, tmp_path, name="out.png"):
    image = pytest.importorskip("PIL.Image")
    works("frame", path, frame, "-o", tmp_path / name)
    return np.asarray(image.open(tmp_path / name))


def eight_bits(values, least, most):
    return ((np.asarray(values, "f8") - least) * (255 / (most - least))).round()


def ct_with(tmp_path, **attributes):
    dataset = pydicom.dcmread(CT)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(tmp_path / "ct.dcm")
    return tmp_path / "ct.dcm", dataset


def test_frame_from_least_to_greatest(tmp_path):
    path, dataset = ct_with(tmp_path)
    pixels = apply_modality_lut(dataset.pixel_array, dataset)
    shown = picture(path, 0, tmp_path)
    assert shown.dtype == np.uint8
    assert np.abs(shown - eight_bits(pixels, pixels.min(), pixels.max())).max() <= 1


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (1000, 20000), (-500, 10), (0, 1.5)])
def test_frame_with_a_window(tmp_path, function, center, width):
    """0 is what lies below the window, 255 what lies above, whatever the frame reaches."""
    more = {} if function is None else {"VOILUTFunction": function}
    path, dataset = ct_with(tmp_path, WindowCenter=center, WindowWidth=width, **more)
    pixels = apply_modality_lut(dataset.pixel_array, dataset)
    windowed = apply_voi_lut(pixels, dataset)
    # What pydicom maps a window to: the range of the stored values, rescaled.
    low, high = -(1 << 15), (1 << 15) - 1
    low, high = (float(v) * dataset.RescaleSlope + dataset.RescaleIntercept for v in (low, high))
    shown = picture(path, 0, tmp_path)
    assert np.abs(shown - eight_bits(windowed, low, high)).max() <= 1
    plain = eight_bits(pixels, pixels.min(), pixels.max())
    assert abs(shown.mean() - plain.mean()) > 5


def test_frame_with_the_first_of_several_windows(tmp_path):
    one, _ = ct_with(tmp_path, WindowCenter=40, WindowWidth=400)
    first = picture(one, 0, tmp_path)
    several, _ = ct_with(tmp_path, WindowCenter=[40, -600], WindowWidth=[400, 1500])
    assert np.array_equal(picture(several, 0, tmp_path), first)


def test_frame_with_a_voi_lut(tmp_path):
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    item.LUTData = (np.arange(4096) // 32 + 50).astype("<u2").tobytes()
    path, dataset = ct_with(tmp_path, VOILUTSequence=[item])
    wanted = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset).astype("i4"), dataset)
    assert np.abs(picture(path, 0, tmp_path).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 40, "WindowWidth": 400}])
def test_frame_of_monochrome1_is_inverted(tmp_path, window):
    path, _ = ct_with(tmp_path, **window)
    shown = picture(path, 0, tmp_path)
    path, _ = ct_with(tmp_path, PhotometricInterpretation="MONOCHROME1", **window)
    assert np.array_equal(picture(path, 0, tmp_path), 255 - shown)


def test_frame_of_one_value(tmp_path):
    path = native_object(tmp_path / "in.dcm", np.full((1, 8, 8), 7, "u1"))
    assert np.unique(picture(path, 0, tmp_path)).size == 1


def test_frame_with_a_palette(tmp_path):
    path = get_testdata_file("examples_palette.dcm", download=False)
    if path is None:
        pytest.skip("pydicom has no examples_palette.dcm here")
    dataset = pydicom.dcmread(path)
    wanted = apply_color_lut(dataset.pixel_array, dataset).astype("f8") / 257
    shown = picture(path, 0, tmp_path)
    assert shown.shape == (dataset.Rows, dataset.Columns, 3)
    assert np.abs(shown - wanted).max() <= 1


@pytest.mark.parametrize("to", ["ExplicitVRLittleEndian", "RLELossless"])
def test_frame_in_color(tmp_path, to):
    frames = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 3), dtype="u1")
    native_object(tmp_path / "in.dcm", frames)
    works("transcode", tmp_path / "in.dcm", tmp_path / "out.dcm", "--to", to)
    assert np.array_equal(picture(tmp_path / "out.dcm", 1, tmp_path), frames[1])
    jpeg = picture(tmp_path / "out.dcm", 1, tmp_path, "out.jpg")
    assert jpeg.shape == (20, 30, 3)


def test_frame_of_ybr_is_rgb(tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (2, 20, 30, 3), dtype="u1")
    path = native_object(tmp_path / "in.dcm", frames, PhotometricInterpretation="YBR_FULL")
    wanted = pydicom.pixels.convert_color_space(frames[1], "YBR_FULL", "RGB", per_frame=False)
    assert np.array_equal(picture(path, 1, tmp_path), wanted)


@pytest.mark.parametrize("bits", [1, 32, "f4"])
def test_frame_of_other_depths(tmp_path, bits):
    from dicomloom import FrameWriter

    kind = {1: "?", 32: "u4", "f4": "f4"}[bits]
    frame = (np.arange(64).reshape(8, 8) % 2 * 1000).astype(kind)
    with FrameWriter(tmp_path / "in.dcm", {}) as writer:
        writer.write(frame)
    shown = picture(tmp_path / "in.dcm", 0, tmp_path)
    assert np.array_equal(shown > 127, frame.astype(bool))
    assert {0, 255} == set(np.unique(shown))


def test_frame_exit_codes(tmp_path, source):
    out = tmp_path / "out.png"
    out.write_bytes(OLD)
    fails(2, "frame", source, 10, "-o", out, says="frame 10 of an object with 10 frames")
    fails(2, "frame", source, -11, "-o", out, says="frame -11")
    fails(2, "frame", source, "one", says="one")
    fails(2, "frame", source, says="N")
    fails(20, "frame", tmp_path / "nowhere", 0, "-o", out, says="nowhere")
    fails(20, "frame", source, 0, "-o", tmp_path / "out.xyz", says=".xyz")
    fails(40, "frame", source, 0, "-o", tmp_path / "nowhere" / "out.raw", says="cannot write")
    fails(40, "frame", source, 0, "-o", "/dev/full", says="No space left")
    (tmp_path / "cut.dcm").write_bytes(source.read_bytes()[:-100])
    fails(20, "frame", tmp_path / "cut.dcm", 9, "-o", out, says="frame 9 of 10")
    assert out.read_bytes() == OLD
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dicomloom", "frame", str(source), "0"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 40, done.stderr
    assert "Traceback" not in done.stderr


# --- codecs ---


def test_codecs():
    rows = json.loads(works("codecs", "--json").stdout)
    by_keyword = {row["keyword"]: row for row in rows}
    assert len(by_keyword) == len(rows) == len({row["uid"] for row in rows})
    known = {uid: entry[-1] for uid, entry in pydicom.uid.UID_dictionary.items()}
    for row in rows:
        assert known.get(row["uid"], row["keyword"]) == row["keyword"], row
        assert pydicom.uid.UID(row["uid"]).is_valid
        assert row["reads"] or row["writes"]
    for keyword in ("RLELossless", "ExplicitVRLittleEndian", "DeflatedImageFrameCompression"):
        assert by_keyword[keyword]["reads"]
        assert by_keyword[keyword]["writes"]
        assert by_keyword[keyword]["lossless"]
    assert not by_keyword["ExplicitVRBigEndian"]["writes"]
    assert not by_keyword["JPEGBaseline8Bit"]["lossless"]
    assert "quality" in by_keyword["JPEGBaseline8Bit"]["options"]
    wanted = """ImplicitVRLittleEndian ExplicitVRLittleEndian ExplicitVRBigEndian
        DeflatedExplicitVRLittleEndian EncapsulatedUncompressedExplicitVRLittleEndian
        DeflatedImageFrameCompression RLELossless JPEGBaseline8Bit JPEGExtended12Bit JPEGLossless
        JPEGLosslessSV1 JPEGLSLossless JPEGLSNearLossless JPEG2000Lossless JPEG2000 HTJ2KLossless
        HTJ2KLosslessRPCL HTJ2K JPEGXLLossless JPEGXLJPEGRecompression JPEGXL"""
    assert set(wanted.split()) <= set(by_keyword)


def test_codecs_as_a_table():
    lines = works("codecs").stdout.splitlines()
    rows = json.loads(works("codecs", "--json").stdout)
    assert lines[0].split() == [
        "KEYWORD",
        "UID",
        "READS",
        "WRITES",
        "BITS",
        "LOSSY",
        "OPTIONS",
        "MORE",
        "WITH",
    ]
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.split()[:2] == [row["keyword"], row["uid"]]
        assert ("lossless" in line.split()) == row["lossless"]
    fails(2, "codecs", "more", says="more")


# --- all of them ---


@pytest.mark.parametrize("name", ["transcode", "build", "frames", "frame", "recover", "codecs"])
def test_help_and_completion(name):
    shown = works(name, "--help").stdout
    assert shown.startswith(f"usage: dicomloom {name}")
    assert name in works("--help").stdout
    script = works("completion", "bash").stdout
    assert f'"{name} -"*)' in script


def test_completion_of_words():
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    script = works("completion", "bash").stdout

    def completed(words):
        ask = f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _dicomloom\n"
        ask += 'echo "${COMPREPLY[@]}"'
        return subprocess.check_output(["bash", "-c", f"{script}\n{ask}"], text=True).split()

    assert completed("dicomloom tr") == ["transcode"]
    assert completed("dicomloom fr") == ["frames", "frame"]
    assert completed("dicomloom transcode --max-m") == ["--max-memory"]
    assert completed("dicomloom build --offset-table e") == ["extended", "empty"]


def test_a_reader_that_leaves(source, tmp_path):
    """`dicomloom frames --json | head`."""
    with subprocess.Popen(
        [sys.executable, "-m", "dicomloom", "frame", str(source), "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        child.stdout.close()
        error = child.stderr.read()
    assert b"Traceback" not in error
    assert b"Exception ignored" not in error


def test_stdin_is_read_as_it_comes(tmp_path):
    """A camera at the other end of a pipe; frames are written before it is done."""
    out = tmp_path / "out.dcm"
    argv = ["build", str(out), "--raw", "-", "--rows", "512", "--columns", "512"]
    frame = np.random.default_rng(1).integers(0, 256, (512, 512), dtype="u1").tobytes()
    with subprocess.Popen(
        [sys.executable, "-m", "dicomloom", *argv], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        for _ in range(5):
            child.stdin.write(frame)
        child.stdin.flush()
        partial = tmp_path / "out.dcm.partial"
        for _ in range(1000):
            if partial.exists() and partial.stat().st_size > 4 * len(frame):
                break
            subprocess.run(["sleep", "0.01"], check=True)
        assert partial.stat().st_size > 4 * len(frame)
        child.stdin.write(frame)
        child.stdin.close()
        assert child.wait(30) == 0
        child.stderr.read()
    assert len(FrameReader(io.BytesIO(out.read_bytes()))) == 6
