"""Logs that real programs write, excerpts in the formats of others, and logs that are damaged."""

import gzip
import random
import re
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pynetdicom import AE, evt

from dicomloom import ReadError, TruncatedError, explain
from dicomloom.network.explain.log import Log
from network_peers import abort, fake, free_port, program, reject
from support import EXPLICIT_LE, peer

MR = "1.2.840.10008.5.1.4.1.1.4"
CT = "1.2.840.10008.5.1.4.1.1.2"


def associations(folder, text, name="some.log", **options):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(explain(path, **options))


def said(name, *arguments):
    """What a program writes, whether it does well or not."""
    command = [peer(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).stderr


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """A file that storescu sends."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = MR, "1.2.3.4"
    data_set.PatientID = "1"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = EXPLICIT_LE
    data_set.file_meta.MediaStorageSOPClassUID = MR
    data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    path = tmp_path_factory.mktemp("image") / "mr.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


class Served:
    """storescp with a log; `log` is what it wrote after the block."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.log = b""

    def __enter__(self):
        self.port = free_port()
        self.path = self.folder / "scp.log"
        command = [peer("storescp"), "-d", *self.options, "-od", self.folder, self.port]
        with self.path.open("wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), stderr=log, stdout=log)
        for _ in range(200):
            if said("echoscu", "127.0.0.1", self.port) == b"":
                break
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        time.sleep(0.1)
        self.process.terminate()
        self.process.wait(5)
        self.log = self.path.read_bytes()


@pytest.mark.parametrize("verbose", ["-d", "-v"])
def test_storescu_and_storescp(tmp_path, image, verbose):
    with Served(tmp_path) as scp:
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
    with Served(tmp_path) as scp:
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


def test_aborts(tmp_path, image):
    with Served(tmp_path) as scp:
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


DCM4CHE = """\
14:02:11,101 INFO  - Initiate connection from 0.0.0.0/0.0.0.0:0 to archive:11112
14:02:11,120 INFO  - STORESCU->ARCHIVE(1) << A-ASSOCIATE-RQ
14:02:11,121 DEBUG - A-ASSOCIATE-RQ[
  calledAET: ARCHIVE
  callingAET: STORESCU
  PresentationContext[id: 1
    as: 1.2.840.10008.5.1.4.1.1.2 - CT Image Storage
    ts: 1.2.840.10008.1.2.1 - Explicit VR Little Endian
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
  PresentationContext[id: 3
    as: 1.2.840.10008.5.1.4.1.1.4 - MR Image Storage
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
]
14:02:11,130 INFO  - STORESCU->ARCHIVE(1) >> A-ASSOCIATE-AC
14:02:11,131 DEBUG - A-ASSOCIATE-AC[
  PresentationContext[id: 1
    result: 0 - acceptance
    ts: 1.2.840.10008.1.2.1 - Explicit VR Little Endian
  ]
  PresentationContext[id: 3
    result: 3 - abstract-syntax-not-supported (provider rejection)
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
]
14:02:11,140 INFO  - STORESCU->ARCHIVE(1) << 1:C-STORE-RQ[pcid=1, prior=0
14:02:11,150 INFO  - STORESCU->ARCHIVE(1) >> 1:C-STORE-RSP[pcid=1, status=a700H
14:02:11,160 INFO  - STORESCU->ARCHIVE(1) << A-RELEASE-RQ
14:02:11,161 INFO  - STORESCU->ARCHIVE(1) >> A-RELEASE-RP
14:02:11,162 INFO  - STORESCU->ARCHIVE(1): close Socket[addr=archive/10.0.0.5,port=11112]
"""


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


FO_DICOM = """\
[INFO] ARCHIVE -> Association request:
Calling AE Title:       STATION
Called AE Title:        ARCHIVE
Remote host:            10.0.0.5
Presentation Contexts:  2
  Presentation Context:  1 [Proposed]
       Abstract Syntax:  Verification SOP Class
       Transfer Syntax:  Implicit VR Little Endian
  Presentation Context:  3 [Proposed]
       Abstract Syntax:  CT Image Storage
       Transfer Syntax:  Explicit VR Little Endian
[INFO] ARCHIVE <- Association accept:
Calling AE Title:       STATION
  Presentation Context:  1 [Accept]
       Abstract Syntax:  Verification SOP Class
       Transfer Syntax:  Implicit VR Little Endian
  Presentation Context:  3 [RejectTransferSyntaxesNotSupported]
       Abstract Syntax:  CT Image Storage
[INFO] ARCHIVE -> C-Echo request [1]
[INFO] ARCHIVE <- C-Echo response [1]: Success
[INFO] ARCHIVE -> C-Store request [2]
[INFO] ARCHIVE <- C-Store response [2]: Failure [0122: SOP class not supported]
[INFO] ARCHIVE -> Association release request
[INFO] ARCHIVE <- Association release response
2024-05-01 10:00:00.1234|INFO|Net|CT1 <- Association request:
Calling AE Title:       CT1
Called AE Title:        WRONG
2024-05-01 10:00:00.1235|INFO|Net|CT1 -> Association reject [result: Permanent; \
source: ServiceUser; reason: CalledAENotRecognized]
"""


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


def test_gzip_and_utf16(tmp_path):
    for name, data in {
        "a.gz": gzip.compress(FO_DICOM.encode()),
        "b": gzip.compress(FO_DICOM.encode()),
        "c.log": FO_DICOM.replace("\n", "\r\n").encode("utf-16"),
    }.items():
        found = associations(tmp_path, data, name)
        assert [a.outcome for a in found] == ["released", "rejected"]


def test_a_gzip_stream_that_ends_early(tmp_path):
    noise = random.Random(5).randbytes(1 << 16).hex()
    data = gzip.compress((FO_DICOM + noise).encode())
    for damaged in (data[: len(data) // 2], data[:-200] + bytes(200)):
        (tmp_path / "a.gz").write_bytes(damaged)
        found = []
        with pytest.raises(TruncatedError, match="gzip") as caught:
            found.extend(explain(tmp_path / "a.gz"))
        assert caught.value.path == str(tmp_path / "a.gz")


def test_what_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "absent.log"):
        with pytest.raises(ReadError) as caught:
            list(explain(path))
        assert caught.value.path == str(path)
    assert associations(tmp_path, "") == []


def test_what_is_not_understood_is_counted(tmp_path):
    (tmp_path / "a.log").write_bytes(b"\xff\xfe\x00hello\n" + FO_DICOM.encode() + b"\xc3\n?\n")
    log = explain(tmp_path / "a.log")
    list(log)
    (tmp_path / "b.log").write_bytes(b"hello\n" + FO_DICOM.encode() + b"\xc3\n?\n")
    log = explain(tmp_path / "b.log")
    assert len(list(log)) == 2
    assert (log.lines, log.not_understood) == (FO_DICOM.count("\n") + 3, 3)
    assert log.counts == {"released": 1, "rejected": 1}


def test_too_many_are_dropped(tmp_path):
    lines = [f"ARCHIVE<-CT{n}({n}) >> A-ASSOCIATE-RQ\n" for n in range(50)]
    found = associations(tmp_path, "".join(lines), most_open=10)
    assert [a.outcome for a in found] == ["dropped"] * 40 + ["cut-off"] * 10
    with pytest.raises(ValueError, match="most_open"):
        explain(tmp_path / "some.log", most_open=0)


def test_what_a_peer_sends_does_no_harm_in_a_terminal(tmp_path):
    log = "I: Association Received (a\x1b[2Jb:M\x07E -> O\x1b[31m)\nE: so\x1b[2J\n"
    (one,) = associations(tmp_path, log)
    assert all(
        text.isprintable() for text in (one.peer, one.calling_ae_title, one.trouble, *one.errors)
    )
    assert "\\x1b" in one.called_ae_title


@pytest.fixture(scope="session")
def verbose(tmp_path_factory, image):
    """A log of storescp with two associations, 180 kB of text."""
    folder = tmp_path_factory.mktemp("verbose")
    with Served(folder) as scp:
        for how in ((), ("--abort",)):
            said("storescu", *how, "127.0.0.1", scp.port, image)
    return scp.log.decode()


def test_memory_does_not_grow(tmp_path, verbose):
    peaks = []
    for size in (1 << 19, 5 << 20):
        path = tmp_path / "big.log"
        path.write_text(verbose * (size // len(verbose) + 1))
        tracemalloc.start()
        count = sum(1 for _ in Log(str(path)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count >= 2 * (size // len(verbose))
    assert peaks[1] < peaks[0] + (256 << 10)
    assert peaks[1] < 4 << 20


def test_a_line_without_end_is_not_held(tmp_path):
    path = tmp_path / "long.log"
    path.write_bytes(b"I: Requesting Association\nE: " + b"x" * (20 << 20) + b"\nI: Releasing A")
    tracemalloc.start()
    (one,) = Log(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    assert one.last_line == 2
    assert len(one.errors[0]) < 300


def mangled(text, chance):
    """Cut, doubled, swapped and broken lines."""
    lines = text.splitlines(keepends=True)
    for _ in range(len(lines) // 8):
        at = chance.randrange(len(lines))
        line = lines[at]
        lines[at] = chance.choice(
            [
                "",
                line * 2,
                line[: chance.randrange(len(line) + 1)],
                line[chance.randrange(len(line) + 1) :],
                line.replace(":", chance.choice(["", "::", "\x00", "->", " << "])),
                line.replace("1", chance.choice(["", "\u0661", "99999999999", "-1"])),
                chance.choice(lines),
                "".join(map(chr, chance.choices(range(1, 300), k=40))),
                "[" * 300 + "(" * 300,
            ]
        )
    return "".join(lines)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_logs(tmp_path, verbose, seed):
    chance = random.Random(seed)
    part = verbose[: 30_000 + verbose[30_000:].index("\n")] + verbose[-4000:]
    text = mangled(chance.choice([part, DCM4CHE * 20, FO_DICOM * 20]), chance)
    path = tmp_path / "bad.log"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="\n")
    log = Log(str(path))
    found = list(log)
    assert log.lines <= text.count("\n") + 1
    assert 0 <= log.not_understood <= log.lines
    for one in found:
        assert one.outcome
        assert bool(one.trouble) == bool(one.hint)
        assert 1 <= one.first_line <= one.last_line <= log.lines
        assert isinstance(one.as_dict()["trouble"], str)


@pytest.mark.parametrize(
    "piece",
    ["[", "(1", "a.", "1 ", "- ", "[1]", "x->", "(1)<-", "Thread-", "a b[1", "D: ", "=", "x "],
)
def test_no_line_takes_more_than_its_share(tmp_path, piece):
    """A pattern that tries many ways would not end at all in lines such as these."""
    line = (piece * 4096)[:4095] + "\n"
    (tmp_path / "bad.log").write_text(line * 50)
    log = Log(str(tmp_path / "bad.log"))
    list(log)
    assert log.lines == 50
