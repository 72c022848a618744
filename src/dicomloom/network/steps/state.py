"""Where a performed procedure step stands, in memory and in a file that survives a crash."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomloom.decoding import BROKEN
from dicomloom.errors import CorruptError
from dicomloom.files import Replacing
from dicomloom.json_model import data_set_of, read_json
from dicomloom.network.steps import table

if TYPE_CHECKING:
    from pydicom import Dataset

# Not yet sent; sent, and nobody knows whether it came; and those of PS3.4 F.1.5.
NEW, CREATING = "NEW", "CREATING"
COMPLETING, DISCONTINUING = "COMPLETING", "DISCONTINUING"
ENDING = {COMPLETING: table.COMPLETED, DISCONTINUING: table.DISCONTINUED}
STATES = (NEW, CREATING, table.IN_PROGRESS, *ENDING, *table.FINAL)
_KIND = "dicomloom performed procedure step"
_VERSION = 1
# PS3.5 9.1.
UID = re.compile(r"(?=.{1,64}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*", re.ASCII)


@dataclass
class StepState:
    """What is known of a step.

    Attributes
    ----------
    uid : str
        SOPInstanceUID.
    state : str
        One of `STATES`.
    attributes : pydicom.Dataset
        As the peer has them, as far as it answered.
    pending : pydicom.Dataset or None
        What is being sent to end the step.
    """

    uid: str
    state: str
    attributes: Dataset
    pending: Dataset | None = None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a file of it, whole or not at all.

        Raises
        ------
        WriteError
        """
        # Not `model_of`: SpecificCharacterSet is that of the messages, which is kept.
        text = json.dumps(
            {
                "kind": _KIND,
                "version": _VERSION,
                "uid": self.uid,
                "state": self.state,
                "attributes": self.attributes.to_json_dict(),
                "pending": None if self.pending is None else self.pending.to_json_dict(),
            },
            indent=1,
            ensure_ascii=False,
        )
        with Replacing(path) as file:
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> StepState:
        """Read what `write` wrote; nothing in it is believed.

        Raises
        ------
        ReadError, LimitError
        CorruptError
            It is no such file; the message says what is wrong with it.
        """
        name = os.fspath(path)
        read = read_json(name)
        wrong = _fault(read)
        if wrong:
            raise CorruptError(f"no state of a performed procedure step: {wrong}", path=name)
        attributes = data_set_of(read["attributes"], name)
        pending = None if read["pending"] is None else data_set_of(read["pending"], name)
        made = cls(read["uid"], read["state"], attributes, pending)
        try:
            lacking = next(table.missing(made.attributes), None)
        except BROKEN:
            lacking = (table.SCHEDULED, False)
        if lacking:
            raise CorruptError(f"the step has no proper {lacking[0]}", path=name)
        status = str(made.attributes.PerformedProcedureStepStatus)
        if status != (made.state if made.state in table.FINAL else table.IN_PROGRESS):
            raise CorruptError(f"its state is {made.state}, its status another", path=name)
        if (made.pending is not None) != (made.state in ENDING):
            raise CorruptError(f"its state is {made.state}, its pending end another", path=name)
        return made


def _fault(read: object) -> str:
    if not isinstance(read, dict) or read.get("kind") != _KIND:
        return f'expected an object whose "kind" is "{_KIND}"'
    if read.get("version") != _VERSION:
        return f"expected version {_VERSION}"
    if not isinstance(read.get("uid"), str) or not UID.fullmatch(read["uid"]):
        return '"uid" is no UID'
    if read.get("state") not in STATES:
        return f'"state" is none of {", ".join(STATES)}'
    if "attributes" not in read or "pending" not in read:
        return '"attributes" or "pending" is missing'
    return ""
