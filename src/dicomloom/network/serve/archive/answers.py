"""Rows of the catalog to the data sets that answer a C-FIND (PS3.4 C.4.1.1.3.2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomloom.network.serve.archive.columns import vr_of
from dicomloom.network.serve.archive.query import IN_STUDY, Question

if TYPE_CHECKING:
    from pydicom import Dataset

_LEVEL, _CHARSET, _AE_TITLE, _AVAILABILITY = 0x00080052, 0x00080005, 0x00080054, 0x00080056
_WHOLE = frozenset(("IS", "US", "SS", "UL", "SL"))
# Where the character set counts (PS3.5 6.1.2.3).
_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
# A backslash is a character like any other (PS3.5 6.2).
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))


def answer_of(question: Question, row: Sequence[object], ae_title: str) -> Dataset:
    """Return what was asked for, and nothing else; what is not known is empty.

    Parameters
    ----------
    question : Question
    row : sequence
        A value for each of its columns.
    ae_title : str
        Retrieve AE Title, "" for none.
    """
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

    found = dict(zip(question.columns, row, strict=True))
    made = Dataset()

    def put(tag: int, vr: str, value: object) -> None:
        # Not validated: it is what the objects have. But pydicom makes numbers of some text.
        try:
            made[tag] = DataElement(tag, vr, value, validation_mode=0)
        except (ValueError, TypeError, ArithmeticError):
            made[tag] = DataElement(tag, vr, None)

    plain = True
    for tag, vr, keyword in question.elements:
        if keyword in found:
            vr = vr_of(keyword)  # noqa: PLW2901 (the peer may say UN)
            value = _value(keyword, vr, found[keyword])
            plain = plain and str(found[keyword]).isascii()
        else:
            value = "ONLINE" if tag == _AVAILABILITY else None
        # Of an attribute that has one of several VRs any will do where it is empty.
        put(tag, vr.partition(" ")[0], [] if vr == "SQ" else value)
    put(_LEVEL, "CS", question.level)
    if ae_title:
        put(_AE_TITLE, "AE", ae_title)
    if not plain:
        put(_CHARSET, "CS", "ISO_IR 192")
    return made


def _value(keyword: str, vr: str, stored: object) -> object:
    """Return the value as pydicom takes it; None for what cannot be one of its VR."""
    text = str(stored)
    if not text or not (text.isascii() or vr in _TEXT):
        return None
    if keyword in IN_STUDY:
        many = sorted(filter(None, json.loads(text)))
    else:
        many = [text] if vr in _ONE_VALUE else text.split("\\")
    if vr in _WHOLE or vr == "DS":
        try:
            numbers = [float(value) if vr == "DS" else int(value) for value in many]
        except ValueError:
            return None
        if vr not in ("IS", "DS"):  # whose text is the value: 01 is not 1
            return numbers if len(numbers) > 1 else numbers[0]
    return many if len(many) != 1 else many[0]
