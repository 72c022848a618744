"""Values of pydicom's as the text that dicomloom makes of them."""

import pydicom
from pydicom.sequence import Sequence

_ONE_VALUE = {"LT", "ST", "UR", "UT"}
_LEADING_PADDING = {"AE", "CS", "DS", "IS", "LO", "SH"}
_BYTES = {"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"}


def strip(vr, value):
    value = value.rstrip(" \0")
    return value.lstrip(" ") if vr in _LEADING_PADDING else value


def element_text(found):
    value, vr = found.value, found.VR
    if isinstance(value, Sequence):
        return str(len(value))
    if vr == "UN" and found.tag.element == 0 and len(value) == 4:
        return str(int.from_bytes(value, "little"))  # group length is UL (PS3.5 7.2)
    if vr in _BYTES or isinstance(value, bytes):
        return str(len(value or b""))
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return ""
    if vr in _ONE_VALUE:
        return strip(vr, value)
    values = value if isinstance(value, list | pydicom.multival.MultiValue) else [value]
    if vr == "AT":
        return "\\".join(f"({v >> 16:04x},{v & 0xFFFF:04x})" for v in values)
    if vr in ("DS", "IS"):
        values = ["" if v is None else getattr(v, "original_string", v) for v in values]
    return strip(vr, "\\".join(strip(vr, str(v)) for v in values))
