import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real files; see its README.md."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpus"
    folder = Path(os.environ.get("DICOMLOOM_CORPUS", beside))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no corpus in {folder}: set DICOMLOOM_CORPUS to where its manifest.csv is")
    return folder


def pytest_configure() -> None:
    """Ctrl-C is tested: a shell without job control starts what it puts behind it deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
