"""One association as a log tells of it, and what that means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dicomloom.network import words
from dicomloom.network.explain.codes import is_failure

# A log may hold anything; what one association keeps is bounded.
_MOST_CONTEXTS = 256
_MOST_SYNTAXES = 64
_MOST_COUNTS = 64
_MOST_ERRORS = 8


@dataclass
class LoggedContext:
    """A presentation context.

    Attributes
    ----------
    id : int
    abstract_syntax : str
        UID or name, as the log spells it.
    proposed : list of str
        Transfer syntaxes, likewise.
    result : int or None
        PS3.8 9.3.3.2; None: no answer in the log.
    transfer_syntax : str
        The accepted one.
    """

    id: int
    abstract_syntax: str = ""
    proposed: list[str] = field(default_factory=list)
    result: int | None = None
    transfer_syntax: str = ""

    @property
    def meaning(self) -> str:
        """The result in the words of PS3.8."""
        if self.result is None:
            return "no answer"
        return words.CONTEXT_RESULTS.get(self.result, words.UNKNOWN)


@dataclass
class LoggedAssociation:
    """An association as a log tells of it; `explain` of a log gives them.

    Attributes
    ----------
    format : str
        ``DCMTK``, ``pynetdicom``, ``dcm4che`` or ``fo-dicom``.
    first_line, last_line : int
        Where it stands in the log, counted from 1.
    begin, end : str
        Times as the log writes them, "" where it has none.
    key : str
        Process, thread or number of the association in the log, "" where it has none.
    role : str
        Of who wrote the log: ``requestor``, ``acceptor``, or "".
    calling_ae_title, called_ae_title, peer : str
        "" where the log does not tell.
    contexts : dict of int to LoggedContext
    messages : dict of str to int
        How many DIMSE messages, by name and direction: ``C-STORE-RQ sent``.
    statuses : dict of (str, int) to int
        How many answers, by name and status: ``("C-STORE-RSP", 0xA700)``.
    outcome : str
        ``released``, ``aborted``, ``rejected``, ``no-context``, ``not-connected``,
        ``timed-out``, ``cut-off`` (the log tells of no end) or ``dropped`` (too many others were
        open).
    by : str
        Of aborted, rejected and released: who did so, ``requestor``, ``acceptor``, or "".
    codes : tuple of int
        Result, source and reason of the A-ASSOCIATE-RJ; source and reason of the A-ABORT; ().
    errors : list of str
        Errors that the log has of it; at most 8.
    """

    format: str
    first_line: int
    key: str = ""
    role: str = ""
    last_line: int = 0
    begin: str = ""
    end: str = ""
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer: str = ""
    contexts: dict[int, LoggedContext] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    statuses: dict[tuple[str, int], int] = field(default_factory=dict)
    outcome: str = ""
    by: str = ""
    codes: tuple[int, ...] = ()
    errors: list[str] = field(default_factory=list)

    # What readers call.

    def context(self, number: int) -> LoggedContext | None:
        """Return the context of an ID, a fresh one where it is new; None: too many."""
        if number not in self.contexts and len(self.contexts) >= _MOST_CONTEXTS:
            return None
        return self.contexts.setdefault(number, LoggedContext(number))

    def propose(self, context: LoggedContext | None, syntax: str) -> None:
        """Add a proposed transfer syntax."""
        if context is not None and len(context.proposed) < _MOST_SYNTAXES:
            context.proposed.append(words.printable(syntax, 64))

    def count(self, name: str, direction: str, status: int | None = None) -> None:
        """Count a DIMSE message such as ``C-STORE-RSP``, ``sent`` or ``received``."""
        key = f"{name} {direction}"
        if key in self.messages or len(self.messages) < _MOST_COUNTS:
            self.messages[key] = self.messages.get(key, 0) + 1
        if status is not None:
            answer = name, status
            if answer in self.statuses or len(self.statuses) < _MOST_COUNTS:
                self.statuses[answer] = self.statuses.get(answer, 0) + 1

    def error(self, text: str) -> None:
        """Keep an error's text, as far as there are few."""
        text = words.printable(text.strip())
        if text and text not in self.errors and len(self.errors) < _MOST_ERRORS:
            self.errors.append(text)

    def ends(self, outcome: str, by: str = "", codes: tuple[int, ...] = ()) -> None:
        """Tell how it ended; the first to be told holds, later ones add who and why."""
        self.outcome = self.outcome or outcome
        if self.outcome == outcome:
            self.by = self.by or by
            self.codes = self.codes or codes

    @property
    def other(self) -> str:
        """The role of the peer."""
        return {"requestor": "acceptor", "acceptor": "requestor"}.get(self.role, "")

    # What users call.

    @property
    def accepted(self) -> list[LoggedContext]:
        """The accepted contexts."""
        return [context for context in self.contexts.values() if context.result == 0]

    @property
    def refused(self) -> list[LoggedContext]:
        """The contexts that were answered by a refusal."""
        return [context for context in self.contexts.values() if context.result]

    @property
    def failures(self) -> dict[tuple[str, int], int]:
        """Answers that are neither success, pending, cancel nor warning, as in `statuses`."""
        return {key: count for key, count in self.statuses.items() if is_failure(key[1])}

    @property
    def trouble(self) -> str:
        """What went wrong, "" where nothing did."""
        return self._verdict()[0]

    @property
    def hint(self) -> str:
        """What to try, "" where nothing went wrong."""
        return self._verdict()[1]

    def _verdict(self) -> tuple[str, str]:
        if self.outcome == "rejected":
            return self._rejected()
        if self.outcome == "no-context" or (self.refused and not self.accepted):
            results: set[int | None] = {context.result for context in self.contexts.values()}
            said = ", ".join(sorted({context.meaning for context in self.contexts.values()}))
            trouble = "no presentation context was accepted" + (f": {said}" if said else "")
            return trouble, words.no_context_hint(results)
        if self.outcome == "aborted":
            return self._aborted()
        if self.outcome == "not-connected":
            return self._with_error("there was no connection"), self._no_connection_hint()
        if self.outcome == "timed-out":
            return self._with_error("the other end did not answer in time"), words.SILENT_HINT
        return self._failed() if self.failures else self._unexplained()

    def _failed(self) -> tuple[str, str]:
        (name, status), count = max(self.failures.items(), key=lambda item: item[1])
        found = words.failed("", name.removesuffix("-RSP"), status, "")
        return found.message + (f" ({count} times)" if count > 1 else ""), found.hint

    def _unexplained(self) -> tuple[str, str]:
        if self.outcome == "cut-off" and self.errors:
            return self._with_error("the connection ended"), words.CUT_OFF_HINT
        if self.outcome == "cut-off":
            return "the log tells of no end", (
                "the process was stopped, still runs, or its log was cut; see the peer's log"
            )
        if self.errors:
            hint = "see the log around these lines, and that of the peer"
            return self.errors[0], self._context_hint() or hint
        return "", ""

    def _context_hint(self) -> str:
        """Return what to try where an object had no presentation context, else ""."""
        if not any("presentation context" in error.lower() for error in self.errors):
            return ""
        return words.no_context_hint({context.result for context in self.refused})

    def _with_error(self, trouble: str) -> str:
        return f"{trouble}: {self.errors[0]}" if self.errors else trouble

    def _rejected(self) -> tuple[str, str]:
        result, source, reason = self.codes if len(self.codes) == 3 else (1, 1, 1)
        called, calling = self.called_ae_title or "?", self.calling_ae_title or "?"
        found = words.rejected("", called, calling, result, source, reason)
        if self.by and self.by == self.role:
            return found.message.replace("the peer rejected", "this end rejected"), (
                f'"{calling}" called "{called}": enter the pair here, or correct it at the peer'
            )
        return found.message, found.hint

    def _aborted(self) -> tuple[str, str]:
        if self.by and self.by == self.role:
            hint = self._context_hint() or "this end did so: the errors before tell why"
            return self._with_error("the association was aborted here"), hint
        source, reason = self.codes if len(self.codes) == 2 else (0, 0)
        found = words.aborted("", source, reason, "the association")
        if not self.codes:
            # The log does not tell.
            return "the peer aborted, or closed the connection", found.hint
        return found.message, found.hint

    def _no_connection_hint(self) -> str:
        said = " ".join(self.errors).lower()
        if "refused" in said:
            return words.REFUSED_HINT
        if "unreachable" in said or "no route" in said:
            return words.UNREACHABLE_HINT
        if "name" in said or "unknown host" in said or "address" in said:
            return words.UNKNOWN_HOST_HINT
        if "abort" in said or "reset" in said or "closed" in said:
            return words.CLOSED_HINT
        return words.NO_CONNECTION_HINT

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in types that JSON has."""
        trouble, hint = self._verdict()
        names = "format first_line last_line begin end key role calling_ae_title called_ae_title"
        made: dict[str, Any] = {name: getattr(self, name) for name in names.split()}
        made |= {
            "peer": self.peer,
            "contexts": [
                {
                    "id": context.id,
                    "abstract_syntax": context.abstract_syntax,
                    "proposed": context.proposed,
                    "result": context.result,
                    "meaning": context.meaning,
                    "transfer_syntax": context.transfer_syntax,
                }
                for context in self.contexts.values()
            ],
            "messages": self.messages,
            "statuses": [
                {"message": name, "status": f"0x{status:04X}", "count": count}
                for (name, status), count in self.statuses.items()
            ],
            "outcome": self.outcome,
            "by": self.by,
            "codes": list(self.codes),
            "errors": self.errors,
            "trouble": trouble,
            "hint": hint,
        }
        return made
