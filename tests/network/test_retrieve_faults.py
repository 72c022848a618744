"""Retrieving by C-GET from peers that break, lie or stop, and what is left behind."""

import os

import pytest

import dicomloom
from dicomloom import retrieve
from network_peers import abort
from retrieve_peers import (
    C_MOVE,
    KEYS,
    ONE,
    give,
    last,
    leaving_nothing,
    message,
    names,
    node_of,
    object_of,
    read_message,
    retrieved_from,
    store,
    word,
)


def get(script, folder, keys=KEYS, seen=None, timeout=3, **more):
    with leaving_nothing(), retrieved_from(script, seen) as port:
        return retrieve(node_of(port, timeout), folder, method="get", **keys, **more)


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
