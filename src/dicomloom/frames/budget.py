"""How much is in flight at once: workers, depth and frames a batch, within a limit of memory."""

from __future__ import annotations

import os
from typing import NamedTuple

from dicomloom.errors import LimitError

_BATCH = 256 << 10  # raw bytes that are worth handing to another thread


class Budget(NamedTuple):
    """What a pipeline may hold.

    Attributes
    ----------
    workers, depth : int
        See `Pipeline`.
    batch : int
        Frames that are worked on together.
    """

    workers: int
    depth: int
    batch: int


def processors() -> int:
    """Return how many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def budget(
    frame_bytes: int, item: int, result: int, workers: int | None, max_memory: int | None
) -> Budget:
    """Choose how many frames are in flight.

    Parameters
    ----------
    frame_bytes : int
        Of one raw frame.
    item, result : int
        Bytes that a frame holds while it waits and is worked on, and that its result holds at most.
    workers : int, optional
        Threads; by default one a processor.
    max_memory : int, optional
        Bytes that all frames in flight may hold together; by default what `workers` need.

    Raises
    ------
    LimitError
        One frame does not fit.
    """
    workers = processors() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    batch = max(1, _BATCH // max(frame_bytes, 1))
    one = max(item + result, 1)
    if max_memory is None:
        return Budget(workers, workers, batch)
    if max_memory < one:
        raise LimitError(
            f"one frame needs {one} bytes ({item} raw and up to {result} coded) while it is worked "
            f"on, max_memory is {max_memory}: allow at least that much"
        )
    batch = min(batch, max_memory // one)
    workers = min(workers, max_memory // (batch * one))
    return Budget(workers, workers, batch)
