"""C-STORE requests one by one: what they say, and in which transfer syntax they go."""

import contextlib

import pytest

from dicomloom import Node
from dicomloom.network.association import associate
from dicomloom.network.sending.outgoing import Outgoing
from dicomloom.network.sending.storing import Storer, Unfit
from network_peers import fake
from store_peers import (
    SECONDARY_CAPTURE,
    Message,
    answer_to,
    data_set,
    keep,
    objects,
    take_association,
    uid_of,
)
from support import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, part10

RLE = "1.2.840.10008.1.2.5"


@contextlib.contextmanager
def storing(talk, syntaxes=(EXPLICIT_LE,), **options):
    with fake(talk) as port:
        contexts = [(SECONDARY_CAPTURE, [syntax]) for syntax in syntaxes]
        node = Node(f"STORE@127.0.0.1:{port}", calling_ae_title="ME", timeout=5)
        with associate(node, contexts) as association:
            with association.exchanging("C-STORE") as messages:
                yield Storer(messages, association.contexts, "STORE", 5, **options)


def outgoing(path, number=1, syntax=EXPLICIT_LE):
    return Outgoing(str(path), SECONDARY_CAPTURE, uid_of(number), syntax)


def test_what_a_request_says(tmp_path):
    (path,) = objects(tmp_path, 1)
    seen = []
    with storing(lambda one: keep(one, seen=seen), originator=("MOVER", 12)) as storer:
        stored = storer.store(outgoing(path))
        storer.store(outgoing(path))
    assert stored == (0, "", EXPLICIT_LE, len(data_set(1)))
    assert seen[0].command == {
        "AffectedSOPClassUID": SECONDARY_CAPTURE,
        "CommandField": 0x0001,
        "MessageID": 1,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": uid_of(1),
        "MoveOriginatorApplicationEntityTitle": "MOVER",
        "MoveOriginatorMessageID": 12,
    }
    assert [message.command["MessageID"] for message in seen] == [1, 2]
    assert {message.data for message in seen} == {data_set(1)}


def test_message_ids_begin_again(tmp_path):
    (path,) = objects(tmp_path, 1)
    seen = []
    with storing(lambda one: keep(one, seen=seen)) as storer:
        storer._last = 0xFFFE
        for _ in range(3):
            storer.store(outgoing(path))
    assert [message.command["MessageID"] for message in seen] == [0xFFFF, 1, 2]


@pytest.mark.parametrize(
    ("content", "syntax"),
    [
        (data_set(syntax=IMPLICIT_LE), IMPLICIT_LE),
        (data_set(), EXPLICIT_LE),
        (part10(data_set(syntax=IMPLICIT_LE), EXPLICIT_LE), IMPLICIT_LE),
        (part10(data_set(), IMPLICIT_LE), EXPLICIT_LE),
        (part10(data_set(), RLE), RLE),
    ],
    ids=["implicit", "explicit", "wrongly explicit", "wrongly implicit", "RLE"],
)
def test_an_object_goes_in_the_transfer_syntax_it_has(tmp_path, content, syntax):
    (tmp_path / "one").write_bytes(content)
    seen = []
    syntaxes = [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, RLE]
    with storing(lambda one: keep(one, seen=seen), syntaxes, transcode=False) as storer:
        assert storer.store(outgoing(tmp_path / "one")).transfer_syntax == syntax
    assert seen[0].context == 2 * syntaxes.index(syntax) + 1
    assert content.endswith(seen[0].data)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("gone", "ReadError", "cannot read: No such file"),
        ("folder", "ReadError", "directory"),
        ("text", "NotDicomError", "not DICOM"),
        ("rle", "NoAcceptedContext", "neither RLELossless nor an uncompressed"),
    ],
)
def test_what_cannot_be_sent_costs_nothing(tmp_path, name, error, says):
    (path,) = objects(tmp_path, 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no DICOM")
    (tmp_path / "rle").write_bytes(part10(data_set(), RLE))
    seen = []
    with storing(lambda one: keep(one, seen=seen), transcode=False) as storer:
        with pytest.raises(Unfit, match=says) as caught:
            storer.store(outgoing(tmp_path / name))
        assert caught.value.error == error
        assert storer.store(outgoing(path)).status == 0
    assert len(seen) == 1


def test_messages_that_are_no_answer_go_aside(tmp_path):
    (path,) = objects(tmp_path, 1)

    def talk(conversation):
        take_association(conversation)
        message = Message(conversation)
        cancel = answer_to(message).replace(b"\x02\0\0\0\x01\x80", b"\x02\0\0\0\xff\x0f")
        conversation.send(cancel + answer_to(message, 0xB000, ErrorComment="fine"))
        Message(conversation)

    aside = []
    with storing(talk, aside=aside.append) as storer:
        stored = storer.store(outgoing(path))
    assert stored[:2] == (0xB000, "fine")
    assert [message.command["CommandField"] for message in aside] == [0x0FFF]
