"""Frames that other people's encoders write are read here."""

import subprocess

import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomloom.codecs import bitstream, registry
from images import data_set, decode, image, layout
from support import peer

pytest.importorskip("imagecodecs")

LAYOUTS = {
    "8": layout(8, columns=54),
    "12": layout(12),
    "16": layout(16),
    "12 signed": layout(12, signed=True),
    "16 signed": layout(16, signed=True),
    "RGB": layout(8, color=True, columns=54),
}
# Program, its options, what it writes, greatest error (None: as it likes), and which layouts.
CASES = [
    ("dcmcjpeg", ["+e1"], "JPEGLosslessSV1", 0, LAYOUTS),
    ("dcmcjpeg", ["+el", "+sv", "6"], "JPEGLossless", 0, LAYOUTS),
    ("dcmcjpeg", ["+eb", "+q", "95"], "JPEGBaseline8Bit", None, ["8", "RGB"]),
    ("dcmcjpeg", ["+ee", "+q", "95"], "JPEGExtended12Bit", None, ["12"]),
    ("dcmcjpls", ["+el"], "JPEGLSLossless", 0, LAYOUTS),
    ("dcmcjpls", ["+en", "+md", "3"], "JPEGLSNearLossless", 3, ["8", "12", "16", "RGB"]),
    ("gdcmconv", ["--jpeg"], "JPEGLosslessSV1", 0, ["8", "12", "16", "12 signed", "16 signed"]),
    ("gdcmconv", ["--jpegls"], "JPEGLSLossless", 0, LAYOUTS),
    ("gdcmconv", ["--j2k"], "JPEG2000Lossless", 0, LAYOUTS),
]


def natively(of, pixels, path):
    made = data_set("ExplicitVRLittleEndian", of, [b"\0\0"])
    made["PixelData"].is_undefined_length = False
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    made["PixelData"].VR = "OB" if of.bits_allocated == 8 else "OW"
    del made.NumberOfFrames
    made.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize(
    ("program", "options", "keyword", "error", "name"),
    [(*case[:4], name) for case in CASES for name in case[4]],
)
def test_what_others_code_is_decoded(program, options, keyword, error, name, tmp_path):
    of = LAYOUTS[name]
    pixels = image(of, noise=0.005)
    source, target = tmp_path / "native.dcm", tmp_path / "coded.dcm"
    natively(of, pixels, source)
    command = [peer(program), *options, str(source), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    found = pydicom.dcmread(target)
    assert found.file_meta.TransferSyntaxUID == registry.find(keyword).uid
    (data,) = generate_frames(found.PixelData, number_of_frames=1)
    coded = of.replace(
        photometric=found.PhotometricInterpretation,
        bits_stored=found.BitsStored,
        planar=found.get("PlanarConfiguration", 0),
    )
    bitstream.check(data, registry.find(keyword).uid, coded)
    frame = decode(keyword, coded, data).astype(int)
    if error is None:
        assert abs(frame - pixels).mean() < 0.03 * 2**of.bits_stored
    else:
        assert abs(frame - pixels).max() <= error
