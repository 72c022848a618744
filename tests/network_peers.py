"""Peers on 127.0.0.1: DCMTK's servers, and fakes in a few lines that say what no good peer says."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
import weakref

from support import EXPLICIT_LE, element, peer

VERIFICATION = "1.2.840.10008.1.1"
RELEASE_RP = b"\x06\0\0\0\0\4\0\0\0\0"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Conversation:
    """One connection as a fake peer sees it."""

    def __init__(self, connection):
        self.connection = connection

    def read_pdu(self):
        header = self.read(6)
        return header + self.read(struct.unpack(">L", header[2:])[0])

    def read(self, count):
        data = b""
        while len(data) < count:
            some = self.connection.recv(count - len(data))
            if not some:
                raise EOFError
            data += some
        return data

    def send(self, data):
        self.connection.sendall(data)

    def accept(self, **answer):
        """Answer an A-ASSOCIATE-RQ; returns it."""
        request = self.read_pdu()
        self.send(accept(**answer))
        return request

    def until_closed(self):
        with contextlib.suppress(OSError):
            while self.connection.recv(4096):
                pass


@contextlib.contextmanager
def fake(talk, seen=None):
    """A peer that does `talk(Conversation)` for each connection; gives its port.

    What `talk` returns is appended to `seen`; an exception other than the end of a connection is
    raised at the end of the block.
    """
    errors = []
    server = socket.create_server(("127.0.0.1", 0))

    def one(connection):
        with connection:
            try:
                answer = talk(Conversation(connection))
                if seen is not None:
                    seen.append(answer)
            except (EOFError, OSError):
                pass
            except Exception as error:
                errors.append(error)

    threads = []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.settimeout(10)
            threads.append(threading.Thread(target=one, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=serve)
    acceptor.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        acceptor.join(10)
        for thread in threads:  # it may have begun another one
            thread.join(10)
            assert not thread.is_alive()
    if errors:
        raise errors[0]


def pdu(kind, body):
    return struct.pack(">BBL", kind, 0, len(body)) + body


def _item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def accept(results=((1, 0),), max_length=16384, name=b"FAKE", uid=b"1.2.3"):
    """An A-ASSOCIATE-AC (PS3.8 9.3.3); `results` has (context ID, result)."""
    contexts = b"".join(
        _item(0x21, bytes([number, 0, result, 0]) + _item(0x40, EXPLICIT_LE.encode()))
        for number, result in results
    )
    user = _item(0x51, struct.pack(">L", max_length)) + _item(0x52, uid) + _item(0x55, name)
    body = struct.pack(">HH", 1, 0) + b"PEER".ljust(16) + b"ME".ljust(16) + bytes(32)
    application = _item(0x10, b"1.2.840.10008.3.1.1.1")
    return pdu(2, body + application + contexts + _item(0x50, user))


def reject(result, source, reason):
    return pdu(3, bytes([0, result, source, reason]))


def abort(source, reason):
    return pdu(7, bytes([0, 0, source, reason]))


def p_data(command, context=1, control=3):
    return pdu(4, struct.pack(">LBB", len(command) + 2, context, control) + command)


def echo_response(status, number=1, *more):
    """A C-ECHO-RSP (PS3.7 9.3.5.2) in one P-DATA-TF."""
    uid = VERIFICATION.encode() + b"\0"
    command = b"".join(
        [
            element(0x00000002, None, uid),
            element(0x00000100, None, struct.pack("<H", 0x8030)),
            element(0x00000120, None, struct.pack("<H", number)),
            element(0x00000800, None, struct.pack("<H", 0x0101)),
            element(0x00000900, None, struct.pack("<H", status)),
            *more,
        ]
    )
    return p_data(element(0, None, struct.pack("<L", len(command))) + command)


def request_of(pdu_bytes):
    """What an A-ASSOCIATE-RQ says, as {item type: [bodies]}; sub-items of 20H and 50H included."""
    items = {"called": pdu_bytes[10:26], "calling": pdu_bytes[26:42]}

    def walk(data):
        while data:
            kind, length = data[0], struct.unpack(">H", data[2:4])[0]
            body = data[4 : 4 + length]
            items.setdefault(kind, []).append(body)
            if kind in (0x20, 0x50):
                walk(body[4:] if kind == 0x20 else body)
            data = data[4 + length :]

    walk(pdu_bytes[74:])
    return items


@contextlib.contextmanager
def program(name, *arguments, port):
    """A server of DCMTK's; gives its port when it listens."""
    command = [peer(name), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(200):
            assert process.poll() is None, process.stdout.read().decode()
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def storescp(folder, *options):
    port = free_port()
    with program("storescp", *options, "-od", folder, port, port=port):
        yield port


def certificate(folder, name, *, subject="127.0.0.1", expired=False):
    """A self-signed certificate and its key, made by openssl; returns their paths."""
    kind = "IP" if subject[0].isdigit() else "DNS"
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        *(peer("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={subject}"),
        *("-addext", f"subjectAltName={kind}:{subject}"),
    ]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    if expired:
        command = [
            peer("openssl"),
            "x509",
            "-in",
            cert,
            "-signkey",
            key,
            "-days",
            "-1",
            "-out",
            cert,
        ]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return cert, key


def descriptors():
    return set(os.listdir("/dev/fd"))


class _Checkpoint(threading.Event):
    """Where the thread of an association waits, which here it does until the association ends."""

    def __init__(self, association):
        super().__init__()
        self.association = weakref.ref(association)  # no cycle: its socket goes with it

    def set(self):
        association = self.association()
        if association is None or not association.is_established:
            super().set()


def heard(association):
    """An association of pynetdicom's that gets its answers: its own thread takes none of them.

    Now and then it does, since it may be behind its checkpoint already; then nobody ever gets it.
    """
    association._reactor_checkpoint = _Checkpoint(association)
    time.sleep(0.01)  # the thread comes by every millisecond
    return association
