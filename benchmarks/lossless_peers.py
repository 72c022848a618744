"""Who codes and decodes JPEG Lossless and JPEG-LS, each with one frame in memory.

A `Way` says what is made ready before the clock starts (an array, an element of GDCM), what is
timed, and how its result becomes the bytes to compare. Peers get signed values as the pattern of
their BitsStored bits: JPEG knows no sign.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from dicomloom.codecs.layout import Layout
from dicomloom.codecs.registry import find
from kernels import OURS, Code

TURBO, LJ92, SOF3 = "libjpeg-turbo", "liblj92", "jpegsof3"
CHARLS, PYJPEGLS, THOR, GDCM = "CharLS", "pyjpegls", "libjpeg", "GDCM"
PACKAGES = ("dicomloom", "imagecodecs", "pylibjpeg-libjpeg", "pyjpegls", "python-gdcm")


class Way(NamedTuple):
    """One way to code or to decode.

    `take` returns the coded bytes, or the decoded samples by pixel without sign; ours are as they
    were given.
    """

    prepare: Callable[[bytes], Any]
    run: Code
    take: Callable[[Any], bytes]


Make = Callable[[Layout], "Way | None"]  # None: it cannot do this kind of frame


def pattern(at: Layout, pixels: bytes) -> bytes:
    """Return samples without their sign."""
    if not at.signed:
        return pixels
    values = np.frombuffer(pixels, at.dtype).view(f"<u{at.bits_allocated // 8}")
    return (values & ((1 << at.bits_stored) - 1)).tobytes()


def _array(at: Layout, pixels: bytes) -> np.ndarray:
    shape = (at.rows, at.columns) + ((at.samples,) if at.samples > 1 else ())
    return np.frombuffer(pattern(at, pixels), f"<u{at.bits_allocated // 8}").reshape(shape)


def _samples(at: Layout, decoded: Any) -> bytes:
    values = np.asarray(decoded)
    return values.astype(f"<u{at.bits_allocated // 8}", copy=False).tobytes()


def _our_coder(keyword: str, options: dict[str, int], at: Layout) -> Way:
    encoder = find(keyword).encoder(at, **options)
    # As peers give it: one piece.
    return Way(bytes, lambda pixels: b"".join(encoder.encode(pixels)), bytes)


def _our_decoder(keyword: str, at: Layout) -> Way:
    decoder = find(keyword).decoder(at)
    return Way(bytes, decoder.decode, lambda found: bytes(memoryview(found).cast("B")))


def _coder_of_arrays(encode: Code, at: Layout) -> Way:
    return Way(partial(_array, at), encode, bytes)


def _decoder_of_bytes(decode: Code, at: Layout) -> Way:
    return Way(bytes, decode, partial(_samples, at))


def _turbo_coder(encode: Any, predictor: int, at: Layout) -> Way:
    settings = {"lossless": True, "predictor": predictor, "bitspersample": at.bits_stored}
    if at.samples == 3:
        settings |= {"colorspace": "RGB", "outcolorspace": "RGB"}
    return _coder_of_arrays(partial(encode, **settings), at)


def _turbo_decoder(decode: Any, at: Layout) -> Way:
    # Told equal color spaces the library converts nothing.
    settings = {"colorspace": "RGB", "outcolorspace": "RGB"} if at.samples == 3 else {}
    return _decoder_of_bytes(partial(decode, **settings), at)


def _gray(make: Make, at: Layout) -> Way | None:
    return make(at) if at.samples == 1 else None


def _pyjpegls_coder(encode: Any, at: Layout) -> Way:
    interleave = 2 if at.samples > 1 else 0
    shape = at.rows, at.columns, at.samples, at.bits_stored

    def prepare(pixels: bytes) -> bytes:
        # Its output has room for twice its input, and noise of few bits needs more.
        return pattern(at, pixels) + bytes(len(pixels) // 2 + 1024)

    return Way(prepare, lambda pixels: encode(pixels, 0, interleave, *shape), bytes)


class _Gdcm:
    """GDCM's ImageChangeTransferSyntax on an image in memory.

    What Python holds of an image is given to the object that changes it: both would free it.
    """

    def __init__(self, gdcm: Any, syntax: str) -> None:
        self.gdcm = gdcm
        self.coded = getattr(gdcm.TransferSyntax, syntax)
        self.native = gdcm.TransferSyntax.ExplicitVRLittleEndian

    def coder(self, at: Layout) -> Way:
        return Way(
            lambda pixels: self._element(pattern(at, pixels)),
            lambda element: self._change(at, element, self.native, self.coded),
            self._fragment,
        )

    def decoder(self, at: Layout) -> Way:
        return Way(
            self._fragments,
            lambda element: self._change(at, element, self.coded, self.native),
            lambda change: _bytes(change.GetOutput().GetDataElement().GetByteValue()),
        )

    def _element(self, value: bytes) -> Any:
        element = self.gdcm.DataElement(self.gdcm.Tag(0x7FE0, 0x10))
        element.SetByteStringValue(value)
        return element

    def _fragments(self, coded: bytes) -> Any:
        fragment = self.gdcm.Fragment()
        fragment.SetByteStringValue(coded + bytes(len(coded) % 2))
        sequence = self.gdcm.SequenceOfFragments.New()
        sequence.AddFragment(fragment)
        element = self.gdcm.DataElement(self.gdcm.Tag(0x7FE0, 0x10))
        element.SetValue(sequence.__deref__())
        return element

    def _fragment(self, change: Any) -> bytes:
        fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
        if fragments.GetNumberOfFragments() != 1:
            raise ValueError(f"GDCM made {fragments.GetNumberOfFragments()} fragments of a frame")
        return _bytes(fragments.GetFragment(0).GetByteValue())

    def _change(self, at: Layout, element: Any, given: int, wanted: int) -> Any:
        gdcm = self.gdcm
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimension(0, at.columns)
        image.SetDimension(1, at.rows)
        stored = at.bits_stored
        image.SetPixelFormat(gdcm.PixelFormat(at.samples, at.bits_allocated, stored, stored - 1, 0))
        kind = gdcm.PhotometricInterpretation
        image.SetPhotometricInterpretation(kind(kind.RGB if at.samples == 3 else kind.MONOCHROME2))
        image.SetTransferSyntax(gdcm.TransferSyntax(given))
        image.SetDataElement(element)
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(wanted))
        image.thisown = False
        change.SetInput(image)
        if not change.Change():
            raise ValueError("GDCM cannot")
        return change


def _bytes(value: Any) -> bytes:
    """Return the bytes that GDCM's wrapper made a str of."""
    found: bytes = value.GetBuffer().encode("utf-8", "surrogateescape")
    return found


class Peers:
    """Encoders and decoders of one syntax that are installed; the others are named.

    Attributes
    ----------
    coders, decoders : dict of str to Make
        dicomloom first.
    """

    def __init__(self, syntax: str, predictor: int = 1) -> None:
        self.lossless_jpeg = syntax != "JPEGLSLossless"
        other = self.lossless_jpeg and predictor != 1
        keyword = "JPEGLossless" if other else syntax
        options = {"predictor": predictor} if other else {}
        self.coders: dict[str, Make] = {OURS: partial(_our_coder, keyword, options)}
        self.decoders: dict[str, Make] = {OURS: partial(_our_decoder, keyword)}
        if imagecodecs := _module("imagecodecs"):
            (self._jpeg if self.lossless_jpeg else self._charls)(imagecodecs, predictor)
        if libjpeg := _module("libjpeg"):
            decode = partial(libjpeg.decode, colour_transform=0)
            self.decoders[THOR] = partial(_decoder_of_bytes, decode)
        if not self.lossless_jpeg and (charls := _module("_CharLS")):
            self.coders[PYJPEGLS] = partial(_pyjpegls_coder, charls._encode)
            self.decoders[PYJPEGLS] = lambda at: Way(bytes, charls._decode, bytes)
        if gdcm := _module("gdcm"):
            if not self.lossless_jpeg:
                name = "JPEGLSLossless"
            else:
                name = "JPEGLosslessProcess14" + ("" if other else "_1")
            through = _Gdcm(gdcm, name)
            self.decoders[GDCM] = through.decoder
            if not other:
                self.coders[GDCM] = through.coder

    def _jpeg(self, imagecodecs: Any, predictor: int) -> None:
        self.coders[TURBO] = partial(_turbo_coder, imagecodecs.jpeg8_encode, predictor)
        self.decoders[TURBO] = partial(_turbo_decoder, imagecodecs.jpeg8_decode)

        def lj92(at: Layout) -> Way:  # always with selection value 6
            encode = partial(imagecodecs.ljpeg_encode, bitspersample=at.bits_stored)
            return _coder_of_arrays(encode, at)

        self.coders[LJ92] = partial(_gray, lj92)
        decode = partial(_decoder_of_bytes, imagecodecs.ljpeg_decode)
        self.decoders[LJ92] = partial(_gray, decode)
        self.decoders[SOF3] = partial(_decoder_of_bytes, imagecodecs.jpegsof3_decode)

    def _charls(self, imagecodecs: Any, _predictor: int) -> None:
        def coder(at: Layout) -> Way:  # it writes the precision of the array, not BitsStored
            into = bytearray(2 * at.frame_bytes + 1024)  # the room it makes is too small for noise
            return _coder_of_arrays(partial(imagecodecs.jpegls_encode, out=into), at)

        self.coders[CHARLS] = coder
        self.decoders[CHARLS] = partial(_decoder_of_bytes, imagecodecs.jpegls_decode)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: skipped", file=sys.stderr)
        return None


def versions() -> str:
    """Return the versions of the packages that are here, and of the libraries in imagecodecs."""
    known = []
    for name in PACKAGES:
        try:
            known.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if imagecodecs := _module("imagecodecs"):
        inside = imagecodecs.version(dict)
        names = ("libjpeg_turbo", "liblj92", "jpegsof3", "charls")
        known.append("in imagecodecs: " + ", ".join(f"{each} {inside[each]}" for each in names))
    return "; ".join(known)
