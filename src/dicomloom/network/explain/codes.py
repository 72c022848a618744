"""The codes of PS3.7 and PS3.8, as the logs of several toolkits spell them."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\s*(\d{1,3})\b")
_LETTERS = re.compile(r"[^a-z]+")
_STATUS = re.compile(r"(?:0x|\[)?([0-9A-Fa-f]{1,4})H?(?![0-9A-Za-z])")

# PS3.7 Annex C and PS3.4: what DCMTK and fo-dicom write instead of a number.
_STATUS_WORDS = {
    "success": 0x0000,
    "pending": 0xFF00,
    "cancel": 0xFE00,
    "refusedoutofresources": 0xA700,
    "refusedsopclassnotsupported": 0x0122,
    "errorcannotunderstand": 0xC000,
    "errordatasetdoesnotmatchsopclass": 0xA900,
    "warningcoercionofdataelements": 0xB000,
    "warningdatasetdoesnotmatchsopclass": 0xB007,
    "warningelementsdiscarded": 0xB006,
    "refusedoutofresourcesnumberofmatches": 0xA701,
    "refusedoutofresourcessuboperations": 0xA702,
    "refusedmovedestinationunknown": 0xA801,
    "failedidentifierdoesnotmatchsopclass": 0xA900,
    "failedunabletoprocess": 0xC000,
    "warningsuboperationscompleteoneormorefailures": 0xB000,
}


def _plain(text: str) -> str:
    return _LETTERS.sub("", text.lower())


def _by_words(text: str, table: tuple[tuple[str, int], ...], default: int) -> int:
    number = _NUMBER.match(text)
    if number:
        return int(number[1])
    letters = _plain(text)
    return next((code for word, code in table if word in letters), default)


def context_result(text: str) -> int | None:
    """Return the result of a presentation context (PS3.8 table 9-18); None: only proposed.

    Examples
    --------
    >>> context_result("Rejected - Abstract Syntax Not Supported"), context_result("Accept")
    (3, 0)
    """
    if "proposed" in text.lower():
        return None
    table = (("accept", 0), ("abstract", 3), ("transfer", 4), ("user", 1))
    return _by_words(text, table, 2)


def reject_codes(result: str, source: str, reason: str) -> tuple[int, int, int]:
    """Return result, source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21).

    Examples
    --------
    >>> reject_codes("Rejected Permanent", "Service User", "Called AE Title Not Recognized")
    (1, 1, 7)
    """
    reasons = (
        ("calledae", 7),
        ("callingae", 3),
        ("applicationcontext", 2),
        ("protocol", 2),
        ("congestion", 1),
        ("limit", 2),
    )
    sources = (("acse", 2), ("presentation", 3), ("provider", 2), ("user", 1))
    return (
        _by_words(result, (("transient", 2),), 1),
        _by_words(source, sources, 1),
        _by_words(reason, reasons, 1),
    )


def abort_codes(source: str, reason: str) -> tuple[int, int]:
    """Return source and reason of an A-ABORT (PS3.8 table 9-26).

    Examples
    --------
    >>> abort_codes("DUL service-provider", "Unexpected PDU")
    (2, 2)
    """
    reasons = (
        ("unrecognizedpduparameter", 4),
        ("unrecognisedpduparameter", 4),
        ("unexpectedpduparameter", 5),
        ("invalidpdu", 6),
        ("invalidparameter", 6),
        ("unrecogni", 1),
        ("unexpected", 2),
    )
    return _by_words(source, (("provider", 2),), 0), _by_words(reason, reasons, 0)


def status_of(text: str) -> int | None:
    """Return the DIMSE status of a text, or None where it tells none.

    Examples
    --------
    >>> status_of("0xA700 - Failure"), status_of("Success"), status_of("ff00H")
    (42752, 0, 65280)
    >>> status_of("Failure [0122: SOP Class Not Supported]"), status_of("Refused: Something")
    (290, None)
    """
    text = text.strip()
    found = _STATUS.match(text) or _STATUS.search(text, max(text.find("["), 0))
    if found and (found[0][0] in "0[" or found.start() == 0):
        return int(found[1], 16)
    # "Pending: matches are continuing", say: what stands after the colon adds nothing.
    found_words = _STATUS_WORDS.get(_plain(text))
    return _STATUS_WORDS.get(_plain(text.partition(":")[0])) if found_words is None else found_words


def is_failure(status: int) -> bool:
    """Whether a status is neither success, pending, cancel nor a warning (PS3.7 C).

    Examples
    --------
    >>> [is_failure(status) for status in (0, 0xFF00, 0xB000, 0xA700, 0x0122)]
    [False, False, False, True, True]
    """
    passing = (0x0000, 0x0001, 0x0107, 0x0116, 0xFE00, 0xFF00, 0xFF01)
    return status not in passing and status >> 12 != 0xB
