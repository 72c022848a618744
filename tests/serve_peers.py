"""Our server for tests, and peers that talk to it byte by byte."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import dicomloom
from dicomloom.network.serve.listener import Listener, Terms
from dicomloom.network.serve.services import Verification
from network_peers import VERIFICATION, Conversation, _item, descriptors, free_port, p_data, pdu
from support import EXPLICIT_LE, IMPLICIT_LE, element

CT = "1.2.840.10008.5.1.4.1.1.2"
RELEASE_RQ = b"\x05\0\0\0\0\4\0\0\0\0"
ABORT_BY_PEER = b"\x07\0\0\0\0\4\0\0\0\0"
C_STORE, C_ECHO, C_FIND, N_ACTION, C_CANCEL = 0x0001, 0x0030, 0x0020, 0x0130, 0x0FFF


class Ends(list):
    """How associations ended, as (ending, why); grows from other threads."""

    def __call__(self, acceptor):
        self.append((acceptor.ending, acceptor.why))

    def wait(self, count=1):
        until = time.monotonic() + 15
        while len(self) < count:
            assert time.monotonic() < until, f"{len(self)} of {count} associations ended"
            time.sleep(0.005)
        return self[-1]


@contextlib.contextmanager
def nothing_is_left():
    """Threads and descriptors are afterwards what they were before."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    until = time.monotonic() + 5  # those of peers in this process may need a moment
    while time.monotonic() < until and (
        descriptors() - before or set(threading.enumerate()) - threads
    ):
        time.sleep(0.01)
    assert not descriptors() - before, descriptors() - before
    assert not set(threading.enumerate()) - threads, set(threading.enumerate()) - threads


@contextlib.contextmanager
def listening(*services, **terms):
    """A listener with C-ECHO and what is given; gives it and its `Ends`."""
    ends = Ends()
    with nothing_is_left():
        listener = Listener(
            Terms(**{"timeout": 5, **terms}), [Verification(), *services], at_end=ends
        )
        try:
            yield listener, ends
        finally:
            listener.close()


@contextlib.contextmanager
def serving(folder, **options):
    """`dicomloom.serve`; gives the server and its `Ends`."""
    ends = Ends()
    with nothing_is_left():
        given = {"port": 0, "sync": False, "timeout": 5, "at_end": ends, **options}
        with dicomloom.serve(folder, **given) as server:
            yield server, ends


@contextlib.contextmanager
def serve_process(folder, *arguments, port=0):
    """`dicomloom serve` as a process; gives it, its port and the file of its log."""
    port, log = port or free_port(), folder / "serve.log"
    command = [
        *(sys.executable, "-m", "dicomloom", "serve", str(folder / "held"), "--port", str(port)),
        *("--log-level", "info", *arguments),
    ]
    with log.open("wb") as file:
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
    try:
        until = time.monotonic() + 60
        while True:
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < until
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            time.sleep(0.02)
        yield started, port, log
    finally:
        started.kill()
        started.wait()


def state_of(process_id):
    """Descriptors, threads and KiB of memory of a process."""
    with open(f"/proc/{process_id}/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return (
        len(os.listdir(f"/proc/{process_id}/fd")),
        int(found["Threads"]),
        int(found["VmRSS"].split()[0]),
    )


def echoes(port):
    """Whether a good peer gets in."""
    return dicomloom.echo(dicomloom.Node(f"ANY@127.0.0.1:{port}", timeout=5)).transfer_syntax


def associate_rq(contexts, *, called=b"DICOMLOOM", calling=b"TEST", max_length=16384, more=b""):
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2); `contexts` has (ID, abstract syntax, transfer syntaxes)."""
    items = b"".join(
        _item(
            0x20,
            bytes([number, 0, 0, 0])
            + _item(0x30, uid.encode())
            + b"".join(_item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for number, uid, syntaxes in contexts
    )
    user = _item(0x51, struct.pack(">L", max_length)) + _item(0x52, b"1.2.3") + more
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(1, body + _item(0x10, b"1.2.840.10008.3.1.1.1") + items + _item(0x50, user))


class Raw(Conversation):
    """A peer that says what it wants; a context manager that is closed at the end."""

    def __init__(self, port):
        super().__init__(socket.create_connection(("127.0.0.1", port), 10))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()

    def associate(self, *contexts, **more):
        """Ask for an association; returns {ID: (result, transfer syntax)}."""
        wanted = contexts or ((1, VERIFICATION, [EXPLICIT_LE]),)
        self.send(associate_rq(wanted, **more))
        answer = self.read_pdu()
        assert answer[0] == 2, answer
        results, at = {}, 74
        while at < len(answer):
            kind, length = answer[at], struct.unpack_from(">H", answer, at + 2)[0]
            if kind == 0x21:
                body = answer[at + 4 : at + 4 + length]
                results[body[0]] = body[2], body[8:].decode().rstrip("\0")
            at += 4 + length
        return results

    def store(self, uid, data, *, number=1, context=1, sop_class=CT, piece=16000):
        """Send a C-STORE-RQ and its data set."""
        self.send(p_data(store_rq(uid, number, sop_class), context))
        self.send_data(data, context, piece)

    def send_data(self, data, context=1, piece=16000):
        for at in range(0, max(len(data), 1), piece):
            last = 2 if at + piece >= len(data) else 0
            self.send(p_data(data[at : at + piece], context, last))

    def status(self):
        """Read a response, and return its status."""
        return self.response()[0x0900]

    def response(self):
        """Read a response as {element number: value}; a data set that follows is left."""
        answer = self.read_pdu()
        assert answer[0] == 4, answer
        return elements(answer[12:])

    def release(self):
        self.send(RELEASE_RQ)
        return self.read_pdu()[0]


def elements(command):
    """A command set as {element number: value}; integers where there are two bytes."""
    made, at = {}, 0
    while at < len(command):
        _, number, length = struct.unpack_from("<HHL", command, at)
        value = command[at + 8 : at + 8 + length]
        made[number] = struct.unpack("<H", value)[0] if length == 2 else value
        at += 8 + length
    return made


def us(number, value):
    return element(number, None, struct.pack("<H", value))


def ui(number, uid):
    raw = uid.encode() if isinstance(uid, str) else uid
    return element(number, None, raw + b"\0" * (len(raw) % 2))


def command_set(*parts):
    body = b"".join(parts)
    return element(0, None, struct.pack("<L", len(body))) + body


def echo_rq(number=1):
    return command_set(ui(2, VERIFICATION), us(0x100, C_ECHO), us(0x110, number), us(0x800, 0x101))


def store_rq(uid, number=1, sop_class=CT):
    return command_set(
        *(ui(2, sop_class), us(0x100, C_STORE), us(0x110, number), us(0x700, 0)),
        *(us(0x800, 1), ui(0x1000, uid)),
    )


def small(uid="1.2.3.4", sop_class=CT, size=0, implicit=True, patient="P1", study="1.2.3"):
    """A data set that the catalog takes; Implicit VR, with so many bytes of something private."""
    vr = {True: (None, None), False: ("UI", "LO")}[implicit]
    parts = [
        (0x00080016, vr[0], sop_class),
        (0x00080018, vr[0], uid),
        (0x00100020, vr[1], patient),
        (0x0020000D, vr[0], study),
        (0x0020000E, vr[0], f"{study}.1"),
    ]
    made = b"".join(
        element(tag, kind, text.encode() + (b" " if tag == 0x00100020 else b"\0") * (len(text) % 2))
        for tag, kind, text in parts
    )
    return made + (element(0x00291010, None if implicit else "OB", bytes(size)) if size else b"")


def stored(folder):
    """Names of what lies in the archive, whole or not."""
    return sorted(
        str(path.name) for path in folder.rglob("*") if path.suffix in (".dcm", ".partial")
    )


IMPLICIT_CT = (1, CT, [IMPLICIT_LE])
