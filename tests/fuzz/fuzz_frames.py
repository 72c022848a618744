"""Objects with pixel data: header, offset tables, fragments, frames, another transfer syntax.

The first byte chooses what becomes of the object that the rest is. What is transcoded without loss
has the frames that it had; what is recovered can be read.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
from harness import Folder
from pydicom.encaps import encapsulate, encapsulate_extended

from dicomloom import DicomloomError, FrameReader, recover, transcode
from images import code, image, layout
from support import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, UNDEFINED, element, part10

INSTRUMENTED = "dicomloom.frames dicomloom.codecs"
_FOLDER = Folder()
_TARGETS = (
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "RLELossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "DeflatedExplicitVRLittleEndian",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
)
# Syntaxes whose frames our own code decodes; libraries have their own fuzzers.
_OURS = frozenset(
    (
        *_TARGETS,
        "ExplicitVRBigEndian",
        "JPEGLossless",
        "JPEGLSNearLossless",
        "DeflatedImageFrameCompression",
    )
)
_MOST = 1 << 22  # bytes of a frame


def _ours(reader: FrameReader) -> bool:
    from dicomloom.codecs.registry import find

    return find(reader.transfer_syntax).keyword in _OURS


def _frames(source: object) -> list[np.ndarray]:
    """Read all frames of an object, the first eight at most."""
    with FrameReader(source) as reader:  # type: ignore[arg-type]
        if not _ours(reader):
            return []
        return [reader[i] for i in range(min(reader.count, 8))]


def _look(content: bytes) -> None:
    with contextlib.suppress(DicomloomError), FrameReader(content) as reader:
        _ = reader.offset_table, len(repr(reader)), reader.offsets
        for i in (0, reader.count // 2, reader.count - 1):
            with contextlib.suppress(DicomloomError):
                stored = reader.encoded(i)
                assert len(stored) <= max(len(content), _MOST)
                if _ours(reader):
                    pixels = reader[i]
                    assert pixels.shape == reader.shape[1:]
                    assert pixels.dtype == reader.dtype
        assert reader.dataset is not None


def _transcode(content: bytes, keyword: str) -> None:
    target = _FOLDER.path("transcoded.dcm")
    target.unlink(missing_ok=True)
    try:
        with FrameReader(content) as reader:
            known = _ours(reader)
            small = reader.layout.frame_bytes <= _MOST
    except DicomloomError:
        known = small = True  # no pixel data, perhaps
    if not (known and small):
        return
    try:
        transcode(content, target, keyword, workers=1)
    except DicomloomError:
        assert not target.exists()
        return
    before = _frames_or_none(content)
    if before is None:
        return
    after = _frames(target)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _frames_or_none(source: object) -> list[np.ndarray] | None:
    try:
        return _frames(source)
    except DicomloomError:
        return None


def _recover(content: bytes) -> None:
    target = _FOLDER.path("recovered.dcm")
    target.unlink(missing_ok=True)
    try:
        recover(_FOLDER.put("object.dcm.partial", content), target)
    except DicomloomError:
        assert not target.exists()
        return
    with contextlib.suppress(DicomloomError):
        _frames(target)


def check(data: bytes) -> None:
    """Read, transcode or recover one object."""
    if not data:
        return
    mode, content = data[0], data[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if mode % 4 == 0:
            _look(content)
        elif mode % 4 == 1:
            _recover(content)
        else:
            _transcode(content, _TARGETS[mode // 4 % len(_TARGETS)])


def objects() -> Iterator[bytes]:
    """Small objects of the syntaxes that are ours, with all kinds of offset tables."""
    for of in (layout(8, rows=4, columns=5), layout(12, rows=3, columns=4, signed=True),
               layout(8, rows=2, columns=3, color=True)):  # fmt: skip
        frames = [image(of, seed=seed) for seed in range(2)]
        native = b"".join(frame.tobytes() for frame in frames)
        native += bytes(len(native) % 2)
        for syntax in (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE):
            yield _object(of, syntax, native, length=len(native))
        for keyword, uid in (
            ("RLELossless", "1.2.840.10008.1.2.5"),
            ("JPEGLosslessSV1", "1.2.840.10008.1.2.4.70"),
            ("JPEGLSLossless", "1.2.840.10008.1.2.4.80"),
        ):
            coded = [code(keyword, of, frame)[1] for frame in frames]
            yield _object(of, uid, encapsulate(coded))
            yield _object(of, uid, encapsulate(coded, has_bot=False, fragments_per_frame=2))
            pixels, table, lengths = encapsulate_extended(coded)
            more = element(0x7FE00001, "OV", table) + element(0x7FE00002, "OV", lengths)
            yield _object(of, uid, pixels, more=more)


def _object(of, syntax, pixels, *, more=b"", length=UNDEFINED):
    big, implicit = syntax == EXPLICIT_BE, syntax == IMPLICIT_LE

    def made(tag, vr, value):
        if isinstance(value, int):
            value = value.to_bytes(2, "big" if big else "little")
        value += b" " * (len(value) % 2)
        return element(tag, None if implicit else vr, value, big=big)

    data_set = b"".join(
        [
            made(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
            made(0x00080018, "UI", b"1.2.3\0"),
            made(0x00280002, "US", of.samples),
            made(0x00280004, "CS", of.photometric.encode()),
            *([made(0x00280006, "US", 0)] if of.samples > 1 else []),
            made(0x00280008, "IS", b"2"),
            made(0x00280010, "US", of.rows),
            made(0x00280011, "US", of.columns),
            made(0x00280100, "US", of.bits_allocated),
            made(0x00280101, "US", of.bits_stored),
            made(0x00280102, "US", of.bits_stored - 1),
            made(0x00280103, "US", int(of.signed)),
            more,
        ]
    )
    vr = None if implicit else "OB" if length == UNDEFINED or of.bits_allocated == 8 else "OW"
    if length == UNDEFINED:
        pixels += element(0xFFFEE0DD, None)
    return part10(data_set + element(0x7FE00010, vr, pixels, big=big, length=length), syntax)


def seeds() -> Iterator[bytes]:
    """Each object in several modes."""
    for number, content in enumerate(objects()):
        yield b"\0" + content
        yield bytes([number % 64 * 4 + 1 + number % 3 & 255]) + content
        yield bytes([number % len(_TARGETS) * 4 + 2]) + content


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take the beginning of small files, each in a mode of its own."""
    if len(content) <= 32768:
        yield bytes([sum(name.encode()) % 256]) + content
