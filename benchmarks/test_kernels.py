"""Micro benches of what a row goes through, with pytest-benchmark; nothing here is a time limit.

pytest benchmarks/test_kernels.py --benchmark-columns=min,median,stddev,ops
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytest_benchmark")
pytest.importorskip("pydicom")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import dicomloom
from dicomloom.index.schema import DEFAULT_TAGS, SETS, Schema
from dicomloom.tags import parse_tag
from make_tree import make_tree
from template import PLACEHOLDERS, Template, make_template

Benchmark = Callable[..., Any]
ROWS = 4_000


@pytest.fixture(scope="module")
def template() -> Template:
    return make_template()


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> dicomloom.Batch:
    """One batch of CT rows, as a scan hands them over."""
    tree = tmp_path_factory.mktemp("kernels") / "tree"
    make_tree(tree, ROWS)
    with dicomloom.scan(tree, threads=1, batch_size=ROWS) as found:
        return max(found, key=len)


def test_read_tags_eleven_of_bytes(benchmark: Benchmark, template: Template) -> None:
    header = template.content[: template.header_size]
    values = benchmark(dicomloom.read_tags, header, DEFAULT_TAGS)
    assert values["SOPInstanceUID"] == PLACEHOLDERS["SOPInstanceUID"]
    assert values["SeriesInstanceUID"] == PLACEHOLDERS["SeriesInstanceUID"]


def test_read_tags_first_of_bytes(benchmark: Benchmark, template: Template) -> None:
    values = benchmark(dicomloom.read_tags, template.content, ["SOPInstanceUID"])
    assert values["SOPInstanceUID"] == PLACEHOLDERS["SOPInstanceUID"]


def test_read_tags_behind_all_elements(benchmark: Benchmark, template: Template) -> None:
    """Every element of the header is walked over, to the pixels."""
    values = benchmark(dicomloom.read_tags, template.content, ["PixelData"])
    assert values["PixelData"] == "8192"


def test_read_tags_in_a_sequence(benchmark: Benchmark, template: Template) -> None:
    tag = "RequestAttributesSequence[0].ScheduledProcedureStepID"
    values = benchmark(dicomloom.read_tags, template.content, [tag])
    assert values[tag] == "SPS0000012345"


def test_read_tags_private(benchmark: Benchmark, template: Template) -> None:
    tag = '(0019,"SIEMENS CT VA0  COAD",11)'
    values = benchmark(dicomloom.read_tags, template.content, [tag])
    assert values[tag] == "1"


def test_csv_of_a_batch(benchmark: Benchmark, batch: dicomloom.Batch) -> None:
    text = benchmark(batch.csv)
    assert text.count(b"\n") == len(batch)


def test_json_of_a_batch(benchmark: Benchmark, batch: dicomloom.Batch) -> None:
    text = benchmark(batch.json)
    assert text.count(b"\n") == len(batch)


def test_column_of_a_batch(benchmark: Benchmark, batch: dicomloom.Batch) -> None:
    values = benchmark(batch.column, "SOPInstanceUID")
    assert len(set(values)) == len(batch)


def test_arrow_of_a_batch(benchmark: Benchmark, batch: dicomloom.Batch) -> None:
    pa = pytest.importorskip("pyarrow")
    assert benchmark(pa.record_batch, batch).num_rows == len(batch)


def test_parse_keyword(benchmark: Benchmark) -> None:
    assert benchmark(parse_tag, "SeriesInstanceUID").leaf.tag == 0x0020000E


def test_parse_path(benchmark: Benchmark) -> None:
    path = benchmark(parse_tag, "RequestAttributesSequence[0].ScheduledProcedureStepID")
    assert len(path.steps) == 2


def test_compile_schema(benchmark: Benchmark) -> None:
    tags = [tag for tags in SETS.values() for tag in tags]
    schema = Schema(tags, typed=True)
    benchmark(schema.plan)
    assert len(schema.names) == len(schema.types)
