"""What a CDA document (HL7 Clinical Document Architecture R2) says of itself."""

from __future__ import annotations

from xml.parsers import expat

from dicomloom.errors import CorruptError, LimitError
from dicomloom.frames.sources import Source

_HL7 = "urn:hl7-org:v3"
_CHUNK = 64 << 10
_WIDEST = 4 << 20  # bytes of a tag or comment, which expat holds whole
_DEEPEST = 256  # elements in one another
_LONGEST = 4096  # characters of a text that is kept
_PATIENT_IDS = 64
_MOST_PARTS = 64  # given names, say

_NAME_PARTS = ("family", "given", "prefix", "suffix")
_PATIENT = "recordTarget/patientRole/patient"


class _Reader:
    """The handlers of expat: keeps what is asked for and nothing else."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._names: list[str] = []
        self._text: list[str] | None = None
        self._room = 0
        self._names_of_patient = 0
        self.title: str | None = None
        self.details: dict[str, object] = {}
        self._ids: list[tuple[str, str | None]] = []
        self._parts: dict[str, list[str]] = {part: [] for part in _NAME_PARTS}
        self._plain = ""

    def doctype(self, name: str, *_: object) -> None:
        """Refuse what brings entities: documents that grow, and files of this machine."""
        raise CorruptError(
            f"a document type declaration ({name[:40]}): CDA has none, and it may bring entities "
            "that are not safe to read; take it out",
            path=self._path,
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the attributes of an element."""
        if len(self._names) >= _DEEPEST:
            raise LimitError(f"more than {_DEEPEST} elements in one another", path=self._path)
        space, _, local = name.rpartition(" ")
        if not self._names and (space, local) != (_HL7, "ClinicalDocument"):
            raise CorruptError(
                f"the root of CDA is ClinicalDocument of {_HL7}, found {local[:80]} of "
                f"{space[:80] or 'no namespace'}",
                path=self._path,
            )
        self._names.append(local if space == _HL7 else f"{space} {local}")
        if len(self._names) > 6:
            return
        where = "/".join(self._names[1:])
        if where == f"{_PATIENT}/name":
            self._names_of_patient += 1
        self._take(where, attributes)
        if where == "title" or self._is_name(where):
            self._text, self._room = [], _LONGEST

    def _is_name(self, where: str) -> bool:
        # Of several names the first is the one to be called by.
        return self._names_of_patient == 1 and where.startswith(f"{_PATIENT}/name")

    def _take(self, where: str, attributes: dict[str, str]) -> None:
        found = {key: value[:_LONGEST] for key, value in attributes.items()}
        simple = {
            "effectiveTime": ("effective_time", "value"),
            "confidentialityCode": ("confidentiality", "code"),
            f"{_PATIENT}/birthTime": ("patient_birth_date", "value"),
            f"{_PATIENT}/administrativeGenderCode": ("patient_sex", "code"),
        }
        if where in simple:
            key, attribute = simple[where]
            self.details.setdefault(key, found.get(attribute))
        elif where == "id" and found.get("root"):
            extension = found.get("extension")
            whole = found["root"] + (f"^{extension}" if extension else "")
            self.details.setdefault("hl7_instance_identifier", whole)
        elif where == "code":
            code = tuple(found.get(key) for key in ("code", "codeSystem", "displayName"))
            self.details.setdefault("code", code)
        elif where == "recordTarget/patientRole/id" and len(self._ids) < _PATIENT_IDS:
            extension = found.get("extension")
            if extension:
                self._ids.append((extension, found.get("root")))

    def characters(self, text: str) -> None:
        """Take text, where it is asked for."""
        if self._text is not None and self._room > 0:
            self._text.append(text[: self._room])
            self._room -= len(text)

    def end(self, name: str) -> None:
        """Take what an element held."""
        where = "/".join(self._names[1:]) if len(self._names) <= 6 else ""
        local = self._names.pop()
        if self._text is None or not where:
            return
        text = " ".join("".join(self._text).split())
        if where == "title":
            self.title = self.title or text or None
            self._text = None
        elif self._is_name(where):
            if where == f"{_PATIENT}/name":
                self._plain = text
                self._text = None
                return
            if local in self._parts and text and len(self._parts[local]) < _MOST_PARTS:
                self._parts[local].append(text)
            self._text, self._room = [], _LONGEST

    def finish(self) -> tuple[str | None, dict[str, object]]:
        """Return the title and the rest."""
        parts = [" ".join(self._parts[key]).replace("^", " ") for key in ("family", "given")]
        parts += [
            "",
            *(" ".join(self._parts[key]).replace("^", " ") for key in ("prefix", "suffix")),
        ]
        name = "^".join(parts).rstrip("^")
        keys = (
            "hl7_instance_identifier", "code", "effective_time", "confidentiality",
        )  # fmt: skip
        made = {key: self.details.get(key) for key in keys}
        made["patient_ids"] = self._ids
        made["patient_name"] = name or self._plain or None
        made["patient_birth_date"] = self.details.get("patient_birth_date")
        made["patient_sex"] = self.details.get("patient_sex")
        return self.title, made


def describe_cda(source: Source) -> tuple[str | None, dict[str, object]]:
    """Return the title of a CDA document and what its header says; reads it to its end.

    Raises
    ------
    CorruptError
        It is not well-formed, has a document type declaration, or another root.
    LimitError
        Elements lie too deep, or a tag is too long.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    reader = _Reader(source.path)
    parser.buffer_text = False
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    at = 0
    try:
        while chunk := source.read_at(at, _CHUNK):
            parser.Parse(chunk, False)
            at += len(chunk)
            if at - max(parser.CurrentByteIndex, 0) > _WIDEST:
                raise LimitError(
                    f"a tag or comment of more than {_WIDEST} bytes",
                    path=source.path,
                    offset=parser.CurrentByteIndex,
                )
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise CorruptError(
            f"not well-formed XML at line {error.lineno}: {expat.ErrorString(error.code)}",
            path=source.path,
            offset=max(parser.ErrorByteIndex, 0),
        ) from error
    except (LookupError, ValueError) as error:
        if isinstance(error, CorruptError | LimitError):
            raise
        # An encoding that Python does not know, or that has several bytes a character.
        raise CorruptError(
            f"XML in an encoding that cannot be read: {error}", path=source.path
        ) from error
    return reader.finish()
