"""Entries as DICOM JSON (PS3.18 F), piece by piece: a document of any size in little memory.

What is long stays in the file: ``offset`` and ``length`` say where, instead of a BulkDataURI.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator

from dicomloom.dump.text import DECODED, NUMBERS, PLAIN, numbers_of, text_of
from dicomloom.dump.walk import Entry, Kind
from dicomloom.errors import DicomloomError
from dicomloom.json_model import number_of

_LONGEST_VALUE = 1 << 16  # of text and numbers
_LONGEST_INLINE = 64  # of bytes that mean nothing by themselves
_SINGLE = frozenset(["LT", "ST", "UR", "UT"])
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_BYTES = frozenset(["OB", "UN"])
_CHARSET = 0x00080005


def document(path: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Give a JSON object in pieces: ``path``, ``dataset`` and, where reading failed, ``error``.

    Raises
    ------
    DicomloomError
        That of the entries, behind a document that is whole all the same.
    """
    yield f'{{"path": {_json(path)}, "dataset": {{'
    closing = ["}"]
    empty = True
    failure: DicomloomError | None = None
    try:
        for entry in entries:
            if entry.kind is Kind.STRAY:
                continue
            body = None if entry.kind in (Kind.ITEM, Kind.SEQUENCE) else _json(element(entry))
            while len(closing) > entry.level + 1:
                yield closing.pop()
                empty = False
            comma = "" if empty else ", "
            key = "" if entry.kind is Kind.ITEM else f'"{entry.tag:08X}": '
            empty = body is None
            if entry.kind is Kind.ITEM:
                yield f"{comma}{{"
                closing.append("}")
            elif entry.kind is Kind.SEQUENCE:
                yield f'{comma}{key}{{"vr": "SQ", "Value": ['
                closing.append("]}")
            else:
                yield f"{comma}{key}{body}"
    except DicomloomError as error:
        error.path = error.path or path
        failure = error
    yield "".join(reversed(closing))
    if failure is not None:
        yield f', "error": {_json(_fault(failure))}'
    yield "}\n"
    if failure is not None:
        raise failure


def _json(value: object) -> str:
    # Of what ASCII has, JSON lets a terminal see DEL only.
    return json.dumps(value).replace("\x7f", "\\u007f")


def _fault(error: DicomloomError) -> dict[str, object]:
    tag = None if error.tag is None else f"{error.tag:08X}"
    facts = {"message": error.message, "offset": error.offset, "tag": tag}
    return {"type": type(error).__name__, **{k: v for k, v in facts.items() if v is not None}}


def element(entry: Entry) -> dict[str, object]:
    """Return one element in the model; values longer than 64 KiB, or 64 bytes of binary, by place.

    Text is decoded, so that Specific Character Set is that of JSON.
    """
    vr, known = entry.vr, entry.known
    made: dict[str, object] = {"vr": vr}
    if entry.kind is Kind.FRAGMENTS:
        return {**made, "offset": entry.value, "length": entry.held, "fragments": entry.number}
    if not entry.held:
        return made
    if entry.tag == _CHARSET:
        return {**made, "Value": ["ISO_IR 192"]}
    text = known in DECODED or known in PLAIN
    counted = known in NUMBERS and not known.startswith("O") and vr != "UN"
    if (text and vr != "UN") or counted:
        if entry.held <= _LONGEST_VALUE:
            data = entry.read(entry.held)
            return {**made, "Value": _texts(data, entry) if text else _numbers(data, entry)}
    elif entry.held <= _LONGEST_INLINE and (vr in _BYTES or not entry.big_endian):
        data = entry.read(entry.held)
        return {**made, "InlineBinary": base64.b64encode(data).decode("ascii")}
    return {**made, "offset": entry.value, "length": entry.held}


def _texts(data: bytes, entry: Entry) -> list[object]:
    vr = entry.vr
    text = text_of(data, vr, entry.charset)
    parts = [text] if vr in _SINGLE else text.split("\\")
    if vr == "PN":
        return [
            dict(zip(_GROUPS, part.split("="), strict=False)) if part else None for part in parts
        ]
    if vr in ("DS", "IS"):
        return [_number(part.strip(" ")) for part in parts]
    return [part or None for part in parts]


def _number(text: str) -> int | float | str | None:
    """Return the number that text is; the text where JSON has no such number."""
    # int() takes longer than linear: no IS has more than 12 characters, no DS more than 16.
    if len(text) > 64:
        return text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text or None


def _numbers(data: bytes, entry: Entry) -> list[object]:
    made: list[object] = []
    for number in numbers_of(data, entry.known, entry.big_endian):
        if isinstance(number, str):
            made.append(number[1:5].upper() + number[6:10].upper())
        else:
            made.append(number_of(number))
    return made
