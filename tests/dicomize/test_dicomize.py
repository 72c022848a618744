"""dicomize: what is made of pictures, documents and videos, held against other programs."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from dicomloom import (
    ConversionWarning,
    DicomloomError,
    FrameReader,
    LimitError,
    PixelError,
    ReadError,
    TagError,
    UnsupportedError,
    dicomize,
    extract,
)
from dicomloom.dicomize.kinds import KINDS
from dicomloom.dicomize.run import _names
from dicomloom.dicomize.sources import Planned
from dicomloom.frames.pictures import pages
from faults import OLD, unfinished
from support import PRINT_PEAK, peer, peer_module

PATIENT = {"PatientName": "Müller^Jürgen", "PatientID": "42", "PatientBirthDate": "19700102"}
COLOR = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype="u1")
SMOOTH = np.add.outer(np.arange(48), np.arange(64)).astype("u1")
STL = b"x".ljust(80) + struct.pack("<L12fH", 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
_OBJECTS = (b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>")


def pdf():
    """A PDF without pages, its cross-reference table right."""
    data, places = b"%PDF-1.4\n", []
    for number, words in enumerate(_OBJECTS):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number + 1, words)
    table = b"xref\n0 3\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    return data + table + b"trailer\n<</Root 1 0 R/Size 3>>\nstartxref\n%d\n%%%%EOF\n" % len(data)


PDF = pdf()
CDA = (
    b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">'
    b'<id root="1.2.3" extension="7"/><title>Letter</title></ClinicalDocument>'
)
OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
MTL = b"newmtl bone\nKd 1 1 1\n"


def jpeg(pixels=COLOR, **options):
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "JPEG", **options)
    return into.getvalue()


def png(pixels):
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "PNG")
    return into.getvalue()


def put(path, data):
    path.write_bytes(data)
    return path


def quiet(*arguments, **options):
    """Make, where notes are expected; others are asked for by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return dicomize(*arguments, **options)


SOURCES = {
    "color.jpg": jpeg(),
    "gray.jpg": jpeg(SMOOTH),
    "color.png": png(COLOR),
    "gray.png": png(COLOR[..., 0]),
    "deep.png": png(COLOR[..., 0].astype("u2") * 257),
    "bits.png": png(COLOR[..., 0] > 127),
    "letter.pdf": PDF,
    "letter.xml": CDA,
    "part.stl": STL,
    "part.obj": OBJ,
    "part.mtl": MTL,
}
CASES = [
    *[(name, "auto") for name in SOURCES],
    *[
        (name, kind)
        for name in ("color.jpg", "gray.jpg", "color.png")
        for kind in ("photo", "dermoscopy", "endoscopy", "microscopy")
    ],
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_objects_are_valid(tmp_path, name, kind):
    path = put(tmp_path / name, SOURCES[name])
    out = quiet(path, tmp_path / "out.dcm", kind=kind, **PATIENT)
    found = subprocess.run([peer("dciodvfy"), out], capture_output=True, check=False)
    assert b"Error" not in found.stderr, found.stderr
    dump = subprocess.run([peer("dcmdump"), out], capture_output=True, check=False)
    assert (dump.returncode, dump.stderr) == (0, b"")
    made = pydicom.dcmread(out)
    assert made.PatientName == "Müller^Jürgen"
    assert made.SpecificCharacterSet == "ISO_IR 100"
    if kind != "auto":
        assert made.Modality == KINDS[kind].modality
        assert made.SOPClassUID.endswith(KINDS[kind].image)


@pytest.mark.parametrize("name", ["letter.pdf", "letter.xml", "part.stl", "part.obj", "part.mtl"])
def test_documents_come_back_as_they_were(tmp_path, name):
    path = put(tmp_path / name, SOURCES[name])
    out = quiet(path, tmp_path / "out.dcm")
    back = extract(out, tmp_path / "back")
    assert Path(back).read_bytes() == SOURCES[name]


def test_coded_streams_of_the_corpus_come_back_as_they_were(tmp_path, corpus):
    paths = sorted((corpus / "codestreams").glob("*/*.j*"))
    assert len(paths) > 20
    for path in paths:
        out = dicomize(path, tmp_path / "out.dcm", PatientID="1")
        back = Path(extract(out, tmp_path / "back", overwrite=True)).read_bytes()
        data = path.read_bytes()
        assert back == data or (path.suffix == ".jp2" and data.endswith(back)), path
        assert np.asarray(FrameReader(out)).shape[1:3] == (240, 240)


@pytest.mark.parametrize("options", [{"subsampling": n} for n in range(3)] + [{"quality": 30}])
def test_pixel_module_agrees_with_img2dcm(tmp_path, options):
    path = put(tmp_path / "a.jpg", jpeg(**options))
    theirs = tmp_path / "theirs.dcm"
    subprocess.run([peer("img2dcm"), path, theirs], check=True)
    one, other = dicomize(path), pydicom.dcmread(theirs)
    for element in other.group_dataset(0x28):
        if element.keyword == "LossyImageCompressionRatio":
            assert float(one[element.tag].value) == pytest.approx(
                float(element.value),
                rel=0.03,  # they do not count the headers
            )
        else:
            assert one[element.tag].value == element.value, element
    assert one.file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID
    scan = path.read_bytes().partition(b"\xff\xda")[2]  # they leave APP0 out
    assert scan in one.PixelData
    assert scan in other.PixelData


@pytest.mark.parametrize("name", ["color.png", "gray.png", "deep.png", "bits.png"])
@pytest.mark.parametrize("syntax", [None, "RLELossless", "JPEGLSLossless"])
def test_pixels_are_those_of_the_picture(tmp_path, name, syntax):
    path = put(tmp_path / name, SOURCES[name])
    if name == "bits.png" and syntax is not None:
        with pytest.raises(UnsupportedError):
            dicomize(path, transfer_syntax=syntax)
        return
    out = dicomize(path, tmp_path / "out.dcm", transfer_syntax=syntax)
    assert np.array_equal(FrameReader(out)[0], np.asarray(Image.open(path)))


def test_coded_pictures_in_another_syntax(tmp_path):
    path = put(tmp_path / "a.jpg", jpeg(SMOOTH))
    out = dicomize(path, tmp_path / "out.dcm", transfer_syntax="JPEGLSLossless")
    made = pydicom.dcmread(out)
    assert made.file_meta.TransferSyntaxUID.name == "JPEG-LS Lossless Image Compression"
    assert made.LossyImageCompression == "01"
    assert np.array_equal(FrameReader(out)[0], np.asarray(Image.open(path)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "out.dcm"]


# --- several ---


def test_pictures_of_one_size_are_frames(tmp_path):
    frames = np.random.default_rng(2).integers(0, 256, (5, 20, 24), dtype="u1")
    paths = [put(tmp_path / f"{n}.png", png(frame)) for n, frame in enumerate(frames)]
    out = dicomize(paths, tmp_path / "out.dcm")
    assert out == [str(tmp_path / "out.dcm")]
    made = pydicom.dcmread(out[0])
    assert made.NumberOfFrames == 5
    assert list(made.PageNumberVector) == [1, 2, 3, 4, 5]
    assert np.array_equal(made.pixel_array, frames)

    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    twice = [tmp_path / "pages.tiff", paths[3], tmp_path / "pages.tiff"]
    made = dicomize(twice)[0]
    assert np.array_equal(made.pixel_array, [*frames, frames[3], *frames])


def test_coded_pictures_of_one_size_are_frames(tmp_path):
    streams = [jpeg(np.roll(COLOR, n, 0)) for n in range(3)]
    paths = [put(tmp_path / f"{n}.jpg", data) for n, data in enumerate(streams)]
    out = dicomize(paths, tmp_path / "out.dcm")[0]
    reader = FrameReader(out)
    assert [reader.encoded(n).rstrip(b"\0") for n in range(3)] == [s.rstrip(b"\0") for s in streams]


def test_pictures_of_several_sizes_are_a_series(tmp_path):
    paths = [put(tmp_path / f"{n}.png", png(COLOR[: 20 + n])) for n in range(3)]
    (tmp_path / "out").mkdir()
    with pytest.raises(UnsupportedError, match="3 objects"):
        dicomize(paths, tmp_path / "one.dcm")
    out = dicomize(paths, tmp_path / "out", kind="auto", **PATIENT)
    made = [pydicom.dcmread(path) for path in out]
    assert [path.rsplit("/", 1)[1] for path in out] == ["0.dcm", "1.dcm", "2.dcm"]
    assert [one.Rows for one in made] == [20, 21, 22]
    assert [one.InstanceNumber for one in made] == [1, 2, 3]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "StudyDate", "PatientID"):
        assert len({str(one[keyword].value) for one in made}) == 1
    assert len({one.SOPInstanceUID for one in made}) == 3
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in made)


def test_one_study_a_series_a_modality(tmp_path):
    names = ["color.jpg", "letter.pdf", "letter.xml", "part.stl"]
    made = quiet([put(tmp_path / name, SOURCES[name]) for name in names], **PATIENT)
    by_modality = {}
    for one in made:
        by_modality.setdefault(one.Modality, set()).add(one.SeriesInstanceUID)
    assert set(by_modality) == {"OT", "DOC", "M3D"}
    assert all(len(uids) == 1 for uids in by_modality.values())
    assert len({one.StudyInstanceUID for one in made}) == 1


def test_names_in_a_folder_are_never_shared(tmp_path):
    for n in "ab":
        (tmp_path / n).mkdir()
        put(tmp_path / n / "x.jpg", jpeg(COLOR[: 20 + ord(n) % 2]))
    (tmp_path / "out").mkdir()
    paths = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    out = dicomize(paths, tmp_path / "out", kind="photo")
    assert [path.rsplit("/", 1)[1] for path in out] == ["x.dcm", "x-2.dcm"]


def test_a_name_that_many_sources_have_is_not_tried_from_the_beginning(tmp_path):
    planned = [Planned(KINDS["sc"], [], f"{i}/x.png", 0) for i in range(100_000)]
    planned.insert(7, Planned(KINDS["sc"], [], "x-3.png", 0))
    made = [name.rsplit(os.sep, 1)[1] for name in _names(planned, str(tmp_path))]
    assert len(set(made)) == len(made)
    assert made[:3] == ["x.dcm", "x-2.dcm", "x-3.dcm"]
    assert made[7] == "x-3-2.dcm"


# --- identity ---


def test_joining_a_series_and_a_study(tmp_path):
    path = put(tmp_path / "a.jpg", jpeg())
    first = dicomize(path, tmp_path / "first.dcm", kind="photo", **PATIENT)
    second = dicomize(path, kind="photo", series_of=first)
    one = pydicom.dcmread(first)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientName", "PatientBirthDate"):
        assert second[keyword].value == one[keyword].value
    assert second.InstanceNumber == 2
    assert second.SOPInstanceUID != one.SOPInstanceUID
    with pytest.raises(PixelError, match="study_of"):
        quiet(put(tmp_path / "a.pdf", PDF), series_of=first)
    letter = quiet(tmp_path / "a.pdf", study_of=first)
    assert letter.StudyInstanceUID == one.StudyInstanceUID
    assert letter.SeriesInstanceUID != one.SeriesInstanceUID
    assert (letter.PatientName, letter.Modality) == (one.PatientName, "DOC")


def test_worklist_item(tmp_path):
    item = pydicom.Dataset()
    item.PatientName, item.PatientID = "山田^太郎", "7"
    item.SpecificCharacterSet = "ISO_IR 192"
    item.StudyInstanceUID, item.AccessionNumber = "1.2.3.4", "A1"
    item.RequestedProcedureID, item.RequestedProcedureDescription = "R1", "Skin"
    step = pydicom.Dataset()
    step.ScheduledProcedureStepID, step.Modality = "S1", "XC"
    step.ScheduledProcedureStepDescription = "Left arm"
    item.ScheduledProcedureStepSequence = [step]
    put(tmp_path / "item.json", item.to_json().encode())
    made = dicomize(put(tmp_path / "a.jpg", jpeg()), worklist=tmp_path / "item.json", kind="photo")
    assert (made.PatientName, made.PatientID, made.AccessionNumber) == ("山田^太郎", "7", "A1")
    assert (made.StudyInstanceUID, made.StudyID) == ("1.2.3.4", "R1")
    request = made.RequestAttributesSequence[0]
    assert (request.ScheduledProcedureStepID, request.RequestedProcedureID) == ("S1", "R1")
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert "ScheduledProcedureStepSequence" not in made


def test_template_gives_attributes_but_no_identity(tmp_path):
    template = pydicom.Dataset()
    template.InstitutionName, template.Manufacturer = "Clinic", "Maker"
    template.StudyInstanceUID, template.SOPInstanceUID = "1.2.3", "1.2.3.4"
    template.Rows, template.StudyDate = 7, "20000101"
    made = dicomize(put(tmp_path / "a.jpg", jpeg()), template=template, Manufacturer="Other")
    assert (made.InstitutionName, made.Manufacturer, made.Rows) == ("Clinic", "Other", 40)
    assert made.StudyInstanceUID != "1.2.3"
    assert made.StudyDate != "20000101"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"PatientBirthDate": "1970-01-02"}, "YYYYMMDD"),
        ({"PatientSex": "female"}, "CS"),
        ({"StudyInstanceUID": "1.02"}, "UI"),
        ({"PatientNane": "x"}, "PatientName"),
        ({"Rows": 3}, "follows from the source"),
        ({"Modality": ["A", "B"]}, "2 values"),
    ],
)
def test_values_that_break_their_rule(tmp_path, attributes, says):
    path = put(tmp_path / "a.jpg", jpeg())
    with pytest.raises(TagError, match=says):
        dicomize(path, tmp_path / "out.dcm", **attributes)
    assert not (tmp_path / "out.dcm").exists()


# --- pictures that are not taken as they are ---


def test_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    path = put(tmp_path / "a.jpg", jpeg(exif=exif, quality=100))
    with pytest.warns(ConversionWarning, match="orientation 6"):
        kept = dicomize(path)
    assert (kept.ImageRotation, kept.ImageHorizontalFlip) == (90, "N")
    assert kept.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.4"  # a camera took it
    with pytest.warns(ConversionWarning, match="decoded"):
        turned = dicomize(path, apply_orientation=True)
    upright = np.rot90(np.asarray(Image.open(path)), -1)
    assert np.array_equal(turned.pixel_array, upright)
    assert "ImageRotation" not in turned
    assert turned.LossyImageCompression == "01"


@pytest.mark.parametrize(
    ("options", "note"), [({"progressive": True}, "progressive"), ({}, "CMYK")]
)
def test_pictures_that_are_decoded(tmp_path, options, note):
    picture = Image.fromarray(COLOR)
    into = io.BytesIO()
    (picture if options else picture.convert("CMYK")).save(into, "JPEG", **options)
    path = put(tmp_path / "a.jpg", into.getvalue())
    with pytest.warns(ConversionWarning, match=note):
        made = dicomize(path)
    assert np.array_equal(made.pixel_array, np.asarray(Image.open(path).convert("RGB")))
    assert (made.LossyImageCompression, made.PhotometricInterpretation) == ("01", "RGB")


def test_gps_stays_behind(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 15.0)})
    data = jpeg(exif=exif)
    assert b"\x88\x25" in data or b"\x25\x88" in data
    with pytest.warns(ConversionWarning, match="where it was taken"):
        out = dicomize(put(tmp_path / "a.jpg", data), tmp_path / "out.dcm")
    assert b"Exif" not in Path(out).read_bytes()
    assert not [e for e in pydicom.dcmread(out) if e.keyword.startswith("GPS")]
    stored = FrameReader(out).encoded(0)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(stored))), np.asarray(Image.open(tmp_path / "a.jpg"))
    )


def test_exif_that_cannot_be_read_is_told(tmp_path):
    Image.fromarray(COLOR).save(tmp_path / "a.png", exif=b"Exif\0\0nothing")
    with pytest.warns(ConversionWarning, match="EXIF that cannot be read"):
        dicomize(tmp_path / "a.png")


def test_icc_profile_is_kept(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, format_ in (("a.jpg", "JPEG"), ("a.png", "PNG")):
        Image.fromarray(COLOR).save(tmp_path / name, format_, icc_profile=profile)
        assert dicomize(tmp_path / name).ICCProfile.startswith(profile)


# --- faults ---


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("cut.jpg", SOURCES["color.jpg"][:-200], "cut off"),
        ("half.png", SOURCES["color.png"][:-500], "picture"),
        ("not.pdf", b"This is no PDF.", "expected MP4"),
        ("empty", b"", "empty"),
        ("cut.pdf", PDF[:-20], "EOF"),
        (
            "box.mp4",
            b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\0\0\0\1moov" + b"\x80" + bytes(7),
            "9223372036854775808 bytes",
        ),
        ("zeros", bytes(5000), "expected MP4"),
    ],
)
def test_bad_sources_leave_the_target(tmp_path, name, data, error):
    path, out = put(tmp_path / name, data), put(tmp_path / "out.dcm", OLD)
    with pytest.raises(DicomloomError, match=error) as raised:
        quiet(path, out)
    assert raised.value.path == str(path)
    assert out.read_bytes() == OLD
    assert not unfinished(tmp_path)


def test_a_fifo_is_no_source(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ReadError, match="not a regular file"):
        dicomize(tmp_path / "a.png", tmp_path / "a.dcm")
    with pytest.raises(ReadError, match="not a regular file"):
        list(pages(str(tmp_path / "a.png")))


def test_a_picture_of_impossible_size(tmp_path):
    head = struct.pack(">4s2L5B", b"IHDR", 100_000, 100_000, 8, 2, 0, 0, 0)
    head = struct.pack(">L", 13) + head + struct.pack(">L", zlib.crc32(head))
    data = b"\x89PNG\r\n\x1a\n" + head + SOURCES["color.png"][33:]
    with pytest.raises(LimitError, match="cut it into pieces"):
        dicomize(put(tmp_path / "a.png", data))


def test_dicom_is_no_source(tmp_path):
    out = quiet(put(tmp_path / "a.pdf", PDF), tmp_path / "a.dcm")
    with pytest.raises(UnsupportedError, match="DICOM file already"):
        dicomize(out)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("letter.pdf", "photo"), ("color.jpg", "pdf"), ("color.jpg", "video"), ("deep.png", "photo")],
)
def test_what_a_kind_does_not_hold(tmp_path, name, kind):
    with pytest.raises(UnsupportedError):
        quiet(put(tmp_path / name, SOURCES[name]), kind=kind)
    with pytest.raises(ValueError, match="kind"):
        dicomize(tmp_path / name, kind="nonsense")


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_memory_does_not_grow_with_pictures(tmp_path):
    frame = np.random.default_rng(3).integers(0, 256, (1000, 1000, 3), dtype="u1")
    path = tmp_path / "a.png"
    Image.fromarray(frame).save(path, compress_level=0)
    code = """
import sys
from dicomloom import dicomize
dicomize([sys.argv[1]] * int(sys.argv[3]), sys.argv[2])
"""
    peak = [
        int(
            subprocess.run(
                [sys.executable, "-c", code + PRINT_PEAK, path, tmp_path / "out.dcm", str(n)],
                capture_output=True,
                check=True,
            ).stdout
        )
        for n in (3, 30)
    ]
    assert peak[1] - peak[0] < 9_000  # KiB: three frames, of 27 more


def test_video(tmp_path):
    clip = tmp_path / "a.mp4"
    size = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-frames:v", "10"]
    coding = ["-c:v", "libx264", "-profile:v", "high", "-level", "4.1", "-pix_fmt", "yuv420p"]
    subprocess.run([peer("ffmpeg"), "-v", "error", *size, *coding, clip], check=True)
    for kind, sop_class in (
        ("auto", "77.1.4.1"),
        ("endoscopy", "77.1.1.1"),
        ("microscopy", "77.1.2.1"),
    ):
        out = dicomize(clip, tmp_path / "out.dcm", kind=kind, **PATIENT)
        found = subprocess.run([peer("dciodvfy"), out], capture_output=True, check=False)
        assert b"Error" not in found.stderr, found.stderr
        made = pydicom.dcmread(out)
        assert made.SOPClassUID.endswith("." + sop_class)
        assert (made.NumberOfFrames, made.Rows, made.Columns) == (10, 720, 1280)
    back = extract(out, tmp_path / "back")
    assert Path(back).read_bytes() == clip.read_bytes()

    with pytest.raises(UnsupportedError, match="MPEG4HP41BD demands 1920 x 1080"):
        dicomize(clip, transfer_syntax="MPEG4HP41BD")
    with pytest.raises(UnsupportedError, match="is stored as MPEG4HP41, not as RLELossless"):
        dicomize(clip, transfer_syntax="RLELossless")


def test_pdf_title(tmp_path):
    pypdf = peer_module("pypdf")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(72, 72)
    writer.add_metadata({"/Title": "Größe — 漢字"})
    writer.write(tmp_path / "a.pdf")
    made = dicomize(tmp_path / "a.pdf")
    assert (made.DocumentTitle, made.SpecificCharacterSet) == ("Größe — 漢字", "ISO_IR 192")
    assert made.BurnedInAnnotation == "YES"
    assert dicomize(tmp_path / "a.pdf", DocumentTitle="Mine").DocumentTitle == "Mine"
