"""Work in parallel, results in order, never more in flight than was said."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pipeline(Generic[Item, Result]):
    """Threads that work on items, and hand over their results in the order of the items.

    A thread that is done waits for its turn and then hands over by itself: a worker never has more
    than one result, so what is in flight is `depth` items and `workers` results. Threads begin when
    there is work for them.

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
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Item]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
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
        with self._changed:
            while self._failure is None and self._submitted - self._turn >= self._depth:
                self._changed.wait()
            self._raise_failure()
            self._waiting.append((self._submitted, item))
            self._submitted += 1
            if self._idle < len(self._waiting) and len(self._threads) < self._workers:
                thread = threading.Thread(target=self._run, name="dicomloom-frames", daemon=True)
                thread.start()
                self._threads.append(thread)
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until every result is handed over. Raises what a worker raised."""
        with self._changed:
            while self._failure is None and self._turn < self._submitted:
                self._changed.wait()
            self._raise_failure()

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
        with self._changed:
            self._ending = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._interrupt is not None:
            self._interrupt()
        for thread in self._threads:
            # The garbage collector may end a writer in one of its own threads.
            if thread is not threading.current_thread():
                thread.join()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            work = self._make_work()
            while True:
                with self._changed:
                    self._idle += 1
                    while not self._waiting and not self._stopping():
                        self._changed.wait()
                    self._idle -= 1
                    if self._stopping():
                        return
                    number, item = self._waiting.popleft()
                result = work(item)
                del item
                if not self._take_turn(number):
                    return
                self._hand_over(result)
                del result
                with self._changed:
                    self._turn += 1
                    self._changed.notify_all()
        except BaseException as failure:
            with self._changed:
                if self._failure is None:
                    self._failure = failure
                self._changed.notify_all()

    def _take_turn(self, number: int) -> bool:
        with self._changed:
            while self._turn != number and not self._stopping():
                self._changed.wait()
            return not self._stopping()

    def _stopping(self) -> bool:
        return self._ending or self._failure is not None
