"""C-FIND as its provider (PS3.4 C.4.1 and K, PS3.7 9.1.2): answers as they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dicomloom.network import command as commands
from dicomloom.network.datasets import write_data_set
from dicomloom.network.find import MODELS
from dicomloom.network.serve.archive.holdings import Holdings
from dicomloom.network.serve.contexts import IMPLICIT
from dicomloom.network.serve.services import CANCELLED, PENDING, SUCCESS, Request, Service
from dicomloom.network.serve.worklist import WorklistFolder
from dicomloom.network.worklist import MODEL as WORKLIST

if TYPE_CHECKING:
    from pydicom import Dataset

_PENDING_UNSUPPORTED = 0xFF01


def level_of(identifier: Dataset) -> str:
    """Return the Query/Retrieve Level of an identifier, "" where it has none."""
    return str(identifier.get("QueryRetrieveLevel") or "").strip()


class Queries(Service):
    """C-FIND over what is held, by both roots."""

    def __init__(self, holdings: Holdings) -> None:
        super().__init__({commands.C_FIND: self.find})
        self._holdings = holdings

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is a FIND information model."""
        return abstract_syntax in MODELS.values()

    def find(self, request: Request) -> None:
        """Answer one query."""
        model, identifier = request.context.abstract_syntax, request.data_set()
        level, relational = level_of(identifier), request.acceptor.is_relational(model)
        # Whoever has been told that an object is stored finds it.
        self._holdings.settle()
        catalog = self._holdings.catalog
        supported = catalog.supports(model, level, identifier, relational=relational)
        answers = catalog.find(model, level, identifier, relational=relational)
        give(request, answers, PENDING if supported else _PENDING_UNSUPPORTED)


class Worklists(Service):
    """C-FIND over a folder of scheduled procedure steps (PS3.4 K)."""

    def __init__(self, folder: WorklistFolder) -> None:
        super().__init__({commands.C_FIND: self.find})
        self._folder = folder

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is the Modality Worklist information model."""
        return abstract_syntax == WORKLIST

    def find(self, request: Request) -> None:
        """Answer one query."""
        give(request, self._folder.answers(request.data_set()), PENDING)


def give(request: Request, answers: Iterator[Dataset], pending: int) -> None:
    """Send answers until there are no more, or the peer wants no more."""
    close: Callable[[], None] | None = getattr(answers, "close", None)
    try:
        for answer in answers:
            if request.cancelled:
                request.answer(CANCELLED)
                return
            data = write_data_set(answer, request.context.transfer_syntax == IMPLICIT)
            request.answer(pending, data)
    finally:
        if close is not None:
            close()
    request.answer(SUCCESS)
