"""`index`: what each format holds, and what an update does."""

import csv
import itertools
import json
import os
import shutil
import sqlite3

import pytest
from pydicom.data import get_testdata_file

import dicomloom
from dicomloom import DicomloomError, WriteError, index

CT = get_testdata_file("CT_small.dcm")
MR = get_testdata_file("MR_small.dcm")
FORMATS = ["csv", "jsonl", "parquet", "sqlite", "arrow"]
UPDATABLE = FORMATS[1:]
TAGS = ["PatientID", "Rows", "StudyDate", "SliceThickness", "PixelSpacing"]


@pytest.fixture(autouse=True)
def _pyarrow(request):
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("kind") in ("parquet", "arrow"):
        pytest.importorskip("pyarrow")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    for i in range(4):
        shutil.copy(CT, root / f"ct{i}.dcm")
        shutil.copy(MR, root / "sub" / f"mr{i}.dcm")
    (root / 'a "quoted", name\n.txt').write_text("x")
    return root


def read_back(path):
    """The rows of an index through somebody else's reader, sorted by file name."""
    kind = path.suffix[1:]
    if kind == "csv":
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif kind == "jsonl":
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    elif kind == "sqlite":
        with sqlite3.connect(path) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute("SELECT * FROM files")]
            assert tuple(db.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
        db.close()
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(path) if kind == "parquet" else pa.ipc.open_file(path).read_all()
        table.validate(full=True)
        rows = table.to_pylist()
    return sorted(rows, key=lambda row: row["Filename"])


def as_text(row):
    return {
        name: "" if value is None else str(value)
        for name, value in row.items()
        if not name.startswith("File") or name == "Filename"
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_holds_the_same(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    summary = index(tree, out, TAGS)
    assert (summary.files, summary.ok, summary.errors) == (9, 8, 1)
    expected = sorted(
        (
            dict(zip(batch.names, row, strict=True))
            for batch in dicomloom.scan(tree, TAGS)
            for row in batch.rows()
        ),
        key=lambda row: row["Filename"],
    )
    assert [as_text(row) for row in read_back(out)] == [as_text(row) for row in expected]
    assert sorted(os.listdir(tmp_path)) == sorted([out.name, "tree"])


@pytest.mark.parametrize("kind", FORMATS)
def test_typed(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    index(tree / "ct0.dcm", out, TAGS, typed=True)
    (row,) = read_back(out)
    assert as_text(row)["StudyDate"] == "2004-01-19"
    assert float(row["SliceThickness"]) == 5.0
    assert row["PixelSpacing"] == "0.661468\\0.661468"
    if kind != "csv":
        assert row["Rows"] == 128


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_to_index_gives_a_valid_empty_table(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    out = tmp_path / f"out.{kind}"
    assert index(tmp_path / "empty", out).files == 0
    assert read_back(out) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_leaves_what_stood_there(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    index(tree, out, TAGS)
    before = out.read_bytes()

    def paths():
        yield tree
        raise RuntimeError("the list broke")

    with pytest.raises(RuntimeError, match="the list broke"):
        index(paths(), out, TAGS)
    assert out.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted([out.name, "tree"])


@pytest.mark.parametrize("kind", FORMATS)
def test_where_nothing_can_be_written(tree, tmp_path, kind):
    with pytest.raises(WriteError, match="nowhere"):
        index(tree, tmp_path / "nowhere" / f"out.{kind}")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "arrow", "parquet"])
def test_a_full_disk_is_a_write_error(tree, kind):
    with pytest.raises(WriteError, match="(?i)no space left"):
        index(tree, "/dev/full", format=kind)


def test_formats_are_named_by_suffix_or_refused(tree, tmp_path):
    with pytest.raises(ValueError, match="no format for this suffix"):
        index(tree, tmp_path / "out.xlsx")
    with pytest.raises(ValueError, match="choose from"):
        index(tree, tmp_path / "out.csv", format="xlsx")
    index(tree, tmp_path / "out.xlsx", format="csv")
    assert (tmp_path / "out.xlsx").read_text().startswith("Filename,Status,SOPClassUID")


def test_the_index_may_lie_in_the_tree_it_describes(tree):
    assert index(tree, tree / "out.csv").files == 9


def test_columns_with_names_that_need_quoting(tree, tmp_path):
    tag = '(0009,"GEMS_IDEN_01",02)'
    for kind in ("csv", "jsonl", "sqlite"):
        out = tmp_path / f"out.{kind}"
        index(tree / "ct0.dcm", out, [tag])
        assert read_back(out)[0][tag] == "CT01"


# --- updates --------------------------------------------------------------------------------------


def changes(summary):
    return (summary.files, summary.unchanged, summary.changed, summary.removed)


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_reads_only_what_changed(tree, tmp_path, kind):
    out, fresh = tmp_path / f"out.{kind}", tmp_path / f"fresh.{kind}"
    index(tree, out, TAGS, update=True)
    assert changes(index(tree, out, TAGS, update=True)) == (9, 9, 0, 0)

    shutil.copy(MR, tree / "ct0.dcm")  # changed
    os.utime(tree / "ct0.dcm", ns=(0, 0))
    os.remove(tree / "ct1.dcm")  # gone
    shutil.copy(CT, tree / "new.dcm")
    os.rename(tree / "ct2.dcm", tree / "moved.dcm")  # gone under one name, new under the other
    summary = index(tree, out, TAGS, update=True)
    assert changes(summary) == (9, 6, 1, 2)
    assert (summary.ok, summary.errors) == (8, 1)
    index(tree, fresh, TAGS)
    assert read_back(out) == read_back(fresh)


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_with_types(tree, tmp_path, kind):
    out, fresh = tmp_path / f"out.{kind}", tmp_path / f"fresh.{kind}"
    index(tree, out, TAGS, typed=True)
    os.remove(tree / "ct1.dcm")
    index(tree, out, TAGS, typed=True, update=True)
    index(tree, fresh, TAGS, typed=True)
    assert read_back(out) == read_back(fresh)


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_notices_size_time_and_inode(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    index(tree, out)
    target = tree / "ct0.dcm"
    status = target.stat()
    target.write_bytes(target.read_bytes() + b"\0\0")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changes(index(tree, out, update=True)) == (9, 8, 1, 0)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert changes(index(tree, out, update=True)) == (9, 8, 1, 0)
    shutil.copy2(target, tree / "copy")
    os.replace(tree / "copy", target)
    assert changes(index(tree, out, update=True)) == (9, 8, 1, 0)
    assert changes(index(tree, out, update=True)) == (9, 9, 0, 0)


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_tries_again_what_could_not_be_read(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    (tree / "link.dcm").symlink_to(tmp_path / "later.dcm")
    assert index(tree, out).errors == 2
    assert changes(index(tree, out, update=True)) == (10, 9, 1, 0)
    shutil.copy(CT, tmp_path / "later.dcm")
    summary = index(tree, out, update=True)
    assert summary.errors == 1
    assert changes(summary) == (10, 9, 1, 0)


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_refuses_other_columns(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    index(tree, out, ["PatientID"])
    before = out.read_bytes()
    with pytest.raises(DicomloomError, match="make it anew"):
        index(tree, out, ["Rows"], update=True)
    assert out.read_bytes() == before


@pytest.mark.parametrize("kind", UPDATABLE)
def test_update_refuses_what_is_no_index(tree, tmp_path, kind):
    out = tmp_path / f"out.{kind}"
    out.write_bytes(b"this is something else\n" * 100)
    with pytest.raises(Exception, match="."):
        index(tree, out, update=True)
    assert out.read_bytes() == b"this is something else\n" * 100
    assert sorted(os.listdir(tmp_path)) == sorted([out.name, "tree"])


def test_csv_cannot_be_updated(tree, tmp_path):
    with pytest.raises(ValueError, match="CSV"):
        index(tree, tmp_path / "out.csv", update=True)


def test_an_interrupted_first_run_into_sqlite_is_continued(tree, tmp_path):
    out = tmp_path / "out.sqlite"
    files = sorted(str(path) for path in tree.rglob("*.dcm"))

    def interrupted():
        yield from itertools.islice(itertools.cycle(files), 100_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index(interrupted(), out, TAGS)
    assert not out.exists()
    assert (tmp_path / ".dicomloom-out.sqlite.partial").exists()
    summary = index(tree, out, TAGS, update=True)
    assert changes(summary) == (9, 8, 0, 0)
    index(tree, tmp_path / "fresh.sqlite", TAGS)
    assert read_back(out) == read_back(tmp_path / "fresh.sqlite")
    assert not (tmp_path / ".dicomloom-out.sqlite.partial").exists()


@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
@pytest.mark.parametrize(
    ("column", "value"),
    [("FileSize", "x"), ("FileSize", -1), ("FileModified", 1e300), ("FileInode", 1e30),
     ("Filename", None), ("Filename", "\ud800"), ("Filename", b"\xff")],
)  # fmt: skip
def test_update_refuses_rows_that_index_did_not_write(tmp_path, kind, column, value):
    out = tmp_path / f"out.{kind}"
    index(CT, out, ["PatientID"])
    if kind == "jsonl":
        if isinstance(value, bytes):
            value = list(value)
        out.write_text(json.dumps(json.loads(out.read_text()) | {column: value}) + "\n")
    elif value != "\ud800":  # SQLite has no such text
        database = sqlite3.connect(out)
        database.execute(f"UPDATE files SET {column} = ?", (value,))
        database.commit()
        database.close()
    else:
        pytest.skip("SQLite stores no lone surrogate")
    before = out.read_bytes()
    with pytest.raises(DicomloomError, match="make the index anew") as caught:
        index(CT, out, ["PatientID"], update=True)
    assert caught.value.path == str(out)
    assert out.read_bytes() == before
