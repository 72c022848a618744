"""`dicomloom worklist`."""

from __future__ import annotations

import argparse
import os
import re
import sys

from dicomloom.cli import answers, network
from dicomloom.cli.find import add_keys

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset

EPILOG = (
    network.EPILOG
    + """
exit codes: as of dicomloom find.

examples:
  dicomloom worklist ris --date today --modality OP
  dicomloom worklist ris --date 20260101-20260107 --ae-title CAMERA1 --format json
  dicomloom worklist ris --patient 12345 -o steps/
  dicomloom dicomize photo.jpg -d dicom/ --from-worklist steps/1.2.3-STEP1.json
"""
)
_STEP = "ScheduledProcedureStepSequence[0]"
# A person's columns; JSON has everything.
_COLUMNS = [
    f"{_STEP}.ScheduledProcedureStepStartDate",
    f"{_STEP}.ScheduledProcedureStepStartTime",
    f"{_STEP}.ScheduledStationAETitle",
    f"{_STEP}.Modality",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "AccessionNumber",
    f"{_STEP}.ScheduledProcedureStepID",
    f"{_STEP}.ScheduledProcedureStepDescription",
    "RequestedProcedureDescription",
    "StudyInstanceUID",
]
# What may be part of a file name: nothing that leads elsewhere, hides, or is an option.
_UID = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    network.add_node(parser)
    parser.add_argument(
        "--date", metavar="DATE", help="today, YYYYMMDD, or a range YYYYMMDD-YYYYMMDD"
    )
    parser.add_argument("--modality", metavar="CS", help="Modality of the step")
    parser.add_argument("--ae-title", metavar="AET", help="ScheduledStationAETitle")
    parser.add_argument("--patient", metavar="ID", help="PatientID")
    add_keys(parser)
    answers.add_format(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="write a JSON file for each step, for dicomize --from-worklist; prints their names",
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print or write what comes."""
    import contextlib

    from dicomloom.cli.options import UsageError
    from dicomloom.network.worklist import worklist

    if arguments.output is not None and arguments.format not in (None, "json"):
        raise UsageError("-o DIR is for JSON files; let --format go, or send it to a file by >")
    kind = answers.format_of(arguments.format, None)
    with network.values_as_usage():
        keys = dict(arguments.key)
        found = worklist(
            network.node_of(arguments),
            keys,
            date=arguments.date,
            modality=arguments.modality,
            ae_title=arguments.ae_title,
            patient=arguments.patient,
            limit=arguments.limit,
        )
    with (
        network.logging_to_stderr(arguments.log_level),
        network.warnings_to_stderr("worklist"),
        contextlib.closing(found),
    ):
        if arguments.output is None:
            columns = [*_COLUMNS, *(name for name in keys if name not in _COLUMNS)]
            answers.write(found, columns, kind, None)
        else:
            _write_files(found, arguments.output)
    return 0


def _write_files(found: Iterable[Dataset], folder: str) -> None:
    """Write a file for each step, named by what identifies it where that is fit for a name."""
    from dicomloom.files import Replacing, make_folders

    make_folders(folder)
    used: set[str] = set()
    for step in found:
        stem = name_of(step)
        name, number = stem, 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        path = os.path.join(folder, name + ".json")
        with Replacing(path) as file:
            file.write(answers.json_of(step).encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.write(path + "\n")


def name_of(step: Dataset) -> str:
    """Return the name of a step's file: StudyInstanceUID and step ID, if they are fit for one.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> step = Dataset()
    >>> name_of(step)
    'step'
    """
    uid = answers.cell(step, "StudyInstanceUID")
    number = answers.cell(step, f"{_STEP}.ScheduledProcedureStepID")
    parts = [uid] if _UID.fullmatch(uid) else []
    parts += [number] if _ID.fullmatch(number) else []
    return "-".join(parts) or "step"
