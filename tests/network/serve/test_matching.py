"""Attribute matching (PS3.4 C.2.2.2): cases by the clause, and a plain model beside it."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomloom.network.serve.matching import matches, matches_value, returned
from dicomloom.network.serve.moments import ends_of, span_of

STEP = "ScheduledProcedureStepSequence"


@pytest.mark.parametrize(
    ("vr", "key", "value", "expected"),
    [
        # Universal: C.2.2.2.3.
        ("LO", "", "x", True),
        ("LO", None, None, True),
        ("LO", "*", "", True),
        ("LO", "**", "", True),
        ("UI", [], "1.2", True),
        # Single value: C.2.2.2.1.
        ("LO", "x", "x", True),
        ("LO", "x", "X", False),
        ("LO", "x", " x ", True),
        ("LO", "x", "", False),
        ("LO", "x", None, False),
        ("CS", "CT", ["MR", "CT"], True),
        ("CS", ["CT", "MR"], "MR", True),
        ("PN", "doe^jane", "Doe^Jane", True),
        ("PN", "Doe^Jane", "Doe^Jane^^^", True),
        ("PN", "Doe", "Doe^Jane", False),
        ("PN", "\u00dcnal", "\u00fcnal", True),
        ("PN", "\u5c71\u7530", "Yamada=\u5c71\u7530=\u3084\u307e\u3060", True),
        ("PN", "Yamada=\u5c71\u7530", "Yamada=\u5c71\u7530=\u3084\u307e\u3060", True),
        ("PN", "Yamada=\u5c71", "Yamada=\u5c71\u7530", False),
        ("PN", "=\u5c71\u7530", "Yamada=\u5c71\u7530", True),
        ("IS", "7", "007", True),
        ("DS", "1.50", "1.5", True),
        ("IS", "a", "a", True),
        ("US", 7, 7, True),
        ("US", 7, 8, False),
        ("AS", "04*", "042Y", False),
        # Lists of UIDs: C.2.2.2.2.
        ("UI", ["1.2", "1.3"], "1.3", True),
        ("UI", ["1.2", "1.3"], "1.4", False),
        ("UI", "1.*", "1.2", False),
        # Wildcards: C.2.2.2.4.
        ("LO", "a*c", "abbc", True),
        ("LO", "a*c", "ac", True),
        ("LO", "a?c", "ac", False),
        ("LO", "a?c", "abc", True),
        ("LO", "*b*b*", "ab", False),
        ("LO", "a.c", "abc", False),
        ("LO", "[ab]*", "a", False),
        ("LT", "a*", "a\r\nb", True),
        ("PN", "d*", "Doe^Jane", True),
        ("PN", "*jane", "Doe^Jane", True),
        # Ranges: C.2.2.2.5.
        ("DA", "20260101-20260131", "20260131", True),
        ("DA", "20260101-20260131", "20260201", False),
        ("DA", "-20260131", "19700101", True),
        ("DA", "20260101-", "20251231", False),
        ("DA", "20260101-", "", False),
        ("DA", "20260101", "2026.01.01", True),
        ("DA", "20260101-", "soon", False),
        ("TM", "10-11", "105959.999999", True),
        ("TM", "10-11", "115959.999999", True),
        ("TM", "10-11", "120000", False),
        ("TM", "1000", "100030", True),
        ("TM", "100000", "1000", True),
        ("TM", "10:00", "100000.5", True),
        ("TM", "-", "10", False),
        ("TM", "235960", "235959", True),
        ("DT", "2026", "20260704101500", True),
        ("DT", "20260704120000+0200", "20260704100000+0000", True),
        ("DT", "20260704120000+0200-", "20260704095959+0000", False),
        ("DT", "2026-2027", "202706", True),
        ("DT", "2026-0500", "202601010500+0000", True),
        ("DT", "-20260101-0500", "20251231", True),
        ("DT", "20260704120000+0200", "20260704120000", True),
        ("UN", b"a ", b"a", True),
    ],
)
def test_values(vr, key, value, expected):
    assert matches_value(vr, key, value) is expected


def like(key, text):
    """What * and ? mean, letter by letter."""
    if not key:
        return not text
    if key[0] == "*":
        return like(key[1:], text) or bool(text and like(key, text[1:]))
    return bool(text and (key[0] in ("?", text[0])) and like(key[1:], text[1:]))


@given(st.text("ab*?.", max_size=7), st.text("abA.", min_size=1, max_size=7))
def test_wildcards_are_what_a_plain_model_says(key, text):
    expected = not key or like(key, text)
    assert matches_value("LO", key, text) is expected
    assert matches_value("PN", key, text) is (not key or like(key.lower(), text.lower()))


def test_many_asterisks_end():
    """A pattern that goes back over its choices would not, in the time that there is."""
    assert not matches_value("LO", "*a" * 30 + "b", "a" * 2000)


days = st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 1, 5))
times = st.builds(datetime.time, st.integers(9, 11), st.integers(0, 59), st.integers(0, 59))


@given(days, times, st.none() | days, st.none() | days, st.none() | times, st.none() | times)
def test_dates_and_times_together(day, hour, first_day, last_day, first_hour, last_hour):
    """PS3.4 table K.6-1: two ranges are one span; elsewhere they are two."""

    def text(form, first, last):
        return "-".join("" if end is None else end.strftime(form) for end in (first, last))

    if (first_day is None and last_day is None) or (first_hour is None and last_hour is None):
        return
    keys, item = Dataset(), Dataset()
    keys.add_new(0x00400002, "DA", "")
    keys[0x00400002]._value = text("%Y%m%d", first_day, last_day)
    keys.add_new(0x00400003, "TM", "")
    keys[0x00400003]._value = text("%H%M%S", first_hour, last_hour)
    item.ScheduledProcedureStepStartDate = day.strftime("%Y%m%d")
    item.ScheduledProcedureStepStartTime = hour.strftime("%H%M%S")

    low = first_day and datetime.datetime.combine(first_day, first_hour or datetime.time.min)
    high = last_day and datetime.datetime.combine(last_day, last_hour or datetime.time.max)
    now = datetime.datetime.combine(day, hour)
    assert matches(keys, item, combined=True) is (
        (low is None or low <= now) and (high is None or now <= high)
    )
    within = (first_hour is None or first_hour <= hour) and (last_hour is None or hour <= last_hour)
    on = (first_day is None or first_day <= day) and (last_day is None or day <= last_day)
    assert matches(keys, item) is (within and on)


@given(st.text("0123456789-+.: &", max_size=20))
def test_no_text_breaks_dates_and_times(text):
    for vr in ("DA", "TM", "DT"):
        ends_of(vr, text)
        span_of(vr, text)
        assert matches_value(vr, text, text) in (True, False)
    span = span_of("DT", text)
    if span:
        assert span.first <= span.last


def item_of(**keywords):
    made = Dataset()
    for keyword, value in keywords.items():
        setattr(made, keyword, value)
    return made


def test_sequences():
    """PS3.4 C.2.2.2.6."""
    item = item_of(PatientID="1", ScheduledProcedureStepSequence=[item_of(Modality="OP")])
    for wanted, expected in [
        ([], True),
        ([Dataset()], True),
        ([item_of(Modality="")], True),
        ([item_of(Modality="*")], True),
        ([item_of(Modality="OP")], True),
        ([item_of(Modality="CT")], False),
        ([item_of(Modality="OP", ScheduledStationName="R1")], False),
    ]:
        assert matches(item_of(ScheduledProcedureStepSequence=wanted), item) is expected
    nothing = item_of(PatientID="1")
    assert matches(item_of(ScheduledProcedureStepSequence=[item_of(Modality="")]), nothing)
    assert not matches(item_of(ScheduledProcedureStepSequence=[item_of(Modality="OP")]), nothing)


def test_both_conditions_hold_for_one_item():
    steps = [
        item_of(Modality="OP", ScheduledStationName="R1"),
        item_of(Modality="CT", ScheduledStationName="R2"),
    ]
    item = item_of(ScheduledProcedureStepSequence=steps)
    key = item_of(Modality="OP", ScheduledStationName="R2")
    assert not matches(item_of(ScheduledProcedureStepSequence=[key]), item)


def test_what_says_how_the_query_is_meant_is_no_key():
    keys = item_of(SpecificCharacterSet="ISO_IR 192", QueryRetrieveLevel="STUDY", PatientID="1")
    keys.add_new(0x00100000, "UL", 8)
    assert matches(keys, item_of(PatientID="1"))
    assert [one.keyword for one in returned(keys, item_of(PatientID="1"))] == ["PatientID"]


def test_only_what_is_asked_for_is_returned():
    steps = [
        item_of(Modality="OP", ScheduledStationName="R1", ScheduledProcedureStepID="S1"),
        item_of(Modality="CT", ScheduledStationName="R2"),
    ]
    item = item_of(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="M\u00fcller",
        PatientID="1",
        ScheduledProcedureStepSequence=steps,
        ReferencedStudySequence=[item_of(ReferencedSOPInstanceUID="1.2")],
    )
    keys = item_of(
        SpecificCharacterSet="ISO_IR 192",
        PatientName="m*",
        PatientSex="",
        ReferencedStudySequence=[],
        ReferencedPatientSequence=[],
        ScheduledProcedureStepSequence=[item_of(Modality="OP", ScheduledStationName="")],
    )
    got = returned(keys, item)
    assert got == item_of(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="M\u00fcller",
        PatientSex=None,
        ReferencedStudySequence=[item_of(ReferencedSOPInstanceUID="1.2")],
        ReferencedPatientSequence=[],
        ScheduledProcedureStepSequence=[item_of(Modality="OP", ScheduledStationName="R1")],
    )
    got.ReferencedStudySequence[0].ReferencedSOPInstanceUID = "9"
    assert item.ReferencedStudySequence[0].ReferencedSOPInstanceUID == "1.2"


@pytest.mark.parametrize(
    ("own", "name", "expected"),
    [
        (None, "Doe", None),
        (None, "M\u00fcller", "ISO_IR 100"),
        ("ISO_IR 100", "\u5f20", "ISO_IR 192"),
        ("ISO_IR 192", "M\u00fcller", "ISO_IR 192"),
    ],
)
def test_the_character_set_fits(own, name, expected):
    item = item_of(PatientName=name)
    if own:
        item.SpecificCharacterSet = own
    assert returned(item_of(PatientName=""), item).get("SpecificCharacterSet") == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("00010101000000+1400", "00010101000000+0100", False),
        ("20200101000000+0100-", "99991231235959-1200", True),
        ("-20200101000000+0100", "99991231235959-1200", False),
        ("99991231-1200", "99991231235959.999999-1200", True),
        ("00010101000000+1400-99991231-1200", "20260101+0000", True),
    ],
)
def test_moments_at_the_ends_of_the_calendar(key, value, expected):
    assert matches_value("DT", key, value) is expected


def test_keys_that_are_longer_than_any_value():
    # A range is looked for at each hyphen, a pattern is made of each asterisk: not of these.
    assert not matches_value("DT", "1" + "-" * 1_000_000 + "1", "2026")
    assert not matches_value("LT", "*a" * 1_000_000, "a" * 1000)
    assert matches_value("LT", "*" * 1_000_000 + "a", "aa")
