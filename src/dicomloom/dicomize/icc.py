"""The sRGB color space as an ICC profile, for objects that must have one."""

from __future__ import annotations

import struct

# IEC 61966-2-1, adapted to D50 by the Bradford transform (ICC.1:2022 annex E).
_WHITE = (0.9642, 1.0, 0.8249)
_COLORANTS = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7139),
}
_ADAPTATION = (1.0479, 0.0229, -0.0502, 0.0296, 0.9905, -0.0171, -0.0092, 0.0151, 0.7517)
# (aX + b)^g above d, cX below: function type 3 of parametricCurveType.
_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def srgb() -> bytes:
    """Return a profile of sRGB for displays (ICC.1:2022, version 4.4).

    Examples
    --------
    >>> profile = srgb()
    >>> profile[36:40], len(profile) == int.from_bytes(profile[:4], "big")
    (b'acsp', True)
    """
    values = {
        b"desc": _text("sRGB"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_WHITE),
        b"chad": b"sf32\0\0\0\0" + b"".join(map(_fixed, _ADAPTATION)),
        **{name: _xyz(value) for name, value in _COLORANTS.items()},
        **dict.fromkeys(
            (b"rTRC", b"gTRC", b"bTRC"),
            b"para\0\0\0\0\0\3\0\0" + b"".join(map(_fixed, _CURVE)),
        ),
    }
    table, data = struct.pack(">L", len(values)), b""
    start = 128 + 4 + 12 * len(values)
    places: dict[bytes, int] = {}
    for name, value in values.items():
        if value not in places:  # the three curves are one
            places[value] = start + len(data)
            data += value + b"\0" * (-len(value) % 4)
        table += name + struct.pack(">LL", places[value], len(value))
    head = struct.pack(">L4xL", start + len(data), 0x04400000) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += b"".join(map(_fixed, _WHITE))
    return head.ljust(128, b"\0") + table + data


def _fixed(number: float) -> bytes:
    """Return a s15Fixed16Number."""
    return struct.pack(">l", round(number * 65536))


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, value))


def _text(text: str) -> bytes:
    """Return a multiLocalizedUnicodeType of one language."""
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", len(data), 28) + data


def is_rgb(profile: bytes) -> bool:
    """Return whether bytes are a color profile that says what red, green and blue mean.

    One of another color space (a CMYK picture's, say) does not describe the RGB made of it.

    Examples
    --------
    >>> is_rgb(srgb()), is_rgb(b"not a profile")
    (True, False)
    """
    sized = len(profile) >= 132 and int.from_bytes(profile[:4], "big") <= len(profile)
    return sized and profile[16:20] == b"RGB " and profile[36:40] == b"acsp"
