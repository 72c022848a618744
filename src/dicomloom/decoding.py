"""Values of pydicom data sets, converted at once, with bounds and with errors of one kind.

pydicom converts a value when somebody looks at it. Its own ways over a whole data set
(``Dataset.decode``, ``walk``, ``iterall``) recurse as deep as the bytes nest, and an exception from
within doubles in length with each level: 15 kB of nested sequences keep them busy for ever.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from dicomloom.errors import CorruptError, LimitError
from dicomloom.tags import format_tag

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

# What pydicom raises where values break their rules, but for its own and OSError: see `broken`.
BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError),
    *(NotImplementedError, RecursionError, struct.error),
)
MOST_DEPTH = 64  # of sequences, as where the C core reads


def broken() -> tuple[type[Exception], ...]:
    """Return all that pydicom raises where bytes are no data set, or no values of their VRs."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*BROKEN, OSError, BytesLengthException, InvalidDicomError)


def settle(dataset: Dataset, path: str | None = None) -> None:
    """Convert all values of a data set and of its items, and decode their text.

    Parameters
    ----------
    dataset : pydicom.Dataset
        As pydicom read it.
    path : str, optional
        For messages.

    Raises
    ------
    LimitError
        Sequences nest deeper than 64.
    CorruptError
        A value cannot be one of its VR. The message has the element, not the value.

    Examples
    --------
    >>> from io import BytesIO
    >>> from pydicom.filereader import read_dataset
    >>> made = read_dataset(BytesIO(bytes.fromhex("10002000 4c4f0200 3720")), False, True)
    >>> settle(made)
    >>> made.PatientID
    '7'
    """
    waiting: list[tuple[Dataset, Any, int]] = [(dataset, None, 0)]
    while waiting:
        found, charset, depth = waiting.pop()
        if 0x00080005 in found:
            charset = element_of(found, 0x00080005, path=path).value or charset
        for tag in map(int, list(found.keys())):
            element = element_of(found, tag, charset, path=path)
            items = list(element.value or ()) if element.VR == "SQ" else []
            if items and depth == MOST_DEPTH:
                raise _too_deep(tag, path)
            waiting += [(item, charset, depth + 1) for item in items]


def tame(dataset: Dataset, path: str | None = None) -> None:
    """Convert what nests, so that nobody who decodes, walks or prints all of it is kept for ever.

    What is no value of its VR stays as bytes, of VR UN, in items; what stands outside of sequences
    is left for whoever asks for it.

    Parameters
    ----------
    dataset : pydicom.Dataset
        As pydicom read it.
    path : str, optional
        For messages.

    Raises
    ------
    LimitError
        Sequences nest deeper than 64.

    Examples
    --------
    >>> from io import BytesIO
    >>> from pydicom.filereader import read_dataset
    >>> rows = bytes.fromhex("feff00e0 0b000000 28001000 55530300 313233")
    >>> sequence = bytes.fromhex("08004011 53510000 13000000") + rows
    >>> made = read_dataset(BytesIO(sequence), False, True)
    >>> tame(made)
    >>> made.ReferencedImageSequence[0]["Rows"].VR, made.ReferencedImageSequence[0].Rows
    ('UN', b'123')
    """
    waiting: list[tuple[Dataset, Any, int]] = [(dataset, None, 0)]
    while waiting:
        found, charset, depth = waiting.pop()
        if 0x00080005 in found:
            charset = _converted(found, 0x00080005, charset).value or charset
        for tag in map(int, list(found.keys())):
            raw = found.get_item(tag, keep_deferred=True)
            if depth == 0 and getattr(raw, "VR", None) not in ("SQ", "UN"):
                continue
            element = _converted(found, tag, charset)
            items = list(element.value or ()) if element.VR == "SQ" else []
            if items and depth == MOST_DEPTH:
                raise _too_deep(tag, path)
            waiting += [(item, charset, depth + 1) for item in items]


def _converted(dataset: Dataset, tag: int, charset: Any) -> DataElement:
    """Return an element, converted; one that cannot be is put there as bytes of VR UN."""
    from pydicom.dataelem import DataElement

    raw = dataset.get_item(tag, keep_deferred=True)  # else an empty value would be converted here
    try:
        return element_of(dataset, tag, charset)
    except CorruptError:
        value = getattr(raw, "value", None)
        # One made as UN would take the VR of the dictionary.
        made = DataElement(tag, "OB", value if isinstance(value, bytes) else b"")
        made.VR = "UN"
        dataset[tag] = made
        return made


def has_no_end(element: DataElement) -> bool:
    """Whether an element has an undefined length that only others may have (PS3.5 7.1.1).

    pydicom takes what stands up to a delimiter for its value, and would write it so again, where
    nobody can read it.
    """
    return element.is_undefined_length and element.VR != "SQ" and element.tag != 0x7FE00010


def _too_deep(tag: int, path: str | None) -> LimitError:
    return LimitError(
        f"sequences nest deeper than {MOST_DEPTH} in {format_tag(tag)}", path=path, tag=tag
    )


def element_of(
    dataset: Dataset, tag: int, charset: Any = None, *, path: str | None = None
) -> DataElement:
    """Return an element, converted, and its text decoded.

    Raises
    ------
    CorruptError
        Its bytes are no value of its VR.
    """
    from pydicom.charset import decode_element

    try:
        made = dataset[tag]
        if has_no_end(made):
            raise ValueError("its length is undefined")
        if made.VR != "SQ":
            decode_element(made, charset)
    except broken() as error:
        # Not the text of pydicom's exceptions, which may have values.
        raise CorruptError(
            f"{format_tag(tag)} cannot be read: its bytes are no value of its VR "
            f"({type(error).__name__})",
            path=path,
            tag=tag,
        ) from error
    return made
