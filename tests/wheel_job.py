"""One job from an installed wheel, with nothing but its own dependencies: run by cibuildwheel.

python wheel_job.py, outside of the tree. Exits with 1 by an exception when anything is amiss.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file

import dicomloom


def main() -> None:
    image = Path(get_testdata_file("CT_small.dcm"))
    with tempfile.TemporaryDirectory() as folder:
        table, small, frame = (Path(folder) / name for name in ("table.csv", "small.dcm", "raw"))
        command = [sys.executable, "-m", "dicomloom"]
        subprocess.run([*command, "index", image.parent, "-o", table], check=False)
        with table.open(encoding="utf-8", newline="") as lines:
            rows = {row["Filename"]: row for row in csv.DictReader(lines)}
        assert rows[str(image)]["PatientID"] == "1CT1", rows.get(str(image))
        for syntax in ("RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"):
            subprocess.run([*command, "transcode", image, small, "--to", syntax], check=True)
            with dicomloom.FrameReader(small) as reader:
                assert np.array_equal(reader[0], pydicom.dcmread(image).pixel_array), syntax
        subprocess.run([*command, "frame", small, "0", "-o", frame], check=True)
        assert frame.stat().st_size == 128 * 128 * 2
    print(f"dicomloom {dicomloom.__version__} from {Path(dicomloom.__file__).parent}: all well")


if __name__ == "__main__":
    main()
