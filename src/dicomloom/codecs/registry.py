"""Every transfer syntax that is coded or decoded here, by keyword or UID."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import UnsupportedError

if TYPE_CHECKING:
    from dicomloom.codecs.base import Codec


class Entry(NamedTuple):
    """Where a codec lives: class `keyword` of ``dicomloom.codecs.<module>``."""

    keyword: str
    uid: str
    name: str
    module: str


class Row(NamedTuple):
    """One transfer syntax as `table` shows it."""

    keyword: str
    uid: str
    name: str
    reads: list[str]
    """What decodes it here, the first choice first; empty where nothing does."""
    writes: list[str]
    """What codes it here."""
    bits: str
    lossless: bool
    options: tuple[str, ...]
    extras: list[str]
    """Extras of dicomloom that would bring libraries for it that are not installed; none where
    dicomloom codes and decodes it itself."""


# PS3.6 Table A-1, with pydicom's keywords.
_ENTRIES = tuple(
    Entry(keyword, "1.2.840.10008.1.2" + suffix, name, module)
    for keyword, suffix, name, module in (
        ("ImplicitVRLittleEndian", "", "Implicit VR Little Endian", "native"),
        ("ExplicitVRLittleEndian", ".1", "Explicit VR Little Endian", "native"),
        (
            "EncapsulatedUncompressedExplicitVRLittleEndian",
            ".1.98",
            "Encapsulated Uncompressed Explicit VR Little Endian",
            "native",
        ),
        ("DeflatedExplicitVRLittleEndian", ".1.99", "Deflated Explicit VR Little Endian", "native"),
        ("ExplicitVRBigEndian", ".2", "Explicit VR Big Endian (retired)", "native"),
        ("DeflatedImageFrameCompression", ".8.1", "Deflated Image Frame Compression", "deflated"),
        ("RLELossless", ".5", "RLE Lossless", "rle"),
        ("JPEGBaseline8Bit", ".4.50", "JPEG Baseline (Process 1)", "jpeg"),
        ("JPEGExtended12Bit", ".4.51", "JPEG Extended (Process 2 & 4)", "jpeg"),
        (
            "JPEGSpectralSelectionNonHierarchical68",
            ".4.53",
            "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8, retired)",
            "jpeg",
        ),
        (
            "JPEGFullProgressionNonHierarchical1012",
            ".4.55",
            "JPEG Full Progression, Non-Hierarchical (Process 10 & 12, retired)",
            "jpeg",
        ),
        (
            "JPEGLossless",
            ".4.57",
            "JPEG Lossless, Non-Hierarchical (Process 14)",
            "jpeg_lossless",
        ),
        (
            "JPEGLosslessSV1",
            ".4.70",
            "JPEG Lossless, Non-Hierarchical, First-Order Prediction",
            "jpeg_lossless",
        ),
        ("JPEGLSLossless", ".4.80", "JPEG-LS Lossless", "jpeg_ls"),
        ("JPEGLSNearLossless", ".4.81", "JPEG-LS Lossy (Near-Lossless)", "jpeg_ls"),
        ("JPEG2000Lossless", ".4.90", "JPEG 2000 (Lossless Only)", "jpeg2000"),
        ("JPEG2000", ".4.91", "JPEG 2000", "jpeg2000"),
        ("JPEGXLLossless", ".4.110", "JPEG XL Lossless", "jpegxl"),
        ("JPEGXLJPEGRecompression", ".4.111", "JPEG XL JPEG Recompression", "jpegxl"),
        ("JPEGXL", ".4.112", "JPEG XL", "jpegxl"),
        ("HTJ2KLossless", ".4.201", "High-Throughput JPEG 2000 (Lossless Only)", "htj2k"),
        (
            "HTJ2KLosslessRPCL",
            ".4.202",
            "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)",
            "htj2k",
        ),
        ("HTJ2K", ".4.203", "High-Throughput JPEG 2000", "htj2k"),
    )
)


def entries() -> tuple[Entry, ...]:
    """Return all transfer syntaxes, without loading what codes them."""
    return _ENTRIES


def entry(syntax: str) -> Entry:
    """Return keyword, UID, name and module of a transfer syntax, without loading what codes it.

    Raises
    ------
    UnsupportedError
        As `find` does.
    """
    wanted = str(syntax).strip().rstrip("\0")
    for known in _ENTRIES:
        if wanted in (known.uid, known.keyword):
            return known
    folded = wanted.casefold()
    for known in _ENTRIES:
        if folded == known.keyword.casefold():
            return known
    raise UnsupportedError(_unknown(wanted))


def find(syntax: str) -> Codec:
    """Return the codec of a transfer syntax.

    Parameters
    ----------
    syntax : str or pydicom.uid.UID
        Its keyword or its UID. Keywords are read without regard to case.

    Raises
    ------
    UnsupportedError
        There is no such transfer syntax, or none that codes single frames; the message names those
        that are written alike.

    Examples
    --------
    >>> from dicomloom.codecs import registry
    >>> registry.find("1.2.840.10008.1.2.4.90").keyword
    'JPEG2000Lossless'
    >>> registry.find("jpeg2000lossless").uid
    '1.2.840.10008.1.2.4.90'
    """
    known = entry(syntax)
    from importlib import import_module

    module = import_module(f"dicomloom.codecs.{known.module}")
    made: Codec = getattr(module, known.keyword)()
    return made


def table() -> list[Row]:
    """Return what can be read and written here, one row a transfer syntax.

    Libraries are looked for, but not imported, except pydicom where nothing else reads a syntax.
    """
    from dicomloom.codecs.library import LibraryCodec

    rows = []
    for known in _ENTRIES:
        codec = find(known.uid)
        rows.append(
            Row(
                known.keyword,
                known.uid,
                known.name,
                codec.reads(),
                codec.writes(),
                codec.bits,
                codec.lossless,
                codec.options,
                codec.missing() if isinstance(codec, LibraryCodec) else [],
            )
        )
    return rows


def _unknown(wanted: str) -> str:
    from difflib import get_close_matches

    if wanted[:1].isdigit():
        near = get_close_matches(wanted, [known.uid for known in _ENTRIES], 3, 0.9)
        near = [f"{uid} ({entry(uid).keyword})" for uid in near]
    else:
        folded = {known.keyword.casefold(): known.keyword for known in _ENTRIES}
        near = [folded[key] for key in get_close_matches(wanted.casefold(), list(folded), 3, 0.6)]
    hint = f"did you mean {' or '.join(near)}?" if near else "`dicomloom codecs` lists them"
    return f"{wanted!r} is no transfer syntax whose frames are coded or decoded here: {hint}"
