"""What is inside of objects in every transfer syntax, as it is; and objects that are mangled."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from dicomloom import DicomloomError, FrameWriter, extract
from objects import run
from support import peer_module

TEXT = b"newmtl bone\nKd 1 0 0\n"  # of an odd length
FRAME = (np.arange(64 * 48, dtype=np.uint8).reshape(48, 64) // 7 * 5).astype(np.uint8)


def document(path, syntax, **attributes):
    """As pydicom writes it, in one of the syntaxes that documents may have."""
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = getattr(uid, syntax)
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.104.5", "1.2.3"
    made.PatientName = "Doe^Jane"
    made.EncapsulatedDocument = TEXT + bytes(len(TEXT) % 2)
    made.EncapsulatedDocumentLength = len(TEXT)
    made.MIMETypeOfEncapsulatedDocument = "model/mtl"
    for keyword, value in attributes.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    made.save_as(path, enforce_file_format=True)
    return path


SYNTAXES = [
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "ExplicitVRBigEndian",
    "DeflatedExplicitVRLittleEndian",
]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("stated", [True, False])
def test_documents(tmp_path, syntax, stated):
    more = {} if stated else {"EncapsulatedDocumentLength": None}
    target = extract(document(tmp_path / "a.dcm", syntax, **more))
    assert target == str(tmp_path / "a.mtl")
    assert (tmp_path / "a.mtl").read_bytes() == TEXT


def frames(path, syntax, count=1):
    about = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2", "SOPInstanceUID": "1.2.3",
        "Rows": 48, "Columns": 64, "SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8,
        "HighBit": 7, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2",
    }  # fmt: skip
    with FrameWriter(path, about, transfer_syntax=syntax, frames=count) as writer:
        for i in range(count):
            writer.write(FRAME + np.uint8(i))
    return path


@pytest.mark.parametrize(
    ("syntax", "suffix", "decoder"),
    [
        ("JPEGLSLossless", ".jls", "jpegls_decode"),
        ("JPEGLossless", ".jpg", "ljpeg_decode"),
        ("JPEG2000Lossless", ".j2k", "jpeg2k_decode"),
        ("HTJ2KLossless", ".jhc", "jpeg2k_decode"),
        ("JPEGXLLossless", ".jxl", "jpegxl_decode"),
    ],
)
def test_coded_frames(tmp_path, syntax, suffix, decoder):
    codecs = peer_module("imagecodecs")
    target = extract(frames(tmp_path / "a.dcm", syntax))
    assert target == str(tmp_path / "a") + suffix
    with open(target, "rb") as file:
        assert np.array_equal(getattr(codecs, decoder)(file.read()), FRAME)


def test_jpeg_xl_is_read_by_djxl(tmp_path):
    peer_module("imagecodecs")
    image = peer_module("PIL.Image")
    target = extract(frames(tmp_path / "a.dcm", "JPEGXLLossless"))
    run("djxl", target, tmp_path / "a.png")
    assert np.array_equal(np.asarray(image.open(tmp_path / "a.png")), FRAME)


@pytest.mark.parametrize("syntax", ["RLELossless", *SYNTAXES[:2]])
def test_frames_that_no_file_holds_become_png(tmp_path, syntax):
    image = peer_module("PIL.Image")
    target = extract(frames(tmp_path / "a.dcm", syntax, 3), frame=2)
    assert target.endswith(".png")
    with open(target, "rb") as file:
        found = np.asarray(image.open(io.BytesIO(file.read())))
    # Shown as `dicomloom frame` shows it: from the least value to the greatest.
    assert np.abs(found - FRAME * 255.0 / FRAME.max()).max() <= 1


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    made = [document(folder / name, name) for name in SYNTAXES]
    made.append(frames(folder / "frames", "JPEGLSLossless", 2))
    video = document(folder / "video", "ExplicitVRLittleEndian")
    found = pydicom.dcmread(video)
    del found.EncapsulatedDocument
    found.file_meta.TransferSyntaxUID = uid.MPEG4HP41F
    found.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xba" + bytes(60)] * 2, has_bot=False)
    found["PixelData"].VR, found["PixelData"].is_undefined_length = "OB", True
    found.save_as(video, enforce_file_format=True)
    return [path.read_bytes() for path in [*made, video]]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 5), st.integers(128, 4000), st.binary(max_size=6), st.booleans())
@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_mangled(tmp_path, seeds, number, at, noise, cut):
    data = seeds[number]
    at %= len(data)
    path, target = tmp_path / "a.dcm", tmp_path / "out"
    path.write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    target.unlink(missing_ok=True)
    try:
        extract(path, target, frame=1 if number == 4 else None)
    except DicomloomError as error:
        assert error.path in (str(path), str(target))
        assert not target.exists()
        return
    assert target.stat().st_size <= 2 * len(data) + 4096


@pytest.mark.parametrize("claimed", [2**32 - 2, 2**31])
def test_a_length_that_the_file_does_not_back(tmp_path, claimed):
    path = document(tmp_path / "a.dcm", "ExplicitVRLittleEndian")
    data = path.read_bytes()
    at = data.index(TEXT) - 4
    path.write_bytes(data[:at] + claimed.to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(DicomloomError):
        extract(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.dcm"]
