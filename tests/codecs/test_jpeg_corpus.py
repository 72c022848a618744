"""Every JPEG Lossless and JPEG-LS frame of the corpus, as two others decode it, and coded again.

test_corpus.py holds the first frames against pydicom by way of the registry; these are all frames,
by the codecs themselves.
"""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomloom._native.codecs import (
    JPEGLosslessDecoder,
    JPEGLosslessEncoder,
    JPEGLSDecoder,
    JPEGLSEncoder,
)
from dicomloom.codecs import bitstream
from jpeg_peers import by_charls, by_libjpeg, by_turbo
from support import manifest, readable

LOSSLESS = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
LS = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
KINDS = {
    "JPEG Lossless": (LOSSLESS, JPEGLosslessDecoder, JPEGLosslessEncoder, by_turbo),
    "JPEG-LS": (LS, JPEGLSDecoder, JPEGLSEncoder, by_charls),
}


def streams(corpus, syntaxes):
    """Names, and codestreams."""
    known = set(readable(corpus))
    for row in manifest(corpus):
        if row["transfer_syntax"] in syntaxes and row["file"] in known and row["rows"]:
            found = pydicom.dcmread(corpus / row["file"], force=True)
            count = int(found.get("NumberOfFrames", 1) or 1)
            for i, data in enumerate(generate_frames(found.PixelData, number_of_frames=count)):
                yield f"{row['file']}, frame {i}", data
    part = "*JPEG_Lossless*.jpg" if syntaxes is LOSSLESS else "*.jls"
    for path in sorted((corpus / "codestreams").rglob(part)):
        yield path.name, path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame(corpus, kind):
    syntaxes, decoder, encoder, other = KINDS[kind]
    seen = 0
    for name, data in streams(corpus, syntaxes):
        says = bitstream.describe(data, syntaxes[0])
        shape = says.rows, says.columns, says.samples
        size = 1 if says.bits <= 8 else 2
        arguments = (*shape, size, says.bits, False)
        raw = bytes(decoder().decode(data, *arguments))
        found = np.frombuffer(raw, f"<u{size}").reshape(shape)
        assert (found == by_libjpeg(data, shape)).all(), name
        assert (found == other(data, shape)).all(), name
        again = b"".join(map(bytes, encoder(*arguments).encode(raw)))
        assert bytes(decoder().decode(again, *arguments)) == raw, name
        seen += 1
    assert seen >= (14 if syntaxes is LOSSLESS else 43)
