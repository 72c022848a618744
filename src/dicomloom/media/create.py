"""A DICOMDIR of the files below a folder, made from one scan (PS3.3 annex F, PS3.10 8)."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from dicomloom.errors import NotDicomError, TruncatedError, WriteError
from dicomloom.files import EagerFile, Replacing, open_regular, reading, writing
from dicomloom.media.build import Builder
from dicomloom.media.collect import Collection
from dicomloom.media.encode import directory
from dicomloom.media.findings import Finding
from dicomloom.media.names import is_file_set_id
from dicomloom.media.records import PROFILES
from dicomloom.system import BYTES, sync_folder

if TYPE_CHECKING:
    from dicomloom.codecs.isolation import Isolation


def name_of(place: tuple[int, ...]) -> str:
    r"""Return the File ID of an instance by its numbers in patient, study and series.

    Examples
    --------
    >>> name_of((1, 1, 2, 30))
    'PAT00001\\STU00001\\SER00002\\IMG00030'
    """
    prefixes = ("PAT", "STU", "SER", "IMG") if len(place) == 4 else ("OBJ",)
    parts = zip(prefixes, place, strict=True)
    return "\\".join(f"{p}{n:05d}" if n < 100_000 else f"{p[0]}{n:07d}" for p, n in parts)


def _copy(source: str, size: int, target: str, told: str) -> None:
    """Copy a file that had so many bytes; `told` is what errors call the target."""
    with reading(source):
        file = open(open_regular(source), "rb")  # noqa: SIM115 (closed below)
    with file, writing(told):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BYTES
        with EagerFile(os.open(target, flags, 0o666)) as copy:
            size = max(size, os.fstat(file.fileno()).st_size)
            copied = copy.copy(file.fileno(), 0, size)
            if copied != size:
                raise TruncatedError(
                    f"truncated: {size} bytes were expected, {copied} are there: another program "
                    "shortened the file",
                    path=source,
                    offset=copied,
                )
            os.fsync(copy.fileno())


def _write_copies(
    target: str, content: bytes, sources: list[tuple[str, int]], file_ids: list[str]
) -> None:
    """Write a whole file-set beside `target`, and give it its name when it is complete."""
    parent = os.path.dirname(os.path.realpath(target))
    partial = os.path.join(parent, f".dicomloom-{os.urandom(8).hex()}.partial")
    try:
        with writing(target):
            if os.path.isdir(target) and os.listdir(target):
                raise WriteError("the folder to copy to is not empty: name a new one", path=target)
            os.mkdir(partial)
        for (source, size), file_id in zip(sources, file_ids, strict=True):
            _copy(source, size, os.path.join(partial, *file_id.split("\\")), target)
        with writing(target):
            with Replacing(os.path.join(partial, "DICOMDIR")) as file:
                file.write(content)
            for folder, _, _ in os.walk(partial, topdown=False):
                sync_folder(folder)
            os.rename(partial, target)
            sync_folder(parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def create(
    paths: list[str],
    target: str,
    *,
    profile: str | None,
    file_set_id: str,
    copy_to: str | None,
    icons: bool,
    jobs: int | None,
    isolate: bool | Isolation = False,
) -> list[Finding]:
    """Make a DICOMDIR; returns what is wrong. See `DicomDir.create`."""
    if not is_file_set_id(file_set_id):
        raise ValueError(f"a File-set ID is up to 16 of A-Z 0-9 _ and space, not {file_set_id!r}")
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"the profile is one of {', '.join(PROFILES)}, not {profile}")
    found = Collection(paths, target, profile, jobs)
    root = os.path.dirname(target)
    if copy_to is None:
        found.name(root)
    if not found.rows:
        first = found.findings[0] if found.findings else None
        why = f"{first.path}: {first.message}" if first else "there is nothing but DICOMDIRs"
        raise NotDicomError(f"there is no file that a DICOMDIR can refer to: {why}", path=root)
    builder = _built(found, icons, isolate)
    if copy_to is None:
        builder.refer([found.file_ids[placed.row] for placed in builder.placed])
        with Replacing(target) as file:
            file.write(directory(builder.root, file_set_id))
        return found.findings
    file_ids = [name_of(placed.place) for placed in builder.placed]
    builder.refer(file_ids)
    names, sizes = found.column("Filename"), found.sizes()
    sources = [(names[placed.row], sizes[placed.row]) for placed in builder.placed]
    _write_copies(copy_to, directory(builder.root, file_set_id), sources, file_ids)
    return found.findings


def _built(found: Collection, icons: bool, isolate: bool | Isolation) -> Builder:
    """Return the records, their icons made."""
    if not isolate:
        return Builder(found, icons)
    from dicomloom.codecs.isolation import isolation_of

    isolation = isolation_of(isolate)
    try:
        return Builder(found, icons, isolation)
    finally:
        if isolation is not None:
            isolation.close()
