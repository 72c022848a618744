"""Attribute matching (PS3.4 C.2.2.2): does an item have what a query asks for?"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dicomloom.network.serve.moments import ends_of, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset
    from pydicom.dataelem import DataElement

# PS3.4 C.2.2.2.4: where * and ? are wildcards.
_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_MOMENTS = frozenset(("DA", "DT", "TM"))
_NUMBERS = frozenset(("DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"))
# Of a query: how it is meant, not what is asked for.
_ABOUT = frozenset((0x00080005, 0x00080052, 0x00080053, 0x00080201))


def matches(keys: Dataset, item: Dataset, *, combined: bool = False) -> bool:
    """Whether an item has what the keys of a query ask for.

    Parameters
    ----------
    keys : pydicom.Dataset
        The identifier of a C-FIND, or an item of a sequence in it. SpecificCharacterSet,
        QueryRetrieveLevel, QueryRetrieveView and TimezoneOffsetFromUTC are no keys.
    item : pydicom.Dataset
    combined : bool
        Whether a date and a time beside each other that both are ranges mean one span from the
        first moment to the last (PS3.4 table K.6-1, and C.5.1.1 where negotiated), and not that
        span of the day on each of the days.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> keys, item = Dataset(), Dataset()
    >>> keys.PatientName, keys.StudyDate = "doe*", "20260101-"
    >>> item.PatientName, item.StudyDate = "Doe^Jane", "20260704"
    >>> matches(keys, item)
    True
    """
    done: set[int] = set()
    for date, time in _pairs(keys) if combined else ():
        done |= {int(date.tag), int(time.tag)}
        if not _within(date, time, item):
            return False
    return all(
        int(key.tag) in done or _matches_element(key, item.get(key.tag), combined)
        for key in _asked(keys)
    )


def _asked(keys: Dataset) -> Iterator[DataElement]:
    """Give the keys; group lengths, which old peers send, are none."""
    return (key for key in keys if int(key.tag) not in _ABOUT and key.tag.element)


def _matches_element(key: DataElement, found: DataElement | None, combined: bool) -> bool:
    if key.VR != "SQ":
        return matches_value(str(key.VR), key.value, None if found is None else found.value)
    wanted = [item for item in key.value or () if not is_universal(item)]
    # PS3.4 C.2.2.2.6 has one item; of several each is to be met.
    items = list(found.value or ()) if found is not None and found.VR == "SQ" else []
    return all(any(matches(one, item, combined=combined) for item in items) for one in wanted)


def is_universal(keys: Dataset) -> bool:
    """Whether keys only ask for attributes, and match anything (PS3.4 C.2.2.2.3)."""
    return all(
        all(is_universal(item) for item in key.value or ())
        if key.VR == "SQ"
        else _any_value(_texts(key.value))
        for key in _asked(keys)
    )


def matches_value(vr: str, key: object, value: object) -> bool:
    """Whether a value matches a key, both as pydicom has them.

    An empty key matches anything. So does ``*``; what else has wildcards, and any other key, does
    not match an empty value. Of several values in the item, or in the key, one has to match: that
    is a list of UIDs, and of other VRs what many peers expect.

    Parameters
    ----------
    vr : str
        Single value matching is exact, save that trailing spaces do not count, that numbers are
        compared as such, and names without regard to case, and to empty components at the end; a
        name without ``=`` may match any of its groups. Text, codes and titles take wildcards;
        dates and times take ranges, whose ends count. A date or time that is not given in full
        means all of its day, hour, minute or second.
    key, value : object

    Examples
    --------
    >>> matches_value("TM", "1000-1100", "105959"), matches_value("TM", "10", "105959")
    (True, True)
    >>> matches_value("PN", "D?E*", "Doe^Jane=X"), matches_value("CS", "ct", "CT")
    (True, False)
    """
    wanted = _texts(key)
    found = _texts(value)
    return _any_value(wanted) or any(
        _matches_text(vr, one, text) for one in wanted for text in found
    )


def _any_value(wanted: list[str]) -> bool:
    return not wanted or any(not one.strip("*") for one in wanted)


def _texts(value: object) -> list[str]:
    """Return the values of an element as text; none where it is empty."""
    from pydicom.multival import MultiValue

    if value is None:
        return []
    if isinstance(value, bytes):
        return [value.rstrip(b" \0").decode("latin-1")] if value.rstrip(b" \0") else []
    values = value if isinstance(value, MultiValue | list | tuple) else [value]
    texts = (str(one).strip(" \0") for one in values)
    return [text for text in texts if text]


def _matches_text(vr: str, key: str, text: str) -> bool:
    if vr == "PN":
        return _matches_name(key, text)
    if vr in _MOMENTS:
        return _matches_moment(vr, key, text)
    if vr in _NUMBERS:
        return _number(key) == _number(text)
    return _like(key, text) if vr in _WILD else key == text


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _like(key: str, text: str) -> bool:
    if "*" not in key and "?" not in key:
        return key == text
    # A pattern is only made of what could match: a peer may send one of any length.
    if len(key) - key.count("*") > len(text):
        return False
    return _pattern(key).fullmatch(text) is not None


@lru_cache(256)
def _pattern(key: str) -> re.Pattern[str]:
    """Return a pattern whose time does not grow with the number of asterisks in it.

    What stands between two asterisks is taken where it fits first (an atomic group): that finds a
    match whenever there is one.
    """
    pieces = [
        "".join("." if character == "?" else re.escape(character) for character in piece)
        for piece in re.sub(r"\*+", "*", key).split("*")
    ]
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1])
    return re.compile(f"{pieces[0]}{middle}.*{pieces[-1]}", re.DOTALL)


def _matches_name(key: str, text: str) -> bool:
    key, text = key.lower(), text.lower()
    groups = [_trimmed(group) for group in text.split("=")]
    wanted = [_trimmed(group) for group in key.split("=")]
    if len(wanted) == 1:
        return any(_like(wanted[0], group) for group in groups if group)
    groups += [""] * (len(wanted) - len(groups))
    return all(not one or _like(one, group) for one, group in zip(wanted, groups, strict=False))


def _trimmed(group: str) -> str:
    return group.rstrip("^ ").strip()


def _matches_moment(vr: str, key: str, text: str) -> bool:
    ends, value = ends_of(vr, key), span_of(vr, text)
    first, last = (span_of(vr, end) for end in ends or (key, key))
    if value is None or any(
        end and span is None for end, span in zip(ends or (key, key), (first, last), strict=True)
    ):
        return key == text
    return value.begins_within(first, last)


def _pairs(keys: Dataset) -> Iterator[tuple[DataElement, DataElement]]:
    """Give the dates and times beside each other that both are ranges."""
    for date in keys:
        if date.VR != "DA" or not date.keyword.endswith("Date"):
            continue
        keyword = date.keyword.removesuffix("Date") + "Time"
        if keyword in keys and _is_range(date) and _is_range(keys[keyword]):
            yield date, keys[keyword]


def _is_range(key: DataElement) -> bool:
    texts = _texts(key.value)
    return len(texts) == 1 and ends_of(str(key.VR), texts[0]) is not None


def _within(date: DataElement, time: DataElement, item: Dataset) -> bool:
    """Whether a moment lies between the first of the two dates and times, and the last."""
    (days,), (hours,) = _texts(date.value), _texts(time.value)
    first_day, last_day = ends_of("DA", days) or ("", "")
    first_hour, last_hour = ends_of("TM", hours) or ("", "")
    day, hour = (_texts(item[key.tag].value if key.tag in item else None) for key in (date, time))
    if len(day) != 1 or span_of("DA", day[0]) is None or not matches_value("DA", days, day):
        return False
    value = span_of("DA", day[0])
    for bound, limit in ((first_day, f"{first_hour}-"), (last_day, f"-{last_hour}")):
        limits = bound and len(limit) > 1 and value == span_of("DA", bound)
        if limits and not matches_value("TM", limit, hour):
            return False
    return True


def returned(keys: Dataset, item: Dataset, *, combined: bool = False) -> Dataset:
    """Return what an item answers to a query: the attributes that are asked for, and no others.

    What the item does not have is empty. Of a sequence whose key has an item, those items come
    that match it, with the attributes asked for; of one whose key has none, or an empty one, all
    (PS3.4 C.2.2.2.6). SpecificCharacterSet is that of the item where it can express the answer.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> keys, item = Dataset(), Dataset()
    >>> keys.PatientName, keys.PatientID = "Doe*", ""
    >>> item.PatientName, item.Modality = "Doe^Jane", "OP"
    >>> [(element.keyword, element.value) for element in returned(keys, item)]
    [('PatientName', 'Doe^Jane'), ('PatientID', None)]
    """
    from dicomloom.attributes import set_charset

    made = _returned(keys, item, combined)
    if "SpecificCharacterSet" in item:
        made.SpecificCharacterSet = item.SpecificCharacterSet
    set_charset(made)
    return made


def _returned(keys: Dataset, item: Dataset, combined: bool) -> Dataset:
    from copy import deepcopy

    from pydicom import Dataset
    from pydicom.dataelem import DataElement

    made = Dataset()
    for key in _asked(keys):
        found = item.get(key.tag)
        inner = next(iter(key.value or ()), None) if key.VR == "SQ" else None
        if found is None or found.is_empty:
            empty: Any = [] if key.VR == "SQ" else None
            made.add(DataElement(key.tag, key.VR, empty))
        elif found.VR != "SQ" or not inner:
            made.add(deepcopy(found))
        else:
            meant = (one for one in found.value if matches(inner, one, combined=combined))
            items = [_returned(inner, one, combined) for one in meant]
            made.add(DataElement(key.tag, "SQ", items))
    return made
