"""Directions in the patient: letters, edges, the nearest main plane, patient positions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from dicomloom.geometry.values import Vector, Where

# An axis is named when a direction leans towards it by at least this angle.
LEAN_DEGREES = 5.0

# PS3.3 C.7.6.2.1.1: x grows to the left, y to the back, z to the head; of quadrupeds (their trunk)
# to the left, dorsally, cranially. (negative, positive) for each axis.
_BIPED = (("R", "L"), ("A", "P"), ("F", "H"))
_QUADRUPED = (("RT", "LE"), ("V", "D"), ("CD", "CR"))
_WORDS = {
    "R": "right", "L": "left", "A": "anterior", "P": "posterior", "F": "foot", "H": "head",
    "RT": "right", "LE": "left", "V": "ventral", "D": "dorsal", "CD": "caudal", "CR": "cranial",
}  # fmt: skip
# PS3.3 C.7.6.1.1.1. Caudal, dorsal have several opposites: the trunk's is taken.
_OPPOSITES = {
    "R": "L", "L": "R", "A": "P", "P": "A", "F": "H", "H": "F",
}  # fmt: skip
_QUADRUPED_OPPOSITES = {
    "LE": "RT", "RT": "LE", "CR": "CD", "CD": "CR", "PR": "DI", "DI": "PR", "PA": "D", "PL": "D",
    "R": "CD", "M": "L", "L": "M", "D": "V", "V": "D",
}  # fmt: skip
_QUADRUPED_TOKEN = re.compile("LE|RT|CR|CD|PR|DI|PA|PL|R|M|L|D|V")
_PLANES = ("sagittal", "coronal", "axial")
_QUADRUPED_PLANES = ("sagittal", "dorsal", "transverse")


def letters(direction: Sequence[float], *, quadruped: bool = False) -> str:
    """Name a direction by the letters of PS3.3 C.7.6.1.1.1.

    The letter of each axis that the direction leans towards by at least `LEAN_DEGREES` (its cosine
    is 0.0872 or more), the nearest axis first; of axes equally near, in the order x, y, z.

    Parameters
    ----------
    direction : three numbers
        In the patient-based coordinate system (LPS), of length 1.
    quadruped : bool
        Use the abbreviations of quadrupeds, as of their trunk.

    Examples
    --------
    >>> letters((1, 0, 0)), letters((0, 0.94, -0.34)), letters((0.99, 0.08, 0))
    ('L', 'PF', 'L')
    >>> letters((0, 0.34, 0.94), quadruped=True)
    'CRD'
    """
    least = math.sin(math.radians(LEAN_DEGREES))
    table = _QUADRUPED if quadruped else _BIPED
    order = sorted(range(3), key=lambda axis: (-round(abs(direction[axis]), 4), axis))
    return "".join(
        table[axis][bool(direction[axis] > 0)] for axis in order if abs(direction[axis]) >= least
    )


def opposite(text: str, *, quadruped: bool = False) -> str:
    """Return the letters of the direction that is opposite to one.

    Examples
    --------
    >>> opposite("PF"), opposite("CRD", quadruped=True)
    ('AH', 'CDV')
    """
    if quadruped:
        return "".join(_QUADRUPED_OPPOSITES[part] for part in _QUADRUPED_TOKEN.findall(text))
    return "".join(_OPPOSITES[letter] for letter in text)


def words(text: str, *, quadruped: bool = False) -> str:
    """Spell letters out, as in "posterior-foot"."""
    parts = _QUADRUPED_TOKEN.findall(text) if quadruped else list(text)
    return "-".join(_WORDS.get(part, part) for part in parts)


def stated_letters(value: Sequence[str], quadruped: bool, where: Where) -> tuple[str, str] | None:
    """Check PatientOrientation: letters of the row and the column direction; None if empty.

    Raises
    ------
    CorruptError
        There are not two values, or they are not made of the abbreviations.
    """
    found = [str(part).strip() for part in value]
    if not any(found):
        return None
    if len(found) != 2:
        raise where.corrupt(
            "PatientOrientation", f"must be 2 values, of rows and columns, found {len(found)}"
        )
    pattern = rf"(?:{_QUADRUPED_TOKEN.pattern})+" if quadruped else "[RLAPHF]{1,3}"
    for part in found:
        if len(part) > 16 or not re.fullmatch(pattern, part):
            kind = "a quadruped" if quadruped else "a biped"
            raise where.corrupt(
                "PatientOrientation",
                f"must be abbreviations of {kind} (PS3.3 C.7.6.1.1.1), found {part!r:.40}; "
                "AnatomicalOrientationType says which of them count",
            )
    return found[0], found[1]


class Edges(NamedTuple):
    """What each edge of a picture is nearest to, as letters."""

    left: str
    right: str
    top: str
    bottom: str


def edges_of(row: str, column: str, *, quadruped: bool = False) -> Edges:
    """Return the letters at the edges for those of the row and the column direction."""
    return Edges(
        left=opposite(row, quadruped=quadruped),
        right=row,
        top=opposite(column, quadruped=quadruped),
        bottom=column,
    )


def nearest_plane(normal: Sequence[float], *, quadruped: bool = False) -> tuple[str, float]:
    """Return the main plane nearest to one with that normal, and the angle to it in degrees.

    Examples
    --------
    >>> nearest_plane((0, 0, -1))
    ('axial', 0.0)
    """
    axis = max(range(3), key=lambda i: (round(abs(normal[i]), 6), -i))
    rest = math.hypot(*(normal[i] for i in range(3) if i != axis))
    angle = math.degrees(math.atan2(rest, abs(normal[axis])))
    return (_QUADRUPED_PLANES if quadruped else _PLANES)[axis], angle


class Breast(NamedTuple):
    """What lies at the edges of a mammogram: "nipple", "chest wall", "medial" and so on, or ""."""

    laterality: str | None
    view: str | None
    left: str
    right: str
    top: str
    bottom: str


def breast(edges: Edges, laterality: str | None, view: str | None) -> Breast:
    """Read the edges of a mammogram.

    The breast points to the front: an edge that is mostly anterior is where the nipple is, one that
    is mostly posterior the chest wall. With ImageLaterality, an edge that is mostly left or right
    is lateral or medial. Nothing is said of other edges.

    Examples
    --------
    >>> breast(edges_of("P", "L"), "R", "CC")
    Breast(laterality='R', view='CC', left='nipple', right='chest wall', top='lateral', \
bottom='medial')
    """
    side = {"A": "nipple", "P": "chest wall"}
    if laterality in ("L", "R"):
        side |= {laterality: "lateral", opposite(laterality): "medial"}
    return Breast(laterality, view, *(side.get(edge[:1], "") for edge in edges))


class PatientPosition(NamedTuple):
    """How a patient lies in the gantry (PS3.3 C.7.3.1.1.2); letters never depend on it.

    Attributes
    ----------
    code : str
        The value of PatientPosition, such as ``"HFS"``.
    gantry : str
        The letter of the side that enters the gantry first.
    up : str
        The letter of the side that faces the ceiling; "" where the table is not known to be level.
    text : str
        In words.
    """

    code: str
    gantry: str
    up: str
    text: str


def patient_position(code: str) -> PatientPosition | None:
    """Parse a PatientPosition; None for a value that PS3.3 does not define, or a sitting patient.

    Examples
    --------
    >>> patient_position("FFDR").text
    'feet first, decubitus right: the left side is up'
    """
    match = re.fullmatch("(HF|FF|LF|RF|AF|PF)(S|P|DR|DL)", code.strip().upper())
    if match is None:
        return None
    first, lie = match.groups()
    # Lying on the right side turns the left one up. LF, RF: the side goes first, so that supine
    # and prone are all that is left; AF, PF: likewise the decubitus ones.
    if (first in ("LF", "RF") and lie not in ("S", "P")) or (
        first in ("AF", "PF") and lie not in ("DR", "DL")
    ):
        return None
    gantry = first[0]
    up = {"S": "A", "P": "P", "DR": "L", "DL": "R"}[lie]
    name = {
        "H": "head", "F": "feet", "L": "left", "R": "right", "A": "anterior", "P": "posterior",
    }[gantry]  # fmt: skip
    how = {"S": "supine", "P": "prone", "DR": "decubitus right", "DL": "decubitus left"}[lie]
    side = f"{words(up)} side"
    return PatientPosition(match.group(), gantry, up, f"{name} first, {how}: the {side} is up")


_STATED = 1e-3
_BEARABLE = 5e-2


def checked_directions(value: Vector, keyword: str, where: Where) -> tuple[Vector, Vector, str]:
    """Return row and column direction of length 1, and a note if they had to be mended.

    Lengths within 0.001 of 1 are made 1 (decimal strings are rounded); within 0.05 likewise, with a
    note. The angle between the directions may be 0.06 degrees off 90 (a cosine of 0.001), with a
    note 2.9 degrees (0.05); the directions are kept as they are.

    Raises
    ------
    CorruptError
        They are further off.
    """
    directions = []
    note = ""
    for name, part in (("row", value[:3]), ("column", value[3:])):
        length = math.hypot(*part)
        if abs(length - 1) > _BEARABLE:
            raise where.corrupt(
                keyword,
                f"must be two directions of length 1, that of the {name} has length {length:.4g}",
            )
        if abs(length - 1) > _STATED:
            note = f"{keyword}: the {name} direction has length {length:.4g}, taken as 1"
        directions.append(tuple(x / length for x in part))
    row, column = directions
    cosine = sum(a * b for a, b in zip(row, column, strict=True))
    angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    if abs(cosine) > _BEARABLE:
        raise where.corrupt(
            keyword, f"must be directions at right angles, they are at {angle:.4g} degrees"
        )
    if abs(cosine) > _STATED:
        note = f"{keyword}: rows and columns are at {angle:.4g} degrees, not 90"
    return row, column, note


def cross(a: Vector, b: Vector) -> Vector:
    """Return the unit vector at right angles to two, right-handed."""
    made = (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
    length = math.hypot(*made)
    return tuple(x / length + 0.0 for x in made)  # no negative zeros
