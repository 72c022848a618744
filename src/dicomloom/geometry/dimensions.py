"""Images at the same places: copies, or points of another dimension such as time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from dicomloom.geometry.images import DIMENSIONS, Slice

Split = dict[str, str]


def split(images: Sequence[Slice], places: Sequence[int]) -> list[tuple[Split, list[int]]]:
    """Divide images of which several are at one place, so that each part has a place once.

    An attribute, or up to three together, divides them if no part has a place twice and each part
    has more than half of the places. Else times do by their order at each place, where all places
    have equally many. Else nothing does: the images are copies.

    Parameters
    ----------
    images : sequence of Slice
    places : sequence of int
        The number of each image's place.

    Returns
    -------
    list of (dict, list of int)
        What each part is, by keyword, and which images it has; one part without a keyword where
        nothing divides them.
    """
    counts = Counter(places)
    most = max(counts.values())
    whole: list[tuple[Split, list[int]]] = [({}, list(range(len(images))))]
    if most == 1:
        return whole
    names = [name for name, _, _ in DIMENSIONS if _telling(images, name, 8 * most)]
    for size in (1, 2, 3):
        for chosen in combinations(names, size):
            parts = _by_value(images, places, chosen, len(counts))
            if parts is not None:
                return parts
    if min(counts.values()) == most:
        for name, _, timed in DIMENSIONS:
            parts = _by_order(images, places, name) if timed else None
            if parts is not None:
                return parts
    return whole


def _telling(images: Sequence[Slice], name: str, most: int) -> bool:
    """Whether an attribute has several values, but not as many as a running number has."""
    seen: set[str] = set()
    for image in images:
        seen.add(image.values.get(name, ""))
        if len(seen) > most:
            return False
    return len(seen) > 1


def _by_value(
    images: Sequence[Slice], places: Sequence[int], names: tuple[str, ...], count: int
) -> list[tuple[Split, list[int]]] | None:
    parts: dict[tuple[str, ...], list[int]] = {}
    taken = set()
    for i, (image, place) in enumerate(zip(images, places, strict=True)):
        key = tuple(image.values.get(name, "") for name in names)
        if (key, place) in taken:
            return None
        taken.add((key, place))
        parts.setdefault(key, []).append(i)
    if any(2 * len(part) <= count for part in parts.values()):
        return None
    order = sorted(parts, key=lambda key: [sort_key(value) for value in key])
    return [(dict(zip(names, key, strict=True)), parts[key]) for key in order]


def _by_order(
    images: Sequence[Slice], places: Sequence[int], name: str
) -> list[tuple[Split, list[int]]] | None:
    at: dict[int, list[int]] = {}
    for i, place in enumerate(places):
        if name not in images[i].values:
            return None
        at.setdefault(place, []).append(i)
    for here in at.values():
        here.sort(key=lambda i: sort_key(images[i].values[name]))
        if len({images[i].values[name] for i in here}) < len(here):
            return None
    turns = zip(*at.values(), strict=True)
    return [({f"{name} (order)": str(i + 1)}, list(part)) for i, part in enumerate(turns)]


def sort_key(text: str) -> tuple[bool, float, str]:
    """Order numbers as numbers, before text."""
    try:
        return (False, float(text), "")
    except ValueError:
        return (True, 0.0, text)
