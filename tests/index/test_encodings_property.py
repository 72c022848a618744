"""Whatever pydicom writes is read back equal, in every encoding and through every door."""

from __future__ import annotations

import io
import struct
import zlib

import pydicom
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from data_set_trees import (
    BORDERS,
    build,
    expected,
    several,
    trees,
)
from dicomloom import read_tags, scan
from support import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNDEFINED,
    element,
    item,
    part10,
    sequence,
)

pytestmark = pytest.mark.filterwarnings("ignore")
# A failing example is not shrunk, which would take minutes: what differs is printed.
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
FEWER = settings(FEW, max_examples=25)

# --- writing and reading --------------------------------------------------------------------------

SYNTAXES = {
    "implicit": (IMPLICIT_LE, True, True),
    "explicit": (EXPLICIT_LE, False, True),
    "big": (EXPLICIT_BE, False, False),
    "deflated": (DEFLATED, False, True),
}


def encode(tree, block, syntax, form):
    """The bytes that dcmwrite makes: a "file", one with "no preamble", or a "bare" data set."""
    uid, implicit, little = SYNTAXES[syntax]
    into = io.BytesIO()
    with pydicom.config.disable_value_validation():
        data_set = build(tree, block)
        if form == "bare":
            pydicom.dcmwrite(into, data_set, implicit_vr=implicit, little_endian=little)
            return into.getvalue()
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.TransferSyntaxUID = uid
        if form == "file":
            pydicom.dcmwrite(into, data_set, enforce_file_format=True)
            return into.getvalue()
        pydicom.dcmwrite(into, data_set)
        written = into.getvalue()
    assert written[:2] == b"\2\0"
    return written


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("encodings") / "file.dcm"


def assert_reads(raw, wanted, path):
    """By every door: bytes, a file object that stands anywhere, a path, a scan."""
    differs = {}
    for tag, value in read_tags(raw, wanted).items():
        if not equal(value, wanted[tag]):
            differs[tag] = (value, wanted[tag])
    assert not differs
    values = read_tags(raw, wanted)
    file = io.BytesIO(b"before" + raw)
    file.seek(6)
    assert read_tags(file, wanted) == values
    assert file.tell() == 6
    path.write_bytes(raw)
    assert read_tags(path, wanted) == values
    with scan(path, wanted, threads=1) as batches:
        rows = [row for batch in batches for row in batch.rows()]
    assert rows == [(str(path), "OK", *values.values(), None)]


def equal(ours, theirs):
    if ours == theirs or ours is None or theirs is None:
        return ours == theirs
    try:  # 1e+16 and 1e16, 1.0 and 1
        return numbers(ours) == numbers(theirs)
    except ValueError:
        return False


def numbers(text):
    return [each and float(each) for each in text.split("\\")]


@pytest.mark.parametrize("syntax", SYNTAXES)
@FEW
@given(tree=trees(), block=st.sampled_from([0x10, 0x11, 0x7F, 0xF0]), data=st.data())
def test_what_pydicom_writes_is_read_back(syntax, path, tree, block, data):
    forms = ["file", "no preamble"] + ["bare"] * (syntax != "deflated")
    raw = encode(tree, block, syntax, data.draw(st.sampled_from(forms)))
    assert_reads(raw, expected(tree, syntax == "implicit"), path)


# --- what dcmwrite does not write -----------------------------------------------------------------


def encoded(data_set, syntax, order=None):
    """The elements one after the other, as pydicom encodes them, in the given order."""
    _, implicit, little = SYNTAXES[syntax]
    charset = data_set.get("SpecificCharacterSet")
    written = {}
    with pydicom.config.disable_value_validation():
        for each in data_set:
            into = DicomBytesIO()
            into.is_implicit_VR, into.is_little_endian = implicit, little
            write_data_element(into, each, charset)
            written[each.tag] = into.getvalue()
    return [written[tag] for tag in order or written]


def framed(data_set, syntax):
    if syntax == "deflated":
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data_set = deflater.compress(data_set) + deflater.flush()
        data_set += b"\0" * (len(data_set) % 2)
    return part10(data_set, SYNTAXES[syntax][0])


@pytest.mark.parametrize("syntax", SYNTAXES)
@FEWER
@given(tree=trees(depth=2), data=st.data())
def test_elements_out_of_order_are_read(syntax, path, tree, data):
    """Reading ends behind the highest wanted tag, so that with it wanted every order is read. The
    character set and the creators of private blocks come first: they say how to read the rest."""
    with pydicom.config.disable_value_validation():
        data_set = build(tree)
    data_set.add_new(0x7FDFFFFE, "UN", b"last")
    creators = [t for t in data_set.keys() if t.is_private_creator or t == 0x00080005]  # noqa: SIM118
    others = [t for t in data_set.keys() if t not in creators]  # noqa: SIM118
    order = creators + data.draw(st.permutations(others))
    wanted = expected(tree, syntax == "implicit")
    wanted["(7fdf,ffff)"] = None
    assert_reads(framed(b"".join(encoded(data_set, syntax, order)), syntax), wanted, path)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("truth", [True, False])
@FEWER
@given(tree=trees(depth=2))
def test_group_lengths_are_read_and_not_believed(syntax, truth, path, tree):
    with pydicom.config.disable_value_validation():
        data_set = build(tree)
    wanted = expected(tree, syntax == "implicit")
    raw = b""
    for group in sorted({tag.group for tag in data_set.keys()}):  # noqa: SIM118
        content = b"".join(encoded_group(data_set, group, syntax))
        claimed = len(content) if truth else 0xFFFFFFF0
        end = "<" if SYNTAXES[syntax][2] else ">"
        raw += element(
            group << 16,
            None if SYNTAXES[syntax][1] else "UL",
            struct.pack(end + "L", claimed),
            big=not SYNTAXES[syntax][2],
        )
        raw += content
        wanted[f"({group:04x},0000)"] = str(claimed)
    assert_reads(framed(raw, syntax), wanted, path)


def encoded_group(data_set, group, syntax):
    everything = encoded(data_set, syntax)
    tags = sorted(data_set.keys())
    return [raw for tag, raw in zip(tags, everything, strict=True) if tag.group == group]


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("vr", [None, "explicit"])
def test_values_across_every_border_of_the_window(path, big, vr):
    """Headers and values that begin a few bytes before or behind where a reading ends."""
    if vr is None and big:
        pytest.skip("there is no implicit VR big endian")
    syntax = {(None, False): IMPLICIT_LE, ("explicit", False): EXPLICIT_LE}.get(
        (vr, big), EXPLICIT_BE
    )

    def made(tag, real_vr, value):
        return element(tag, vr and real_vr, value, big=big)

    short, long = b"Doe^Jane", bytes(range(32, 92)) * 1400
    for border in BORDERS:
        for shift in range(-26, 14, 2):
            for hops in (True, False):
                head = made(0x00080016, "UI", b"1.2\0") + made(0x00080018, "UI", b"1.2.3\0")
                start = len(part10(head, syntax))
                space = border + shift - start
                if hops:  # one element that nobody wants
                    filler = made(0x00091001, "OB", bytes(space - 12))
                else:  # one after the other
                    each = made(0x00090010, "LO", bytes(1000))
                    filler = each * (space // len(each) - 1)
                    filler += made(0x00091001, "OB", bytes(space - len(filler) - 12))
                raw = part10(
                    head
                    + filler
                    + made(0x00100010, "PN", short)
                    + made(0x00100020, "LO", short)
                    + made(0x0040A160, "UT", long),
                    syntax,
                )
                wanted = {
                    "SOPInstanceUID": "1.2.3",
                    "PatientName": "Doe^Jane",
                    "PatientID": "Doe^Jane",
                    "TextValue": long.decode().rstrip(),
                }
                assert read_tags(raw, wanted) == wanted
                assert read_tags(io.BytesIO(raw), wanted) == wanted
                if shift in (-8, 0):
                    assert_reads(raw, wanted, path)


# --- VRs that the file does not say ---------------------------------------------------------------


@pytest.mark.parametrize("syntax", ["explicit", "big", "deflated"])
def test_un_of_known_tags_is_implicit_little_endian(syntax, path):
    """PS3.5 6.2.2 note 4: whatever the transfer syntax is."""
    big = syntax == "big"
    code = element(0x00080100, None, b"T-1 ") + element(0x00280010, None, b"\1\2")
    raw = b"".join(
        [
            element(0x00080005, "CS", b"ISO_IR 192", big=big),
            element(0x00080018, "UN", b"1.2.3\0", big=big),
            element(0x00081032, "UN", item(code) + item(code, length=UNDEFINED), big=big),
            element(0x00100010, "UN", "Doe^Jané ".encode() + b" ", big=big),
            element(0x00189073, "UN", struct.pack("<d", 2.5), big=big),
            element(0x00280010, "UN", b"\1\2", big=big),
            element(0x00281052, "UN", b"-1.5", big=big),
        ]
    )
    wanted = {
        "SOPInstanceUID": "1.2.3",
        "ProcedureCodeSequence": "2",
        "ProcedureCodeSequence[*].CodeValue": "T-1\\T-1",
        "ProcedureCodeSequence[1].Rows": "513",
        "PatientName": "Doe^Jané",
        "AcquisitionDuration": "2.5",
        "Rows": "513",
        "RescaleIntercept": "-1.5",
    }
    assert_reads(framed(raw, syntax), wanted, path)


@pytest.mark.parametrize("syntax", ["explicit", "big"])
def test_un_of_undefined_length_is_an_implicit_little_endian_sequence(syntax, path):
    big = syntax == "big"
    inner = element(0x00080100, None, b"T-1 ") + sequence(
        0x00082218, [item(element(0x00080104, None, b"deep"), length=UNDEFINED)], None,
        undefined=True,
    )  # fmt: skip
    content = item(inner, length=UNDEFINED) + item(inner) + element(0xFFFEE0DD, None)
    raw = (
        element(0x00080018, "UI", b"1.2.3\0", big=big)
        + element(0x00081032, "UN", content, big=big, length=UNDEFINED)
        + element(0x00091010, "UN", content, big=big, length=UNDEFINED)
        + element(0x00100020, "LO", b"behind", big=big)
    )
    wanted = {
        "SOPInstanceUID": "1.2.3",
        "ProcedureCodeSequence": "2",
        "ProcedureCodeSequence[0].CodeValue": "T-1",
        "ProcedureCodeSequence[*].AnatomicRegionSequence[0].CodeMeaning": "deep\\deep",
        "(0009,1010)": "2",
        "PatientID": "behind",
    }
    assert_reads(framed(raw, syntax), wanted, path)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with other values"])
def test_us_or_ss_follows_pixel_representation(signed, alone, path):
    """In implicit VR Pixel Representation says which, also in items behind it."""
    raw = b"".join(
        [
            element(0x00080018, None, b"1.2.3\0"),
            element(0x00280103, None, bytes([signed, 0])),
            element(0x00280106, None, b"\xff\xff"),  # SmallestImagePixelValue
            element(0x00281101, None, b"\0\1\0\x80\x10\0"),  # RedPaletteColorLookupTableDescriptor
            sequence(0x00283000, [item(element(0x00283006, None, b"\xff\xff"))], None),
            sequence(0x00409096, [item(element(0x00409211, None, b"\xfd\xff"))], None),
            element(0x00409225, None, struct.pack("<d", 1.5)),
        ]
    )
    wanted = {
        "SmallestImagePixelValue": "-1" if signed else "65535",
        "RedPaletteColorLookupTableDescriptor": "256\\-32768\\16" if signed else "256\\32768\\16",
        "ModalityLUTSequence[0].LUTData": "65535",  # US or OW: never signed
        "RealWorldValueMappingSequence[0].RealWorldValueLastValueMapped": (
            "-3" if signed else "65533"
        ),
    }
    for each in [{tag: text} for tag, text in wanted.items()] if alone else [wanted]:
        assert_reads(part10(raw, IMPLICIT_LE), each, path)


@pytest.mark.parametrize("signed", [False, True])
def test_us_or_ss_that_stands_before_pixel_representation(signed, path):
    raw = (
        element(0x00080018, None, b"1.2.3\0")
        + element(0x00189810, None, b"\xfe\xff")
        + element(0x00280103, None, bytes([signed, 0]))
    )
    wanted = {"ZeroVelocityPixelValue": "-2" if signed else "65534"}
    assert_reads(part10(raw, IMPLICIT_LE), wanted, path)


def test_creators_and_group_lengths_of_implicit_vr_have_their_vrs(path):
    """PS3.5 7.2: UL; 7.8.1: LO."""
    raw = (
        element(0x00080000, None, b"\x0e\0\0\0")
        + element(0x00080018, None, b"1.2.3\0")
        + element(0x00090010, None, b"ACME")
        + element(0x00091001, None, b"12")
    )
    wanted = {"(0008,0000)": "14", "(0009,0010)": "ACME", "(0009,1001)": "2"}
    assert_reads(part10(raw, IMPLICIT_LE), wanted, path)


def test_a_creator_may_reserve_two_blocks(path):
    """PS3.5 7.8.1 does not forbid it; pydicom and DCMTK take the first block."""
    raw = (
        element(0x00080018, "UI", b"1.2.3\0")
        + element(0x00090010, "LO", b"ACME")
        + element(0x00090011, "LO", b"ACME")
        + element(0x00091001, "LO", b"first ")
        + element(0x00091102, "LO", b"second")
    )
    wanted = {'(0009,"ACME",01)': "first"}
    assert_reads(part10(raw), wanted, path)


def test_values_that_are_no_multiple_of_their_unit(path):
    """HOSTILE P6: what does not fill a number is left out."""
    raw = (
        element(0x00080018, "UI", b"1.2.3\0")
        + element(0x00189073, "FD", b"")
        + element(0x00189074, "DT", b"2024")
        + element(0x00280009, "AT", b"\x18\0\x63\x10\1\2\3")
        + element(0x00280010, "US", b"\1\0\2")
        + element(0x00280011, "US", b"\1")
        + element(0x00720050, "CS", b"\\" * 65534)
        + element(0x0072007A, "US", b"\1\0" * 32767)
    )
    wanted = {
        "AcquisitionDuration": "",
        "FrameIncrementPointer": "(0018,1063)",
        "Rows": "1",
        "Columns": "",
        "(0072,0050)": "\\" * 65534,
        "SelectorUSValue": "\\".join(["1"] * 32767),
    }
    assert_reads(part10(raw), wanted, path)


def test_p6_65535_values_in_implicit_vr(path):
    raw = element(0x00080018, None, b"1.2.3\0") + element(0x0072007A, None, b"\1\0" * 65535)
    wanted = {"SelectorUSValue": "\\".join(["1"] * 65535)}
    assert_reads(part10(raw, IMPLICIT_LE), wanted, path)


# --- without a preamble ---------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("first", ["group length", "transfer syntax"])
def test_file_meta_information_without_a_preamble(syntax, first, path):
    """Group 2 is explicit VR little endian and ends where the group does (PS3.10 7.1), whatever
    follows it."""
    tree = {"PatientName": several("PN", ["Doe^Jane"])}
    with pydicom.config.disable_value_validation():
        raw = framed(b"".join(encoded(build(tree), syntax)), syntax)
    start = raw.index(b"\2\0\x10\0") if first == "transfer syntax" else 132
    assert_reads(raw[start:], {"PatientName": "Doe^Jane", "SOPInstanceUID": "1.2.3"}, path)


@pytest.mark.parametrize("vr", [None, "SQ"])
def test_a_bare_data_set_with_a_long_sequence_near_its_beginning(vr, path):
    text = None if vr is None else "UI"
    code = element(0x00081150, text, b"1.2.3.4.")
    raw = (
        element(0x00080016, text, b"1.2\0")
        + element(0x00080018, text, b"1.2.3\0")
        + sequence(0x00081140, [item(code)] * 5000, vr)
        + element(0x00100010, vr and "PN", b"Doe^Jane")
    )
    wanted = {
        "SOPInstanceUID": "1.2.3",
        "ReferencedImageSequence": "5000",
        "PatientName": "Doe^Jane",
    }
    assert_reads(raw, wanted, path)
