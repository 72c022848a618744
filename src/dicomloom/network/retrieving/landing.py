"""Where retrieved objects lie: a folder whose paths follow a pattern of their attributes.

An object is written under a hidden random name in the folder while it comes; when it is whole, its
header says what its name is. What a peer wrote into the header is made fit for a name first.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import string
import threading
from collections import deque
from collections.abc import Iterator, Mapping

from dicomloom.errors import DicomloomError, ReadError
from dicomloom.files import make_folders
from dicomloom.network.serve.archive.places import (
    Incoming,
    Stored,
    checked_head,
    put,
    sync_kept,
)
from dicomloom.system import sync_folder
from dicomloom.tags import parse_tag

LAYOUT = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
EXISTING = ("keep", "replace", "version")
# What is named of objects that failed, came unasked or are odd: a peer may say as much as it likes.
MOST_NAMED = 100_000
_INSTANCE = "SOPInstanceUID"
_ABSENT = "none"
# Besides letters and digits of any script.
_FIT = frozenset(" .-_^+=,@#()~")
# Characters that a name may not begin with: hidden files, options, home folders, blanks.
_NOT_FIRST, _NOT_LAST = ".-~ ", ". "
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9\xb9\xb2\xb3]|LPT[0-9\xb9\xb2\xb3])", re.IGNORECASE
)
# Characters of a value; bytes of a name, so that a UID, a number and an ending still fit in 255.
_LONGEST_VALUE, _LONGEST_NAME = 64, 160


def fit_name(value: str | None) -> str:
    """Return a value as a part of a path: never hidden, never leading out, not too long.

    What has to be changed gets a hash of the whole value, so that two values never become one.

    Examples
    --------
    >>> fit_name("1.2.840"), fit_name("DOE^JANE"), fit_name(None)
    ('1.2.840', 'DOE^JANE', 'none')
    >>> fit_name("../../etc")
    '_._.._etc-f470a0ab'
    """
    text = (value or "").strip(" \0")
    if not text:
        return _ABSENT
    kept = "".join(one if one.isalnum() or one in _FIT else "_" for one in text)[:_LONGEST_VALUE]
    if kept[0] in _NOT_FIRST:
        kept = "_" + kept[1:]
    if kept[-1] in _NOT_LAST:
        kept = kept[:-1] + "_"
    return kept if kept == text and text != _ABSENT else f"{kept}-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


class Layout:
    """A pattern of paths, such as ``{PatientID}/{StudyDate}/{SOPInstanceUID}.dcm``.

    Parameters
    ----------
    pattern : str
        A relative path; keywords or tags in braces stand for the values of an object.

    Raises
    ------
    TagError
        What stands in braces is no attribute.
    ValueError
        The pattern is no path below a folder, or would hide what it names.

    Examples
    --------
    >>> layout = Layout("{PatientID}/{Modality}{InstanceNumber}.dcm")
    >>> layout.path_of({"PatientID": "1", "Modality": "CT", "InstanceNumber": "7"})
    '1/CT7.dcm'
    """

    def __init__(self, pattern: str) -> None:
        try:
            parts = [list(string.Formatter().parse(part)) for part in pattern.split("/")]
        except ValueError as error:
            raise ValueError(f"layout: {pattern!r}: {error}") from None
        self._parts = [[(text, field) for text, field, _, _ in part] for part in parts]
        self.tags: list[str] = []
        for part in parts:
            for _, field, style, conversion in part:
                if field is None:
                    continue
                if style or conversion:
                    raise ValueError(
                        f"layout: expected a keyword in braces, not {field!r} in style"
                    )
                parse_tag(field)
                self.tags.append(field)
        for name in pattern.split("/"):
            if not name or name[0] == "." or "\0" in name or len(name) > 200:
                raise ValueError(
                    f"layout: expected a path such as {LAYOUT}, without empty, hidden or very long "
                    f"parts, not {pattern!r}"
                )

    def path_of(self, values: Mapping[str, str | None]) -> str:
        """Return the path of an object, relative to the folder."""
        return "/".join(self._name(part, values) for part in self._parts)

    def _name(self, part: list[tuple[str, str | None]], values: Mapping[str, str | None]) -> str:
        name = "".join(
            text + ("" if field is None else fit_name(values.get(field))) for text, field in part
        )
        if _DEVICE.fullmatch(name.partition(".")[0].rstrip()):
            # Windows, or a share of it, takes it for a device, whatever it ends in.
            stem, dot, ending = name.partition(".")
            name = f"{stem}-{_hash(name)}{dot}{ending}"
        if len(os.fsencode(name)) <= _LONGEST_NAME:
            return name
        stem, ending = _apart(name)
        room = _LONGEST_NAME - len(ending) - 9
        cut = os.fsencode(stem)[:room].decode("utf-8", "ignore")  # whole characters
        return f"{cut}-{_hash(name)}{ending}"


def _apart(name: str) -> tuple[str, str]:
    return (name[:-4], ".dcm") if name.endswith(".dcm") else (name, "")


class Folder:
    """A folder that takes objects from any number of threads.

    Parameters
    ----------
    folder : str or path-like
        Made where it is absent.
    layout : Layout
    existing : {"keep", "replace", "version"}
        What to do with an object that has its place there already: keep that one, put the new one
        in its place, or name the new one ``<name>-1.dcm``, ``<name>-2.dcm``. Another object in that
        place, by its SOP Instance UID, is never touched: then the UID becomes part of the name.
    sync : bool
        Bring each object to the disk before it is said to be stored.

    Attributes
    ----------
    remarks : deque of (str, str)
        SOP Instance UID, and what is wrong with the object, of those that were odd; up to 100,000.
    untold : int
        How many more were odd.

    Raises
    ------
    ValueError
        There is no such way to treat what exists.
    WriteError
        The folder cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        layout: Layout,
        existing: str,
        *,
        sync: bool = True,
    ) -> None:
        if existing not in EXISTING:
            raise ValueError(f"existing: expected {', '.join(EXISTING)}, not {existing!r}")
        self.folder = os.path.realpath(folder)
        self.remarks: deque[tuple[str, str]] = deque()
        self.untold = 0
        self._layout, self._existing, self.sync = layout, existing, sync
        self._naming = threading.Lock()
        make_folders(self.folder, sync=sync)

    def open(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax: str,
        source: str,
        receiving: str,
    ) -> Incoming:
        """Begin an object: preamble and file meta information are in the file.

        Raises
        ------
        Refusal
            A UID is none.
        WriteError
            The system would not let the file be written.
        """
        head = checked_head(sop_class_uid, sop_instance_uid, transfer_syntax, source, receiving)
        return Incoming.begin(
            self.folder,
            self.folder,
            head,
            lambda name: self.place(name, sop_instance_uid),
            sync=self.sync,
        )

    def place(self, name: str, uid: str) -> Stored:
        """Give a whole file its name."""
        first = os.path.join(self.folder, self._layout.path_of(self._values(name, uid)))
        for path in _candidates(first, uid):
            if self._put(name, path):
                return Stored(path, "new")
            if _instance_of(path) == uid:
                break
        if self._existing == "replace":
            os.replace(name, path)
            if self.sync:
                sync_folder(os.path.dirname(path))
            return Stored(path, "replaced")
        if self._existing == "version":
            stem, ending = _apart(path)
            for number in itertools.count(1):
                if self._put(name, version := f"{stem}-{number}{ending}"):
                    return Stored(version, "version")
        if self.sync:
            sync_kept(path)
        return Stored(path, "kept")

    def _put(self, name: str, path: str) -> bool:
        return put(name, path, self._naming, sync=self.sync)

    def _values(self, name: str, uid: str) -> dict[str, str | None]:
        """Return what the pattern needs; the UID is the one that the peer counts the object by."""
        from dicomloom.index.read import read_tags

        try:
            values = read_tags(name, {*self._layout.tags, _INSTANCE})
        except ReadError:
            raise  # the system is at fault, not the object: it would get a wrong name
        except DicomloomError as error:
            values = error.values
            self._remark(uid, "its header cannot be read")
        else:
            if values[_INSTANCE] is None:
                self._remark(uid, "its data set has no SOP Instance UID")
        return {**values, _INSTANCE: uid}

    def _remark(self, uid: str, reason: str) -> None:
        with self._naming:
            if len(self.remarks) < MOST_NAMED:
                self.remarks.append((uid, reason))
            else:
                self.untold += 1


def _candidates(path: str, uid: str) -> Iterator[str]:
    """Give the names that an object may have, where others have the first ones."""
    yield path
    stem, ending = _apart(path)
    yield f"{stem}-{uid}{ending}"
    for number in itertools.count(1):
        yield f"{stem}-{uid}-{number}{ending}"


def _instance_of(path: str) -> str:
    """Return which instance a file is said to be of; "" where it does not say."""
    from dicomloom.index.read import read_tags

    try:
        return read_tags(path, "(0002,0003)")["(0002,0003)"] or ""
    except DicomloomError:
        return ""
