"""Retrieving to the end of disks, of patience and of memory."""

import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

import dicomloom
from faults import child, native_object, noise, sparse_object
from network_peers import RELEASE_RP, free_port
from retrieve_peers import (
    C_CANCEL,
    C_MOVE,
    KEYS,
    Once,
    give,
    last,
    leaving_nothing,
    names,
    node_of,
    object_of,
    read_message,
    retrieved_from,
    store,
    word,
)
from support import PRINT_PEAK


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
        each = dicomloom.retrieve_each(node_of(port), tmp_path, KEYS, method="get")
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
        each = dicomloom.retrieve_each(node_of(port), tmp_path, KEYS, method="get")
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
