"""The attributes of a performed procedure step (PS3.4 table F.7.2-1), for both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.4 F.7.3.
SOP_CLASS = "1.2.840.10008.3.1.2.3.3"
IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
FINAL = (COMPLETED, DISCONTINUED)
SCHEDULED = "ScheduledStepAttributesSequence"
SERIES = "PerformedSeriesSequence"
REASON = "PerformedProcedureStepDiscontinuationReasonCodeSequence"
# Type 1 and 2 of N-CREATE.
CREATED_1 = (
    *(SCHEDULED, "PerformedProcedureStepID", "PerformedStationAETitle"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    *("PerformedProcedureStepStatus", "Modality"),
)
CREATED_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferencedPatientSequence"),
    *("PerformedStationName", "PerformedLocation", "PerformedProcedureStepDescription"),
    *("PerformedProcedureTypeDescription", "ProcedureCodeSequence"),
    *("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "StudyID"),
    *("PerformedProtocolCodeSequence", SERIES),
)
SCHEDULED_1 = ("StudyInstanceUID",)
SCHEDULED_2 = (
    *("ReferencedStudySequence", "AccessionNumber", "RequestedProcedureID"),
    *("RequestedProcedureDescription", "ScheduledProcedureStepID"),
    *("ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence"),
)
SERIES_1 = ("ProtocolName", "SeriesInstanceUID")
SERIES_2 = (
    *("PerformingPhysicianName", "OperatorsName", "SeriesDescription", "RetrieveAETitle"),
    *("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"),
)
# What the final state needs besides (note 1).
FINAL_1 = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", SERIES)
# What N-SET may not change.
FIXED = frozenset(
    (
        *(SCHEDULED, "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDsSequence"),
        *("IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientSex"),
        *("ReferencedPatientSequence", "AdmissionID", "IssuerOfAdmissionIDSequence"),
        *("ServiceEpisodeID", "IssuerOfServiceEpisodeIDSequence", "ServiceEpisodeDescription"),
        *("PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName"),
        *("PerformedLocation", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime", "Modality", "StudyID"),
    )
)


def missing(
    dataset: Dataset, *, final: bool = False, second: bool = True
) -> Iterator[tuple[str, bool]]:
    """Give what a step lacks: where, and whether it is there at all but has no value.

    `final` asks for what COMPLETED and DISCONTINUED need (PS3.4 F.7.2.2.2), too; `second` for
    attributes of type 2.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> step = Dataset()
    >>> step.Modality = ""
    >>> found = dict(missing(step))
    >>> found["Modality"], found["PatientID"]
    (True, False)
    """
    needed = (*CREATED_1, *FINAL_1) if final else CREATED_1
    yield from _missing(dataset, "", needed, CREATED_2 if second else ())
    levels = ((SCHEDULED, SCHEDULED_1, SCHEDULED_2), (SERIES, SERIES_1, SERIES_2))
    for sequence, first, others in levels:
        for number, item in enumerate(items_of(dataset, sequence)):
            yield from _missing(item, f"{sequence}[{number}].", first, others if second else ())


def _missing(
    dataset: Dataset, before: str, first: tuple[str, ...], second: tuple[str, ...]
) -> Iterator[tuple[str, bool]]:
    for keyword in (*first, *second):
        if keyword not in dataset:
            yield before + keyword, False
        elif keyword in first:
            value = dataset[keyword].value
            if not value or (isinstance(value, str) and not value.strip()):
                yield before + keyword, True


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where there is something else."""
    from pydicom.sequence import Sequence as Items

    found = dataset[keyword].value if keyword in dataset else None
    return list(found) if isinstance(found, Items) else []
