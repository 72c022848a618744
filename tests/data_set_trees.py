"""Data sets as trees of leaves and sequences, and the text that each leaf must give."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence


class Leaf:
    def __init__(self, vr, value, text, raw=None):
        self.vr = vr
        self.value = value  # as pydicom takes it
        self.text = text  # as dicomloom documents it
        self.raw = raw  # bytes of a value whose VR is not known in implicit VR

    def __repr__(self):
        return f"{self.vr}:{self.text[:40]!r}"


class Items:
    vr = "SQ"

    def __init__(self, items, undefined, undefined_items):
        self.items = items
        self.undefined = undefined
        self.undefined_items = undefined_items
        self.text = str(len(items))

    def __repr__(self):
        return f"SQ{self.items!r}"


POOL = {
    "AE": ["RetrieveAETitle", "StationAETitle"],
    "AS": ["PatientAge"],
    "AT": ["FrameIncrementPointer"],
    "CS": ["ImageType", "BodyPartExamined", "PatientPosition"],
    "DA": ["StudyDate", "DateOfSecondaryCapture"],
    "DS": ["PatientWeight", "ImagePositionPatient", "WindowCenter"],
    "DT": ["AcquisitionDateTime"],
    "FD": ["AcquisitionDuration", "ChemicalShiftReference"],
    "FL": ["ExaminedBodyThickness", "ImagedVolumeWidth"],
    "IS": ["InstanceNumber", "ReferencedFrameNumber"],
    "LO": ["PatientID", "SoftwareVersions", "CodeMeaning"],
    "LT": ["ImageComments", "AdditionalPatientHistory"],
    "OB": ["ICCProfile", "EncapsulatedDocument"],
    "OD": ["DoubleFloatPixelData"],
    "OF": ["VectorGridData"],
    "OL": ["TrackPointIndexList"],
    "OV": ["ExtendedOffsetTable"],
    "OW": ["RedPaletteColorLookupTableData"],
    "PN": ["PatientName", "OperatorsName"],
    "SH": ["AccessionNumber", "StudyID"],
    "SL": ["ReferencePixelX0", "DisplayedAreaTopLeftHandCorner"],
    "SS": ["TagAngleSecondAxis"],
    "ST": ["DerivationDescription", "InstitutionAddress"],
    "SV": ["SelectorSVValue"],
    "TM": ["StudyTime", "AcquisitionTime"],
    "UC": ["LongCodeValue", "StrainDescription"],
    "UI": ["FrameOfReferenceUID", "RelatedGeneralSOPClassUID"],
    "UL": ["DimensionIndexValues", "SimpleFrameList"],
    "UR": ["RetrieveURL", "URNCodeValue"],
    "US": ["Rows", "AcquisitionMatrix"],
    "UT": ["TextValue"],
    "UV": ["SelectorUVValue"],
}
SEQUENCES = [
    "RequestAttributesSequence",
    "ReferencedSeriesSequence",
    "SharedFunctionalGroupsSequence",
    "ContentSequence",
    "OriginalAttributesSequence",
]
PRIVATE = {
    '(0009,"GEMS_IDEN_01",01)': "LO",
    '(0019,"GEMS_ACQU_01",02)': "SL",
    '(0019,"GEMS_ACQU_01",03)': "DS",
    '(0019,"ACME 1.1",03)': "UT",
    '(0029,"ACME [2].x",ff)': "US",
    '(0041,"ACME, Inc",00)': "FD",
}
UNKNOWN_PRIVATE = {tag for tag in PRIVATE if "ACME" in tag}
CHARSETS = {
    None: "abcXYZ019 ^-.",
    "ISO_IR 100": "aZ é ü ß ^",
    "ISO_IR 144": "aZ Дщ ж ^",
    "ISO_IR 127": "aZ بن ^",
    "ISO_IR 192": "aZ é Д 山 𠮷 ^",
    "GB18030": "aZ 王 小 é ^",
    "GBK": "aZ 王 小 ^",
    "\\ISO 2022 IR 87": "aZ 山 田 の ^",
    "\\ISO 2022 IR 149": "aZ 길 동 ^",
    "ISO 2022 IR 100\\ISO 2022 IR 126": "aZ é ü ^",
}
# The first reading, the reading on, and the whole window of native/dicom/window.c.
BORDERS = (8192, 8192 + 32768, 32768, 65536)
SIZES = st.sampled_from([0, 2, 10, *(b + d for b in BORDERS for d in (-12, -8, -2, 0, 2, 8))])
_LEADING = {"AE", "CS", "DS", "IS", "LO", "SH"}
_ONE = {"LT", "ST", "UR", "UT"}
_STRUCT = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}


def strip(vr, text):
    return text.rstrip(" ").lstrip(" ") if vr in _LEADING else text.rstrip(" ")


def ranged(code):
    if code in "df":
        return st.floats(width=32 if code == "f" else 64, allow_nan=False, allow_subnormal=False)
    bits = struct.calcsize(code) * 8
    low = 0 if code.isupper() else -(1 << bits - 1)
    return st.integers(low, low + (1 << bits) - 1)


def several(vr, values):
    return Leaf(vr, values, strip(vr, "\\".join(strip(vr, v) for v in values)))


def texts(vr, alphabet):
    if vr == "UR":
        alphabet = "abc:/. "
    one = st.text(st.sampled_from(alphabet), max_size=12)
    if vr in _ONE:
        # pydicom writes no escape sequence anew on a new line (PS3.5 6.1.2.5.3).
        line = st.text(st.sampled_from(alphabet + "\\" + "\n" * alphabet.isascii()), max_size=30)
        long = SIZES.map(lambda n: ("abc d" * (n // 5 + 1))[: min(n, 65000)])
        return st.one_of(line, long).map(lambda v: Leaf(vr, v, strip(vr, v)))
    return st.lists(one, max_size=4).map(lambda v: several(vr, v))


_PLAIN = {
    "AE": ["A", " STORE SCP ", "Z" * 16],
    "AS": ["034Y", "001D"],
    "CS": ["A", "ORIGINAL", " AXIAL ", "X_1"],
    "DA": ["20240229", "19000101"],
    "DS": ["0", "-1.5", " 3.14 ", "1e-5", "+2", "1234567890.12345"],
    "DT": ["20240229123456.123456+0100", "2024"],
    "IS": ["0", "-12", " 7 ", "2147483647"],
    "TM": ["12", "123456.789", "235959"],
    "UI": ["1.2.840.10008.1.1", "1.2", "1.2.3.4.567"],
}


def leaves(vr, alphabet):
    if vr in _PLAIN:
        return st.lists(st.sampled_from(_PLAIN[vr]), max_size=4).map(lambda v: several(vr, v))
    if vr == "AT":
        tags = st.lists(st.integers(0, 0xFFFFFFFF), max_size=3)
        return tags.map(
            lambda v: Leaf(vr, v, "\\".join(f"({t >> 16:04x},{t & 0xFFFF:04x})" for t in v))
        )
    if vr in _STRUCT:
        code = _STRUCT[vr]

        def numbers(values):
            # The shortest decimal of an FL is that of a float32.
            shown = map(str, map(np.float32, values) if vr == "FL" else values)
            return Leaf(vr, values, "\\".join(shown), struct.calcsize(code) * len(values))

        return st.lists(ranged(code), max_size=4).map(numbers)
    if vr in POOL and vr.startswith("O"):
        return SIZES.map(lambda n: Leaf(vr, b"\xfe" * (n // 8 * 8), str(n // 8 * 8)))
    return texts(vr, alphabet)


ELEMENTS = [(keyword, vr) for vr, keywords in POOL.items() for keyword in keywords]


@st.composite
def trees(draw, depth=4, alphabet=None, top=True):
    """keyword or private tag -> Leaf or Items; "charset" stands for Specific Character Set."""
    tree = {}
    charset = draw(st.sampled_from(list(CHARSETS))) if top or draw(st.integers(0, 5)) == 0 else ""
    if charset != "":
        alphabet = CHARSETS[charset]
        tree["charset"] = charset
    for keyword, vr in draw(st.lists(st.sampled_from(ELEMENTS), max_size=14 if top else 3)):
        tree[keyword] = draw(leaves(vr, alphabet))
    for tag in draw(st.lists(st.sampled_from(list(PRIVATE)), max_size=1 + 2 * top)):
        tree[tag] = draw(leaves(PRIVATE[tag], "abc d" if tag in UNKNOWN_PRIVATE else alphabet))
    if depth:
        for keyword in draw(st.lists(st.sampled_from(SEQUENCES), max_size=1 + top, unique=True)):
            items = draw(st.lists(trees(depth - 1, alphabet, False), max_size=2 + top))
            tree[keyword] = Items(items, draw(st.booleans()), draw(st.booleans()))
    return tree


def private_parts(tag):
    group, creator, number = tag[1:-1].replace('"', "\0").split("\0")
    return int(group[:4], 16), creator, int(number[1:], 16)


def build(tree, block=0x10, top=True):
    """The pydicom data set of a tree."""
    made = Dataset()
    blocks = {}
    for name, leaf in tree.items():
        if name == "charset":
            if leaf is not None:
                made.SpecificCharacterSet = leaf.split("\\")
        elif name.startswith("("):
            group, creator, number = private_parts(name)
            at = blocks.setdefault((group, creator), block + len(blocks))
            made.add_new((group, at), "LO", creator)
            made.add_new((group, at << 8 | number), leaf.vr, leaf.value)
        elif isinstance(leaf, Items):
            below = [build(each, block + 1, False) for each in leaf.items]
            for each in below:
                each.is_undefined_length_sequence_item = leaf.undefined_items
            made.add_new(tag_for_keyword(name), "SQ", Sequence(below))
            made[name].is_undefined_length = leaf.undefined
        else:
            made.add_new(tag_for_keyword(name), leaf.vr, leaf.value)
    if top:
        made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        made.SOPInstanceUID = "1.2.3"
    return made


def resolve(tree, steps, implicit):
    """The texts that a path must give."""
    (name, chosen), *rest = steps
    found = tree.get(name)
    if found is None:
        return []
    if not rest:
        if implicit and name in UNKNOWN_PRIVATE:
            size = found.raw if found.raw is not None else len(found.value) + len(found.value) % 2
            return [str(size)]
        return [found.text]
    items = found.items if chosen == "*" else found.items[int(chosen) : int(chosen) + 1]
    return [text for each in items for text in resolve(each, rest, implicit)]


def paths(tree, above=()):
    for name, leaf in tree.items():
        if name != "charset":
            yield (*above, (name, None))
        if isinstance(leaf, Items):
            for i, each in enumerate(leaf.items):
                yield from paths(each, (*above, (name, str(i))))


def expected(tree, implicit):
    """path -> text, with every item by its number, and with all items."""
    wanted = {}
    for steps in list(paths(tree)):
        for form in (steps, tuple((n, c and "*") for n, c in steps)):
            text = ".".join(n if c is None else f"{n}[{c}]" for n, c in form)
            wanted[text] = "\\".join(resolve(tree, form, implicit))
    wanted["SOPInstanceUID"] = "1.2.3"
    wanted["ProtocolName"] = None
    wanted["RequestAttributesSequence[7].PatientID"] = None
    return wanted
