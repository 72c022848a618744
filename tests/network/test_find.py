"""C-FIND with SCPs that answer every way there is: statuses, character sets, floods, nonsense."""

import logging
import random
import struct
import threading
import time
import warnings

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomloom import (
    AssociationAborted,
    ConnectionFailed,
    DicomloomWarning,
    NetworkError,
    NoAcceptedContext,
    Node,
    ProtocolError,
    StatusError,
    TimeoutExpired,
    find,
)
from find_peers import STUDY_ROOT, response, scp
from network_peers import RELEASE_RP, abort, descriptors, fake
from support import IMPLICIT_LE, UNDEFINED, element, item

PENDING, UNSUPPORTED, SUCCESS, CANCEL = 0xFF00, 0xFF01, 0x0000, 0xFE00


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """No thread and no descriptor outlives a query, however it ends."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    end = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.01)  # pynetdicom's SCP takes its time
    assert set(threading.enumerate()) <= threads
    assert descriptors() <= before


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DicomloomWarning)
        yield


def node(port, **fields):
    return Node(f"PEER@127.0.0.1:{port}", **{"calling_ae_title": "ME", "timeout": 5} | fields)


def study(number=1, **attributes):
    made = Dataset()
    made.QueryRetrieveLevel, made.StudyInstanceUID = "STUDY", f"1.2.{number}"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def saying(*answers, seen=None):
    def handle(event):
        if seen is not None:
            seen.append(event.identifier)
        yield from answers

    return handle


def talking(*answers, seen=None, then=None):
    """A fake that answers these bytes; what else it is sent goes to `seen`."""

    def talk(peer):
        peer.accept()
        peer.read_pdu(), peer.read_pdu()  # command and identifier
        for answer in answers:
            peer.send(answer)
        if then is not None:
            return then(peer)
        while True:
            got = peer.read_pdu()
            if seen is not None:
                seen.append(got)
            if got[0] == 5:
                peer.send(RELEASE_RP)

    return talk


UID = element(0x0020000D, "UI", b"1.2.3\0")


def test_no_answer():
    with scp(saying()) as port:
        assert list(find(node(port))) == []


def test_answers_come_as_they_are():
    seen = []
    given = [study(n, PatientName=f"DOE^{n}") for n in range(5)]
    with scp(saying(*((PENDING, one) for one in given), seen=seen)) as port:
        assert list(find(node(port), PatientName="DOE*", StudyDate="20260101-")) == given
    (identifier,) = seen
    assert identifier.QueryRetrieveLevel == "STUDY"
    assert (identifier.PatientName, identifier.StudyDate) == ("DOE*", "20260101-")


def test_nothing_is_sent_before_the_first_answer_is_asked_for():
    find("PEER@127.0.0.1:1")


def test_keys_that_are_none_are_told_at_once():
    with pytest.raises(ValueError, match="StudyInstanceUID"):
        find("PEER@127.0.0.1:1", "SERIES")
    with pytest.raises(ValueError, match="limit"):
        find("PEER@127.0.0.1:1", limit=0)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "DOE^JOHN"),
        ("ISO_IR 100", "M\u00fcller^J\u00fcrgen"),
        ("ISO_IR 144", "\u041b\u044e\u043ace\u043c^A"),
        ("ISO_IR 192", "\u5c71\u7530^\u592a\u90ce"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"),
        ("GB18030", "\u738b^\u5c0f\u4e1c"),
    ],
)
def test_text_by_its_own_character_set(charset, name):
    answer = study(PatientName=name)
    if charset:
        answer.SpecificCharacterSet = charset
    with scp(saying((PENDING, answer))) as port:
        (got,) = find(node(port))
    assert str(got.PatientName) == name


def test_text_of_the_query_arrives():
    seen = []
    with scp(saying(seen=seen)) as port:
        assert not list(find(node(port), PatientName="\u5c71\u7530*"))
    assert (seen[0].SpecificCharacterSet, seen[0].PatientName) == ("ISO_IR 192", "\u5c71\u7530*")


def test_implicit_vr():
    with scp(saying((PENDING, study(7))), syntaxes=[IMPLICIT_LE]) as port:
        assert [str(one.StudyInstanceUID) for one in find(node(port))] == ["1.2.7"]


def test_a_deflated_syntax_is_not_proposed():
    """A few bytes of it may become any number."""
    with scp(saying(), syntaxes=[DeflatedExplicitVRLittleEndian]) as port:
        with pytest.raises(NoAcceptedContext):
            list(find(node(port)))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (0xA700, "Refused: Out of resources"),
        (0xA900, "Error: Identifier does not match SOP Class"),
        (0xC000, "Failed: Unable to process"),
        (0xC123, "Failed: Unable to process"),
        (0xCFFF, "Failed: Unable to process"),
        (0xFE00, "Cancel"),
        (0x0122, "SOP Class not supported"),
        (0x0124, "Not authorized"),
        (0xB000, "a code that PS3 does not define"),
        (0xFFFF, "a code that PS3 does not define"),
    ],
)
def test_a_final_status_that_is_no_success(status, meaning):
    answers = response(PENDING, UID), response(status)
    with fake(talking(*answers)) as port:
        found = find(node(port))
        assert next(found).StudyInstanceUID == "1.2.3"
        with pytest.raises(StatusError) as caught:
            next(found)
    assert (caught.value.status, caught.value.meaning) == (status, meaning)
    assert "C-FIND at level STUDY" in str(caught.value)
    assert caught.value.hint


def test_keys_the_peer_does_not_support_are_told_once():
    with scp(saying(*[(UNSUPPORTED, study(n)) for n in range(3)])) as port:
        with pytest.warns(DicomloomWarning, match="FF01") as notes:
            assert len(list(find(node(port)))) == 3
    assert len(notes) == 1
    assert notes[0].filename == __file__


def endless(seen, heeds=True):
    def handle(event):
        for number in range(1_000_000):
            if event.is_cancelled:
                seen.append("cancelled")
                if heeds:
                    yield CANCEL, None
                    return
            yield PENDING, study(number)
            time.sleep(0.003)  # pynetdicom's SCP reads nothing while it has something to send

    return handle


def test_a_limit_cancels():
    seen = []
    with scp(endless(seen)) as port:
        found = list(find(node(port), limit=3))
    assert [str(one.StudyInstanceUID) for one in found] == ["1.2.0", "1.2.1", "1.2.2"]
    assert seen == ["cancelled"]


@pytest.mark.parametrize("how", ["close", "forget"])
def test_an_iterator_that_is_left_cancels(how):
    seen = []
    with scp(endless(seen)) as port:
        found = find(node(port))
        next(found)
        if how == "close":
            found.close()
        else:
            del found
    assert seen == ["cancelled"]


def test_an_exception_thrown_in_aborts():
    seen = []
    with fake(talking(response(PENDING, UID), seen=seen)) as port:
        found = find(node(port))
        next(found)
        with pytest.raises(ZeroDivisionError):
            found.throw(ZeroDivisionError())
    assert seen == [abort(0, 0)]


def test_the_cancel_and_the_release():
    """PS3.7 9.3.2.3: C-CANCEL-RQ names the message; then an association ends as it should."""
    seen = []
    answers = [response(PENDING, UID)] * 2 + [response(SUCCESS)]
    with fake(talking(*answers, seen=seen)) as port:
        assert len(list(find(node(port), limit=2))) == 2
    cancel, release = seen
    assert element(0x00000100, None, struct.pack("<H", 0x0FFF)) in cancel
    assert element(0x00000120, None, struct.pack("<H", 1)) in cancel
    assert release[0] == 5


@pytest.mark.parametrize("how", ["goes on", "is silent", "aborts", "closes", "breaks"])
def test_a_peer_that_does_not_heed_the_cancel(how, monkeypatch, caplog):
    monkeypatch.setattr("dicomloom.network.find._DRAIN", 0.3)

    def then(peer):
        peer.read_pdu()
        while how == "goes on":
            peer.send(response(PENDING, UID))
        if how == "aborts":
            peer.send(abort(0, 0))
        elif how == "breaks":
            peer.send(response(SUCCESS, number=9))
        if how != "closes":
            peer.until_closed()

    begin = time.monotonic()
    with fake(talking(response(PENDING, UID), then=then)) as port:
        assert len(list(find(node(port), limit=1))) == 1
    assert time.monotonic() - begin < 4
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_failure_after_the_cancel_is_no_failure(caplog):
    with fake(talking(response(PENDING, UID), response(0xC001))) as port:
        assert len(list(find(node(port), limit=1))) == 1
    assert "0xC001 after C-CANCEL" in caplog.text


def test_a_peer_has_to_wait_for_a_slow_reader():
    """16 answers in memory, and what the sockets of both ends hold; not what the peer has."""
    sent = [0]
    data = UID + element(0x00324000, "LT", b"x" * 60_000)

    def flood(peer):
        while True:
            peer.send(response(PENDING, data))
            sent[0] += 1

    with fake(talking(then=flood)) as port:
        found = find(node(port))
        next(found)
        before = -1
        for _ in range(40):
            if sent[0] == before:
                break
            before = sent[0]
            time.sleep(0.1)
        else:
            pytest.fail(f"{before} answers of 60 kB were taken while nobody asked for them")
        for _ in range(50):
            next(found)
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr("dicomloom.network.find._DRAIN", 0.2)
            found.close()


def nested(depth):
    made = b""
    for _ in range(depth):
        made = element(0x00081140, "SQ", item(made, length=UNDEFINED), length=UNDEFINED)
        made += element(0xFFFEE0DD, None)
    return made


BROKEN = {
    "empty": b"",
    "no data set": None,
    "half a header": UID + b"\x10\0",
    "a length that lies": element(0x0020000D, "UI", b"1.2", length=100),
    "a length of 4 GiB": element(0x00324000, "UT", b"1.2", length=0xFFFFFFF0),
    "a sequence that lies": element(0x00081140, "SQ", b"\1\2\3\4", length=4),
    "items that never end": element(0x00081140, "SQ", item(UID, length=500), length=UNDEFINED),
    "nested without end": nested(3000),
    "nested deep": nested(60),
    "noise": random.Random(1).randbytes(300),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_is_no_data_set(data):
    with fake(talking(response(PENDING, UID), response(PENDING, data), response(SUCCESS))) as port:
        found = find(node(port))
        next(found)
        with pytest.raises(ProtocolError, match="no data set|breaks") as caught:
            next(found)
    assert caught.value.hint


def test_where_an_answer_breaks_is_told():
    with fake(talking(response(PENDING, BROKEN["a length that lies"]))) as port:
        with pytest.raises(ProtocolError, match=r"\(0020,000D\) at byte 0 has 100 bytes"):
            next(find(node(port)))


def test_an_answer_beyond_all_measure():
    data = element(0x00324000, "UT", b"x" * (3 << 20))
    with fake(talking(response(PENDING, data))) as port:
        with pytest.raises(ProtocolError, match="at most 2097152 bytes"):
            next(find(node(port)))


@pytest.mark.parametrize(
    ("data", "keyword"),
    [
        (element(0x00201208, "IS", b"few "), "NumberOfStudyRelatedInstances"),
        (element(0x00280010, "US", b"123"), "Rows"),
        (element(0x00101030, "DS", b"heavy "), "PatientWeight"),
    ],
)
def test_a_value_that_is_none_of_its_vr_stays_as_bytes(data, keyword):
    answers = [response(PENDING, data + UID)] * 2 + [response(SUCCESS)]
    with fake(talking(*answers)) as port, pytest.warns(DicomloomWarning, match=keyword) as notes:
        first, _ = find(node(port))
    assert (first[keyword].VR, first[keyword].value) == ("UN", data[8:])
    assert first.StudyInstanceUID == "1.2.3"
    assert first.to_json()
    assert sum(issubclass(note.category, DicomloomWarning) for note in notes) == 1


@pytest.mark.parametrize(
    "answer",
    [
        response(PENDING, UID, number=2),
        response(PENDING, UID, command=0x8021),
        response(SUCCESS, command=0x8030),
    ],
    ids=["another message", "C-MOVE-RSP", "C-ECHO-RSP"],
)
def test_an_answer_to_another_question(answer):
    with fake(talking(answer)) as port, pytest.raises(ProtocolError):
        next(find(node(port)))


ENDS = {
    "aborts": (AssociationAborted, lambda peer: peer.send(abort(2, 0)) or peer.until_closed()),
    "closes": (ConnectionFailed, lambda peer: None),
    "closes within an answer": (
        ConnectionFailed,
        lambda peer: peer.send(response(PENDING, UID)[:-3]),
    ),
    "is silent": (TimeoutExpired, lambda peer: peer.until_closed()),
    "speaks nonsense": (ProtocolError, lambda peer: peer.send(b"\x33" * 100)),
}


@pytest.mark.parametrize(("kind", "then"), ENDS.values(), ids=ENDS.keys())
def test_a_peer_that_dies_in_the_middle(kind, then):
    got = []
    with fake(talking(response(PENDING, UID), then=then)) as port:
        with pytest.raises(NetworkError) as caught:
            got.extend(find(node(port, timeout=0.5)))
    assert type(caught.value) is kind
    assert "C-FIND at level STUDY" in str(caught.value) or kind is ProtocolError


def test_what_came_before_the_end_is_given():
    def then(peer):
        peer.send(response(PENDING, UID) * 10)

    got = []
    with fake(talking(then=then)) as port, pytest.raises(ConnectionFailed):
        for one in find(node(port)):
            got.append(one)
            time.sleep(0.02)
    assert len(got) == 10


def test_an_iterator_left_after_the_peer(caplog):
    with fake(talking(response(PENDING, UID), then=lambda peer: None)) as port:
        found = find(node(port))
        next(found)
        time.sleep(0.1)
        found.close()


@pytest.mark.parametrize("granted", [b"\1", b"\1\0\1", b"\0", b"", None])
def test_relational_queries_are_negotiated(granted):
    """PS3.4 C.5.1.1: the first byte."""
    asked = []

    def extended(event):
        asked.append(event.app_info)
        return {} if granted is None else {STUDY_ROOT: granted}

    with scp(saying((PENDING, study())), extended=extended) as port:
        series = find(node(port), "SERIES", relational=True, PatientName="DOE*")
        if granted and granted[0]:
            assert len(list(series)) == 1
        else:
            with pytest.raises(NetworkError, match="relational") as caught:
                list(series)
            assert type(caught.value) is NetworkError
        # What keeps the hierarchy needs nothing.
        assert len(list(find(node(port), relational=True, PatientName="DOE*"))) == 1
        assert len(list(find(node(port), PatientName="DOE*"))) == 1
    assert asked == [{STUDY_ROOT: b"\1"}, {STUDY_ROOT: b"\1"}, {}]


def test_no_patient_data_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    answers = (PENDING, study(PatientName="SECRET^ONE")), (0xC000, None)
    with scp(saying(*answers)) as port, pytest.raises(StatusError):
        list(find(node(port), PatientName="SECRET*"))
    # The SCP of the test logs what it is asked, in threads of its own.
    mine = [record for record in caplog.records if record.threadName == "MainThread"]
    assert mine
    assert not [record for record in mine if "SECRET" in record.getMessage()]
    with fake(
        talking(response(PENDING, nested(60) + UID), response(PENDING, b"SECRET" * 9))
    ) as port:
        caplog.clear()
        with pytest.raises(ProtocolError) as caught:
            list(find(node(port), PatientName="SECRET*"))
    assert "SECRET" not in caplog.text + str(caught.value)
