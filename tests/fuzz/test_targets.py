"""The fuzz targets without a fuzzer: saved crashers, their seeds, and seeds changed at random.

`run.py` leads the same targets by coverage; this shows in seconds that none of them is broken.
"""

from __future__ import annotations

import random
import warnings

import pytest
from harness import TARGETS, load, saved

from support import long_run

_CHANGED = 100_000 if long_run() else 50  # inputs of each target


def changed(data: bytes, chance: random.Random) -> bytes:
    """Some bytes other, doubled, left out; or cut."""
    made = bytearray(data)
    for _ in range(1 + chance.randrange(3)):
        at = chance.randrange(len(made) + 1)
        size = 1 << chance.randrange(6)
        kind = chance.randrange(5)
        if kind == 0:
            del made[at : at + size]
        elif kind == 1:
            made[at:at] = made[at : at + size]
        elif kind == 2:
            made[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0"))
        elif kind == 3 and at < len(made):
            made[at] = chance.randrange(256)
        elif kind == 4 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
    return bytes(made)


@pytest.fixture
def target(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield load(request.param)


@pytest.mark.parametrize("name", TARGETS)
def test_no_saved_crasher_shows_its_fault_again(name):
    module = load(name)
    for path in saved(name):
        module.check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_seeds_and_what_is_near_them(target):
    """Whatever comes is an answer or an error of ours, and holds what the target says."""
    chance = random.Random(target.__name__)
    seeds = list(target.seeds())
    for seed in seeds if long_run() else chance.sample(seeds, min(len(seeds), 25)):
        target.check(seed)
    for _ in range(_CHANGED):
        data = changed(chance.choice(seeds), chance)
        try:
            target.check(data)
        except BaseException:
            print("shown by", data)
            raise
