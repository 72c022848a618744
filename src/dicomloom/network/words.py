"""What the codes of PS3.7 and PS3.8 say, and what to do about them."""

from __future__ import annotations

from collections.abc import Mapping

from dicomloom.errors import AssociationAborted, AssociationRejected, StatusError

# PS3.8 table 9-21.
RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
SOURCES = {
    1: "DICOM UL service-user",
    2: "DICOM UL service-provider (ACSE related function)",
    3: "DICOM UL service-provider (Presentation related function)",
}
REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 1): "no-reason-given",
    (2, 2): "protocol-version-not-supported",
    (3, 1): "temporary-congestion",
    (3, 2): "local-limit-exceeded",
}
# PS3.8 table 9-26.
ABORT_SOURCES = {0: "DICOM UL service-user", 2: "DICOM UL service-provider"}
ABORT_REASONS = {
    0: "reason-not-specified",
    1: "unrecognized-PDU",
    2: "unexpected-PDU",
    4: "unrecognized-PDU-parameter",
    5: "unexpected-PDU-parameter",
    6: "invalid-PDU-parameter-value",
}
# PS3.8 table 9-18.
CONTEXT_RESULTS = {
    0: "acceptance",
    1: "user-rejection",
    2: "no-reason (provider rejection)",
    3: "abstract-syntax-not-supported (provider rejection)",
    4: "transfer-syntaxes-not-supported (provider rejection)",
}
# PS3.7 Annex C: what any service may answer.
STATUSES = {
    0x0000: "Success",
    0x0105: "No such attribute",
    0x0106: "Invalid attribute value",
    0x0107: "Attribute list error",
    0x0110: "Processing failure",
    0x0111: "Duplicate SOP Instance",
    0x0112: "No such SOP Instance",
    0x0113: "No such event type",
    0x0114: "No such argument",
    0x0115: "Invalid argument value",
    0x0116: "Attribute value out of range",
    0x0117: "Invalid SOP Instance",
    0x0118: "No such SOP Class",
    0x0119: "Class-Instance conflict",
    0x0120: "Missing attribute",
    0x0121: "Missing attribute value",
    0x0122: "SOP Class not supported",
    0x0123: "No such action",
    0x0124: "Not authorized",
    0x0210: "Duplicate invocation",
    0x0211: "Unrecognized operation",
    0x0212: "Mistyped argument",
    0x0213: "Resource limitation",
    0xFE00: "Cancel",
}
# PS3.4 C.4.1.1.4 and K.4.1.1.4.
FIND_STATUSES = {
    0xA700: "Refused: out of resources",
    0xA900: "Identifier does not match SOP Class",
} | dict.fromkeys(range(0xC000, 0xD000), "Unable to process")
UNKNOWN = "a code that PS3 does not define"


def printable(text: str, limit: int = 200) -> str:
    r"""Return what a peer sent so that it can do no harm in a terminal or a log.

    Examples
    --------
    >>> printable("BOT\x1b[2J")
    'BOT\\x1b[2J'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= limit else shown[:limit] + "..."


def rejected(
    node: str, called: str, calling: str, result: int, source: int, reason: int
) -> AssociationRejected:
    """Return the exception of an A-ASSOCIATE-RJ.

    Examples
    --------
    >>> error = rejected("PACS@pacs:104", "PACS", "ME", 1, 1, 7)
    >>> error.reason_text
    'called-AE-title-not-recognized'
    """
    hints = {
        (1, 1): "the peer does not tell why: see its log; often the calling AE title "
        f'"{calling}", this address or the user identity is not known to it',
        (1, 2): "the peer is no DICOM node, or a broken one",
        (1, 3): f'the peer does not know the calling AE title "{calling}": enter it there, '
        "or give the one it knows (--calling-ae, calling_ae_title)",
        (1, 7): f'the peer does not call itself "{called}": ask for its AE title, capitals count',
        (2, 1): "often user identity: check username and passcode, or whether the peer wants them",
        (2, 2): "the peer speaks another version of the protocol of PS3.8",
        (3, 1): "the peer is busy: try again later",
        (3, 2): "the peer has as many associations as it allows: close some, or try again later",
    }
    texts = (
        RESULTS.get(result, UNKNOWN),
        SOURCES.get(source, UNKNOWN),
        REASONS.get((source, reason), UNKNOWN),
    )
    error = AssociationRejected(
        f"the peer rejected the association: {texts[2]} (result {result} {texts[0]}, source "
        f"{source} {texts[1]}, reason {reason})",
        node=node,
        hint=hints.get((source, reason), "see the log of the peer"),
    )
    error.result, error.source, error.reason = result, source, reason
    error.result_text, error.source_text, error.reason_text = texts
    return error


def aborted(node: str, source: int, reason: int, during: str) -> AssociationAborted:
    """Return the exception of an A-ABORT; `during` says what had been asked for.

    Examples
    --------
    >>> aborted("PACS@pacs:104", 2, 6, "C-ECHO").reason_text
    'invalid-PDU-parameter-value'
    """
    source_text = ABORT_SOURCES.get(source, UNKNOWN)
    reason_text = ABORT_REASONS.get(reason, UNKNOWN) if source == 2 else ""
    if source == 2:
        hint = "one of the two ends breaks the protocol: see the log of the peer"
    else:
        hint = (
            "the application of the peer did so: see its log; some peers do this to an AE title, "
            "address or user that they do not know, or where they expect TLS"
        )
    words = f"source {source} {source_text}"
    if reason_text:
        words += f", reason {reason} {reason_text}"
    error = AssociationAborted(f"the peer aborted during {during} ({words})", node=node, hint=hint)
    error.source, error.reason = source, reason
    error.source_text, error.reason_text = source_text, reason_text
    return error


def failed(
    node: str,
    operation: str,
    status: int,
    comment: str,
    meanings: Mapping[int, str] = STATUSES,
) -> StatusError:
    """Return the exception of a status that is no success.

    `meanings` has the codes of the service, which come before those of PS3.7.

    Examples
    --------
    >>> failed("PACS@pacs:104", "C-ECHO", 0x0122, "").meaning
    'SOP Class not supported'
    """
    hints = {
        0xA700: "the peer has not what it takes to answer: ask for less, or try again later",
        0xA900: "the peer does not take these keys at this level: see its conformance statement",
        0xFE00: "the peer ended it: not by our wish; see its log",
        0x0122: "the peer accepted the presentation context and refuses its service: see its log",
        0x0124: "the peer does not let this AE title or user do so",
        0x0213: "the peer lacks memory, disk or another resource: try again later",
    }
    meaning = meanings.get(status) or STATUSES.get(status, UNKNOWN)
    comment = printable(comment)
    said = f', "{comment}"' if comment else ""
    error = StatusError(
        f"{operation} was answered with status 0x{status:04X}, {meaning}{said}",
        node=node,
        hint=hints.get(status, "see the log of the peer"),
    )
    error.status, error.meaning, error.comment = status, meaning, comment
    return error
