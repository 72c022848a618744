"""Every writer meets every hard fault: system calls that fail, stop half-way or end the process.

Rows W1, W2, W4 and W7; the writers are the jobs of `fault_jobs`. A job runs once
without a fault, which tells what it calls below the folder of its outputs; then it meets
faults at those.
"""

import errno
import json
import os
import random
import shutil
import signal
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


@pytest.fixture(scope="session")
def driver(shim):
    """A process that sends jobs into faults."""
    # Threads of libraries that nobody needs here only make forks slow.
    env = {**os.environ, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
    env["PYTHONPATH"] = str(HERE.parent)
    line = [sys.executable, str(HERE.parent / "fault_driver.py")]
    process = subprocess.Popen(
        line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


class Victim:
    """A job, which meets one plan of faults after the other."""

    def __init__(self, name, folder, driver):
        self.name, self._folder, self._driver = name, str(folder), driver
        [self.plain] = self.meet([{}])
        self.calls = self.plain["calls"]

    def meet(self, plan):
        self._driver.stdin.write(json.dumps([self.name, self._folder, plan]) + "\n")
        self._driver.stdin.flush()
        return json.loads(self._driver.stdout.readline())

    def places(self, call):
        """How often a call is made."""
        return sum(made[0] == call for made in self.calls)


@pytest.fixture(scope="module", params=list(fault_jobs.catalog()))
def victim(request, driver, tmp_path_factory):
    return Victim(request.param, tmp_path_factory.mktemp(request.param), driver)


def chosen(count, most):
    """Some numbers from 1 to count; the last always: that is where things are put in place."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({count, *random.Random(7).sample(range(1, count + 1), most - 1)})


def is_well(result):
    return (
        result["code"] in result["codes"]
        and set(result["states"].values()) == {"new"}
        and not result["left"]
    )


def is_whole(result):
    """Each file is the old one, the new one, or was never there."""
    return set(result["states"].values()) <= {"old", "new", "none"}


def is_told(result, call):
    """It ended by itself, by a code and a message that says which file."""
    if result["code"] in result["codes"]:
        # Nothing was lost by it, or one file of several is said to have failed.
        return set(result["states"].values()) == {"new"} or result["code"] == 1
    # Reading an earlier table, or a folder, is reading.
    codes = range(20, 60) if call in ("open", "opendir", "close") else range(40, 60)
    return result["code"] in codes and "/out" in result["said"]


def report(plan, results, fails):
    wrong = [(fault, result) for fault, result in zip(plan, results, strict=True) if fails(result)]
    for fault, result in wrong:
        del result["calls"]
        print(fault, json.dumps(result, indent=1))
    assert not wrong


def test_w01_without_a_fault(victim):
    """All is there, nothing besides, and every writer makes the calls that are to fail below."""
    assert is_well(victim.plain), victim.plain
    assert victim.places("write")
    assert victim.places("fsync")


def test_w04_what_is_placed_was_on_the_disk_before(victim):
    """fsync comes between the last write and the name, and the folder's after that."""
    dirty, placed, unsynced = set(), set(), set()
    for call, path, other in victim.calls:
        if call == "write":
            dirty.add(path)
        elif call == "fsync":
            dirty.discard(path)
            unsynced.discard(path)
        elif call == "mkdir":
            unsynced.add(os.path.dirname(path))
        elif call in PLACING:
            assert not [name for name in dirty if name == path or name.startswith(path + "/")]
            unsynced = {name.replace(path, other, 1) for name in unsynced}
            unsynced.add(os.path.dirname(other))
            placed.add(os.path.basename(other))
    assert not unsynced, "a name was not brought to the disk"
    # An update of SQLite is a transaction in place, and a report grows line by line.
    if victim.name not in ("update-sqlite", "send-report"):
        assert {os.path.basename(name) for name in victim.plain["states"]} <= placed


def test_w02_w04_a_call_that_fails(victim):
    """A code and a message that names the file; the old or a complete new one; no temporary."""
    plan = []
    for call, numbers in FAILURES.items():
        plan += [
            {"action": "fail", "calls": call, "errno": number, "from": at, "until": at}
            for at in chosen(victim.places(call), 200 if long_run() else 3)
            for number in (numbers if long_run() else [numbers[at % len(numbers)]])
        ]

    def fails(result):
        call = plan[results.index(result)]["calls"]
        return (
            not is_whole(result)
            or not is_told(result, call)
            or result["left"]
            or "Traceback" in result["said"]
        )

    results = victim.meet(plan)
    report(plan, results, fails)


def test_w01_w07_killed_anywhere_and_run_again(victim):
    """The old file or a complete new one; what is left is called partial; the next run is whole."""
    most = 200 if long_run() else 10
    plan = [
        {"action": "kill", "from": at, "until": at, "again": number % 4 == 3 or long_run()}
        for number, at in enumerate(chosen(len(victim.calls), most))
    ]

    def fails(result):
        again = result.get("again")
        return (
            result["code"] != -9
            or not is_whole(result)
            or any(".partial" not in name and "-journal" not in name for name in result["left"])
            or (again and not is_well(again | {"left": []}))
        )

    report(plan, victim.meet(plan), fails)


def test_w03_a_signal_at_any_call(victim):
    """Ctrl-C, SIGTERM and SIGHUP end it with code 130, and leave what a failure leaves: nothing."""
    numbers = [signal.SIGINT]
    if victim.plain["is_command"]:
        numbers = [signal.SIGTERM, signal.SIGHUP]
    plan = [
        {"action": "signal", "errno": numbers[turn % len(numbers)], "from": at, "until": at}
        for turn, at in enumerate(chosen(len(victim.calls), 200 if long_run() else 3))
    ]

    def fails(result):
        # A first table of SQLite is kept when somebody interrupts it, for an update to go on from.
        left = [name for name in result["left"] if victim.name != "index-sqlite"]
        ended = result["code"] == (130 if result["is_command"] else 99) or is_well(result)
        return left or not ended or not is_whole(result)

    report(plan, victim.meet(plan), fails)


def test_w02_a_file_that_may_not_grow(victim):
    """RLIMIT_FSIZE: the system itself refuses, in the middle of a write."""
    plan = [{"limit": 1 << bits} for bits in (9, 10, 11)]
    for result in victim.meet(plan):
        assert is_whole(result), result
        assert is_well(result) or is_told(result, "write"), result
        assert not result["left"], result
        assert "Traceback" not in result["said"], result


def test_w08_permissions(victim):
    """A file that is replaced keeps its permissions; a new one has those of the umask."""
    [result] = victim.meet([{"mode": 0o604, "umask": 0o027}])
    assert is_well(result)
    there = victim.name.startswith(("index", "update", "writer", "transcode")) or victim.name in (
        *("recover", "dicomize-document", "dicomize-pictures", "extract-force", "dicomdir"),
    )
    modes = set(result["modes"].values())
    assert modes <= {0o604, 0o640}
    assert (0o604 in modes) == there


def test_w08_a_folder_that_is_read_only(victim):
    """The reason is told, and nothing is changed; a folder that cannot be listed will do."""
    plan = [{"folder": 0o555}]
    listed = ("dicomdir", "transcode-tree", "serve", "update-sqlite")
    if victim.name not in listed:
        plan.append({"folder": 0o333})
    refused, *taken = victim.meet(plan)
    assert is_whole(refused)
    assert not refused["left"]
    assert refused["code"] in (1, *range(40, 60))
    assert "/out" in refused["said"]
    for result in taken:
        assert is_well(result), result


def test_w09_several_at_once(victim):
    """None takes another's file: each is done or refused, and what is there is whole."""
    [result] = victim.meet([{"times": 4}])
    assert set(result["states"].values()) == {"new"}, result
    assert not result["left"]
    assert set(result["all"]) <= {*result["codes"], 2, 40}, result  # 2: of a state file
    assert set(result["all"]) & set(result["codes"])
    assert "Traceback" not in result["said"]


def test_w04_short_writes_and_interrupted_calls(victim):
    """One byte at a time, or EINTR at every second call: slower, and whole."""
    calls = "write,create,open,opendir,ftruncate"
    if "sqlite" not in victim.name and victim.name != "serve":
        calls += ",fsync"  # SQLite takes that for a broken disk, and Linux never does it to files
    plan = [{"action": "short", "calls": "write"}, {"action": "interrupt", "calls": calls}]
    report(plan, victim.meet(plan), lambda result: not is_well(result))


def test_w04_a_clock_that_jumps(victim):
    """The time of day goes a day on and back, at every look at it or at every third."""
    plan = [{"clock": 1}, {"clock": 3}]
    report(plan, victim.meet(plan), lambda result: not is_well(result))
