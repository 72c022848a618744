"""Which attributes are copied from one object to another, by the modules of PS3.3."""

from __future__ import annotations

# fmt: off
# Patient and Clinical Trial Subject modules, C.7.1.
PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence", "PatientBirthDate", "PatientBirthTime", "PatientSex",
    "OtherPatientNames", "EthnicGroup", "PatientComments", "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole",
    "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "QualityControlSubject", "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID",
)
# General Study, Patient Study and Clinical Trial Study modules, C.7.2.
STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName", "StudyID",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription",
    "PhysiciansOfRecord", "RequestingService", "ReferencedStudySequence", "ProcedureCodeSequence",
    "ReasonForPerformedProcedureCodeSequence", "AdmittingDiagnosesDescription", "PatientAge",
    "PatientSize", "PatientWeight", "MedicalAlerts", "Allergies", "Occupation",
    "AdditionalPatientHistory", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID",
    "ClinicalTrialTimePointID",
)
# General Series module, C.7.3.1, and what of General Equipment, C.7.5.1, a series has in common.
SERIES = (
    "SeriesInstanceUID", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription",
    "Modality", "Laterality", "PerformingPhysicianName", "OperatorsName", "ProtocolName",
    "BodyPartExamined", "PatientPosition", "RequestAttributesSequence",
    "PerformedProcedureStepID", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "PerformedProcedureStepDescription",
    "PerformedProtocolCodeSequence", "ReferencedPerformedProcedureStepSequence", "Manufacturer",
    "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "InstitutionName",
    "InstitutionAddress", "StationName", "InstitutionalDepartmentName",
)
# Of a template these are not taken: they say which object it was, or what its pixels were.
OWN = frozenset((
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "ContentDate",
    "ContentTime", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
    "AcquisitionNumber", "InstanceNumber", "InstanceCreationDate", "InstanceCreationTime",
    "InstanceCreatorUID", "ImageType", "ConversionType", "Modality", "NumberOfFrames",
    "FrameTime", "FrameTimeVector", "FrameIncrementPointer", "CineRate",
    "RecommendedDisplayFrameRate", "ICCProfile", "ColorSpace", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "PixelAspectRatio",
    "SmallestImagePixelValue", "LargestImagePixelValue", "EncapsulatedDocument",
    "EncapsulatedDocumentLength", "MIMETypeOfEncapsulatedDocument", "DocumentTitle",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ReferencedImageSequence", "SourceImageSequence", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation",
    "VOILUTFunction", "PresentationLUTShape", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceLocation", "SliceThickness", "SpecificCharacterSet", "IconImageSequence",
    "OffendingElement",
))
