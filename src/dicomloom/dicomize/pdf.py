"""What a PDF says of itself (ISO 32000): header and end here, title and pages through pypdf."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings

from dicomloom.errors import CorruptError, DicomloomWarning, TruncatedError
from dicomloom.frames.sources import FileSource

_HEADER = re.compile(rb"%PDF-(\d+\.\d+)")
_HEAD = 1024  # where readers look for the header, and, from the end, for %%EOF
_TAIL = 4096
_SECONDS = 20
_MEMORY = 1 << 30
_MOST_ANSWER = 64 << 10


def describe_pdf(source: FileSource) -> tuple[str | None, int | None, dict[str, object]]:
    """Return title, number of pages, and the rest.

    pypdf runs in a process of its own with limits on time and memory, for a PDF can be made to take
    any amount of both. (macOS keeps no limit on memory.) What fails there is warned of.

    Raises
    ------
    CorruptError, TruncatedError
        There is no header within the first 1,024 bytes, or no %%EOF near the end.
    """
    header = _HEADER.search(source.read_at(0, _HEAD))
    if header is None:
        raise CorruptError(
            "PDF without a version: expected %PDF-1.7 or the like within the first 1,024 bytes",
            path=source.path,
        )
    size = source.size()
    start = max(0, size - _TAIL)
    if b"%%EOF" not in source.read_at(start, size - start):
        raise TruncatedError(
            f"truncated: no %%EOF in the last {_TAIL} bytes of this PDF, it seems to be cut off",
            path=source.path,
            offset=size,
        )
    details: dict[str, object] = {
        "version": header[1].decode(), "encrypted": None, "password": None,
        "author": None, "created": None,
    }  # fmt: skip
    found = _ask(source.path or "")
    details.update((key, found[key]) for key in details if found.get(key) is not None)
    title, pages = found.get("title"), found.get("pages")
    return (
        title if isinstance(title, str) else None,
        pages if isinstance(pages, int) else None,
        details,
    )


def _ask(path: str) -> dict[str, object]:
    """Return what pypdf finds; of what it does not, warn."""
    from importlib.util import find_spec

    if find_spec("pypdf") is None:
        _warn(
            path,
            "title and pages are read by pypdf, which is not there: pip install 'dicomloom[pdf]'",
        )
        return {}
    script = os.path.join(os.path.dirname(__file__), "pdf_child.py")
    # -P: the folder of the script is none to import from.
    command = [sys.executable, "-P", script, os.path.abspath(path), str(_SECONDS), str(_MEMORY)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=_SECONDS + 10, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout[:_MOST_ANSWER] or b"{}")
    except subprocess.TimeoutExpired:
        answer = {"error": f"it took longer than {_SECONDS + 10} s"}
    except (OSError, ValueError) as error:
        answer = {"error": str(error)}
    else:
        if done.returncode and "error" not in answer:
            answer["error"] = f"it reached its limits (exit code {done.returncode})"
    if "error" in answer:
        _warn(
            path,
            f"pypdf could not read all of it, title and pages may be missing: {answer['error']}",
        )
    elif answer.get("password"):
        _warn(path, "an encrypted PDF: whoever opens it is asked for a password")
    return dict(answer)


def _warn(path: str, message: str) -> None:
    warnings.warn(f"{path}: {message}", DicomloomWarning, stacklevel=5)
