"""`dump`: lines of one file, hostile bytes among them."""

import io
import itertools
import json
import struct

import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file

from dicomloom import (
    CorruptError,
    LimitError,
    NotDicomError,
    ReadError,
    TagError,
    TruncatedError,
    dump,
)
from dicomloom.dump.model import document
from dicomloom.dump.walk import walk
from dicomloom.frames.sources import BytesSource, open_source
from faults import child
from hostile import SYNTAXES, framed
from support import (
    EXPLICIT_BE,
    IMPLICIT_LE,
    PRINT_PEAK,
    UNDEFINED,
    element,
    item,
    part10,
    sequence,
)

CT = get_testdata_file("CT_small.dcm")
SQ = 0x00081140


def lines(data, tags=None, **options):
    """Lines without those of group 2, and the error or None."""
    made = []
    try:
        made.extend(dump(data, tags, **options))
    except (CorruptError, LimitError, TruncatedError) as error:
        return [line for line in made if not line.startswith("(0002")], error
    return [line for line in made if not line.startswith("(0002")], None


def deep(depth, *, undefined):
    data = element(0x00100020, "LO", b"deep")
    for _ in range(depth):
        data = sequence(
            SQ, [item(data, length=UNDEFINED if undefined else None)], undefined=undefined
        )
    return data


def test_it_takes_paths_bytes_and_files():
    with open(CT, "rb") as file:
        data = file.read()
    of_path = list(dump(CT))
    assert of_path == list(dump(data)) == list(dump(io.BytesIO(data)))
    assert of_path[0] == "(0002,0000) UL      4 GroupLength  192"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nesting_is_indented_in_every_encoding(syntax):
    big, implicit = syntax == EXPLICIT_BE, syntax == IMPLICIT_LE
    vr = (lambda name: None) if implicit else (lambda name: name)
    inner = element(0x00081155, vr("UI"), b"1.2\0", big=big)
    data = sequence(SQ, [item(inner, big=big), item(b"", big=big)], vr("SQ"), big=big)
    data += element(0x00280010, vr("US"), struct.pack(">H" if big else "<H", 512), big=big)
    found, error = lines(framed(data, syntax))
    assert error is None
    assert found == [
        f"(0008,1140) SQ     {len(inner) + 16} ReferencedImageSequence",
        f"  (fffe,e000) --     {len(inner)} Item 0",
        "    (0008,1155) UI      4 ReferencedSOPInstanceUID  1.2",
        "  (fffe,e000) --      0 Item 1",
        "(0028,0010) US      2 Rows  512",
    ]


def test_a_terminal_sees_no_control_characters():
    data = element(0x00100010, "PN", b"DOE\x1b[31m^J\r\nOHN\0 ") + element(
        0x00104000, "LT", b"one\ntwo\xc2\x9b3"
    )
    data = element(0x00080005, "CS", b"ISO_IR 192") + data
    found, error = lines(part10(data))
    assert error is None
    assert all(line.isprintable() for line in found)
    assert found[2] == r"(0010,4000) LT     10 PatientComments  one\ntwo\x9b3"


def test_an_item_has_a_character_set_of_its_own():
    name = "Иванов".encode("iso8859_5")
    own = element(0x00080005, "CS", b"ISO_IR 144") + element(0x00100010, "PN", name)
    inherited = element(0x00100010, "PN", "Müller".encode("latin-1"))
    data = element(0x00080005, "CS", b"ISO_IR 100") + sequence(SQ, [item(own), item(inherited)])
    found, _ = lines(part10(data + inherited))
    assert [line.split("  ")[-1] for line in found if "PatientName" in line] == [
        "Иванов", "Müller", "Müller",
    ]  # fmt: skip


def test_private_elements_name_their_creator():
    data = element(0x00290010, "LO", b"ME") + element(0x00291001, "UN", b"\1\2\3\xff")
    data += element(0x00311001, "LO", b"none")
    found, _ = lines(part10(data))
    assert found == [
        "(0029,0010) LO      2 PrivateCreator  ME",
        '(0029,1001) UN      4 "ME"  01\\02\\03\\ff',
        "(0031,1001) LO      4   none",
    ]


def test_values_are_shortened_to_the_width():
    data = element(0x00104000, "LT", b"x" * 5000)
    (line,), _ = lines(part10(data), width=80)
    assert len(line) == 80
    assert line.endswith("xxx...")
    data = element(0x7FE00010, "OW", bytes(5000))
    (line,), _ = lines(part10(data), width=80)
    assert len(line) == 80
    assert line.endswith("...")


def test_encapsulated_pixel_data_are_one_line():
    data = element(0x7FE00010, "OB", length=UNDEFINED)
    data += item(b"") + item(b"\xff" * 10) + item(b"\xff" * 6) + element(0xFFFEE0DD, None)
    data += element(0xFFFCFFFC, "OB", b"\0\0")
    found, error = lines(part10(data))
    assert error is None
    assert found[0] == "(7fe0,0010) OB  undef PixelData  2 fragments, 16 bytes"
    assert len(found) == 2
    for end in (len(data) - 15, len(data) - 22, len(data) - 26):
        found, error = lines(part10(data[:end]))
        assert "fragments" in found[0]
        assert isinstance(error, TruncatedError)


def test_only_what_is_wanted():
    data = sequence(SQ, [item(element(0x00081155, "UI", b"1.2\0")), item(b"")])
    data += element(0x00100020, "LO", b"id") + element(0x00290010, "LO", b"ME")
    data += element(0x00291001, "LO", b"mine")
    tags = ["ReferencedImageSequence[0].ReferencedSOPInstanceUID", '(0029,"ME",01)']
    found, _ = lines(part10(data), tags)
    assert [line.split()[0] for line in found] == [
        "(0008,1140)", "(fffe,e000)", "(0008,1155)", "(0029,1001)",
    ]  # fmt: skip
    assert len(lines(part10(data), "ReferencedImageSequence")[0]) == 4
    with pytest.raises(TagError):
        next(dump(CT, "PatientNane"))


@pytest.mark.parametrize("undefined", [True, False])
def test_depth_is_an_error_on_the_line_where_it_happens(undefined):
    assert lines(part10(deep(64, undefined=undefined)))[1] is None
    found, error = lines(part10(deep(65, undefined=undefined)))
    assert isinstance(error, LimitError)
    assert len(found) == 2 * 64 + 1
    assert f"at byte {error.offset}" in error.message
    found, error = lines(part10(deep(300, undefined=undefined)), max_depth=1000)
    assert error is None
    assert found[-1].strip() == "(0010,0020) LO      4 PatientID  deep"
    assert max(map(len, found)) < 120


def test_what_stands_before_a_cut_is_there_and_the_error_says_where():
    data = part10(
        element(0x00080018, "UI", b"1.2.3\0")
        + sequence(SQ, [item(element(0x00081155, "UI", b"1.2\0"))], undefined=True)
        + element(0x00100020, "LO", b"behind")
    )
    whole = list(dump(data))
    silent = []
    for end in range(140, len(data)):
        found = []
        try:
            found.extend(dump(data[:end]))
        except (TruncatedError, NotDicomError) as error:
            assert error.offset is not None
        else:
            silent.append(end)
        # The value of the last one may be cut.
        assert found[:-1] == whole[: len(found) - 1] if found else True
    # Only where an element of the data set ends.
    assert len(silent) == 2


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(NotDicomError) as caught:
        list(dump(b"no DICOM at all"))
    assert caught.value.path is None
    (tmp_path / "text").write_text("no DICOM")
    with pytest.raises(NotDicomError) as caught:
        list(dump(tmp_path / "text"))
    assert caught.value.path == str(tmp_path / "text")
    with pytest.raises(ReadError):
        list(dump(tmp_path))


def test_what_is_left_half_read_can_be_collected():
    # In a child: CPython crashed here, when a memoryview and who read it were garbage together.
    script = """
        import gc
        from dicomloom._native.frames import Cursor
        for _ in range(100):
            view = memoryview(bytes(200))
            held = [view, Cursor(view)]
            held.append(held)
        del held, view
        gc.collect()
        """
    assert child(script).returncode == 0


def test_memory_does_not_depend_on_the_size(tmp_path):
    path = tmp_path / "large.dcm"
    head = part10(element(0x00100020, "LO", b"id") + element(0x7FE00010, "OW", length=0xFFFFFFFE))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 0xFFFFFFFE)
    many = tmp_path / "many.dcm"
    many.write_bytes(part10(sequence(SQ, itertools.repeat(item(b""), 300_000))))
    script = "import sys; from dicomloom import dump; print(sum(1 for _ in dump(sys.argv[1])))"
    script += PRINT_PEAK
    counts, peaks = zip(
        *(map(int, child(script, file).stdout.split()) for file in (CT, path, many)), strict=True
    )
    assert counts[1:] == (4, 300_003)
    assert max(peaks) - peaks[0] < 4096


def model(data):
    return json.loads("".join(document("path", walk(BytesSource(data)))))


def test_json_is_what_pydicom_reads():
    source = open_source(get_testdata_file("rtplan.dcm"))
    made = json.loads("".join(document("plan\x1b", walk(source))))
    source.close()
    assert made["path"] == "plan\x1b"
    assert "error" not in made
    read = Dataset.from_json(made["dataset"])
    assert read.BeamSequence[0].ControlPointSequence[1].ControlPointIndex == 1
    assert read.FractionGroupSequence[0].ReferencedBeamSequence[0].BeamDose == 1.0275401


def test_json_has_places_of_what_is_long_and_ends_well_behind_a_fault():
    data = element(0x00100010, "PN", b"A^B=C") + element(0x00280009, "AT", b"\x18\0\x63\x10")
    data += element(0x00420011, "OB", bytes(100)) + element(0x00280106, "US", b"\1\0\2\0")
    data += element(0x00186020, "FD", struct.pack("<d", float("nan")))
    file = part10(data)
    found = model(file)["dataset"]
    assert found["00100010"]["Value"] == [{"Alphabetic": "A^B", "Ideographic": "C"}]
    assert found["00280009"]["Value"] == ["00181063"]
    assert found["00280106"]["Value"] == [1, 2]
    assert found["00186020"]["Value"] == ["NaN"]
    assert found["00420011"] == {"vr": "OB", "offset": file.rindex(bytes(100)), "length": 100}
    nested = part10(sequence(SQ, [item(element(0x00081155, "UI", b"1.2\0"))]))
    made = []
    with pytest.raises(TruncatedError):
        made.extend(document("path", walk(BytesSource(nested[:-2]))))
    read = json.loads("".join(made))
    assert read["error"]["type"] == "TruncatedError"
    assert read["error"]["offset"] == len(nested) - 2
    assert read["dataset"]["00081140"]["Value"][0]["00081155"]["Value"] == ["1."]
