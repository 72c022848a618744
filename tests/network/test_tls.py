"""TLS with DCMTK, with pynetdicom, and with peers that get it wrong."""

import hashlib
import select
import socket
import ssl
import struct
import subprocess

import pytest
from pynetdicom import AE

from dicomloom import (
    ConnectionFailed,
    NetworkError,
    Node,
    NodeError,
    TimeoutExpired,
    TLSError,
    echo,
)
from dicomloom.network.tls import client_context, make_context, secure
from network_peers import VERIFICATION, certificate, descriptors, fake, free_port, storescp
from support import peer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def pair(folder):
    return certificate(folder, "server")


@pytest.fixture(scope="module")
def client(folder):
    return certificate(folder, "client", subject="client.example.org")


@pytest.fixture(scope="module")
def dcmtk(folder, pair):
    """storescp with TLS, wanting no certificate of ours."""
    with storescp(folder, "+tls", pair[1], pair[0], "--ignore-peer-cert") as port:
        yield port


@pytest.fixture(autouse=True)
def _nothing_is_left(dcmtk):
    before = descriptors()
    yield
    assert descriptors() == before


def node(port, **fields):
    return Node(f"STORESCP@127.0.0.1:{port}", **{"timeout": 5, "tls": True} | fields)


def fingerprint(cert):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert.read_text())).hexdigest()


def test_dcmtk_with_its_certificate_as_authority(dcmtk, pair):
    result = echo(node(dcmtk, tls_ca=str(pair[0])))
    assert result.tls[0] in ("TLSv1.2", "TLSv1.3")
    assert "GCM" in result.tls[1] or "CHACHA20" in result.tls[1]
    assert result.implementation_version_name.startswith("OFFIS_DCMTK")


def test_dcmtk_with_a_pin(dcmtk, pair):
    digits = fingerprint(pair[0])
    shown = subprocess.run(
        [peer("openssl"), "x509", "-in", pair[0], "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # As openssl prints it, and without colons.
    for pin in (shown.strip().partition("=")[2], digits):
        assert echo(node(dcmtk, tls_pin=pin)).tls
    with pytest.raises(TLSError, match=digits) as caught:
        echo(node(dcmtk, tls_pin="0" * 64))
    assert caught.value.reason == "pin"


def test_a_certificate_that_is_not_known(dcmtk, client):
    for fields in ({}, {"tls_ca": str(client[0])}):
        with pytest.raises(TLSError, match="not trusted") as caught:
            echo(node(dcmtk, **fields))
        assert caught.value.reason == "certificate"
        assert "--tls-ca" in caught.value.hint


def test_a_certificate_made_out_to_another(folder):
    cert, key = certificate(folder, "other", subject="other.example.org")
    with storescp(folder, "+tls", key, cert, "--ignore-peer-cert") as port:
        with pytest.raises(TLSError, match=r"not made out to 127.0.0.1") as caught:
            echo(node(port, tls_ca=str(cert)))
        assert caught.value.reason == "host-name"
        assert echo(node(port, tls_ca=str(cert), tls_check_hostname=False)).tls


def test_a_certificate_that_has_expired(folder):
    cert, key = certificate(folder, "old", expired=True)
    with storescp(folder, "+tls", key, cert, "--ignore-peer-cert") as port:
        with pytest.raises(TLSError, match="expired") as caught:
            echo(node(port, tls_ca=str(cert)))
        assert "clock" in caught.value.hint


def test_dcmtk_wants_our_certificate(folder, pair, client):
    with storescp(folder, "+tls", pair[1], pair[0], "--add-cert-file", client[0]) as port:
        ours = {"tls_cert": str(client[0]), "tls_key": str(client[1])}
        assert echo(node(port, tls_ca=str(pair[0]), **ours)).tls
        with pytest.raises(NetworkError) as caught:
            echo(node(port, tls_ca=str(pair[0])))
        assert isinstance(caught.value, TLSError), caught.value
        assert "certificate" in caught.value.hint


def test_plain_against_tls(dcmtk):
    with pytest.raises(ConnectionFailed) as caught:
        echo(node(dcmtk, tls=False))
    assert "TLS" in caught.value.hint


def test_tls_against_plain(folder):
    with storescp(folder) as port, pytest.raises(TLSError) as caught:
        echo(node(port))
    assert caught.value.reason == "plain"
    assert "without TLS" in caught.value.hint


def test_tls_against_silence():
    with fake(lambda peer: peer.until_closed()) as port, pytest.raises(TimeoutExpired) as caught:
        echo(node(port, timeout=0.3))
    assert caught.value.step == "tls"


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", bytes(100)])
def test_tls_against_another_service(said):
    def talk(peer):
        peer.read(11)
        peer.send(said)

    with fake(talk) as port, pytest.raises(TLSError) as caught:
        echo(node(port))
    assert caught.value.reason == "plain"


@pytest.mark.parametrize("pin", [None, "0" * 64])
def test_tls_against_a_reset(pin):
    def talk(peer):
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    for _ in range(10):
        with fake(talk) as port, pytest.raises(ConnectionFailed) as caught:
            echo(node(port, tls_pin=pin))
        assert caught.value.reason in ("plain", "system")


def test_a_reset_before_the_handshake_leaves_no_descriptor_to_who_keeps_the_error():
    before = descriptors()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        assert select.select([ours], [], [], 5)[0]
        told = node(server.getsockname()[1])
        with pytest.raises(ConnectionFailed) as caught:
            secure(told, ours, client_context(told))
    assert descriptors() == before
    assert caught.value.reason == "plain"


def test_a_peer_with_an_old_version(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    def talk(peer):
        context.wrap_socket(peer.connection, server_side=True)

    with fake(talk) as port, pytest.raises(TLSError, match="TLS"):
        echo(node(port, tls_ca=str(pair[0])))


@pytest.mark.parametrize("properly", [True, False])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_peer_closes_under_tls(pair, version, properly):
    """Without the closing alert, as many do, it is an end like any other."""
    context = make_context(server=True, cert_file=str(pair[0]), key_file=str(pair[1]))
    context.maximum_version = version

    def talk(peer):
        peer.connection = context.wrap_socket(peer.connection, server_side=True)
        with peer.connection:
            peer.accept()
            assert peer.read_pdu()[0] == 4
            if properly:
                peer.connection.unwrap()

    with fake(talk) as port, pytest.raises(ConnectionFailed) as caught:
        echo(node(port, tls_ca=str(pair[0])))
    assert caught.value.reason == "closed", caught.value
    assert "C-ECHO" in caught.value.message


@pytest.fixture
def server(pair, client):
    """pynetdicom's echo SCP under our context of a server; it wants a certificate of the client."""
    made = make_context(
        server=True, ca_file=str(client[0]), cert_file=str(pair[0]), key_file=str(pair[1])
    )
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    entity = AE("STORESCP")
    entity.add_supported_context(VERIFICATION)
    running = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=made)
    yield running.server_address[1]
    running.shutdown()


def test_our_server_and_echoscu(server, pair, client, folder):
    tool = [peer("echoscu"), "-aec", "STORESCP", "127.0.0.1", str(server), "+cf", str(pair[0])]
    good = [*tool, "+tls", str(client[1]), str(client[0])]
    assert subprocess.run(good, check=False, capture_output=True).returncode == 0
    stranger = certificate(folder, "stranger")
    bad = [*tool, "+tls", str(stranger[1]), str(stranger[0])]
    assert subprocess.run(bad, check=False, capture_output=True).returncode != 0


def test_our_server_and_our_client(server, pair, client):
    ours = {"tls_cert": str(client[0]), "tls_key": str(client[1])}
    assert echo(node(server, tls_ca=str(pair[0]), **ours), 3).tls


def test_our_server_refuses_old_versions(pair):
    made = make_context(server=True, cert_file=str(pair[0]), key_file=str(pair[1]))
    names = {cipher["name"] for cipher in made.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert names
    assert all("GCM" in name or "CHACHA20" in name for name in names)
    assert all(name.startswith("ECDHE") for name in names)
    assert not any("NULL" in name or "PSK" in name or "anon" in name for name in names)


@pytest.mark.parametrize("server", [False, True])
def test_files_that_are_wrong(folder, pair, client, server):
    (folder / "noise.pem").write_bytes(b"no PEM")
    locked = folder / "locked.key"
    subprocess.run(
        [
            *(peer("openssl"), "pkey", "-in", pair[1], "-aes256"),
            *("-passout", "pass:x", "-out"),
            locked,
        ],
        check=True,
        capture_output=True,
    )
    absent, noise, cert = (str(folder / n) for n in ("absent.pem", "noise.pem", "server.pem"))
    cases = [
        ({"ca_file": absent}, "tls_ca: No such file", absent),
        ({"ca_file": noise}, "tls_ca: expected certificates", noise),
        ({"cert_file": absent}, "tls_cert: No such file", absent),
        ({"cert_file": noise}, "expected a certificate and its private key", noise),
        ({"cert_file": cert}, "expected a certificate and its private key", cert),
        ({"cert_file": cert, "key_file": absent}, "tls_key: No such file", absent),
        ({"cert_file": cert, "key_file": noise}, "expected a certificate and its", cert),
        ({"cert_file": cert, "key_file": str(client[1])}, "does not belong", cert),
        ({"cert_file": cert, "key_file": str(locked)}, "is encrypted", str(locked)),
    ]
    for given, says, path in cases:
        with pytest.raises(NodeError, match=says) as caught:
            make_context(server=server, **given)
        assert caught.value.path == path


def test_a_server_needs_a_certificate():
    with pytest.raises(NodeError, match="tls_cert"):
        make_context(server=True)


def test_wrong_files_are_told_before_a_peer_is_bothered(folder):
    with pytest.raises(NodeError, match="No such file"):
        echo(node(free_port(), tls_ca=str(folder / "absent.pem")))
