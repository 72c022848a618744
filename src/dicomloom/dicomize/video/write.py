"""A video and a data set into a DICOM file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dicomloom.dicomize.video.syntaxes import MOST_OF_A_FRAGMENT
from dicomloom.errors import LimitError, TagError, TruncatedError
from dicomloom.files import EagerFile, Partial, writing
from dicomloom.frames.header import (
    ITEM,
    PIXELS,
    SEQUENCE_END,
    UNDEFINED,
    Header,
    element_head,
)
from dicomloom.frames.sources import FileSource, Source, StrPath
from dicomloom.frames.template import read_template

if TYPE_CHECKING:
    from pydicom import Dataset


def write_video(
    target: StrPath,
    dataset: Dataset | Mapping[str, object] | Header,
    path: StrPath,
    transfer_syntax: str,
    *,
    max_fragment_bytes: int = MOST_OF_A_FRAGMENT,
) -> int:
    """Write a DICOM file whose pixel data are a video file, byte for byte.

    The bytes go from file to file, by the kernel where it can; memory does not grow with them.
    The target appears whole, or not at all and what stood there stays.

    Parameters
    ----------
    target : str or path-like
        The DICOM file.
    dataset : pydicom.Dataset, dict of keywords, or Header
        Everything but the pixel data; those of `pixel_attributes` included.
    path : str or path-like
        The video.
    transfer_syntax : str
        Keyword of `transfer_syntax_of`, or a UID.
    max_fragment_bytes : int
        Even. More than that makes several fragments, in a fragmentable syntax.

    Returns
    -------
    int
        Fragments written.

    Raises
    ------
    TagError
        A value of the data set cannot be written.
    LimitError
        The video does not fit into the one fragment that the transfer syntax has.
    ReadError, TruncatedError
        The video cannot be read, or became shorter meanwhile.
    WriteError
        The target cannot be written.

    Notes
    -----
    PS3.5 A.4: an empty Basic Offset Table, then the fragments, the last one padded to even.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "video.mp4").write_bytes(b"not checked here")
    >>> about = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1.1", "SOPInstanceUID": "1.2.3"}
    >>> write_video(folder / "video.dcm", about, folder / "video.mp4", "MPEG4HP41")
    1
    """
    if max_fragment_bytes < 2 or max_fragment_bytes % 2 or max_fragment_bytes >= UNDEFINED:
        raise ValueError(
            f"max_fragment_bytes must be even, from 2 to {UNDEFINED - 1}, not {max_fragment_bytes}"
        )
    uid, fragmentable = _syntax(transfer_syntax)
    source = FileSource(path)
    template: Source | None = None
    try:
        size = source.size()
        if size > max_fragment_bytes and not fragmentable:
            raise LimitError(
                f"{size} bytes do not fit into the one fragment of {max_fragment_bytes} bytes "
                f"that {transfer_syntax} has: use its fragmentable twin, whose keyword ends with F",
                path=source.path,
            )
        if isinstance(dataset, Header):
            header = dataset
        else:
            header, template = read_template(dataset)
        partial = Partial(target)
        try:
            with writing(partial.path):
                _write_head(partial.file, header, uid)
            fragments = _write_fragments(partial, source, size, max_fragment_bytes)
            with writing(partial.path):
                partial.file.write_all([SEQUENCE_END])
                for piece in header.data_set(PIXELS + 1):
                    partial.file.write_all([piece])
            partial.seal()
            partial.place()
        finally:
            partial.discard()
    finally:
        source.close()
        if template is not None:
            template.close()
    return fragments


def _syntax(transfer_syntax: str) -> tuple[str, bool]:
    """Return the UID, and whether several fragments are allowed."""
    from pydicom import uid

    found = getattr(uid, transfer_syntax, None) or uid.UID(transfer_syntax)
    known = {
        getattr(uid, name): name
        for name in dir(uid)
        if name.startswith(("MPEG2MP", "MPEG4HP", "HEVCM")) and isinstance(getattr(uid, name), str)
    }
    if found not in known:
        raise TagError(
            f"{transfer_syntax} is no transfer syntax of video: expected a keyword such as "
            "MPEG4HP41 or its UID"
        )
    return str(found), known[found].endswith("F") or known[found].startswith("HEVC")


def _write_head(file: EagerFile, header: Header, uid: str) -> None:
    file.write_all([header.file_meta(uid)])
    for piece in header.data_set(last=PIXELS - 1):
        file.write_all([piece])
    file.write_all([element_head(PIXELS, "OB", UNDEFINED), ITEM, struct.pack("<L", 0)])


def _write_fragments(partial: Partial, source: Source, size: int, most: int) -> int:
    assert isinstance(source.native, int)
    count = start = 0
    while start < size:
        end = min(size, start + most)
        length = end - start
        with writing(partial.path):
            partial.file.write_all([ITEM, struct.pack("<L", length + length % 2)])
            copied = partial.file.copy(source.native, start, end)
            if copied == length and length % 2:
                partial.file.write_all([b"\0"])
        if copied < length:
            raise TruncatedError(
                f"the video had {size} bytes, and became shorter while it was copied",
                path=source.path,
                offset=start + copied,
            )
        start = end
        count += 1
    return count
