"""docs/media.md does what it says, and its picture is what `tree` prints."""

import re
from xml.etree import ElementTree

from pydicom.data import get_testdata_file

from dicomloom import DicomDir
from dicomloom.cli.main import main
from dicomloom.media.check import check
from discs import an_object
from pages import DOCS, run_page


def test_the_page_runs(tmp_path):
    an_object(tmp_path / "DISC" / "IM1", 1, PatientID="4242")
    an_object(tmp_path / "DISC" / "IM2", 2, PatientID="17")
    an_object(tmp_path / "incoming" / "a file.dcm", 3)
    printed = run_page("media.md", "sh", tmp_path)
    assert "PATIENT  4242" in printed
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["1.2.3.9.1.dcm"]
    assert check(tmp_path / "NEW" / "DICOMDIR") == []
    assert "77654033 CR 1" in run_page("media.md", "python", tmp_path)
    assert DicomDir.open(tmp_path / "OTHER" / "DICOMDIR").file_set_id == "DISC_2"


def test_the_picture_is_of_a_real_tree(capsys):
    path = DOCS / "pictures" / "dicomdir-tree.svg"
    assert path.stat().st_size < 60_000
    texts = [each.text or "" for each in ElementTree.parse(path).iter() if "text" in each.tag]
    words = re.split(r"\s+", " ".join(texts[2:]))  # behind the two captions
    assert main(["dicomdir", "tree", get_testdata_file("DICOMDIR")]) == 0
    printed = [word for word in capsys.readouterr().out.split() if word != "-"]
    assert words == printed[: len(words)]
