"""DICOM at scale from Python.

`scan` and `index` read wanted values of millions of files, `read_tags` those of one. Importing the
package loads nothing else: names are looked up when they are first used (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from dicomloom.errors import (
        CorruptError,
        DicomloomError,
        DicomloomWarning,
        FrameError,
        LimitError,
        MissingDependencyError,
        NotDicomError,
        OffsetTableWarning,
        PixelError,
        ReadError,
        TagError,
        TruncatedError,
        UnsupportedError,
        WriteError,
    )
    from dicomloom.frames.reader import FrameReader
    from dicomloom.frames.recover import recover
    from dicomloom.frames.transcode import Report, transcode
    from dicomloom.frames.writer import FrameWriter
    from dicomloom.index.read import read_tags
    from dicomloom.index.run import Summary, index
    from dicomloom.index.scan import Batch, Progress, Scan, scan
    from dicomloom.media.tree import DicomDir
else:
    # The function `index` has the name of its room. Python binds a submodule's name in its package
    # once, at its first import: let that be now, and leave the name to the function.
    import dicomloom.index

    del index, dicomloom

_HOMES = {
    "Batch": "dicomloom.index.scan",
    "Progress": "dicomloom.index.scan",
    "Scan": "dicomloom.index.scan",
    "scan": "dicomloom.index.scan",
    "Summary": "dicomloom.index.run",
    "index": "dicomloom.index.run",
    "read_tags": "dicomloom.index.read",
    "DicomDir": "dicomloom.media.tree",
    "FrameReader": "dicomloom.frames.reader",
    "FrameWriter": "dicomloom.frames.writer",
    "Report": "dicomloom.frames.transcode",
    "recover": "dicomloom.frames.recover",
    "transcode": "dicomloom.frames.transcode",
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
    "Batch",
    "CorruptError",
    "DicomDir",
    "DicomloomError",
    "DicomloomWarning",
    "FrameError",
    "FrameReader",
    "FrameWriter",
    "LimitError",
    "MissingDependencyError",
    "NotDicomError",
    "OffsetTableWarning",
    "PixelError",
    "Progress",
    "ReadError",
    "Report",
    "Scan",
    "Summary",
    "TagError",
    "TruncatedError",
    "UnsupportedError",
    "WriteError",
    "index",
    "read_tags",
    "recover",
    "scan",
    "transcode",
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
