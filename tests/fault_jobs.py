"""Every writer as a job that a fault can meet: its inputs, what stood there before, what must come.

Run by `fault_driver`, in a process into which the tests' shim of system calls is preloaded. What is
in a file is read by pydicom, csv, json, sqlite3 and pyarrow, not by what wrote it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset

import dicomloom
from discs import an_object
from faults import OLD, native_object, noise
from network_peers import free_port
from serve_peers import IMPLICIT_CT, Raw, small

# A folder beside the outputs that is only read: no fault is meant for it.
READ = "READ"
FRAMES = noise(5, 32, 32)
Check = Callable[[Path], None]


@dataclass
class Job:
    """One writer.

    `run` and `checks` get the folder in which everything is written; `checks` are by names in it,
    and each raises where the file is not the complete new one. `before` makes what stood there.
    """

    run: Callable[[Path], int]
    checks: dict[str, Check]
    before: Callable[[Path], None] = lambda out: None
    # Folders that a failed run may leave, and names that are no leftovers.
    allowed: tuple[str, ...] = ()
    # How it ends well: 60 where nobody listens, 1 where some files failed, which is told.
    codes: tuple[int, ...] = (0,)
    # Where what is there already is refused, a second run is none of the job.
    again: bool = True
    # Entered in another process for as long as the job runs: a node at the other end.
    around: Callable[[], contextlib.AbstractContextManager[object]] | None = None
    # Whether a name that is neither an output nor allowed was left by the job.
    is_left: Callable[[str], bool] = lambda name: True
    old: dict[str, Check] = field(default_factory=dict)


def command(*argv: object) -> Callable[[Path], int]:
    """A job of the command line; a leading ``@`` stands for the folder of outputs."""
    from dicomloom.cli.main import main

    def run(out: Path) -> int:
        words = map(str, argv)
        return main([f"{out}/{word[1:]}" if word[0] == "@" else word for word in words])

    run.is_command = True  # type: ignore[attr-defined]
    return run


def called(call: Callable[[Path], object]) -> Callable[[Path], int]:
    """A job of the API, which ends as a command would."""
    from dicomloom.cli.main import _explain

    def run(out: Path) -> int:
        try:
            call(out)
        except Exception as error:
            return _explain(error)
        return 0

    return run


def stood(*names: str) -> Callable[[Path], None]:
    """Something else stood under these names."""

    def before(out: Path) -> None:
        for name in names:
            (out / name).write_bytes(OLD)

    return before


def frames_are(frames: np.ndarray) -> Check:
    def check(path: Path) -> None:
        assert np.array_equal(pydicom.dcmread(path).pixel_array, frames), path

    return check


def document_is(content: bytes) -> Check:
    def check(path: Path) -> None:
        found = pydicom.dcmread(path)
        assert found.EncapsulatedDocument.rstrip(b"\0") == content.rstrip(b"\0")

    return check


def bytes_are(content: bytes) -> Check:
    def check(path: Path) -> None:
        assert path.read_bytes() == content, path

    return check


# --- tables ---


def rows_of(path: Path) -> dict[str, str]:
    """PatientID by the name of the file."""
    kind = path.suffix
    if kind == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif kind == ".jsonl":
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    elif kind == ".sqlite":
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM files")]
    elif kind == ".parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
    else:
        import pyarrow as pa

        with pa.OSFile(str(path)) as file:
            rows = pa.ipc.open_file(file).read_all().to_pylist()
    found = {os.path.basename(row["Filename"]): row["PatientID"] for row in rows}
    assert len(found) == len(rows)
    return found


def table_is(expected: dict[str, str]) -> Check:
    def check(path: Path) -> None:
        assert rows_of(path) == expected, path

    return check


def _few(folder: Path, numbers: Iterable[int]) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    made = {}
    for number in numbers:
        an_object(folder / f"{number}.dcm", number, PatientID=f"P{number}")
        made[f"{number}.dcm"] = f"P{number}"
    return made


def _index(inputs: Path, kind: str) -> Job:
    expected = _few(inputs / "in", range(12))
    name = f"t.{kind}"
    old = inputs / f"old.{kind}"
    _few(inputs / "other", [99])
    dicomloom.index(inputs / "other", old, ["PatientID"])
    return Job(
        command("index", inputs / "in", "-o", f"@{name}", "-t", "PatientID", "-j", 1),
        {name: table_is(expected)},
        before=lambda out: shutil.copy(old, out / name),
        old={name: table_is({"99.dcm": "P99"})},
    )


def _update(inputs: Path, kind: str) -> Job:
    earlier = _few(inputs / "in", range(8))
    name, old = f"t.{kind}", inputs / f"old.{kind}"
    dicomloom.index(inputs / "in", old, ["PatientID"])
    expected = earlier | _few(inputs / "in", range(6, 14))
    os.unlink(inputs / "in" / "0.dcm")
    del expected["0.dcm"]
    return Job(
        command("index", inputs / "in", "-o", f"@{name}", "-t", "PatientID", "--update", "-j", 1),
        {name: table_is(expected)},
        before=lambda out: shutil.copy(old, out / name),
        old={name: table_is(earlier)},
    )


# --- objects ---


def _writer(inputs: Path, known: bool) -> Job:
    def write(out: Path) -> None:
        with dicomloom.FrameWriter(
            out / "t.dcm",
            {"PatientID": "new"},
            transfer_syntax="RLELossless",
            frames=len(FRAMES) if known else None,
            workers=1,
        ) as writer:
            for frame in FRAMES:
                writer.write(frame)

    return Job(called(write), {"t.dcm": frames_are(FRAMES)}, stood("t.dcm"))


def _transcode(inputs: Path) -> Job:
    source = native_object(inputs / "in.dcm", FRAMES)
    run = command("transcode", source, "@t.dcm", "--to", "JPEGLosslessSV1", "-j", 1)
    return Job(run, {"t.dcm": frames_are(FRAMES)}, stood("t.dcm"))


def _transcode_tree(inputs: Path) -> Job:
    checks = {}
    for name in ("a/1.dcm", "a/b/2.dcm", "3.dcm"):
        (inputs / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        native_object(inputs / "in" / name, FRAMES)
        checks[name] = frames_are(FRAMES)

    def before(out: Path) -> None:
        (out / "a").mkdir()
        stood("a/1.dcm")(out)

    run = command("transcode", inputs / "in", "@", "--to", "RLELossless", "-j", 1)
    return Job(run, checks, before, allowed=("a", "a/b"), codes=(0, 1))


def _recover(inputs: Path) -> Job:
    options = {"transfer_syntax": "RLELossless", "max_memory": 2200, "workers": 1}
    with dicomloom.FrameWriter(inputs / "w.dcm", {}, **options) as writer:
        for frame in FRAMES:
            writer.write(frame)
        shutil.copy(inputs / "w.dcm.partial", inputs / "p")
    run = command("recover", inputs / "p", "@t.dcm")

    def check(path: Path) -> None:
        found = pydicom.dcmread(path).pixel_array
        assert len(found), "no frame was recovered"
        assert np.array_equal(found, FRAMES[: len(found)])

    return Job(run, {"t.dcm": check}, stood("t.dcm"))


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def _dicomize_document(inputs: Path) -> Job:
    (inputs / "d.pdf").write_bytes(PDF)
    run = command("dicomize", inputs / "d.pdf", "@t.dcm")
    return Job(run, {"t.dcm": document_is(PDF)}, stood("t.dcm"))


def _dicomize_pictures(inputs: Path) -> Job:
    import PIL.Image

    pictures = []
    for number, frame in enumerate(FRAMES):
        pictures.append(inputs / f"{number}.png")
        PIL.Image.fromarray(frame).save(pictures[-1])
    run = command("dicomize", *pictures, "@t.dcm", "--to", "RLELossless")
    return Job(run, {"t.dcm": frames_are(FRAMES)}, stood("t.dcm"))


def _extract(inputs: Path, force: bool) -> Job:
    (inputs / "d.pdf").write_bytes(PDF)
    dicomloom.dicomize(inputs / "d.pdf", inputs / "d.dcm")
    run = command("extract", inputs / "d.dcm", "-o", "@t.pdf", *(["--force"] * force))
    before = stood("t.pdf") if force else lambda out: None
    return Job(run, {"t.pdf": bytes_are(PDF)}, before, again=force)


# --- file-sets ---


def _set_has(count: int) -> Check:
    def check(path: Path) -> None:
        found = pydicom.dcmread(path)
        kinds = [record.DirectoryRecordType for record in found.DirectoryRecordSequence]
        assert kinds.count("IMAGE") == count
        for record in found.DirectoryRecordSequence:
            if "ReferencedFileID" in record:
                parts = record.ReferencedFileID
                parts = [parts] if isinstance(parts, str) else parts
                pydicom.dcmread(path.parent.joinpath(*parts))

    return check


def _dicomdir(inputs: Path) -> Job:
    _few(inputs / "in", range(1, 4))

    def before(out: Path) -> None:
        (out / READ).mkdir()
        for number in range(1, 4):
            shutil.copy(inputs / "in" / f"{number}.dcm", out / READ / f"F{number}")
        stood("DICOMDIR")(out)

    run = command("dicomdir", "create", "@", "-j", 1)
    names = (READ, *(f"{READ}/F{number}" for number in range(1, 4)))
    return Job(run, {"DICOMDIR": _set_has(3)}, before, allowed=names)


def _dicomdir_copies(inputs: Path) -> Job:
    _few(inputs / "in", range(1, 4))
    run = command("dicomdir", "create", inputs / "in", "--copy-to", "@disc", "-j", 1)

    def check(path: Path) -> None:
        _set_has(3)(path / "DICOMDIR")

    return Job(run, {"disc": check}, again=False)


def _dicomdir_extract(inputs: Path) -> Job:
    expected = _few(inputs / "in", range(1, 4))
    dicomloom.DicomDir.create(inputs / "in", copy_to=inputs / "disc")
    checks = {}
    for number in range(1, 1 + len(expected)):
        content = (inputs / "in" / f"{number}.dcm").read_bytes()
        checks[f"1.2.3.9.{number}.dcm"] = bytes_are(content)
    run = command("dicomdir", "extract", inputs / "disc" / "DICOMDIR", "-d", "@")
    return Job(run, checks, again=False)


# --- the network ---


def _step_state(inputs: Path) -> Job:
    """Nobody listens: what is to be sent is in the file before, and stays there."""
    run = command(
        "mpps", "start", "RIS@127.0.0.1:1", "Modality=OT", "--state", "@t.mpps", "--timeout", 2
    )

    def check(path: Path) -> None:
        assert json.loads(path.read_text("utf-8"))["state"] in ("NEW", "CREATING")

    return Job(run, {"t.mpps": check}, codes=(60,))


def _commit_state(inputs: Path) -> Job:
    """Likewise."""
    _few(inputs / "in", range(1, 4))
    run = command(
        "commit", "PACS@127.0.0.1:1", inputs / "in", "--state", "@t.json", "--timeout", 2,
    )  # fmt: skip

    def check(path: Path) -> None:
        assert len(json.loads(path.read_text("utf-8"))["transactions"]) == 1

    return Job(run, {"t.json": check}, codes=(60,), again=False)


def _node(folder: Path, port: int) -> contextlib.AbstractContextManager[object]:
    """A node whose own files meet no fault."""

    @contextlib.contextmanager
    def serving() -> Iterator[None]:
        with dicomloom.serve(folder, port=port, sync=False):
            yield

    return serving()


def _serve(inputs: Path) -> Job:
    """Success is for what is on the disk; else A700, which stands for exit code 40 here."""

    def run(out: Path) -> int:
        try:
            with dicomloom.serve(out, port=0) as server, Raw(server.port) as peer:
                peer.associate(IMPLICIT_CT)
                peer.store("1.2.3.4", small(size=5000))
                answer = peer.response()
                peer.release()
        except dicomloom.WriteError as error:
            print(error)
            return 40
        print(f"{answer} from {out}")
        return {0: 0, 0xA700: 40}.get(answer[0x0900], 98)

    digest = hashlib.blake2b(b"1.2.3.4", digest_size=1).hexdigest()

    def check(path: Path) -> None:
        found = pydicom.dcmread(path)
        assert found.SOPInstanceUID == "1.2.3.4"
        assert len(found[0x00291010].value) == 5000

    name = f"objects/{digest}/1.2.3.4.dcm"
    return Job(run, {name: check}, is_left=lambda name: ".partial" in name)


def _retrieve(inputs: Path) -> Job:
    _few(inputs / "in", range(1, 4))
    with dicomloom.serve(inputs / "archive", port=0, sync=False) as server:
        dicomloom.send(f"ANY@127.0.0.1:{server.port}", inputs / "in")
    port = free_port()

    run = command(
        "retrieve", f"ANY@127.0.0.1:{port}", "-d", "@",
        "--layout", "{PatientID}/{SOPInstanceUID}.dcm", "-k", "StudyInstanceUID=1.2.3.1",
    )  # fmt: skip
    checks = {}
    for number in range(1, 4):
        dataset = pydicom.dcmread(inputs / "in" / f"{number}.dcm")
        checks[f"P{number}/1.2.3.9.{number}.dcm"] = object_is(dataset)
    names = tuple(f"P{number}" for number in range(1, 4))
    return Job(
        run, checks, allowed=names, codes=(0, 1), around=lambda: _node(inputs / "archive", port)
    )


def object_is(expected: Dataset) -> Check:
    def check(path: Path) -> None:
        assert pydicom.dcmread(path) == expected

    return check


def _report(inputs: Path) -> Job:
    """Lines are added to what is there; a last one that was cut off is cleared by the next run."""
    _few(inputs / "in", range(1, 4))

    port = free_port()
    run = command("send", f"ANY@127.0.0.1:{port}", inputs / "in", "--report", "@r.jsonl")

    def check(path: Path) -> None:
        lines = path.read_bytes().split(b"\n")[:-1]
        for line in lines:
            assert json.loads(line)["outcome"] == "sent"

    return Job(run, {"r.jsonl": check}, around=lambda: _node(inputs / "archive", port))


def catalog() -> dict[str, Callable[[Path], Job]]:
    """All jobs by name; each is made in a folder for its inputs."""
    made: dict[str, Callable[[Path], Job]] = {}
    for kind in ("csv", "jsonl", "sqlite", "arrow", "parquet"):
        made[f"index-{kind}"] = lambda inputs, kind=kind: _index(inputs, kind)
    for kind in ("jsonl", "sqlite", "arrow", "parquet"):
        made[f"update-{kind}"] = lambda inputs, kind=kind: _update(inputs, kind)
    made |= {
        "writer": lambda inputs: _writer(inputs, True),
        "writer-unknown": lambda inputs: _writer(inputs, False),
        "transcode": _transcode,
        "transcode-tree": _transcode_tree,
        "recover": _recover,
        "dicomize-document": _dicomize_document,
        "dicomize-pictures": _dicomize_pictures,
        "extract": lambda inputs: _extract(inputs, False),
        "extract-force": lambda inputs: _extract(inputs, True),
        "dicomdir": _dicomdir,
        "dicomdir-copies": _dicomdir_copies,
        "dicomdir-extract": _dicomdir_extract,
        "serve": _serve,
        "retrieve": _retrieve,
        "send-report": _report,
        "mpps-state": _step_state,
        "commit-state": _commit_state,
    }
    return made
