"""Modality Performed Procedure Step as its provider (PS3.4 F.7 and F.8)."""

from __future__ import annotations

from dicomloom.network import command as commands
from dicomloom.network.command import Value
from dicomloom.network.datasets import write_data_set
from dicomloom.network.serve.contexts import IMPLICIT
from dicomloom.network.serve.mpps import (
    NO_SUCH_INSTANCE,
    RESOURCE_LIMITATION,
    StepFolder,
    answer_of,
)
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import SUCCESS, UNRECOGNIZED, Request, Service
from dicomloom.network.serve.store import check_room
from dicomloom.uids import new_uid

MODALITY_STEP, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"


class PerformedSteps(Service):
    """N-CREATE and N-SET of steps, and N-GET of what was told.

    Parameters
    ----------
    folder : StepFolder
    min_free : int
        Bytes that have to be free on the disk before anything is written.
    """

    def __init__(self, folder: StepFolder, *, min_free: int = 0) -> None:
        handlers = {
            commands.N_CREATE: self.create,
            commands.N_SET: self.change,
            commands.N_GET: self.get,
        }
        super().__init__(handlers)
        self._folder, self._min_free = folder, min_free

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is a class of performed procedure steps."""
        return abstract_syntax in (MODALITY_STEP, RETRIEVE)

    def create(self, request: Request) -> None:
        """Begin a step; a peer that gives no UID is told ours (PS3.7 10.1.5.1.4)."""
        _check_class(request, MODALITY_STEP)
        check_room(self._folder.path, self._min_free, RESOURCE_LIMITATION)
        uid = request.text("AffectedSOPInstanceUID") or new_uid()
        _answer(request, self._folder.create(uid, request.data_set()), AffectedSOPInstanceUID=uid)

    def change(self, request: Request) -> None:
        """Change a step."""
        _check_class(request, MODALITY_STEP)
        check_room(self._folder.path, self._min_free, RESOURCE_LIMITATION)
        uid = request.text("RequestedSOPInstanceUID")
        _answer(request, self._folder.change(uid, request.data_set()))

    def get(self, request: Request) -> None:
        """Return the attributes of a step that are asked for; all where none is named."""
        _check_class(request, RETRIEVE)
        found = self._folder.get(request.text("RequestedSOPInstanceUID"))
        if found is None:
            raise Refusal(NO_SUCH_INSTANCE, "there is no such step")
        wanted = request.command.get("AttributeIdentifierList")
        if isinstance(wanted, list) and wanted:
            for tag in set(found.keys()) - set(wanted):
                del found[tag]
        data = write_data_set(found, request.context.transfer_syntax == IMPLICIT)
        request.answer(SUCCESS, data)


def _check_class(request: Request, uid: str) -> None:
    if request.context.abstract_syntax != uid:
        raise Refusal(UNRECOGNIZED, f"{request.name} is not served on this context")


def _answer(request: Request, status: int, **more: Value) -> None:
    if status != SUCCESS:
        request.acceptor.failed += 1
    said = answer_of(status)
    for keyword in ("ErrorID", "ErrorComment"):
        if keyword in said:
            more[keyword] = said[keyword].value
    request.answer(status, None, **more)
