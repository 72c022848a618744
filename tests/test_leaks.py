"""No public function leaves anything behind, not even when it fails; see `leaks`.

10,000 calls of each in the long run, fewer in the other.
"""

from __future__ import annotations

import io
import logging
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

import dicomloom
from leaks import check, failing
from network_peers import VERIFICATION
from pdfs import CATALOG, PAGE, information, pages, with_table
from support import long_run

CT = get_testdata_file("CT_small.dcm")
CONTENT = Path(CT).read_bytes()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder for outputs, in memory where there is one."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK):
        import tempfile

        with tempfile.TemporaryDirectory(dir=shared) as folder:
            yield Path(folder)
    else:
        yield tmp_path_factory.mktemp("leaks")


def writes(to):
    with dicomloom.FrameWriter(to, {"PatientID": "42"}, transfer_syntax="RLELossless") as writer:
        writer.write(np.zeros((8, 8), np.uint8))


def abandons(to):
    writer = dicomloom.FrameWriter(to, {"PatientID": "42"})
    writer.write(np.zeros((8, 8), np.uint8))
    writer.__exit__(ValueError, ValueError(), None)


def reads(path):
    with dicomloom.FrameReader(path) as reader:
        return reader[0], reader.shape


def scans(paths):
    with dicomloom.scan(paths, threads=1) as found:
        return [batch.column("PatientID") for batch in found]


PUBLIC = {
    "read_tags": lambda at: dicomloom.read_tags(CT, ["PatientID"]),
    "read_tags of a file": lambda at: dicomloom.read_tags(io.BytesIO(CONTENT), ["PatientID"]),
    "read_tags, cut": failing(lambda: dicomloom.read_tags(CONTENT[:500], ["PatientID"])),
    "scan": lambda at: scans(CT),
    "scan, left early": lambda at: dicomloom.scan(CT, threads=1),
    "index": lambda at: dicomloom.index(CT, at / "table.csv"),
    "FrameReader": lambda at: reads(CT),
    "FrameReader of no DICOM": failing(lambda: dicomloom.FrameReader(__file__)),
    "FrameReader, no such frame": failing(lambda: dicomloom.FrameReader(CT)[5]),
    "FrameWriter": lambda at: writes(at / "written.dcm"),
    "FrameWriter, abandoned": lambda at: abandons(at / "abandoned.dcm"),
    "transcode": lambda at: dicomloom.transcode(CT, at / "t.dcm", "JPEGLSLossless"),
    "transcode, cut": lambda at: failing(
        lambda: dicomloom.transcode(at / "cut.dcm", at / "u.dcm", "RLELossless")
    )(),
    "recover": lambda at: failing(lambda: dicomloom.recover(at / "cut.dcm", at / "v.dcm"))(),
    "dicomize": lambda at: dicomloom.dicomize(
        at / "part.stl", at / "part.dcm", PatientID="42", PatientName="A^B"
    ),
    "extract": lambda at: dicomloom.extract(at / "kept.dcm", at / "out.pdf", overwrite=True),
    "ImagePlane": lambda at: dicomloom.ImagePlane.of(CT).affine,
    "Series": lambda at: dicomloom.Series.of([CT]),
    "DicomDir": lambda at: dicomloom.DicomDir(get_testdata_file("DICOMDIR")),
    "Node": lambda at: dicomloom.Node("AET@127.0.0.1:104"),
    "Node, refused": failing(lambda: dicomloom.Node("no node at all")),
}


@pytest.fixture(scope="module")
def inputs(here):
    (here / "cut.dcm").write_bytes(CONTENT[:2000])
    (here / "page.pdf").write_bytes(with_table([CATALOG, pages(1), information(b"(A)"), PAGE]))
    dicomloom.dicomize(here / "page.pdf", here / "kept.dcm", PatientID="42")
    (here / "part.stl").write_bytes(bytes(80) + struct.pack("<L", 1) + bytes(50))
    return here


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_a_public_function_leaves_nothing(name, inputs):
    call = PUBLIC[name]
    check(
        call if call.__code__.co_argcount == 0 else lambda: call(inputs),
        10_000 if long_run() else 200,
    )


# --- the network: against a server in this process, whose leaks would show as well ----------------


def associates(node):
    with dicomloom.associate(node, [VERIFICATION]) as association:
        return association


SERVED = {
    "validate": lambda node, at: dicomloom.validate(CT),  # dciodvfy is a process
    "echo": lambda node, at: dicomloom.echo(node),
    "echo, nobody there": lambda node, at: failing(
        lambda: dicomloom.echo(dicomloom.Node("AET@127.0.0.1:9", timeout=1)),
        dicomloom.ConnectionFailed,
    )(),
    "find": lambda node, at: list(dicomloom.find(node, PatientID="")),
    "find, left early": lambda node, at: next(dicomloom.find(node, PatientID="")),
    "associate": lambda node, at: associates(node),
    "send": lambda node, at: dicomloom.send(node, [CT]),
    "commit": lambda node, at: dicomloom.commit(node, [CT]),
    "retrieve": lambda node, at: dicomloom.retrieve(node, at, PatientID="1CT1", existing="replace"),
}


@pytest.mark.skipif(not long_run(), reason="what threads hold for a while drowns a few calls")
@pytest.mark.parametrize("name", SERVED)
def test_a_service_leaves_nothing(name, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "dicomloom")  # pytest keeps what is logged
    with dicomloom.serve(tmp_path / "archive", port=0, sync=False) as server:
        node = dicomloom.Node(f"ANY@127.0.0.1:{server.port}", timeout=10)
        dicomloom.send(node, [CT])
        check(lambda: SERVED[name](node, tmp_path / "got"), 2_000)
