import pydicom.datadict
import pytest

from dicomloom import TagError
from dicomloom.tags import ALL_ITEMS, NO_ITEM, parse_tag


@pytest.mark.parametrize(
    "text", ["PatientID", "0010,0020", "(0010,0020)", "00100020", " PatientID ", "(0010, 0020)"]
)
def test_one_element_in_every_form(text):
    (step,) = parse_tag(text).steps
    assert (step.tag, step.creator, step.item, step.vr, step.vm) == (
        0x00100020,
        None,
        NO_ITEM,
        "LO",
        "1",
    )


@pytest.mark.parametrize("text", ['(0029,"SIEMENS CSA HEADER",10)', '0029,"SIEMENS CSA HEADER",10'])
def test_private_element(text):
    (step,) = parse_tag(text).steps
    assert (step.tag, step.creator, step.vr) == (0x00290010, "SIEMENS CSA HEADER", "OB")


def test_private_element_that_no_dictionary_knows():
    (step,) = parse_tag('(0029,"NOBODY. AT ALL",AB)').steps
    assert (step.tag, step.creator, step.vr) == (0x002900AB, "NOBODY. AT ALL", "UN")


def test_path_into_sequences():
    path = parse_tag("BeamSequence[3].(300A,0111)[*].NominalBeamEnergy")
    assert [(step.tag, step.item) for step in path.steps] == [
        (0x300A00B0, 3),
        (0x300A0111, ALL_ITEMS),
        (0x300A0114, NO_ITEM),
    ]
    assert path.joins
    assert not parse_tag("BeamSequence[3].BeamName").joins


def test_private_creator_with_dots_and_brackets_in_a_path():
    path = parse_tag('(0009,"A.B [C]",01)[0].(0009,"A.B [C]",02)')
    assert [step.creator for step in path.steps] == ["A.B [C]"] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PatientNam", "did you mean PatientName"),
        ("", "nothing to read at character 1"),
        ("PatientID.", "is LO, not a sequence"),
        ("BeamSequence[0]", "as in BeamSequence\\[0\\].PatientID"),
        ("BeamSequence[0].", "nothing to read"),
        ("BeamSequence.BeamName", "BeamSequence\\[0\\] or BeamSequence\\[\\*\\]"),
        ("PatientID[0].BeamName", "is LO, not a sequence"),
        ("BeamSequence[0]x", "expected a dot"),
        ("BeamSequence[-1].BeamName", "say which item"),
        ("BeamSequence[0].TransferSyntaxUID", "stands in no sequence"),
        ('(0010,"ACME",10)', "a private group is odd"),
        ("0010,002", "no keyword"),
        (".".join(["BeamSequence[0]"] * 40), "deeper|as in"),
        ("BeamSequence[99999999999].BeamName", "deeper"),
    ],
)
def test_what_is_no_tag_is_refused_with_a_reason(text, says):
    with pytest.raises(TagError, match=says):
        parse_tag(text)


def test_every_keyword_of_pydicom_is_known():
    for tag, (vr, vm, _, _, keyword) in pydicom.datadict.DicomDictionary.items():
        if keyword and tag >> 16 != 0xFFFE:
            (step,) = parse_tag(keyword).steps
            assert (step.tag, step.vr, step.vm) == (tag, vr, vm)


def test_repeating_groups():
    assert parse_tag("OverlayRows").leaf.tag == 0x60000010
    assert parse_tag("(6002,3000)").leaf.vr == "OB or OW"
