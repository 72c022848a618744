"""What every bench prints: Markdown to standard output, what is going on to standard error."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from processes import filesystem_of, processors, version_of


def say(text: str = "") -> None:
    print(text, flush=True)


def note(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    say("| " + " | ".join(head) + " |")
    say("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        say("| " + " | ".join(row) + " |")
    say()


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def describe(folder: Path, packages: Sequence[str], programs: Sequence[str]) -> None:
    """Say on what was measured, and the version of everything."""
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}"
    say(f"* {machine}, {processors()} processors")
    known = ", ".join(map(_package, packages))
    say(f"* file system: {filesystem_of(folder)}; Python {platform.python_version()}; {known}")
    say("* " + ", ".join(f"{name} {version_of(name)}" for name in programs))
    say()
