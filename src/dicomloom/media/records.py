"""Directory record types (PS3.3 F.4, F.5): which SOP Class has which, and their keys."""

from __future__ import annotations

_CONTENT = {"ContentDate": 1, "ContentTime": 1}
# PS3.3 table 10-12, the Content Identification Macro
_LABELLED = {
    "InstanceNumber": 1,
    "ContentLabel": 1,
    "ContentDescription": 2,
    "ContentCreatorName": 2,
}
_PRESENTED = {"PresentationCreationDate": 1, "PresentationCreationTime": 1, **_LABELLED}

# Record type -> its keys and their types; 3 stands for 1C: copied where the object has it.
KEYS: dict[str, dict[str, int]] = {
    "PATIENT": {"PatientName": 2, "PatientID": 1},
    "STUDY": {
        "StudyDate": 1,
        "StudyTime": 1,
        "StudyDescription": 2,
        "StudyInstanceUID": 1,
        "StudyID": 1,
        "AccessionNumber": 2,
    },
    "SERIES": {"Modality": 1, "SeriesInstanceUID": 1, "SeriesNumber": 1},
    "IMAGE": {"InstanceNumber": 1},
    "RT DOSE": {"InstanceNumber": 1, "DoseSummationType": 1},
    "RT STRUCTURE SET": {
        "InstanceNumber": 1,
        "StructureSetLabel": 1,
        "StructureSetDate": 2,
        "StructureSetTime": 2,
    },
    "RT PLAN": {"InstanceNumber": 1, "RTPlanLabel": 1, "RTPlanDate": 2, "RTPlanTime": 2},
    "RT TREAT RECORD": {"InstanceNumber": 1, "TreatmentDate": 2, "TreatmentTime": 2},
    "PRESENTATION": {**_PRESENTED, "ReferencedSeriesSequence": 3, "BlendingSequence": 3},
    "WAVEFORM": {"InstanceNumber": 1, **_CONTENT},
    "SR DOCUMENT": {
        "InstanceNumber": 1,
        "CompletionFlag": 1,
        "VerificationFlag": 1,
        **_CONTENT,
        "VerificationDateTime": 3,
        "ConceptNameCodeSequence": 1,
        "ContentSequence": 3,
    },
    "KEY OBJECT DOC": {
        "InstanceNumber": 1,
        **_CONTENT,
        "ConceptNameCodeSequence": 1,
        "ContentSequence": 3,
    },
    "SPECTROSCOPY": {
        "ImageType": 1,
        **_CONTENT,
        "InstanceNumber": 1,
        "ReferencedImageEvidenceSequence": 3,
        "NumberOfFrames": 1,
        "Rows": 1,
        "Columns": 1,
        "DataPointRows": 1,
        "DataPointColumns": 1,
    },
    "RAW DATA": {**_CONTENT, "InstanceNumber": 2},
    "REGISTRATION": {**_CONTENT, **_LABELLED},
    "FIDUCIAL": {**_CONTENT, **_LABELLED},
    "HANGING PROTOCOL": {
        "HangingProtocolCreator": 1,
        "HangingProtocolCreationDateTime": 1,
        "HangingProtocolDefinitionSequence": 1,
        "NumberOfPriorsReferenced": 1,
        "HangingProtocolUserIdentificationCodeSequence": 2,
    },
    "ENCAP DOC": {
        "ContentDate": 2,
        "ContentTime": 2,
        "InstanceNumber": 1,
        "DocumentTitle": 2,
        "HL7InstanceIdentifier": 3,
        "ConceptNameCodeSequence": 2,
        "MIMETypeOfEncapsulatedDocument": 1,
    },
    "VALUE MAP": {**_CONTENT, **_LABELLED},
    "STEREOMETRIC": {},
    "PALETTE": {"ContentLabel": 1, "ContentDescription": 2},
    "IMPLANT": {"Manufacturer": 1, "ImplantName": 1, "ImplantSize": 3, "ImplantPartNumber": 1},
    "IMPLANT ASSY": {
        "ImplantAssemblyTemplateName": 1,
        "Manufacturer": 1,
        "ProcedureTypeCodeSequence": 1,
    },
    "IMPLANT GROUP": {"ImplantTemplateGroupName": 1, "ImplantTemplateGroupIssuer": 1},
    "PLAN": {},
    "MEASUREMENT": {**_CONTENT, **_LABELLED},
    "SURFACE": {**_CONTENT, **_LABELLED},
    "SURFACE SCAN": dict(_CONTENT),
    "TRACT": {**_CONTENT, **_LABELLED},
    "ASSESSMENT": {"InstanceNumber": 1, "InstanceCreationDate": 1, "InstanceCreationTime": 2},
    "RADIOTHERAPY": {
        "InstanceNumber": 1,
        "UserContentLabel": 3,
        "UserContentLongLabel": 3,
        "ContentDescription": 2,
        "ContentCreatorName": 2,
    },
    "ANNOTATION": {**_CONTENT, **_LABELLED},
    "WAVEFORM PRESENTATION": {**_PRESENTED, "ReferencedSeriesSequence": 3},
    "INVENTORY": {
        **_CONTENT,
        "InventoryPurpose": 2,
        "InventoryLevel": 1,
        "ScopeOfInventorySequence": 2,
        "InventoryCompletionStatus": 1,
        "TotalNumberOfStudyRecords": 1,
    },
}

# PS3.3 F.4: directly below the root, without patient, study and series.
AT_ROOT = frozenset(
    ["HANGING PROTOCOL", "PALETTE", "IMPLANT", "IMPLANT ASSY", "IMPLANT GROUP", "INVENTORY"]
)
LEVELS = ("PATIENT", "STUDY", "SERIES")

_STORAGE = "1.2.840.10008.5.1.4."
# The ends of UIDs below _STORAGE (PS3.6 annex A); every other Storage SOP Class is an IMAGE.
_CLASSES = {
    "RT DOSE": "1.1.481.2",
    "RT STRUCTURE SET": "1.1.481.3",
    "RT PLAN": "1.1.481.5 1.1.481.8",
    "RT TREAT RECORD": "1.1.481.4 1.1.481.6 1.1.481.7 1.1.481.9",
    "PRESENTATION": (
        "1.1.11.1 1.1.11.2 1.1.11.3 1.1.11.4 1.1.11.5 1.1.11.6 1.1.11.7 1.1.11.8 1.1.11.9 "
        "1.1.11.10 1.1.11.11 1.1.131"
    ),
    "WAVEFORM PRESENTATION": "1.1.9.100.1 1.1.9.100.2",
    "WAVEFORM": (
        "1.1.9.1.1 1.1.9.1.2 1.1.9.1.3 1.1.9.1.4 1.1.9.2.1 1.1.9.3.1 1.1.9.4.1 1.1.9.4.2 "
        "1.1.9.5.1 1.1.9.6.1 1.1.9.6.2 1.1.9.7.1 1.1.9.7.2 1.1.9.7.3 1.1.9.7.4 1.1.9.8.1"
    ),
    "SR DOCUMENT": (
        "1.1.88.11 1.1.88.22 1.1.88.33 1.1.88.34 1.1.88.35 1.1.88.40 1.1.88.50 1.1.88.65 "
        "1.1.88.67 1.1.88.68 1.1.88.69 1.1.88.70 1.1.88.71 1.1.88.72 1.1.88.73 1.1.88.74 "
        "1.1.88.75 1.1.88.76 1.1.88.77 1.1.78.6 1.1.79.1"
    ),
    "KEY OBJECT DOC": "1.1.88.59",
    "SPECTROSCOPY": "1.1.4.2",
    "RAW DATA": "1.1.66",
    "REGISTRATION": "1.1.66.1 1.1.66.3",
    "FIDUCIAL": "1.1.66.2",
    "HANGING PROTOCOL": "38.1",
    "ENCAP DOC": "1.1.104.1 1.1.104.2 1.1.104.3 1.1.104.4 1.1.104.5",
    "VALUE MAP": "1.1.67",
    "STEREOMETRIC": "1.1.77.1.5.3",
    "PALETTE": "39.1",
    "IMPLANT": "43.1",
    "IMPLANT ASSY": "44.1",
    "IMPLANT GROUP": "45.1",
    "PLAN": "34.7 34.10 1.1.481.25",
    "MEASUREMENT": "1.1.78.1 1.1.78.2 1.1.78.3 1.1.78.4 1.1.78.5 1.1.78.7 1.1.78.8 1.1.80.1",
    "SURFACE": "1.1.66.5",
    "SURFACE SCAN": "1.1.68.1 1.1.68.2",
    "TRACT": "1.1.66.6",
    "ASSESSMENT": "1.1.90.1",
    "RADIOTHERAPY": (
        "1.1.481.10 1.1.481.11 1.1.481.12 1.1.481.13 1.1.481.14 1.1.481.15 1.1.481.16 1.1.481.17"
    ),
    "ANNOTATION": "1.1.91.1",
    "INVENTORY": "1.1.201.1",
}
_TYPE_OF = {_STORAGE + end: name for name, ends in _CLASSES.items() for end in ends.split()}

DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


def record_type(sop_class: str) -> str:
    """Return the Directory Record Type that refers to instances of a SOP Class (PS3.3 F.4).

    Examples
    --------
    >>> record_type("1.2.840.10008.5.1.4.1.1.481.2"), record_type("1.2.840.10008.5.1.4.1.1.2")
    ('RT DOSE', 'IMAGE')
    """
    return _TYPE_OF.get(sop_class, "IMAGE")


_ELE = "1.2.840.10008.1.2.1"
_JPEG = (_ELE, *(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 70)))
_J2K = (_ELE, *(f"1.2.840.10008.1.2.4.{end}" for end in (90, 91)))
# PS3.11 annexes D, H and J: profile -> the transfer syntaxes it allows.
PROFILES: dict[str, tuple[str, ...]] = {
    "STD-GEN-CD": (_ELE,),
    "STD-GEN-DVD-RAM": (_ELE,),
    "STD-GEN-BD": (_ELE,),
    **{f"STD-GEN-{medium}-JPEG": _JPEG for medium in ("DVD", "BD", "USB", "MMC", "CF", "SD")},
    **{f"STD-GEN-{medium}-J2K": _J2K for medium in ("DVD", "BD", "USB", "MMC", "CF", "SD")},
}
