"""`dicomloom plane`: text, JSON, pictures, exit codes."""

import io
import json
import re

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from dicomloom.cli.main import main
from pages import run_page
from planes import enhanced, image, save
from support import peer_module

CT = get_testdata_file("CT_small.dcm")


def test_text_says_what_is_at_the_edges(capsys):
    assert main(["plane", CT]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^plane +axial$", text, re.MULTILINE)
    assert re.search(r"^edges +left R  right L  top A  bottom P$", text, re.MULTILINE)
    assert "(PixelSpacing)" in text
    assert "FFS: feet first, supine: the anterior side is up" in text


def test_json_is_what_python_has(tmp_path, capsys):
    from dicomloom import ImagePlane

    path = save(enhanced([(0, 0, 0), (0, 0, 2)]), tmp_path / "many.dcm")
    assert main(["plane", str(path), "--frame", "1", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    plane = ImagePlane.of(path, 1)
    assert found == json.loads(json.dumps(plane.as_dict()))
    assert found["affine"] == plane.affine.tolist()


def test_a_folder_prints_stacks(tmp_path, capsys):
    for i in (0, 1, 3, 4):
        save(image((0, 0, 2 * i)), tmp_path / f"{i}.dcm")
    assert main(["plane", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("stack 1  axial, 4 slices of 5; 4 x 5; every 2 mm; left R, top A")
    assert lines[1] == "  gap: 1 slice missing between 1.dcm and 3.dcm (4 mm)"
    (tmp_path / "text").write_text("no DICOM")
    files = [str(path) for path in tmp_path.iterdir()]
    assert main(["plane", "--series", "--json", *files]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert [stack["shape"] for stack in found["stacks"]] == [[5, 4, 5]]
    assert "text: not DICOM" in shown.err


def test_picture_has_letters_where_they_belong(tmp_path):
    """Drawn with and without letters: the pictures differ at the edges and at the cube, alone."""
    pillow = peer_module("PIL.Image")
    oriented, bare = image(pixel=100), image(pixel=100)
    del bare.ImageOrientationPatient, bare.ImagePositionPatient
    pictures = []
    for name, made in (("a", oriented), ("b", bare)):
        path, out = save(made, tmp_path / name), tmp_path / f"{name}.png"
        assert main(["plane", str(path), "--png", str(out)]) == 0
        pictures.append(np.asarray(pillow.open(io.BytesIO(out.read_bytes())).convert("RGB"), int))
    # 4 rows of 0.5 mm, 5 columns of 0.7 mm: pixels become square.
    assert pictures[0].shape == (366, 640, 3)
    changed = np.abs(pictures[0] - pictures[1]).max(axis=2) > 40
    height, width = changed.shape
    rows, columns = (
        slice(height // 2 - 30, height // 2 + 30),
        slice(width // 2 - 30, width // 2 + 30),
    )
    for edge in (
        changed[rows, :40],
        changed[rows, -40:],
        changed[:40, columns],
        changed[-40:, columns],
    ):
        assert edge.any()
    assert changed[-90:, -90:].mean() > 0.2  # the cube
    assert not changed[60:-110, 60:-110].any()


def test_size_of_the_picture(tmp_path):
    pillow = peer_module("PIL.Image")
    out = tmp_path / "out.png"
    assert main(["plane", CT, "--png", str(out), "--size", "200"]) == 0
    assert pillow.open(out).size == (200, 200)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 20, "nowhere"),
        (["--series", "nowhere"], 20, "nowhere"),
        ([__file__], 20, "not DICOM"),
        ([CT, "--frame", "3"], 2, "frame 3 of an object with 1 frames"),
        ([CT, CT, "--png", "out.png"], 2, "give one FILE"),
        ([".", "--png", "out.png"], 2, "are of one file"),
        ([CT, "--png", "nowhere/out.png"], 40, "cannot write"),
        ([CT, __file__], 1, "not DICOM"),
        ([__file__, __file__], 20, "not DICOM"),
    ],
)
def test_exit_codes(tmp_path, monkeypatch, capsys, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    assert main(["plane", *arguments]) == code
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_page_runs(tmp_path):
    """Every block of docs/geometry.md, in order."""
    run_page("geometry.md", "python", tmp_path)
    run_page("geometry.md", "sh", tmp_path)
    assert 0 < (tmp_path / "plane.png").stat().st_size < 60_000
