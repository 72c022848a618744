"""File IDs (PS3.10 8.2, 8.5) and where on the disk they lead, which is never out of the root."""

from __future__ import annotations

import os
import re

_COMPONENT = re.compile(r"[A-Z0-9_]{1,8}")
_FILE_SET_ID = re.compile(r"[A-Z0-9_ ]{0,16}")
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def is_file_id(components: list[str]) -> bool:
    r"""Whether these are one to eight components of one to eight of ``A-Z0-9_``.

    Examples
    --------
    >>> is_file_id(["PAT00001", "IMG00001"]), is_file_id(["ct.dcm"])
    (True, False)
    """
    return 1 <= len(components) <= 8 and all(map(_COMPONENT.fullmatch, components))


def is_component(name: str) -> bool:
    """Whether this is one component of a File ID."""
    return _COMPONENT.fullmatch(name) is not None


def is_file_set_id(text: str) -> bool:
    """Whether this is a File-set ID: up to 16 of ``A-Z0-9_`` and space."""
    return _FILE_SET_ID.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """Whether this is a UID (PS3.5 9.1).

    Examples
    --------
    >>> is_uid("1.2.840.10008.1.2"), is_uid("../../etc"), is_uid("1.02")
    (True, False, False)
    """
    return 0 < len(text) <= 64 and _UID.fullmatch(text) is not None


class Root:
    """The folder of a file-set: finds what File IDs name, in whatever case the disk has it.

    Parameters
    ----------
    folder : str
        Where the DICOMDIR lies.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self._names: dict[str, dict[str, str]] = {}
        self._inside: dict[str, str | None] = {"": self.folder}

    def _on_disk(self, folder: str, name: str) -> str:
        """Return the name as the folder has it; ISO 9660 names may end in ``.`` or ``;1``."""
        names = self._names.get(folder)
        if names is None:
            try:
                there = os.listdir(folder)
            except OSError:
                there = []
            names = {_plain(each): each for each in there}
            names.update(zip(there, there, strict=True))  # the very name goes first
            self._names[folder] = names
        return names.get(name) or names.get(_plain(name), name)

    def _folder(self, components: tuple[str, ...]) -> str | None:
        """Return the real folder of these components, None where it is not below the root."""
        key = "\\".join(components)
        if key not in self._inside:
            parent = self._folder(components[:-1])
            made = None
            if parent is not None:
                made = self._real(os.path.join(parent, self._on_disk(parent, components[-1])))
            self._inside[key] = made
        return self._inside[key]

    def _real(self, path: str) -> str | None:
        """Return where a name in a real folder leads to, None where that is out of the root."""
        real = os.path.realpath(path) if os.path.islink(path) else path
        return real if real.startswith(self.folder.rstrip(os.sep) + os.sep) else None

    def find(self, file_id: str) -> tuple[str | None, str]:
        """Return the path that a Referenced File ID leads to, and what is wrong with the File ID.

        The path is None where it would lead out of the root (``..``, an absolute path, a drive
        letter, a link). Slashes for backslashes and other deviations are read, and told of.
        """
        if not file_id:
            return None, "there is no Referenced File ID"
        wrong = ""
        components = file_id.split("\\")
        if not is_file_id(components):
            wrong = f"{file_id!r} is no File ID of PS3.10 8.5"
            components = re.split(r"[\\/]", file_id)
            bad = any(each in ("", ".", "..") or "\0" in each or ":" in each for each in components)
            if bad or len(components) > 64:
                return None, f"{file_id!r} leads out of the file-set, or nowhere: refused"
        parent = self._folder(tuple(components[:-1]))
        path = parent and self._real(os.path.join(parent, self._on_disk(parent, components[-1])))
        if path is None:
            return None, f"{file_id!r} leads out of the file-set by a link: refused"
        return path, wrong


def _plain(name: str) -> str:
    return name.upper().split(";")[0].rstrip(".")
