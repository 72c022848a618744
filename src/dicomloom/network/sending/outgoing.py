"""What is there to be sent: files, by SOP class and transfer syntax; what to propose for them."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple, Protocol

from dicomloom.frames.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from dicomloom.index.scan import Scan, StrPath, scan

# The last tag there is: to look for it is to walk over the whole of an object, so that one that is
# cut off is told before a part of it is sent.
_END = "(FFFC,FFFC)"
_SYNTAX, _MEDIA_CLASS = "(0002,0010)", "(0002,0002)"
# What goes into a command set and a presentation context, be it as PS3.5 9.1 wants it or not.
_UID = re.compile(r"[!-\[\]-~]{1,64}")
_DICOMDIR = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: not for the network
# PS3.8 9.3.2.2: presentation contexts of an association.
MOST_CONTEXTS = 128

Pair = tuple[str, str]  # SOP class UID, transfer syntax UID
Proposal = tuple[str, tuple[str, ...]]  # the same, with a choice of transfer syntaxes


class Outgoing(NamedTuple):
    """An object in a file.

    Attributes
    ----------
    path : str
    sop_class, sop_instance : str
        UIDs; "" where `fault` says that there is no object.
    transfer_syntax : str
        UID.
    fault : str
        Why it cannot be sent; "" where it can.
    size : int or None
        Bytes of the file when it was looked over; None where it was not.
    """

    path: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    fault: str = ""
    size: int | None = None

    @property
    def pair(self) -> Pair:
        """SOP class and transfer syntax, what a presentation context is proposed for."""
        return self.sop_class, self.transfer_syntax


class Choice(Protocol):
    """Objects that are to be sent; they may be looked over more than once."""

    def __iter__(self) -> Generator[Outgoing, None, None]:
        """Give all of them."""

    def pairs(self) -> set[Pair]:
        """Return what SOP classes in which transfer syntaxes there are."""


class Selection:
    """Files and folders, which may be looked over more than once.

    Nothing is held however many files there are: each look is a scan (see `dicomloom.scan`).

    Parameters
    ----------
    paths : iterable of str or path-like
        Files, and folders with all that is below them. Of folders, what is no DICOM is left out; a
        file that is named is told.
    threads : int, optional
        That read.
    """

    def __init__(self, paths: Iterable[StrPath], threads: int | None = None) -> None:
        self._paths = [os.fspath(path) for path in paths]
        self._named = {path for path in self._paths if not os.path.isdir(path)}
        self._threads = threads

    def _scan(self, *tags: str, file_info: bool = False) -> Scan:
        return scan(self._paths, tags, threads=self._threads, batch_size=1024, file_info=file_info)

    def __iter__(self) -> Generator[Outgoing, None, None]:
        """Give all objects, and what should be one and is not, in no particular order."""
        tags = ("SOPClassUID", "SOPInstanceUID", _SYNTAX, _MEDIA_CLASS)
        names = ("Filename", "Status", *tags, "Error", "FileSize")
        with self._scan(*tags, _END, file_info=True) as found:
            for batch in found:
                columns = (batch.column(name) for name in names)
                for path, status, *uids, error, size in zip(*columns, strict=True):
                    made = self._object(str(path), str(status), uids, error)
                    if made is not None:
                        yield made._replace(size=size)

    def _object(
        self, path: str, status: str, uids: Sequence[object], error: object
    ) -> Outgoing | None:
        sop_class, sop_instance, syntax, media_class = (str(uid or "") for uid in uids)
        fault = "" if status == "OK" else str(error)
        if media_class == _DICOMDIR:
            fault = "not for the network: a DICOMDIR"
        if fault.startswith("not ") and path not in self._named:
            return None
        syntax = syntax or IMPLICIT_LE
        named = {"SOPClassUID": sop_class, "SOPInstanceUID": sop_instance}
        for name, uid in (named | {"TransferSyntaxUID": syntax}).items():
            if not fault and not _UID.fullmatch(uid):
                fault = f"its {name} is no UID" if uid else f"it has no {name}"
        return Outgoing(path, sop_class, sop_instance, syntax, fault)

    def pairs(self) -> set[Pair]:
        """Return what SOP classes in which transfer syntaxes there are."""
        found: set[Pair] = set()
        with self._scan("SOPClassUID", _SYNTAX, _MEDIA_CLASS) as scanned:
            for batch in scanned:
                columns = [batch.column(name) for name in ("SOPClassUID", _SYNTAX, _MEDIA_CLASS)]
                for sop_class, syntax, media_class in zip(*columns, strict=True):
                    pair = str(sop_class or ""), str(syntax or IMPLICIT_LE)
                    if media_class != _DICOMDIR and all(map(_UID.fullmatch, pair)):
                        found.add(pair)
        return found


def proposals(pairs: Iterable[Pair], *, transcode: bool = True) -> list[list[Proposal]]:
    """Return what to propose for SOP classes in transfer syntaxes: a list an association.

    Each pair has a context of its own, so that the peer cannot choose another transfer syntax for
    an object while it would take the one it has. Where that may be changed, another context of each
    class has what every peer can read (PS3.5 10.1).

    Parameters
    ----------
    pairs : iterable of (str, str)
    transcode : bool
        Whether to propose uncompressed transfer syntaxes besides.

    Examples
    --------
    >>> proposals([("1.2", "1.2.840.10008.1.2.4.70")])
    [[('1.2', ('1.2.840.10008.1.2.4.70',)), ('1.2', ('1.2.840.10008.1.2.1', '1.2.840.10008.1.2'))]]
    """
    by_class: dict[str, list[str]] = {}
    for sop_class, syntax in sorted(pairs):
        by_class.setdefault(sop_class, []).append(syntax)
    made: list[list[Proposal]] = []
    for sop_class, syntaxes in by_class.items():
        contexts: list[Proposal] = [(sop_class, (syntax,)) for syntax in syntaxes]
        more = tuple(uid for uid in (EXPLICIT_LE, IMPLICIT_LE) if uid not in syntaxes)
        room = MOST_CONTEXTS - bool(more and transcode)
        for at in range(0, len(contexts), room):
            part = contexts[at : at + room]
            if more and transcode:
                part.append((sop_class, more))
            if made and len(made[-1]) + len(part) <= MOST_CONTEXTS:
                made[-1] += part
            else:
                made.append(part)
    return made
