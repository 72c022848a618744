"""JPEG 2000 Part 1 (ISO/IEC 15444-1) by OpenJPEG: bare codestreams, no JP2 header (PS3.5 A.4.4).

imagecodecs codes and decodes, and releases the GIL: two threads ran 1.95 times as fast as one
(OpenJPEG's own threads are off). It writes BitsStored and the sign into the codestream. It codes to
a quality, not to a ratio: that is left to pylibjpeg-openjpeg, which also decodes where imagecodecs
is absent or fails. It holds the GIL, and lets go of it while it writes, and 2.6.0 crashes where
another thread then calls it: all calls wait for one another.

RGB is coded with the multiple component transform, as YBR_RCT or YBR_ICT, and comes back as RGB;
YBR_FULL is coded without and comes back as YBR_FULL. Streams whose sign is not the data set's are
read as pydicom 3 does: by their bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs.backends import IMAGECODECS, OPENJPEG, Backend
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, full_width, number
from dicomloom.errors import UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

# What OpenJPEG brings back right; PS3.5 Table 8.2.4-1 goes up to 38 bits in 40.
_ALLOCATED = (1, 8, 16, 32)
_STORED = (1, 24)
_LOSSY_STORED = 16


def undone(layout: Layout) -> Layout:
    """Return a layout behind the inverse component transform."""
    if layout.photometric in ("YBR_RCT", "YBR_ICT"):
        return layout.replace(planar=0, photometric="RGB")
    return full_width(layout)


def check_lossy(keyword: str, source: Layout) -> None:
    """Raise UnsupportedError for frames that make no sense with loss."""
    if not 8 <= source.bits_stored <= _LOSSY_STORED:
        raise UnsupportedError(
            f"{keyword} with loss holds BitsStored 8 to {_LOSSY_STORED}, found "
            f"{source.bits_stored}: leave out quality and ratio"
        )


class JPEG2000Lossless(LibraryCodec):
    """Reversible wavelet and component transform."""

    keyword = "JPEG2000Lossless"
    uid = "1.2.840.10008.1.2.4.90"
    bits = "1 to 24"
    readers = (IMAGECODECS, OPENJPEG)
    writers: ClassVar[tuple[Backend, ...]] = (IMAGECODECS,)
    readable = _ALLOCATED
    holds: ClassVar[Holds] = Holds(
        _ALLOCATED, _STORED, True, (*MONOCHROME, PALETTE, "RGB", "YBR_FULL")
    )

    def decoded(self, layout: Layout) -> Layout:
        """Return the layout with RGB where a component transform is undone."""
        return undone(layout)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        code = self._coder(source, 0)
        rgb = source.photometric == "RGB"
        layout = source.replace(photometric="YBR_RCT") if rgb else source
        return LibraryEncoder(source, layout, code)

    def _coder(self, source: Layout, quality: float) -> Any:
        encode = IMAGECODECS.load(f"{self.keyword}: coding").jpeg2k_encode
        settings = {
            "level": quality,
            "codecformat": "j2k",
            "bitspersample": source.bits_stored,
            "reversible": not quality,
            "mct": source.photometric == "RGB",
            "numthreads": 1,
        }

        def code(array: Array) -> Buffer:
            coded: bytes = encode(array, **settings)
            return coded

        return code

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode."""
        library = backend.load(f"{self.keyword}: decoding")
        decoded: Array
        if backend is OPENJPEG:
            with OPENJPEG.lock:
                decoded = library.decode(bytes(data))
        else:
            decoded = library.jpeg2k_decode(data, planar=False, numthreads=1)
        return decoded, bool(found.details["signed"])


class JPEG2000(JPEG2000Lossless):
    """With loss or without, as PS3.5 A.4.4 leaves to the sender.

    Options, one of them: ``quality``, the ratio of peak signal to noise to reach, in dB, 40 to 60
    being usual; ``ratio``, of the size of a raw frame to that of a coded one. Without either
    nothing is lost, and the frames are not called lossy.
    """

    keyword = "JPEG2000"
    method = "ISO_15444_1"
    uid = "1.2.840.10008.1.2.4.91"
    lossless = False
    options = ("quality", "ratio")
    writers: ClassVar[tuple[Backend, ...]] = (IMAGECODECS, OPENJPEG)
    holds: ClassVar[Holds] = Holds(
        _ALLOCATED,
        _STORED,
        True,
        (*MONOCHROME, "RGB", "YBR_FULL"),
        {PALETTE: "use JPEG2000Lossless"},
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        quality = number(options, "quality", 1.0, 200.0, None)
        ratio = number(options, "ratio", 1.0, 10000.0, None)
        if quality is None and ratio is None:
            return super().make(source, options)
        if quality is not None and ratio is not None:
            raise ValueError(f"{self.keyword} takes quality or ratio, not both")
        check_lossy(self.keyword, source)
        rgb = source.photometric == "RGB"
        if ratio is None:
            code, words = self._coder(source, quality), f"at {quality:g} dB"
        else:
            code, words = self._ratio_coder(source, ratio), f"at a ratio of {ratio:g}"
        return LibraryEncoder(
            source,
            source.replace(photometric="YBR_ICT") if rgb else source,
            code,
            method=self.method,
            description=f"JPEG 2000 {words}",
        )

    def _ratio_coder(self, source: Layout, ratio: float) -> Any:
        encode = OPENJPEG.load(f"{self.keyword}: coding to a ratio").encode_array
        rgb = source.photometric == "RGB"
        # The library counts the bits that are stored, a file those that are allocated.
        of_stored = max(ratio * source.bits_stored / source.bits_allocated, 1.0)
        settings = {
            "bits_stored": source.bits_stored,
            "photometric_interpretation": 1 if rgb else 3 if source.samples == 3 else 2,
            "use_mct": rgb,
            "compression_ratios": [of_stored],
            "codec_format": 0,
        }

        def code(array: Array) -> Buffer:
            with OPENJPEG.lock:
                coded: bytes = encode(array, **settings)
            return coded

        return code
