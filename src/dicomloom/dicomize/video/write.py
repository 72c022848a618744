"""A video and a data set into a DICOM file."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dicomloom.dicomize.video.mp4 import has_boxes, read_mp4
from dicomloom.dicomize.video.patches import Patch, pieces
from dicomloom.dicomize.video.syntaxes import MOST_OF_A_FRAGMENT, keyword_of
from dicomloom.errors import LimitError, TruncatedError, UnsupportedError
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

_CHUNK = 1 << 18


def write_video(
    target: StrPath,
    dataset: Dataset | Mapping[str, object] | Header,
    path: StrPath,
    transfer_syntax: str,
    *,
    max_fragment_bytes: int = MOST_OF_A_FRAGMENT,
    patches: Sequence[Patch] | None = None,
) -> int:
    """Write a DICOM file whose pixel data are a video file, byte for byte but for patches.

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
    patches : sequence of Patch or None
        By offset, without overlap: bytes that become others in the copy. None means those of
        `read_video`: in MP4 and QuickTime files, places of recording are blanked, and QuickTime
        becomes MP4. An empty tuple copies every byte.

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
    UnsupportedError
        Without `patches`: the container cannot be patched where it stands.
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
        if patches is None:
            patches = _patches_of(source)
        if isinstance(dataset, Header):
            header = dataset
        else:
            header, template = read_template(dataset)
        partial = Partial(target)
        try:
            with writing(partial.path):
                _write_head(partial.file, header, uid)
            fragments = _write_fragments(partial, source, size, max_fragment_bytes, patches)
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

    keyword = keyword_of(transfer_syntax)
    return str(getattr(uid, keyword)), keyword.endswith("F") or keyword.startswith("HEVC")


def _write_head(file: EagerFile, header: Header, uid: str) -> None:
    file.write_all([header.file_meta(uid)])
    for piece in header.data_set(last=PIXELS - 1):
        file.write_all([piece])
    file.write_all([element_head(PIXELS, "OB", UNDEFINED), ITEM, struct.pack("<L", 0)])


def _patches_of(source: Source) -> tuple[Patch, ...]:
    if not has_boxes(source.read_at(0, 8)):
        return ()
    stream = read_mp4(source)
    if stream.obstacle:
        raise UnsupportedError(
            f"the {stream.container} file cannot be stored as it is: expected {stream.obstacle}; "
            "ffmpeg -i FILE -c copy out.mp4 packs the same pictures anew",
            path=source.path,
        )
    return stream.patches


def _write_fragments(
    partial: Partial, source: Source, size: int, most: int, patches: Sequence[Patch]
) -> int:
    count = start = 0
    while start < size:
        end = min(size, start + most)
        length = end - start
        with writing(partial.path):
            partial.file.write_all([ITEM, struct.pack("<L", length + length % 2)])
        for begin, stop, patch in pieces(patches, start, end):
            with writing(partial.path):
                copied = _write_piece(partial, source, begin, stop, patch)
            if copied < stop - begin:
                raise TruncatedError(
                    f"the video had {size} bytes, and became shorter while it was copied",
                    path=source.path,
                    offset=begin + copied,
                )
        with writing(partial.path):
            partial.file.write_all([bytes(length % 2)])
        start = end
        count += 1
    return count


def _write_piece(
    partial: Partial, source: Source, start: int, end: int, patch: Patch | None
) -> int:
    """Write what is between two offsets, of the file or of a patch; returns how much it was."""
    if patch is None:
        assert isinstance(source.native, int)
        return partial.file.copy(source.native, start, end)
    for at in range(start, end, _CHUNK):
        partial.file.write_all([patch.bytes_at(at, min(end, at + _CHUNK))])
    return end - start
