"""N13: what a peer says of a retrieval is named up to a bound, and counted beyond it."""

import itertools
import json
import logging

import pytest
from pydicom import Dataset

import dicomloom
from dicomloom import LimitError
from dicomloom.cli import retrieve as retrieve_command
from dicomloom.network import command as commands
from dicomloom.network import find
from dicomloom.network.node import Node
from dicomloom.network.retrieving import landing, planning, tally
from dicomloom.network.retrieving.planning import Errand
from dicomloom.network.retrieving.tally import MOST_NAMED, Failed, RetrieveReport, Tally
from dicomloom.network.serve.store import Arrival
from find_peers import scp
from retrieve_peers import give, last, object_of, retrieved_from

ERRAND = Errand("study", "STUDY", {"StudyInstanceUID": "1.2.3"})


def test_n13_the_bound_is_a_hundred_thousand():
    """A list of 300,000 UIDs that failed, and as many refusals, are named up to 100,000."""
    made = Tally(ERRAND)
    said = {"CommandField": commands.C_GET | commands.RESPONSE, "Status": 0xB000}
    made.answered(said, (f"1.2.{number}" for number in range(200_000)), "some failed")
    for number in range(100_000):
        made.refused(f"1.3.{number}", 0xC000, "no")
        made.remark(f"1.3.{number}", "odd")
        made.remark(f"1.4.{number}", "odd")
    report = RetrieveReport("PEER")
    made.settle(report)
    Tally(ERRAND).settle(report)
    assert MOST_NAMED == 100_000
    assert (len(report.failed), len(report.warned)) == (100_000, 100_000)
    assert report.untold == {"failed": 200_000, "warned": 100_000}
    assert not report.complete


@pytest.fixture
def few(monkeypatch):
    for module in (tally, landing):
        monkeypatch.setattr(module, "MOST_NAMED", 3)


def test_n13_a_report_of_many_errands_is_bounded(few):
    """Lists of a report are bounded over all studies; what is missing beyond is `unnamed`."""
    report = RetrieveReport("PEER")
    for study in range(3):
        expected = {f"1.{study}.{number}": planning.Instance("", "") for number in range(2)}
        made = Tally(Errand("study", "STUDY", {}, expected))
        for number in range(2):
            made.arrived(Arrival("path", "new", "1.2", f"2.{study}.{number}", "1.2", "PEER", 8))
        made.settle(report)
    assert (len(report.missing), report.unnamed) == (3, 3)
    assert (len(report.unexpected), report.untold) == (3, {"unexpected": 3})
    assert report.count == 6


def test_n13_what_a_peer_says_of_a_retrieval_is_counted(tmp_path, few):
    """Failures that a peer lists, and objects that come again or are odd, by C-GET."""

    def script(conversation):
        again = [("1.2.5", object_of("1.2.5"))] * 6
        odd = [(f"1.2.6.{number}", object_of(None)) for number in range(5)]
        give(conversation, *again, *odd)
        uids = [f"1.2.7.{number}" for number in range(8)]
        conversation.send(last(0xB000, completed=11, failed=8, uids=uids))

    with retrieved_from(script) as port:
        node = Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=20)
        report = dicomloom.retrieve(node, tmp_path, StudyInstanceUID="1.2.3", method="get")
    assert (len(report.failed), len(report.warned)) == (3, 3)
    assert report.untold["failed"] == 5
    assert report.untold["warned"] >= 5
    assert report.unnamed == 0


def test_n13_the_command_counts_what_it_does_not_name(capsys):
    """The command tells how many more failed, and as JSON."""
    report = RetrieveReport("PEER", requests=1, untold={"failed": 4})
    report.failed.append(Failed("1.2.5", 0xB000, "some failed"))
    retrieve_command._tell(report, as_json=True)
    shown = capsys.readouterr()
    untold = json.loads(shown.out.splitlines()[-1])
    assert untold == {"event": "untold", "list": "failed", "count": 4}
    assert "4 more: failed\n" in shown.err
    assert "5 failed" in shown.err


def test_n13_answers_that_are_left_out_are_counted_and_told_once(tmp_path, caplog):
    """Answers without a UID that is one: a line of the log, however many they are."""
    unfit = Dataset()
    unfit.StudyInstanceUID = "no UID"
    with scp(lambda event: [(0xFF00, unfit)] * 50) as port, caplog.at_level(logging.WARNING):
        node = Node(f"PEER@127.0.0.1:{port}", timeout=20)
        wish = planning.Wish.of("study", "STUDY", {"PatientID": "1"})
        assert list(planning.errands(node, wish)) == []
    (told,) = (one.getMessage() for one in caplog.records if "left out" in one.getMessage())
    assert "50 answers are left out at level STUDY" in told


def test_n13_answers_that_are_left_out_do_not_go_on_for_ever(monkeypatch):
    """They count for the limit of answers, too."""
    monkeypatch.setattr(planning, "_MOST_FOUND", 20)
    monkeypatch.setattr(find, "_DRAIN", 0.1)
    unfit = Dataset()
    unfit.StudyInstanceUID = "no UID"
    with scp(lambda event: ((0xFF00, unfit) for _ in itertools.count())) as port:
        node = Node(f"PEER@127.0.0.1:{port}", timeout=20)
        wish = planning.Wish.of("study", "STUDY", {"PatientID": "1"})
        with pytest.raises(LimitError, match="at most 20 answers at level STUDY"):
            list(planning.errands(node, wish))
