"""Dates and times as spans (PS3.5 6.2): one that is known to the minute is a minute long."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import NamedTuple

_DATE = re.compile(r"(\d{4})[.]?(\d\d)[.]?(\d\d)", re.ASCII)  # with points: ACR-NEMA
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
# A hyphen of a DT is a time zone, or parts a range: what follows has four digits either way.
_ZONED = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d", re.ASCII)
_MIDNIGHT = datetime(1, 1, 1)
_LONGEST = 64  # characters of a range; a DT has 26 (PS3.5 6.2)


class Span(NamedTuple):
    """From the first to the last microsecond that a value may mean, where it was written.

    `offset` is its distance from UTC, None where it does not say.
    """

    first: datetime
    last: datetime
    offset: timedelta | None = None

    def begins_within(self, first: Span | None, last: Span | None) -> bool:
        """Whether it begins in or after one span, and not after another; None is no limit.

        Clocks on the wall are compared where one of two does not say its distance from UTC.
        """
        after = first is None or self._at(self.first, first) >= first._at(first.first, self)
        return after and (last is None or self._at(self.first, last) <= last._at(last.last, self))

    def _at(self, moment: datetime, other: Span) -> timedelta:
        # Not as a datetime, which ends with the years 1 and 9999: 99991231235959-1200 is behind it.
        known = self.offset is not None and other.offset is not None
        away = self.offset or timedelta() if known else timedelta()
        return moment - _MIDNIGHT - away


def span_of(vr: str, text: str) -> Span | None:
    """Return what a value of DA, TM or DT means; None where it is none.

    Examples
    --------
    >>> span = span_of("TM", "1015")
    >>> f"{span.first:%H%M%S.%f}", f"{span.last:%H%M%S.%f}"
    ('101500.000000', '101559.999999')
    >>> span_of("DA", "20260231")
    """
    text = text.strip(" \0")
    try:
        return {"DA": _date, "TM": _time, "DT": _moment}[vr](text)
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> Span | None:
    match = _DATE.fullmatch(text)
    if not match:
        return None
    first = datetime(*map(int, match.groups()))  # type: ignore[arg-type]
    return Span(first, first + (_DAY - _TICK))


def _time(text: str) -> Span | None:
    match = _TIME.fullmatch(text)
    if not match:
        return None
    hour, minute, second, fraction = match.groups()
    # A leap second is the last one of its minute (PS3.5 6.2): 60 is 59 here.
    seconds = None if second is None else min(int(second), 59) if int(second) <= 60 else 99
    return _span(_MIDNIGHT.replace(hour=int(hour)), minute, seconds, fraction, timedelta(hours=1))


def _span(
    first: datetime, minute: str | None, second: int | None, fraction: str | None, size: timedelta
) -> Span:
    if minute is not None:
        first, size = first.replace(minute=int(minute)), timedelta(minutes=1)
    if second is not None:
        first, size = first.replace(second=second), timedelta(seconds=1)
    if fraction is not None:
        first = first.replace(microsecond=int(fraction.ljust(6, "0")))
        size = timedelta(microseconds=10 ** (6 - len(fraction)))
    return Span(first, first + (size - _TICK))


def _moment(text: str) -> Span | None:
    match = _MOMENT.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    begin = datetime(int(year), int(month or 1), int(day or 1))
    if hour is not None:
        seconds = None if second is None else min(int(second), 59) if int(second) <= 60 else 99
        begin = begin.replace(hour=int(hour))
        span = _span(begin, minute, seconds, fraction, timedelta(hours=1))
    else:
        last = begin
        if month is None:
            last = last.replace(month=12)
        if day is None:
            last = last.replace(day=monthrange(last.year, last.month)[1])
        span = Span(begin, last + (_DAY - _TICK))
    if zone is None:
        return span
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
    return span._replace(offset=offset if zone[0] == "+" else -offset)


def ends_of(vr: str, text: str) -> tuple[str, str] | None:
    """Return the two ends of a range (PS3.4 C.2.2.2.5), "" where one is open; None: it is none.

    Examples
    --------
    >>> ends_of("DA", "20260101-"), ends_of("DA", "20260101")
    (('20260101', ''), None)
    >>> ends_of("DT", "20260101120000-0500"), ends_of("DT", "2026-2027")
    (None, ('2026', '2027'))
    """
    text = text.strip(" \0")
    if text == "-" or "-" not in text or len(text) > _LONGEST:
        return None
    if vr == "DT" and text[0] != "-" and text[-1] != "-":
        return _moments(text)
    # In a time zone that ends an open range there is a hyphen, too.
    first, last = (text[:-1], "") if text[-1] == "-" else text.split("-", 1)
    return first.strip(), last.strip()


def _moments(text: str) -> tuple[str, str] | None:
    hyphens = [at for at, character in enumerate(text) if character == "-"]
    # 2026-0500 is a year in a time zone; 2026-2027, which is no zone, are two.
    if len(hyphens) == 1 and _ZONED.fullmatch(text[hyphens[0] :]):
        return None
    for at in hyphens:
        first, last = text[:at], text[at + 1 :]
        if span_of("DT", first) is not None and span_of("DT", last) is not None:
            return first, last
    return None
