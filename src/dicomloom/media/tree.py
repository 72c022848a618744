"""`DicomDir`: a file-set's directory as patients, studies, series and instances."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from dicomloom.errors import CorruptError
from dicomloom.media import directory as d
from dicomloom.media.findings import Finding
from dicomloom.media.names import Root
from dicomloom.media.records import LEVELS

if TYPE_CHECKING:
    from pydicom import Dataset

StrPath = str | os.PathLike[str]

# What pydicom raises where a data set breaks the grammar of PS3.5.
_NO_DATA_SET = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class Node:
    """A directory record, and what is below it.

    Attributes
    ----------
    kind : str
        Its Directory Record Type: ``"PATIENT"``, ``"STUDY"``, ``"SERIES"``, ``"IMAGE"`` ...
    parent : Node or None
    """

    __slots__ = ("_index", "_of", "kind", "parent")

    def __init__(self, of: DicomDir, index: int, parent: Node | None) -> None:
        self._of = of
        self._index = index
        self.parent = parent
        self.kind = of._read.kinds[index]

    def __repr__(self) -> str:
        return f"<{self.kind} record at {self.offset}>"

    @property
    def offset(self) -> int:
        """Where the record lies in the DICOMDIR, in bytes."""
        return self._of._read.records.offsets[self._index]

    @property
    def children(self) -> Iterator[Node]:
        """The records below this one, made as they are asked for."""
        return (
            Node(self._of, index, self) for index in self._of._read.children.get(self._index, ())
        )

    @property
    def studies(self) -> Iterator[Node]:
        """Of a patient, the studies."""
        return (node for node in self.children if node.kind == "STUDY")

    @property
    def series(self) -> Iterator[Node]:
        """Of a study, the series."""
        return (node for node in self.children if node.kind == "SERIES")

    @property
    def instances(self) -> Iterator[Node]:
        """All records of instances below this one, at any level."""
        for node, _ in walk(self.children):
            if node.kind not in LEVELS:
                yield node

    @property
    def file_id(self) -> str:
        """Referenced File ID as it is written, "" for none."""
        return self._of._read.text(self._index, d.FILE_ID)

    @property
    def path(self) -> str | None:
        """Where the referenced file should be; None where that is out of the file-set's root."""
        return self._of._root.find(self.file_id)[0]

    @property
    def sop_class_uid(self) -> str:
        """Referenced SOP Class UID in File."""
        return self._of._read.text(self._index, d.CLASS)

    @property
    def sop_instance_uid(self) -> str:
        """Referenced SOP Instance UID in File."""
        return self._of._read.text(self._index, d.UID)

    @property
    def transfer_syntax_uid(self) -> str:
        """Referenced Transfer Syntax UID in File."""
        return self._of._read.text(self._index, d.SYNTAX)

    def get(self, keyword: str) -> str | None:
        """Return a key of this record or of one above it, as text; None where none has it."""
        if keyword == "SOPInstanceUID":
            return self.sop_instance_uid
        if keyword == "SOPClassUID":
            return self.sop_class_uid
        node: Node | None = self
        while node is not None:
            if keyword in d.SHOWN:
                value = self._of._read.shown(node._index, keyword)
            else:
                found = node.dataset.get(keyword)
                value = None if found is None else str(found)
            if value is not None:
                return value
            node = node.parent
        return None

    def matches(self, wanted: dict[str, str]) -> bool:
        """Whether all keys have these values, in which ``*`` and ``?`` stand for any."""
        return all(
            value is not None and fnmatchcase(value, pattern.replace("[", "[[]"))
            for keyword, pattern in wanted.items()
            for value in (self.get(keyword),)
        )

    @property
    def dataset(self) -> Dataset:
        """The record as a pydicom data set, read each time it is asked for.

        Raises
        ------
        CorruptError
            What is in the record is no data set.
        """
        from io import BytesIO

        from pydicom.errors import BytesLengthException
        from pydicom.filereader import read_dataset

        read = self._of._read
        start, end = read.records.contents[self._index], read.records.ends[self._index]
        try:
            content = BytesIO(read.content[start:end])
            made = read_dataset(content, not read.explicit_vr, not read.big_endian, end - start)
            made.decode()
        except (*_NO_DATA_SET, BytesLengthException) as error:
            raise CorruptError(
                f"pydicom does not read the {self.kind} record at byte {self.offset}: {error}",
                path=self._of.path,
                offset=self.offset,
            ) from error
        return made


def walk(nodes: Iterator[Node]) -> Iterator[tuple[Node, int]]:
    """Return nodes and all below them in the order of the tree, each with its depth.

    Holds an iterator a level, however many records are side by side.
    """
    below = [nodes]
    while below:
        node = next(below[-1], None)
        if node is None:
            below.pop()
        else:
            yield node, len(below) - 1
            below.append(node.children)


class DicomDir:
    """The directory of a file-set (PS3.3 annex F, PS3.10 clause 8).

    Made by `open` and `create`. Reading is tolerant: records whose offsets are wrong are found by
    their place, and `findings` says so. Holds the file and some 300 bytes a record. May be used
    from many threads once `findings` was read.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> found = DicomDir.open(get_testdata_file("DICOMDIR"))
    >>> [patient.get("PatientID") for patient in found.patients]
    ['77654033', '98890234']
    >>> sum(1 for instance in found.instances)
    31
    """

    def __init__(self, path: StrPath, made: list[Finding] | None = None) -> None:
        self.path = os.fspath(path)
        self._made = made

    @classmethod
    def open(cls, path: StrPath) -> DicomDir:
        """Read a DICOMDIR.

        Raises
        ------
        NotDicomError, CorruptError, ReadError, LimitError, UnsupportedError
        """
        made = cls(path)
        _ = made._read
        return made

    @classmethod
    def create(
        cls,
        paths: StrPath | Iterable[StrPath],
        target: StrPath | None = None,
        *,
        profile: str | None = None,
        file_set_id: str = "",
        copy_to: StrPath | None = None,
        icons: bool = False,
        jobs: int | None = None,
    ) -> DicomDir:
        """Make a DICOMDIR of files; one that stands there is replaced when all went well.

        Parameters
        ----------
        paths : path, or iterable of paths
            Files and folders.
        target : path, optional
            The DICOMDIR; by default that of the folder, where `paths` is one.
        profile : str, optional
            A general purpose profile of PS3.11, such as ``"STD-GEN-CD"``, whose transfer syntaxes
            are checked.
        file_set_id : str
            Up to 16 of ``A-Z 0-9 _`` and space.
        copy_to : path, optional
            Copy the files to a new folder, to names that PS3.10 8.5 allows; it appears when it is
            complete.
        icons : bool
            Add an Icon Image Sequence to IMAGE records (PS3.3 F.7).
        jobs : int, optional
            Threads that read.

        Returns
        -------
        DicomDir
            Its `findings` say what was left out and filled in.

        Raises
        ------
        ValueError
            An unknown profile, or a wrong File-set ID.
        NotDicomError
            There is no file to refer to.
        WriteError
            What stood there is untouched.
        """
        from dicomloom.media.create import create

        one = isinstance(paths, str | os.PathLike)
        given = [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else list(paths)
        names = [os.path.abspath(each) for each in given]
        if target is None and copy_to is None and not (one and os.path.isdir(names[0])):
            raise ValueError("say which DICOMDIR to make: target, or copy_to")
        folder = os.fspath(copy_to) if copy_to is not None else names[0]
        made = os.path.abspath(target if target is not None else os.path.join(folder, "DICOMDIR"))
        copies = None if copy_to is None else os.path.abspath(copy_to)
        findings = create(
            names,
            made,
            profile=profile,
            file_set_id=file_set_id,
            copy_to=copies,
            icons=icons,
            jobs=jobs,
        )
        return cls(made, findings)

    @cached_property
    def _read(self) -> d.Directory:
        return d.Directory(self.path)

    @cached_property
    def _root(self) -> Root:
        return Root(os.path.dirname(os.path.abspath(self.path)))

    @property
    def file_set_id(self) -> str:
        """The File-set ID."""
        return self._read.text(0, d.SET_ID)

    @property
    def children(self) -> Iterator[Node]:
        """The records of the root."""
        return (Node(self, index, None) for index in self._read.children.get(0, ()))

    @property
    def patients(self) -> Iterator[Node]:
        """The patients."""
        return (node for node in self.children if node.kind == "PATIENT")

    @property
    def instances(self) -> Iterator[Node]:
        """All records of instances, in the order of the tree."""
        for node, _ in walk(self.children):
            if node.kind not in LEVELS:
                yield node

    @property
    def findings(self) -> list[Finding]:
        """What was wrong while it was made, or when it was read."""
        return list(self._read.findings if self._made is None else self._made)
