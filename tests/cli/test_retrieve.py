"""`dicomloom retrieve`."""

import json
import re

import pytest

import dicomloom
from find_peers import archive
from network_peers import free_port
from pages import section
from retrieve_peers import data_sets, give, last, object_of, pynetdicom_scp, retrieved_from
from shell import command, fails, works

UIDS = ["1.2.5", "1.2.6", "1.2.7"]
KEY = ("-k", "StudyInstanceUID=1.2.3")


@pytest.fixture(scope="module")
def listen():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def node(listen):
    port = int(listen.rpartition(":")[2])
    with pynetdicom_scp(data_sets(*UIDS), port) as port:
        yield f"ARCHIVE@127.0.0.1:{port}"


def stems(folder):
    return sorted(path.stem for path in folder.rglob("*") if path.is_file())


def test_a_study(node, tmp_path):
    done = works("retrieve", node, *KEY, "-d", tmp_path)
    assert not done.stdout
    assert f"3 objects came from {node}; 0.0 MB in " in done.stderr
    assert stems(tmp_path) == UIDS


def test_json_lines(node, tmp_path):
    done = works("retrieve", node, *KEY, "-d", tmp_path, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["SOPInstanceUID"] for line in lines) == UIDS
    assert {line["event"] for line in lines} == {"arrived"}
    for line in lines:
        assert dicomloom.read_tags(line["path"], "SOPInstanceUID") == {
            "SOPInstanceUID": line["SOPInstanceUID"]
        }


def test_options_reach_the_call(node, listen, tmp_path):
    given = ("--method", "move", "--listen", listen, "--layout", "x/{SOPInstanceUID}.dcm")
    more = ("-L", "IMAGE", "-k", "SOPInstanceUID=1.2.6", "--root", "study")
    for existing in ("keep", "version"):
        works("retrieve", node, *KEY, "-d", tmp_path, *given, *more, "--existing", existing)
    assert stems(tmp_path / "x") == ["1.2.6", "1.2.6-1"]


def test_a_dry_run_brings_nothing(node, tmp_path):
    done = works("retrieve", node, *KEY, "-d", tmp_path / "a", "--dry-run")
    assert done.stdout == "STUDY\t1.2.3\t3\n"
    done = works(
        "retrieve", node, *KEY, "-d", tmp_path / "a", "--dry-run", "--json", "-L", "SERIES"
    )
    assert json.loads(done.stdout) == {
        "event": "wanted",
        "level": "SERIES",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.4",
        "instances": 3,
    }
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=str)
def test_nothing_matches(node, tmp_path, more):
    done = fails(1, "retrieve", node, "-k", "StudyInstanceUID=9.9", "-d", tmp_path, *more)
    assert done.stderr == f"nothing at {node} matches\n"


def test_what_is_missing_is_told(tmp_path):
    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")), ("1.2.9", object_of(None)))
        conversation.send(last(0xB000, completed=2, failed=1, uids=["1.2.6"]))

    keys = (*KEY, "-k", "SeriesInstanceUID=1.2.4", "-k", "SOPInstanceUID=1.2.5\\1.2.6\\1.2.7")
    with retrieved_from(script) as port:
        where = f"PEER@127.0.0.1:{port}"
        done = command("retrieve", where, *keys, "-d", tmp_path, "--json")
    assert done.returncode == 1
    assert done.stderr.splitlines()[:4] == [
        "1.2.6: failed: status 0xB000, Warning: Sub-operations complete, one or more failures",
        "1.2.7: missing",
        "1.2.9: unexpected",
        "1.2.9: warned: its data set has no SOP Instance UID",
    ]
    assert "2 objects came" in done.stderr
    assert "1 failed, 1 are missing" in done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["arrived", "arrived", "failed", "missing", "unexpected", "warned"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("-k", "NoSuch=1"), 2, "NoSuch"),
        ((), 2, "expected a key with a value"),
        ((*KEY, "--layout", "/a"), 2, "layout"),
        ((*KEY, "--listen", "x:y"), 2, "ADDRESS:PORT"),
        ((*KEY, "-L", "STUDY", "-k", "Modality=CT"), 2, "Modality"),
        (KEY, 60, "refused"),
    ],
    ids=str,
)
def test_exit_codes(tmp_path, arguments, code, says):
    done = command("retrieve", "PACS@127.0.0.1:1", "-d", tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "matches" not in done.stderr


def test_a_folder_that_cannot_be(node, tmp_path):
    (tmp_path / "file").touch()
    fails(40, "retrieve", node, *KEY, "-d", tmp_path / "file")


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_the_page(corpus, tmp_path, monkeypatch, capsys):
    """The commands and the example of docs/network.md."""
    text = section("network.md", "Retrieve")
    (tmp_path / "archive").mkdir()
    with archive(tmp_path / "archive", corpus) as port:
        (tmp_path / "c.toml").write_text(
            f'[nodes.pacs]\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {port}\n'
        )
        monkeypatch.setenv("DICOMLOOM_CONFIG", str(tmp_path / "c.toml"))
        monkeypatch.chdir(tmp_path)
        commands = re.findall(r"^    dicomloom (.*)$", text, re.MULTILINE)
        assert len(commands) == 3
        for line in commands:
            works(*(word.strip("'") for word in line.split()))
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        exec(example, {})
    printed = capsys.readouterr().out
    assert "True 17 [] [] 0" in printed
    assert "1.2.840.10008.1.2.1 " in printed
    assert len(stems(tmp_path / "out")) == 1
