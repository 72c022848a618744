"""Sends jobs into faults, a forked process each, and tells what is there afterwards.

Run as a program with the shim preloaded. Importing takes a second and forking a hundredth of one,
so one process sends all jobs into all faults.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault_jobs import Job, catalog

ACTIONS = {"none": 0, "fail": 1, "kill": 2, "short": 3, "interrupt": 4, "signal": 5}
HANG = 96
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
_PATIENCE = 60.0


def obey_modes() -> None:
    """Give up root's right to write and read everywhere, for good."""
    header = struct.pack("<LL", 0x20080522, 0)
    sets = ctypes.create_string_buffer(24)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, sets) == 0
    words = list(struct.unpack("<6L", sets.raw))
    for i in range(3):
        words[i] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, struct.pack("<6L", *words)) == 0


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

    def _prepare(self, mode: int | None = None) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        self.job.before(self.out)
        self._before = {
            name: (self.out / name).read_bytes()
            for name in self.job.checks
            if (self.out / name).is_file()
        }
        if mode is not None:
            for name in self._before:
                (self.out / name).chmod(mode)

    def _child(self, fault: dict[str, Any]) -> int:
        """Run the job in a fork, with what is to happen to it; returns the process."""
        child = os.fork()
        if child:
            return child
        code = 99
        try:
            said = os.open(self._said, os.O_WRONLY | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            log = os.open(self._log, os.O_WRONLY | os.O_APPEND)
            os.umask(fault.get("umask", 0o022))
            if "limit" in fault:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (fault["limit"], fault["limit"]))
            if "folder" in fault:
                obey_modes()
                os.chmod(self.out, fault["folder"])
            before = [signal.getsignal(number) for number in SIGNALS]
            self._shim.fault_arm(
                os.fsencode(self.out), fault.get("calls", "").encode(),
                ACTIONS[fault.get("action", "none")], fault.get("errno", 0),
                fault.get("from", 1), fault.get("until", 1 << 40),
                log, fault.get("clock", 0),
            )  # fmt: skip
            code = self.job.run(self.out)
            if fault.get("loads"):
                Path(fault["loads"]).write_text("\n".join(sys.modules))
            if [signal.getsignal(number) for number in SIGNALS] != before:
                print("Traceback: the handlers of signals are not what they were")
                code = 97
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _run(self, fault: dict[str, Any]) -> list[int]:
        """Run the job once, or several times at once; returns exit codes, None for a hang."""
        self._log.write_bytes(b"")
        self._said.write_bytes(b"")
        with self._node():
            return self._wait([self._child(fault) for _ in range(fault.get("times", 1))])

    @contextlib.contextmanager
    def _node(self) -> Iterator[None]:
        """Have what is at the other end in a process that meets no fault."""
        if self.job.around is None:
            yield
            return
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with self.job.around():
                os.write(writer, b"1")
                time.sleep(600)
            os._exit(0)
        os.close(writer)
        try:
            assert os.read(reader, 1) == b"1", "the node does not begin"
            yield
        finally:
            os.close(reader)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _wait(self, children: list[int]) -> list[int]:
        until = time.monotonic() + _PATIENCE
        codes: list[int] = []
        for child in children:
            ended = status = 0
            while not ended:
                ended, status = os.waitpid(child, os.WNOHANG)
                if not ended and time.monotonic() > until:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    ended, status = child, HANG << 8
                if not ended:
                    time.sleep(0.002)
            codes.append(os.waitstatus_to_exitcode(status))
        return codes

    def attempt(self, fault: dict[str, Any], *, prepared: bool = False) -> dict[str, Any]:
        """Send the job into a fault; tell how it ended and what is there."""
        if not prepared:
            self._prepare(fault.get("mode"))
        codes = self._run(fault)
        os.chmod(self.out, 0o755)
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return {
            "code": codes[0],
            "all": codes,
            "codes": self.job.codes,
            "states": {name: self._state(name) for name in self.job.checks},
            "left": self._left(),
            "said": self._said.read_text("utf-8", "replace"),
            "calls": [line.split("\t") for line in lines],
            "modes": self._modes(),
            "is_command": getattr(self.job.run, "is_command", False),
        }

    def _modes(self) -> dict[str, int]:
        """Permissions of the files among the outputs."""
        paths = ((name, self.out / name) for name in self.job.checks)
        return {name: path.stat().st_mode & 0o777 for name, path in paths if path.is_file()}

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

    def load(self) -> None:
        """Import once what the job imports, so that each fork has it already."""
        names = self._log.with_name("modules")
        self._prepare()
        self._run({"loads": str(names)})
        for name in names.read_text("utf-8").splitlines():
            with contextlib.suppress(Exception):
                importlib.import_module(name)

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
    """Answer what comes on standard input, a line each: a job, its folder, and a plan."""
    answers = os.fdopen(os.dup(1), "w")
    driver, at = None, ""
    for line in sys.stdin:
        name, folder, plan = json.loads(line)
        if driver is None or at != folder:
            driver, at = Driver(name, Path(folder)), folder
            driver.load()
        json.dump(driver.follow(plan), answers)
        answers.write("\n")
        answers.flush()


if __name__ == "__main__":
    main()
