"""Modality Performed Procedure Step as its provider (PS3.4 F.7 and F.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dicomloom.network import command as commands
from dicomloom.network.command import Value
from dicomloom.network.datasets import write_data_set
from dicomloom.network.serve.contexts import IMPLICIT
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import SUCCESS, UNRECOGNIZED, Request, Service
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITY_STEP, RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
# PS3.7 C and PS3.4 F.7.2.2.2: such a step may no longer be changed.
_PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _FINAL = 0x0110, 0x0112, 0xA710


class Steps(Protocol):
    """Where steps are kept; see `dicomloom.network.serve.mpps.StepFolder`."""

    def create(self, uid: str, attributes: Dataset) -> int:
        """Begin a step; returns a status."""

    def change(self, uid: str, attributes: Dataset) -> int:
        """Change one; returns a status."""

    def get(self, uid: str) -> Dataset | None:
        """Return one."""


class PerformedSteps(Service):
    """N-CREATE and N-SET of steps, and N-GET of what was told.

    Parameters
    ----------
    folder : Steps
    """

    def __init__(self, folder: Steps) -> None:
        handlers = {
            commands.N_CREATE: self.create,
            commands.N_SET: self.change,
            commands.N_GET: self.get,
        }
        super().__init__(handlers)
        self._folder = folder

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is a class of performed procedure steps."""
        return abstract_syntax in (MODALITY_STEP, RETRIEVE)

    def create(self, request: Request) -> None:
        """Begin a step; a peer that gives no UID is told ours (PS3.7 10.1.5.1.4)."""
        _check_class(request, MODALITY_STEP)
        uid = request.text("AffectedSOPInstanceUID") or new_uid()
        _answer(request, self._folder.create(uid, request.data_set()), AffectedSOPInstanceUID=uid)

    def change(self, request: Request) -> None:
        """Change a step."""
        _check_class(request, MODALITY_STEP)
        uid = request.text("RequestedSOPInstanceUID")
        status = self._folder.change(uid, request.data_set())
        more: dict[str, Value] = {"ErrorID": _FINAL} if status == _PROCESSING_FAILURE else {}
        _answer(request, status, **more)

    def get(self, request: Request) -> None:
        """Return the attributes of a step that are asked for; all where none is named."""
        _check_class(request, RETRIEVE)
        found = self._folder.get(request.text("RequestedSOPInstanceUID"))
        if found is None:
            raise Refusal(_NO_SUCH_INSTANCE, "there is no such step")
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
    request.answer(status, None, **more)
