"""Pages of docs/, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_DOCS = Path(__file__).parents[1] / "docs"
_RUN = {"python": [sys.executable, "-c"], "sh": ["sh", "-ec"]}


def run_page(name: str, folder: Path, *kinds: str) -> None:
    """Run every block of a page in `folder`, all of one kind as one script, kind after kind."""
    page = (_DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|sh)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for kind in kinds:
        code = "\n".join(text for found, text in blocks if found == kind)
        assert code
        done = subprocess.run(
            [*_RUN[kind], code],
            cwd=folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
