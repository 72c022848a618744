"""Which presentation contexts are accepted, and with which transfer syntax (PS3.8 7.1.1.13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pydicom.uid import UID
from pynetdicom import sop_class
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import (
    NonPatientObjectStorageServiceClass,
    ServiceClass,
    StorageServiceClass,
)

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
# What we decode; not the deflated one: a few bytes may become any number.
DECODED = (EXPLICIT, IMPLICIT)
_OF_STORAGE = (StorageServiceClass, NonPatientObjectStorageServiceClass, ServiceClass)


class Offer(Protocol):
    """A service as far as its presentation contexts go."""

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it serves this abstract syntax."""

    @property
    def syntaxes(self) -> Sequence[str] | None:
        """The transfer syntaxes that it takes; None: all."""


def is_storage(abstract_syntax: str) -> bool:
    """Whether objects of this class are stored: all that is not known for something else.

    Examples
    --------
    >>> is_storage("1.2.840.10008.5.1.4.1.1.2"), is_storage("1.2.3"), is_storage(VERIFICATION)
    (True, True, False)
    """
    return sop_class.uid_to_service_class(abstract_syntax) in _OF_STORAGE


def chosen(proposed: Sequence[str], taken: Sequence[str] | None) -> str | None:
    """Return the transfer syntax to accept: the first proposed that is taken, or None.

    Explicit VR is preferred to Implicit VR, which loses the VRs of private elements.

    Examples
    --------
    >>> chosen(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"], None)
    '1.2.840.10008.1.2.1'
    """
    fit = [syntax for syntax in proposed if taken is None or syntax in taken]
    if not fit:
        return None
    return EXPLICIT if fit[0] == IMPLICIT and EXPLICIT in fit else fit[0]


def supported(
    proposed: Iterable[PresentationContext], offers: Iterable[Offer]
) -> list[PresentationContext]:
    """Return what pynetdicom is to support, so that it accepts what we choose.

    It goes by its own order of transfer syntaxes, the same for all contexts of an abstract syntax:
    of each proposed context only the chosen one is left.
    """
    offered = list(offers)
    made: dict[str, list[str | bytes | UID]] = {}
    for context in proposed:
        uid = str(context.abstract_syntax)
        offer = next((offer for offer in offered if offer.takes(uid)), None)
        if offer is None:
            continue
        syntaxes = made.setdefault(uid, [])
        choice = chosen([str(one) for one in context.transfer_syntax], offer.syntaxes)
        if choice is not None:
            context.transfer_syntax = [choice]
            if choice not in syntaxes:
                syntaxes.append(choice)
    return [_context(uid, syntaxes) for uid, syntaxes in made.items()]


def _context(uid: str, syntaxes: list[str | bytes | UID]) -> PresentationContext:
    made = PresentationContext()
    made.abstract_syntax = uid
    made.transfer_syntax = syntaxes
    # Both roles: a peer that asks with C-GET is the SCP of what it gets (PS3.7 D.3.3.4).
    made.scu_role = made.scp_role = True
    return made
