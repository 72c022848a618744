"""What the benches of codecs on one processor share: frames, peers in turn, and cells of a table.

MB are raw bytes, 10^6 of them; a rate is a median, a ratio the median of the ratios within the
rounds. Frames are bytes as `dicomloom.codecs.layout` has them.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dicomloom.codecs.layout import Layout

OURS = "dicomloom"

Code = Callable[[Any], object]  # one frame, to code or to decode
Taken = dict[str, tuple[float, float]]  # name -> seconds, times slower than ours
Pixels = np.ndarray


class Image(NamedTuple):
    name: str
    layout: Layout
    frames: list[bytes]


def image_of(name: str, frames: Sequence[Pixels], bits_stored: int | None = None) -> Image:
    pixels = frames[0]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    layout = Layout(
        *pixels.shape[:2],
        samples=samples,
        bits_allocated=8 * pixels.itemsize,
        bits_stored=bits_stored,
        signed=pixels.dtype.kind == "i",
        photometric="RGB" if samples == 3 else "MONOCHROME2",
    )
    return Image(name, layout, [each.tobytes() for each in frames])


def image_in(path: str) -> Image:
    """Return the frames of a file, read with pydicom."""
    import pydicom

    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array
    frames = pixels if int(ds.get("NumberOfFrames", 1)) > 1 else [pixels]
    return image_of(os.path.basename(path)[:30], list(frames), int(ds.BitsStored))


def make_ct(seed: int, side: int = 512) -> Pixels:
    """Air, a body with lungs and a spine, and noise of 12 HU; 1024 is water."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    tissue = 40 + 60 * np.sin(9 * x) * np.cos(7 * y)
    hu = np.where((x / 0.42) ** 2 + (y / 0.33) ** 2 < 1, tissue, -1000)
    for center in (-0.2, 0.2):
        hu[((x - center) / 0.13) ** 2 + (y / 0.22) ** 2 < 1] = -850
    hu[(x / 0.05) ** 2 + ((y - 0.2) / 0.05) ** 2 < 1] = 700
    noisy = hu + np.random.default_rng(seed).normal(0, 12, hu.shape)
    return (np.clip(noisy, -1024, 3071) + 1024).astype("<u2")


def make_us(seed: int, rows: int = 818, columns: int = 1020) -> Pixels:
    """A sector of speckle on black, and a caption in color."""
    y, x = np.mgrid[:rows, :columns]
    angle, depth = np.arctan2(x - columns / 2, y + 40), np.hypot(x - columns / 2, y + 40)
    speckle = np.random.default_rng(seed).rayleigh(40, x.shape) * np.exp(-depth / 900)
    inside = (abs(angle) < 0.6) & (depth > 90) & (depth < 760)
    gray = np.where(inside, np.clip(speckle, 0, 255), 0).astype("u1")
    color = np.repeat(gray[..., None], 3, axis=2)
    color[20:60, 20:200] = (200, 180, 20)
    return color


def make_noise(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 65536, (512, 512)).astype("<u2")


def on_one_processor() -> None:
    """Stay on one processor from now on, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compare(
    runs: Mapping[str, Code],
    inputs: Mapping[str, Sequence[Any]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Taken:
    """Run each on its frames, all in turn in each round.

    Returns
    -------
    dict
        The median seconds of each, and the median of (its time / ours): NaN where ours is absent.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            for frame in inputs[name]:
                run(frame)
            times[name].append(clock() - start)
    ours = times.get(OURS, [math.nan] * rounds)
    return {
        name: (
            statistics.median(taken),
            statistics.median(a / b for a, b in zip(taken, ours, strict=True)),
        )
        for name, taken in times.items()
    }


def rates(image: Image, columns: Sequence[str], found: Taken) -> list[str]:
    """Return a cell a column: MB/s, and behind a peer's in parentheses how much slower it is."""
    cells = []
    for name in columns:
        if name not in found:
            cells.append("-")
            continue
        seconds, ratio = found[name]
        rate = f"{sum(map(len, image.frames)) / seconds / 1e6:,.0f}"
        cells.append(rate if name == OURS or math.isnan(ratio) else f"{rate} ({ratio:.1f}x)")
    return cells
