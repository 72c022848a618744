"""What is written is what is read: `FrameWriter`, then `FrameReader` and pydicom.

The input is choices: layout, transfer syntax, offset table, what is known beforehand, instances of
a concatenation, attributes; then pixels. Raw frames go in; they come out, or the writer refuses
them and leaves nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pydicom
from harness import Choices, Folder

from dicomloom import DicomloomError, FrameReader, FrameWriter, recover
from dicomloom.codecs.layout import Layout
from images import layout

INSTRUMENTED = "dicomloom.frames dicomloom.codecs dicomloom.attributes dicomloom.files"
_FOLDER = Folder()
_SYNTAXES = (
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "RLELossless",
    "JPEGLosslessSV1",
    "JPEGLossless",
    "JPEGLSLossless",
    "EncapsulatedUncompressedExplicitVRLittleEndian",
    "DeflatedImageFrameCompression",
)
# Those that pydicom decodes without a library.
_PLAIN = _SYNTAXES[:4]
_BITS = (1, 8, 12, 16, 5)
_KEYWORDS = ("PatientID", "PatientName", "StudyDate", "ImageComments", "ImageType", "WindowCenter")


def _layout(choices: Choices) -> Layout:
    bits = choices.pick(_BITS)
    color = bits == 8 and choices.below(2) == 1
    signed = bits > 1 and not color and choices.below(2) == 1
    rows, columns = 1 + choices.below(19), 1 + choices.below(35)
    return layout(bits, signed=signed, color=color, rows=rows, columns=columns)


def _pixels(of: Layout, count: int, data: bytes) -> np.ndarray:
    """Repeat bytes until there are enough, and keep samples within BitsStored."""
    shape = (count, *of.shape)
    size = int(np.prod(shape)) * np.dtype(of.dtype).itemsize
    raw = (data or b"\0") * (size // max(len(data), 1) + 1)
    made = np.frombuffer(raw[:size], of.dtype).reshape(shape)
    if of.bits_allocated == 1:
        return made & 1
    unused = of.bits_allocated - of.bits_stored
    return made << unused >> unused  # the sign of signed ones, too


def _options(choices: Choices, count: int) -> dict[str, object]:
    made: dict[str, object] = {"workers": 1 + choices.below(2)}
    made["offset_table"] = choices.pick(("auto", "basic", "extended", "empty"))
    if choices.below(2):
        made["frames"] = count
    if choices.below(4) == 3:
        made["max_instance_frames"] = 1 + choices.below(3)
    return made


def check(data: bytes) -> None:
    """Write one object, and read it back."""
    choices = Choices(data)
    of, syntax, count = _layout(choices), choices.pick(_SYNTAXES), 1 + choices.below(5)
    options = _options(choices, count)
    template: dict[str, object] = {
        "PhotometricInterpretation": of.photometric,
        "BitsStored": of.bits_stored,
        "PixelRepresentation": int(of.signed),
    }
    if choices.below(3) == 2:
        text = choices.take(choices.below(24)).decode("utf-8", "replace")
        template[choices.pick(_KEYWORDS)] = text
    pixels = _pixels(of, count, choices.rest)
    for old in _FOLDER.path("x").parent.iterdir():
        old.unlink()
    target = _FOLDER.path("object.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _write_and_read(target, template, syntax, pixels, options)


def _write_and_read(target, template, syntax, pixels, options):
    try:
        with FrameWriter(target, template, transfer_syntax=syntax, **options) as writer:
            for frame in pixels:
                writer.write(frame.astype("?") if template["BitsStored"] == 1 else frame)
    except DicomloomError:
        assert not list(target.parent.iterdir())
        return
    written = sorted(target.parent.iterdir())
    assert written
    with FrameReader(written) as reader:
        assert reader.shape == (len(pixels), *pixels.shape[1:])
        assert np.array_equal(np.asarray(reader), pixels)
    start = 0
    for path in written:
        read = pydicom.dcmread(path)
        number = int(read.NumberOfFrames)
        if syntax in _PLAIN:
            theirs = read.pixel_array.reshape(number, *pixels.shape[1:])
            assert np.array_equal(theirs, pixels[start : start + number])
        start += number
        assert read.SOPInstanceUID == read.file_meta.MediaStorageSOPInstanceUID
    assert start == len(pixels)
    _cut(written[0])


def _cut(path):
    """What a crash leaves of the object can be recovered, or is refused."""
    content = path.read_bytes()
    partial = path.with_name("cut.dcm.partial")
    partial.write_bytes(content[: len(content) * 3 // 4])
    recovered = path.with_name("recovered.dcm")
    try:
        recover(partial, recovered)
    except DicomloomError:
        assert not recovered.exists()
        return
    with FrameReader(recovered) as reader, FrameReader(path) as whole:
        assert 1 <= reader.count <= whole.count
        for i in range(reader.count):
            assert np.array_equal(reader[i], whole[i])


def seeds() -> Iterator[bytes]:
    """Each syntax with each depth, and options in turn."""
    for number, _ in enumerate(_SYNTAXES):
        for bits, depth in enumerate(_BITS):
            extra = [number % 2] if depth == 8 else []
            sign = [bits % 2] if depth > 1 and not (extra and extra[0]) else []
            head = [bits, *extra, *sign, 4 + number, 6, number, bits % 5, number % 2, bits % 4]
            head += [number % 2, 3 if bits == 2 else 0, 1, 2, 5]
            yield bytes(head) + b"abcde" + bytes([bits % 6]) + bytes(range(0, 256, 3))


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take nothing: the input is choices."""
    return iter(())
