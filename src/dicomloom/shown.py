"""Text that strangers wrote, as it does no harm in a terminal or in a spreadsheet."""

from __future__ import annotations

import re

_FORMULA = ("=", "+", "-", "@")
_NUMBERS = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?(?:\\[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)*")


def shown(text: str) -> str:
    r"""Return text on one line without control characters.

    Examples
    --------
    >>> shown("DOE^\x1b[31mJOHN")
    'DOE^\\x1b[31mJOHN'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def harmless(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula.

    Examples
    --------
    >>> harmless("=1+1"), harmless("DOE^JOHN")
    ("'=1+1", 'DOE^JOHN')
    """
    text = shown(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def harmless_value(text: str) -> str:
    r"""Return what `harmless` does, but numbers, one or more, as they are.

    Examples
    --------
    >>> harmless_value("-120.5\\3"), harmless_value("-1+cmd|' /C calc'!A0")
    ('-120.5\\3', "'-1+cmd|' /C calc'!A0")
    """
    return text if _NUMBERS.fullmatch(text) else harmless(text)
