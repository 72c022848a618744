"""What became of a retrieval: what came, what the peer says, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

from dicomloom.network import command as commands
from dicomloom.network.command import Command
from dicomloom.network.retrieving.landing import MOST_NAMED
from dicomloom.network.retrieving.planning import Errand
from dicomloom.network.serve.store import Arrival

_Entry = TypeVar("_Entry")
_COUNTS = ("Completed", "Failed", "Warning", "Remaining")


class Arrived(NamedTuple):
    """An object that came.

    Attributes
    ----------
    path : str
    SOPClassUID, SOPInstanceUID, transfer_syntax : str
        UIDs, as the peer sent them.
    bytes : int
        Of the data set.
    outcome : {"new", "kept", "replaced", "version"}
        Kept: what was in its place is still there.
    """

    path: str
    SOPClassUID: str
    SOPInstanceUID: str
    transfer_syntax: str
    bytes: int
    outcome: str


class Failed(NamedTuple):
    """An object that did not come, and somebody says so.

    Attributes
    ----------
    SOPInstanceUID : str
    status : int
        Of the peer's last response, or of ours where `refused`.
    reason : str
    refused : bool
        Whether it is we who did not take it.
    """

    SOPInstanceUID: str
    status: int
    reason: str
    refused: bool = False


class Remark(NamedTuple):
    """Something odd about an object that came.

    Attributes
    ----------
    SOPInstanceUID, reason : str
    """

    SOPInstanceUID: str
    reason: str


@dataclass
class RetrieveReport:
    """What `retrieve` did.

    Attributes
    ----------
    node : str
    requests : int
        Studies, series, or studies of which some instances were asked for.
    arrived : list of Arrived
        Not filled by `retrieve_each`, which gives them.
    failed : list of Failed
    missing : list of str
        SOP Instance UIDs that should have come, neither came nor are told as failed.
    unnamed : int
        How many more are missing, by the peer's numbers, whose UIDs it does not tell, or that
        ``missing`` has no place for.
    unexpected : list of str
        SOP Instance UIDs of objects that came, and were not among those that should.
    warned : list of Remark
        Objects that came, and are odd.
    untold : dict of str to int
        How many more ``failed``, ``unexpected`` and ``warned`` would have, by the name of the list:
        each of them, and ``missing``, has up to 100,000.
    completed, failures, warnings, remaining : int
        Sub-operations, as the peer counts them in its last responses; what failed by C-GET and was
        asked for again by C-MOVE is among the failures of that only.
    count : int
        How many objects came, each counted once.
    bytes : int
        Of their data sets.
    seconds : float
    """

    node: str
    requests: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unnamed: int = 0
    unexpected: list[str] = field(default_factory=list)
    warned: list[Remark] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)
    completed: int = 0
    failures: int = 0
    warnings: int = 0
    remaining: int = 0
    count: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether something matched, and all of it came."""
        return bool(self.requests) and not (self.failed or self.missing or self.unnamed)


class Tally:
    """Counts what comes of one errand."""

    def __init__(self, errand: Errand) -> None:
        self._expected = None if errand.expected is None else dict.fromkeys(errand.expected, False)
        self._count = errand.count
        self._came: set[str] = set()
        self._failed: dict[str, Failed] = {}
        self._unexpected: list[str] = []
        self._warned: list[Remark] = []
        self.untold = dict.fromkeys(("failed", "unexpected", "warned"), 0)
        self._said = dict.fromkeys(_COUNTS, 0)
        self._parts = dict.fromkeys(_COUNTS, 0)
        self._repeated, self._is_again = 0, False
        self.count = self.bytes = 0

    def arrived(self, arrival: Arrival) -> Arrived:
        """Count an object."""
        uid = arrival.sop_instance
        self._failed.pop(uid, None)
        if self._is_new(uid):
            self.count += 1
            self.bytes += arrival.size
        else:
            self._repeated += 1
            if not self._is_again:
                self.remark(uid, "it came more than once")
        return Arrived(
            *(arrival.path, arrival.sop_class, uid, arrival.transfer_syntax),
            *(arrival.size, arrival.outcome),
        )

    def _is_new(self, uid: str) -> bool:
        if self._expected is not None and uid in self._expected:
            new = not self._expected[uid]
            self._expected[uid] = True
            return new
        if uid in self._came:
            return False
        if len(self._came) < MOST_NAMED:  # beyond, those that come again are not told
            self._came.add(uid)
        if self._expected is not None:
            self._add("unexpected", self._unexpected, uid)
        return True

    def remark(self, uid: str, reason: str) -> None:
        """Note something odd about an object that came."""
        self._add("warned", self._warned, Remark(uid, reason))

    def _add(self, name: str, to: list[_Entry], entry: _Entry) -> None:
        if len(to) < MOST_NAMED:
            to.append(entry)
        else:
            self.untold[name] += 1

    def refused(self, uid: str, status: int, reason: str) -> None:
        """Note an object that we did not take."""
        if self._has_place(uid):
            self._failed[uid] = Failed(uid, status, reason, refused=True)

    def answered(self, command: Command, failed: Iterable[str], reason: str) -> None:
        """Note the last response to a request."""
        for name in _COUNTS:
            self._said[name] += commands.integer(command, f"NumberOf{name}Suboperations")
        status = commands.integer(command, "Status")
        for uid in failed:
            if not self._has(uid) and self._has_place(uid):
                self._failed.setdefault(uid, Failed(uid, status, reason))

    def _has_place(self, uid: str) -> bool:
        """Whether one more can be told as failed; where not, it is counted."""
        if uid in self._failed or len(self._failed) < MOST_NAMED:
            return True
        self.untold["failed"] += 1
        return False

    def _has(self, uid: str) -> bool:
        return uid in self._came or (self._expected or {}).get(uid, False)

    def again(self) -> None:
        """Forget what the peer counted: what is lacking is asked for another way."""
        self._parts, self._said = self._said, dict.fromkeys(_COUNTS, 0)
        self._is_again = True

    @property
    def is_short(self) -> bool:
        """Whether fewer objects came than the peer says that it has sent."""
        return self._told > self.count + self._repeated

    @property
    def _told(self) -> int:
        return self._said["Completed"] + self._said["Warning"]

    def lacking(self) -> list[str]:
        """Return what should have come and did not, as far as it has a name."""
        missing = [uid for uid, here in (self._expected or {}).items() if not here]
        return [*dict.fromkeys([*missing, *self._failed])]

    def unnamed(self) -> int:
        """Return how many more there should be."""
        here = self.count + self._repeated
        failed = len(self._failed) + self.untold["failed"]
        if self._expected is not None:
            return max(0, self._told - here - (len(self.lacking()) - len(self._failed)))
        by_peer = max(sum(self._said.values()), sum(self._parts.values()))
        return max(0, max(by_peer - here, (self._count or 0) - self.count) - failed)

    def settle(self, report: RetrieveReport) -> None:
        """Bring all of it into a report."""
        report.requests += 1
        missing = [uid for uid in self.lacking() if uid not in self._failed]
        report.unnamed += self.unnamed() + _fill(report.missing, missing)
        self.untold["failed"] += _fill(report.failed, self._failed.values())
        self.untold["unexpected"] += _fill(report.unexpected, self._unexpected)
        self.untold["warned"] += _fill(report.warned, self._warned)
        for name, count in self.untold.items():
            if count:
                report.untold[name] = report.untold.get(name, 0) + count
        report.completed += self._said["Completed"] + self._parts["Completed"]
        report.failures += self._said["Failed"]
        report.warnings += self._said["Warning"] + self._parts["Warning"]
        report.remaining += self._said["Remaining"]
        report.count += self.count
        report.bytes += self.bytes


def _fill(to: list[_Entry], entries: Collection[_Entry]) -> int:
    """Add to a list of a report; return how many have no place in it."""
    room = max(0, MOST_NAMED - len(to))
    to += islice(entries, room)
    return max(0, len(entries) - room)
