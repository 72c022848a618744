"""Storage commitment as its user, against providers that report in every way there is."""

import json
import shutil
import threading
import time

import pytest
from pydicom import dcmread

import dicomloom
from commit_peers import CT, objects, promise, provider, references, result
from dicomloom.network.commitment import state as commit_state
from find_peers import TEST_FILES
from network_peers import descriptors, free_port, program, storescp
from objects import run
from pages import run_page

MR = "1.2.840.10008.5.1.4.1.1.4"


def node(port, title="PEER", **more):
    return dicomloom.Node(f"{title}@127.0.0.1:{port}", calling_ae_title="ME", timeout=5, **more)


def uids(found):
    return [one.SOPInstanceUID for one in found]


@pytest.fixture
def files(tmp_path, corpus):
    """A CT and an MR image, and what is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(corpus / TEST_FILES / name, folder)
    (folder / "notes.txt").write_text("not an object")
    return folder


@pytest.fixture
def uid_of(files):
    return {name: dcmread(files / name).SOPInstanceUID for name in ("CT_small.dcm", "MR_small.dcm")}


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before, threads = descriptors(), threading.active_count()
    yield
    # The peers' own threads end a little later than their servers.
    for _ in range(200):
        if descriptors() <= before and threading.active_count() <= threads:
            return
        time.sleep(0.02)
    raise AssertionError(threading.enumerate())


# Ways.


def test_on_the_same_association(files, uid_of):
    with provider("same") as peer:
        report = dicomloom.commit(node(peer.port), files, wait=10)
    assert sorted(uids(report.committed)) == sorted(uid_of.values())
    assert (report.complete, report.ways, report.trouble) == (True, ["same association"], "")
    (asked,) = peer.asked
    assert report.transaction_uids == [asked.TransactionUID]
    assert set(references(asked)) == {(CT, uid_of["CT_small.dcm"]), (MR, uid_of["MR_small.dcm"])}
    assert peer.answered == [0]


def test_without_waiting_all_is_pending():
    with provider("later") as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(2), wait=0)
        assert uids(report.pending) == ["1.2.3.1", "1.2.3.2"]
        assert not report.complete


def test_a_later_association_is_opened_by_itself(tmp_path):
    """The provider ends the first one, and reports right behind the acceptance of the next."""

    def leave(asked):
        timer = threading.Timer(0.1, lambda: [one.release() for one in peer.server_associations()])
        peer.threads.append(timer)
        timer.start()
        return promise(asked)

    with provider("later", leave) as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(2), wait=20)
    assert (report.complete, report.ways) == (True, ["later association"])
    assert report.trouble == ""
    assert peer.answered == [0]


@pytest.mark.parametrize("round_", range(3))
def test_a_report_right_behind_the_acceptance(tmp_path, round_):
    state = tmp_path / "state"
    with provider("later") as peer:
        dicomloom.commit(node(peer.port), instances=objects(2), wait=0, state=state)
        report = dicomloom.commit_wait(node(peer.port), state, wait=10)
    assert (report.complete, report.ways) == (True, ["later association"])
    assert len(peer.asked) == 1


def test_on_a_reverse_association():
    port = free_port()
    with provider("reverse", listener=port) as peer:
        listen = f"127.0.0.1:{port}"
        report = dicomloom.commit(node(peer.port), instances=objects(3), wait=10, listen=listen)
    assert (report.complete, report.ways) == (True, ["reverse association"])
    assert peer.answered == [0]
    assert peer.roles == [(False, True)]  # PS3.4 J.3.3: the role that was proposed was accepted


def test_orthanc_comes_to_us(tmp_path, files, uid_of):
    port, ours = free_port(), free_port()
    settings = {
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "StorageDirectory": str(tmp_path / "orthanc"),
        "DicomModalities": {
            "me": {
                "AET": "ME",
                "Host": "127.0.0.1",
                "Port": ours,
                "AllowStore": True,
                "AllowStorageCommitment": True,
            }
        },
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with program("Orthanc", tmp_path / "orthanc.json", port=port):
        run("storescu", "-aec", "ORTHANC", "127.0.0.1", str(port), files / "CT_small.dcm")
        peer = node(port, "ORTHANC")
        listen = f"127.0.0.1:{ours}"
        report = dicomloom.commit(peer, files, wait=20, listen=listen)
    assert uids(report.committed) == [uid_of["CT_small.dcm"]]
    (failed,) = report.failed
    assert failed == (MR, uid_of["MR_small.dcm"], 0x0112, "No such object instance")
    assert report.ways == ["reverse association"]


# Our own server.


def test_our_own_server(tmp_path, files, uid_of):
    with dicomloom.serve(tmp_path / "archive", port=0, ae_title="PEER") as server:
        peer = node(server.port)
        sent = dicomloom.send(peer, files / "CT_small.dcm", commit=True)
        assert sent.committed.complete
        assert uids(sent.committed.committed) == [uid_of["CT_small.dcm"]]
        report = dicomloom.commit(peer, [files / "CT_small.dcm", files / "MR_small.dcm"])
    assert uids(report.committed) == [uid_of["CT_small.dcm"]]
    assert [one.reason for one in report.failed] == [0x0112]
    assert not report.complete


def test_our_own_server_comes_to_us_after_its_restart(tmp_path, files):
    """It is closed before it told anybody; what it owes survives, and so does what we asked."""
    ours, port = free_port(), free_port()
    me = f"ME@127.0.0.1:{ours}"
    state, folder = tmp_path / "state", tmp_path / "archive"
    with dicomloom.serve(folder, port=port, ae_title="PEER", nodes=[me]) as server:
        peer = node(server.port)
        dicomloom.send(peer, files)
        with pytest.MonkeyPatch.context() as patch:
            # It answers, and is gone before its report.
            acceptor = "dicomloom.network.serve.acceptor.Acceptor"
            patch.setattr(f"{acceptor}.ask", lambda *_: None)
            first = dicomloom.commit(peer, files, wait=0, state=state)
        assert len(first.pending) == 2
    with dicomloom.serve(folder, port=port, ae_title="PEER", nodes=[me]):
        listen = f"127.0.0.1:{ours}"
        report = dicomloom.commit_wait(peer, state, wait=30, listen=listen)
    assert (report.complete, report.ways) == (True, ["reverse association"])
    assert report.transaction_uids == first.transaction_uids


# Send.


def test_send_tells_what_is_not_committed(tmp_path, files):
    """A node that stores and knows nothing of storage commitment."""
    with storescp(tmp_path) as port:
        sent = dicomloom.send(node(port, "STORE"), files, commit=dicomloom.CommitOptions(wait=0))
        assert len(sent.succeeded) == 2
        assert len(sent.committed.pending) == 2
        assert "Storage Commitment" in sent.committed.trouble
        (tmp_path / "state").touch()
        count = len(list(tmp_path.iterdir()))
        with pytest.raises(dicomloom.StateError, match="is there already"):
            dicomloom.send(
                node(port), files, commit=dicomloom.CommitOptions(state=tmp_path / "state")
            )
    assert len(list(tmp_path.iterdir())) == count


# What reports say.


def test_reasons():
    codes = {
        0x0110: "Processing failure",
        0x0112: "No such object instance",
        0x0213: "Resource limitation",
        0x0122: "Referenced SOP Class not supported",
        0x0119: "Class / Instance conflict",
        0x0131: "Duplicate transaction UID",
        0x0BAD: "a code that PS3 does not define",
        None: "the peer gives no reason",
    }
    given = objects(len(codes) + 1)

    def answer(asked):
        failed = [(*one, code) for one, code in zip(given[1:], codes, strict=True)]
        return [(2, result(asked.TransactionUID, given[:1], failed))]

    with provider("same", answer) as peer:
        report = dicomloom.commit(node(peer.port), instances=given)
    assert {one.reason: one.meaning for one in report.failed} == codes
    assert uids(report.committed) == ["1.2.3.1"]


def test_a_part_is_reported_and_the_rest_is_pending(tmp_path):
    state = tmp_path / "state"

    def answer(asked):
        uid, (one, two, _) = asked.TransactionUID, references(asked)
        foreign = (CT, "1.2.9")
        return [
            (1, result(uid, [one, foreign])),
            (1, result(uid, [one])),  # again: counts once
            (2, result(uid, [("1.2.4", two[1])], [(CT, "1.2.8", 0x0112)])),  # of another class
        ]

    with provider("same", answer) as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(3), wait=0.6, state=state)
        assert peer.answered == [0, 0, 0]
    assert uids(report.committed) == ["1.2.3.1"]
    assert uids(report.pending) == ["1.2.3.2", "1.2.3.3"]
    assert uids(report.foreign) == ["1.2.9", "1.2.3.2", "1.2.8"]
    # After a restart the rest comes.
    ours = free_port()
    with provider("later") as peer:
        (uid,) = report.transaction_uids
        peer.listener, held = ours, objects(2, first=2)
        timer = threading.Timer(0.2, peer.call, ([(1, result(uid, held))],))
        timer.start()
        again = dicomloom.commit_wait(
            _same_node(state, peer.port), state, wait=10, listen=f"127.0.0.1:{ours}"
        )
        timer.join()
    assert again.complete
    assert len(again.committed) == 3


def _same_node(state, port):
    """Move a state file to a node at another port, as tests have one."""
    content = json.loads(state.read_text())
    content["node"] = f"PEER@127.0.0.1:{port}"
    state.write_text(json.dumps(content))
    return node(port)


def test_what_failed_wins_where_it_is_in_both_sequences():
    def answer(asked):
        one, two = references(asked)
        return [(1, result(asked.TransactionUID, [one, two], [(*two, 0x0213)]))]

    with provider("same", answer) as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(2))
    assert uids(report.committed) == ["1.2.3.1"]
    assert uids(report.failed) == ["1.2.3.2"]


# Transactions.


def test_many_objects_are_several_transactions(monkeypatch, tmp_path):
    monkeypatch.setattr(commit_state, "MOST_REFERENCES", 2)
    state = tmp_path / "state"
    with provider("same", statuses=[0, 0x0213]) as peer:
        report = dicomloom.commit(node(peer.port), instances=objects(5), wait=10, state=state)
        assert [len(asked.ReferencedSOPSequence) for asked in peer.asked] == [2, 2, 1]
        assert uids(report.pending) == ["1.2.3.3", "1.2.3.4"]
        assert "0x0213" in report.trouble
        # What was refused is asked for again, in a transaction of its own.
        again = dicomloom.commit_wait(node(peer.port), state, wait=10)
    assert again.complete
    assert len(set(again.transaction_uids)) == len(peer.asked) == 4
    assert references(peer.asked[3]) == objects(2, first=3)


def test_a_request_without_answer_is_repeated_under_another_uid(tmp_path):
    """And a report of the first counts."""
    state = tmp_path / "state"

    def cut(asked):
        peer.cut()
        return promise(asked)

    with provider("later", cut) as peer:
        with pytest.raises(dicomloom.NetworkError):
            dicomloom.commit(node(peer.port), instances=objects(1), state=state)
        first = peer.asked[0].TransactionUID
        peer.answer = lambda asked: []
        report = dicomloom.commit_wait(node(peer.port), state, wait=10)
    assert report.complete
    assert report.transaction_uids[0] == first
    assert {asked.TransactionUID for asked in peer.asked} <= set(report.transaction_uids)


def test_the_page(tmp_path):
    printed = run_page("commitment.md", "python", tmp_path).splitlines()
    assert printed[0].endswith(" No such object instance")
    assert printed[1] == "False 0"
