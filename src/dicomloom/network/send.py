"""C-STORE (PS3.4 B, PS3.7 9.1.1): bring objects to a node, and know what became of each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.network.node import Node

if TYPE_CHECKING:
    from dicomloom.index.scan import StrPath
    from dicomloom.network.commit import CommitOptions, CommitReport

SENT, WARNED, FAILED = "sent", "warned", "failed"
MOST_JOBS = 64


class Sent(NamedTuple):
    """What became of one object.

    Attributes
    ----------
    outcome : {"sent", "warned", "failed"}
        Warned: the peer has it, and says that something is wrong with it.
    path : str
    SOPClassUID, SOPInstanceUID : str
        "" where the file has none.
    status : int or None
        What the peer answered; None where it did not, or was not asked.
    meaning : str
        The status in words (PS3.4 B.2.3, PS3.7 C).
    reason : str
        What the peer says besides, or why it was not sent.
    error : str
        The class of `dicomloom.errors` that fits a failure, else "".
    transfer_syntax : str
        UID of the one it was sent in; "" where it was not.
    bytes : int
        Of the data set that was sent.
    attempts : int
        How often it was tried.
    """

    outcome: str
    path: str
    SOPClassUID: str
    SOPInstanceUID: str
    status: int | None = None
    meaning: str = ""
    reason: str = ""
    error: str = ""
    transfer_syntax: str = ""
    bytes: int = 0
    attempts: int = 1


@dataclass
class SendReport:
    """What `send` did.

    Attributes
    ----------
    node : str
    succeeded, warned, failed : list of Sent
    skipped : int
        Objects that an earlier report says the node has.
    bytes : int
        Of data sets that were sent.
    seconds : float
    committed : CommitReport or None
        What the node says when it is asked to keep what it was sent.
    """

    node: str
    succeeded: list[Sent] = field(default_factory=list)
    warned: list[Sent] = field(default_factory=list)
    failed: list[Sent] = field(default_factory=list)
    skipped: int = 0
    bytes: int = 0
    seconds: float = 0.0
    committed: CommitReport | None = None

    def add(self, sent: Sent) -> None:
        """Take the next one."""
        {SENT: self.succeeded, WARNED: self.warned}.get(sent.outcome, self.failed).append(sent)
        self.bytes += sent.bytes


@dataclass(frozen=True)
class SendOptions:
    """How to send; the keyword arguments of `send`.

    Attributes
    ----------
    jobs : int
        Associations at a time, 1 to 64.
    retries : int
        How often what may go well another time is tried again: an object after a broken
        association or a status that says so, an association that cannot be made.
    backoff : float
        Seconds before the first of these; twice as many before each one after it, up to 30.
    transcode : bool
        Whether to send uncompressed what the peer does not take as it is.
    report : str or path-like, optional
        A file of JSON lines that grows with each object. Given again, what it says was sent is left
        out.
    """

    jobs: int = 1
    retries: int = 3
    backoff: float = 0.5
    transcode: bool = True
    report: StrPath | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.jobs <= MOST_JOBS:
            raise ValueError(f"jobs: expected 1 to {MOST_JOBS} associations, not {self.jobs}")
        if self.retries < 0:
            raise ValueError(f"retries: expected 0 or more, not {self.retries}")
        if not 0 <= self.backoff <= 3600:
            raise ValueError(f"backoff: expected 0 to 3600 seconds, not {self.backoff}")


def send(
    node: Node | str,
    paths: StrPath | Iterable[StrPath] = (),
    *,
    index: StrPath | None = None,
    jobs: int = 1,
    retries: int = 3,
    backoff: float = 0.5,
    transcode: bool = True,
    report: StrPath | None = None,
    commit: CommitOptions | bool = False,
    progress: Callable[[Sent], object] | None = None,
) -> SendReport:
    """Send objects to a node (C-STORE); tells what became of each.

    Files go over the network as they are: neither decoded nor held in memory, whatever their size.
    What is there is looked over first, so that everything is proposed that is needed, in as many
    associations as it takes; objects that are cut off are told, not sent.

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    paths : path, or iterable of paths
        Files, and folders with all DICOM files below them.
    index : path, optional
        A table that `dicomloom.index` wrote: its files are sent.
    jobs : int
        Associations at a time.
    retries : int
        How often to try again what may go well another time: after a broken association, a status
        of the kind "out of resources", or where no association can be made.
    backoff : float
        Seconds before the first of these; twice as many before each one after it, up to 30.
    transcode : bool
        Whether to send uncompressed, by way of a temporary file, what the peer does not take as it
        is.
    report : path, optional
        A file of JSON lines that grows with each object. Given again, as after a crash, what it
        says the node has is left out.
    commit : CommitOptions or bool
        Whether to ask for storage commitment of what was sent, and how; see `dicomloom.commit`.
        What is skipped by `report` is not asked for.
    progress : callable, optional
        Called with each `Sent`.

    Returns
    -------
    SendReport

    Raises
    ------
    NodeError, ValueError
        An argument makes no sense.
    NetworkError
        Not one object could be tried: there is no association.
    ReadError, WriteError
        `index` or `report` cannot be used.
    StateError
        The state file of `commit` is there already. Nothing is sent.

    Notes
    -----
    Holds 528 KiB an association, and what the report tells of each object: `send_each` gives that
    one by one.

    Examples
    --------
    >>> import dicomloom
    >>> from pydicom.data import get_testdata_file
    >>> try:
    ...     dicomloom.send("PACS@127.0.0.1:1", get_testdata_file("CT_small.dcm"), retries=0)
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    peer = Node.of(node) if isinstance(node, str) else node
    made = SendReport(str(peer))
    began = time.monotonic()
    options = SendOptions(jobs, retries, backoff, transcode, report)
    asking = _asking(commit)
    for sent in send_each(peer, paths, index=index, options=options, skipped=made):
        made.add(sent)
        if progress is not None:
            progress(sent)
    if asking is not None:
        from dicomloom.network.commit import ask_after

        there = ((one.SOPClassUID, one.SOPInstanceUID) for one in made.succeeded + made.warned)
        made.committed = ask_after(peer, there, asking)
    made.seconds = time.monotonic() - began
    return made


def _asking(commit: CommitOptions | bool) -> CommitOptions | None:
    """Return how to ask for commitment; None: do not."""
    if not commit:
        return None
    from dicomloom.network.commit import CommitOptions, check_new

    made = commit if isinstance(commit, CommitOptions) else CommitOptions()
    check_new(made.state)
    return made


def send_each(
    node: Node | str,
    paths: StrPath | Iterable[StrPath] = (),
    *,
    index: StrPath | None = None,
    options: SendOptions | None = None,
    skipped: SendReport | None = None,
) -> Generator[Sent, None, None]:
    """Send as `send` does, and give each object's `Sent` as it comes; holds none of them.

    Closing the iterator before its end lets objects that are on their way arrive, sends no others,
    and releases the associations.

    Parameters
    ----------
    node, paths, index
        As of `send`.
    options : SendOptions, optional
    skipped : SendReport, optional
        Its ``skipped`` is counted up.

    Yields
    ------
    Sent

    Raises
    ------
    NodeError, ReadError, WriteError
        As of `send`.
    NetworkError
        There is no association, at the first one that is needed.
    """
    from dicomloom.network.sending.couriers import Errand
    from dicomloom.network.sending.outgoing import Selection

    peer = Node.of(node) if isinstance(node, str) else node
    chosen = options or SendOptions()
    given: Sequence[StrPath]
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if index is not None:
        from dicomloom.index.filenames import filenames

        given = [*given, *filenames(index)]
    errand = Errand(peer, Selection(given), chosen)
    yield from errand.run()
    if skipped is not None:
        skipped.skipped += errand.skipped
