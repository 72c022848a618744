"""How fast DICOMDIRs are made and read, beside dcmmkdir, gdcmgendir, dcmdump and pydicom.

    python bench_dicomdir.py --files 20000 --records 100000

Two sections: CT files as scanners write them (about 250 elements, 137 kB each) become a DICOMDIR;
a DICOMDIR of many records is read. Whole processes. Prints Markdown. Works in a directory of its
own below --dir, removed at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from make_tree import instances, make_tree, needed_bytes
from processes import (
    BenchmarkError,
    Run,
    Tools,
    alternate,
    median,
    median_ratio,
    program,
    spread,
    workplace,
)
from report import describe, note, say, table

PIXELS = 256  # rows and columns
FILES_OF_FOLDER = 1000
_BYTES_OF_RECORD = 512
_PYDICOM_MAKES = (
    "import sys; from pathlib import Path; from pydicom.fileset import FileSet; f = FileSet();"
    "[f.add(p) for p in Path(sys.argv[1]).rglob('I*') if p.is_file()]; f.write(sys.argv[2])"
)
_OURS = "import sys; from dicomloom import DicomDir; found = DicomDir.open(sys.argv[1]);"
_COUNTED = "print('{{\"count\": %d}}' % sum(1 for {}))"
# Each counts the instances, and prints that as JSON.
READERS = {
    "dicomloom.DicomDir, open": _OURS
    + "print('{\"count\": %d}' % sum(k == 'IMAGE' for k in found._read.kinds))",
    "dicomloom.DicomDir, UIDs and File IDs": _OURS
    + _COUNTED.format("n in found.instances if n.sop_instance_uid and n.file_id"),
    "dicomloom.DicomDir, UIDs and paths": _OURS
    + _COUNTED.format("n in found.instances if n.sop_instance_uid and n.path"),
    "pydicom.dcmread, UIDs and File IDs": "import sys; from pydicom import dcmread;"
    "r = dcmread(sys.argv[1]).DirectoryRecordSequence;"
    + _COUNTED.format("n in r if n.get('ReferencedSOPInstanceUIDInFile') and n.ReferencedFileID"),
    "pydicom FileSet": "import sys; from pydicom.fileset import FileSet;"
    + _COUNTED.format("n in FileSet(sys.argv[1]) if n.SOPInstanceUID"),
}


def make_disc(folder: Path, files: int) -> Path:
    """Make files whose names are File IDs."""
    made = make_tree(folder / "tree", files, pixels=PIXELS)
    for i, each in enumerate(made):
        to = folder / "disc" / f"D{i // FILES_OF_FOLDER:05d}"
        to.mkdir(parents=True, exist_ok=True)
        os.rename(folder / "tree" / each.path, to / f"I{i:06d}")
    return folder / "disc"


def make_directory(folder: Path, count: int) -> Path:
    """Write a DICOMDIR of `count` images, and empty files where they should be."""
    from dicomloom.media.encode import Record, directory, element

    def record(kind: str, *keys: tuple[int, str, str]) -> Record:
        pairs = [(0x00041430, "CS", kind), *keys]
        return Record(b"".join(element(tag, vr, text.encode()) for tag, vr, text in pairs))

    root: list[Record] = []
    known: dict[str, Record] = {}

    def below(parent: list[Record], uid: str, made: Record) -> Record:
        if uid not in known:
            known[uid] = made
            parent.append(made)
        return known[uid]

    for i, each in enumerate(instances(count)):
        file_id = f"D{i // FILES_OF_FOLDER:05d}\\I{i:06d}"
        path = folder.joinpath(*file_id.split("\\"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        patient = record(
            "PATIENT", (0x00100010, "PN", each.PatientName), (0x00100020, "LO", each.PatientID)
        )
        study = record(
            "STUDY",
            (0x00080020, "DA", each.StudyDate),
            (0x00080030, "TM", each.StudyTime),
            (0x0020000D, "UI", each.StudyInstanceUID),
            (0x00200010, "SH", "1"),
        )
        series = record(
            "SERIES",
            (0x00080060, "CS", "CT"),
            (0x0020000E, "UI", each.SeriesInstanceUID),
            (0x00200011, "IS", "5"),
        )
        image = record(
            "IMAGE",
            (0x00041500, "CS", file_id),
            (0x00041510, "UI", "1.2.840.10008.5.1.4.1.1.2"),
            (0x00041511, "UI", each.SOPInstanceUID),
            (0x00041512, "UI", "1.2.840.10008.1.2.1"),
            (0x00200013, "IS", each.InstanceNumber),
        )
        of_patient = below(root, each.PatientID, patient)
        of_study = below(of_patient.children, each.StudyInstanceUID, study)
        below(of_study.children, each.SeriesInstanceUID, series).children.append(image)
    path = folder / "DICOMDIR"
    path.write_bytes(directory(root, "BENCH"))
    return path


def _rows(counts: dict[str, int], taken: dict[str, list[Run]], ours: str) -> list[list[str]]:
    """Rows of a table; rates are compared within rounds."""
    rows = []
    for name, runs in taken.items():
        rates = [counts[name] / run.wall for run in runs]
        ratio = median_ratio([counts[ours] / run.wall for run in taken[ours]], rates)
        rows.append(
            [
                name,
                f"{counts[name]:,}",
                spread(runs),
                f"{counts[name] / median(runs):,.0f}",
                "" if name == ours else f"{ratio:.1f}",
                f"{median(runs, 'peak_kib') / 1024:.0f}",
            ]
        )
    return rows


def measure_making(tools: Tools, folder: Path, files: int, slow: int, runs: int) -> None:
    note(f"making {files:,} files")
    many, few = make_disc(folder / "all", files), make_disc(folder / "few", slow)
    ours = "dicomloom dicomdir create"
    counts = {ours: files}
    commands = {ours: ["dicomloom", "dicomdir", "create", str(many)]}
    for name, where, count, command in (
        ("dcmmkdir", many, files, ["dcmmkdir", "+r", "+id", str(many), "+D", f"{folder}/DCMTK"]),
        ("gdcmgendir", few, slow, ["gdcmgendir", "-r", "-i", str(few), "-o", f"{folder}/GDCM"]),
    ):
        if program(name):
            counts[name], commands[name] = count, command
        else:
            say(f"{name} is not installed: {where.name} skipped\n")
    jobs: dict[str, Callable[[], Run]] = {
        name: partial(tools.run, command) for name, command in commands.items()
    }
    turn = iter(range(runs))
    counts["pydicom FileSet, which copies the files"] = slow
    jobs["pydicom FileSet, which copies the files"] = lambda: tools.run(
        [sys.executable, "-c", _PYDICOM_MAKES, str(few), f"{folder}/pydicom{next(turn)}"]
    )
    taken = alternate(jobs, runs)
    say("## Made\n")
    head = ["", "files", "wall s (least-most)", "files/s", "ours is x as fast", "peak MiB"]
    table(head, _rows(counts, taken, ours))


def measure_reading(tools: Tools, folder: Path, records: int, runs: int) -> None:
    note(f"making a DICOMDIR of {records:,} images")
    path = str(make_directory(folder / "read", records))
    jobs: dict[str, Callable[[], Run]] = {
        name: partial(_counted, tools, [sys.executable, "-c", code, path], records)
        for name, code in READERS.items()
    }
    if program("dcmdump"):
        jobs["dcmdump"] = partial(tools.run, ["dcmdump", path])
    else:
        say("dcmdump is not installed: skipped\n")
    taken = alternate(jobs, runs)
    say(f"## Read: {os.path.getsize(path) / 1e6:.0f} MB\n")
    head = ["", "images", "wall s (least-most)", "images/s", "ours is x as fast", "peak MiB"]
    ours = "dicomloom.DicomDir, UIDs and File IDs"
    table(head, _rows(dict.fromkeys(taken, records), taken, ours))


def _counted(tools: Tools, command: list[str], count: int) -> Run:
    run = tools.run(command)
    if run.reported.get("count") != count:
        raise BenchmarkError(f"{run.reported} instead of {count}: {' '.join(command)}")
    return run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--slow", type=int, default=2_000, help="files for slow peers")
    parser.add_argument("--records", type=int, default=100_000, help="images of the one to read")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args(arguments)
    needed = needed_bytes(args.files + (1 + args.runs) * args.slow, pixels=PIXELS)
    try:
        with workplace(args.dir, needed + args.records * 2 * _BYTES_OF_RECORD) as folder:
            tools = Tools(folder)
            describe(folder, ("dicomloom", "pydicom"), ("dcmmkdir", "gdcmgendir", "dcmdump"))
            if args.files:
                measure_making(tools, folder, args.files, args.slow, args.runs)
            if args.records:
                measure_reading(tools, folder, args.records, args.runs)
    except BenchmarkError as error:
        print(f"bench_dicomdir: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
