"""dicomloom nodes and echo, as a shell sees them."""

import json
import logging
import re
import socket
from pathlib import Path

import pytest

from dicomloom import errors
from dicomloom.cli.main import EXIT_NETWORK
from network_peers import (
    RELEASE_RP,
    abort,
    accept,
    certificate,
    echo_response,
    fake,
    free_port,
    reject,
    request_of,
    storescp,
)
from shell import command, fails, works


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


def good(peer):
    request = peer.accept()
    peer.read_pdu()
    peer.send(echo_response(0))
    peer.read_pdu()
    peer.send(RELEASE_RP)
    return request


def write(path, port, more=""):
    path.write_text(
        f'[nodes.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
        f'calling_ae_title = "ME"\ntimeout = 5\nusername = "me"\npasscode = "secret"\n{more}'
    )
    return path


def test_echo(tmp_path):
    with storescp(tmp_path, "-aet", "STORE") as port:
        done = works("echo", f"STORE@127.0.0.1:{port}", "--count", "2")
        assert f"STORE@127.0.0.1:{port}" in done.stdout
        assert "2 of 2" in done.stdout
        assert "OFFIS_DCMTK" in done.stdout
        assert not done.stderr
        said = json.loads(works("echo", f"STORE@127.0.0.1:{port}", "--json").stdout)
    assert (said["node"], len(said["seconds"])) == (f"STORE@127.0.0.1:{port}", 1)
    assert said["max_pdu_received"] == 131072
    assert said["tls"] is None


def test_echo_over_tls(tmp_path):
    cert, key = certificate(tmp_path, "server")
    with storescp(tmp_path, "+tls", key, cert, "--ignore-peer-cert") as port:
        # Any --tls-OPTION turns TLS on.
        said = works("echo", f"S@127.0.0.1:{port}", "--tls-ca", cert, "--json").stdout
        assert json.loads(said)["tls"][0].startswith("TLSv1.")
        fails(62, "echo", f"S@127.0.0.1:{port}", "--tls", says="--tls-ca")
        more = f'tls = true\ntls_ca = "{cert.name}"\n'
        config = write(tmp_path / "c.toml", port, more)
        assert "TLSv1." in works("echo", "pacs", "--config", config).stdout
        fails(60, "echo", "pacs", "--config", config, "--no-tls", says="TLS")


def test_flags_win_over_the_file(tmp_path):
    seen = []
    with fake(good, seen) as port:
        config = write(tmp_path / "c.toml", port)
        works("echo", "pacs", "--config", config)
        works("echo", "pacs", "--config", config, "--calling-ae", "YOU", "--max-pdu", "256KiB")
    first, second = map(request_of, seen)
    assert (first["called"], first["calling"]) == (b"PACS".ljust(16), b"ME".ljust(16))
    assert first[0x58] == [b"\2\0\0\2me\0\6secret"]
    assert second["calling"] == b"YOU".ljust(16)
    assert second[0x51] == [(256 << 10).to_bytes(4, "big")]


def test_the_timeout_of_the_command_line_wins_over_all_of_the_file(tmp_path):
    with fake(lambda peer: peer.until_closed()) as port:
        config = write(tmp_path / "c.toml", port, "acse_timeout = 60\n")
        fails(61, "echo", "pacs", "--config", config, "--timeout", "0.2", says="within 0.2 s")


ENDS = {
    "refused": (60, None),
    "http": (60, lambda peer: peer.read_pdu() and peer.send(b"HTTP/1.0 400\r\n")),
    "silent": (61, lambda peer: peer.until_closed()),
    "rejected": (63, lambda peer: peer.read_pdu() and peer.send(reject(1, 1, 7))),
    "aborted": (64, lambda peer: peer.read_pdu() and peer.send(abort(0, 0))),
    "no context": (65, lambda peer: peer.read_pdu() and peer.send(accept(results=((1, 3),)))),
    "status": (
        66,
        lambda peer: peer.accept() and peer.read_pdu() and peer.send(echo_response(0x122)),
    ),
    "broken": (67, lambda peer: peer.read_pdu() and peer.send(b"\2\0\xff\xff\xff\xff")),
}


@pytest.mark.parametrize(("code", "talk"), ENDS.values(), ids=ENDS.keys())
def test_exit_codes(code, talk):
    with fake(talk) as port:
        where = f"PEER@127.0.0.1:{port if talk else free_port()}"
        done = fails(code, "echo", where, "--timeout", "0.5", "--json", says="dicomloom: PEER@")
    assert done.stderr.count("\n") == 1
    assert "; " in done.stderr


def test_the_documentation_has_the_codes():
    text = (Path(__file__).parents[2] / "docs" / "network.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert {name: int(code) for name, code in rows} == EXIT_NETWORK


def test_every_class_has_its_code():
    def all_of(kind):
        return {kind.__name__}.union(*map(all_of, kind.__subclasses__()))

    assert set(EXIT_NETWORK) == all_of(errors.NetworkError)
    assert len(set(EXIT_NETWORK.values())) == len(EXIT_NETWORK)
    assert all(60 <= code <= 79 for code in EXIT_NETWORK.values())


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (2, [], "NODE"),
        (2, ["pacs"], "neither AET@host:port nor a node"),
        (2, ["PACS@host"], "AET@host:port"),
        (2, ["A\\B@host:104"], "AE title"),
        (2, ["PACS@127.0.0.1:1", "--calling-ae", "X" * 17], "calling AE title"),
        (2, ["PACS@127.0.0.1:1", "--timeout", "0"], "timeout"),
        (2, ["PACS@127.0.0.1:1", "--count", "0"], "at least 1"),
        (2, ["PACS@127.0.0.1:1", "--max-pdu", "1GiB"], "max_pdu"),
        (2, ["PACS@127.0.0.1:1", "--tls-ca", "absent.pem"], "absent.pem: tls_ca: No such file"),
        (2, ["PACS@127.0.0.1:1", "--no-tls", "--tls-ca", "absent.pem"], "tls is not on"),
        (2, ["PACS@127.0.0.1:1", "--tls-key", "k.pem"], "tls_cert"),
        (20, ["pacs", "--config", "absent.toml"], "absent.toml: cannot read the configuration"),
    ],
)
def test_what_is_asked_wrongly(code, arguments, says):
    fails(code, "echo", *arguments, says=says)


def test_the_log(tmp_path):
    before = [logging.getLogger(name).handlers[:] for name in ("pynetdicom", "dicomloom")]
    with fake(good) as port:
        config = write(tmp_path / "c.toml", port)
        done = works("echo", "pacs", "--config", config, "--log-level", "debug", "--json")
        assert json.loads(done.stdout)
        assert "I: Association Accepted" in done.stderr
        assert "Username: [me]" in done.stderr
        assert "secret" not in done.stderr
        done = works("echo", "pacs", "--config", config, "--log-level", "info")
        assert "I: Association Accepted" in done.stderr
        assert "D: " not in done.stderr
        assert not works("echo", "pacs", "--config", config).stderr
    after = [logging.getLogger(name).handlers for name in ("pynetdicom", "dicomloom")]
    assert before == after
    assert logging.getLogger("pynetdicom").level == logging.NOTSET


def test_nodes(tmp_path):
    config = write(tmp_path / "c.toml", 104)
    done = works("nodes", "--config", config)
    head, line = done.stdout.splitlines()
    assert head.split() == ["NAME", "NODE", "CALLING", "TLS", "USER", "FILE"]
    assert line.split() == ["pacs", "PACS@127.0.0.1:104", "ME", "no", "me", str(config)]
    (node,) = json.loads(works("nodes", "--config", config, "--json").stdout)
    assert (node["name"], node["ae_title"], node["port"]) == ("pacs", "PACS", 104)
    assert node["origin"] == str(config)
    assert "secret" not in works("nodes", "--config", config, "--json").stdout + done.stdout


def test_no_nodes(tmp_path):
    done = works("nodes")
    assert not done.stdout
    assert "user/dicomloom/config.toml" in done.stderr
    assert works("nodes", "--json").stdout == "[]\n"


def test_a_configuration_that_is_wrong(tmp_path):
    config = write(tmp_path / "c.toml", 104, "tims = 1")
    fails(2, "nodes", "--config", config, says=f"{config}: [nodes.pacs]: unknown key 'tims'")


def test_the_example_of_the_help_works(tmp_path):
    """`dicomloom nodes --help` shows a table: it must be one."""
    text = command("nodes", "--help").stdout
    lines = [line[2:] for line in text.splitlines() if line.startswith("  ")]
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("[nodes")) :]
    (tmp_path / "c.toml").write_text("\n".join(table))
    (node,) = json.loads(works("nodes", "--json", "--config", tmp_path / "c.toml").stdout)
    assert (node["ae_title"], node["tls"], node["username"]) == ("PACS", True, "me")


def test_ctrl_c_leaves_nothing(tmp_path):
    """The process ends at once with 130, whatever it waits for."""
    import signal
    import subprocess
    import sys

    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"PEER@127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "dicomloom", "echo", where], stderr=subprocess.PIPE
        )
        connection, _ = server.accept()
        with connection:
            assert connection.recv(6)[0] == 1
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, b"dicomloom: interrupted\n")
