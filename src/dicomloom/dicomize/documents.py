"""Documents: what a file says of itself by its bytes, and an object around it (PS3.3 C.24.2)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dicomloom.errors import LimitError, TagError, TruncatedError, UnsupportedError
from dicomloom.files import Partial, writing
from dicomloom.frames.header import Header, element_head
from dicomloom.frames.sources import FileSource, Source, StrPath
from dicomloom.frames.syntaxes import EXPLICIT_LE

if TYPE_CHECKING:
    from pydicom import Dataset

# What MIMETypeOfEncapsulatedDocument says (PS3.3 C.24.2, A.45, A.85).
MIME_TYPES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "cda": "text/XML",
    "stl": "model/stl",
    "obj": "model/obj",
    "mtl": "model/mtl",
}
PREFIX = 1024  # bytes that recognition looks at
_LARGEST = 2**32 - 2  # PS3.5 7.1.1: an even 32-bit length that is not 0xFFFFFFFF
_DOCUMENT = 0x00420011

_CDA_ROOT = re.compile(r"<(?:[\w.-]+:)?ClinicalDocument[\s/>]")
_ANY_ELEMENT = re.compile(r"<[A-Za-z_]")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_SOLID = re.compile(r"\s*solid\b", re.IGNORECASE)
_FACET = re.compile(r"^\s*facet\s+normal\s", re.IGNORECASE | re.MULTILINE)
_NEWMTL = re.compile(r"^[ \t]*newmtl[ \t]+\S", re.MULTILINE)
_VERTEX = re.compile(rf"^[ \t]*v(?:[ \t]+{_NUMBER}){{3}}", re.MULTILINE)
_OBJ_LINE = re.compile(
    r"[ \t]*(?:#.*|(?:v|vt|vn|vp|f|l|p|o|g|s|mg|mtllib|usemtl|maplib|usemap|cstype|deg|curv|curv2|"
    r"surf|parm|trim|hole|scrv|sp|end|con|lod|bmat|step|bevel|c_interp|d_interp|shadow_obj|"
    r"trace_obj|ctech|stech|call|csh)\b.*)?[ \t\r]*"
)
_MTL_LINE = re.compile(
    r"[ \t]*(?:#.*|(?:newmtl|K[adse]|Tf|Tr|N[si]|d|illum|sharpness|map_\w+|bump|disp|decal|refl|"
    r"norm|P[a-z]+|aniso|anisor)\b.*)?[ \t\r]*"
)


@dataclass(frozen=True)
class Document:
    """What a document says of itself.

    Attributes
    ----------
    kind : str
        ``"pdf"``, ``"cda"``, ``"stl"``, ``"obj"`` or ``"mtl"``.
    mime_type : str
        As MIMETypeOfEncapsulatedDocument (0042,0012) has it.
    size : int
        Bytes of the file.
    title : str or None
        Of a PDF its Title, of CDA the title.
    pages : int or None
        Of a PDF; None where it cannot be told.
    details : dict
        PDF: ``version``, ``encrypted`` (None where it cannot be told), ``password`` (whether one is
        needed to read it), ``author``, ``created`` (ISO 8601).
        CDA: ``hl7_instance_identifier`` (root^extension, as (0040,E001) has it), ``code`` (value,
        coding scheme OID, meaning), ``effective_time``, ``confidentiality``, ``patient_ids`` (a
        list of id, assigning authority OID), ``patient_name`` (as PN has it),
        ``patient_birth_date``, ``patient_sex``: as the XML says.
        STL: ``triangles``.
        OBJ: ``vertices``, ``faces``, ``material_libraries``, ``textures``.
        MTL: ``materials``, ``textures``.
    """

    kind: str
    mime_type: str
    size: int
    title: str | None = None
    pages: int | None = None
    details: dict[str, object] = field(default_factory=dict)


def looks_like_document(prefix: bytes, name: str | None = None) -> str | None:
    """Tell the kind of a document from its first KiB.

    Parameters
    ----------
    prefix : bytes
        The beginning of the file, 1,024 bytes of it where there are as many.
    name : str or None
        Its name: the suffix decides only where bytes leave it open, as in binary STL, which
        begins with anything.

    Returns
    -------
    str or None
        ``"pdf"``, ``"cda"``, ``"stl"``, ``"obj"``, ``"mtl"``, or None.

    Examples
    --------
    >>> looks_like_document(b"%PDF-1.7")
    'pdf'
    >>> looks_like_document(b"anything", "a.pdf") is None
    True
    """
    prefix = prefix[:PREFIX]
    suffix = os.path.splitext(name or "")[1].lower()
    if prefix[128:132] == b"DICM":
        return None
    if b"%PDF-" in prefix:
        return "pdf"
    text = text_of(prefix)
    if text is not None:
        return _kind_of_text(text, suffix, len(prefix) == PREFIX)
    return "stl" if suffix == ".stl" and len(prefix) >= 84 else None


def text_of(prefix: bytes) -> str | None:
    """Return bytes as text, whatever a byte order mark says; None where they are none."""
    if prefix[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = prefix[: len(prefix) // 2 * 2].decode("utf-16", "replace")
    else:
        text = prefix.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return None if re.search("[\0-\x08\x0e-\x1f]", text) else text


def _kind_of_text(text: str, suffix: str, cut: bool) -> str | None:
    if text.lstrip().startswith("<"):
        # A long comment may stand in front of the root.
        begun = _ANY_ELEMENT.search(text)
        is_cda = _CDA_ROOT.search(text) or (begun is None and suffix in (".xml", ".cda"))
        return "cda" if is_cda else None
    if _SOLID.match(text):
        empty = suffix == ".stl"
        return "stl" if empty or _FACET.search(text) else None
    lines = text.split("\n")
    if cut:
        lines.pop()  # may end anywhere
    if suffix != ".obj" and (_NEWMTL.search(text) or suffix == ".mtl"):
        if lines and all(map(_MTL_LINE.fullmatch, lines)):
            return "mtl"
        return None
    if (_VERTEX.search(text) or suffix == ".obj") and all(map(_OBJ_LINE.fullmatch, lines)):
        return "obj" if text.strip() else None
    return None


def read_document(path: StrPath) -> Document:
    """Read what a PDF, CDA, STL, OBJ or MTL file says of itself.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Document

    Raises
    ------
    UnsupportedError
        It is none of these, or ASCII STL: DICOM encapsulates binary STL.
    CorruptError, TruncatedError, LimitError
        It begins as one, and is none to its end.
    ReadError

    Notes
    -----
    Reads in pieces: holds about 1 MiB, whatever the size of the file; of CDA an element's start tag
    may have 4 MiB. Title and pages of a PDF are found by pypdf (``pip install 'dicomloom[pdf]'``)
    in a process of its own with limits on time and memory; where that fails or pypdf is absent, a
    DicomloomWarning says so, and they are None.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.mtl")
    >>> _ = path.write_text("newmtl bone\\nmap_Kd bone.png\\n")
    >>> read_document(path).details
    {'materials': ['bone'], 'textures': ['bone.png']}
    """
    source = FileSource(path)
    try:
        kind = looks_like_document(source.read_at(0, PREFIX), source.path)
        if kind is None:
            raise UnsupportedError(
                f"no document: expected PDF, CDA (ClinicalDocument), STL, OBJ or MTL, found "
                f"{_found(source)}",
                path=source.path,
            )
        title, pages, details = _described(kind, source)
        return Document(kind, MIME_TYPES[kind], source.size(), title, pages, details)
    finally:
        source.close()


def _found(source: Source) -> str:
    head = source.read_at(0, 16)
    if source.read_at(128, 4) == b"DICM":
        return "a DICOM file"
    return f"a file that begins with {head!r}" if head else "an empty file"


def _described(kind: str, source: FileSource) -> tuple[str | None, int | None, dict[str, object]]:
    if kind == "pdf":
        from dicomloom.dicomize.pdf import describe_pdf

        return describe_pdf(source)
    if kind == "cda":
        from dicomloom.dicomize.cda import describe_cda

        title, details = describe_cda(source)
        return title, None, details
    from dicomloom.dicomize import meshes

    if kind == "stl":
        return None, None, meshes.describe_stl(source)
    describe = meshes.describe_obj if kind == "obj" else meshes.describe_mtl
    return None, None, describe(source)


def write_document(
    target: StrPath, dataset: Dataset | StrPath | Mapping[str, object], path: StrPath
) -> None:
    """Write a DICOM file around a document, in constant memory.

    Parameters
    ----------
    target : str or path-like
        The file to write, in ExplicitVRLittleEndian; it appears whole or not at all.
    dataset : pydicom Dataset, path of a DICOM file, or dict of keywords
        All attributes but for EncapsulatedDocument (0042,0011) and EncapsulatedDocumentLength
        (0042,0015), which are set here (PS3.3 C.24.2); MIMETypeOfEncapsulatedDocument is set where
        it is absent.
    path : str or path-like
        The document: its bytes are copied as they are, and padded to an even length.

    Raises
    ------
    TagError
        SOPClassUID or SOPInstanceUID is missing, or an element cannot have its value.
    UnsupportedError
        MIMETypeOfEncapsulatedDocument is absent, and cannot be told from the document; or that is
        ASCII STL.
    LimitError
        The document has more than 2^32-2 bytes.
    TruncatedError
        It became shorter while it was copied.
    ReadError, WriteError

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.mtl").write_text("newmtl bone\\n")
    >>> uids = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.5", "SOPInstanceUID": "1.2.3"}
    >>> write_document(folder / "a.dcm", uids, folder / "a.mtl")
    >>> from pydicom import dcmread
    >>> dcmread(folder / "a.dcm").MIMETypeOfEncapsulatedDocument
    'model/mtl'
    """
    from dicomloom.dicomize.meshes import refuse_ascii_stl
    from dicomloom.frames.template import read_template

    document = FileSource(path)
    try:
        size = document.size()
        if size + size % 2 > _LARGEST:
            raise LimitError(
                f"a document of {size} bytes: the length of an element says 2^32-2 at most "
                "(PS3.5 7.1.1)",
                path=document.path,
            )
        kind = looks_like_document(document.read_at(0, PREFIX), document.path)
        if kind == "stl":
            refuse_ascii_stl(document)
        header, template = read_template(dataset)
        try:
            _check(header, document, kind)
            header.put("EncapsulatedDocumentLength", size)
            _write(target, header, document, size)
        finally:
            if template is not None:
                template.close()
    finally:
        document.close()


def _check(header: Header, document: FileSource, kind: str | None) -> None:
    """See that the header says what it must; the MIME type is put where it is absent."""
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if header.text(keyword) is None:
            raise TagError(f"template: {keyword} is missing: no DICOM file is without it")
    if header.text("MIMETypeOfEncapsulatedDocument") is None:
        if kind is None:
            raise UnsupportedError(
                "MIMETypeOfEncapsulatedDocument is missing, and what the document is cannot be "
                "told from its bytes",
                path=document.path,
            )
        header.put("MIMETypeOfEncapsulatedDocument", MIME_TYPES[kind])


def _write(target: StrPath, header: Header, document: FileSource, size: int) -> None:
    descriptor = document.native
    assert isinstance(descriptor, int)
    partial = Partial(target)
    try:
        with writing(partial.path):
            head = [header.file_meta(EXPLICIT_LE), *header.data_set(last=_DOCUMENT - 1)]
            partial.file.write_all(head)
            partial.file.write_all([element_head(_DOCUMENT, "OB", size + size % 2)])
            copied = partial.file.copy(descriptor, 0, size)
            if copied == size:
                partial.file.write_all([bytes(size % 2), *header.data_set(first=_DOCUMENT + 1)])
        if copied != size:
            raise TruncatedError(
                f"truncated: {size} bytes were expected, {copied} are there: another program "
                "shortened the file",
                path=document.path,
                offset=copied,
            )
        partial.seal()
        partial.place()
    finally:
        partial.discard()
