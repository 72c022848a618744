"""Tags as people write them: keywords, numbers, private elements and paths into sequences."""

from __future__ import annotations

import re

from dicomloom._native import dicom as _dicom
from dicomloom.errors import TagError

ALL_ITEMS = -2
NO_ITEM = -1

_NUMBER = re.compile(r"\(?([0-9A-Fa-f]{4})(?:,\s*)?([0-9A-Fa-f]{4})\)?")
_PRIVATE = re.compile(r'\(?([0-9A-Fa-f]{4}),\s*"([^"]+)"\s*,\s*([0-9A-Fa-f]{2})\)?')
_STEP = re.compile(
    r"""\s*(?P<name>\([^)"]*(?:"[^"]*"[^)"]*)?\)      # (gggg,eeee) or (gggg,"CREATOR",ee)
        |[0-9A-Fa-f]{4},"[^"]*",[0-9A-Fa-f]{2}         # the same without parentheses
        |[^.\[\]]+)                                    # a keyword or number
        (?:\[(?P<item>\*|[0-9]+)\])?\s*""",
    re.VERBOSE,
)


class Step:
    """One element on the way: its tag, private creator, and which item to enter.

    Attributes
    ----------
    tag : int
        ``(group << 16) | element``; of a private element without its block: ``(gggg,00ee)``.
    creator : str or None
        The private creator (PS3.5 7.8.1).
    item : int
        The item of the sequence, counted from 0, `ALL_ITEMS` for ``[*]``, `NO_ITEM` at the end.
    vr, vm : str
        As PS3.6 or, for private elements, pydicom's private dictionary has them; "UN" and "1"
        where neither knows.
    known : bool
        Whether one of them does.
    """

    __slots__ = ("creator", "item", "known", "tag", "vm", "vr")

    def __init__(
        self, tag: int, creator: str | None, item: int, vr: str, vm: str, known: bool = True
    ) -> None:
        self.tag = tag
        self.creator = creator
        self.item = item
        self.vr = vr
        self.vm = vm
        self.known = known


class TagPath:
    """A wanted value: one element, or a path into sequences that ends in one.

    Attributes
    ----------
    text : str
        As it was given; the name of its column.
    steps : tuple of Step
    """

    __slots__ = ("steps", "text")

    def __init__(self, text: str, steps: tuple[Step, ...]) -> None:
        self.text = text
        self.steps = steps

    def __repr__(self) -> str:
        return f"TagPath({self.text!r})"

    @property
    def leaf(self) -> Step:
        """The element whose value is wanted."""
        return self.steps[-1]

    @property
    def joins(self) -> bool:
        """Whether values of several items are joined, because of a ``[*]``."""
        return any(step.item == ALL_ITEMS for step in self.steps)


def nearest_keywords(keyword: str, count: int = 3) -> list[str]:
    """Return the keywords of PS3.6 that look most like `keyword`, best first.

    Examples
    --------
    >>> nearest_keywords("PatientNane", 1)
    ['PatientName']
    """
    import difflib

    known = {entry[4].lower(): entry[4] for entry in _dicom.entries() if entry[4]}
    close = difflib.get_close_matches(keyword.lower(), known, n=count, cutoff=0.6)
    return [known[name] for name in close]


def keyword_hint(keyword: str) -> str:
    """Return the end of a message about an unknown keyword: what may have been meant.

    Examples
    --------
    >>> keyword_hint("PatientNane")[:29]
    '; did you mean PatientName, P'
    """
    near = nearest_keywords(keyword)
    return f"; did you mean {', '.join(near)}?" if near else ""


def _private_step(group: str, creator: str, element: str, item: int) -> Step:
    number = int(group, 16)
    if number % 2 == 0:
        raise TagError(f'({group},"{creator}",{element}): a private group is odd (PS3.5 7.8)')
    if any("\ud800" <= letter <= "\udfff" for letter in creator):
        raise TagError(f"({group},{creator!a},{element}): a creator that is no text")
    tag = number << 16 | int(element, 16)
    # Only for a VR that implicit VR files do not carry; not worth 0.2 s of import otherwise.
    from pydicom.datadict import private_dictionary_VM, private_dictionary_VR

    try:
        vr = private_dictionary_VR(tag | 0x1000, creator)
        vm = private_dictionary_VM(tag | 0x1000, creator)
    except KeyError:
        return Step(tag, creator, item, "UN", "1", known=False)
    return Step(tag, creator, item, vr, vm)


def _step(name: str, item: int) -> Step:
    private = _PRIVATE.fullmatch(name)
    if private:
        return _private_step(private[1], private[2], private[3], item)
    number = _NUMBER.fullmatch(name)
    if number:
        tag = int(number[1] + number[2], 16)
        entry = _dicom.find_tag(tag)
        vm = entry[3] if entry else "1"
        return Step(tag, None, item, _dicom.vr_of(tag), vm, known=entry is not None)
    entry = _dicom.find_keyword(name)
    if entry is None:
        raise TagError(
            f'"{name}" is no keyword of PS3.6, nor gggg,eeee or (gggg,"CREATOR",ee)'
            f"{keyword_hint(name)}"
        )
    return Step(entry[0], None, item, entry[2], entry[3])


def parse_tag(text: str) -> TagPath:
    """Read a tag as people write it.

    Parameters
    ----------
    text : str
        A keyword, ``gggg,eeee``, ``(gggg,eeee)``, ``ggggeeee``, ``(gggg,"CREATOR",ee)``, or a
        path of these: ``RequestAttributesSequence[0].ScheduledProcedureStepID``, where ``[*]``
        stands for all items.

    Returns
    -------
    TagPath

    Raises
    ------
    TagError
        Where the text is none of these; an unknown keyword comes with the nearest known ones.

    Examples
    --------
    >>> parse_tag("(0010,0020)").leaf.vr
    'LO'
    >>> [hex(step.tag) for step in parse_tag("ROIContourSequence[*].ReferencedROINumber").steps]
    ['0x30060039', '0x30060084']
    """
    steps: list[Step] = []
    at = 0
    while True:
        match = _STEP.match(text, at)
        if not match:
            raise TagError(f'"{text}" is no tag: nothing to read at character {at + 1}')
        at = match.end()
        last = at == len(text)
        name, chosen = match["name"].strip(), match["item"]
        # Python does not make a number of any digits: of too many the first ones tell enough.
        item = NO_ITEM if chosen is None else ALL_ITEMS if chosen == "*" else int(chosen[:20])
        if item >= 1 << 31 or len(steps) == 32:
            raise TagError(f'"{text}" leads deeper than any data set does')
        step = _step(name, item)
        if steps and step.tag >> 16 == 2:
            raise TagError(f'"{text}": file meta information stands in no sequence (PS3.10 7.1)')
        inside = chosen is not None or not last
        if inside and not step.known:
            step.vr = "SQ"  # the path says so
        if inside and step.vr not in ("SQ", "UN"):
            raise TagError(f'"{text}": {name} is {step.vr}, not a sequence')
        if chosen is None and not last:
            raise TagError(f'"{text}": say which item of {name}: {name}[0] or {name}[*]')
        if chosen is not None and last:
            raise TagError(f'"{text}": an item needs an element in it, as in {text}.PatientID')
        steps.append(step)
        if last:
            return TagPath(text, tuple(steps))
        if text[at] != ".":
            raise TagError(f'"{text}" is no tag: expected a dot at character {at + 1}')
        at += 1


def format_tag(tag: int) -> str:
    """Write a tag as PS3.6 does.

    Examples
    --------
    >>> format_tag(0x00100010)
    '(0010,0010)'
    """
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
