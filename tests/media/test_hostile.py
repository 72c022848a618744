"""Directories that lie, and creations that are killed."""

import signal
import struct
import subprocess
import sys

import pydicom
import pytest

from dicomloom import DicomDir
from dicomloom.media.check import check
from dicomloom.media.encode import Record, directory, element
from discs import tree_of
from support import PRINT_PEAK

# Makes a file-set, and kills itself where a function would be called; of writing, half-way.
DIES = """
import os, signal, sys
from dicomloom import DicomDir
import dicomloom.files, dicomloom.media.create

disc, copy_to, point = sys.argv[1:]
where, name = point.rsplit(".", 1)
owner = eval(where)
old = getattr(owner, name)

def die(*given, **named):
    if name == "write":
        old(given[0], given[1][: len(given[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, die)
DicomDir.create(disc, copy_to=copy_to or None)
"""
COUNT_AND_PEAK = f"""
import sys
from dicomloom import DicomDir
found = DicomDir.open(sys.argv[1])
print(sum(1 for _ in found.instances), len(found.findings))
{PRINT_PEAK}"""


def records_of(content: bytes) -> list[tuple[int, str]]:
    """Offset and type of each record, as pydicom finds them."""
    found = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content)).DirectoryRecordSequence
    return [(each.seq_item_tell, each.DirectoryRecordType) for each in found]


def with_offset(content: bytes, record: int, which: int, value: int) -> bytes:
    """Overwrite (0004,1400), the next record, or (0004,1420), the one below, of our layout."""
    tag = struct.pack("<HH2sH", 0x0004, which, b"UL", 4)
    at = content.index(tag, record) + len(tag)
    return content[:at] + struct.pack("<L", value) + content[at + 4 :]


@pytest.fixture
def made(disc):
    DicomDir.create(disc)
    return disc / "DICOMDIR", (disc / "DICOMDIR").read_bytes()


def test_self_loops_cycles_and_shared_children(made):
    path, content = made
    wanted = tree_of(path)
    found = records_of(content)
    patients = [at for at, kind in found if kind == "PATIENT"]
    studies = [at for at, kind in found if kind == "STUDY"]
    cases = {
        "a record that follows itself": (patients[-1], 0x1400, patients[-1]),
        "a record below itself": (studies[0], 0x1420, studies[0]),
        "the last leads to the first": (patients[-1], 0x1400, patients[0]),
        "a study above its own patient": (studies[0], 0x1420, patients[0]),
        "two patients of one study": (patients[1], 0x1420, studies[0]),
        "behind the end": (patients[-1], 0x1400, len(content) + 1000),
        "inside of a record": (patients[-1], 0x1400, patients[0] + 2),
    }
    for name, case in cases.items():
        path.write_bytes(with_offset(content, *case))
        opened = DicomDir.open(path)
        files = sorted(node.file_id for node in opened.instances)
        assert files == sorted(row[4] for row in wanted), name
        assert "offset" in {each.kind for each in opened.findings}, name
        assert "offset" in {each.kind for each in check(path)}, name


def a_long_directory(path, count: int) -> None:
    """A patient of one study of one series of `count` images of no content."""
    kinds = ("PATIENT", "STUDY", "SERIES")
    patient, study, series = (Record(element(0x00041430, "CS", k.encode())) for k in kinds)
    patient.children.append(study)
    study.children.append(series)
    image = element(0x00041430, "CS", b"IMAGE")
    series.children.extend(Record(image) for _ in range(count))
    path.write_bytes(directory([patient], ""))


def test_a_series_of_200_000_images(tmp_path):
    a_long_directory(tmp_path / "DICOMDIR", 200_000)
    done = subprocess.run(
        [sys.executable, "-c", COUNT_AND_PEAK, tmp_path / "DICOMDIR"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    counted, peak = done.stdout.splitlines()
    assert counted == b"200000 0"
    assert int(peak) < 400 << 10  # KiB: some hundred bytes a record, and Python


def test_200_000_images_in_a_circle(tmp_path):
    """Each leads to itself: all are found by their place, once."""
    a_long_directory(tmp_path / "DICOMDIR", 200_000)
    content = bytearray((tmp_path / "DICOMDIR").read_bytes())
    next_one = struct.pack("<HH2sH", 0x0004, 0x1400, b"UL", 4)
    at = content.find(next_one)
    while at >= 0:
        content[at + 8 : at + 12] = struct.pack("<L", at - 8)
        at = content.find(next_one, at + 1)
    (tmp_path / "DICOMDIR").write_bytes(content)
    assert sum(1 for _ in DicomDir.open(tmp_path / "DICOMDIR").instances) == 200_000


@pytest.mark.parametrize(
    ("point", "placed"),
    [
        ("dicomloom.media.create.Builder", False),
        ("dicomloom.media.create.directory", False),
        ("dicomloom.files.EagerFile.write", False),
        ("os.fsync", False),
        ("os.replace", False),
        ("dicomloom.files.sync_folder", True),
    ],
)
def test_kill_9_leaves_the_old_directory_or_all_of_the_new(disc, point, placed):
    path = disc / "DICOMDIR"
    DicomDir.create(disc)
    new = path.read_bytes()
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", DIES, disc, "", point], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == (new if placed else b"old")
    DicomDir.create(disc)  # what was left behind is in nobody's way
    assert path.read_bytes() == new


@pytest.mark.parametrize("point", ["os.mkdir", "os.fsync", "os.replace", "os.rename"])
def test_kill_9_leaves_no_half_copy(disc, tmp_path, point):
    done = subprocess.run([sys.executable, "-c", DIES, disc, tmp_path / "NEW", point], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "NEW").exists()
