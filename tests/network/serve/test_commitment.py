"""Storage commitment: the result is what is really held, and it reaches who asked."""

import gc
import struct
import threading

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context, evt

from dicomloom.network.serve import commitment
from network_peers import free_port, p_data
from serve_peers import (
    CT,
    IMPLICIT_CT,
    N_ACTION,
    Raw,
    command_set,
    serving,
    small,
    ui,
    us,
)
from support import IMPLICIT_LE, element, item, sequence

PUSH, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CONTEXTS = IMPLICIT_CT, (3, PUSH, [IMPLICIT_LE])


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(commitment, "_RETRIES", (0.05, 0.1, 0.1))


def references(*uids, transaction=b"1.2.9.9\0"):
    items = [
        item(element(0x00081150, None, CT.encode() + b"\0") + element(0x00081155, None, pad(uid)))
        for uid in uids
    ]
    return element(0x00081195, None, transaction) + sequence(0x00081199, items, None)


def pad(uid):
    return uid.encode() + b"\0" * (len(uid) % 2)


def action(number=1, instance=INSTANCE, kind=1):
    return command_set(
        *(ui(3, PUSH), us(0x100, N_ACTION), us(0x110, number), us(0x800, 1)),
        *(ui(0x1001, instance), us(0x1008, kind)),
    )


def ask(raw, *uids):
    """Ask for commitment; returns the N-EVENT-REPORT and its data set."""
    raw.send(p_data(action(), 3) + p_data(references(*uids), 3, 2))
    assert raw.status() == 0
    return raw.response(), raw.read_pdu()[12:]


def answer(raw, report, status=0):
    raw.send(
        p_data(
            command_set(
                *(ui(2, PUSH), us(0x100, 0x8100), us(0x120, report[0x110]), us(0x800, 0x101)),
                *(us(0x900, status), ui(0x1000, INSTANCE), us(0x1002, report[0x1002])),
            ),
            3,
        )
    )


def pending(folder):
    return sorted((folder / ".commitment").iterdir())


def test_over_the_association_that_asked(tmp_path):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(*CONTEXTS)
        raw.store("1.2.3.4", small())
        assert raw.status() == 0
        report, data = ask(raw, "1.2.3.4")
        assert (report[0x100], report[0x1002]) == (0x0100, 1)
        assert b"1.2.9.9" in data
        assert struct.pack("<HH", 0x0008, 0x1198) not in data  # FailedSOPSequence
        assert len(pending(tmp_path)) == 1
        answer(raw, report)
        report, data = ask(raw, "1.2.3.4", "1.2.3.5")
        assert report[0x1002] == 2
        failed = data[data.index(struct.pack("<HH", 0x0008, 0x1198)) :]
        assert element(0x00081155, None, pad("1.2.3.5")) in failed
        assert element(0x00081197, None, struct.pack("<H", 0x0112)) in failed
        answer(raw, report)
        assert raw.release() == 6
    assert pending(tmp_path) == []


def test_a_file_that_is_gone_is_not_held(tmp_path):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(*CONTEXTS)
        raw.store("1.2.3.4", small())
        assert raw.status() == 0
        next(tmp_path.rglob("1.2.3.4.dcm")).unlink()
        report, _ = ask(raw, "1.2.3.4")
        assert report[0x1002] == 2


@pytest.mark.parametrize(
    ("command", "data", "status"),
    [
        (action(instance="1.2.3"), references("1.2"), 0x0112),
        (action(kind=2), references("1.2"), 0x0123),
        (action(), references("1.2", transaction=b""), 0x0120),
        (action(), references(), 0x0120),
        (action(), references("../../x"), 0x0106),
        (action(), references("1.2", transaction=b"../x"), 0x0106),
        (action(), b"\x08\0", 0x0110),
    ],
)
def test_requests_that_are_none(tmp_path, command, data, status):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(*CONTEXTS)
        raw.send(p_data(command, 3) + p_data(data, 3, 2))
        assert raw.status() == status
        assert raw.release() == 6
    assert pending(tmp_path) == []


class Modality:
    """pynetdicom's AE, which takes reports."""

    def __init__(self, port, fails=0):
        self.reports, self.heard, self.left = [], threading.Event(), fails
        entity = AE("TEST")
        entity.add_supported_context(PUSH, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.hear)]
        self.server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def hear(self, event):
        if self.left:
            self.left -= 1
            return 0x0110, None
        said = event.event_information
        self.reports.append((event.event_type, said.TransactionUID, event.assoc.requestor.ae_title))
        self.heard.set()
        return 0, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()


@pytest.mark.parametrize("fails", [0, 2])
def test_over_an_association_of_ours_where_the_peer_left(tmp_path, fails):
    port = free_port()
    nodes = [f"TEST@127.0.0.1:{port}"]
    with Modality(port, fails) as modality, serving(tmp_path, nodes=nodes) as (server, ends):
        with Raw(server.port) as raw:
            raw.associate(*CONTEXTS)
            raw.store("1.2.3.4", small())
            assert raw.status() == 0
            ask(raw, "1.2.3.4")
            assert raw.release() == 6
        ends.wait()
        assert modality.heard.wait(10)
        assert modality.reports == [(1, "1.2.9.9", "DICOMLOOM")]
    assert pending(tmp_path) == []


def test_it_is_told_after_a_restart(tmp_path):
    port = free_port()
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(*CONTEXTS)
        raw.store("1.2.3.4", small())
        assert raw.status() == 0
        ask(raw, "1.2.3.4", "1.2.3.5")
    assert len(pending(tmp_path)) == 1
    (tmp_path / ".commitment" / "broken.json").write_text("{")
    with Modality(port) as modality, serving(tmp_path, nodes=[f"TEST@127.0.0.1:{port}"]):
        assert modality.heard.wait(10)
    assert modality.reports == [(2, "1.2.9.9", "DICOMLOOM")]


def test_a_node_that_never_hears_is_given_up(tmp_path, caplog):
    with serving(tmp_path, nodes=[f"TEST@127.0.0.1:{free_port()}"]) as (server, ends):
        with Raw(server.port) as raw:
            raw.associate(*CONTEXTS)
            ask(raw, "1.2.3.4")
        ends.wait()
        for _ in range(500):
            if not pending(tmp_path):
                break
            threading.Event().wait(0.02)
    assert pending(tmp_path) == []
    assert "never heard" in caplog.text


def test_pynetdicom_as_the_user(tmp_path):
    with serving(tmp_path) as (server, _):
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store("1.2.3.4", small())
            assert raw.status() == 0
        reported = threading.Event()

        def hear(event):
            assert event.event_type == 1
            reported.set()
            return 0, None

        asked, reference = Dataset(), Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, "1.2.3.4"
        asked.TransactionUID, asked.ReferencedSOPSequence = "1.2.9", [reference]
        association = AE("TEST").associate(
            "127.0.0.1",
            server.port,
            [build_context(PUSH)],
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)],
        )
        status, _ = association.send_n_action(asked, 1, PUSH, INSTANCE)
        assert status.Status == 0
        assert reported.wait(10)
        association.release()
        del association
        gc.collect()  # to which pynetdicom leaves its socket now and then
