"""Other people's codecs of JPEG Lossless and JPEG-LS, each as a function of the same kind.

What they cannot do was found by holding them against one another and against the plain makers:

imagecodecs 2026.3.6
    jpeg8 (libjpeg-turbo 3.1) knows no DNL, no factors of 2 x 2 in interleaved scans, and decodes
    one scan a component with such factors wrongly. It converts what a JFIF or Adobe header calls
    YCbCr. Point transforms are undone, as they should be.
    jpegsof3 and ljpeg (lj92) read neither several scans, restart intervals, fill bytes nor DNL.
    With a point transform jpegsof3 leaves samples shifted, lj92 predicts the first one wrongly.
    lj92 wants a DHT segment for each table.
    jpegls (CharLS 2.4) wants the marker EOI and components in their order, and knows no DNL,
    mapping tables or point transform, nor scans of some of the components. A MAXVAL that is not
    2**P - 1 ends in an error or in wrong samples.
pyjpegls 1.5 (CharLS 2.4.2)
    codes four components by sample without loss so that nobody, itself included, reads them:
    the samples that interrupt runs are wrong. CharLS 2.4.3 has that mended.
pylibjpeg-libjpeg 2.5
    decodes streams with a point transform, of both kinds, to other samples. No DNL with one
    component of JPEG Lossless, and not always with three. No empty comments. In an LSE segment it
    takes 0 for a parameter, not for its default, and of LSE segments it knows type 1 alone.
"""

from __future__ import annotations

import numpy as np

from support import peer_module


def _shaped(found, shape):
    found = np.asarray(found)
    assert found.size == np.prod(shape), (found.shape, shape)
    return found.reshape(shape)


def by_libjpeg(data, shape):
    peer_module("pylibjpeg")
    return _shaped(peer_module("libjpeg").decode(data, colour_transform=0), shape)


def by_turbo(data, shape):
    # A color space that says nothing keeps it from converting.
    space = {"colorspace": 2, "outcolorspace": 2} if shape[2:] == (3,) else {}
    return _shaped(peer_module("imagecodecs").jpeg8_decode(data, **space), shape)


def by_sof3(data, shape):
    return _shaped(peer_module("imagecodecs").jpegsof3_decode(data), shape)


def by_lj92(data, shape):
    return _shaped(peer_module("imagecodecs").ljpeg_decode(data), shape)


def by_charls(data, shape):
    return _shaped(peer_module("imagecodecs").jpegls_decode(data), shape)


def turbo_codes(pixels, bits, predictor):
    """libjpeg-turbo's own JPEG Lossless, with the tables that are best."""
    encode = peer_module("imagecodecs").jpeg8_encode
    return encode(pixels, lossless=True, predictor=predictor, bitspersample=bits, optimize=True)


def charls_codes(pixels, bits, near, interleave):
    """CharLS's JPEG-LS by pyjpegls, which wants room for what it writes in what it reads."""
    peer_module("jpeg_ls")
    encode = peer_module("_CharLS")._encode
    rows, columns, *samples = pixels.shape
    planes = pixels if interleave or not samples else pixels.transpose(2, 0, 1)
    frame = planes.tobytes()
    frame += bytes(2 * len(frame) + 1024)
    return bytes(encode(frame, near, interleave, rows, columns, *(samples or [1]), bits))
