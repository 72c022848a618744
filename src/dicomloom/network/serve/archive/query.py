"""Identifiers of C-FIND, C-MOVE and C-GET to SQL over the catalog (PS3.4 C.2.2.2, C.4, C.6).

Values of a peer are parameters, never text of a statement; names of columns are those of `columns`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.decoding import broken
from dicomloom.network.keys import LEVELS, UNIQUE
from dicomloom.network.serve.archive.columns import (
    SEVERAL,
    STORED,
    TABLES,
    column_of,
    date_key,
    has_several,
    name_key,
    time_key,
    vr_of,
)
from dicomloom.network.serve.refusal import Refusal

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement

MISMATCH, UNABLE = 0xA900, 0xC000
_NO_SUCH_CLASS = 0x0122
# PS3.4 C.6.1.3 and C.6.2.3: FIND, MOVE and GET of a root.
_ROOTS = {
    f"1.2.840.10008.5.1.4.1.2.{number}.{service}": root
    for number, root in ((1, "patient"), (2, "study"))
    for service in (1, 2, 3)
}
_ORDER = tuple(UNIQUE)
_TABLE_OF = {keyword: table for table, keywords in TABLES.items() for keyword in keywords}
_LEVEL_OF = {keyword: level for level, keywords in STORED.items() for keyword in keywords}
_SOURCES = {
    "PATIENT": "study",
    "STUDY": "study",
    "SERIES": "series JOIN study ON study.id = series.study",
    "IMAGE": "instance JOIN series ON series.id = instance.series "
    "JOIN study ON study.id = series.study",
}
# What is below a level, for keys of a relational query (PS3.4 C.4.1.2.2).
_BELOW = {
    ("study", "series"): "series WHERE series.study = study.id",
    ("study", "instance"): "instance JOIN series ON series.id = instance.series "
    "WHERE series.study = study.id",
    ("series", "instance"): "instance WHERE instance.series = series.id",
}
_OF_PATIENT = (
    "study AS own WHERE own.PatientID = study.PatientID "
    "AND own.IssuerOfPatientID = study.IssuerOfPatientID"
)
_SERIES_OF_PATIENT = f"series AS part JOIN {_OF_PATIENT.replace('WHERE', 'ON', 1)}"
_OF_STUDY = "series AS part WHERE part.study = study.id"
_CLASSES = "instance AS one JOIN series AS part ON part.id = one.series WHERE part.study = study.id"
# Each with its highest level.
_COMPUTED = {
    "NumberOfPatientRelatedStudies": ("PATIENT", f"SELECT count(*) FROM {_OF_PATIENT}"),
    "NumberOfPatientRelatedSeries": (
        "PATIENT",
        f"SELECT count(*) FROM {_SERIES_OF_PATIENT} AND part.study = own.id",
    ),
    "NumberOfPatientRelatedInstances": (
        "PATIENT",
        f"SELECT sum(part.instances) FROM {_SERIES_OF_PATIENT} AND part.study = own.id",
    ),
    "NumberOfStudyRelatedSeries": ("STUDY", f"SELECT count(*) FROM {_OF_STUDY}"),
    "NumberOfStudyRelatedInstances": ("STUDY", f"SELECT sum(part.instances) FROM {_OF_STUDY}"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "SELECT series.instances"),
    "ModalitiesInStudy": (
        "STUDY",
        f"SELECT json_group_array(DISTINCT part.Modality) FROM {_OF_STUDY}",
    ),
    "SOPClassesInStudy": (
        "STUDY",
        f"SELECT json_group_array(DISTINCT one.SOPClassUID) FROM {_CLASSES}",
    ),
}
# A JSON array in the answer of SQL, and what of the study's objects it is made of.
IN_STUDY = {
    "ModalitiesInStudy": ("Modality", "part", _OF_STUDY),
    "SOPClassesInStudy": ("SOPClassUID", "one", _CLASSES),
}
# Of the answer itself.
_OURS = frozenset(("SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle"))
_SYNTAX_KEY = "AvailableTransferSyntaxUID"
_WHOLE = frozenset(("IS", "US", "SS", "UL", "SL"))
_WILD = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
# The value of a key; LO and PN have 64 characters (a group).
_LONGEST = 1024
# Values of a key that is no list of UIDs: SQLite takes no expression that is deeper than 1,000.
_MOST_VALUES = 256


class Condition(NamedTuple):
    """A part of a WHERE, and the values of its question marks."""

    sql: str
    values: tuple[str | float, ...] = ()


class Question(NamedTuple):
    """A query as SQL.

    Attributes
    ----------
    level : str
    sql : str
        Gives an id and then a column for each of `columns`.
    values : tuple
        Of its question marks.
    columns : tuple of str
        Keywords of what the query gives.
    elements : tuple of (int, str, str)
        Tag, VR and keyword of all that is to be in an answer.
    supported : bool
        Whether all keys are: the status is FF00, else FF01 (PS3.4 C.4.1.1.4).
    """

    level: str
    sql: str
    values: tuple[str | float, ...]
    columns: tuple[str, ...]
    elements: tuple[tuple[int, str, str], ...]
    supported: bool


def find_question(model: str, level: str, identifier: Dataset, relational: bool) -> Question:
    """Read the identifier of a C-FIND.

    Raises
    ------
    Refusal
        A900 for a level that the model does not have, or keys that it must have (C.4.1.2.1); C000
        for a value that cannot be matched.
    """
    levels = _levels(model, level)
    given = dict(_elements(identifier))
    if not relational:
        _check_above(levels, level, given)
    conditions: list[Condition] = []
    below: dict[str, list[Condition]] = {}
    columns: list[str] = []
    elements: list[tuple[int, str, str]] = []
    supported = True
    for keyword, element in given.items():
        if keyword in _OURS:
            continue
        known = keyword and _is_known(keyword, level)
        values = _values(element)
        elements.append((int(element.tag), str(element.VR), keyword))
        if known and _reaches(keyword, level):
            columns.append(keyword)
            if values and keyword in IN_STUDY:
                conditions.append(_in_study(keyword, values))
            elif values and keyword in _TABLE_OF:
                conditions.append(matching(keyword, values))
            else:
                supported = supported and not values
        elif known and relational and keyword in _TABLE_OF:
            if values:
                below.setdefault(_TABLE_OF[keyword], []).append(matching(keyword, values))
        elif keyword not in ("InstanceAvailability", "TimezoneOffsetFromUTC"):
            supported = False
    conditions += _exists(level, below)
    sql, bound = _select(level, columns, conditions)
    return Question(level, sql, bound, tuple(columns), tuple(elements), supported)


def held_question(
    model: str, level: str, identifier: Dataset, relational: bool
) -> tuple[str, tuple[str | float, ...]]:
    """Read the identifier of a C-MOVE or C-GET: SQL that gives path, class, instance, syntax.

    Only unique keys count (PS3.4 C.4.2.1.4.1), compared as they are; several UIDs may be given at
    the level itself.

    Raises
    ------
    Refusal
        As `find_question`.
    """
    levels = _levels(model, level)
    given = dict(_elements(identifier))
    if not relational:
        _check_above(levels, level, given)
    conditions = []
    for one in levels[: levels.index(level) + 1]:
        element = given.get(UNIQUE[one])
        values = _values(element) if element is not None else []
        if values:
            conditions.append(_one_of(f"{_TABLE_OF[UNIQUE[one]]}.{UNIQUE[one]}", values))
        elif one == level:
            raise Refusal(MISMATCH, f"{UNIQUE[one]} is missing")
    where = " AND ".join(each.sql for each in conditions)
    sql = (
        "SELECT instance.path, instance.SOPClassUID, instance.SOPInstanceUID, instance.syntax "
        f"FROM {_SOURCES['IMAGE']} WHERE {where}"
    )
    return sql, tuple(value for each in conditions for value in each.values)


def _levels(model: str, level: str) -> tuple[str, ...]:
    root = _ROOTS.get(model)
    if root is None:
        raise Refusal(_NO_SUCH_CLASS, "this information model is not served")
    if level not in LEVELS[root]:
        names = ", ".join(LEVELS[root])
        raise Refusal(MISMATCH, f"QueryRetrieveLevel: expected {names}")
    return LEVELS[root]


def _elements(identifier: Dataset) -> Iterator[tuple[str, DataElement]]:
    """Decode all elements; private and unknown ones are told apart by their tag."""
    for tag in sorted(identifier.keys()):
        if tag.element == 0:  # a group length
            continue
        try:
            element = identifier[tag]
        except broken() as error:
            raise Refusal(UNABLE, f"the value of {tag} cannot be read") from error
        yield element.keyword or f"{int(tag):08x}", element


def _values(element: DataElement) -> list[str]:
    """Return the values to match, none for universal matching (PS3.4 C.2.2.2.3)."""
    if element.VR == "SQ" or not element.VM:
        return []
    many = element.VM > 1
    texts = [str(value).strip(" \0") for value in (element.value if many else [element.value])]
    for text in texts:
        if len(text) > _LONGEST or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise Refusal(UNABLE, f"the value of {element.tag} cannot be matched")
    given = [text for text in texts if text]
    # An asterisk alone matches what is empty, too.
    return [] if any(not text.strip("*") for text in given) else given


def _check_above(levels: tuple[str, ...], level: str, given: dict[str, DataElement]) -> None:
    """Refuse what only a relational query may be without (PS3.4 C.4.1.2.1)."""
    for above in levels[: levels.index(level)]:
        keyword = UNIQUE[above]
        values = _values(given[keyword]) if keyword in given else []
        wild = above == "PATIENT" and any(letter in "*?" for value in values for letter in value)
        if len(values) != 1 or wild:
            raise Refusal(MISMATCH, f"one {keyword} is needed at level {level}")


def _is_known(keyword: str, level: str) -> bool:
    if keyword in _COMPUTED:
        return _ORDER.index(_COMPUTED[keyword][0]) <= _ORDER.index(level)
    return keyword in _TABLE_OF or (keyword == _SYNTAX_KEY and level == "IMAGE")


def _reaches(keyword: str, level: str) -> bool:
    """Whether an entity of the level has the attribute: its own, or of a level above."""
    if keyword not in _LEVEL_OF:
        return True
    return _ORDER.index(_LEVEL_OF[keyword]) <= _ORDER.index(level)


def _select(
    level: str, columns: list[str], conditions: list[Condition]
) -> tuple[str, tuple[str | float, ...]]:
    tables = "instance" if level == "IMAGE" else _SOURCES[level].split(" ", 1)[0]
    wanted = [f"min({tables}.id)" if level == "PATIENT" else f"{tables}.id"]
    for keyword in columns:
        if keyword in _COMPUTED:
            wanted.append(f"({_COMPUTED[keyword][1]})")
        elif keyword == _SYNTAX_KEY:
            wanted.append("instance.syntax")
        else:
            wanted.append(f"{_TABLE_OF[keyword]}.{keyword}")
    sql = f"SELECT {', '.join(wanted)} FROM {_SOURCES[level]}"
    if conditions:
        sql += " WHERE " + " AND ".join(each.sql for each in conditions)
    if level == "PATIENT":
        # SQLite takes the other columns from the row that has the least id.
        sql += " GROUP BY study.PatientID, study.IssuerOfPatientID"
    return sql, tuple(value for each in conditions for value in each.values)


def _exists(level: str, below: dict[str, list[Condition]]) -> Iterator[Condition]:
    """Ask for one entity below that has all the keys; a key of a study is one of its own row."""
    top = {"PATIENT": "study", "STUDY": "study", "SERIES": "series"}.get(level, "")
    yield from below.pop("study", [])
    together = [each for conditions in below.values() for each in conditions]
    if together:
        lowest = "instance" if "instance" in below else "series"
        where = " AND ".join(each.sql for each in together)
        values = tuple(value for each in together for value in each.values)
        yield Condition(f"EXISTS (SELECT 1 FROM {_BELOW[top, lowest]} AND {where})", values)


def _in_study(keyword: str, values: list[str]) -> Condition:
    own, table, source = IN_STUDY[keyword]
    made = matching(own, values, table)
    return Condition(f"EXISTS (SELECT 1 FROM {source} AND {made.sql})", made.values)


def matching(keyword: str, values: list[str], table: str = "") -> Condition:
    """Return what an attribute has to be: any of the values (PS3.4 C.2.2.2).

    Raises
    ------
    Refusal
        A value is none of the attribute's VR.
    """
    column = f"{table or _TABLE_OF[keyword]}.{column_of(keyword)}"
    vr = vr_of(keyword)
    if vr == "UI":
        return _one_of(column, values)
    if len(values) > _MOST_VALUES:
        raise Refusal(UNABLE, f"{keyword}: more than {_MOST_VALUES} values")
    if vr in ("DA", "TM"):
        made = [_between(keyword, column, vr, value) for value in values]
    elif vr in _WHOLE or vr == "DS":
        made = [_number(keyword, column, vr, value) for value in values]
    else:
        made = [
            _text(keyword, column, pattern) for value in values for pattern in _patterns(vr, value)
        ]
    sql = " OR ".join(each.sql for each in made)
    return Condition(f"({sql})", tuple(value for each in made for value in each.values))


def _one_of(column: str, values: list[str]) -> Condition:
    if len(values) == 1:
        return Condition(f"{column} = ?", (values[0],))
    # One parameter, however many there are.
    return Condition(f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(values),))


def _between(keyword: str, column: str, vr: str, value: str) -> Condition:
    first, hyphen, last = value.partition("-")
    if not hyphen:
        last = first
    low = high = ""
    if vr == "DA":
        low, high = date_key(first), date_key(last)
    else:
        # What a time leaves out is any (PS3.5 6.2): 10 is the whole hour.
        low, high = time_key(first), time_key(last, last=True)
    if (first.strip() and not low) or (last.strip() and not high) or not (low or high):
        raise Refusal(UNABLE, f"{keyword}: neither a value of VR {vr} nor a range")
    if low and high:
        return Condition(f"{column} BETWEEN ? AND ?", (low, high))
    return (
        Condition(f"{column} >= ?", (low,))
        if low
        else Condition(f"{column} BETWEEN '0' AND ?", (high,))
    )


def _number(keyword: str, column: str, vr: str, value: str) -> Condition:
    try:
        number = int(value) if vr in _WHOLE else float(value)
    except ValueError:
        raise Refusal(UNABLE, f"{keyword}: no value of VR {vr}") from None
    if abs(number) >= 2**63:
        raise Refusal(UNABLE, f"{keyword}: no value of VR {vr}")
    kind = "INTEGER" if vr in _WHOLE else "REAL"
    return Condition(f"({column} <> '' AND CAST({column} AS {kind}) = ?)", (number,))


def _patterns(vr: str, value: str) -> list[str]:
    if vr != "PN":
        return [value]
    name = re.sub(r"\*+", "*", name_key(value))
    stem = name.removesuffix("*").rstrip("^")
    # DOE^* is to find DOE, which is DOE^ and DOE^^ too.
    return [name, stem] if name.endswith("^*") else [name]


def _text(keyword: str, column: str, value: str) -> Condition:
    wild = vr_of(keyword) in _WILD and any(letter in "*?" for letter in value)
    compare, bound = ("GLOB", glob(value)) if wild else ("=", value)
    if not has_several(keyword):
        return Condition(f"{column} {compare} ?", (bound,))
    # A wildcard of a name without = does not reach from one component group into the next.
    groups = vr_of(keyword) == "PN" and "=" not in value
    whole = " AND instr(value, '=') = 0" if groups else ""
    sql = (
        f"CASE WHEN substr({column}, 1, 1) = '{SEVERAL}' THEN EXISTS (SELECT 1 FROM "
        f"json_each(substr({column}, 2)) WHERE value {compare} ?{whole}) "
        f"ELSE {column} {compare} ? END"
    )
    return Condition(sql, (bound, bound))


def glob(pattern: str) -> str:
    """Return a pattern of PS3.4 C.2.2.2.4 as SQLite's GLOB has it: brackets are characters.

    Examples
    --------
    >>> glob("A[1]*?")
    'A[[]1]*?'
    """
    return pattern.replace("[", "[[]")
