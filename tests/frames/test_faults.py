"""Every promise of `FrameWriter` and `transcode`, under its fault.

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
from dicomloom.codecs import deflated, rle
from dicomloom.files import EagerFile
from dicomloom.frames.instance import Instance
from faults import (
    OLD,
    SYNTAXES,
    child,
    frame_threads,
    native_object,
    noise,
    sparse_object,
    unfinished,
)

TEMPLATE = {"PatientID": "after"}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def target(tmp_path):
    """A name under which something stands already."""
    path = tmp_path / "out.dcm"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return native_object(folder / "in.dcm", noise(24))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("a tmpfs can be mounted by root only; RLIMIT_FSIZE stands in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def untouched(path):
    return path.read_bytes() == OLD and not unfinished(path.parent)


def write_all(path, pixels, syntax, **options):
    with FrameWriter(path, TEMPLATE, transfer_syntax=syntax, **options) as writer:
        for frame in pixels:
            writer.write(frame)


# --- W2: the disk is full ---


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_full_disk_stops_a_writer(small_disk, syntax, known):
    target = small_disk / "out.dcm"
    target.write_bytes(OLD)
    frames = noise(400, 64, 128)
    with pytest.raises(WriteError, match="No space left on device") as caught:
        write_all(target, frames, syntax, frames=len(frames) if known else None)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.path == str(target)
    assert untouched(target)
    write_all(target, frames[:20], syntax)  # there is room again
    assert len(FrameReader(target)) == 20


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_full_disk_stops_transcode(small_disk, tmp_path, syntax):
    source = native_object(tmp_path / "in.dcm", noise(400, 64, 128))
    target = small_disk / "out.dcm"
    target.write_bytes(OLD)
    with pytest.raises(WriteError, match="No space left on device") as caught:
        transcode(source, target, syntax)
    assert caught.value.path == str(target)
    assert untouched(target)


def test_a_disk_that_is_full_when_the_head_is_rewritten(small_disk):
    """The table of an unknown number of frames needs a second file for a moment."""
    target = small_disk / "out.dcm"
    target.write_bytes(OLD)
    with pytest.raises(WriteError, match="No space left on device"):
        write_all(target, noise(80, 64, 128), "RLELossless")
    assert untouched(target)
    write_all(target, noise(80, 64, 128), "RLELossless", frames=80)  # its room is there at once
    assert len(FrameReader(target)) == 80


def test_a_disk_that_is_full_already_at_the_start(small_disk):
    (small_disk / "rest").write_bytes(bytes((1 << 20) - 4096))
    target = small_disk / "out.dcm"
    with pytest.raises(WriteError, match="No space left on device"):
        write_all(target, noise(3), "RLELossless")
    assert os.listdir(small_disk) == ["rest"]


def test_an_error_that_the_program_catches_does_not_make_a_file_with_a_hole(small_disk):
    """Half an item is in the file: writing on, now that there is room, must not finish it."""
    target = small_disk / "out.dcm"
    target.write_bytes(OLD)
    (small_disk / "rest").write_bytes(bytes(600_000))
    for workers in (1, 2):
        with pytest.raises(WriteError), FrameWriter(
            target, TEMPLATE, transfer_syntax="RLELossless", workers=workers
        ) as writer:  # fmt: skip
            for frame in noise(100, 64, 128):
                try:
                    writer.write(frame)
                except WriteError:
                    (small_disk / "rest").write_bytes(b"")
        assert untouched(target)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("job", ["writer", "transcode"])
def test_a_size_limit(target, source, syntax, job):
    """RLIMIT_FSIZE stands in for a full disk where nobody may mount one."""
    script = """
        import resource, signal, sys
        import numpy as np
        from dicomloom import FrameReader, FrameWriter, WriteError, transcode
        source, target, syntax, job = sys.argv[1:]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            if job == "transcode":
                transcode(source, target, syntax)
            else:
                with FrameWriter(target, {}, transfer_syntax=syntax) as writer:
                    writer.write_from(FrameReader(source))
        except WriteError as error:
            print(error.errno, error.path == target)
        """
    done = child(script, source, target, syntax, job)
    assert done.stdout.split() == [str(errno.EFBIG), "True"], done.stderr
    assert untouched(target)


def test_a_head_that_failed_is_not_written_twice(target, monkeypatch):
    """Half of it is in the file when the program tries again."""
    write_everything = EagerFile.write_all

    def half(self, pieces):
        monkeypatch.setattr(EagerFile, "write_all", write_everything)
        data = b"".join(pieces)
        write_everything(self, [data[: len(data) // 2]])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(EagerFile, "write_all", half)
    frames = noise(3)
    with pytest.raises(WriteError), FrameWriter(target, TEMPLATE) as writer:
        with pytest.raises(WriteError, match="No space left"):
            writer.write(frames)
        writer.write(frames)
    assert untouched(target)


# --- W4: what fails at the end ---


@pytest.mark.parametrize("call", ["fsync", "replace", "pwrite"])
@pytest.mark.parametrize("job", ["writer", "transcode"])
def test_a_failing_end_is_told(target, source, monkeypatch, call, job):
    def failing(*arguments, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(WriteError, match="Input/output error") as caught:
        if job == "writer":
            write_all(target, noise(4), "ExplicitVRLittleEndian")
        else:
            transcode(source, target, "RLELossless")
    assert (caught.value.errno, caught.value.path) == (errno.EIO, str(target))
    assert untouched(target)


def test_a_failing_copy_behind_the_new_head(target, monkeypatch):
    copy = EagerFile.copy
    monkeypatch.setattr(
        EagerFile, "copy", lambda self, file, start, end: copy(self, file, start, end - 9)
    )
    with pytest.raises((PixelError, WriteError), match="missing"):
        write_all(target, noise(4), "RLELossless")
    assert untouched(target)


def test_a_partial_file_that_somebody_removed(target):
    with pytest.raises(WriteError, match="No such file"):
        with FrameWriter(target, TEMPLATE) as writer:
            writer.write(noise(1)[0])
            (target.parent / "out.dcm.partial").unlink()
    assert untouched(target)


def test_the_first_error_is_told_when_removing_fails_too(target):
    with pytest.raises(ZeroDivisionError), FrameWriter(target, TEMPLATE) as writer:
        writer.write(noise(1)[0])
        (target.parent / "out.dcm.partial").unlink()
        raise ZeroDivisionError
    assert untouched(target)


# --- a worker, a source, a program that fails in the middle ---


def failing_at(monkeypatch, owner, name, number, failure):
    """Let a method raise when it is called for the n-th time (from 0), in whatever thread."""
    method, count, lock = getattr(owner, name), iter(range(10**9)), threading.Lock()

    def called(self, *arguments):
        with lock:
            at = next(count)
        if at == number:
            raise failure
        return method(self, *arguments)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("kind", [ValueError, PixelError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("job", ["writer", "transcode"])
def test_a_worker_that_raises(target, source, monkeypatch, kind, workers, job):
    failure = kind("in the middle")
    failing_at(monkeypatch, rle.RLEEncoder, "encode", 13, failure)
    with pytest.raises(kind) as caught:
        if job == "writer":
            write_all(target, noise(24), "RLELossless", workers=workers, max_memory=100_000)
        else:
            transcode(source, target, "RLELossless", workers=workers, max_memory=100_000)
    assert caught.value is failure
    assert untouched(target)
    assert not frame_threads()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("job", ["writer", "transcode"])
@pytest.mark.parametrize(
    ("syntax", "owner"),
    [
        ("RLELossless", rle.RLEEncoder),
        ("DeflatedImageFrameCompression", deflated.DeflateEncoder),
    ],
)
def test_the_error_says_which_frame(
    target, source, monkeypatch, workers, batched, job, syntax, owner
):
    chosen = bytes(noise(24)[13].data)

    def failing(method):
        def called(self, frame):
            if bytes(frame) == chosen:
                raise PixelError("this one")
            return method(self, frame)

        return called

    for name in ("encode", "rows"):
        if hasattr(owner, name):
            monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    options = {"workers": workers, "max_memory": None if batched else 20_000 * workers}
    with pytest.raises(PixelError) as caught:
        if job == "writer":
            write_all(target, noise(24), syntax, **options)
        else:
            transcode(source, target, syntax, **options)
    assert caught.value.frame == 13
    assert untouched(target)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_a_source_that_raises(target, workers, kind):
    def frames():
        yield from noise(10)
        raise kind

    with pytest.raises(kind), FrameWriter(
        target, TEMPLATE, transfer_syntax="RLELossless", workers=workers
    ) as writer:  # fmt: skip
        writer.write_from(frames())
    assert untouched(target)


def test_a_frame_that_is_refused_is_not_the_end(target):
    """`write` promises that nothing of it is written."""
    frames = noise(4)
    with FrameWriter(target, TEMPLATE, transfer_syntax="RLELossless") as writer:
        for frame in frames:
            writer.write(frame)
            with pytest.raises(PixelError):
                writer.write(frame[:5])
    assert np.array_equal(pydicom.dcmread(target).pixel_array, frames)


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line that is run of some modules: Ctrl-C anywhere."""

    def __init__(self, moment, names):
        self.moment, self.names, self.seen = moment, names, 0

    def __call__(self, frame, event, argument):
        code = frame.f_code
        # Nothing that is raised while an object goes is passed on.
        if not code.co_filename.endswith(self.names) or code.co_name == "__del__":
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.moment:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("syntax", ["RLELossless", "ExplicitVRLittleEndian"])
@pytest.mark.parametrize("job", ["writer", "transcode"])
def test_an_interrupt_at_every_line(tmp_path, target, source, monkeypatch, syntax, job):
    """Old or new under the name, nothing beside it: wherever the signal comes."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    target.unlink()
    write_all(target, noise(2), syntax)
    small = native_object(tmp_path / "source" / "small.dcm", noise(2))
    names = ("dicomloom/files.py", "frames/instance.py", "frames/output.py")
    before = sys.gettrace()
    moment = interrupted = 0
    while True:
        moment += 1
        target.write_bytes(OLD)
        tracer = Interrupt(moment, names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            sys.settrace(tracer)
            try:
                if job == "writer":
                    write_all(target, noise(2), syntax, workers=1)
                else:
                    transcode(small, target, syntax, workers=1)
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.settrace(before)
        assert not unfinished(tmp_path), moment
        if target.read_bytes() != OLD:
            assert len(FrameReader(target)) == 2, moment
        if tracer.seen < moment:
            break
    assert interrupted > 100
    assert interrupted >= moment - 2


# --- W3: signals ---

SLOW = """
    import signal, sys
    from dicomloom.cli.main import main
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    code = main(["transcode", *sys.argv[1:]])
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    sys.exit(code)
    """


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
