"""The command as a shell sees it: exit codes, streams, signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from pydicom.data import get_testdata_file

CT = get_testdata_file("CT_small.dcm")


def run(*arguments, **options):
    command = [sys.executable, "-m", "dicomloom", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, **options
    )


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree").mkdir()
    for i in range(3):
        shutil.copy(CT, tmp_path / "tree" / f"{i}.dcm")
    return tmp_path / "tree"


def test_help_version_and_no_command():
    shown = run("--help")
    assert shown.returncode == 0
    assert "index" in shown.stdout
    assert run("--version").stdout.startswith("dicomloom 0.")
    assert run().returncode == 2
    done = run("indx")
    assert done.returncode == 2
    assert "did you mean index?" in done.stderr


def test_rows_on_stdout_and_the_rest_on_stderr(tree):
    done = run("index", tree, "-t", "PatientID")
    lines = done.stdout.splitlines()
    assert lines[0] == "Filename,Status,PatientID,Error"
    assert sorted(lines[1:]) == [f"{tree}/{i}.dcm,OK,1CT1," for i in range(3)]
    assert done.stderr.startswith("3 files: 3 OK, 0 ERROR; ")
    assert done.returncode == 0


def test_exit_1_when_a_row_is_an_error(tree):
    (tree / "text").write_text("no DICOM")
    done = run("index", tree)
    assert done.returncode == 1
    assert "4 files: 3 OK, 1 ERROR" in done.stderr
    assert run("index", tree, "--errors", "only").stdout.count("\n") == 2
    assert run("index", tree, "--errors", "skip").stdout.count("\n") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "give PATHs"),
        (["."], 0, "files"),
        ([".", "--from-file", "-"], 2, "give PATHs, or"),
        ([".", "-t", "PatientNane"], 2, "did you mean PatientName"),
        ([".", "-t", "PatientID[0]"], 2, "not a sequence"),
        ([".", "--update"], 2, "-o OUT"),
        ([".", "-o", "out.csv", "--update"], 2, "CSV"),
        ([".", "-o", "out.xlsx"], 2, "no format for this suffix"),
        ([".", "-f", "parquet"], 2, "needs a file"),
        ([".", "-j", "0"], 2, "at least 1"),
        ([".", "--null"], 2, "--from-file"),
        (["nowhere"], 20, "no such file or directory: nowhere"),
        ([".", "--tags-file", "nowhere"], 20, "nowhere"),
        (["--from-file", "nowhere"], 20, "nowhere"),
        ([".", "-o", "nowhere/out.csv"], 40, "cannot write"),
        ([".", "-o", "/dev/full", "-f", "csv"], 40, "No space left"),
    ],
)
def test_exit_codes(tmp_path, arguments, code, says):
    done = run("index", *arguments, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr


def test_lists_of_paths(tree, tmp_path):
    paths = [str(tree / f"{i}.dcm") for i in range(3)]
    (tmp_path / "list").write_text("\n".join(paths))
    assert run("index", "--from-file", tmp_path / "list").stdout.count(",OK,") == 3
    given = run("index", "--from-file", "-", "--null", input="\0".join(paths) + "\0")
    assert given.stdout.count(",OK,") == 3


def test_tags_from_a_file_a_set_and_the_line(tree, tmp_path):
    (tmp_path / "tags").write_text("# wanted\nPatientID  # who\n\n0028,0010\n")
    done = run("index", tree, "--tags-file", tmp_path / "tags", "-t", "PatientSex")
    assert done.stdout.splitlines()[0] == 'Filename,Status,PatientID,"0028,0010",PatientSex,Error'
    header = run("index", tree, "--set", "pixel").stdout.splitlines()[0]
    assert header.startswith('Filename,Status,SOPClassUID,SOPInstanceUID,"(0002,0010)",Rows,')


def test_overlapping_paths_give_one_row_a_file(tree):
    done = run("index", tree, tree / "0.dcm", tree, f"{tree}/../tree")
    assert done.stdout.count(",OK,") == 3


def test_json_summary(tree, tmp_path):
    done = run("index", tree, "-o", tmp_path / "out.csv", "--json")
    assert json.loads(done.stdout)["ok"] == 3
    assert done.stderr == ""
    done = run("index", tree, "--json")
    assert json.loads(done.stderr)["files"] == 3
    assert done.stdout.startswith("Filename,")


def test_update_says_how_many_of_each(tree, tmp_path):
    out = tmp_path / "out.sqlite"
    run("index", tree, "-o", out)
    (tree / "0.dcm").unlink()
    done = run("index", tree, "-o", out, "--update")
    assert "2 files: 2 OK, 0 ERROR (2 unchanged, 0 changed, 0 new, 1 removed)" in done.stderr


def test_progress_only_on_a_terminal(tree):
    assert "files/s" not in run("index", tree).stderr
    shown = run("index", tree, "--progress")
    assert "3 files  " in shown.stderr
    assert shown.stderr.rstrip("\n").splitlines()[-1].startswith("\x1b[K3 files: 3 OK")


def test_a_reader_that_leaves(tree):
    many = "\n".join([str(tree)] * 20_000)
    command = [sys.executable, "-m", "dicomloom", "index", "--from-file", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdout.readline()
        child.stdout.close()
        try:
            child.stdin.write(many)
            child.stdin.close()
        except BrokenPipeError:
            pass
        error = child.stderr.read()
    assert "Traceback" not in error
    assert "Exception ignored" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_interrupted_runs_leave_what_stood_there(tree, tmp_path, number, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out.{kind}"
    out.write_text("old")
    command = [sys.executable, "-m", "dicomloom", "index", "--from-file", "-", "-o", str(out)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdin.write(f"{tree}\n" * 5000)
        child.stdin.flush()
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".dicomloom-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        child.send_signal(number)
        _, error = child.communicate(timeout=30)
    assert child.returncode == 130
    assert error.endswith("dicomloom: interrupted\n")
    assert out.read_text() == "old"
    assert not list(tmp_path.glob(".dicomloom-*"))


def test_a_terminal_that_is_closed_does_not_end_what_nohup_keeps(tree, tmp_path):
    out = tmp_path / "out.csv"
    command = [
        "nohup",
        sys.executable,
        "-m",
        "dicomloom",
        "index",
        "--from-file",
        "-",
        "-o",
        str(out),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        child.stdin.write(f"{tree}\n")
        child.stdin.flush()
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".dicomloom-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGHUP)
        _, error = child.communicate(timeout=30)
    assert (child.returncode, out.exists()) == (0, True), error


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_killed_first_run_into_sqlite_gives_the_same_table_when_continued(tmp_path, moment):
    """W7, at several moments of a run over 6,000 files."""
    import sqlite3

    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copy(CT, tree / "0.dcm")
    for i in range(1, 6000):
        os.link(tree / "0.dcm", tree / f"{i}.dcm")
    out = tmp_path / "out.sqlite"
    command = [sys.executable, "-m", "dicomloom", "index", str(tree), "-o", str(out), "-j", "1"]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".dicomloom-*")) and child.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    child.kill()
    child.wait()
    done = run("index", tree, "-o", out, "--update")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(out) as db:
        assert db.execute("SELECT count(*), count(DISTINCT Filename) FROM files").fetchone() == (
            6000,
            6000,
        )
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    assert not list(tmp_path.glob(".dicomloom-*"))


def test_tags_command():
    done = run("tags", "PatientName", "0028,0010", "7fe00010")
    assert done.stdout.splitlines() == [
        "(0010,0010)  PN  1  PatientName  Patient's Name",
        "(0028,0010)  US  1  Rows  Rows",
        "(7fe0,0010)  OB or OW  1  PixelData  Pixel Data",
    ]
    assert json.loads(run("tags", "Rows", "--json").stdout)[0]["vr"] == "US"
    done = run("tags", "PatientNam", "Rows")
    assert done.returncode == 1
    assert "did you mean PatientName" in done.stderr
    assert "(0028,0010)" in done.stdout


def completions(words):
    script = (
        run("completion", "bash").stdout
        + f"""
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_dicomloom
echo "${{COMPREPLY[@]}}"
"""
    )
    return subprocess.check_output(["bash", "-c", script], text=True).split()


def test_completion():
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    assert completions("dicomloom ind") == ["index"]
    assert "--follow-symlinks" in completions("dicomloom index --f")
    assert completions("dicomloom index --errors k") == ["keep"]
    assert completions("dicomloom completion z") == ["zsh"]
    assert run("completion", "zsh").stdout.startswith("#compdef dicomloom")


def test_choices_named_for_help_are_those_there_are():
    """--help must not import the index, so the command names its choices itself."""
    from dicomloom.cli import index as command
    from dicomloom.index.schema import SETS
    from dicomloom.index.sinks import FORMATS

    assert tuple(SETS) == command._SETS
    assert FORMATS == command._FORMATS


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_that_no_encoding_has_are_printed_as_they_are(tmp_path, encoding):
    name = os.fsencode(tmp_path) + b"/gr\xfc\xdf\xff\x1b[31m"
    shutil.copy(get_testdata_file("JPEG2000.dcm"), name + b".dcm")
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "dicomloom"]

    def run_bytes(*arguments):
        return subprocess.run(
            [*command, *arguments], capture_output=True, check=False, timeout=60, env=environment
        )

    done = run_bytes("extract", name + b".dcm")
    assert (done.returncode, done.stdout, done.stderr) == (0, name + b".j2k" + b"\n", b"")
    for arguments in (["frames", name + b".dcm"], ["plane", os.fsencode(tmp_path)]):
        done = run_bytes(*arguments)
        assert b"Traceback" not in done.stderr
    for arguments in (["plane", os.fsencode(tmp_path)], ["frame", name + b".dcm", "9", "-o", "x"]):
        assert b"\x1b" not in run_bytes(*arguments).stderr
