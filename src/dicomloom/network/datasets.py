"""Data sets that came over the network, decoded at once and by the rules."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from dicomloom.decoding import broken, has_no_end
from dicomloom.network.grammar import check_data_set

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_DEPTH = 50


def read_data_set(data: bytes, implicit: bool) -> tuple[Dataset, list[str]]:
    """Return a Little Endian data set, all of it decoded, and the names of what did not fit.

    A value that is none of its VR becomes one of VR UN.

    Raises
    ------
    ValueError
        The bytes are no data set. The message has no values.

    Examples
    --------
    >>> made, unfit = read_data_set(bytes.fromhex("10002000 4c4f0200 3720"), False)
    >>> made.PatientID, unfit
    ('7', [])
    """
    from pydicom.filereader import read_dataset

    check_data_set(data, implicit)
    unfit: list[str] = []
    try:
        made = read_dataset(BytesIO(data), implicit, True)
        _settle(made, unfit)
    except broken() as error:
        # Not the text of pydicom's exceptions, which may have values.
        raise ValueError(type(error).__name__) from error
    return made, unfit


def write_data_set(dataset: Dataset, implicit: bool) -> bytes:
    """Return a data set in Little Endian.

    Raises
    ------
    ValueError
        It has a value that cannot be written. The message has no values.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> made = Dataset()
    >>> made.PatientID = "7"
    >>> write_data_set(made, implicit=False).hex()
    '100020004c4f02003720'
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    try:
        write_dataset(buffer, dataset)
    except broken() as error:
        raise ValueError(f"it cannot be written: {type(error).__name__}") from error
    return buffer.getvalue()


def _settle(dataset: Dataset, unfit: list[str], depth: int = 0) -> None:
    """Convert all elements now, not when somebody looks; those that cannot be become UN."""
    from pydicom.datadict import keyword_for_tag
    from pydicom.dataelem import DataElement, RawDataElement

    if depth > _MOST_DEPTH:
        raise RecursionError
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        try:
            element = dataset[tag]
        except broken():
            value = getattr(raw, "value", None)
            if not isinstance(value, bytes) or getattr(raw, "VR", None) == "SQ":
                raise
            element = None
        else:
            value = raw.value if isinstance(raw, RawDataElement) else None
        # pydicom leaves text where a number should be, and fails when somebody asks for it.
        text = element is not None and element.VR in ("IS", "DS") and _has_text(element.value)
        if element is None or (value is not None and (text or has_no_end(element))):
            dataset[tag] = DataElement(tag, "OB", value)
            dataset[tag].VR = "UN"  # one made as UN would take the VR of the dictionary
            unfit.append(keyword_for_tag(tag) or str(tag))
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                _settle(item, unfit, depth + 1)


def _has_text(value: object) -> bool:
    from pydicom.multival import MultiValue

    values = value if isinstance(value, MultiValue) else [value]
    return any(type(one) is str and one.strip() for one in values)
