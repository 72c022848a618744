"""What is seen on the frames that are measured: pictures made by numpy from a seed.

A frame depends on nothing but kind, size, seed and its number. Structures are sums of waves, which
are a product of two thin matrices; noise is a window of a bank that is drawn once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8] | NDArray[np.uint16]
Waves = NDArray[np.float32]

BANK = 1 << 22

# Chosen so that the photo compresses as the object of the published numbers does: about 0.91 by
# RLE, 0.57 by JPEG Lossless SV1 and 0.44 by JPEG-LS. Black surroundings are all that RLE can use;
# detail is what costs the predictor from the left, noise is what costs any predictor.
PHOTO_RADIUS = 1.12
PHOTO_DETAIL = 18.5
PHOTO_NOISE = 2.05


class Pictures:
    """Frames of one kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    rows, columns : int
    seed : int

    Attributes
    ----------
    samples, bits_stored : int
    dtype : numpy.dtype
    """

    def __init__(self, kind: str, rows: int, columns: int, seed: int = 0) -> None:
        self._draw, self.samples, self.bits_stored = KINDS[kind]
        self.rows, self.columns, self.seed = rows, columns, seed
        self.dtype = np.dtype("<u2" if self.bits_stored > 8 else "u1")
        bank = np.random.default_rng([seed, 0]).standard_normal(BANK, dtype=np.float32)
        self._bank = np.resize(bank, max(BANK, 2 * rows * columns * self.samples))
        self._y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
        self._x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]

    def frame(self, number: int) -> Picture:
        """Draw frame `number`: (rows, columns), or (rows, columns, 3), little endian."""
        rng = np.random.default_rng([self.seed, 1, number])
        seen = self._draw(self, rng)
        np.clip(seen, 0, (1 << self.bits_stored) - 1, out=seen)
        return np.ascontiguousarray(seen, dtype=self.dtype)

    def noise(self, rng: np.random.Generator, samples: int = 1) -> Waves:
        """Return normal noise: a window of the bank."""
        count = self.rows * self.columns * samples
        at = int(rng.integers(self._bank.size - count + 1))
        shape = (self.rows, self.columns, samples) if samples > 1 else (self.rows, self.columns)
        return self._bank[at : at + count].reshape(shape)

    def waves(self, rng: np.random.Generator, shortest: float, longest: float, many: int) -> Waves:
        """Return a sum of waves in all directions, about -2 to 2, of lengths given in pixels."""
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), many))
        angle = rng.uniform(0, np.pi, many)
        phase = rng.uniform(0, 2 * np.pi, many)
        fall = 2 * np.pi / length * np.sin(angle) * np.arange(self.rows)[:, None] + phase
        run = 2 * np.pi / length * np.cos(angle) * np.arange(self.columns)[:, None]
        # sin(a + b) = sin a cos b + cos a sin b
        left = np.hstack([np.sin(fall), np.cos(fall)]).astype(np.float32)
        right = np.hstack([np.cos(run), np.sin(run)]).astype(np.float32)
        return left @ right.T * np.float32(np.sqrt(2 / many))

    def within(
        self, rng: np.random.Generator, radius: float, off: float = 0.03
    ) -> NDArray[np.bool_]:
        """Return an ellipse near the middle; a radius of 1 touches the borders."""
        y, x = rng.uniform(-off, off, 2)
        return (self._y - y) ** 2 + (self._x - x) ** 2 < radius**2

    def sector(self) -> NDArray[np.bool_]:
        """Return what a curved ultrasound probe sees."""
        deep = np.hypot(self._y + 1.3, self._x * 1.2)
        return (deep > 0.5) & (deep < 2.1) & (np.abs(self._x * 1.2) < 0.7 * (self._y + 1.3))


def _photo(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw an endoscope's view: shades, edges, details, sensor noise; black around its circle."""
    shade = of.waves(rng, 120, 900, 6) * 35
    shade += np.tanh(of.waves(rng, 60, 400, 5) * 6) * 12
    shade += of.waves(rng, 8, 60, 8) * PHOTO_DETAIL
    seen = of.noise(rng, 3) * np.float32(PHOTO_NOISE)
    for channel, (base, share) in enumerate(((128, 1.0), (118, 0.9), (112, 0.8))):
        seen[..., channel] += base + share * shade
    seen[~of.within(rng, PHOTO_RADIUS)] = 0
    return seen


def _ct(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw a noisy slice: a body with organs in air, 0 outside of the reconstructed circle."""
    seen = of.noise(rng) * np.float32(14) + 24
    body = of.within(rng, 0.72)
    organs = 1060 + np.tanh(of.waves(rng, of.rows / 8, of.rows, 6) * 5) * 60
    organs += of.waves(rng, of.rows / 40, of.rows / 4, 8) * 25
    seen[body] += organs[body]
    seen[~of.within(rng, 1.0, off=0)] = 0
    return seen


def _ultrasound(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw gray speckle in a sector, as RGB; a bar in color; all else black."""
    gray = np.abs(of.noise(rng)) * (40 + 25 * of.waves(rng, 40, 300, 6))
    gray[~of.sector()] = 0
    seen = np.repeat(gray[..., None], 3, axis=2)
    height, width = of.rows // 3, max(of.columns // 40, 1)
    ramp = np.linspace(255, 0, height, dtype=np.float32)[:, None]
    seen[:height, -width:, 0] = ramp
    seen[:height, -width:, 2] = 255 - ramp
    return seen


def _empty(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw few counts in a small spot, as nuclear medicine has them; all else 0."""
    seen = np.abs(of.noise(rng)) * 30
    seen[~of.within(rng, 0.2, off=0.6)] = 0
    return seen


def _noise(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw what no coder can make smaller."""
    return rng.integers(0, 1 << of.bits_stored, (of.rows, of.columns)).astype(np.float32)


def _gray(of: Pictures, rng: np.random.Generator) -> Waves:
    """Draw a thumbnail of a microscope: shades and noise."""
    return 128 + of.waves(rng, 12, 120, 6) * 40 + of.noise(rng) * 3


KINDS: dict[str, tuple[Callable[[Pictures, np.random.Generator], Waves], int, int]] = {
    "photo": (_photo, 3, 8),
    "ct": (_ct, 1, 12),
    "ultrasound": (_ultrasound, 3, 8),
    "empty": (_empty, 1, 16),
    "noise": (_noise, 1, 16),
    "gray": (_gray, 1, 8),
}
"""Kind -> what draws it, samples, bits stored."""
