"""Every frame of the corpus against pydicom's decoders, or DCMTK's where pydicom has none."""

from __future__ import annotations

import subprocess
import warnings
from fnmatch import fnmatch

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from dicomloom import FrameReader
from dicomloom.errors import CorruptError, DicomloomError, NotDicomError, TruncatedError
from support import manifest, peer, peer_module

_DCT = "lossy: another inverse DCT rounds otherwise"
_DWT = "lossy: OpenJPH's inverse wavelet transform rounds otherwise than OpenJPEG's"
# File -> by how much samples differ at most, and why.
BOUNDS = {
    "*/CTImage.dcm_JPEGProcess2_4TransferSyntax_*.51.dcm": (1, _DCT),
    "*/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": (1, _DCT),
    "*/IM00001.fragmented_no_bot_jpeg_baseline.50.dcm": (1, _DCT),
    "*/JPGExtended.dcm": (1, _DCT),
    "*/HTJ2K_08_RGB.dcm": (1, _DWT),
}

# File -> why pydicom does not decode it; what does is below.
ONLY_OURS = {
    "*_JPEGProcess10_12TransferSyntax_*.55.dcm": "a retired transfer syntax",
    "*_JPEGProcess6_8TransferSyntax_*.53.dcm": "a retired transfer syntax",
    "*/JPEG-lossy.dcm": "its start of scan is invalid, which libjpeg (pylibjpeg) does not forgive",
    "*/liver*_deflate.dcm": "Deflated Image Frame Compression is not known",
    "*/liver*_rle.dcm": "RLE of one-bit pixels, which PS3.5 8.2.2 does not foresee",
    "*/OT-PAL-8-face.dcm": "no file meta information, so no transfer syntax",
    "*/emri_small_jpeg_2k_lossless_too_short.dcm": "pixel data that are cut off are left out",
}

# File -> the error, what it names of the place, and why nobody decodes it.
REFUSED = {
    "*/generated_encapsulated_*.dcm": (CorruptError, "FF 4F", "their codestreams are counters"),
    "*/JPEG2000-embedded-sequence-delimiter.dcm": (
        CorruptError,
        "Columns",
        "the image size of its codestream is overwritten by a delimiter",
    ),
    "*/MR_truncated.dcm": (TruncatedError, "at byte 9630", "62 bytes short"),
    "*/badVR.dcm": (CorruptError, "NumberOfFrames (0028,0008)", "NumberOfFrames is 1A"),
    "*/meta_missing_tsyntax.dcm": (CorruptError, "Rows", "no Image Pixel module"),
    "*/nested_priv_SQ.dcm": (CorruptError, "Rows", "no Image Pixel module"),
}


def listed(name, table):
    found = [entry for pattern, entry in table.items() if fnmatch(name, pattern)]
    assert len(found) < 2, f"{name} is listed twice"
    return found[0] if found else None


def images(corpus):
    """Names of the files with pixel data, and of one whose pixel data pydicom does not show."""
    return [
        row["file"]
        for row in manifest(corpus)
        if row["kind"] in ("part10", "headerless")
        and (row["pixel_element"] or row["file"].endswith("_too_short.dcm"))
    ]


def pydicoms(path, reader):
    """Frames as pydicom decodes them, in the shape of the reader; None where it does not."""
    data_set = pydicom.dcmread(path, force=True)
    stored = data_set.get("PhotometricInterpretation")
    # Our rule: a codec that undoes a color transform gives RGB; all else stays as it is stored.
    as_rgb = reader.photometric == "RGB" and stored not in ("RGB", None)
    try:
        pixels = pixel_array(data_set, raw=not as_rgb)
    except (ValueError, AttributeError, RuntimeError, NotImplementedError):
        return None
    assert pixels.dtype.newbyteorder("=") == reader.dtype, path
    return pixels.reshape(reader.shape)


def distance(ours, theirs):
    if np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        return 0
    return int(np.abs(ours.astype(np.float64) - theirs).max())


def test_every_frame_equals_pydicoms(corpus):
    for name in ("pylibjpeg", "libjpeg", "openjpeg", "rle"):
        peer_module(name)
    faults = []
    compared = 0
    for name in images(corpus):
        path = corpus / name
        if listed(name, REFUSED):
            continue
        with FrameReader(path) as reader:
            theirs = pydicoms(path, reader)
            if theirs is None:
                if not listed(name, ONLY_OURS):
                    faults.append(f"{name}: pydicom does not decode it")
                continue
            if listed(name, ONLY_OURS):
                faults.append(f"{name}: pydicom decodes it by now")
            bound, _ = listed(name, BOUNDS) or (0, "")
            for i, frame in enumerate(reader):
                compared += 1
                found = distance(frame, theirs[i])
                if found > bound:
                    faults.append(f"{name}: frame {i} differs by {found}")
    assert not faults, "\n".join(faults)
    assert compared > 500


def test_what_nobody_decodes_is_refused_with_its_place(corpus):
    refused = 0
    for name in images(corpus):
        expected = listed(name, REFUSED)
        if expected is None:
            continue
        kind, place, _ = expected
        path = corpus / name
        with pytest.raises(kind) as caught, FrameReader(path) as reader:
            list(reader)
        assert str(caught.value).startswith(f"{path}: "), name
        assert place in str(caught.value), name
        with pytest.raises((ValueError, AttributeError, RuntimeError)):
            pixel_array(pydicom.dcmread(path, force=True), raw=True)
        refused += 1
    assert refused == 10


def test_files_without_pixels_say_so(corpus):
    found = 0
    with_pixels = set(images(corpus))
    for row in manifest(corpus):
        if row["kind"] not in ("part10", "headerless") or row["file"] in with_pixels:
            continue
        path = corpus / row["file"]
        with pytest.raises(DicomloomError) as caught:
            FrameReader(path)
        assert str(caught.value).startswith(f"{path}: ")
        if isinstance(caught.value, NotDicomError):
            assert "no pixel data" in str(caught.value)
        found += 1
    assert found > 90


@pytest.mark.parametrize("name", list(ONLY_OURS)[:3])
def test_jpeg_that_pydicom_lacks_equals_dcmtks(corpus, tmp_path, name):
    (path,) = (corpus / file for file in images(corpus) if fnmatch(file, name))
    target = tmp_path / "decoded.dcm"
    subprocess.run([peer("dcmdjpeg"), str(path), str(target)], check=True, capture_output=True)
    with FrameReader(path) as reader:
        assert distance(np.asarray(reader), pixel_array(target, raw=True)[None]) == 0


# File -> one with the same frames that pydicom decodes.
SAME = {
    "liver_deflate.dcm": "liver.dcm",
    "liver_rle.dcm": "liver.dcm",
    "liver_nonbyte_aligned_deflate.dcm": "liver_nonbyte_aligned.dcm",
    "liver_nonbyte_aligned_rle.dcm": "liver_nonbyte_aligned.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "emri_small.dcm",
}


@pytest.mark.parametrize("name", SAME)
def test_others_equal_another_form_of_the_same_image(corpus, name):
    files = {file.rsplit("/", 1)[1]: corpus / file for file in images(corpus)}
    theirs = pixel_array(files[SAME[name]], raw=True)
    with FrameReader(files[name]) as reader:
        assert np.array_equal(np.asarray(reader), theirs)


def test_a_data_set_without_file_meta_is_read_by_its_encoding(corpus):
    (path,) = (corpus / file for file in images(corpus) if file.endswith("/OT-PAL-8-face.dcm"))
    data_set = pydicom.dcmread(path, force=True)
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    with FrameReader(path) as reader:
        assert np.array_equal(reader[0], pixel_array(data_set, raw=True))


def test_many_fragments_without_a_table_need_no_warning(corpus):
    """Markers tell where frames begin; that is no fault of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in images(corpus):
            if "fragmented_no_bot" in file:
                with FrameReader(corpus / file) as reader:
                    assert reader.offset_table == "walked"
                    reader[len(reader) - 1]
