"""Logs that real programs write, and excerpts in the formats of others."""

import random
import re
import subprocess
import sys
import threading
import time

import pytest
from pynetdicom import AE, evt

from explain_logs import CT, DCM4CHE, FO_DICOM, MR, Server, associations, said, write_image
from network_peers import abort, fake, free_port, program, reject
from support import EXPLICIT_LE, peer


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    return write_image(tmp_path_factory.mktemp("image"))


@pytest.mark.parametrize("verbose", ["-d", "-v"])
def test_storescu_and_storescp(tmp_path, image, verbose):
    with Server(tmp_path) as scp:
        log = said("storescu", verbose, "-aet", "ME", "127.0.0.1", scp.port, image, image)
    (sent,) = associations(tmp_path, log)
    assert (sent.format, sent.role, sent.outcome) == ("DCMTK", "requestor", "released")
    assert (sent.by, sent.trouble, sent.hint, sent.errors) == ("requestor", "", "", [])
    assert sent.messages == {"C-STORE-RQ sent": 2, "C-STORE-RSP received": 2}
    assert sent.statuses == {("C-STORE-RSP", 0): 2}
    assert sent.last_line == len(log.splitlines())
    received = associations(tmp_path, scp.log)[-1]
    assert (received.role, received.outcome, received.by) == ("acceptor", "released", "requestor")
    assert received.messages["C-STORE-RQ received"] == 2
    assert received.calling_ae_title == "ME"
    assert received.peer
    if verbose == "-d":
        assert (sent.calling_ae_title, sent.called_ae_title) == ("ME", "ANY-SCP")
        assert len(sent.accepted) == len(received.accepted) == len(sent.contexts) == 128
        mr = [c for c in sent.accepted if c.abstract_syntax == "MRImageStorage"]
        assert mr[0].proposed == ["LittleEndianExplicit"]
        assert mr[0].transfer_syntax == "LittleEndianExplicit"


def test_findscu_to_who_does_not_offer_it(tmp_path):
    with Server(tmp_path) as scp:
        log = said("findscu", "-d", "-S", "-k", "QueryRetrieveLevel=STUDY", "127.0.0.1", scp.port)
    (asked,) = associations(tmp_path, log)
    assert asked.outcome == "no-context"
    assert [context.result for context in asked.refused] == [3]
    assert "abstract-syntax-not-supported" in asked.trouble
    assert "does not offer this service" in asked.hint
    # The other end was only hung up on; its log has the reason as well.
    assert associations(tmp_path, scp.log)[-1].trouble == asked.trouble


def test_dcmqrscp_rejects(tmp_path):
    port = free_port()
    (tmp_path / "db").mkdir()
    (tmp_path / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 32768\nMaxAssociations = 4\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {tmp_path / 'db'} RW (9, 1024mb) ANY\nAETable END\n"
    )
    with program("dcmqrscp", "-c", tmp_path / "qr.cfg", port=port):
        logs = [said("echoscu", how, "-aec", "OTHER", "127.0.0.1", port) for how in ("-d", "-v")]
        well = said("echoscu", "-d", "-aec", "ARCHIVE", "127.0.0.1", port)
    for log in logs:
        (rejected,) = associations(tmp_path, log)
        assert (rejected.outcome, rejected.by) == ("rejected", "acceptor")
        assert rejected.codes == (1, 1, 7)
        assert "called-AE-title-not-recognized" in rejected.trouble
    assert '"OTHER"' in associations(tmp_path, logs[0])[0].hint
    (echoed,) = associations(tmp_path, well)
    assert (echoed.outcome, echoed.statuses) == ("released", {("C-ECHO-RSP", 0): 1})


def test_the_log_of_dcmqrscp(tmp_path):
    log = (
        "I: Association Received (station:ME -> OTHER)\n"
        "D: Peer station:ME is not not permitted to access OTHER (see configuration file)\n"
        "I: Refusing Association (BadAEService)\n"
        "I: Association Received (station:ME -> ARCHIVE)\n"
        "I: Association Acknowledged (Max Send PDV: 16372)\n"
        "I: Association Release\n"
    )
    refused, well = associations(tmp_path, log)
    assert (refused.outcome, refused.by, refused.codes) == ("rejected", "acceptor", (1, 1, 7))
    assert (refused.peer, refused.calling_ae_title) == ("station", "ME")
    assert refused.hint.startswith('"ME" called "OTHER"')
    assert (well.outcome, well.called_ae_title, well.trouble) == ("released", "ARCHIVE", "")


def test_statuses_in_words_only(tmp_path):
    """As with -v; findscu, movescu and getscu have these."""
    log = (
        "I: Requesting Association\n"
        "I: Sending Move Request (MsgID 1)\n"
        "I: Received Move Response 1 (Pending: SubOperationsAreContinuing)\n"
        "I: Received Final Move Response (Refused: MoveDestinationUnknown)\n"
        "I: Releasing Association\n"
        "I: Requesting Association\n"
        "I: Received Final Find Response (Failed: Whatever)\n"
        "I: Releasing Association\n"
    )
    move, find = associations(tmp_path, log)
    assert move.messages == {"C-MOVE-RQ sent": 1, "C-MOVE-RSP received": 2}
    assert move.failures == {("C-MOVE-RSP", 0xA801): 1}
    assert "enter its AE title" in move.hint
    assert find.trouble == "C-FIND-RSP: Failed: Whatever"


def test_what_is_sent_without_a_context(tmp_path, image):
    with fake(lambda it: it.accept(results=((1, 0),)) and it.read_pdu()) as port:
        (one,) = associations(tmp_path, said("storescu", "-v", "127.0.0.1", port, image))
    assert "presentation context" in one.trouble.lower()
    assert "conformance statement" in one.hint


def test_aborts(tmp_path, image):
    with Server(tmp_path) as scp:
        log = said("storescu", "-d", "--abort", "127.0.0.1", scp.port, image)
    (ours,) = associations(tmp_path, log)
    assert (ours.outcome, ours.by) == ("aborted", "requestor")
    theirs = associations(tmp_path, scp.log)[-1]
    assert (theirs.outcome, theirs.by) == ("aborted", "requestor")
    with fake(lambda it: it.accept() and it.read_pdu() and it.send(abort(2, 6))) as port:
        (peers,) = associations(tmp_path, said("echoscu", "-v", "127.0.0.1", port))
    assert (peers.outcome, peers.by) == ("aborted", "acceptor")
    assert "see its log" in peers.hint


def test_no_connection_and_no_answer(tmp_path):
    (refused,) = associations(tmp_path, said("echoscu", "-v", "127.0.0.1", free_port()))
    assert refused.outcome == "not-connected"
    assert "Connection refused" in refused.trouble
    assert refused.hint.startswith("nothing listens there")
    with fake(lambda it: it.until_closed()) as port:
        log = said("echoscu", "-d", "-ta", "1", "-to", "1", "127.0.0.1", port)
    (silent,) = associations(tmp_path, log)
    assert silent.outcome == "timed-out"
    assert "is it stuck" in silent.hint
    with fake(lambda it: it.read_pdu() and None) as port:
        (closed,) = associations(tmp_path, said("echoscu", "-v", "127.0.0.1", port))
    assert closed.outcome == "not-connected"
    assert "TLS" in closed.hint


def test_a_killed_program(tmp_path, image):
    """A log that stops, and that of the other end."""
    ready = threading.Event()

    def talk(it):
        it.accept(results=tuple((2 * i + 1, 0) for i in range(128)))
        it.read_pdu()
        ready.set()
        it.until_closed()

    with fake(talk) as port:
        command = [peer("storescu"), "-d", "127.0.0.1", str(port), str(image)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        reader = threading.Timer(0.5, process.kill)
        reader.start()
        log = process.stderr.read()
        process.wait(10)
        process.stderr.close()
        assert ready.is_set()
    (killed,) = associations(tmp_path, log)
    assert (killed.outcome, killed.trouble) == ("cut-off", "the log tells of no end")
    assert killed.messages == {"C-STORE-RQ sent": 1}


def test_forks_are_kept_apart_by_their_number(tmp_path, image):
    (tmp_path / "logger.cfg").write_text(
        "log4cplus.rootLogger = DEBUG, file\n"
        "log4cplus.appender.file = log4cplus::FileAppender\n"
        f"log4cplus.appender.file.File = {tmp_path / 'scp.log'}\n"
        "log4cplus.appender.file.Append = true\n"
        "log4cplus.appender.file.layout = log4cplus::PatternLayout\n"
        "log4cplus.appender.file.layout.ConversionPattern = "
        "%D{%Y-%m-%d %H:%M:%S.%q} [%-5p] [%i] %m%n\n"
    )
    port = free_port()
    command = [peer("storescp"), "-lc", tmp_path / "logger.cfg", "--fork", "-od", tmp_path, port]
    process = subprocess.Popen(list(map(str, command)))
    try:
        for _ in range(200):
            if said("echoscu", "-aet", "FIRST", "127.0.0.1", port) == b"":
                break
            time.sleep(0.02)
        titles = [f"ME{number}" for number in range(4)]
        # One after the other: DCMTK tears its lines where several processes write at a time.
        for title in titles:
            sent = said("storescu", "-aet", title, "127.0.0.1", port, image, image)
            assert sent == b""
        time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(5)
    # The same lines as though all had come at once: the order of each process is kept.
    lines = {}
    for line in (tmp_path / "scp.log").read_text().splitlines(keepends=True):
        lines.setdefault(re.search(r"\] \[(\d+)\]", line)[1], []).append(line)
    order = [number for number, its in lines.items() for _ in its]
    random.Random(6).shuffle(order)
    queues = {number: iter(its) for number, its in lines.items()}
    mixed = "".join(next(queues[number]) for number in order)
    found = [a for a in associations(tmp_path, mixed) if a.calling_ae_title in titles]
    assert sorted(a.calling_ae_title for a in found) == titles
    assert len({a.key for a in found}) == 4
    for one in found:
        assert (one.outcome, one.messages["C-STORE-RQ received"]) == ("released", 2)
        assert len(one.accepted) == 128
        assert one.begin[:2] == "20"
        assert one.begin <= one.end


SCRIPT = """
import sys
from pydicom import dcmread
from pynetdicom import AE, debug_logger
debug_logger()
entity = AE("ME")
entity.add_requested_context("1.2.840.10008.1.1")
entity.add_requested_context("1.2.840.10008.5.1.4.1.1.4")
entity.add_requested_context("1.2.840.10008.5.1.4.1.1.2")
for called in sys.argv[3:]:
    association = entity.associate("127.0.0.1", int(sys.argv[1]), ae_title=called)
    if association.is_established:
        if not association.send_c_echo():
            continue
        association.send_c_store(dcmread(sys.argv[2]))
        association.abort() if called == "ABORT" else association.release()
"""


@pytest.fixture
def scp():
    """pynetdicom's server, which takes MR and stores nothing."""
    entity = AE("SCP")
    for uid in ("1.2.840.10008.1.1", MR):
        entity.add_supported_context(uid)
    handlers = [(evt.EVT_C_STORE, lambda event: 0xA700)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield server
    server.shutdown()


def pynetdicom(port, image, *called):
    command = [sys.executable, "-c", SCRIPT, str(port), str(image), *called]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stderr


def test_pynetdicom(tmp_path, image, scp):
    log = pynetdicom(scp.server_address[1], image, "SCP", "ABORT")
    released, aborted = associations(tmp_path, log)
    for one in (released, aborted):
        assert (one.format, one.role, one.calling_ae_title) == ("pynetdicom", "requestor", "ME")
        assert [c.result for c in one.contexts.values()] == [0, 0, 3]
        assert one.contexts[1].abstract_syntax == "Verification SOP Class"
        assert one.contexts[1].transfer_syntax == "Implicit VR Little Endian"
        assert len(one.contexts[5].proposed) == 4
        assert one.statuses == {("C-STORE-RSP", 0xA700): 1, ("C-ECHO-RSP", 0): 1}
        assert one.messages["C-STORE-RQ sent"] == 1
    assert (released.outcome, released.by) == ("released", "requestor")
    assert "0xA700, Refused: Out of resources" in released.trouble
    assert "memory, disk" in released.hint
    assert (aborted.outcome, aborted.by, aborted.codes) == ("aborted", "requestor", (0, 0))


@pytest.mark.parametrize(
    ("pdu", "codes", "says"),
    [
        (reject(1, 1, 3), (1, 1, 3), "calling-AE-title-not-recognized"),
        (reject(2, 3, 1), (2, 3, 1), "temporary-congestion"),
        (reject(1, 2, 2), (1, 2, 2), "protocol-version-not-supported"),
    ],
)
def test_pynetdicom_and_dcmtk_tell_the_same_of_a_rejection(tmp_path, image, pdu, codes, says):
    with fake(lambda it: it.read_pdu() and it.send(pdu)) as port:
        logs = [pynetdicom(port, image, "X"), said("echoscu", "-d", "127.0.0.1", port)]
    for log in logs:
        (one,) = associations(tmp_path, log)
        assert (one.outcome, one.by, one.codes) == ("rejected", "acceptor", codes)
        assert says in one.trouble


def test_pynetdicom_refused_contexts_and_connection(tmp_path, image):
    with fake(lambda it: it.accept(results=((1, 3), (3, 4), (5, 1))) and it.until_closed()) as port:
        (one,) = associations(tmp_path, pynetdicom(port, image, "X"))
    assert [context.result for context in one.refused] == [3, 4, 1]
    assert one.trouble.startswith("no presentation context was accepted")
    (one,) = associations(tmp_path, pynetdicom(free_port(), image, "X"))
    assert one.outcome == "not-connected"
    assert one.hint.startswith("nothing listens there")
    with fake(lambda it: it.accept() and it.read_pdu() and it.send(abort(2, 6))) as port:
        (one,) = associations(tmp_path, pynetdicom(port, image, "X"))
    assert (one.outcome, one.by, one.codes) == ("aborted", "acceptor", (2, 6))
    assert "invalid-PDU-parameter-value" in one.trouble


def test_dcm4che(tmp_path):
    (one,) = associations(tmp_path, DCM4CHE)
    assert (one.format, one.key, one.role) == ("dcm4che", "STORESCU->ARCHIVE(1)", "requestor")
    assert (one.begin, one.end) == ("14:02:11,120", "14:02:11,162")
    assert (one.calling_ae_title, one.called_ae_title) == ("STORESCU", "ARCHIVE")
    assert one.peer == "archive/10.0.0.5"
    assert [c.result for c in one.contexts.values()] == [0, 3]
    assert one.contexts[1].abstract_syntax == CT
    assert one.contexts[1].proposed == [EXPLICIT_LE, "1.2.840.10008.1.2"]
    assert one.contexts[1].transfer_syntax == EXPLICIT_LE
    assert one.messages == {"C-STORE-RQ sent": 1, "C-STORE-RSP received": 1}
    assert one.statuses == {("C-STORE-RSP", 0xA700): 1}
    assert (one.outcome, one.by) == ("released", "requestor")


def test_dcm4che_server_interleaved(tmp_path):
    def line(text):
        return (
            f"2024-05-01 10:00:00,000 INFO  [org.dcm4che3.net.Association] (EE-Thread-6) {text}\n"
        )

    codes = "result: 1 - rejected-permanent, source: 1 - service-user, reason: 3 - calling"
    log = "".join(
        map(
            line,
            [
                "ARCHIVE<-CT1(7) >> A-ASSOCIATE-RQ",
                "ARCHIVE<-CT2(8) >> A-ASSOCIATE-RQ",
                "ARCHIVE<-CT3(9) >> A-ASSOCIATE-RQ",
                f"ARCHIVE<-CT1(7) << A-ASSOCIATE-RJ[{codes}-AE-title-not-recognized]",
                "ARCHIVE<-CT3(9) >> 1:C-STORE-RQ[pcid=1",
                "ARCHIVE<-CT2(8) >> A-ABORT[source: 2 - service-provider, reason: 2 - unexpected]",
                "ARCHIVE<-CT3(9): DIMSE-RSP timeout expired",
                "ARCHIVE<-CT2(8): close Socket[addr=/10.0.0.2,port=1]",
            ],
        )
    )
    found = {a.calling_ae_title: a for a in associations(tmp_path, log)}
    assert {title: a.role for title, a in found.items()} == dict.fromkeys(found, "acceptor")
    assert {title: a.outcome for title, a in found.items()} == {
        "CT1": "rejected",
        "CT2": "aborted",
        "CT3": "timed-out",
    }
    assert (found["CT1"].by, found["CT1"].codes) == ("acceptor", (1, 1, 3))
    assert (found["CT2"].by, found["CT2"].codes) == ("requestor", (2, 2))
    assert found["CT3"].messages == {"C-STORE-RQ received": 1}


def test_fo_dicom(tmp_path):
    sent, rejected = associations(tmp_path, FO_DICOM)
    assert (sent.format, sent.role, sent.calling_ae_title) == ("fo-dicom", "requestor", "STATION")
    assert (sent.called_ae_title, sent.peer) == ("ARCHIVE", "10.0.0.5")
    assert [c.result for c in sent.contexts.values()] == [0, 4]
    assert sent.contexts[1].transfer_syntax == "Implicit VR Little Endian"
    assert sent.statuses == {("C-ECHO-RSP", 0): 1, ("C-STORE-RSP", 0x0122): 1}
    assert (sent.outcome, sent.by) == ("released", "requestor")
    assert "SOP Class not supported" in sent.trouble
    assert (rejected.role, rejected.outcome, rejected.by) == ("acceptor", "rejected", "acceptor")
    assert (rejected.codes, rejected.called_ae_title) == ((1, 1, 7), "WRONG")


@pytest.mark.parametrize(
    "prefix",
    [
        "2024-05-01 10:00:00.123 [INFO] [77] ",
        "2024-05-01 10:00:00,123 - INFO - 77 - ",
        "May  1 10:00:00 host storescu[77]: I: ",
        "10:00:00.5 INFO pid=77 ",
        "Wed, 17 Apr 2024 11:11:16 INFO     [77] ",
        "INFO:pynetdicom.acse[77]:",
    ],
)
def test_prefixes(tmp_path, prefix):
    text = ["Requesting Association", "Association Accepted", "Releasing Association"]
    other = prefix.replace("77", "78")
    log = "".join(f"{prefix}{line}\n{other}{line}\n" for line in text)
    found = associations(tmp_path, log)
    assert [a.outcome for a in found] == ["released"] * 2
    assert sum("77" in a.key for a in found) == sum("78" in a.key for a in found) == 1
