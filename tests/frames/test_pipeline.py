"""The pipeline: order, what is in flight at most, and the end of all threads however it ends."""

import itertools
import os
import random
import signal
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom.frames.pipeline import Pipeline


def ours():
    return [thread for thread in threading.enumerate() if thread.name == "dicomloom-frames"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Flight:
    """Counts what was submitted, is worked on, and is handed over."""

    def __init__(self, delays=()):
        self.lock = threading.Lock()
        self.delays = delays
        self.taken = self.done = self.working = 0
        self.most_working = self.most_in_flight = 0
        self.over = []
        self.handing = 0

    def work(self, item):
        with self.lock:
            self.working += 1
            self.most_working = max(self.most_working, self.working)
        if self.delays:
            time.sleep(self.delays[item % len(self.delays)])
        with self.lock:
            self.working -= 1
        return item

    def hand_over(self, result):
        self.handing += 1
        assert self.handing == 1  # by one thread at a time
        self.over.append(result)
        with self.lock:
            self.done += 1
        self.handing -= 1

    def submitted(self):
        with self.lock:
            self.taken += 1
            self.most_in_flight = max(self.most_in_flight, self.taken - self.done)


@given(
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(0, 40),
    st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.003]), min_size=1, max_size=7),
)
@settings(max_examples=40, deadline=None)
def test_order_and_depth_whatever_the_work_takes(workers, depth, count, delays):
    flight = Flight(delays)
    pipeline = Pipeline(lambda: flight.work, flight.hand_over, workers=workers, depth=depth)
    for i in range(count):
        pipeline.submit(i)
        flight.submitted()
    assert len(ours()) <= workers
    pipeline.finish()
    assert flight.over == list(range(count))
    assert flight.most_working <= workers
    assert flight.most_in_flight <= max(depth, workers)
    assert not ours()


def test_order_when_threads_change_all_the_time():
    previous = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        flight = Flight()
        pipeline = Pipeline(lambda: flight.work, flight.hand_over, workers=8, depth=11)
        for i in range(2000):
            pipeline.submit(i)
        pipeline.finish()
    finally:
        sys.setswitchinterval(previous)
    assert flight.over == list(range(2000))


def test_a_slow_end_holds_the_producer_back():
    """Back-pressure: with nothing handed over, submit takes `depth` items and then waits."""
    gate, submitted = threading.Event(), []

    def hand_over(result):
        assert gate.wait(30)

    pipeline = Pipeline(lambda: lambda item: item, hand_over, workers=2, depth=5)

    def produce():
        for i in range(50):
            pipeline.submit(i)
            submitted.append(i)

    producer = threading.Thread(target=produce)
    producer.start()
    deadline = time.monotonic() + 20
    while len(submitted) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)  # it would go on now, if it could
    held = len(submitted)
    gate.set()
    producer.join()
    pipeline.finish()
    assert held == 5
    assert len(submitted) == 50


def test_one_worker_works_in_the_thread_that_submits():
    seen = []
    pipeline = Pipeline(
        lambda: lambda item: (item, threading.current_thread()), seen.append, workers=1, depth=4
    )
    for i in range(5):
        pipeline.submit(i)
        assert seen[-1] == (i, threading.current_thread())
    assert not ours()
    pipeline.finish()
    assert [i for i, _ in seen] == [0, 1, 2, 3, 4]


def test_threads_begin_when_there_is_work_and_no_more_than_that():
    made = []

    def make_work():
        made.append(threading.current_thread())
        return lambda item: item

    pipeline = Pipeline(make_work, lambda result: None, workers=8, depth=8)
    assert not ours()
    pipeline.submit(0)
    pipeline.finish()
    assert len(made) == 1


def until_it_raises(pipeline, items):
    """Submit; what is raised comes from here or from finish."""
    for item in items:
        pipeline.submit(item)
    pipeline.finish()


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("kind", [ValueError, MemoryError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["make_work", "work", "hand_over"])
def test_a_failure_anywhere_ends_all(workers, kind, where):
    over, failure = [], kind("here")

    def make_work():
        if where == "make_work":
            raise failure
        return work

    def work(item):
        if where == "work" and item == 7:
            raise failure
        return item

    def hand_over(result):
        if where == "hand_over" and result == 7:
            raise failure
        over.append(result)

    pipeline = Pipeline(make_work, hand_over, workers=workers, depth=workers)
    try:
        with pytest.raises(kind) as caught:
            until_it_raises(pipeline, range(100))
    finally:
        pipeline.cancel()
    assert caught.value is failure
    assert over == list(range(len(over)))
    assert len(over) <= 7
    if workers == 1 and where != "make_work":
        assert len(over) == 7
    assert not ours()


@pytest.mark.parametrize("workers", [1, 3])
def test_what_failed_once_stays_failed(workers):
    """An object with a hole in it must not be finished, whoever caught the exception."""
    over = []

    def hand_over(result):
        if result == 2:
            raise OSError("full")
        over.append(result)

    pipeline = Pipeline(lambda: lambda item: item, hand_over, workers=workers, depth=workers)
    raised = 0
    for i in range(6):
        try:
            pipeline.submit(i)
        except OSError:
            raised += 1
    with pytest.raises(OSError, match="full"):
        pipeline.finish()
    assert over == [0, 1]
    assert raised or workers > 1


def test_cancel_drops_what_waits_and_ends_threads_that_wait_for_their_turn():
    gate, over = threading.Event(), []

    def work(item):
        if item == 0:
            assert gate.wait(30)
        return item

    pipeline = Pipeline(lambda: work, over.append, workers=3, depth=6)
    for i in range(6):
        pipeline.submit(i)
    ending = threading.Thread(target=pipeline.cancel)
    ending.start()
    while not pipeline._ending:
        time.sleep(0.001)
    gate.set()
    ending.join(30)
    assert not ending.is_alive()
    assert over == []
    assert not ours()
    pipeline.cancel()  # again: nothing happens


def test_cancel_before_any_item():
    Pipeline(lambda: None, lambda result: None, workers=4, depth=4).cancel()


@pytest.mark.parametrize("seed", range(6))
def test_cancel_at_any_moment(seed):
    chance = random.Random(seed)
    flight = Flight([chance.random() / 500 for _ in range(5)])
    pipeline = Pipeline(lambda: flight.work, flight.hand_over, workers=4, depth=6)
    for i in range(chance.randrange(30)):
        pipeline.submit(i)
    pipeline.cancel()
    assert flight.over == list(range(len(flight.over)))
    assert not ours()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_is_let_go_when_it_is_handed_over(workers):
    """What is in flight is bounded, so nothing may keep what is done."""
    import gc
    import weakref

    class Big:
        pass

    alive = weakref.WeakSet()
    most = 0

    def make():
        big = Big()
        alive.add(big)
        return big

    def hand_over(result):
        nonlocal most
        most = max(most, len(alive))

    pipeline = Pipeline(lambda: lambda item: make(), hand_over, workers=workers, depth=workers)
    for _ in range(50):
        pipeline.submit(make())
    pipeline.finish()
    gc.collect()
    # One that is being made for submit, `depth` items, `workers` results.
    assert most <= 2 + 2 * workers
    assert not alive


def test_ctrl_c_at_any_moment():
    """What a signal raises in the middle of a call leaves nothing locked: all threads end."""
    chance = random.Random(7)

    def stop(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for _ in range(400):
            over, both = [], threading.Barrier(3)

            def work(item, both=both):
                if item < 2:
                    both.wait(30)  # two threads have begun; an interrupted start is Python's
                return item

            pipeline = Pipeline(lambda work=work: work, over.append, workers=2, depth=2)
            pipeline.submit(0)
            pipeline.submit(1)
            both.wait(30)
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0002, 0.002))
                pipeline.run(itertools.count(2))
            assert over == list(range(len(over)))
            assert not ours()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_while_it_waits_loses_nothing():
    """Somebody ends a recording by Ctrl-C, and finishes the file."""
    gate, over, submitted = threading.Event(), [], 0

    def stop(number, frame):
        raise KeyboardInterrupt

    def hand_over(result):
        assert gate.wait(30)
        over.append(result)

    pipeline = Pipeline(lambda: lambda item: item, hand_over, workers=2, depth=3)
    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            for number in range(50):
                pipeline.submit(number)
                submitted += 1
    finally:
        signal.signal(signal.SIGUSR1, before)
        timer.join()
    gate.set()
    pipeline.submit(submitted)
    pipeline.finish()
    assert over == list(range(4))
