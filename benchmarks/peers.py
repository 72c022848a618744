"""Who is measured: the command of each, and how to read what it found."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from children import KEY, TAGS
from make_tree import Instance
from processes import HERE, BenchmarkError, Run, Tools, program

Key = tuple[str, ...]

_NUMBERS = {
    "SOPInstanceUID": "0008,0018",
    "PatientID": "0010,0020",
    "AccessionNumber": "0008,0050",
    "SOPClassUID": "0008,0016",
    "StudyDate": "0008,0020",
    "StudyTime": "0008,0030",
    "PatientName": "0010,0010",
    "PatientBirthDate": "0010,0030",
    "PatientSex": "0010,0040",
    "StudyInstanceUID": "0020,000d",
    "SeriesInstanceUID": "0020,000e",
}


@dataclass(frozen=True)
class Candidate:
    """One way to read the eleven tags of a tree.

    Attributes
    ----------
    command : callable
        From the tree and a file to write to, to the arguments.
    found : callable
        From that file to the (SOPInstanceUID, PatientID, AccessionNumber) of each row.
    checked : callable, optional
        The command to use where rows are compared, if it is not the one to be timed.
    prints : bool
        It writes to its standard output, which goes to that file.
    inside : bool
        It also tells how long it took without its start.
    most : int
        How many files it is given, 0 for all; slow ones are given the start of the tree.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    found: Callable[[Path], list[Key]]
    checked: Callable[[Path, Path], list[str]] | None = None
    prints: bool = False
    inside: bool = False
    most: int = 0

    def run(self, tools: Tools, tree: Path, out: Path) -> Run:
        return tools.run(self.command(tree, out), out if self.prints else None)

    def check(self, tools: Tools, tree: Path, out: Path, expected: Sequence[Instance]) -> None:
        """Run once and compare with what the generator wrote.

        Raises
        ------
        BenchmarkError
            Rows are missing, too many, or hold something else.
        """
        out.unlink(missing_ok=True)
        tools.run((self.checked or self.command)(tree, out), out if self.prints else None)
        found = sorted(self.found(out))
        wanted = sorted(tuple(getattr(each, name) for name in KEY) for each in expected)
        if found != wanted:
            wrong = len(set(wanted) ^ set(found))
            raise BenchmarkError(
                f"{self.name}: {len(found)} rows for {len(wanted)} files, {wrong} differ"
            )


def _from_csv(path: Path) -> list[Key]:
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row[name] for name in KEY) for row in csv.DictReader(file)]


def _from_scanner(path: Path) -> list[Key]:
    """gdcmscanner --table: the file, then values in the order of their tags, tab-separated."""
    order = sorted(TAGS, key=lambda tag: _NUMBERS[tag])
    at = [1 + order.index(name) for name in KEY]
    rows = []
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith('"'):
            cells = [cell.strip('"').rstrip(" \0") for cell in line.split("\t")]
            rows.append(tuple(cells[i] for i in at))
    return rows


def _from_dump(path: Path) -> list[Key]:
    """Read what dcmdump +P prints: the first value of each tag after a file's name."""
    rows: list[dict[str, str]] = []
    for line in path.read_text(encoding="latin-1").splitlines():
        value = re.match(r"\(([0-9a-f,]{9})\) \w\w [=\[](.*?)\]? +#", line)
        if line.startswith("# dcmdump"):
            rows.append({})
        elif value:
            rows[-1].setdefault(value[1], value[2])
    return [tuple(row.get(_NUMBERS[name], "") for name in KEY) for row in rows]


def index_command(trees: Path | Sequence[Path], out: Path, *more: str) -> list[str]:
    """Return the arguments of `dicomloom index`, as installed beside this interpreter."""
    found = program("dicomloom")
    if not found:
        raise BenchmarkError("dicomloom is not installed")
    paths = [trees] if isinstance(trees, Path) else trees
    return [found, "index", *map(str, paths), "-o", str(out), "--no-progress", *more]


def child_command(mode: str, tree: Path, *more: str) -> list[str]:
    """Return the arguments of one mode of children.py."""
    return [sys.executable, str(HERE / "children.py"), mode, str(tree), *more]


def ours() -> list[Candidate]:
    """Return the ways of dicomloom that have to give every row of a tree."""
    return [
        Candidate("dicomloom index -> CSV", index_command, _from_csv),
        Candidate(
            "dicomloom.scan -> Arrow",
            lambda tree, _out: child_command("arrow", tree),
            _from_csv,
            checked=lambda tree, out: child_command("arrow", tree, str(out)),
            inside=True,
        ),
    ]


def _keyword_options(flag: str) -> list[str]:
    return [part for tag in TAGS for part in (flag, tag)]


def _number_options(flag: str) -> list[str]:
    return [part for tag in TAGS for part in (flag, _NUMBERS[tag])]


def peers(subset: int) -> tuple[list[Candidate], list[str]]:
    """Return the peers that are here, and the names of those that are not.

    `subset` is how many files the slow ones are given.
    """
    # Each at its best: dicomtocsv reads all columns in one pass, dcmdump stops behind the last.
    known = {
        "dicomtocsv": Candidate(
            "dicomtocsv --image",
            lambda tree, out: [
                *("dicomtocsv", "--image", "--silent", *_keyword_options("-k")),
                *("-o", str(out), str(tree)),
            ],
            _from_csv,
        ),
        "gdcmscanner": Candidate(
            "gdcmscanner --table",
            lambda tree, _out: [
                *("gdcmscanner", "-r", "-p", "--table", "-d", str(tree), *_number_options("-t"))
            ],
            _from_scanner,
            prints=True,
            most=subset,
        ),
        "dcmdump": Candidate(
            "dcmdump +P +st 0020,000e",
            lambda tree, _out: [
                *("dcmdump", "-q", "-M", "-s", "+st", "0020,000e", "+Fs", "+sd", "+r"),
                *(*_number_options("+P"), str(tree)),
            ],
            _from_dump,
            prints=True,
            most=subset,
        ),
    }
    there = [each for name, each in known.items() if program(name)]
    absent = [name for name in known if not program(name)]
    if importlib.util.find_spec("pydicom"):
        most = min(subset, 2_000)
        there.append(
            Candidate(
                "pydicom dcmread(specific_tags)",
                lambda tree, _out: child_command("pydicom", tree, "", str(most)),
                _from_csv,
                checked=lambda tree, out: child_command("pydicom", tree, str(out), str(most)),
                inside=True,
                most=most,
            )
        )
    else:
        absent.append("pydicom")
    return there, absent
