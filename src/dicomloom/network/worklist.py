"""Modality Worklist (PS3.4 K): what is scheduled to be done?"""

from __future__ import annotations

import datetime
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from dicomloom import attributes
from dicomloom.network.find import Question, ask, checked, merged
from dicomloom.network.keys import set_key
from dicomloom.network.node import Node

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.4 K.6.1.3.
MODEL = "1.2.840.10008.5.1.4.31"
STEP = "ScheduledProcedureStepSequence[0]"
# PS3.4 table K.6-1, without what is given by reference to other objects.
RETURNED = (
    *(f"{STEP}.ScheduledStationAETitle", f"{STEP}.ScheduledProcedureStepStartDate"),
    *(f"{STEP}.ScheduledProcedureStepStartTime", f"{STEP}.Modality"),
    *(f"{STEP}.ScheduledPerformingPhysicianName", f"{STEP}.ScheduledProcedureStepDescription"),
    *(f"{STEP}.ScheduledStationName", f"{STEP}.ScheduledProcedureStepLocation"),
    *(f"{STEP}.ScheduledProtocolCodeSequence", f"{STEP}.PreMedication"),
    *(f"{STEP}.ScheduledProcedureStepID", f"{STEP}.RequestedContrastAgent"),
    *("RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ReferencedStudySequence"),
    *("RequestedProcedurePriority", "PatientTransportArrangements"),
    *("AccessionNumber", "RequestingPhysician", "ReferringPhysicianName"),
    *("AdmissionID", "CurrentPatientLocation", "ReferencedPatientSequence"),
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientWeight", "ConfidentialityConstraintOnPatientDataDescription", "PatientState"),
    *("PregnancyStatus", "MedicalAlerts", "Allergies", "SpecialNeeds"),
)


def worklist(
    node: Node | str,
    query: Mapping[str, object] | Dataset | None = None,
    *,
    date: str | datetime.date | None = None,
    modality: str | None = None,
    ae_title: str | None = None,
    patient: str | None = None,
    limit: int | None = None,
    **keys: object,
) -> Generator[Dataset, None, None]:
    """Ask a node for scheduled procedure steps (C-FIND, PS3.4 K.4.1).

    What `dicomloom.find` says of the association, of memory and of an iterator that is left holds
    here, too. All attributes that PS3.4 table K.6-1 has a modality ask for are asked for, save
    those that refer to other objects.

    Parameters
    ----------
    node : Node or str
    query : mapping or pydicom.Dataset, optional
        More keys, by keyword, tag or path.
    date : str, datetime.date or None
        ScheduledProcedureStepStartDate: ``today`` (of this machine), ``YYYYMMDD``, or a range such
        as ``20260101-20260107``.
    modality : str or None
        Modality of the step.
    ae_title : str or None
        ScheduledStationAETitle.
    patient : str or None
        PatientID; for a name, give ``PatientName="DOE*"``.
    limit : int or None
        End after so many steps.
    **keys
        More keys by keyword; see `dicomloom.find`.

    Yields
    ------
    pydicom.Dataset
        A scheduled procedure step, with its requested procedure, request, visit and patient.
        `dicomloom.dicomize` takes it as ``worklist=``, its ``to_json()`` in a file as well.

    Raises
    ------
    TagError, ValueError
        A key makes no sense; raised by the call itself, the others by the iterator.
    StatusError, NetworkError
        As in `dicomloom.find`.

    Examples
    --------
    >>> import dicomloom
    >>> steps = dicomloom.worklist("RIS@127.0.0.1:1", date="today", modality="OP")
    >>> try:
    ...     next(steps)
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    from pydicom import Dataset

    peer = Node.of(node) if isinstance(node, str) else node
    named = {
        f"{STEP}.ScheduledProcedureStepStartDate": _date(date),
        f"{STEP}.Modality": modality,
        f"{STEP}.ScheduledStationAETitle": ae_title,
        "PatientID": patient,
    }
    identifier = Dataset()
    for where in RETURNED:
        set_key(identifier, where, None)
    given = {where: value for where, value in named.items() if value is not None}
    for where, value in (given | merged(query, keys)).items():
        set_key(identifier, where, value)
    attributes.set_charset(identifier)
    return ask(peer, Question("C-FIND in the worklist", MODEL, identifier, limit=checked(limit)))


def _date(date: str | datetime.date | None) -> str | None:
    if date == "today":
        date = datetime.date.today()
    return date.strftime("%Y%m%d") if isinstance(date, datetime.date) else date
