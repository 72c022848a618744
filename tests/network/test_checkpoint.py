"""The checkpoint of `direct`: the engine's thread is held while others move messages."""

import sys
import threading
from types import SimpleNamespace

import pytest

from dicomloom.network.direct import Checkpoint, hold


@pytest.fixture
def engine():
    """What `hold` knows of an engine, whose thread tells when it is past its checkpoint."""
    made = SimpleNamespace(_reactor_checkpoint=Checkpoint(), is_past=False, over=False, rounds=0)
    made._reactor_checkpoint.set()

    def run():
        while not made.over:
            made._reactor_checkpoint.wait()
            made.is_past = True
            made.rounds += 1
            made.is_past = False

    thread = threading.Thread(target=run)
    made.is_alive = thread.is_alive
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield made
    sys.setswitchinterval(interval)
    made.over = True
    made._reactor_checkpoint.set()
    thread.join()


def test_a_thread_that_was_just_let_go_is_held(engine):
    """An Event lets through whoever waited when it was set, even if it is cleared at once."""
    for _ in range(2000):
        hold(engine)
        assert not engine.is_past
        before = engine.rounds
        for _ in range(20):
            assert engine.rounds == before
        engine._reactor_checkpoint.set()


def test_it_goes_on_afterwards(engine):
    hold(engine)
    before = engine.rounds
    engine._reactor_checkpoint.set()
    while engine.rounds == before:
        pass
    assert engine._reactor_checkpoint.is_set()
    assert engine._reactor_checkpoint.wait(0)
    hold(engine)
    assert not engine._reactor_checkpoint.wait(0.001)


def test_an_engine_that_has_ended_is_not_waited_for():
    over = SimpleNamespace(_reactor_checkpoint=Checkpoint(), is_alive=lambda: False)
    hold(over)
