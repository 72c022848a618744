"""N6, N10, W10 together: many senders, cut connections, a killed server; nothing is lost."""

import contextlib
import hashlib
import os
import random
import select
import shutil
import socket
import statistics
import struct
import subprocess
import threading
import time
from io import BytesIO

import pydicom
import pytest
from pynetdicom import AE

import dicomloom
from dicomloom.network.send import SendOptions, send_each
from network_peers import heard
from serve_peers import CT, Raw, echoes, serve_process, state_of, stored
from store_peers import bytes_of
from support import EXPLICIT_LE, element, long_run, part10, peer

SECONDS, PAUSE = (600, 0.3) if long_run() else (12, 0.02)
ROUND = 8
STUDIES = 40


class Cutter:
    """A way to the server that ends one connection in two, anywhere; a context manager."""

    def __init__(self, port, seed):
        self._to, self._random, self.cut = port, random.Random(seed), 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._closing = False

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *error):
        self._closing = True
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            most = self._random.choice([1 << 60, self._random.randrange(400_000)])
            reset = self._random.random() < 0.5
            self._threads = [one for one in self._threads if one.is_alive()]
            self._threads.append(
                threading.Thread(target=self._carry, args=(connection, most, reset))
            )
            self._threads[-1].start()

    def _carry(self, connection, most, reset):
        with contextlib.ExitStack() as held:
            held.enter_context(connection)
            try:
                other = held.enter_context(socket.create_connection(("127.0.0.1", self._to), 5))
            except OSError:
                return  # it is being started again
            pairs = {connection: other, other: connection}
            with contextlib.suppress(OSError):
                while most > 0 and not self._closing:
                    for one in select.select([*pairs], [], [], 0.1)[0]:
                        data = one.recv(min(65536, most))
                        if not data:
                            return
                        pairs[one].sendall(data)
                        most -= len(data)
                self.cut += most <= 0
                if reset:
                    for one in pairs:
                        linger = struct.pack("ii", 1, 0)
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class Sender:
    """Sends rounds of new objects; knows what was acknowledged. One way to send each."""

    def __init__(self, number, folder, seed):
        self.acknowledged, self.sent, self._round = {}, 0, 0
        self._number, self._folder = number, folder / str(number)
        self._folder.mkdir()
        self._random = random.Random(seed + number)

    def make(self):
        """UIDs and data sets of a round."""
        self._round += 1
        made = {}
        for one in range(ROUND):
            uid = f"1.2.{self._number}.{self._round}.{one}"
            size = 2 * self._random.choice([50, self._random.randrange(60_000)])
            study = f"1.3.{self._random.randrange(STUDIES)}"
            made[uid] = b"".join(
                element(tag, vr, value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2))
                for tag, vr, value in (
                    *((0x00080016, "UI", CT.encode()), (0x00080018, "UI", uid.encode())),
                    *((0x00100020, "LO", b"P"), (0x0020000D, "UI", study.encode())),
                    *((0x0020000E, "UI", f"{study}.1".encode()),),
                    (0x7FE00010, "OW", self._random.randbytes(size)),
                )
            )
        self.sent += len(made)
        return made

    def files(self, made):
        for uid, data in made.items():
            (self._folder / f"{uid}.dcm").write_bytes(part10(data, EXPLICIT_LE))
        return [self._folder / f"{uid}.dcm" for uid in made]

    def acknowledge(self, uid, data):
        self.acknowledged[uid] = hashlib.sha256(data).digest()

    def run(self, port, stop):
        while not stop.wait(PAUSE):
            made = self.make()
            with contextlib.suppress(OSError, EOFError, AssertionError):
                self.round(port, made)
            for path in self._folder.iterdir():
                path.unlink()


class ByHand(Sender):
    def round(self, port, made):
        with Raw(port) as raw:
            raw.associate((1, CT, [EXPLICIT_LE]))
            for uid, data in made.items():
                raw.store(uid, data)
                if raw.status() == 0:
                    self.acknowledge(uid, data)
            raw.release()


class ByPynetdicom(Sender):
    def round(self, port, made):
        entity = AE("PYNETDICOM")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
        entity.add_requested_context(CT, EXPLICIT_LE)
        association = heard(entity.associate("127.0.0.1", port))
        if not association.is_established:
            return
        with contextlib.suppress(RuntimeError, ValueError):  # it ended
            for path, (uid, data) in zip(self.files(made), made.items(), strict=True):
                answer = association.send_c_store(pydicom.dcmread(path))
                if answer and answer.Status == 0:
                    self.acknowledge(uid, data)
            association.release()
        association.abort()


class ByUs(Sender):
    def round(self, port, made):
        node = dicomloom.Node(f"ANY@127.0.0.1:{port}", timeout=5)
        for sent in send_each(node, self.files(made), options=SendOptions(retries=2, jobs=2)):
            if sent.outcome == "sent":
                self.acknowledge(sent.SOPInstanceUID, made[sent.SOPInstanceUID])


class ByStorescu(Sender):
    def round(self, port, made):
        command = [peer("storescu"), "-v", "-xe", "-to", "5", "127.0.0.1", str(port)]
        done = subprocess.run(
            [*command, *map(str, self.files(made))], capture_output=True, timeout=60, check=False
        )
        uid = ""
        for line in (done.stdout + done.stderr).decode().splitlines():
            if "Sending file: " in line:
                uid = os.path.basename(line).removesuffix(".dcm")
            elif "Received Store Response (Success)" in line:
                self.acknowledge(uid, made[uid])


def _settled(process_id, least):
    """What a process has when its associations have ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = state_of(process_id)
        if found[0] <= least[0] and found[1] <= least[1]:
            break
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def _sending(senders, port):
    stop = threading.Event()
    threads = [threading.Thread(target=one.run, args=(port, stop)) for one in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _watched(started, port, seconds):
    """Let it go on for so long; what memory the server had meanwhile, in KiB."""
    samples, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        assert started.poll() is None
        samples.append(state_of(started.pid)[2])
        time.sleep(0.2)
    return samples


def test_n06_w10_what_was_acknowledged_is_there_whatever_is_cut_and_killed(tmp_path, capsys):
    """Four senders of four makes, connections cut at random, kill -9 once: all bytes are there."""
    if shutil.disk_usage(tmp_path).free < 8 << 30:
        pytest.skip("less than 8 GiB are free for what is sent")
    kinds = (ByHand, ByPynetdicom, ByUs, ByStorescu)
    senders = [kind(number, tmp_path, 20) for number, kind in enumerate(kinds, 1)]
    options = ("--timeout", "5", "--idle-timeout", "10")
    with contextlib.ExitStack() as held:
        started, port, _ = held.enter_context(serve_process(tmp_path, *options))
        cutter = held.enter_context(Cutter(port, 7))
        with _sending(senders, cutter.port):
            _watched(started, port, SECONDS / 4)
            started.kill()
            started.wait()
            again = serve_process(tmp_path, *options, port=port)
            started, _, log = held.enter_context(again)
            fresh = state_of(started.pid)
            samples = _watched(started, port, SECONDS * 3 / 4)
        # A peer that comes when all has ended sees to the last threads of those before.
        assert echoes(port)
        least = (fresh[0] + 8, fresh[1])  # connections to the catalog stay open
        after = _settled(started.pid, least)
        assert after[:2] <= least
        assert "Traceback" not in log.read_text()
        found = _found(port)
    half = len(samples) // 2
    grown = statistics.median(samples[half:]) - statistics.median(samples[half // 2 : half])
    _all_there(tmp_path / "held", senders, found)
    acknowledged = sum(len(one.acknowledged) for one in senders)
    with capsys.disabled():
        print(
            f"\nsoak: {SECONDS} s, {sum(one.sent for one in senders)} objects sent, "
            f"{acknowledged} acknowledged ({[len(one.acknowledged) for one in senders]}), "
            f"{cutter.cut} connections cut; memory {samples[0]} to {samples[-1]} KiB, "
            f"grown {grown:.0f}; descriptors and threads {fresh[:2]} to {after[:2]}"
        )
    assert all(one.acknowledged for one in senders)
    assert cutter.cut
    assert grown < 16 << 10


def _found(port):
    """UIDs of all instances, as C-FIND has them."""
    node = dicomloom.Node(f"ANY@127.0.0.1:{port}", timeout=60)
    found = set()
    for study in list(dicomloom.find(node, "STUDY", {"StudyInstanceUID": ""})):
        keys = {"StudyInstanceUID": study.StudyInstanceUID}
        keys["SeriesInstanceUID"] = f"{study.StudyInstanceUID}.1"
        found |= {one.SOPInstanceUID for one in dicomloom.find(node, "IMAGE", keys)}
    return found


def _all_there(folder, senders, found):
    paths = {path.stem: path for path in folder.rglob("*.dcm")}
    assert not [name for name in stored(folder) if name.endswith(".partial")]
    assert set(paths) == found
    for sender in senders:
        assert sender.acknowledged.keys() <= paths.keys()
        for uid, digest in sender.acknowledged.items():
            assert hashlib.sha256(bytes_of(paths[uid])).digest() == digest, uid
    for path in paths.values():  # those that nobody heard of, too, are whole
        data = BytesIO(path.read_bytes())
        assert pydicom.dcmread(data).PixelData
