"""`dicomize`: pictures, videos and documents become DICOM objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.attributes import put, set_charset
from dicomloom.dicomize import modules
from dicomloom.dicomize.documents import Document, write_document
from dicomloom.dicomize.identity import Identity, identity_of
from dicomloom.dicomize.kinds import kind_of
from dicomloom.dicomize.sources import Planned, Still, pixels_of, plan, stem
from dicomloom.dicomize.video.attributes import pixel_attributes
from dicomloom.dicomize.video.stream import VideoStream
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.dicomize.video.write import write_video
from dicomloom.errors import ConversionWarning, DicomloomError, PixelError, UnsupportedError
from dicomloom.frames.output import new_uid

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom import Dataset

StrPath = str | os.PathLike[str]
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


class Made(NamedTuple):
    """One object that was made.

    Attributes
    ----------
    path : str
        Of the DICOM file.
    sources : tuple of str
        What is in it.
    kind : str
        As `dicomize` takes it.
    sop_class, transfer_syntax : str
        UID; keyword.
    frames : int
        0 of a document.
    notes : tuple of str
        What was changed, left out or assumed.
    """

    path: str
    sources: tuple[str, ...]
    kind: str
    sop_class: str
    transfer_syntax: str
    frames: int
    notes: tuple[str, ...]


def dicomize(
    source: StrPath | Sequence[StrPath],
    target: StrPath | None = None,
    *,
    kind: str = "auto",
    template: StrPath | Dataset | None = None,
    study_of: StrPath | Dataset | None = None,
    series_of: StrPath | Dataset | None = None,
    worklist: StrPath | Dataset | None = None,
    transfer_syntax: str | None = None,
    apply_orientation: bool = False,
    **attributes: object,
) -> Dataset | str | list[Dataset] | list[str]:
    """Make DICOM of pictures, videos and documents.

    JPEG, JPEG Lossless, JPEG-LS, JPEG 2000, HTJ2K and JPEG XL are stored as they are, not coded
    again; other pictures go through Pillow. Videos (MP4, MPEG-2 transport and program streams) and
    documents (PDF, CDA, STL, OBJ, MTL) are stored byte for byte.

    Parameters
    ----------
    source : str, path-like, or sequence of them
        What a file is, its bytes say. Pictures of one size and kind become the frames of one
        object where the SOP class has frames (``kind="sc"``), else one object each, of one series.
    target : str or path-like, optional
        The file to write, or a folder that is there. Without it the object is made in memory.
    kind : str
        ``"auto"``, ``"sc"``, ``"photo"``, ``"dermoscopy"``, ``"endoscopy"``, ``"microscopy"``,
        ``"video"``, ``"pdf"``, ``"cda"``, ``"stl"``, ``"obj"`` or ``"mtl"``: which SOP class.
        ``"auto"`` takes pictures with the EXIF of a camera as photo, others as sc.
    template : pydicom.Dataset or path, optional
        An object whose attributes are taken, but for its UIDs, times and pixels.
    study_of, series_of : pydicom.Dataset or path, optional
        An object whose patient and study, or also its series, the new one joins.
    worklist : pydicom.Dataset or path, optional
        A scheduled procedure step, as DICOM or as DICOM JSON, whose patient, study and request the
        new object gets.
    transfer_syntax : str, optional
        Of images: keyword or UID. By default coded pictures keep their own, others become
        ExplicitVRLittleEndian.
    apply_orientation : bool
        Turn the pixels as EXIF says; else they stay, and ImageHorizontalFlip and ImageRotation say
        how to turn them.
    **attributes
        Keywords and values, which go before those from elsewhere.

    Returns
    -------
    pydicom.Dataset or str
        The object, or the path of its file; a list where there are several, or where `source` or
        `target` could have made several.

    Raises
    ------
    TagError
        An attribute is unknown, or its value breaks its VR; the message has the rule.
    UnsupportedError
        A source is nothing that is known, or DICOM has no place for it; the message says what
        would be needed.
    CorruptError, TruncatedError, LimitError, ReadError
        A source is broken, or cannot be read.
    MissingDependencyError
        A picture needs an extra, which the message names.
    WriteError
        The target cannot be written. Files appear whole or not at all.

    Warns
    -----
    ConversionWarning
        Something was changed, left out, or assumed.

    Notes
    -----
    UIDs are made once: all objects of a call are in one study, and in one series a modality.
    Holds one picture at a time; videos and documents are copied in pieces.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.mtl").write_text("newmtl bone\\n")
    >>> made = dicomize(folder / "a.mtl", PatientID="42", PatientName="Doe^Jane")
    >>> made.MIMETypeOfEncapsulatedDocument, made.PatientID
    ('model/mtl', '42')
    """
    options: dict[str, Any] = {
        "kind": kind,
        "template": template,
        "study_of": study_of,
        "series_of": series_of,
        "worklist": worklist,
        "transfer_syntax": transfer_syntax,
        "apply_orientation": apply_orientation,
        "attributes": attributes,
    }
    several = not isinstance(source, str | os.PathLike)
    given = (source,) if isinstance(source, str | os.PathLike) else source
    sources = [os.fspath(path) for path in given]
    if target is None:
        return _in_memory(sources, several, options)
    folder = os.path.isdir(target)
    made = make(sources, target, **options)
    for one in made:
        for note in one.notes:
            warnings.warn(f"{one.sources[0]}: {note}", ConversionWarning, stacklevel=2)
    return [one.path for one in made] if several or folder else made[0].path


def _in_memory(
    sources: list[str], several: bool, options: dict[str, Any]
) -> Dataset | list[Dataset]:
    import tempfile

    import pydicom

    with tempfile.TemporaryDirectory(prefix="dicomloom-") as folder:
        made = make(sources, folder, **options)
        for one in made:
            for note in one.notes:
                warnings.warn(f"{one.sources[0]}: {note}", ConversionWarning, stacklevel=3)
        read: list[Dataset] = [pydicom.dcmread(one.path) for one in made]
    return read if several or len(read) > 1 else read[0]


def make(
    sources: Sequence[str],
    target: StrPath,
    *,
    kind: str = "auto",
    template: StrPath | Dataset | None = None,
    study_of: StrPath | Dataset | None = None,
    series_of: StrPath | Dataset | None = None,
    worklist: StrPath | Dataset | None = None,
    transfer_syntax: str | None = None,
    apply_orientation: bool = False,
    attributes: dict[str, object],
) -> list[Made]:
    """Make objects as `dicomize` does, and return what was made of each."""
    from datetime import datetime

    if not sources:
        raise ValueError("source: at least one file is needed")
    if kind != "auto":
        kind_of(kind)
    if transfer_syntax is not None:
        from dicomloom.codecs.registry import find

        transfer_syntax = find(transfer_syntax).keyword
    modules.refuse_derived(attributes)
    now = datetime.now().astimezone()
    identity = identity_of(
        template=template, study_of=study_of, series_of=series_of, worklist=worklist, now=now
    )
    planned = plan(sources, kind, upright=apply_orientation)
    names = _names(planned, os.fspath(target))
    if len(planned) > 1 and "SOPInstanceUID" in attributes:
        raise UnsupportedError(f"{len(planned)} objects cannot have one SOPInstanceUID")
    series: dict[str, str] = {}
    numbers: dict[str, int] = {}
    jobs = []
    for one, name in zip(planned, names, strict=True):
        dataset = _data_set(one, identity, attributes, now)
        modality = str(dataset.Modality)
        _join_series(dataset, identity, modality, series)
        numbers[modality] = numbers.get(modality, 0) + 1
        if "InstanceNumber" not in attributes:
            first = identity.number if identity.modality == modality else 1
            dataset.InstanceNumber = str(first + numbers[modality] - 1)
        set_charset(dataset)
        jobs.append((one, name, dataset))
    # Nothing is written before everything that is asked for makes sense.
    return [_write(*job, transfer_syntax, apply_orientation) for job in jobs]


def _names(planned: list[Planned], target: str) -> list[str]:
    """Return the file of each object: the target, or names in it that are no one else's."""
    if not os.path.isdir(target):
        if len(planned) > 1:
            raise UnsupportedError(
                f"these sources make {len(planned)} objects: give a folder to write them to",
                path=target,
            )
        return [target]
    names: list[str] = []
    for one in planned:
        base = stem(one.path) + (f"-{one.number}" if one.number else "")
        name, more = base, 1
        while (path := os.path.join(target, name + ".dcm")) in names:
            more += 1
            name = f"{base}-{more}"
        names.append(path)
    return names


def _data_set(
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
        counts = {"frames": len(content), "samples": shape.samples, "bits": _allocated(shape.bits)}
        facts = {"SOPClassUID": one.kind.sop_class(**counts), **_image_facts(content)}
        defaults = modules.image_defaults(one.kind, **counts)
    for keyword, value in facts.items():
        setattr(made, keyword, value)
    made.update(identity.base)
    for keyword, value in attributes.items():
        put(made, keyword, value)
    if "SOPInstanceUID" not in made:
        made.SOPInstanceUID = new_uid()
    modality = made.get("Modality")
    modules.complete(made, one.kind, defaults, now)
    if not modality or ("Modality" not in attributes and identity.series is None):
        made.Modality = attributes.get("Modality") or one.kind.modality
    return made


def _join_series(
    dataset: Dataset, identity: Identity, modality: str, series: dict[str, str]
) -> None:
    if identity.series is not None:
        if modality != identity.modality:
            raise PixelError(
                f"the series is of Modality {identity.modality}, the new object of {modality}: "
                "join its study instead (study_of), or set Modality"
            )
        dataset.SeriesInstanceUID = identity.series
    elif not dataset.get("SeriesInstanceUID"):
        dataset.SeriesInstanceUID = series.setdefault(modality, new_uid())


def _allocated(bits: int) -> int:
    return 1 if bits == 1 else 8 if bits <= 8 else 16


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
        "BitsAllocated": _allocated(shape.bits),
        "BitsStored": shape.bits,
        "HighBit": shape.bits - 1,
        "PixelRepresentation": int(shape.signed),
    }
    if shape.samples > 1:
        made["PlanarConfiguration"] = 0
    if shape.icc is not None and shape.samples > 1:
        made["ICCProfile"] = shape.icc + b"\0" * (len(shape.icc) % 2)
    lossy = [still for still in stills if still.lossy]
    made["LossyImageCompression"] = "01" if lossy else "00"
    if lossy and lossy[0].method:
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


def _notes(one: Planned) -> tuple[str, ...]:
    if isinstance(one.content, VideoStream):
        turned = one.content.rotation
        return (f"players turn this video by {turned} degrees, DICOM viewers do not",) * bool(
            turned
        )
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


def _write(one: Planned, name: str, dataset: Dataset, wanted: str | None, upright: bool) -> Made:
    content = one.content
    frames = 0
    sources: tuple[str, ...] = (one.path,)
    try:
        if isinstance(content, VideoStream):
            syntax = transfer_syntax_of(content)
            _must_keep(wanted, syntax, "a video")
            write_video(name, dataset, one.path, syntax)
            frames = content.frames
        elif isinstance(content, Document):
            syntax = "ExplicitVRLittleEndian"
            _must_keep(wanted, syntax, "a document")
            write_document(name, dataset, one.path)
        else:
            syntax = wanted or content[0].shape.syntax or "ExplicitVRLittleEndian"
            _write_stills(name, dataset, content, syntax, upright)
            frames = len(content)
            sources = tuple(dict.fromkeys(still.path for still in content))
    except DicomloomError as error:
        error.path = error.path or one.path
        raise
    return Made(name, sources, one.kind.name, str(dataset.SOPClassUID), syntax, frames, _notes(one))


def _must_keep(wanted: str | None, syntax: str, what: str) -> None:
    if wanted not in (None, syntax):
        raise UnsupportedError(f"{what} is stored as {syntax}, not as {wanted}: leave it out")


def _write_stills(
    name: str, dataset: Dataset, stills: list[Still], syntax: str, upright: bool
) -> None:
    from dicomloom.dicomize.coded import read_coded
    from dicomloom.frames.writer import FrameWriter

    own = stills[0].shape.syntax
    if own and own != syntax:
        _write_recoded(name, dataset, stills, own, syntax)
        return
    with FrameWriter(name, dataset, transfer_syntax=syntax, frames=len(stills)) as writer:
        if own:
            for still in stills:
                with open(still.path, "rb") as file:
                    writer.write_encoded(read_coded(file.read()).stream)
        else:
            for page in pixels_of(stills, upright):
                writer.write(page.pixels)


def _write_recoded(name: str, dataset: Dataset, stills: list[Still], own: str, syntax: str) -> None:
    """Store bitstreams as they are, beside the target, and transcode from there."""
    import tempfile

    from dicomloom.files import writing
    from dicomloom.frames.transcode import transcode

    folder = os.path.dirname(os.path.abspath(name))
    with writing(name):
        made = tempfile.TemporaryDirectory(prefix=".dicomloom-", dir=folder)
    with made as place:
        between = os.path.join(place, "stored.dcm")
        _write_stills(between, dataset, stills, own, False)
        transcode(between, name, syntax)
