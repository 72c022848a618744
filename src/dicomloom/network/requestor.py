"""pynetdicom's association in requestor mode, as ours need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from dicomloom.network.direct import Checkpoint
from dicomloom.network.messages import Message, held
from dicomloom.network.wire import Reactor


class Requestor(Association):
    """An association with a reactor that tells of its end.

    Attributes
    ----------
    on_event : callable or None
        Called with each N-EVENT-REPORT of the peer that the engine takes, in a thread of it.
    """

    on_event: Callable[[Message], object] | None = None

    def __init__(self, ae: AE) -> None:
        super().__init__(ae, MODE_REQUESTOR)
        self._reactor_checkpoint = Checkpoint()
        self._reactor_checkpoint.set()
        self.dul = Reactor(self)
        # The timers of both are the reactor's.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    def _serve_request(self, msg: Any, context_id: int) -> None:
        # One may come with the acceptance of the association, before anybody exchanges messages.
        if self.on_event is not None and isinstance(msg, N_EVENT_REPORT):
            self.on_event(held(context_id, msg))
        else:
            super()._serve_request(msg, context_id)
