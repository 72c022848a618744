"""What one process, thread or connection says in a log, association by association."""

from __future__ import annotations

from typing import NamedTuple

from dicomloom.network.explain.record import LoggedAssociation, LoggedContext
from dicomloom.network.words import printable

# Of an AE title, an address, a syntax: what is longer is none.
_LONGEST_NAME = 80


class Line(NamedTuple):
    """A line of a log, its prefix taken off.

    Attributes
    ----------
    number : int
    time, key : str
        As the prefix tells, else "".
    serious : bool
        Whether it is an error.
    text : str
    """

    number: int
    time: str
    key: str
    serious: bool
    text: str


def name(text: str) -> str:
    """Return an AE title or the like as it may be shown."""
    return printable(text.strip(), _LONGEST_NAME)


class Talk:
    """The association that is being told of, and where in its telling we are.

    Attributes
    ----------
    draft : LoggedAssociation or None
    brief : LoggedAssociation or None
        The counts of the short lines; those of the dumps are in the draft. Verbose logs have both.
    block : str
        The dump that the next lines belong to: ``RQ``, ``AC``, ``RJ``, ``ABORT``, ``DIMSE``, "".
    context : LoggedContext or None
        That of the lines of a dump.
    fields : dict of str to str
        What the lines of a dump told.
    seen : set of str
        Which things the association has had already that come only once.
    """

    def __init__(self, key: str, finished: list[LoggedAssociation]) -> None:
        self.key = key
        self.draft: LoggedAssociation | None = None
        self.brief: LoggedAssociation | None = None
        self.block = ""
        self.context: LoggedContext | None = None
        self.fields: dict[str, str] = {}
        self.seen: set[str] = set()
        self._finished = finished

    def begin(self, line: Line, kind: str, role: str) -> LoggedAssociation:
        """Begin another association; what was before has ended."""
        self.finish()
        key = name(self.key)
        self.draft = LoggedAssociation(kind, line.number, key, role, begin=line.time)
        self.brief = LoggedAssociation(kind, line.number)
        self.block, self.context = "", None
        self.fields, self.seen = {}, set()
        self.touch(line)
        return self.draft

    def touch(self, line: Line) -> None:
        """Note that the line belongs to the association."""
        if self.draft is not None:
            self.draft.last_line = line.number
            self.draft.end = line.time or self.draft.end

    def finish(self, outcome: str = "cut-off") -> None:
        """Hand over what there is; `outcome` is that of one without an end."""
        draft, brief = self.draft, self.brief
        if draft is None or brief is None:
            return
        for key, count in brief.messages.items():
            draft.messages[key] = max(count, draft.messages.get(key, 0))
        for answer, count in brief.statuses.items():
            draft.statuses[answer] = max(count, draft.statuses.get(answer, 0))
        draft.outcome = draft.outcome or outcome
        self.draft = self.brief = None
        self._finished.append(draft)

    def field(self, key: str, value: str) -> None:
        """Keep what a line of a dump tells."""
        if len(self.fields) < 32:
            self.fields[key] = value[:200]
