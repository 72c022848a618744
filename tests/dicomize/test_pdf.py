"""PDFs made by hand: cross-reference tables and streams, strings, loops; pypdf and its limits."""

from __future__ import annotations

import importlib.util
import time
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomloom import DicomloomError, DicomloomWarning
from dicomloom.dicomize import pdf
from dicomloom.dicomize.documents import read_document
from pdfs import CATALOG, PAGE, information, pages, with_streams, with_table
from support import peer_module

TITLE = "Befund \u00e4 \u6f22"
TITLES = {
    "UTF-16": (b"<FEFF" + TITLE.encode("utf-16-be").hex().encode() + b">", TITLE),
    # ISO 32000-1 annex D.2: 0x80 is a bullet, 0x8d a left quote, 0xa0 the euro.
    "PDFDocEncoding": (b"(3 \xa0 \x80 \x8dgut\x8e \xe4)", "3 \u20ac \u2022 \u201cgut\u201d \xe4"),
    "escapes": (rb"(a \(b\) \101\
c)", "a (b) Ac"),
    "empty": (b"()", None),
}  # fmt: skip


@pytest.mark.parametrize("form", [with_table, with_streams])
@pytest.mark.parametrize("name", TITLES)
def test_by_hand(tmp_path, form, name):
    peer_module("pypdf")
    written, title = TITLES[name]
    path = tmp_path / "a.pdf"
    path.write_bytes(form([CATALOG, pages(2), information(written), PAGE, PAGE]))
    found = read_document(path)
    assert (found.title, found.pages) == (title, 2)
    assert found.details["created"] == "2024-01-02T03:04:05+00:00"
    assert found.details["version"] == ("1.4" if form is with_table else "1.5")


LOOPS = {
    "pages in themselves": [
        CATALOG, b"<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R] >>", information(b"(x)"),
    ],
    "pages that refer to each other": [
        CATALOG, b"<< /Type /Pages /Kids [4 0 R] >>", information(b"(x)"),
        b"<< /Type /Pages /Kids [2 0 R 5 0 R] >>", b"<< /Type /Pages /Kids [4 0 R] >>",
    ],
    "a title that is itself": [CATALOG, pages(0), b"<< /Title 3 0 R >>"],
    "two objects that are each other": [
        CATALOG, pages(0), information(b"4 0 R"), b"5 0 R", b"4 0 R",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_loops_end(tmp_path, monkeypatch, name):
    peer_module("pypdf")
    monkeypatch.setattr(pdf, "_SECONDS", 3)
    monkeypatch.setattr(pdf, "_MEMORY", 400 << 20)
    path = tmp_path / "a.pdf"
    path.write_bytes(with_table(LOOPS[name]))
    before = time.monotonic()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = read_document(path)
    assert time.monotonic() - before < 3 + 10
    assert found.details["version"] == "1.4"
    assert found.pages is not None or [one.category for one in told] == [DicomloomWarning]


@pytest.mark.parametrize(
    ("lines", "seconds", "memory"),
    [
        ("while True: pass", 1, 1 << 30),
        ("b = []\nwhile True: b.append(bytearray(1 << 22))", 20, 400 << 20),
        ("import os; os.abort()", 20, 1 << 30),
        ("raise RuntimeError('planted')", 20, 1 << 30),
    ],
)
def test_limits_of_the_child(tmp_path, monkeypatch, lines, seconds, memory):
    """Stand-ins for pypdf that take all time, all memory, or crash."""
    stub = tmp_path / "lib" / "pypdf"
    stub.mkdir(parents=True)
    body = "".join(f"        {line}\n" for line in lines.split("\n"))
    (stub / "__init__.py").write_text(f"class PdfReader:\n    def __init__(self, file):\n{body}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    monkeypatch.setattr(pdf, "_SECONDS", seconds)
    monkeypatch.setattr(pdf, "_MEMORY", memory)
    peer_module("pypdf")
    path = tmp_path / "a.pdf"
    path.write_bytes(with_table([CATALOG, pages(0), information(b"(x)")]))
    before = time.monotonic()
    with pytest.warns(DicomloomWarning, match="pypdf could not read all of it"):
        found = read_document(path)
    assert (found.title, found.pages) == (None, None)
    assert time.monotonic() - before < 10


def test_without_pypdf(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "pypdf" else real(name, *more),
    )
    path = tmp_path / "a.pdf"
    path.write_bytes(with_table([CATALOG, pages(0), information(b"(x)")]))
    with pytest.warns(DicomloomWarning, match=r"pip install 'dicomloom\[pdf\]'"):
        found = read_document(path)
    assert (found.title, found.pages, found.details["version"]) == (None, None, "1.4")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.sampled_from([with_table, with_streams]), st.integers(0, 700), st.binary(max_size=8))
@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_mangled(tmp_path, form, at, noise):
    peer_module("pypdf")
    data = form([CATALOG, pages(1), information(b"(x)"), PAGE])
    at %= len(data)
    path = tmp_path / "a.pdf"
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    try:
        found = read_document(path)
    except DicomloomError as error:
        assert error.path == str(path)
        return
    assert found.pages is None or found.pages >= 0
