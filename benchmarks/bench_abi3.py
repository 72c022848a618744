"""What one wheel for every Python (the stable ABI, abi3) costs beside a wheel for each.

python benchmarks/bench_abi3.py [--rounds 5]

Builds both wheels of this tree, puts each in an environment of its own, and runs the same calls in
both, in turn. Times are CPU times of the process, the least of seven in each run; ratios are
medians over the rounds. Calls on small inputs, for there the way into C is all there is to pay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABIS = {"one version": [], "abi3": ["-C", "wheel.py-api=cp311"]}

# Runs in either environment, which has neither this folder nor the tree.
CALLS = r"""
import json, shutil, sys, tempfile, time
from pathlib import Path
import numpy as np
import dicomloom
from dicomloom._native import frames
from pydicom.data import get_testdata_file

file = get_testdata_file("CT_small.dcm")
content = Path(file).read_bytes()
folder = Path(tempfile.mkdtemp())
for i in range(400):
    (folder / f"{i}.dcm").write_bytes(content)
image = np.random.default_rng(1).integers(0, 100, (32, 32), dtype=np.uint16)
tags = ["PatientID", "Modality", "SOPInstanceUID"]
header = frames.read_header(content)

def write(to=folder / "written"):
    with dicomloom.FrameWriter(to, {}, transfer_syntax="RLELossless") as writer:
        for _ in range(200):
            writer.write(image)

write(folder / "rle")
calls = {
    "read_tags of a path": lambda: [dicomloom.read_tags(file, tags) for _ in range(300)],
    "read_tags of bytes": lambda: [dicomloom.read_tags(content, tags) for _ in range(300)],
    "scan of 400 files": lambda: list(dicomloom.scan([folder])),
    "the header of a file": lambda: [frames.read_header(content) for _ in range(300)],
    "its elements": lambda: [
        frames.list_elements(content, header.data_set, header.explicit_vr, header.big_endian)
        for _ in range(100)
    ],
    "read 200 frames of 2 kB": lambda: list(dicomloom.FrameReader(folder / "rle")),
    "write 200 frames of 2 kB": write,
}
seconds = {}
for name, call in calls.items():
    for _ in range(8):
        start = time.process_time()
        call()
        seconds[name] = min(seconds.get(name, 1e9), time.process_time() - start)
shutil.rmtree(folder)
json.dump(seconds, sys.stdout)
"""


def install(abi: str, below: Path) -> Path:
    """Build a wheel, install it in an environment of its own, and return the Python there."""
    wheels, home = below / f"{abi} wheel", below / abi
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels]
    subprocess.run([*pip, *ABIS[abi], ROOT], check=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    subprocess.run([home / "bin/pip", "install", "-q", wheel], check=True)
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    return home / "bin/python"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as below:
        pythons = {abi: install(abi, Path(below)) for abi in ABIS}
        runs: list[dict[str, dict[str, float]]] = []
        for _ in range(rounds):
            runs.append({})
            for abi, python in pythons.items():
                made = subprocess.run([python, "-c", CALLS], check=True, stdout=subprocess.PIPE)
                runs[-1][abi] = json.loads(made.stdout)
    print("| | one version, ms | abi3, times that |\n| --- | ---: | ---: |")
    for call in runs[0]["abi3"]:
        own = statistics.median(run["one version"][call] for run in runs)
        ratio = statistics.median(run["abi3"][call] / run["one version"][call] for run in runs)
        print(f"| {call} | {1000 * own:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
