"""UIDs: what this implementation is called, and new ones."""

from __future__ import annotations

import os

# PS3.10 7.1, PS3.7 D.3.3.2: what a writer of files and a node say of themselves.
IMPLEMENTATION_CLASS_UID = "2.25.179838442375286992724000219052219352557"
IMPLEMENTATION_VERSION_NAME = "DICOMLOOM"


def new_uid() -> str:
    """Return a UID that nobody else has: a random UUID (PS3.5 B.2).

    Examples
    --------
    >>> new_uid().startswith("2.25.")
    True
    """
    number = int.from_bytes(os.urandom(16), "big")
    number = number & ~(0xF << 76) | 4 << 76  # version 4
    number = number & ~(0x3 << 62) | 2 << 62  # of RFC 4122
    return f"2.25.{number}"
