"""The files of an index, in every format that `index` writes."""

import json
import os
import sqlite3

import pytest

import dicomloom
from dicomloom import CorruptError, MissingDependencyError, ReadError
from dicomloom.index.filenames import filenames
from dicomloom.index.sinks import SUFFIXES
from faults import child
from support import element, part10

NAMES = ["a.dcm", 'quote".dcm', "comma,.dcm", "line\n.dcm", "gr\u00fc\u00df.dcm", "per%20cent.dcm"]


@pytest.fixture
def folder(tmp_path):
    """Objects of awkward names, and two files that are none."""
    made = tmp_path / "in"
    made.mkdir()
    for name in NAMES:
        (made / name).write_bytes(part10(element(0x00100020, "LO", b"1 ")))
    (made / "cut.dcm").write_bytes(part10(element(0x00100020, "LO", b"1 ", length=9)))
    (made / "text").write_text("no DICOM")
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_indexed_is_named(folder, tmp_path, suffix):
    if suffix in (".parquet", ".arrow"):
        pytest.importorskip("pyarrow")
    table = tmp_path / f"in dex?%20#{suffix}"
    dicomloom.index(folder, table)
    assert sorted(filenames(table)) == sorted(str(folder / name) for name in NAMES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_index_of_nothing(tmp_path, suffix):
    if suffix in (".parquet", ".arrow"):
        pytest.importorskip("pyarrow")
    (tmp_path / "in").mkdir()
    dicomloom.index(tmp_path / "in", tmp_path / f"table{suffix}")
    assert list(filenames(tmp_path / f"table{suffix}")) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_not_there(tmp_path, suffix):
    if suffix in (".parquet", ".arrow"):
        pytest.importorskip("pyarrow")
    path = tmp_path / f"table{suffix}"
    with pytest.raises(ReadError, match="No such file") as caught:
        list(filenames(path))
    assert caught.value.path == str(path)
    assert not path.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_index(tmp_path, suffix):
    if suffix in (".parquet", ".arrow"):
        pytest.importorskip("pyarrow")
    path = tmp_path / f"table{suffix}"
    path.write_bytes(b"no,index\n\xff\xfe,2\n")
    with pytest.raises(CorruptError, match="Filename and Status") as caught:
        list(filenames(path))
    assert caught.value.path == str(path)


def test_tables_without_the_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table({"Filename": ["a"], "Other": ["b"]})
    pq.write_table(table, tmp_path / "table.parquet")
    with pa.ipc.new_file(tmp_path / "table.arrow", table.schema) as file:
        file.write_table(table)
    (tmp_path / "table.csv").write_text("Filename,Other\na,b\n")
    (tmp_path / "table.jsonl").write_text(json.dumps({"Filename": "a"}) + "\n[1]\n")
    database = sqlite3.connect(tmp_path / "table.sqlite")
    database.execute("CREATE TABLE files (Filename TEXT)")
    database.close()
    for suffix in ("parquet", "arrow", "csv", "jsonl", "sqlite"):
        with pytest.raises(CorruptError, match="Filename and Status"):
            list(filenames(tmp_path / f"table.{suffix}"))


def test_a_suffix_that_says_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"\.txt"):
        list(filenames(tmp_path / "table.txt"))


def test_rows_come_as_they_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("Filename,Status\na,OK\nb,ERROR\nc,OK\n")
    rows = filenames(os.fspath(path))
    assert next(rows) == "a"
    rows.close()


WITHOUT = """
    import sys
    sys.modules["pyarrow"] = None
    from dicomloom import MissingDependencyError
    from dicomloom.index.filenames import filenames
    try:
        list(filenames("table.parquet"))
    except MissingDependencyError as error:
        print(error)
    """


def test_parquet_without_pyarrow():
    assert issubclass(MissingDependencyError, ImportError)
    assert "pip install dicomloom[parquet]" in child(WITHOUT).stdout


@pytest.mark.parametrize(
    "row",
    [
        "[" * 100_000,
        '{"Filename": 0, "Status": "OK"}',  # would be standard input
        '{"Filename": "a\\u0000b", "Status": "OK"}',
        '{"Filename": null, "Status": "OK"}',
        '{"Filename": "a", "Status": ' + "9" * 5000 + "}",
    ],
)
def test_rows_that_index_did_not_write(tmp_path, row):
    path = tmp_path / "table.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(CorruptError, match="expected an index") as caught:
        list(filenames(path))
    assert caught.value.path == str(path)


def test_a_table_whose_name_is_not_utf_8(folder, tmp_path):
    table = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.sqlite")
    dicomloom.index(folder, table)
    assert len(list(filenames(table))) == len(NAMES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_fifo_is_no_table(tmp_path, suffix):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    path = tmp_path / f"table{suffix}"
    os.mkfifo(path)
    with pytest.raises(ReadError, match="not a regular file"):
        list(filenames(path))
