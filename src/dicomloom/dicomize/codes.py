"""Coded entries: the items of code sequences (PS3.3 8.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

# What is said where nobody says more: value, scheme, meaning.
UNKNOWN = ("261665006", "SCT", "Unknown")


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence.

    Examples
    --------
    >>> code_item("mm", "UCUM", "mm").CodingSchemeDesignator
    'UCUM'
    """
    from pydicom import Dataset

    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made
