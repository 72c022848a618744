"""The file of storage commitment: what was written is read, and nothing else is believed."""

import json

import pytest

import dicomloom
from commit_peers import CT, objects
from dicomloom.network.commitment import state as commit_state
from dicomloom.network.commitment.push_model import Result
from dicomloom.network.commitment.state import CommitState

CLASSES = {uid: sop_class for sop_class, uid in objects(3)}


def made():
    state = CommitState.of("PEER@pacs:104", CLASSES)
    state.number(state.transactions)
    return state


def test_what_is_written_is_read(tmp_path):
    state = made()
    (one,) = state.transactions
    state.number([one])
    foreign = one.settle(
        Result(one.uids[0], [(CT, "1.2.3.1"), ("1.2", "1.2.3.2")], [(("1.2", "1.2.3.3"), None)])
    )
    state.write(tmp_path / "state")
    assert CommitState.read(tmp_path / "state") == state
    assert foreign == [("1.2", "1.2.3.2")]
    assert one.known == {"1.2.3.1": 0, "1.2.3.3": -1}
    assert list(one.pending) == [(CT, "1.2.3.2")]
    assert not one.is_settled
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_each_transaction_has_uids_of_its_own(monkeypatch):
    monkeypatch.setattr(commit_state, "MOST_REFERENCES", 2)
    state = made()
    state.number(state.transactions)
    first, second = state.transactions
    assert (len(first.classes), len(second.classes)) == (2, 1)
    assert len({*first.uids, *second.uids}) == 4
    assert state.find(second.uids[0]) is state.find(second.uids[1]) is second
    assert state.find("1.2.3") is None


def test_a_file_has_a_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(commit_state, "LARGEST", 100)
    with pytest.raises(dicomloom.LimitError, match="3 instances are too many"):
        made().write(tmp_path / "state")
    assert not list(tmp_path.iterdir())


def transaction(**changes):
    good = {"uids": ["1.2"], "asked": True, "instances": {CT: {"1.2.3": None}}}
    return {"transactions": [good | changes]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "dicomloom performed procedure step"}, '"kind"'),
        ({"version": 2}, "version 1"),
        ({"node": 1}, '"node"'),
        ({"transactions": []}, '"transactions"'),
        ({"transactions": {}}, '"transactions"'),
        ({"transactions": [[]]}, "no object"),
        (transaction(uids="1.2"), '"uids"'),
        (transaction(uids=["../1"]), "a UID is none"),
        (transaction(uids=[1]), "a UID is none"),
        (transaction(instances={}), '"instances"'),
        (transaction(instances={CT: {"x": None}}), "a UID is none"),
        (transaction(instances={"x": {"1.2": None}}), "a UID is none"),
        (transaction(instances={CT: ["1.2"]}), "no results"),
        (transaction(instances={CT: {"1.2": "0"}}), "Failure Reason"),
        (transaction(instances={CT: {"1.2": True}}), "Failure Reason"),
        (transaction(instances={CT: {"1.2": 1 << 16}}), "Failure Reason"),
        (transaction(instances={CT: {"1.2": -2}}), "Failure Reason"),
    ],
    ids=str,
)
def test_nothing_in_it_is_believed(tmp_path, changes, says):
    path = tmp_path / "state"
    made().write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(dicomloom.CorruptError, match=says):
        CommitState.read(path)
    with pytest.raises(dicomloom.CorruptError, match=says):
        dicomloom.commit_wait("PEER@pacs:104", path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_what_is_no_state(tmp_path, content):
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(dicomloom.CorruptError):
        CommitState.read(tmp_path / "state")


def test_a_file_cut_off_anywhere_is_told(tmp_path):
    path = tmp_path / "state"
    made().write(path)
    data = path.read_bytes().rstrip()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(dicomloom.CorruptError):
            CommitState.read(path)


def test_the_file_of_another_node(tmp_path):
    made().write(tmp_path / "state")
    with pytest.raises(dicomloom.StateError, match=r"is of PEER@pacs:104, not of OTHER@pacs:104"):
        dicomloom.commit_wait("OTHER@pacs:104", tmp_path / "state")
