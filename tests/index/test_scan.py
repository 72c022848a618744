"""`scan` as its callers meet it: rows, threads, cancelling, consumers."""

import datetime
import gc
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from pydicom.data import get_testdata_file

import dicomloom
from support import PRINT_PEAK

CT = get_testdata_file("CT_small.dcm")


def rows(scan, *names):
    found = []
    for batch in scan:
        found += zip(*(batch.column(name) for name in names), strict=True)
    return sorted(found)


@pytest.fixture
def tree(tmp_path):
    """Three folders of links to one DICOM file, and one text file."""
    for folder in ("a", "b", "b/c"):
        (tmp_path / folder).mkdir()
        for i in range(50):
            os.symlink(CT, tmp_path / folder / f"{i:03}.dcm")
    (tmp_path / "b" / "notes.txt").write_text("no DICOM here")
    return tmp_path


def thread_names():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.parametrize("threads", [None, 1, 2, 8])
@pytest.mark.parametrize("batch_size", [1, 7, 8192])
def test_one_row_a_file(tree, threads, batch_size):
    with dicomloom.scan(tree, ["PatientID"], threads=threads, batch_size=batch_size) as scan:
        found = rows(scan, "Filename", "Status", "PatientID")
    expected = [
        (str(tree / folder / f"{i:03}.dcm"), "OK", "1CT1")
        for folder in ("a", "b", "b/c")
        for i in range(50)
    ]
    assert found == sorted([*expected, (str(tree / "b" / "notes.txt"), "ERROR", None)])


def test_error_policies(tree):
    assert len(rows(dicomloom.scan(tree, errors="skip"), "Status")) == 150
    assert rows(dicomloom.scan(tree, errors="only"), "Status") == [("ERROR",)]
    with pytest.raises(ValueError, match="keep"):
        dicomloom.scan(tree, errors="hide")


def test_a_file_a_folder_and_what_is_not_there(tree):
    found = rows(
        dicomloom.scan([tree / "a" / "000.dcm", tree / "b" / "c", "/nowhere/at/all"]),
        "Filename",
        "Status",
        "Error",
    )
    assert len(found) == 52
    assert ("/nowhere/at/all", "ERROR", "no such file or directory") in found


def test_special_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "null").symlink_to("/dev/null")
        (tmp_path / "dangling").symlink_to("/nowhere")
        found = rows(dicomloom.scan(tmp_path), "Filename", "Error")
        assert found == [(str(tmp_path / "dangling"), "no such file or directory")]
        given = rows(dicomloom.scan([tmp_path / "fifo", "/dev/null"]), "Error")
    assert given == [("not a regular file",)] * 2


def test_linked_folders_are_entered_once_and_only_when_asked(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(CT, tmp_path / "real" / "ct.dcm")
    (tmp_path / "tree").mkdir()
    for name in ("one", "two"):
        (tmp_path / "tree" / name).symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to(tmp_path)
    assert rows(dicomloom.scan(tmp_path / "tree"), "Status") == []
    assert rows(dicomloom.scan(tmp_path / "tree", follow_symlinks=True), "Status") == [("OK",)]


def unprivileged(*command):
    """A command that file modes hold for, also when the tests run as root."""
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("root, and no setpriv (util-linux) to give up its powers over files")
    return (setpriv, "--bounding-set=-dac_override,-dac_read_search", *command)


def test_what_may_not_be_read_has_a_row(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").chmod(0)
    (tmp_path / "file").chmod(0)
    code = (
        "import sys, dicomloom\n"
        "for batch in dicomloom.scan(sys.argv[1]): print(*zip(batch.column('Filename'), "
        "batch.column('Error')), sep='\\n')"
    )
    command = unprivileged(sys.executable, "-c", code, str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (tmp_path / "folder").chmod(0o700)
    assert sorted(done.stdout.splitlines()) == [
        str((f"{tmp_path}/file", "permission denied")),
        str((f"{tmp_path}/folder", "cannot list the directory: permission denied")),
    ]


def test_file_names_that_are_not_utf8(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.dcm"
    os.symlink(os.fsencode(CT), name)
    assert rows(dicomloom.scan(tmp_path), "Filename", "Status") == [
        (f"{tmp_path}/caf\\xe9.dcm", "OK")
    ]


def test_a_generator_of_paths_is_consumed_as_the_scan_goes_on(tree):
    taken = 0

    def paths():
        nonlocal taken
        for _ in range(30_000):
            taken += 1
            yield CT

    with dicomloom.scan(paths(), ["PatientID"], batch_size=64) as scan:
        next(scan)
        assert taken < 30_000
        assert sum(map(len, scan)) > 20_000
    assert taken == 30_000


def test_cancelling_ends_the_threads(tree):
    before = thread_names()
    for _ in range(5):
        scan = dicomloom.scan([tree] * 200, threads=4, batch_size=8)
        next(scan)
        scan.close()
        assert list(scan) == []
        scan = dicomloom.scan([tree] * 200, threads=4, batch_size=8)
        next(scan)
        del scan
    gc.collect()
    assert thread_names() == before


def test_a_scan_that_was_never_read_costs_nothing(tree):
    before = thread_names()
    dicomloom.scan(tree)
    assert thread_names() == before


def test_many_scans_at_once_from_many_threads(tree):
    counts = []

    def run():
        counts.append(sum(map(len, dicomloom.scan(tree, threads=2, batch_size=16))))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [151] * 8


def test_a_scan_may_move_between_threads(tree):
    scan = dicomloom.scan(tree, batch_size=10)
    total = len(next(scan))
    rest = []
    thread = threading.Thread(target=lambda: rest.append(sum(map(len, scan))))
    thread.start()
    thread.join()
    assert total + rest[0] == 151


def test_progress_is_polled_and_complete(tree):
    seen = []
    for _ in dicomloom.scan(tree, progress=seen.append):
        pass
    last = seen[-1]
    assert (last.files, last.ok, last.errors) == (151, 150, 1)
    assert last.bytes_read > 0
    assert last.seconds > 0


def test_an_exception_in_progress_comes_out(tree):
    def fail(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        list(dicomloom.scan(tree, progress=fail))


def test_batches_outlive_their_scan(tree):
    with dicomloom.scan(tree, ["PatientID"]) as scan:
        batches = list(scan)
    del scan
    gc.collect()
    assert sum(batch.column("PatientID").count("1CT1") for batch in batches) == 150


def test_typed_columns():
    tags = ["Rows", "SliceThickness", "StudyDate", "PixelSpacing", "PatientName", "PixelData"]
    (batch,) = dicomloom.scan(CT, tags, typed=True)
    (row,) = batch.rows()
    assert row[2:8] == (
        128,
        5.0,
        datetime.date(2004, 1, 19),
        "0.661468\\0.661468",
        "CompressedSamples^CT1",
        32768,
    )


def test_a_value_that_does_not_fit_its_type_is_null_and_counted(tmp_path):
    data = pydicom_file(StudyDate="20041301", SeriesNumber="12", PatientAge="1")
    (tmp_path / "x.dcm").write_bytes(data)
    (batch,) = dicomloom.scan(tmp_path, ["StudyDate", "SeriesNumber"], typed=True)
    assert next(batch.rows())[2:4] == (None, 12)
    assert batch.misfits == 1


def pydicom_file(**attributes):
    import io
    import warnings

    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in attributes.items():
            setattr(data, keyword, value)
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def test_file_info(tree):
    (batch,) = dicomloom.scan(tree / "a" / "000.dcm", ["PatientID"], file_info=True)
    status = os.stat(CT)
    assert next(batch.rows())[-3:] == (status.st_size, status.st_mtime_ns, status.st_ino)


def test_arrow_consumers_agree(tree):
    pa = pytest.importorskip("pyarrow")
    tags = ["PatientID", "Rows", "StudyDate", "SliceThickness"]
    table = pa.table(dicomloom.scan(tree, tags, typed=True, batch_size=20))
    table.validate(full=True)
    assert table.num_rows == 151
    assert [str(field.type) for field in table.schema] == [
        "string",
        "string",
        "string",
        "int64",
        "date32[day]",
        "double",
        "string",
    ]
    by_hand = sorted(
        row for batch in dicomloom.scan(tree, tags, typed=True) for row in map(str, batch.rows())
    )
    assert sorted(str(tuple(row.values())) for row in table.to_pylist()) == by_hand
    assert pa.schema(dicomloom.scan(tree, tags, typed=True)).equals(table.schema)


def test_arrow_arrays_outlive_everything(tree):
    pa = pytest.importorskip("pyarrow")
    batches = [pa.record_batch(batch) for batch in dicomloom.scan(tree, ["PatientID"])]
    column = batches[0].column(2)
    del batches
    gc.collect()
    column.validate(full=True)


def test_an_error_reaches_the_arrow_consumer(tree):
    pa = pytest.importorskip("pyarrow")

    def paths():
        yield tree
        raise RuntimeError("the list broke")

    with pytest.raises(Exception, match="the list broke"):
        pa.table(dicomloom.scan(paths()))


def test_polars_and_duckdb(tree):
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(dicomloom.scan(tree)).height == 151


def test_duckdb_by_name(tree):
    duckdb = pytest.importorskip("duckdb")
    scan = dicomloom.scan(tree)
    assert scan
    assert duckdb.sql("select count(*) from scan where Status = 'OK'").fetchall() == [(150,)]


def test_memory_does_not_grow_with_files(tmp_path):
    """Peak memory for 60,000 rows is that for 6,000: tables are dropped as they are consumed."""
    code = """
import sys, dicomloom
path, count = sys.argv[1], int(sys.argv[2])
n = sum(len(b) for b in dicomloom.scan([path] * count, batch_size=1000))
assert n == count
"""
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", code + PRINT_PEAK, CT, str(count)]))
        for count in (6_000, 60_000)
    ]
    assert peaks[1] - peaks[0] < 8 * 1024  # KiB; the rows alone are 20 MB


def test_interrupted_from_outside_within_a_second(tree):
    code = """
import sys, dicomloom
def forever():
    while True: yield sys.argv[1]
print("on", flush=True)
try:
    for _ in dicomloom.scan(forever()): pass
except KeyboardInterrupt:
    print("off")
"""
    child = subprocess.Popen([sys.executable, "-c", code, CT], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(2)
    out, _ = child.communicate(timeout=20)
    assert out.strip() == "off"
    assert child.returncode == 0
