"""What becomes of objects where the peer, the way, a file or we ourselves fail."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise

import pytest

from dicomloom import (
    AssociationRejected,
    ConnectionFailed,
    CorruptError,
    NoAcceptedContext,
    Node,
)
from dicomloom.network.send import SendOptions, send, send_each
from network_peers import abort, fake, free_port, pdu, reject, storescp
from store_peers import (
    SECONDARY_CAPTURE,
    Message,
    answer_to,
    data_set,
    keep,
    objects,
    store,
    take_association,
    uid_of,
)
from support import EXPLICIT_LE, part10


def node(port, **more):
    return Node(f"STORE@127.0.0.1:{port}", calling_ae_title="ME", **{"timeout": 5, **more})


def to(port, paths, *, timeout=5, **options):
    return send(node(port, timeout=timeout), paths, **{"backoff": 0, "retries": 2, **options})


def uids(outcomes):
    return sorted(one.SOPInstanceUID for one in outcomes)


@pytest.fixture
def three(tmp_path):
    objects(tmp_path / "in", 3, 100)
    return tmp_path / "in"


ALL_THREE = [uid_of(1), uid_of(2), uid_of(3)]


# --- statuses


@pytest.mark.parametrize(
    ("answers", "outcome", "attempts"),
    [
        ([0x0000], "sent", 1),
        ([0xB000], "warned", 1),
        ([0xB006], "warned", 1),
        ([0xB007], "warned", 1),
        ([0x0107], "warned", 1),
        ([0xA700, 0x0000], "sent", 2),
        ([0xA701, 0xA700, 0xB000], "warned", 3),
        ([0x0213, 0x0000], "sent", 2),
        ([0xA700] * 3, "failed", 3),
        ([0xA900], "failed", 1),
        ([0xC000], "failed", 1),
        ([0x0122], "failed", 1),
        ([0x0124], "failed", 1),
        ([0xFE00], "failed", 1),
    ],
)
def test_each_kind_of_status(tmp_path, answers, outcome, attempts):
    objects(tmp_path / "in", 1)
    expected, left = answers[-1], list(answers)
    with store(lambda event: left.pop(0), classes=[SECONDARY_CAPTURE]) as (port, seen):
        report = to(port, tmp_path / "in")
    (one,) = report.succeeded + report.warned + report.failed
    assert (one.outcome, one.status, one.attempts) == (outcome, expected, attempts)
    assert len(seen) == attempts
    assert one.meaning
    assert (one.error == "StatusError") == (outcome == "failed")


def test_what_the_peer_says_besides_is_fit_to_be_shown(tmp_path):
    objects(tmp_path / "in", 1)

    def talk(conversation):
        take_association(conversation)
        conversation.send(answer_to(Message(conversation), 0xA900, ErrorComment="\x1b[2Jbad"))
        Message(conversation)

    with fake(talk) as port:
        (one,) = to(port, tmp_path / "in").failed
    assert "bad" in one.reason
    assert "\x1b" not in one.reason


# --- ends


class Breaking:
    """A peer that breaks its first associations at some step, then is well."""

    def __init__(self, step, count, how=b""):
        self.step, self.left, self.how, self.kept = step, count, how, []

    def talk(self, conversation):
        broken, self.left = self.left > 0, self.left - 1
        if broken and self.step == "connect":
            return
        if broken and self.step == "request":
            conversation.read_pdu()
            conversation.send(self.how)
            return
        if not broken:
            keep(conversation, seen=self.kept)
            return
        take_association(conversation)
        if self.step == "accept":
            conversation.send(self.how)
            return
        if self.step == "half":
            conversation.read(40)
            conversation.send(self.how)
            return
        message = Message(conversation)
        if self.step == "answer":
            conversation.send(answer_to(message)[:30])
            return
        if self.step == "message":
            conversation.send(self.how)
            return
        self.kept.append(message)
        conversation.send(answer_to(message) + self.how)


STEPS = ["connect", "request", "accept", "half", "answer", "message", "answered"]
HOWS = {"close": b"", "abort": abort(0, 0)}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("step", STEPS)
def test_a_peer_that_breaks_twice(three, step, how):
    if (step, how) in (("connect", "abort"), ("answer", "abort")):
        how = "close"
    peer = Breaking(step, 2, HOWS[how])
    with fake(peer.talk) as port:
        report = to(port, three)
    assert uids(report.succeeded) == ALL_THREE
    assert not report.failed
    assert {message.uid for message in peer.kept} == set(ALL_THREE)
    assert max(one.attempts for one in report.succeeded) <= 3


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("step", STEPS)
def test_a_peer_that_breaks_always(three, step, how):
    if (step, how) in (("connect", "abort"), ("answer", "abort")):
        how = "close"
    peer = Breaking(step, 1_000_000, HOWS[how])
    with fake(peer.talk) as port:
        if step in ("connect", "request"):
            with pytest.raises(OSError, match="closed|aborted"):
                to(port, three)
            assert peer.left == 1_000_000 - 3
            return
        report = to(port, three)
    told = report.succeeded + report.failed
    assert uids(told) == ALL_THREE
    if step == "answered":
        assert len(report.succeeded) == 3
        return
    assert not report.succeeded
    # Each object three times; where none could be tried, three associations for all of them.
    assert 1_000_000 - peer.left == (3 if step == "accept" else 9)


def test_no_answer(three):
    def talk(conversation):
        take_association(conversation)
        Message(conversation)
        conversation.until_closed()

    with fake(talk) as port:
        report = to(port, three, timeout=0.2, retries=0)
    assert [one.error for one in report.failed] == ["TimeoutExpired"] * 3
    assert "no answer to C-STORE" in report.failed[0].reason


@pytest.mark.parametrize("what", ["another request", "another answer", "a request", "no status"])
def test_an_answer_that_is_none(tmp_path, what):
    objects(tmp_path / "in", 1)

    def talk(conversation):
        take_association(conversation)
        message = Message(conversation)
        asked = message.command
        if what == "another request":
            message.command = asked | {"MessageID": 77}
        if what == "another answer":
            message.command = asked | {"CommandField": 0x0030}
        answer = answer_to(message)
        if what == "a request":
            answer = answer.replace(b"\x02\0\0\0\x01\x80", b"\x02\0\0\0\x30\0")
        if what == "no status":
            answer = answer.replace(b"\0\0\0\x09\x02\0\0\0", b"\0\0\x05\x09\x02\0\0\0")
        conversation.send(answer)
        return conversation.read_pdu()[0]

    seen = []
    with fake(talk, seen) as port:
        (one,) = to(port, tmp_path / "in", retries=0).failed
    assert one.error == "ProtocolError"
    assert seen == [7]


def test_storescp_that_aborts(three, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with storescp(out, "+xa", "--abort-during") as port:
        report = to(port, three)
    assert [(one.error, one.attempts) for one in report.failed] == [("AssociationAborted", 3)] * 3


def test_storescp_that_refuses(three, tmp_path):
    with storescp(tmp_path, "--refuse") as port, pytest.raises(AssociationRejected):
        to(port, three)


def test_storescp_that_sleeps(three, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with storescp(out, "+xa", "--sleep-during", "1") as port:
        report = to(port, next(three.iterdir()), timeout=10)
    assert len(report.succeeded) == 1


def test_a_peer_that_is_killed_in_a_transfer(tmp_path):
    """The object is sent again, and told once."""
    objects(tmp_path / "in", 2, 3_000_000)
    seen, associations = [], []

    def talk(conversation):
        associations.append(1)
        if len(associations) == 1:
            take_association(conversation)
            conversation.read(500_000)
            return
        keep(conversation, seen=seen)

    with fake(talk) as port:
        report = to(port, tmp_path / "in")
    assert uids(report.succeeded) == [uid_of(1), uid_of(2)]
    assert sorted(one.attempts for one in report.succeeded) == [1, 2]
    assert sorted(message.uid for message in seen) == [uid_of(1), uid_of(2)]
    assert all(message.data.endswith(bytes(3_000_000)) for message in seen)


def test_a_peer_that_is_gone_for_good(three):
    gone = threading.Event()

    def talk(conversation):
        if gone.is_set():
            return
        gone.set()
        take_association(conversation)
        conversation.send(answer_to(Message(conversation)))

    with fake(talk) as port:
        report = to(port, three)
    assert (len(report.succeeded), len(report.failed)) == (1, 2)
    assert uids(report.succeeded + report.failed) == ALL_THREE
    assert {one.error for one in report.failed} == {"ConnectionFailed"}


def test_nobody_listens(three):
    with pytest.raises(ConnectionFailed) as caught:
        to(free_port(), three, jobs=4)
    assert caught.value.reason == "refused"


# --- associations that are not what was asked for


def test_a_rejection_that_will_not_change_is_final(three):
    asked = []

    def talk(conversation):
        conversation.read_pdu()
        asked.append(1)
        conversation.send(reject(1, 1, 7))

    with fake(talk) as port, pytest.raises(AssociationRejected):
        to(port, three)
    assert len(asked) == 1


def test_a_rejection_that_may_change_is_not(three):
    left = [reject(2, 3, 2)] * 2

    def talk(conversation):
        if left:
            conversation.read_pdu()
            conversation.send(left.pop())
        else:
            keep(conversation)

    with fake(talk) as port:
        assert uids(to(port, three).succeeded) == ALL_THREE


def test_no_context_at_all(three):
    def talk(conversation):
        take_association(conversation, take=())

    with fake(talk) as port, pytest.raises(NoAcceptedContext):
        to(port, three)


def test_some_contexts(three):
    (three / "other.dcm").write_bytes(part10(data_set(9, sop_class="1.2.3.4")))

    def talk(conversation):
        keep(conversation, refused=["1.2.3.4"])

    with fake(talk) as port:
        report = to(port, three)
    assert uids(report.succeeded) == ALL_THREE
    (one,) = report.failed
    assert (one.error, one.SOPInstanceUID, one.status) == ("NoAcceptedContext", uid_of(9), None)


def test_a_peer_that_accepts_nothing_of_the_first_association(tmp_path):
    classes = [f"1.2.826.0.1.3680043.10.1.{number:03}" for number in range(80)]
    for number, uid in enumerate(classes):
        (tmp_path / str(number)).write_bytes(part10(data_set(number, sop_class=uid)))

    def talk(conversation):
        keep(conversation, refused=classes[:70])

    with fake(talk) as port:
        report = to(port, tmp_path)
    assert {one.SOPClassUID for one in report.succeeded} == set(classes[70:])
    assert {one.SOPClassUID for one in report.failed} == set(classes[:70])
    assert {one.error for one in report.failed} == {"NoAcceptedContext"}


@pytest.mark.parametrize("most", [1, 5])
def test_a_peer_that_takes_no_fragment(three, most):
    def talk(conversation):
        take_association(conversation, max_length=most)
        conversation.until_closed()

    with fake(talk) as port:
        report = to(port, three, retries=0)
    assert [one.error for one in report.failed] == ["ProtocolError"] * 3


def test_four_jobs_at_a_peer_that_takes_two(tmp_path):
    objects(tmp_path / "in", 40)
    with store(classes=[SECONDARY_CAPTURE], most=2) as (port, seen):
        # It counts those that it is about to refuse, too.
        report = to(port, tmp_path / "in", jobs=4, retries=9, backoff=0.02)
    assert len(report.succeeded) == len({uid for uid, _ in seen}) == 40
    assert not report.failed


# --- files


def test_files_that_change_between_the_look_and_the_sending(tmp_path):
    """One comes to the peer; of the others one is gone by then, and one has become shorter."""
    paths = dict(zip(ALL_THREE, objects(tmp_path / "in", 3, 1000), strict=True))

    def change(event):
        paths.pop(event.request.AffectedSOPInstanceUID)
        gone, shorter = paths.values()
        gone.unlink()
        os.truncate(shorter, 500)
        return 0

    with store(change, classes=[SECONDARY_CAPTURE]) as (port, seen):
        report = to(port, tmp_path / "in")
    assert len(seen) == len(report.succeeded) == 1
    reasons = {one.SOPInstanceUID: one.reason for one in report.failed}
    gone, shorter = paths
    assert "cannot read: No such file" in reasons[gone]
    assert "and has 500" in reasons[shorter]
    assert {one.error for one in report.failed} == {"ReadError"}


def test_a_file_that_shrinks_while_it_is_sent(tmp_path):
    (path,) = objects(tmp_path / "in", 1, 20_000_000)
    associations = []

    def talk(conversation):
        associations.append(1)
        take_association(conversation)
        conversation.read_pdu()
        os.truncate(path, 1000)
        conversation.until_closed()

    with fake(talk) as port:
        (one,) = to(port, tmp_path / "in").failed
    assert one.error == "ReadError"
    assert "ends within the data set" in one.reason
    assert (one.attempts, len(associations)) == (1, 1)


# --- the report


def test_the_report_is_gone_on_with(three, tmp_path):
    report = tmp_path / "report.jsonl"
    left = [0x0000, 0xA900]
    with store(lambda event: left.pop(0) if left else 0, classes=[SECONDARY_CAPTURE]) as (
        port,
        seen,
    ):
        first = to(port, three, report=report)
        assert (len(first.succeeded), len(first.failed), first.skipped) == (2, 1, 0)
        with report.open("ab") as file:
            file.write(report.read_bytes()[:50])  # a crash in the middle of a line
        second = to(port, three, report=report)
        assert uids(second.succeeded) == uids(first.failed)
        assert second.skipped == 2
        third = to(port, three, report=report)
        assert (third.succeeded, third.failed, third.skipped) == ([], [], 3)
    assert len(seen) == 4
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert [row["outcome"] for row in rows].count("failed") == 1
    with pytest.raises(CorruptError, match="give another file"):
        to(free_port(), three, report=report)


def test_a_foreign_report_stops_all(three, tmp_path):
    objects(tmp_path / "other", 1)
    with pytest.raises(CorruptError):
        to(free_port(), three, report=tmp_path / "other" / "0001.dcm")
    assert (tmp_path / "other" / "0001.dcm").read_bytes() == part10(data_set(1), EXPLICIT_LE)


# --- those who wait


def test_who_stops_looking_stops_the_sending(tmp_path):
    objects(tmp_path / "in", 200)
    with store(classes=[SECONDARY_CAPTURE]) as (port, seen):
        each = send_each(node(port), tmp_path / "in", options=SendOptions(jobs=2))
        next(each)
        each.close()
        after = len(seen)
        assert 1 <= after <= 200
        assert not [one for one in threading.enumerate() if one.name.startswith("dicomloom-send")]
        assert len(seen) == after


INTERRUPTED = """
    import sys
    from dicomloom import Node
    from dicomloom.network.send import send
    try:
        send(Node(sys.argv[1], timeout=30), sys.argv[2], report=sys.argv[3])
    except KeyboardInterrupt:
        print("heeded")
    """


def test_an_interrupt(tmp_path):
    objects(tmp_path / "in", 3)
    waiting = threading.Event()

    def talk(conversation):
        take_association(conversation)
        conversation.send(answer_to(Message(conversation)))
        Message(conversation)
        waiting.set()
        conversation.until_closed()

    with fake(talk) as port:
        command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED)]
        command += [f"STORE@127.0.0.1:{port}", tmp_path / "in", tmp_path / "report"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert waiting.wait(20)
            while not (tmp_path / "report").read_bytes():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=20)[0] == "heeded\n"
    assert len((tmp_path / "report").read_text().splitlines()) == 1


def test_an_error_in_progress_ends_all(three):
    def fail(one):
        raise ZeroDivisionError

    with store(classes=[SECONDARY_CAPTURE]) as (port, _), pytest.raises(ZeroDivisionError):
        to(port, three, progress=fail)
    assert not [one for one in threading.enumerate() if one.name.startswith("dicomloom-send")]


def test_waits_become_longer():
    """Backoff: 0.5, 1, 2 ... seconds, up to 30."""
    from dicomloom.network.sending import couriers

    waited = []

    class Stop:
        def wait(self, seconds):
            waited.append(seconds)

    class Crew:
        node, options, stop = None, SendOptions(backoff=0.5), Stop()

    courier = couriers._Courier(Crew(), 0)
    for times in range(10):
        courier._wait(times)
    assert waited[:3] == [0.5, 1, 2]
    assert all(one <= other for one, other in pairwise(waited))
    assert waited[-1] == 30


@pytest.mark.parametrize(
    "options", [{"jobs": 0}, {"jobs": 65}, {"retries": -1}, {"backoff": -1}, {"backoff": 1e9}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SendOptions(**options)


def test_an_unknown_pdu_ends_the_association(three):
    def talk(conversation):
        take_association(conversation)
        Message(conversation)
        conversation.send(pdu(9, b"abcd"))
        conversation.until_closed()

    with fake(talk) as port:
        report = to(port, three, retries=0)
    assert [one.error for one in report.failed] == ["ProtocolError"] * 3
