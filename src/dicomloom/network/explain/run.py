"""`explain`: what went wrong, and what to try."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple, overload

from dicomloom.errors import NetworkError, NodeError, ReadError
from dicomloom.network.explain.log import MOST_OPEN, Log
from dicomloom.network.explain.steps import Diagnosis, diagnose
from dicomloom.network.node import Node

_PATH = re.compile(r"[/\\]|\.(?:log|txt|gz|out)(?:\.\d+)?$", re.IGNORECASE)


def not_found(text: str, error: NodeError) -> NodeError | ReadError:
    """Return the exception of what is neither a log nor a node, by what it looks like."""
    if "@" not in text and _PATH.search(text):
        return ReadError("there is no such log", path=text)
    return error


class Explanation(NamedTuple):
    """What an exception means; `explain` of one gives it.

    Attributes
    ----------
    node : str
        ``AET@host:port``.
    trouble : str
        What went wrong.
    hint : str
        What to try.
    error : str
        The class of the exception.
    """

    node: str
    trouble: str
    hint: str
    error: str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in types that JSON has."""
        return self._asdict()


@overload
def explain(what: NetworkError) -> Explanation: ...
@overload
def explain(what: Node, *, other_titles: bool = ...) -> Diagnosis: ...
@overload
def explain(what: os.PathLike[str], *, most_open: int = ...) -> Log: ...
@overload
def explain(what: str, *, other_titles: bool = ..., most_open: int = ...) -> Log | Diagnosis: ...
def explain(
    what: NetworkError | Node | os.PathLike[str] | str,
    *,
    other_titles: bool = True,
    most_open: int = MOST_OPEN,
) -> Explanation | Diagnosis | Log:
    """Tell what went wrong, and what to try: in a log, on the way to a node, in an exception.

    A verbose log of DCMTK, pynetdicom, dcm4che or fo-dicom, also gzipped, is read line by line;
    memory does not grow with it. Associations of several processes, threads or connections are
    kept apart where the lines name them: DCMTK's by process or thread (``%i``, ``%t`` of its
    logger), dcm4che's by its number, fo-dicom's by AE title, pynetdicom's by process, not by
    thread: several of its threads share an association. By default DCMTK and pynetdicom name none.

    A node is tried step by step: name, TCP, TLS, association, Verification, C-ECHO (PS3.4 A).
    After a failure it is tried whether TLS instead of plain, plain instead of TLS, or another AE
    title would do.

    All results have ``trouble`` and ``hint``, both "" where all was well, and ``as_dict()``; of a
    log each of the associations that it gives.

    Parameters
    ----------
    what : NetworkError, Node, os.PathLike or str
        A str is the path of a log that exists, "-" (stdin), ``AET@host:port`` or the name of a
        node.
    other_titles : bool
        Of a node: whether to try up to 4 other AE titles where it rejects these.
    most_open : int
        Of a log: how many associations may be open at a time; the oldest of more is given with
        the outcome ``dropped``.

    Returns
    -------
    Explanation, Diagnosis or Log

    Raises
    ------
    NodeError
        `what` is neither a node nor a file.
    ReadError, TruncatedError
        The log cannot be read; raised while it is being read.

    Examples
    --------
    >>> explain(Node("PACS@127.0.0.1:1")).hint
    'nothing listens there: check that the peer runs, and its port'
    """
    if isinstance(what, NetworkError):
        return Explanation(what.node, what.message, what.hint, type(what).__name__)
    if isinstance(what, Node):
        return diagnose(what, other_titles)
    path = os.fspath(what)
    if path == "-" or not isinstance(what, str) or os.path.exists(path):
        return Log(path, most_open)
    try:
        node = Node.of(path)
    except NodeError as error:
        raise not_found(path, error) from error
    return diagnose(node, other_titles)
