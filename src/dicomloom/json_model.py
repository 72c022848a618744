"""Data sets in the DICOM JSON model (PS3.18 F): read, from files of anybody, and made."""

from __future__ import annotations

import json
import math
import os
import warnings
from typing import TYPE_CHECKING, Any

from dicomloom.decoding import BROKEN, broken
from dicomloom.errors import CorruptError, DicomloomError, DicomloomWarning, LimitError
from dicomloom.files import open_regular, unreadable
from dicomloom.tags import format_tag

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

LARGEST = 64 << 20
_MOST_OBJECTS = 1 << 18  # of JSON; a data set takes about 1 KiB, and three bytes make one
_MOST_DEPTH = 50


def read_json(path: str | os.PathLike[str], most_objects: int | None = None) -> Any:
    """Return what a file of JSON has.

    Raises
    ------
    ReadError, LimitError, CorruptError
        The file cannot be read, has more than 64 MiB, or is no JSON.
    """
    name = os.fspath(path)
    try:
        with open(open_regular(name), "rb") as file:
            data = file.read(LARGEST + 1)
    except DicomloomError:
        raise
    except OSError as error:
        raise unreadable(name, error) from error
    if len(data) > LARGEST:
        raise LimitError(f"JSON of more than {LARGEST} bytes", path=name)
    if most_objects is not None and data.count(b"{") > most_objects:
        raise LimitError(f"JSON of more than {most_objects} objects", path=name)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"this is no JSON: {error}", path=name) from error


def data_set_of(model: object, path: str | None = None) -> Dataset:
    """Return the data set of a DICOM JSON object, all of it converted.

    Raises
    ------
    CorruptError
        It is none; the message does not have the values.

    Examples
    --------
    >>> data_set_of({"00100020": {"vr": "LO", "Value": ["4711"]}}).PatientID
    '4711'
    """
    from pydicom import Dataset
    from pydicom.valuerep import STANDARD_VR

    try:
        if not isinstance(model, dict):
            raise ValueError(f"found {type(model).__name__}")
        made = Dataset.from_json(model)
        _check(made, STANDARD_VR, 0)
    except BROKEN as error:
        # Not the text of pydicom's exceptions, which may have values.
        raise CorruptError(
            f"expected a data set as DICOM JSON (PS3.18 F): {type(error).__name__}", path=path
        ) from error
    return made


def _check(dataset: Dataset, known: object, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise RecursionError
    for element in dataset:
        if element.VR not in known:  # type: ignore[operator]
            raise ValueError("no VR of PS3.5")
        if element.VR == "SQ":
            for item in element.value or ():
                _check(item, known, depth + 1)


def model_of(dataset: Dataset, *, lenient: bool = False) -> dict[str, Any]:
    """Return a data set in the DICOM JSON model, which is UTF-8 whatever it was.

    Parameters
    ----------
    dataset : pydicom.Dataset
    lenient : bool
        Leave out what has no place in the model, with a `DicomloomWarning`, instead of raising one
        of `broken()`. A value that is only longer than its VR allows has its place.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> made = Dataset()
    >>> made.PatientID = "4711"
    >>> model_of(made)
    {'00100020': {'vr': 'LO', 'Value': ['4711']}}
    """
    # Not the data set's to_json_dict: where that is to leave things out, it makes pydicom strict
    # for all threads of the process, and leaves out what is merely long.
    made: dict[str, Any] = {}
    for tag in map(int, list(dataset.keys())):
        try:
            made[f"{tag:08X}"] = _element(dataset[tag], lenient)
        except broken() as error:
            if not lenient:
                raise
            warnings.warn(
                f"{format_tag(tag)} has no place in JSON and is left out: {type(error).__name__}",
                DicomloomWarning,
                stacklevel=2,
            )
    if "00080005" in made:
        made["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return made


def _element(element: DataElement, lenient: bool) -> dict[str, Any]:
    if element.VR == "SQ":
        items = [model_of(item, lenient=lenient) for item in element.value]
        return {"vr": "SQ", "Value": items}
    made = element.to_json_dict(None, 0)
    if "Value" in made:
        made["Value"] = [number_of(value) for value in made["Value"]]
    return made


def number_of(value: Any) -> Any:
    """Return a value; as text where it is a float that is no number of JSON (PS3.18 F.2.3).

    Examples
    --------
    >>> number_of(0.5), number_of(float("nan")), number_of(-float("inf"))
    (0.5, 'NaN', '-Infinity')
    """
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_data_sets(path: str | os.PathLike[str]) -> list[Dataset]:
    """Return the data sets of a file: one DICOM JSON object, or an array of them.

    Raises
    ------
    ReadError, LimitError, CorruptError
    """
    name = os.fspath(path)
    read = read_json(name, _MOST_OBJECTS)
    models = read if isinstance(read, list) else [read]
    return [data_set_of(model, name) for model in models]
