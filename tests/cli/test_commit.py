"""dicomloom commit, as a shell sees it."""

import json
import shutil

import pytest
from pydicom import dcmread

import dicomloom
from commit_peers import provider, references, result
from find_peers import TEST_FILES
from network_peers import free_port
from shell import command, fails, works


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.fixture
def image(tmp_path, corpus):
    return shutil.copy(corpus / TEST_FILES / "CT_small.dcm", tmp_path / "ct.dcm")


def node(peer):
    return f"PEER@127.0.0.1:{peer.port}"


def test_all_is_committed(tmp_path, image, corpus):
    uid = dcmread(image).SOPInstanceUID
    with dicomloom.serve(tmp_path / "archive", port=0, ae_title="PEER") as server:
        dicomloom.send(node(server), image)
        done = works("commit", node(server), image)
        assert done.stdout == f"committed  {uid}\n"
        assert "1 committed, 0 failed, 0 pending" in done.stderr
        other = corpus / TEST_FILES / "MR_small.dcm"
        done = command("commit", node(server), image, other, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["committed"] == [{"SOPClassUID": dcmread(image).SOPClassUID, "SOPInstanceUID": uid}]
    assert told["complete"] is False
    (failed,) = told["failed"]
    assert (failed["reason"], failed["meaning"]) == (0x0112, "No such object instance")
    assert told["ways"] == ["same association"]


def test_what_is_not(image, tmp_path):
    """What the peer says is harmless in a terminal."""

    def answer(asked):
        ((sop_class, uid),) = references(asked)
        foreign = [(sop_class, "1.2\x1b[2J", 0x0110)]
        return [(2, result(asked.TransactionUID, [], [(sop_class, uid, 0x0213), *foreign]))]

    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(9))
    with provider("same", answer) as peer:
        done = command("commit", node(peer), image, tmp_path / "broken.dcm")
    assert done.returncode == 1
    failed, foreign, left_out = done.stdout.splitlines()
    assert failed.startswith("failed     1.3.6.1")
    assert failed.endswith("  0x0213, Resource limitation")
    assert foreign == "unasked    1.2\\x1b[2J"
    assert left_out.startswith(f"left out   {tmp_path / 'broken.dcm'}  ")


def test_it_goes_on_with_a_state(image, tmp_path):
    ours, state = free_port(), tmp_path / "state"
    with provider("later") as peer:
        first = ["commit", node(peer), image, "--state", state, "--wait", "0", "--calling-ae", "ME"]
        done = command(*first)
        assert (done.returncode, done.stdout[:8]) == (1, "pending ")
        fails(2, *first, says="is there already")
        reports, peer.owed = peer.owed, []
        peer.listener = ours
        peer._start(peer.call, reports, "OTHER")
        peer.join()
        assert peer.answered == ["rejected"]  # nobody listens
        peer.owed = reports
        again = ["commit", node(peer), "--resume", state, "--calling-ae", "ME"]
        done = works(*again, "--listen", f"127.0.0.1:{ours}", "--from", "OTHER")
        assert done.stdout.startswith("committed  ")
    # All is known: the peer is not asked any more.
    works(*again)


def test_failures(image, tmp_path):
    where = f"PEER@127.0.0.1:{free_port()}"
    fails(60, "commit", where, image, "--state", tmp_path / "state", says="refused")
    fails(60, "commit", where, "--resume", tmp_path / "state", "--wait", "0", says="refused")
    fails(2, "commit", "PEER@other:1", "--resume", tmp_path / "state", says="is of PEER@127")
    fails(20, "commit", where, "--resume", image, says="this is no JSON")
    fails(20, "commit", where, "--resume", tmp_path / "none", says="No such file")
    fails(20, "commit", where, tmp_path / "none", says="none")
    fails(40, "commit", where, image, "--state", tmp_path / "no" / "state", says="cannot write")
    with provider("same", statuses=[0x0124]) as peer:
        fails(66, "commit", node(peer), image, says="Not authorized")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "PATH ..., or else --resume"),
        (["a.dcm", "--resume", "s"], "PATH ..., or else --resume"),
        (["a.dcm", "--state", "s", "--resume", "s"], "not allowed with"),
        (["a.dcm", "--wait", "-1"], "wait"),
        (["a.dcm", "--listen", "here"], "ADDRESS:PORT"),
        (["a.dcm", "--from", "A\\B"], "AE title"),
    ],
    ids=str,
)
def test_usage(arguments, says):
    fails(2, "commit", "PEER@127.0.0.1:1", *arguments, says=says)
