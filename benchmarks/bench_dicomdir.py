"""How fast `dicomloom dicomdir create` is beside dcmmkdir, gdcmgendir and pydicom's FileSet.

    python bench_dicomdir.py --files 20000

Prints Markdown. Works in a directory of its own below --dir, removed at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from make_tree import make_tree, needed_bytes
from processes import BenchmarkError, Tools, alternate, median, program, spread, workplace
from report import describe, note, table

_PYDICOM = (
    "import sys; from pathlib import Path; from pydicom.fileset import FileSet; f = FileSet();"
    "[f.add(p) for p in Path(sys.argv[1]).rglob('*') if p.is_file()]; f.write(sys.argv[2])"
)
_OURS = (
    "import sys; from dicomloom import DicomDir;"
    "print(sum(1 for _ in DicomDir.open(sys.argv[1]).instances))"
)
_THEIRS = (
    "import sys; from pydicom.fileset import FileSet; print(sum(1 for _ in FileSet(sys.argv[1])))"
)


def make_disc(folder: Path, files: int) -> Path:
    """Make files whose names are File IDs."""
    made = make_tree(folder / "tree", files, pixels=PIXELS)
    for i, each in enumerate(made):
        to = folder / "disc" / f"D{i // 1000:05d}"
        to.mkdir(parents=True, exist_ok=True)
        os.rename(folder / "tree" / each.path, to / f"I{i:06d}")
    return folder / "disc"


def measure(folder: Path, files: int, slow: int, runs: int) -> None:
    tools = Tools(folder)
    describe(folder, ("dicomloom", "pydicom", "python-gdcm"), ("dcmmkdir", "gdcmgendir"))
    note(f"making {files:,} files")
    discs = {files: make_disc(folder / "all", files), slow: make_disc(folder / "few", slow)}
    commands: dict[str, tuple[int, list[str]]] = {
        "dicomloom dicomdir create": (files, ["dicomloom", "dicomdir", "create", str(discs[files])])
    }
    if program("dcmmkdir"):
        command = ["dcmmkdir", "+r", "+id", str(discs[files]), "+D", str(folder / "DCMTK")]
        commands["dcmmkdir"] = files, command
    if program("gdcmgendir"):
        command = ["gdcmgendir", "-r", "-o", str(folder / "GDCM"), str(discs[slow])]
        commands["gdcmgendir"] = slow, command
    command = [sys.executable, "-c", _PYDICOM, str(discs[slow]), str(folder / "pydicom")]
    commands["pydicom FileSet"] = slow, command
    directory = str(discs[files] / "DICOMDIR")
    tools.run(commands["dicomloom dicomdir create"][1])
    commands["read: dicomloom.DicomDir"] = files, [sys.executable, "-c", _OURS, directory]
    commands["read: pydicom FileSet"] = files, [sys.executable, "-c", _THEIRS, directory]
    jobs = {
        name: (lambda command=command: tools.run(command))
        for name, (_, command) in commands.items()
    }
    taken = alternate(jobs, runs)
    table(
        ["", "files", "wall s (least-most)", "files/s", "peak MiB"],
        [
            [
                name,
                f"{commands[name][0]:,}",
                spread(each),
                f"{commands[name][0] / median(each):,.0f}",
                f"{median(each, 'peak_kib') / 1024:.0f}",
            ]
            for name, each in taken.items()
        ],
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--slow", type=int, default=500, help="files for slow peers")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args(arguments)
    try:
        with workplace(args.dir, needed_bytes(args.files + 2 * args.slow)) as folder:
            measure(folder, args.files, args.slow, args.runs)
    except BenchmarkError as error:
        print(f"bench_dicomdir: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
