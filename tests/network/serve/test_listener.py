"""Listening: who gets in, who does not, and what hostile peers cannot take from good ones."""

import contextlib
import errno
import ipaddress
import logging
import os
import resource
import socket
import ssl
import subprocess
import threading
import time
import warnings

import pytest

import dicomloom
from dicomloom.network.serve.listener import Listener, Terms
from dicomloom.network.tls import make_context
from network_peers import certificate, descriptors, p_data
from serve_peers import Raw, associate_rq, echo_rq, echoes, listening
from support import EXPLICIT_LE, peer


def test_a_good_peer_of_another_make():
    with listening() as (listener, ends):
        subprocess.run(
            [peer("echoscu"), "-aec", "DICOMLOOM", "127.0.0.1", str(listener.port)], check=True
        )
        assert ends.wait() == ("released", "")


def test_both_families_have_one_port():
    listener = Listener(Terms(), [], hosts=["127.0.0.1", "::1"])
    try:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, listener.port), 5).close()
    finally:
        listener.close()


def test_a_port_in_use_is_told():
    with listening() as (listener, _):
        with pytest.raises(dicomloom.ConnectionFailed, match="Address already in use") as caught:
            Listener(Terms(), [], port=listener.port)
        assert caught.value.port == listener.port
        # What was opened before the one that failed is closed: `listening` looks.
        with pytest.raises(dicomloom.ConnectionFailed):
            Listener(Terms(), [], hosts=["127.0.0.2", "203.0.113.1"], port=0)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP"),
        (bytes.fromhex("160301020001000200"), "the peer speaks TLS on a port without"),
        (b"SSH-2.0-OpenSSH\r\n", 'the peer does not speak DICOM: it began with "SSH-2."'),
        (b"\1\0\xff\xff\xff\xff", "expected at most 262144 bytes in a PDU of type 01H"),
        (b"\4\0\0\0\0\6\0\0\0\2\1\3", ""),  # P-DATA before there is an association
        (b"\5\0\0\0\0\4\0\0\0\0", ""),  # and a release
        (b"\1\0\0\0\0\4abcd", ""),  # an A-ASSOCIATE-RQ that ends too soon
        (associate_rq([(1, "1.2", [EXPLICIT_LE])])[:40], ""),
        (b"", ""),
    ],
)
def test_noise_is_closed_and_a_good_peer_gets_in(said, why, caplog):
    caplog.set_level(logging.INFO, "dicomloom.network.serve")
    with listening() as (listener, ends), Raw(listener.port) as noisy:
        noisy.send(said)
        assert echoes(listener.port)
        noisy.connection.shutdown(socket.SHUT_WR)
        noisy.until_closed()
        ends.wait(2)
        ending, told = next(one for one in ends if one[0] != "released")
    assert ending == "closed"
    assert told.startswith(why)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("dicomloom")]
    assert len([one for one in ours if ": closed" in one]) == bool(told)


def test_who_says_nothing_or_a_byte_at_a_time_is_closed_in_time():
    with listening(timeout=0.5) as (listener, ends):
        with Raw(listener.port) as silent, Raw(listener.port) as slow:
            closed = threading.Event()

            def drip():
                for byte in associate_rq([(1, "1.2", [EXPLICIT_LE])] * 50):
                    with contextlib.suppress(OSError):
                        slow.send(bytes([byte]))
                    if closed.wait(0.02):
                        return

            dripping = threading.Thread(target=drip)
            dripping.start()
            assert echoes(listener.port)
            ends.wait(3)
            closed.set()
            dripping.join()
            silent.until_closed()
    whys = sorted(why for ending, why in ends if ending == "closed")
    assert whys[0] == "no association request within 0.5 s"
    assert "within 0.5 s" in whys[1]


def test_more_half_open_connections_than_there_is_room_for():
    with listening(timeout=60) as (listener, ends):
        with contextlib.ExitStack() as held:
            first = held.enter_context(Raw(listener.port))
            for _ in range(100):
                held.enter_context(Raw(listener.port))
            assert echoes(listener.port)
            first.until_closed()  # the oldest had to go
            assert len(threading.enumerate()) < 200
        ends.wait(102)


def test_a_thousand_connects_and_aborts_leave_nothing():
    def flood(count):
        for number in range(count):
            with contextlib.suppress(OSError), Raw(listener.port) as raw:
                if number % 3 == 0:
                    raw.send(associate_rq([(1, "1.2.840.10008.1.1", [EXPLICIT_LE])]))
                if number % 3 == 1:
                    raw.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7)
                    )
        ends.wait(count)

    with listening() as (listener, ends):
        flood(200)
        del ends[:]
        before, memory = len(threading.enumerate()), resident()
        flood(1000)
        assert echoes(listener.port)
        ends.wait(1001)
        assert len(threading.enumerate()) <= before
        assert resident() - memory < 20 << 20


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_too_many_associations_are_rejected_as_the_standard_has_it():
    with listening(max_associations=1) as (listener, ends), Raw(listener.port) as first:
        first.associate()
        with pytest.raises(dicomloom.AssociationRejected) as caught:
            echoes(listener.port)
        assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
        assert ends.wait() == ("rejected", "there are 1 associations already")
        assert first.release() == 6
        ends.wait(2)
        assert echoes(listener.port)


def test_addresses_that_are_not_allowed_are_closed_at_once_and_told_once(caplog):
    networks = (ipaddress.ip_network("192.0.2.0/24"),)
    with listening(allow_from=networks) as (listener, ends):
        for _ in range(5):
            with Raw(listener.port) as raw:
                assert raw.connection.recv(1) == b""
        assert not ends
    assert [one.getMessage() for one in caplog.records] == [
        "connections from 127.0.0.1 are not allowed, and closed at once"
    ]
    with listening(allow_from=(ipaddress.ip_network("127.0.0.0/8"),)) as (listener, _):
        assert echoes(listener.port)


def test_descriptors_that_are_used_up(caplog):
    with listening() as (listener, _):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        clients = [socket.socket() for _ in range(3)]
        highest = max(map(int, descriptors()))
        taken = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            for client in clients:
                client.connect(("127.0.0.1", listener.port))
            until = time.monotonic() + 10
            while not caplog.records and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.5)  # more tries, which are not told again
        finally:
            for number in taken:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert echoes(listener.port)
        for client in clients:
            client.close()
    told = [one.getMessage() for one in caplog.records if "no more connections" in one.getMessage()]
    assert len(told) == 1
    assert os.strerror(errno.EMFILE) in told[0]


def test_closing_ends_associations_that_are_open_and_the_port_is_free():
    with listening() as (listener, ends):
        with Raw(listener.port) as idle, Raw(listener.port) as silent:
            idle.associate()
            listener.close()
            assert idle.read_pdu()[0] == 7  # A-ABORT
            idle.until_closed()
            silent.until_closed()
            assert ("aborted", "this server was closed") in ends
        again = Listener(Terms(), [], port=listener.port)
        again.close()
        again.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "client", subject="client.example.org")


class TestTLS:
    def context(self, pair, **more):
        return make_context(server=True, cert_file=str(pair[0]), key_file=str(pair[1]), **more)

    def test_dcmtk_and_ourselves(self, pair):
        with listening(tls=self.context(pair)) as (listener, ends):
            arguments = ["+tla", "-ic", "127.0.0.1", str(listener.port)]
            subprocess.run([peer("echoscu"), *arguments], check=True, capture_output=True)
            address = f"ANY@127.0.0.1:{listener.port}"
            node = dicomloom.Node(address, tls=True, tls_ca=str(pair[0]), timeout=5)
            assert dicomloom.echo(node).tls[0] == "TLSv1.3"
            ends.wait(2)
            assert [ending for ending, _ in ends] == ["released"] * 2

    def test_a_certificate_of_the_peer_is_wanted(self, pair, client):
        with listening(tls=self.context(pair, ca_file=str(client[0]))) as (listener, ends):
            address = f"ANY@127.0.0.1:{listener.port}"
            plain = dicomloom.Node(address, tls=True, tls_ca=str(pair[0]), timeout=5)
            with pytest.raises(dicomloom.NetworkError):
                dicomloom.echo(plain)
            assert ends.wait() == ("closed", "the peer showed no certificate, and one is wanted")
            own = {"tls_cert": str(client[0]), "tls_key": str(client[1])}
            assert dicomloom.echo(plain.replace(**own)).tls

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks HTTP on a port with TLS"),
            (associate_rq([(1, "1.2", [EXPLICIT_LE])]), "the peer speaks no TLS"),
            (b"", "the peer closed the connection during the TLS handshake"),
        ],
    )
    def test_no_tls(self, pair, said, why):
        with listening(tls=self.context(pair)) as (listener, ends), Raw(listener.port) as raw:
            raw.send(said)
            with contextlib.suppress(OSError):  # it may have closed already
                raw.connection.shutdown(socket.SHUT_WR)
            raw.until_closed()
            ending, told = ends.wait()
        assert ending == "closed"
        assert told.startswith(why)

    def test_a_slow_handshake_holds_up_nobody(self, pair):
        with listening(tls=self.context(pair), timeout=0.5) as (listener, ends):
            with Raw(listener.port) as slow:
                slow.send(bytes.fromhex("1603010200"))
                node = dicomloom.Node(f"ANY@127.0.0.1:{listener.port}", tls=True, timeout=5)
                assert dicomloom.echo(node.replace(tls_ca=str(pair[0]))).tls
                for _ in range(20):
                    with contextlib.suppress(OSError):
                        slow.send(b"\1")
                    time.sleep(0.05)
                ends.wait(2)
        assert ("closed", "the peer did not complete the TLS handshake") in ends

    def test_old_tls_is_refused(self, pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with listening(tls=self.context(pair)) as (listener, ends):
            with socket.create_connection(("127.0.0.1", listener.port), 5) as connection:
                with pytest.raises(ssl.SSLError):
                    context.wrap_socket(connection)
            assert ends.wait()[0] == "closed"


def test_messages_of_an_association_that_is_released_at_once():
    with listening() as (listener, ends), Raw(listener.port) as raw:
        raw.associate()
        raw.send(p_data(echo_rq()) + b"\x05\0\0\0\0\4\0\0\0\0")
        assert raw.status() == 0
        assert raw.read_pdu()[0] == 6
        assert ends.wait() == ("released", "")
