"""`dicomloom dump` as a shell sees it."""

import json
import os

import pytest
from pydicom.data import get_testdata_file

from shell import command, fails, works
from support import element, part10

CT = get_testdata_file("CT_small.dcm")


@pytest.fixture
def cut(tmp_path):
    path = tmp_path / "cut.dcm"
    path.write_bytes(part10(element(0x00100020, "LO", b"id") + element(0x00104000, "LT", length=9)))
    return path


def test_lines_on_stdout():
    done = works("dump", CT, "-t", "PatientID", "--width", "60")
    assert done.stdout == "(0010,0020) LO      4 PatientID  1CT1\n"
    assert not done.stderr
    assert works("dump", CT).stdout.count("\n") > 200


def test_what_was_read_before_a_fault_then_the_fault_then_the_next_file(cut, tmp_path):
    size = cut.stat().st_size
    done = command("dump", cut, CT, tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{cut}:\n(0002,0000)")
    assert "PatientID  id\n" in done.stdout
    assert f"{CT}:\n(0002,0000)" in done.stdout
    first, second = done.stderr.splitlines()
    assert first == f"dicomloom dump: {cut}: truncated in (0010,4000) at byte {size}"
    assert "nowhere" in second


def test_20_when_nothing_can_be_read(tmp_path):
    (tmp_path / "text").write_text("no DICOM")
    fails(20, "dump", tmp_path / "text", says="not DICOM")
    fails(20, "dump", tmp_path / "nowhere", says="No such file")
    fails(20, "dump", tmp_path, says="directory")


def test_usage():
    fails(2, "dump", CT, "-t", "PatientNane", says="did you mean PatientName")
    fails(2, "dump", says="FILE")
    fails(2, "dump", CT, "--depth", "0", says="at least 1")


def test_json_has_a_line_a_file(cut, tmp_path):
    done = command("dump", CT, cut, tmp_path / "nowhere", "--json")
    assert done.returncode == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["path"] == CT
    assert first["dataset"]["00100020"] == {"vr": "LO", "Value": ["1CT1"]}
    assert second["dataset"]["00100020"]["Value"] == ["id"]
    assert second["error"]["offset"] == cut.stat().st_size


def test_a_name_cannot_talk_to_the_terminal(tmp_path):
    path = tmp_path / "\x1b[31m"
    path.write_text("no DICOM")
    assert "\x1b" not in command("dump", path, CT).stderr


def test_a_terminal_that_is_not_utf_8(tmp_path):
    path = tmp_path / "umlaut.dcm"
    path.write_bytes(
        part10(element(0x00080005, "CS", b"ISO_IR 100") + element(0x00100010, "PN", b"M\xfcller"))
    )
    done = command("dump", path, env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 0
    assert r"M\xfcller" in done.stdout
