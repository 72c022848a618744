"""What the tests of hostile bytes share: builders, outcomes, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zlib

from dicomloom import (
    DicomloomError,
    read_tags,
    scan,
)
from support import (
    DEFLATED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    UNDEFINED,
    element,
    part10,
)

UID, NAME, BEHIND = "SOPInstanceUID", "PatientName", "PatientID"
SQ = 0x00081140  # ReferencedImageSequence
IN_SQ = 0x00081155  # ReferencedSOPInstanceUID
SYNTAXES = [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED]


def uid(vr="UI", *, big=False):
    return element(0x00080018, vr, b"1.2.3\0", big=big)


def behind(vr="LO", *, big=False):
    return element(0x00100020, vr, b"behind", big=big)


def framed(data_set, syntax, **meta):
    if syntax == DEFLATED:
        data_set = deflated(data_set)
    return part10(data_set, syntax, **meta)


def deflated(data):
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(data) + deflater.flush()
    return data + b"\0" * (len(data) % 2)


def outcome(source, tags):
    """Values, and the error or None."""
    try:
        return read_tags(source, tags), None
    except DicomloomError as error:
        return error.values, error


def rows_of(paths, tags, **options):
    """Status and values by file name."""
    with scan(paths, tags, **options) as batches:
        rows = [row for batch in batches for row in batch.rows()]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def measured(script, *arguments):
    """Run lines in another process; `grown(call)` gives the KiB by which its peak memory grew."""
    head = """
        import io, json, re, sys
        from dicomloom import DicomloomError, read_tags, scan
        def peak():
            # Not ru_maxrss: Linux lets a new process inherit that of the process that started it.
            try:
                with open("/proc/self/status") as file:
                    return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])
            except FileNotFoundError:
                import resource
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        def outcome(source, tags):
            try:
                return read_tags(source, tags), ""
            except DicomloomError as error:
                return error.values, str(error)
        def grown(call):
            before = peak()
            result = call()
            return peak() - before, result
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE, timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_measure_sees_memory():
    script = "print(json.dumps(grown(lambda: len(bytearray(16 << 20)))))"
    kib, size = measured(script)
    assert kib >= 15_000
    assert size == 16 << 20


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part10(uid() + behind()))
    return str(path)


SEQUENCE_END = element(0xFFFEE0DD, None)

COUNT = "ReferencedImageSequence"

ALL = "ReferencedImageSequence[*].ReferencedSOPInstanceUID"


def opened(content):
    return element(SQ, "SQ", length=UNDEFINED) + content


ALL_VRS = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL"
ALL_VRS += " UN UR US UT UV"


def pixels(implicit=False, big=False):
    """Return an image of one row of two pixels."""

    def one(tag, vr, value):
        if big and vr == "US":
            value = value[::-1]
        return element(tag, None if implicit else vr, value, big=big)

    return b"".join(
        [
            one(0x00280002, "US", b"\1\0"),
            one(0x00280004, "CS", b"MONOCHROME2 "),
            one(0x00280010, "US", b"\1\0"),
            one(0x00280011, "US", b"\2\0"),
            one(0x00280100, "US", b"\x08\0"),
            one(0x00280101, "US", b"\x08\0"),
            one(0x00280102, "US", b"\7\0"),
            one(0x00280103, "US", b"\0\0"),
            one(0x7FE00010, "OB", b"\1\2"),
        ]
    )


def whole(between=b"", syntax=EXPLICIT_LE, **meta):
    """Return a file with something between its SOPInstanceUID and its PatientID."""
    implicit, big = syntax == IMPLICIT_LE, syntax == EXPLICIT_BE
    vr = None if implicit else "LO"
    data = uid(None if implicit else "UI", big=big) + between + behind(vr, big=big)
    data += pixels(implicit, big)
    return part10(deflated(data) if syntax == DEFLATED else data, syntax, **meta)
