"""Messages by both engines: the same, whatever a peer does, with and without TLS."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from dicomloom import (
    AssociationAborted,
    ConnectionFailed,
    LimitError,
    NetworkError,
    Node,
    ProtocolError,
    TimeoutExpired,
)
from dicomloom._native.network import FRAGMENT, Fragments
from dicomloom.network import command as commands
from dicomloom.network.association import associate
from dicomloom.network.direct import exchanging
from dicomloom.network.messages import Ended, Stretch
from network_peers import abort, accept, descriptors, fake, p_data, pdu
from store_peers import Message, answer_to

ECHO = "1.2.840.10008.1.1"
REQUEST = {"CommandField": 0x0001, "MessageID": 1}
# Says that we have the wire; a fake waits for it.
HELLO = {"CommandField": 0x0030, "MessageID": 1}
FIND = {"CommandField": 0x0020, "MessageID": 7, "AffectedSOPClassUID": ECHO, "Priority": 0}


def node(port, **more):
    return Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", **{"timeout": 5, **more})


@contextlib.contextmanager
def talking(port, direct, **more):
    """An association's messages by one of the two engines; how it ended is raised."""
    with associate(node(port, **more), [ECHO]) as association:
        with association.during("a test"):
            try:
                with exchanging(
                    association.pynetdicom, association._wire, direct=direct
                ) as messages:
                    messages.send(1, HELLO)
                    yield messages
            except Ended:
                raise association.failure() from None


@pytest.fixture(params=[True, False], ids=["direct", "queues"])
def direct(request):
    return request.param


def fragment(control, data=b"", context=1):
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def command_set(**more):
    return commands.encode(FIND | {"CommandDataSetType": 0x0001} | more)


def begin(talk, **answer):
    talk.accept(**answer)
    Message(talk)


def after_release(talk):
    with contextlib.suppress(EOFError):
        if talk.read_pdu()[0] == 5:
            talk.send(b"\x06\0\0\0\0\4\0\0\0\0")


def bringing(pieces, gap=0.0):
    """A peer that accepts and sends pieces, as apart as TCP lets it."""

    def talk(conversation):
        begin(conversation)
        for piece in pieces:
            conversation.send(piece)
            time.sleep(gap)
        after_release(conversation)

    return fake(talk)


MESSAGE = p_data(command_set(), control=3) + p_data(b"0123", control=0) + p_data(b"45", control=2)


@pytest.mark.parametrize(
    ("pieces", "gap"),
    [
        ([MESSAGE + MESSAGE], 0),
        ([bytes([one]) for one in MESSAGE] + [MESSAGE], 0.0005),
        ([MESSAGE[:3], MESSAGE[3:] + MESSAGE[:8], MESSAGE[8:]], 0.02),
        ([pdu(4, fragment(3, command_set()) + fragment(0, b"0123") + fragment(2, b"45"))] * 2, 0),
    ],
    ids=["a segment", "bytes", "headers cut", "a PDU"],
)
def test_messages_however_they_are_cut(direct, pieces, gap, tmp_path):
    with bringing(pieces, gap) as port, talking(port, direct) as messages:
        first = messages.receive(5)
        assert (first.context_id, first.command["MessageID"]) == (1, 7)
        assert first.read(6) == b"012345"
        second = messages.receive(5)
        with open(tmp_path / "part", "w+b") as file:
            file.write(b"head")
            file.flush()
            assert second.write_to(file.fileno()) == 6
            assert (tmp_path / "part").read_bytes() == b"head012345"
        assert messages.receive(0) is None


def test_what_is_not_read_is_thrown_away(direct):
    with bringing([MESSAGE, p_data(command_set(MessageID=8)), p_data(b"", control=2)]) as port:
        with talking(port, direct) as messages:
            assert messages.receive(5).command["MessageID"] == 7
            second = messages.receive(5)
            assert (second.command["MessageID"], second.read(0)) == (8, b"")


@pytest.mark.parametrize("way", ["read", "write_to"])
def test_a_limit_costs_the_message_and_no_more(direct, way, tmp_path):
    with bringing([MESSAGE, MESSAGE]) as port, talking(port, direct) as messages:
        first = messages.receive(5)
        with open(tmp_path / "part", "wb") as file:
            with pytest.raises(LimitError, match="at most 5 bytes"):
                first.read(5) if way == "read" else first.write_to(file.fileno(), 5)
        assert messages.receive(5).read(6) == b"012345"


def test_a_file_that_cannot_be_written_costs_the_message_and_no_more(direct):
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with bringing([MESSAGE, MESSAGE]) as port, talking(port, direct) as messages:
            with pytest.raises(OSError, match="No space left"):
                messages.receive(5).write_to(full)
            assert messages.receive(5).read(6) == b"012345"
    finally:
        os.close(full)


@pytest.mark.parametrize("size", [0, 1, 2, 17, 1000, 300_001])
@pytest.mark.parametrize("most", [7, 8, 1024, 16384, 0])
def test_what_is_sent_arrives(direct, size, most, tmp_path):
    if 0 < most < 10:
        size = min(size, 77)  # a PDU a byte is slow
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "data"
    path.write_bytes(b"head" + data[:size] + b"tail")

    def talk(conversation):
        begin(conversation, max_length=most)
        got = [Message(conversation) for _ in range(2)]
        after_release(conversation)
        return [(one.command["CommandDataSetType"], one.data) for one in got]

    seen = []
    with fake(talk, seen) as port, talking(port, direct) as messages:
        messages.send(1, REQUEST, data[:size])
        with path.open("rb") as file:
            messages.send(1, REQUEST, Stretch(file.fileno(), 4, 4 + size))
    assert seen == [[(1, data[:size] + b"\0" * (size % 2))] * 2]


@pytest.mark.parametrize("most", [1, 6])
def test_a_peer_that_takes_no_fragment(direct, most):
    def talk(conversation):
        conversation.accept(max_length=most)
        conversation.until_closed()

    with fake(talk) as port:
        with pytest.raises(ProtocolError, match=f"at most {most} bytes"), talking(port, direct):
            pytest.fail("the block is not entered")


def test_a_file_that_ends_too_soon(direct, tmp_path):
    (tmp_path / "short").write_bytes(b"123456")

    def talk(conversation):
        begin(conversation)
        conversation.until_closed()

    with fake(talk) as port, open(tmp_path / "short", "rb") as file:
        with pytest.raises(OSError, match=r"ends within|shorter") as caught:
            with talking(port, direct) as messages:
                messages.send(1, REQUEST, Stretch(file.fileno(), 2, 7))
        assert not isinstance(caught.value, NetworkError)


LIES = {
    "no fragment": (pdu(4, b""), "found none"),
    "a fragment without a header": (pdu(4, b"\0\0\0\1\1"), "found 5 bytes at the end"),
    "a length of one": (pdu(4, b"\0\0\0\1\1\3"), "value of 1 bytes"),
    "longer than its PDU": (pdu(4, b"\0\0\0\x0a\1\3abcd"), "value of 10 bytes"),
    "a PDU above the maximum": (struct.pack(">BBL", 4, 0, 1 << 20), "at most"),
    "a data set without a command": (p_data(b"abcd", control=2), "expected a command set"),
    "another context": (
        p_data(command_set()) + p_data(b"ab", 1, 0) + p_data(b"cd", 3, 2),
        "another message|expected the data set",
    ),
    "a command between": (
        p_data(command_set()) + p_data(b"ab", 1, 0) + p_data(command_set(), 1, 3),
        "another message",
    ),
    "no data set": (p_data(command_set()) + p_data(command_set()), "expected the data set of a"),
    "no command set": (p_data(b"\0\0\0\0"), "as of PS3.7 6.3"),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_end_the_association(name):
    lie, says = LIES[name]

    def talk(conversation):
        begin(conversation)
        conversation.send(lie)
        return conversation.read_pdu()[0]

    seen = []
    with fake(talk, seen) as port:
        with pytest.raises(ProtocolError, match=says), talking(port, True) as messages:
            messages.receive(5).read(100)
    assert seen == [7]


PARTS = [b"", p_data(command_set())[:5], p_data(command_set())[:20], p_data(command_set())]
PARTS += [PARTS[3] + p_data(b"abcd", control=0)[:at] for at in (3, 13, 16)]


@pytest.mark.parametrize("part", range(len(PARTS)))
@pytest.mark.parametrize("how", ["abort", "release", "close", "stall"])
def test_an_end_in_every_place(direct, part, how):
    # Within a PDU there is no other one.
    if how in ("abort", "release") and part in (1, 2, 4, 5):
        how = "close"
    last = {"abort": abort(2, 0), "release": b"\x05\0\0\0\0\4\0\0\0\0"}.get(how, b"")

    def talk(conversation):
        begin(conversation)
        conversation.send(PARTS[part] + last)
        if how != "close":
            conversation.until_closed()

    kinds = {
        "abort": AssociationAborted,
        "release": NetworkError,
        "close": ConnectionFailed,
        "stall": TimeoutExpired,
    }
    with fake(talk) as port:
        with pytest.raises(kinds[how]) as caught:
            with talking(port, direct, timeout=0.3) as messages:
                message = messages.receive(0.3)
                if message is None:
                    raise TimeoutExpired("nothing came")
                message.read(100)
                pytest.fail("there is no end of it")
        if how == "stall" and part and direct:
            assert caught.value.step == "dimse"


def test_to_and_fro(direct):
    """The engine and we take turns."""
    rounds = 30

    def talk(conversation):
        conversation.accept()
        for _ in range(rounds):
            first, second = Message(conversation), Message(conversation)
            conversation.send(answer_to(first) + answer_to(second))
            conversation.send(answer_to(Message(conversation)))
        after_release(conversation)

    echo = {"CommandField": 0x0030, "AffectedSOPClassUID": ECHO}
    with fake(talk) as port, associate(node(port), [ECHO]) as association:
        for number in range(1, 2 * rounds, 2):
            with exchanging(association.pynetdicom, association._wire, direct=direct) as messages:
                messages.send(1, echo | {"MessageID": number})
                messages.send(1, echo | {"MessageID": number + 1})
                for expected in (number, number + 1):
                    answer = messages.receive(5)
                    assert answer.command["MessageIDBeingRespondedTo"] == expected
            with association.during("C-ECHO") as engine:
                association.check(engine.send_c_echo())


def test_fragments_left_of_a_pdu_are_the_next_ones():
    one, other = socket.socketpair()
    with one, other:
        other.sendall(pdu(4, fragment(3, b"one") + fragment(3, b"two") + fragment(3, b"three")))
        fragments = Fragments(one.fileno(), 16384, 5)
        assert fragments.arrive(5) == FRAGMENT
        assert fragments.read_part(100) == b"one"
        assert fragments.rest() == pdu(4, fragment(3, b"two") + fragment(3, b"three"))
        assert fragments.rest() == b""


def test_another_thread_cuts(direct):
    def talk(conversation):
        conversation.accept()
        conversation.until_closed()

    with fake(talk) as port, associate(node(port), [ECHO]) as association:
        timer = threading.Timer(0.1, association.cut)
        timer.start()
        with pytest.raises(Ended):
            with exchanging(association.pynetdicom, association._wire, direct=direct) as messages:
                while messages.receive(5) is None:
                    pytest.fail("it went on")
        timer.join()


def test_nothing_is_left_behind(direct):
    with bringing([MESSAGE]) as port:
        before = descriptors(), threading.active_count()
        for _ in range(5):
            with talking(port, direct) as messages:
                assert messages.receive(5).read(6) == b"012345"
        assert len(descriptors()) <= len(before[0]) + 1  # the fake's own
        assert threading.active_count() <= before[1] + 1


WAITING = """
    import sys
    from dicomloom import Node
    from dicomloom.network.association import associate
    from dicomloom.network.direct import exchanging
    with associate(Node(sys.argv[1]), ["1.2.840.10008.1.1"]) as association:
        with exchanging(association.pynetdicom, association._wire, direct=True) as messages:
            try:
                print("waiting", flush=True)
                messages.receive(60)
            except KeyboardInterrupt:
                print("heeded", flush=True)
                raise SystemExit(0)
    """


def test_an_interrupt_while_nothing_comes():
    def talk(conversation):
        conversation.accept()
        conversation.until_closed()

    with fake(talk) as port:
        command = [sys.executable, "-c", textwrap.dedent(WAITING), f"PEER@127.0.0.1:{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "heeded\n"
            assert process.wait(10) == 0


def test_the_accept_and_a_message_in_one_segment(direct):
    def talk(conversation):
        conversation.read_pdu()
        conversation.send(accept() + MESSAGE)
        after_release(conversation)

    with fake(talk) as port, talking(port, direct) as messages:
        assert messages.receive(5).read(6) == b"012345"


@pytest.mark.parametrize("rest", [True, False], ids=["whole", "stalls"])
def test_a_message_that_began_before_we_had_the_wire(direct, rest):
    def talk(conversation):
        conversation.read_pdu()
        conversation.send(accept() + MESSAGE[:-10])
        time.sleep(0.1)
        if rest:
            conversation.send(MESSAGE[-10:])
            Message(conversation)
            after_release(conversation)
        conversation.until_closed()

    with fake(talk) as port:
        if rest:
            with talking(port, direct) as messages:
                assert messages.receive(5).read(6) == b"012345"
        elif direct:
            with pytest.raises(TimeoutExpired, match="did not send the rest"):
                with talking(port, direct, timeout=0.3):
                    pytest.fail("the block is not entered")
