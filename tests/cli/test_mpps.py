"""dicomloom mpps, as a shell sees it."""

import json
import re
import shutil

import pytest
from pydicom import Dataset

from dicomloom import DicomloomWarning
from find_peers import step
from mpps_peers import ris, status
from network_peers import free_port
from pages import section
from shell import fails, works

SERIES = "PerformedSeriesSequence"
TEST_FILES = "pydicom__pydicom/src/pydicom/data/test_files"


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.fixture
def item(tmp_path):
    (tmp_path / "item.json").write_text(step(1).to_json())
    return tmp_path / "item.json"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "step.mpps"


def node(port):
    return f"RIS@127.0.0.1:{port}"


def test_from_the_worklist_to_the_end(tmp_path, corpus, item, state):
    folder = tmp_path / "objects"
    shutil.copytree(corpus / TEST_FILES / "dicomdirtests/98892003/MR700", folder)
    (folder / "notes.txt").write_text("not an object, which is left out")
    shutil.copy(corpus / TEST_FILES / "dicomdirtests/DICOMDIR", folder)
    with ris() as (port, seen):
        done = works("mpps", "start", node(port), item, "PerformedLocation=ROOM1", "--state", state)
        assert seen[0].uid in done.stdout
        assert "IN PROGRESS" in done.stdout
        fails(2, "mpps", "start", node(port), item, "--state", state, says="IN PROGRESS")
        arguments = [folder, "--set", "PerformedProcedureStepDescription=Head", "--json"]
        done = works("mpps", "complete", node(port), "--state", state, *arguments)
        told = json.loads(done.stdout)
        assert (told["state"], told["uid"]) == ("COMPLETED", seen[0].uid)
        assert "notes.txt: left out" in done.stderr
        assert "not that of the step" in done.stderr
        for action in ("start", "complete", "discontinue"):
            fails(2, "mpps", action, node(port), "--state", state, says="COMPLETED")
    created, ended = seen
    assert created.data.PerformedLocation == "ROOM1"
    assert created.data.PatientName == "M\u00fcller^1"
    assert ended.data.PerformedProcedureStepDescription == "Head"
    (series,) = ended.data[SERIES].value
    assert len(series.ReferencedImageSequence) == sum(
        1 for path in folder.iterdir() if path.name not in ("notes.txt", "DICOMDIR")
    )
    shown = works("mpps", "show", "--state", state).stdout
    assert [line.split()[-1] for line in shown.splitlines()][:2] == [seen[0].uid, "COMPLETED"]
    attributes = Dataset.from_json(
        json.loads(works("mpps", "show", "--state", state, "--json").stdout)["attributes"]
    )
    assert attributes.PerformedProcedureStepStatus == "COMPLETED"


def test_a_step_that_nobody_scheduled_is_discontinued(state):
    with ris() as (port, seen):
        works("mpps", "start", node(port), "Modality=OP", "PatientID=7", "--state", state)
        arguments = ["--state", state, "--reason", "110514"]
        fails(2, "mpps", "complete", node(port), *arguments, says="--reason")
        fails(2, "mpps", "discontinue", node(port), *arguments[:3], "1", says="CID 9300")
        works("mpps", "discontinue", node(port), *arguments)
    ended = seen[1].data
    assert ended.PerformedProcedureStepStatus == "DISCONTINUED"
    (reason,) = ended.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert reason.CodeMeaning == "Incorrect worklist entry selected"


def test_what_was_cut_off_is_taken_up(state):
    def leave(event):
        event.assoc.dul.socket.close()

    start = ["mpps", "start"], ["Modality=OP", "--state", state]
    with ris(talk=leave) as (port, first):
        fails(60, *start[0], node(port), *start[1], says="closed")
    assert "CREATING" in works("mpps", "show", "--state", state).stdout
    with ris([0x0111]) as (port, second):
        done = works(*start[0], node(port), *start[1])
    assert "takes up the start" in done.stderr
    assert first[0].uid == second[0].uid
    with ris(talk=leave) as (port, first):
        fails(60, "mpps", "complete", node(port), "--state", state, says="made no objects")
    with ris([status(0x0110, error_id=0xA710)]) as (port, second):
        done = works("mpps", "complete", node(port), "--state", state)
    assert "takes up the end" in done.stderr
    assert first[0].data == second[0].data


def test_failures(tmp_path, corpus, item, state):
    fails(60, "mpps", "start", node(free_port()), item, "--state", state, says="refused")
    fails(2, "mpps", "complete", node(free_port()), "--state", state, says="is NEW")
    with ris([0x0120]) as (port, seen):
        fails(66, "mpps", "start", node(port), "--state", state, says="Missing attribute")
        works("mpps", "start", node(port), "--state", state)
        broken = tmp_path / "objects" / "broken.dcm"
        broken.parent.mkdir()
        broken.write_bytes((corpus / TEST_FILES / "CT_small.dcm").read_bytes()[:500])
        arguments = ["mpps", "complete", node(port), "--state", state]
        for path in (broken, broken.parent, tmp_path / "none", item):
            fails(20, *arguments, path, says=path.name)
        broken.unlink()
        fails(2, *arguments, broken.parent, says="no object")
        assert len(seen) == 2
    state.write_text("{}")
    fails(20, "mpps", "show", "--state", state, says="no state of a performed procedure step")


def test_the_page(tmp_path, monkeypatch, corpus, capsys):
    """The commands and the example of docs/network.md."""
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "item.json").write_text(step(1).to_json())
    (tmp_path / "objects").mkdir()
    shutil.copy(corpus / TEST_FILES / "CT_small.dcm", tmp_path / "objects" / "image.dcm")
    monkeypatch.chdir(tmp_path)
    text = section("network.md", "What is being done?")
    commands = re.findall(r"^    dicomloom (.*)$", text, re.MULTILINE)
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with ris() as (port, seen):
        (tmp_path / "c.toml").write_text(
            f'[nodes.ris]\nae_title = "RIS"\nhost = "127.0.0.1"\nport = {port}\n'
        )
        monkeypatch.setenv("DICOMLOOM_CONFIG", str(tmp_path / "c.toml"))
        for line in commands:
            assert works(*line.split()).stdout
        with pytest.warns(DicomloomWarning, match="not that of the step"):
            exec(example, {})
    assert [one.service for one in seen] == ["N-CREATE", "N-SET"] * 2
    assert "COMPLETED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["start", "--state", "s"], "which node"),
        (["show", "ris", "--state", "s"], "state file only"),
        (["start", "R@h:1", "a.json", "b.json", "--state", "s"], "one STEP.json"),
        (["start", "R@h:1", "NoSuch=1", "Modality=OP", "--state", "s"], "NoSuch"),
        (["start", "R@h:1", "PatientID=1", "--state", "s"], "needs Modality"),
        (["start", "R@h:1"], "--state"),
        (["stop", "R@h:1", "--state", "s"], "invalid choice"),
    ],
    ids=str,
)
def test_usage(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    fails(2, "mpps", *arguments, says=says)
    assert not (tmp_path / "s").exists()
