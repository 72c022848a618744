"""Retrieving from peers that break, lie or stop, and what is left behind."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import dicomloom
from dicomloom import Node, retrieve
from dicomloom.network import direct
from faults import child, native_object, noise, sparse_object
from network_peers import RELEASE_RP, abort, free_port
from retrieve_peers import (
    C_CANCEL,
    C_MOVE,
    Once,
    give,
    last,
    message,
    object_of,
    read_message,
    retrieved_from,
    store,
    word,
)
from support import PRINT_PEAK

KEYS = {"StudyInstanceUID": "1.2.3"}
ONE = KEYS | {"SeriesInstanceUID": "1.2.4", "SOPInstanceUID": "1.2.5"}


@pytest.fixture(params=["direct", "engine"])
def way(request, monkeypatch):
    """Both engines that move messages."""
    if request.param == "engine":
        monkeypatch.setattr(direct, "_KNOWN", ())
    return request.param


def node(port, timeout=3):
    return Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=timeout)


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def leaving_nothing():
    """No thread and no descriptor is left at the end of the block."""
    threads, descriptors = set(threading.enumerate()), len(os.listdir("/dev/fd"))
    yield
    assert not [one for one in set(threading.enumerate()) - threads if "dicomloom" in one.name]
    assert len(os.listdir("/dev/fd")) <= descriptors


def get(script, folder, keys=KEYS, seen=None, timeout=3, **more):
    with leaving_nothing(), retrieved_from(script, seen) as port:
        return retrieve(node(port, timeout), folder, method="get", **keys, **more)


def test_a_plain_peer(tmp_path, way):
    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")), ("1.2.6", object_of("1.2.6")))
        conversation.send(last(0, completed=2))

    report = get(script, tmp_path)
    assert (report.complete, report.count, report.completed) == (True, 2, 2)
    assert names(tmp_path) == ["1.2.5.dcm", "1.2.6.dcm"]
    path = tmp_path / "1.2.3" / "1.2.4" / "1.2.5.dcm"
    assert path.read_bytes().endswith(object_of("1.2.5"))


def _cut(conversation):
    conversation.send(store("1.2.6", object_of("1.2.6", bytes(200_000)))[:150_000])
    conversation.connection.close()


def _abort(conversation):
    conversation.send(abort(0, 0))


def _part_and_silence(conversation):
    conversation.send(store("1.2.6", object_of("1.2.6", bytes(200_000)))[:150_000])
    conversation.until_closed()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (_cut, dicomloom.ConnectionFailed),
        (_abort, dicomloom.AssociationAborted),
        (_part_and_silence, dicomloom.TimeoutExpired),
        (lambda conversation: conversation.until_closed(), dicomloom.TimeoutExpired),
    ],
    ids=["killed", "aborted", "stuck", "silent"],
)
def test_a_peer_that_ends_after_the_first_object(tmp_path, way, end, error):
    """What came is whole and stays; of the rest nothing is there."""

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        end(conversation)

    with pytest.raises(error) as caught:
        get(script, tmp_path, timeout=1)
    assert names(tmp_path) == ["1.2.5.dcm"]
    report = caught.value.report
    assert (report.count, report.complete, len(report.arrived)) == (1, True, 1)


def test_a_peer_that_never_answers(tmp_path):
    def script(conversation):
        conversation.until_closed()

    with pytest.raises(dicomloom.TimeoutExpired):
        get(script, tmp_path, timeout=0.5)
    assert names(tmp_path) == []


def test_what_was_not_asked_for(tmp_path):
    def script(conversation):
        give(conversation, ("1.2.9", object_of("1.2.9")))
        conversation.send(last(0, completed=1))

    report = get(script, tmp_path, ONE)
    assert (report.missing, report.unexpected) == (["1.2.5"], ["1.2.9"])
    assert not report.complete


@pytest.mark.parametrize(
    "uid",
    [
        "../../../../1.2",
        "/tmp/1.2",
        "..",
        ".",
        "",
        "1.2/3",
        "1.2\n3",
        "1" * 65,
        "~",
        "1.2\0.3",
        "é",
    ],
    ids=repr,
)
def test_hostile_instances_are_refused(tmp_path, way, uid):
    folder, seen = tmp_path / "a" / "b", []
    if way == "engine" and len(uid) > 64:
        pytest.skip("pynetdicom itself gives up on these")

    def script(conversation):
        statuses = give(conversation, (uid.encode(), object_of("1.2.5")))
        conversation.send(last(0xB000, failed=1))
        return statuses

    report = get(script, folder, seen=seen)
    assert seen == [[0x0117]]
    assert [(one.status, one.refused) for one in report.failed] == [(0x0117, True)]
    assert not report.complete
    assert names(tmp_path) == []


def test_the_class_of_another_context(tmp_path):
    seen = []

    def script(conversation):
        conversation.send(store("1.2.5", object_of("1.2.5"), sop_class="1.2.840.10008.5.1.4.1.1.4"))
        statuses = [word(read_message(conversation)[0], 0x0900)]
        conversation.send(last(0xB000, failed=1))
        return statuses

    assert not get(script, tmp_path, seen=seen).complete
    assert (seen, names(tmp_path)) == ([[0x0122]], [])


@pytest.mark.parametrize(
    "study", ["../../..", "/etc", "..", "a\nb", "x" * 400, "CON", ""], ids=repr
)
def test_hostile_values_are_no_paths(tmp_path, study):
    folder = tmp_path / "a" / "b" / "c"

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5", study=study, patient=study)))
        conversation.send(last(0, completed=1))

    layout = "{PatientID}/{StudyInstanceUID}{PatientID}/{SOPInstanceUID}.dcm"
    (arrived,) = get(script, folder, layout=layout).arrived
    assert os.path.realpath(arrived.path).startswith(str(folder) + os.sep)
    parts = os.path.relpath(arrived.path, folder).split(os.sep)
    assert len(parts) == 3
    assert all(part.isprintable() and part[0] not in ".-~" for part in parts)
    assert all(len(part.encode()) < 200 for part in parts)
    assert names(tmp_path) == ["1.2.5.dcm"]


def test_wrong_counts(tmp_path):
    """A peer that counts what it did not send is not believed."""

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        conversation.send(last(0, completed=5))

    report = get(script, tmp_path)
    assert (report.count, report.completed, report.unnamed) == (1, 5, 4)
    assert not report.complete


def test_an_object_that_comes_twice(tmp_path):
    def script(conversation):
        give(conversation, *[("1.2.5", object_of("1.2.5"))] * 2)
        conversation.send(last(0, completed=2))

    report = get(script, tmp_path)
    assert (report.complete, report.count, len(report.arrived)) == (True, 1, 2)
    assert [one.SOPInstanceUID for one in report.warned] == ["1.2.5"]
    assert names(tmp_path) == ["1.2.5.dcm"]


def test_an_object_that_is_odd_is_kept_and_told(tmp_path):
    data = object_of(None)

    def script(conversation):
        give(conversation, ("1.2.5", data))
        conversation.send(last(0, completed=1))

    report = get(script, tmp_path)
    assert [one.SOPInstanceUID for one in report.warned] == ["1.2.5"]
    (arrived,) = report.arrived
    assert arrived.path.endswith("/1.2.5.dcm")
    with open(arrived.path, "rb") as file:
        assert file.read().endswith(data)


def test_an_object_that_is_no_data_set_is_refused(tmp_path):
    def script(conversation):
        give(conversation, ("1.2.5", b"\1\2\3\4" * 30))
        conversation.send(last(0, completed=1))

    report = get(script, tmp_path)
    (failed,) = report.failed
    assert (failed.SOPInstanceUID, failed.status, failed.refused) == ("1.2.5", 0xC000, True)
    assert "truncated in (0201,0403)" in failed.reason
    assert names(tmp_path) == []


def test_an_object_that_is_another(tmp_path):
    seen = []

    def script(conversation):
        statuses = give(conversation, ("1.2.5", object_of("1.2.77")))
        conversation.send(last(0xB000, failed=1))
        return statuses

    report = get(script, tmp_path, seen=seen)
    assert seen == [[0xA900]]
    assert [(one.status, one.refused) for one in report.failed] == [(0xA900, True)]
    assert names(tmp_path) == []


def test_what_the_peer_says_failed(tmp_path, way):
    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        conversation.send(last(0xB000, completed=1, failed=2, uids=["1.2.6", "1.2.7\x1b"]))

    report = get(script, tmp_path)
    assert [one.SOPInstanceUID for one in report.failed] == ["1.2.6", "1.2.7\\x1b"]
    assert {one.status for one in report.failed} == {0xB000}
    assert (report.complete, report.failures, report.unnamed) == (False, 2, 0)


@pytest.mark.parametrize("data", [b"noise", b"\xff" * 5000], ids=["short", "long"])
def test_a_list_of_failures_that_is_none(tmp_path, data):
    def script(conversation):
        conversation.send(message(1, 0x8010, data, x0120=1, x0900=0xB000, x1022=3))

    report = get(script, tmp_path)
    assert (report.failed, report.unnamed, report.complete) == ([], 3, False)


@pytest.mark.parametrize("status", [0xA701, 0xA900, 0xC123, 0x0124, 0xFE00])
def test_a_status_that_is_no_success(tmp_path, status):
    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        conversation.send(last(status, completed=1, failed=1, uids=["1.2.6"]))

    with pytest.raises(dicomloom.StatusError) as caught:
        get(script, tmp_path)
    assert caught.value.status == status
    report = caught.value.report
    assert [one.SOPInstanceUID for one in report.failed] == ["1.2.6"]
    assert names(tmp_path) == ["1.2.5.dcm"]


@pytest.mark.parametrize(
    "answer",
    [
        last(0, number=2),
        last(0, field=C_MOVE),
        message(1, 0x8010, x0120=1),
        message(1, 0x0030, x0110=7),
        store("1.2.5", object_of("1.2.5"), context=5),
        store("1.2.5", object_of("1.2.5"), context=1),
    ],
    ids=["number", "kind", "no status", "request", "no context", "context of C-GET"],
)
def test_what_is_no_answer(tmp_path, way, answer):
    def script(conversation):
        conversation.send(answer)
        conversation.until_closed()

    with pytest.raises(dicomloom.ProtocolError):
        get(script, tmp_path)
    assert names(tmp_path) == []


def test_an_object_without_a_data_set(tmp_path):
    seen = []

    def script(conversation):
        conversation.send(store("1.2.5", None))
        statuses = [word(read_message(conversation)[0], 0x0900)]
        conversation.send(last(0xB000, failed=1))
        return statuses

    assert not get(script, tmp_path, seen=seen).complete
    assert (seen, names(tmp_path)) == ([[0xC000]], [])


# C-MOVE


def move(script, folder, port, keys=KEYS, **more):
    with leaving_nothing(), retrieved_from(script) as peer:
        listen = f"127.0.0.1:{port}"
        return retrieve(node(peer), folder, method="move", listen=listen, **keys, **more)


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
            retrieve(node(peer, 0.5), tmp_path, method="move", listen=listen, **KEYS)


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


# Disks, interrupts, memory


def _small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def command(port, folder, *arguments):
    return [
        *(sys.executable, "-m", "dicomloom", "retrieve", f"PEER@127.0.0.1:{port}"),
        *("-k", "StudyInstanceUID=1.2.3", "-d", str(folder), "--calling-ae", "ME", *arguments),
    ]


def test_a_full_disk(tmp_path):
    """The peer hears A700, what came before stays, and the call ends with an error."""
    seen = []

    def script(conversation):
        statuses = give(
            conversation,
            ("1.2.5", object_of("1.2.5")),
            ("1.2.6", object_of("1.2.6", bytes(200_000))),
        )
        cancelled = word(read_message(conversation)[0], 0x0100)
        conversation.send(last(0xFE00, completed=1, failed=1))
        return statuses, cancelled

    with retrieved_from(script, seen) as port:
        arguments = command(port, tmp_path)
        done = subprocess.run(
            arguments, preexec_fn=_small_files, capture_output=True, text=True, check=False
        )
    assert done.returncode == 40, done.stderr
    assert seen == [([0x0000, 0xA700], C_CANCEL)]
    assert "1.2.6: refused here: status 0xA700" in done.stderr
    assert names(tmp_path) == ["1.2.5.dcm"]


def test_a_full_disk_by_c_move(tmp_path):
    listen, statuses = free_port(), []

    def script(conversation):
        stored = Once(listen)
        statuses.append(stored.store("1.2.5"))
        statuses.append(stored.store("1.2.6", bytes(200_000)))
        statuses.append(word(read_message(conversation)[0], 0x0100))
        conversation.send(last(0xFE00, completed=1, failed=1, field=C_MOVE))
        stored.association.release()
        return statuses

    with retrieved_from(script) as port:
        more = ("--method", "move", "--listen", f"127.0.0.1:{listen}")
        arguments = command(port, tmp_path, *more)
        done = subprocess.run(
            arguments, preexec_fn=_small_files, capture_output=True, text=True, check=False
        )
    assert done.returncode == 40, done.stderr
    assert statuses == [0x0000, 0xA700, C_CANCEL]
    assert names(tmp_path) == ["1.2.5.dcm"]


@pytest.mark.parametrize("part", [0, 150_000], ids=["between objects", "within an object"])
def test_ctrl_c(tmp_path, part):
    """The peer is told by C-CANCEL where that can be; what came stays, and nothing half."""
    seen, waiting = [], threading.Event()

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        conversation.send(store("1.2.6", object_of("1.2.6", bytes(200_000)))[:part])
        waiting.set()
        command_set, _ = read_message(conversation)
        seen.append((word(command_set, 0x0100), word(command_set, 0x0120)))
        conversation.send(last(0xFE00, completed=1))

    with retrieved_from(script) as port:
        process = subprocess.Popen(command(port, tmp_path), stderr=subprocess.PIPE, text=True)
        assert waiting.wait(20)
        time.sleep(0.1)  # else it may not have begun to read what was sent
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 130, error
    assert "interrupted" in error
    assert seen == ([] if part else [(C_CANCEL, 1)])
    assert names(tmp_path) == ["1.2.5.dcm"]


def test_an_iterator_that_is_left_cancels_and_releases(tmp_path, way):
    seen = []

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        seen.append(word(read_message(conversation)[0], 0x0100))
        # One that has crossed the C-CANCEL.
        seen.extend(give(conversation, ("1.2.6", object_of("1.2.6"))))
        conversation.send(last(0xFE00, completed=1))
        seen.append(conversation.read_pdu()[0])
        conversation.send(RELEASE_RP)

    with leaving_nothing(), retrieved_from(script) as port:
        each = dicomloom.retrieve_each(node(port), tmp_path, KEYS, method="get")
        assert next(each).SOPInstanceUID == "1.2.5"
        each.close()
    assert seen == [C_CANCEL, 0xA700, 5]
    assert names(tmp_path) == ["1.2.5.dcm"]


def test_a_peer_that_does_not_heed_a_cancel(tmp_path, monkeypatch):
    monkeypatch.setattr("dicomloom.network.retrieving.retrieval._DRAIN", 0.3)
    seen = []

    def script(conversation):
        for number in range(10_000):
            give(conversation, (f"1.2.5.{number}", object_of(f"1.2.5.{number}")))
        seen.append("never cut off")

    with leaving_nothing(), retrieved_from(script) as port:
        each = dicomloom.retrieve_each(node(port), tmp_path, KEYS, method="get")
        next(each)
        each.close()
    assert (seen, names(tmp_path)) == ([], ["1.2.5.0.dcm"])


RETRIEVE = (
    """
import sys, dicomloom
node = dicomloom.Node(sys.argv[1], calling_ae_title="ME")
report = dicomloom.retrieve(node, sys.argv[2], PatientID="before", method=sys.argv[3],
                            listen=sys.argv[4])
assert report.complete and report.count == 1, report
"""
    + PRINT_PEAK
)


@pytest.mark.parametrize("method", ["get", "move"])
def test_memory_does_not_grow_with_the_object(tmp_path, method):
    """An object of 300 MB takes as much as one of a few bytes, and that is less than 96 MiB."""
    peaks, listen = [], free_port()
    for name in ("small", "large"):
        held = tmp_path / name / "objects" / "000"
        held.mkdir(parents=True)
        more = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
        if name == "small":
            native_object(held / "1.dcm", noise(1), **more)
        else:
            sparse_object(held / "1.dcm", 300, 1000, 1000, **more)
        known = [f"ME@127.0.0.1:{listen}"]
        with dicomloom.serve(tmp_path / name, port=0, nodes=known) as server:
            where = f"{server.ae_title}@127.0.0.1:{server.port}"
            arguments = (where, tmp_path / "out" / name, method, f"127.0.0.1:{listen}")
            done = child(RETRIEVE, *arguments, timeout=60)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 4096
    assert peaks[1] < 96 << 10
