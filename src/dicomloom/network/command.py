"""Command sets (PS3.7 6.3 and E): what a DIMSE message asks or answers, as a dict by keyword."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from dicomloom.errors import ProtocolError

Value = int | str | list[int]
Command = dict[str, Value]

# PS3.7 E.1, command fields; a response has the bit RESPONSE.
C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO, C_CANCEL = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
N_EVENT_REPORT, N_GET, N_SET, N_ACTION, N_CREATE, N_DELETE = range(0x0100, 0x0160, 0x10)
RESPONSE = 0x8000
NAMES = {
    C_STORE: "C-STORE",
    C_GET: "C-GET",
    C_FIND: "C-FIND",
    C_MOVE: "C-MOVE",
    C_ECHO: "C-ECHO",
    C_CANCEL: "C-CANCEL",
    N_EVENT_REPORT: "N-EVENT-REPORT",
    N_GET: "N-GET",
    N_SET: "N-SET",
    N_ACTION: "N-ACTION",
    N_CREATE: "N-CREATE",
    N_DELETE: "N-DELETE",
}
# PS3.7 E.1: CommandDataSetType where there is no data set; any other value says that there is one.
NO_DATA_SET, DATA_SET = 0x0101, 0x0001
MEDIUM = 0  # Priority

# PS3.7 E.1: element number, VR. All are of group 0000 and have one value, but for AT.
_ELEMENTS = {
    "AffectedSOPClassUID": (0x0002, "UI"),
    "RequestedSOPClassUID": (0x0003, "UI"),
    "CommandField": (0x0100, "US"),
    "MessageID": (0x0110, "US"),
    "MessageIDBeingRespondedTo": (0x0120, "US"),
    "MoveDestination": (0x0600, "AE"),
    "Priority": (0x0700, "US"),
    "CommandDataSetType": (0x0800, "US"),
    "Status": (0x0900, "US"),
    "OffendingElement": (0x0901, "AT"),
    "ErrorComment": (0x0902, "LO"),
    "ErrorID": (0x0903, "US"),
    "AffectedSOPInstanceUID": (0x1000, "UI"),
    "RequestedSOPInstanceUID": (0x1001, "UI"),
    "EventTypeID": (0x1002, "US"),
    "AttributeIdentifierList": (0x1005, "AT"),
    "ActionTypeID": (0x1008, "US"),
    "NumberOfRemainingSuboperations": (0x1020, "US"),
    "NumberOfCompletedSuboperations": (0x1021, "US"),
    "NumberOfFailedSuboperations": (0x1022, "US"),
    "NumberOfWarningSuboperations": (0x1023, "US"),
    "MoveOriginatorApplicationEntityTitle": (0x1030, "AE"),
    "MoveOriginatorMessageID": (0x1031, "US"),
}
KEYWORDS = tuple(_ELEMENTS)
_BY_NUMBER = {number: (keyword, vr) for keyword, (number, vr) in _ELEMENTS.items()}
# Bytes of a text: an AE title has 16, a UID and a comment 64 (PS3.5 6.2); some write more.
_LONGEST_TEXT = 1024


def encode(command: Mapping[str, Value]) -> bytes:
    """Return a command set in Implicit VR Little Endian, with its group length (PS3.7 6.3.1).

    Parameters
    ----------
    command : mapping of str to int, str, or list of int
        By keyword; ``CommandDataSetType`` included.

    Examples
    --------
    >>> len(encode({"CommandField": C_ECHO, "MessageID": 1, "CommandDataSetType": NO_DATA_SET}))
    42
    """
    body = b""
    for keyword in sorted(command, key=_ELEMENTS.__getitem__):
        number, vr = _ELEMENTS[keyword]
        value = command[keyword]
        if isinstance(value, int):
            data = struct.pack("<H", value)
        elif isinstance(value, str):
            data = value.encode("utf-8")
            data += (b"\0" if vr == "UI" else b" ") * (len(data) % 2)
        else:
            data = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)
        body += struct.pack("<HHL", 0, number, len(data)) + data
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def decode(data: bytes, node: str = "") -> Command:
    """Return what a command set says; elements that PS3.7 E.1 does not have are left out.

    Parameters
    ----------
    data : bytes
        Implicit VR Little Endian.
    node : str
        The peer, for the error.

    Raises
    ------
    ProtocolError
        The bytes are no command set: an element is cut off, repeated, out of order, or has a value
        that is none of its VR; or the field and type that each command set has are missing.

    Examples
    --------
    >>> decode(encode({"CommandField": 0x8030, "CommandDataSetType": 0x0101, "Status": 0}))
    {'CommandField': 32816, 'CommandDataSetType': 257, 'Status': 0}
    """
    command: Command = {}
    at, last = 0, -1
    while at < len(data):
        if len(data) - at < 8:
            raise _broken(f"element header at byte {at} is cut off", node)
        group, number, length = struct.unpack_from("<HHL", data, at)
        at += 8
        if group != 0 or number <= last:
            raise _broken(f"({group:04X},{number:04X}) behind (0000,{max(last, 0):04X})", node)
        if length > len(data) - at:
            raise _broken(
                f"(0000,{number:04X}) has {length} bytes, {len(data) - at} are left", node
            )
        last = number
        if number in _BY_NUMBER:
            keyword, vr = _BY_NUMBER[number]
            command[keyword] = _value(data[at : at + length], keyword, vr, node)
        at += length
    for keyword in ("CommandField", "CommandDataSetType"):
        if keyword not in command:
            raise _broken(f"{keyword} is missing", node)
    return command


def _value(raw: bytes, keyword: str, vr: str, node: str) -> Value:
    if vr == "US" and len(raw) == 2:
        return int.from_bytes(raw, "little")
    if vr == "AT" and len(raw) % 4 == 0:
        words = struct.unpack(f"<{len(raw) // 2}H", raw)
        return [a << 16 | b for a, b in zip(words[::2], words[1::2], strict=True)]
    if vr in ("UI", "AE", "LO") and len(raw) <= _LONGEST_TEXT:
        return raw.decode("utf-8", "backslashreplace").rstrip("\0 ").lstrip(" ")
    raise _broken(f"{keyword} has {len(raw)} bytes, which VR {vr} does not have", node)


def _broken(what: str, node: str) -> ProtocolError:
    return ProtocolError(
        f"expected a command set as of PS3.7 6.3, found: {what}",
        node=node,
        hint="the peer is broken: see its log",
    )


def integer(command: Command, keyword: str, default: int = 0) -> int:
    """Return the number that stands under a keyword."""
    value = command.get(keyword, default)
    return value if isinstance(value, int) else default


def text(command: Command, keyword: str) -> str:
    """Return the text that stands under a keyword; "" where there is none."""
    value = command.get(keyword, "")
    return value if isinstance(value, str) else ""


def has_data_set(command: Command) -> bool:
    """Whether a data set follows."""
    return integer(command, "CommandDataSetType", NO_DATA_SET) != NO_DATA_SET


def is_response(command: Command) -> bool:
    """Whether this answers a request."""
    return bool(integer(command, "CommandField") & RESPONSE)


def name_of(command: Command) -> str:
    """Return the service, such as ``C-STORE``, of a request or response."""
    field = integer(command, "CommandField")
    if field == C_CANCEL:
        return "C-CANCEL"
    return NAMES.get(field & ~RESPONSE, f"the unknown command {field:04X}H")


def response_to(request: Command, status: int, **more: Value) -> Command:
    """Return the response to a request, without a data set unless `more` says otherwise.

    Examples
    --------
    >>> response_to({"CommandField": C_ECHO, "MessageID": 7}, 0)["MessageIDBeingRespondedTo"]
    7
    """
    made: Command = {
        "CommandField": integer(request, "CommandField") | RESPONSE,
        "MessageIDBeingRespondedTo": integer(request, "MessageID"),
        "CommandDataSetType": NO_DATA_SET,
        "Status": status,
    }
    # PS3.7 9.3 and 10.3: requests on an instance that exists call it Requested, answers Affected.
    for name in ("SOPClassUID", "SOPInstanceUID"):
        value = request.get(f"Affected{name}", request.get(f"Requested{name}"))
        if value is not None:
            made[f"Affected{name}"] = value
    return made | more
