"""Sends jobs into faults, a forked process each, and tells what is there afterwards.

Run as a program with the shim preloaded: ``fault_driver.py JOB FOLDER PLAN``; PLAN and the answer
are JSON. Importing takes a second and forking a hundredth of one, so a job meets many faults.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from fault_jobs import Job, catalog

ACTIONS = {"none": 0, "fail": 1, "kill": 2, "short": 3, "interrupt": 4}
_PATIENCE = 60.0


class Driver:
    """One job and its folders."""

    def __init__(self, name: str, folder: Path) -> None:
        self._shim = ctypes.CDLL(None)
        self._shim.fault_arm.argtypes = [
            ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int,
            ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_int,
        ]  # fmt: skip
        inputs = folder / "inputs"
        inputs.mkdir()
        self.out, self._said, self._log = folder / "out", folder / "said", folder / "log"
        self.job: Job = catalog()[name](inputs)

    def _prepare(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        self.job.before(self.out)
        self._before = {
            name: (self.out / name).read_bytes()
            for name in self.job.checks
            if (self.out / name).is_file()
        }

    def _run(self, fault: dict[str, Any]) -> int:
        """Run the job once, in a fork; returns the wait status."""
        self._log.write_bytes(b"")
        child = os.fork()
        if child == 0:
            code = 99
            try:
                said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(said, 1)
                os.dup2(said, 2)
                log = os.open(self._log, os.O_WRONLY | os.O_APPEND)
                with self.job.around():
                    self._shim.fault_arm(
                        os.fsencode(self.out), fault.get("calls", "").encode(),
                        ACTIONS[fault.get("action", "none")], fault.get("errno", 0),
                        fault.get("from", 1), fault.get("until", 1 << 40),
                        log, fault.get("clock", 0),
                    )  # fmt: skip
                    code = self.job.run(self.out)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        until = time.monotonic() + _PATIENCE
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return -1
            time.sleep(0.002)

    def attempt(self, fault: dict[str, Any], *, prepared: bool = False) -> dict[str, Any]:
        """Send the job into a fault; tell how it ended and what is there."""
        if not prepared:
            self._prepare()
        status = self._run(fault)
        lines = self._log.read_text("utf-8", "replace").splitlines()
        calls = [line.split("\t") for line in lines]
        return {
            "code": -1 if status < 0 else os.waitstatus_to_exitcode(status),
            "hang": status == -1,
            "codes": self.job.codes,
            "states": {name: self._state(name) for name in self.job.checks},
            "left": self._left(),
            "said": self._said.read_text("utf-8", "replace"),
            "calls": calls,
        }

    def _state(self, name: str) -> str:
        path = self.out / name
        if not os.path.lexists(path):
            return "none" if name not in self._before else "gone"
        if path.is_file() and path.read_bytes() == self._before.get(name):
            return "old"
        try:
            self.job.checks[name](path)
        except Exception:
            if name in self.job.old:
                try:
                    self.job.old[name](path)
                except Exception:
                    pass
                else:
                    return "old"
            return "broken: " + traceback.format_exc(limit=2)
        return "new"

    def _left(self) -> list[str]:
        left = []
        for folder, folders, files in os.walk(self.out):
            for entry in list(folders):
                name = os.path.relpath(os.path.join(folder, entry), self.out)
                if name in self.job.checks:
                    folders.remove(entry)
                elif name not in self.job.allowed and self.job.is_left(name):
                    left.append(name)
            for entry in files:
                name = os.path.relpath(os.path.join(folder, entry), self.out)
                known = name in self.job.checks or name in self.job.allowed
                if not known and self.job.is_left(name):
                    left.append(name)
        return sorted(left)

    def follow(self, plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Meet all faults of a plan; `again` runs once more, without one, over what is left."""
        told = []
        for fault in plan:
            result = self.attempt(fault)
            if fault.get("again") and (self.job.again or "new" not in result["states"].values()):
                result["again"] = self.attempt({}, prepared=True)
            told.append(result)
        return told


def main() -> None:
    """Make the job; then answer each plan that comes on standard input, a line each."""
    driver = Driver(sys.argv[1], Path(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        json.dump(driver.follow(json.loads(line)), answers)
        answers.write("\n")
        answers.flush()


if __name__ == "__main__":
    main()
