"""The package: what an sdist and a wheel hold, and that they work where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["base", "codecs", "dicom", "frames", "network", "scan"]


def run(*command: object, **options: object) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_sdist_builds_a_wheel_that_does_its_job_where_nothing_else_is(tmp_path):
    """One test, for the wheel is built once: half a minute."""
    sdist = build_sdist(tmp_path / "sdist")
    check_sdist(sdist)
    wheel = build_wheel(sdist, tmp_path / "wheel")
    check_wheel(wheel)
    # What an index would say to both.
    assert "PASSED" in run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    check_job(wheel, tmp_path)


def build_sdist(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--sdist", "-o", folder, ROOT)
    (made,) = folder.iterdir()
    return made


def build_wheel(sdist: Path, folder: Path) -> Path:
    """Build a wheel of the sdist alone, in the empty environment that pip makes for it."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, sdist)
    (made,) = folder.iterdir()
    return made


def check_sdist(sdist: Path) -> None:
    """What builds, and what proves it."""
    with tarfile.open(sdist) as held:
        names = {name.split("/", 1)[1] for name in held.getnames() if "/" in name}
    for needed in (
        "CMakeLists.txt",
        "LICENSE",
        "README.md",
        "native/base/bytes.c",
        "native/fuzz/dicom.dict",
        "src/dicomloom/_native/scan.pyx",
        "src/dicomloom/py.typed",
        "tests/test_package.py",
    ):
        assert needed in names
    left_out = {".ci", ".git", ".venv", "build"}
    assert not {name for name in names if name.split("/")[0] in left_out}
    assert sdist.stat().st_size < 5_000_000


def check_wheel(wheel: Path) -> None:
    """The package, and nothing else."""
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    package = [name for name in names if name.startswith("dicomloom/")]
    about = [name for name in names if name.startswith("dicomloom-")]
    assert sorted(package + about) == sorted(names)
    assert {Path(name).suffix for name in package} == {".py", ".pyi", ".typed", ".so"}
    modules = [name for name in package if name.endswith(".so")]
    assert sorted(Path(name).name.split(".")[0] for name in modules) == ROOMS
    assert not [name for name in names if "test" in name.lower()]
    sources = {
        str(path.relative_to(ROOT / "src"))
        for pattern in ("*.py", "*.pyi", "py.typed")
        for path in (ROOT / "src/dicomloom").rglob(pattern)
    }
    assert set(package) - set(modules) == sources
    assert [name for name in about if name.endswith("licenses/LICENSE")]


def check_job(wheel: Path, tmp_path: Path) -> None:
    """Installed in a clean environment, it does a job."""
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean/bin/python"
    run(python, "-m", "pip", "install", "-q", wheel)
    job = tmp_path / "wheel_job.py"
    job.write_bytes((ROOT / "tests/wheel_job.py").read_bytes())
    told = run(python, "-I", job, cwd=tmp_path)
    assert f"from {tmp_path}" in told
    assert told.rstrip().endswith("all well")


@pytest.mark.parametrize(
    ("platform", "kinds"),
    [
        ("linux", ["manylinux_x86_64", "musllinux_x86_64"]),
        ("macos", ["macosx_x86_64"]),
        ("windows", ["win_amd64"]),
    ],
)
def test_wheels_are_configured_for_every_system(platform, kinds):
    """What cibuildwheel would build; here only its reading of pyproject.toml is run."""
    told = run(
        sys.executable,
        *("-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform),
        *("--archs", "AMD64" if platform == "windows" else "x86_64", ROOT),
    )
    versions = ["cp311", "cp312", "cp313", "cp314"]
    assert set(told.split()) == {f"{version}-{kind}" for version in versions for kind in kinds}
