"""What isolation costs: the start of a process, and each frame's way to it and back.

python benchmarks/bench_isolation.py [--rounds 200] [--starts 10]

CT frames of 512 x 512 in several transfer syntaxes, decoded here and in a process in turn; the
pixels are compared first. Times are medians; what a frame costs more is the median of the
differences within the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

from dicomloom import Isolation
from dicomloom.codecs import registry
from dicomloom.codecs.base import Decoder
from dicomloom.codecs.library import LibraryDecoder
from kernels import Image, image_of, make_ct

SYNTAXES = ("JPEG2000Lossless", "HTJ2KLossless", "JPEGXLLossless")


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def coded(keyword: str, image: Image) -> tuple[Decoder, list[bytes]]:
    codec = registry.find(keyword)
    encoder = codec.encoder(image.layout)
    frames = [b"".join(map(bytes, encoder.encode(frame))) for frame in image.frames]
    decoder = codec.decoder(encoder.layout)
    assert isinstance(decoder, LibraryDecoder)
    return decoder, frames


def start_and_end(decoder: Decoder, frame: bytes) -> tuple[float, float]:
    """Return what the first frame and the end of its process take."""
    apart = Isolation()
    first = timed(lambda: apart.decoder(decoder).decode(frame))
    return first, timed(apart.close)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--starts", type=int, default=10)
    arguments = parser.parse_args()
    image = image_of("CT 512x512", [make_ct(i) for i in range(8)], 12)
    print("| transfer syntax | first frame | each, in a process | here | costs | end |")
    print("| --- | --: | --: | --: | --: | --: |")
    for keyword in SYNTAXES:
        decoder, frames = coded(keyword, image)
        pairs = [start_and_end(decoder, frames[0]) for _ in range(arguments.starts)]
        first, end = (statistics.median(column) for column in zip(*pairs, strict=True))
        here, there = [], []
        with Isolation() as apart:
            isolated = apart.decoder(decoder)
            for frame in frames:
                assert bytes(isolated.decode(frame)) == bytes(decoder.decode(frame))
            for i in range(arguments.rounds):
                frame = frames[i % len(frames)]
                here.append(timed(partial(decoder.decode, frame)))
                there.append(timed(partial(isolated.decode, frame)))
        more = statistics.median(b - a for a, b in zip(here, there, strict=True))
        print(
            f"| {keyword} | {first:.0f} ms | {statistics.median(there):.2f} ms "
            f"| {statistics.median(here):.2f} ms | {more:.2f} ms | {end:.0f} ms |"
        )


if __name__ == "__main__":
    main()
