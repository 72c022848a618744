"""Reads logs, and keeps apart the associations that they tell of."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import sys
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO, TextIO, cast

from dicomloom.errors import TruncatedError
from dicomloom.files import unreadable
from dicomloom.network.explain import arrows, dcmtk
from dicomloom.network.explain.record import LoggedAssociation
from dicomloom.network.explain.talk import Line, Talk

MOST_OPEN = 1024
# Characters of a line; what follows is left out.
_LONGEST_LINE = 4096

_TIMES = (
    r"(?:\w{3}, )?\d{1,4}[-/ ](?:\d{1,2}|\w{3})[-/ ]\d{1,4}[T ,]{1,2}"
    r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\w{3} [ \d]\d \d\d:\d\d:\d\d"
    r"|\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
)
# Of log4cplus, log4j, Python's logging, NLog, syslog. Possessive: none is tried in two ways.
_PREFIX = re.compile(
    rf"\s*+(?:\[?(?P<time>{_TIMES})\]?\s*+)?+"
    r"(?P<tokens>(?:(?:"
    r"[-|:]{1,3}(?=\s)"
    r"|\[[^\]\[]{0,100}\]:?"
    r"|\((?=[^)]{0,100}\d)[^()]{0,100}\)(?=\s)"
    r"|(?:TRACE|DEBUG|INFO|INFORMATION|WARN|WARNING|ERROR|FATAL|CRITICAL"
    r"|trce|dbug|info|warn|fail|crit)\b:?"
    r"|[TDIWEF]:(?=\s|$)"
    r"|(?:pid|tid|thread|PID|TID)[=:# ]?\d{1,10}\b:?"
    r"|\w{0,40}Thread[-@\w.]{1,40}+(?:\s\(\w{1,40}\))?:?"
    r"|[\w.-]{1,60}\s[\w./-]{1,60}\[\d{1,10}\]:"
    r"|pynetdicom[\w.]{0,40}+(?:\[\d{1,10}\])?[:\s]"
    r"|[A-Za-z]\w{0,40}(?:\.\w{1,40}){1,8}+:?(?=\s)"
    r"|\d{1,10}(?=\s+\S)"
    r")\s*+)*+)(?P<text>.*)",
    re.DOTALL,
)
_SERIOUS = re.compile(r"\b(?:ERROR|FATAL|CRITICAL|fail|crit|[EF]:)")
# A process, a thread, a connection; the names of loggers and levels are none.
_KEYS = re.compile(
    r"(?:pid|tid|thread|PID|TID)[=:# ]?\d+|\w{0,40}Thread[-@\w.]+(?:\s\(\w+\))?"
    r"|[\[(][^\[\]().]{0,100}[\])]|\b\d+\b"
)
_LEVELS = frozenset("TDIWEF")
_HEX = re.compile(r"(?:[0-9a-f]{2}(?:\s+|$)){1,64}")


class Log:
    """A log that is being read; `explain` gives it. Iterating gives `LoggedAssociation`s.

    At most `most_open` associations are held at a time, each with at most 256 presentation
    contexts; nothing else grows. One is given when its successor begins, or the log ends.

    Attributes
    ----------
    path : str
    lines, not_understood : int
        How many lines were read so far, and how many of them told nothing that is understood.
    counts : dict of str to int
        How many associations of each outcome so far.
    """

    def __init__(self, path: str, most_open: int = MOST_OPEN) -> None:
        if most_open < 1:
            raise ValueError(f"most_open: expected at least 1, not {most_open}")
        self.path = path
        self.lines = 0
        self.not_understood = 0
        self.counts: dict[str, int] = {}
        self._most_open = most_open
        self._talks: OrderedDict[str, Talk] = OrderedDict()
        self._finished: list[LoggedAssociation] = []
        # Who may have lines without a name that follow.
        self._dcm4che: Talk | None = None
        self._fo_dicom: Talk | None = None
        self._prefixes: dict[str, tuple[str, bool]] = {}

    def __iter__(self) -> Iterator[LoggedAssociation]:
        """Read the log, each time from its beginning.

        Raises
        ------
        ReadError
            The file cannot be read.
        TruncatedError
            Its gzip stream is damaged; what stands before was given.
        """
        self.lines = self.not_understood = 0
        self.counts = {}
        self._talks.clear()
        self._finished.clear()
        self._dcm4che = self._fo_dicom = None
        damage: Exception | None = None
        try:
            with _open(self.path) as file:
                for text in _lines(file):
                    self.lines += 1
                    if not self._read(text):
                        self.not_understood += 1
                    if self._finished:
                        yield from self._take()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            damage = error
        except OSError as error:
            raise unreadable(self.path, error, "the log") from error
        for talk in self._talks.values():
            talk.finish()
        self._talks.clear()
        yield from self._take()
        if damage is not None:
            message = f"the gzip stream is damaged after line {self.lines}: {damage}"
            raise TruncatedError(message, path=self.path) from damage

    def _take(self) -> Iterator[LoggedAssociation]:
        finished = self._finished[:]
        self._finished.clear()
        for association in finished:
            self.counts[association.outcome] = self.counts.get(association.outcome, 0) + 1
            yield association

    def _talk(self, key: str) -> Talk:
        talk = self._talks.get(key)
        if talk is not None:
            self._talks.move_to_end(key)
            return talk
        if len(self._talks) >= self._most_open:
            self._talks.popitem(last=False)[1].finish("dropped")
        talk = self._talks[key] = Talk(key, self._finished)
        return talk

    def _split(self, text: str) -> tuple[Line, bool]:
        """Take the prefix off a line; tells also whether there was one."""
        if text[1:3] == ": " and text[0] in _LEVELS:
            return Line(self.lines, "", "", text[0] in "EF", text[3:].strip()), True
        found = _PREFIX.match(text)
        if found is None:
            return Line(self.lines, "", "", False, text.strip()), False
        time, tokens = found["time"] or "", found["tokens"]
        known = self._prefixes.get(tokens)
        if known is None:
            if len(self._prefixes) >= 4096:
                self._prefixes.clear()
            # A level in brackets is no name; the threads of pynetdicom share associations.
            names = [
                word
                for word in _KEYS.findall(tokens)
                if any(map(str.isdigit, word)) and "Thread" not in word
            ]
            known = " ".join(names)[:200], bool(_SERIOUS.search(tokens))
            if len(tokens) <= 200:
                self._prefixes[tokens] = known
        line = Line(self.lines, time, known[0], known[1], found["text"].strip())
        return line, bool(time or tokens)

    def _read(self, text: str) -> bool:
        """Take what a line tells; returns whether it was understood."""
        if text[:3] == "D: ":
            # Nine lines of ten in a log of DCMTK's: without what others need.
            talk = self._talks.get("")
            dump = talk is not None and talk.block in dcmtk.NEGOTIATION
            if talk is not None and dump and dcmtk.negotiated(talk, text[3:].strip()):
                return True
        line, prefixed = self._split(text)
        if not line.text or self._follows(line, prefixed):
            return True
        if ("->" in line.text or "<-" in line.text) and self._read_arrow(line):
            return True
        if not prefixed and self._dcm4che is not None:
            return False  # a stack trace, say
        talk = self._talk(line.key)
        return dcmtk.read(talk, line) or _HEX.fullmatch(line.text) is not None

    def _follows(self, line: Line, prefixed: bool) -> bool:
        """Take a line that belongs to a dump of dcm4che's or fo-dicom's."""
        if self._dcm4che is not None and arrows.dcm4che_block(self._dcm4che, line.text, prefixed):
            return True
        fo_dicom = None if prefixed else self._fo_dicom
        return fo_dicom is not None and arrows.fo_dicom_block(fo_dicom, line.text)

    def _read_arrow(self, line: Line) -> bool:
        found = arrows.DCM4CHE.match(line.text)
        if found:
            self._dcm4che = self._talk(found["key"])
            return arrows.dcm4che(self._dcm4che, line, found)
        found = arrows.FO_DICOM.match(line.text)
        if found:
            self._fo_dicom = self._talk(found["key"])
            return arrows.fo_dicom(self._fo_dicom, line, found)
        return False


@contextlib.contextmanager
def _open(path: str) -> Iterator[TextIO]:
    """Open a log as text, gzip and the encodings of Windows included; "-" is stdin."""
    stdin = path == "-"
    with open(sys.stdin.fileno() if stdin else path, "rb", closefd=not stdin) as raw:
        head = raw.peek(2)[:2]
        source: BinaryIO = raw
        if head == b"\x1f\x8b":
            unpacked = gzip.GzipFile(fileobj=raw)
            source, head = cast(BinaryIO, io.BufferedReader(unpacked, 1 << 20)), b""
        encoding = "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        with io.TextIOWrapper(source, encoding, errors="replace", newline="\n") as file:
            yield file


def _lines(file: TextIO) -> Iterator[str]:
    """Give the lines; of a long one its beginning, without holding the rest."""
    read = file.readline
    while text := read(_LONGEST_LINE):
        if len(text) == _LONGEST_LINE and text[-1] != "\n":
            while (rest := read(_LONGEST_LINE)) and rest[-1] != "\n":
                pass
        yield text
