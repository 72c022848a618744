"""Make trees of files to measure on: CT instances, files that are no DICOM, a million hard links.

    python make_tree.py TREE --files 100000
    python make_tree.py NOISE --non-dicom 10000 --size 1048576
    python make_tree.py NAMES --hard-links 1000000

One template is built by pydicom; every file is that template with a dozen values overwritten at
known offsets. The same seed gives the same bytes, and `instances` tells what is in them without
looking.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from template import PLACEHOLDERS, Template, make_template

SERIES_OF_STUDY = 3
STUDIES_OF_PATIENT = 2
SMALLEST_SERIES, LARGEST_SERIES = 100, 200
MOST_LINKS = 60_000  # ext4 allows 65,000 names an inode
NAMES_OF_FOLDER = 1_000
NOISE_BYTES = 16_384  # of a sparse file: more than any sane reader takes to refuse it


class Instance(NamedTuple):
    """What one file of a tree holds, under pydicom's keywords."""

    path: str  # below the tree's root
    SOPInstanceUID: str
    SeriesInstanceUID: str
    StudyInstanceUID: str
    PatientID: str
    PatientName: str
    AccessionNumber: str
    PatientBirthDate: str
    PatientSex: str
    StudyDate: str
    StudyTime: str
    InstanceNumber: str
    SliceLocation: str


def _number(seed: int, *what: object) -> int:
    return int.from_bytes(blake2b(repr((seed, *what)).encode(), digest_size=20).digest(), "big")


def _uid(seed: int, kind: str, number: int) -> str:
    """A UID of 64 characters, the longest there is (PS3.5 9.1)."""
    return f"1.2.826.0.1.3680043.8.498.{10**37 + _number(seed, kind, number) % (9 * 10**37)}"


def _date(r: random.Random, first: int, last: int) -> str:
    return f"{r.randint(first, last)}{r.randint(1, 12):02d}{r.randint(1, 28):02d}"


def instances(count: int, seed: int = 0) -> Iterator[Instance]:
    """Yield what the first `count` files of a tree hold; smaller trees start larger ones."""
    made = series = 0
    while made < count:
        study = series // SERIES_OF_STUDY
        patient = study // STUDIES_OF_PATIENT
        folder = f"PAT{patient:05d}/ST{study:06d}/SE{series:06d}"
        r = random.Random(_number(seed, "series", series))
        p = random.Random(_number(seed, "patient", patient))
        s = random.Random(_number(seed, "study", study))
        common = {
            "SeriesInstanceUID": _uid(seed, "series", series),
            "StudyInstanceUID": _uid(seed, "study", study),
            "PatientID": f"P{patient:05d}{p.randrange(10**6):06d}",
            "PatientName": f"FAMILY{patient:05d}^GIVEN{patient:05d}",
            "AccessionNumber": f"A{study:06d}{s.randrange(10**5):05d}",
            "PatientBirthDate": _date(p, 1930, 2005),
            "PatientSex": p.choice("FMO"),
            "StudyDate": _date(s, 2010, 2024),
            "StudyTime": f"{s.randint(7, 19):02d}{s.randint(0, 59):02d}{s.randint(0, 59):02d}",
        }
        for i in range(min(r.randint(SMALLEST_SERIES, LARGEST_SERIES), count - made)):
            yield Instance(
                path=f"{folder}/IM{i + 1:06d}.dcm",
                SOPInstanceUID=_uid(seed, "instance", made),
                InstanceNumber=f"{i + 1:06d}",
                SliceLocation=f"{-1000 - i * 0.75:08.2f}",
                **common,
            )
            made += 1
        series += 1


def _patched(template: Template, content: bytearray, instance: Instance) -> None:
    for name, offsets in template.offsets.items():
        value = getattr(instance, name).encode()
        if len(value) != len(PLACEHOLDERS[name]):
            raise AssertionError(f"{name} of {len(value)} bytes replaces another length")
        for at in offsets:
            content[at : at + len(value)] = value


def make_tree(root: Path, count: int, *, seed: int = 0, pixels: int = 64) -> list[Instance]:
    """Write `count` CT instances as patient/study/series/file; returns what they hold."""
    template = make_template(pixels)
    content = bytearray(template.content)
    made = list(instances(count, seed))
    folder = ""
    for instance in made:
        parent = instance.path.rpartition("/")[0]
        if parent != folder:
            (root / parent).mkdir(parents=True)
            folder = parent
        _patched(template, content, instance)
        _write(root / instance.path, content)
    return made


def _write(path: Path | str, content: bytes | bytearray, size: int | None = None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(fd, content)
        if size is not None and size > len(content):
            os.ftruncate(fd, size)
    finally:
        os.close(fd)


def make_noise(root: Path, count: int, *, size: int, seed: int = 0, sparse: bool = True) -> None:
    """Write `count` files of `size` bytes that are no DICOM; sparse ones hold noise only first."""
    r = random.Random(seed)
    for i in range(count):
        if i % NAMES_OF_FOLDER == 0:
            (root / f"noise{i // NAMES_OF_FOLDER:04d}").mkdir(parents=True)
        head = r.randbytes(min(size, NOISE_BYTES) if sparse else size)
        _write(root / f"noise{i // NAMES_OF_FOLDER:04d}" / f"file{i:07d}.bin", head, size)


def make_links(root: Path, count: int, *, base: int = 64, seed: int = 0) -> list[Instance]:
    """Write a few instances and give each of them so many names that there are `count`."""
    base = max(base, -(-count // MOST_LINKS))
    held = make_tree(root / "base", min(base, count), seed=seed)
    inodes = [str(root / "base" / instance.path) for instance in held]
    folder = ""
    for i in range(len(held), count):
        if i == len(held) or i % NAMES_OF_FOLDER == 0:
            folder = str(root / f"links{i // NAMES_OF_FOLDER:05d}")
            Path(folder).mkdir(exist_ok=True)
        os.link(inodes[i % len(inodes)], f"{folder}/name{i:08d}.dcm")
    return held


def needed_bytes(files: int = 0, *, pixels: int = 64, noise: int = 0, names: int = 0) -> int:
    """Estimate what a tree takes on a disk of 4 KiB blocks; noise is sparse."""
    block = 4096
    image = 6_500 + 2 * pixels * pixels
    return files * (-(-image // block) * block + 512) + noise * (NOISE_BYTES + 512) + names * 64


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("root", type=Path, help="a directory that does not exist yet, or is empty")
    parser.add_argument("--files", type=int, default=None, help="CT instances (100000)")
    parser.add_argument("--non-dicom", type=int, default=0, metavar="N", help="files of noise")
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of such a file (1 MiB)")
    parser.add_argument("--real", action="store_true", help="noise to the end, not a sparse file")
    parser.add_argument("--hard-links", type=int, default=0, metavar="N", help="names of few files")
    parser.add_argument("--pixels", type=int, default=64, help="rows and columns (64: 8 kB)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    if args.root.exists() and any(args.root.iterdir()):
        parser.error(f"{args.root} is not empty")
    args.root.mkdir(parents=True, exist_ok=True)
    nothing_else = not args.non_dicom and not args.hard_links
    files = args.files if args.files is not None else 100_000 if nothing_else else 0
    if files:
        make_tree(args.root, files, seed=args.seed, pixels=args.pixels)
    if args.non_dicom:
        make_noise(args.root, args.non_dicom, size=args.size, seed=args.seed, sparse=not args.real)
    if args.hard_links:
        make_links(args.root, args.hard_links, seed=args.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
