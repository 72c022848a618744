"""Attributes as people give them: text to values, values held to their VR, and a character set.

Commands take ``KEYWORD=VALUE``, functions take keyword arguments; both end in a pydicom `Dataset`
whose values `check` holds to PS3.5 6.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dicomloom.errors import TagError
from dicomloom.tags import ALL_ITEMS, TagPath, format_tag, parse_tag

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

_WHOLE = frozenset(("US", "SS", "UL", "SL", "UV", "SV", "US or SS"))
_REAL = frozenset(("FL", "FD"))
_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
# Where a backslash is a character like any other (PS3.5 6.2).
_ONE_VALUE = frozenset(("LT", "ST", "UR", "UT"))
_UNFIT = (ValueError, TypeError, AttributeError, OverflowError, NotImplementedError)
_MOST_ITEMS = 1000
_STRUCTURE = frozenset((0x0000, 0x0002, 0xFFFE))  # commands, file meta information, delimiters
_LARGEST_FLOAT = 3.4028234663852886e38
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9A-Fa-f]+|[0-9]+)", re.ASCII)
_WITHOUT_CONTROLS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
# PS3.5 table 6.2-1, in short.
_RULES = {
    "AE": "up to 16 characters, no backslash",
    "AS": "an age such as 042Y, 006M, 002W or 010D",
    "CS": "up to 16 of A-Z, 0-9, space and underscore",
    "DA": "a date as YYYYMMDD",
    "DS": "a decimal number of up to 16 characters",
    "DT": "YYYYMMDDHHMMSS.FFFFFF&ZZXX, as far as it is known",
    "IS": "a whole number of up to 12 characters",
    "LO": "up to 64 characters, no backslash, no control characters",
    "LT": "up to 10,240 characters",
    "PN": "up to 64 characters a group, components separated by ^, groups by =",
    "SH": "up to 16 characters, no backslash, no control characters",
    "ST": "up to 1,024 characters",
    "TM": "a time as HHMMSS.FFFFFF, as far as it is known",
    "UI": "up to 64 digits and dots, no component with a leading zero",
    "US": "0 to 65535",
    "SS": "-32768 to 32767",
    "UL": "0 to 4294967295",
    "SL": "-2147483648 to 2147483647",
}
_LATIN_1, _UNICODE = "ISO_IR 100", "ISO_IR 192"


def put(dataset: Dataset, where: str, value: object) -> None:
    """Set one attribute of a data set, perhaps within sequences, whose items are made.

    Parameters
    ----------
    dataset : pydicom.Dataset
    where : str
        A keyword, a tag, or a path such as ``AnatomicRegionSequence[0].CodeValue``.
    value : object
        Text is read as the VR asks, several values separated by backslashes; everything else is
        what pydicom takes.

    Raises
    ------
    TagError
        There is no such attribute, or the value breaks its VR; the message says the rule.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> made = Dataset()
    >>> put(made, "Rows", "512")
    >>> put(made, "AnatomicRegionSequence[0].CodeMeaning", "Skin")
    >>> made.Rows, made.AnatomicRegionSequence[0].CodeMeaning
    (512, 'Skin')
    """
    from pydicom import Dataset

    path = parse_tag(where)
    made = _element(path, where, value)
    for step in path.steps[:-1]:
        if step.item == ALL_ITEMS or not 0 <= step.item < _MOST_ITEMS:
            raise TagError(f"{where}: say which item, 0 to {_MOST_ITEMS - 1}", tag=step.tag)
        if step.tag not in dataset or not dataset[step.tag].value:
            dataset.add_new(step.tag, "SQ", [])
        items = dataset[step.tag].value
        while len(items) <= step.item:
            items.append(Dataset())
        dataset = items[step.item]
    dataset.add(made)


def _element(path: TagPath, where: str, value: object) -> DataElement:
    """Return the checked element; nothing is changed where it is refused."""
    from pydicom.dataelem import DataElement

    leaf = path.leaf
    for step in path.steps:
        if step.creator is not None or step.tag >> 16 & 1:
            raise TagError(
                f"{where}: private attributes are not set this way; use a template", tag=step.tag
            )
        if step.tag >> 16 in _STRUCTURE or not step.tag & 0xFFFF:
            raise TagError(
                f"{where} belongs to how a file is built, and follows from it", tag=step.tag
            )
    if leaf.vr == "SQ" and isinstance(value, str):
        raise TagError(
            f"{where} is a sequence: set what is in it, as in {where}[0].CodeValue=...",
            tag=leaf.tag,
        )
    try:
        made = DataElement(leaf.tag, leaf.vr, _read(leaf.vr, value), validation_mode=0)
    except _UNFIT as error:
        raise _refused(where, leaf.vr, value, str(error), leaf.tag) from error
    if leaf.vr == "SQ":
        check([made])
    _check(made, where)
    _check_count(made, leaf.vm, where)
    return made


def make(attributes: Mapping[str, object]) -> Dataset:
    """Return a data set of attributes, each held to its VR; see `put`."""
    from pydicom import Dataset

    made = Dataset()
    for where, value in attributes.items():
        put(made, where, value)
    return made


def check(dataset: Iterable[DataElement], where: str = "") -> None:
    """Raise where a value breaks its VR (PS3.5 6.2), in nested data sets too.

    Raises
    ------
    TagError
        Carries the tag; the message has the attribute, the value, and the rule.
    """
    for element in dataset:
        name = f"{where}{element.keyword or format_tag(int(element.tag))}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value or ()):
                check(item, f"{name}[{number}].")
        else:
            _check(element, name)


def _check(element: DataElement, name: str) -> None:
    import warnings

    from pydicom import config
    from pydicom.valuerep import validate_value

    vr, value = str(element.VR), element.value
    if vr == "SQ" or value is None:
        return
    values = value if element.VM > 1 and not isinstance(value, str | bytes) else [value]
    try:
        for one in values:
            wrapped = vr in ("DA", "DT", "TM", "IS", "DS", "PN") and one is not None
            said = str(one) if wrapped else one  # 0 is a value, too
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                validate_value(vr, said, config.RAISE)
            if vr in ("DA", "DT", "TM") and said:
                _check_date(vr, str(said))
            if isinstance(said, str) or vr == "PN":
                _check_characters(vr, str(said))
            if vr in _REAL or vr in ("IS", "US or SS"):
                _check_range(vr, one)
    except (*_UNFIT, UserWarning) as error:
        raise _refused(name, vr, value, str(error), int(element.tag)) from error


def _check_date(vr: str, text: str) -> None:
    """Raise ValueError for the 31st of February: the pattern of the VR has it."""
    from pydicom.valuerep import DA, DT, TM

    {"DA": DA, "DT": DT, "TM": TM}[vr](text)


def _check_characters(vr: str, text: str) -> None:
    """Raise ValueError for characters that a VR does not have (PS3.5 6.1.3, table 6.2-1)."""
    allowed = "\t\n\f\r" if vr in ("LT", "ST", "UT") else ""
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Cs" or (kind == "Cc" and character not in allowed):
            raise ValueError(f"the character {character!r} is not allowed")
    # Patterns of digits let the digits of all scripts pass.
    if vr in _WITHOUT_CONTROLS and not text.isascii():
        raise ValueError("only ASCII is allowed")


def _check_range(vr: str, value: object) -> None:
    """Raise ValueError where a number is beyond its VR, which pydicom finds when it writes."""
    if value is None or value == "":
        return
    number = float(str(value))
    if vr == "FL" and _LARGEST_FLOAT < abs(number) < float("inf"):
        raise ValueError("a number that 32 bits hold, up to 3.4e38")
    if vr == "IS" and not -(2**31) <= number < 2**31:
        raise ValueError("-2147483648 to 2147483647")
    if vr == "US or SS" and not -(2**15) <= number < 2**16:
        raise ValueError("-32768 to 65535, by PixelRepresentation")


def _check_count(element: DataElement, vm: str, name: str) -> None:
    """Raise where the number of values is none of PS3.6: VM as in 1, 2, 1-3, 2-n, 3-3n."""
    if element.VM == 0 or element.VR == "SQ":
        return
    first, _, last = vm.partition(" ")[0].partition("-")
    least, most = int(first), last or first
    step = int(most[:-1] or 1) if most.endswith("n") else 1
    count = element.VM
    if count < least or (most.isdigit() and count > int(most)) or (count - least) % step:
        raise TagError(
            f"{name} has {element.VM} values, expected {vm} (PS3.6)", tag=int(element.tag)
        )


def _refused(name: str, vr: str, value: object, reason: str, tag: int) -> TagError:
    if reason.startswith(
        ("Invalid value", "Unable to", "The value length", "The number of PN", "could not")
    ):
        reason = _RULES.get(vr, reason)
    return TagError(f"{name} cannot be {value!r:.80}: no value of VR {vr} ({reason})", tag=tag)


def _read(vr: str, value: object) -> Any:
    if vr == "DS" and isinstance(value, list | tuple):
        return [_decimal(one) for one in value]
    if vr == "DS":
        value = _decimal(value)
    if not isinstance(value, str):
        return value
    if vr in _ONE_VALUE:
        return value
    if vr[:2] in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") or vr.endswith("OW"):
        raise ValueError("bytes are not given as text")
    parts: list[Any] = value.split("\\")
    if vr in _WHOLE or vr in _REAL or vr == "AT":
        parts = [_number(vr, part.strip()) for part in parts] if value.strip() else []
    if len(parts) == 1:
        return parts[0]
    return parts or None


def _decimal(value: object) -> object:
    """Round a float to what DS holds: 1/3 has more digits."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value)) if isinstance(value, float) else value


def _number(vr: str, text: str) -> int | float:
    if vr == "AT":
        return parse_tag(text).leaf.tag
    if vr in _REAL and "_" not in text:  # which Python takes
        return float(text)
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text, 16 if "x" in text.lower() else 10)


def set_charset(dataset: Dataset) -> None:
    """Give a data set the SpecificCharacterSet that its text needs (PS3.3 C.12.1.1.2).

    What it has stays where that can express all text; else it becomes ISO_IR 100 (Latin-1) where
    that suffices, and ISO_IR 192 (UTF-8) where it does not. ASCII needs none. Items of sequences
    lose theirs: one character set holds for all.

    Examples
    --------
    >>> made = make({"PatientName": "Müller^Jürgen"})
    >>> set_charset(made)
    >>> made.SpecificCharacterSet
    'ISO_IR 100'
    """
    texts = list(_texts(dataset))
    _forget_charsets(dataset)
    if all(text.isascii() for text in texts):
        return
    now = dataset.get("SpecificCharacterSet") or ""
    if isinstance(now, str) and now and _fits(texts, now):
        return
    if not isinstance(now, str) and _fits(texts, *now):
        return
    dataset.SpecificCharacterSet = _LATIN_1 if _fits(texts, _LATIN_1) else _UNICODE


def _forget_charsets(dataset: Iterable[DataElement]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                if "SpecificCharacterSet" in item:
                    del item.SpecificCharacterSet
                _forget_charsets(item)


def _texts(dataset: Iterable[DataElement]) -> Iterable[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _texts(item)
        elif element.VR in _TEXT and element.value is not None:
            values = element.value if element.VM > 1 else [element.value]
            yield from map(str, values)


def _fits(texts: list[str], *charsets: str) -> bool:
    import warnings

    from pydicom.charset import convert_encodings, encode_string

    # pydicom warns where it does not know a character set, and where it replaces characters.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            encodings = convert_encodings(list(charsets))
            for text in texts:
                encode_string(text, encodings)
        except (LookupError, ValueError, UserWarning):
            return False
    return True
