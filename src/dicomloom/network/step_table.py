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


def absent(dataset: Dataset, keywords: tuple[str, ...]) -> Iterator[str]:
    """Give those of some attributes that a data set does not have, empty or not."""
    return (keyword for keyword in keywords if keyword not in dataset)


def empty(dataset: Dataset, keywords: tuple[str, ...]) -> Iterator[str]:
    """Give those of some attributes that are there and have no value."""
    for keyword in keywords:
        value = dataset[keyword].value if keyword in dataset else "absent"
        if not value or (isinstance(value, str) and not value.strip()):
            yield keyword


def missing(dataset: Dataset, *, final: bool = False) -> Iterator[tuple[str, bool]]:
    """Give what a step lacks: where, and whether it is there at all but has no value.

    `final` asks for what COMPLETED and DISCONTINUED need (PS3.4 F.7.2.2.2), too.

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
    for keyword in absent(dataset, (*CREATED_1, *CREATED_2)):
        yield keyword, False
    for keyword in empty(dataset, needed):
        yield keyword, True
    levels = ((SCHEDULED, SCHEDULED_1, SCHEDULED_2), (SERIES, SERIES_1, SERIES_2))
    for sequence, first, second in levels:
        for number, item in enumerate(items_of(dataset, sequence)):
            for keyword in absent(item, (*first, *second)):
                yield f"{sequence}[{number}].{keyword}", False
            for keyword in empty(item, first):
                yield f"{sequence}[{number}].{keyword}", True


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where there is something else."""
    from pydicom.sequence import Sequence as Items

    found = dataset[keyword].value if keyword in dataset else None
    return list(found) if isinstance(found, Items) else []
