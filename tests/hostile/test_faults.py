"""Every writer meets every hard fault: system calls that fail, stop half-way or end the process.

Rows W1, W2, W4, W7 and what surrounds them; the writers are the jobs of `fault_jobs`. A job runs once
without a fault, which tells the system calls it makes below the folder of its outputs; then it meets
faults at those.
"""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fault_jobs
from support import long_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is of Linux's linker")

HERE = Path(__file__).resolve().parent
PLACING = ("rename", "link")
# What each call may fail with: full disk, quota, broken or vanished disk, no descriptors, no right.
FAILURES = {
    "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "fsync": (errno.EIO, errno.ENOSPC),
    "close": (errno.EIO, errno.EDQUOT),
    "rename": (errno.ENOSPC, errno.EIO, errno.ESTALE),
    "link": (errno.ENOSPC, errno.EIO, errno.ESTALE),
    "create": (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOSPC),
    "open": (errno.EMFILE, errno.ENFILE, errno.EIO),
    "opendir": (errno.EMFILE, errno.EIO),
    "ftruncate": (errno.EIO, errno.ENOSPC),
    "fchmod": (errno.EPERM, errno.EIO),
    "mkdir": (errno.ENOSPC, errno.EACCES),
}


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler: the shim of system calls cannot be built")
    built = tmp_path_factory.mktemp("shim") / "faultshim.so"
    source = HERE / "faultshim.c"
    line = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", built, source, "-ldl"]
    subprocess.run(line, check=True, timeout=60)
    return built


class Victim:
    """A job in a process of its own, which meets one plan of faults after the other."""

    def __init__(self, name, folder, shim):
        self.name = name
        # Threads of libraries that nobody needs here only make forks slow.
        env = {**os.environ, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
        env["PYTHONPATH"] = str(HERE.parent)
        driver = [sys.executable, str(HERE.parent / "fault_driver.py"), name, str(folder)]
        self._process = subprocess.Popen(
            driver, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            [self.plain] = self.meet([{}])
        except BaseException:
            self.close()
            raise
        self.calls = self.plain["calls"]

    def meet(self, plan):
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.communicate()

    def places(self, call):
        """How often a call is made."""
        return sum(made[0] == call for made in self.calls)


@pytest.fixture(scope="module", params=list(fault_jobs.catalog()))
def victim(request, shim, tmp_path_factory):
    made = Victim(request.param, tmp_path_factory.mktemp(request.param), shim)
    yield made
    made.close()


def chosen(count, most):
    """Some of the numbers from 1 to count, the last always: that is where things are put in place."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({count, *random.Random(7).sample(range(1, count + 1), most - 1)})


def placed(result, fault):
    """Whether something had its final name before the fault came."""
    before = [made for made in result["calls"] if made[0] in PLACING or made[0] == "create"]
    return len(before) > (fault["calls"] in PLACING)


def whole(result):
    """Each file is the old one, the new one, or was never there."""
    for name, state in result["states"].items():
        assert state in ("old", "new", "none"), (name, state, result["said"])


def all_is_well(result, codes=()):
    assert result["code"] in (0, *codes), result["said"]
    assert set(result["states"].values()) == {"new"}, result["states"]
    assert not result["left"]


def codes_of(victim):
    """How a job ends without a fault, where that is not 0: nobody listens at the other end."""
    return (victim.plain["code"],)


def test_w01_without_a_fault(victim):
    """All is there, nothing besides, and every writer makes the calls that are to fail below."""
    all_is_well(victim.plain, (0, 60))
    assert victim.places("write")
    assert victim.places("fsync")


def test_w04_what_is_placed_was_on_the_disk_before(victim):
    """fsync comes between the last write and the name, and the folder's after that."""
    written = {}
    names = {}
    unsynced = set()
    for call, path, other in victim.calls:
        if call == "write":
            written[path] = True
        elif call == "fsync":
            written[path] = False
            unsynced.discard(path)
        elif call in PLACING:
            for name, dirty in written.items():
                assert not (dirty and (name == path or name.startswith(path + "/"))), (name, other)
            names[other] = path
            unsynced.add(os.path.dirname(other))
    assert not unsynced, "a name was not brought to the disk"
    targets = {os.path.basename(name) for name in names}
    for name in victim.plain["states"]:
        if not victim.name.startswith("update-sqlite"):  # SQLite's journal, in place
            assert os.path.basename(name) in targets


def test_w02_w04_a_call_that_fails(victim):
    """Exit code 40 and a message; the old file whole or a complete new one; no temporary."""
    plan = []
    for call, numbers in FAILURES.items():
        count = victim.places(call)
        for at in chosen(count, 200 if long_run() else 4):
            for number in numbers if long_run() else numbers[at % len(numbers) :][:1]:
                plan.append({"action": "fail", "calls": call, "errno": number, "from": at, "until": at})
    wrong = []
    for fault, result in zip(plan, victim.meet(plan), strict=True):
        why = (fault, result["code"], result["states"], result["left"], result["said"][-1500:])
        if any(state not in ("old", "new", "none") for state in result["states"].values()):
            wrong.append(why)
        elif result["left"] or "Traceback" in result["said"] or result["hang"]:
            wrong.append(why)
        elif result["code"] in codes_of(victim):
            if set(result["states"].values()) != {"new"}:
                wrong.append(why)
        elif result["code"] not in (1, *range(40, 60)):
            wrong.append(why)
        elif result["code"] != 1 and not ("/out" in result["said"]):
            wrong.append(why)
    assert not wrong, "\n".join(map(str, wrong))


def test_w01_w07_killed_anywhere_and_run_again(victim):
    """The old file or a complete new one; what is left is called partial; the next run is whole."""
    count = len(victim.calls)
    most = 200 if long_run() else 20
    plan = [
        {"action": "kill", "from": at, "until": at, "again": True} for at in chosen(count, most)
    ]
    wrong = []
    for fault, result in zip(plan, victim.meet(plan), strict=True):
        why = (fault, result)
        again = result["again"]
        if result["code"] != -9:
            wrong.append(why)
        if any(state not in ("old", "new", "none") for state in result["states"].values()):
            wrong.append(why)
        elif any(".partial" not in name and "-journal" not in name for name in result["left"]):
            wrong.append(why)
        elif set(again["states"].values()) != {"new"} or again["code"] not in codes_of(victim):
            wrong.append(why)
    assert not wrong, "\n".join(f"{a[0]} {a[1]['code']} {a[1]['states']} {a[1]['left']} {a[1]['again']['code']} {a[1]['again']['states']} {a[1]['again']['said'][-600:]}" for a in wrong)


def test_w04_short_writes_and_interrupted_calls(victim):
    """One byte at a time, or EINTR at every second call: slower, and whole."""
    plan = [
        {"action": "short", "calls": "write"},
        {"action": "interrupt", "calls": "write,fsync,create,open,opendir,ftruncate"},
    ]
    for result in victim.meet(plan):
        all_is_well(result, codes_of(victim))


def test_w04_a_clock_that_jumps(victim):
    """The time of day goes a day on and back, at every third look at it."""
    for result in victim.meet([{"clock": 1}, {"clock": 3}]):
        all_is_well(result, codes_of(victim))
