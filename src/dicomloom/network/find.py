"""C-FIND (PS3.4 C and K, PS3.7 9.1.2): what does a node have?"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Generator, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.errors import DicomloomWarning, NetworkError, ProtocolError, TagError
from dicomloom.network import words
from dicomloom.network.datasets import read_data_set
from dicomloom.network.keys import identifier_of
from dicomloom.network.node import Node

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.network.association import OpenAssociation

_LOGGER = logging.getLogger("dicomloom.network")
# PS3.4 C.6.1.3 and C.6.2.3: the FIND information models.
MODELS = {"patient": "1.2.840.10008.5.1.4.1.2.1.1", "study": "1.2.840.10008.5.1.4.1.2.2.1"}
# Explicit and Implicit VR Little Endian. Not the deflated one: a few bytes may become any number.
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_IMPLICIT = _SYNTAXES[1]
_PENDING, _PENDING_UNSUPPORTED, _SUCCESS, _CANCEL = 0xFF00, 0xFF01, 0x0000, 0xFE00
_MESSAGE_ID = 1
# Bytes of one identifier; 16 answers may wait.
_LARGEST_ANSWER = 2 << 20
# Seconds: many peers do not heed C-CANCEL, and nobody waits for what is thrown away.
_DRAIN = 5.0
# PS3.4 C.5.1.1: relational queries; the further bytes are other things.
_RELATIONAL = b"\1"


class Question(NamedTuple):
    """What is asked of a node.

    Attributes
    ----------
    operation : str
        For messages.
    model : str
        UID of the information model.
    identifier : pydicom.Dataset
    relational : bool
        Whether to ask for relational queries.
    needs : str
        Why there must be relational queries; "" where there need not.
    limit : int or None
        How many answers are wanted.
    """

    operation: str
    model: str
    identifier: Dataset
    relational: bool = False
    needs: str = ""
    limit: int | None = None


def find(
    node: Node | str,
    level: str = "STUDY",
    query: Mapping[str, object] | Dataset | None = None,
    *,
    root: str = "study",
    relational: bool = False,
    limit: int | None = None,
    **keys: object,
) -> Generator[Dataset, None, None]:
    """Ask a node for patients, studies, series or instances (C-FIND, PS3.4 C.4.1).

    The association is opened at the first answer asked for, and released after the last. An
    iterator that is closed or forgotten before its end cancels the query (C-CANCEL) and releases
    the association. Up to 16 answers of at most 2 MiB are held in memory, however many there are.

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    level : str
        ``PATIENT`` (in the patient root only), ``STUDY``, ``SERIES`` or ``IMAGE``.
    query : mapping or pydicom.Dataset, optional
        Keys by keyword, tag, or path such as ``ProcedureCodeSequence[0].CodeValue``.
    root : str
        ``study`` or ``patient``: the information model (PS3.4 C.6.1, C.6.2).
    relational : bool
        Ask the peer for relational queries (PS3.4 C.5.1.1): keys of all levels, and no need for the
        unique keys of the levels above.
    limit : int or None
        End after so many answers; the peer is told by C-CANCEL.
    **keys
        Keys by keyword. None or "" asks for the attribute; a value matches it: single, a range of
        dates or times (``20260101-``), with wildcards (``DOE*``), or a list of UIDs (PS3.4
        C.2.2.2). The unique key, the unique keys of the levels above, and those of the table in
        docs/network.md are asked for anyway.

    Yields
    ------
    pydicom.Dataset
        An answer; its text is decoded by its own SpecificCharacterSet. A value that is none of its
        VR becomes one of VR UN, with a DicomloomWarning.

    Raises
    ------
    TagError, ValueError
        A key, a level, or the two together make no sense (PS3.4 C.4.1.2.1). Raised by the call
        itself; the others by the iterator.
    StatusError
        The peer ended with a status other than success; ``meaning`` is of PS3.4 C.4.1.1.4.
    NetworkError
        See `associate`; also where a relational query is needed and the peer does not do it, and
        `ProtocolError` where an answer cannot be decoded.

    Warns
    -----
    DicomloomWarning
        Once, where the peer says that it does not support some of the keys (status FF01).

    Examples
    --------
    >>> import dicomloom
    >>> studies = dicomloom.find("PACS@127.0.0.1:1", PatientID="1", StudyDate="20260101-")
    >>> try:
    ...     next(studies)
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    peer = Node.of(node) if isinstance(node, str) else node
    wanted = merged(query, keys)
    identifier, needs = identifier_of(level, root, wanted, relational)
    what = f"C-FIND at level {identifier.QueryRetrieveLevel}"
    model = MODELS[root]
    return ask(peer, Question(what, model, identifier, relational, needs, checked(limit)))


def checked(limit: int | None) -> int | None:
    """Return the limit; ValueError where it is less than 1."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1, not {limit}")
    return limit


def merged(
    query: Mapping[str, object] | Dataset | None, keys: Mapping[str, object]
) -> dict[str, object]:
    """Return the keys of both; those of a Dataset by tag or path."""
    from pydicom import Dataset

    given: Mapping[str, object]
    given = _flat(query) if isinstance(query, Dataset) else query or {}
    return {**given, **keys}


def _flat(dataset: Dataset, before: str = "") -> dict[str, object]:
    made: dict[str, object] = {}
    for element in dataset:
        where, value = f"{before}{int(element.tag):08x}", element.value
        if element.VR == "SQ" and value:
            for number, item in enumerate(value):
                made |= _flat(item, f"{where}[{number}].")
        elif element.VR in ("UI", "PN", "DA", "TM", "DT") and value:
            made[where] = "\\".join(map(str, value)) if element.VM > 1 else str(value)
        else:
            made[where] = value or None
    return made


def ask(node: Node, question: Question) -> Generator[Dataset, None, None]:
    """Open an association, ask, and give the answers; see `find`."""
    with asking(node, question.model, relational=question.relational) as association:
        yield from answers(association, question)


@contextlib.contextmanager
def asking(node: Node, model: str, *, relational: bool = False) -> Iterator[OpenAssociation]:
    """Open an association for any number of questions to an information model."""
    from dicomloom.network.association import associate

    extended = {model: _RELATIONAL} if relational else None
    with associate(node, [(model, _SYNTAXES)], extended=extended) as association:
        association.limit_data_sets(_LARGEST_ANSWER)
        yield association


def answers(association: OpenAssociation, question: Question) -> Generator[Dataset, None, None]:
    """Ask over an association that `asking` gave, and give the answers."""
    from pynetdicom.dimse_primitives import C_FIND
    from pynetdicom.dsutils import encode

    number, _, syntax = association.contexts[0]
    _check_negotiated(association, question, syntax)
    data = encode(question.identifier, syntax == _IMPLICIT, True)
    if data is None:
        raise TagError("the identifier cannot be encoded: see the values of the keys")
    request = C_FIND()
    request.MessageID = _MESSAGE_ID
    request.AffectedSOPClassUID = question.model
    request.Priority = 0  # medium (PS3.7 9.3.2.1)
    request.Identifier = BytesIO(data)
    with association.requesting(question.operation, request, number) as engine:
        try:
            for count, answer in enumerate(_answers(association, request, question, syntax), 1):
                yield answer
                if count == question.limit:
                    _cancel(association, engine, request, number)
                    break
        except GeneratorExit:
            _cancel(association, engine, request, number)


def _check_negotiated(association: OpenAssociation, question: Question, syntax: str) -> None:
    node = str(association.node)
    if syntax not in _SYNTAXES:
        raise ProtocolError(
            f"the peer chose the transfer syntax {words.printable(syntax)}, which was not proposed",
            node=node,
            hint="ask for an update of the peer",
        )
    granted = association.extended.get(question.model, b"")[:1] == _RELATIONAL
    if question.needs and not granted:
        raise NetworkError(
            f"the peer does not do relational queries (PS3.4 C.5.1.1), but {question.needs}",
            node=node,
            hint="or see whether its settings allow them",
        )


def _answers(
    association: OpenAssociation, request: Any, question: Question, syntax: str
) -> Iterator[Dataset]:
    told: set[str] = set()
    while True:
        answer = association.receive(request)
        if answer.Status not in (_PENDING, _PENDING_UNSUPPORTED):
            break
        if answer.Status == _PENDING_UNSUPPORTED:
            text = (
                f"{association.node}: the peer does not support some of the keys (status FF01): it "
                "may have answered more than was asked for, and left attributes out"
            )
            _warn(text, told)
        data = b"" if answer.Identifier is None else answer.Identifier.getvalue()
        yield _decoded(association, question, data, syntax == _IMPLICIT, told)
    if answer.Status != _SUCCESS:
        node, comment = str(association.node), str(answer.ErrorComment or "")
        raise words.failed(node, question.operation, answer.Status, comment)


def _warn(text: str, told: set[str]) -> None:
    """Warn once a query of the same; after a hundred tags a peer is known to be broken."""
    if text not in told and len(told) < 100:
        told.add(text)
        warnings.warn(text, DicomloomWarning, stacklevel=5)


def _cancel(association: OpenAssociation, engine: Any, request: Any, number: int) -> None:
    """Send a C-CANCEL (PS3.7 9.3.2.3), and read until the peer has ended; else abort.

    Whoever asks has all that was wanted: what goes wrong now is for the log.
    """
    if engine.is_established:
        try:
            engine.send_c_cancel(request.MessageID, number)
            if _drained(association, request):
                return
            _LOGGER.warning("%s: the peer does not heed C-CANCEL; aborted", association.node)
        except NetworkError as error:
            _LOGGER.warning("%s", error)
    association.abort()


def _drained(association: OpenAssociation, request: Any) -> bool:
    end = time.monotonic() + min(_DRAIN, association.node.wait("dimse"))
    while (left := end - time.monotonic()) > 0:
        answer = association.receive(request, left)
        if answer is None:
            return False
        if answer.Status in (_PENDING, _PENDING_UNSUPPORTED):
            continue
        if answer.Status not in (_SUCCESS, _CANCEL):
            _LOGGER.warning("%s: status 0x%04X after C-CANCEL", association.node, answer.Status)
        return True
    return False


def _decoded(
    association: OpenAssociation, question: Question, data: bytes, implicit: bool, told: set[str]
) -> Dataset:
    """Return the data set of an answer, all of it decoded.

    Raises
    ------
    ProtocolError
        The bytes are no data set.
    """
    try:
        made, unfit = read_data_set(data, implicit)
    except ValueError as error:
        raise ProtocolError(
            f"an answer to {question.operation} is no data set: {error}",
            node=str(association.node),
            hint="the peer is broken, or takes another transfer syntax than it said: see its log",
        ) from error
    for name in unfit:
        _warn(f"{association.node}: a value of {name} is none of its VR; kept as VR UN", told)
    return made
