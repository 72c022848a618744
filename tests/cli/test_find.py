"""dicomloom find and worklist, as a shell sees them."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
import time

import pytest
from pydicom import Dataset

from dicomloom.cli.answers import format_of, harmless, shown
from dicomloom.cli.options import UsageError
from find_peers import WORKLIST, archive, response, scp, step, worklists
from network_peers import abort, fake, free_port
from pages import section
from shell import command, fails, works
from support import peer_module

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\x1b[2J<b>", "a\nb", "\u202eevil", "plain"]


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


@pytest.fixture
def hostile():
    """A SCP whose descriptions are what a terminal or a spreadsheet must not get."""

    def handle(event):
        for number, text in enumerate(HOSTILE):
            made = Dataset()
            made.SpecificCharacterSet = "ISO_IR 192"
            made.StudyInstanceUID, made.StudyDescription = f"1.2.{number}", text
            made.ModalitiesInStudy = ["CT", "MR"]
            yield 0xFF00, made

    with scp(handle) as port:
        yield f"PEER@127.0.0.1:{port}"


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv(hostile):
    found = rows(works("find", hostile, "-k", "StudyDescription", "-k", "Manufacturer").stdout)
    assert [row["StudyInstanceUID"] for row in found] == [f"1.2.{n}" for n in range(len(HOSTILE))]
    assert {row["ModalitiesInStudy"] for row in found} == {"CT\\MR"}
    assert {row["Manufacturer"] for row in found} == {""}
    texts = [row["StudyDescription"] for row in found]
    assert texts[:4] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)"]
    assert texts[-1] == "plain"
    assert all(text.isprintable() for text in texts)


def test_a_table_has_the_columns_that_have_something(hostile):
    text = works("find", hostile, "--format", "table").stdout
    head, *lines = text.splitlines()
    assert head.split() == ["ModalitiesInStudy", "StudyDescription", "StudyInstanceUID"]
    assert len(lines) == len(HOSTILE)
    assert all(line.isprintable() for line in [head, *lines])
    assert "=1+1" in text


def test_json_is_the_dicom_json_model(hostile):
    text = works("find", hostile, "--format", "json", "--limit", "2").stdout
    found = [Dataset.from_json(one) for one in json.loads(text)]
    assert [one.StudyDescription for one in found] == HOSTILE[:2]
    assert len(text.splitlines()) == 4


def test_no_answers():
    with scp(lambda event: iter(())) as port:
        node = f"PEER@127.0.0.1:{port}"
        assert json.loads(works("find", node, "--format", "json").stdout) == []
        assert works("find", node, "--format", "table").stdout == ""
        assert works("find", node).stdout.count("\n") == 1


def test_parquet(hostile, tmp_path):
    pq = peer_module("pyarrow.parquet", "pyarrow")
    works("find", hostile, "-o", tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert table["StudyInstanceUID"] == [f"1.2.{n}" for n in range(len(HOSTILE))]
    assert table["StudyDescription"][0] == "=1+1"
    fails(2, "find", hostile, "--format", "parquet", says="-o OUT")


def test_a_query_that_fails_leaves_the_file_as_it_was(tmp_path):
    def talk(peer):
        peer.accept()
        peer.read_pdu(), peer.read_pdu()
        peer.send(response(0xFF00, b"\x20\0\x0d\0UI\x04\x001.2\0") + response(0xA700))
        peer.until_closed()

    out = tmp_path / "out.csv"
    out.write_text("before")
    with fake(talk) as port:
        fails(66, "find", f"PEER@127.0.0.1:{port}", "-o", out, says="Out of resources")
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_what_is_not_supported_is_said_on_stderr():
    def handle(event):
        for _ in range(2):
            made = Dataset()
            made.StudyInstanceUID = "1.2"
            yield 0xFF01, made

    with scp(handle) as port:
        done = works("find", f"PEER@127.0.0.1:{port}")
    assert done.stderr.count("FF01") == done.stderr.count("\n") == 1
    assert len(rows(done.stdout)) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-L", "SERIES"], "needs StudyInstanceUID"),
        (["-L", "PATIENT"], "PATIENT"),
        (["-L", "FRAME"], "FRAME"),
        (["-k", "StudyDate=2026-01-01"], "YYYYMMDD"),
        (["-k", "PatientNane"], "did you mean PatientName"),
        (["-k", "=x"], "KEY"),
        (["--limit", "0"], "at least 1"),
        (["-k", "Modality=CT"], "ModalitiesInStudy"),
    ],
)
def test_usage(arguments, says):
    fails(2, "find", f"PEER@127.0.0.1:{free_port()}", *arguments, says=says)


def test_exit_codes(tmp_path):
    fails(60, "find", f"PEER@127.0.0.1:{free_port()}", says="nothing listens")
    fails(60, "worklist", f"PEER@127.0.0.1:{free_port()}", says="nothing listens")
    with scp(lambda event: iter(())) as port:
        where = f"PEER@127.0.0.1:{port}"
        fails(40, "find", where, "-o", tmp_path / "no" / "out.csv", says="cannot write")
        fails(65, "worklist", where, says="does not accept")
    fails(2, "worklist", where, "--date", "tomorrow", says="ScheduledProcedureStepStartDate")
    fails(2, "worklist", where, "-o", tmp_path, "--format", "csv", says="-o DIR")


def test_formats():
    assert format_of(None, "a.PARQUET") == "parquet"
    assert format_of(None, "a.txt") == format_of(None, None) == "csv"
    with pytest.raises(UsageError):
        format_of("parquet", None)


def test_a_terminal_gets_a_table(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert format_of(None, None) == "table"


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_does_harm(text):
    assert shown(text).isprintable()
    assert harmless(text).lstrip()[:1] not in "=+-@"


STEPS = [
    step(1),
    step(2, ScheduledProcedureStepID="../../x"),
    step(3, StudyInstanceUID="1.2.3.1", ScheduledProcedureStepID="S1"),
    step(4, StudyInstanceUID="", ScheduledProcedureStepID="."),
    step(5, StudyInstanceUID="", ScheduledProcedureStepID="-rf"),
]


def test_worklist_files_have_names_that_lead_nowhere(tmp_path):
    with scp(lambda event: ((0xFF00, one) for one in STEPS), WORKLIST) as port:
        node, folder = f"PEER@127.0.0.1:{port}", tmp_path / "a" / "steps"
        done = works("worklist", node, "-o", folder)
        again = works("worklist", node, "-o", folder)
    names = ["1.2.3.1-S1", "1.2.3.2", "1.2.3.1-S1-2", "step", "step-2"]
    assert done.stdout.splitlines() == [str(folder / f"{name}.json") for name in names]
    assert again.stdout == done.stdout
    assert sorted(path.stem for path in folder.iterdir()) == sorted(names)
    for name, one in zip(names, STEPS, strict=True):
        read = Dataset.from_json((folder / f"{name}.json").read_text())
        assert (read.PatientName, read.PatientID) == (one.PatientName, one.PatientID)
        assert read.SpecificCharacterSet == "ISO_IR 192"


def test_worklist_to_image(tmp_path):
    """An item of DCMTK's worklist becomes the identity of a photo."""
    from pydicom import dcmread

    peer_module("PIL.Image").new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    with worklists(tmp_path, STEPS[:1]) as port:
        node = f"RIS@127.0.0.1:{port}"
        (made,) = works("worklist", node, "--patient", "P1", "-o", tmp_path / "s").stdout.split()
        text = works("worklist", node, "--date", "20260101", "--modality", "OP").stdout
    assert rows(text)[0]["PatientName"] == "M\u00fcller^1"
    out = tmp_path / "dicom"
    out.mkdir()
    works("dicomize", tmp_path / "a.jpg", "-d", out, "--from-worklist", made, "--as", "photo")
    (path,) = out.iterdir()
    read = dcmread(path)
    assert (read.PatientName, read.StudyInstanceUID) == ("M\u00fcller^1", "1.2.3.1")


def test_ctrl_c_leaves_nothing(tmp_path):
    """In the middle of the answers: 130, the file as it was, and the peer is told."""
    told, some = [], response(0xFF00, b"\x20\0\x0d\0UI\x04\x001.2\0")

    def talk(peer):
        peer.accept()
        peer.read_pdu(), peer.read_pdu()
        peer.send(some * 10)
        process.send_signal(signal.SIGINT)
        told.append(peer.read_pdu())
        peer.until_closed()

    out = tmp_path / "out.csv"
    out.write_text("before")
    with fake(talk) as port:
        words = ["dicomloom", "find", f"PEER@127.0.0.1:{port}", "-o", str(out)]
        process = subprocess.Popen([sys.executable, "-m", *words], stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, b"dicomloom: interrupted\n")
    assert told == [abort(0, 0)]
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_reader_that_leaves():
    """As head does: the query is cancelled."""
    seen = []

    def handle(event):
        for number in range(100_000):
            if event.is_cancelled:
                seen.append("cancelled")
                return
            made = Dataset()
            made.StudyInstanceUID, made.StudyDescription = f"1.2.{number}", "x" * 60
            yield 0xFF00, made
            time.sleep(0.0005)

    with scp(handle) as port:
        words = ["dicomloom", "find", f"PEER@127.0.0.1:{port}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-m", *words], **pipes)
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait(20) == 40
    assert b"Traceback" not in said
    assert seen == ["cancelled"]


def test_the_log_has_no_patient_data(tmp_path):
    with worklists(tmp_path, STEPS[:1]) as port:
        where = f"RIS@127.0.0.1:{port}"
        done = works("worklist", where, "-k", "PatientName=M*", "--log-level", "info")
    assert "M\u00fcller" in done.stdout
    assert "Accepted" in done.stderr
    assert not re.search("M\\*|ller|P1|1970", done.stderr)


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_the_examples_of_the_documentation(corpus, tmp_path, monkeypatch, capsys):
    """Every command and every Python example of the sections about queries runs."""
    titles = ("What does it have?", "What is to be done?")
    sections = "\n".join(section("network.md", title) for title in titles)
    (tmp_path / "a").mkdir()
    with archive(tmp_path / "a", corpus) as pacs, worklists(tmp_path / "b", STEPS) as ris:
        (tmp_path / "c.toml").write_text(
            f'[nodes.pacs]\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {pacs}\n'
            f'[nodes.ris]\nae_title = "RIS"\nhost = "127.0.0.1"\nport = {ris}\n'
        )
        monkeypatch.setenv("DICOMLOOM_CONFIG", str(tmp_path / "c.toml"))
        monkeypatch.chdir(tmp_path)
        commands = re.findall(r"^    dicomloom (.*)$", sections, re.MULTILINE)
        assert len(commands) >= 6
        for line in commands:
            words = [word.strip("'") for word in line.split()]
            done = command(*words)
            assert done.returncode == 0, (line, done.stderr)
            assert done.stdout or "-o" in words
        examples = re.findall(r"```python\n(.*?)```", sections, re.DOTALL)
        assert len(examples) == 2
        for example in examples:
            exec(example, {})
    assert "CompressedSamples^CT1" in capsys.readouterr().out
