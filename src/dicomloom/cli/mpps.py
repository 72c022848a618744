"""`dicomloom mpps`."""

from __future__ import annotations

import argparse
import os
import sys

from dicomloom.cli import network, options

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pydicom import Dataset

    from dicomloom.network.mpps import PerformedProcedureStep
    from dicomloom.network.steps.state import StepState

EPILOG = (
    network.EPILOG
    + """
mpps start NODE [STEP.json] [KEYWORD=VALUE ...]   create the step, IN PROGRESS (N-CREATE)
mpps complete NODE [PATH ...]                     end it as COMPLETED (N-SET)
mpps discontinue NODE [PATH ...]                  end it as DISCONTINUED (N-SET)
mpps show                                         tell where it stands; asks nobody

STEP.json is what dicomloom worklist -o writes; without it the step is one that nobody scheduled,
and Modality=... has to be given. PATHs are the objects that the step made, and folders of them.
The state file says what was sent. Where an answer did not come, or the command was killed, do the
same again: the same step is sent, and that the peer has it already is success.

exit codes: 0 all well; 2 usage, or not possible in this state; 20 input cannot be read; 40 the
state file cannot be written; 60-79 network, of which 66: the peer answered with a failure.

examples:
  dicomloom mpps start ris steps/1.2.3-STEP1.json --state step.mpps
  dicomloom mpps complete ris --state step.mpps dicom/
  dicomloom mpps discontinue ris --state step.mpps --reason 110514
  dicomloom mpps show --state step.mpps --json
"""
)
_READ = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows"),
    *("PerformingPhysicianName", "ProtocolName", "OperatorsName", "SeriesDescription"),
    "RetrieveAETitle",
)
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
_MEDIA = "MediaStorageSOPClassUID"
_PEOPLE = ("PerformingPhysicianName", "OperatorsName")
# PS3.4 I.4: a directory is no object of a study.
_DIRECTORY = "1.2.840.10008.1.3.10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("action", choices=("start", "complete", "discontinue", "show"))
    network.add_node(parser, text="AET@host:port or a name; not for show", nargs="?")
    parser.add_argument("words", nargs="*", metavar="ARGUMENT", help="see below")
    parser.add_argument("--state", metavar="FILE", required=True, help="where the step stands")
    parser.add_argument(
        "--reason",
        metavar="CODE",
        help="discontinue: of PS3.16 CID 9300 or 9301 (default: 110513, unspecified)",
    )
    options.add_settings(parser)
    options.add_json(parser, "the step")


def run(arguments: argparse.Namespace) -> int:
    """Start, end or show a step."""
    from dicomloom.cli.options import UsageError
    from dicomloom.network.steps.state import StepState

    action = arguments.action
    if arguments.reason is not None and action != "discontinue":
        raise UsageError("--reason is for discontinue")
    if action == "show":
        if arguments.node is not None or arguments.set:
            raise UsageError("show takes the state file only: --state FILE")
        _tell(StepState.read(arguments.state), arguments.json)
        return 0
    if arguments.node is None:
        raise UsageError(f"say which node: mpps {action} NODE --state FILE")
    with network.logging_to_stderr(arguments.log_level), network.warnings_to_stderr("mpps"):
        if action == "start":
            _start(arguments)
        else:
            _end(arguments)
    _tell(StepState.read(arguments.state), arguments.json)
    return 0


def _start(arguments: argparse.Namespace) -> None:
    from dicomloom.cli.options import UsageError
    from dicomloom.network.mpps import PerformedProcedureStep

    given, files = dict(arguments.set), []
    for word in arguments.words:
        keyword, equals, value = word.partition("=")
        if equals and not os.path.exists(word):
            given[keyword] = value
        else:
            files.append(word)
    if len(files) > 1:
        raise UsageError(f"one STEP.json, not {len(files)}: KEYWORD=VALUE has an equals sign")
    node = network.node_of(arguments)
    if os.path.lexists(arguments.state):
        step = PerformedProcedureStep.load(arguments.state, node)
        if step.state in ("NEW", "CREATING"):
            text = "takes up the start of this step; what is given now is left out"
            sys.stderr.write(f"dicomloom mpps: {arguments.state}: {text}\n")
    elif files:
        step = PerformedProcedureStep.from_worklist(node, files[0], given, state=arguments.state)
    else:
        step = PerformedProcedureStep(node, given, state=arguments.state)
    step.start()


def _end(arguments: argparse.Namespace) -> None:
    from dicomloom.network.mpps import PerformedProcedureStep

    step = PerformedProcedureStep.load(arguments.state, network.node_of(arguments))
    if step.state == "IN PROGRESS":
        _add(step, arguments.words)
    elif step.state in ("COMPLETING", "DISCONTINUING"):
        text = "takes up the end of this step; what is given now is left out"
        sys.stderr.write(f"dicomloom mpps: {arguments.state}: {text}\n")
    given = dict(arguments.set)
    if arguments.action == "complete":
        step.complete(given)
    else:
        step.discontinue(arguments.reason, given)


def _add(step: PerformedProcedureStep, paths: list[str]) -> None:
    count = 0
    for instance in _instances(paths):
        step.add_instance(instance)
        count += 1
    if not count and paths:
        raise options.UsageError(
            "there is no object in what was given; without a PATH the step says that it made none"
        )
    if not count:
        sys.stderr.write("dicomloom mpps: no PATH: the step says that it made no objects\n")


def _instances(paths: list[str]) -> Iterator[Dataset]:
    """Give what a step says of the objects below some paths, by the names of their files.

    Raises
    ------
    ReadError, CorruptError
        A file cannot be read: a step that leaves it out would be wrong.
    """
    from dicomloom.errors import CorruptError, ReadError
    from dicomloom.index.scan import scan
    from dicomloom.shown import shown

    rows: list[dict[str, Any]] = []
    for path in paths:
        if not os.path.exists(path):
            raise ReadError("there is no such file or folder", path=path)
    for batch in scan(paths, (*_READ, _MEDIA)):
        rows += (dict(zip(batch.names, row, strict=True)) for row in batch.rows())
    for row in sorted(rows, key=lambda row: str(row["Filename"])):
        name, error = row["Filename"], str(row["Error"] or "")
        foreign = error.startswith("not DICOM") and name not in paths
        if row["Status"] != "OK" and not foreign:
            raise CorruptError(f"{error}; nothing was sent", path=name)
        if foreign:
            sys.stderr.write(f"dicomloom mpps: {shown(name)}: left out, {shown(error)}\n")
        elif row[_MEDIA] != _DIRECTORY:
            lacking = next((keyword for keyword in _UIDS if not row[keyword]), None)
            if lacking:
                raise CorruptError(f"the object has no {lacking}; nothing was sent", path=name)
            yield _instance(row)


def _instance(row: dict[str, Any]) -> Dataset:
    from pydicom import Dataset

    made = Dataset()
    for keyword in _READ:
        value = row[keyword]
        if value and keyword == "Rows":
            made.Rows = 1  # whether it is an image
        elif value:
            setattr(made, keyword, value.split("\\") if keyword in _PEOPLE else value)
    return made


def _tell(known: StepState, as_json: bool) -> None:
    """Print where a step stands."""
    from dicomloom.json_model import model_of
    from dicomloom.network.steps.table import SERIES, items_of

    if as_json:
        import json

        made = {"uid": known.uid, "state": known.state, "attributes": model_of(known.attributes)}
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
        return
    from dicomloom.cli.answers import cell
    from dicomloom.shown import shown

    series = items_of(known.attributes, SERIES)
    keywords = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    count = sum(len(items_of(item, keyword)) for item in series for keyword in keywords)
    lines = {
        "SOPInstanceUID": known.uid,
        "state": known.state,
        "PatientID": cell(known.attributes, "PatientID"),
        "StudyInstanceUID": cell(
            known.attributes, "ScheduledStepAttributesSequence[0].StudyInstanceUID"
        ),
        "series": str(len(series)),
        "objects": str(count),
    }
    for name, text in lines.items():
        sys.stdout.write(f"{name:<16}  {shown(text)}\n")
