"""What the tests of more than one service take."""

import pytest

from dicomloom.network import direct


@pytest.fixture(params=["direct", "engine"])
def way(request, monkeypatch):
    """Each of the two ways that messages go: our own, and pynetdicom's."""
    if request.param == "engine":
        monkeypatch.setattr(direct, "_KNOWN", ())
    return request.param
