"""The libraries that code and decode: found when first needed, and the extra that brings each."""

from __future__ import annotations

from threading import Lock
from types import ModuleType

from dicomloom.errors import MissingDependencyError


class Backend:
    """A library that may be installed.

    Attributes
    ----------
    name : str
        As the package index has it.
    module : str
        What is imported.
    extra : str
        The extra of dicomloom that brings it; empty for what dicomloom requires.
    least : tuple of int
        The first version that will do.
    lock : lock
        To hold around calls of a library that must not be called from two threads at once.
    """

    __slots__ = ("_loaded", "extra", "least", "lock", "module", "name")

    def __init__(self, name: str, module: str, extra: str, least: tuple[int, ...] = ()) -> None:
        self.name = name
        self.module = module
        self.extra = extra
        self.least = least
        self.lock = Lock()
        self._loaded: ModuleType | None = None

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"

    def version(self) -> str | None:
        """Return which version is installed, without importing it; None where it is not."""
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec

        try:
            if find_spec(self.module) is None:
                return None
            return version(self.name)
        except (PackageNotFoundError, ModuleNotFoundError, ValueError):
            return None

    def found(self) -> bool:
        """Whether it is installed, in a version that will do."""
        if self._loaded is not None:
            return True
        installed = self.version()
        return installed is not None and _numbers(installed) >= self.least

    def title(self) -> str:
        """Return name and version, for people."""
        return f"{self.name} {self.version() or '(not installed)'}"

    def load(self, purpose: str) -> ModuleType:
        """Import it.

        Parameters
        ----------
        purpose : str
            What it is needed for, such as ``"JPEG2000: coding"``.

        Raises
        ------
        MissingDependencyError
            It is not there or too old; the message names the extra.
        """
        if self._loaded is not None:  # asked for each frame, while looking at versions takes long
            return self._loaded
        from importlib import import_module

        installed = self.version()
        try:
            if installed is not None and _numbers(installed) >= self.least:
                self._loaded = import_module(self.module)
                return self._loaded
            reason = f"version {installed} is too old" if installed else "it is not installed"
        except ImportError as error:
            reason = f"it does not import: {error}"
        raise self.missing(purpose, reason)

    def missing(self, purpose: str, reason: str) -> MissingDependencyError:
        """Return the error that says what would bring it."""
        least = f">={'.'.join(map(str, self.least))}" if self.least else ""
        remedy = f"pip install 'dicomloom[{self.extra}]'" if self.extra else "reinstall dicomloom"
        return MissingDependencyError(f"{purpose} needs {self.name}{least}, and {reason}: {remedy}")


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


IMAGECODECS = Backend("imagecodecs", "imagecodecs", "codecs", (2026, 3, 6))
PYJPEGLS = Backend("pyjpegls", "jpeg_ls", "codecs", (1, 5))
OPENJPEG = Backend("pylibjpeg-openjpeg", "openjpeg.utils", "codecs", (2, 3))
LIBJPEG = Backend("pylibjpeg-libjpeg", "libjpeg", "libjpeg", (2, 1))
PYDICOM = Backend("pydicom", "pydicom", "")
