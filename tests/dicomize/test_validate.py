"""The rows of validate against what dciodvfy prints."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from dicomloom import FrameWriter, validate
from dicomloom.cli.main import main
from dicomloom.dicomize.validate import find_program
from pages import run_page
from pdfs import CATALOG, PAGE, information, pages, with_table
from support import manifest, peer

EVERY = 9  # each of so many files of the corpus: all of it takes half a minute


def test_each_line_is_a_row(corpus):
    peer("dciodvfy")
    program = find_program()
    names = [str(corpus / row["file"]) for row in manifest(corpus)][::EVERY]
    rows = validate(names)
    for name in names:
        done = subprocess.run([program, "-new", name], capture_output=True, check=False)
        lines = done.stderr.decode("utf-8", "backslashreplace").split("\n")[:-1]
        assert [row.line for row in rows if row.path == name and row.line] == lines
        own = [row for row in rows if row.path == name and not row.line]
        assert len(own) == (done.returncode < 0)
    told = sum(row.kind != "other" for row in rows)
    assert told > 0.9 * len(rows)


@pytest.fixture
def broken(tmp_path):
    peer("dciodvfy")
    found = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    del found.StudyInstanceUID
    del found.PatientSex
    found["Rows"].VR = "UL"
    found.Modality = "ct\x1b[31m"
    found.save_as(tmp_path / "-broken.dcm")
    return tmp_path / "-broken.dcm"


def test_planted_faults_are_found(broken, monkeypatch):
    monkeypatch.chdir(broken.parent)
    found = {(row.kind, row.keyword, row.severity) for row in validate(broken.name)}
    assert ("missing type 1", "StudyInstanceUID", "error") in found
    assert ("missing type 2", "PatientSex", "error") in found
    assert ("wrong VR", "Rows", "error") in found
    assert ("wrong value", "Modality", "error") in found
    assert {row.iod for row in validate(broken.name)} == {"CTImage"}


def test_command(broken, capsys):
    assert main(["validate", "--errors-only", "--json", str(broken.parent)]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert {row["severity"] for row in rows} == {"error"}
    assert main(["validate", str(broken)]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "StudyInstanceUID" in out
    assert main(["validate", str(broken.parent / "absent")]) == 20


def test_a_slow_file_and_a_crash_are_rows(broken):
    assert [row.kind for row in validate(broken, timeout=0)][-1] == "timeout"
    crashes = [row.kind for row in validate(get_testdata_file("rtdose.dcm"))]
    assert "crash" in crashes


def test_the_page_runs(tmp_path):
    """Every block of docs/validate.md, in order."""
    for name in ("dciodvfy", "jq"):
        peer(name)
    letter = with_table([CATALOG, pages(1), information(b"(Letter)"), PAGE])
    (tmp_path / "letter.pdf").write_bytes(letter)
    about = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2", "SOPInstanceUID": "1.2.3",
        "PhotometricInterpretation": "MONOCHROME2",
    }  # fmt: skip
    with FrameWriter(
        tmp_path / "cine.dcm", about, transfer_syntax="JPEGLosslessSV1", frames=2
    ) as writer:
        for value in (1, 2):
            writer.write(np.full((8, 8), value, np.uint8))
    run_page("validate.md", "sh", tmp_path)
    run_page("validate.md", "python", tmp_path)
    assert (tmp_path / "report.pdf").read_bytes() == letter
    frames = sorted((tmp_path / "frames").iterdir())
    assert [path.name for path in frames] == ["00000.jpg", "00001.jpg"]
    assert (tmp_path / "one.jpg").read_bytes() == frames[1].read_bytes()
