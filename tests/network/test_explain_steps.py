"""The way to a node step by step, exceptions, and the command."""

import json
import socket
import struct
import subprocess
import sys

import pytest

import dicomloom
from dicomloom import Node, NodeError, ReadError, echo, explain
from network_peers import (
    RELEASE_RP,
    abort,
    accept,
    certificate,
    descriptors,
    echo_response,
    fake,
    free_port,
    program,
    reject,
    storescp,
)
from pages import run_page
from shell import command, fails, works


def node(port, **fields):
    return Node(f"PEER@127.0.0.1:{port}", **{"calling_ae_title": "ME", "timeout": 2} | fields)


def steps(found):
    return [(step.name, step.ok) for step in found.steps]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = descriptors()
    yield
    assert descriptors() == before


WELL = [(name, True) for name in ("name", "tcp", "association", "verification", "echo")]


def test_all_is_well(tmp_path):
    with storescp(tmp_path) as port:
        found = explain(f"STORE@127.0.0.1:{port}")
    assert steps(found) == WELL
    assert (found.trouble, found.hint, found.error) == ("", "", None)
    assert all(0 <= step.seconds < 5 for step in found.steps)
    assert found.steps[0].found == "127.0.0.1"
    assert "OFFIS_DCMTK" in found.steps[2].found


def test_no_such_host():
    found = explain(Node("PACS@no-such-host.invalid:104"))
    assert steps(found) == [("name", False)]
    assert found.hint == "check the name, or give the IP address"
    assert isinstance(found.error, dicomloom.ConnectionFailed)


def test_nothing_listens():
    found = explain(node(free_port()))
    assert steps(found) == [("name", True), ("tcp", False)]
    assert found.error.reason == "refused"


@pytest.mark.parametrize(
    ("talk", "kind", "last", "says"),
    [
        (lambda it: it.read_pdu() and it.send(b"HTTP/1.0 400 \r\n\r\n"), "http", False, "HTTP"),
        (lambda it: it.until_closed(), "TimeoutExpired", True, "no answer"),
        (lambda it: it.read_pdu() and None, "closed", True, "closed the connection"),
        (lambda it: it.read_pdu() and it.send(abort(0, 0)), "AssociationAborted", True, "aborted"),
        (lambda it: it.read_pdu() and it.send(b"SSH-2.0-x\r\n"), "not-dicom", True, ""),
    ],
    ids=["http", "silent", "closed", "aborted", "ssh"],
)
def test_what_is_no_node(talk, kind, last, says):
    with fake(talk) as port:
        found = explain(node(port, timeout=0.4))
    assert kind in (type(found.error).__name__, getattr(found.error, "reason", ""))
    assert says in found.trouble
    assert found.hint
    expected = [("name", True), ("tcp", True), ("association", False)]
    assert steps(found) == expected + [("other", False)] * last


def test_no_context_and_a_status():
    with fake(lambda it: it.read_pdu() and it.send(accept(results=((1, 3),)))) as port:
        found = explain(node(port))
    assert steps(found)[2:] == [("association", True), ("verification", False)]
    assert "does not offer this service" in found.hint

    def unhappy(it):
        it.accept()
        it.read_pdu()
        it.send(echo_response(0x0122))
        it.until_closed()

    with fake(unhappy) as port:
        found = explain(node(port))
    assert steps(found) == [*WELL[:-1], ("echo", False)]
    assert found.error.status == 0x0122


def asking(called=b"", calling=b"", code=7):
    """A peer that accepts one AE title; gives what it was asked."""

    def talk(it):
        request = it.read_pdu()
        names = request[10:26].strip(), request[26:42].strip()
        if (called and names[0] != called) or (calling and names[1] != calling):
            it.send(reject(1, 1, code))
            return names
        it.send(accept())
        it.read_pdu()
        it.send(RELEASE_RP)
        return names

    return talk


def test_other_titles():
    seen = []
    with fake(asking(called=b"ANY-SCP"), seen) as port:
        found = explain(node(port))
    assert steps(found)[2:] == [("association", False), ("other", False), ("other", True)]
    assert found.hint.startswith('it accepts calling AE title "ME", called "ANY-SCP"; the peer')
    assert seen == [(b"PEER", b"ME"), (b"peer", b"ME"), (b"ANY-SCP", b"ME")]
    seen = []
    with fake(asking(calling=b"PEER", code=3), seen) as port:
        found = explain(node(port))
    assert 'calling AE title "PEER"' in found.hint
    with fake(asking(called=b"SECRET")) as port:
        found = explain(node(port))
        assert [ok for name, ok in steps(found) if name == "other"] == [False] * 3
        assert '"PEER"' in found.hint
        # Nobody is asked who does not want to.
        assert len(explain(node(port), other_titles=False).steps) == 3
    with fake(lambda it: it.read_pdu() and it.send(reject(2, 3, 1))) as port:
        assert len(explain(node(port)).steps) == 3


def test_tls_where_none_was_asked_for_and_the_other_way(tmp_path):
    cert, key = certificate(tmp_path, "peer")
    port = free_port()
    options = ("+tls", key, cert, "--ignore-peer-cert", "-od", tmp_path)
    with program("storescp", *options, port, port=port):
        plain = explain(node(port))
        secured = explain(node(port, tls=True, tls_ca=str(cert)))
        untrusted = explain(node(port, tls=True))
    assert steps(plain)[-2:] == [("association", False), ("other", True)]
    assert "speaks TLSv1" in plain.hint
    assert "turn tls on" in plain.hint
    assert steps(secured) == [*WELL[:2], ("tls", True), *WELL[2:]]
    assert steps(untrusted)[2:] == [("tls", False), ("other", False)]
    assert untrusted.error.reason == "certificate"
    with storescp(tmp_path) as port:
        found = explain(node(port, tls=True, tls_ca=str(cert)))
    assert steps(found)[2:] == [("tls", False), ("other", True)]
    assert found.hint.startswith("the port speaks DICOM without TLS")


def test_an_exception():
    with pytest.raises(dicomloom.NetworkError) as caught:
        echo(node(free_port()))
    found = explain(caught.value)
    assert found.hint == caught.value.hint
    assert (found.error, found.trouble) == ("ConnectionFailed", caught.value.message)
    assert found.as_dict()["node"] == caught.value.node


def test_what_is_neither(tmp_path):
    with pytest.raises(ReadError, match="no such log"):
        explain(str(tmp_path / "absent.log"))
    with pytest.raises(NodeError, match="neither"):
        explain("pacs-without-an-entry")
    fails(20, "explain", tmp_path / "absent.log", says="no such log")
    fails(2, "explain", "pacs-without-an-entry", says="neither")
    fails(20, "explain", tmp_path, says="cannot read the log")


LOG = """\
I: Requesting Association
F: Association Rejected:
F: Result: Rejected Permanent, Source: Service User
F: Reason: Called AE Title Not Recognized
I: Requesting Association
I: Association Accepted (Max Send PDV: 16372)
I: Sending Store Request (MsgID 1, MR)
I: Received Store Response (Refused: OutOfResources)
I: Releasing Association
I: Requesting Association
I: Releasing Association
"""


def test_the_command_on_a_log(tmp_path):
    path = tmp_path / "a.log"
    path.write_text(LOG)
    done = command("explain", path)
    assert done.returncode == 1
    assert done.stdout.count("\n\n") == 3
    assert "trouble   C-STORE was answered with status 0xA700" in done.stdout
    assert "rejected by the acceptor" in done.stdout
    assert "3 associations, 2 with trouble; 11 lines, 0 not understood" in done.stderr
    rows = [
        json.loads(line)
        for line in command("explain", path, "--json", "--failed").stdout.splitlines()
    ]
    assert [row["outcome"] for row in rows] == ["rejected", "released"]
    assert rows[0]["codes"] == [1, 1, 7]
    assert rows[1]["statuses"] == [{"message": "C-STORE-RSP", "status": "0xA700", "count": 1}]
    path.write_text("".join(LOG.splitlines(keepends=True)[-2:]))
    assert "released by the requestor" in works("explain", path).stdout
    path.write_text("nothing to see\n")
    assert "was the log verbose" in works("explain", path).stderr


def test_the_command_on_stdin():
    done = subprocess.run(
        [sys.executable, "-m", "dicomloom", "explain", "-", "--json"],
        input=LOG.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (None, 60),
        (lambda it: it.until_closed(), 61),
        (lambda it: it.read_pdu() and it.send(reject(1, 1, 1)), 63),
        (lambda it: it.read_pdu() and it.send(abort(0, 0)), 64),
        (lambda it: it.read_pdu() and it.send(accept(results=((1, 3),))), 65),
    ],
)
def test_the_command_on_a_node(talk, code):
    with fake(talk) as port:
        where = f"PEER@127.0.0.1:{port if talk else free_port()}"
        done = command("explain", where, "--timeout", "0.4", "--json")
        text = command("explain", where, "--timeout", "0.4", "--no-other-titles")
    assert (done.returncode, text.returncode) == (code, code)
    found = json.loads(done.stdout)
    assert found["steps"][0]["name"] == "name"
    assert found["trouble"] in text.stdout
    assert "\ntry           " in text.stdout


def test_the_command_on_a_node_that_is_well(tmp_path):
    with storescp(tmp_path) as port:
        lines = works("explain", f"PEER@127.0.0.1:{port}").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "ok"] for name, _ in WELL]


def test_a_peer_that_swallows_connections():
    """A full backlog: no answer to SYN; the time-out holds."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            waiting.append(client)
        found = explain(node(port, timeout=0.3))
        for client in waiting:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    assert steps(found)[-1][1] is False
    assert isinstance(found.error, dicomloom.TimeoutExpired)


def test_the_example_of_the_documentation(tmp_path):
    out = run_page("network.md", "sh", tmp_path)
    text, _, row = out.rstrip().rpartition("\n")
    assert "rejected by the acceptor" in text
    assert json.loads(row)["codes"] == [1, 1, 3]
    assert json.loads(row)["hint"] in text
