"""What came in, into the catalog: by one thread, in batches, behind the associations' backs."""

from __future__ import annotations

import logging
import threading

from dicomloom.errors import DicomloomError
from dicomloom.network.serve.archive.catalog import Catalog
from dicomloom.network.serve.store import Arrival
from dicomloom.network.words import printable

_LOGGER = logging.getLogger("dicomloom.network.serve")
# Files of one transaction. A small one costs about as much as a large one, so they wait for each
# other for so many seconds; but not while somebody asks.
_MOST_AT_ONCE = 2048
_GATHERING = 1.0
# Seconds between tries to write the catalog, say on a full disk.
_PAUSE = 2.0
# Seconds that whoever asks waits for what came before.
_PATIENCE = 30.0


class Holdings:
    """A catalog that is kept up to date with what arrives.

    Parameters
    ----------
    catalog : Catalog
        Closed with this.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._put = self._done = self._asked = 0
        self._closing = False
        self._thread = threading.Thread(target=self._add_all, name="dicomloom-catalog")
        self._thread.start()

    def add(self, arrival: Arrival) -> None:
        """Take note of an object; returns before the catalog has it."""
        if arrival.outcome == "kept":
            return
        with self._changed:
            self._waiting.append(arrival.path)
            self._put += 1
            if len(self._waiting) in (1, _MOST_AT_ONCE):
                self._changed.notify_all()

    def settle(self) -> None:
        """Wait until the catalog has all that arrived before; not for ever."""
        with self._changed:
            wanted = self._asked = self._put
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._done >= wanted, _PATIENCE):
                _LOGGER.warning("the catalog is behind: %d objects wait", len(self._waiting))

    def _add_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                self._changed.wait_for(self._is_urgent, _GATHERING)
                batch = self._waiting[:_MOST_AT_ONCE]
            added = self._add(batch)
            with self._changed:
                if not added:
                    # At the next start the catalog finds them.
                    if self._changed.wait_for(lambda: self._closing, _PAUSE):
                        return
                    continue
                del self._waiting[: len(batch)]
                self._done += len(batch)
                self._changed.notify_all()

    def _is_urgent(self) -> bool:
        many = len(self._waiting) >= _MOST_AT_ONCE
        return many or self._closing or self._asked > self._done

    def _add(self, batch: list[str]) -> bool:
        try:
            for path, reason in self.catalog.add(batch):
                _LOGGER.warning("%s does not answer: %s", printable(path), printable(reason))
        except (DicomloomError, OSError) as error:
            _LOGGER.error("the catalog cannot be written: %s", error)
            return False
        return True

    def close(self) -> None:
        """Add what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self.catalog.close()
