"""The direct way under TLS, where waiting, slow peers and ends are not the socket's own."""

import contextlib
import ssl
import threading

import pytest

from dicomloom import ConnectionFailed, Node, TimeoutExpired
from dicomloom.network import direct as module
from dicomloom.network.association import associate
from network_peers import Conversation, certificate, fake, p_data
from store_peers import Message, answer_to

ECHO = "1.2.840.10008.1.1"
HELLO = {"CommandField": 0x0030, "MessageID": 1, "AffectedSOPClassUID": ECHO}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "server")


@contextlib.contextmanager
def encrypted(talk, files, **more):
    """The messages of an association with a fake peer that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    def inside(plain):
        with context.wrap_socket(plain.connection, server_side=True) as connection:
            conversation = Conversation(connection)
            conversation.accept()
            talk(conversation)

    with fake(inside) as port:
        node = Node(
            f"PEER@127.0.0.1:{port}", tls=True, tls_ca=str(files[0]), **{"timeout": 5, **more}
        )
        with associate(node, [ECHO]) as association:
            with association.exchanging("C-ECHO") as messages:
                yield messages


def release(conversation):
    if conversation.read_pdu()[0] == 5:
        conversation.send(b"\x06\0\0\0\0\4\0\0\0\0")


def test_messages_both_ways(files):
    data = bytes(range(256)) * 4000

    def talk(conversation):
        for _ in range(20):
            got = Message(conversation)
            assert got.data == data
            conversation.send(answer_to(got))
        release(conversation)

    with encrypted(talk, files) as messages:
        for number in range(1, 21):
            messages.send(1, {"CommandField": 1, "MessageID": number}, data)
            assert messages.receive(5).command["MessageIDBeingRespondedTo"] == number


def test_nothing_within_the_time_is_no_failure(files):
    go = threading.Event()

    def talk(conversation):
        got = Message(conversation)
        assert go.wait(5)
        conversation.send(answer_to(got))
        release(conversation)

    with encrypted(talk, files) as messages:
        messages.send(1, HELLO)
        assert messages.receive(0) is None
        assert messages.receive(0.05) is None
        go.set()
        assert messages.receive(5).command["Status"] == 0


def test_a_peer_that_stalls_in_a_message(files):
    def talk(conversation):
        conversation.send(answer_to(Message(conversation))[:20])
        conversation.until_closed()

    with pytest.raises(TimeoutExpired, match="did not send the rest"):
        with encrypted(talk, files, timeout=0.3) as messages:
            messages.send(1, HELLO)
            messages.receive(5)


def test_a_peer_that_takes_nothing(files):
    go = threading.Event()

    def talk(conversation):
        assert go.wait(10)

    with pytest.raises(TimeoutExpired, match="did not take what was sent"):
        with encrypted(talk, files, timeout=0.3) as messages:
            try:
                messages.send(1, HELLO, bytes(32 << 20))
            finally:
                go.set()


def test_a_peer_that_is_slow_is_waited_for(files):
    """As long as it takes a record within the time, whatever the buffers between hold."""
    sizes = []

    class Recording:
        def settimeout(self, seconds):
            assert seconds > 0

        def send(self, data):
            sizes.append(len(data))
            return len(data)

    assert module._Encrypted(Recording()).send(memoryview(bytes(100_000)), 1) == 16 << 10
    assert sizes == [16 << 10]


@pytest.mark.parametrize("at", [0, 3, 20])
def test_an_end_without_a_word(files, at):
    def talk(conversation):
        conversation.send(answer_to(Message(conversation))[:at])

    with pytest.raises(ConnectionFailed, match="closed"):
        with encrypted(talk, files) as messages:
            messages.send(1, HELLO)
            messages.receive(5)


def test_a_data_set_that_comes_in_many_records(files, tmp_path):
    def talk(conversation):
        got = Message(conversation)
        conversation.send(answer_to(got, CommandDataSetType=1))
        for number in range(300):
            conversation.send(p_data(bytes([number % 256]) * 1000, control=2 * (number == 299)))
        release(conversation)

    with encrypted(talk, files) as messages, open(tmp_path / "data", "wb") as file:
        messages.send(1, HELLO)
        assert messages.receive(5).write_to(file.fileno()) == 300_000
    expected = b"".join(bytes([number % 256]) * 1000 for number in range(300))
    assert (tmp_path / "data").read_bytes() == expected
