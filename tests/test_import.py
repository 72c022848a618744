"""Importing is cheap: a promise that breaks with one careless import."""

import subprocess
import sys

import pytest

from dicomloom.cli.main import COMMANDS
from faults import native_object, noise

# Of codecs; and what looking for one of them needs.
LIBRARIES = ["imagecodecs", "jpeg_ls", "libjpeg", "openjpeg", "importlib.metadata"]
HEAVY = ["numpy", "pydicom", "pynetdicom", "pyarrow", "PIL", "sqlite3", "asyncio"]


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_package_loads_nothing_heavy():
    assert not modules_after("import dicomloom") & {*HEAVY, "typing", "dicomloom._native.scan"}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command):
    argv = [word for word in (command, "--help") if word]
    code = (
        "from dicomloom.cli.main import main\n"
        f"try: main({argv!r})\n"
        "except SystemExit as end: assert end.code == 0"
    )
    assert not modules_after(code) & {
        *HEAVY,
        "dicomloom._native.scan",
        "dicomloom._native.frames",
        "dicomloom._native.codecs",
        "imagecodecs",
    }


def test_indexing_to_csv_loads_nothing_heavy(tmp_path):
    code = (
        "from dicomloom.cli.main import main\n"
        f"assert main(['index', {str(tmp_path)!r}, '-o', {str(tmp_path / 'out.csv')!r}]) == 0"
    )
    assert not modules_after(code) & set(HEAVY)


@pytest.mark.parametrize(
    ("syntax", "options"),
    [
        ("RLELossless", []),
        ("RLELossless", ["-j", "1", "--frames", "0:6:2", "--json"]),
        ("JPEGLosslessSV1", ["-j", "2"]),
        ("JPEGLossless", ["--option", "predictor=4"]),
        ("JPEGLSLossless", ["-j", "2"]),
        ("JPEGLSNearLossless", ["--near", "1"]),
        ("ExplicitVRLittleEndian", []),
        ("ImplicitVRLittleEndian", []),
        ("DeflatedExplicitVRLittleEndian", []),
        ("EncapsulatedUncompressedExplicitVRLittleEndian", []),
    ],
)
def test_the_main_job_loads_nothing_heavy(tmp_path, syntax, options):
    """`transcode` promises 20 MiB for the whole process; each of these takes megabytes."""
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    native_object(source, noise(9))
    argv = ["transcode", str(source), str(target), "--to", syntax, *options]
    code = f"from dicomloom.cli.main import main\nassert main({argv!r}) == 0"
    loaded = modules_after(code)
    assert not loaded & {*HEAVY, *LIBRARIES, "ctypes"}
    if syntax in ("RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"):
        again = ["transcode", str(target), str(source), "--to", "ExplicitVRLittleEndian"]
        for command in (["frames", str(target)], ["recover", str(target), str(source)], again):
            code = f"from dicomloom.cli.main import main\nassert main({command!r}) == 0"
            assert not modules_after(code) & {*HEAVY, *LIBRARIES}


def test_every_public_name_is_there():
    import dicomloom

    for name in [*dicomloom.__all__, "__version__"]:
        assert getattr(dicomloom, name)
    assert set(dicomloom.__all__) <= set(dir(dicomloom))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = dicomloom.nothing_like_it


def test_the_function_index_keeps_its_name_beside_its_room():
    code = (
        "import dicomloom.index.scan, dicomloom.index.run\n"
        "from dicomloom.index.schema import Schema\n"
        "assert callable(dicomloom.index)\n"
        "from dicomloom import index\n"
        "assert index is dicomloom.index.__globals__['index']"
    )
    modules_after(code)
