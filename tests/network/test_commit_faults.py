"""Storage commitment where the provider, the network or the disk fails."""

import contextlib
import shutil
import socket
import time

import pytest
from pydicom import Dataset

import dicomloom
from commit_peers import (
    CT,
    action_response,
    event,
    objects,
    promise,
    provider,
    read_answer,
    read_message,
    result,
)
from dicomloom.network import command as commands
from dicomloom.network.commitment import asker as commit_asker
from dicomloom.network.datasets import read_data_set, write_data_set
from network_peers import RELEASE_RP, abort, accept, fake, free_port

GARBAGE = b"\x08\0\x95\x11UI\xff\xffnothing"


def node(port, **more):
    return dicomloom.Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", **{"timeout": 2} | more)


def asked_of(data):
    return read_data_set(data, False)[0]


def encoded(made):
    return write_data_set(made, False)


def ask(port, tmp_path, wait=0.4, **more):
    return dicomloom.commit(
        node(port, **more), instances=objects(2), wait=wait, state=tmp_path / "state"
    )


def until_released(it):
    """Answer a release, as all that is left to do."""
    with contextlib.suppress(EOFError):
        while it.read_pdu()[0] != 5:
            pass
        it.send(RELEASE_RP)


# Reports that are none.

SEQUENCE = result("1.2.3", objects(1))

WRONG = {
    "of another transaction": (encoded(SEQUENCE), {}, 0x0115),
    "garbage": (GARBAGE, {}, 0x0110),
    "without a data set": (None, {}, 0x0110),
    "of another event type": (encoded(SEQUENCE), {"EventTypeID": 3}, 0x0113),
    "of another class": (encoded(SEQUENCE), {"AffectedSOPClassUID": CT}, 0x0118),
    "of another instance": (encoded(SEQUENCE), {"AffectedSOPInstanceUID": CT}, 0x0112),
    "without a transaction": (encoded(result("", objects(1))), {}, 0x0114),
    "without a reference": (encoded(result("1.2.3")), {}, 0x0114),
    "too large": (encoded(result("1.2.3", objects(20))), {}, 0x0110),
}


@pytest.mark.parametrize("name", WRONG)
def test_reports_that_are_none(name, way, tmp_path, monkeypatch):
    data, changes, status = WRONG[name]
    if name == "too large":
        monkeypatch.setattr(commit_asker, "LARGEST_REPORT", 200)
    seen = []

    def talk(it):
        it.accept()
        request, asked = read_message(it)
        it.send(action_response(request))
        it.send(event(data, **changes))
        seen.append(read_answer(it))
        # What follows is taken nevertheless.
        good = result(asked_of(asked).TransactionUID, objects(2))
        it.send(event(encoded(good), MessageID=8))
        seen.append(read_answer(it))
        until_released(it)

    with fake(talk) as port:
        report = ask(port, tmp_path, wait=5)
    assert [one["Status"] for one in seen] == [status, 0]
    assert [one["MessageIDBeingRespondedTo"] for one in seen] == [7, 8]
    assert report.complete
    assert report.trouble == ""


def test_a_sequence_that_is_none(way, tmp_path):
    seen = []

    def talk(it):
        it.accept()
        request, asked = read_message(it)
        it.send(action_response(request))
        made = Dataset()
        made.TransactionUID = asked_of(asked).TransactionUID
        made.add_new(0x00081199, "LO", "CT")
        it.send(event(encoded(made)))
        seen.append(read_answer(it)["Status"])
        until_released(it)

    with fake(talk) as port:
        report = ask(port, tmp_path)
    assert len(report.pending) == 2
    assert seen[0] in (0x0110, 0x0115)


@pytest.mark.parametrize("cut", ["behind", "between", "within", "for good"])
def test_a_report_before_the_answer_and_one_with_the_acceptance(way, tmp_path, cut):
    """Nobody reads messages yet when an association is just accepted; nor in the midst of one."""
    seen, known = [], []

    def talk(it):
        if known:
            it.read_pdu()
            made = event(encoded(result(known[0], objects(1, first=2))))
            first = 6 + int.from_bytes(made[2:6], "big")  # the PDU of the command set
            at = {"behind": len(made), "within": -20}.get(cut, first)
            it.send(accept() + made[:at])
            time.sleep(0.1)
            if cut == "for good":
                it.until_closed()
            it.send(made[at:])
            seen.append(read_answer(it)["Status"])
            until_released(it)
            return
        it.accept()
        request, asked = read_message(it)
        known.append(asked_of(asked).TransactionUID)
        it.send(event(encoded(result(known[0], objects(1)))))
        seen.append(read_answer(it)["Status"])
        it.send(action_response(request))
        until_released(it)

    with fake(talk) as port:
        first = ask(port, tmp_path, wait=0)
        assert [one.SOPInstanceUID for one in first.committed] == ["1.2.3.1"]
        good = cut != "for good"
        peer = node(port) if good else node(port, timeout=0.3)
        report = dicomloom.commit_wait(peer, tmp_path / "state", wait=5 if good else 0.6)
    assert seen == ([0, 0] if good else [0])
    assert report.complete is good


def test_other_requests_of_the_peer_are_refused(way, tmp_path):
    seen = []

    def talk(it):
        it.accept()
        request, asked = read_message(it)
        good = result(asked_of(asked).TransactionUID, objects(2))
        it.send(event(encoded(good), CommandField=0x0140))  # N-CREATE
        seen.append(read_answer(it)["Status"])
        it.send(action_response(request))
        it.send(event(encoded(good)))
        seen.append(read_answer(it)["Status"])
        until_released(it)

    with fake(talk) as port:
        report = ask(port, tmp_path, wait=5)
    assert seen == [0x0211, 0]
    assert report.complete


# A peer that fails, at each step.


def _silent(it):
    it.accept()
    read_message(it)
    it.until_closed()


def _aborts(it):
    it.accept()
    read_message(it)
    it.send(abort(0, 0))


def _leaves(it):
    it.accept()
    read_message(it)


def _releases(it):
    it.accept()
    read_message(it)
    it.send(b"\x05\0\0\0\0\4\0\0\0\0")
    it.until_closed()


def _answers_another(it):
    it.accept()
    request, _ = read_message(it)
    it.send(action_response(request | {"MessageID": 99}))
    it.until_closed()


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (_silent, dicomloom.TimeoutExpired),
        (_aborts, dicomloom.AssociationAborted),
        (_leaves, dicomloom.ConnectionFailed),
        (_releases, dicomloom.NetworkError),
        (_answers_another, dicomloom.ProtocolError),
        (lambda it: it.accept(results=((1, 3),)), dicomloom.NoAcceptedContext),
        (lambda it: it.read_pdu() and it.send(abort(2, 0)), dicomloom.AssociationAborted),
    ],
)
def test_nothing_could_be_asked_for(tmp_path, talk, error):
    with fake(talk) as port:
        with pytest.raises(error):
            ask(port, tmp_path, timeout=0.5)
    state = tmp_path / "state"
    with provider("same", port=port) as peer:
        report = dicomloom.commit_wait(node(port), state, wait=5)
    assert report.complete
    assert len(peer.asked) == 1


@pytest.mark.parametrize("end", ["abort", "close", "half", "garbage", "answer"])
def test_the_peer_fails_when_it_should_report(way, tmp_path, end):
    """What was asked for stays pending, with the reason, within the time; later it comes."""
    uid = []

    def talk(it):
        if uid:
            return  # comes again, and finds nobody
        it.accept()
        request, asked = read_message(it)
        uid.append(asked_of(asked).TransactionUID)
        it.send(action_response(request))
        made = event(encoded(result(uid[0], objects(2))))
        if end == "abort":
            it.send(abort(0, 0))
        elif end == "half":
            it.send(made[:-40])
            it.until_closed()
        elif end == "garbage":
            it.send(b"\xff" * 20)
            it.until_closed()
        elif end == "answer":
            it.send(action_response(request))
            it.until_closed()

    with fake(talk) as port:
        report = ask(port, tmp_path, wait=0.8 if end == "half" else 0.3, timeout=0.5)
        assert len(report.pending) == 2
        assert report.trouble
        assert report.ways == []
    with provider("later", port=port) as peer:
        peer.owed = [(1, result(uid[0], objects(2)))]
        report = dicomloom.commit_wait(node(port), tmp_path / "state", wait=5)
    assert report.complete
    assert peer.asked == []


def test_the_peer_is_gone(tmp_path):
    with provider("later", lambda asked: []) as peer:
        ask(peer.port, tmp_path, wait=0)
    with pytest.raises(dicomloom.ConnectionFailed):
        dicomloom.commit_wait(node(peer.port), tmp_path / "state", wait=0.2)
    # Who listens needs no association of ours.
    listen = f"127.0.0.1:{free_port()}"
    report = dicomloom.commit_wait(node(peer.port), tmp_path / "state", wait=0.2, listen=listen)
    assert len(report.pending) == 2
    assert "refused" in report.trouble


def test_a_status_that_is_none(tmp_path):
    with provider("same", statuses=[0x0124]) as peer:
        with pytest.raises(dicomloom.StatusError) as raised:
            ask(peer.port, tmp_path)
    assert raised.value.status == 0x0124


# Who comes to us.


def test_only_the_peer_may_report(tmp_path):
    ours = free_port()
    listen = f"127.0.0.1:{ours}"

    def strangers(asked):
        for title in ("STRANGER", "OTHER"):
            peer.call(promise(asked), title)
        return [(1, result("1.2.3", objects(2)))]

    with provider("reverse", strangers, listener=ours) as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(2), wait=0.5, listen=listen)
        peer.join()
        assert peer.answered == ["rejected", "rejected", 0x0115]
        assert len(report.pending) == 2
        peer.answered.clear()
        report = dicomloom.commit(
            node(peer.port), instances=objects(2), wait=5, listen=listen, callers=["OTHER"]
        )
        peer.join()
    assert report.complete
    assert peer.answered[:2] == ["rejected", 0]  # then nobody listens any more


def test_the_port_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other, provider() as peer:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(dicomloom.ConnectionFailed, match="listen at another"):
            dicomloom.commit(
                node(peer.port), instances=objects(1), listen=listen, state=tmp_path / "state"
            )
        assert peer.asked == []
    assert not (tmp_path / "state").exists()


# The file.


@pytest.mark.parametrize("how", ["same", "reverse"])
def test_the_state_cannot_be_written(tmp_path, how):
    """The peer is told that its report was not kept, so that it comes again."""
    folder, ours = tmp_path / "folder", free_port()
    folder.mkdir()
    listen = f"127.0.0.1:{ours}" if how == "reverse" else None

    def vanish(asked):
        def later():
            shutil.rmtree(folder)
            return promise(asked)

        return _Lazy(later)

    with provider(how, vanish, listener=ours) as peer:
        with pytest.raises(dicomloom.WriteError):
            dicomloom.commit(
                node(peer.port), instances=objects(1), wait=5, listen=listen, state=folder / "state"
            )
        peer.join()
    assert peer.answered == [0x0110]


class _Lazy:
    """Reports that are made when they are sent: then the N-ACTION is answered."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return iter(self._make())


def test_the_state_is_written_before_anything_is_sent(tmp_path):
    with provider() as peer:
        with pytest.raises(dicomloom.WriteError):
            dicomloom.commit(
                node(peer.port), instances=objects(1), state=tmp_path / "none" / "state"
            )
        assert peer.asked == []
        (tmp_path / "state").touch()
        with pytest.raises(dicomloom.StateError, match="is there already"):
            ask(peer.port, tmp_path)
        assert peer.asked == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"instances": []}, "no object"),
        ({"wait": -1}, "wait"),
        ({"wait": float("nan")}, "wait"),
        ({"listen": "here"}, "ADDRESS:PORT"),
        ({"callers": ["A\\B"]}, "calling AE title"),
    ],
    ids=str,
)
def test_arguments(arguments, says):
    with pytest.raises(ValueError, match=says):
        dicomloom.commit("PEER@127.0.0.1:1", **{"instances": objects(1)} | arguments)


def test_what_cannot_be_asked_for_is_left_out(tmp_path):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(bytes(128) + b"DICM" + bytes(9))
    given = [*objects(1), ("1.2.4", "1.2.3.1"), (CT, "no UID"), *objects(1)]
    with provider() as peer:
        report = dicomloom.commit(node(peer.port), [broken, tmp_path / "none"], instances=given)
        with pytest.raises(dicomloom.CorruptError, match="not one object"):
            dicomloom.commit(node(peer.port), broken)
    assert len(report.committed) == 1
    assert not report.complete
    paths = [one.path for one in report.left_out]
    assert sorted(paths) == sorted(["", "", str(broken), str(tmp_path / "none")])
    assert len(peer.asked) == 1


def test_commands_of_the_fakes_are_those_of_pynetdicom():
    """Else the tests here would prove nothing."""
    from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ

    command = commands.decode(event(None)[12:])
    message = N_EVENT_REPORT_RQ()
    assert {one.keyword for one in message.command_set} - {"CommandGroupLength"} == set(command)
