"""Peers that answer C-FIND: DCMTK's archive and worklist, Orthanc, pynetdicom's SCP, and fakes."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess

from pydicom import Dataset
from pynetdicom import AE, evt

from network_peers import free_port, p_data, program
from objects import run
from support import element, peer

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
TEST_FILES = "pydicom__pydicom/src/pydicom/data/test_files"


def objects(corpus):
    """Real files: three patients, one of them with series and instances."""
    folder = corpus / TEST_FILES
    many = sorted(path for path in (folder / "dicomdirtests/98892003").rglob("*") if path.is_file())
    return [folder / "CT_small.dcm", folder / "MR_small.dcm", *many]


def fill(port, corpus):
    run("storescu", "-aec", "ARCHIVE", "127.0.0.1", str(port), *objects(corpus))


@contextlib.contextmanager
def archive(folder, corpus, *options, destination=None):
    """dcmqrscp with real files, strict about identifiers; gives its port.

    `destination` is the port on 127.0.0.1 where it finds ME for C-MOVE.
    """
    port = free_port()
    known = f"me = (ME, 127.0.0.1, {destination})\n" if destination else ""
    (folder / "db").mkdir()
    (folder / "qr.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 32768\nMaxAssociations = 8\n"
        f"HostTable BEGIN\n{known}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder / 'db'} RW (99, 1024mb) ANY\nAETable END\n"
    )
    arguments = ("-c", folder / "qr.cfg", "--fork", "--check-find", *options)
    with program("dcmqrscp", *arguments, port=port):
        fill(port, corpus)
        yield port


@contextlib.contextmanager
def orthanc(folder, corpus, **more):
    """Orthanc with real files and nothing else; gives its port."""
    port = free_port()
    settings = {
        "DicomAet": "ARCHIVE",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "HttpPort": free_port(),
        "StorageDirectory": str(folder / "orthanc"),
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowFindWorklist": True,
        "DefaultEncoding": "Utf8",
    }
    (folder / "orthanc.json").write_text(json.dumps(settings | more))
    with program("Orthanc", folder / "orthanc.json", port=port):
        fill(port, corpus)
        yield port


def step(number, **attributes):
    """One item of a worklist, as a modality gets it."""
    made, first = Dataset(), Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientName, made.PatientID = f"M\u00fcller^{number}", f"P{number}"
    made.PatientBirthDate, made.PatientSex = "19700101", "F"
    made.AccessionNumber, made.StudyInstanceUID = f"A{number}", f"1.2.3.{number}"
    made.RequestedProcedureID, made.RequestedProcedureDescription = f"R{number}", "Photo"
    made.RequestedProcedurePriority, made.AdmissionID = "LOW", ""
    made.ReferringPhysicianName = made.RequestingPhysician = "Smith^A"
    first.Modality, first.ScheduledStationAETitle = "OP", "CAMERA1"
    first.ScheduledProcedureStepStartDate = f"202601{number:02}"
    first.ScheduledProcedureStepStartTime = "101500"
    first.ScheduledPerformingPhysicianName = "Jones^B"
    first.ScheduledProcedureStepDescription = "Fundus"
    first.ScheduledProcedureStepID, first.ScheduledStationName = f"S{number}", "ROOM1"
    for keyword, value in attributes.items():
        setattr(first if keyword in first else made, keyword, value)
    made.ScheduledProcedureStepSequence = [first]
    return made


def save_steps(folder, steps):
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for number, item in enumerate(steps):
        item.save_as(folder / f"{number}.wl", implicit_vr=False, little_endian=True)


@contextlib.contextmanager
def worklists(folder, steps):
    """wlmscpfs with these steps; gives its port."""
    save_steps(folder / "wl" / "RIS", steps)
    port = free_port()
    arguments = ("-dfp", folder / "wl", "-csk", port)
    with program("wlmscpfs", *arguments, port=port):
        yield port


@contextlib.contextmanager
def scp(handle, model=STUDY_ROOT, *, extended=None, syntaxes=None):
    """pynetdicom's SCP; `handle` is its handler of C-FIND. Gives its port."""
    entity = AE("PEER")
    entity.add_supported_context(model, *([syntaxes] if syntaxes else []))
    handlers = [(evt.EVT_C_FIND, handle)]
    if extended is not None:
        handlers.append((evt.EVT_SOP_EXTENDED, extended))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def response(status, data=None, *, number=1, context=1, command=0x8020):
    """A C-FIND-RSP (PS3.7 9.3.2.2) and its data set, in P-DATA-TFs."""
    head = b"".join(
        [
            element(0x00000002, None, STUDY_ROOT.encode() + b"\0"),
            element(0x00000100, None, struct.pack("<H", command)),
            element(0x00000120, None, struct.pack("<H", number)),
            element(0x00000800, None, struct.pack("<H", 0x0101 if data is None else 0)),
            element(0x00000900, None, struct.pack("<H", status)),
        ]
    )
    made = p_data(element(0, None, struct.pack("<L", len(head))) + head, context)
    pieces = [data[at : at + 100_000] for at in range(0, len(data or b""), 100_000)]
    for at, piece in enumerate(pieces, 1):
        made += p_data(piece, context, 2 if at == len(pieces) else 0)
    return made if data or data is None else made + p_data(b"", context, 2)


def findscu(folder, port, *arguments, called="ARCHIVE"):
    """What DCMTK's own SCU gets for the same question."""
    from pydicom import dcmread

    folder.mkdir()
    command = [peer("findscu"), "-X", "-aec", called, *arguments, "127.0.0.1", str(port)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=20)
    return [dcmread(path, force=True) for path in sorted(folder.iterdir())]
