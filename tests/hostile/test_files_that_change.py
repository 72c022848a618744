"""Row P13: files that shrink, grow or vanish while they are read, and those that may not be read.

Of read_tags and of what a scan has listed the proofs are in tests/index/test_hostile_files.py, of
transcode in tests/frames/test_faults_around.py, of send in tests/network/test_send_faults.py.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from clips import SMALL, X264, ffmpeg
from dicomloom import (
    DicomDir,
    DicomloomError,
    FrameReader,
    ReadError,
    TruncatedError,
    dicomize,
    scan,
    transcode,
)
from dicomloom.dicomize import write as writing
from dicomloom.files import EagerFile
from discs import an_object
from faults import child, native_object, noise
from hostile import whole

WAYS = ["shrinks", "grows", "vanishes"]
ways = pytest.mark.parametrize("way", WAYS)


def change(path, way, size=600):
    """Do it to a file that somebody reads."""
    if way == "shrinks":
        os.truncate(path, size)
    elif way == "grows":
        with open(path, "ab") as file:
            file.write(b"more" * 1000)
    else:
        path.unlink(missing_ok=True)


@ways
def test_p13_scan(tmp_path, way):
    """A row for each file: as it was, as it is, or what is wrong with it; the walk goes on."""
    files = [tmp_path / f"{number:02}.dcm" for number in range(30)]
    for path in files:
        path.write_bytes(whole())
    rows = {}
    with scan(tmp_path, ["PatientID"], threads=1, batch_size=1) as batches:
        for batch in batches:
            rows |= {row[0]: row[1:] for row in batch.rows()}
            if len(rows) == 1:
                for path in files:
                    change(path, way, 195)
    assert rows.keys() == set(map(str, files))
    for status, value, error in rows.values():
        assert (status == "OK") == (value == "behind")
        assert (status == "OK") == (error is None)
    seen = {error for _, _, error in rows.values() if error}
    assert len(seen) == (0 if way == "grows" else 1), seen
    assert way != "shrinks" or "byte" in str(seen)


@pytest.mark.filterwarnings("ignore::dicomloom.errors.OffsetTableWarning")
@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless", "deflated"])
@ways
def test_p13_frames(tmp_path, way, syntax):
    """In the middle of frames: those that are there are read; the error names file, frame, byte."""
    pixels = noise(12)
    path = native_object(tmp_path / "in.dcm", pixels)
    if syntax != "ExplicitVRLittleEndian":
        to = "DeflatedExplicitVRLittleEndian" if syntax == "deflated" else syntax
        transcode(path, tmp_path / "coded.dcm", to)
        path = tmp_path / "coded.dcm"
    with FrameReader(path) as reader:
        assert np.array_equal(reader[0], pixels[0])
        change(path, way, path.stat().st_size // 2)
        got = 0
        for frame in range(1, 12):
            try:
                assert np.array_equal(reader[frame], pixels[frame])
                got += 1
            except TruncatedError as error:
                assert error.path == str(path)
                assert error.frame == frame
                assert error.offset is not None
        assert got >= 3
        assert (got == 11) == (way != "shrinks")


@pytest.fixture
def copying(monkeypatch):
    """Have something done before the bytes of a source are copied."""

    def before(act):
        copy = EagerFile.copy
        monkeypatch.setattr(EagerFile, "copy", lambda self, *given: (act(), copy(self, *given))[1])

    return before


@ways
def test_p13_dicomdir_copies(tmp_path, copying, way):
    """A file-set of copies is whole or not there."""
    paths = [an_object(tmp_path / f"in/{number}", number) for number in (1, 2)]
    copying(lambda: change(paths[1], way, 500))
    target = tmp_path / "set"
    if way == "grows":
        assert not DicomDir.create(paths, target / "DICOMDIR", copy_to=target).findings
        assert len(list(DicomDir.open(target / "DICOMDIR").instances)) == 2
        assert sorted(os.listdir(tmp_path)) == ["in", "set"]
        return
    with pytest.raises(TruncatedError if way == "shrinks" else ReadError) as caught:
        DicomDir.create(paths, target / "DICOMDIR", copy_to=target)
    assert caught.value.path == str(paths[1])
    assert way == "vanishes" or caught.value.offset == 500
    assert sorted(os.listdir(tmp_path)) == ["in"]


def pdf(folder):
    path = folder / "a.pdf"
    path.write_bytes(b"%PDF-1.4\n" + b"%" * 100_000 + b"\n%%EOF\n")
    return path


def stl(folder):
    path = folder / "a.stl"
    path.write_bytes(bytes(80) + (2000).to_bytes(4, "little") + bytes(50 * 2000))
    return path


def video(folder):
    return ffmpeg(SMALL, "25", 25, X264, folder / "a.mp4")


@pytest.mark.parametrize("make", [stl, video], ids=["document", "video"])
@ways
def test_p13_dicomize_of_what_is_copied(tmp_path, copying, make, way):
    """A document or video that changes while it is copied: nothing is written, or all there was."""
    path, target = make(tmp_path), tmp_path / "out.dcm"
    copying(lambda: change(path, way))
    if way != "shrinks":
        data = path.read_bytes()
        dicomize(path, target)
        assert data in target.read_bytes()
        return
    with pytest.raises(TruncatedError) as caught:
        dicomize(path, target)
    assert caught.value.path == str(path)
    assert caught.value.offset is not None
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("way", ["shrinks", "vanishes"])
def test_p13_dicomize_of_pictures(tmp_path, monkeypatch, kind, way):
    """A picture that is not what it was when all were looked at: an error with its name."""
    path, target = tmp_path / f"a.{kind}", tmp_path / "out.dcm"
    PIL.Image.fromarray(noise(1)[0]).save(path)
    write = writing._write_stills
    monkeypatch.setattr(
        writing, "_write_stills", lambda *given: (change(path, way, 300), write(*given))[1]
    )
    with pytest.raises(DicomloomError) as caught:
        dicomize(path, target)
    assert caught.value.path == str(path)
    assert os.listdir(tmp_path) == ([path.name] if way == "shrinks" else [])


def test_p13_a_source_that_is_no_file(tmp_path):
    """dicomize of a FIFO, a folder, a device: refused at once, by name."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, "/dev/random", "/dev/full", "/dev/zero"):
        with pytest.raises(ReadError) as caught:
            dicomize(path, tmp_path / "out.dcm")
        assert caught.value.path == str(path)
    assert os.listdir(tmp_path) == ["fifo"]


@pytest.mark.skipif(not hasattr(os, "setuid") or os.geteuid() != 0, reason="only root can drop")
def test_p13_what_may_not_be_read():
    """As nobody, at every door: an error of the system with the name of the file, or a row."""
    script = """
        import os, sys, tempfile, warnings
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        warnings.simplefilter("ignore")
        from doors import DOORS, through
        import pydicom, PIL.Image  # before the libraries may not be read
        from dicomloom import DicomloomError, FrameReader
        path, wrong = Path(sys.argv[1]), []
        doors = [door for door in DOORS if not door.name.endswith((" of bytes", " of a file"))]
        doors = [door for door in doors if door.name != "validate"]  # runs a program
        for door in doors:
            through(door, path / "good.dcm", path / "root" / door.name.replace("/", ""))
        os.setgid(65534), os.setuid(65534)
        for name in ("hidden.dcm", "closed/in.dcm", "folder.dcm"):
            for number, door in enumerate(doors):
                error = through(door, path / name, path / "out" / f"{name[:3]}{number}")
                if name == "folder.dcm" or door.tells:
                    continue  # some doors take folders
                if door.name == "DicomDir.create":  # there may be others
                    wrong += [] if "denied" in str(error) else [door.name]
                elif not isinstance(error, OSError) or error.errno != 13:
                    wrong.append((door.name, name, repr(error)))
        print(wrong)
        """
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        (folder / "closed").mkdir()
        (folder / "folder.dcm").mkdir()
        for each in ("good.dcm", "hidden.dcm", "closed/in.dcm"):
            (folder / each).write_bytes(whole())
        (folder / "hidden.dcm").chmod(0)
        (folder / "closed").chmod(0)
        done = child(script, folder, os.path.dirname(os.path.dirname(__file__)), timeout=120)
    assert done.stdout == "[]\n", done.stdout + done.stderr[-2000:]
