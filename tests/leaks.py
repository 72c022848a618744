"""Whether calls leave anything behind: objects, references, memory of the C core, descriptors."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

from dicomloom import DicomloomError


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _mallinfo2():
    try:
        call = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):  # not glibc: references and blocks are looked at all the same
        return None
    call.restype = _Mallinfo2
    return call


MALLINFO2 = _mallinfo2()


def standing() -> dict[str, int]:
    """What there is now."""
    gc.collect()
    found = {
        "blocks": sys.getallocatedblocks(),
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    }
    for constant in (None, True, False):
        found[f"references to {constant}"] = sys.getrefcount(constant)
    if MALLINFO2 is not None:
        told = MALLINFO2()
        found["bytes / 8"] = (told.uordblks + told.hblkhd) // 8
    return found


def growth(call, times: int) -> dict[str, int]:
    """What is more after so many calls than before, once it has been warmed up."""
    for _ in range(max(20, times // 20)):
        call()
    before = standing()
    for _ in range(times):
        call()
    return {what: now - before[what] for what, now in standing().items()}


def check(call, times: int) -> None:
    """Less than what one a call would leave, in some try: caches fill once, threads come and go."""
    least: dict[str, int] = {}
    for _ in range(4):
        grown = growth(call, times)
        least = {what: min(more, least.get(what, more)) for what, more in grown.items()}
        # The smallest piece of memory that can be left is 32 bytes.
        limits = {"descriptors": 1, "bytes / 8": 3 * times}
        lost = {k: v for k, v in least.items() if v >= limits.get(k, 3 * times // 4)}
        if not lost:
            return
    raise AssertionError(f"after {times} calls there is more: {lost}")


def failing(call, error=DicomloomError):
    """Make a call of one that fails as expected."""

    def run():
        try:
            call()
        except error:
            return
        raise AssertionError("did not fail")

    return run
