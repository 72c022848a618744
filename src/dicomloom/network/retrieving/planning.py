"""What a retrieval has to ask for: requests by unique keys, and what should come of each.

C-GET and C-MOVE take unique keys only (PS3.4 C.4.2.1.4.1, C.4.3.1.3.1). So C-FIND goes down the
levels, from the keys that a user gives to the UIDs of studies, series and instances.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import (
    AssociationAborted,
    LimitError,
    NoAcceptedContext,
    ProtocolError,
    StatusError,
    TagError,
)
from dicomloom.network.find import MODELS, Question, answers, asking
from dicomloom.network.keys import LEVELS, UNIQUE, identifier_of, level_of
from dicomloom.network.node import Node
from dicomloom.network.serve.archive.places import is_safe_uid
from dicomloom.tags import parse_tag

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.network.association import OpenAssociation

_LOGGER = logging.getLogger("dicomloom.network")
# Answers to a question; instances of a request whose UIDs are held: beyond that they are counted.
_MOST_FOUND, _MOST_EXPECTED = 1_000_000, 100_000
# UIDs of a list: each has up to 65 bytes, and the value of an element of VR UI up to 65534.
_MOST_LISTED = 200
# A peer that fails so may do without C-FIND; one that is not there does nothing else either.
_TOLERATED = (NoAcceptedContext, StatusError, AssociationAborted, ProtocolError)
_NUMBERS = {"STUDY": "NumberOfStudyRelatedInstances", "SERIES": "NumberOfSeriesRelatedInstances"}

Keys = dict[str, str]


class Instance(NamedTuple):
    """An instance that should come.

    Attributes
    ----------
    sop_class : str
        UID; "" where the peer does not tell.
    series : str
        UID.
    """

    sop_class: str
    series: str


@dataclass
class Errand:
    """A study, a series or some of the instances of a study, to be retrieved.

    Attributes
    ----------
    root, level : str
    keys : dict of str to str
        The unique keys of the levels above, and of this one but for IMAGE.
    expected : dict of str to Instance or None
        What should come, by SOP Instance UID; None where the peer does not tell.
    count : int or None
        How many should come, as far as the peer tells.
    """

    root: str
    level: str
    keys: Keys
    expected: dict[str, Instance] | None = None
    count: int | None = None

    @property
    def classes(self) -> frozenset[str]:
        """The SOP classes that should come; empty where not all are known."""
        found = frozenset(one.sop_class for one in (self.expected or {}).values())
        return frozenset() if "" in found else found

    def identifiers(self) -> Iterator[Dataset]:
        """Give the identifier of each request that it takes."""
        if self.level != "IMAGE":
            yield self._identifier(self.keys)
            return
        by_series: dict[str, list[str]] = {}
        for uid, instance in (self.expected or {}).items():
            by_series.setdefault(instance.series, []).append(uid)
        for series, uids in by_series.items():
            for at in range(0, len(uids), _MOST_LISTED):
                some = uids[at : at + _MOST_LISTED]
                yield self._identifier(self.keys | {"SeriesInstanceUID": series}, some)

    def _identifier(self, keys: Keys, uids: list[str] | None = None) -> Dataset:
        from pydicom import Dataset

        made = Dataset()
        made.QueryRetrieveLevel = self.level
        for keyword, value in keys.items():
            setattr(made, keyword, value)
        if uids is not None:
            made.SOPInstanceUID = uids
        return made

    def narrowed(self, uids: Iterable[str]) -> Errand:
        """Return what asks for some instances only, where it is known which series have them."""
        wanted = self.expected or {}
        some = {uid: wanted[uid] for uid in uids if uid in wanted}
        keys = {name: self.keys[name] for name in self.keys if name != "SeriesInstanceUID"}
        return Errand(self.root, "IMAGE", keys, some) if some else self


@dataclass
class Wish:
    """What a user wants.

    Attributes
    ----------
    root : str
    level : str
        ``STUDY``, ``SERIES`` or ``IMAGE``: what is asked for at once.
    keys : dict of str to dict
        The keys of each level, with values.
    """

    root: str
    level: str
    keys: dict[str, dict[str, object]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: str, level: str | None, keys: Mapping[str, object]) -> Wish:
        """Sort keys by level, and check them as C-FIND would.

        Raises
        ------
        TagError
            A key is none, its value breaks its VR, or it is of a level below; or there are none.
        ValueError
            There is no such root or level.
        """
        if root not in LEVELS:
            raise ValueError(f'root: expected "study" or "patient", not {root!r}')
        levels = LEVELS[root]
        if level is not None and level.upper() not in UNIQUE:
            raise ValueError(f"level: expected {', '.join(UNIQUE)}, not {level!r}")
        given = {where: value for where, value in keys.items() if value not in (None, "", [])}
        if not given:
            raise TagError("expected a key with a value: without, all that the peer has would come")
        homes = {where: _home(where, root) for where in given}
        lowest = max((levels.index(home) for home in homes.values() if home), default=0)
        target = lowest if level is None else [*UNIQUE].index(level.upper()) - (4 - len(levels))
        made = cls(root, levels[max(target, levels.index("STUDY"))])
        for where, value in given.items():
            home = homes[where] or made.level
            # Those of a level below the target are told by `identifier_of` at the target.
            home = min(home, made.level, key=levels.index)
            made.keys.setdefault(home, {})[where] = value
        if root == "patient" and "PATIENT" not in made.keys:
            raise TagError(
                "the patient root begins with a patient: give PatientID, or take the study root"
            )
        for one in levels[: levels.index(made.level) + 1]:
            above = {UNIQUE[each]: "1" for each in levels[: levels.index(one)]}
            identifier_of(one, root, above | made.keys.get(one, {}), False)
        return made

    def given(self, level: str) -> list[str] | None:
        """Return the unique keys that are all there is at a level; None where there are others."""
        keys = self.keys.get(level, {})
        if [_keyword(where) for where in keys] != [UNIQUE[level]]:
            return None
        (value,) = keys.values()
        values = value.split("\\") if isinstance(value, str) else [str(one) for one in _list(value)]
        wild = level == "PATIENT" and any("*" in one or "?" in one for one in values)
        return None if wild else values


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _keyword(where: str) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(parse_tag(where).steps[0].tag)


def _home(where: str, root: str) -> str | None:
    """Return the level of a key; None where it may be anywhere."""
    keyword = _keyword(where)
    own = next((one for one, unique in UNIQUE.items() if unique == keyword), level_of(keyword))
    return "STUDY" if own == "PATIENT" and root == "study" else own


def errands(node: Node, wish: Wish) -> Generator[Errand, None, None]:
    """Ask a node, and give what there is to retrieve, study by study.

    No association is open while one is given.

    Raises
    ------
    NetworkError
        The peer does not answer the question; where only UIDs are given, it need not.
    """
    for keys, count in _studies(node, wish):
        whole = Errand(wish.root, "STUDY", keys, None, count)
        try:
            with asking(node, MODELS[wish.root]) as association:
                found = _Survey(association, wish, whole).errands()
        except _TOLERATED as error:
            blind = _blind(wish, whole)
            if blind is None:
                raise
            found = blind
            _LOGGER.info("%s: what is to come is not known: %s", node, error)
        yield from found


def _blind(wish: Wish, study: Errand) -> list[Errand] | None:
    """Return what can be asked for without the peer's help; None where nothing can."""
    if wish.level == "STUDY":
        return [study]
    series = wish.given("SERIES")
    if series is None:
        return None
    if wish.level == "SERIES":
        keys = ({"SeriesInstanceUID": uid} for uid in series)
        return [Errand(wish.root, "SERIES", study.keys | one) for one in keys]
    instances = wish.given("IMAGE")
    if instances is None or len(series) != 1:
        return None
    expected = {uid: Instance("", series[0]) for uid in instances}
    return [Errand(wish.root, "IMAGE", study.keys, expected)]


def _studies(node: Node, wish: Wish) -> list[tuple[Keys, int | None]]:
    """Return unique keys of the studies that match, and how many instances each has."""
    levels = LEVELS[wish.root]
    above: list[tuple[Keys, int | None]] = [({}, None)]
    try:
        with asking(node, MODELS[wish.root]) as association:
            for level in levels[: levels.index("STUDY") + 1]:
                above = [
                    each for keys, _ in above for each in _matches(association, wish, level, keys)
                ]
    except _TOLERATED:
        given = [wish.given(level) for level in levels[: levels.index("STUDY") + 1]]
        if None in given or any(not one for one in given):
            raise
        *patients, studies = (one or [] for one in given)
        patient = {"PatientID": patients[0][0]} if patients else {}
        return [(patient | {"StudyInstanceUID": uid}, None) for uid in studies]
    return above


def _matches(
    association: OpenAssociation, wish: Wish, level: str, keys: Keys
) -> Iterator[tuple[Keys, int | None]]:
    for answer in _ask(association, wish, level, keys):
        value = str(answer.get(UNIQUE[level]) or "")
        if value:
            yield keys | {UNIQUE[level]: value}, _number(answer, level)


def _ask(
    association: OpenAssociation, wish: Wish, level: str, above: Keys
) -> Generator[Dataset, None, None]:
    """Give the answers at a level that are fit to be asked for again, each once."""
    identifier, _ = identifier_of(level, wish.root, above | wish.keys.get(level, {}), False)
    unique, given = UNIQUE[level], wish.given(level)
    question = Question(f"C-FIND at level {level}", MODELS[wish.root], identifier)
    seen: set[str] = set()
    left_out = 0
    with closing(answers(association, question)) as found:
        for number, answer in enumerate(found):
            if number == _MOST_FOUND:
                raise LimitError(
                    f"expected at most {_MOST_FOUND} answers at level {level}, found more"
                )
            value = str(answer.get(unique) or "")
            fits = level == "PATIENT" or is_safe_uid(value)
            # Some peers leave out keys that they do not know, and answer with all that they have.
            if not fits or value in seen or (given is not None and value not in given):
                left_out += 1
                continue
            seen.add(value)
            yield answer
    if left_out:
        # One line, however many: a peer may answer for hours.
        node, what = association.node, "answer is" if left_out == 1 else "answers are"
        _LOGGER.warning("%s: %d %s left out at level %s", node, left_out, what, level)


def _number(answer: Dataset, level: str) -> int | None:
    value = answer.get(_NUMBERS.get(level, ""))
    return int(value) if isinstance(value, int) and value >= 0 else None


class _Survey:
    """Looks into a study: its series, and their instances."""

    def __init__(self, association: OpenAssociation, wish: Wish, study: Errand) -> None:
        self._association, self._wish, self._study = association, wish, study
        # Whether a question was left before its end; a peer that does not heed that is left.
        self._cancelled = False

    def errands(self) -> list[Errand]:
        """Return what there is of a study, in requests of the wish's level."""
        level, study = self._wish.level, self._study
        found = list(self._series())
        if level == "SERIES":
            return found
        expected: dict[str, Instance] = {}
        for one in found:
            expected.update(one.expected or {})
        if level == "IMAGE":
            return [Errand(study.root, level, study.keys, expected)] if expected else []
        unknown = any(one.expected is None for one in found) or len(expected) > _MOST_EXPECTED
        # A study without instances: the peer does not do these levels.
        if unknown or not expected:
            return [study]
        return [Errand(study.root, level, study.keys, expected, study.count)]

    def _series(self) -> Iterator[Errand]:
        wish, keys = self._wish, self._study.keys
        for above, count in list(_matches(self._association, wish, "SERIES", keys)):
            yield Errand(wish.root, "SERIES", above, self._instances(above) or None, count)

    def _instances(self, above: Keys) -> dict[str, Instance] | None:
        made: dict[str, Instance] = {}
        if self._cancelled and not self._association.pynetdicom.is_established:
            return None
        with closing(_ask(self._association, self._wish, "IMAGE", above)) as found:
            for answer in found:
                sop_class = str(answer.get("SOPClassUID") or "")
                known = sop_class if is_safe_uid(sop_class) else ""
                made[str(answer.SOPInstanceUID)] = Instance(known, above["SeriesInstanceUID"])
                if len(made) > _MOST_EXPECTED and self._wish.level != "IMAGE":
                    self._cancelled = True
                    return None
        return made
