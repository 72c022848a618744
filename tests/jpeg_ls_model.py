"""The model of JPEG-LS, plainly, from ITU-T T.87 Annex A: nothing here is quick.

A `Coder` walks over lines; its two children write and read them (`Encoder`, `Decoder`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

J = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, *range(8, 16))
MIN_C, MAX_C = -128, 127


class Preset(NamedTuple):
    """The parameters of an LSE segment of type 1; 0 is the default (C.2.4.1.1)."""

    maxval: int = 0
    t1: int = 0
    t2: int = 0
    t3: int = 0
    reset: int = 0

    def filled(self, bits: int, near: int) -> Preset:
        """With the defaults of C.2.4.1.1.1 for what is 0."""
        maxval = self.maxval or (1 << bits) - 1
        basic = 3, 7, 21
        if maxval >= 128:
            factor = (min(maxval, 4095) + 128) // 256
            found = [factor * (each - i) + i for each, i in zip(basic, (2, 3, 4), strict=True)]
            found = [each + n * near for each, n in zip(found, (3, 5, 7), strict=True)]
        else:
            factor = 256 // (maxval + 1)
            found = [
                max(i, each // factor + n * near)
                for each, i, n in zip(basic, (2, 3, 4), (3, 5, 7), strict=True)
            ]
        least, made = near + 1, []
        for given, default in zip(self[1:4], found, strict=True):
            least = given or (default if least <= default <= maxval else least)
            made.append(least)
        return Preset(maxval, *made, self.reset or 64)


class Model:
    """Contexts and what they have learned: one for a restart interval of a scan."""

    def __init__(self, preset: Preset, near: int) -> None:
        self.preset, self.near, self.step = preset, near, 2 * near + 1
        self.range = (preset.maxval + 2 * near) // self.step + 1
        self.qbpp = (self.range - 1).bit_length()
        bpp = max(2, preset.maxval.bit_length())
        self.limit = 2 * (bpp + max(8, bpp))
        # A.2.1; the two last contexts are those of run interruption.
        self.a = [max(2, (self.range + 32) // 64)] * 367
        self.b, self.c, self.n = [0] * 365, [0] * 365, [1] * 367
        self.negatives = [0, 0]

    def context(self, a: int, b: int, c: int, d: int) -> tuple[int, int]:
        """A.3.3 and A.3.4: number and sign of a context."""
        q = 0
        for gradient in (d - b, b - c, c - a):
            q = 9 * q + self._region(gradient)
        return (-q, -1) if q < 0 else (q, 1)

    def _region(self, gradient: int) -> int:
        _, t1, t2, t3, _ = self.preset
        if gradient <= self.near and -gradient <= self.near:
            return 0
        size = abs(gradient)
        region = 1 if size < t1 else 2 if size < t2 else 3 if size < t3 else 4
        return region if gradient > 0 else -region

    def predicted(self, a: int, b: int, c: int, q: int, sign: int) -> int:
        """A.4: the edge-detecting predictor, and its correction."""
        if c >= max(a, b):
            found = min(a, b)
        elif c <= min(a, b):
            found = max(a, b)
        else:
            found = a + b - c
        return self.clamped(found + sign * self.c[q])

    def clamped(self, value: int) -> int:
        return min(max(value, 0), self.preset.maxval)

    def quantised(self, error: int) -> int:
        """A.4.4."""
        if error > 0:
            return (error + self.near) // self.step
        return -((self.near - error) // self.step)

    def reduced(self, error: int) -> int:
        """A.4.5: modulo RANGE."""
        if error < 0:
            error += self.range
        return error - self.range if error >= (self.range + 1) // 2 else error

    def rebuilt(self, predicted: int, error: int) -> int:
        value = predicted + error * self.step
        if value < -self.near:
            value += self.range * self.step
        elif value > self.preset.maxval + self.near:
            value -= self.range * self.step
        return self.clamped(value)

    def k(self, a: int, n: int) -> int:
        """A.5.1."""
        found = 0
        while n << found < a:
            found += 1
        return found

    def inverted(self, q: int, k: int) -> bool:
        """A.5.2: whether the error is mapped the other way about."""
        return self.near == 0 and k == 0 and 2 * self.b[q] <= -self.n[q]

    def learn(self, q: int, error: int) -> None:
        """A.6."""
        self.b[q] += error * self.step
        self.a[q] += abs(error)
        if self.n[q] == self.preset.reset:
            self.a[q] >>= 1
            self.b[q] >>= 1  # as the standard's -((1 - B) >> 1) of negative ones
            self.n[q] >>= 1
        self.n[q] += 1
        if self.b[q] <= -self.n[q]:
            self.b[q] += self.n[q]
            self.c[q] = max(MIN_C, self.c[q] - 1)
            if self.b[q] <= -self.n[q]:
                self.b[q] = 1 - self.n[q]
        elif self.b[q] > 0:
            self.b[q] -= self.n[q]
            self.c[q] = min(MAX_C, self.c[q] + 1)
            self.b[q] = min(self.b[q], 0)

    def run_k(self, kind: int) -> int:
        """A.7.2: k of an interruption; `kind` is RItype."""
        q = 365 + kind
        return self.k(self.a[q] + (self.n[q] >> 1) * kind, self.n[q])

    def run_map(self, kind: int, k: int, error: int) -> int:
        q = 365 + kind
        many = 2 * self.negatives[kind] >= self.n[q]
        if k == 0 and error > 0 and not many:
            return 1
        return int(error < 0 and (many or k != 0))

    def run_learn(self, kind: int, error: int, mapped: int) -> None:
        q = 365 + kind
        self.negatives[kind] += error < 0
        self.a[q] += mapped + 1 - kind >> 1
        if self.n[q] == self.preset.reset:
            self.a[q] >>= 1
            self.n[q] >>= 1
            self.negatives[kind] >>= 1
        self.n[q] += 1


class Lines:
    """The line above and the current one of components that are coded sample by sample.

    Position 0 is left of the first sample and the last one right of the last: as A.2.1 has it,
    there stand Ra of a line's first sample, which is Rc for the line below, and Rd of the last.
    """

    def __init__(self, components: int, columns: int) -> None:
        self.columns = columns
        self.run_index = 0
        self.current = [[0] * (columns + 2) for _ in range(components)]
        self.above = self.current

    def begin(self) -> None:
        self.above = self.current
        for line in self.above:
            line[-1] = line[-2]
        self.current = [[line[1]] + [0] * (self.columns + 1) for line in self.above]

    def around(self, i: int, x: int) -> tuple[int, int, int, int]:
        """Ra, Rb, Rc and Rd (figure A.1)."""
        above = self.above[i]
        return self.current[i][x - 1], above[x], above[x - 1], above[x + 1]

    def values(self) -> list[list[int]]:
        return [line[1:-1] for line in self.current]


class Coder:
    def __init__(self, preset: Preset, near: int) -> None:
        self.model = Model(preset, near)

    def line(self, lines: Lines) -> None:
        """A.3 to A.7; with several components, as B.3 changes it for ILV 2."""
        lines.begin()
        x = 1
        while x <= lines.columns:
            around = [lines.around(i, x) for i in range(len(lines.current))]
            if not all(self.flat(*each) for each in around):
                for i, each in enumerate(around):
                    lines.current[i][x] = self.regular(i, x, *each)
                x += 1
                continue
            length = self.run(lines, x)
            for line in lines.current:
                line[x : x + length] = [line[x - 1]] * length
            x += length
            if x <= lines.columns:
                self.interrupt(lines, x)
                lines.run_index = max(0, lines.run_index - 1)
                x += 1

    def flat(self, a: int, b: int, c: int, d: int) -> bool:
        """A.3.2."""
        return max(abs(d - b), abs(b - c), abs(c - a)) <= self.model.near

    def interrupt(self, lines: Lines, x: int) -> None:
        limit = self.model.limit - J[lines.run_index] - 1
        for i, line in enumerate(lines.current):
            a, b, _, _ = lines.around(i, x)
            kind = int(len(lines.current) == 1 and abs(a - b) <= self.model.near)
            sign = -1 if not kind and a > b else 1
            line[x] = self.interruption(i, x, a if kind else b, kind, sign, limit)

    def regular(self, i: int, x: int, a: int, b: int, c: int, d: int) -> int:
        raise NotImplementedError

    def run(self, lines: Lines, x: int) -> int:
        raise NotImplementedError

    def interruption(self, i: int, x: int, predicted: int, kind: int, sign: int, limit: int) -> int:
        raise NotImplementedError


class Encoder(Coder):
    """Codes what stands in `samples`: a list a component, one longer to the left."""

    def __init__(self, preset: Preset, near: int) -> None:
        super().__init__(preset, near)
        self.digits: list[str] = []
        self.samples: list[list[int]] = []

    def golomb(self, value: int, k: int, limit: int) -> None:
        """A.5.3."""
        most = limit - self.model.qbpp - 1
        if value >> k < most:
            self.digits.append("0" * (value >> k) + "1" + binary(value & (1 << k) - 1, k))
        else:
            self.digits.append("0" * most + "1" + binary(value - 1, self.model.qbpp))

    def regular(self, i: int, x: int, a: int, b: int, c: int, d: int) -> int:
        model = self.model
        q, sign = model.context(a, b, c, d)
        predicted = model.predicted(a, b, c, q, sign)
        error = model.quantised(sign * (self.samples[i][x] - predicted))
        value = model.rebuilt(predicted, sign * error)
        error = model.reduced(error)
        k = model.k(model.a[q], model.n[q])
        mapped = -error - 1 if model.inverted(q, k) else error
        self.golomb(2 * mapped if mapped >= 0 else -2 * mapped - 1, k, model.limit)
        model.learn(q, error)
        return value

    def run(self, lines: Lines, x: int) -> int:
        """A.7.1."""
        length = 0
        while x + length <= lines.columns and all(
            abs(self.samples[i][x + length] - line[x - 1]) <= self.model.near
            for i, line in enumerate(lines.current)
        ):
            length += 1
        left = length
        while left >= 1 << J[lines.run_index]:
            self.digits.append("1")
            left -= 1 << J[lines.run_index]
            lines.run_index = min(31, lines.run_index + 1)
        if x + length <= lines.columns:
            self.digits.append("0" + binary(left, J[lines.run_index]))
        elif left:
            self.digits.append("1")
        return length

    def interruption(self, i: int, x: int, predicted: int, kind: int, sign: int, limit: int) -> int:
        model = self.model
        error = model.quantised(sign * (self.samples[i][x] - predicted))
        value = model.rebuilt(predicted, sign * error)
        error = model.reduced(error)
        k = model.run_k(kind)
        mapped = 2 * abs(error) - kind - model.run_map(kind, k, error)
        self.golomb(mapped, k, limit)
        model.run_learn(kind, error, mapped)
        return value


class Decoder(Coder):
    """Decodes digits, of which there may be too few: then StopIteration becomes an EOFError."""

    def __init__(self, preset: Preset, near: int, digits: Iterator[str]) -> None:
        super().__init__(preset, near)
        self.digits = digits

    def bits(self, count: int) -> int:
        found = 0
        for _ in range(count):
            digit = next(self.digits, None)
            if digit is None:
                raise EOFError("the scan ends within a line")
            found = 2 * found + (digit == "1")
        return found

    def golomb(self, k: int, limit: int) -> int:
        most, zeros = limit - self.model.qbpp - 1, 0
        while not self.bits(1):
            zeros += 1
            if zeros > most:
                raise ValueError(f"more than {most} zeros")
        if zeros < most:
            return (zeros << k) + self.bits(k)
        return self.bits(self.model.qbpp) + 1

    def regular(self, i: int, x: int, a: int, b: int, c: int, d: int) -> int:
        model = self.model
        q, sign = model.context(a, b, c, d)
        predicted = model.predicted(a, b, c, q, sign)
        k = model.k(model.a[q], model.n[q])
        mapped = self.golomb(k, model.limit)
        error = -(mapped + 1 >> 1) if mapped % 2 else mapped >> 1
        if model.inverted(q, k):
            error = -error - 1
        model.learn(q, error)
        return model.rebuilt(predicted, sign * error)

    def run(self, lines: Lines, x: int) -> int:
        length, left = 0, lines.columns - x + 1
        while length < left and self.bits(1):
            length += 1 << J[lines.run_index]
            if length <= left:
                lines.run_index = min(31, lines.run_index + 1)
        if length >= left:
            return left
        length += self.bits(J[lines.run_index])
        if length >= left:
            raise ValueError("an interrupted run passes the end of its line")
        return length

    def interruption(self, i: int, x: int, predicted: int, kind: int, sign: int, limit: int) -> int:
        model = self.model
        k = model.run_k(kind)
        mapped = self.golomb(k, limit)
        size = mapped + kind + 1 >> 1
        # The two errors of this size; one of them has an odd number (A.7.2.2).
        found = [e for e in {size, -size} if 2 * size - kind - model.run_map(kind, k, e) == mapped]
        model.run_learn(kind, found[0], mapped)
        return model.rebuilt(predicted, sign * found[0])


def binary(value: int, digits: int) -> str:
    return f"{value:0{digits}b}" if digits else ""
