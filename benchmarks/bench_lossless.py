"""JPEG Lossless and JPEG-LS, frame by frame on one processor: dicomloom beside its peers.

python benchmarks/bench_lossless.py [--rounds 15] [--syntax JPEGLSLossless] [FILE.dcm ...]

All candidates run in turn within each round, on the same frames; each decoder has to give the
pixels of each stream before anything is timed. Seconds are those of the processor, so that other
programs matter less. The ratio in the last column says how many times
faster dicomloom is than the fastest peer of the row.

libjpeg-turbo, liblj92, jpegsof3 and CharLS are those in imagecodecs, libjpeg is
pylibjpeg-libjpeg's, pyjpegls has a CharLS of its own, GDCM's ImageChangeTransferSyntax works on an
image in memory. DCMTK is measured by its programs: see dcmtk_kernels.py; its ratio is that of
medians, and it decodes only what it coded.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dcmtk_kernels import DCMTK, Costs, costs, have, version
from kernels import (
    OURS,
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
from lossless_peers import Make, Peers, Way, pattern, versions

SYNTAXES = ("JPEGLosslessSV1", "JPEGLSLossless")
LARGE = (3000, 2500)


def make_signed_ct(seed: int) -> Pixels:
    """Hounsfield units about 0: neighbors differ by their sign, and so by most of 16 bits."""
    return (make_ct(seed).astype("<i2") - 1024).astype("<i2")


def make_cr(seed: int) -> Pixels:
    """A chest in 14 bits: shades, ribs, and noise that grows with the light."""
    y, x = np.mgrid[: LARGE[0], : LARGE[1]].astype("f4")
    rng = np.random.default_rng(seed)
    seen = 8000 + 3500 * np.sin(x / 410) * np.cos(y / 530) + 900 * np.tanh(4 * np.sin(y / 70))
    seen += np.sqrt(seen.clip(0)) * rng.standard_normal(LARGE, dtype="f4") * 0.35
    return seen.clip(0, 16383).astype("<u2")


def make_mg(seed: int) -> Pixels:
    """A breast at the left border in 16 bits, on black."""
    y, x = np.mgrid[: LARGE[0], : LARGE[1]].astype("f4")
    rng = np.random.default_rng(seed)
    depth = 1 - (x / 1500) ** 2 - ((y - 1500) / 1200) ** 2
    seen = 12000 + 24000 * np.sqrt(depth.clip(0)) + 5000 * np.sin(x / 61 + 3 * np.sin(y / 97))
    seen += rng.standard_normal(LARGE, dtype="f4") * 90
    return np.where(depth > 0, seen.clip(0, 65535), 0).astype("<u2")


def make_mr(seed: int) -> Pixels:
    """A head in 12 bits that takes a fifth of a frame; all else is 0."""
    y, x = np.mgrid[:512, :512] / 512 - 0.5
    inside = (x / 0.22) ** 2 + (y / 0.29) ** 2
    seen = 900 + 300 * np.sin(31 * x) * np.sin(27 * y) + 900 * (abs(inside - 0.85) < 0.08)
    seen = np.hypot(seen + np.random.default_rng(seed).normal(0, 25, x.shape), 25)
    return np.where(inside < 1, seen.clip(0, 4095), 0).astype("<u2")


def make_color_noise(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (512, 512, 3)).astype("u1")


KINDS: dict[str, tuple[Callable[[int], Pixels], int]] = {
    "CT 512x512, 12 bits": (make_ct, 12),
    "CT 512x512, 16 bits signed": (make_signed_ct, 16),
    "CR 3000x2500, 14 bits": (make_cr, 14),
    "MG 3000x2500, 16 bits": (make_mg, 16),
    "MR 512x512 mostly 0, 12 bits": (make_mr, 12),
    "US RGB 1020x818": (make_us, 8),
    "noise, 16 bits": (make_noise, 16),
    "noise, RGB": (make_color_noise, 8),
}


def draw(name: str, count: int) -> Image:
    make, bits = KINDS[name]
    if make in (make_cr, make_mg):
        count = max(2, count // 4)
    return image_of(name, [make(i) for i in range(count)], bits)


class Row:
    """What the candidates of one row are given; who cannot do it is left out, with the reason."""

    def __init__(self, makes: dict[str, Make], image: Image, said: list[str]) -> None:
        self.ways: dict[str, Way] = {}
        self.inputs: dict[str, list[Any]] = {}
        self.results: dict[str, list[bytes]] = {}
        self._makes, self._image, self._said = makes, image, said

    def give(self, what: str, given: list[bytes], right: Callable[[str, int, bytes], bool]) -> None:
        """Run each once on all frames; keep those whose results are right."""
        for name, make in self._makes.items():
            try:
                way = make(self._image.layout)
                if way is None:
                    continue
                inputs = [way.prepare(each) for each in given]
                results = [way.take(way.run(each)) for each in inputs]
            except Exception as error:
                self._said.append(f"{self._image.name}: {name} does not {what}: {error}")
                continue
            if all(right(name, i, result) for i, result in enumerate(results)):
                self.ways[name], self.inputs[name], self.results[name] = way, inputs, results
            elif name == OURS:
                sys.exit(f"{self._image.name}: {OURS} does not {what} rightly")
            else:
                self._said.append(f"{self._image.name}: {name} does not {what} rightly: left out")

    def time(self, rounds: int) -> Taken:
        runs = {name: way.run for name, way in self.ways.items()}
        return compare(runs, self.inputs, rounds, time.process_time)


def verdict(found: Taken) -> str:
    """Return the fastest peer, and how many times faster dicomloom is."""
    peers = [name for name in found if name != OURS]
    if not peers:
        return "-"
    best = min(peers, key=lambda name: found[name][1] if OURS in found else found[name][0])
    return f"{best} {found[best][1]:.2f}x" if OURS in found else best


class Bench:
    """The table of one syntax."""

    def __init__(self, syntax: str, arguments: argparse.Namespace) -> None:
        self.syntax, self.rounds, self.all = syntax, arguments.rounds, arguments.all
        self.peers = Peers(syntax, arguments.predictor)
        self.columns = list(dict.fromkeys([*self.peers.coders, *self.peers.decoders]))
        self.dcmtk = have(syntax) and arguments.predictor == 1
        if self.dcmtk:
            self.columns.append(DCMTK)
        self.said: list[str] = []

    def head(self) -> None:
        print(f"## {self.syntax}\n")
        print("| frame | | coded / raw | " + " | ".join(self.columns) + " | against the best |")
        print("| --- | --- | ---: |" + " ---: |" * (len(self.columns) + 1))

    def row(self, image: Image, what: str, size: str, found: Taken) -> None:
        cells = [image.name, what, size, *rates(image, self.columns, found), verdict(found)]
        print("| " + " | ".join(cells) + " |", flush=True)

    def measure(self, image: Image) -> None:
        """Check all, then print a row of coding, and one of decoding a stream."""
        coding = Row(self.peers.coders, image, self.said)
        coding.give("code", image.frames, lambda _name, _i, coded: bool(coded))
        coded = dict(coding.results)
        programs = self.programs(image)
        if programs:
            coded[DCMTK] = programs.coded
        decoding = {whose: self.decoders(image, whose, data) for whose, data in coded.items()}
        raw = sum(map(len, image.frames))
        share = {whose: f"{sum(map(len, data)) / raw:.4f}" for whose, data in coded.items()}
        found = coding.time(self.rounds)
        if programs:
            found[DCMTK] = beside(programs.code, found)
        sizes = ", ".join(f"{whose} {each}" for whose, each in share.items())
        self.row(image, "encode", sizes, found)
        timed = list(decoding) if self.all else {*list(decoding)[:2], *list(decoding)[-1:]}
        for whose in (each for each in decoding if each in timed):
            found = decoding[whose].time(self.rounds)
            if programs and whose == DCMTK:
                found[DCMTK] = beside(programs.decode, found)
            self.row(image, f"decode {whose}'s", share[whose], found)

    def decoders(self, image: Image, whose: str, coded: list[bytes]) -> Row:
        """Return those who decode what `whose` coder made."""
        wanted = [pattern(image.layout, pixels) for pixels in image.frames]

        def same(name: str, i: int, found: bytes) -> bool:
            return found == (image.frames if name == OURS else wanted)[i]

        row = Row(self.peers.decoders, image, self.said)
        row.give(f"decode {whose}'s", coded, same)
        return row

    def programs(self, image: Image) -> Costs | None:
        if not self.dcmtk:
            return None
        try:
            return costs(image, self.syntax)
        except ValueError as error:
            self.said.append(f"{image.name}: {DCMTK}: {error}")
            return None


def beside(seconds: float, found: Taken) -> tuple[float, float]:
    """Return seconds, and how many times slower than ours they are."""
    return seconds, seconds / found[OURS][0] if OURS in found else math.nan


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=8, help="of each kind; of large a quarter")
    parser.add_argument("--syntax", nargs="+", choices=SYNTAXES, default=list(SYNTAXES))
    parser.add_argument("--predictor", type=int, default=1, choices=range(1, 8), metavar="1-7")
    parser.add_argument("--kinds", nargs="*", metavar="WORD", help="only those with such a word")
    parser.add_argument(
        "--all", action="store_true", help="time the decoding of each coder's streams"
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    on_one_processor()
    known = versions() + (f"; {DCMTK} {version()}" if any(map(have, SYNTAXES)) else "")
    print(f"{known}; {arguments.rounds} rounds, MB/s (times slower)\n")
    words = arguments.kinds
    names = [name for name in KINDS if words is None or any(word in name for word in words)]
    well = True
    for syntax in arguments.syntax:
        bench = Bench(syntax, arguments)
        bench.head()
        for name in names:
            bench.measure(draw(name, arguments.frames))
        for path in arguments.files:
            bench.measure(image_in(path))
        print()
        for each in dict.fromkeys(bench.said):
            print(f"* {each}")
        print()
        well = well and not any(f": {OURS} " in each for each in bench.said)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
