"""What a writer is given to begin with: a Dataset, a DICOM file, or a dict of keywords."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dicomloom.errors import TagError
from dicomloom.frames.header import PIXEL_TAGS, Header, header_of, read_object
from dicomloom.frames.sources import FileSource, Source, StrPath
from dicomloom.tags import keyword_hint
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.3 A.8.2 to A.8.5, by (samples, bits allocated).
MULTI_FRAME_SC = {
    (1, 1): "1.2.840.10008.5.1.4.1.1.7.1",
    (1, 8): "1.2.840.10008.5.1.4.1.1.7.2",
    (1, 16): "1.2.840.10008.5.1.4.1.1.7.3",
    (3, 8): "1.2.840.10008.5.1.4.1.1.7.4",
}
# Of type 2 in the modules Patient and General Study.
PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_TYPE_2 = (*PATIENT_AND_STUDY, "SeriesNumber", "Laterality", "InstanceNumber", "PatientOrientation")

# What pydicom raises for values that an element cannot have.
_UNFIT = (ValueError, TypeError, OverflowError, AttributeError, OSError, struct.error)


def read_template(
    template: Dataset | StrPath | Mapping[str, object],
) -> tuple[Header, Source | None]:
    """Return the header that a template stands for; its pixel data are ignored.

    Elements of a file are read when they are written: the second value is the file, to be closed
    when that is done.

    Raises
    ------
    TagError
        A key of a dict is no keyword of PS3.6, or its value none that the element can have.
    NotDicomError, TruncatedError, CorruptError, ReadError
        The file cannot be read.
    """
    if isinstance(template, str | os.PathLike):
        source = FileSource(template)
        try:
            return read_object(source).header, source
        except BaseException:
            source.close()
            raise
    from pydicom import Dataset
    from pydicom.datadict import tag_for_keyword

    if isinstance(template, Dataset):
        made = template
    elif isinstance(template, Mapping):
        made = Dataset()
        for keyword, value in template.items():
            if tag_for_keyword(str(keyword)) is None:
                raise TagError(
                    f'template: "{keyword}" is no keyword of PS3.6{keyword_hint(str(keyword))}'
                )
            try:
                setattr(made, str(keyword), value)
            except _UNFIT as error:
                raise TagError(f"template: {keyword} cannot be {value!r:.80}: {error}") from error
    else:
        raise TypeError(
            f"template must be a pydicom Dataset, a path or a dict, not {type(template).__name__}"
        )
    tags = [tag for tag in made.keys() if tag.group != 2 and tag not in PIXEL_TAGS]  # noqa: SIM118
    kept = Dataset({tag: made[tag] for tag in tags})
    try:
        data = _encoded(kept)
    except _UNFIT:
        for element in kept:  # the one to blame
            try:
                _encoded(Dataset({element.tag: element}))
            except _UNFIT as error:
                raise TagError(
                    f"template: {element.keyword or element.tag} cannot be {element.value!r:.80}: "
                    f"it is no value of VR {element.VR}",
                    tag=element.tag,
                ) from error
        raise
    return header_of(data), None


def _encoded(dataset: Dataset) -> bytes:
    from pydicom import dcmwrite

    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def complete(header: Header, samples: int, bits: int) -> None:
    """Add what no object can be without: UIDs, and, where no SOP class is given, a whole object.

    Without SOPClassUID it becomes a Multi-frame Secondary Capture (PS3.3 A.8.2 to A.8.5), with the
    mandatory attributes of its modules, empty where the standard lets them be.
    """
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if header.text(keyword) is None:
            header.put(keyword, new_uid())
    if header.text("SOPClassUID") is not None:
        return
    header.put("SOPClassUID", MULTI_FRAME_SC.get((samples, bits), "1.2.840.10008.5.1.4.1.1.7"))
    for keyword in _TYPE_2:
        if keyword not in header:
            header.put(keyword, "")
    for keyword, value in (
        ("Modality", "OT"),
        ("ConversionType", "WSD"),
        ("BurnedInAnnotation", "NO"),
        ("ImageType", "DERIVED\\SECONDARY"),
        ("NumberOfFrames", "1"),
    ):
        if header.text(keyword) is None:
            header.put(keyword, value)
    if "FrameIncrementPointer" not in header:
        # PS3.3 C.8.6.3: frames need an order. A rate is the one that needs no value a frame.
        if "FrameTime" not in header:
            header.put("FrameTime", "40")
        header.put("FrameIncrementPointer", b"\x18\x00\x63\x10")
    if samples == 1 and bits > 1:
        for keyword, value in (
            ("PresentationLUTShape", "IDENTITY"),
            ("RescaleIntercept", "0"),
            ("RescaleSlope", "1"),
            ("RescaleType", "US"),
        ):
            if keyword not in header:
                header.put(keyword, value)
