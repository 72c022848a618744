"""`dicomize`: pictures, videos and documents become DICOM objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomloom.attributes import set_charset
from dicomloom.dicomize import modules
from dicomloom.dicomize.compose import data_set, notes_of
from dicomloom.dicomize.documents import Document, write_document
from dicomloom.dicomize.identity import Identity, identity_of
from dicomloom.dicomize.kinds import kind_of
from dicomloom.dicomize.sources import Planned, Still, pixels_of, plan, stem
from dicomloom.dicomize.video.stream import VideoStream
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.dicomize.video.write import write_video
from dicomloom.errors import ConversionWarning, DicomloomError, PixelError, UnsupportedError
from dicomloom.frames.output import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

StrPath = str | os.PathLike[str]


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
        dataset = data_set(one, identity, attributes, now)
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


def _write(one: Planned, name: str, dataset: Dataset, wanted: str | None, upright: bool) -> Made:
    content = one.content
    frames = 0
    sources: tuple[str, ...] = (one.path,)
    try:
        if isinstance(content, VideoStream):
            syntax = transfer_syntax_of(content)
            _must_keep(wanted, syntax, "a video")
            if not syntax.endswith("F"):
                # Only several fragments need it, and its VR is new: readers stumble over it.
                del dataset.EncapsulatedPixelDataValueTotalLength
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
    return Made(
        name, sources, one.kind.name, str(dataset.SOPClassUID), syntax, frames, notes_of(one)
    )


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
