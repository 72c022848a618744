"""What the pixels of one frame look like: `Layout`."""

from __future__ import annotations

# Cb and Cr at half the width: two samples a pixel in native pixel data (PS3.3 C.7.6.3.1.2).
SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")


class Layout:
    """The Image Pixel attributes (PS3.3 C.7.6.3) of one frame.

    Attributes
    ----------
    rows, columns : int
    samples : int
        SamplesPerPixel.
    bits_allocated, bits_stored : int
    signed : bool
        PixelRepresentation is 1.
    photometric : str
        PhotometricInterpretation.
    planar : int
        PlanarConfiguration: 0 by pixel, 1 by plane; 0 where there is one sample.
    floating : bool
        The frame is Float or Double Float Pixel Data.

    Notes
    -----
    Between reader, codecs and writer a frame is one contiguous buffer of `frame_bytes` bytes in
    little endian, color by pixel (planar 0) unless the layout says otherwise. One-bit pixels are
    packed eight to a byte, the first in the least significant bit (PS3.5 8.1.1), each frame
    beginning with a byte of its own. YBR_FULL_422 frames hold Cb and Cr at half the width (PS3.3
    C.7.6.3.1.2).
    """

    __slots__ = (
        "bits_allocated",
        "bits_stored",
        "columns",
        "floating",
        "photometric",
        "planar",
        "rows",
        "samples",
        "signed",
    )

    def __init__(
        self,
        rows: int,
        columns: int,
        *,
        samples: int = 1,
        bits_allocated: int = 8,
        bits_stored: int | None = None,
        signed: bool = False,
        photometric: str = "MONOCHROME2",
        planar: int = 0,
        floating: bool = False,
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.samples = samples
        self.bits_allocated = bits_allocated
        self.bits_stored = bits_allocated if bits_stored is None else bits_stored
        self.signed = signed
        self.photometric = photometric
        self.planar = planar
        self.floating = floating

    def replace(self, **changes: object) -> Layout:
        """Return a copy with some attributes changed."""
        made = Layout.__new__(Layout)
        for name in self.__slots__:
            setattr(made, name, changes.pop(name, getattr(self, name)))
        if changes:
            raise TypeError(f"Layout has no {', '.join(changes)}")
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Layout(" + ", ".join(f"{n}={getattr(self, n)!r}" for n in self.__slots__) + ")"

    @property
    def frame_bits(self) -> int:
        """Bits of one frame in native pixel data."""
        samples = 2 if self.photometric in SUBSAMPLED else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame that begins with a byte of its own."""
        return (self.frame_bits + 7) // 8

    @property
    def full_bytes(self) -> int:
        """Bytes of one frame with all samples of all pixels, halved chroma counted in full."""
        return (self.rows * self.columns * self.samples * self.bits_allocated + 7) // 8

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a frame that is stored color by pixel."""
        return self.frame_bytes // self.rows if self.rows else 0

    @property
    def dtype(self) -> str:
        """The numpy dtype of a sample as reading gives it, such as ``"<u2"``; one bit gives u1."""
        # A single bit has no sign, whatever PixelRepresentation says.
        kind = "f" if self.floating else "i" if self.signed and self.bits_allocated > 1 else "u"
        return f"<{kind}{max(self.bits_allocated // 8, 1)}"

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, columns)``, or ``(rows, columns, samples)`` where there are several."""
        if self.samples == 1:
            return (self.rows, self.columns)
        return (self.rows, self.columns, self.samples)
