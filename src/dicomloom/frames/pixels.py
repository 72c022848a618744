"""The Image Pixel module (PS3.3 C.7.6.3) as a `Layout`, and back."""

from __future__ import annotations

from dicomloom.codecs.layout import Layout
from dicomloom.errors import CorruptError
from dicomloom.frames.header import DOUBLE_PIXELS, FLOAT_PIXELS, PIXELS, Header, tag_of

PHOTOMETRIC_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_PARTIAL_420": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
    "HSV": 3,
    "ARGB": 4,
    "CMYK": 4,
    "XYB": 3,
}
_BITS = (1, 8, 16, 32, 64)
_MOST = 65535  # US

# The attributes of a Layout, and the keyword that the data set has for each.
KEYWORDS = {
    "rows": "Rows",
    "columns": "Columns",
    "samples": "SamplesPerPixel",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "signed": "PixelRepresentation",
    "photometric": "PhotometricInterpretation",
    "planar": "PlanarConfiguration",
}


def declared(header: Header) -> dict[str, int | str]:
    """Return what a header says of its pixels, by the names of `KEYWORDS`."""
    found: dict[str, int | str] = {}
    for name, keyword in KEYWORDS.items():
        value = header.text(keyword) if name == "photometric" else header.number(keyword)
        if value is not None:
            found[name] = value
    return found


def impossible(found: dict[str, int | str]) -> str | None:
    """Return which attribute is missing or says what no image can have; None if all is well."""

    def wrong(name: str, rule: str) -> str:
        return f"{KEYWORDS[name]} must be {rule}, found {found.get(name, 'absent')}"

    for name in ("rows", "columns", "bits_allocated"):
        if name not in found:
            return wrong(name, "present (PS3.3 C.7.6.3)")
    for name in ("rows", "columns"):
        if not 1 <= int(found[name]) <= _MOST:
            return wrong(name, f"1 to {_MOST}")
    if not 1 <= int(found.get("samples", 1)) <= 4:
        return wrong("samples", "1 to 4")
    bits = int(found["bits_allocated"])
    if bits not in _BITS:
        return wrong("bits_allocated", " or ".join(map(str, _BITS)))
    if not 1 <= int(found.get("bits_stored") or bits) <= bits:
        return wrong("bits_stored", f"1 to BitsAllocated, which is {bits}")
    return None


def layout_of(header: Header, pixel_tag: int) -> Layout:
    """Return the layout of the frames of an object.

    Raises
    ------
    CorruptError
        An attribute is missing or says what cannot be; the message names it and its value.
    """
    found = declared(header)
    floating = pixel_tag in (FLOAT_PIXELS, DOUBLE_PIXELS)
    if floating:
        found["bits_allocated"] = found["bits_stored"] = 32 if pixel_tag == FLOAT_PIXELS else 64
        found["signed"] = 0

    trouble = impossible(found)
    if trouble:
        tag, _ = tag_of(trouble.partition(" ")[0])
        raise CorruptError(trouble, path=header.path, tag=tag)
    rows, columns = int(found["rows"]), int(found["columns"])
    samples, bits = int(found.get("samples", 1)), int(found["bits_allocated"])
    stored = int(found.get("bits_stored") or bits)
    photometric = str(found.get("photometric", "MONOCHROME2" if samples == 1 else "RGB"))
    return Layout(
        rows,
        columns,
        samples=samples,
        bits_allocated=bits,
        bits_stored=stored,
        signed=int(found.get("signed", 0)) == 1,
        photometric=photometric,
        planar=int(found.get("planar", 0)) if samples > 1 else 0,
        floating=floating,
    )


def frames_of(header: Header) -> int:
    """Return NumberOfFrames, which is 1 where it is absent or 0."""
    count = header.number("NumberOfFrames")
    if count is not None and not 0 <= count < 1 << 31:  # IS, PS3.5 6.2
        raise CorruptError(
            f"NumberOfFrames must be 1 to {(1 << 31) - 1}, found {count}",
            path=header.path,
            tag=tag_of("NumberOfFrames")[0],
        )
    return count or 1


def pixel_tag_of(layout: Layout) -> int:
    """Return the element that holds such pixels: Pixel Data, or Float or Double Float ones."""
    if not layout.floating:
        return PIXELS
    return FLOAT_PIXELS if layout.bits_allocated == 32 else DOUBLE_PIXELS


def put_layout(header: Header, layout: Layout, *, copied: bool = False) -> None:
    """Write a layout into a header; what it says already stays byte for byte.

    `copied`: the frames are passed on as they are stored. HighBit, which no layout has, is then
    what it was: it may say that the samples lie in other bits than the lowest.
    """
    put_number(header, "SamplesPerPixel", layout.samples)
    if header.text("PhotometricInterpretation") != layout.photometric:
        header.put("PhotometricInterpretation", layout.photometric)
    put_number(header, "Rows", layout.rows)
    put_number(header, "Columns", layout.columns)
    put_number(header, "BitsAllocated", layout.bits_allocated)
    if layout.floating:
        header.remove("BitsStored", "HighBit", "PixelRepresentation")
    else:
        put_number(header, "BitsStored", layout.bits_stored)
        if not copied or "HighBit" not in header:
            put_number(header, "HighBit", layout.bits_stored - 1)
        put_number(header, "PixelRepresentation", int(layout.signed))
    if layout.samples > 1:
        put_number(header, "PlanarConfiguration", layout.planar)
    elif not copied:
        header.remove("PlanarConfiguration")


def put_number(header: Header, keyword: str, value: int) -> None:
    """Set an attribute that is one number; what says so already stays byte for byte."""
    tag, vr = tag_of(keyword)
    element = header.elements.get(tag)
    try:
        same = element is not None and element.vr == vr and header.number(keyword) == value
    except CorruptError:
        same = False
    if not same:
        header.put(keyword, value)
