"""All but the pixels: transcoding keeps it, and validators find no fault that was not there."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_for_tag

from dicomloom import FrameReader, FrameWriter, transcode
from dicomloom.errors import CorruptError, PixelError, TruncatedError, UnsupportedError
from images import image, layout
from objects import LAYOUTS, distance, frames_of, image_object, save
from support import manifest, peer

TARGETS = [
    "RLELossless",
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
    "JPEGLSLossless",
]
_SMALL = 400_000  # bytes of files whose frames are compared too
PIXELS = (0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010)

# What transcoding changes, by the attribute's path.
CHANGES = {
    "PhotometricInterpretation": "a codec that undoes a color transform gives RGB",
    "PlanarConfiguration": "as the frames are written; not where there is one sample",
    "DataSetTrailingPadding": "left out: what it was for (PS3.10 7.2) does not hold any more",
}
# (file, attribute) -> why pydicom reads it otherwise.
READ_OTHERWISE = {
    ("*", "*PaletteColorLookupTableData"): (
        "OW of a big-endian file: pydicom does not swap the bytes, PS3.5 7.3 says it should"
    ),
    ("*/CTImage.dcm_BigEndianExplicitTransferSyntax_*", "(????,10??)"): (
        "UN, which pydicom reads as numbers of the other byte order"
    ),
    (
        "*_expb*.dcm",
        "*(200D,1013)",
    ): "bytes are compared, and those of a big-endian file are swapped",
    ("*/RGB_IMAGE.dcm", "(0019,1021)"): "two bytes, which the private dictionary says are FD",
}


def images(corpus):
    return [
        row["file"]
        for row in manifest(corpus)
        if row["kind"] in ("part10", "headerless") and row["pixel_element"]
    ]


def differences(one, other, path=""):
    """Attributes of which two data sets, as pydicom reads them, have other values."""
    for tag in sorted(one.keys() | other.keys()):
        if tag.element == 0 or tag in PIXELS:  # group lengths are retired
            continue
        name = path + (keyword_for_tag(tag) or str(tag))
        if tag not in one or tag not in other:
            yield name
            continue
        raw = [getattr(data_set.get_item(tag), "value", None) for data_set in (one, other)]
        try:
            mine, yours = one[tag], other[tag]
        except (ValueError, NotImplementedError, pydicom.errors.BytesLengthException):
            if raw[0] != raw[1]:
                yield name
            continue
        if mine.VR == "SQ" and yours.VR == "SQ":
            if len(mine.value) != len(yours.value):
                yield name
            for pair in zip(mine.value, yours.value, strict=False):
                yield from differences(*pair, f"{name}.")
        elif mine.VR != yours.VR:
            # In implicit VR the dictionary decides: the bytes are what counts.
            if (raw[0] or b"") != (raw[1] or b""):
                yield name
        elif mine.value != yours.value and (mine.value or yours.value):
            yield name


def explained(file, attribute):
    return attribute in CHANGES or any(
        fnmatch(file, files) and fnmatch(attribute, attributes)
        for files, attributes in READ_OTHERWISE
    )


@pytest.mark.parametrize("target", TARGETS)
def test_transcoding_keeps_all_other_elements(corpus, tmp_path, target):
    unexpected = []
    done = 0
    # Each file with three of the syntaxes.
    for name in images(corpus)[TARGETS.index(target) % 2 :: 2]:
        source, made = corpus / name, tmp_path / "made.dcm"
        try:
            report = transcode(source, made, target)
        except (UnsupportedError, PixelError, CorruptError, TruncatedError):
            continue  # which files are not read is for test_truth_corpus, what fits for codecs
        before, after = pydicom.dcmread(source, force=True), pydicom.dcmread(made)
        unexpected += [
            f"{name}: {attribute}"
            for attribute in differences(before, after)
            if not explained(name, attribute)
            and not (attribute == "SOPInstanceUID" and attribute not in before)
        ]
        assert after.get("SOPInstanceUID") == report.sop_instance_uid
        if "SOPInstanceUID" in before:
            assert after.SOPInstanceUID == before.SOPInstanceUID, name
            assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
        assert after.file_meta.TransferSyntaxUID.keyword == target
        if source.stat().st_size < _SMALL:
            # How the source reads is shown to be right in test_truth_corpus.
            with FrameReader(source) as one, FrameReader(made) as other:
                assert distance(np.asarray(other), np.asarray(one)) == 0, name
        done += 1
    assert not unexpected, "\n".join(unexpected[:40])
    assert done > 120


# --- validators ---

_UNKNOWN_TO_DICIODVFY = {
    "DeflatedExplicitVRLittleEndian": "it does not inflate",
    "EncapsulatedUncompressedExplicitVRLittleEndian": "a transfer syntax it takes for a native one",
    "DeflatedImageFrameCompression": "a newer transfer syntax",
    "JPEGXLLossless": "a newer transfer syntax",
    "JPEGXLJPEGRecompression": "a newer transfer syntax",
    "JPEGXL": "a newer transfer syntax",
}
# (file, error) of dciodvfy -> why it is new.
DCIODVFY_GAPS = {
    ("*", "*(0x0002,0x0003)*"): "file meta are made from a wrong SOPInstanceUID",
    ("*/SM_small.dcm", "*<Planar Configuration>"): (
        "RLE is by plane (PS3.5 G.2), WSI wants 0 (PS3.3 C.8.12.4) whatever the syntax"
    ),
    ("*/US-YBR_FULL_422-EVRLE.dcm", "Unrecognized enumerated value*"): (
        "full chroma, which no Ultrasound Image may have without loss (PS3.3 C.8.5.6)"
    ),
    ("*", "*Missing Pixel Representation, can't set VR*"): "US or SS; float pixels have no sign",
    ("*/*m*_float*.dcm", "*Sequence*"): "as above",
    ("*/PM_float32_pixel.dcm", "*FrameIncrementPointer*"): "as above",
    ("*", "*(0x0031,0x1020) IS*"): "its private dictionary says IS, the file LO",
    ("*/*m*_float*.dcm", "Dicom dataset read failed"): "as above",
    ("*/RGB_IMAGE.dcm", "Dicom dataset read failed"): (
        "its private dictionary says FD of two bytes, the file UN"
    ),
}
# (file, message) of dcmdump -> why it is new.
DCMDUMP_GAPS = {
    ("*/ctbrain2.dcm", "*"): "sequences in the place of private creators are illegal already",
    ("*", "W: Found element * with VR UN and undefined length*"): "a private sequence",
}


def complaints(program, path):
    """What a validator has against a file; None where it fails itself."""
    command = [peer(program), str(path)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if program == "dcmdump":
        lines = done.stderr.decode("latin-1").replace(str(path), "").splitlines()
        return {line for line in lines if line.strip()} | ({"failed"} if done.returncode else set())
    if done.returncode not in (0, 1):
        return None
    lines = (done.stderr + done.stdout).decode("latin-1").splitlines()
    return {line.removeprefix("Error - ") for line in lines if line.startswith("Error")}


def new_complaints(program, source, made, gaps):
    before = complaints(program, source)
    if before is None or any("dataset read failed" in line for line in before):
        return []
    return sorted(
        line
        for line in complaints(program, made) - before
        if not any(fnmatch(str(source), file) and fnmatch(line, text) for file, text in gaps)
    )


def one_of_a_kind(corpus):
    """One file for each SOP class, color space, depth and encoding."""
    found = {}
    for row in manifest(corpus):
        if row["kind"] in ("part10", "headerless") and row["pixel_element"]:
            kind = [row[key] for key in ("sop_class", "photometric", "bits_allocated", "encoding")]
            found.setdefault(tuple(kind), row["file"])
    return list(found.values())


@pytest.mark.parametrize("target", TARGETS)
def test_validators_find_nothing_new(corpus, tmp_path, target):
    programs = [("dcmdump", DCMDUMP_GAPS), ("dciodvfy", DCIODVFY_GAPS)]
    if target in _UNKNOWN_TO_DICIODVFY:
        del programs[1]
    chosen = one_of_a_kind(corpus)
    faults = []
    # Each file with two of the syntaxes.
    for number, name in enumerate(chosen):
        if (number - TARGETS.index(target)) % 3:
            continue
        source, made = corpus / name, tmp_path / "made.dcm"
        try:
            transcode(source, made, target)
        except (UnsupportedError, PixelError, CorruptError, TruncatedError):
            continue
        for program, gaps in programs:
            new = new_complaints(program, source, made, gaps)
            faults += [f"{name}: {program}: {line}" for line in new]
    assert not faults, "\n".join(faults)
    assert len(chosen) > 50


# (layout, syntax) of a new object -> the attribute that dciodvfy does not find in its SOP class.
UNUSUAL = {
    ("16 signed", "*"): "Pixel Representation",  # no multi-frame class for anything has a sign
    ("RGB", "RLELossless"): "Planar Configuration",  # as above for WSI
}


@pytest.mark.parametrize("name", ["8", "16", "16 signed", "RGB"])
@pytest.mark.parametrize("target", ["ExplicitVRLittleEndian", "RLELossless", "JPEG2000Lossless"])
def test_a_new_object_is_valid(tmp_path, target, name):
    """Without a template's SOP class: a Multi-frame Secondary Capture, complete by itself."""
    of = LAYOUTS[name]
    path = tmp_path / "new.dcm"
    with FrameWriter(path, {"PatientName": "A^B"}, transfer_syntax=target) as writer:
        for seed in range(3):
            writer.write(image(of, seed=seed))
    assert complaints("dcmdump", path) == set()
    unusual = UNUSUAL.get((name, "*")) or UNUSUAL.get((name, target))
    assert complaints("dciodvfy", path) == (
        {f"Unrecognized enumerated value <0x1> for value 1 of attribute <{unusual}>"}
        if unusual
        else set()
    )


# --- lossy coding ---

METHODS = {
    "JPEGBaseline8Bit": ({"quality": 60}, "ISO_10918_1", "YBR_FULL_422"),
    "JPEGExtended12Bit": ({"quality": 60}, "ISO_10918_1", "YBR_FULL_422"),
    "JPEGLSNearLossless": ({"near": 3}, "ISO_14495_1", "RGB"),
    "JPEG2000": ({"quality": 40}, "ISO_15444_1", "YBR_ICT"),
    "HTJ2K": ({"quality": 40}, "ISO_15444_15", "YBR_ICT"),
    "JPEGXL": ({"distance": 2}, "ISO_18181_1", "XYB"),
    "JPEGXLJPEGRecompression": ({"quality": 60}, "ISO_10918_1", "YBR_FULL_422"),
}


def source_of(tmp_path, name, **attributes):
    of = LAYOUTS[name]
    frames = np.stack([image(of, seed=seed) for seed in range(3)])
    return of, frames, save(image_object(of, frames, **attributes), tmp_path / "source.dcm")


def payload(made):
    frames = pydicom.encaps.generate_frames(made.PixelData, number_of_frames=3)
    return sum(len(frame) for frame in frames)


@pytest.mark.parametrize("name", ["8", "RGB"])
@pytest.mark.parametrize("target", METHODS)
def test_lossy_coding_says_so(tmp_path, target, name):
    """PS3.3 C.7.6.1.1.5 and C.7.6.1.1.2; PS3.5 8.2 for the color spaces."""
    options, method, photometric = METHODS[target]
    of, frames, source = source_of(tmp_path, name, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    report = transcode(source, tmp_path / "made.dcm", target, **options)
    made = pydicom.dcmread(tmp_path / "made.dcm")
    assert report.lossy
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == method
    ratio = frames.nbytes / payload(made)
    assert float(made.LossyImageCompressionRatio) == pytest.approx(ratio, rel=2e-2)
    assert report.ratio == pytest.approx(ratio, rel=2e-2)
    assert list(made.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert made.SOPInstanceUID == report.sop_instance_uid != pydicom.dcmread(source).SOPInstanceUID
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert str(next(iter(options.values()))) in made.DerivationDescription
    assert made.PhotometricInterpretation == (photometric if of.samples == 3 else of.photometric)
    assert made.get("PlanarConfiguration") == (0 if of.samples == 3 else None)
    assert (made.BitsStored, made.HighBit) == (of.bits_stored, of.bits_stored - 1)


def test_loss_adds_up(tmp_path):
    """One value for each lossy step, in their order (PS3.3 C.7.6.1.1.5.2)."""
    _, frames, source = source_of(tmp_path, "8")
    once, twice = tmp_path / "once.dcm", tmp_path / "twice.dcm"
    transcode(source, once, "JPEGBaseline8Bit", quality=80)
    transcode(once, twice, "JPEG2000", quality=40)
    first, second = pydicom.dcmread(once), pydicom.dcmread(twice)
    assert list(second.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]
    assert second.LossyImageCompressionRatio[0] == first.LossyImageCompressionRatio
    ratio = frames.nbytes / payload(second)
    assert float(second.LossyImageCompressionRatio[1]) == pytest.approx(ratio, rel=2e-2)
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in (source, once, twice)}) == 3
    assert re.search("JPEG quality 80.*; JPEG 2000 at 40", second.DerivationDescription)
    # Without loss nothing is added, and what was said stays.
    back = tmp_path / "back.dcm"
    transcode(twice, back, "ExplicitVRLittleEndian")
    third = pydicom.dcmread(back)
    for keyword in (
        "SOPInstanceUID",
        "LossyImageCompression",
        "LossyImageCompressionMethod",
        "LossyImageCompressionRatio",
        "DerivationDescription",
    ):
        assert third[keyword].value == second[keyword].value
    assert distance(frames_of(back, 3), frames_of(twice, 3)) == 0


@pytest.mark.parametrize("target", ["JPEGLSNearLossless", "JPEG2000", "HTJ2K", "JPEGXL"])
def test_a_lossy_syntax_without_loss_is_not_called_lossy(tmp_path, target):
    _, _, source = source_of(tmp_path, "8")
    options = {"near": 0} if target == "JPEGLSNearLossless" else {}
    report = transcode(source, tmp_path / "made.dcm", target, **options)
    made = pydicom.dcmread(tmp_path / "made.dcm")
    assert not report.lossy
    assert "LossyImageCompression" not in made
    assert made.SOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID


def test_elements_behind_the_pixels_stay_there(tmp_path):
    of = layout(8)
    data_set = image_object(of, [image(of, seed=seed) for seed in range(3)])
    data_set.add_new(0x7FE10010, "LO", "BEHIND")
    data_set.add_new(0x7FE11001, "OB", bytes(range(256)))
    item = pydicom.Dataset()
    item.add_new(0x7FE10010, "LO", "BEHIND")
    item.add_new(0x7FE11001, "UT", "nested " * 10)
    data_set.add_new(0x7FE11002, "SQ", [item])
    source = save(data_set, tmp_path / "source.dcm")
    for target in TARGETS:
        made = tmp_path / f"{target}.dcm"
        transcode(source, made, target)
        assert not [d for d in differences(pydicom.dcmread(source), pydicom.dcmread(made))
                    if d not in CHANGES]  # fmt: skip
        back = tmp_path / "back.dcm"
        transcode(made, back, "ExplicitVRLittleEndian")
        assert pydicom.dcmread(back)[0x7FE11001].value == bytes(range(256))
        assert pydicom.dcmread(back).PixelData == data_set.PixelData
