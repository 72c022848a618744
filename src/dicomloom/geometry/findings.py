"""What is wrong with the places of a stack's slices, or worth to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dicomloom.geometry.images import Slice

# Steps that differ by no more than this part of the usual one, or this many mm, are even.
EVEN_PART = 0.01
EVEN_MM = 0.01
# The least angle, in degrees, that is said to be a tilt.
TILT_DEGREES = 0.1


class Finding(NamedTuple):
    """Something found in a series.

    Attributes
    ----------
    kind : str
        ``"gap"``, ``"uneven"``, ``"duplicate"``, ``"same instance"``, ``"tilt"``, ``"shifted"``,
        ``"stated spacing"``, ``"dimension"`` or ``"no spacing"``.
    text : str
        In words.
    slices : tuple of Slice
        Which it is about.
    value : float or None
        Missing slices of a gap, mm of an uneven step or a shift, degrees of a tilt.
    """

    kind: str
    text: str
    slices: tuple[Slice, ...] = ()
    value: float | None = None


class Steps(NamedTuple):
    """How slices follow one another along the normal.

    Attributes
    ----------
    usual : float or None
        The usual step in mm; None of a single slice.
    grid : tuple of int or None
        The number of each slice where all steps are whole multiples of `usual`, else None.
    findings : list of Finding
    """

    usual: float | None
    grid: tuple[int, ...] | None
    findings: list[Finding]


def usual_step(steps: Sequence[float]) -> float:
    """Return the most frequent of some steps, within what is even; of several the least."""
    ordered = sorted(steps)
    best: tuple[int, float] = (0, 0.0)
    end = 0
    for start, step in enumerate(ordered):
        end = max(end, start)
        while end < len(ordered) and ordered[end] - step <= _even(step):
            end += 1
        if end - start > best[0]:
            best = (end - start, ordered[(start + end - 1) // 2])
    return best[1]


def _even(step: float) -> float:
    return max(EVEN_PART * step, min(EVEN_MM, 0.1 * step))


def steps_of(slices: Sequence[Slice], along: Sequence[float]) -> Steps:
    """Find gaps and uneven steps.

    A step is a gap where it is a whole multiple of the usual one, within a tenth of that, and all
    gaps together lack no more slices than twice those that are there.
    """
    steps = [b - a for a, b in pairwise(along)]
    if not steps:
        return Steps(None, (0,), [])
    usual = usual_step(steps)
    # The mean of the even steps: what is rounded in each evens out.
    even = [step for step in steps if abs(step - usual) <= _even(usual)]
    usual = sum(even) / len(even)
    grid, findings, uneven = [0], [], []
    room = 2 * len(slices) + 16
    for i, step in enumerate(steps):
        times = round(step / usual) if step / usual < room else room
        grid.append(grid[-1] + max(times, 1))
        if abs(step - usual) <= _even(usual):
            continue
        if 2 <= times < room and abs(step - times * usual) <= 0.1 * usual:
            findings.append(_gap(slices[i], slices[i + 1], times - 1, step))
        else:
            uneven.append(i)
    findings += [_uneven(slices[i], slices[i + 1], steps[i], usual) for i in uneven[:100]]
    if len(uneven) > 100:
        findings.append(Finding("uneven", f"and {len(uneven) - 100} more uneven steps"))
    regular = not uneven and grid[-1] < len(slices) + room
    return Steps(usual, tuple(grid) if regular else None, findings)


def _gap(before: Slice, after: Slice, missing: int, step: float) -> Finding:
    return Finding(
        "gap",
        f"{missing} slice{'s' if missing > 1 else ''} missing between {before.label} and "
        f"{after.label} ({step:.4g} mm)",
        (before, after),
        float(missing),
    )


def _uneven(before: Slice, after: Slice, step: float, usual: float) -> Finding:
    return Finding(
        "uneven",
        f"{step:.4g} mm between {before.label} and {after.label}, elsewhere {usual:.4g} mm",
        (before, after),
        step,
    )


def shear_of(
    slices: Sequence[Slice], positions: NDArray[Any], along: NDArray[Any], normal: NDArray[Any]
) -> tuple[NDArray[Any], float, list[Finding]]:
    """Find out whether slices are shifted against one another within their planes.

    Returns
    -------
    direction : array of 3 float64
        How the first pixel moves for each mm along the normal.
    tilt : float
        Its angle to the normal, degrees; 0 where there is none.
    findings : list of Finding
    """
    import numpy as np

    if len(slices) < 2:
        return normal, 0.0, []
    centered = along - along.mean()
    direction = centered @ (positions - positions.mean(axis=0)) / (centered @ centered)
    tilt = math.degrees(math.acos(min(1.0, 1 / max(1.0, float(np.linalg.norm(direction))))))
    straight = tilt < TILT_DEGREES
    if straight:
        direction = normal
    expected = positions.mean(axis=0) + centered[:, None] * direction
    off = np.linalg.norm(positions - expected, axis=1)
    spacing = min(slices[0].spacing or (1.0, 1.0))
    bound = max(0.1 * spacing, 1e-3)
    findings = []
    if not straight:
        findings.append(
            Finding(
                "tilt",
                f"positions lean {tilt:.2f} degrees against the normal, as a tilted gantry makes "
                "them: the affine has that shear",
                tuple(slices),
                tilt,
            )
        )
    worst = int(off.argmax())
    if off[worst] > bound:
        findings.append(
            Finding(
                "shifted",
                f"slices are shifted within their planes, {slices[worst].label} by "
                f"{off[worst]:.3g} mm from a straight line",
                tuple(each for each, far in zip(slices, off > bound, strict=True) if far),
                float(off[worst]),
            )
        )
    return direction, 0.0 if straight else tilt, findings


def stated_spacing(slices: Sequence[Slice], usual: float | None) -> list[Finding]:
    """Compare SpacingBetweenSlices with the positions, which count."""
    stated = slices[0].between
    if usual is None or stated is None or abs(stated - usual) <= 0.05 * usual:
        return []
    return [
        Finding(
            "stated spacing",
            f"SpacingBetweenSlices says {stated:.4g} mm, positions are {usual:.4g} mm apart",
            tuple(slices),
            stated,
        )
    ]
