"""What is wrong with a file-set, in words."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is wrong with a file-set, or was done to keep it from being so.

    Attributes
    ----------
    kind : str
        ``"filled"`` (a key that the object does not need and the record does), or ``"unreadable"``,
        ``"left-out"``, ``"name"``, ``"duplicate"``, ``"inconsistent"``, ``"key"``, ``"profile"``,
        ``"offset"``, ``"record"``, ``"file"``, ``"reference"``, ``"unreferenced"``.
    path : str
        The file that it is about, else the DICOMDIR.
    message : str
        What was expected, what was found, what to do.
    offset : int or None
        Of the directory record in the DICOMDIR.
    """

    kind: str
    path: str
    message: str
    offset: int | None = None

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong, and not only filled in."""
        return self.kind != "filled"
