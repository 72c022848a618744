"""High-throughput JPEG 2000 (ISO/IEC 15444-15) by OpenJPH: bare codestreams, progression RPCL.

imagecodecs codes and decodes, and releases the GIL: two threads ran 1.9 times as fast as one.
pylibjpeg-openjpeg, one thread at a time, decodes where imagecodecs is absent or fails.

imagecodecs writes the precision of the container, not BitsStored. Where they differ the samples are
moved so that the coder sees what one of BitsStored would see, and the precision in the header
(Ssiz) is set right: reversibly coded unsigned samples are raised by the difference of the two DC
level shifts (15444-1 G.1), signed ones need nothing; irreversibly coded ones are scaled to the full
range, as quantizer steps are relative to it (15444-1 E.1). Exponents and magnitude bounds in the
header stay those of the container, which they may: they are upper bounds.

OpenJPH lets irreversibly coded samples reach one more than their range, which turns white into
black where they fill their container. Such streams are decoded to more bits, then rounded and
clipped here.

Where OpenJPH finds damage within a codestream, imagecodecs 2026.3.6 prints an error, raises none,
and gives a frame whose remaining rows are zero. A frame whose last row is zero is therefore decoded
once more as if its sign were the other: true zeros then come out as something else.

More than 16 bits are read, but not written: no second library would read them. Color as in JPEG
2000. OpenJPH fills up a stream that was cut off: one whose tile-parts end beyond its bytes is
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs.backends import IMAGECODECS, OPENJPEG, Backend
from dicomloom.codecs.headers import jpeg2000 as header
from dicomloom.codecs.jpeg2000 import check_lossy, undone
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number
from dicomloom.errors import TruncatedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

_SSIZ = 42  # of the first component, behind SOC and the fixed part of SIZ; 3 bytes a component
_BASE = 64  # most rows and columns of the least resolution, PS3.5 10.18
_BY_RESOLUTION = 1  # a tile-part each


class HTJ2KLossless(LibraryCodec):
    """Reversible wavelet and component transform."""

    keyword = "HTJ2KLossless"
    uid = "1.2.840.10008.1.2.4.201"
    bits = "1 to 16"
    readers = (IMAGECODECS, OPENJPEG)
    writers = (IMAGECODECS,)
    readable = (1, 8, 16, 32)
    holds: ClassVar[Holds] = Holds(
        (1, 8, 16), (1, 16), True, (*MONOCHROME, PALETTE, "RGB", "YBR_FULL")
    )

    def decoded(self, layout: Layout) -> Layout:
        """Return the layout with RGB where a component transform is undone."""
        return undone(layout)

    def whole(self, data: memoryview) -> None:
        """Raise TruncatedError where a tile-part is not all there."""
        at = header.cut_off(data)
        if at is not None:
            raise TruncatedError(
                f"expected an HTJ2K codestream that goes on at byte {at}, found {data.nbytes} "
                "bytes: the frame is cut off"
            )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        rgb = source.photometric == "RGB"
        layout = source.replace(photometric="YBR_RCT") if rgb else source
        return LibraryEncoder(source, layout, self._coder(source, {"reversible": True}))

    def _coder(self, source: Layout, settings: dict[str, Any]) -> Any:
        encode = IMAGECODECS.load(f"{self.keyword}: coding").htj2k_encode
        settings = {"rgb": source.photometric == "RGB", "resolutions": 5, **settings}
        reversible = settings["reversible"]
        precision = source.bits_stored

        def code(array: Array) -> Buffer:
            width = 8 * array.dtype.itemsize
            if precision == width:
                coded: bytes = encode(array, **settings)
                return coded
            if not reversible:
                array = array << (width - precision)
            elif not source.signed:
                raised = (1 << width - 1) - (1 << precision - 1)
                array = array + array.dtype.type(raised)
            patched = bytearray(encode(array, **settings))
            _say_precision(patched, source.samples, precision)
            return patched

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
            decoded = _decode(library, data, found)
        return decoded, bool(found.details["signed"])


def _say_precision(codestream: bytearray, samples: int, precision: int, start: int = 0) -> None:
    """Set the precision of all components (Ssiz, 15444-1 A.5.1); their sign stays."""
    for at in range(start + _SSIZ, start + _SSIZ + 3 * samples, 3):
        codestream[at] = codestream[at] & 0x80 | precision - 1


def _decode(library: Any, data: memoryview, found: Description) -> Array:
    """Decode by imagecodecs; see the module's docstring for what has to be worked around."""
    import numpy as np

    bits, samples = found.bits or 8, found.samples or 1
    at = header.start(bytes(data[: 64 * 1024]))
    wide: Array
    if found.details.get("reversible", True):
        more = 0
        wide = library.htj2k_decode(data, planar=False)
    else:
        more = 4
        widened = bytearray(data)
        _say_precision(widened, samples, bits + more, at)
        wide = library.htj2k_decode(widened, planar=False)
    if not _last_row(wide).any():
        other = bytearray(data)
        for component in range(at + _SSIZ, at + _SSIZ + 3 * samples, 3):
            other[component] ^= 0x80
        if not _last_row(library.htj2k_decode(other, planar=False)).any():
            raise ValueError("OpenJPH gave up within the frame")
    if not more:
        return wide
    low = -(1 << bits - 1) if found.details["signed"] else 0
    rounded: Array = wide.astype(np.int64) + (1 << more - 1) >> more
    return np.clip(rounded, low, low + (1 << bits) - 1)


def _last_row(array: Array) -> Array:
    """Return what is decoded last: of several components, the last one's."""
    row: Array = array[-1, ..., -1] if array.ndim == 3 else array[-1]
    return row


class HTJ2KLosslessRPCL(HTJ2KLossless):
    """Reversible, and arranged for thumbnails and streaming (PS3.5 10.18).

    Progression RPCL, tile-part lengths (TLM), a tile-part a resolution, and as many decompositions
    as bring the least resolution down to 64 rows and columns.
    """

    keyword = "HTJ2KLosslessRPCL"
    uid = "1.2.840.10008.1.2.4.202"

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        rgb = source.photometric == "RGB"
        layout = source.replace(photometric="YBR_RCT") if rgb else source
        levels = 5
        while max(source.rows, source.columns) > _BASE << levels:
            levels += 1
        settings = {
            "reversible": True,
            "tlm": True,
            "tilepart": _BY_RESOLUTION,
            "resolutions": levels,
        }
        return LibraryEncoder(source, layout, self._coder(source, settings))


class HTJ2K(HTJ2KLossless):
    """With loss or without, as PS3.5 10.18 leaves to the sender.

    Options: ``quality``, the ratio of peak signal to noise to aim at, in dB, 40 to 60 being usual:
    it sets a quantizer step that would give that much, and gives some dB less where details fall
    below it. Without it nothing is lost, and the frames are not called lossy.
    """

    keyword = "HTJ2K"
    method = "ISO_15444_15"
    uid = "1.2.840.10008.1.2.4.203"
    lossless = False
    options = ("quality",)
    holds: ClassVar[Holds] = Holds(
        (1, 8, 16),
        (1, 16),
        True,
        (*MONOCHROME, "RGB", "YBR_FULL"),
        {PALETTE: "use HTJ2KLossless"},
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        quality = number(options, "quality", 10.0, 120.0, None)
        if quality is None:
            return super().make(source, options)
        check_lossy(self.keyword, source)
        # A uniform quantizer of step s has an error of s / sqrt(12).
        step = 12**0.5 * 10 ** (-quality / 20)
        rgb = source.photometric == "RGB"
        return LibraryEncoder(
            source,
            source.replace(photometric="YBR_ICT") if rgb else source,
            self._coder(source, {"reversible": False, "level": min(step, 0.5)}),
            method=self.method,
            description=f"HTJ2K at about {quality:g} dB",
        )
