"""Timers of an association (PS3.8 9.1.5) that do not run by the clock on the wall."""

from __future__ import annotations

import time

from pynetdicom.timer import Timer


class SteadyTimer(Timer):
    """pynetdicom's timer, whose own clock may be set while it runs.

    A clock that is put forward would end associations, one that is put back would keep dead ones.

    Examples
    --------
    >>> timer = SteadyTimer(60)
    >>> timer.start()
    >>> 59 < timer.remaining <= 60, timer.expired
    (True, False)
    """

    @property
    def remaining(self) -> float:
        """Seconds until it expires; 1 where it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        end = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (end - self._start_time)

    def start(self) -> None:
        """Begin anew."""
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        """Stand still."""
        self._end_time = time.monotonic()
