"""HOSTILE.md D1 to D3: file-sets whose records lie, and names that nobody but we may choose."""

from __future__ import annotations

import ast
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dicomloom import CorruptError, DicomDir, NotDicomError, ReadError, UnsupportedError, transcode
from dicomloom.cli.main import main
from dicomloom.media.check import check, extract
from dicomloom.media.encode import Record, directory, element
from discs import an_object
from faults import command
from pixel_objects import PIXELS, image
from support import PRINT_PEAK, item, long_run, sequence


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def record(kind: str, *elements: bytes) -> Record:
    return Record(element(0x00041430, "CS", kind.encode()) + b"".join(elements))


def referring(file_id: str, uid: str = "1.2.3") -> Record:
    return record(
        "IMAGE",
        element(0x00041500, "CS", file_id.encode("latin-1")),
        element(0x00041510, "UI", b"1.2.840.10008.5.1.4.1.1.7"),
        element(0x00041511, "UI", uid.encode()),
        element(0x00041512, "UI", b"1.2.840.10008.1.2.1"),
    )


def tree(*images: Record) -> bytes:
    patient, study, series = (record(kind) for kind in ("PATIENT", "STUDY", "SERIES"))
    patient.children, study.children, series.children = [study], [series], list(images)
    return directory([patient], "")


# --- D1 ---

LEADING_OUT = [
    "..\\SECRET",
    "SUB\\..\\..\\SECRET",
    "../SECRET",
    "..",
    ".",
    "SUB\\.\\IM",
    "\\SECRET",
    "/SECRET",
    "/etc/passwd",
    "C:\\SECRET",
    "C:SECRET",
    "\\\\HOST\\SHARE\\A",
    "SUB\\\\IM",
    "A\0B",
    "SUB\\IM:STREAM",
    "\\".join(["SUB"] * 65),
    "LINK\\SECRET",
    "OUTWARD",
    "SUB\\OUTWARD",
]
NOWHERE = [
    "LOOP\\A",
    "LOOP",
    "\n",
    "A" * 5000,
    "\x1b[2J",
    "SUB\\" + "B" * 255,
    "SUB",
    "%00",
    "~",
    "$HOME",
    "|id",
]


@pytest.fixture
def root(tmp_path) -> Path:
    """A file-set beside what nobody may reach, and links that lead there."""
    folder = tmp_path / "root"
    an_object(folder / "SUB" / "IM", 1)
    an_object(tmp_path / "SECRET", 2)
    (folder / "LINK").symlink_to(tmp_path)
    (folder / "OUTWARD").symlink_to(tmp_path / "SECRET")
    (folder / "SUB" / "OUTWARD").symlink_to("../../SECRET")
    (folder / "LOOP").symlink_to("LOOP")
    return folder


def test_d01_no_file_id_leads_out_of_the_file_set(root, tmp_path, capsys):
    """By no door: list, check and extract say where, and go on with the next record."""
    bad = LEADING_OUT + NOWHERE
    images = [referring(name, f"1.2.3.9.{number}") for number, name in enumerate(bad, 100)]
    path = root / "DICOMDIR"
    path.write_bytes(tree(*images, referring("SUB\\IM", "1.2.3.9.1")))
    opened = DicomDir.open(path)
    inside = str(root.resolve()) + os.sep
    for node in opened.instances:
        assert node.path is None or node.path.startswith(inside), node.file_id
    assert sum(node.path is None for node in opened.instances) >= len(LEADING_OUT)
    copied, findings = extract(path, tmp_path / "out", {})
    assert copied == 1
    assert os.listdir(tmp_path / "out") == ["1.2.3.9.1.dcm"]
    assert len(findings) == len(bad)
    assert all(finding.offset for finding in findings)
    named = [finding for finding in check(path) if finding.kind in ("name", "file")]
    assert len({finding.offset for finding in named}) == len(bad)
    for action in (["tree"], ["list"], ["check"], ["extract", "-d", str(tmp_path / "two")]):
        capsys.readouterr()
        assert main(["dicomdir", action[0], str(path), *action[1:]]) in (0, 1)
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err
    assert os.listdir(tmp_path / "two") == ["1.2.3.9.1.dcm"]


HOSTILE_UIDS = ["../../evil", "/tmp/evil", "", ".", "..", "1.2.3/4", "1.02", "1." * 40, "1\n2", "x"]


def test_d01_a_uid_of_a_record_is_no_path(root, tmp_path):
    """What `extract` writes is named by UIDs only, and one of two records of a UID is told."""
    images = [referring("SUB\\IM", uid) for uid in (*HOSTILE_UIDS, "1.2.3.9.1", "1.2.3.9.1")]
    (root / "DICOMDIR").write_bytes(tree(*images))
    before = sorted(os.listdir(tmp_path))
    copied, findings = extract(root / "DICOMDIR", tmp_path / "out", {})
    assert copied == 1
    assert len(findings) == len(HOSTILE_UIDS) + 1
    assert os.listdir(tmp_path / "out") == ["1.2.3.9.1.dcm"]
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "out"])


def test_d01_created_file_sets_hold_what_is_below_them(tmp_path):
    """Copies get names of their own, whatever UIDs and names the files have."""
    uids = [uid for uid in HOSTILE_UIDS if uid]  # pydicom writes no file without
    for number, uid in enumerate(uids):
        an_object(tmp_path / "in" / f"{number} ; weird\n.dcm", SOPInstanceUID=uid)
        an_object(tmp_path / "in" / f"{number} study", number + 50, StudyInstanceUID=uid)
        an_object(tmp_path / "in" / f"{number}", number + 100, PatientID=uid)
    made = DicomDir.create(tmp_path / "in", copy_to=tmp_path / "DISC")
    files = {path.relative_to(tmp_path / "DISC") for path in (tmp_path / "DISC").rglob("*")}
    for path in files - {Path("DICOMDIR")}:
        assert all(part.isalnum() and part.isupper() and len(part) == 8 for part in path.parts)
    assert len(made.findings) >= 2 * len(uids)
    assert sorted(os.listdir(tmp_path)) == ["DISC", "in"]


# --- D2 ---


def with_offset(content: bytes, which: int, number: int, value: int) -> bytes:
    """Overwrite the n-th (0004,1400), the next record, or (0004,1420), the one below."""
    tag, at = struct.pack("<HH2sH", 0x0004, which, b"UL", 4), -1
    for _ in range(number + 1):
        at = content.index(tag, at + 1)
    return content[: at + 8] + struct.pack("<L", value) + content[at + 12 :]


def test_d02_offsets_that_lie_lose_and_double_no_record(tmp_path):
    """Self, cycle, outside, shared child, into a record: each record once, and the fault told."""
    content = tree(*[referring(f"IM{n}", f"1.2.{n}") for n in range(5)])
    at = [i for i in range(len(content)) if content[i : i + 4] == b"\xfe\xff\x00\xe0"]
    cases = {
        "self": (0x1400, 5, at[5]),
        "cycle": (0x1400, 7, at[3]),
        "below itself": (0x1420, 2, at[2]),
        "above its parent": (0x1420, 2, at[0]),
        "outside": (0x1400, 4, 0xFFFFFFFE),
        "into a record": (0x1400, 4, at[5] + 3),
        "shared child": (0x1420, 5, at[4]),
        "into the header": (0x1400, 4, 3),
    }
    path = tmp_path / "DICOMDIR"
    for name, (which, number, value) in cases.items():
        path.write_bytes(with_offset(content, which, number, value))
        opened = DicomDir.open(path)
        uids = sorted(node.sop_instance_uid for node in opened.instances)
        assert uids == [f"1.2.{n}" for n in range(5)], name
        assert any(finding.kind == "offset" for finding in opened.findings), name
        assert main(["dicomdir", "tree", str(path)]) == 1


def chained(count: int) -> bytes:
    """Records that are each below the one before."""
    top = at = record("PATIENT")
    for _ in range(count):
        at.children.append(record("PRIVATE"))
        at = at.children[0]
    content = directory([top], "")
    assert content.count(b"PRIVATE") == count
    return content


def test_d02_records_below_one_another(tmp_path, capsys):
    """20,000 levels: the first 64 are followed, all are told of, in linear time."""
    path = tmp_path / "DICOMDIR"
    path.write_bytes(deep(chained(2), 20_000))
    opened = DicomDir.open(path)
    assert sum(1 for _ in opened.instances) >= 20_000
    assert any("more than 64 levels" in finding.message for finding in opened.findings)
    assert main(["dicomdir", "list", str(path), "--where", "PatientName=X"]) == 1
    assert capsys.readouterr().out == ""


def deep(sample: bytes, count: int) -> bytes:
    """The records of `sample` from the second on, made `count`, each below the one before."""
    tag = struct.pack("<HH2sH", 0x0004, 0x1220, b"SQ", 0)
    start = sample.index(tag)
    base = start + 12
    undefined = sample[:start] + tag + b"\xff\xff\xff\xff"
    body = (
        element(0x00041400, "UL", bytes(4))
        + element(0x00041410, "US", b"\xff\xff")
        + element(0x00041420, "UL", b"%s")
        + element(0x00041430, "CS", b"PRIVATE")
    )
    size = len(body) - 2 + 4 + 8
    lower = element(0x00041420, "UL", bytes(4))
    head, _, tail = body.partition(element(0x00041420, "UL", b"%s"))
    records = []
    for number in range(count):
        below = base + size * (number + 1) if number + 1 < count else 0
        content = head + lower[:-4] + struct.pack("<L", below) + tail
        records.append(struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content)
    assert {len(each) for each in records} == {size}
    first = struct.pack("<HH2sH", 0x0004, 0x1200, b"UL", 4)
    at = undefined.index(first) + 8
    undefined = undefined[:at] + struct.pack("<L", base) + undefined[at + 4 :]
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return undefined + b"".join(records) + end


SIBLINGS = f"""
import itertools, struct, sys
from dicomloom import DicomDir
path, count = sys.argv[1], int(sys.argv[2])
found = DicomDir.open(path)
print(sum(1 for _ in found.instances), len(found.findings))
{PRINT_PEAK}"""


@pytest.mark.parametrize("linked", [True, False])
def test_d02_siblings_without_end(tmp_path, linked):
    """Linear time; some 300 bytes a record beside the file. Ten million in the long run."""
    count = 10_000_000 if long_run() else 100_000
    path = tmp_path / "DICOMDIR"
    sample = tree(referring("IM"))
    tag = struct.pack("<HH2sH", 0x0004, 0x1220, b"SQ", 0)
    base = sample.index(tag) + 12
    at = element(0x00041430, "CS", b"PRIVATE")
    size = 8 + 12 + len(at)
    with path.open("wb") as file:
        head = bytearray(sample[: base - 4] + b"\xff\xff\xff\xff")
        first = head.index(struct.pack("<HH2sH", 0x0004, 0x1200, b"UL", 4)) + 8
        struct.pack_into("<L", head, first, base)
        file.write(head)
        for number in range(count):
            following = base + size * (number + 1) if linked and number + 1 < count else 0
            following = following if linked else base
            content = element(0x00041400, "UL", struct.pack("<L", following)) + at
            file.write(struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content)
    done = subprocess.run(
        [sys.executable, "-c", SIBLINGS, path, str(count)],
        capture_output=True, text=True, timeout=3600 if long_run() else 120, check=True,
    )  # fmt: skip
    told, peak = done.stdout.splitlines()
    instances, findings = map(int, told.split())
    assert instances == count
    assert findings <= 100_001 if not linked else findings == 0, findings
    assert int(peak) * 1024 < path.stat().st_size + 400 * count + (100 << 20)


def test_d02_records_that_are_no_data_sets(tmp_path, capsys):
    """What pydicom cannot read of one record is told, and the others are shown and copied."""
    an_object(tmp_path / "IM", 1)
    nested = b""
    for _ in range(3000):
        nested = sequence(0x00081140, [item(nested)])
    broken = {
        "a sequence in a sequence": nested,
        "a length that lies": b"\x10\x00\x20\x00LO\xff\x7fAB",
        "no VR": b"\x10\x00\x20\x00\x01\x02\x03\x04",
        "numbers of half a size": element(0x00280010, "US", b"\1\2\3"),
        "a character set that is none": element(0x00080005, "CS", b"\\\\x\xff\x1b")
        + element(0x00100010, "PN", b"\x1b\x24\xff"),
        "text for a number": element(0x00200013, "IS", b"abc "),
    }
    for name, wrong in broken.items():
        path = tmp_path / "DICOMDIR"
        spoiled = record("IMAGE", wrong)
        path.write_bytes(tree(spoiled, referring("IM", "1.2.3.9.1")))
        for finding in check(path):
            assert finding.kind, name
        nodes = list(DicomDir.open(path).instances)
        assert len(nodes) == 2, name
        for node in nodes:
            try:
                node.get("PatientComments")
            except CorruptError as error:
                assert error.path == str(path), name
                assert error.offset == node.offset, name
        out = tmp_path / f"out {name}"
        copied, _ = extract(path, out, {"SOPInstanceUID": "1.2.3.9.1"})
        assert copied == 1, name
        assert main(["dicomdir", "check", str(path), "--json"]) == 1
        main(["dicomdir", "list", str(path), "--json"])
        capsys.readouterr()


def test_d02_what_is_no_directory(tmp_path):
    """No record sequence, another file, a FIFO, a folder, nothing: an error, and no wait."""
    for content in (b"", bytes(200), b"DICM" * 100, tree()[:300], image(PIXELS.tobytes())):
        (tmp_path / "DICOMDIR").write_bytes(content)
        with pytest.raises((NotDicomError, CorruptError, UnsupportedError, ValueError)) as caught:
            list(DicomDir.open(tmp_path / "DICOMDIR").instances)
        assert type(caught.value).__module__ == "dicomloom.errors"
    os.mkfifo(tmp_path / "FIFO")
    for name in ("FIFO", ".", "ABSENT"):
        with pytest.raises(ReadError):
            DicomDir.open(tmp_path / name)
    done = command("dicomdir", "tree", tmp_path / "FIFO")
    assert done.returncode == 20
    assert "not a regular file" in done.stderr


# --- D3 ---


def test_d03_a_uid_is_never_a_temporary_name(tmp_path, monkeypatch):
    """While they are written, files have random names or those that were asked for."""
    opened = []
    real = os.open

    def spy(path, flags, *rest, **options):
        if flags & os.O_CREAT:
            opened.append(os.fsdecode(path))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr("os.open", spy)
    uid = "1.2.3.777.888"
    source = an_object(tmp_path / "in" / "A", SOPInstanceUID=uid, PatientID=uid)
    transcode(source, tmp_path / "out.dcm", "RLELossless")
    DicomDir.create(tmp_path / "in", copy_to=tmp_path / "DISC")
    extract(tmp_path / "DISC" / "DICOMDIR", tmp_path / "files", {})
    assert (tmp_path / "files" / f"{uid}.dcm").is_file()
    assert len(opened) >= 4
    assert not [name for name in opened if uid in name], opened


def test_d03_temporary_names_are_made_in_one_place():
    """No other module makes a name that ends in .partial or asks tempfile for one by a value."""
    source = Path(sys.modules["dicomloom"].__file__).parent
    makers = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            text = ast.unparse(node)
            if ".partial" in text or ".tmp" in text:
                makers.add(f"{path.relative_to(source)}: {text}")
    for maker in makers:
        # An SQLite index goes on from where it was: its partial file has the name of OUT.
        assert "os.urandom(8).hex()" in maker or maker.startswith("index/sinks/sqlite.py"), maker
    assert makers
