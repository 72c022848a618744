"""Objects without pixel data, in each uncompressed transfer syntax: pydicom reads the same."""

import io

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

import dicomloom
from dicomloom import FrameError, UnsupportedError
from faults import OLD, untouched
from support import manifest

NAMES = ("ImplicitVRLittleEndian", "ExplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian")


def without_pixels(corpus):
    for row in manifest(corpus):
        if row["kind"] != "part10" or row["file"].endswith("_truncated.dcm"):
            continue
        path = corpus / row["file"]
        dataset = pydicom.dcmread(path, force=True)
        pixels = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
        if "SOPClassUID" in dataset and not any(name in dataset for name in pixels):
            yield path, dataset


def meaning(dataset):
    """What a data set says, without what a writer may leave out (PS3.5 7.2, PS3.10 7.2)."""
    for tag in [*dataset.keys()]:
        if tag.element == 0 or tag == 0xFFFCFFFC:
            del dataset[tag]
    return dataset.to_json_dict()


def in_syntax(dataset, keyword):
    """A data set as pydicom writes and reads it; private VRs are gone in implicit VR."""
    if keyword != NAMES[0]:
        return dataset
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, dataset)
    return read_dataset(io.BytesIO(buffer.getvalue()), is_implicit_VR=True, is_little_endian=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keyword", NAMES)
def test_nothing_changes_but_the_encoding(corpus, tmp_path, keyword):
    count = 0
    for path, dataset in without_pixels(corpus):
        report = dicomloom.transcode(path, tmp_path / "out.dcm", keyword)
        found = pydicom.dcmread(tmp_path / "out.dcm")
        assert found.file_meta.TransferSyntaxUID.keyword == keyword
        assert found.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert meaning(found) == meaning(in_syntax(dataset, keyword)), path
        assert (report.frames, report.sop_instance_uid) == (0, dataset.SOPInstanceUID)
        start = 144 + found.file_meta.FileMetaInformationGroupLength
        assert start + report.encoded_bytes == (tmp_path / "out.dcm").stat().st_size
        count += 1
    assert count > 20


@pytest.mark.parametrize(
    ("keyword", "options", "error"),
    [("RLELossless", {}, UnsupportedError), (NAMES[0], {"frames": [0]}, FrameError)],
)
def test_what_needs_pixels_is_refused(tmp_path, keyword, options, error):
    source = pydicom.data.get_testdata_file("rtplan.dcm")
    target = tmp_path / "out.dcm"
    target.write_bytes(OLD)
    with pytest.raises(error, match="pixel data"):
        dicomloom.transcode(source, target, keyword, **options)
    assert untouched(target)
