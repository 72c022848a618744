"""Where received objects lie, and how one gets there whole.

An object is written while it is received, when nothing of it is known but its command set. So its
place follows from the SOP Instance UID alone: ``objects/9c/1.2.3.dcm``, where 9c is a hash of the
UID: 256 folders hold a million objects with 4,000 in each, in whatever order UIDs are given out.
Study and series are the business of the catalog, and no value of a data set is part of a path.

Until it is whole an object has a random name in ``.incoming``. That is one folder, so what a crash
left is found without a walk, and it is beside ``objects``, so no scan of that meets halves.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import re
import struct
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import WriteError
from dicomloom.files import NO_LINKS, EagerFile, Partial, make_folders, writing
from dicomloom.network import words
from dicomloom.network.serve.refusal import Refusal
from dicomloom.system import BYTES, lock_folder, sync_folder
from dicomloom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_LOGGER = logging.getLogger("dicomloom.network")
OBJECTS, INCOMING = "objects", ".incoming"
DUPLICATES = ("keep", "reject", "version", "replace")
# PS3.5 9.1, but for leading zeros and empty components, which are many and make no harm in a name.
_UID = re.compile(r"[0-9][0-9.]{0,63}")
# PS3.7 Annex C and PS3.4 B.2.3.
_DUPLICATE, _INVALID_INSTANCE, _NO_SUCH_CLASS = 0x0111, 0x0117, 0x0118
_CANNOT_UNDERSTAND = 0xC000


def is_safe_uid(text: str) -> bool:
    """Whether this is a UID, strict or not, that can be the name of a file.

    Examples
    --------
    >>> is_safe_uid("1.2.840.10008.1.2"), is_safe_uid("../../etc"), is_safe_uid("1.2/3")
    (True, False, False)
    """
    return _UID.fullmatch(text) is not None


class Stored(NamedTuple):
    """Where an object is now.

    Attributes
    ----------
    path : str
    outcome : str
        ``new``, or where there was one already ``kept`` (that one is at `path`; what came is gone),
        ``replaced``, or ``version`` (both are there).
    """

    path: str
    outcome: str


class Places:
    """The folder of an archive, as far as its files go. Can be used from many threads.

    Parameters
    ----------
    folder : str or path-like
        Made where it is absent. What an earlier server left half is removed.
    duplicates : {"keep", "reject", "version", "replace"}
        What to do with an object whose SOP Instance UID is here: keep the first and say so in the
        log, refuse it with status 0111, name it ``<uid>-1.dcm``, ``<uid>-2.dcm`` ... (a dot before
        the number would make it another UID), or put it in the place of the first.
    sync : bool
        Bring each object to the disk before it is said to be stored.

    Raises
    ------
    WriteError
        The folder cannot be written to, or another server has it.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, duplicates: str = "keep", sync: bool = True
    ) -> None:
        if duplicates not in DUPLICATES:
            raise ValueError(f"duplicates: expected {', '.join(DUPLICATES)}, not {duplicates!r}")
        self.folder = os.path.realpath(folder)
        self.duplicates = duplicates
        self.sync = sync
        self._naming = threading.Lock()
        self._own: set[str] = set()
        self._incoming = os.path.join(self.folder, INCOMING)
        with writing(self.folder):
            make_folders(os.path.join(self.folder, OBJECTS), sync=sync)
            make_folders(self._incoming, sync=sync)
            try:
                self._lock = lock_folder(self._incoming)
            except BlockingIOError as error:
                message = "another server stores here: end it, or choose another folder"
                raise WriteError(message, path=self.folder) from error
            try:
                self._tidy()
            except BaseException:
                os.close(self._lock)
                raise

    def _tidy(self) -> None:
        """Remove what was left when nobody was in."""
        left = [name for name in os.listdir(self._incoming) if name.endswith(".partial")]
        for name in left:
            os.unlink(os.path.join(self._incoming, name))
        if left:
            _LOGGER.warning("%s: removed %d objects that had come half", self.folder, len(left))

    def close(self) -> None:
        """Let another server have the folder; what is being received can still be committed."""
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # nothing was written through it
                os.close(descriptor)

    def of(self, sop_instance_uid: str) -> str:
        """Return where an instance lies, or would.

        Raises
        ------
        Refusal
            Status 0117: that is no UID.
        """
        _check_instance(sop_instance_uid)
        digest = hashlib.blake2b(sop_instance_uid.encode(), digest_size=1).hexdigest()
        return os.path.join(self.folder, OBJECTS, digest, f"{sop_instance_uid}.dcm")

    def open(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax: str,
        source: str,
        receiving: str,
    ) -> Incoming:
        """Begin a file: preamble and file meta information (PS3.10 7.1) are in it.

        Parameters
        ----------
        sop_class_uid, sop_instance_uid : str
            Of the command set.
        transfer_syntax : str
            Of the presentation context.
        source, receiving : str
            AE titles of the peer and of ourselves.

        Raises
        ------
        Refusal
            A UID is none.
        WriteError
            The system would not let the file be written.
        """
        path = self.of(sop_instance_uid)
        head = checked_head(sop_class_uid, sop_instance_uid, transfer_syntax, source, receiving)
        return Incoming.begin(
            self._incoming, path, head, lambda name: self.place(name, path), sync=self.sync
        )

    def place(self, name: str, path: str) -> Stored:
        """Give a whole file its name, as the rule for duplicates has it."""
        self._check_own(os.path.dirname(path))
        if self._put(name, path):
            return Stored(path, "new")
        uid = os.path.basename(path).removesuffix(".dcm")
        if self.duplicates == "reject":
            raise Refusal(_DUPLICATE, "there is an object of this SOP Instance UID already")
        if self.duplicates == "replace":
            os.replace(name, path)
            if self.sync:
                sync_folder(os.path.dirname(path))
            return Stored(path, "replaced")
        if self.duplicates == "version":
            for number in itertools.count(1):
                version = f"{path.removesuffix('.dcm')}-{number}.dcm"
                if self._put(name, version):
                    return Stored(version, "version")
        if not os.path.isfile(path):
            message = "a folder, or a link that leads nowhere, is in the place of an object"
            raise WriteError(message, path=path)
        _LOGGER.warning("%s came again: what was here first is kept", words.printable(uid))
        if self.sync:
            sync_kept(path)
        return Stored(path, "kept")

    def _check_own(self, folder: str) -> None:
        """Raise WriteError where a link leads out: what lies behind it, the catalog never finds."""
        if folder not in self._own:
            if os.path.realpath(folder) != folder:
                message = "it is a link, or below one: let the folder of all be a link instead"
                raise WriteError(message, path=folder)
            self._own.add(folder)

    def _put(self, name: str, path: str) -> bool:
        return put(name, path, self._naming, sync=self.sync)


def put(name: str, path: str, naming: threading.Lock, *, sync: bool) -> bool:
    """Name a file unless there is one of that name, in one step; whether that was done.

    Parameters
    ----------
    name, path : str
        What it is called now, and what it is to be called; folders are made.
    naming : threading.Lock
        Of all who name files there, for file systems without hard links.
    sync : bool
        Bring the name to the disk.
    """
    folder = os.path.dirname(path)
    try:
        try:
            os.link(name, path)
        except FileNotFoundError:
            make_folders(folder, sync=sync)
            os.link(name, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Nobody else names files here: the folder is ours.
        with naming:
            if os.path.lexists(path):
                return False
            os.rename(name, path)
    if sync:
        sync_folder(folder)
    return True


def sync_kept(path: str) -> None:
    """Bring an object to the disk that is kept in place of what came.

    Whoever wrote it may be about to do that, may have failed at it, or was told not to.
    """
    descriptor = os.open(path, os.O_RDONLY | BYTES)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(os.path.dirname(path))


class Incoming:
    """An object that is being received.

    A context manager: left before `commit` was called, it leaves nothing.

    Parameters
    ----------
    partial : Partial
    path : str
        What it is called in errors.
    place : callable
        Gives the whole file, of that name, the name it is to have.
    sync : bool
        Bring it to the disk before that.

    Attributes
    ----------
    file : EagerFile
        Takes the data set, as it comes.
    """

    def __init__(
        self, partial: Partial, path: str, place: Callable[[str], Stored], *, sync: bool
    ) -> None:
        self.path = path
        self.file: EagerFile = partial.file
        self._partial, self._place, self._sync = partial, place, sync

    @classmethod
    def begin(
        cls, folder: str, path: str, head: bytes, place: Callable[[str], Stored], *, sync: bool
    ) -> Incoming:
        """Begin a file with a hidden name in a folder; `head` is in it.

        Raises
        ------
        WriteError
            The system would not let the file be written; nothing is left of it.
        """
        made = cls(Partial.within(folder, path), path, place, sync=sync)
        try:
            made.write(head)
        except BaseException:
            made.discard()
            raise
        return made

    def write(self, data: Buffer) -> None:
        """Append bytes of the data set.

        Raises
        ------
        WriteError
            The disk is full, or another fault; what was written is to be discarded.
        """
        with writing(self.path):
            self.file.write_all([data])

    def commit(self) -> Stored:
        """Give the file its name. Whatever happens, nothing half is left.

        Returns
        -------
        Stored

        Raises
        ------
        Refusal
            Status 0111: duplicates are rejected, and there is one.
        WriteError
            It could not be brought to the disk; what was there is untouched.
        """
        try:
            with writing(self.path):
                if self._sync:
                    self._partial.seal()
                else:
                    self.file.close()
                return self._place(self._partial.name)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written, unless it has its name."""
        self._partial.discard()

    def __enter__(self) -> Incoming:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Discard it, unless it was committed."""
        self.discard()


def checked_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, source: str, receiving: str
) -> bytes:
    """Return what `file_head` does; `Refusal` where a UID is none."""
    _check_instance(sop_instance_uid)
    if not is_safe_uid(sop_class_uid):
        raise Refusal(_NO_SUCH_CLASS, "the SOP Class UID is no UID (PS3.5 9.1)")
    if not is_safe_uid(transfer_syntax):
        raise Refusal(_CANNOT_UNDERSTAND, "the transfer syntax is no UID (PS3.5 9.1)")
    return file_head(sop_class_uid, sop_instance_uid, transfer_syntax, source, receiving)


def _check_instance(uid: str) -> None:
    if not is_safe_uid(uid):
        raise Refusal(_INVALID_INSTANCE, "the SOP Instance UID is no UID (PS3.5 9.1)")


def file_head(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax: str, source: str, receiving: str
) -> bytes:
    """Return preamble and file meta information of a received object (PS3.10 7.1).

    Built by hand: a server makes thousands a second. AE titles that are none are left out.

    Examples
    --------
    >>> head = file_head("1.2.840.10008.5.1.4.1.1.7", "1.2.3", "1.2.840.10008.1.2", "CAMERA", "ME")
    >>> head[128:132], len(head) % 2
    (b'DICM', 0)
    """
    before, after = _meta(sop_class_uid, transfer_syntax, source, receiving)
    instance = _element(0x0003, b"UI", sop_instance_uid)
    length = len(before) + len(instance) + len(after)
    group = struct.pack("<HH2sHL", 2, 0, b"UL", 4, length)
    return b"".join((bytes(128), b"DICM", group, before, instance, after))


@lru_cache(maxsize=256)
def _meta(sop_class: str, syntax: str, source: str, receiving: str) -> tuple[bytes, bytes]:
    """Return what an association's objects have in common: before and behind the instance."""
    version = struct.pack("<HH2sHL", 2, 1, b"OB", 0, 2) + b"\0\1"
    before = version + _element(0x0002, b"UI", sop_class)
    after = [
        _element(0x0010, b"UI", syntax),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
    ]
    for number, given in ((0x0016, source), (0x0017, source), (0x0018, receiving)):
        title = given.strip(" \0")
        if 0 < len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title:
            after.append(_element(number, b"AE", title))
    return before, b"".join(after)


def _element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value
