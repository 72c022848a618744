"""docs/reliability.md names every row, and the tests that it names are there."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/reliability.md"
ROWS = {"p": 13, "x": 11, "d": 3, "n": 15, "w": 10}


def functions() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    return set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("letter", "number"), [(letter, i + 1) for letter, count in ROWS.items() for i in range(count)]
)
def test_every_row_has_its_tests_and_its_place(letter, number):
    assert [name for name in functions() if f"_{letter}{number:02}_" in name]
    rows = re.findall(r"^\| ([A-Z]\d+(?:, [A-Z]\d+)*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert f"{letter.upper()}{number}" in ", ".join(rows).split(", ")


def test_the_page_names_the_tests_that_are_there():
    named = set(re.findall(r"`(test_[pxdnw]\d\d_\w+)`", PAGE.read_text("utf-8")))
    there = {name for name in functions() if re.match(r"test_[pxdnw]\d\d_", name)}
    assert named == there
