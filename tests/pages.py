"""Runs the blocks of a page of docs/."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def section(name: str, title: str) -> str:
    """Return what stands below a heading of a page, as far as the next one."""
    page = (DOCS / name).read_text(encoding="utf-8")
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def run_page(name: str, kind: str, folder: Path, blocks: slice = slice(None)) -> str:
    """Run blocks of one kind, ``sh`` or ``python``, as one script; returns what it printed."""
    page = (DOCS / name).read_text(encoding="utf-8")
    found = re.findall(rf"^```{kind}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[blocks]
    assert found
    program = {"python": [sys.executable, "-c"], "sh": ["sh", "-ec"]}[kind]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*program, "\n".join(found)],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
