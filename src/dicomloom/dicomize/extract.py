"""What is inside of a DICOM object, untouched: a document, a video, a coded frame."""

from __future__ import annotations

import contextlib
import os
import warnings
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicomloom._native import frames as _native
from dicomloom.dicomize.documents import MIME_TYPES, PREFIX, looks_like_document
from dicomloom.errors import (
    CorruptError,
    DicomloomError,
    DicomloomWarning,
    FrameError,
    UnsupportedError,
    WriteError,
)
from dicomloom.files import Partial, make_folders, writing
from dicomloom.frames.header import PIXEL_TAGS
from dicomloom.frames.reader import FrameReader
from dicomloom.frames.sources import FileSource, InflatedSource, Source, StrPath

_DOCUMENT, _LENGTH, _MIME_TYPE = 0x00420011, 0x00420015, 0x00420012
_WAVEFORM = 0x54000100
_CHUNK = 1 << 20
_SUFFIXES = {"pdf": ".pdf", "cda": ".xml", "stl": ".stl", "obj": ".obj", "mtl": ".mtl"}
_OF_DICOM = (".dcm", ".dicom", ".dic", ".ima")

# PS3.5 8.2.5 to 8.2.11: MPEG-2, H.264 and H.265, and their fragmentable variants (.1 behind).
_VIDEO = {f"1.2.840.10008.1.2.4.{number}": number for number in range(100, 109)}
_VIDEO |= {f"{uid}.1": number for uid, number in _VIDEO.items() if number < 107}
# The beginning of a coded frame, its suffix, and what its last bytes are before padding.
_CODED = (
    (b"\xff\xd8\xff", ".jpg", b"\xff\xd9"),
    (b"\xff\x4f\xff\x51", ".j2k", b"\xff\xd9"),
    (b"\0\0\0\x0cjP  ", ".jp2", b"\xff\xd9"),
    (b"\xff\x0a", ".jxl", b""),
    (b"\0\0\0\x0cJXL ", ".jxl", b""),
)


@dataclass(frozen=True)
class _Ranges:
    """Offsets and lengths of any number of fragments, 16 bytes each."""

    offsets: array[int]
    lengths: array[int]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.offsets, self.lengths, strict=True)


@dataclass(frozen=True)
class Contents:
    """What was found inside: where its bytes lie, or the bytes.

    Attributes
    ----------
    kind : str
        ``"document"``, ``"video"``, ``"frame"`` (as it is coded) or ``"picture"`` (made a PNG).
    suffix : str
        Of a file of it, with the dot.
    """

    kind: str
    suffix: str
    source: Source
    ranges: Iterable[tuple[int, int]] = ()
    data: bytes | None = None

    def chunks(self) -> Iterator[bytes]:
        """Return the bytes, in pieces of 1 MiB."""
        if self.data is not None:
            yield self.data
        for offset, length in self.ranges:
            at = offset
            while at < offset + length:
                piece = self.source.exactly(at, min(_CHUNK, offset + length - at))
                yield piece
                at += len(piece)


def extract(
    path: StrPath,
    target: StrPath | None = None,
    *,
    frame: int | None = None,
    overwrite: bool = False,
) -> str:
    """Write what is inside of a DICOM object to a file, as it is.

    An encapsulated document (PS3.3 C.24.2) loses its padding; the fragments of a video (PS3.5
    8.2.5 to 8.2.11) are joined; a coded frame stays as it is coded. Only frames that no file
    format holds (native, RLE, deflated) become a picture, as `dicomloom frame` makes it.

    Parameters
    ----------
    path : str or path-like
    target : str or path-like or None
        By default beside the object, with the suffix that fits.
    frame : int or None
        Which frame, counted from 0; must be given where there are several.
    overwrite : bool
        Replace what stands under the name; else that is an error.

    Returns
    -------
    str
        The file that was written.

    Raises
    ------
    UnsupportedError
        There is nothing inside that could be a file of its own, or a frame of a video is wanted.
    FrameError
        There is no such frame, or there are several and none was chosen.
    WriteError
        The target exists, or cannot be written.
    NotDicomError, CorruptError, TruncatedError, ReadError, MissingDependencyError

    Notes
    -----
    Documents and videos are copied in pieces of 1 MiB, frames are held whole. The file appears
    whole or not at all.

    Examples
    --------
    >>> import os, shutil, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> copy = shutil.copy(get_testdata_file("JPEG2000.dcm"), tempfile.mkdtemp())
    >>> os.path.basename(extract(copy))
    'JPEG2000.j2k'
    """
    with opened(path, frame) as contents:
        if target is None:
            target = default_target(path, contents.suffix)
        return save(contents, target, path, overwrite=overwrite)


def extract_all(path: StrPath, folder: StrPath, *, overwrite: bool = False) -> list[str]:
    """Write all frames of an object into a folder: ``00000.jpg`` and so on; see `extract`."""
    written = []
    with _naming(path), FrameReader(path) as reader:
        make_folders(os.fspath(folder))
        width = max(5, len(str(reader.count - 1)))
        for i in range(reader.count):
            contents = _frame(reader, i)
            target = os.path.join(folder, f"{i:0{width}}{contents.suffix}")
            written.append(save(contents, target, path, overwrite=overwrite))
    return written


@contextlib.contextmanager
def opened(path: StrPath, frame: int | None = None) -> Iterator[Contents]:
    """Find what is inside of an object, and keep that open in the block; see `extract`."""
    source = FileSource(path)
    try:
        with _naming(path):
            found = _inside(source, frame)
        if found is not None:
            yield found
            return
    finally:
        source.close()
    with contextlib.ExitStack() as held:
        with _naming(path):
            reader = held.enter_context(FrameReader(path))
            if frame is None and reader.count > 1:
                raise FrameError(
                    f"{reader.count} frames: say which, from 0 to {reader.count - 1}, or all"
                )
            contents = _frame(reader, frame or 0)
        yield contents


@contextlib.contextmanager
def _naming(path: StrPath) -> Iterator[None]:
    """Let errors of the block say which object they are about."""
    try:
        yield
    except DicomloomError as error:
        error.path = error.path or os.fspath(path)
        raise


def default_target(path: StrPath, suffix: str) -> str:
    """Return a name beside the object; what is no suffix of DICOM files stays part of it."""
    name = os.fspath(path)
    stem, end = os.path.splitext(name)
    return (stem if end.lower() in _OF_DICOM else name) + suffix


def save(contents: Contents, target: StrPath, path: StrPath, *, overwrite: bool) -> str:
    """Write what was found; the file appears whole or not at all."""
    name = os.fspath(target)
    end = os.path.splitext(name)[1].lower()
    if end and end != contents.suffix and end in _KNOWN:
        warnings.warn(
            f"{name}: what is inside is {contents.suffix} by its bytes, whatever the name says",
            DicomloomWarning,
            stacklevel=3,
        )
    if os.path.exists(name) and os.path.samefile(name, path):
        raise WriteError("cannot write: that is the object itself", path=name)
    if not overwrite and os.path.lexists(name):
        raise _exists(name)
    partial = Partial(name)
    try:
        for chunk in contents.chunks():
            with writing(name):
                partial.file.write_all([chunk])
        partial.seal()
        if overwrite:
            partial.place()
        elif not partial.place_new():
            raise _exists(name)
    finally:
        partial.discard()
    return name


_KNOWN = frozenset(
    [".jpg", ".jpeg", ".jls", ".j2k", ".jp2", ".jhc", ".jxl", ".png", ".pdf", ".xml", ".stl",
     ".obj", ".mtl", ".mp4", ".mov", ".ts", ".m2ts", ".mpg", ".h264", ".h265"]
)  # fmt: skip


def _exists(name: str) -> WriteError:
    return WriteError("cannot write: the file exists, and was not to be replaced", path=name)


# --- what is inside ---


def _inside(source: Source, frame: int | None) -> Contents | None:
    """Return the document or video; None where there are frames."""
    # Not `read_object`: it would hold a document whose elements are not in explicit VR.
    found = _native.read_header(source.native)
    explicit, big, start = found.explicit_vr, found.big_endian, found.data_set
    if found.deflated:
        source, start, explicit, big = InflatedSource(source, start), 0, True, False
    entries = _native.list_elements(source.native, start, explicit, big)
    if isinstance(source, InflatedSource):
        source.lift()
    by_tag = {entry[0]: entry for entry in entries}
    if _DOCUMENT in by_tag:
        if frame is not None:
            raise UnsupportedError("a document has no frames: leave the frame out")
        return _document(source, by_tag, big)
    pixels = next((by_tag[tag] for tag in PIXEL_TAGS if tag in by_tag), None)
    if pixels is not None and found.transfer_syntax in _VIDEO and pixels[6]:
        if frame is not None:
            raise UnsupportedError(
                "the frames of a video depend on one another: leave the frame out, and take it "
                "from the video with a program such as ffmpeg"
            )
        return _video(source, pixels[3], _VIDEO[found.transfer_syntax])
    if pixels is not None:
        return None
    if _WAVEFORM in by_tag:
        raise UnsupportedError(
            "a waveform: its samples are numbers without a file format; "
            "pydicom's Dataset.waveform_array(0) reads them"
        )
    raise UnsupportedError(
        "nothing inside that could be a file of its own: neither EncapsulatedDocument (0042,0011) "
        "nor pixel data"
    )


def _document(source: Source, by_tag: dict[int, _native.Element], big: bool) -> Contents:
    _, _, _, offset, length, _, undefined = by_tag[_DOCUMENT]
    if undefined:
        raise CorruptError(
            "EncapsulatedDocument (0042,0011) has an undefined length, expected the bytes of a "
            "document",
            offset=offset,
            tag=_DOCUMENT,
        )
    stated = by_tag.get(_LENGTH)
    length = _trimmed(source, offset, length, stated, big)
    element = by_tag.get(_MIME_TYPE)
    mime = source.exactly(element[3], min(element[4], 256)) if element else b""
    mime_type = mime.decode("latin-1").strip(" \0")
    suffix = next((_SUFFIXES[k] for k, v in MIME_TYPES.items() if v == mime_type), None)
    prefix = source.read_at(offset, min(PREFIX, length))
    kind = looks_like_document(prefix, f"document{suffix or ''}")
    suffix = _SUFFIXES[kind] if kind else suffix or ".bin"
    return Contents("document", suffix, source, ((offset, length),))


def _trimmed(
    source: Source, offset: int, length: int, stated: _native.Element | None, big: bool
) -> int:
    """Return the length of a document without its padding."""
    if stated is None or stated[4] != 4:
        # Not said by objects before 2019: the last byte of what is text or PDF is no NUL.
        if length and source.exactly(offset + length - 1, 1) == b"\0":
            prefix = source.read_at(offset, min(PREFIX, length))
            if looks_like_document(prefix.rstrip(b"\0")) in ("pdf", "cda", "obj", "mtl"):
                return length - 1
        return length
    told = int.from_bytes(source.exactly(stated[3], 4), "big" if big else "little")
    if told == length or (told == length - 1 and length % 2 == 0):
        return told
    if 0 < told < length and _is_padding(source, offset + told, length - told):
        return told
    warnings.warn(
        f"{source.path or 'object'}: EncapsulatedDocumentLength (0042,0015) says {told} bytes, the "
        f"document has {length}: all of it is taken",
        DicomloomWarning,
        stacklevel=2,
    )
    return length


def _is_padding(source: Source, offset: int, length: int) -> bool:
    return length <= _CHUNK and not any(source.exactly(offset, length))


def _video(source: Source, value: int, number: int) -> Contents:
    offsets, lengths, end, complete = _native.walk_items(source.native, value)
    if not complete:
        warnings.warn(
            f"{source.path or 'object'}: the video breaks off behind byte {end}: what is there is "
            "taken",
            DicomloomWarning,
            stacklevel=2,
        )
    del offsets[:1], lengths[:1]  # the offset table
    if not any(lengths):
        raise CorruptError("the video has no fragments", offset=value)
    prefix = source.read_at(offsets[0], min(lengths[0], 1024))
    suffix = _video_suffix(prefix, number)
    size = sum(lengths)
    offset, length = offsets[-1], lengths[-1]
    # An item is even; which of these streams are odd is known.
    last = source.exactly(offset + length - 5, 5) if length >= 5 else b""
    odd = (
        (suffix == ".ts" and size % 188 == 1)
        or (suffix == ".mpg" and last == b"\0\0\1\xb9\0")
        or (suffix in (".mp4", ".mov") and len(lengths) == 1 and _boxes(source, offset, length))
    )
    if odd and last[-1:] == b"\0":
        lengths[-1] -= 1
    return Contents("video", suffix, source, _Ranges(offsets, lengths))


def _video_suffix(prefix: bytes, number: int) -> str:
    if prefix[4:8] == b"ftyp":
        return ".mov" if prefix[8:12] == b"qt  " else ".mp4"
    for start, step, suffix in ((0, 188, ".ts"), (4, 192, ".m2ts")):
        at = prefix[start::step]
        if at and set(at) == {0x47}:
            return suffix
    if prefix[:4] in (b"\0\0\1\xba", b"\0\0\1\xb3"):
        return ".mpg"
    if prefix[:4] == b"\0\0\0\1" or prefix[:3] == b"\0\0\1":
        return ".h265" if number >= 107 else ".h264" if number >= 102 else ".mpg"
    return ".bin"


def _boxes(source: Source, start: int, length: int) -> bool:
    """Whether the boxes of an MP4 file (ISO/IEC 14496-12 4.2) end a byte before the fragment."""
    at = 0
    for _ in range(10_000):  # of fragmented files there are two a second
        head = source.read_at(start + at, 16)
        size = int.from_bytes(head[:4], "big")
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:16], "big")
        if at == length - 1:
            return True
        if size < 8 or at + size > length:
            return False
        at += size
    return False


def _frame(reader: FrameReader, frame: int) -> Contents:
    from dicomloom.codecs.registry import find

    keyword = find(reader.transfer_syntax).keyword
    coded = keyword.startswith(("JPEG", "HTJ2K"))
    source = Source()
    if not coded:
        from dicomloom.frames.render import as_file

        return Contents("picture", ".png", source, data=as_file(reader, frame, ".png"))
    data = reader.encoded(frame)
    for beginning, suffix, end in _CODED:
        if data.startswith(beginning):
            made = suffix
            if suffix == ".jpg" and keyword.startswith("JPEGLS"):
                made = ".jls"
            if suffix == ".j2k" and keyword.startswith("HTJ2K"):
                made = ".jhc"
            if end and data[-3:] == end + b"\0":
                data = data[:-1]
            return Contents("frame", made, source, data=data)
    raise CorruptError(
        f"frame {frame} is no {keyword} bitstream: it begins with {data[:8].hex(' ')}",
        frame=frame,
    )
