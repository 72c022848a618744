"""Logs of dcm4che and fo-dicom: an arrow in each line tells who speaks to whom."""

from __future__ import annotations

import re

from dicomloom.network.explain.codes import (
    abort_codes,
    context_result,
    reject_codes,
    status_of,
)
from dicomloom.network.explain.record import LoggedAssociation
from dicomloom.network.explain.talk import Line, Talk, name

# STORESCU->ARCHIVE(1) << 1:C-STORE-RQ[...; the number is that of the association.
DCM4CHE = re.compile(
    r"(?P<key>(?P<here>[^<>()]{1,60}?)(?P<arrow>->|<-)(?P<there>[^<>()]{1,60})\(\d+\))"
    r"(?: (?P<way><<|>>) |: )(?P<what>.*)"
)
# ARCHIVE -> Association request:
FO_DICOM = re.compile(
    r"(?P<key>.{1,60}?) (?P<way>->|<-) (?P<what>Association (?:request|accept|reject|release)\b.*"
    r"|Abort \[.*|[CN]-[\w-]+ (?:request|response) \[.*|.*[Cc]onnection closed.*)"
)
_DIMSE = re.compile(r"\d+:([CN]-[A-Z-]+-(?:RQ|RSP))\[")
_DCM4CHE_STATUS = re.compile(r"\bstatus=([0-9A-Fa-f]{1,4})H")
_PARTS = re.compile(r"\b(result|source|reason): ?([^,;\]]*)")
_SOCKET = re.compile(r"Socket\[addr=/?([^,\]]{1,80})")
_FO_DIMSE = re.compile(r"([CN]-[\w-]+) (request|response) \[[^\]]*\](?:: ?(.*))?")
_FO_CONTEXT = re.compile(r"Presentation Context: +(\d{1,3}) +\[(.*)\]")
_DCM4CHE_BLOCK = re.compile(r"A-ASSOCIATE-(RQ|AC)\[")
_DCM4CHE_CONTEXT = re.compile(r"PresentationContext\[id: (\d{1,3})")


def _parts(text: str) -> dict[str, str]:
    return dict(_PARTS.findall(text))


def _end_of(draft: LoggedAssociation, what: str, parts: dict[str, str], who: str) -> None:
    if what == "rejected":
        codes: tuple[int, ...] = reject_codes(
            parts.get("result", ""), parts.get("source", ""), parts.get("reason", "")
        )
    else:
        codes = abort_codes(parts.get("source", ""), parts.get("reason", ""))
    draft.ends(what, who, codes)


def dcm4che(talk: Talk, line: Line, found: re.Match[str]) -> bool:
    """Take what a line with the name of an association tells; `found` is that of DCM4CHE."""
    what, way = found["what"], found["way"]
    role = "requestor" if found["arrow"] == "->" else "acceptor"
    draft = talk.draft
    if what.startswith("A-ASSOCIATE-RQ") and way:
        draft = talk.begin(line, "dcm4che", role)
        ends = (found["here"], found["there"])
        titles = ends if role == "requestor" else ends[::-1]
        draft.calling_ae_title, draft.called_ae_title = map(name, titles)
    if draft is None:
        # The log begins in the midst of it.
        draft = talk.begin(line, "dcm4che", role)
    talk.touch(line)
    who = draft.role if way == "<<" else draft.other
    message = _DIMSE.match(what)
    if message and way:
        status = _DCM4CHE_STATUS.search(what) if message[1].endswith("-RSP") else None
        direction = "sent" if way == "<<" else "received"
        draft.count(message[1], direction, int(status[1], 16) if status else None)
    elif what.startswith("A-ASSOCIATE-RJ"):
        _end_of(draft, "rejected", _parts(what), who)
    elif what.startswith("A-ABORT"):
        _end_of(draft, "aborted", _parts(what), who)
    elif what.startswith("A-RELEASE-RQ"):
        draft.ends("released", who)
    elif not way:
        _about(talk, line, what)
    return True


def _about(talk: Talk, line: Line, what: str) -> None:
    """Take what is told of the association, not said in it."""
    draft = talk.draft
    if draft is None:
        return
    socket = _SOCKET.search(what)
    if socket:
        draft.peer = draft.peer or name(socket[1])
    if what.startswith("close Socket"):
        talk.finish()
    elif "expired" in what or "timed out" in what or ("Timeout" in what and line.serious):
        draft.error(what)
        draft.ends("timed-out")
    elif "exception" in what.lower() and not draft.outcome:
        draft.error(what)


def dcm4che_block(talk: Talk, text: str, prefixed: bool) -> bool:
    """Take a line of the dump of an A-ASSOCIATE-RQ or -AC; returns whether it was one.

    Only the first line of a dump has a time and a level before it (`prefixed`).
    """
    draft = talk.draft
    begin = _DCM4CHE_BLOCK.match(text)
    if prefixed and not begin:
        talk.block = ""
    if draft is None or not (begin or talk.block):
        return False
    if begin:
        talk.block, talk.context = begin[1], None
        return True
    field, _, value = text.partition(":")
    value = value.strip()
    found = _DCM4CHE_CONTEXT.match(text)
    if found:
        talk.context = draft.context(int(found[1]))
    elif text == "]":
        # Of a context, or else of the dump.
        talk.block = talk.block if talk.context is not None else ""
        talk.context = None
    elif field == "calledAET":
        draft.called_ae_title = name(value)
    elif field == "callingAET":
        draft.calling_ae_title = name(value)
    elif talk.context is not None:
        if field == "as":
            talk.context.abstract_syntax = name(value.partition(" - ")[0])
        elif field == "ts" and talk.block == "RQ":
            draft.propose(talk.context, value.partition(" - ")[0])
        elif field == "ts":
            talk.context.transfer_syntax = name(value.partition(" - ")[0])
        elif field == "result":
            talk.context.result = context_result(value)
    return True


def fo_dicom(talk: Talk, line: Line, found: re.Match[str]) -> bool:
    """Take what a line with an arrow tells; `found` is that of FO_DICOM."""
    what, sent = found["what"], found["way"] == "->"
    draft = talk.draft
    talk.block, talk.context = "", None
    if what.startswith("Association request"):
        draft = talk.begin(line, "fo-dicom", "requestor" if sent else "acceptor")
        talk.block = "RQ"
        return True
    message = _FO_DIMSE.match(what)
    if draft is None:
        role = "requestor" if sent == (message is None or message[2] == "request") else "acceptor"
        draft = talk.begin(line, "fo-dicom", role)
    talk.touch(line)
    who = draft.role if sent else draft.other
    if message:
        end = "RQ" if message[2] == "request" else "RSP"
        status = status_of(message[3]) if end == "RSP" and message[3] else None
        direction = "sent" if sent else "received"
        draft.count(f"{message[1].upper()}-{end}", direction, status)
    elif what.startswith("Association accept"):
        talk.block = "AC"
    elif what.startswith("Association reject"):
        _end_of(draft, "rejected", _parts(what), who)
    elif what.startswith("Association release request"):
        draft.ends("released", who)
    elif what.startswith("Abort"):
        _end_of(draft, "aborted", _parts(what), who)
    return True


def fo_dicom_block(talk: Talk, text: str) -> bool:
    """Take a line of the description of an association; returns whether it was one."""
    draft = talk.draft
    if draft is None or not talk.block:
        return False
    found = _FO_CONTEXT.match(text)
    field, colon, value = text.partition(":")
    value = value.strip()
    if found:
        talk.context = draft.context(int(found[1]))
        if talk.context is not None and talk.block == "AC":
            talk.context.result = context_result(found[2])
    elif not colon:
        return False
    elif field == "Calling AE Title":
        draft.calling_ae_title = name(value)
    elif field == "Called AE Title":
        draft.called_ae_title = name(value)
    elif field == "Remote host":
        draft.peer = draft.peer or name(value)
    elif talk.context is not None and field.startswith("Abstract"):
        talk.context.abstract_syntax = name(value)
    elif talk.context is not None and field.startswith("Transfer"):
        if talk.block == "RQ":
            draft.propose(talk.context, value)
        elif talk.context.result == 0:
            talk.context.transfer_syntax = name(value)
    return True
