"""DICOM at scale from Python.

`scan` and `index` read wanted values of millions of files, `read_tags` those of one, `dump` all of
one; `FrameWriter`, `FrameReader` and `transcode` handle multi-frame objects of any size;
`dicomize` makes DICOM of pictures, videos and documents, `extract` is the way back; `ImagePlane`
and `Series` tell where pixels lie; `DicomDir` makes and reads media; `echo`, `find`, `retrieve`,
`send`, `worklist`, `PerformedProcedureStep`, `commit` and `associate` talk to other nodes, `serve`
is one, `explain` tells why that fails. Importing the package loads nothing else: names are looked
up when they are first used (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from dicomloom.codecs.isolation import Isolation
    from dicomloom.dicomize.extract import extract
    from dicomloom.dicomize.run import dicomize
    from dicomloom.dicomize.validate import Finding, validate
    from dicomloom.dump.run import dump
    from dicomloom.errors import (
        AssociationAborted,
        AssociationRejected,
        ConnectionFailed,
        ConversionWarning,
        CorruptError,
        DicomloomError,
        DicomloomWarning,
        FrameError,
        LimitError,
        MissingDependencyError,
        NetworkError,
        NoAcceptedContext,
        NodeError,
        NotDicomError,
        OffsetTableWarning,
        PixelError,
        ProtocolError,
        ReadError,
        StateError,
        StatusError,
        TagError,
        TimeoutExpired,
        TLSError,
        TruncatedError,
        UnsupportedError,
        WriteError,
    )
    from dicomloom.frames.reader import FrameReader
    from dicomloom.frames.recover import recover
    from dicomloom.frames.transcode import Report, transcode
    from dicomloom.frames.writer import FrameWriter
    from dicomloom.geometry.plane import ImagePlane
    from dicomloom.geometry.series import Series
    from dicomloom.index.read import read_tags
    from dicomloom.index.run import Summary, index
    from dicomloom.index.scan import Batch, Progress, Scan, scan
    from dicomloom.media.tree import DicomDir
    from dicomloom.network.association import OpenAssociation, associate
    from dicomloom.network.commit import CommitOptions, CommitReport, commit, commit_wait
    from dicomloom.network.echo import EchoResult, echo
    from dicomloom.network.explain.run import explain
    from dicomloom.network.find import find
    from dicomloom.network.mpps import PerformedProcedureStep
    from dicomloom.network.node import Node
    from dicomloom.network.retrieve import retrieve, retrieve_each
    from dicomloom.network.retrieving.tally import Arrived, RetrieveReport
    from dicomloom.network.send import SendOptions, SendReport, Sent, send, send_each
    from dicomloom.network.serve.server import Server, serve
    from dicomloom.network.worklist import worklist
else:
    # The functions `index`, `dicomize` and `dump` have the names of their rooms. Python binds a
    # submodule's name in its package once, at its first import: let that be now, and leave it to
    # the function.
    import dicomloom.dicomize
    import dicomloom.dump
    import dicomloom.index

    del dicomize, dump, index, dicomloom

_HOMES = {
    "Batch": "dicomloom.index.scan",
    "Progress": "dicomloom.index.scan",
    "Scan": "dicomloom.index.scan",
    "scan": "dicomloom.index.scan",
    "Summary": "dicomloom.index.run",
    "index": "dicomloom.index.run",
    "read_tags": "dicomloom.index.read",
    "dump": "dicomloom.dump.run",
    "DicomDir": "dicomloom.media.tree",
    "FrameReader": "dicomloom.frames.reader",
    "Isolation": "dicomloom.codecs.isolation",
    "FrameWriter": "dicomloom.frames.writer",
    "Report": "dicomloom.frames.transcode",
    "recover": "dicomloom.frames.recover",
    "ImagePlane": "dicomloom.geometry.plane",
    "Series": "dicomloom.geometry.series",
    "transcode": "dicomloom.frames.transcode",
    "dicomize": "dicomloom.dicomize.run",
    "extract": "dicomloom.dicomize.extract",
    "Finding": "dicomloom.dicomize.validate",
    "validate": "dicomloom.dicomize.validate",
    "Node": "dicomloom.network.node",
    "CommitOptions": "dicomloom.network.commit",
    "CommitReport": "dicomloom.network.commit",
    "commit": "dicomloom.network.commit",
    "commit_wait": "dicomloom.network.commit",
    "EchoResult": "dicomloom.network.echo",
    "echo": "dicomloom.network.echo",
    "explain": "dicomloom.network.explain.run",
    "SendOptions": "dicomloom.network.send",
    "SendReport": "dicomloom.network.send",
    "Sent": "dicomloom.network.send",
    "send": "dicomloom.network.send",
    "send_each": "dicomloom.network.send",
    "find": "dicomloom.network.find",
    "PerformedProcedureStep": "dicomloom.network.mpps",
    "worklist": "dicomloom.network.worklist",
    "Arrived": "dicomloom.network.retrieving.tally",
    "RetrieveReport": "dicomloom.network.retrieving.tally",
    "retrieve": "dicomloom.network.retrieve",
    "retrieve_each": "dicomloom.network.retrieve",
    "Server": "dicomloom.network.serve.server",
    "serve": "dicomloom.network.serve.server",
    "OpenAssociation": "dicomloom.network.association",
    "associate": "dicomloom.network.association",
    "ConversionWarning": "dicomloom.errors",
    "AssociationAborted": "dicomloom.errors",
    "AssociationRejected": "dicomloom.errors",
    "ConnectionFailed": "dicomloom.errors",
    "NetworkError": "dicomloom.errors",
    "NoAcceptedContext": "dicomloom.errors",
    "NodeError": "dicomloom.errors",
    "ProtocolError": "dicomloom.errors",
    "StateError": "dicomloom.errors",
    "StatusError": "dicomloom.errors",
    "TimeoutExpired": "dicomloom.errors",
    "TLSError": "dicomloom.errors",
    "CorruptError": "dicomloom.errors",
    "DicomloomError": "dicomloom.errors",
    "DicomloomWarning": "dicomloom.errors",
    "FrameError": "dicomloom.errors",
    "LimitError": "dicomloom.errors",
    "MissingDependencyError": "dicomloom.errors",
    "NotDicomError": "dicomloom.errors",
    "OffsetTableWarning": "dicomloom.errors",
    "PixelError": "dicomloom.errors",
    "ReadError": "dicomloom.errors",
    "TagError": "dicomloom.errors",
    "TruncatedError": "dicomloom.errors",
    "UnsupportedError": "dicomloom.errors",
    "WriteError": "dicomloom.errors",
}

__all__ = [
    "Arrived",
    "AssociationAborted",
    "AssociationRejected",
    "Batch",
    "CommitOptions",
    "CommitReport",
    "ConnectionFailed",
    "ConversionWarning",
    "CorruptError",
    "DicomDir",
    "DicomloomError",
    "DicomloomWarning",
    "EchoResult",
    "Finding",
    "FrameError",
    "FrameReader",
    "FrameWriter",
    "ImagePlane",
    "Isolation",
    "LimitError",
    "MissingDependencyError",
    "NetworkError",
    "NoAcceptedContext",
    "Node",
    "NodeError",
    "NotDicomError",
    "OffsetTableWarning",
    "OpenAssociation",
    "PerformedProcedureStep",
    "PixelError",
    "Progress",
    "ProtocolError",
    "ReadError",
    "Report",
    "RetrieveReport",
    "Scan",
    "SendOptions",
    "SendReport",
    "Sent",
    "Series",
    "Server",
    "StateError",
    "StatusError",
    "Summary",
    "TLSError",
    "TagError",
    "TimeoutExpired",
    "TruncatedError",
    "UnsupportedError",
    "WriteError",
    "associate",
    "commit",
    "commit_wait",
    "dicomize",
    "dump",
    "echo",
    "explain",
    "extract",
    "find",
    "index",
    "read_tags",
    "recover",
    "retrieve",
    "retrieve_each",
    "scan",
    "send",
    "send_each",
    "serve",
    "transcode",
    "validate",
    "worklist",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("dicomloom")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dicomloom' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
