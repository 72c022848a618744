"""`recover`: a valid object from what a killed writer left."""

from __future__ import annotations

import time
from array import array

from dicomloom._native import frames as _native
from dicomloom.codecs.registry import find
from dicomloom.errors import DicomloomError, NotDicomError, TruncatedError, UnsupportedError
from dicomloom.frames.header import Header, StoredObject, read_object
from dicomloom.frames.output import Output
from dicomloom.frames.pixels import layout_of
from dicomloom.frames.selection import per_frame_items, select_frames
from dicomloom.frames.sources import FileSource, InflatedSource, Source, StrPath
from dicomloom.frames.stored import shifted, syntax_of
from dicomloom.frames.syntaxes import DEFLATED_LE, NATIVE
from dicomloom.frames.transcode import Report

_CHUNK = 1 << 20


def recover(partial: StrPath, dst: StrPath) -> Report:
    """Make a valid object of all whole frames of a ``.partial`` file.

    `FrameWriter` and `transcode` write ``<name>.partial``; it stays where their process is killed,
    or the power fails. What was flushed to the disk by then is read; a frame that is cut off is
    left out, and the partial file stays as it is.

    Parameters
    ----------
    partial : str or path-like
    dst : str or path-like

    Returns
    -------
    Report

    Raises
    ------
    NotDicomError, TruncatedError
        It breaks off before its first frame is whole.
    ReadError, WriteError
    """
    began = time.monotonic()
    file = FileSource(partial)
    try:
        found = read_object(file)
        if found.pixels is None:
            raise NotDicomError(
                "nothing to recover: it breaks off before its pixel data", path=file.path
            )
        targets, output, keyword = _rebuild(found, dst)
        uid = found.header.text("SOPInstanceUID")
    except DicomloomError as error:
        error.path = error.path or file.path
        raise
    finally:
        file.close()
    return Report(
        file.path,
        targets,
        keyword,
        output.frames,
        output.raw_bytes,
        output.encoded_bytes,
        False,
        uid,
        time.monotonic() - began,
    )


def _rebuild(found: StoredObject, dst: StrPath) -> tuple[list[str], Output, str]:
    assert found.pixels is not None
    header, source, start = found.header, found.source, found.pixels.value
    layout = layout_of(header, found.pixels.tag)
    syntax = DEFLATED_LE if isinstance(source, InflatedSource) else syntax_of(found)
    codec = find(syntax)
    if (syntax in NATIVE) != (found.pixels.length is not None):
        raise UnsupportedError(
            f"nothing to recover: no writer here leaves {codec.keyword} with pixel data that are "
            f"{'encapsulated' if found.pixels.length is None else 'native'}",
            path=header.path,
        )
    lengths: array[int] | None = None
    if found.pixels.length is None:
        offsets, lengths, _, _ = _native.walk_items(source.native, start)
        del offsets[:1], lengths[:1]  # the offset table, whose room may be empty
        count, there = len(offsets), sum(lengths)
    else:
        there = source.size() - start
        if found.pixels.length:  # the head was put right already
            there = min(there, found.pixels.length)
        count = there * 8 // layout.frame_bits
    if count == 0:
        raise TruncatedError("nothing to recover: no frame of it is whole", path=header.path)
    items = per_frame_items(header)
    if items is not None and items > count:
        select_frames(header, range(count), items)
    _put_ratio(header, count * layout.full_bytes, there)
    output = Output(dst)
    try:
        output.begin(header, layout, syntax, frames=count, bound=max(lengths or [0]))
        if lengths is None:
            _copy_native(output, source, start, count, layout.frame_bits)
        else:
            for offset, length in zip(offsets, lengths, strict=True):
                output.append([[source.exactly(offset, length)]])
        return output.finish(), output, codec.keyword
    except BaseException:
        output.discard()
        raise


def _copy_native(output: Output, source: Source, start: int, count: int, bits: int) -> None:
    if bits % 8 == 0:
        output.count_native(count)
        end = start + count * bits // 8
        for at in range(start, end, _CHUNK):
            output.write_native(source.exactly(at, min(_CHUNK, end - at)))
        return
    for frame in range(count):
        first, last = frame * bits, (frame + 1) * bits
        data = source.exactly(start + first // 8, (last + 7) // 8 - first // 8)
        output.append([[shifted(data, first % 8, bits)]])


def _put_ratio(header: Header, raw: int, coded: int) -> None:
    """Set the compression ratio that the writer had left open."""
    ratios = header.texts("LossyImageCompressionRatio")
    if ratios and ratios[-1] == "0" and coded:
        ratios[-1] = f"{raw / coded:.4g}"
        header.put("LossyImageCompressionRatio", "\\".join(ratios))
