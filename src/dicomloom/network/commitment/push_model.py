"""Storage commitment, push model (PS3.4 J, PS3.3 C.14): what its two ends say to each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.network import command as commands
from dicomloom.network.command import Command
from dicomloom.network.serve.refusal import Refusal

if TYPE_CHECKING:
    from pydicom import Dataset

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
# PS3.4 J.3.2 and J.3.3: action type and event types.
REQUEST_COMMITMENT = 1
ALL_HELD, SOME_FAILED = 1, 2
# PS3.7 10.1.1.1.8: what an N-EVENT-REPORT may be answered.
NO_SUCH_EVENT, INVALID_ARGUMENT = 0x0113, 0x0115
_NO_SUCH_INSTANCE, _NO_SUCH_ARGUMENT, _NO_SUCH_CLASS = 0x0112, 0x0114, 0x0118
# PS3.3 C.14.1.1, Failure Reason.
REASONS = {
    0x0110: "Processing failure",
    0x0112: "No such object instance",
    0x0119: "Class / Instance conflict",
    0x0122: "Referenced SOP Class not supported",
    0x0131: "Duplicate transaction UID",
    0x0213: "Resource limitation",
}

Reference = tuple[str, str]  # SOP class UID, SOP instance UID


class Result(NamedTuple):
    """What a provider reports of a transaction.

    Attributes
    ----------
    transaction_uid : str
    committed : list of (str, str)
        SOP class and SOP instance UIDs.
    failed : list of ((str, str), int or None)
        The same, and the Failure Reason; None where the item has none that is a number.
    """

    transaction_uid: str
    committed: list[Reference]
    failed: list[tuple[Reference, int | None]]


def request_of(transaction_uid: str, references: Iterable[Reference]) -> tuple[Command, Dataset]:
    """Return the N-ACTION that asks for commitment, without a message ID (PS3.4 J.3.2.1.1).

    Examples
    --------
    >>> command, asked = request_of("1.2.3", [("1.2.840.10008.5.1.4.1.1.2", "1.2.4")])
    >>> command["ActionTypeID"], asked.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    (1, '1.2.4')
    """
    from pydicom import Dataset

    items = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        items.append(item)
    made = Dataset()
    made.TransactionUID, made.ReferencedSOPSequence = transaction_uid, items
    command: Command = {
        "RequestedSOPClassUID": PUSH_MODEL,
        "CommandField": commands.N_ACTION,
        "RequestedSOPInstanceUID": WELL_KNOWN,
        "ActionTypeID": REQUEST_COMMITMENT,
    }
    return command, made


def check_event(command: Command) -> None:
    """Raise `Refusal` unless an N-EVENT-REPORT is one of the push model (PS3.4 J.3.3.1)."""
    if commands.text(command, "AffectedSOPClassUID") != PUSH_MODEL:
        raise Refusal(_NO_SUCH_CLASS, "expected the push model of storage commitment")
    if commands.text(command, "AffectedSOPInstanceUID") != WELL_KNOWN:
        raise Refusal(_NO_SUCH_INSTANCE, "expected the well-known SOP instance of the push model")
    if commands.integer(command, "EventTypeID") not in (ALL_HELD, SOME_FAILED):
        raise Refusal(NO_SUCH_EVENT, "the push model has no such event type")


def result_of(made: Dataset) -> Result:
    """Return what the data set of an N-EVENT-REPORT says.

    An instance that is in both sequences has failed, whatever the event type.

    Raises
    ------
    Refusal
        It says nothing: there is no transaction, or no reference.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> made, item = Dataset(), Dataset()
    >>> item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.3", "1.2.4"
    >>> made.TransactionUID, made.ReferencedSOPSequence = "1.2.5", [item]
    >>> result_of(made).committed
    [('1.2.3', '1.2.4')]
    """
    uid = str(made.get("TransactionUID") or "")
    if not uid:
        raise Refusal(_NO_SUCH_ARGUMENT, "TransactionUID is missing")
    failed = [
        (_reference(item), _reason(item)) for item in _items(made, "FailedSOPSequence", "Failed")
    ]
    lost = {reference for reference, _ in failed}
    held = (_reference(item) for item in _items(made, "ReferencedSOPSequence", "Referenced"))
    committed = [reference for reference in held if reference not in lost]
    if not committed and not failed:
        raise Refusal(_NO_SUCH_ARGUMENT, "there is no reference in the report")
    return Result(uid, committed, failed)


def _items(made: Dataset, keyword: str, name: str) -> Iterable[Dataset]:
    from pydicom.sequence import Sequence

    found = made.get(keyword)
    if found is not None and not isinstance(found, Sequence):
        raise Refusal(INVALID_ARGUMENT, f"the sequence of {name} SOPs is none")
    return found or ()


def _reference(item: Dataset) -> Reference:
    return (
        str(item.get("ReferencedSOPClassUID") or ""),
        str(item.get("ReferencedSOPInstanceUID") or ""),
    )


def _reason(item: Dataset) -> int | None:
    reason = item.get("FailureReason")
    return reason if isinstance(reason, int) and reason > 0 else None


def meaning_of(reason: int | None) -> str:
    """Return what a Failure Reason says (PS3.3 C.14.1.1).

    Examples
    --------
    >>> meaning_of(0x0112), meaning_of(None)
    ('No such object instance', 'the peer gives no reason')
    """
    from dicomloom.network.words import STATUSES, UNKNOWN

    if reason is None:
        return "the peer gives no reason"
    return REASONS.get(reason) or STATUSES.get(reason) or UNKNOWN
