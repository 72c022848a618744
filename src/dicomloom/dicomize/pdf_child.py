"""Run as a program by `dicomloom.dicomize.pdf`: asks pypdf, within limits; prints JSON."""

from __future__ import annotations

import json
import sys

_LONGEST = 1024  # characters of a text


def _limit(seconds: int, memory: int) -> None:
    # A program of its own: importing dicomloom, for its `system`, would come before the limits.
    if sys.platform == "win32":  # no such limits here; the caller has one on time
        return
    import resource

    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, hard))


def _text(value: object) -> str | None:
    text = value.replace("\0", "").strip()[:_LONGEST] if isinstance(value, str) else ""
    return text or None


def ask(path: str, found: dict[str, object]) -> None:
    """Put into `found` what pypdf finds, one after the other, so that what was found stays."""
    from pypdf import PdfReader

    with open(path, "rb") as file:
        reader = PdfReader(file)
        found["encrypted"] = reader.is_encrypted
        if reader.is_encrypted:
            # Most encrypted PDFs open without a password, and only forbid to print or to copy.
            found["password"] = not reader.decrypt("")
            if found["password"]:
                return
        information = reader.metadata
        if information is not None:
            found["title"] = _text(information.title)
            found["author"] = _text(information.author)
            try:
                created = information.creation_date
            except ValueError:  # a date of another form
                created = None
            found["created"] = created.isoformat() if created else None
        found["pages"] = len(reader.pages)


def main() -> int:
    """Ask for one file; returns the exit code."""
    path, seconds, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    _limit(seconds, memory)
    found: dict[str, object] = {}
    code = 0
    try:
        ask(path, found)
    except Exception as error:  # whatever pypdf raises is told, and ends here
        found["error"] = f"{type(error).__name__}: {error}"[:_LONGEST]
        code = 1
    sys.stdout.write(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
