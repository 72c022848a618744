"""What runs in a process of its own: one way to read a tree a mode; prints a line of JSON.

    python children.py MODE TREE [CHECK [LIMIT]]

`seconds` in that line are counted inside, behind the imports. CHECK is a file to write the three
columns to that are compared; giving one spoils the time. Arguments are plain, as argparse would be
a tenth of what is measured.
"""

import json
import os
import sys
import time

KEY = ("SOPInstanceUID", "PatientID", "AccessionNumber")
TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)


def arrow(tree: str, check: str, _limit: int) -> dict[str, float]:
    """Scan into one Arrow table."""
    import pyarrow as pa
    from pyarrow import csv

    from dicomloom import scan

    began = time.perf_counter()
    found = scan(tree)
    table = pa.table(found)
    seconds = time.perf_counter() - began
    if check:
        csv.write_csv(table.select(KEY), check)
    return {"files": table.num_rows, "seconds": seconds}


def batches(tree: str, _check: str, _limit: int) -> dict[str, float]:
    """Scan, and drop the batches: the C core and little else."""
    from dicomloom import scan

    began = time.perf_counter()
    rows = 0
    with scan(tree) as found:
        for batch in found:
            rows += len(batch)
        seconds = time.perf_counter() - began
        asked = found.progress().bytes_read
    return {"files": rows, "seconds": seconds, "bytes": asked}


def pydicom(tree: str, check: str, limit: int) -> dict[str, float]:
    """Read the first `limit` files as a careful user of pydicom would."""
    from pydicom import dcmread

    paths = sorted(os.path.join(at, name) for at, _, names in os.walk(tree) for name in names)
    began = time.perf_counter()
    rows = []
    for path in paths[:limit]:
        ds = dcmread(path, specific_tags=list(TAGS), stop_before_pixels=True)
        rows.append([str(ds.get(tag, "")) for tag in TAGS])
    seconds = time.perf_counter() - began
    if check:
        at = [TAGS.index(name) for name in KEY]
        with open(check, "w") as out:
            out.write(",".join(KEY) + "\n")
            out.writelines(",".join(row[i] for i in at) + "\n" for row in rows)
    return {"files": len(rows), "seconds": seconds}


MODES = {"arrow": arrow, "batches": batches, "pydicom": pydicom}


def main() -> int:
    mode, tree, check, limit, *_ = [*sys.argv[1:], "", "0"]
    print(json.dumps(MODES[mode](tree, check, int(limit or 0))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
