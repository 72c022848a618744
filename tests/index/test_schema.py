import pytest

from dicomloom import TagError
from dicomloom.index.schema import DEFAULT_TAGS, SETS, Schema, column_type
from dicomloom.tags import parse_tag


def test_default_columns_in_order():
    assert Schema().names == ("Filename", "Status", *DEFAULT_TAGS, "Error")


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_made_of_tags(name):
    schema = Schema(SETS[name], typed=True)
    assert len(schema.names) == len(set(SETS[name])) + 3


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("Rows", "int64"),
        ("InstanceNumber", "int64"),
        ("SliceThickness", "float64"),
        ("StudyDate", "date32"),
        ("StudyTime", "text"),
        ("PatientName", "text"),
        ("PixelSpacing", "text"),  # VM 2
        ("ImageType", "text"),
        ("SmallestImagePixelValue", "int64"),  # US or SS
        ("PixelData", "int64"),  # a length
        ("BeamSequence", "int64"),  # a count
        ("BeamSequence[0].BeamNumber", "int64"),
        ("BeamSequence[*].BeamNumber", "text"),
        ("SelectorUVValue", "text"),
        ('(0029,"NOBODY",01)', "text"),
    ],
)
def test_types_of_columns(tag, kind):
    assert column_type(parse_tag(tag)) == kind


def test_a_tag_given_twice_has_one_column():
    assert Schema(["Rows", "PatientID", "Rows"]).names[2:-1] == ("Rows", "PatientID")


def test_one_tag_as_a_string():
    assert Schema("Rows").names[2:-1] == ("Rows",)


def test_file_info_comes_last():
    assert Schema(file_info=True).names[-3:] == ("FileSize", "FileModified", "FileInode")


def test_an_unknown_tag_is_refused():
    with pytest.raises(TagError):
        Schema(["Filename"])
