"""Options that several commands share: each is defined once."""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any

    from dicomloom.codecs.base import Codec
    from dicomloom.codecs.isolation import Isolation


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return number


def seconds(text: str) -> float:
    """Read a time above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"seconds above 0, not {text}")
    return number


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """-j N."""
    parser.add_argument(
        "-j",
        "--jobs",
        type=positive,
        metavar="N",
        help="threads that read (default: one a processor, up to 32 while they wait for the disk)",
    )


def byte_size(text: str) -> int:
    """Read a size as people write it: 16MiB, 500kB, 1G, 4096."""
    number = text.rstrip("BbIiKkMmGgTt ")
    unit = text[len(number) :].strip().lower().removesuffix("b")
    powers = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    base = 1024 if unit.endswith("i") or len(unit) == len(text[len(number) :].strip()) else 1000
    try:
        size = int(float(number) * base ** powers[unit.removesuffix("i")])
    except (KeyError, ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"a size such as 16MiB, not {text}") from None
    if size < 1:
        raise argparse.ArgumentTypeError(f"at least 1 byte, not {text}")
    return size


def frame_choice(text: str) -> slice | list[int]:
    """Read which frames: a slice such as 0:100:2 or -10:, or a list such as 0,5,9."""
    try:
        if ":" in text:
            parts = [int(part) if part else None for part in text.split(":")]
            if len(parts) <= 3 and (len(parts) < 3 or parts[2] != 0):
                return slice(*parts)
        else:
            return [int(part) for part in text.split(",")]
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"frames such as 0:100:2 or 0,5,9, not {text}")


def setting(text: str) -> tuple[str, str]:
    """Read KEYWORD=VALUE."""
    keyword, equals, value = text.partition("=")
    if not equals or not keyword:
        raise argparse.ArgumentTypeError(f"KEYWORD=VALUE, not {text}")
    return keyword, value


def add_settings(parser: argparse.ArgumentParser) -> None:
    """--set KEYWORD=VALUE, any number of times."""
    parser.add_argument(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="KEYWORD=VALUE",
        help="set an attribute, several values separated by backslashes; one within a sequence "
        "as in AnatomicRegionSequence[0].CodeMeaning=Skin",
    )


def add_coding(parser: argparse.ArgumentParser) -> None:
    """How frames are coded: --quality, --ratio, --near, -j, --max-memory, the offset table."""
    parser.add_argument(
        "-q", "--quality", type=float, metavar="QUALITY", help="1 to 100, of lossy JPEG and others"
    )
    parser.add_argument("--ratio", type=float, metavar="R", help="compression ratio to aim at")
    parser.add_argument(
        "--near", type=int, metavar="N", help="JPEG-LS: how far a sample may be off"
    )
    parser.add_argument(
        "--option",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="any other option of the transfer syntax; dicomloom codecs names them",
    )
    parser.add_argument(
        "-j", "--jobs", type=positive, metavar="N", help="threads (default: one a processor)"
    )
    parser.add_argument(
        "--max-memory",
        type=byte_size,
        metavar="SIZE",
        help="what all frames in flight may hold, such as 16MiB (default: what the threads need)",
    )
    parser.add_argument(
        "--offset-table",
        choices=("auto", "basic", "extended", "empty"),
        default="auto",
        help="of encapsulated pixel data (default: basic where it reaches, else extended)",
    )
    parser.add_argument(
        "--max-instance-bytes",
        type=byte_size,
        metavar="SIZE",
        help="divide into a concatenation of instances no larger than this",
    )
    parser.add_argument(
        "--max-instance-frames", type=positive, metavar="N", help="likewise, by frames"
    )


def add_isolation(parser: argparse.ArgumentParser) -> None:
    """--isolate, and the limits that go with it."""
    parser.add_argument(
        "--isolate",
        action="store_true",
        help="let libraries decode in processes of their own: one that crashes costs a frame",
    )
    parser.add_argument(
        "--isolate-seconds",
        type=seconds,
        metavar="S",
        help="the same, and what a frame may take (default: 120)",
    )
    parser.add_argument(
        "--isolate-memory",
        type=byte_size,
        metavar="SIZE",
        help="the same, and what a process may take (default: 512 MiB and 64 bytes a sample)",
    )


def isolation(arguments: argparse.Namespace) -> AbstractContextManager[Isolation | None]:
    """Return what `add_isolation` was given, to be closed behind the last object."""
    given: dict[str, Any] = {
        name: value
        for name in ("seconds", "memory")
        if (value := getattr(arguments, f"isolate_{name}")) is not None
    }
    if not given and not arguments.isolate:
        from contextlib import nullcontext

        return nullcontext()
    from dicomloom.codecs.isolation import Isolation

    return Isolation(**given)


def coding(arguments: argparse.Namespace, *, decodes: bool = False) -> dict[str, Any]:
    """Return what `add_coding` was given, as the arguments of a writer.

    Parameters
    ----------
    decodes : bool
        Whether coded frames are read, too: ``backend`` may be meant for what decodes them.

    Raises
    ------
    UsageError
        There is no such transfer syntax, or it does not take one of the options.
    """
    from dicomloom.codecs.registry import find
    from dicomloom.errors import UnsupportedError

    try:
        codec = find(arguments.to)
    except UnsupportedError as error:
        raise UsageError(error.message) from None
    made: dict[str, Any] = {
        "workers": arguments.jobs,
        "max_memory": arguments.max_memory,
        "offset_table": arguments.offset_table,
        "max_instance_bytes": arguments.max_instance_bytes,
        "max_instance_frames": arguments.max_instance_frames,
    }
    given: dict[str, Any] = {name: _number(text) for name, text in arguments.option}
    for name in ("quality", "ratio", "near"):
        if getattr(arguments, name) is not None:
            given[name] = getattr(arguments, name)
    for name in given:
        if name not in codec.options and not (decodes and name == "backend"):
            takes = f"the options {', '.join(codec.options)}" if codec.options else "no options"
            raise UsageError(f"{codec.keyword} takes {takes}; {name} is none")
    own = {name: value for name, value in given.items() if name in codec.options}
    if own or not codec.writable():
        _try(codec, own)
    if len(own) < len(given):
        from dicomloom.codecs.raster import by_library

        try:
            by_library(given["backend"])
        except ValueError as error:
            raise UsageError(str(error)) from None
    return made | given


def _try(codec: Codec, given: dict[str, Any]) -> None:
    """Raise UsageError where values make no sense whatever the frames, before any is read."""
    from dicomloom.codecs.layout import Layout
    from dicomloom.errors import DicomloomError, UnsupportedError

    color = Layout(16, 16, samples=3, photometric="RGB")
    for layout in (Layout(16, 16), Layout(16, 16, bits_allocated=16), color):
        try:
            codec.encoder(layout, **given)
        except UnsupportedError as error:
            if not codec.writable():
                raise UsageError(error.message) from None
        except DicomloomError:
            raise
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from None


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class UsageError(Exception):
    """What was asked for makes no sense; `main` prints it and exits with 2."""


def add_progress(parser: argparse.ArgumentParser) -> None:
    """--progress, --no-progress."""
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show progress on stderr (default: when it is a terminal)",
    )


def shows_progress(arguments: argparse.Namespace) -> bool:
    """Whether progress is to be shown: as was asked, else where stderr is a terminal."""
    shown: bool | None = arguments.progress
    return sys.stderr.isatty() if shown is None else shown


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")
