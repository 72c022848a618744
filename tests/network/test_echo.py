"""C-ECHO with DCMTK's servers, with pynetdicom's, and with peers that answer anything."""

import pytest
from pynetdicom import AE, evt

import dicomloom
from dicomloom import NoAcceptedContext, Node, StatusError, echo
from network_peers import (
    RELEASE_RP,
    VERIFICATION,
    echo_response,
    fake,
    free_port,
    program,
    storescp,
)
from support import EXPLICIT_LE, IMPLICIT_LE, element

DCMTK_UID = "1.2.276.0.7230010.3.0.3.6."


def test_storescp(tmp_path):
    with storescp(tmp_path, "-aet", "STORE", "--max-pdu", "65536", "+xi") as port:
        result = echo(f"STORE@127.0.0.1:{port}", 3)
    assert result.node == f"STORE@127.0.0.1:{port}"
    assert len(result.seconds) == 3
    assert all(0 < value < 5 for value in (*result.seconds, result.association_seconds))
    assert (result.max_pdu_sent, result.max_pdu_received) == (65536, 131072)
    assert result.implementation_class_uid.startswith(DCMTK_UID)
    assert result.implementation_version_name.startswith("OFFIS_DCMTK_")
    assert result.transfer_syntax == IMPLICIT_LE
    assert result.tls is None


def test_dcmqrscp(tmp_path):
    """A server that knows whom it talks to, and what it is called."""
    port = free_port()
    (tmp_path / "db").mkdir()
    (tmp_path / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 32768\nMaxAssociations = 4\n"
        "HostTable BEGIN\nme = (ME, localhost, 1)\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {tmp_path / 'db'} RW (9, 1024mb) ANY\nAETable END\n"
    )
    with program("dcmqrscp", "-c", tmp_path / "qr.cfg", "--fork", port=port):
        result = echo(Node(f"ARCHIVE@127.0.0.1:{port}", calling_ae_title="ME"))
        assert (result.max_pdu_sent, result.transfer_syntax) == (32768, EXPLICIT_LE)
        with pytest.raises(dicomloom.AssociationRejected) as caught:
            echo(Node(f"OTHER@127.0.0.1:{port}", calling_ae_title="ME"))
    assert caught.value.reason_text == "called-AE-title-not-recognized"
    assert '"OTHER"' in caught.value.hint


@pytest.fixture
def scp():
    """pynetdicom's SCP; what it was asked is in its list."""
    started, asked = [], []

    def start(status=0x0000, contexts=(VERIFICATION,), **settings):
        def handle(event):
            asked.append((event.assoc.requestor.ae_title, event.message_id))
            return status

        def identify(event):
            asked.append((event.user_id_type, event.primary_field, event.secondary_field))
            return event.secondary_field == b"secret", None

        entity = AE("SCP")
        for context in contexts:
            entity.add_supported_context(context)
        for name, value in settings.items():
            setattr(entity, name, value)
        handlers = [(evt.EVT_C_ECHO, handle), (evt.EVT_USER_ID, identify)]
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        started.append(server)
        return f"SCP@127.0.0.1:{server.server_address[1]}", asked

    yield start
    for server in started:
        server.shutdown()


def test_pynetdicom(scp):
    address, asked = scp(maximum_pdu_size=0)
    result = echo(Node(address, calling_ae_title="ME"), 3)
    assert asked == [("ME", 1), ("ME", 2), ("ME", 3)]
    assert result.max_pdu_sent == 0
    assert result.implementation_version_name.startswith("PYNETDICOM")


def test_pynetdicom_checks_who_we_are(scp):
    address, asked = scp()
    echo(Node(address, username="me", passcode="secret"))
    assert asked[0] == (2, b"me", b"secret")
    with pytest.raises(dicomloom.AssociationRejected) as caught:
        echo(Node(address, username="me", passcode="wrong"))
    assert (caught.value.source, caught.value.reason) == (2, 1)
    assert "user identity" in caught.value.hint
    assert "wrong" not in str(caught.value)


def test_pynetdicom_wants_others(scp):
    address, _ = scp(require_calling_aet=["YOU"])
    with pytest.raises(dicomloom.AssociationRejected) as caught:
        echo(Node(address, calling_ae_title="ME"))
    assert caught.value.reason_text == "calling-AE-title-not-recognized"
    with pytest.raises(NoAcceptedContext, match="abstract-syntax-not-supported"):
        echo(scp(contexts=["1.2.840.10008.5.1.4.1.1.2"])[0])


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (0x0122, "SOP Class not supported"),
        (0x0210, "Duplicate invocation"),
        (0x0211, "Unrecognized operation"),
        (0x0212, "Mistyped argument"),
        (0x0124, "Not authorized"),
        (0x0001, "a code that PS3 does not define"),
        (0xB000, "a code that PS3 does not define"),
        (0xFF00, "a code that PS3 does not define"),
        (0xFFFF, "a code that PS3 does not define"),
    ],
)
def test_a_status_that_is_no_success(status, meaning):
    with fake(answering(echo_response(status))) as port, pytest.raises(StatusError) as caught:
        echo(f"PEER@127.0.0.1:{port}")
    error = caught.value
    assert (error.status, error.meaning, error.comment) == (status, meaning, "")
    assert f"0x{status:04X}" in str(error)


def answering(*answers):
    def talk(peer):
        peer.accept()
        for answer in answers:
            peer.read_pdu()
            peer.send(answer)
        peer.read_pdu()
        peer.send(RELEASE_RP)

    return talk


def test_a_comment():
    comment = element(0x00000902, None, b"no \x1b[31mlicence")
    with fake(answering(echo_response(0x0110, 1, comment))) as port:
        with pytest.raises(StatusError) as caught:
            echo(f"PEER@127.0.0.1:{port}")
    assert caught.value.meaning == "Processing failure"
    assert caught.value.comment == "no \\x1b[31mlicence"
    assert str(caught.value).isprintable()


def test_a_failure_after_a_success():
    answers = echo_response(0, 1), echo_response(0x0122, 2)
    with fake(answering(*answers)) as port, pytest.raises(StatusError):
        echo(f"PEER@127.0.0.1:{port}", 2)


def test_more_requests_than_message_ids(monkeypatch):
    """PS3.7 9.3.5: 16 bits; the numbers begin again."""
    seen = []

    def talk(peer):
        peer.accept()
        for number in (1, 2, 1):
            seen.append(peer.read_pdu())
            peer.send(echo_response(0, number))
        peer.read_pdu()
        peer.send(RELEASE_RP)

    monkeypatch.setattr("dicomloom.network.echo._LAST_MESSAGE_ID", 2)
    with fake(talk) as port:
        assert len(echo(f"PEER@127.0.0.1:{port}", 3).seconds) == 3
    assert len(seen) == 3
