"""RLE Lossless, frame by frame on one processor: dicomloom beside pylibjpeg-rle and imagecodecs.

python benchmarks/bench_rle.py [--rounds 200] [FILE.dcm ...]

All candidates run in turn within each round, on the same bytes; what they make is compared before
anything is timed. MB are raw bytes, 10^6 of them; a rate is a median, a ratio the median of the
ratios within the rounds. Files are read with pydicom, which must find native pixels in them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Callable
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
    pixels: bytes


def image_of(name: str, pixels: np.ndarray) -> Image:
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    layout = Layout(
        *pixels.shape[:2],
        samples=samples,
        bits_allocated=8 * pixels.itemsize,
        photometric="RGB" if samples == 3 else "MONOCHROME2",
    )
    return Image(name, layout, pixels.tobytes())


def make_ct(side: int = 512, seed: int = 1) -> np.ndarray:
    """Air, a body with lungs and a spine, and noise of 12 HU; 1024 is water."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    tissue = 40 + 60 * np.sin(9 * x) * np.cos(7 * y)
    hu = np.where((x / 0.42) ** 2 + (y / 0.33) ** 2 < 1, tissue, -1000)
    for center in (-0.2, 0.2):
        hu[((x - center) / 0.13) ** 2 + (y / 0.22) ** 2 < 1] = -850
    hu[(x / 0.05) ** 2 + ((y - 0.2) / 0.05) ** 2 < 1] = 700
    noisy = hu + np.random.default_rng(seed).normal(0, 12, hu.shape)
    return (np.clip(noisy, -1024, 3071) + 1024).astype("<u2")


def make_us(rows: int = 818, columns: int = 1020, seed: int = 2) -> np.ndarray:
    """A sector of speckle on black, and a caption in color."""
    y, x = np.mgrid[:rows, :columns]
    angle, depth = np.arctan2(x - columns / 2, y + 40), np.hypot(x - columns / 2, y + 40)
    speckle = np.random.default_rng(seed).rayleigh(40, x.shape) * np.exp(-depth / 900)
    inside = (abs(angle) < 0.6) & (depth > 90) & (depth < 760)
    gray = np.where(inside, np.clip(speckle, 0, 255), 0).astype("u1")
    color = np.repeat(gray[..., None], 3, axis=2)
    color[20:60, 20:200] = (200, 180, 20)
    return color


def make_images() -> list[Image]:
    random = np.random.default_rng(3)
    empty = np.zeros((512, 512), "<u2")
    empty[200:220, 200:260] = random.integers(0, 4096, (20, 60))
    noise = random.integers(0, 65536, (512, 512)).astype("<u2")
    return [
        image_of("CT 512x512, 16 bits", make_ct()),
        image_of("US RGB 1020x818", make_us()),
        image_of("mostly empty, 16 bits", empty),
        image_of("noise, 16 bits", noise),
    ]


def images_of(path: str) -> list[Image]:
    import pydicom

    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array
    if int(ds.get("NumberOfFrames", 1)) > 1:
        pixels = pixels[0]
    return [image_of(os.path.basename(path)[:30], np.ascontiguousarray(pixels))]


Make = Callable[[Image, bytes], Callable[[], object]]


def our_encoder(image: Image, _: bytes) -> Callable[[], object]:
    encoder = CODEC.encoder(image.layout)
    return lambda: b"".join(encoder.encode(image.pixels))  # as peers give it: one piece, a copy


def our_decoder(image: Image, coded: bytes) -> Callable[[], object]:
    decoder = CODEC.decoder(image.layout)
    return lambda: decoder.decode(coded)


def peers() -> tuple[dict[str, Make], dict[str, Make]]:
    """Return encoders and decoders that are here; the others are named."""
    encoders: dict[str, Make] = {OURS: our_encoder}
    decoders: dict[str, Make] = {OURS: our_decoder}
    try:
        from rle.rle import decode_frame, encode_frame
    except ImportError:
        print("pylibjpeg-rle is not installed: skipped", file=sys.stderr)
    else:

        def encoder(image: Image, _: bytes) -> Callable[[], object]:
            at = image.layout
            shape = (at.rows, at.columns, at.samples, at.bits_allocated, "<")
            return lambda: encode_frame(image.pixels, *shape)

        def decoder(image: Image, coded: bytes) -> Callable[[], object]:
            at = image.layout  # leaves samples by plane, which is less work
            return lambda: decode_frame(coded, at.rows * at.columns, at.bits_allocated, "<")

        encoders["pylibjpeg-rle"], decoders["pylibjpeg-rle"] = encoder, decoder
    try:
        from imagecodecs import dicomrle_decode
    except ImportError:
        print("imagecodecs is not installed: skipped", file=sys.stderr)
    else:

        def by_plane(image: Image, coded: bytes) -> Callable[[], object]:
            dtype = np.dtype(image.layout.dtype)
            return lambda: dicomrle_decode(coded, dtype)

        decoders["imagecodecs"] = by_plane
    return encoders, decoders


def same_pixels(image: Image, found: object, by_plane: bool) -> bool:
    values = np.frombuffer(memoryview(found).cast("B"), image.layout.dtype)  # type: ignore[call-overload]
    if by_plane:
        values = values.reshape(image.layout.samples, -1).T
    return values.tobytes() == image.pixels


def compare(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each, and the median of (its time / ours)."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
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
        rate = f"{len(image.pixels) / seconds / 1e6:,.0f}"
        cells.append(rate if name == OURS else f"{rate} ({ratio:.1f}x)")
    return "| " + " | ".join(cells) + " |"


def measure(
    image: Image, encoders: dict[str, Make], decoders: dict[str, Make], rounds: int
) -> None:
    coded = {name: bytes(make(image, b"")()) for name, make in encoders.items()}
    for whose, data in coded.items():
        for name, make in decoders.items():
            if not same_pixels(image, make(image, data)(), name != OURS):
                sys.exit(f"{image.name}: {name} decodes other pixels from what {whose} coded")
    sizes = ", ".join(f"{len(data):,}" for data in coded.values())
    runs = {name: make(image, b"") for name, make in encoders.items()}
    print(row(image, "encode", sizes, compare(runs, rounds)))
    for whose, data in coded.items():
        runs = {name: make(image, data) for name, make in decoders.items()}
        print(row(image, f"decode {whose}'s", f"{len(data):,}", compare(runs, rounds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    encoders, decoders = peers()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in decoders]
    print(", ".join(versions) + f"; {arguments.rounds} rounds, MB/s (times slower)\n")
    print("| frame | | coded bytes | " + " | ".join(COLUMNS) + " |")
    print("| --- | --- | ---: |" + " ---: |" * len(COLUMNS))
    for image in make_images() + [each for path in arguments.files for each in images_of(path)]:
        measure(image, encoders, decoders, arguments.rounds)


if __name__ == "__main__":
    main()
