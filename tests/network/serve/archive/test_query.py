"""Matching in SQL: as a naive model in Python has it (PS3.4 C.2.2.2); values of all kinds."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import encode

from dicomloom.network.serve.archive.catalog import Catalog
from dicomloom.network.serve.archive.columns import TABLES, is_keyed, key_of
from dicomloom.network.serve.archive.query import matching
from dicomloom.network.serve.refusal import Refusal
from dicomloom.tags import parse_tag
from find_peers import STUDY_ROOT
from support import IMPLICIT_LE, element, part10

TABLE_OF = {keyword: table for table, keywords in TABLES.items() for keyword in keywords}
# What is special in GLOB, LIKE and patterns, and what takes more than one byte.
LETTERS = st.sampled_from("AaBb[]^-_%!'\"\\ .\u00c4\u00e4\u5c71")
NAME_LETTERS = st.sampled_from("AaB ^[]\u00c4\u5c71")
PATTERN = st.lists(st.one_of(LETTERS, st.sampled_from("*?")), min_size=1, max_size=8)


def matches(keyword, stored, *wanted):
    """Whether the SQL says so."""
    made = matching(keyword, list(wanted))
    with sqlite3.connect(":memory:") as database:
        columns = [keyword, *([f"{keyword}_key"] if is_keyed(keyword) else [])]
        table = TABLE_OF[keyword]
        database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        values = [stored, key_of(keyword, stored)][: len(columns)]
        database.execute(
            f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", tuple(values)
        )
        query = f"SELECT count(*) FROM {table} WHERE {made.sql}"
        (count,) = database.execute(query, made.values).fetchone()
    database.close()
    return bool(count)


def like(pattern, text):
    """The wildcards of PS3.4 C.2.2.2.4, letter by letter."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(like(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and like(pattern[1:], text[1:])


@settings(max_examples=400, deadline=None)
@given(PATTERN, st.lists(LETTERS, max_size=8))
def test_wildcards(pattern, text):
    pattern, text = "".join(pattern), "".join(text)
    # VM 1, and a backslash is a character like any other.
    assert matches("PatientComments", text, pattern) == like(pattern, text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("AB[ ", max_size=3), min_size=1, max_size=3), st.text("AB*?[", min_size=1))
def test_any_of_several_values(values, pattern):
    found = any(like(pattern, value.strip(" ")) for value in values)
    if len(values) == 1 and not values[0]:
        found = like(pattern, "")
    assert matches("ImageType", "\\".join(values), pattern) == found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(NAME_LETTERS, max_size=5), min_size=1, max_size=3),
    st.text(st.one_of(NAME_LETTERS, st.just("*")), min_size=1, max_size=5),
)
def test_names_by_component_group_without_case(groups, pattern):
    def plain(text):
        parts = [part.strip(" ") for part in text.casefold().split("^")]
        return "^".join(parts).rstrip("^")

    def fits(group):
        # Carets at the end say nothing: the pattern may want one.
        return any(like(plain(pattern), plain(group) + tail) for tail in ("", "^"))

    assert matches("PatientName", "=".join(groups), pattern) == any(map(fits, trimmed(groups)))


def trimmed(groups):
    """Without empty groups at the end."""
    while len(groups) > 1 and not groups[-1].strip(" ^"):
        groups = groups[:-1]
    return groups


@pytest.mark.parametrize(
    ("stored", "wanted", "expected"),
    [
        ("Doe^John", "DOE^JOHN", True),
        ("Doe^John^^", "doe^john", True),
        ("Doe", "DOE^*", True),
        ("Doe^John", "DOE^*", True),
        ("Doe^John", "DOE", False),
        ("Doel^John", "DOE^*", False),
        ("M\u00fcller", "M\u00dcLLER", True),
        ("Mu\u0308ller", "M\u00fcller", True),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060", "\u5c71\u7530*", True),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "yamada^tarou", True),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "yamada^tarou=\u5c71*", True),
        ("Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "yamada^tarou=\u592a*", False),
        ("Yamada=\u5c71\u7530", "y*\u7530", False),
        ("Yamada", "yamada=\u5c71\u7530", False),
        ("\x1f[", "x", False),
        ("\x1f{not json", "*json", True),
    ],
)
def test_names(stored, wanted, expected):
    assert matches("PatientName", stored, wanted) == expected


DATES = st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8))


@settings(max_examples=200, deadline=None)
@given(DATES, DATES, DATES, st.sampled_from(["-", "first-", "-last", "first-last", "first"]))
def test_dates(stored, first, last, form):
    wanted = form.replace("first", first).replace("last", last)
    if form == "-":
        with pytest.raises(Refusal):
            matches("StudyDate", stored, wanted)
        return
    low = first if "first" in form else "00000000"
    high = last if "last" in form else "99999999" if "-" in form else first
    assert matches("StudyDate", stored, wanted) == (low <= stored <= high)
    assert not matches("StudyDate", "", wanted)
    assert not matches("StudyDate", "unknown", wanted)


def seconds(text, last=False):
    """Microseconds since midnight: of the first or last moment that a time may mean."""
    digits = text.replace(":", "")
    whole, _, fraction = digits.partition(".")
    whole += ("235959" if last else "000000")[len(whole) :]
    micro = int(fraction.ljust(6, "9" if last else "0"))
    return (int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + int(whole[4:])) * 10**6 + micro


TIMES = st.builds(
    lambda moment, length: moment.strftime("%H%M%S.%f")[:length],
    st.times(),
    st.sampled_from([2, 4, 6, 8, 10, 13]),
)


@settings(max_examples=300, deadline=None)
@given(TIMES, TIMES, TIMES, st.sampled_from(["first-", "-last", "first-last", "first"]))
def test_times(stored, first, last, form):
    wanted = form.replace("first", first).replace("last", last)
    low = seconds(first) if "first" in form else 0
    high = seconds(last, True) if "last" in form else 86_400 * 10**6
    if form == "first":
        high = seconds(first, True)
    assert matches("StudyTime", stored, wanted) == (low <= seconds(stored) <= high)


@pytest.mark.parametrize(
    ("keyword", "stored", "wanted", "expected"),
    [
        ("StudyDate", "2004.01.19", "20040119", True),
        ("StudyTime", "10:15:00", "1015", True),
        ("SeriesNumber", "007", "7", True),
        ("SeriesNumber", "", "0", False),
        ("SeriesNumber", "x", "0", True),
        ("Rows", "512", "512", True),
        ("PatientWeight", "70.0", "70", True),
        ("PatientID", "a", "A", False),
        ("PatientSex", "M", "?", True),
        ("SOPClassUID", "1.2.3", "1.2.*", False),
    ],
)
def test_values(keyword, stored, wanted, expected):
    assert matches(keyword, stored, wanted) == expected


@pytest.mark.parametrize(
    ("keyword", "wanted"),
    [
        *(("StudyDate", text) for text in ("yesterday", "2004*", "20040101-x", "-", "2004")),
        *(("StudyTime", text) for text in ("noon", "1", "101-", "10:1")),
        *(("SeriesNumber", text) for text in ("one", "1*", "9" * 30, "1.5")),
        *(("PatientWeight", text) for text in ("heavy", "1e400", "inf")),
    ],
)
def test_a_value_that_cannot_be_matched(keyword, wanted):
    with pytest.raises(Refusal, match=keyword) as caught:
        matching(keyword, [wanted])
    assert caught.value.status == 0xC000
    assert len(caught.value.comment) <= 64
    assert wanted not in caught.value.comment.split(": ")[1]


HOSTILE = [
    *(b"[", b"{", b'["', b"\x1f[", b"\x1f", b"1_0", b"nan", b"inf", b"1e999", b"9" * 40, b"-1"),
    *(
        b"\xff\xfe",
        b"a\0b",
        b"\\\\\\",
        b"==^=^=",
        b"-",
        b"*",
        b"?",
        b"\x1b$B",
        b"\r\n",
        b"x" * 70_000,
    ),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:10]))
def test_whatever_a_file_says_it_is_answered(value, tmp_path):
    """One file that is strange in all its text must not silence the others."""
    tags = {keyword: parse_tag(keyword).leaf for keyword in TABLE_OF}
    uids = {keyword: b"1.2.3\0" for keyword, leaf in tags.items() if leaf.vr == "UI"}
    elements = {
        leaf.tag: uids.get(keyword, value + b" " * (len(value) % 2))
        for keyword, leaf in tags.items()
        if leaf.vr != "US"
    }
    data = b"".join(element(tag, None, elements[tag]) for tag in sorted(elements))
    path = tmp_path / "one.dcm"
    path.write_bytes(part10(data, IMPLICIT_LE))
    asked = Dataset()
    for leaf in tags.values():
        asked.add_new(leaf.tag, leaf.vr, None)
    asked.ModalitiesInStudy = asked.SOPClassesInStudy = None
    with Catalog(tmp_path) as catalog:
        assert catalog.add([path]) == []
        (answer,) = catalog.find(STUDY_ROOT, "IMAGE", asked, relational=True)
        for implicit in (True, False):
            assert encode(answer, implicit, True) is not None
        wanted = Dataset()
        wanted.PatientName, wanted.ImageType, wanted.StudyDate = "x?y", "z*", "19000101-"
        wanted.ModalitiesInStudy = "US"
        assert not list(catalog.find(STUDY_ROOT, "IMAGE", wanted, relational=True))


@pytest.mark.parametrize("keyword", ["StudyDate", "AccessionNumber", "PatientName"])
def test_more_values_than_sql_takes_are_refused_by_name(keyword):
    value = "20260101" if keyword == "StudyDate" else "A*^B"
    assert matching(keyword, [value] * 256).sql
    matches(keyword, "A", *[value] * 256)
    with pytest.raises(Refusal, match=f"{keyword}: more than 256 values"):
        matching(keyword, [value] * 257)
