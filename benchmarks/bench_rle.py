"""RLE Lossless, frame by frame on one processor: dicomloom beside pylibjpeg-rle and imagecodecs.

python benchmarks/bench_rle.py [--rounds 30] [FILE.dcm ...]

All candidates run in turn within each round, on the same bytes; what they make is compared before
anything is timed. Each kind of frame comes in several that differ in their noise: a processor
learns the branches of a single one by heart. MB are raw bytes, 10^6 of them; a rate is a median, a
ratio the median of the ratios within the rounds. The frames of files are read with pydicom.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from dicomloom.codecs.layout import Layout
from dicomloom.codecs.rle import RLELossless

CODEC = RLELossless()
OURS = "dicomloom"
COLUMNS = (OURS, "pylibjpeg-rle", "imagecodecs")


class Image(NamedTuple):
    name: str
    layout: Layout
    frames: list[bytes]


def image_of(name: str, frames: Sequence[np.ndarray]) -> Image:
    pixels = frames[0]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    layout = Layout(
        *pixels.shape[:2],
        samples=samples,
        bits_allocated=8 * pixels.itemsize,
        photometric="RGB" if samples == 3 else "MONOCHROME2",
    )
    return Image(name, layout, [each.tobytes() for each in frames])


def make_ct(seed: int, side: int = 512) -> np.ndarray:
    """Air, a body with lungs and a spine, and noise of 12 HU; 1024 is water."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    tissue = 40 + 60 * np.sin(9 * x) * np.cos(7 * y)
    hu = np.where((x / 0.42) ** 2 + (y / 0.33) ** 2 < 1, tissue, -1000)
    for center in (-0.2, 0.2):
        hu[((x - center) / 0.13) ** 2 + (y / 0.22) ** 2 < 1] = -850
    hu[(x / 0.05) ** 2 + ((y - 0.2) / 0.05) ** 2 < 1] = 700
    noisy = hu + np.random.default_rng(seed).normal(0, 12, hu.shape)
    return (np.clip(noisy, -1024, 3071) + 1024).astype("<u2")


def make_us(seed: int, rows: int = 818, columns: int = 1020) -> np.ndarray:
    """A sector of speckle on black, and a caption in color."""
    y, x = np.mgrid[:rows, :columns]
    angle, depth = np.arctan2(x - columns / 2, y + 40), np.hypot(x - columns / 2, y + 40)
    speckle = np.random.default_rng(seed).rayleigh(40, x.shape) * np.exp(-depth / 900)
    inside = (abs(angle) < 0.6) & (depth > 90) & (depth < 760)
    gray = np.where(inside, np.clip(speckle, 0, 255), 0).astype("u1")
    color = np.repeat(gray[..., None], 3, axis=2)
    color[20:60, 20:200] = (200, 180, 20)
    return color


def make_empty(seed: int) -> np.ndarray:
    empty = np.zeros((512, 512), "<u2")
    empty[200:220, 200:260] = np.random.default_rng(seed).integers(0, 4096, (20, 60))
    return empty


def make_noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (512, 512)).astype("<u2")


def make_images(count: int) -> list[Image]:
    kinds = {
        "CT 512x512, 16 bits": make_ct,
        "US RGB 1020x818": make_us,
        "mostly empty, 16 bits": make_empty,
        "noise, 16 bits": make_noise,
    }
    return [image_of(name, [make(i) for i in range(count)]) for name, make in kinds.items()]


def image_in(path: str) -> Image:
    import pydicom

    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array
    frames = pixels if int(ds.get("NumberOfFrames", 1)) > 1 else [pixels]
    return image_of(os.path.basename(path)[:30], list(frames))


Code = Callable[[bytes], object]  # one frame, to code or to decode
Make = Callable[[Layout], Code]


def our_encoder(at: Layout) -> Code:
    encoder = CODEC.encoder(at)
    return lambda pixels: b"".join(encoder.encode(pixels))  # as peers give it: one piece, a copy


def our_decoder(at: Layout) -> Code:
    return CODEC.decoder(at).decode


def peers() -> tuple[dict[str, Make], dict[str, Make]]:
    """Return encoders and decoders that are here; the others are named."""
    encoders: dict[str, Make] = {OURS: our_encoder}
    decoders: dict[str, Make] = {OURS: our_decoder}
    try:
        from rle.rle import decode_frame, encode_frame
    except ImportError:
        print("pylibjpeg-rle is not installed: skipped", file=sys.stderr)
    else:

        def encoder(at: Layout) -> Code:
            shape = (at.rows, at.columns, at.samples, at.bits_allocated, "<")
            return lambda pixels: encode_frame(pixels, *shape)

        def decoder(at: Layout) -> Code:  # leaves samples by plane, which is less work
            return lambda coded: decode_frame(coded, at.rows * at.columns, at.bits_allocated, "<")

        encoders["pylibjpeg-rle"], decoders["pylibjpeg-rle"] = encoder, decoder
    try:
        from imagecodecs import dicomrle_decode
    except ImportError:
        print("imagecodecs is not installed: skipped", file=sys.stderr)
    else:
        decoders["imagecodecs"] = lambda at: partial(dicomrle_decode, dtype=np.dtype(at.dtype))
    return encoders, decoders


def same_pixels(at: Layout, pixels: bytes, found: object, by_plane: bool) -> bool:
    values = np.frombuffer(memoryview(found).cast("B"), at.dtype)  # type: ignore[call-overload]
    if by_plane:
        values = values.reshape(at.samples, -1).T
    return values.tobytes() == pixels


def compare(
    runs: dict[str, Code], frames: list[bytes], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each, and the median of (its time / ours)."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            for frame in frames:
                run(frame)
            times[name].append(time.perf_counter() - start)
    return {
        name: (
            statistics.median(taken),
            statistics.median(a / b for a, b in zip(taken, times[OURS], strict=True)),
        )
        for name, taken in times.items()
    }


def row(image: Image, what: str, size: str, found: dict[str, tuple[float, float]]) -> str:
    cells = [image.name, what, size]
    for name in COLUMNS:
        if name not in found:
            cells.append("-")
            continue
        seconds, ratio = found[name]
        rate = f"{sum(map(len, image.frames)) / seconds / 1e6:,.0f}"
        cells.append(rate if name == OURS else f"{rate} ({ratio:.1f}x)")
    return "| " + " | ".join(cells) + " |"


def measure(
    image: Image, encoders: dict[str, Make], decoders: dict[str, Make], rounds: int
) -> None:
    at = image.layout
    coded = {}
    for name, make in encoders.items():
        encode = make(at)
        coded[name] = [bytes(encode(pixels)) for pixels in image.frames]  # type: ignore[call-overload]
    for whose, frames in coded.items():
        for name, make in decoders.items():
            decode = make(at)
            for pixels, data in zip(image.frames, frames, strict=True):
                if not same_pixels(at, pixels, decode(data), name != OURS):
                    sys.exit(f"{image.name}: {name} decodes other pixels from what {whose} coded")
    sizes = {name: sum(map(len, frames)) // len(frames) for name, frames in coded.items()}
    runs = {name: make(at) for name, make in encoders.items()}
    size = ", ".join(f"{size:,}" for size in sizes.values())
    print(row(image, "encode", size, compare(runs, image.frames, rounds)))
    for whose, frames in coded.items():
        runs = {name: make(at) for name, make in decoders.items()}
        found = compare(runs, frames, rounds)
        print(row(image, f"decode {whose}'s", f"{sizes[whose]:,}", found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--frames", type=int, default=8, help="of each kind")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    encoders, decoders = peers()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in decoders]
    print(", ".join(versions) + f"; {arguments.rounds} rounds, MB/s (times slower)\n")
    print("| frame | | coded bytes a frame | " + " | ".join(COLUMNS) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(COLUMNS))
    images = make_images(arguments.frames) + [image_in(path) for path in arguments.files]
    for image in images:
        measure(image, encoders, decoders, arguments.rounds)


if __name__ == "__main__":
    main()
