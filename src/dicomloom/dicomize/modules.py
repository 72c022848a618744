"""What the modules of an IOD ask for beyond what a source says (PS3.3 A and C)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomloom.dicomize.codes import UNKNOWN, code_item
from dicomloom.dicomize.icc import srgb
from dicomloom.errors import TagError
from dicomloom.frames.template import PATIENT_AND_STUDY
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pydicom import Dataset

    from dicomloom.dicomize.kinds import Kind

# Follow from the pictures: nobody else knows them.
FROM_PIXELS = frozenset(
    (
        "BitsAllocated",
        "BitsStored",
        "Columns",
        "HighBit",
        "NumberOfFrames",
        "PhotometricInterpretation",
        "PixelData",
        "PixelRepresentation",
        "PlanarConfiguration",
        "Rows",
        "SOPClassUID",
        "SamplesPerPixel",
        "EncapsulatedDocument",
        "EncapsulatedDocumentLength",
    )
)
_MOST_PAGES = 4096  # of which each has a number; 64 KiB is the limit of a value
_PAGE_NUMBERS = 0x00182001
_FRAME_TIME = 0x00181063


def refuse_derived(attributes: Iterable[str]) -> None:
    """Raise TagError where attributes are given that follow from the source."""
    for where in attributes:
        if where in FROM_PIXELS:
            raise TagError(f"{where} is not yours to set: it follows from the source")


def complete(dataset: Dataset, kind: Kind, defaults: Mapping[str, object], now: datetime) -> None:
    """Add what is missing: first the given defaults, then what every object has.

    Attributes that have a value keep it; those of type 2 become empty.
    """
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made: dict[str, object] = {
        **dict.fromkeys((*PATIENT_AND_STUDY, "Manufacturer")),
        "Modality": kind.modality,
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "ContentDate": date,
        "ContentTime": time,
        "InstanceCreationDate": date,
        "InstanceCreationTime": time,
        **defaults,
    }
    for keyword, value in made.items():
        if keyword not in dataset or (value and dataset[keyword].is_empty):
            setattr(dataset, keyword, value)
    if "ImageLaterality" in dataset:
        del dataset.Laterality


def image_defaults(kind: Kind, *, frames: int, samples: int, bits: int) -> dict[str, object]:
    """Return what images of a kind have by default."""
    made: dict[str, object] = {"PatientOrientation": None, "Laterality": None}
    if kind.name == "sc":
        made |= {"ConversionType": "WSD", "ImageType": ["DERIVED", "SECONDARY"]}
        if frames > 1 or bits == 1:
            made |= _multi_frame(frames, samples, bits)
    else:
        made |= {"ImageType": ["ORIGINAL", "PRIMARY"], "AcquisitionContextSequence": []}
        made["AcquisitionDateTime"] = None
    if kind.name == "dermoscopy":
        made |= _dermoscopy()
    return made


def _multi_frame(frames: int, samples: int, bits: int) -> dict[str, object]:
    made: dict[str, object] = {"BurnedInAnnotation": "NO", "NumberOfFrames": str(frames)}
    # PS3.3 C.8.6.3: frames need an order. Pages have numbers.
    if 1 < frames <= _MOST_PAGES:
        made["FrameIncrementPointer"] = _PAGE_NUMBERS
        made["PageNumberVector"] = [str(number + 1) for number in range(frames)]
    elif frames > 1:
        made |= {"FrameIncrementPointer": _FRAME_TIME, "FrameTime": "40"}
    if samples == 1 and bits > 1:
        made |= {
            "PresentationLUTShape": "IDENTITY",
            "RescaleIntercept": "0",
            "RescaleSlope": "1",
            "RescaleType": "US",
        }
    return made


def _dermoscopy() -> dict[str, object]:
    """Return the modules Frame of Reference and Dermoscopic Image.

    A picture may show what its patient is known by: RecognizableVisualFeatures is YES unless it is
    set, the side that is safe.
    """
    return {
        "FrameOfReferenceUID": new_uid(),
        "PositionReferenceIndicator": None,
        "AnatomicRegionSequence": [code_item("39937001", "SCT", "Skin")],
        "RecognizableVisualFeatures": "YES",
        "LightSourcePolarization": None,
        "EmitterColorTemperature": None,
        "ContactMethod": None,
        "OpticalMagnificationFactor": None,
        **_equipment(),
    }


def video_defaults() -> dict[str, object]:
    """Return what videos have by default.

    The VL Image module asks for a region of the body (PS3.3 C.8.12.1): Unknown is honest.
    """
    return {
        "AnatomicRegionSequence": [code_item(*UNKNOWN)],
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "AcquisitionContextSequence": [],
        "AcquisitionDateTime": None,
        "PatientOrientation": None,
        "Laterality": None,
        "BurnedInAnnotation": "NO",
    }


def document_defaults(kind: Kind) -> dict[str, object]:
    """Return what documents have by default.

    A document may name the patient on any page: BurnedInAnnotation is YES unless it is set.
    """
    made: dict[str, object] = {
        "BurnedInAnnotation": "YES",
        "DocumentTitle": None,
        "ConceptNameCodeSequence": [],
        "AcquisitionDateTime": None,
    }
    if kind.modality != "M3D":
        return {"ConversionType": "WSD", **made}
    # A model has no unit of its own; programs that print models take mm.
    made |= {"MeasurementUnitsCodeSequence": [code_item("mm", "UCUM", "mm")], **_equipment()}
    if kind.name != "stl":
        made["ICCProfile"] = srgb()
    if kind.name != "mtl":
        made |= {
            "FrameOfReferenceUID": new_uid(),
            "PositionReferenceIndicator": None,
            "ModelModification": "NO",
            "ModelMirroring": "NO",
            "ModelUsageCodeSequence": [code_item("129013", "DCM", "Planning Intent")],
            "ContentDescription": None,
        }
    return made


def _equipment() -> dict[str, object]:
    """Return the Enhanced General Equipment module: what made the object is this program."""
    from dicomloom import __version__

    return {
        "Manufacturer": "dicomloom",
        "ManufacturerModelName": "dicomloom dicomize",
        "DeviceSerialNumber": "none",
        "SoftwareVersions": str(__version__),
    }
