"""One CT header as scanners write them, in memory, and where its fixed-length values stand.

About 250 elements: the modules of PS3.3 A.3 in explicit VR little endian, sequences, and private
groups of two creators, roughly 8 kB before the pixels.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

# Each is found by its VR, length and bytes in the finished file: as long as what replaces it, and
# like nothing else in the header.
PLACEHOLDERS = {
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498." + "1" * 38,
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498." + "2" * 38,
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498." + "3" * 38,
    "PatientID": "PATIENT_ID_0",
    "PatientName": "FAMILY_NAME^GIVEN_NAME",
    "AccessionNumber": "ACCESSION_NO",
    "PatientBirthDate": "19010203",
    "PatientSex": "M",
    "StudyDate": "19020304",
    "StudyTime": "010203",
    "InstanceNumber": "900001",
    "SliceLocation": "-9001.25",
}


@dataclass(frozen=True)
class Template:
    """A whole file as bytes, and the offsets at which each placeholder stands."""

    content: bytes
    offsets: dict[str, tuple[int, ...]]
    header_size: int  # bytes before (7FE0,0010)
    elements: int


def _referenced(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def _add_general(ds: Dataset) -> None:
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    ds.InstanceCreationDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240102"
    ds.InstanceCreationTime = ds.SeriesTime = "101112.345000"
    ds.AcquisitionTime = ds.ContentTime = "101113.456000"
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = PLACEHOLDERS["SOPInstanceUID"]
    ds.StudyDate = PLACEHOLDERS["StudyDate"]
    ds.StudyTime = PLACEHOLDERS["StudyTime"]
    ds.AccessionNumber = PLACEHOLDERS["AccessionNumber"]
    ds.Modality = "CT"
    ds.Manufacturer = "SIEMENS"
    ds.InstitutionName = "University Hospital, Department of Radiology"
    ds.InstitutionAddress = "Street StreetNo\r\nCity\r\nDistrict\r\nCountry 12345"
    ds.ReferringPhysicianName = "REFERRING^PHYSICIAN^A^^MD"
    ds.StationName = "CTAWP00001"
    ds.StudyDescription = "Thorax^1_Thorax_Abdomen_Routine (Adult)"
    ds.ProcedureCodeSequence = [_code("CTTHABD", "99LOCAL", "CT thorax and abdomen with contrast")]
    ds.SeriesDescription = "Thorax-Abdomen 1.0 B31f"
    ds.InstitutionalDepartmentName = "Radiology"
    ds.PhysiciansOfRecord = "RECORD^PHYSICIAN"
    ds.PerformingPhysicianName = "PERFORMING^PHYSICIAN"
    ds.OperatorsName = "OPERATOR^NAME"
    ds.ManufacturerModelName = "SOMATOM Definition AS+"
    other = "1.3.12.2.1107.5.1.4.60000.30000010010207123456700000{:03d}"
    ds.ReferencedStudySequence = [_referenced("1.2.840.10008.3.1.2.3.1", other.format(1))]
    ds.ReferencedPatientSequence = [_referenced("1.2.840.10008.3.1.2.1.1", other.format(2))]
    ds.ReferencedImageSequence = [
        _referenced(CTImageStorage, other.format(10 + i)) for i in range(3)
    ]
    ds.SourceImageSequence = [_referenced(CTImageStorage, other.format(20 + i)) for i in range(2)]
    ds.IrradiationEventUID = other.format(30)
    ds.PatientName = PLACEHOLDERS["PatientName"]
    ds.PatientID = PLACEHOLDERS["PatientID"]
    ds.IssuerOfPatientID = "HOSPITAL_MPI"
    ds.PatientBirthDate = PLACEHOLDERS["PatientBirthDate"]
    ds.PatientBirthTime = "000000"
    ds.PatientSex = PLACEHOLDERS["PatientSex"]
    ds.OtherPatientIDs = ["A-123456", "B-654321"]
    ds.PatientAge = "061Y"
    ds.PatientSize = "1.75"
    ds.PatientWeight = "78"
    ds.MedicalAlerts = "NONE"
    ds.Allergies = "NONE KNOWN"
    ds.EthnicGroup = "UNKNOWN"
    ds.AdditionalPatientHistory = "Follow-up after therapy; compare with the earlier examination."
    ds.PregnancyStatus = 4
    ds.PatientComments = "No comment"


def _add_acquisition(ds: Dataset) -> None:
    texts = {
        "ContrastBolusAgent": "APPLIED",
        "BodyPartExamined": "CHEST",
        "ScanOptions": "HELICAL MODE",
        "DeviceSerialNumber": "60000",
        "SoftwareVersions": "syngo CT 2012B",
        "ProtocolName": "1_Thorax_Abdomen_Routine",
        "ContrastBolusRoute": "IV",
        "ContrastBolusStartTime": "101000",
        "RotationDirection": "CW",
        "ExposureModulationType": "XYZ_EC",
        "FilterType": "FLAT",
        "GeneratorPower": "44",
        "ConvolutionKernel": ["B31f", "3"],
        "PatientPosition": "HFS",
        "DateOfLastCalibration": "20231231",
        "TimeOfLastCalibration": "060000",
        "CTDIvol": 7.41,
        "SingleCollimationWidth": 0.6,
        "TotalCollimationWidth": 38.4,
        "TableSpeed": 61.4,
        "TableFeedPerRotation": 30.7,
        "SpiralPitchFactor": 0.8,
        "EstimatedDoseSaving": 12.5,
    }
    decimals = {
        "SliceThickness": "1.0",
        "KVP": "120",
        "SpacingBetweenSlices": "0.8",
        "DataCollectionDiameter": "500",
        "ContrastBolusVolume": "100",
        "ContrastBolusTotalDose": "100",
        "ContrastFlowRate": "3",
        "ContrastFlowDuration": "33",
        "ContrastBolusIngredientConcentration": "350",
        "ReconstructionDiameter": "380",
        "DistanceSourceToDetector": "1085.6",
        "DistanceSourceToPatient": "595",
        "GantryDetectorTilt": "0",
        "TableHeight": "143",
        "ExposureTime": "500",
        "XRayTubeCurrent": "180",
        "Exposure": "112",
        "FocalSpots": "1.2",
        "RevolutionTime": 0.5,
    }
    for keyword, value in {**texts, **decimals}.items():
        setattr(ds, keyword, value)
    ds.CTDIPhantomTypeCodeSequence = [_code("113691", "DCM", "IEC Body Dosimetry Phantom")]
    ds.DataCollectionCenterPatient = [0.0, -143.0, -412.5]
    ds.ReconstructionTargetCenterPatient = [-2.3, -140.1, -412.5]


def _add_image(ds: Dataset) -> None:
    ds.StudyInstanceUID = PLACEHOLDERS["StudyInstanceUID"]
    ds.SeriesInstanceUID = PLACEHOLDERS["SeriesInstanceUID"]
    ds.StudyID = "1"
    ds.SeriesNumber = 5
    ds.AcquisitionNumber = 4
    ds.InstanceNumber = PLACEHOLDERS["InstanceNumber"]
    ds.ImagePositionPatient = ["-192.12890625", "-335.12890625", "-412.5"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID = "1.3.12.2.1107.5.1.4.60000.30000010010207123456700000004"
    ds.TemporalPositionIdentifier = 1
    ds.NumberOfTemporalPositions = 1
    ds.PositionReferenceIndicator = "SN"
    ds.SliceLocation = PLACEHOLDERS["SliceLocation"]
    ds.ImagesInAcquisition = 400
    ds.ImageComments = "THIN SLICE RECONSTRUCTION"


def _add_pixel_module(ds: Dataset, pixels: int) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = pixels
    ds.PixelSpacing = ["0.7421875", "0.7421875"]
    ds.BitsAllocated = 16
    ds.BitsStored = 12
    ds.HighBit = 11
    ds.PixelRepresentation = 0
    ds.SmallestImagePixelValue = 0
    ds.LargestImagePixelValue = 4095
    ds.BurnedInAnnotation = "NO"
    ds.WindowCenter = ["40", "-600"]
    ds.WindowWidth = ["400", "1200"]
    ds.RescaleIntercept = "-1024"
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenterWidthExplanation = ["WINDOW1", "WINDOW2"]
    ds.LossyImageCompression = "00"


def _add_request(ds: Dataset) -> None:
    ds.RequestingPhysician = "REQUESTING^PHYSICIAN"
    ds.RequestingService = "Oncology, ward 3"
    ds.RequestedProcedureDescription = "CT thorax and abdomen with contrast"
    ds.RequestedProcedureCodeSequence = [_code("CTTHABD", "99LOCAL", "CT thorax and abdomen")]
    ds.PerformedStationAETitle = "CTAWP00001"
    ds.PerformedProcedureStepStartDate = "20240102"
    ds.PerformedProcedureStepStartTime = "101000.000000"
    ds.PerformedProcedureStepID = "SPS0000012345"
    ds.PerformedProcedureStepDescription = "Thorax Abdomen"
    ds.PerformedProtocolCodeSequence = [_code("P5-08000", "SRT", "Computerized tomography")]
    request = Dataset()
    request.RequestedProcedureDescription = "CT thorax and abdomen with contrast"
    request.ScheduledProcedureStepDescription = "CT thorax and abdomen with contrast"
    request.ScheduledProcedureStepID = "SPS0000012345"
    request.RequestedProcedureID = "RP0000012345"
    request.ScheduledProtocolCodeSequence = [_code("P5-08000", "SRT", "Computerized tomography")]
    ds.RequestAttributesSequence = [request]
    ds.RequestedProcedureID = "RP0000012345"


def _add_private(ds: Dataset) -> None:
    """Two vendors' habits: many small values before the series' UIDs, a few larger behind."""
    identity = ds.private_block(0x0009, "SIEMENS CT VA1 ID 00", create=True)
    for i in range(6):
        identity.add_new(0x10 + i, "LO", f"IDENT {i:02d} OF THE SCANNER")
    coad = ds.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    for i in range(40):
        coad.add_new(0x10 + i, *(("DS", f"{i * 1.25:.3f}"), ("IS", str(i)), ("CS", f"S{i}"))[i % 3])
    gen = ds.private_block(0x0021, "SIEMENS MED", create=True)
    for i in range(18):
        gen.add_new(0x10 + i, *(("DS", f"-{i}.5"), ("US", i), ("FD", i / 3))[i % 3])
    csa = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    csa.add_new(0x08, "CS", "CT IMAGE")
    csa.add_new(0x09, "LO", "20240102")
    csa.add_new(0x10, "OB", bytes(range(256)) * 2)
    ge = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
    for i in range(24):
        ge.add_new(0x10 + i, *(("SS", i), ("DS", f"{i}.125"), ("SH", f"P{i}"), ("SL", -i))[i % 4])


def _element_count(ds: Dataset) -> int:
    count = 0
    for element in ds:
        count += 1
        if element.VR == "SQ":
            count += sum(_element_count(item) for item in element.value)
    return count


def make_template(pixels: int = 64) -> Template:
    """Build the file once with pydicom; `pixels` squared, 16 bits each, are its image."""
    ds = Dataset()
    _add_general(ds)
    _add_acquisition(ds)
    _add_image(ds)
    _add_pixel_module(ds, pixels)
    _add_request(ds)
    _add_private(ds)
    ramp = bytes(range(256)) * (pixels * pixels // 128 + 1)
    ds.PixelData = ramp[: pixels * pixels * 2]
    ds["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = PLACEHOLDERS["SOPInstanceUID"]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "CTAWP00001"
    ds.file_meta = meta
    ds.preamble = bytes(128)
    into = io.BytesIO()
    dcmwrite(into, ds, enforce_file_format=True)
    content = into.getvalue()
    header_size = content.index(b"\xe0\x7f\x10\x00OW")
    offsets = {name: _find_value(content[:header_size], name) for name in PLACEHOLDERS}
    # The SOP instance's UID stands in the file meta information too.
    wrong = [name for name, found in offsets.items() if len(found) != 1 + (name[:3] == "SOP")]
    if wrong:
        raise AssertionError(f"placeholders not found as often as expected: {wrong}")
    return Template(content, offsets, header_size, _element_count(ds) + _element_count(meta))


def _find_value(header: bytes, keyword: str) -> tuple[int, ...]:
    value = PLACEHOLDERS[keyword].encode()
    value += b" " * (len(value) % 2)
    head = dictionary_VR(keyword).encode() + struct.pack("<H", len(value))
    found: list[int] = []
    at = header.find(head + value)
    while at >= 0:
        found.append(at + len(head))
        at = header.find(head + value, at + 1)
    return tuple(found)


if __name__ == "__main__":
    made = make_template()
    print(f"{made.elements} elements, header {made.header_size} B, file {len(made.content)} B")
    for name, found in made.offsets.items():
        print(f"{name:18s} at {found}")
