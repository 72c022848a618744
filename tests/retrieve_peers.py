"""Peers that are retrieved from: archives with real files, pynetdicom's SCP, fakes by script."""

from __future__ import annotations

import contextlib
import struct
import threading
from io import BytesIO

import pydicom
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE as C_STORE_PRIMITIVE

import dicomloom
from find_peers import archive, objects, orthanc
from network_peers import RELEASE_RP, accept, descriptors, fake, heard, p_data, request_of
from support import EXPLICIT_LE, element

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
CT = "1.2.840.10008.5.1.4.1.1.2"
C_STORE, C_GET, C_MOVE, C_CANCEL = 0x0001, 0x0010, 0x0021, 0x0FFF
STUDY = "1.2.3"
KEYS = {"StudyInstanceUID": STUDY}
ONE = KEYS | {"SeriesInstanceUID": "1.2.4", "SOPInstanceUID": "1.2.5"}


def ours(folder, corpus, destination):
    """`dicomloom.serve` with the same files as the others."""

    @contextlib.contextmanager
    def served():
        node = f"ME@127.0.0.1:{destination}"
        with dicomloom.serve(folder / "ours", ae_title="ARCHIVE", port=0, nodes=[node]) as server:
            dicomloom.send(f"ARCHIVE@127.0.0.1:{server.port}", objects(corpus))
            yield server.port

    return served()


def dcmtk(folder, corpus, destination):
    return archive(folder, corpus, destination=destination)


def orthancs(folder, corpus, destination):
    known = {"me": ["ME", "127.0.0.1", destination]}
    more = {"DicomModalities": known, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}
    return orthanc(folder, corpus, **more)


def pynetdicoms(folder, corpus, destination):
    data_sets = [pydicom.dcmread(path) for path in objects(corpus)]
    return pynetdicom_scp(data_sets, destination)


def _matches(data_set, identifier):
    for one in identifier:
        if one.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet") or one.is_empty:
            continue
        wanted = [str(each) for each in (one.value if one.VM > 1 else [one.value])]
        if wanted != ["*"] and str(data_set.get(one.keyword, "")) not in wanted:
            return False
    return True


class _Mover(AE):
    """An archive whose C-STOREs get their answers."""

    def associate(self, *args, **kwargs):
        return heard(super().associate(*args, **kwargs))


@contextlib.contextmanager
def pynetdicom_scp(data_sets, destination=None, *, get=True, levels=("STUDY", "SERIES", "IMAGE")):
    """pynetdicom's SCP over some data sets, which answers at some levels; gives its port."""
    uniques = {
        "STUDY": "StudyInstanceUID",
        "SERIES": "SeriesInstanceUID",
        "IMAGE": "SOPInstanceUID",
    }

    def found(event):
        identifier = event.identifier
        unique = uniques[identifier.QueryRetrieveLevel]
        seen = set()
        for one in data_sets if identifier.QueryRetrieveLevel in levels else ():
            if _matches(one, identifier) and one[unique].value not in seen:
                seen.add(one[unique].value)
                answer = Dataset()
                for keyword in (*uniques.values(), "SOPClassUID"):
                    if keyword in identifier:
                        setattr(answer, keyword, one[keyword].value)
                yield 0xFF00, answer

    def got(event):
        some = [one for one in data_sets if _matches(one, event.identifier)]
        yield len(some)
        for one in some:
            yield 0xFF00, one

    def moved(event):
        yield "127.0.0.1", destination
        yield from got(event)

    entity = _Mover("ARCHIVE")
    for model in (FIND, MOVE, *([GET] if get else [])):
        entity.add_supported_context(model)
    for sop_class in sorted({str(one.SOPClassUID) for one in data_sets}):
        entity.add_supported_context(sop_class, scu_role=True, scp_role=True)
        entity.add_requested_context(sop_class)
    handlers = [(evt.EVT_C_FIND, found), (evt.EVT_C_GET, got), (evt.EVT_C_MOVE, moved)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def message(context, field, data=None, **elements):
    """A DIMSE message in P-DATA-TFs, by hand; values by number of the command element."""
    head = {
        0x0100: struct.pack("<H", field),
        0x0800: struct.pack("<H", 0x0101 if data is None else 0),
    }
    for name, value in elements.items():
        number = int(name[1:], 16)
        head[number] = struct.pack("<H", value) if isinstance(value, int) else value
    body = b"".join(element(number, None, value) for number, value in sorted(head.items()))
    made = p_data(element(0, None, struct.pack("<L", len(body))) + body, context)
    pieces = [data[at : at + 100_000] for at in range(0, len(data or b""), 100_000)]
    for at, piece in enumerate(pieces, 1):
        made += p_data(piece, context, 2 if at == len(pieces) else 0)
    return made


def _uid(text):
    data = text if isinstance(text, bytes) else text.encode()
    return data + b"\0" * (len(data) % 2)


def store(uid, data, number=1, sop_class=CT, context=3):
    """A C-STORE-RQ (PS3.7 9.3.1.1) and its data set."""
    return message(
        context, C_STORE, data, x0002=_uid(sop_class), x0110=number, x0700=0, x1000=_uid(uid)
    )


def last(status, completed=0, failed=0, uids=(), field=C_GET, number=1, warning=0):
    """The last response to a C-GET or C-MOVE, with the list of what failed."""
    data = element(0x00080058, "UI", _uid("\\".join(uids))) if uids else None
    counts = {"x1021": completed, "x1022": failed, "x1023": warning}
    return message(1, field | 0x8000, data, x0120=number, x0900=status, **counts)


def object_of(uid, pixels=b"\0\1" * 50, study=STUDY, series="1.2.4", **more):
    """A data set in Explicit VR Little Endian; None: without the UID."""
    made = element(0x00080016, "UI", _uid(CT))
    made += b"" if uid is None else element(0x00080018, "UI", _uid(uid))
    made += element(0x00100020, "LO", _pad(more.get("patient", "P1")))
    made += element(0x0020000D, "UI", _uid(study)) + element(0x0020000E, "UI", _uid(series))
    return made + element(0x7FE00010, "OW", pixels)


def data_sets(*uids):
    """The same as pydicom has them."""
    made = []
    for uid in uids:
        data = BytesIO(object_of(uid))
        made.append(pydicom.filereader.read_dataset(data, False, True))
        made[-1].file_meta = pydicom.dataset.FileMetaDataset()
        made[-1].file_meta.TransferSyntaxUID = EXPLICIT_LE
        made[-1].set_original_encoding(False, True)
    return made


def _pad(text):
    data = text.encode()
    return data + b" " * (len(data) % 2)


def read_message(conversation):
    """The command set and data set of a message, each put together."""
    parts = {1: b"", 0: b""}
    done = set()
    while True:
        pdu = conversation.read_pdu()
        if pdu[0] != 4:
            raise EOFError
        at = 6
        while at < len(pdu):
            size, control = struct.unpack(">L", pdu[at : at + 4])[0], pdu[at + 5]
            parts[control & 1] += pdu[at + 6 : at + 4 + size]
            if control & 2:
                done.add(control & 1)
            at += 4 + size
        if 1 in done and (0 in done or word(parts[1], 0x0800) == 0x0101):
            return parts[1], parts[0]


def word(command, number):
    """The number of a command element, None where it is absent."""
    at = 0
    while at + 8 <= len(command):
        _, found, length = struct.unpack_from("<HHL", command, at)
        if found == number:
            return struct.unpack_from("<H", command, at + 8)[0]
        at += 8 + length
    return None


def retrieved_from(script, seen=None):
    """A fake that does no C-FIND, and does `script(Conversation)` after a C-GET or C-MOVE.

    What the script returns is appended to `seen`; after it, a release is answered.
    """

    def talk(conversation):
        items = request_of(conversation.read_pdu())
        model = items[0x30][0].rstrip(b"\0").decode()
        if model == FIND:
            conversation.send(accept(results=((1, 3),)))
            conversation.until_closed()
            return
        results = ((1, 0), (3, 0)) if len(items[0x20]) > 1 else ((1, 0),)
        conversation.send(accept(results=results))
        read_message(conversation)
        made = script(conversation)
        if seen is not None:
            seen.append(made)
        while conversation.read_pdu()[0] != 5:
            pass
        conversation.send(RELEASE_RP)
        conversation.until_closed()

    return fake(talk)


def node_of(port, timeout=3):
    """A peer on this port, to whom we are ME."""
    return dicomloom.Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=timeout)


def names(folder):
    """Names of all files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def leaving_nothing():
    """No thread and no descriptor is left at the end of the block."""
    threads, open_before = set(threading.enumerate()), descriptors()
    yield
    assert not [one for one in set(threading.enumerate()) - threads if "dicomloom" in one.name]
    assert len(descriptors()) <= len(open_before)


def give(conversation, *objects_):
    """Send objects by C-STORE; returns the statuses that they are answered with."""
    statuses = []
    for number, (uid, data) in enumerate(objects_, 1):
        conversation.send(store(uid, data, number))
        command, _ = read_message(conversation)
        statuses.append(word(command, 0x0900))
    return statuses


class Once:
    """An entity that stores to us, as the peer of a C-MOVE does."""

    def __init__(self, port):
        entity = AE("ARCHIVE")
        entity.add_requested_context(CT, EXPLICIT_LE)
        self.association = heard(entity.associate("127.0.0.1", port, ae_title="ME"))

    def store(self, uid, pixels=b"\0\1" * 50, *, named=None):
        """Store an object; `named` is what the command set calls it. Returns the status."""
        request = C_STORE_PRIMITIVE()
        request.MessageID, request.AffectedSOPClassUID = 1, CT
        request._affected_sop_instance_uid = UID(named or uid)
        request.Priority, request.DataSet = 0, BytesIO(object_of(uid, pixels))
        self.association._reactor_checkpoint.clear()
        self.association.dimse.send_msg(request, 1)
        _, answer = self.association.dimse.get_msg(block=True)
        self.association._reactor_checkpoint.set()
        return answer.Status
