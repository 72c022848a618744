"""A child that puts damaged files through every door: run by test_corpus_survival.py.

    survivor.py WORK SEED CUTS FLIPS SKIP FILE...

WORK is a folder of its own. Each variant of each FILE (0 is the whole one, then cuts, then flips)
goes through each door. A line before says what begins, a line behind what came of it, so that who
reads them knows what was under way when this process ended: ``? FILE VARIANT DOOR``, then
``= SECONDS OUTCOME``. The first SKIP doors are left out: they were done by a child that died.
``# FILE PEAK`` has the peak of the resident memory in KiB. A door that takes more processor time
than is allowed ends the process by SIGPROF, which counts no time that others have.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread reserves address space

import random
import resource
import signal
import sys
import time
import warnings
import zlib
from pathlib import Path

from dicomloom import DicomDir, DicomloomError, FrameReader, dump, read_tags, scan, transcode
from dicomloom.dump.walk import Kind, walk
from dicomloom.errors import CorruptError, LimitError, NotDicomError, TruncatedError
from dicomloom.frames.sources import BytesSource

ADDRESS_SPACE = 1 << 30
USUAL = ("SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "Rows", "PixelData")


class Fault(Exception):
    """Something that must not happen."""


class Whole:
    """What the undamaged file gives, by which the others are judged."""

    def __init__(self, data):
        self.wanted = list(USUAL)
        self.header = len(data)  # where pixel data begin
        self.gave = {}  # door -> whether it gave something
        self.frames = []  # checksums
        found = []
        try:
            for entry in walk(BytesSource(data)):
                if entry.level == 0 and entry.tag >> 16 != 2:
                    if entry.kind is not Kind.STRAY:
                        found.append(f"{entry.tag:08x}")
                    if entry.tag >> 16 == 0x7FE0:
                        self.header = min(self.header, entry.value)
        except DicomloomError:
            pass
        # The first and the last: one other byte makes another element of one of them, not of both.
        self.wanted += dict.fromkeys(found[:1] + found[-1:])
        self.is_one = len(found) == 1


def by_read_tags(path, work, whole):
    values = read_tags(path, whole.wanted).values()
    return any(value is not None for value in values), ""


def by_scan(path, work, whole):
    with scan([path], whole.wanted, threads=1) as batches:
        rows = [row for batch in batches for row in batch.rows()]
    if len(rows) != 1 or rows[0][0] != path:
        raise Fault(f"{len(rows)} rows")
    _, status, *values, error = rows[0]
    if status == "ERROR":
        if not error or ("not DICOM" not in error and "byte" not in error):
            raise Fault(f"ERROR without a reason or a place: {error}")
        return True, "row"
    return any(value is not None for value in values), ""


def by_frames(path, work, whole):
    with FrameReader(path) as reader:
        sums = [zlib.crc32(frame.tobytes()) for frame in reader]
    if not whole.gave:
        whole.frames = sums
    return bool(sums), sums


def by_transcode(path, work, whole):
    target = work / "out" / "target.dcm"
    try:
        report = transcode(path, target, "RLELossless", workers=1)
        if not target.is_file() or target.stat().st_size < 132:
            raise Fault("no target")
        return report.frames > 0, ""
    finally:
        target.unlink(missing_ok=True)
        left = os.listdir(work / "out")
        if left:
            raise Fault(f"left behind: {left}")


def by_dicomdir(path, work, whole):
    made = os.path.join(os.path.dirname(path), "DICOMDIR")
    try:
        directory = DicomDir.create(os.path.dirname(path), jobs=1)
        faults = [finding for finding in directory.findings if finding.is_fault]
        return bool(list(directory.instances) or faults), ""
    except NotDicomError as error:
        # A file that says it is a DICOMDIR is none that another one could refer to.
        if path not in str(error) and "but DICOMDIRs" not in str(error):
            raise Fault(f"does not name the file: {error}") from error
        raise
    finally:
        Path(made).unlink(missing_ok=True)


def by_dump(path, work, whole):
    lines = 0
    for line in dump(path):
        lines += not line.startswith("(0002,")
    return lines > 0, ""


DOORS = {
    "read_tags": by_read_tags,
    "scan": by_scan,
    "frames": by_frames,
    "transcode": by_transcode,
    "dicomdir": by_dicomdir,
    "dump": by_dump,
}


def variants(data, whole, seed, cuts, flips):
    """The whole file, shorter ones, and such with one other byte."""
    yield data
    chance = random.Random(seed)
    for _ in range(cuts):
        yield data[: chance.randrange(len(data))] if data else b""
    for number in range(flips):
        # Half of them where a few bytes decide about many.
        at = chance.randrange((whole.header if number % 2 else len(data)) or 1)
        yield (
            data[:at]
            + bytes([(data[at] if data else 0) ^ chance.randrange(1, 256)])
            + data[at + 1 :]
        )


def told(error, path):
    """The class of an error; Fault where it does not say what it must."""
    if not isinstance(error, DicomloomError):
        raise Fault(f"{type(error).__name__}: {error}") from error
    if error.path is None or not path.startswith(error.path):
        raise Fault(f"{type(error).__name__} with path {error.path}: {error}") from error
    places = (error.offset, error.tag, error.frame)
    if isinstance(error, TruncatedError | CorruptError | LimitError) and places == (None,) * 3:
        raise Fault(f"{type(error).__name__} says not where: {error}") from error
    return type(error).__name__


def outcome(door, path, work, whole, kind):
    """What comes of one door, in a word."""
    try:
        try:
            something, more = DOORS[door](path, work, whole)
        except Fault:
            raise
        except Exception as error:
            return told(error, path)
        if kind == "whole":
            whole.gave[door] = something
        elif whole.gave.get(door) and not something and not (kind == "flip" and whole.is_one):
            raise Fault("empty success")
        if kind == "cut" and door == "frames" and whole.frames:
            wrong = [i for i, (a, b) in enumerate(zip(more, whole.frames, strict=False)) if a != b]
            if wrong:
                raise Fault(
                    f"frame {wrong[0]} of the cut file is another one than that of the whole"
                )
        return "row-error" if more == "row" else "ok"
    except Fault as fault:
        return f"FAULT {fault}".replace("\n", " ")


def allowed(size):
    """Seconds of the processor that a door may take: linear, whatever the bytes say."""
    return 3 + 6 * size / (1 << 20)


def peak():
    with open("/proc/self/status") as file:
        found = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return found


def main():
    work, seed, cuts, flips, skip = Path(sys.argv[1]), *map(int, sys.argv[2:6])
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    (work / "in").mkdir(exist_ok=True)
    (work / "out").mkdir(exist_ok=True)
    path = str(work / "in" / "VARIANT")
    for name in sys.argv[6:]:
        data = Path(name).read_bytes()
        whole = Whole(data)
        chosen = f"{seed} {os.path.basename(name)} {len(data)}"
        for number, variant in enumerate(variants(data, whole, chosen, cuts, flips)):
            kind = "whole" if number == 0 else "cut" if number <= cuts else "flip"
            Path(path).write_bytes(variant)
            for door in DOORS:
                if skip and (skip := skip - 1) >= 0 and kind != "whole":
                    continue
                began = time.process_time()
                print(f"? {name} {number} {door}", flush=True)
                signal.setitimer(signal.ITIMER_PROF, allowed(len(data)))
                result = outcome(door, path, work, whole, kind)
                signal.setitimer(signal.ITIMER_PROF, 0)
                print(f"= {time.process_time() - began:.3f} {result}", flush=True)
        print(f"# {name} {peak()}", flush=True)


if __name__ == "__main__":
    main()
