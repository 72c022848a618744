"""Objects to files: coded frames, pixels, videos and documents behind their attributes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.dicomize.coded import read_coded
from dicomloom.dicomize.compose import notes_of
from dicomloom.dicomize.documents import Document, write_document
from dicomloom.dicomize.sources import Planned, Still, pixels_of
from dicomloom.dicomize.video.stream import VideoStream
from dicomloom.dicomize.video.syntaxes import keyword_of, transfer_syntax_of
from dicomloom.dicomize.video.write import write_video
from dicomloom.errors import DicomloomError, TagError, UnsupportedError
from dicomloom.files import open_regular, reading

if TYPE_CHECKING:
    from pydicom import Dataset


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


def syntax_named(text: str) -> str:
    """Return the keyword of a transfer syntax, of still images or of video.

    Raises
    ------
    UnsupportedError
        There is no such transfer syntax, or nothing here writes it.
    """
    from dicomloom.codecs.registry import find

    try:
        return find(text).keyword
    except UnsupportedError:
        try:
            return keyword_of(text)
        except TagError:
            pass
        raise


def write(one: Planned, name: str, dataset: Dataset, wanted: str | None, upright: bool) -> Made:
    """Write one object.

    Parameters
    ----------
    one : Planned
    name : str
        The file.
    dataset : pydicom.Dataset
        Everything but pixels or document.
    wanted : str or None
        Transfer syntax, where one is asked for.
    upright : bool
        Whether pixels are turned as EXIF says.
    """
    content = one.content
    frames = 0
    sources: tuple[str, ...] = (one.path,)
    try:
        if isinstance(content, VideoStream):
            blu_ray = wanted is not None and wanted.startswith("MPEG4HP41BD")
            syntax = transfer_syntax_of(content, bd_compatible=blu_ray)
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
    return Made(
        name, sources, one.kind.name, str(dataset.SOPClassUID), syntax, frames, notes_of(one)
    )


def _must_keep(wanted: str | None, syntax: str, what: str) -> None:
    if wanted not in (None, syntax):
        raise UnsupportedError(f"{what} is stored as {syntax}, not as {wanted}: leave it out")


def _write_stills(
    name: str, dataset: Dataset, stills: list[Still], syntax: str, upright: bool
) -> None:
    from dicomloom.frames.writer import FrameWriter

    own = stills[0].shape.syntax
    if own and own != syntax:
        _write_recoded(name, dataset, stills, own, syntax)
        return
    with FrameWriter(name, dataset, transfer_syntax=syntax, frames=len(stills)) as writer:
        if own:
            for still in stills:
                with reading(still.path), open(open_regular(still.path), "rb") as file:
                    data = file.read()
                writer.write_encoded(read_coded(data).stream)
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
        made = tempfile.TemporaryDirectory(".partial", ".dicomloom-", folder)
    with made as place:
        between = os.path.join(place, "stored.dcm")
        _write_stills(between, dataset, stills, own, False)
        transcode(between, name, syntax)
