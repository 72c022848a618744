"""What peers say and logs tell: command sets, data sets, nodes, lines of DCMTK and others.

The first byte chooses. What is encoded again decodes to the same; a data set that is taken can be
written or is refused with a ValueError; a log gives whatever associations it tells of.
"""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator

from harness import Folder

from dicomloom import Node, NodeError, ProtocolError, TruncatedError, explain
from dicomloom.network import command
from dicomloom.network.config import find
from dicomloom.network.datasets import read_data_set, write_data_set
from dicomloom.network.grammar import check_data_set
from dicomloom.network.node import read_listen
from explain_logs import DCM4CHE, FO_DICOM
from support import UNDEFINED, element, item, sequence

INSTRUMENTED = "dicomloom.network"
_FOLDER = Folder()


def _command(content: bytes) -> None:
    try:
        read = command.decode(content)
    except ProtocolError:
        return
    _ = command.name_of(read), command.is_response(read), command.has_data_set(read)
    command.response_to(read, 0)
    again = command.decode(command.encode(read))
    assert again == read
    assert command.encode(again) == command.encode(read)


def _data_set(content: bytes, implicit: bool) -> None:
    taken = False
    with contextlib.suppress(ValueError):
        check_data_set(content, implicit)
        taken = True
    try:
        made, unfit = read_data_set(content, implicit)
    except ValueError:
        return
    assert taken
    assert all(isinstance(name, str) for name in unfit)
    try:
        written = write_data_set(made, implicit)
    except ValueError:
        return
    if written:
        check_data_set(written, implicit)


def _node(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    with contextlib.suppress(NodeError):
        made = Node(text)
        assert Node(str(made)) == made
        assert 0 < made.port < 65536
    with contextlib.suppress(NodeError):
        assert 0 <= read_listen(text)[1] < 65536


def _config(content: bytes) -> None:
    path = _FOLDER.put("config.toml", content)
    with contextlib.suppress(NodeError):
        find("pacs", str(path))


def _log(content: bytes) -> None:
    log = explain(_FOLDER.put("some.log", content), most_open=8)
    with contextlib.suppress(TruncatedError):
        for association in log:
            assert isinstance(association.trouble, str)
            assert isinstance(association.hint, str)
            assert association.as_dict()
    assert log.not_understood <= log.lines


def check(data: bytes) -> None:
    """Read one thing that another program wrote."""
    if not data:
        return
    mode, content = data[0] % 8, data[1:]
    if mode == 0:
        _command(content)
    elif mode < 3:
        _data_set(content, implicit=mode == 1)
    elif mode == 3:
        _node(content)
    elif mode == 4:
        _config(content)
    else:
        _log(content)


_DCMTK = b"""\
D: $dcmtk: storescu v3.6.7 $
D: ====================== BEGIN A-ASSOCIATE-RQ =====================
D: Our Implementation Class UID:      1.2.276.0.7230010.3.0.3.6.7
D: Calling Application Name:    STORESCU
D: Called Application Name:     ARCHIVE
D: Presentation Contexts:
D:   Context ID:        1 (Proposed)
D:     Abstract Syntax: =CTImageStorage
D:     Proposed Transfer Syntax(es):
D:       =LittleEndianExplicit
D: ======================= END A-ASSOCIATE-RQ ======================
I: Requesting Association
F: Association Rejected:
F: Result: Rejected Permanent, Source: Service User
F: Reason: Called AE Title Not Recognized
E: Association Request Failed: 0006:0317 Peer aborted Association (or never connected)
I: Received Store Response (Error: DataSetDoesNotMatchSOPClass)
I: Releasing Association
"""
_TOML = b"""\
calling_ae_title = "ME"
[nodes.pacs]
address = "PACS@127.0.0.1:11112"
max_pdu = 32768
"""


def seeds() -> Iterator[bytes]:
    """Something of each kind."""
    yield b"\0" + command.encode({"CommandField": 0x30, "MessageID": 1, "CommandDataSetType": 257})
    yield b"\0" + command.encode(
        {
            "CommandField": 0x8020,
            "CommandDataSetType": 257,
            "Status": 0xA900,
            "OffendingElement": [0x00100010, 0x00100020],
            "ErrorComment": "no such level",
            "AffectedSOPClassUID": "1.2.840.10008.5.1.4.1.2.2.1",
        }
    )
    for mode, vr in ((1, False), (2, True)):
        each = element(0x00080100, "SH" if vr else None, b"T-1 ")
        for undefined in (False, True):
            items = [item(each, length=UNDEFINED if undefined else None)]
            yield bytes([mode]) + b"".join(
                [
                    element(0x00080005, "CS" if vr else None, b"ISO_IR 192"),
                    element(0x00080060, "CS" if vr else None, b"CT"),
                    sequence(0x00081032, items, "SQ" if vr else None, undefined=undefined),
                    element(0x00100010, "PN" if vr else None, b"Doe^Jane"),
                    element(0x00101030, "DS" if vr else None, b"70.5"),
                    element(0x00200013, "IS" if vr else None, b"12"),
                    element(0x00280010, "US" if vr else None, b"\1\0"),
                ]
            )
    for text in (b"PACS@pacs.example.org:104", b"A B@[::1]:11112", b"10.1.0.7:11112", b"104"):
        yield b"\3" + text
    yield b"\4" + _TOML
    for log in (_DCMTK, DCM4CHE.encode(), FO_DICOM.encode()):
        yield b"\5" + log
    yield b"\5" + gzip.compress(_DCMTK)
    yield b"\5" + _DCMTK.decode().encode("utf-16")


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take the beginnings of data sets in explicit VR little endian."""
    if content[128:132] == b"DICM" and len(content) <= 65536:
        length = int.from_bytes(content[140:144], "little")
        yield b"\2" + content[144 + length : 144 + length + 8192]
