"""dicomloom send, as a shell sees it."""

import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt

import dicomloom
from dicomloom import Node
from find_peers import TEST_FILES
from network_peers import free_port, storescp
from pages import section
from shell import command, fails, works


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.fixture
def images(tmp_path, corpus):
    """Two objects, and what is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(corpus / TEST_FILES / name, folder)
    (folder / "notes.txt").write_text("no DICOM")
    return folder


@pytest.fixture
def peer(tmp_path):
    (tmp_path / "out").mkdir()
    with storescp(tmp_path / "out") as port:
        yield f"PEER@127.0.0.1:{port}"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder(tmp_path, peer, images):
    done = works("send", peer, images)
    assert done.stdout == ""
    assert done.stderr.startswith(f"2 of 2 objects sent to {peer}; ")
    assert len([*(tmp_path / "out").iterdir()]) == 2


def test_json(peer, images):
    broken = images / "broken.dcm"
    broken.write_bytes((images / "CT_small.dcm").read_bytes()[:3000])
    done = command("send", peer, images, "--json", "-j", "2")
    assert done.returncode == 1
    told = {row["path"]: row for row in lines(done.stdout)}
    assert len(told) == 3
    ct = told[str(images / "CT_small.dcm")]
    assert (ct["outcome"], ct["status"], ct["meaning"]) == ("sent", 0, "Success")
    assert ct["SOPInstanceUID"] == dcmread(images / "CT_small.dcm").SOPInstanceUID
    failed = told[str(broken)]
    assert (failed["outcome"], failed["status"]) == ("failed", None)
    assert failed["reason"].startswith("truncated in")
    assert "2 of 3 objects sent" in done.stderr
    assert "1 failed" in done.stderr


def test_what_failed_is_a_line(peer, images):
    (images / "broken.dcm").write_bytes((images / "CT_small.dcm").read_bytes()[:3000])
    done = command("send", peer, images)
    assert f"{images / 'broken.dcm'}: failed: truncated in" in done.stderr


def test_an_index(tmp_path, peer, images):
    table = tmp_path / "index.csv"
    command("index", images, "-o", table)
    assert "2 of 2 objects" in works("send", peer, "--index", table).stderr


def test_a_report_is_gone_on_with(tmp_path, peer, images):
    report = tmp_path / "sent.jsonl"
    works("send", peer, images / "CT_small.dcm", "--report", report)
    done = works("send", peer, images, "--report", report)
    assert "1 of 1 objects" in done.stderr
    assert "1 were there already" in done.stderr
    done = works("send", peer, images, "--report", report)
    assert "0 of 0 objects" in done.stderr
    assert "2 were there already" in done.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_commitment(tmp_path, images, as_json):
    more = ["--json"] if as_json else []
    with dicomloom.serve(tmp_path / "archive", port=0, ae_title="PEER") as server:
        node = f"PEER@127.0.0.1:{server.port}"
        done = works("send", node, images, "--commit", *more)
    assert f"{node}: 2 committed, 0 failed, 0 pending" in done.stderr
    if as_json:
        *objects, told = lines(done.stdout)
        assert len(objects) == 2
        assert told["commitment"]["complete"] is True
    else:
        assert done.stdout == ""


def test_commitment_that_is_not_given(peer, images):
    done = command("send", peer, images, "--commit")
    assert done.returncode == 1
    assert "2 of 2 objects sent" in done.stderr
    assert "0 committed, 0 failed, 2 pending" in done.stderr
    assert done.stderr.count("\npending  ") == 2


def test_a_state_file_that_is_there_stops_it_at_once(tmp_path, peer, images):
    (tmp_path / "state").write_text("")
    state = ["--commit", "--commit-state", tmp_path / "state"]
    fails(2, "send", peer, images, *state, says="is there already")
    assert [*(tmp_path / "out").iterdir()] == []


@contextlib.contextmanager
def scp(contexts, status):
    """pynetdicom's store SCP, which answers always the same."""
    entity = AE("PEER")
    entity.supported_contexts = contexts
    handlers = [(evt.EVT_C_STORE, lambda event: status)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield f"PEER@127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def test_a_peer_that_takes_nothing_gives_the_exit_code_of_the_first_failure(tmp_path, images):
    fails(60, "send", f"PEER@127.0.0.1:{free_port()}", images, "--retries", "0", says="refused")
    (tmp_path / "out").mkdir()
    with storescp(tmp_path / "out", "--refuse") as port:
        fails(63, "send", f"PEER@127.0.0.1:{port}", images, says="rejected")
    with scp([build_context("1.2.840.10008.1.1")], 0) as node:
        assert command("send", node, images).returncode == 65
    with scp(AllStoragePresentationContexts, 0xA900) as node:
        done = command("send", node, images)
    assert done.returncode == 66
    assert done.stderr.count("failed: status 0xA900, Error: Data Set does not match") == 2
    assert command("send", node, images / "notes.txt").returncode == 20


def test_the_example_of_the_documentation(tmp_path, monkeypatch, capsys, peer, images):
    images.rename(tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(
        f'[nodes.pacs]\nae_title = "PEER"\nhost = "127.0.0.1"\nport = {Node(peer).port}\n'
    )
    monkeypatch.setenv("DICOMLOOM_CONFIG", "c.toml")
    (example,) = re.findall(r"```python\n(.*?)```", section("network.md", "Send"), re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out == "2 0 0\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to send"),
        (["a.dcm", "--retries", "-1"], "retries"),
        (["a.dcm", "-j", "0"], "at least 1"),
        (["a.dcm", "-j", "65"], "jobs"),
        (["a.dcm", "--commit", "--commit-wait", "-1"], "wait"),
        (["a.dcm", "--commit", "--commit-listen", "here"], "ADDRESS:PORT"),
    ],
    ids=str,
)
def test_usage(arguments, says):
    fails(2, "send", "PEER@127.0.0.1:1", *arguments, says=says)
