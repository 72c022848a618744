"""Verbose logs of DCMTK, and of pynetdicom, which writes in its manner."""

from __future__ import annotations

import re
from collections.abc import Callable

from dicomloom.network.explain.codes import (
    abort_codes,
    context_result,
    reject_codes,
    status_of,
)
from dicomloom.network.explain.talk import Line, Talk, name

_DUMP = re.compile(
    r"=+ (?P<way>BEGIN|END|INCOMING|OUTGOING) "
    r"(?:A-(?:ASSOCIATE-)?(?P<what>RQ|AC|RJ|ABORT)|(?P<dimse>DIMSE MESSAGE))(?P<pdu> PDU)?"
)
_SERVICE = re.compile(
    r"(?P<way>Sending|Received) (?:Final )?"
    r"(?P<verb>Echo|Store|Find|Move|Get|Create|Set|Action|Delete|Event Report) "
    r"(?P<what>Request|Response|SCP)\b"
    r"[^(]{0,40}(?:\((?:Status: )?(?P<status>[^()]*)\))?"
)
_PEER = re.compile(r"Association Received(?:: (?P<host>\S+)| \((?P<from>[^>]*) -> (?P<to>.*)\))?")
# Statuses of which DCMTK wrote the words only.
_FAILURES = ("Refused", "Failed", "Failure", "Error", "Unknown")
NEGOTIATION = frozenset(["RQ", "AC"])
_OTHER_FIELDS = (
    "Proposed ",
    "Accepted ",
    "Our ",
    "Their ",
    "Requested ",
    "User Identity",
    "Application Context",
    "Responding ",
    "Presentation Context",
    "SOP Class",
    "Username",
    "Password",
)
_CONTEXT = re.compile(r"(\d{1,3})(?: \((.*)\))?")
# What dcmqrscp and storescp write of their own refusals; PS3.8 table 9-21.
_REFUSALS = {
    "badaeservice": (1, 1, 7),
    "badaepeer": (1, 1, 3),
    "badappcontext": (1, 1, 2),
    "cannotfork": (2, 3, 1),
    "toomanyassociations": (2, 3, 2),
}


def read(talk: Talk, line: Line) -> bool:
    """Take what a line tells; returns whether it was understood."""
    if talk.block and _in_block(talk, line):
        return True
    text = line.text
    if text.startswith("=="):
        return _dump(talk, line)
    handler = _BY_WORD.get(text.partition(" ")[0])
    if handler is not None and handler(talk, line):
        talk.touch(line)
        return True
    if line.serious and talk.draft is not None:
        _error(talk, text)
        talk.touch(line)
        return True
    return False


def _error(talk: Talk, text: str) -> None:
    draft = talk.draft
    if draft is None:
        return
    draft.error(text)
    lower = text.lower()
    if "peer aborted" in lower:
        draft.ends("aborted", draft.other)
    elif "timeout" in lower or "timed out" in lower:
        draft.ends("timed-out")


def _dump(talk: Talk, line: Line) -> bool:
    found = _DUMP.match(line.text)
    if found is None or found["way"] == "END":
        talk.block = ""
        return found is not None
    kind = "pynetdicom" if found["pdu"] else "DCMTK"
    block = found["what"] or "DIMSE"
    incoming = found["way"] == "INCOMING"
    draft = talk.draft
    if block == "RQ":
        if draft is None or draft.outcome or "RQ" in talk.seen:
            draft = talk.begin(line, kind, "acceptor" if incoming else "requestor")
        draft.format = kind
        talk.seen.add("RQ")
    if draft is None:
        return False
    talk.touch(line)
    talk.block, talk.context, talk.fields = block, None, {"way": found["way"]}
    who = draft.other if incoming else draft.role
    if block == "RJ":
        draft.ends("rejected", who)
    elif block == "ABORT":
        draft.ends("aborted", who)
    return True


def _in_block(talk: Talk, line: Line) -> bool:
    """Take a line of a dump; False where it is none."""
    text = line.text
    if talk.draft is None or line.serious:
        talk.block = ""
        return False
    if text.startswith("=="):
        _close(talk)
        return False
    if talk.block in NEGOTIATION:
        return negotiated(talk, text)
    field, colon, value = text.partition(":")
    if colon:
        talk.field(field.strip(), value.strip())
    # Without a colon it is of another kind, in logs of several processes: for others to look at.
    return bool(colon) or not text


def negotiated(talk: Talk, text: str) -> bool:
    """Take a line of the dump of an A-ASSOCIATE-RQ or -AC; False where it is none."""
    draft, context = talk.draft, talk.context
    if draft is None or text.startswith("=="):
        return False
    if text.startswith("="):
        if talk.block == "RQ":
            draft.propose(context, text[1:])
        return True
    field, _, value = text.partition(":")
    if field == "Context ID":
        found = _CONTEXT.match(value.strip())
        talk.context = draft.context(int(found[1])) if found else None
        if found and talk.context is not None and talk.block == "AC":
            talk.context.result = context_result(found[2] or "")
    elif field == "Abstract Syntax":
        if context is not None and not context.abstract_syntax:
            context.abstract_syntax = name(value.strip().removeprefix("="))
    elif field == "Accepted Transfer Syntax":
        if context is not None:
            context.transfer_syntax = name(value.strip().removeprefix("="))
    elif field == "Calling Application Name":
        draft.calling_ae_title = draft.calling_ae_title or name(value)
    elif field == "Called Application Name":
        draft.called_ae_title = draft.called_ae_title or name(value)
    else:
        return not text or field.startswith(_OTHER_FIELDS)
    return True


def _close(talk: Talk) -> None:
    """Use the fields of a dump at its end."""
    draft, fields = talk.draft, talk.fields
    if draft is None:
        return
    if talk.block == "RJ" and draft.outcome == "rejected":
        parts = (fields.get(part, "") for part in ("Result", "Source", "Reason"))
        draft.codes = draft.codes or reject_codes(*parts)
    elif talk.block == "ABORT" and draft.outcome == "aborted":
        parts = (fields.get(part, "") for part in ("Abort Source", "Abort Reason"))
        draft.codes = draft.codes or abort_codes(*parts)
    elif talk.block == "DIMSE" and "Message Type" in fields:
        status = fields.get("DIMSE Status", fields.get("Status"))
        direction = "received" if fields.get("way") == "INCOMING" else "sent"
        message = name(fields["Message Type"]).replace(" ", "-")
        draft.count(message, direction, None if status is None else status_of(status))
    talk.fields = {}


def _association(talk: Talk, line: Line) -> bool:
    text, draft = line.text, talk.draft
    lower = text.lower()
    if lower.startswith("association received"):
        return _received(talk, line)
    if lower.startswith("association parameters negotiated"):
        return True
    if draft is None:
        return False
    if lower.startswith(("association accepted", "association acknowledged")):
        if lower == "association accepted":
            draft.format = "pynetdicom"
    elif lower.startswith("association rejected"):
        draft.ends("rejected", draft.other)
    elif lower.startswith("association aborted"):
        draft.ends("aborted", draft.other)
    elif lower.startswith("association release"):
        draft.ends("released", draft.other)
    elif lower.startswith("association request failed"):
        draft.error(text.partition(":")[2])
        late = "timeout" in lower or "timed out" in lower
        draft.ends("timed-out" if late else "not-connected")
    else:
        return False
    return True


def _received(talk: Talk, line: Line) -> bool:
    found = _PEER.match(line.text)
    draft = talk.draft
    # With -d the network layer says so first, and the program again.
    again = draft is not None and talk.seen == {"host"} and not (found and found["host"])
    if not again:
        draft = talk.begin(line, "DCMTK", "acceptor")
    talk.seen.add("host" if found and found["host"] else "received")
    if draft is not None and found:
        if found["host"]:
            draft.peer = name(found["host"])
        elif found["from"]:
            host, colon, title = found["from"].rpartition(":")
            draft.peer = draft.peer or (name(host) if colon else "")
            draft.calling_ae_title, draft.called_ae_title = name(title), name(found["to"])
    return True


def _requesting(talk: Talk, line: Line) -> bool:
    if not line.text.startswith("Requesting Association"):
        return False
    # DCMTK writes this after what it proposes, pynetdicom before.
    if talk.draft is None or talk.draft.outcome or "requesting" in talk.seen:
        talk.begin(line, "DCMTK", "requestor")
    talk.seen.add("requesting")
    return True


def _ending(outcome: str, *starts: str, here: bool = True) -> Callable[[Talk, Line], bool]:
    def handler(talk: Talk, line: Line) -> bool:
        if talk.draft is None or not line.text.startswith(starts):
            return False
        talk.draft.ends(outcome, talk.draft.role if here else talk.draft.other)
        return True

    return handler


def _refusing(talk: Talk, line: Line) -> bool:
    draft = talk.draft
    if draft is None or not line.text.startswith(("Refusing Association", "Rejecting Association")):
        return False
    why = line.text.partition("(")[2].rstrip(")")
    codes = _REFUSALS.get(why.replace(" ", "").lower(), (1, 1, 1) if why else ())
    draft.ends("rejected", draft.role, codes)
    return True


def _peer(talk: Talk, line: Line) -> bool:
    draft = talk.draft
    if draft is None:
        return False
    if line.text.startswith("Peer Aborted"):
        draft.ends("aborted", draft.other)
    elif line.text.startswith("Peer Requested Release"):
        draft.ends("released", draft.other)
    else:
        draft.error(line.text)  # dcmqrscp tells here whom it does not let in
    return True


def _service(talk: Talk, line: Line) -> bool:
    found = _SERVICE.match(line.text)
    if found is None or talk.brief is None or talk.draft is None:
        return False
    if "Request: MsgID" in line.text or "(Status:" in line.text:
        talk.draft.format = "pynetdicom"
    kind = "N" if found["verb"] in ("Create", "Set", "Action", "Delete", "Event Report") else "C"
    end = "RSP" if found["what"] == "Response" else "RQ"
    message = f"{kind}-{found['verb'].upper().replace(' ', '-')}-{end}"
    said = found["status"] if end == "RSP" else None
    status = status_of(said) if said else None
    if said and status is None and said.startswith(_FAILURES):
        talk.draft.error(f"{message}: {said}")
    direction = "sent" if found["way"] == "Sending" else "received"
    talk.brief.count(message, direction, status)
    return True


def _none(talk: Talk, line: Line) -> bool:
    lower = line.text.lower()
    if talk.draft is None or not lower.startswith(("no accept", "no presentation context")):
        return False
    if lower.startswith("no accept"):
        talk.draft.ends("no-context")
    else:
        talk.draft.error(line.text)
    return True


def _rejection(talk: Talk, line: Line) -> bool:
    """``Result: ..., Source: ...`` and ``Reason: ...`` after ``Association Rejected``."""
    draft = talk.draft
    if draft is None or draft.outcome != "rejected":
        return False
    field, _, value = line.text.partition(":")
    talk.field(field, value)
    if field == "Reason" and not draft.codes:
        result, _, source = talk.fields.get("Result", "").partition(", Source:")
        draft.codes = reject_codes(result, source, value)
    return True


def _tcp(talk: Talk, line: Line) -> bool:
    if talk.draft is None or "Error" not in line.text:
        return False
    talk.draft.errors.insert(0, name(line.text))
    del talk.draft.errors[8:]
    talk.draft.ends("not-connected")
    return True


def _heading(talk: Talk, line: Line) -> bool:
    return line.text.endswith("Parameters:")


_BY_WORD: dict[str, Callable[[Talk, Line], bool]] = {
    "Association": _association,
    "Requesting": _requesting,
    "Releasing": _ending("released", "Releasing Association"),
    "Aborting": _ending("aborted", "Aborting Association"),
    "ABORT": _ending("aborted", "ABORT initiated"),
    "Refusing": _refusing,
    "Rejecting": _refusing,
    "Peer": _peer,
    "Sending": _service,
    "Received": _service,
    "No": _none,
    "Result:": _rejection,
    "Reason:": _rejection,
    "TCP": _tcp,
    "Parameters:": _heading,
    "Request": _heading,
    "Accept": _heading,
    "Reject": _heading,
    "Abort": _heading,
}
