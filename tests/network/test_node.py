"""Nodes as people write them, and nodes by name."""

import pickle
import re
from pathlib import Path

import pytest

from dicomloom import Node, NodeError, ReadError
from dicomloom.network.config import nodes
from dicomloom.network.node import read_listen


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("PACS@host:11112", ("PACS", "host", 11112)),
        ("PACS@[::1]:104", ("PACS", "::1", 104)),
        ("A B@10.0.0.1:1", ("A B", "10.0.0.1", 1)),
        ("me@home@pacs.example.org:65535", ("me@home", "pacs.example.org", 65535)),
        (" PACS @host:104", ("PACS", "host", 104)),
        ("PACS@[fe80::1%eth0]:104", ("PACS", "fe80::1%eth0", 104)),
    ],
)
def test_addresses(text, parts):
    node = Node(text)
    assert (node.ae_title, node.host, node.port) == parts
    assert Node(str(node)) == node
    assert pickle.loads(pickle.dumps(node)) == node


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PACS", "AET@host:port"),
        ("", "AET@host:port"),
        ("PACS@host", "AET@host:port"),
        ("PACS@host:", "AET@host:port"),
        ("PACS@::1:104", "AET@host:port"),
        ("PACS@ho st:104", "AET@host:port"),
        ("PACS@http://host:104", "AET@host:port"),
        ("PACS@host:104\n", "AET@host:port"),
        ("PACS@host:0", "found 0"),
        ("PACS@host:65536", "65536"),
        ("PACS@host:99999999", "AET@host:port"),
        ("PACS@host:\u0661\u0660\u0664", "AET@host:port"),
        ("@host:104", "AE title"),
        ("   @host:104", "not only spaces"),
        ("SEVENTEENLETTERS_@host:104", "1 to 16"),
        ("A\\B@host:104", "backslash"),
        ("A\nB@host:104", "control"),
        ("Ä@host:104", "ASCII"),
    ],
)
def test_what_is_no_address(text, says):
    with pytest.raises(NodeError, match=says):
        Node(text)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"calling_ae_title": ""}, "calling AE title"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"acse_timeout": -1}, "acse_timeout"),
        ({"max_pdu": 4095}, "max_pdu"),
        ({"max_pdu": 1 << 31}, "max_pdu"),
        ({"tls_ca": "ca.pem"}, "tls is not on"),
        ({"tls": True, "tls_key": "k.pem"}, "tls_cert"),
        ({"tls": True, "tls_pin": "12:34"}, "fingerprint"),
        ({"passcode": "x"}, "no username"),
        ({"username": ""}, "username"),
        ({"username": "x" * 65536}, "username"),
    ],
)
def test_fields_that_make_no_sense(fields, says):
    with pytest.raises(NodeError, match=says):
        Node("PACS@host:104", **fields)


def test_time_outs_and_replacing():
    node = Node("PACS@host:104", timeout=5, dimse_timeout=60)
    assert [node.wait(step) for step in ("connect", "acse", "dimse")] == [5, 5, 60]
    other = node.replace(timeout=1, calling_ae_title="ME")
    assert (other.ae_title, other.timeout, other.calling_ae_title) == ("PACS", 1, "ME")
    assert node.timeout == 5


def test_a_passcode_is_not_shown():
    node = Node("PACS@host:104", username="me", passcode="secret")
    assert "me" in repr(node)
    assert "secret" not in repr(node) + str(node)


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return str(path)


TABLE = '[nodes.{}]\nae_title = "{}"\nhost = "host"\nport = 104\n'


def test_which_file_counts(monkeypatch, tmp_path):
    assert nodes() == {}
    user = write(tmp_path / "user" / "dicomloom" / "config.toml", TABLE.format("pacs", "USER"))
    assert (Node.of("pacs").ae_title, Node.of("pacs").origin) == ("USER", user)
    environment = write(tmp_path / "env.toml", TABLE.format("pacs", "ENV"))
    monkeypatch.setenv("DICOMLOOM_CONFIG", environment)
    assert (Node.of("pacs").ae_title, Node.of("pacs").origin) == ("ENV", environment)
    given = write(tmp_path / "given.toml", TABLE.format("pacs", "GIVEN"))
    assert Node.of("pacs", given).ae_title == "GIVEN"
    assert Node.of("X@y:1", given).ae_title == "X"
    monkeypatch.setenv("DICOMLOOM_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(ReadError, match="absent.toml"):
        nodes()


def test_all_keys(tmp_path):
    path = write(
        tmp_path / "site" / "c.toml",
        TABLE.format("pacs", "PACS").replace('"host"', '"::1"')
        + 'calling_ae_title = "ME"\ntimeout = 5\nconnect_timeout = 1.5\nacse_timeout = 2\n'
        "dimse_timeout = 3\nidle_timeout = 4\nmax_pdu = 262144\ntls = true\n"
        'tls_ca = "ca.pem"\ntls_cert = "/c.pem"\ntls_key = "k.pem"\n'
        f'tls_pin = "{"AB:" * 31}AB"\ntls_check_hostname = false\n'
        'username = "me"\npasscode = "secret"\n',
    )
    node = Node.of("pacs", path)
    assert str(node) == "PACS@[::1]:104"
    assert (node.name, node.calling_ae_title, node.max_pdu) == ("pacs", "ME", 262144)
    assert [node.wait(step) for step in ("connect", "acse", "dimse")] == [1.5, 2, 3]
    assert (node.tls, node.tls_check_hostname, node.tls_pin) == (True, False, "ab" * 32)
    folder = str(tmp_path / "site")
    assert (node.tls_ca, node.tls_cert) == (f"{folder}/ca.pem", "/c.pem")
    assert (node.tls_key, node.passcode) == (f"{folder}/k.pem", "secret")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nodes = 1", "expected tables"),
        ("node = 1", "unknown key 'node'"),
        ("[nodes]\npacs = 1", r"\[nodes.pacs\]: expected a table"),
        ("[nodes.pacs]\n", "ae_title is missing"),
        ('[nodes.pacs]\nae_title = "A"\nhost = "h"\n', "port is missing"),
        (TABLE.format("pacs", "A") + "time_out = 1", "'time_out'; did you mean timeout"),
        (TABLE.format("pacs", "A") + "timeout = '1'", "timeout: expected a number, found a string"),
        (TABLE.format("pacs", "A") + "timeout = true", "timeout: expected a number, found true or"),
        (TABLE.format("pacs", "A") + "tls = 1", "tls: expected true or false, found a whole"),
        (
            TABLE.format("pacs", "A") + "max_pdu = 1e6",
            "max_pdu: expected a whole number, found a n",
        ),
        (TABLE.format("pacs", "A") + "username = []", "username: expected a string, found an arr"),
        (TABLE.format("pacs", "A") + "tls_ca = 'x'", r"\[nodes.pacs\]: tls_ca .* tls is not on"),
        (TABLE.format("pacs", "A") + "origin = 'x'", "unknown key 'origin'"),
        (TABLE.format("pacs", "A\\\\B"), r"\[nodes.pacs\]: .* no called AE title"),
        (TABLE.format('"a@b"', "A"), "without @"),
        ("[nodes.pacs", "expected TOML"),
        ("x = " + "[" * 100_000, "expected TOML"),
        ("\0", "expected TOML"),
        ("#" * (1 << 20) + "#", "at most"),
    ],
)
def test_a_configuration_that_is_wrong(tmp_path, text, says):
    path = write(tmp_path / "c.toml", text)
    with pytest.raises(NodeError, match=says) as caught:
        Node.of("pacs", path)
    assert caught.value.path == path


def test_bytes_that_are_no_utf8(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xff")
    with pytest.raises(NodeError, match="expected TOML"):
        nodes(str(tmp_path / "c.toml"))


def test_the_example_of_the_documentation_works(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "network.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    node = Node.of("pacs", write(tmp_path / "c.toml", example))
    assert (str(node), node.tls) == ("PACS@pacs.example.org:2762", True)
    defaults = Node("A@b:1")
    assert (node.timeout, node.idle_timeout) == (defaults.timeout, defaults.idle_timeout)
    assert node.max_pdu == defaults.max_pdu


def test_an_unknown_name(tmp_path):
    path = write(tmp_path / "c.toml", TABLE.format("pacs", "A") + TABLE.format("archive", "B"))
    with pytest.raises(NodeError, match="did you mean archive"):
        Node.of("archives", path)
    with pytest.raises(NodeError, match="which has pacs, archive"):
        Node.of("xyz", path)
    with pytest.raises(NodeError, match="which has none"):
        Node.of("pacs")


@pytest.mark.parametrize("text", ["", "here", "1:2:3", "::1:104", "a:70000", "[::1]", "x y:1"])
def test_addresses_to_listen_at_that_are_none(text):
    with pytest.raises(NodeError, match="ADDRESS:PORT"):
        read_listen(text)
