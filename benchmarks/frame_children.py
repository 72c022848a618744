"""What runs in a process of its own: one way to use frames a mode; prints a line of JSON.

    python frame_children.py MODE PATH [ARGUMENT ...]

`seconds` in that line are counted inside, behind the imports; `rate` is bytes of raw pixels in one.
"""

import itertools
import json
import os
import random
import statistics
import sys
import threading
import time
from pathlib import Path

SEED = 3
ROUNDS = 5
KERNEL_BYTES = 64 << 20  # of frames held in memory: not to be served by the caches alone

Result = dict[str, float | str]


def first(path: str) -> Result:
    """Open with FrameReader and take the first frame."""
    import numpy as np  # noqa: F401

    from dicomloom import FrameReader

    began = time.perf_counter()
    reader = FrameReader(path)
    frame = reader[0]
    seconds = time.perf_counter() - began
    reader.close()
    return {"seconds": seconds, "sum": int(frame.sum())}


def pydicom_first(path: str) -> Result:
    """Open with pydicom and take the first frame, without reading the others."""
    from pydicom.pixels import pixel_array

    began = time.perf_counter()
    frame = pixel_array(path, index=0)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "sum": int(frame.sum())}


def scattered(path: str, position: str, size: str, count: str) -> Result:
    """Take all frames in any order with FrameReader, and the same ranges with os.pread."""
    from dicomloom import FrameReader

    frame_bytes, start = int(size), int(position)
    order = list(range(int(count)))
    random.Random(SEED).shuffle(order)
    fd = os.open(path, os.O_RDONLY)
    with FrameReader(path) as reader:
        for i in order:
            if reader[i].tobytes() != os.pread(fd, frame_bytes, start + i * frame_bytes):
                return {"differs": i}

        def by_reader() -> float:
            began = time.perf_counter()
            for i in order:
                reader[i]
            return time.perf_counter() - began

        def by_pread() -> float:
            began = time.perf_counter()
            for i in order:
                os.pread(fd, frame_bytes, start + i * frame_bytes)
            return time.perf_counter() - began

        taken = [(by_reader(), by_pread()) for _ in range(ROUNDS)]
    return {
        "reader": statistics.median(a for a, _ in taken),
        "pread": statistics.median(b for _, b in taken),
        "ratio": statistics.median(a / b for a, b in taken),
    }


def kernel(path: str, keyword: str, threads: str, least: str) -> Result:
    """Code frames in memory for `least` seconds, in some threads, and drop what comes out."""
    from pydicom import dcmread

    from dicomloom.codecs.layout import Layout
    from dicomloom.codecs.registry import find
    from dicomloom.errors import DicomloomError
    from frame_peers import pixel_position

    ds = dcmread(path, stop_before_pixels=True)
    layout = Layout(
        ds.Rows,
        ds.Columns,
        samples=ds.SamplesPerPixel,
        bits_allocated=ds.BitsAllocated,
        bits_stored=ds.BitsStored,
        photometric=ds.PhotometricInterpretation,
    )
    many = max(1, min(int(ds.NumberOfFrames), KERNEL_BYTES // layout.frame_bytes))
    with open(path, "rb") as file:
        file.seek(pixel_position(Path(path)))
        frames = [file.read(layout.frame_bytes) for _ in range(many)]
    try:
        encoders = [find(keyword).encoder(layout) for _ in range(int(threads))]
        encoders[0].encode(frames[0])
    except (DicomloomError, ImportError) as error:
        return {"skipped": str(error)}
    if encoders[0].source != layout:
        raise SystemExit(f"{keyword} takes {encoders[0].source}, not {layout}")
    rates = [0.0] * len(encoders)

    def loop(number: int) -> None:
        began = time.perf_counter()
        # Each thread starts at another frame, so that they do not read the same one at a time.
        for done, i in enumerate(itertools.count(number * many // len(encoders)), 1):
            encoders[number].encode(frames[i % many])
            seconds = time.perf_counter() - began
            if seconds >= float(least):
                rates[number] = done * layout.frame_bytes / seconds
                return

    pool = [threading.Thread(target=loop, args=(i,)) for i in range(len(encoders))]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return {"rate": sum(rates)}


def pipeline(path: str, out: str, keyword: str, warm: str) -> Result:
    """Transcode in this process; a small object goes first, so that libraries are loaded."""
    from dicomloom import transcode
    from dicomloom.errors import DicomloomError

    try:
        transcode(warm, out, keyword)
    except (DicomloomError, ImportError) as error:
        return {"skipped": str(error)}
    os.unlink(out)
    began = time.perf_counter()
    transcode(path, out, keyword)
    return {"seconds": time.perf_counter() - began}


MODES = {
    "first": first,
    "pydicom-first": pydicom_first,
    "scattered": scattered,
    "kernel": kernel,
    "pipeline": pipeline,
}


def main() -> int:
    mode, *arguments = sys.argv[1:]
    print(json.dumps(MODES[mode](*arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
