"""C-FIND, C-MOVE and C-GET over what is held, for users of other makes and for broken ones."""

import json
import subprocess
import urllib.request
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import _read_file_meta_info, read_preamble
from pynetdicom import AE, build_context, build_role, evt

import dicomloom
from find_peers import PATIENT_ROOT, STUDY_ROOT, findscu, objects
from network_peers import free_port, p_data, program
from objects import run
from serve_peers import (
    C_CANCEL,
    CT,
    IMPLICIT_CT,
    Raw,
    command_set,
    echoes,
    elements,
    serving,
    small,
    ui,
    us,
)
from support import IMPLICIT_LE, element, peer

STUDY_GET, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"
ALL = [
    element(0x00080052, None, b"PATIENT "),
    element(0x00100020, None, b""),
]


def fill(port, corpus):
    files = objects(corpus)
    run("storescu", "127.0.0.1", str(port), *files)
    return [pydicom.dcmread(path) for path in files]


@pytest.fixture(scope="module")
def held(tmp_path_factory, corpus):
    """A server with real objects; gives it and what was sent to it."""
    folder = tmp_path_factory.mktemp("held")
    port = free_port()
    nodes = [f"DEST@127.0.0.1:{port}"]
    with serving(folder, nodes=nodes) as (server, _):
        yield server, fill(server.port, corpus), port


def test_queries_of_dcmtk_and_ours(held, tmp_path):
    server, sent, _ = held
    studies = {str(one.StudyInstanceUID) for one in sent}
    arguments = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]
    theirs = findscu(tmp_path / "answers", server.port, *arguments, called="DICOMLOOM")
    assert {one.StudyInstanceUID for one in theirs} == studies
    ours = list(dicomloom.find(f"ANY@127.0.0.1:{server.port}"))
    assert {one.StudyInstanceUID for one in ours} == studies
    counts = {one.StudyInstanceUID: int(one.NumberOfStudyRelatedInstances) for one in ours}
    for uid, count in counts.items():
        assert count == len([one for one in sent if uid == one.StudyInstanceUID])


def test_what_was_stored_is_found_at_once(tmp_path):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(IMPLICIT_CT, (3, PATIENT_ROOT, [IMPLICIT_LE]))
        for number in range(30):
            raw.store(f"1.2.{number}", patient(number), number=number)
            assert raw.status() == 0
            found = ask(raw, number)
            assert len(found) == number + 1


def patient(number):
    """An object of a patient and study of its own."""
    return small(f"1.2.{number}", patient=f"{number:04}", study=f"1.3.{number:04}")


def find_rq(number, model=PATIENT_ROOT, field=0x20, *more):
    return command_set(
        *(ui(2, model), us(0x100, field), us(0x110, number), *more[:0]),
        *(element(0x600, None, one) for one in more),
        *(us(0x700, 0), us(0x800, 1)),
    )


def ask(raw, number=1, context=3):
    raw.send(p_data(find_rq(number), context) + p_data(b"".join(ALL), context, 2))
    found = []
    while raw.response()[0x0900] == 0xFF00:
        found.append(raw.read_pdu()[12:])
    return found


def test_keys_that_are_not_supported_are_told(held):
    with Raw(held[0].port) as raw:
        raw.associate((3, STUDY_ROOT, [IMPLICIT_LE]))
        keys = element(0x00080052, None, b"STUDY ") + element(0x00321060, None, b"x*")
        raw.send(p_data(find_rq(1, STUDY_ROOT), 3) + p_data(keys, 3, 2))
        assert raw.status() == 0xFF01


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        (element(0x00080052, None, b"IMAGE "), 0xA900),  # without what is above
        (element(0x00080052, None, b"NOTHING "), 0xA900),
        (b"", 0xC000),
        (element(0x00100020, None, b"ab", length=400), 0xC000),
        (bytes(2 << 20), 0xC000),
    ],
)
def test_identifiers_that_are_none(held, keys, status):
    with Raw(held[0].port) as raw:
        raw.associate((3, STUDY_ROOT, [IMPLICIT_LE]))
        raw.send(p_data(find_rq(1, STUDY_ROOT), 3))
        raw.send_data(keys, 3)
        assert raw.status() == status
        assert raw.release() == 6


def test_a_cancel_is_heeded(tmp_path):
    with serving(tmp_path) as (server, _):
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            for number in range(2000):
                raw.store(f"1.2.{number}", patient(number))
                assert raw.status() == 0
        found = dicomloom.find(f"ANY@127.0.0.1:{server.port}", "PATIENT", root="patient", limit=3)
        assert len(list(found)) == 3
        with Raw(server.port) as raw:
            raw.associate((3, PATIENT_ROOT, [IMPLICIT_LE]))
            cancel = p_data(command_set(us(0x100, C_CANCEL), us(0x120, 1), us(0x800, 0x101)), 3)
            raw.send(p_data(find_rq(1), 3) + p_data(b"".join(ALL), 3, 2) + cancel)
            answer = raw.read_pdu()
            kinds = []
            while True:
                if answer[11] & 1:
                    kinds.append(elements(answer[12:])[0x0900])
                if kinds[-1] != 0xFF00:
                    break
                answer = raw.read_pdu()
            assert kinds[-1] == 0xFE00
            assert len(kinds) < 500


def test_another_request_meanwhile_is_refused(held):
    with Raw(held[0].port) as raw:
        raw.associate((3, PATIENT_ROOT, [IMPLICIT_LE]))
        query = p_data(find_rq(1), 3) + p_data(b"".join(ALL), 3, 2)
        raw.send(query + query)
        while (answer := raw.read_pdu())[0] == 4:
            pass
        assert answer[0] == 7
        assert echoes(held[0].port)


def move(port, *more):
    command = [peer("movescu"), "-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", *more]
    return subprocess.run(
        [*command, "-v", "127.0.0.1", str(port)], check=False, capture_output=True, text=True
    )


def test_movescu(held, tmp_path):
    server, sent, port = held
    uids = sorted({str(one.StudyInstanceUID) for one in sent})
    with program("storescp", "-aet", "DEST", "-od", tmp_path, "+B", "+xa", port, port=port):
        done = move(server.port, "-k", "StudyInstanceUID=" + "\\".join(uids))
    assert done.returncode == 0, done.stderr
    assert data_sets(tmp_path) == data_sets(server.folder)


def data_sets(folder):
    """The bytes behind the file meta information, by SOP Instance UID."""
    made = {}
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        if path.suffix.startswith(".sqlite"):
            continue
        with path.open("rb") as file:
            read_preamble(file, False)
            uid = str(_read_file_meta_info(file).MediaStorageSOPInstanceUID)
            made[uid] = file.read()
    return made


def test_a_move_that_cannot_be_done(held):
    server, sent, _ = held
    uid = sent[0].StudyInstanceUID
    done = move(server.port, "-aem", "NOBODY", "-k", f"StudyInstanceUID={uid}")
    assert "MoveDestinationUnknown" in done.stderr
    done = move(server.port, "-k", f"StudyInstanceUID={uid}")  # nobody listens there
    assert "OutOfResourcesSubOperations" in done.stderr
    done = move(server.port, "-k", "StudyInstanceUID=1.2.3.4.5")
    assert done.returncode == 0  # nothing to send


def test_a_destination_that_refuses_and_aborts(tmp_path, corpus):
    refused, answered = [], []

    def store(event):
        answered.append(event.request.MoveOriginatorApplicationEntityTitle)
        if len(answered) == 2:
            refused.append(str(event.request.AffectedSOPInstanceUID))
            return 0xA700
        if len(answered) == 4:
            event.assoc.abort()
        return 0xB000 if len(answered) == 3 else 0

    entity = AE("DEST")
    entity.supported_contexts = [build_context(CT, IMPLICIT_LE)]
    scp = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        nodes = [f"DEST@127.0.0.1:{scp.socket.getsockname()[1]}"]
        with serving(tmp_path, nodes=nodes) as (server, _), Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT, (3, STUDY_MOVE, [IMPLICIT_LE]))
            for number in range(6):
                raw.store(f"1.2.{number}", small(f"1.2.{number}"))
                assert raw.status() == 0
            keys = element(0x00080052, None, b"STUDY ") + element(0x0020000D, None, b"1.2.3\0")
            raw.send(p_data(find_rq(9, STUDY_MOVE, 0x21, b"DEST"), 3) + p_data(keys, 3, 2))
            while (answer := raw.response())[0x0900] == 0xFF00:
                assert sum(answer[number] for number in range(0x1020, 0x1024)) == 6
            assert answer[0x0900] == 0xB000
            # Behind the abort there is another association.
            assert [answer[number] for number in (0x1021, 0x1022, 0x1023)] == [3, 2, 1]
            failures = raw.read_pdu()[12:]
            assert failures[:4] == b"\x08\0\x58\0"
            assert refused[0].encode() in failures
            assert raw.release() == 6
    finally:
        scp.shutdown()
    assert set(answered) == {"TEST"}


@pytest.mark.parametrize("syntax", [[], ["+xi"]])
def test_getscu(held, tmp_path, syntax):
    server, sent, _ = held
    uids = sorted({str(one.StudyInstanceUID) for one in sent})
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + "\\".join(uids)]
    run("getscu", "-S", "+B", *syntax, "-od", tmp_path, *keys, "127.0.0.1", str(server.port))
    assert data_sets(tmp_path) == data_sets(server.folder)


def test_a_get_without_the_contexts_and_one_that_is_cancelled(held):
    server, sent, _ = held
    uid = str(sent[-1].StudyInstanceUID)
    count = len([one for one in sent if one.StudyInstanceUID == uid])
    keys = pydicom.Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", uid
    classes = sorted({one.SOPClassUID for one in sent})
    entity = AE()
    for wanted in (classes, []):
        contexts = [build_context(STUDY_GET), *(build_context(one) for one in wanted)]
        roles = [build_role(one, scp_role=True) for one in wanted]
        handlers = [(evt.EVT_C_STORE, lambda event: 0)]
        association = entity.associate(
            "127.0.0.1", server.port, contexts, ext_neg=roles, evt_handlers=handlers
        )
        answers = list(association.send_c_get(keys, STUDY_GET))
        association.release()
        status, failures = answers[-1]
        if wanted:
            assert (status.Status, status.NumberOfCompletedSuboperations) == (0, count)
        else:
            assert (status.Status, status.NumberOfFailedSuboperations) == (0xA702, count)
            assert len(failures.FailedSOPInstanceUIDList) == count or count == 1


def test_orthanc_asks_and_moves(tmp_path, corpus):
    http, port = free_port(), free_port()
    settings = {
        "HttpServerEnabled": True,
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": port,
        "DicomAet": "ORTHANC",
    }

    def post(path, body):
        request = json.dumps(body).encode()
        url = f"http://127.0.0.1:{http}/{path}"
        with urllib.request.urlopen(url, request, timeout=30) as answer:
            return json.load(answer)

    with serving(tmp_path / "ours", nodes=[f"ORTHANC@127.0.0.1:{port}"]) as (server, _):
        sent = fill(server.port, corpus)
        patient_id = str(sent[-1].PatientID)
        settings["DicomModalities"] = {"us": ["DICOMLOOM", "127.0.0.1", server.port]}
        (tmp_path / "orthanc.json").write_text(
            json.dumps(settings | {"StorageDirectory": str(tmp_path / "orthanc")})
        )
        with program("Orthanc", tmp_path / "orthanc.json", port=port):
            query = {"Level": "Study", "Query": {"PatientID": patient_id}}
            made = post("modalities/us/query", query)["ID"]
            answers = f"http://127.0.0.1:{http}/queries/{made}/answers"
            with urllib.request.urlopen(answers, timeout=10) as answer:
                assert json.load(answer)
            post(f"queries/{made}/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/instances", timeout=10) as answer:
                count = len(json.load(answer))
    assert count == len([one for one in sent if one.PatientID == patient_id])
