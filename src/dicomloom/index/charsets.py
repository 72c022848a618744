"""Text in the character sets that the C core leaves to pydicom (PS3.3 C.12.1.1.2).

The C core decodes the single-byte sets and UTF-8. Multi-byte sets and code extensions (ISO 2022,
GB18030, GBK, PS3.5 6.1.2.4) come here, a batch at a time.
"""

from __future__ import annotations

import warnings

_SINGLE_VALUE = {"LT", "ST", "UT"}
_LEADING_PADDING = {"LO", "SH"}
# PS3.5 6.1.2.5.3: a delimiter ends the shifts of code extensions.
_DELIMITERS = {ord(c) for c in "\r\n\t\f"}


def decode(raw: bytes, charset: bytes, vr: str) -> str:
    """Decode one value and remove its padding as the VR says.

    Parameters
    ----------
    raw : bytes
        The value as it stands in the file.
    charset : bytes
        The value of Specific Character Set (0008,0005) that holds where it stands.
    vr : str
        One of LO, LT, PN, SH, ST, UC, UT.

    Returns
    -------
    str
        Values separated by backslashes; what no set decodes is U+FFFD.

    Examples
    --------
    >>> decode(bytes.fromhex("1b24423b3345441b2842"), b"\\\\ISO 2022 IR 87", "PN")
    '山田'
    """
    from pydicom.charset import convert_encodings, decode_bytes

    names = charset.decode("ascii", "replace").rstrip(" \0").split("\\")
    delimiters = set(_DELIMITERS)
    if vr == "PN":
        delimiters |= {ord("^"), ord("=")}
    if vr not in _SINGLE_VALUE:
        delimiters.add(ord("\\"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown sets and bytes: U+FFFD in the row says it
        text = decode_bytes(raw, convert_encodings([name.strip() for name in names]), delimiters)
    if vr in _SINGLE_VALUE:
        return text.rstrip(" \0")
    values = [value.rstrip(" \0") for value in text.rstrip(" \0").split("\\")]
    if vr in _LEADING_PADDING:
        values = [value.lstrip(" ") for value in values]
    return "\\".join(values)
