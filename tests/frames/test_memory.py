"""Memory is a promise: whole processes, measured by the peak that the system counted for them.

An editable install costs some megabytes of its own to find modules, and so does an interpreter that
somebody built with other options: `--help` is what everything is held against.
"""

import json
import os
import re

import pytest

from faults import child, sparse_object

KIB = 1024


def peak_of(*arguments):
    """KiB that `dicomloom` had at most. Not ru_maxrss: Linux lets a new process inherit it."""
    script = """
        import atexit, re, sys
        def tell():
            with open("/proc/self/status") as file:
                sys.stderr.write("\\nPEAK " + re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])
        atexit.register(tell)
        from dicomloom.cli.main import main
        sys.exit(main(sys.argv[1:]))
        """
    done = child(script, *arguments, timeout=110)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"PEAK (\d+)", done.stderr)[1])


@pytest.fixture(scope="module", autouse=True)
def counted():
    if not os.path.exists("/proc/self/status"):
        pytest.skip("peaks are read from /proc")


@pytest.fixture(scope="module")
def base():
    return peak_of("transcode", "--help")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memory")


def transcoded(folder, source, to="RLELossless", *arguments):
    out = folder / "out.dcm"
    peak = peak_of("transcode", source, out, "--to", to, "-j", 2, *arguments)
    out.unlink()
    return peak


@pytest.fixture(scope="module")
def large(folder):
    """40 frames of 2.5 MB."""
    return sparse_object(folder / "large.dcm", 40, 1024, 1280, bits=16)


BY_ROWS = ["RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"]


@pytest.mark.parametrize("to", BY_ROWS)
def test_the_main_job(folder, base, large, to):
    """On an installed wheel `--help` takes 10 to 11 MiB: with 9 more it stays below 20."""
    assert transcoded(folder, large, to) - base <= 9 * KIB


@pytest.mark.parametrize("to", BY_ROWS)
def test_the_main_job_with_noise(folder, base, to):
    """What nothing compresses is as large coded as raw, and a band of rows at a time."""
    import numpy as np

    from faults import native_object

    pixels = np.random.default_rng(1).integers(0, 1 << 16, (12, 1024, 1280), dtype="u2")
    source = native_object(folder / "noise.dcm", pixels)
    # Two workers, each with a coded frame and a band of rows. Raw, a frame has 2,560 KiB; of each
    # difference of neighbors JPEG codes how large it is besides.
    coded = 2600 if to == "RLELossless" else 2800
    assert transcoded(folder, source, to) - base <= 5.25 * KIB + 2 * (coded + 256)
    source.unlink()


@pytest.mark.parametrize("to", BY_ROWS)
def test_more_frames_take_no_more(folder, base, to):
    few = sparse_object(folder / "few.dcm", 20, 1024, 1280, bits=16)
    many = sparse_object(folder / "many.dcm", 200, 1024, 1280, bits=16)
    assert abs(transcoded(folder, many, to) - transcoded(folder, few, to)) <= KIB


@pytest.mark.parametrize(
    "to", ["ImplicitVRLittleEndian", "EncapsulatedUncompressedExplicitVRLittleEndian"]
)
def test_copies(folder, base, large, to):
    assert transcoded(folder, large, to) - base <= 11 * KIB


def test_small_frames_take_32_bytes_each(folder, base):
    count = 200_000
    source = sparse_object(folder / "small.dcm", count, 16, 16)
    few = sparse_object(folder / "fewer.dcm", 200, 16, 16)
    allowed = count * 32 // KIB + KIB
    assert transcoded(folder, source) - transcoded(folder, few) <= allowed
    # And as many frames are read again, by their table.
    out = folder / "rle.dcm"
    peak_of("transcode", source, out, "--to", "RLELossless")
    peak = transcoded(folder, out, "ExplicitVRLittleEndian")
    assert peak - transcoded(folder, few) <= allowed
    out.unlink()


def test_max_memory_is_kept(folder, base, large):
    """Frames in flight: 8 MiB, whatever the number of threads."""
    to = "DeflatedImageFrameCompression"
    peak = transcoded(folder, large, to, "--max-memory", "8MiB", "-j", "8")
    assert peak - base <= (8 + 6) * KIB


def grown_by(script, *arguments):
    head = """
        import json, re, sys
        def peak():
            with open("/proc/self/status") as file:
                return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])
        """
    done = child(head + script, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_reading_frames_one_by_one_does_not_grow(folder, large):
    for path in (large, folder / "coded.dcm"):
        if path != large:
            peak_of("transcode", large, path, "--to", "RLELossless")
        grown = grown_by(
            """
        from dicomloom import FrameReader
        reader = FrameReader(sys.argv[1])
        def read(frames):
            for i in frames:
                reader[i].sum()
            for frame in reader[frames.start : frames.stop]:
                frame.sum()
                reader.encoded(3)
        read(range(3))
        before = peak()
        read(range(len(reader)))
        print(peak() - before)
        """,
            path,
        )
        assert grown <= 2 * KIB


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "syntax",
    [
        "ExplicitVRLittleEndian",
        "DeflatedExplicitVRLittleEndian",
        "RLELossless",
        "EncapsulatedUncompressedExplicitVRLittleEndian",
    ],
)
def test_writing_frame_by_frame_does_not_grow(folder, syntax, known):
    """The offset table of 4 bytes a frame is all that does."""
    grown = grown_by(
        """
        import numpy as np
        from dicomloom import FrameWriter
        path, syntax, known = sys.argv[1:]
        frame = np.zeros((256, 1024), "u2")
        with FrameWriter(
            path, {}, transfer_syntax=syntax, workers=2, frames=160 if known == "True" else None
        ) as writer:
            for i in range(20):
                writer.write(frame)
            before = peak()
            for i in range(140):
                writer.write(frame)
        print(peak() - before)
        """,
        folder / "written.dcm",
        syntax,
        known,
    )
    assert grown <= 3 * KIB
    (folder / "written.dcm").unlink()
