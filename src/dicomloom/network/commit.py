"""Storage commitment as its user (PS3.4 J, push model): does a node promise to keep objects?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import CorruptError, NetworkError, StateError
from dicomloom.network.node import Node, check_ae_title, read_listen

if TYPE_CHECKING:
    from dicomloom.index.scan import StrPath
    from dicomloom.network.commitment.results import Results
    from dicomloom.network.commitment.state import CommitState

# A day, as of `Node`.
_LONGEST_WAIT = 86400.0


class Referenced(NamedTuple):
    """An object, by its UIDs."""

    SOPClassUID: str
    SOPInstanceUID: str


class Uncommitted(NamedTuple):
    """An object that the node does not promise to keep.

    Attributes
    ----------
    SOPClassUID, SOPInstanceUID : str
    reason : int or None
        Failure Reason (0008,1197); None where the node gives none.
    meaning : str
        The same in words (PS3.3 C.14.1.1).
    """

    SOPClassUID: str
    SOPInstanceUID: str
    reason: int | None
    meaning: str


class LeftOut(NamedTuple):
    """A file that was not asked for.

    Attributes
    ----------
    path : str
    reason : str
    """

    path: str
    reason: str


@dataclass
class CommitReport:
    """What a node says of the objects that it was asked to keep.

    Attributes
    ----------
    node : str
        ``AET@host:port``.
    transaction_uids : list of str
        Of all requests, those that were sent again included.
    committed : list of Referenced
        What it promises to keep.
    failed : list of Uncommitted
        What it does not.
    pending : list of Referenced
        What it has not told yet: with a state file, `commit_wait` goes on.
    foreign : list of Referenced
        What it told of and was not asked, 10,000 at most.
    left_out : list of LeftOut
        Files that were not asked for, since they are not as they should be.
    ways : list of str
        How reports came: ``same association``, ``later association``, ``reverse association``.
    trouble : str
        What went wrong last on the network; "" where nothing did.
    seconds : float
    """

    node: str
    transaction_uids: list[str] = field(default_factory=list)
    committed: list[Referenced] = field(default_factory=list)
    failed: list[Uncommitted] = field(default_factory=list)
    pending: list[Referenced] = field(default_factory=list)
    foreign: list[Referenced] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    trouble: str = ""
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the node promises to keep all that was given."""
        return not (self.failed or self.pending or self.left_out)


@dataclass(frozen=True)
class CommitOptions:
    """How to ask for storage commitment; the keyword arguments of `commit`.

    Attributes
    ----------
    wait : float
        Seconds to wait for the result, 0 to 86400, once all is asked for.
    listen : str or None
        ``ADDRESS:PORT`` of this machine where the node may bring the result.
    state : path or None
        A file of what was asked and told, so that `commit_wait` can go on.
    callers : tuple of str
        AE titles that may bring the result, besides that of the node.
    """

    wait: float = 60.0
    listen: str | None = None
    state: StrPath | None = None
    callers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked before anything is sent."""
        if not 0 <= self.wait <= _LONGEST_WAIT:
            raise ValueError(f"wait: expected 0 to {_LONGEST_WAIT:g} seconds, not {self.wait}")
        for title in self.callers:
            check_ae_title(title, "calling AE title")
        if self.listen is not None:
            read_listen(self.listen)


def commit(
    node: Node | str,
    paths: StrPath | Iterable[StrPath] = (),
    *,
    instances: Iterable[tuple[str, str]] = (),
    wait: float = 60.0,
    listen: str | None = None,
    state: StrPath | None = None,
    callers: Iterable[str] = (),
) -> CommitReport:
    """Ask a node to promise that it keeps objects (N-ACTION); tells what it says of each.

    The node answers when it likes (N-EVENT-REPORT): over the association that asked, which is held
    open; over a later one, which is opened now and then; or over one that it opens to us, where we
    listen. Many nodes do the last only, to the address that they have for our AE title.

    Objects are asked for in transactions of 10,000 at most.

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    paths : path, or iterable of paths
        Files, and folders with all DICOM files below them. Only their UIDs are told.
    instances : iterable of (str, str)
        SOP class and SOP instance UIDs of objects, besides.
    wait : float
        Seconds to wait for the result, once all is asked for; 0: do not.
    listen : str, optional
        ``ADDRESS:PORT`` of this machine. Where the node has a certificate of ours
        (``tls_cert``), TLS is spoken there, too, and with ``tls_ca`` the peer has to show one.
    state : path, optional
        A new file of what was asked and told; it is written before anything is sent. With it
        `commit_wait` goes on, after this returned, failed or was killed.
    callers : iterable of str
        AE titles that may bring the result, besides that of the node.

    Returns
    -------
    CommitReport

    Raises
    ------
    NodeError, ValueError
        An argument makes no sense, or there is nothing to ask for.
    CorruptError
        Not one of the files can be asked for.
    StateError
        The state file is there already.
    ConnectionFailed
        It cannot listen there.
    StatusError, NetworkError
        Nothing could be asked for.
    WriteError, LimitError
        The state file cannot be written.

    Notes
    -----
    Holds some 400 bytes an object. A file of another class with the UID of one before is left out.

    Examples
    --------
    >>> import dicomloom
    >>> from pydicom.data import get_testdata_file
    >>> try:
    ...     dicomloom.commit("PACS@127.0.0.1:1", get_testdata_file("CT_small.dcm"))
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    options = CommitOptions(wait, listen, state, tuple(callers))
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    classes, left_out = _gather(given, instances)
    if left_out and not classes:
        raise CorruptError(f"not one object: {left_out[0].reason}", path=left_out[0].path or None)
    if not classes:
        raise ValueError("there is no object to ask for")
    peer = Node.of(node) if isinstance(node, str) else node
    return _ask(peer, classes, options, left_out)


def commit_wait(
    node: Node | str,
    state: StrPath,
    *,
    wait: float = 60.0,
    listen: str | None = None,
    callers: Iterable[str] = (),
) -> CommitReport:
    """Go on with what `commit` began: wait for what the node has not told yet.

    What nobody knows to have come is asked for again, in a new transaction; a report of either
    counts.

    Parameters
    ----------
    node : Node or str
        The same as before.
    state : path
        The file that `commit` wrote; what comes is written there.
    wait, listen, callers
        As of `commit`.

    Returns
    -------
    CommitReport

    Raises
    ------
    ReadError, CorruptError, LimitError
        The file is none.
    StateError
        It is of another node.
    NetworkError
        The node cannot be reached, and cannot come to us.
    NodeError, ValueError, ConnectionFailed, WriteError
        As of `commit`.

    Examples
    --------
    >>> import dicomloom, tempfile
    >>> try:
    ...     dicomloom.commit_wait("PACS@127.0.0.1:1", tempfile.mkdtemp() + "/none")
    ... except dicomloom.ReadError as error:
    ...     error.message
    'cannot read: No such file or directory'
    """
    from dicomloom.network.commitment.asker import Asker
    from dicomloom.network.commitment.results import Results, listening
    from dicomloom.network.commitment.state import CommitState

    options = CommitOptions(wait, listen, state, tuple(callers))
    peer = Node.of(node) if isinstance(node, str) else node
    known = CommitState.read(state)
    if known.node != str(peer):
        raise StateError(f"{os.fspath(state)} is of {known.node}, not of {peer}")
    results, began, trouble = Results(known, state), time.monotonic(), None
    if not all(one.is_settled for one in known.transactions):
        asker = Asker(peer, results, is_listening=listen is not None)
        with listening(peer, options.listen, options.callers, results):
            asker.resume(options.wait)
        trouble = asker.trouble
    return _report(results, trouble, time.monotonic() - began)


def ask_after(
    node: Node, instances: Iterable[tuple[str, str]], options: CommitOptions
) -> CommitReport:
    """Ask for what was just sent: what goes wrong on the network is told in the report.

    Raises
    ------
    WriteError, LimitError, StateError
        As of `commit`.
    """
    from dicomloom.network.commitment.state import CommitState

    classes, left_out = _gather([], instances)
    if not classes:
        return CommitReport(str(node), left_out=left_out)
    try:
        return _ask(node, classes, options, left_out)
    except NetworkError as error:
        made = _report_of(CommitState.of(str(node), classes))
        made.left_out, made.trouble = left_out, str(error)
        return made


def check_new(state: StrPath | None) -> None:
    """Raise StateError where a state file is there already: it may have promises in it."""
    if state is not None and os.path.lexists(state):
        raise StateError(f"{os.fspath(state)} is there already: go on with it, or name another")


def _ask(
    node: Node, classes: dict[str, str], options: CommitOptions, left_out: list[LeftOut]
) -> CommitReport:
    from dicomloom.network.commitment.asker import Asker
    from dicomloom.network.commitment.results import Results, listening
    from dicomloom.network.commitment.state import CommitState

    check_new(options.state)
    began = time.monotonic()
    results = Results(CommitState.of(str(node), classes), options.state)
    asker = Asker(node, results, is_listening=options.listen is not None)
    with listening(node, options.listen, options.callers, results):
        results.number(())  # the file, before there is an association that may fail
        asker.ask(options.wait)
    made = _report(results, asker.trouble, time.monotonic() - began)
    made.left_out = left_out
    return made


def _gather(
    paths: list[StrPath], instances: Iterable[tuple[str, str]]
) -> tuple[dict[str, str], list[LeftOut]]:
    """Return the SOP class of each SOP instance, and what cannot be asked for."""
    from dicomloom.network.sending.outgoing import Selection
    from dicomloom.network.serve.archive.places import is_safe_uid

    classes: dict[str, str] = {}
    left_out: list[LeftOut] = []

    def take(path: str, sop_class: str, uid: str) -> None:
        if not (is_safe_uid(sop_class) and is_safe_uid(uid)):
            left_out.append(LeftOut(path, "a UID of it is none (PS3.5 9.1)"))
        elif classes.setdefault(uid, sop_class) != sop_class:
            left_out.append(LeftOut(path, f"{uid} was given before, of another SOP class"))

    if paths:
        for item in Selection(paths):
            if item.fault:
                left_out.append(LeftOut(item.path, item.fault))
            else:
                take(item.path, item.sop_class, item.sop_instance)
    for sop_class, uid in instances:
        take("", sop_class, uid)
    return classes, left_out


def _report(results: Results, trouble: NetworkError | None, seconds: float) -> CommitReport:
    made = _report_of(results.state)
    made.foreign = [Referenced(*one) for one in results.foreign]
    made.ways = list(results.ways)
    made.trouble, made.seconds = str(trouble or ""), seconds
    return made


def _report_of(state: CommitState) -> CommitReport:
    from dicomloom.network.commitment.push_model import meaning_of
    from dicomloom.network.commitment.state import COMMITTED, WITHOUT_REASON

    made = CommitReport(state.node)
    for transaction in state.transactions:
        made.transaction_uids += transaction.uids
        made.pending += (Referenced(*one) for one in transaction.pending)
        for uid, known in transaction.known.items():
            sop_class = transaction.classes[uid]
            if known == COMMITTED:
                made.committed.append(Referenced(sop_class, uid))
            else:
                reason = None if known == WITHOUT_REASON else known
                made.failed.append(Uncommitted(sop_class, uid, reason, meaning_of(reason)))
    return made
