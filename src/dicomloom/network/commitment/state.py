"""What was asked of a provider of storage commitment and what it said: in memory, and in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dicomloom.errors import CorruptError, LimitError
from dicomloom.files import Replacing
from dicomloom.json_model import LARGEST, read_json
from dicomloom.network.commitment.push_model import Reference, Result
from dicomloom.network.serve.archive.places import is_safe_uid
from dicomloom.uids import new_uid

_KIND = "dicomloom storage commitment"
_VERSION = 1
# References of a transaction: half a megabyte to two.
MOST_REFERENCES = 10_000
# What is known of an instance, besides a Failure Reason.
COMMITTED, WITHOUT_REASON = 0, -1


@dataclass
class Transaction:
    """One N-ACTION and its result.

    Attributes
    ----------
    classes : dict of str to str
        What was asked for: SOP class UID by SOP instance UID.
    uids : list of str
        TransactionUID. A request that nobody knows to have come is sent again under another one,
        so that no provider takes it for a duplicate; a report may come for either.
    asked : bool
        Whether the peer answered that it will report.
    known : dict of str to int
        `COMMITTED`, the Failure Reason or `WITHOUT_REASON`, by SOP instance UID.
    """

    classes: dict[str, str]
    uids: list[str] = field(default_factory=list)
    asked: bool = False
    known: dict[str, int] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether there is a result for all that was asked for."""
        return len(self.known) == len(self.classes)

    @property
    def pending(self) -> Iterator[Reference]:
        """What there is no result for."""
        return ((sop, uid) for uid, sop in self.classes.items() if uid not in self.known)

    def settle(self, result: Result) -> list[Reference]:
        """Take a report; returns what it tells of that was not asked for."""
        self.asked = True
        foreign = []
        for reference in result.committed:
            sop_class, uid = reference
            # A promise for another class is none for what we have.
            if self.classes.get(uid) == sop_class:
                self.known[uid] = COMMITTED
            else:
                foreign.append(reference)
        for reference, reason in result.failed:
            uid = reference[1]
            if uid in self.classes:
                self.known[uid] = WITHOUT_REASON if reason is None else reason
            else:
                foreign.append(reference)
        return foreign


@dataclass
class CommitState:
    """All transactions with one node.

    Attributes
    ----------
    node : str
        ``AET@host:port``.
    transactions : list of Transaction
    """

    node: str
    transactions: list[Transaction]

    @classmethod
    def of(cls, node: str, classes: dict[str, str]) -> CommitState:
        """Divide instances, with their classes, into transactions."""
        all_of = list(classes.items())
        parts = range(0, len(all_of), MOST_REFERENCES)
        return cls(node, [Transaction(dict(all_of[at : at + MOST_REFERENCES])) for at in parts])

    def number(self, transactions: Iterable[Transaction]) -> None:
        """Give each a TransactionUID of its own for the next try."""
        for transaction in transactions:
            transaction.uids.append(new_uid())

    def find(self, transaction_uid: str) -> Transaction | None:
        """Return the transaction of a TransactionUID."""
        found = (one for one in self.transactions if transaction_uid in one.uids)
        return next(found, None)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a file of it, whole or not at all.

        Raises
        ------
        WriteError
        LimitError
            There is too much for one file.
        """
        content = {
            "kind": _KIND,
            "version": _VERSION,
            "node": self.node,
            "transactions": [
                {"uids": one.uids, "asked": one.asked, "instances": _by_class(one)}
                for one in self.transactions
            ],
        }
        data = json.dumps(content, indent=0).encode() + b"\n"
        if len(data) > LARGEST:
            raise LimitError(
                f"{sum(len(one.classes) for one in self.transactions)} instances are too many for "
                "one state file: ask for fewer at a time",
                path=os.fspath(path),
            )
        with Replacing(path) as file:
            file.write(data)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> CommitState:
        """Read what `write` wrote; nothing in it is believed.

        Raises
        ------
        ReadError, LimitError
        CorruptError
            It is no such file; the message says what is wrong with it.
        """
        name = os.fspath(path)
        read = read_json(name)
        try:
            if not isinstance(read, dict) or read.get("kind") != _KIND:
                raise ValueError(f'expected an object whose "kind" is "{_KIND}"')
            if read.get("version") != _VERSION:
                raise ValueError(f"expected version {_VERSION}")
            if not isinstance(read.get("node"), str):
                raise ValueError('"node" is no text')
            if not isinstance(read.get("transactions"), list) or not read["transactions"]:
                raise ValueError('"transactions" is no list of them')
            return cls(read["node"], [_transaction(one) for one in read["transactions"]])
        except ValueError as error:
            raise CorruptError(f"no state of storage commitment: {error}", path=name) from error


def _by_class(transaction: Transaction) -> dict[str, dict[str, int | None]]:
    made: dict[str, dict[str, int | None]] = {}
    for uid, sop_class in transaction.classes.items():
        made.setdefault(sop_class, {})[uid] = transaction.known.get(uid)
    return made


def _transaction(read: object) -> Transaction:
    """Return a transaction; ValueError where it is none."""
    if not isinstance(read, dict):
        raise ValueError("a transaction is no object")
    uids, instances = read.get("uids"), read.get("instances")
    if not isinstance(uids, list) or not isinstance(instances, dict) or not instances:
        raise ValueError('a transaction lacks "uids" or "instances"')
    made = Transaction({}, uids, read.get("asked") is True)
    for sop_class, results in instances.items():
        if not isinstance(results, dict):
            raise ValueError('"instances" has no results by SOP instance UID')
        for uid, result in results.items():
            made.classes[uid] = sop_class
            if type(result) is int and WITHOUT_REASON <= result <= 0xFFFF:
                made.known[uid] = result
            elif result is not None:
                raise ValueError("a result is no Failure Reason")
    if not all(
        isinstance(uid, str) and is_safe_uid(uid) for uid in (*uids, *instances, *made.classes)
    ):
        raise ValueError("a UID is none (PS3.5 9.1)")
    return made
