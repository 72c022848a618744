"""Every promise of `FrameWriter` and `transcode` when what is around them fails.

The target is whole or untouched, nothing is left behind, and the error says what happened."""

import errno
import gc
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pydicom
import pytest

from dicomloom import FrameReader, FrameWriter, PixelError, TruncatedError, WriteError, transcode
from dicomloom.codecs import rle
from dicomloom.frames.instance import Instance
from faults import (
    OLD,
    TEMPLATE,
    child,
    frame_threads,
    noise,
    sparse_object,
    unfinished,
    untouched,
    write_all,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


# --- W3: signals ---

SLOW = """
    import signal, sys
    from dicomloom.cli.main import main
    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    code = main(["transcode", *sys.argv[1:]])
    assert before == [signal.getsignal(number) for number in numbers]
    sys.exit(code)
    """


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("syntax", "jobs"),
    [
        ("RLELossless", 2),
        ("DeflatedImageFrameCompression", 1),
        ("DeflatedExplicitVRLittleEndian", 2),
    ],
)
def test_a_signal_ends_transcode(tmp_path, target, number, syntax, jobs):
    """Some gigabytes of zeros: far more than is done when the signal comes."""
    source = sparse_object(tmp_path / "in.dcm", 8000, 512, 512, bits=16)
    script = "\n".join(line.strip() for line in SLOW.splitlines())
    argv = [source, target, "--to", syntax, "-j", jobs]
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, argv)], stderr=subprocess.PIPE, text=True
    ) as running:
        partial = tmp_path / "out.dcm.partial"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if partial.exists() and partial.stat().st_size > 100_000:
                break
            time.sleep(0.005)
        running.send_signal(number)
        _, error = running.communicate(timeout=30)
    assert running.returncode == 130, error
    assert error == "dicomloom: interrupted\n"
    assert untouched(target)


# --- W8: targets that cannot be, and names ---


@pytest.mark.parametrize("job", ["writer", "transcode"])
def test_targets_that_cannot_be(tmp_path, source, job):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(OLD)
    os.mkfifo(tmp_path / "fifo")
    for name, number in [
        ("folder", errno.EISDIR),
        ("fifo", errno.EINVAL),
        ("/dev/null", errno.EINVAL),
        ("/dev/full", errno.EINVAL),
        ("nowhere/out.dcm", errno.ENOENT),
        ("file/out.dcm", errno.ENOTDIR),
        ("n" * 300, errno.ENAMETOOLONG),
    ]:
        path = tmp_path / name
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(WriteError) as caught:
            if job == "writer":
                write_all(path, noise(1), "RLELossless")
            else:
                transcode(source, path, "RLELossless")
        assert caught.value.errno == number, name
        assert caught.value.path == str(path)
        assert sorted(os.listdir(tmp_path)) == before
    assert stat.S_ISFIFO(os.stat(tmp_path / "fifo").st_mode)
    assert (tmp_path / "file").read_bytes() == OLD


AS_NOBODY = """
    import os, sys
    from dicomloom import FrameWriter, WriteError, transcode
    from dicomloom.codecs import rle
    import dicomloom.frames.reader, pydicom, numpy
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)  # root may write everywhere
    source, target = sys.argv[1:]
    for call in (
        lambda: FrameWriter(target, {}),
        lambda: transcode(source, target, "RLELossless"),
    ):
        try:
            call()
        except WriteError as error:
            print(error.errno, error.path == target)
    """


def test_a_folder_that_is_read_only(source):
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        inside = os.path.join(name, "inside")
        os.mkdir(inside)
        with open(os.path.join(inside, "out.dcm"), "wb") as file:
            file.write(OLD)
        with open(os.path.join(name, "in.dcm"), "wb") as file:
            file.write(source.read_bytes())
        os.chmod(inside, 0o555)
        os.chmod(name, 0o755)
        done = child(AS_NOBODY, os.path.join(name, "in.dcm"), os.path.join(inside, "out.dcm"))
        os.chmod(inside, 0o755)
        assert done.stdout.split() == [str(errno.EACCES), "True"] * 2, done.stderr
        assert os.listdir(inside) == ["out.dcm"]
        with open(os.path.join(inside, "out.dcm"), "rb") as file:
            assert file.read() == OLD


def test_a_file_system_that_is_read_only(small_disk, source):
    target = small_disk / "out.dcm"
    target.write_bytes(OLD)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(WriteError, match="Read-only file system"):
        transcode(source, target, "RLELossless")
    assert untouched(target)


@pytest.mark.parametrize(
    "name",
    [
        b"n" * 255,
        "ä".encode() * 127,
        b"\xff\xfe.dcm",
        b"\xff" * 255,
        b" ",
        b"-",
        b"a\nb",
        b".hidden",
    ],
)
def test_names(tmp_path, source, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    frames = noise(3)
    write_all(os.fsdecode(path), frames, "RLELossless")
    assert np.array_equal(np.asarray(FrameReader(os.fsdecode(path))), frames)
    transcode(source, os.fsdecode(path), "RLELossless")
    assert len(FrameReader(os.fsdecode(path))) == 24
    assert sorted(os.listdir(os.fsencode(tmp_path))) == sorted([name, b"source"])


def test_permissions_of_the_target_are_kept(target, source):
    target.chmod(0o640)
    transcode(source, target, "RLELossless")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o604)
    write_all(target, noise(2), "RLELossless")  # by way of a second file
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


@pytest.mark.parametrize("syntax", ["RLELossless", "ExplicitVRLittleEndian"])
def test_a_new_file_gets_the_umask(tmp_path, syntax):
    previous = os.umask(0o027)
    try:
        write_all(tmp_path / "new", noise(2), syntax)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_is_followed_and_kept(tmp_path, target, source):
    (tmp_path / "link").symlink_to(target)
    transcode(source, tmp_path / "link", "RLELossless")
    assert (tmp_path / "link").is_symlink()
    assert len(FrameReader(target)) == 24


# --- W9: several writers ---


@pytest.mark.parametrize("job", ["writer", "transcode", "second file"])
def test_a_partial_file_of_another_is_never_taken(target, source, job):
    other = target.parent / "out.dcm.partial"
    third = target.parent / "out.dcm.1.partial"
    other.write_bytes(b"somebody's last hope")
    third.write_bytes(b"another's")
    if job == "transcode":
        transcode(source, target, "RLELossless")
    else:
        write_all(target, noise(2), "RLELossless", frames=2 if job == "writer" else None)
    with pytest.raises(PixelError), FrameWriter(target, TEMPLATE):
        pass
    assert other.read_bytes() == b"somebody's last hope"
    assert third.read_bytes() == b"another's"
    assert len(unfinished(target.parent)) == 2


def test_two_writers_of_one_target(target):
    """Both are whole; the last one to close is what stands there."""
    frames = noise(12)
    with FrameWriter(target, TEMPLATE, transfer_syntax="RLELossless") as first:
        with FrameWriter(target, TEMPLATE, transfer_syntax="RLELossless") as second:
            for i in range(6):
                first.write(frames[i])
                second.write(frames[6 + i])
        assert np.array_equal(np.asarray(FrameReader(target)), frames[6:])
    assert np.array_equal(np.asarray(FrameReader(target)), frames[:6])
    assert not unfinished(target.parent)


def test_many_threads_write_one_target(target, source):
    failures = []

    def job(i):
        try:
            if i % 2:
                transcode(source, target, "RLELossless")
            else:
                write_all(target, noise(24), "RLELossless")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=job, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert np.array_equal(np.asarray(FrameReader(target)), noise(24))
    assert not unfinished(target.parent)


@pytest.mark.parametrize("leave", ["sys.exit(3)", "raise ZeroDivisionError", "os._exit(3)"])
def test_a_forked_child_leaves_the_file_to_its_parent(target, leave):
    script = f"""
        import os, sys
        import numpy as np
        from dicomloom import FrameWriter
        with FrameWriter(sys.argv[1], {{}}, transfer_syntax="RLELossless", workers=2) as writer:
            writer.write(np.zeros((8, 8), "u1"))
            process = os.fork()
            if process == 0:
                {leave}
            os.waitpid(process, 0)
            writer.write(np.ones((8, 8), "u1"))
        """
    done = child(script, target)
    assert done.returncode == 0, done.stderr
    assert np.asarray(FrameReader(target)).tolist() == [[[0] * 8] * 8, [[1] * 8] * 8]
    assert not unfinished(target.parent)


# --- W6: abandoned writers ---


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_an_abandoned_writer_leaves_nothing(target, workers, count):
    writer = FrameWriter(target, TEMPLATE, transfer_syntax="RLELossless", workers=workers)
    for frame in noise(count, 256, 256):
        writer.write(frame)
    assert unfinished(target.parent)
    with pytest.warns(ResourceWarning, match=r"never closed: .*out\.dcm"):
        del writer
        gc.collect()
    assert untouched(target)
    assert not frame_threads()


def test_an_abandoned_writer_is_removed_where_warnings_are_errors(target):
    writer = FrameWriter(target, TEMPLATE)
    writer.write(noise(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        hook, sys.excepthook = sys.excepthook, lambda *what: None
        unraisable, sys.unraisablehook = sys.unraisablehook, lambda what: None
        try:
            del writer
            gc.collect()
        finally:
            sys.excepthook, sys.unraisablehook = hook, unraisable
    assert untouched(target)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("how", ["", "sys.exit(0)", "cycle = [writer]; cycle.append(cycle)"])
def test_a_writer_that_is_open_when_the_program_ends(target, workers, how):
    script = f"""
        import sys
        import numpy as np
        from dicomloom import FrameWriter
        writer = FrameWriter(
            sys.argv[1], {{}}, transfer_syntax="RLELossless", workers={workers}, max_memory=300_000
        )
        for i in range(20):
            writer.write(np.full((128, 128), i, "u1"))
        {how}
        """
    done = child(script, target, env={**os.environ, "PYTHONWARNINGS": "default"})
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning: FrameWriter was never closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert untouched(target)


def test_a_writer_that_could_not_begin_leaves_nothing(target):
    for wrong in (
        {"transfer_syntax": "RLELosless"},
        {"offset_table": "large"},
        {"frames": 0},
        {"max_instance_frames": 0},
    ):
        with pytest.raises(ValueError, match=r"RLELossless|offset_table|frames"):
            FrameWriter(target, TEMPLATE, **wrong)
        gc.collect()
        assert untouched(target)
    with pytest.raises(TypeError):
        FrameWriter(target, 42)
    assert untouched(target)


# --- P13: the source changes; and it may be the target ---


@pytest.mark.parametrize(
    "syntax", ["ExplicitVRLittleEndian", "RLELossless", "DeflatedExplicitVRLittleEndian"]
)
def test_a_source_that_shrinks(target, source, monkeypatch, syntax):
    size = source.stat().st_size - 10 * 64 * 64
    owner, name = (rle.RLEEncoder, "rows") if syntax == "RLELossless" else (Instance, "begin")
    method = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: (os.truncate(source, size), method(*given))[1])
    with pytest.raises(TruncatedError, match="truncated") as caught:
        transcode(source, target, syntax, max_memory=20_000)
    assert caught.value.path == str(source)
    assert untouched(target)


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_a_source_that_grows_or_vanishes(target, source, monkeypatch):
    encode = rle.RLEEncoder.encode

    def encode_and_change(self, frame):
        with open(source, "ab") as file:
            file.write(b"more")
        return encode(self, frame)

    monkeypatch.setattr(rle.RLEEncoder, "encode", encode_and_change)
    transcode(source, target, "RLELossless")
    assert np.array_equal(np.asarray(FrameReader(target)), noise(24))

    def encode_and_remove(self, frame):
        source.unlink(missing_ok=True)
        return encode(self, frame)

    monkeypatch.setattr(rle.RLEEncoder, "encode", encode_and_remove)
    transcode(source, target, "RLELossless")
    assert np.array_equal(np.asarray(FrameReader(target)), noise(24))


@pytest.mark.parametrize("through", ["itself", "a link", "another name"])
@pytest.mark.parametrize("syntax", ["RLELossless", "ImplicitVRLittleEndian"])
def test_source_and_target_are_the_same(tmp_path, source, through, syntax):
    target = source
    if through == "a link":
        target = tmp_path / "link"
        target.symlink_to(source)
    elif through == "another name":
        target = tmp_path / "link"
        os.link(source, target)
    transcode(source, target, syntax)
    assert np.array_equal(np.asarray(FrameReader(target)), noise(24))
    assert pydicom.dcmread(target).file_meta.TransferSyntaxUID.keyword == syntax
    assert not unfinished(tmp_path)
    assert not unfinished(source.parent)


def test_the_template_may_be_the_target(source):
    frames = noise(3, seed=5)
    with FrameWriter(source, source, transfer_syntax="RLELossless") as writer:
        writer.write(frames)
    found = pydicom.dcmread(source)
    assert found.PatientID == "before"
    assert np.array_equal(found.pixel_array, frames)


@pytest.mark.parametrize("call", ["FrameReader", "transcode", "recover", "FrameWriter"])
def test_sources_that_are_no_files_are_refused_at_once(tmp_path, call):
    """Opening a FIFO would wait for somebody who writes to it."""
    os.mkfifo(tmp_path / "fifo")
    script = """
        import sys
        import dicomloom
        path, call = sys.argv[1:]
        try:
            if call == "FrameReader":
                dicomloom.FrameReader(path)
            elif call == "FrameWriter":
                dicomloom.FrameWriter(path + ".out", path)
            elif call == "recover":
                dicomloom.recover(path, path + ".out")
            else:
                dicomloom.transcode(path, path + ".out", "RLELossless")
        except dicomloom.ReadError as error:
            print(error)
        """
    for path, says in [
        (tmp_path / "fifo", "not a regular file"),
        (tmp_path, "irectory"),
        ("/dev/zero", "not a regular file"),
    ]:
        done = child(script, path, call)
        assert done.stdout.startswith(f"{path}: cannot read"), done.stderr
        assert says in done.stdout
    assert os.listdir(tmp_path) == ["fifo"]
