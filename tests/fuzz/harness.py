"""Runs a fuzz target: by libFuzzer with coverage (atheris), or over given inputs without it.

    python tests/fuzz/harness.py TARGET [options of libFuzzer, folders of inputs]
    python tests/fuzz/harness.py --replay TARGET INPUT...

A target is a module here with `check(data)`, which raises what must not happen, `seeds()`, which
gives inputs to begin with, and `INSTRUMENTED`, the packages whose branches lead the fuzzer.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

HERE = Path(__file__).parent
TARGETS = (
    "fuzz_frames",
    "fuzz_inflate",
    "fuzz_pictures",
    "fuzz_video",
    "fuzz_documents",
    "fuzz_dicomdir",
    "fuzz_network",
    "fuzz_round_trips",
)
# What targets and dicomloom need of others, loaded before the hook: it is slow, and not ours.
_OTHERS = ("numpy", "pydicom", "pydicom.pixels", "pydicom.encaps", "PIL.Image", "pynetdicom")


def saved(target: str) -> list[Path]:
    """Inputs that once showed a fault of a target."""
    return sorted((HERE / "crashers").glob(f"{target}-*"))


class Folder:
    """A folder of its own for the files of a target, made when it is first asked for."""

    def __init__(self) -> None:
        self._made: tempfile.TemporaryDirectory[str] | None = None

    def path(self, name: str) -> Path:
        """Return where a file of this name goes."""
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(prefix="dicomloom-fuzz-")
        return Path(self._made.name, name)

    def put(self, name: str, data: bytes) -> Path:
        """Write a file; returns its path."""
        path = self.path(name)
        path.write_bytes(data)
        return path


class Choices:
    """Takes choices off the front of an input; where it ends, all further ones are 0."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        """Return up to so many bytes."""
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def below(self, count: int) -> int:
        """Return a number from 0 on."""
        size = 1 if count <= 256 else 2 if count <= 1 << 16 else 4
        return int.from_bytes(self.take(size), "little") % count

    def pick(self, choices: tuple[Any, ...]) -> Any:
        """Return one of some."""
        return choices[self.below(len(choices))]


def load(target: str) -> ModuleType:
    """Import a target."""
    sys.path[:0] = [str(each) for each in (HERE, HERE.parent) if str(each) not in sys.path]
    return importlib.import_module(target)


def _modules(package: str) -> Iterator[str]:
    found = importlib.import_module(package)
    yield package
    if hasattr(found, "__path__"):
        for each in pkgutil.walk_packages(found.__path__, package + "."):
            yield each.name


def _packages(target: str) -> tuple[str, ...]:
    """Return INSTRUMENTED of a target without importing it, which would be too early."""
    for line in (HERE / f"{target}.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("INSTRUMENTED = "):
            return tuple(line.partition("= ")[2].strip('"').split())
    raise ValueError(f"{target} has no line INSTRUMENTED = ")


class _Instrumenting(MetaPathFinder):
    """Imports dicomloom's modules with a counter at each branch.

    Not the hook of atheris: the finder of an editable install wraps its loaders, so that those
    hand out code as it is.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what another finder says, with a loader of ours where the module is of source."""
        if fullname.partition(".")[0] != "dicomloom":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.origin is not None and spec.origin.endswith(".py"):
                    spec.loader = _InstrumentingLoader(fullname, spec.origin)
                return spec
        return None


class _InstrumentingLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        import atheris

        code = super().get_code(fullname)
        assert code is not None
        instrumented: CodeType = atheris.patch_code(code, True)
        return instrumented


def fuzz(target: str, arguments: list[str]) -> None:
    """Give a target to libFuzzer; does not return."""
    import atheris

    for name in _OTHERS:
        importlib.import_module(name)
    hook = _Instrumenting()
    sys.meta_path.insert(0, hook)
    for package in _packages(target):
        for name in _modules(package):
            importlib.import_module(name)
    module = load(target)
    sys.meta_path.remove(hook)
    atheris.Setup([target, *arguments], module.check)
    atheris.Fuzz()


def replay(target: str, names: list[str]) -> None:
    """Give inputs to a target, one after the other; folders stand for what is in them."""
    module = load(target)
    for name in names:
        path = Path(name)
        for each in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                module.check(each.read_bytes())
            except BaseException:
                print(f"shown by {each}", file=sys.stderr, flush=True)
                raise


def main(arguments: list[str]) -> int:
    """Run a target."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments[:1] == ["--replay"]:
        replay(arguments[1], arguments[2:])
    else:
        fuzz(arguments[0], arguments[1:])
    return 0


if __name__ == "__main__":
    # Targets import this module by name: that must not be another copy of it.
    sys.modules["harness"] = sys.modules["__main__"]
    sys.exit(main(sys.argv[1:]))
