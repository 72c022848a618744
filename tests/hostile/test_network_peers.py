"""N5 to N9: peers that flood, drip, babble or break DIMSE; a good one still gets in."""

import contextlib
import logging
import random
import re
import socket
import struct
import threading
import time

import pytest

import dicomloom
from dicomloom import Node
from dicomloom.network import direct
from network_peers import RELEASE_RP, VERIFICATION, fake, free_port, p_data
from objects import run
from retrieve_peers import FIND, GET, MOVE, object_of
from serve_peers import (
    ABORT_BY_PEER,
    C_ECHO,
    CT,
    IMPLICIT_CT,
    RELEASE_RQ,
    Raw,
    associate_rq,
    command_set,
    echo_rq,
    echoes,
    elements,
    nothing_is_left,
    serve_process,
    serving,
    state_of,
    store_rq,
    ui,
)
from store_peers import Message, take_association
from support import EXPLICIT_LE, element, long_run

MPPS, COMMITMENT, WORKLIST = (
    *("1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1"),
    "1.2.840.10008.5.1.4.31",
)
FOUR_GIB = b"\xff\xff\xff\xff"


# N5: lengths


@pytest.mark.parametrize("kind", [1, 2, 4, 7])
def test_n05_a_first_pdu_of_four_gib_is_refused_after_its_header(tmp_path, kind):
    """The connection ends at once, with no more than a header read; a good peer gets in."""
    with serving(tmp_path) as (server, ends), Raw(server.port) as raw:
        raw.send(bytes([kind, 0]) + FOUR_GIB)
        raw.until_closed()
        assert ends.wait()[0] == "closed"
        assert "expected at most" in ends[-1][1]
        assert echoes(server.port)


@pytest.mark.parametrize("length", [(128 << 10) + 1, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("within", [False, True], ids=["between", "within an object"])
def test_n05_p_data_above_the_negotiated_length_aborts_in_serve(tmp_path, length, within):
    """A-ABORT after the header; of the object that was on its way nothing is left."""
    with serving(tmp_path) as (server, ends), Raw(server.port) as raw:
        raw.associate(IMPLICIT_CT)
        if within:
            raw.send(p_data(store_rq("1.2.3")) + p_data(bytes(1000), control=0))
        raw.send(b"\4\0" + struct.pack(">L", length))
        assert raw.read_pdu()[0] == 7
        raw.until_closed()
        assert ends.wait()[0] == "aborted"
        assert echoes(server.port)
    assert not [*tmp_path.rglob("*.partial"), *tmp_path.rglob("*.dcm")]


def _asks(tmp_path):
    """Each of the calls that talk to a peer, by name."""
    path = tmp_path / "one.dcm"
    data = object_of("1.2.3.4")
    meta = element(0x00020010, "UI", EXPLICIT_LE.encode() + b"\0")
    head = element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta
    path.write_bytes(bytes(128) + b"DICM" + head + data)
    keys = {"StudyInstanceUID": "1.2.3"}
    step = {"PerformedProcedureStepID": "1", "Modality": "CT", "PerformedStationAETitle": "ME"}
    return {
        "echo": dicomloom.echo,
        "find": lambda node: list(dicomloom.find(node, "STUDY", keys)),
        "worklist": lambda node: list(dicomloom.worklist(node)),
        "send": lambda node: dicomloom.send(node, path, retries=0),
        "get": lambda node: dicomloom.retrieve(node, tmp_path / "get", keys, method="get"),
        "move": lambda node: dicomloom.retrieve(
            node, tmp_path / "move", keys, method="move", listen=f"127.0.0.1:{free_port()}"
        ),
        "commit": lambda node: dicomloom.commit(node, instances=[(CT, "1.2.3.4")], wait=0.2),
        "mpps": lambda node: dicomloom.PerformedProcedureStep(node, step).start(),
    }


SERVICES = ["echo", "find", "worklist", "send", "get", "move", "commit", "mpps"]


def _fails(ask, port, timeout=3):
    """Ask a hostile peer: an exception of ours with a hint, or a report that says what failed."""
    try:
        made = ask(Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=timeout))
    except dicomloom.NetworkError as error:
        return error
    assert getattr(made, "failed", None) or getattr(made, "trouble", None), made
    return None


@pytest.mark.parametrize("service", SERVICES)
def test_n05_an_acceptance_of_four_gib_is_refused_by_every_call(tmp_path, service):
    """A hostile acceptor: an error after the header, and the peer hears an A-ABORT."""
    seen = []

    def talk(conversation):
        conversation.read_pdu()
        conversation.send(b"\2\0" + FOUR_GIB)
        seen.append(conversation.read_pdu()[0])

    with nothing_is_left(), fake(talk) as port:
        error = _fails(_asks(tmp_path)[service], port)
    assert error is None or "expected at most 262144 bytes in a PDU" in str(error)
    assert set(seen) == {7}


@pytest.mark.parametrize("service", SERVICES)
def test_n05_p_data_above_the_negotiated_length_aborts_in_every_call(tmp_path, service):
    """Towards send, find, retrieve and the others: the same after the acceptance."""
    seen = []

    def talk(conversation):
        take_association(conversation)
        assert Message(conversation).command
        conversation.send(b"\4\0" + FOUR_GIB)
        with contextlib.suppress(OSError):
            seen.append(conversation.read_pdu()[0])

    with nothing_is_left(), fake(talk) as port:
        error = _fails(_asks(tmp_path)[service], port)
    assert error is None or isinstance(error, dicomloom.ProtocolError)
    assert set(seen) == {7}


# N6: floods


def _come_and_go(port, number):
    """One of the ways to connect and leave."""
    with contextlib.suppress(OSError, EOFError), Raw(port) as raw:
        way = number % 8
        if way in (1, 2, 5):  # reset
            linger = struct.pack("ii", 1, 0)
            raw.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if way == 2:
            raw.send(associate_rq([(1, VERIFICATION, [EXPLICIT_LE])])[:50])
        if way >= 3:
            raw.associate(IMPLICIT_CT)
        if way == 4:
            raw.send(ABORT_BY_PEER)
        if way == 5:
            raw.send(p_data(store_rq("1.2.3")) + p_data(bytes(5000), control=0))
        if way == 6:
            raw.send(p_data(command_set(ui(2, CT)))[:20])
        if way == 7:
            raw.send(b"\xff" * 100)


def test_n06_connects_and_aborts_leave_threads_descriptors_and_memory_flat(tmp_path):
    """Of 1,000 (20,000 in a long run), half of them in the midst of something, nothing is left."""
    count = 20_000 if long_run() else 1000
    with serve_process(tmp_path) as (started, port, log):

        def settled():
            until = time.monotonic() + 60
            while state_of(started.pid)[1] > threads and time.monotonic() < until:
                time.sleep(0.05)
            return state_of(started.pid)

        threads = state_of(started.pid)[1]
        for number in range(400):  # pools, arenas and caches have their size
            _come_and_go(port, number)
        assert echoes(port)
        before = settled()
        for number in range(count):
            _come_and_go(port, number)
        assert echoes(port)
        after = settled()
        assert after[0] <= before[0]
        assert after[1] <= before[1]
        assert after[2] - before[2] < 16 << 10, (before, after)
        assert "Traceback" not in log.read_text()
    assert not [*tmp_path.rglob("*.partial"), *tmp_path.rglob("*.dcm")]


def test_n06_what_peers_make_pydicom_warn_of_is_neither_shown_nor_remembered(tmp_path):
    """UIDs that are none, each another: pydicom warns of each, Python would keep each for ever."""
    numbers = iter(range(1 << 30))
    with serve_process(tmp_path) as (started, port, log):

        def ask(count):
            for _ in range(count):
                wrong = [f"x{next(numbers):062}" for _ in range(500)]
                with Raw(port) as raw:
                    raw.associate((1, VERIFICATION, [*wrong, EXPLICIT_LE]))
                    raw.release()
            return state_of(started.pid)[2]

        before = ask(15)
        assert ask(30) - before < 3 << 10
        assert "UserWarning" not in log.read_text()


# N7: slow peers


class Dripping:
    """Peers that send a byte now and then, until they are told to stop."""

    def __init__(self, pause):
        self._stop, self._pause, self._threads = threading.Event(), pause, []

    def start(self, raw, data):
        def drip():
            with contextlib.suppress(OSError):
                for at in range(len(data)):
                    raw.send(data[at : at + 1])
                    if self._stop.wait(self._pause):
                        return

        self._threads.append(threading.Thread(target=drip))
        self._threads[-1].start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_n07_a_byte_at_a_time_on_all_slots_and_a_good_peer_still_gets_in(tmp_path):
    """In the header, the request, the command and the object, and by PDUs of a byte: all end."""
    limits = {"max_associations": 4, "timeout": 0.6, "idle_timeout": 0.6}
    tiny = b"".join(p_data(bytes(1), control=0) for _ in range(5000))
    with contextlib.ExitStack() as held:
        server, ends = held.enter_context(serving(tmp_path, **limits))
        dripping = held.enter_context(Dripping(0.02))
        raws = [held.enter_context(Raw(server.port)) for _ in range(70)]
        for raw in raws[:4]:
            raw.associate(IMPLICIT_CT)
        raws[0].send(p_data(store_rq("1.2.3")))
        dripping.start(raws[0], p_data(bytes(10_000), control=0))
        raws[1].send(p_data(store_rq("1.2.4")))
        dripping.start(raws[1], tiny)  # each PDU is in time
        dripping.start(raws[2], p_data(store_rq("1.2.5")))
        dripping.start(raws[3], b"\4\0\0\0")
        request = associate_rq([(1, CT, [EXPLICIT_LE])] * 50)
        for raw in raws[4:10]:
            dripping.start(raw, request)
        # Those who have a place lose it; those who have none leave room for who asks.
        until = time.monotonic() + 60
        got_in = False
        while not got_in and time.monotonic() < until:
            with contextlib.suppress(dicomloom.NetworkError):
                got_in = bool(echoes(server.port))
        assert got_in
        for raw in raws:
            raw.connection.settimeout(60)
            raw.until_closed()
        ends.wait(70)
    assert [why for ending, why in ends if ending == "aborted" and why] != []
    assert not [*tmp_path.rglob("*.partial"), *tmp_path.rglob("*.dcm")]


# N8: noise


def test_n08_noise_is_closed_and_logged_once(tmp_path):
    """HTTP, TLS, SSH, noise, nothing: a line each but for nothing, no trace of Python's."""
    generator = random.Random(8)
    said = {
        "the peer speaks HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "the peer speaks TLS on a port without": bytes.fromhex("16030100a5010000a10303")
        + bytes(90),
        'the peer does not speak DICOM: it began with "SSH-2."': b"SSH-2.0-OpenSSH_9\r\n",
        'it began with "\\x80\\x80\\x80\\x80\\x80\\x80"': b"\x80" * 3000,
        "in a PDU of type 07H": b"\7\0" + generator.randbytes(4000).replace(b"\0", b"\1"),
    }
    with serve_process(tmp_path) as (_, port, log):
        for data in (*said.values(), b""):
            with contextlib.suppress(OSError), Raw(port) as raw:
                raw.send(data)
                raw.connection.shutdown(socket.SHUT_WR)
                raw.until_closed()
        run("echoscu", "127.0.0.1", str(port))
        until = time.monotonic() + 20
        while "released" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
        text = log.read_text()
    ours = [line for line in text.splitlines() if re.match(r"I: UNKNOWN@\S+ ?: closed", line)]
    ours = ours or [line for line in text.splitlines() if line.startswith("I: UNKNOWN@")]
    assert len(ours) == len(said), text
    for why in said:
        assert len([line for line in ours if why in line]) == 1, (why, text)
    assert "Traceback" not in text
    assert all(line.isprintable() for line in text.splitlines())


# N9: commands

_UID = element(0x0002, None, CT.encode() + b"\0")


def _commands():
    """A good request of each DIMSE service: its context, its elements by number, its data set."""
    keys = element(0x00080052, "CS", b"STUDY ") + element(0x0020000D, "UI", b"1.2.3\0")
    step = element(0x00400252, "CS", b"IN PROGRESS ")
    reference = element(0x00081150, "UI", CT.encode() + b"\0") + element(0x00081155, "UI", b"1.2\0")
    item = element(0xFFFEE000, None, reference)
    commit = element(0x00081195, "UI", b"1.9\0") + element(0x00081199, "SQ", item)
    well_known = b"1.2.840.10008.1.20.1.1"
    made = {
        "C-ECHO": (1, VERIFICATION, {0x100: C_ECHO, 0x110: 1}, None),
        "C-STORE": (3, CT, {0x100: 1, 0x110: 1, 0x700: 0, 0x1000: b"1.2\0"}, object_of("1.2")),
        "C-FIND": (5, FIND, {0x100: 0x20, 0x110: 1, 0x700: 0}, keys),
        "C-MOVE": (7, MOVE, {0x100: 0x21, 0x110: 1, 0x600: b"NO", 0x700: 0}, keys),
        "C-GET": (9, GET, {0x100: 0x10, 0x110: 1, 0x700: 0}, keys),
        "N-CREATE": (11, MPPS, {0x100: 0x140, 0x110: 1, 0x1000: b"1.2\0"}, step),
        "N-SET": (11, MPPS, {0x100: 0x120, 0x110: 1, 0x1001: b"1.2\0"}, step),
        "N-GET": (11, MPPS, {0x100: 0x110, 0x110: 1, 0x1001: b"1.2\0", 0x1005: b""}, None),
        "N-DELETE": (11, MPPS, {0x100: 0x150, 0x110: 1, 0x1001: b"1.2\0"}, None),
        "N-EVENT-REPORT": (
            13, COMMITMENT, {0x100: 0x100, 0x110: 1, 0x1000: well_known, 0x1002: 1}, commit,
        ),
        "N-ACTION": (
            13, COMMITMENT, {0x100: 0x130, 0x110: 1, 0x1001: well_known, 0x1008: 1}, commit,
        ),
        "C-CANCEL": (5, FIND, {0x100: 0x0FFF, 0x120: 1}, None),
    }  # fmt: skip
    for name, (number, model, command, data) in made.items():
        uid = 3 if name in ("N-SET", "N-GET", "N-DELETE", "N-ACTION") else 2
        raw = {uid: model.encode() + b"\0" * (len(model) % 2)} if name != "C-CANCEL" else {}
        raw |= {
            key: struct.pack("<H", value) if isinstance(value, int) else value
            for key, value in command.items()
        }
        raw[0x800] = struct.pack("<H", 0x101 if data is None else 1)
        yield name, number, raw, data


def _damages(raw):
    """Ways to break a command set, each as the bytes of all its elements."""

    def whole(pairs):
        return b"".join(element(key, None, value) for key, value in pairs)

    pairs = sorted(raw.items())
    yield whole(pairs)
    for at, (key, value) in enumerate(pairs):
        before, after = pairs[:at], pairs[at + 1 :]
        yield whole(before + after)
        yield whole([*before, (key, value), (key, value), *after])
        for other in (b"", b"1" * 5000, b"\xff" * len(value), value + b"\0\0", b"\x1b[2J\n\0"):
            yield whole([*before, (key, other), *after])
        yield whole(before) + element(key, None, value, length=0xFFFFFFFE)


def _end(raw):
    """What a peer hears: a status, 'A' for an abort, or 'R' where it asked for the end."""
    answer = raw.read_pdu()
    return elements(answer[12:])[0x900] if answer[0] == 4 else {7: "A", 6: "R"}[answer[0]]


def test_n09_broken_commands_get_a_status_or_an_abort(tmp_path, caplog):
    """Every service of serve, each element missing, twice, empty, too long, or no value of it."""
    caplog.set_level(logging.DEBUG, "dicomloom")
    died = []
    before, threading.excepthook = threading.excepthook, died.append
    contexts = [
        *((1, VERIFICATION, [EXPLICIT_LE]), (3, CT, [EXPLICIT_LE]), (5, FIND, [EXPLICIT_LE])),
        *((7, MOVE, [EXPLICIT_LE]), (9, GET, [EXPLICIT_LE]), (11, MPPS, [EXPLICIT_LE])),
        (13, COMMITMENT, [EXPLICIT_LE]),
    ]
    heard = {}
    try:
        with serving(tmp_path / "a", mpps=tmp_path / "steps", timeout=5) as (server, _):
            for name, number, raw_set, data in _commands():
                for body in _damages(raw_set):
                    with Raw(server.port) as raw:
                        raw.associate(*contexts)
                        group = element(0, None, struct.pack("<L", len(body)))
                        raw.send(p_data(group + body, number))
                        with contextlib.suppress(OSError):
                            if data is not None:
                                raw.send_data(data, number)
                            if name == "C-CANCEL":  # which is not answered itself
                                raw.send(p_data(echo_rq(9)))
                            elif data is None:  # where it was said to have one
                                raw.send(RELEASE_RQ)
                        heard.setdefault(name, []).append(_end(raw))
            assert echoes(server.port)
    finally:
        threading.excepthook = before
    assert not died
    first = {name: ends[0] for name, ends in heard.items()}
    assert {*first.values()} <= {0, 0x0112, 0x0120, 0x0211, 0xA702, 0xA801, 0xFF00}, first
    assert {type(one) for ends in heard.values() for one in ends if one not in ("A", "R")} == {int}
    assert "Traceback" not in caplog.text
    assert not [*tmp_path.rglob("*.partial")]


def test_n09_broken_commands_that_pynetdicom_decodes_get_a_status_or_an_abort(
    tmp_path, monkeypatch
):
    """What comes before the connection is taken over, or where pynetdicom is not a known one."""
    monkeypatch.setattr(direct, "_KNOWN", ())
    heard = []
    with serving(tmp_path / "a", timeout=5) as (server, _):
        for name, number, raw_set, data in _commands():
            if name != "C-STORE":
                continue
            for body in _damages(raw_set):
                with Raw(server.port) as raw:
                    raw.associate((number, CT, [EXPLICIT_LE]))
                    raw.send(p_data(element(0, None, struct.pack("<L", len(body))) + body, number))
                    with contextlib.suppress(OSError):
                        raw.send_data(data, number)
                    heard.append(_end(raw))
        assert echoes(server.port)
    assert heard[0] == 0
    assert "A" in heard


@pytest.mark.parametrize("service", SERVICES)
def test_n09_broken_answers_are_an_error_of_every_call(tmp_path, service):
    """Each element missing, twice, or no value of it: an error of ours, or a result; no hang."""
    good = {0x120: b"\1\0", 0x800: b"\1\1", 0x900: b"\0\0"}
    fields = element(0x100, None, b"??")
    bodies, answered = [], []

    def talk(conversation):
        take_association(conversation)
        asked = Message(conversation)
        if not asked.command:
            return
        made = bodies[-1]
        field = element(0x100, None, struct.pack("<H", asked.command["CommandField"] | 0x8000))
        body = made.replace(fields, field)
        conversation.send(
            p_data(element(0, None, struct.pack("<L", len(body))) + body, asked.context)
        )
        answered.append(made)
        with contextlib.suppress(EOFError, OSError):
            if conversation.read_pdu()[0] == 5:
                conversation.send(RELEASE_RP)

    ask = _asks(tmp_path)[service]
    with nothing_is_left(), fake(talk) as port:
        node = Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=0.4)
        for body in _damages(good | {0x100: b"??"}):
            bodies.append(body)
            with contextlib.suppress(dicomloom.NetworkError):
                ask(node)
    assert set(answered) == set(bodies)
