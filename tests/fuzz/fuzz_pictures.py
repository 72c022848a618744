"""Pictures: headers of bitstreams, coded files, EXIF, ISO boxes, and what Pillow opens.

The first byte chooses the parser; the rest is the picture. What is to be stored as it is says of
itself, once it is stored, what was said of the file.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator

from harness import Folder

from dicomloom import CorruptError, DicomloomError, FrameReader, UnsupportedError
from dicomloom.codecs import registry
from dicomloom.codecs.bitstream import check as check_bitstream
from dicomloom.codecs.bitstream import describe, starts_frame
from dicomloom.codecs.headers import jpeg2000
from dicomloom.codecs.layout import Layout
from dicomloom.dicomize.boxes import boxes
from dicomloom.dicomize.coded import is_coded, read_coded
from dicomloom.dicomize.exif import read_exif
from dicomloom.dicomize.icc import is_rgb, srgb
from dicomloom.dicomize.jpegxl import to_store
from dicomloom.frames.pictures import facts_of, is_picture, pages
from images import code, image, layout

INSTRUMENTED = "dicomloom.codecs dicomloom.dicomize dicomloom.frames.pictures"
_FOLDER = Folder()
_UID = "1.2.840.10008.1.2"
_NUMBERS = (50, 51, 57, 70, 80, 81, 90, 91, 110, 112, 201, 202)
_UIDS = (*(f"{_UID}.4.{number}" for number in _NUMBERS), f"{_UID}.5", f"{_UID}.1")


def _bitstream(content: bytes, choice: int) -> None:
    uid = _UIDS[choice % len(_UIDS)]
    of = Layout(4, 5, samples=1 + choice % 2 * 2, bits_allocated=8 + choice // 2 % 2 * 8)
    assert isinstance(starts_frame(content, uid), bool)
    for call in (
        lambda: describe(content, uid),
        lambda: check_bitstream(content, uid, of),
        lambda: check_bitstream(content, uid, of, strict=True),
    ):
        # What `bitstream` promises: these two, nothing else.
        with contextlib.suppress(CorruptError, UnsupportedError):
            call()
    if content.startswith((b"\xff\x4f", jpeg2000.JP2)):
        with contextlib.suppress(CorruptError):
            end = jpeg2000.cut_off(memoryview(content))
            assert end is None or end >= 0


def _coded(content: bytes) -> None:
    assert isinstance(is_coded(content[:16]), bool)
    try:
        read = read_coded(content)
    except DicomloomError:
        return
    assert 1 <= read.rows <= 65535
    assert 1 <= read.columns <= 65535
    assert read.samples >= 1
    assert read.stream
    assert bool(read.syntax) != bool(read.unfit)
    assert read.ratio > 0
    if read.syntax:
        found = describe(read.stream, registry.find(read.syntax).uid)
        assert found[:4] == (read.rows, read.columns, read.samples, read.bits)


def _exif(content: bytes) -> None:
    try:
        read = read_exif(content)
    except CorruptError:
        return
    assert 1 <= read.orientation <= 8
    from dicomloom.attributes import make

    make(read.attributes)  # values that their VRs hold


def _boxes(content: bytes) -> None:
    assert isinstance(is_rgb(content), bool)
    with contextlib.suppress(DicomloomError):
        assert sum(8 + len(body) for _, body in boxes(content)) <= len(content)
    with contextlib.suppress(DicomloomError):
        assert len(to_store(content).stream) <= len(content)


def _pillow(content: bytes) -> None:
    if not is_picture(content):
        return
    from PIL import Image

    path = str(_FOLDER.put("picture", content))
    allowed, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, 1 << 18  # larger ones are only slow
    try:
        _look_at_pages(path)
    finally:
        Image.MAX_IMAGE_PIXELS = allowed


def _look_at_pages(path: str) -> None:
    with contextlib.suppress(DicomloomError):
        facts = facts_of(path)
        for number, page in enumerate(pages(path, upright=True)):
            assert page.pixels.shape[:2] == (page.rows, page.columns)
            if number == 3:
                break
        assert facts.pages >= 1


def check(data: bytes) -> None:
    """Read one picture by one of the parsers."""
    if not data:
        return
    mode, content = data[0], data[1:]
    if mode % 8 < 3:
        _bitstream(content, mode // 8)
    elif mode % 8 < 5:
        _coded(content)
    elif mode % 8 == 5:
        _exif(content)
    elif mode % 8 == 6:
        _boxes(content)
    else:
        _pillow(content)


def _saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new(mode, (6, 5), None if mode == "P" else 1).save(file, form, **options)
    return file.getvalue()


def _some_exif() -> bytes:
    from PIL import Image

    made = Image.Exif()
    made[0x0112] = 6
    made[0x010F] = "ACME"
    made.get_ifd(0x8769)[0x829A] = 0.01
    made.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    made.get_ifd(0x8825)[1] = "N"
    return made.tobytes()


def _files() -> Iterator[bytes]:
    exif = _some_exif()
    yield _saved("JPEG", exif=exif, icc_profile=srgb())
    yield _saved("JPEG", "L", progressive=True)
    yield _saved("JPEG", "CMYK")
    yield _saved("JPEG2000", no_jp2=True)
    yield _saved("JPEG2000", "L")
    yield from (_saved("TIFF", mode) for mode in ("1", "L", "I;16", "RGB", "P"))
    yield from (_saved("PNG", mode) for mode in ("1", "L", "I;16", "RGBA", "P"))
    yield from (_saved("GIF", "P"), _saved("BMP"), _saved("WEBP"), _saved("WEBP", lossless=True))
    yield exif.removeprefix(b"Exif\0\0")
    of = layout(8, rows=4, columns=5)
    for keyword in ("RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"):
        yield code(keyword, of, image(of))[1]
    yield _jpeg_xl(of)


def _jpeg_xl(of: Layout) -> bytes:
    try:
        stream = bytes(code("JPEGXLLossless", of, image(of))[1])
    except DicomloomError:  # no library
        stream = bytes.fromhex("ff0a 4820 0000")
    return (
        b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
        + struct.pack(">L", 8 + len(stream)) + b"jxlc" + stream
    )  # fmt: skip


def seeds() -> Iterator[bytes]:
    """Each kind of file for each parser that may like it."""
    for number, content in enumerate(_files()):
        for mode in (number % 28 * 8, 3, 5, 6, 7):
            yield bytes([mode]) + content


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take bitstreams: files of their own, and the first frames of objects."""
    if is_coded(content[:16]):
        yield b"\3" + content[:65536]
    if content[128:132] != b"DICM" or len(content) > 4 << 20:
        return
    with contextlib.suppress(DicomloomError), FrameReader(content) as reader:
        if reader.transfer_syntax in _UIDS[:-1] and isinstance(reader.encoded(0), bytes):
            coded = reader.encoded(0)[:32768]
            yield bytes([_UIDS.index(reader.transfer_syntax) * 8]) + coded
            yield b"\3" + coded
