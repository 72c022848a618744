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
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from dicomloom.codecs.layout import Layout
from dicomloom.codecs.rle import RLELossless
from kernels import (
    OURS,
    Code,
    Image,
    Pixels,
    Taken,
    compare,
    image_in,
    image_of,
    make_ct,
    make_noise,
    make_us,
    on_one_processor,
    rates,
)

CODEC = RLELossless()
COLUMNS = (OURS, "pylibjpeg-rle", "imagecodecs")


def make_empty(seed: int) -> Pixels:
    empty = np.zeros((512, 512), "<u2")
    empty[200:220, 200:260] = np.random.default_rng(seed).integers(0, 4096, (20, 60))
    return empty


def make_images(count: int) -> list[Image]:
    kinds = {
        "CT 512x512, 16 bits": make_ct,
        "US RGB 1020x818": make_us,
        "mostly empty, 16 bits": make_empty,
        "noise, 16 bits": make_noise,
    }
    return [image_of(name, [make(i) for i in range(count)]) for name, make in kinds.items()]


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


def row(image: Image, what: str, size: str, found: Taken) -> str:
    return "| " + " | ".join([image.name, what, size, *rates(image, COLUMNS, found)]) + " |"


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
    print(row(image, "encode", size, compare(runs, dict.fromkeys(runs, image.frames), rounds)))
    for whose, frames in coded.items():
        runs = {name: make(at) for name, make in decoders.items()}
        found = compare(runs, dict.fromkeys(runs, frames), rounds)
        print(row(image, f"decode {whose}'s", f"{sizes[whose]:,}", found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--frames", type=int, default=8, help="of each kind")
    arguments = parser.parse_args()
    on_one_processor()
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
