"""How fast objects go over the network, beside DCMTK and bare pynetdicom, and in how much memory.

    python bench_network.py --files 10000 --runs 5

Loopback, everything below --dir, which is memory by default. DCMTK's programs run with
TCP_NODELAY=1. Four sections: CT files of 137 kB to storescp; the same from storescu; one large
object, both ways; the memory of a larger one, also with a peer that reads 1 MB/s. Whole
processes, but for one row that says so; what arrived is compared with what was sent before a time
counts. Prints Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from make_tree import make_tree, needed_bytes
from processes import (
    BenchmarkError,
    Run,
    Tools,
    alternate,
    median,
    median_ratio,
    program,
    spread,
    workplace,
)
from report import describe, note, say, table

PIXELS = 256  # rows and columns
FRAME_BYTES = 1020 * 818 * 3
NODELAY = ["env", "TCP_NODELAY=1"]
_RECEIVER = ("storescp", "dicomloom serve")
_PYNETDICOM = """
import sys
from pathlib import Path
from pydicom import dcmread
from pynetdicom import AE
ae = AE()
ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
assoc = ae.associate("127.0.0.1", int(sys.argv[1]), max_pdu=131072)
for path in sorted(Path(sys.argv[2]).rglob("*.dcm")):
    assert assoc.send_c_store(dcmread(path)).Status == 0
assoc.release()
"""

_SEND = """
import json, sys, time
import dicomloom.network.sending.couriers  # what there is to be imported
began = time.monotonic()
report = dicomloom.send(f"ANY@127.0.0.1:{sys.argv[1]}", sys.argv[2])
assert not report.failed, report.failed
print(json.dumps({"seconds": time.monotonic() - began}))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A running receiver: its port, where it writes, and the peak of its memory."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if kind == "storescp":
            # +B: as the bytes come, which is the fastest it can do.
            command = [
                *NODELAY,
                dcmtk("storescp"),
                "--fork",
                "+B",
                "-od",
                str(folder),
                str(self.port),
            ]
        else:
            command = [_ours(), "serve", str(folder), "--port", str(self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        for _ in range(500):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.02)
        raise BenchmarkError(f"{kind} does not listen")

    def peak_kib(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def objects(self) -> list[Path]:
        return [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith(".") and "index.sqlite" not in path.name
        ]


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[Server]:
    server = Server(kind, folder)
    try:
        yield server
    finally:
        server.close()


def dcmtk(name: str) -> str:
    """Find a program of DCMTK's: pynetdicom installs others of these names beside Python."""
    for folder in os.get_exec_path():
        path = shutil.which(name, path=folder)
        if path is not None:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            if said.stdout.startswith("$dcmtk:"):
                return path
    raise BenchmarkError(f"DCMTK's {name} is not installed: apt-get install dcmtk")


def _ours() -> str:
    found = program("dicomloom")
    if found is None:
        raise BenchmarkError("dicomloom is not installed beside this Python")
    return found


def storescu(port: int, *what: object, more: Sequence[str] = ()) -> list[str]:
    return [
        *NODELAY,
        dcmtk("storescu"),
        "+sd",
        "+r",
        *more,
        "127.0.0.1",
        str(port),
        *map(str, what),
    ]


def send(port: int, *what: object, jobs: int = 1) -> list[str]:
    return [_ours(), "send", f"ANY@127.0.0.1:{port}", *map(str, what), "-j", str(jobs)]


def data_set_of(path: Path) -> tuple[int, int]:
    """Where the data set of a Part 10 file begins, and where it ends."""
    with path.open("rb") as file:
        head = file.read(144)
    return 144 + struct.unpack("<L", head[140:144])[0], path.stat().st_size


def check(server: Server, sent: Sequence[Path]) -> None:
    """Compare what arrived with what was sent, by number, sizes, and some of the bytes."""
    came = server.objects()
    if len(came) != len(sent):
        raise BenchmarkError(f"{len(came)} objects arrived, {len(sent)} were sent")

    def sizes(paths: Sequence[Path]) -> list[int]:
        return sorted(end - start for start, end in map(data_set_of, paths))

    if sizes(came) != sizes(sent):
        raise BenchmarkError("data sets of other sizes arrived than were sent")
    by_uid = {uid_of(path): path for path in sent[:: max(1, len(sent) // 50)]}
    found = 0
    for path in came:
        original = by_uid.get(uid_of(path))
        if original is not None:
            found += 1
            same_bytes(path, original)
    if found != len(by_uid):
        raise BenchmarkError("other objects arrived than were sent")


def uid_of(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(1024)
    at = head.index(b"\x02\x00\x03\x00UI") + 8
    length = int.from_bytes(head[at - 2 : at], "little")
    return head[at : at + length].rstrip(b"\0").decode()


def same_bytes(one: Path, other: Path) -> None:
    with one.open("rb") as a, other.open("rb") as b:
        a.seek(data_set_of(one)[0])
        b.seek(data_set_of(other)[0])
        while True:
            left, right = a.read(1 << 20), b.read(1 << 20)
            if left != right:
                raise BenchmarkError(f"{one} is not what was sent")
            if not left:
                return


def to_storescp(
    tools: Tools, folder: Path, command: Callable[[int], list[str]], sent: Sequence[Path]
) -> Run:
    with serving("storescp", folder / "out") as server:
        run = tools.run(command(server.port))
        check(server, sent)
    return run


def rates(taken: dict[str, list[Run]], amounts: dict[str, float], base: str) -> list[list[str]]:
    """Rows: what was done a second, against that of `base` within rounds."""
    theirs = [amounts[base] / run.inside for run in taken[base]]
    rows = []
    for name, runs in taken.items():
        mine = [amounts[name] / run.inside for run in runs]
        ratio = median_ratio(mine, theirs)
        rate = f"{amounts[name] / median(runs, 'inside'):,.0f}"
        peak = f"{median(runs, 'peak_kib') / 1024:.0f}"
        cpu = f"{median(runs, 'cpu'):.2f}"
        rows.append([name, spread(runs, "inside"), rate, f"{ratio:.2f}", cpu, peak])
    return rows


def measure_sending(tools: Tools, folder: Path, files: int, slow: int, runs: int) -> None:
    note(f"sending {files:,} files")
    tree, few = folder / "tree", folder / "few"
    sent = [tree / one.path for one in make_tree(tree, files, pixels=PIXELS)]
    some = [few / one.path for one in make_tree(few, slow, pixels=PIXELS, seed=1)]
    base = "storescu"
    jobs: dict[str, Callable[[], Run]] = {
        base: partial(to_storescp, tools, folder, lambda port: storescu(port, tree), sent),
        "dicomloom send": partial(to_storescp, tools, folder, lambda port: send(port, tree), sent),
        "dicomloom send -j 4": partial(
            to_storescp, tools, folder, lambda port: send(port, tree, jobs=4), sent
        ),
        "pynetdicom, as it comes": partial(
            to_storescp,
            tools,
            folder,
            lambda port: [sys.executable, "-c", _PYNETDICOM, str(port), str(few)],
            some,
        ),
    }
    taken = alternate(jobs, runs)
    amounts = dict.fromkeys(taken, float(files)) | {"pynetdicom, as it comes": float(slow)}
    say(f"## To storescp --fork: {files:,} files, {slow:,} of pynetdicom\n")
    head = ["", "wall s (least-most)", "files/s", "x storescu", "CPU s", "peak MiB"]
    table(head, rates(taken, amounts, base))


def from_storescu(
    tools: Tools, folder: Path, kind: str, parts: Sequence[Path], sent: Sequence[Path]
) -> Run:
    """Receive from as many storescu at a time as there are parts."""
    with serving(kind, folder / "in") as server:
        script = " & ".join(" ".join(storescu(server.port, part)) for part in parts) + " & wait"
        run = tools.run(["sh", "-c", script])
        check(server, sent)
    return run


def measure_receiving(tools: Tools, folder: Path, files: int, runs: int) -> None:
    note(f"receiving {files:,} files")
    tree = folder / "tree"
    sent = sorted(tree.rglob("*.dcm"))
    parts = []
    for number in range(4):  # the same files, by hard links
        part = folder / f"part{number}"
        part.mkdir()
        for at, path in enumerate(sent[number::4]):
            os.link(path, part / f"{at}.dcm")
        parts.append(part)
    jobs: dict[str, Callable[[], Run]] = {}
    for kind in _RECEIVER:
        jobs[f"{kind}, one sender"] = partial(from_storescu, tools, folder, kind, [tree], sent)
        jobs[f"{kind}, four senders"] = partial(from_storescu, tools, folder, kind, parts, sent)
    taken = alternate(jobs, runs)
    say(f"## From storescu: {files:,} files\n")
    amounts = dict.fromkeys(taken, float(files))
    rows = rates(taken, amounts, f"{_RECEIVER[0]}, one sender")
    head = ["", "wall s (least-most)", "files/s", "x storescp, one sender"]
    table(head, [row[:4] for row in rows])


def make_large(folder: Path, size: int) -> Path:
    """Write a multi-frame object of about so many bytes."""
    path = folder / f"large{size}.dcm"
    frames = max(1, round(size / FRAME_BYTES))
    here = Path(__file__).with_name("make_frames.py")
    command = [sys.executable, here, path, "big", "--frames", str(frames)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def measure_large(tools: Tools, folder: Path, size: int, runs: int) -> None:
    note(f"one object of {size:,} bytes")
    path = make_large(folder, size)
    jobs: dict[str, Callable[[], Run]] = {
        "storescu to storescp": partial(
            to_storescp, tools, folder, lambda port: storescu(port, path), [path]
        ),
        "dicomloom send to storescp": partial(
            to_storescp, tools, folder, lambda port: send(port, path), [path]
        ),
        "dicomloom.send to storescp, behind its imports": partial(
            to_storescp,
            tools,
            folder,
            lambda port: [sys.executable, "-c", _SEND, str(port), str(path)],
            [path],
        ),
        "storescu to dicomloom serve": partial(
            from_storescu, tools, folder, "dicomloom serve", [path], [path]
        ),
    }
    taken = alternate(jobs, runs)
    say(f"## One object of {size / 1e6:,.0f} MB\n")
    head = ["", "wall s (least-most)", "MB/s", "x storescu to storescp", "CPU s", "peak MiB"]
    table(head, rates(taken, dict.fromkeys(taken, size / 1e6), "storescu to storescp"))
    path.unlink()


class SlowPeer:
    """Accepts one association and reads: `rate` bytes a second for so many seconds, then all."""

    def __init__(self, rate: int, seconds: float) -> None:
        self._rate, self._seconds = rate, seconds
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.received = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        from pynetdicom import AE, evt

        # pynetdicom negotiates and answers; between it and the sender bytes go as slowly as asked.
        entity = AE()
        entity.maximum_pdu_size = 131072
        entity.add_supported_context(
            "1.2.840.10008.5.1.4.1.1.7.4", "1.2.840.10008.1.2.1", scu_role=None
        )
        handlers = [(evt.EVT_C_STORE, lambda event: 0)]
        behind = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        connection, _ = self._server.accept()
        with connection, socket.create_connection(behind.server_address) as inner:
            back = threading.Thread(target=_copy, args=(inner, connection))
            back.start()
            began = time.monotonic()
            while data := connection.recv(65536):
                inner.sendall(data)
                self.received += len(data)
                elapsed = time.monotonic() - began
                if elapsed < self._seconds:
                    time.sleep(max(0.0, self.received / self._rate - elapsed))
            inner.shutdown(socket.SHUT_WR)
            back.join()
        behind.shutdown()

    def close(self) -> None:
        self._server.close()
        self._thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def measure_memory(tools: Tools, folder: Path, size: int, seconds: float) -> None:
    note(f"memory, with an object of {size:,} bytes")
    path = make_large(folder, size)
    rows = []
    with serving("storescp", folder / "out") as server:
        run = tools.run(send(server.port, path))
        rows.append(["dicomloom send to storescp", f"{run.peak_kib / 1024:.0f}"])
    shutil.rmtree(folder / "out")
    slow = SlowPeer(1_000_000, seconds)
    run = tools.run(send(slow.port, path))
    slow.close()
    name = f"dicomloom send to a peer that reads 1 MB/s for {seconds:.0f} s, then all there is"
    rows.append([name, f"{run.peak_kib / 1024:.0f}"])
    for name, command in (("storescu", storescu), ("dicomloom send", send)):
        with serving("dicomloom serve", folder / "in") as server:
            tools.run(command(server.port, path))
            rows.append([f"dicomloom serve, from {name}", f"{server.peak_kib() / 1024:.0f}"])
    say(f"## Memory: one object of {size / 1e6:,.0f} MB\n")
    table(["", "peak MiB of the process"], rows)
    path.unlink()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=200, help="files for bare pynetdicom")
    parser.add_argument("--large", type=int, default=500_000_000, help="bytes of the large object")
    parser.add_argument("--huge", type=int, default=2_000_000_000, help="bytes for the memory")
    parser.add_argument("--seconds", type=float, default=30, help="of the peer that reads slowly")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"))
    args = parser.parse_args(arguments)
    needed = 2 * needed_bytes(args.files + args.slow, pixels=PIXELS) + 2 * args.huge
    try:
        with workplace(args.dir, needed) as folder:
            tools = Tools(folder)
            describe(folder, ("dicomloom", "pynetdicom", "pydicom"), [dcmtk("storescu")])
            if args.files:
                measure_sending(tools, folder, args.files, args.slow, args.runs)
                measure_receiving(tools, folder, args.files, args.runs)
                for name in ("tree", "few", "part0", "part1", "part2", "part3", "in", "out"):
                    shutil.rmtree(folder / name)
            if args.large:
                measure_large(tools, folder, args.large, args.runs)
            if args.huge:
                measure_memory(tools, folder, args.huge, args.seconds)
    except BenchmarkError as error:
        print(f"bench_network: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
