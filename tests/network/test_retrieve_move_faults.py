"""Retrieving by C-MOVE from peers that break, lie or stop: their objects come by another way."""

import contextlib
import socket
import time

import pytest

import dicomloom
from dicomloom import retrieve
from network_peers import abort, free_port
from retrieve_peers import (
    C_MOVE,
    KEYS,
    ONE,
    Once,
    last,
    leaving_nothing,
    names,
    node_of,
    retrieved_from,
)


def move(script, folder, port, keys=KEYS, **more):
    with leaving_nothing(), retrieved_from(script) as peer:
        listen = f"127.0.0.1:{port}"
        return retrieve(node_of(peer), folder, method="move", listen=listen, **keys, **more)


def test_a_response_before_the_last_object(tmp_path, way):
    port = free_port()

    def script(conversation):
        stored = Once(port)
        stored.store("1.2.5")
        conversation.send(last(0, completed=2, field=C_MOVE))
        time.sleep(0.2)
        stored.store("1.2.6")
        stored.association.release()

    report = move(script, tmp_path, port)
    assert (report.complete, report.count) == (True, 2)
    assert names(tmp_path) == ["1.2.5.dcm", "1.2.6.dcm"]


def test_objects_that_never_come(tmp_path, monkeypatch):
    monkeypatch.setattr("dicomloom.network.retrieving.retrieval._LATE", 0.2)
    report = move(
        lambda conversation: conversation.send(last(0, completed=2, field=C_MOVE)),
        tmp_path,
        free_port(),
        ONE,
    )
    assert (report.missing, report.unnamed, report.complete) == (["1.2.5"], 1, False)


def test_the_port_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(dicomloom.ConnectionFailed, match="cannot listen"):
            move(lambda _: None, tmp_path, taken.getsockname()[1])


def test_the_peer_does_not_know_us(tmp_path):
    port = free_port()

    def script(conversation):
        conversation.send(last(0xA801, field=C_MOVE))

    with pytest.raises(dicomloom.StatusError) as caught:
        move(script, tmp_path, port)
    assert f'"ME" with address 127.0.0.1 and port {port}' in caught.value.hint


def test_a_peer_that_is_silent_after_a_move(tmp_path):
    def script(conversation):
        conversation.until_closed()

    with leaving_nothing(), retrieved_from(script) as peer:
        listen = f"127.0.0.1:{free_port()}"
        with pytest.raises(dicomloom.TimeoutExpired):
            retrieve(node_of(peer, 0.5), tmp_path, method="move", listen=listen, **KEYS)


def test_a_peer_that_breaks_off_a_move(tmp_path, way):
    """What came over the other association is whole, and in the report."""
    port = free_port()

    def script(conversation):
        stored = Once(port)
        stored.store("1.2.5")
        stored.store("1.2.6")
        conversation.send(abort(0, 0))

    with pytest.raises(dicomloom.AssociationAborted) as caught:
        move(script, tmp_path, port)
    uids = [one.SOPInstanceUID for one in caught.value.report.arrived]
    assert uids == ["1.2.5", "1.2.6"]
    assert names(tmp_path) == ["1.2.5.dcm", "1.2.6.dcm"]


def test_others_are_not_let_in(tmp_path):
    """Connections from other addresses are closed without a word."""
    port, heard = free_port(), []

    def script(conversation):
        with socket.create_connection(("127.0.0.1", port), 3, ("127.0.0.2", 0)) as stranger:
            with contextlib.suppress(ConnectionError):
                heard.append(stranger.recv(1))
        conversation.send(last(0, field=C_MOVE))

    report = move(script, tmp_path, port)
    assert (report.count, heard) == (0, [b""])


@pytest.mark.parametrize("uid", ["../1.2", "1.2/3"])
def test_hostile_instances_by_c_move(tmp_path, uid):
    port, statuses = free_port(), []

    def script(conversation):
        stored = Once(port)
        statuses.append(stored.store("1.2.5", named=uid))
        stored.association.release()
        conversation.send(last(0xB000, failed=1, field=C_MOVE))

    report = move(script, tmp_path / "a", port)
    assert statuses == [0x0117]
    assert [one.refused for one in report.failed] == [True]
    assert names(tmp_path) == []
