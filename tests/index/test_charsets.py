"""Text in every character set of PS3.3 C.12.1.1.2, as dicomloom's values."""

import pytest

from dicomloom import read_tags, scan
from support import UNDEFINED, element, item, part10, sequence

# One to a VR that Specific Character Set governs (PS3.5 6.1.2.3).
TAGS = {
    "LO": 0x00081030,  # StudyDescription
    "LT": 0x001021B0,  # AdditionalPatientHistory
    "PN": 0x00100010,  # PatientName
    "SH": 0x00081010,  # StationName
    "ST": 0x00080081,  # InstitutionAddress
    "UC": 0x00080119,  # LongCodeValue, by its number: not the field it is meant for
    "UT": 0x00189804,  # any UT
}


def pad(value, filler=b" "):
    return value + filler * (len(value) % 2)


def data_set(charset, value, vr="PN", *, big=False):
    head = b"" if charset is None else element(0x00080005, "CS", pad(charset.encode()), big=big)
    return head + element(TAGS[vr], vr, pad(value), big=big)


def read(charset, value, vr="PN"):
    tag = f"({TAGS[vr] >> 16:04x},{TAGS[vr] & 0xFFFF:04x})"
    return read_tags(part10(data_set(charset, value, vr)), tag)[tag]


# --- single-byte sets -----------------------------------------------------------------------------

SINGLE_BYTE = {
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "166": "tis_620",
    "203": "iso8859_15",
}
# PS3.3 Table C.12-3, the G1 element.
ESCAPES = {
    "100": b"\x1b-A",
    "101": b"\x1b-B",
    "109": b"\x1b-C",
    "110": b"\x1b-D",
    "144": b"\x1b-L",
    "127": b"\x1b-G",
    "126": b"\x1b-F",
    "138": b"\x1b-H",
    "148": b"\x1b-M",
    "166": b"\x1b-T",
    "203": b"\x1b-b",
}
# Characters that a later edition of the ISO standard has and the registration has not.
LATER = {"126": {0xA4, 0xA5, 0xAA}, "138": {0xAF, 0xFD, 0xFE}}


@pytest.mark.parametrize("number", SINGLE_BYTE)
def test_every_character_of_a_single_byte_set(number):
    for byte in set(range(0xA1, 0x100)) - LATER.get(number, set()):
        raw = bytes([byte])
        expected = raw.decode(SINGLE_BYTE[number], "replace")
        assert read(f"ISO_IR {number}", b"x" + raw + b"x") == f"x{expected}x", hex(byte)


@pytest.mark.parametrize("number", SINGLE_BYTE)
@pytest.mark.parametrize("charset", ["ISO 2022 IR {}", "ISO_IR {}", " ISO_IR {} "])
def test_a_single_byte_set_alone_under_each_of_its_names(charset, number):
    assert read(charset.format(number), b"\xe1\xe9") == b"\xe1\xe9".decode(SINGLE_BYTE[number])


@pytest.mark.parametrize("number", SINGLE_BYTE)
def test_a_single_byte_set_reached_by_its_escape_sequence(number):
    text = b"\xe1\xe9\xe1"
    expected = "Doe^" + text.decode(SINGLE_BYTE[number])
    assert read(f"\\ISO 2022 IR {number}", b"Doe^" + ESCAPES[number] + text) == expected


@pytest.mark.parametrize("charset", ["ISO-IR 100", "ISO_IR_100", "ISO IR 100", "ISO 2022-IR 100"])
def test_names_as_vendors_write_them(charset):
    assert read(charset, b"Doe^J\xe9r\xf4me") == "Doe^Jérôme"


def test_the_default_repertoire_reads_what_it_does_not_have_as_latin_1():
    for charset in (None, "", "ISO_IR 6", "ISO 2022 IR 6"):
        assert read(charset, b"Doe^J\xe9r\xf4me") == "Doe^Jérôme"


# --- the examples of the standard -----------------------------------------------------------------

EXAMPLES = {
    "H.3.1 kanji": (
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2 katakana and kanji": (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
        b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "katakana alone": ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "katakana by its escape sequence": ("\\ISO 2022 IR 13", b"\x1b)I\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
    "supplementary kanji": (
        "\\ISO 2022 IR 87\\ISO 2022 IR 159",
        b"\x1b$B;3\x1b$(D0!\x1b(B^x",
        "山丂^x",
    ),
    "I.2 hangul and hanja": (
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "J.1 UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
    "J.2 GB18030": (
        "GB18030",
        b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=",
        "Wang^XiaoDong=王^小东=",
    ),
    "J.4 GBK": ("GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    "K.2 GB2312": (
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    "GB18030, four bytes": ("GB18030", "𠮷^é".encode("gb18030"), "𠮷^é"),
    "UTF-8, four bytes": ("ISO_IR 192", "𠮷^é".encode(), "𠮷^é"),
    "two sets by escape sequences": (
        "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 87",
        b"\xc4neas^\x1b-F\xc4\xe9\xef=\x1b$B;3ED\x1b(B",
        "Äneas^Διο=山田",
    ),
}


@pytest.mark.parametrize(("charset", "raw", "text"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_standard(charset, raw, text):
    assert read(charset, raw) == text
    assert read(charset, raw + b"  ") == text


def test_examples_of_the_standard_in_one_scan(tmp_path):
    """Values that wait for a decoder come back into their own rows."""
    expected = {}
    for i, (charset, raw, text) in enumerate(list(EXAMPLES.values()) * 20):
        path = tmp_path / str(i)
        path.write_bytes(part10(data_set(charset, raw)))
        expected[str(path)] = text
    found = {}
    with scan(tmp_path, ["PatientName", "StudyDescription"], batch_size=32) as batches:
        for batch in batches:
            for name, status, text, absent, error in batch.rows():
                assert (status, absent, error) == ("OK", None, None)
                found[name] = text
    assert found == expected


@pytest.mark.parametrize("vr", TAGS)
@pytest.mark.parametrize(
    ("charset", "codec"), [("ISO_IR 100", "latin_1"), ("ISO_IR 192", "utf_8"), ("GB18030", None)]
)
def test_every_vr_that_the_set_governs(vr, charset, codec):
    assert read(charset, "Jérôme".encode(codec or "gb18030"), vr) == "Jérôme"


def test_long_text_with_line_ends():
    """PS3.5 I.3: code extensions end at a line's end and begin anew."""
    raw = (
        b"\x1b$)CThe first line includes \xb1\xe6\xb5\xbf.\r\n"
        b"\x1b$)CThe second line includes \xb1\xe6\xb5\xbf, too.\r\nThe third line."
    )
    text = "The first line includes 길동.\r\nThe second line includes 길동, too.\r\nThe third line."
    assert read("\\ISO 2022 IR 149", raw, "LT") == text


@pytest.mark.parametrize("vr", ["LO", "SH", "PN", "UC"])
def test_a_backslash_that_is_half_a_character_splits_nothing(vr):
    """JIS X 0208 and GB18030 have second bytes that look like a backslash, a caret or an equals
    sign, and here a split would show as a space that padding's removal takes."""
    for second in b"\\^=":
        kanji = b"0" + bytes([second])
        raw = b"\x1b$B" + kanji + b"!!\x1b(B.\\ x"
        text = (b"\x1b$B" + kanji + b"!!\x1b(B.").decode("iso2022_jp")
        rest = " x" if vr in ("PN", "UC") else "x"
        assert read("\\ISO 2022 IR 87", raw, vr) == f"{text}\\{rest}"
    assert read("GB18030", b"\xd5\x5c .\\y", vr) == b"\xd5\x5c .\\y".decode("gb18030")


def test_padding_of_multi_byte_values_goes_as_the_vr_says():
    assert read("GB18030", b" \xcd\xf5 \\ \xcd\xf5 ", "LO") == "王\\王"
    assert read("GB18030", b" \xcd\xf5 \\ \xcd\xf5 ", "PN") == " 王\\ 王"
    assert read("GB18030", b" \xcd\xf5 \\ \xcd\xf5 ", "LT") == " 王 \\ 王"


def test_other_vrs_are_of_the_default_repertoire():
    bytes_ = part10(
        element(0x00080005, "CS", b"ISO_IR 192")
        + element(0x00080008, "CS", b"A\xc3\xa9 ")
        + element(0x00081030, "LO", b"A\xc3\xa9 ")
    )
    values = read_tags(bytes_, ["ImageType", "StudyDescription"])
    assert values == {"ImageType": "AÃ©", "StudyDescription": "Aé"}


# --- P7: what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "charset",
    ["ISO_IR 999", "ISO_IR 1000000", "UTF-8", "?", "\\", "\\\\\\", "\0", "ISO 2022 IR 87\\?",
     "ISO_IR 192\\ISO 2022 IR 87", "GB18030\\GBK", "\x1b$B", "é"],
)  # fmt: skip
@pytest.mark.parametrize(
    "raw", [b"Doe^Jane", b"Doe^J\xe9", b"Doe^\x1b$B;3ED\x1b(B", b"Doe^\xff\xff"]
)
def test_p7_an_unknown_set_costs_no_row(charset, raw):
    assert read(charset, raw).startswith("Doe^")
    assert (read(charset, raw) == "Doe^Jane") == (raw == b"Doe^Jane")


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("ISO_IR 192", b"Doe^\xff\xfe.", "Doe^��."),
        ("ISO_IR 192", b"Doe^\xe7\x8e", "Doe^�"),
        ("ISO_IR 192", b"\xc3^\xed\xa0\x80^\xf4\x90\x80\x80", "�^���^����"),
        ("ISO_IR 166", b"Doe^\xdb\xdc", "Doe^��"),
        ("ISO_IR 109", b"Doe^\xa5", "Doe^�"),
        ("GB18030", b"Doe^\xff.", "Doe^�."),
        ("GB18030", b"Doe^\x81", "Doe^�"),
    ],
)
def test_p7_undecodable_bytes_become_replacement_characters(charset, raw, text):
    assert read(charset, raw) == text


@pytest.mark.parametrize(
    ("charset", "raw"),
    [
        ("\\ISO 2022 IR 87", b"Doe^\x1b$B;3E"),
        ("\\ISO 2022 IR 87", b"Doe^\x1b$B\xff\xff\x1b(B"),
        ("\\ISO 2022 IR 149", b"Doe^\x1b$)C\xb1"),
        ("\\ISO 2022 IR 149", b"Doe^\x1b$)C\xff\xff"),
        ("\\ISO 2022 IR 58", b"Doe^\x1b$)A\xff"),
        ("ISO_IR 13", b"Doe^\x80\xff"),
        ("\\ISO 2022 IR 159", b"Doe^\x1b$(D\x80\x80"),
    ],
)
def test_p7_undecodable_code_extensions_cost_no_row(charset, raw):
    assert read(charset, raw).startswith("Doe^")
    assert "�" in read(charset, raw)


@pytest.mark.parametrize("charset", ["\\ISO 2022 IR 87", "ISO 2022 IR 100\\ISO 2022 IR 149", "GBK"])
@pytest.mark.parametrize("end", [b"\x1b", b"\x1b$", b"\x1b$)", b"\x1b$B", b"\x1b(", b"\x1b\x1b"])
@pytest.mark.parametrize("vr", ["PN", "LO", "LT"])
def test_p7_an_escape_at_the_end_of_a_value(charset, end, vr):
    assert read(charset, b"Doe" + end, vr).startswith("Doe")
    assert read(charset, b"Doe" + end + b"\\Doe", vr).startswith("Doe")


@pytest.mark.parametrize("vr", ["PN", "LO", "LT"])
def test_p7_half_a_character_at_the_end_is_one_replacement(vr):
    assert read("\\ISO 2022 IR 87", b"\x1b$B;3E\x1b(B", vr) == "山\ufffd"


def test_p7_twenty_sets():
    names = [
        "ISO 2022 IR 6",
        *(f"ISO 2022 IR {n}" for n in [*SINGLE_BYTE, "13", "87", "159", "58"]),
    ]
    names += ["ISO 2022 IR 100"] * (19 - len(names))
    raw = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b-F\xc4\xe9"
    for charset in ([*names, "ISO 2022 IR 149"], ["ISO 2022 IR 149", *names]):
        assert len(charset) == 20
        assert read("\\" + "\\".join(charset[1:]), b"Doe") == "Doe"
        assert read("\\".join(["ISO 2022 IR 6", *charset]), raw) == "Hong^Gildong=洪^Δι"


def test_p7_a_hundred_thousand_bytes_of_sets():
    charset = b"ISO 2022 IR 100\\" * 4000
    assert read(charset.decode(), b"Doe^\xe9").startswith("Doe^")


CODE = 0x00080104  # CodeMeaning


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("inner", "raw"),
    [("ISO_IR 192", "山田é".encode()), ("GB18030", "山田é".encode("gb18030"))],
)
def test_p7_a_set_inside_one_item_only(inner, raw, undefined):
    """PS3.5 7.5.3, PS3.3 C.12.1.1.2: an item's set holds in it; otherwise the parent's does."""
    length = UNDEFINED if undefined else None
    own = element(0x00080005, "CS", pad(inner.encode())) + element(CODE, "LO", pad(raw))
    nested = sequence(0x00082218, [item(element(CODE, "LO", raw + b" "))], undefined=undefined)
    inherits = element(CODE, "LO", b"\xe9t\xe9 ")
    data = part10(
        element(0x00080005, "CS", b"ISO_IR 100")
        + element(0x00081030, "LO", b"J\xe9r\xf4me")
        + sequence(
            0x00081032,
            [item(inherits, length=length), item(own + nested, length=length),
             item(inherits, length=length)],
            undefined=undefined,
        )
        + element(0x00100010, "PN", b"J\xe9r\xf4me")
    )  # fmt: skip
    code = "ProcedureCodeSequence[{}].CodeMeaning".format
    below = "ProcedureCodeSequence[1].AnatomicRegionSequence[0].CodeMeaning"
    expected = {
        "StudyDescription": "Jérôme",
        code(0): "été",
        code(1): "山田é",
        code(2): "été",
        code("*"): "été\\山田é\\été",
        below: "山田é",
        "PatientName": "Jérôme",
    }
    assert read_tags(data, expected) == expected


def test_p7_a_set_in_a_big_endian_data_set():
    raw = data_set("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", big=True)
    for form in (raw, part10(raw, "1.2.840.10008.1.2.2")):
        assert read_tags(form, "PatientName") == {"PatientName": "山田"}
