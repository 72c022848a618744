"""What a codec is: the classes that each family of transfer syntaxes fills in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout


class Encoder:
    """Codes frames of one layout for one transfer syntax; belongs to one thread at a time.

    Attributes
    ----------
    source : Layout
        What `encode` takes; always color by pixel.
    layout : Layout
        What the data set has to say of the coded frames: photometric interpretation and planar
        configuration as the codec really wrote them.
    lossy : bool
    method : str or None
        LossyImageCompressionMethod (PS3.3 C.7.6.1.1.5) where `lossy`.
    description : str
        What was done and with which options, for DerivationDescription; empty where not `lossy`.
    """

    source: Layout
    layout: Layout
    lossy: bool = False
    method: str | None = None
    description: str = ""

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Code one frame of `source.frame_bytes` bytes.

        Returns
        -------
        sequence of buffers
            The bitstream in pieces, to be written one behind the other. Valid until the next call.
        """
        raise NotImplementedError

    def bound(self) -> int:
        """Return how many bytes a coded frame has at most."""
        raise NotImplementedError


class RowEncoder(Encoder):
    """An encoder that takes a frame in bands of rows, so that no whole raw frame need be in memory.

    `begin`; then `count` with all bands where there are two passes; then `rows` with all of them;
    then `end`. `encode` does the same with a whole frame. What is returned are views of what the
    encoder holds: as long as one of them is in use, the next frame cannot begin (BufferError).

    Attributes
    ----------
    passes : int
        1, or 2 where all rows are counted before the first is coded.
    """

    passes: int = 1

    def begin(self) -> None:
        """Begin a frame; drops one that was not ended."""
        raise NotImplementedError

    def count(self, data: Buffer) -> None:
        """Count what occurs in the next rows, where there are two passes."""
        raise NotImplementedError

    def rows(self, data: Buffer) -> None:
        """Code the next rows, any number of whole ones."""
        raise NotImplementedError

    def end(self) -> Sequence[Buffer]:
        """Return what `encode` does, once all rows were given."""
        raise NotImplementedError


class Decoder:
    """Decodes frames of one transfer syntax; may be used from many threads at once.

    Attributes
    ----------
    layout : Layout
        What `decode` gives: color by pixel, and RGB where the codec undid a color transform.
    expansion : int or None
        How many bytes one coded byte becomes at most; None where nobody can tell.
    """

    layout: Layout
    expansion: int | None = None

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Decode one frame.

        Parameters
        ----------
        data : buffer
            The whole bitstream of the frame, perhaps padded.
        into : writable buffer of layout.frame_bytes bytes, optional
            Where to put it.

        Returns
        -------
        buffer
            `into`, or a new buffer of that size.

        Raises
        ------
        CorruptError, UnsupportedError
            The message says what was expected and what was found.
        """
        raise NotImplementedError


class Codec:
    """A transfer syntax, and what codes and decodes its frames.

    Attributes
    ----------
    keyword, uid : str
        As pydicom and PS3.6 have them.
    lossless : bool
        Whether every frame it writes is what was given.
    method : str or None
        LossyImageCompressionMethod of what it loses (PS3.3 C.7.6.1.1.5.1); None where it loses
        nothing.
    options : tuple of str
        Names of the options that `encoder` takes.
    bits : str
        Bits a sample that it can hold, for people: ``"8, 16"``.
    keeps_unused_bits : bool
        Whether its frames hold all bits that are allocated, those above BitsStored too, which are
        no part of a sample (PS3.5 8.1.1). Other codestreams have a precision of their own.
    """

    keyword: str
    uid: str
    lossless: bool = True
    method: str | None = None
    options: tuple[str, ...] = ()
    bits: str = ""
    keeps_unused_bits: bool = False

    def reads(self) -> list[str]:
        """Return what can decode it here, the first choice first."""
        raise NotImplementedError

    def writes(self) -> list[str]:
        """Return what can code it here, the first choice first."""
        raise NotImplementedError

    def writable(self) -> bool:
        """Whether anything codes it here."""
        return bool(self.writes())

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Return an encoder for frames of a layout, for one thread.

        Raises
        ------
        UnsupportedError
            The syntax cannot hold such frames, or nothing is known that writes it.
        MissingDependencyError
            A library would; the message names the extra that brings it.
        TypeError
            An option that this codec does not take.
        """
        raise NotImplementedError

    def decoder(self, layout: Layout) -> Decoder:
        """Return a decoder for frames of which the data set says `layout`."""
        raise NotImplementedError

    def recoder_from(self, source: str) -> Callable[[Buffer], Buffer] | None:
        """Return what makes coded frames of this syntax from those of another, losing nothing.

        Parameters
        ----------
        source : str
            UID of the other transfer syntax.

        Returns
        -------
        callable or None
            From bitstream to bitstream; None where frames have to be decoded.
        """
        return None

    def recoder_to(self, target: str) -> Callable[[Buffer], Buffer] | None:
        """Return the way back: from coded frames of this syntax to those of another."""
        return None
