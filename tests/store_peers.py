"""Peers that are sent objects: pynetdicom's SCP, and fakes that answer C-STORE as a test says."""

from __future__ import annotations

import contextlib
import struct

import pydicom
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, build_context, evt

from dicomloom.network import command as commands
from network_peers import RELEASE_RP, Conversation, _item, p_data, pdu, request_of
from support import EXPLICIT_LE, IMPLICIT_LE, element, part10

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def data_set(number=1, size=0, *, sop_class=SECONDARY_CAPTURE, syntax=EXPLICIT_LE):
    """The bytes of an object with `size` bytes of pixel data."""
    vr = (lambda name: None) if syntax == IMPLICIT_LE else (lambda name: name)
    return (
        element(0x00080016, vr("UI"), sop_class.encode() + b"\0" * (len(sop_class) % 2))
        + element(0x00080018, vr("UI"), uid_of(number).encode() + b"\0" * (len(uid_of(number)) % 2))
        + (element(0x7FE00010, vr("OB"), bytes(size)) if size else b"")
    )


def uid_of(number):
    return f"1.2.3.{number}"


def objects(folder, count, size=0, **more):
    """Files of objects 1 to `count`; their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:04}.dcm" for number in range(1, count + 1)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(part10(data_set(number, size, **more), more.get("syntax", EXPLICIT_LE)))
    return paths


def bytes_of(path):
    """The data set of a file, as pydicom finds it."""
    with open(path, "rb") as file:
        with contextlib.suppress(pydicom.errors.InvalidDicomError):
            pydicom.filereader.read_preamble(file, force=True)
            pydicom.filereader._read_file_meta_info(file)
        return file.read()


@contextlib.contextmanager
def store(answer=lambda event: 0x0000, *, classes=(), syntaxes=AllTransferSyntaxes, **options):
    """pynetdicom's SCP, of any class by default; gives its port and what it was sent, in order.

    `answer` takes the event, and gives the status.
    """
    seen = []

    def stored(event):
        seen.append((str(event.request.AffectedSOPInstanceUID), event.request.DataSet.getvalue()))
        return answer(event)

    entity = AE("STORE")
    entity.maximum_pdu_size = options.pop("max_pdu", 16382)
    entity.maximum_associations = options.pop("most", 10)
    entity.supported_contexts = [build_context(uid, list(syntaxes)) for uid in sorted(classes)]
    handlers = [(evt.EVT_C_STORE, stored), *options.pop("handlers", [])]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, **options)
    try:
        yield server.socket.getsockname()[1], seen
    finally:
        server.shutdown()


def take_association(talk: Conversation, *, max_length=16384, refused=(), take=None):
    """Accept the contexts of the request, each with the first of its transfer syntaxes."""
    request = talk.read_pdu()
    items = request_of(request)
    contexts = b""
    for body in items[0x20]:
        number, syntax, abstract = body[0], _syntaxes(body)[0], _abstract(body)
        if take is not None:
            syntax = next((uid for uid in _syntaxes(body) if uid in take), None)
        result = 3 if abstract in refused else 0 if syntax else 4
        contexts += _item(
            0x21, bytes([number, 0, result, 0]) + _item(0x40, (syntax or "").encode())
        )
    user = _item(0x51, struct.pack(">L", max_length)) + _item(0x52, b"1.2.3") + _item(0x55, b"F")
    head = struct.pack(">HH", 1, 0) + request[10:42] + bytes(32)
    talk.send(pdu(2, head + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + _item(0x50, user)))
    return items


def _abstract(body):
    length = struct.unpack(">H", body[6:8])[0]
    return body[8 : 8 + length].decode()


def _syntaxes(body):
    found, at = [], 4
    while at < len(body):
        kind, length = body[at], struct.unpack(">H", body[at + 2 : at + 4])[0]
        if kind == 0x40:
            found.append(body[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return found


def contexts_of(items):
    """What an A-ASSOCIATE-RQ proposes: (SOP class, transfer syntaxes) in order."""
    return [(_abstract(body), tuple(_syntaxes(body))) for body in items[0x20]]


class Message:
    """A message as it comes off the wire, put together without our own code."""

    def __init__(self, talk):
        self.context, self.command, self.data = 0, b"", None
        raw = self._part(talk, 1)
        if raw is None:
            return
        self.command = commands.decode(raw)
        if commands.has_data_set(self.command):
            self.data = self._part(talk, 0)

    def _part(self, talk, kind):
        parts = []
        while True:
            one = talk.read_pdu()
            if one[0] == 5:
                talk.send(RELEASE_RP)
                return None
            if one[0] == 7:
                raise EOFError
            assert one[0] == 4, one[:10]
            length, self.context, control = struct.unpack(">LBB", one[6:12])
            assert length + 4 == len(one) - 6
            assert control & 1 == kind
            parts.append(one[12:])
            if control & 2:
                return b"".join(parts)

    @property
    def uid(self):
        return self.command["AffectedSOPInstanceUID"]


def answer_to(message, status=0, **more):
    """The P-DATA-TF of a response to what `Message` is."""
    made = commands.response_to(message.command, status, **more)
    return p_data(commands.encode(made), message.context)


def keep(talk, statuses=None, seen=None, **terms):
    """Answer C-STOREs with `statuses`, then successes, until the release; a `talk` of `fake`."""
    take_association(talk, **terms)
    while (message := Message(talk)).command:
        if seen is not None:
            seen.append(message)
        talk.send(answer_to(message, statuses.pop(0) if statuses else 0))
