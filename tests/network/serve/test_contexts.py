"""Which abstract syntaxes are storage, held against pynetdicom's own tables."""

import pytest
from pynetdicom import presentation, sop_class

from dicomloom.network.serve.contexts import chosen, is_storage
from support import DEFLATED, EXPLICIT_LE, IMPLICIT_LE


def test_all_that_pynetdicom_stores_and_nothing_that_it_serves_otherwise():
    for context in presentation.AllStoragePresentationContexts:
        assert is_storage(context.abstract_syntax)
    others = [
        *presentation.VerificationPresentationContexts,
        *presentation.QueryRetrievePresentationContexts,
        *presentation.BasicWorklistManagementPresentationContexts,
        *presentation.StorageCommitmentPresentationContexts,
        *presentation.ModalityPerformedPresentationContexts,
        *presentation.PrintManagementPresentationContexts,
        *presentation.UnifiedProcedurePresentationContexts,
    ]
    for context in others:
        assert not is_storage(context.abstract_syntax)


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.5", "1.3.12.2.1107.5.9.1", "1.2.3"])
def test_retired_private_and_unknown_ones(uid):
    assert is_storage(uid)
    assert sop_class.uid_to_service_class(uid).__name__ == "ServiceClass"


@pytest.mark.parametrize(
    ("proposed", "taken", "choice"),
    [
        ([IMPLICIT_LE], None, IMPLICIT_LE),
        ([IMPLICIT_LE, DEFLATED], None, IMPLICIT_LE),
        ([IMPLICIT_LE, DEFLATED, EXPLICIT_LE], None, EXPLICIT_LE),
        ([DEFLATED, IMPLICIT_LE, EXPLICIT_LE], None, DEFLATED),
        ([DEFLATED, IMPLICIT_LE], [IMPLICIT_LE], IMPLICIT_LE),
        ([DEFLATED], [IMPLICIT_LE], None),
        ([], None, None),
    ],
)
def test_the_transfer_syntax(proposed, taken, choice):
    assert chosen(proposed, taken) == choice
