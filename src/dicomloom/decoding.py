"""Values of pydicom data sets, converted at once, with bounds and with errors of one kind.

pydicom converts a value when somebody looks at it. Its own ways over a whole data set
(``Dataset.decode``, ``walk``, ``iterall``) recurse as deep as the bytes nest, and an exception from
within doubles in length with each level: 15 kB of nested sequences keep them busy for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomloom.errors import CorruptError, LimitError
from dicomloom.json_model import BROKEN
from dicomloom.tags import format_tag

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

MOST_DEPTH = 64  # of sequences, as where the C core reads


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
                raise LimitError(
                    f"sequences nest deeper than {MOST_DEPTH} in {format_tag(tag)}",
                    path=path,
                    tag=tag,
                )
            waiting += [(item, charset, depth + 1) for item in items]


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
    from pydicom.errors import BytesLengthException

    try:
        made = dataset[tag]
        if made.VR != "SQ":
            decode_element(made, charset)
    except (*BROKEN, OSError, BytesLengthException) as error:
        # Not the text of pydicom's exceptions, which may have values.
        raise CorruptError(
            f"{format_tag(tag)} cannot be read: its bytes are no value of its VR "
            f"({type(error).__name__})",
            path=path,
            tag=tag,
        ) from error
    return made
