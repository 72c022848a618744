"""The worklist that a server offers (PS3.4 K): a folder of scheduled procedure steps."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

from dicomloom.decoding import broken, settle
from dicomloom.errors import CorruptError, DicomloomError, LimitError, ReadError
from dicomloom.files import open_regular
from dicomloom.json_model import read_data_sets
from dicomloom.network.grammar import check_data_set
from dicomloom.network.serve.matching import matches, returned
from dicomloom.network.steps.table import items_of

if TYPE_CHECKING:
    from pydicom import Dataset

_LOGGER = logging.getLogger("dicomloom.network.serve")
STEPS = "ScheduledProcedureStepSequence"
_STEPS = 0x00400100
_DICOM = (".wl", ".dcm")
_LARGEST = 4 << 20
# Deflated, whose few bytes may become any number; Big Endian, which is retired.
_OTHERS = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
_IMPLICIT = "1.2.840.10008.1.2"


class WorklistFolder:
    """Scheduled procedure steps in the files of a folder.

    ``*.json`` has one DICOM JSON object, as ``dicomloom worklist -o`` writes it, or an array of
    them; ``*.wl`` and ``*.dcm`` have a data set with or without file meta information, as DCMTK's
    wlmscpfs and Orthanc take it. Folders within are not entered. A file is read again when its
    time, size or inode has changed; one that is no item is left out, and its name logged, once
    each time it changes. All items are held in memory. Any number of threads may ask.

    Parameters
    ----------
    path : str or path-like

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from pydicom import Dataset
    >>> folder, item, query = pathlib.Path(tempfile.mkdtemp()), Dataset(), Dataset()
    >>> item.PatientID, item.ScheduledProcedureStepSequence = "1", [Dataset()]
    >>> item.ScheduledProcedureStepSequence[0].Modality = "OP"
    >>> _ = (folder / "a.json").write_text(item.to_json())
    >>> query.PatientID = ""
    >>> [answer.PatientID for answer in WorklistFolder(folder).answers(query)]
    ['1']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._read: dict[str, tuple[tuple[int, int, int], list[Dataset]]] = {}

    def answers(self, identifier: Dataset) -> Iterator[Dataset]:
        """Give the answers to a query, one for each scheduled step that matches (PS3.4 K.6.1.2).

        Which steps there are is decided when the first answer is asked for.

        Parameters
        ----------
        identifier : pydicom.Dataset
            That of the C-FIND; see `dicomloom.network.serve.matching.matches`. A date and a time
            that both are ranges mean one span.

        Yields
        ------
        pydicom.Dataset
            What was asked for, with one item of the ScheduledProcedureStepSequence; the caller's.

        Raises
        ------
        ReadError
            The folder cannot be read.
        """
        for item in self.items():
            if matches(identifier, item, combined=True):
                yield returned(identifier, item, combined=True)

    def items(self) -> list[Dataset]:
        """Return all items, by the names of their files, with one scheduled step each.

        They are not to be changed.

        Raises
        ------
        ReadError
            The folder cannot be read.
        """
        with self._lock:
            found = dict(self._files())
            for name in self._read.keys() - found.keys():
                del self._read[name]
            for name, mark in found.items():
                if name not in self._read or self._read[name][0] != mark:
                    self._read[name] = mark, self._items_of(name)
            return [item for name in sorted(self._read) for item in self._read[name][1]]

    def _files(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if not entry.name.lower().endswith((".json", *_DICOM)):
                        continue
                    try:
                        found = entry.stat()
                    except OSError:
                        continue  # gone since, or a link that leads nowhere
                    if stat.S_ISREG(found.st_mode):
                        yield entry.name, (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError as error:
            made = ReadError(f"cannot read: {error.strerror or error}", path=self.path)
            made.errno = error.errno
            raise made from error

    def _items_of(self, name: str) -> list[Dataset]:
        path = os.path.join(self.path, name)
        try:
            read = _read_dicom(path) if name.lower().endswith(_DICOM) else read_data_sets(path)
            if not all(items_of(item, STEPS) for item in read):
                raise CorruptError(f"an item has no {STEPS}", path=path)
        except (DicomloomError, OSError) as error:
            # Not the text of the exception, which may have values.
            _LOGGER.warning("%s: left out of the worklist: %s", path, type(error).__name__)
            return []
        return [one for item in read for one in _apart(item)]


def _apart(item: Dataset) -> Iterator[Dataset]:
    """Give an item for each of its steps: an answer has one (PS3.4 K.6.1.2)."""
    from pydicom import Dataset

    # What they have in common they share: nobody changes it, and there may be many.
    common = [element for element in item if element.tag != _STEPS]
    for step in items_of(item, STEPS):
        one = Dataset()
        for element in common:
            one.add(element)
        one.add_new(_STEPS, "SQ", [step])
        yield one


def _read_dicom(path: str) -> list[Dataset]:
    """Return the data set of a file.

    Raises
    ------
    LimitError, CorruptError
    OSError
    """
    from pydicom.filereader import read_dataset

    with open(open_regular(path), "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise LimitError(f"an item of more than {_LARGEST} bytes", path=path)
    try:
        start, implicit = _layout(data)
        check_data_set(data[start:], implicit)
        read = read_dataset(BytesIO(data[start:]), implicit, True)
    except broken() as error:
        raise CorruptError(f"no data set: {type(error).__name__}", path=path) from error
    settle(read, path)
    return [read]


def _layout(data: bytes) -> tuple[int, bool]:
    """Return where the data set of a file begins, and whether it is in Implicit VR.

    Raises
    ------
    ValueError
        It is neither in Implicit nor Explicit VR Little Endian.
    """
    from pydicom.filereader import read_dataset

    if data[128:132] != b"DICM":
        # Implicit VR has a length where explicit VR has two letters (PS3.5 7.1).
        return 0, not data[4:6].isupper()
    file = BytesIO(data)
    file.seek(132)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if syntax in _OTHERS:
        raise ValueError(syntax)
    return file.tell(), syntax == _IMPLICIT
