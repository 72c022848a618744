"""What arrives gets into the catalog, also where that cannot be written for a while."""

import threading

import pytest

from dicomloom.errors import WriteError
from dicomloom.network.serve.archive import holdings
from dicomloom.network.serve.archive.holdings import Holdings
from dicomloom.network.serve.store import Arrival


class Catalog:
    """Takes paths, after some failures."""

    def __init__(self, fails=0):
        self.fails, self.batches, self.closed = fails, [], False
        self.go = threading.Event()
        self.go.set()

    def add(self, paths):
        self.go.wait(10)
        if self.fails:
            self.fails -= 1
            raise WriteError("the disk is full", path="index.sqlite")
        self.batches.append(list(paths))
        return []

    def close(self):
        self.closed = True


def arrival(path, outcome="new"):
    return Arrival(path, outcome, "1.2", "1.2.3", "1.2.840.10008.1.2", "PEER", 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(holdings, "_PAUSE", 0.01)


@pytest.mark.parametrize("fails", [0, 3])
def test_all_gets_in_and_who_asks_waits_for_it(fails, caplog):
    catalog = Catalog(fails)
    held = Holdings(catalog)
    catalog.go.clear()
    for number in range(100):
        held.add(arrival(str(number)))
    asked = threading.Thread(target=held.settle)
    asked.start()
    assert asked.is_alive()
    catalog.go.set()
    asked.join(10)
    assert [path for batch in catalog.batches for path in batch] == list(map(str, range(100)))
    assert len(catalog.batches) < 10  # what came meanwhile went in together
    held.close()
    assert catalog.closed
    assert len([one for one in caplog.records if "cannot be written" in one.getMessage()]) == fails


def test_what_was_kept_is_not_new():
    catalog = Catalog()
    held = Holdings(catalog)
    held.add(arrival("a", "kept"))
    held.add(arrival("b", "replaced"))
    held.settle()
    held.close()
    assert catalog.batches == [["b"]]


def test_an_end_while_the_catalog_cannot_be_written():
    catalog = Catalog(fails=1 << 30)
    held = Holdings(catalog)
    held.add(arrival("a"))
    held.close()
    assert catalog.closed
