"""`dicomloom serve`: what it prints, and how it ends."""

import json
import os
import signal
import subprocess
import sys

import pytest

import dicomloom
from network_peers import free_port
from serve_peers import Raw
from shell import command


@pytest.fixture
def start(tmp_path):
    running = []

    def run(*arguments, env=None):
        given = [sys.executable, "-m", "dicomloom", "serve", str(tmp_path / "held"), *arguments]
        process = subprocess.Popen(
            given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_lines_and_a_clean_end(start, number):
    process = start("--port", "0", "--json", "--ae-title", "ME")
    first = json.loads(process.stdout.readline())
    assert (first["event"], first["ae_title"], first["hosts"]) == ("listening", "ME", ["127.0.0.1"])
    dicomloom.echo(f"ME@127.0.0.1:{first['port']}")
    told = json.loads(process.stdout.readline())
    assert (told["event"], told["ending"], told["requests"]) == (
        "association",
        "released",
        {"C-ECHO": 1},
    )
    with Raw(first["port"]) as raw:
        raw.associate()
        process.send_signal(number)
        assert raw.read_pdu()[0] == 7
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert json.loads(out)["reason"] == "this server was closed"


def test_lines_for_people(start):
    port = free_port()
    process = start("--port", str(port), "--strict-called-ae")
    assert process.stderr.readline() == (
        f"dicomloom serve: DICOMLOOM listens at 127.0.0.1, port {port}\n"
    )
    with pytest.raises(dicomloom.AssociationRejected):
        dicomloom.echo(f"OTHER@127.0.0.1:{port}")
    assert 'rejected (it called "OTHER"): ' in process.stderr.readline()
    with Raw(port) as raw:
        raw.send(b"GET / HTTP/1.0\r\n\r\n")
        raw.until_closed()
    assert "closed (the peer speaks HTTP" in process.stderr.readline()


def test_nodes_of_the_configuration_are_destinations(start, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[nodes.viewer]\nae_title = "V"\nhost = "127.0.0.1"\nport = 104\n')
    environment = os.environ | {"DICOMLOOM_CONFIG": str(config)}
    process = start("--port", "0", "--json", "--node", "viewer", env=environment)
    assert json.loads(process.stdout.readline())["event"] == "listening"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--allow-from", "nowhere"], 2, "no address and no network"),
        (["--node", "nobody"], 2, "nobody"),
        (["--ae-title", "x" * 17], 2, "AE title"),
        (["--tls-cert", "/nonexistent"], 2, "tls_cert"),
        (["--duplicates", "all"], 2, "invalid choice"),
        (["--host", "203.0.113.1"], 60, "cannot listen at 203.0.113.1"),
    ],
)
def test_exit_codes(tmp_path, arguments, code, said):
    done = command("serve", tmp_path / "held", "--port", "0", *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    done = command("serve", tmp_path / "file", "--port", "0")
    assert done.returncode == 40
    assert "Traceback" not in done.stderr
