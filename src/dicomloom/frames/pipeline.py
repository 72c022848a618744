"""Work in parallel, results in order, never more in flight than was said."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pipeline(Generic[Item, Result]):
    """Threads that work on items, and hand over their results in the order of the items.

    A thread that is done waits for its turn and then hands over by itself: a worker never has more
    than one result, so what is in flight is `depth` items and `workers` results. Threads begin when
    there is work for them. One thread submits, drains and finishes; any may cancel.

    Parameters
    ----------
    make_work : callable
        Called once in each thread; returns what turns an item into a result.
    hand_over : callable
        Takes a result; called in order, by one thread at a time. The result may be reused when it
        returns.
    workers : int
        Threads; with 1 all work is done in `submit`.
    depth : int
        How many items may be waiting or being worked on.
    interrupt : callable, optional
        Ends what the threads wait for, so that they can be ended.
    """

    # A signal may raise KeyboardInterrupt in the thread that submits, after any call. A Condition,
    # whose methods are Python, would then stay locked for good now and then; so what threads share
    # here are queues and bare locks, which are taken or not.

    def __init__(
        self,
        make_work: Callable[[], Callable[[Item], Result]],
        hand_over: Callable[[Result], None],
        *,
        workers: int,
        depth: int,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._make_work = make_work
        self._hand_over = hand_over
        self._workers = workers
        self._depth = max(depth, workers)
        self._interrupt = interrupt
        self._work: Callable[[Item], Result] | None = None
        # An item, what is released when its turn comes, and what is released behind it; None: end.
        self._tasks: SimpleQueue[tuple[Item, threading.Lock, threading.Lock] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._last = threading.Lock()
        self._moved = _locked()  # released when the one who waits shall look again
        self._submitted = 0
        self._turn = 0
        self._ending = False
        self._failure: BaseException | None = None

    def submit(self, item: Item) -> None:
        """Add an item; waits while `depth` of them are in flight. Raises what a worker raised."""
        if self._workers == 1:
            self._raise_failure()
            try:
                if self._work is None:
                    self._work = self._make_work()
                self._hand_over(self._work(item))
            except BaseException as failure:
                self._failure = failure  # for good: what was handed over may have a hole in it
                raise
            return
        self._wait(self._depth - 1)
        before, after = self._last, _locked()
        # No call until the item is in: an interrupt finds all of this done, or nothing.
        self._last = after
        self._submitted += 1
        self._tasks.put((item, before, after))
        if len(self._threads) < min(self._workers, self._submitted - self._turn):
            thread = threading.Thread(target=self._run, name="dicomloom-frames", daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except BaseException as failure:
                self._failure = failure  # there may be nobody who takes what was submitted
                raise

    def drain(self) -> None:
        """Wait until every result is handed over. Raises what a worker raised."""
        self._wait(0)

    def finish(self) -> None:
        """Wait for all results and end the threads. Raises what a worker raised."""
        try:
            self.drain()
        finally:
            self.cancel()

    def run(self, items: Iterable[Item]) -> None:
        """Submit all items and finish; whatever goes wrong, the threads end."""
        try:
            for item in items:
                self.submit(item)
            self.drain()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """End the threads; what is not handed over is dropped."""
        try:
            self._cancel()
        except KeyboardInterrupt:  # which may be the first, too
            self._cancel()
            raise

    def _cancel(self) -> None:
        self._ending = True
        self._tasks.put(None)
        if self._interrupt is not None:
            self._interrupt()
        for thread in self._threads:
            # The garbage collector may end a writer in one of its own threads. One whose start was
            # interrupted is not alive, or not yet: it will find that all is over.
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join()

    def _wait(self, most: int) -> None:
        """Wait until no more than so many items are in flight."""
        while self._failure is None and self._submitted - self._turn > most:
            self._moved.acquire()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        work: Callable[[Item], Result] | None = None
        for item, before, after in iter(self._tasks.get, None):
            try:
                if not self._stopping():
                    if work is None:
                        work = self._make_work()
                    result = work(item)
                    del item
                    # All in front of it were taken before it, and each lets the next one go.
                    before.acquire()
                    if not self._stopping():
                        self._hand_over(result)
                        self._turn += 1
                    del result
            except BaseException as failure:
                if self._failure is None:
                    self._failure = failure
            after.release()
            with contextlib.suppress(RuntimeError):  # it is released already
                self._moved.release()
        self._tasks.put(None)

    def _stopping(self) -> bool:
        return self._ending or self._failure is not None


def _locked() -> threading.Lock:
    made = threading.Lock()
    made.acquire()
    return made
