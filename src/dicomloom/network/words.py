"""What the codes of PS3.7 and PS3.8 say, and what to do about them."""

from __future__ import annotations

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
# PS3.4: what single services answer besides; of the most digits that fit.
SERVICE_STATUSES = {
    "C-STORE": {
        "A7": "Refused: Out of resources",
        "A9": "Error: Data Set does not match SOP Class",
        "C": "Error: Cannot understand",
        "B000": "Warning: Coercion of data elements",
        "B006": "Warning: Elements discarded",
        "B007": "Warning: Data Set does not match SOP Class",
    },
    "C-FIND": {
        "A7": "Refused: Out of resources",
        "A9": "Error: Identifier does not match SOP Class",
        "C": "Failed: Unable to process",
    },
    "C-MOVE": {
        "A701": "Refused: Out of resources, unable to calculate number of matches",
        "A702": "Refused: Out of resources, unable to perform sub-operations",
        "A801": "Refused: Move destination unknown",
        "A9": "Error: Identifier does not match SOP Class",
        "B000": "Warning: Sub-operations complete, one or more failures",
        "C": "Failed: Unable to process",
    },
    "C-GET": {
        "A701": "Refused: Out of resources, unable to calculate number of matches",
        "A702": "Refused: Out of resources, unable to perform sub-operations",
        "A9": "Error: Identifier does not match SOP Class",
        "B000": "Warning: Sub-operations complete, one or more failures",
        "C": "Failed: Unable to process",
    },
    "N-CREATE": {"0001": "Warning: Requested optional attributes are not supported"},
    "N-SET": {"0001": "Warning: Requested optional attributes are not supported"},
}
# PS3.4 table F.7.2-2: Error ID of a N-SET for a performed procedure step that is final.
NO_LONGER_UPDATED = 0xA710
UNKNOWN = "a code that PS3 does not define"
# What to try where there are no codes.
REFUSED_HINT = "nothing listens there: check that the peer runs, and its port"
UNKNOWN_HOST_HINT = "check the name, or give the IP address"
UNREACHABLE_HINT = "no way leads there: check the address, VPN, routes and firewalls"
NO_CONNECTION_HINT = "check address and port; a firewall may swallow the connection"
CLOSED_HINT = (
    "some peers do this where they expect TLS, do not know this address or AE title, "
    "or have too many associations; or another service listens on this port"
)
CUT_OFF_HINT = "the peer or something between ended it: see its log; is its idle time short?"
SILENT_HINT = "the peer takes connections but does not answer: is it stuck, or no DICOM node?"


def no_context_hint(results: set[int | None]) -> str:
    """Return what to try where no presentation context was accepted, by their results.

    Examples
    --------
    >>> no_context_hint({4})
    'it takes none of the transfer syntaxes that were proposed: propose others'
    """
    if results == {4}:
        return "it takes none of the transfer syntaxes that were proposed: propose others"
    if results == {3}:
        return "it does not offer this service, at least not to this AE title: see its settings"
    return "see its settings for this AE title, and its conformance statement"


def printable(text: str, limit: int = 200) -> str:
    r"""Return what a peer sent so that it can do no harm in a terminal or a log.

    Examples
    --------
    >>> printable("BOT\x1b[2J")
    'BOT\\x1b[2J'
    """
    if text.isprintable() and len(text) <= limit:
        return text
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


def meaning_of(operation: str, status: int) -> str:
    """Return what a DIMSE status means (PS3.7 C, and PS3.4 of the service).

    `operation` begins with the service, as in "C-FIND at level STUDY".

    Examples
    --------
    >>> meaning_of("C-MOVE", 0xA801), meaning_of("C-STORE", 0xA700)
    ('Refused: Move destination unknown', 'Refused: Out of resources')
    """
    own = SERVICE_STATUSES.get(operation.partition(" ")[0], {})
    code = f"{status:04X}"
    found = next((own[code[:size]] for size in (4, 3, 2, 1) if code[:size] in own), None)
    return STATUSES.get(status) or found or UNKNOWN


def failed(
    node: str, operation: str, status: int, comment: str, error_id: int | None = None
) -> StatusError:
    """Return the exception of a status that is no success.

    Examples
    --------
    >>> failed("PACS@pacs:104", "C-ECHO", 0x0122, "").meaning
    'SOP Class not supported'
    """
    hints = {
        0xA900: "the peer does not take these keys at this level: see its conformance statement",
        0xFE00: "the peer ended it: not by our wish; see its log",
        0x0122: "the peer accepted the presentation context and refuses its service: see its log",
        0x0124: "the peer does not let this AE title or user do so",
        0xA801: "the peer does not know the move destination: enter its AE title, address there",
        0x0111: "the peer has an object of this UID already",
        0x0112: "the peer has no object of this UID: was it created there, or deleted since?",
        0x0120: "the peer wants an attribute that was not sent: see its log",
        0x0121: "the peer wants a value that was not sent: see its log",
        0x0213: "the peer lacks memory, disk or another resource: try again later",
    }
    meaning = meaning_of(operation, status)
    if meaning.startswith("Refused: Out of resources"):
        hints[status] = hints[0x0213]
    if error_id == NO_LONGER_UPDATED:
        meaning = "Processing failure, performed procedure step object may no longer be updated"
        hints[status] = "the step is COMPLETED or DISCONTINUED there already"
    comment = printable(comment)
    said = f', "{comment}"' if comment else ""
    error = StatusError(
        f"{operation} was answered with status 0x{status:04X}, {meaning}{said}",
        node=node,
        hint=hints.get(status, "see the log of the peer"),
    )
    error.status, error.meaning, error.comment = status, meaning, comment
    error.error_id = error_id
    return error
