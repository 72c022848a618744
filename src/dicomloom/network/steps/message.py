"""N-CREATE and N-SET of performed procedure steps (PS3.7 10.1.5, 10.1.3)."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dicomloom.errors import DicomloomWarning, NetworkError, ProtocolError, StatusError, TagError
from dicomloom.network import words
from dicomloom.network.steps import table

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.network.node import Node

_LOGGER = logging.getLogger("dicomloom.network")
# Explicit and Implicit VR Little Endian.
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_MESSAGE_ID = 1
PROCESSING_FAILURE, DUPLICATE = 0x0110, 0x0111
# PS3.7 C.3: warnings; the object was created or set.
_WARNINGS = (0x0001, 0x0107, 0x0116)
# Many peers send the Error Comment of PS3.4 table F.7.2-2 without its Error ID.
_FINAL_COMMENT = "no longer be updated"


def request_of(service: str, uid: str) -> Any:
    """Return the request of N-CREATE or N-SET, without its attributes."""
    from pynetdicom.dimse_primitives import N_CREATE, N_SET

    request: Any
    if service == "N-CREATE":
        request = N_CREATE()
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = table.SOP_CLASS, uid
    else:
        request = N_SET()
        request.RequestedSOPClassUID, request.RequestedSOPInstanceUID = table.SOP_CLASS, uid
    return request


def may_have_come(request: Any) -> bool:
    """Whether a request was on its way."""
    return request.MessageID is not None


def exchange(node: Node, service: str, request: Any, sent: Dataset) -> None:
    """Send a request over an association of its own; return when it was done.

    Raises
    ------
    StatusError, NetworkError
    TagError
        The attributes cannot be encoded.
    """
    from pynetdicom.dsutils import encode

    from dicomloom.network.association import associate

    answer = None
    try:
        with associate(node, [(table.SOP_CLASS, _SYNTAXES)]) as association:
            number, _, syntax = association.contexts[0]
            if syntax not in _SYNTAXES:
                raise ProtocolError(
                    f"the peer chose the transfer syntax {words.printable(syntax)}, which was not "
                    "proposed",
                    node=str(node),
                    hint="ask for an update of the peer",
                )
            data = encode(sent, syntax == _SYNTAXES[1], True)
            if data is None:
                raise TagError("the step cannot be encoded: see the values of its attributes")
            name = "AttributeList" if service == "N-CREATE" else "ModificationList"
            setattr(request, name, BytesIO(data))
            request.MessageID = _MESSAGE_ID  # from here on it may be on its way
            operation = f"{service} of a performed procedure step"
            with association.requesting(operation, request, number):
                answer = association.receive(request)
    except NetworkError as error:
        if answer is None:
            raise
        _LOGGER.warning("%s", error)  # of the release; what was asked for is done
    _check(node, service, answer)


def _check(node: Node, service: str, answer: Any) -> None:
    status, comment = answer.Status, str(answer.ErrorComment or "")
    if status in _WARNINGS or 0xB000 <= status <= 0xBFFF:
        meaning = words.meaning_of(service, status)
        said = f", {words.printable(comment)}" if comment else ""
        text = f"{node}: {service} was done, with status 0x{status:04X}, {meaning}{said}"
        warnings.warn(text, DicomloomWarning, stacklevel=6)
    elif status:
        operation = f"{service} of a performed procedure step"
        raise words.failed(str(node), operation, status, comment, answer.ErrorID)


def is_final(error: StatusError) -> bool:
    """Whether the peer says that the step is COMPLETED or DISCONTINUED already."""
    said = error.error_id == words.NO_LONGER_UPDATED or _FINAL_COMMENT in error.comment.lower()
    return error.status == PROCESSING_FAILURE and said
