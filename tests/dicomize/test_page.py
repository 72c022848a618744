"""docs/dicomize.md and docs/validate.md do what they say."""

import subprocess

import pydicom

from pages import run_page
from support import peer, peer_module


def test_the_commands(tmp_path):
    image = peer_module("PIL.Image", "PIL")
    peer("dciodvfy")
    gray = image.linear_gradient("L")
    gray.save(tmp_path / "mole.jpg")
    for number in (1, 2):
        gray.rotate(90 * number).save(tmp_path / f"page-{number}.png")
    writer = peer_module("pypdf").PdfWriter()
    writer.add_blank_page(72, 72)
    writer.write(tmp_path / "letter.pdf")
    size = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-frames:v", "5"]
    coding = ["-c:v", "libx264", "-profile:v", "high", "-level", "4.1", "-pix_fmt", "yuv420p"]
    subprocess.run(
        [peer("ffmpeg"), "-v", "error", *size, *coding, tmp_path / "operation.mp4"], check=True
    )
    item = pydicom.Dataset()
    item.PatientID = "42"
    (tmp_path / "item.json").write_text(item.to_json())
    (tmp_path / "dicom").mkdir()
    run_page("dicomize.md", "sh", tmp_path)
    assert (tmp_path / "back.jpg").read_bytes() == (tmp_path / "mole.jpg").read_bytes()
    assert pydicom.dcmread(tmp_path / "dicom" / "page-1.dcm").NumberOfFrames == 2


def test_the_python(tmp_path):
    peer_module("PIL")
    run_page("dicomize.md", "python", tmp_path)
