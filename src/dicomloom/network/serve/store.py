"""C-STORE (PS3.4 B): objects of any class and syntax, straight from the network to their place."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dicomloom.errors import DicomloomError, LimitError, NetworkError
from dicomloom.frames.syntaxes import EXPLICIT_BE
from dicomloom.index.read import read_tags
from dicomloom.network import command as commands
from dicomloom.network.messages import Message
from dicomloom.network.serve.archive.places import Incoming
from dicomloom.network.serve.contexts import is_storage
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import (
    CANNOT_UNDERSTAND,
    SUCCESS,
    WRONG_CLASS,
    Context,
    Request,
    Service,
)
from dicomloom.system import read_at

# PS3.4 B.2.3, PS3.7 C.
OUT_OF_RESOURCES, NOT_MATCHING = 0xA700, 0xA900
# Bytes of a file in which its UIDs stand: what is before them is short.
_BEGINNING = 16 << 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Arrival:
    """An object that is in its place.

    Attributes
    ----------
    path, outcome : str
        See `dicomloom.network.serve.archive.places.Stored`.
    sop_class, sop_instance, transfer_syntax : str
        UIDs, as the peer sent them.
    source : str
        AE title of the peer.
    size : int
        Bytes of the data set.
    """

    path: str
    outcome: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    source: str
    size: int


class Place(Protocol):
    """Where objects go; see `dicomloom.network.serve.archive.places.Places`."""

    folder: str

    def open(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax: str,
        source: str,
        receiving: str,
    ) -> Incoming:
        """Begin an object."""


class Storage(Service):
    """C-STORE of any class that is no other service's.

    Parameters
    ----------
    place : Place
    arrived : callable, optional
        Called with each `Arrival` before its sender is answered, in the thread of the association;
        raising `Refusal` makes the answer another.
    max_object : int or None
        Bytes of the largest data set that is taken.
    min_free : int
        Bytes that have to be free on the disk before an object is taken.
    """

    syntaxes = None

    def __init__(
        self,
        place: Place,
        arrived: Callable[[Arrival], None] | None = None,
        *,
        max_object: int | None = None,
        min_free: int = 0,
    ) -> None:
        super().__init__({commands.C_STORE: self.store})
        self._place, self._arrived = place, arrived
        self._max_object, self._min_free = max_object, min_free

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is a storage class, or unknown."""
        return is_storage(abstract_syntax)

    def store(self, request: Request) -> None:
        """Take one object."""
        check_room(self._place.folder, self._min_free, OUT_OF_RESOURCES)
        arrival = take(
            request.message,
            request.context,
            self._place,
            request.acceptor.node.ae_title,
            request.acceptor.listener.terms.ae_title,
            max_object=self._max_object,
        )
        request.acceptor.received += arrival.size
        if self._arrived is not None:
            self._arrived(arrival)
        request.answer(SUCCESS)


def take(
    message: Message,
    context: Context,
    place: Place,
    source: str,
    receiver: str,
    *,
    max_object: int | None = None,
) -> Arrival:
    """Bring the object of a C-STORE request to its place; the answer is the caller's.

    Parameters
    ----------
    message : Message
    context : Context
        Its presentation context.
    place : Place
    source, receiver : str
        AE titles of the peer and of ourselves.
    max_object : int or None
        Bytes of the largest data set that is taken.

    Raises
    ------
    Refusal
        The request is none that can be done, or the object could not be brought to the disk: then
        an OSError is its cause, and the status says that the object is not at fault.
    NetworkError, ConnectionError, TimeoutError
        It did not come whole.
    """
    uid = commands.text(message.command, "AffectedSOPInstanceUID")
    if commands.text(message.command, "AffectedSOPClassUID") != context.abstract_syntax:
        raise Refusal(WRONG_CLASS, "the presentation context is of another SOP class")
    if not commands.has_data_set(message.command):
        raise Refusal(CANNOT_UNDERSTAND, "the data set is missing")
    syntax = context.transfer_syntax
    try:
        with place.open(context.abstract_syntax, uid, syntax, source, receiver) as incoming:
            size = message.write_to(incoming.file.fileno(), max_object)
            _check(incoming.file.fileno(), size, context, uid)
            stored = incoming.commit()
    except LimitError as error:
        raise Refusal(OUT_OF_RESOURCES, f"more than {max_object} bytes") from error
    except OSError as error:
        if isinstance(error, NetworkError | ConnectionError | TimeoutError):
            raise
        why = "the disk is full" if error.errno in _FULL else "it cannot be written here"
        raise Refusal(OUT_OF_RESOURCES, why) from error
    return Arrival(*stored, context.abstract_syntax, uid, syntax, source, size)


def _check(descriptor: int, size: int, context: Context, sop_instance: str) -> None:
    """Hold the data set at the end of a file against what the request said of it (PS3.4 B.2.3).

    Raises
    ------
    Refusal
        It is another object, or broken. One without these UIDs is taken as it is.
    """
    group = read_at(descriptor, 2, os.lseek(descriptor, 0, os.SEEK_CUR) - size)
    if group == (b"\0\2" if context.transfer_syntax == EXPLICIT_BE else b"\2\0"):
        # In the file it would count as meta information, and might say another transfer syntax.
        raise Refusal(CANNOT_UNDERSTAND, "the data set begins with group 0002")
    wanted = {"SOPClassUID": context.abstract_syntax, "SOPInstanceUID": sop_instance}
    beginning = read_at(descriptor, _BEGINNING, 0)
    try:
        found = read_tags(beginning, wanted)
    except DicomloomError as error:
        if len(beginning) < _BEGINNING:
            raise Refusal(CANNOT_UNDERSTAND, f"the data set is broken: {error.message}") from error
        found = error.values
        if None in found.values():
            # Something long is before them. Whoever asks for the object goes by what it says.
            found = _in_all(descriptor, wanted)
    for keyword, uid in wanted.items():
        if found.get(keyword) not in (uid, None):
            raise Refusal(NOT_MATCHING, f"{keyword} of the data set is not that of the request")


def _in_all(descriptor: int, wanted: Iterable[str]) -> dict[str, str | None]:
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        at = file.seek(0, os.SEEK_CUR)
        try:
            file.seek(0)
            return read_tags(file, wanted)
        except DicomloomError as error:
            return error.values
        finally:
            file.seek(at)


def check_room(folder: str, least: int, status: int) -> None:
    """Raise `Refusal` with this status where fewer bytes are free on a folder's disk."""
    if least and _free(folder) < least:
        raise Refusal(status, "the disk is as full as it may be")


def _free(folder: str) -> int:
    return shutil.disk_usage(folder).free
