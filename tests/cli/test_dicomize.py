"""dicomize: as a shell sees it."""

import json

import numpy as np
import pydicom
import pytest

from dicomloom.cli import dicomize
from dicomloom.dicomize.kinds import KINDS
from faults import OLD
from shell import command, fails, works

COLOR = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype="u1")


@pytest.fixture
def photo(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(COLOR).save(tmp_path / "mole.jpg")
    return tmp_path / "mole.jpg"


def test_all_kinds_can_be_asked_for():
    assert ("auto", *KINDS) == dicomize._KINDS  # the command does not import the room for its help


def test_one_file(tmp_path, photo):
    out = tmp_path / "mole.dcm"
    done = works(
        *("dicomize", photo, out, "--as", "dermoscopy", "--patient-id", "42"),
        *("--patient-name", "Doe^Jane", "--birth-date", "19700102", "--sex", "F"),
        *("--set", "AnatomicRegionSequence[0].CodeMeaning=Skin of arm", "--json"),
    )
    said = json.loads(done.stdout)
    assert (said["path"], said["sources"], said["frames"]) == (str(out), [str(photo)], 1)
    assert (said["kind"], said["transfer_syntax"]) == ("dermoscopy", "JPEGBaseline8Bit")
    made = pydicom.dcmread(out)
    assert (made.PatientName, made.PatientID, made.PatientSex) == ("Doe^Jane", "42", "F")
    assert made.AnatomicRegionSequence[0].CodeMeaning == "Skin of arm"


def test_a_folder(tmp_path, photo):
    (tmp_path / "letter.mtl").write_text("newmtl bone\n")
    (tmp_path / "out").mkdir()
    done = works("dicomize", photo, tmp_path / "letter.mtl", "-d", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mole.dcm", "letter.dcm"}
    assert "mole.dcm: sc, JPEGBaseline8Bit" in done.stderr
    works("dicomize", photo, tmp_path / "b.dcm", "--series-of", tmp_path / "out" / "mole.dcm")
    first, second = (pydicom.dcmread(tmp_path / n) for n in ("out/mole.dcm", "b.dcm"))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID


def test_notes_are_on_stderr(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(COLOR).save(tmp_path / "a.jpg", progressive=True)
    done = works("dicomize", tmp_path / "a.jpg", tmp_path / "a.dcm", "--to", "RLELossless")
    assert "progressive" in done.stderr
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID.name == "RLE Lossless"


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (2, [], "the following arguments are required"),
        (2, ["{photo}"], "a folder with -d"),
        (2, ["{photo}", "-d", "{folder}/none"], "no such folder"),
        (2, ["{photo}", "{out}", "--as", "xray"], "invalid choice"),
        (2, ["{photo}", "{out}", "--to", "JPEG9"], "JPEG9"),
        (2, ["{photo}", "{out}", "--set", "PatientNane=x"], "PatientName"),
        (2, ["{photo}", "{out}", "--set", "Rows=3"], "follows from the source"),
        (2, ["{photo}", "{out}", "--birth-date", "2.1.1970"], "YYYYMMDD"),
        (20, ["{folder}/none.jpg", "{out}"], "No such file"),
        (20, ["{photo}", "{out}", "--as", "pdf"], "photo"),
        (20, ["{photo}", "{out}", "--study-of", "{photo}"], "expected a DICOM file"),
        (40, ["{photo}", "{folder}/none/out.dcm"], "cannot write"),
    ],
)
def test_what_goes_wrong(tmp_path, photo, code, arguments, says):
    out = tmp_path / "out.dcm"
    out.write_bytes(OLD)
    places = {"photo": photo, "folder": tmp_path, "out": out}
    done = command("dicomize", *(text.format(**places) for text in arguments))
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    assert out.read_bytes() == OLD


def test_a_broken_picture(tmp_path, photo):
    (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:300])
    fails(20, "dicomize", tmp_path / "cut.jpg", tmp_path / "out.dcm", says="cut.jpg")
