"""The performed procedure steps that a server is told of (PS3.4 F.7): a folder of them."""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import TYPE_CHECKING

from dicomloom import attributes as _attributes
from dicomloom.decoding import broken
from dicomloom.errors import DicomloomError, TagError
from dicomloom.files import Replacing, make_folders, mode_of
from dicomloom.json_model import data_set_of, model_of, read_json
from dicomloom.network import words
from dicomloom.network.steps import table
from dicomloom.network.steps.state import UID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset
    from pydicom.dataelem import DataElement

_LOGGER = logging.getLogger("dicomloom.network.serve")
# PS3.7 Annex C.
SUCCESS = 0x0000
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_INSTANCE = 0x0117
MISSING_ATTRIBUTE = 0x0120
MISSING_VALUE = 0x0121
RESOURCE_LIMITATION = 0x0213
_STATUS = "PerformedProcedureStepStatus"


class StepFolder:
    """Performed procedure steps in a folder: ``<SOPInstanceUID>.json``, a DICOM JSON object each.

    A file is written whole or not at all, and has reached the disk before a success is answered.
    Any number of threads may use it, but one process only.

    Parameters
    ----------
    path : str or path-like
        Made where it is not there.
    strict : bool
        Whether attributes of type 2 have to be there at the creation, as PS3.4 table F.7.2-1
        says, and values have to fit their VR; some modalities do neither.

    Raises
    ------
    OSError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> from pydicom import Dataset
    >>> steps = StepFolder(tempfile.mkdtemp())
    >>> f"{steps.create('1.2.3', Dataset()):04X}", f"{steps.change('1.2.3', Dataset()):04X}"
    ('0120', '0112')
    """

    def __init__(self, path: str | os.PathLike[str], *, strict: bool = True) -> None:
        self.path = os.fspath(path)
        self.strict = strict
        self._lock = threading.Lock()
        make_folders(self.path)

    def create(self, uid: str, attributes: Dataset) -> int:
        """Do what a N-CREATE asks for (PS3.4 F.7.2.1).

        Parameters
        ----------
        uid : str
            AffectedSOPInstanceUID; where the request has none, the caller makes one.
        attributes : pydicom.Dataset
            The Attribute List.

        Returns
        -------
        int
            The status: 0000; 0111 the step is there already; 0120, 0121 an attribute or value is
            missing; 0106 a value is none of its VR, or the status is not ``IN PROGRESS``; 0117
            the UID is none; 0213 it could not be written. `answer_of` makes a response of it.
        """
        if not UID.fullmatch(uid):
            return INVALID_INSTANCE
        status = _unfit(attributes, self.strict) or self._lacking(attributes)
        if not status and attributes.PerformedProcedureStepStatus != table.IN_PROGRESS:
            status = INVALID_VALUE
        with self._lock:
            if self._there(uid):
                return DUPLICATE
            return status or self._write(uid, attributes)

    def change(self, uid: str, attributes: Dataset) -> int:
        """Do what a N-SET asks for (PS3.4 F.7.2.2); all of it or nothing.

        Parameters
        ----------
        uid : str
            RequestedSOPInstanceUID.
        attributes : pydicom.Dataset
            The Modification List. What PS3.4 table F.7.2-1 does not allow to be set is no fault
            as long as it is what there is.

        Returns
        -------
        int
            The status: 0000; 0112 there is no such step; 0110 it is final, for which `answer_of`
            has the Error ID; 0105 an attribute may not be set; 0106 a value is none of its VR or
            no status; 0120, 0121 what the final state needs is missing; 0213 it could not be read
            or written.
        """
        if not UID.fullmatch(uid):
            return NO_SUCH_INSTANCE
        unfit = _unfit(attributes, self.strict)
        with self._lock:
            if not self._there(uid):
                return NO_SUCH_INSTANCE
            try:
                step = self._read(uid)
                before = str(step.PerformedProcedureStepStatus)
            except (DicomloomError, AttributeError) as error:
                _LOGGER.error("the step %s cannot be read: %s", uid, type(error).__name__)
                return RESOURCE_LIMITATION
            if before in table.FINAL:
                return PROCESSING_FAILURE
            if unfit:
                return unfit
            return self._change(uid, step, attributes)

    def _change(self, uid: str, step: Dataset, attributes: Dataset) -> int:
        if any(not _as_before(one, step) for one in attributes if one.keyword in table.FIXED):
            return NO_SUCH_ATTRIBUTE
        for element in attributes:
            step.add(element)
        status = str(step[_STATUS].value or "")
        if status not in (table.IN_PROGRESS, *table.FINAL):
            return INVALID_VALUE
        if status in table.FINAL:
            lacking = self._lacking(step, final=True)
            if lacking:
                return lacking
        return self._write(uid, step)

    def get(self, uid: str) -> Dataset | None:
        """Return a step, None where there is none.

        Raises
        ------
        ReadError, CorruptError, LimitError
            Its file is broken.
        """
        if not UID.fullmatch(uid) or not self._there(uid):
            return None
        step = self._read(uid)
        _attributes.set_charset(step)
        return step

    def uids(self) -> list[str]:
        """Return the UIDs of all steps, in no particular order."""
        names = (os.path.splitext(name) for name in os.listdir(self.path))
        return [uid for uid, end in names if end == ".json" and UID.fullmatch(uid)]

    def _file(self, uid: str) -> str:
        return os.path.join(self.path, f"{uid}.json")

    def _there(self, uid: str) -> bool:
        return mode_of(self._file(uid)) is not None

    def _read(self, uid: str) -> Dataset:
        path = self._file(uid)
        return data_set_of(read_json(path), path)

    def _write(self, uid: str, step: Dataset) -> int:
        try:
            text = json.dumps(model_of(step), ensure_ascii=False)
            with Replacing(self._file(uid)) as file:
                file.write(text.encode("utf-8", "backslashreplace") + b"\n")
        except broken() as error:
            _LOGGER.error("the step %s cannot be written: %s", uid, type(error).__name__)
            return RESOURCE_LIMITATION if isinstance(error, OSError) else INVALID_VALUE
        return SUCCESS

    def _lacking(self, step: Dataset, *, final: bool = False) -> int:
        """Return the status for what is missing."""
        for _, there in table.missing(step, final=final, second=self.strict):
            return MISSING_VALUE if there else MISSING_ATTRIBUTE
        return SUCCESS


def _as_before(element: DataElement, step: Dataset) -> bool:
    before = step.get(element.tag)
    if element.is_empty:
        return before is None or before.is_empty
    return bool(element == before)


def _unfit(attributes: Dataset, strict: bool) -> int:
    """Return the status for values that break their VR; all are converted after it."""
    try:
        attributes.decode()
        if strict:
            _attributes.check(attributes)
        sequences: Iterable[str] = (table.SCHEDULED, table.SERIES, table.REASON)
        if any(attributes[one].VR != "SQ" for one in sequences if one in attributes):
            return INVALID_VALUE
    except TagError:
        return INVALID_VALUE
    except broken():
        return INVALID_VALUE
    return SUCCESS


def answer_of(status: int) -> Dataset:
    """Return the status of a response as pynetdicom's handlers give it, with what belongs to it.

    Examples
    --------
    >>> answer = answer_of(0x0110)
    >>> f"{answer.ErrorID:04X}", answer.ErrorComment
    ('A710', 'Performed Procedure Step Object may no longer be updated')
    """
    from pydicom import Dataset

    made = Dataset()
    made.Status = status
    if status == PROCESSING_FAILURE:
        # PS3.4 table F.7.2-2.
        made.ErrorID = words.NO_LONGER_UPDATED
        made.ErrorComment = "Performed Procedure Step Object may no longer be updated"
    return made
