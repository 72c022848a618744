"""Logs for the tests of `explain`: of DCMTK's programs, and short ones written by hand."""

from __future__ import annotations

import subprocess
import time

from pydicom.dataset import Dataset, FileMetaDataset

from dicomloom import explain
from network_peers import free_port
from support import EXPLICIT_LE, peer

MR = "1.2.840.10008.5.1.4.1.1.4"
CT = "1.2.840.10008.5.1.4.1.1.2"


def associations(folder, text, name="some.log", **options):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(explain(path, **options))


def said(name, *arguments):
    """What a program writes, whether it does well or not."""
    command = [peer(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).stderr


def write_image(folder):
    """Write a file that storescu sends; returns its path."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = MR, "1.2.3.4"
    data_set.PatientID = "1"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = EXPLICIT_LE
    data_set.file_meta.MediaStorageSOPClassUID = MR
    data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    path = folder / "mr.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


class Server:
    """storescp with a log; `log` is what it wrote after the block."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.log = b""

    def __enter__(self):
        self.port = free_port()
        self.path = self.folder / "scp.log"
        command = [peer("storescp"), "-d", *self.options, "-od", self.folder, self.port]
        with self.path.open("wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), stderr=log, stdout=log)
        for _ in range(200):
            if said("echoscu", "127.0.0.1", self.port) == b"":
                break
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        time.sleep(0.1)
        self.process.terminate()
        self.process.wait(5)
        self.log = self.path.read_bytes()


DCM4CHE = """\
14:02:11,101 INFO  - Initiate connection from 0.0.0.0/0.0.0.0:0 to archive:11112
14:02:11,120 INFO  - STORESCU->ARCHIVE(1) << A-ASSOCIATE-RQ
14:02:11,121 DEBUG - A-ASSOCIATE-RQ[
  calledAET: ARCHIVE
  callingAET: STORESCU
  PresentationContext[id: 1
    as: 1.2.840.10008.5.1.4.1.1.2 - CT Image Storage
    ts: 1.2.840.10008.1.2.1 - Explicit VR Little Endian
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
  PresentationContext[id: 3
    as: 1.2.840.10008.5.1.4.1.1.4 - MR Image Storage
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
]
14:02:11,130 INFO  - STORESCU->ARCHIVE(1) >> A-ASSOCIATE-AC
14:02:11,131 DEBUG - A-ASSOCIATE-AC[
  PresentationContext[id: 1
    result: 0 - acceptance
    ts: 1.2.840.10008.1.2.1 - Explicit VR Little Endian
  ]
  PresentationContext[id: 3
    result: 3 - abstract-syntax-not-supported (provider rejection)
    ts: 1.2.840.10008.1.2 - Implicit VR Little Endian
  ]
]
14:02:11,140 INFO  - STORESCU->ARCHIVE(1) << 1:C-STORE-RQ[pcid=1, prior=0
14:02:11,150 INFO  - STORESCU->ARCHIVE(1) >> 1:C-STORE-RSP[pcid=1, status=a700H
14:02:11,160 INFO  - STORESCU->ARCHIVE(1) << A-RELEASE-RQ
14:02:11,161 INFO  - STORESCU->ARCHIVE(1) >> A-RELEASE-RP
14:02:11,162 INFO  - STORESCU->ARCHIVE(1): close Socket[addr=archive/10.0.0.5,port=11112]
"""

FO_DICOM = """\
[INFO] ARCHIVE -> Association request:
Calling AE Title:       STATION
Called AE Title:        ARCHIVE
Remote host:            10.0.0.5
Presentation Contexts:  2
  Presentation Context:  1 [Proposed]
       Abstract Syntax:  Verification SOP Class
       Transfer Syntax:  Implicit VR Little Endian
  Presentation Context:  3 [Proposed]
       Abstract Syntax:  CT Image Storage
       Transfer Syntax:  Explicit VR Little Endian
[INFO] ARCHIVE <- Association accept:
Calling AE Title:       STATION
  Presentation Context:  1 [Accept]
       Abstract Syntax:  Verification SOP Class
       Transfer Syntax:  Implicit VR Little Endian
  Presentation Context:  3 [RejectTransferSyntaxesNotSupported]
       Abstract Syntax:  CT Image Storage
[INFO] ARCHIVE -> C-Echo request [1]
[INFO] ARCHIVE <- C-Echo response [1]: Success
[INFO] ARCHIVE -> C-Store request [2]
[INFO] ARCHIVE <- C-Store response [2]: Failure [0122: SOP class not supported]
[INFO] ARCHIVE -> Association release request
[INFO] ARCHIVE <- Association release response
2024-05-01 10:00:00.1234|INFO|Net|CT1 <- Association request:
Calling AE Title:       CT1
Called AE Title:        WRONG
2024-05-01 10:00:00.1235|INFO|Net|CT1 -> Association reject [result: Permanent; \
source: ServiceUser; reason: CalledAENotRecognized]
"""


def test_a_dump_of_dcm4che_that_is_cut(tmp_path):
    lines = DCM4CHE.splitlines(keepends=True)
    (one,) = associations(tmp_path, "".join(lines[:8] + lines[13:]))
    assert (one.outcome, one.statuses) == ("released", {("C-STORE-RSP", 0xA700): 1})
