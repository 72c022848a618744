"""`dicomloom`: picks the command, and turns its end into an exit code."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
from types import FrameType

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from typing import NoReturn

# Command -> (module under dicomloom.cli, what it does). A module has add_arguments and run.
COMMANDS: dict[str, tuple[str, str]] = {
    "index": ("index", "read wanted tags of all files below some paths into a table"),
    "dump": ("dump", "print all elements of files, in constant memory"),
    "transcode": ("transcode", "write objects in another transfer syntax, in constant memory"),
    "build": ("build", "make a multi-frame object of raw frames or images"),
    "frames": ("frames", "tell how the frames of an object are stored"),
    "frame": ("frame", "take one frame out of an object"),
    "dicomize": ("dicomize", "make DICOM of pictures, videos and documents"),
    "extract": ("extract", "take out what is inside: a document, a video, a coded frame"),
    "validate": ("validate", "hold objects against the modules, VRs and values of their IODs"),
    "plane": ("plane", "tell where an image lies in the patient, and sort a series"),
    "recover": ("recover", "make a valid object of what a killed writer left"),
    "dicomdir": ("dicomdir", "make, show, check or unpack a file-set with a DICOMDIR"),
    "nodes": ("nodes", "list the nodes of the configuration"),
    "echo": ("echo", "ask a node whether it is there (C-ECHO)"),
    "send": ("send", "send objects to a node (C-STORE)"),
    "find": ("find", "ask a node for patients, studies, series, instances (C-FIND)"),
    "retrieve": ("retrieve", "bring studies, series, instances from a node (C-GET, C-MOVE)"),
    "worklist": ("worklist", "ask a node for scheduled procedure steps (Modality Worklist)"),
    "mpps": ("mpps", "tell a node what is being done (Modality Performed Procedure Step)"),
    "commit": ("commit", "ask a node to promise that it keeps objects (storage commitment)"),
    "serve": ("serve", "be a node: store, answer queries, retrievals, storage commitment"),
    "explain": ("explain", "tell from a log, or by trying, what goes wrong with a node"),
    "codecs": ("codecs", "list transfer syntaxes, and what reads and writes them here"),
    "tags": ("tags", "look up data elements by keyword or tag"),
    "completion": ("completion", "print a script that completes commands in bash or zsh"),
}

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREADABLE = 20
EXIT_UNWRITABLE = 40
EXIT_NETWORK = {
    "ConnectionFailed": 60,
    "TimeoutExpired": 61,
    "TLSError": 62,
    "AssociationRejected": 63,
    "AssociationAborted": 64,
    "NoAcceptedContext": 65,
    "StatusError": 66,
    "ProtocolError": 67,
    "NetworkError": 79,
}
EXIT_INTERRUPTED = 130


def usage() -> str:
    """Return the text of `dicomloom --help`, without importing a command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: dicomloom COMMAND [ARGUMENT ...]",
            "",
            "DICOM at scale.",
            "",
            "commands:",
            *lines,
            "",
            "dicomloom COMMAND --help tells more of one; dicomloom --version prints the version.",
            "",
        ]
    )


def _columns() -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns) - 2
    except (ValueError, OSError):
        return 78


def parser_of(command: str) -> tuple[ArgumentParser, object]:
    """Import a command: its argument parser and its module."""
    import argparse
    from importlib import import_module

    module_name, text = COMMANDS[command]
    module = import_module(f"dicomloom.cli.{module_name}")

    def formatter(prog: str) -> argparse.HelpFormatter:
        # argparse asks for one at every argument, and without a width imports shutil for it.
        return argparse.RawDescriptionHelpFormatter(prog, width=_columns())

    parser = argparse.ArgumentParser(
        prog=f"dicomloom {command}",
        description=text[0].upper() + text[1:] + ".",
        epilog=getattr(module, "EPILOG", None),
        formatter_class=formatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser, module


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    # The way of Ctrl-C: whatever is being written is put away before the process ends.
    raise KeyboardInterrupt


def _take_signals() -> Callable[[], None]:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end a command as Ctrl-C does.

    What is ignored stays so, as under nohup. Returns what puts the old answers back.
    """
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _terminate)

    def restore() -> None:
        for number, answer in before.items():
            signal.signal(number, answer)

    return restore


def _encodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Let a name of a file go out as its own bytes, and other text as an escape sequence."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    at = error.start
    one = UnicodeEncodeError(error.encoding, error.object, at, at + 1, error.reason)
    try:
        return codecs.lookup_error("surrogateescape")(one)
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(one)


def _take_all(stdout: object) -> Callable[[], None]:
    """Let standard output take text that its encoding lacks; returns what undoes that."""
    # Where it is not the interpreter's own, whoever put it there decides.
    if not isinstance(stdout, io.TextIOWrapper):
        return lambda: None
    before = stdout.errors
    codecs.register_error("dicomloom", _encodable)
    stdout.reconfigure(errors="dicomloom")

    def restore() -> None:
        import contextlib

        with contextlib.suppress(OSError, ValueError):  # it is full, or closed
            stdout.reconfigure(errors=before)

    return restore


def _run(argv: list[str]) -> int:
    if not argv:
        sys.stderr.write(usage())
        return EXIT_USAGE
    if argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0
    if argv[0] == "--version":
        import dicomloom

        sys.stdout.write(f"dicomloom {dicomloom.__version__}\n")
        return 0
    if argv[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see dicomloom --help"
        sys.stderr.write(f"dicomloom: no command {argv[0]!r}; {hint}\n")
        return EXIT_USAGE
    parser, module = parser_of(argv[0])
    arguments = parser.parse_intermixed_args(argv[1:])
    code: int = module.run(arguments)  # type: ignore[attr-defined]
    return code


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 all well; 1 finished, but some items failed; 2 usage; 20-39 input cannot be read; 40-59 output
    cannot be written; 60-79 network, by the table of this module; 130 interrupted.
    """
    restore_signals = _take_signals()
    restore = _take_all(sys.stdout)
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output has left, as `head` does; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNWRITABLE
    except KeyboardInterrupt:
        sys.stderr.write("dicomloom: interrupted\n")
        return EXIT_INTERRUPTED
    except Exception as error:
        return _explain(error)
    finally:
        restore_signals()
        restore()


def _explain(error: Exception) -> int:
    """Print an error that is the user's to mend, and choose its exit code; raise any other."""
    from dicomloom.cli.options import UsageError
    from dicomloom.errors import (
        DicomloomError,
        FrameError,
        MissingDependencyError,
        NetworkError,
        NodeError,
        StateError,
        TagError,
        WriteError,
    )

    if isinstance(error, WriteError):
        code = EXIT_UNWRITABLE
    elif isinstance(error, NetworkError):
        code = EXIT_NETWORK[type(error).__name__]
    elif isinstance(
        error,
        TagError | FrameError | NodeError | StateError | MissingDependencyError | UsageError,
    ):
        code = EXIT_USAGE
    elif isinstance(error, DicomloomError):
        code = EXIT_UNREADABLE
    elif isinstance(error, OSError):
        code = EXIT_UNWRITABLE if error.errno == 28 else EXIT_UNREADABLE  # ENOSPC
    else:
        raise error
    from dicomloom.shown import shown

    # It may have names of files, and what files say.
    sys.stderr.write(f"dicomloom: {shown(str(error))}\n")
    return code
