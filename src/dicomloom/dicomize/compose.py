"""The attributes of an object: what its source, its caller and its IOD say."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from dicomloom.attributes import put
from dicomloom.dicomize import modules
from dicomloom.dicomize.documents import Document
from dicomloom.dicomize.identity import Identity
from dicomloom.dicomize.sources import Planned, Shape, Still
from dicomloom.dicomize.video.attributes import pixel_attributes
from dicomloom.dicomize.video.stream import VideoStream
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom import Dataset

# How to turn a picture that EXIF says to be turned: mirrored first, then clockwise degrees.
_TURNS = {
    2: ("Y", 0),
    3: ("N", 180),
    4: ("Y", 180),
    5: ("Y", 270),
    6: ("N", 90),
    7: ("Y", 90),
    8: ("N", 270),
}


def data_set(
    one: Planned, identity: Identity, attributes: dict[str, object], now: datetime
) -> Dataset:
    """Return an object's attributes but for its pixels or document."""
    from pydicom import Dataset

    made = Dataset()
    content = one.content
    if isinstance(content, VideoStream):
        facts, defaults = _video_facts(one, content), modules.video_defaults()
    elif isinstance(content, Document):
        facts, defaults = _document_facts(one, content), modules.document_defaults(one.kind)
    else:
        shape = content[0].shape
        counts = {"frames": len(content), "samples": shape.samples, "bits": _allocated(shape)}
        facts = {"SOPClassUID": one.kind.sop_class(**counts), **_image_facts(content)}
        defaults = modules.image_defaults(one.kind, **counts)
    for keyword, value in facts.items():
        setattr(made, keyword, value)
    made.update(deepcopy(identity.base))  # items of sequences would be shared
    for keyword, value in attributes.items():
        put(made, keyword, value)
    if "SOPInstanceUID" not in made:
        made.SOPInstanceUID = new_uid()
    modules.complete(made, one.kind, defaults, now)
    return made


def _allocated(shape: Shape) -> int:
    """Return BitsAllocated; single bits are packed only where they are not coded."""
    return 1 if shape.bits == 1 and not shape.syntax else 8 if shape.bits <= 8 else 16


def _image_facts(stills: list[Still]) -> dict[str, object]:
    """Return what the pictures say: Image Pixel module, lossy coding, color, camera, date."""
    first = stills[0]
    shape = first.shape
    made: dict[str, object] = {}
    if first.exif is not None:
        made |= first.exif.attributes
        if first.exif.orientation in _TURNS:
            flip, degrees = _TURNS[first.exif.orientation]
            made |= {"ImageHorizontalFlip": flip, "ImageRotation": degrees}
    made |= {
        "SamplesPerPixel": shape.samples,
        "PhotometricInterpretation": shape.photometric,
        "Rows": shape.rows,
        "Columns": shape.columns,
        "BitsAllocated": _allocated(shape),
        "BitsStored": shape.bits,
        "HighBit": shape.bits - 1,
        "PixelRepresentation": int(shape.signed),
    }
    if shape.samples > 1:
        made["PlanarConfiguration"] = 0
    if shape.icc is not None and shape.samples > 1:
        made["ICCProfile"] = shape.icc + b"\0" * (len(shape.icc) % 2)
    made["LossyImageCompression"] = "01" if any(still.lossy for still in stills) else "00"
    lossy = [still for still in stills if still.lossy and still.method]
    if lossy:
        # Sizes add up, ratios do not.
        mean = len(lossy) / sum(1 / still.ratio for still in lossy)
        made["LossyImageCompressionRatio"] = f"{mean:.6g}"
        made["LossyImageCompressionMethod"] = lossy[0].method
    return made


def _video_facts(one: Planned, stream: VideoStream) -> dict[str, object]:
    made = {"SOPClassUID": one.kind.video_class, **pixel_attributes(stream)}
    if stream.creation_time is not None and stream.creation_time.year > 1970:
        when = stream.creation_time
        made |= {
            "ContentDate": when.strftime("%Y%m%d"),
            "ContentTime": when.strftime("%H%M%S"),
            "AcquisitionDateTime": when.strftime("%Y%m%d%H%M%S+0000"),
        }
    return made


def _document_facts(one: Planned, document: Document) -> dict[str, object]:
    made: dict[str, object] = {
        "SOPClassUID": one.kind.document_class,
        "MIMETypeOfEncapsulatedDocument": document.mime_type,
    }
    if document.title:
        clean = "".join(c if c.isprintable() else " " for c in document.title)
        made["DocumentTitle"] = clean.replace("\\", "/")[:1024].strip()
    identifier = document.details.get("hl7_instance_identifier")
    if identifier:
        made["HL7InstanceIdentifier"] = str(identifier)
    return made


def notes_of(one: Planned) -> tuple[str, ...]:
    """Return what was changed, left out or assumed, in words."""
    if isinstance(one.content, VideoStream):
        turned = one.content.rotation
        said = (f"players turn this video by {turned} degrees, DICOM viewers do not",)
        return one.content.notes + said * bool(turned)
    if isinstance(one.content, Document):
        return ()
    notes = list(dict.fromkeys(note for still in one.content for note in still.notes))
    exif = one.content[0].exif
    if exif is not None and exif.orientation > 1:
        notes.append(
            f"EXIF says to turn the picture (orientation {exif.orientation}): ImageRotation and "
            "ImageHorizontalFlip say so, few viewers heed them; apply the orientation to turn the "
            "pixels"
        )
    if exif is not None and exif.gps:
        notes.append("where it was taken (GPS) is not carried over")
    return tuple(notes)
