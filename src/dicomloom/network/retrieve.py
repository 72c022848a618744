"""Retrieving (PS3.4 C): one call from a question to files."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING

from dicomloom.errors import DicomloomError, NoAcceptedContext, StatusError
from dicomloom.network.find import merged
from dicomloom.network.node import Node, read_listen
from dicomloom.network.retrieving.landing import LAYOUT, Folder, Layout
from dicomloom.network.retrieving.planning import Errand, Wish, errands
from dicomloom.network.retrieving.reception import Reception
from dicomloom.network.retrieving.retrieval import get, move
from dicomloom.network.retrieving.tally import Arrived, RetrieveReport, Tally

if TYPE_CHECKING:
    from pydicom import Dataset

_LOGGER = logging.getLogger("dicomloom.network")
METHODS = ("auto", "get", "move")


def retrieve(
    node: Node | str,
    folder: str | os.PathLike[str],
    query: Mapping[str, object] | Dataset | None = None,
    *,
    level: str | None = None,
    root: str = "study",
    method: str = "auto",
    listen: str | None = None,
    layout: str = LAYOUT,
    existing: str = "keep",
    sync: bool = True,
    progress: Callable[[Arrived], object] | None = None,
    **keys: object,
) -> RetrieveReport:
    """Bring what matches from a node into a folder; tells what came, and what is missing.

    C-FIND tells which studies, series or instances match, and what they consist of; C-GET brings
    them, or C-MOVE to a store SCP of our own, which ends with the call. Objects go from the network
    into files as they are, and appear whole or not at all.

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    folder : str or path-like
        Made where it is absent.
    query : mapping or pydicom.Dataset, optional
        Keys, as of `find`; at least one has a value, here or in `keys`.
    level : str, optional
        What to ask for at once: ``STUDY`` (whole studies), ``SERIES`` or ``IMAGE``. By default the
        lowest level that a key is of.
    root : str
        ``study`` or ``patient``: the information model.
    method : {"auto", "get", "move"}
        Auto: C-GET; C-MOVE where the peer does not do that, and for what C-GET lacks, if there is
        `listen`.
    listen : str, optional
        Where our store SCP listens, ``ADDRESS:PORT``: what the peer knows our AE title by. With
        ``method="move"`` by default the address that the peer is reached from, port 11112.
    layout : str
        A pattern of paths: keywords in braces are values of an object.
    existing : {"keep", "replace", "version"}
        What to do with an object whose place is taken by the same: keep that one, put the new one
        there, or name the new one ``<name>-1.dcm``.
    sync : bool
        Bring each object to the disk before the peer hears that it is stored.
    progress : callable, optional
        Called with each `Arrived`.
    **keys
        Keys by keyword.

    Returns
    -------
    RetrieveReport
        ``complete`` says whether something matched and all of it came.

    Raises
    ------
    TagError, NodeError, ValueError
        An argument makes no sense.
    StatusError
        The peer ended a request with a status that is no success; sub-operations that failed are
        in the report instead.
    NetworkError
        See `associate`.
    WriteError
        An object could not be written, as on a full disk; the peer heard so.

    Notes
    -----
    Objects that have come stay, whatever happens; what had been done is in ``report`` of the
    exception. Holds 528 KiB an association, whatever the size of objects, the UIDs of the study at
    hand (up to 100,000; more are counted), and what the report tells of each object:
    `retrieve_each` gives that one by one.

    Examples
    --------
    >>> import dicomloom, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> with dicomloom.serve(tempfile.mkdtemp(), port=0) as server:
    ...     node = f"{server.ae_title}@127.0.0.1:{server.port}"
    ...     _ = dicomloom.send(node, get_testdata_file("CT_small.dcm"))
    ...     report = dicomloom.retrieve(node, tempfile.mkdtemp(), PatientID="1CT1")
    >>> report.complete, len(report.arrived)
    (True, 1)
    """
    peer = Node.of(node) if isinstance(node, str) else node
    report = RetrieveReport(str(peer))
    each = retrieve_each(
        *(peer, folder, merged(query, keys)),
        level=level,
        root=root,
        method=method,
        listen=listen,
        layout=layout,
        existing=existing,
        sync=sync,
        report=report,
    )
    for arrived in each:
        report.arrived.append(arrived)
        if progress is not None:
            progress(arrived)
    return report


def retrieve_each(
    node: Node | str,
    folder: str | os.PathLike[str],
    query: Mapping[str, object] | Dataset | None = None,
    *,
    level: str | None = None,
    root: str = "study",
    method: str = "auto",
    listen: str | None = None,
    layout: str = LAYOUT,
    existing: str = "keep",
    sync: bool = True,
    report: RetrieveReport | None = None,
    **keys: object,
) -> Generator[Arrived, None, None]:
    """Retrieve as `retrieve` does, and give each object as it comes; holds none of them.

    Closing the iterator before its end cancels what is asked for (C-CANCEL), and ends the
    associations. While an object is held up here, the peer waits, too.

    Parameters
    ----------
    node, folder, query, level, root, method, listen, layout, existing, sync, **keys
        As of `retrieve`; arguments are checked by the call, and nothing is sent before the first
        object is asked for.
    report : RetrieveReport, optional
        Is filled, but for ``arrived``.

    Yields
    ------
    Arrived

    Raises
    ------
    TagError, NodeError, ValueError, StatusError, NetworkError, WriteError
        As of `retrieve`.
    """
    peer = Node.of(node) if isinstance(node, str) else node
    wish = Wish.of(root, level, merged(query, keys))
    if method not in METHODS:
        raise ValueError(f"method: expected {', '.join(METHODS)}, not {method!r}")
    if listen is not None:
        read_listen(listen)
    place = Folder(folder, Layout(layout), existing, sync=sync)
    told = report or RetrieveReport(str(peer))
    return _each(peer, wish, _Carrier(peer, place, method, listen), told)


def _each(
    node: Node, wish: Wish, carrier: _Carrier, report: RetrieveReport
) -> Generator[Arrived, None, None]:
    began = time.monotonic()
    try:
        with carrier:
            for errand in errands(node, wish):
                tally = Tally(errand)
                try:
                    yield from carrier.carry(errand, tally)
                finally:
                    carrier.remark(tally)
                    tally.settle(report)
    except DicomloomError as error:
        error.report = report
        raise
    finally:
        report.seconds = time.monotonic() - began


class _Carrier:
    """Carries errands out by the method that does; a context manager."""

    def __init__(self, node: Node, folder: Folder, method: str, listen: str | None) -> None:
        self._node, self._folder, self._listen = node, folder, listen
        self._can_get = method != "move"
        self._can_move = method == "move" or (method == "auto" and listen is not None)
        self._is_auto = method == "auto"
        self._reception: Reception | None = None
        self._kept = contextlib.ExitStack()

    def carry(self, errand: Errand, tally: Tally) -> Iterator[Arrived]:
        """Retrieve what an errand asks for."""
        if self._can_get:
            try:
                yield from get(self._node, errand, self._folder, tally)
            except (NoAcceptedContext, StatusError) as error:
                if not self._can_move:
                    if self._is_auto and isinstance(error, NoAcceptedContext):
                        error.hint += "; or give an address to listen at, for C-MOVE (--listen)"
                    raise
                _LOGGER.info("%s; C-MOVE is tried", error)
                self._can_get = isinstance(error, StatusError)
            else:
                if not self._can_move or not (tally.lacking() or tally.unnamed()):
                    return
            errand = errand.narrowed(tally.lacking())
            tally.again()
        if self._reception is None:
            made = Reception(self._node, self._listen, self._folder)
            self._reception = self._kept.enter_context(made)
        yield from move(self._node, errand, self._reception, tally)

    def remark(self, tally: Tally) -> None:
        """Tell a tally what was odd about objects that came."""
        while self._folder.remarks:
            tally.remark(*self._folder.remarks.popleft())
        tally.untold["warned"] += self._folder.untold
        self._folder.untold = 0

    def __enter__(self) -> _Carrier:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the store SCP."""
        self._kept.close()
