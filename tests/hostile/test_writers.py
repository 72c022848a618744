"""Writers: what their rows promise beyond the faults that all of them meet in `test_faults`."""

import contextlib
import errno
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pydicom
import pytest

import dicomloom
from dicomloom import FrameReader, FrameWriter, WriteError, index
from dicomloom.files import Partial, Replacing
from dicomloom.media.check import extract as extract_from_set
from discs import an_object
from faults import OLD, child, command, native_object, noise, unfinished

NAMES = ["csv", "jsonl", "sqlite", "arrow", "parquet"]


@pytest.fixture
def tree(tmp_path):
    for number in range(4):
        an_object(tmp_path / "in" / f"{number}.dcm", number, PatientID=f"P{number}")
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def document(tmp_path):
    """An object with a document, and the document."""
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    dicomloom.dicomize(tmp_path / "d.pdf", tmp_path / "d.dcm", kind="pdf")
    return tmp_path / "d.dcm"


def patients(table: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(table)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in database.execute("SELECT PatientID FROM files")}


# --- W2: standard output ---


@pytest.mark.parametrize(
    "words",
    [
        ("index", "{tree}"),
        ("frame", "{tree}/0.dcm", "0"),
        ("extract", "{document}", "-o", "-"),
        ("dicomdir", "list", "{disc}/DICOMDIR"),
        ("tags", "PatientID"),
    ],
    ids=lambda words: words[0],
)
def test_w02_standard_output_that_is_full(tree, document, tmp_path, words):
    """Code 40 and one line; no traceback at the end either."""
    if "{disc}" in "".join(words):
        dicomloom.DicomDir.create(tree, copy_to=tmp_path / "disc")
    names = {"tree": tree, "document": document, "disc": tmp_path / "disc"}
    with open("/dev/full", "wb") as full:
        argv = [sys.executable, "-m", "dicomloom", *(word.format(**names) for word in words)]
        done = subprocess.run(
            argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 40, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


# --- W5: a file that is not to be replaced ---


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("door", ["extract", "dicomdir"])
def test_w05_a_file_that_comes_meanwhile(document, tree, out, monkeypatch, door, links):
    """It is looked for when the name is given, not before: what another wrote there stays."""
    target = out / ("t.pdf" if door == "extract" else "1.2.3.9.1.dcm")
    seal = Partial.seal

    def seal_late(self):
        seal(self)
        target.write_bytes(OLD)

    monkeypatch.setattr(Partial, "seal", seal_late)
    if not links:

        def refuse(*names):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    if door == "extract":
        with pytest.raises(WriteError, match="the file exists"):
            dicomloom.extract(document, target)
    else:
        monkeypatch.setattr(Partial, "seal", seal)
        dicomloom.DicomDir.create(tree, copy_to=out.parent / "disc")
        monkeypatch.setattr(Partial, "seal", seal_late)
        with pytest.raises(WriteError, match="there is a file of that name"):
            extract_from_set(out.parent / "disc" / "DICOMDIR", out, {"PatientID": "P1"})
    assert target.read_bytes() == OLD
    assert os.listdir(out) == [target.name]


def test_w05_without_links_the_name_is_taken_all_the_same(document, out, monkeypatch):
    """FAT has no hard links."""

    def refuse(*names):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    dicomloom.extract(document, out / "t.pdf")
    assert (out / "t.pdf").read_bytes() == b"%PDF-1.4\n%%EOF\n"
    assert os.listdir(out) == ["t.pdf"]


def test_w05_one_of_many_processes_wins(document, out):
    """They look at the same time; one is done, the others are told that the file exists."""
    script = """
        import os, sys
        import dicomloom
        from dicomloom import WriteError
        document, target = sys.argv[1:]
        os.unlink(dicomloom.extract(document, f"{target}/loads.pdf"))
        for number in range(10):
            go, ready = os.pipe()
            children = []
            for _ in range(4):
                children.append(os.fork())
                if children[-1] == 0:
                    os.close(ready)
                    os.read(go, 1)  # until all are there
                    try:
                        dicomloom.extract(document, f"{target}/{number}.pdf")
                    except WriteError as error:
                        os._exit(1 if "the file exists" in str(error) else 2)
                    except BaseException:
                        os._exit(3)
                    os._exit(0)
            os.close(go)
            os.close(ready)
            codes = [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children]
            assert sorted(codes) == [0, 1, 1, 1], codes
        """
    done = child(script, document, out)
    assert done.returncode == 0, done.stderr
    assert len(os.listdir(out)) == 10


# --- W6: an abandoned writer ---


@pytest.mark.parametrize("door", [Partial, Replacing, FrameWriter])
@pytest.mark.parametrize("how", ["del", "raise ZeroDivisionError", "sys.exit(3)", ""])
def test_w06_an_abandoned_writer(out, door, how):
    """Collected, left by an exception, or open when the program ends: nothing is there."""
    made = "FrameWriter(target, {})" if door is FrameWriter else f"{door.__name__}(target)"
    leave = "del writer; import gc; gc.collect(); assert not os.listdir(folder)"
    done = child(
        f"""
        import os, sys, warnings
        warnings.simplefilter("ignore", ResourceWarning)
        import numpy as np
        from dicomloom import FrameWriter
        from dicomloom.files import Partial, Replacing
        folder = sys.argv[1]
        target = os.path.join(folder, "t")
        writer = {made}
        if hasattr(writer, "write"):
            writer.write(np.zeros((8, 8), "u1"))
        elif hasattr(writer, "file"):
            writer.file.write(b"x")
        else:
            writer.__enter__().write(b"x")
        assert os.listdir(folder)
        {leave if how == "del" else how}
        """,
        out,
    )
    assert done.returncode == {"sys.exit(3)": 3, "raise ZeroDivisionError": 1}.get(how, 0), done
    assert os.listdir(out) == []


# --- W8: names, permissions ---


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("size", [230, 255])
def test_w08_long_names_of_tables(tree, out, kind, size):
    """What a table is called while it is written fits wherever its own name does."""
    table = out / ("n" * (size - len(kind) - 1) + f".{kind}")
    assert index(tree, table, ["PatientID"]).ok == 4
    assert os.listdir(out) == [table.name]
    with pytest.raises(WriteError, match=r"(?i)name too long") as caught:
        index(tree, out / f"{'n' * 256}.{kind}", ["PatientID"])
    assert caught.value.errno == errno.ENAMETOOLONG
    assert os.listdir(out) == [table.name]


@pytest.mark.parametrize("kind", NAMES)
def test_w08_a_table_that_is_not_for_all_stays_so(tree, out, kind):
    """It is never for more to read, not even while it is written."""
    table = out / f"t.{kind}"
    index(tree, table, ["PatientID"])
    table.chmod(0o600)
    modes = set()

    def paths():
        for number in range(4):
            modes.update(stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(out))
            yield tree / f"{number}.dcm"

    index(paths(), table, ["PatientID"])
    assert modes == {0o600}
    assert stat.S_IMODE(table.stat().st_mode) == 0o600


# --- W9: forks, and two that write the same ---


@pytest.mark.parametrize("door", ["FrameWriter", "Replacing"])
def test_w09_a_forked_child_does_not_end_what_its_parent_writes(out, door):
    """A child that falls through to the end of the block is told so, and changes nothing."""
    call = "FrameWriter(target, {}, workers=1)" if door == "FrameWriter" else "Replacing(target)"
    script = f"""
        import os, sys
        import numpy as np
        from dicomloom import FrameReader, FrameWriter, WriteError
        from dicomloom.files import Replacing
        target = sys.argv[1]
        frames = [np.full((8, 8), number, "u1") for number in range(2)]
        process = -1
        try:
            with {call} as writer:
                writer.write(frames[0])
                process = os.fork()
                if process:
                    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                    assert code == 7, code
                    assert not os.path.exists(target)
                    writer.write(frames[1])
        except WriteError as error:
            assert process == 0 and "another process" in str(error), error
            os._exit(7)
        """
    done = child(script, out / "t")
    assert done.returncode == 0, done.stderr
    if door == "FrameWriter":
        assert np.asarray(FrameReader(out / "t"))[:, 0, 0].tolist() == [0, 1]
    else:
        assert (out / "t").read_bytes() == bytes(64) + b"\1" * 64
    assert os.listdir(out) == ["t"]


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("where", ["thread", "process"])
def test_w09_two_runs_into_one_sqlite_table(tree, out, where, update):
    """The second is refused while the first writes; the first is whole."""
    table = out / "t.sqlite"

    def second():
        if where == "process":
            done = command("index", tree, "-o", table, *(["--update"] if update else []))
            assert done.returncode == 40, done.stderr
            return done.stderr
        with pytest.raises(WriteError) as caught:
            index(tree, table, ["PatientID"], update=update)
        return str(caught.value)

    said = []

    def paths():
        yield tree / "0.dcm"
        thread = threading.Thread(target=lambda: said.append(second()))
        thread.start()
        thread.join()
        yield tree / "1.dcm"

    index(paths(), table, ["PatientID"])
    assert "another process makes this index" in said[0]
    assert patients(table) == {"P0", "P1"}
    assert os.listdir(out) == ["t.sqlite"]
    index(tree, table, ["PatientID"], update=True)
    assert patients(table) == {"P0", "P1", "P2", "P3"}


def killed_update(tree, table):
    """Leave a hot journal: an update that was killed after pages of the table were written."""
    script = """
        import os, sqlite3, sys
        database = sqlite3.connect(sys.argv[1], isolation_level=None)
        database.execute("PRAGMA cache_size=2")
        database.execute("PRAGMA cache_spill=1")
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE files SET PatientID = 'half' || hex(zeroblob(2000))")
        os.kill(os.getpid(), 9)
        """
    child(script, table)
    assert Path(f"{table}-journal").stat().st_size > 512


@pytest.mark.parametrize("gone", [False, True])
def test_w07_a_table_made_anew_over_a_killed_update(tree, out, gone):
    """The journal of the old table is not rolled back into the new one."""
    table = out / "t.sqlite"
    many = tree.parent / "many"
    for number in range(200):
        an_object(many / f"{number}.dcm", number, PatientID=f"M{number}")
    index(many, table, ["PatientID"])
    killed_update(many, table)
    if gone:
        table.unlink()
    index(tree, table, ["PatientID"])
    assert os.listdir(out) == ["t.sqlite"]
    assert patients(table) == {"P0", "P1", "P2", "P3"}


def test_w07_an_update_over_a_killed_update(tree, out):
    """What it had half written is rolled back first."""
    table = out / "t.sqlite"
    many = tree.parent / "many"
    for number in range(200):
        an_object(many / f"{number}.dcm", number, PatientID=f"M{number}")
    index(many, table, ["PatientID"])
    killed_update(many, table)
    assert index(many, table, ["PatientID"], update=True).unchanged == 200
    assert patients(table) == {f"M{number}" for number in range(200)}
    assert os.listdir(out) == ["t.sqlite"]


def test_w07_a_table_that_is_in_use_is_not_replaced(tree, out):
    """Whoever updates it would write its journal beside the new one."""
    table = out / "t.sqlite"
    index(tree, table, ["PatientID"])
    with contextlib.closing(sqlite3.connect(table, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE files SET PatientID = 'theirs'")
        with pytest.raises(WriteError, match="another process uses the index"):
            index(tree, table, ["PatientID"])
        other.execute("COMMIT")
    assert patients(table) == {"theirs"}
    assert not unfinished(out)


# --- folders that vanish ---


@pytest.mark.parametrize("kind", NAMES)
def test_w02_a_folder_that_vanishes(tree, tmp_path, kind):
    """The error names the file; nothing comes back."""
    folder = tmp_path / "gone"
    folder.mkdir()

    def paths():
        yield tree / "0.dcm"
        for name in os.listdir(folder):
            os.unlink(folder / name)
        folder.rmdir()

    with pytest.raises(WriteError, match="gone"):
        index(paths(), folder / f"t.{kind}", ["PatientID"])
    assert not folder.exists()


def test_w02_a_folder_that_vanishes_from_a_frame_writer(tmp_path):
    """Likewise, for an object."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with pytest.raises(WriteError, match="No such file"):
        with FrameWriter(folder / "t.dcm", {}) as writer:
            writer.write(noise(1)[0])
            (folder / "t.dcm.partial").unlink()
            folder.rmdir()
    assert not folder.exists()


# --- W10 ---


def test_w10_a_duplicate_that_is_kept_is_on_the_disk(tmp_path, monkeypatch):
    """Its first sender may have been told A700, because the folder could not be synced."""
    from dicomloom.network.serve.archive.places import Places

    places = Places(tmp_path)

    def store():
        with places.open("1.2", "1.2.3", "1.2.840.10008.1.2.1", "A", "B") as incoming:
            incoming.write(b"x")
            return incoming.commit()

    fsync, broken = os.fsync, []

    def failing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    store()
    broken.append(True)
    with pytest.raises(WriteError, match="Input/output"):
        store()  # kept, but not known to be on the disk
    broken.clear()
    assert store().outcome == "kept"
    places.close()


def test_w01_a_source_that_is_its_own_target(tmp_path):
    """A writer that fails over its own source leaves that whole."""
    source = native_object(tmp_path / "t.dcm", noise(3))
    before = source.read_bytes()
    with pytest.raises(ZeroDivisionError):
        with FrameWriter(source, source, transfer_syntax="RLELossless") as writer:
            writer.write(noise(1)[0])
            raise ZeroDivisionError
    assert source.read_bytes() == before
    assert np.array_equal(pydicom.dcmread(source).pixel_array, noise(3))
