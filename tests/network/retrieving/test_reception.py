"""Our own store SCP while a C-MOVE runs."""

import socket
import ssl

import pytest
from pynetdicom import AE

import dicomloom
from dicomloom import Node
from dicomloom.network.retrieving.landing import LAYOUT, Folder, Layout
from dicomloom.network.retrieving.planning import Errand
from dicomloom.network.retrieving.reception import Reception
from dicomloom.network.retrieving.tally import Tally
from network_peers import VERIFICATION, certificate, free_port, heard
from retrieve_peers import Once


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "in", Layout(LAYOUT), "keep")


def tally():
    return Tally(Errand("study", "STUDY", {"StudyInstanceUID": "1.2.3"}))


def test_objects_are_taken_while_a_request_runs_only(folder, tmp_path):
    port = free_port()
    with Reception(Node("PEER@127.0.0.1:1"), f"127.0.0.1:{port}", folder) as reception:
        stored = Once(port)
        assert stored.store("1.2.5") == 0xA700
        with reception.open_to(tally()):
            assert stored.store("1.2.6") == 0
            assert [one.sop_instance for one in reception.arrivals()] == ["1.2.6"]
        assert stored.store("1.2.7") == 0xA700
        stored.association.release()
    assert [path.name for path in (tmp_path / "in").rglob("*.dcm")] == ["1.2.6.dcm"]


def test_it_answers_an_echo_and_ends_with_the_call(folder):
    port = free_port()
    with Reception(Node("PEER@127.0.0.1:1"), f"127.0.0.1:{port}", folder):
        entity = AE()
        entity.add_requested_context(VERIFICATION)
        association = heard(entity.associate("127.0.0.1", port, ae_title="DICOMLOOM"))
        assert association.send_c_echo().Status == 0
        association.release()
    socket.create_server(("127.0.0.1", port)).close()


def test_the_default_address_is_where_the_peer_sees_us(folder):
    with Reception(Node("PEER@127.0.0.1:1"), "0", folder) as reception:
        assert '"DICOMLOOM" with address 127.0.0.1 and port ' in reception.hint(0xA801)
        assert "did not get through" in reception.hint(0xA702)
        assert reception.hint(0xA900) == ""


def test_tls_where_the_node_speaks_it(folder, tmp_path):
    cert, key = certificate(tmp_path, "us")
    plain = Node("PEER@127.0.0.1:1", tls=True)
    with pytest.raises(dicomloom.NodeError, match="tls_cert"):
        Reception(plain, "127.0.0.1:0", folder)
    port = free_port()
    node = plain.replace(tls_cert=str(cert), tls_key=str(key))
    with Reception(node, f"127.0.0.1:{port}", folder):
        trusting = ssl.create_default_context(cafile=cert)
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            with trusting.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
                assert secured.version() in ("TLSv1.2", "TLSv1.3")
