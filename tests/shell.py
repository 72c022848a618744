"""The command line, as tests call it."""

from __future__ import annotations

import contextlib
import io
import subprocess

from dicomloom.cli.main import main
from faults import command as shell

RLE = ["--to", "RLELossless"]
JPEG = ["--to", "JPEGBaseline8Bit"]


def command(*arguments, text=True, **options):
    """Run `dicomloom`: in this process, where that can be; a hundred others would take a minute."""
    if options:
        return shell(*arguments, text=text, **options)
    streams = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as end:
            code = end.code
    for stream in streams:
        stream.flush()
    out, error = (stream.buffer.getvalue() for stream in streams)
    if text:
        out, error = out.decode(), error.decode()
    return subprocess.CompletedProcess(arguments, code, out, error)


def fails(code, *arguments, says="", **options):
    """Run; the exit code is this one, stderr says so in a line, and nothing is on stdout."""
    done = command(*arguments, **options)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert says in done.stderr
    assert not done.stdout
    return done


def works(*arguments, **options):
    done = command(*arguments, **options)
    error = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
    assert done.returncode == 0, error
    return done
