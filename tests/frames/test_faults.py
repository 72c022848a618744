"""Every promise of `FrameWriter` and `transcode`, under its fault.

The target is whole or untouched, nothing is left behind, and the error says what happened."""

import errno
import os
import sys
import threading
import warnings

import numpy as np
import pydicom
import pytest

from dicomloom import FrameReader, FrameWriter, PixelError, WriteError, transcode
from dicomloom.codecs import deflated, rle
from dicomloom.files import EagerFile
from faults import (
    OLD,
    SYNTAXES,
    TEMPLATE,
    child,
    frame_threads,
    native_object,
    noise,
    unfinished,
    untouched,
    write_all,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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
