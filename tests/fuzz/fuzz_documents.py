"""Documents, and what else is text: PDF, CDA, STL, OBJ, MTL, JSON, tags, character sets, reports.

The first byte chooses; the rest is the file or the text. A document that can be stored comes out of
the object as it went in.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from harness import Folder

from dicomloom import DicomloomError, TagError, extract
from dicomloom.decoding import BROKEN
from dicomloom.dicomize import pdf
from dicomloom.dicomize.documents import looks_like_document, read_document, write_document
from dicomloom.dicomize.validate import parse
from dicomloom.index.charsets import decode
from dicomloom.index.schema import column_type, compile_plan
from dicomloom.json_model import model_of, read_data_sets
from dicomloom.tags import format_tag, parse_tag
from pdfs import CATALOG, PAGE, information, pages, with_streams, with_table

INSTRUMENTED = "dicomloom.dicomize dicomloom.json_model dicomloom.tags dicomloom.index.charsets"
_FOLDER = Folder()
_SUFFIXES = ("", ".pdf", ".xml", ".stl", ".obj", ".mtl")
_UIDS = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "SOPInstanceUID": "1.2.3"}
_SETS = (b"", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149",
         b"ISO 2022 IR 6\\ISO 2022 IR 58", b"ISO_IR 13\\ISO 2022 IR 87", b"nonsense")  # fmt: skip
_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")


def _document(content: bytes, suffix: str) -> None:
    path = _FOLDER.put("document" + suffix, content)
    # pypdf has a process of its own, which says "error" of what it cannot read: not started here.
    asked, pdf._ask = pdf._ask, lambda _: {}
    try:
        found = read_document(path)
        assert found.size == len(content)
        assert found.kind == looks_like_document(content[:1024], str(path))
        target, back = _FOLDER.path("document.dcm"), _FOLDER.path("back")
        write_document(target, _UIDS, path)
        extract(target, back, overwrite=True)
        assert back.read_bytes() == content
    except DicomloomError:
        pass
    finally:
        pdf._ask = asked


def _json(content: bytes) -> None:
    try:
        read = read_data_sets(_FOLDER.put("model.json", content))
    except DicomloomError:
        return
    for each in read:
        with contextlib.suppress(*BROKEN):
            json.dumps(model_of(each))


def _tag(content: bytes) -> None:
    text = content[:256].decode("utf-8", "surrogateescape")  # of a keyword the nearest are sought
    try:
        path = parse_tag(text)
    except TagError:
        return
    assert path.steps
    assert compile_plan([path], [column_type(path)]) is not None
    assert all(isinstance(format_tag(step.tag), str) for step in path.steps)


def _text(content: bytes) -> None:
    choice, raw = content[0] if content else 0, content[1:]
    made = decode(raw, _SETS[choice % len(_SETS)], _VRS[choice // 8 % len(_VRS)])
    assert len(made) <= len(raw)
    assert made.encode("utf-8", "strict") is not None


def _report(content: bytes) -> None:
    lines = content.decode("utf-8", "replace").splitlines()
    assert len(parse("a.dcm", lines)) == len(lines)


def check(data: bytes) -> None:
    """Read one document or text."""
    if not data:
        return
    mode, content = data[0], data[1:]
    if mode % 8 < 4:
        _document(content, _SUFFIXES[mode // 8 % len(_SUFFIXES)])
    else:
        (_json, _tag, _text, _report)[mode % 8 - 4](content)


_CDA = b"""<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">
<id root="1.2.3" extension="7"/><code code="11528-7" codeSystem="2.16.840.1.113883.6.1"
displayName="Report"/><title>Befund</title><effectiveTime value="20240102030405+0100"/>
<confidentialityCode code="N"/><recordTarget><patientRole><id root="1.2" extension="P1"/><patient>
<name><given>Jane</given><family>Doe</family></name><administrativeGenderCode code="F"/>
<birthTime value="19800102"/></patient></patientRole></recordTarget></ClinicalDocument>"""
_STL = bytes(80) + b"\1\0\0\0" + bytes(50)
_OBJ = b"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl bone\nf 1 2 3\n"
_MTL = b"newmtl bone\nKd 1 1 1\nmap_Kd bone.png\n"
_JSON = json.dumps(
    {
        "00080018": {"vr": "UI", "Value": ["1.2.3"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00081140": {"vr": "SQ", "Value": [{"00280010": {"vr": "US", "Value": [7]}}]},
        "00420011": {"vr": "OB", "InlineBinary": "AAEC"},
        "00101030": {"vr": "DS", "Value": [70.5]},
    }
).encode()
_TAGS = (
    b"PatientName",
    b"(0010,0010)",
    b"ReferencedSeriesSequence[0].SeriesInstanceUID",
    b"ContentSequence[*].ConceptNameCodeSequence[0].CodeMeaning",
    b'(0009,"GEMS_IDEN_01",01)',
    b'(0029,"ACME [2].x",ff)[3].(0008,1155)',
)
_REPORT = b"""CTImage
Error - </StudyDate(0008,0020)> - Missing attribute for Type 2 Required - Module=<GeneralStudy>
Warning - </A(0040,0275)[1]/B(0040,0007)[2]> - Value dubious for this VR - <quoted
more of it> and an end
(0x0010,0x0010) PN Patient's Name  - Error - Value invalid for this VR
dciodvfy: x.cc:12: void f(): Assertion failed
"""


def seeds() -> Iterator[bytes]:
    """A file of each kind."""
    objects = [CATALOG, pages(1), information(b"(Befund)"), PAGE]
    files = (with_table(objects), with_streams(objects), _CDA, _STL, _OBJ, _MTL)
    for number, content in enumerate(files):
        yield bytes([max(number, 1) * 8]) + content
        yield b"\0" + content
    yield b"\4" + _JSON
    yield b"\4[" + _JSON + b"]"
    for tag in _TAGS:
        yield b"\5" + tag
    for number, charset in enumerate(_SETS):
        yield bytes([6, number]) + b"\x1b$B;3ED\x1b(B^\x1b$)C\xb1\xe6\\abc " + charset
    yield b'\5(0009,"\xa8",01)'
    yield b"\5ContentSequence[" + b"9" * 200 + b"].Rows"
    yield b"\7" + _REPORT


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take nothing: the corpus has no documents."""
    return iter(())
