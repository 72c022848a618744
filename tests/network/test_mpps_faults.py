"""Performed procedure steps where something goes wrong: answers, the way, the file, a crash."""

import json
import os

import pytest
from pynetdicom import evt

from dicomloom import (
    ConnectionFailed,
    CorruptError,
    DicomloomWarning,
    LimitError,
    NetworkError,
    Node,
    PerformedProcedureStep,
    ReadError,
    StateError,
    StatusError,
    TimeoutExpired,
    WriteError,
)
from find_peers import step
from mpps_peers import dcmjs, ris, status
from network_peers import fake, free_port
from support import EXPLICIT_LE

FINAL = status(0x0110, comment="Performed Procedure Step Object may no longer be updated")


def node(port, **more):
    return Node(f"RIS@127.0.0.1:{port}", calling_ae_title="ME", **{"timeout": 5, **more})


def made_for(port, **more):
    return PerformedProcedureStep.from_worklist(node(port), step(1), **more)


def state_of(path):
    return json.loads(path.read_text())["state"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (0x0110, "Processing failure"),
        (0x0111, "Duplicate SOP Instance"),
        (0x0120, "Missing attribute"),
        (0x0213, "Resource limitation"),
    ],
)
def test_a_creation_that_is_refused(tmp_path, code, says):
    with ris([code]) as (port, seen):
        made = made_for(port, state=tmp_path / "s")
        with pytest.raises(StatusError, match=says) as caught, made:
            pytest.fail("the block is not entered")
        assert caught.value.status == code
        assert (made.state, state_of(tmp_path / "s")) == ("NEW", "NEW")
        made.start()
        assert made.state == "IN PROGRESS"
    assert seen[0].uid == seen[1].uid


def test_the_error_id_says_that_the_step_is_final():
    answer = status(0x0110, error_id=0xA710, comment="\x1b[2Jno")
    with ris([0, answer]) as (port, _):
        made = made_for(port)
        made.start()
        with pytest.raises(StatusError, match="may no longer be updated") as caught:
            made.complete()
    error = caught.value
    assert (error.status, error.error_id, error.comment) == (0x0110, 0xA710, "\\x1b[2Jno")
    assert "COMPLETED or DISCONTINUED there already" in str(error)
    assert made.state == "IN PROGRESS"


def test_a_server_in_another_language_knows_no_such_step(tmp_path):
    with dcmjs(tmp_path, EXPLICIT_LE) as (port, _):
        made = made_for(port, state=tmp_path / "s")
        made.start()
        (tmp_path / "s").write_text((tmp_path / "s").read_text().replace(made.uid, "2.25.1"))
        other = PerformedProcedureStep.load(tmp_path / "s", node(port))
        with pytest.raises(StatusError, match="No such SOP Instance"):
            other.complete()
        assert other.state == "IN PROGRESS"


def test_warnings_are_successes():
    with ris([0x0107, 0xB000, 0x0001]) as (port, _):
        made = made_for(port)
        with pytest.warns(DicomloomWarning, match="Attribute list error"):
            made.start()
        with pytest.warns(DicomloomWarning, match="0xB000"):
            made.update()
        with pytest.warns(DicomloomWarning, match="optional attributes"):
            made.complete()
    assert made.state == "COMPLETED"


def test_an_end_that_is_refused_leaves_no_series_behind():
    with ris([0, 0x0106]) as (port, seen):
        made = made_for(port)
        made.start()
        with pytest.raises(StatusError):
            made.complete()
        made.add_instance(("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.3"))
        made.complete()
    assert [len(one.data.PerformedSeriesSequence) for one in seen[1:]] == [1, 1]
    assert seen[2].data.PerformedSeriesSequence[0].SeriesInstanceUID == "1.2.3"


def test_the_first_exception_survives():
    with ris([0, 0x0112]) as (port, _), pytest.raises(ZeroDivisionError) as caught:
        with made_for(port) as made:
            1 / 0  # noqa: B018
    (note,) = caught.value.__notes__
    assert made.uid in note
    assert "No such SOP Instance" in note


def test_ctrl_c_discontinues():
    with ris() as (port, seen), pytest.raises(KeyboardInterrupt):
        with made_for(port):
            raise KeyboardInterrupt
    assert seen[1].data.PerformedProcedureStepStatus == "DISCONTINUED"


def test_nobody_listens(tmp_path):
    made = made_for(free_port(), state=tmp_path / "s")
    with pytest.raises(ConnectionFailed):
        made.start()
    assert (made.state, state_of(tmp_path / "s")) == ("NEW", "NEW")


def leave(event):
    """The message has come, and no answer goes back."""
    event.assoc.dul.socket.close()


def test_an_answer_that_is_lost(tmp_path):
    """The peer has created and completed the step, and both times dies before it says so."""
    path = tmp_path / "s"
    with ris(talk=leave) as (port, seen):
        with pytest.raises(NetworkError):
            made_for(port, state=path).start()
    assert state_of(path) == "CREATING"
    with ris([0x0111]) as (port, again):
        made = PerformedProcedureStep.load(path, node(port))
        with pytest.raises(StateError, match="do start again first"):
            made.complete()
        made.start()
    assert (made.state, state_of(path)) == ("IN PROGRESS", "IN PROGRESS")
    assert (again[0].uid, again[0].data) == (seen[0].uid, seen[0].data)

    with ris(talk=leave) as (port, seen):
        made = PerformedProcedureStep.load(path, node(port))
        with pytest.raises(NetworkError):
            made.complete()
    assert state_of(path) == "COMPLETING"
    made = PerformedProcedureStep.load(path, node(free_port()))
    with pytest.raises(StateError, match="do complete again first"):
        made.discontinue()
    with pytest.raises(ConnectionFailed):
        made.complete()
    assert state_of(path) == "COMPLETING"
    with ris([0x0110, FINAL]) as (port, again):
        made = PerformedProcedureStep.load(path, node(port))
        with pytest.raises(StatusError):
            made.complete()
        assert made.state == "COMPLETING"
        with pytest.warns(DicomloomWarning, match="final there"):
            made.complete()
    assert made.state == state_of(path) == made.attributes.PerformedProcedureStepStatus
    assert made.state == "COMPLETED"
    assert again[1].data == seen[0].data


def test_a_crash_between_sending_and_saving(tmp_path):
    path, kept = tmp_path / "s", {}
    with ris(talk=lambda event: kept.setdefault("text", path.read_text())) as (port, seen):
        made = made_for(port, state=path)
        made.start()
        path.write_text(kept["text"])  # what a killed process leaves
        assert state_of(path) == "CREATING"
        assert PerformedProcedureStep.load(path, node(port)).uid == seen[0].uid == made.uid


def test_an_end_that_is_unclear_is_not_another():
    def talk(event):
        if event.event is evt.EVT_N_SET:
            leave(event)

    with ris(talk=talk) as (port, seen), pytest.raises(NetworkError), made_for(port) as made:
        made.complete()
    assert made.state == "COMPLETING"
    assert [one.service for one in seen] == ["N-CREATE", "N-SET"]


def test_a_peer_that_does_not_answer():
    def talk(peer):
        peer.accept()
        peer.until_closed()

    with fake(talk) as port:
        made = PerformedProcedureStep.from_worklist(node(port, dimse_timeout=0.3), step(1))
        with pytest.raises(TimeoutExpired, match="N-CREATE"):
            made.start()
    assert made.state == "CREATING"


def test_a_file_that_cannot_be_written(tmp_path):
    with ris() as (port, seen):
        made = made_for(port, state=tmp_path / "missing" / "s")
        with pytest.raises(WriteError):
            made.start()
        assert made.state == "NEW"
    assert not seen


def test_the_disk_is_full_when_the_answer_comes(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()

    def talk(event):
        os.rename(folder, tmp_path / "away")

    with ris(talk=talk) as (port, _):
        made = made_for(port, state=folder / "s")
        with pytest.raises(WriteError):
            made.start()
    assert made.state == "CREATING"
    assert state_of(tmp_path / "away" / "s") == "CREATING"


@pytest.fixture
def saved(tmp_path):
    made = made_for(1)
    made.save(tmp_path / "good")
    return json.loads((tmp_path / "good").read_text())


def test_what_is_saved_is_read(tmp_path, saved):
    made = PerformedProcedureStep.load(tmp_path / "good", "RIS@127.0.0.1:1")
    made.save(tmp_path / "again")
    assert json.loads((tmp_path / "again").read_text()) == saved
    assert sorted(os.listdir(tmp_path)) == ["again", "good"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "another"},
        {"version": 2},
        {"uid": "../../etc/passwd"},
        {"uid": "1.02"},
        {"uid": 7},
        {"state": "DONE"},
        {"state": ["NEW"]},
        {"state": "COMPLETED"},
        {"state": "COMPLETING"},
        {"pending": {}},
        {"attributes": {}},
        {"attributes": []},
        {"attributes": {"00100010": {"vr": "XX", "Value": ["1"]}}},
        {"attributes": {"00400270": {"vr": "LO", "Value": ["1"]}}},
        {"attributes": {"00400270": {"vr": "SQ", "Value": [1]}}},
        {"attributes": {"x": 1}},
    ],
    ids=str,
)
def test_hostile_files(tmp_path, saved, change):
    (tmp_path / "s").write_text(json.dumps(saved | change))
    with pytest.raises(CorruptError) as caught:
        PerformedProcedureStep.load(tmp_path / "s", "RIS@127.0.0.1:1")
    assert caught.value.path == str(tmp_path / "s")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"kind": NaN'], ids=repr
)
def test_files_that_are_something_else(tmp_path, data):
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(CorruptError):
        PerformedProcedureStep.load(tmp_path / "s", "RIS@127.0.0.1:1")


def test_files_that_are_too_deep_or_large(tmp_path, saved):
    deep = {"00400270": {"vr": "SQ", "Value": []}}
    for _ in range(200):
        deep = {"00400270": {"vr": "SQ", "Value": [deep]}}
    (tmp_path / "s").write_text(json.dumps(saved | {"attributes": deep}))
    with pytest.raises(CorruptError):
        PerformedProcedureStep.load(tmp_path / "s", "RIS@127.0.0.1:1")
    with (tmp_path / "s").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(LimitError):
        PerformedProcedureStep.load(tmp_path / "s", "RIS@127.0.0.1:1")
    with pytest.raises(ReadError):
        PerformedProcedureStep.load(tmp_path / "none", "RIS@127.0.0.1:1")


def test_items_that_are_none(tmp_path):
    for text in ("[]", json.dumps([json.loads(step(1).to_json())] * 2), "[1]"):
        (tmp_path / "i").write_text(text)
        with pytest.raises(CorruptError):
            PerformedProcedureStep.from_worklist("RIS@127.0.0.1:1", tmp_path / "i")


def test_objects_that_are_none(tmp_path):
    made = made_for(1)
    (tmp_path / "x").write_bytes(bytes(200))
    with pytest.raises(ValueError, match="not DICOM"):
        made.add_instance(tmp_path / "x")
    with pytest.raises(ReadError):
        made.add_instance(tmp_path / "none")
