"""Associations that open, and those that do not: each failure says what the peer did."""

import errno
import pickle
import random
import socket
import struct
import threading
import time

import pytest
from pynetdicom import _config, build_context

from dicomloom import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    NetworkError,
    NoAcceptedContext,
    Node,
    NodeError,
    ProtocolError,
    TimeoutExpired,
    associate,
    echo,
)
from network_peers import (
    RELEASE_RP,
    VERIFICATION,
    abort,
    accept,
    descriptors,
    echo_response,
    fake,
    free_port,
    p_data,
    pdu,
    reject,
    request_of,
)
from support import EXPLICIT_LE, IMPLICIT_LE, element

# The same in every process, for pytest-xdist.
NOISE = random.Random(4).randbytes(200)
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No thread and no descriptor outlives a test, whatever its peer did."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == threads
    assert descriptors() == before


def node(port, **fields):
    return Node(f"PEER@127.0.0.1:{port}", **{"calling_ae_title": "ME", "timeout": 5} | fields)


def fails(kind, talk, contexts=(VERIFICATION,), **fields):
    """Open an association with a fake peer; it fails so, soon, and tells what to do."""
    begin = time.monotonic()
    with fake(talk) as port, pytest.raises(NetworkError) as caught:
        with associate(node(port, **fields), contexts):
            pytest.fail("there is no association")
    assert time.monotonic() - begin < 4
    error = caught.value
    assert type(error) is kind, error
    assert isinstance(error, OSError)
    assert error.hint
    assert error.node == f"PEER@127.0.0.1:{port}"
    assert str(error) == f"{error.node}: {error.message}; {error.hint}"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
    return error


def test_an_association(monkeypatch):
    seen = []

    def talk(peer):
        request = peer.accept(max_length=77777, results=((1, 0), (3, 3), (5, 0)))
        peer.read_pdu()
        peer.send(RELEASE_RP)
        return request

    config = {name: getattr(_config, name) for name in dir(_config) if name.isupper()}
    contexts = [VERIFICATION, (CT, [EXPLICIT_LE]), build_context(CT, IMPLICIT_LE)]
    with fake(talk, seen) as port:
        given = node(port, username="user", passcode="secret", max_pdu=1 << 18)
        with associate(given, contexts) as association:
            assert association.contexts == ((1, VERIFICATION, EXPLICIT_LE), (5, CT, EXPLICIT_LE))
            no_syntax = "abstract-syntax-not-supported (provider rejection)"
            assert association.refused == ((3, 3, no_syntax),)
            assert (association.max_pdu_sent, association.max_pdu_received) == (77777, 1 << 18)
            assert association.implementation_class_uid == "1.2.3"
            assert association.implementation_version_name == "FAKE"
            assert association.tls is None
            wire = association.pynetdicom.dul.socket.socket
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert association.pynetdicom.is_released
    assert not association.pynetdicom.is_aborted
    request = request_of(seen[0])
    assert (request["called"], request["calling"]) == (b"PEER".ljust(16), b"ME".ljust(16))
    assert [body[0] for body in request[0x20]] == [1, 3, 5]
    assert request[0x30] == [VERIFICATION.encode(), CT.encode(), CT.encode()]
    assert request[0x51] == [struct.pack(">L", 1 << 18)]
    # PS3.7 D.3.3.7.1: type 2, no response wanted, username, passcode.
    assert request[0x58] == [b"\2\0\0\4user\0\6secret"]
    assert config == {name: getattr(_config, name) for name in config}


def test_a_username_alone():
    seen = []

    def remember(peer):
        request = peer.accept()
        peer.read_pdu()
        peer.send(RELEASE_RP)
        return request

    with fake(remember, seen) as port:
        with associate(node(port, username="jos\u00e9"), [VERIFICATION]):
            pass
    assert request_of(seen[0])[0x58] == [b"\1\0\0\5jos\xc3\xa9\0\0"]


def test_an_exception_aborts():
    seen = []

    def talk(peer):
        peer.accept()
        return peer.read_pdu()

    with fake(talk, seen) as port, pytest.raises(ZeroDivisionError):
        with associate(node(port), [VERIFICATION]):
            _ = 1 / 0
    # PS3.8 9.3.8: source is the service-user.
    assert seen == [abort(0, 0)]


@pytest.mark.parametrize("how", ["answers", "aborts", "closes", "is silent"])
def test_the_end_however_the_peer_takes_it(how):
    def talk(peer):
        peer.accept()
        peer.read_pdu()
        if how == "answers":
            peer.send(RELEASE_RP)
        elif how == "aborts":
            peer.send(abort(0, 0))
        elif how == "is silent":
            peer.until_closed()

    with fake(talk) as port:
        with associate(node(port, timeout=0.3), [VERIFICATION]) as association:
            pass
    assert association.pynetdicom.is_released == (how == "answers")


def test_the_peer_releases_first():
    def talk(peer):
        peer.accept()
        peer.send(pdu(5, bytes(4)))
        peer.read_pdu()

    with fake(talk) as port:
        with associate(node(port), [VERIFICATION]) as association:
            association.pynetdicom.join(2)
            with pytest.raises(ConnectionFailed, match="released"), association.during("C-ECHO"):
                pytest.fail("it is over")


def test_an_association_that_idles():
    with fake(lambda peer: peer.accept() and peer.until_closed()) as port:
        with associate(node(port, idle_timeout=0.2), [VERIFICATION]) as association:
            association.pynetdicom.join(2)
            with pytest.raises(TimeoutExpired) as caught, association.during("C-ECHO"):
                pytest.fail("it is over")
    assert caught.value.step == "idle"


REASONS = [
    (1, 1, 1, "no-reason-given", '"ME"'),
    (2, 1, 1, "no-reason-given", "log"),
    (1, 1, 2, "application-context-name-not-supported", "no DICOM node"),
    (1, 1, 3, "calling-AE-title-not-recognized", '"ME"'),
    (1, 1, 7, "called-AE-title-not-recognized", '"PEER"'),
    (1, 2, 1, "no-reason-given", "user identity"),
    (1, 2, 2, "protocol-version-not-supported", "version"),
    (2, 3, 1, "temporary-congestion", "later"),
    (2, 3, 2, "local-limit-exceeded", "as many associations"),
    (1, 1, 9, "a code that PS3 does not define", "log"),
    (9, 8, 7, "a code that PS3 does not define", "log"),
    (0, 0, 0, "a code that PS3 does not define", "log"),
]


@pytest.mark.parametrize(("result", "source", "reason", "text", "hint"), REASONS)
def test_rejected(result, source, reason, text, hint):
    def talk(peer):
        peer.read_pdu()
        peer.send(reject(result, source, reason))

    error = fails(AssociationRejected, talk)
    assert (error.result, error.source, error.reason) == (result, source, reason)
    assert (error.reason_text, error.transient) == (text, result == 2)
    assert hint in error.hint


@pytest.mark.parametrize(
    ("source", "reason", "text"),
    [(0, 0, ""), (2, 0, "reason-not-specified"), (2, 6, "invalid-PDU-parameter-value"), (7, 9, "")],
)
def test_aborted_instead_of_an_answer(source, reason, text):
    error = fails(
        AssociationAborted, lambda peer: peer.read_pdu() and peer.send(abort(source, reason))
    )
    assert (error.source, error.reason, error.reason_text) == (source, reason, text)
    assert "during the association request" in error.message


def test_aborted_before_the_request():
    assert fails(AssociationAborted, lambda peer: peer.send(abort(0, 0))).source == 0


@pytest.mark.parametrize(
    ("result", "text", "hint"),
    [
        (1, "user-rejection", "settings"),
        (2, "no-reason (provider rejection)", "settings"),
        (3, "abstract-syntax-not-supported (provider rejection)", "this service"),
        (4, "transfer-syntaxes-not-supported (provider rejection)", "transfer syntaxes"),
    ],
)
def test_no_context_is_accepted(result, text, hint):
    seen = []

    def talk(peer):
        peer.accept(results=((1, result), (3, result)))
        seen.append(peer.read_pdu())

    error = fails(NoAcceptedContext, talk, [VERIFICATION, (CT, [EXPLICIT_LE])])
    both = (EXPLICIT_LE, IMPLICIT_LE)
    (first, second) = error.proposed
    assert (first[:2], second) == ((1, VERIFICATION), (3, CT, (EXPLICIT_LE,)))
    assert set(both) <= set(first[2])
    assert error.answered == ((1, result, text), (3, result, text))
    assert hint in error.hint
    assert "Verification SOP Class" in error.message
    assert seen[0][0] == 7


def test_an_acceptance_without_contexts():
    error = fails(NoAcceptedContext, lambda peer: peer.accept(results=()) and peer.until_closed())
    assert [number for number, _, _ in error.answered] == [1]


def test_the_peer_closes_at_once():
    error = fails(ConnectionFailed, lambda peer: None)
    assert error.reason == "closed"
    assert "TLS" in error.hint


def test_the_peer_closes_after_the_request():
    assert fails(ConnectionFailed, lambda peer: peer.read_pdu()).reason == "closed"


def test_the_peer_resets():
    def talk(peer):
        peer.read(10)
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert fails(ConnectionFailed, talk).reason == "closed"


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http", "web server"),
        (b"<html><body>400</body></html>", "http", "web server"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "tls", "turn TLS on"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not-dicom", "SSH-2."),
        (b"\x1b[2J\x00\xff" + NOISE[:10], "not-dicom", "\\x1b[2J"),
        (b"\x00" * 100, "not-dicom", "another service"),
    ],
)
def test_another_service_listens(said, reason, words):
    def talk(peer):
        peer.read_pdu()
        peer.send(said)
        peer.until_closed()

    error = fails(ConnectionFailed, talk)
    assert (error.reason, error.host) == (reason, "127.0.0.1")
    assert words in str(error)
    assert str(error).isprintable()


BROKEN = {
    "an acceptance of random bytes": pdu(2, NOISE),
    "an empty acceptance": pdu(2, b""),
    "a rejection of one byte": pdu(3, b"\1"),
    "an acceptance cut inside an item": pdu(2, accept()[6:-3]),
    "a name with control characters": accept(name=b"BOT\x1b[2J"),
    "a second request": pdu(1, accept()[6:]),
    "data before an answer": p_data(b"1234"),
    "a release before an answer": pdu(6, bytes(4)),
    "the header of 4 GiB": b"\2\0\xff\xff\xff\xff",
    "an acceptance of 4 GiB": b"\2\0\xff\xff\xff\xff" + bytes(100_000),
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_breaks_the_rules(said):
    def talk(peer):
        peer.read_pdu()
        peer.send(said)
        peer.until_closed()

    fails(ProtocolError, talk)


def test_a_pdu_of_four_gigabytes_is_refused_after_its_header():
    seen = []

    def talk(peer):
        peer.read_pdu()
        peer.send(b"\2\0\xff\xff\xff\xff")
        seen.append(peer.read_pdu())

    error = fails(ProtocolError, talk)
    assert "4294967295" in error.message
    assert seen == [abort(2, 6)]


def test_half_an_answer_and_the_end():
    assert fails(ConnectionFailed, lambda peer: peer.read_pdu() and peer.send(accept()[:50]))


def test_nobody_listens():
    with pytest.raises(ConnectionFailed) as caught:
        with associate(node(free_port()), [VERIFICATION]):
            pytest.fail("there is no association")
    assert (caught.value.reason, caught.value.__cause__.errno) == ("refused", errno.ECONNREFUSED)
    assert "port" in caught.value.hint


@pytest.mark.parametrize("name", ["nowhere.invalid", "x" * 64 + ".invalid", "a..b"])
def test_an_unknown_host(name):
    with pytest.raises(ConnectionFailed, match=r"cannot find the host") as caught:
        echo(Node(f"PEER@{name}:104"))
    assert caught.value.reason == "unknown-host"


def test_a_connection_that_nobody_takes():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        port = server.getsockname()[1]
        # The queue of a listener holds a connection or two; then Linux lets others wait.
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        with pytest.raises(TimeoutExpired) as caught:
            echo(node(port, connect_timeout=0.2))
        for connection in waiting:
            connection.close()
    assert (caught.value.step, caught.value.waited) == ("connect", 0.2)


def drip(peer):
    peer.read_pdu()
    for byte in accept():
        peer.send(bytes([byte]))
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("talk", "step"),
    [
        (lambda peer: peer.until_closed(), "associate"),
        (lambda peer: (peer.read_pdu() and peer.send(b"\2")) or peer.until_closed(), "associate"),
        (
            lambda peer: (peer.read_pdu() and peer.send(accept()[:9])) or peer.until_closed(),
            "associate",
        ),
        (drip, "associate"),
    ],
    ids=["says nothing", "one byte", "nine bytes", "a byte now and then"],
)
def test_a_peer_that_does_not_answer(talk, step):
    error = fails(TimeoutExpired, talk, timeout=0.3)
    assert (error.step, error.waited) == (step, 0.3)
    assert isinstance(error, TimeoutError)


def echoing(answer):
    """A peer that accepts, reads a C-ECHO-RQ and answers so."""

    def talk(peer):
        peer.accept()
        peer.read_pdu()
        peer.send(answer)
        peer.until_closed()

    return talk


INVALID = {
    "an unknown PDU type": (b"\x42\0\0\0\0\0", ProtocolError),
    "a PDU above what was negotiated": (p_data(bytes(5000)), ProtocolError),
    "a header of 4 GiB": (b"\4\0\xff\xff\xff\xff", ProtocolError),
    "no PDV": (pdu(4, b"\0"), ProtocolError),
    "a PDV longer than its PDU": (pdu(4, struct.pack(">LBB", 1 << 31, 1, 3)), ProtocolError),
    "noise instead of a command": (p_data(NOISE[:40]), ProtocolError),
    "no elements": (p_data(b""), ProtocolError),
    "a command without status": (
        p_data(element(0x00000100, None, struct.pack("<H", 0x8030))),
        ProtocolError,
    ),
    "another answer": (
        echo_response(0).replace(struct.pack("<H", 0x8030), struct.pack("<H", 0x8001)),
        ProtocolError,
    ),
    "an answer to another request": (echo_response(0, 2), ProtocolError),
    "a second acceptance": (accept(), ProtocolError),
    "an abort": (abort(2, 1), AssociationAborted),
    "half a PDU": (echo_response(0)[:20], TimeoutExpired),
    "half a message": (p_data(echo_response(0)[12:30], control=1), TimeoutExpired),
}


@pytest.mark.parametrize(("said", "kind"), INVALID.values(), ids=INVALID.keys())
def test_an_echo_that_breaks_the_rules(said, kind):
    begin = time.monotonic()
    wait = 0.5 if kind is TimeoutExpired else 5
    with fake(echoing(said)) as port, pytest.raises(NetworkError) as caught:
        echo(node(port, timeout=wait, max_pdu=4096))
    assert type(caught.value) is kind, caught.value
    assert "C-ECHO" in caught.value.message or said[0] != 7
    assert time.monotonic() - begin < 3


def test_the_peer_closes_during_an_echo():
    with fake(lambda peer: peer.accept() and peer.read_pdu()) as port:
        with pytest.raises(ConnectionFailed, match="closed during C-ECHO"):
            echo(node(port))


def test_a_peer_that_does_not_answer_an_echo():
    with fake(lambda peer: peer.accept() and peer.until_closed()) as port:
        with pytest.raises(TimeoutExpired, match="no answer to C-ECHO within 0.2 s") as caught:
            echo(node(port, dimse_timeout=0.2))
    assert caught.value.step == "dimse"


@pytest.mark.parametrize("said", [b"", abort(0, 0), b"HTTP/1.1 400\r\n"])
def test_what_a_peer_does_after_our_abort_is_no_reason(said):
    def talk(peer):
        peer.accept()
        assert peer.read_pdu()[0] == 4
        assert peer.read_pdu()[0] == 7
        peer.send(said)

    for _ in range(5):
        with fake(talk) as port, pytest.raises(TimeoutExpired):
            echo(node(port, dimse_timeout=0.05))


@pytest.mark.parametrize("control", [0, 1], ids=["data set", "command set"])
def test_a_message_without_end(control):
    seen = []

    def talk(peer):
        peer.accept()
        peer.read_pdu()
        fragment = p_data(bytes(1 << 17), control=control)
        for _ in range(1 << 10):
            peer.send(fragment)
            seen.append(len(fragment))

    with fake(talk) as port, pytest.raises(ProtocolError, match="and no end"):
        echo(node(port, max_pdu=1 << 18))
    # What lies in the buffers of the sockets comes on top.
    assert sum(seen) < (80 << 20 if control == 0 else 16 << 20)


def test_two_hundred_associations_leave_nothing():
    def talk(peer):
        peer.accept()
        peer.read_pdu()
        peer.send(RELEASE_RP)

    before, threads = len(descriptors()), threading.active_count()
    with fake(talk) as port:
        peer = node(port)
        for _ in range(200):
            with associate(peer, [VERIFICATION]):
                pass
        # Of ours; the fake peer has its listener and its thread.
        assert len(descriptors()) <= before + 2
        assert threading.active_count() <= threads + 2


def test_many_at_once():
    """Each association has its own engine: threads do not meet."""
    results = []

    def talk(peer):
        peer.accept()
        peer.read_pdu()
        peer.send(echo_response(0))
        peer.read_pdu()
        peer.send(RELEASE_RP)

    with fake(talk) as port:
        peer = node(port)
        threads = [threading.Thread(target=lambda: results.append(echo(peer))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8


def test_all_addresses_of_a_host_are_tried(monkeypatch):
    with fake(lambda peer: peer.read_pdu() and peer.send(reject(1, 1, 7))) as port:
        with monkeypatch.context() as patch, pytest.raises(AssociationRejected):
            places = [(socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port))]
            patch.setattr("dicomloom.network.wire.addresses", lambda node: places)
            echo(Node(f"PEER@two.addresses:{port}"))


def test_ipv6():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(reject(1, 1, 7))

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AssociationRejected):
            echo(f"PEER@[::1]:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize("contexts", [[], [VERIFICATION] * 129])
def test_how_many_contexts(contexts):
    with pytest.raises(ValueError, match="1 to 128"):
        with associate(node(free_port()), contexts):
            pytest.fail("there is no association")


def test_a_name_that_is_none():
    with pytest.raises(NodeError):
        echo("nobody-knows-this")
    with pytest.raises(ValueError, match="count"):
        echo(node(free_port()), 0)
