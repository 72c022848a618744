"""Text in the character sets that the C core leaves to Python (PS3.3 C.12.1.1.2).

The C core decodes the single-byte sets and UTF-8. Multi-byte sets (GB18030, GBK) and code
extensions (ISO 2022, PS3.5 6.1.2.5) come here, a batch at a time. pydicom.charset says which set
has which codec and escape sequence; the switching between sets is done here, as pydicom leaves the
escape sequences of GB 2312 in the text.
"""

from __future__ import annotations

from functools import lru_cache

_SINGLE_VALUE = {"LT", "ST", "UT"}
_LEADING_PADDING = {"LO", "SH"}
_CONTROLS = b"\r\n\t\f"
# Sets of two-byte characters in G0 need their escape sequence around what Python's codec reads.
_G0_PAIRS = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_LATIN_9 = (b"\x1b-b", "iso8859_15")  # ISO_IR 203, in PS3.3 since 2020 and not in pydicom


@lru_cache(maxsize=1)
def _escapes() -> dict[bytes, str]:
    from pydicom.charset import CODES_TO_ENCODINGS

    return dict([*CODES_TO_ENCODINGS.items(), _LATIN_9])


@lru_cache(maxsize=64)
def _codec(name: str) -> str:
    """Return Python's codec for one value of Specific Character Set; Latin 1 for an unknown one."""
    from pydicom.charset import python_encoding

    if name in ("ISO_IR 203", "ISO 2022 IR 203"):
        return _LATIN_9[1]
    spaced = name.replace("_", " ").replace("-", " ").replace("ISO IR", "ISO_IR")
    codec: str = python_encoding.get(name) or python_encoding.get(spaced) or "latin_1"
    return codec


class _CodeExtensions:
    """The sets that are active in G0 and G1 while a value is read (ISO/IEC 2022)."""

    def __init__(self, first: str) -> None:
        # The default repertoire has no G1; the sets of pairs stand in G0, where ASCII is first.
        self._initial = "ascii" if first in ("iso8859", *_G0_PAIRS) else first
        self.reset()

    def reset(self) -> None:
        self._low, self._high = "ascii", self._initial

    def switch(self, escape: bytes, codec: str) -> None:
        if escape[1:2] in b"-)" or escape[1:3] == b"$)":
            self._high = codec
        else:  # ISO-IR 14, the Roman set of JIS X 0201, reads as ASCII
            self._low = codec if codec in _G0_PAIRS else "ascii"

    @property
    def in_pairs(self) -> bool:
        return self._low in _G0_PAIRS

    def decode(self, run: bytes) -> str:
        """Decode a run of bytes that are all below 0x80, or all above."""
        if run[0] >= 0x80:
            return run.decode(self._high, "replace")
        if self.in_pairs:
            return (_G0_PAIRS[self._low] + run).decode(self._low, "replace")
        return run.decode("ascii")


def _decode_extended(raw: bytes, first: str, delimiters: bytes) -> str:
    state = _CodeExtensions(first)
    text: list[str] = []
    at = 0
    while at < len(raw):
        byte = raw[at]
        if byte == 0x1B:
            escape = next(
                (e for e in (raw[at : at + 4], raw[at : at + 3]) if e in _escapes()), None
            )
            if escape:
                state.switch(escape, _escapes()[escape])
            else:
                text.append("\ufffd")
            at += len(escape or b"\x1b")
        elif byte in _CONTROLS or (byte in delimiters and not state.in_pairs):
            # PS3.5 6.1.2.5.3: a delimiter brings the initial sets back.
            state.reset()
            text.append(chr(byte))
            at += 1
        else:
            end = at + 1
            stop = b"\x1b" + _CONTROLS + (b"" if state.in_pairs else delimiters)
            while end < len(raw) and raw[end] not in stop and (raw[end] < 0x80) == (byte < 0x80):
                end += 1
            text.append(state.decode(raw[at:end]))
            at = end
    return "".join(text)


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
    names = charset.decode("ascii", "replace").rstrip(" \0").split("\\")
    first = _codec(names[0].strip())
    single = vr in _SINGLE_VALUE
    if b"\x1b" in raw:
        delimiters = (b"" if single else b"\\") + (b"^=" if vr == "PN" else b"")
        text = _decode_extended(raw, first, delimiters)
    else:
        text = raw.decode(first, "replace")
    text = text.rstrip(" \0")
    if single:
        return text
    values = [value.rstrip(" \0") for value in text.split("\\")]
    if vr in _LEADING_PADDING:
        values = [value.lstrip(" ") for value in values]
    return "\\".join(values)
