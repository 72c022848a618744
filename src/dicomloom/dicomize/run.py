"""`dicomize`: pictures, videos and documents become DICOM objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.attributes import set_charset
from dicomloom.dicomize import modules
from dicomloom.dicomize.compose import data_set
from dicomloom.dicomize.identity import Identity, identity_of
from dicomloom.dicomize.kinds import kind_of
from dicomloom.dicomize.sources import Planned, plan
from dicomloom.dicomize.write import Made, syntax_named, write
from dicomloom.errors import ConversionWarning, PixelError, UnsupportedError
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

StrPath = str | os.PathLike[str]


class Options(NamedTuple):
    """What `dicomize` is asked for, beside sources and target; see there."""

    kind: str = "auto"
    template: StrPath | Dataset | None = None
    study_of: StrPath | Dataset | None = None
    series_of: StrPath | Dataset | None = None
    worklist: StrPath | Dataset | None = None
    transfer_syntax: str | None = None
    apply_orientation: bool = False


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
        Keyword or UID. By default coded pictures keep their own, and others become
        ExplicitVRLittleEndian. Videos have the one that they fit; ``"MPEG4HP41BD"`` says that an
        H.264 stream keeps the rules of Blu-ray.
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
        The target cannot be written. Each file appears whole or not at all; nothing is written
        before all sources were looked at.

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
    options = Options(
        kind, template, study_of, series_of, worklist, transfer_syntax, apply_orientation
    )
    several = not isinstance(source, str | os.PathLike)
    given = (source,) if isinstance(source, str | os.PathLike) else source
    sources = [os.fspath(path) for path in given]
    if target is None:
        return _in_memory(sources, several, options, attributes)
    folder = os.path.isdir(target)
    made = make(sources, target, options, attributes)
    for one in made:
        for note in one.notes:
            warnings.warn(f"{one.sources[0]}: {note}", ConversionWarning, stacklevel=2)
    return [one.path for one in made] if several or folder else made[0].path


def _in_memory(
    sources: list[str], several: bool, options: Options, attributes: dict[str, object]
) -> Dataset | list[Dataset]:
    import tempfile

    import pydicom

    with tempfile.TemporaryDirectory(prefix="dicomloom-") as folder:
        made = make(sources, folder, options, attributes)
        for one in made:
            for note in one.notes:
                warnings.warn(f"{one.sources[0]}: {note}", ConversionWarning, stacklevel=3)
        read: list[Dataset] = [pydicom.dcmread(one.path) for one in made]
    return read if several or len(read) > 1 else read[0]


def make(
    sources: Sequence[str], target: StrPath, options: Options, attributes: dict[str, object]
) -> list[Made]:
    """Make objects as `dicomize` does, and return what was made of each."""
    from datetime import datetime

    if not sources:
        raise ValueError("source: at least one file is needed")
    if options.kind != "auto":
        kind_of(options.kind)
    asked = options.transfer_syntax
    syntax = None if asked is None else syntax_named(asked)
    modules.refuse_derived(attributes)
    now = datetime.now().astimezone()
    identity = identity_of(
        template=options.template,
        study_of=options.study_of,
        series_of=options.series_of,
        worklist=options.worklist,
        now=now,
    )
    planned = plan(sources, options.kind, upright=options.apply_orientation)
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
    return [write(*job, syntax, options.apply_orientation) for job in jobs]


def _names(planned: list[Planned], target: str) -> list[str]:
    """Return the file of each object: the target, or names in it that are no one else's."""
    if not os.path.isdir(target):
        if len(planned) > 1:
            raise UnsupportedError(
                f"these sources make {len(planned)} objects: give a folder to write them to",
                path=target,
            )
        return [target]
    names: dict[str, None] = {}
    counts: dict[str, int] = {}
    for one in planned:
        base = os.path.splitext(os.path.basename(one.path))[0]
        base += f"-{one.number}" if one.number else ""
        # Not from 2 on each time: sources of many folders may have one name.
        more = counts.get(base, 1)
        name = base if more == 1 else f"{base}-{more}"
        while (path := os.path.join(target, name + ".dcm")) in names:
            more += 1
            name = f"{base}-{more}"
        counts[base] = more
        names[path] = None
    return list(names)


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
