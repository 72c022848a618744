import io

import pytest
from pydicom.data import get_testdata_file

import dicomloom
from dicomloom import NotDicomError, ReadError, TagError, TruncatedError, read_tags
from support import element, part10

CT = get_testdata_file("CT_small.dcm")
VALUES = {
    "PatientName": "CompressedSamples^CT1",
    "Rows": "128",
    "OtherPatientIDsSequence": "2",
    "PixelData": "32768",
    "AccessionNumber": "",
    "BodyPartExamined": None,
}
TAGS = list(VALUES)


@pytest.fixture
def data():
    with open(CT, "rb") as file:
        return file.read()


def test_path_bytes_and_file_give_the_same(data, tmp_path):
    assert read_tags(CT, TAGS) == VALUES
    for form in (data, bytearray(data), memoryview(data)):
        assert read_tags(form, TAGS) == VALUES
    with open(CT, "rb") as file:
        assert read_tags(file, TAGS) == VALUES
        assert file.tell() == 0


def test_a_file_object_is_read_from_where_it_stands(data):
    file = io.BytesIO(b"header" + data)
    file.seek(6)
    assert read_tags(file, TAGS) == VALUES
    assert file.tell() == 6


def test_one_tag_as_a_string(data):
    assert read_tags(data, "PatientID") == {"PatientID": "1CT1"}


def test_no_tags(data):
    assert read_tags(data, []) == {}


def test_reading_stops_behind_the_last_wanted_tag(data):
    class Counting(io.BytesIO):
        most = 0

        def read(self, size=-1):
            got = super().read(size)
            self.most = max(self.most, self.tell())
            return got

    file = Counting(data)
    read_tags(file, ["PatientID"])
    assert file.most == 8192


def test_where_nothing_was_found_what_leads_behind_everything_must_be_all_there(data):
    start = data.index(b"\x08\x00\x05\x00CS")
    damaged = bytearray(data)
    damaged[start : start + 8] = b"\x81\xe9\x05\x00OB\0\0"  # its length is what follows
    with pytest.raises(TruncatedError, match=r"\(e981,0005\)"):
        read_tags(bytes(damaged), ["PatientID", "PixelData"])
    before = element(0x00080008, "CS", b"what a damaged length made")
    with pytest.raises(TruncatedError, match=r"\(0020,4000\)"):
        read_tags(part10(before + element(0x00204000, "LT", b"cut", length=99)), ["PatientID"])
    small = part10(before + element(0x00204000, "LT", b"no more than this"))
    assert read_tags(small, ["PatientID"]) == {"PatientID": None}


def test_errors_carry_where_and_what_was_read(data, tmp_path):
    path = tmp_path / "cut.dcm"
    path.write_bytes(data[:3000])
    with pytest.raises(TruncatedError) as caught:
        read_tags(path, ["PatientID", "PixelData"])
    error = caught.value
    assert error.path == str(path)
    assert error.offset == 3000
    assert error.values == {"PatientID": "1CT1", "PixelData": None}
    assert str(error).startswith(f"{path}: truncated in (")
    assert str(error).endswith("at byte 3000")


def test_kinds_of_errors(tmp_path):
    with pytest.raises(ReadError) as caught:
        read_tags(tmp_path / "nothing", ["PatientID"])
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == 2
    with pytest.raises(NotDicomError, match="empty file"):
        read_tags(b"", ["PatientID"])
    with pytest.raises(NotDicomError, match="PNG"):
        read_tags(b"\x89PNG\r\n\x1a\n" + bytes(200), ["PatientID"])
    with pytest.raises(TagError, match="PatientID"):
        read_tags(b"", ["PatentID"])
    assert issubclass(NotDicomError, dicomloom.DicomloomError)
    assert issubclass(NotDicomError, ValueError)


def test_a_failing_file_object_is_an_error_not_a_hang(data):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the tape tore")

    with pytest.raises(ReadError, match="the tape tore"):
        read_tags(Failing(data), ["PatientID"])
