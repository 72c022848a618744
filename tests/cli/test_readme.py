"""The README's two commands are what .ci/run runs: they must be found, one line each."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("name", ["index", "tests"])
def test_the_commands_stand_where_ci_looks_for_them(name):
    text = README.read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- run: {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert block.startswith("python3 -m venv .venv && ")
    assert block.count("\n") == 1
