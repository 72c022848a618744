"""Row X10: a library codec that crashes must not take the host down."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

import breaking_codecs
from breaking_codecs import children, descriptors, gone, leave_out_others, library_folder
from dicomloom import CorruptError, DicomloomError, FrameReader, Isolation, LimitError, transcode
from faults import OLD, native_object, noise, unfinished
from images import code, data_set, image, layout
from support import manifest, readable

pytest.importorskip("imagecodecs")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

OF = layout(8, rows=8, columns=8)
_, HEADER = code("JPEG2000Lossless", OF, np.zeros((8, 8), np.uint8))
LIBRARY = "imagecodecs 9999.1"
# The transfer syntaxes that only libraries decode.
BY_LIBRARIES = ("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.11",
                "1.2.840.10008.1.2.4.20")  # fmt: skip
MOST_FRAMES = 2


def breaking_object(path: Path, *orders: object) -> Path:
    """An object whose frames do to the library what is said."""
    frames = [HEADER + b"!" + str(order).encode() for order in orders]
    data_set("JPEG2000Lossless", OF, frames).save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(autouse=True)
def only_ours():
    leave_out_others()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder in which the library is one that breaks."""
    return library_folder(tmp_path_factory.mktemp("library"))


@pytest.fixture
def broken(library, monkeypatch):
    """That library, for the processes of this one; nothing of them is left."""
    monkeypatch.syspath_prepend(library)
    before = set(children()), descriptors()
    yield
    assert (set(children()), descriptors()) == before


@pytest.fixture
def command(library):
    """Run `dicomloom` with that library."""
    paths = [str(library), os.path.dirname(breaking_codecs.__file__)]

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "dicomloom", *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_x10_without_the_option_the_host_dies(tmp_path, command):
    """A library that crashes does take the host down: these tests would notice if none did."""
    path = breaking_object(tmp_path / "in.dcm", "SEGV")
    assert command("frame", path, 0).returncode == -signal.SIGSEGV


def test_x10_a_command_tells_what_crashed(tmp_path, command):
    """With --isolate a crash is an error with file, frame, library and signal, exit code 20."""
    path = breaking_object(tmp_path / "in.dcm", "SEGV", 7)
    done = command("frame", path, 0, "--isolate")
    assert done.returncode == 20
    assert done.stdout == b""
    said = done.stderr.decode()
    assert said.startswith(f"dicomloom: {path}: ")
    assert f"the process of {LIBRARY} ended by SIGSEGV" in said
    assert command("frame", path, 1, "--isolate").stdout == bytes([7]) * 64


@pytest.mark.parametrize(
    ("order", "options", "says"),
    [
        ("HANG", ["--isolate-seconds", "1"], "took longer than 1 s over the frame"),
        ("EAT", ["--isolate-memory", "1GiB"], f"{LIBRARY} wants more than 1024 MiB"),
    ],
)
def test_x10_a_command_keeps_its_limits(tmp_path, command, order, options, says):
    """Limits on time and memory are options, each of which asks for isolation by itself."""
    done = command("frame", breaking_object(tmp_path / "in.dcm", order), 0, *options)
    assert done.returncode == 20
    assert says in done.stderr.decode()


def test_x10_a_tree_goes_on_behind_a_crash(tmp_path, command):
    """Of a tree only the files are lost whose frames crash a library; each is named."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i, orders in enumerate([(1, 2), (3, "NULL"), (4,), ("EXIT",), (5, 6, 7), (8,)]):
        breaking_object(source / f"{i}.dcm", *orders)
    target.mkdir()
    (target / "1.dcm").write_bytes(OLD)
    done = command(
        "transcode", source, target, "--to", "ExplicitVRLittleEndian", "--isolate", "-j", "2"
    )
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()
    assert sum("SIGSEGV" in line and "1.dcm: frame 1:" in line for line in said) == 1
    assert sum("exit code 0" in line and "3.dcm: frame 0:" in line for line in said) == 1
    assert said[-1] == "4 files written, 2 failed"
    assert sorted(os.listdir(target)) == ["0.dcm", "1.dcm", "2.dcm", "4.dcm", "5.dcm"]
    assert (target / "1.dcm").read_bytes() == OLD
    assert not unfinished(target)
    assert set(pydicom.dcmread(target / "4.dcm").pixel_array[2].flat) == {7}


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("order", "kind", "says"),
    [
        ("NULL", CorruptError, "ended by SIGSEGV"),
        ("MUCH", CorruptError, "sent what is no answer"),
        ("EAT", LimitError, "wants more than 1024 MiB"),
    ],
)
def test_x10_a_reader_reads_on(tmp_path, order, kind, says):
    """A frame that ends its process is an error with path and frame; all others are read."""
    path = breaking_object(tmp_path / "in.dcm", 1, order, 3)
    with (
        Isolation(memory=1 << 30) as apart,
        FrameReader(path, isolate=apart) as reader,
    ):
        assert (reader[0] == 1).all()
        with pytest.raises(kind, match=f"the process of {LIBRARY}|{LIBRARY} wants") as caught:
            reader[1]
        assert says in str(caught.value)
        assert (caught.value.path, caught.value.frame) == (str(path), 1)
        assert bytes(reader.raw(2)) == b"\3" * 64
        assert reader.encoded(1).rstrip(b"\0").endswith(order.encode())


@pytest.mark.usefixtures("broken")
def test_x10_transcode_keeps_what_stood_there(tmp_path):
    """A crash, on whichever of the threads, leaves the target as it was and no process."""
    path = breaking_object(tmp_path / "in.dcm", *range(6), "SEGV", *range(6))
    target = tmp_path / "out.dcm"
    target.write_bytes(OLD)
    with pytest.raises(CorruptError, match="SIGSEGV") as caught:
        transcode(path, target, "RLELossless", workers=2, isolate=True)
    assert (caught.value.path, caught.value.frame) == (str(path), 6)
    assert target.read_bytes() == OLD
    assert sorted(os.listdir(tmp_path)) == ["in.dcm", "out.dcm"]


@pytest.mark.usefixtures("broken")
def test_x10_two_readers_at_the_same_time(tmp_path):
    """Crashes in one reader are not felt in another, whether they share processes or not."""
    one = breaking_object(tmp_path / "one.dcm", 1, "SEGV", 1)
    other = breaking_object(tmp_path / "other.dcm", *([2] * 40))
    wrong = []

    def read(path, isolate, number):
        try:
            with FrameReader(path, isolate=isolate) as reader:
                for i in range(len(reader)):
                    if number == 1 and i % 2:
                        with pytest.raises(CorruptError, match="SIGSEGV"):
                            reader[i]
                    else:
                        assert (reader[i] == number).all()
        except BaseException as error:
            wrong.append(error)

    with Isolation() as apart:
        threads = [
            threading.Thread(target=read, args=(path, isolate, number))
            for path, number in ((one, 1), (other, 2))
            for isolate in (True, apart)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.usefixtures("broken")
def test_x10_a_reader_that_is_dropped_leaves_no_process(tmp_path):
    """`broken` looks for what is left."""
    reader = FrameReader(breaking_object(tmp_path / "in.dcm", 1), isolate=True)
    assert (reader[0] == 1).all()
    assert len(children()) == 1
    del reader


@pytest.mark.parametrize("tree", [False, True])
def test_x10_ctrl_c_does_not_wait_for_a_library(tmp_path, library, tree):
    """While a library hangs, with all the time there is, Ctrl-C ends the command and its child."""
    source = tmp_path / "in"
    source.mkdir()
    path, target = breaking_object(source / "1.dcm", 1, "HANG", "HANG", "HANG"), tmp_path / "1.dcm"
    target.write_bytes(OLD)
    asked = (source, tmp_path) if tree else (path, target)
    paths = [str(library), os.path.dirname(breaking_codecs.__file__)]
    host = subprocess.Popen(
        [sys.executable, "-m", "dicomloom", "transcode", *map(str, asked), "--to", "RLELossless",
         "--isolate-seconds", "3000", "-j", "2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while host.poll() is None and not (started := children(host.pid)):
            time.sleep(0.01)
        time.sleep(0.5)  # so that most often it hangs already
        host.send_signal(signal.SIGINT)
        assert host.wait(120) == 130
    finally:
        host.kill()
        host.wait()
    assert all(gone(pid) for pid in started)
    assert target.read_bytes() == OLD
    assert not unfinished(tmp_path)


def test_x10_a_disc_goes_without_an_icon(tmp_path, command):
    """An image whose icon crashes a library is on the disc, without an icon and with a finding."""
    breaking_object(tmp_path / "IM1", "SEGV")
    done = command("dicomdir", "create", tmp_path, "--icons", "--isolate")
    assert done.returncode in (0, 1)
    assert "no icon, as the image cannot be decoded" in done.stderr.decode()
    assert "ended by SIGSEGV" in done.stderr.decode()
    [record] = [
        each
        for each in pydicom.dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence
        if each.DirectoryRecordType == "IMAGE"
    ]
    assert "IconImageSequence" not in record


def test_x10_the_corpus_reads_the_same(corpus):
    """All frames that libraries decode are those of the same process, and so are the errors."""
    known = {r["file"] for r in manifest(corpus) if r["transfer_syntax"].startswith(BY_LIBRARIES)}
    seen = 0
    with Isolation() as apart:
        for name in sorted(known & set(readable(corpus))):
            for i in range(MOST_FRAMES):
                here, there = (outcome(corpus / name, i, way) for way in (False, apart))
                assert type(here) is type(there), name
                if isinstance(here, DicomloomError):
                    assert str(here) == str(there)
                else:
                    assert here.dtype == there.dtype
                    assert np.array_equal(here, there), name
                    seen += 1
        assert len(children()) == 1
    assert seen >= 40


def pixel_items(path):
    return list(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=4))


def outcome(path, index, isolate):
    try:
        with FrameReader(path, isolate=isolate) as reader:
            return reader[index].copy()
    except DicomloomError as error:
        return error


@pytest.mark.parametrize(
    ("target", "options"),
    [("JPEG2000Lossless", {}), ("JPEGBaseline8Bit", {"quality": 80}), ("JPEGXLLossless", {})],
)
def test_x10_libraries_code_apart_too(tmp_path, target, options):
    """`transcode` with isolation writes the same bytes; of JPEG XL from JPEG, the same stream."""
    source = native_object(tmp_path / "in.dcm", noise(4), SOPInstanceUID="1.2.3")
    made = [tmp_path / "here.dcm", tmp_path / "there.dcm"]
    for path, isolate in zip(made, (False, True), strict=True):
        transcode(source, path, target, isolate=isolate, workers=2, **options)
    assert pixel_items(made[0]) == pixel_items(made[1])
    if target == "JPEGBaseline8Bit":
        again, back = tmp_path / "again.dcm", tmp_path / "back.dcm"
        transcode(made[1], again, "JPEGXLJPEGRecompression", isolate=True)
        transcode(again, back, target, isolate=True)
        assert pixel_items(back) == pixel_items(made[1])
    assert not children()


@pytest.mark.parametrize("keyword", ["RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"])
def test_x10_own_codecs_need_no_process(tmp_path, keyword):
    """What dicomloom decodes itself it decodes in the host: rows X3 and X4 hold it to that."""
    _, data = code(keyword, OF, image(OF))
    path = tmp_path / "in.dcm"
    data_set(keyword, OF, [data]).save_as(path, enforce_file_format=True)
    with FrameReader(path, isolate=True) as reader:
        assert np.array_equal(reader[0], image(OF))
        assert not children()
