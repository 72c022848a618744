"""Every way by which the bytes of a DICOM file come in, by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dicomloom import (
    DicomDir,
    DicomloomError,
    FrameReader,
    FrameWriter,
    ImagePlane,
    PixelError,
    Series,
    dicomize,
    dump,
    extract,
    index,
    read_tags,
    recover,
    scan,
    transcode,
    validate,
)
from dicomloom.dump.model import document
from dicomloom.dump.walk import walk
from dicomloom.frames.build import template_of
from dicomloom.frames.sources import FileSource
from dicomloom.media import check as media
from dicomloom.network.sending.outgoing import Selection
from dicomloom.network.steps.content import read_instance

TAGS = ("SOPInstanceUID", "PatientName", "PatientID", "ReferencedImageSequence", "(FFFC,FFFC)")


class Door(NamedTuple):
    """A way in.

    Attributes
    ----------
    name : str
    enter : callable
        Takes the file and a folder to write to; raises `DicomloomError` where it refuses the file.
    tells : bool
        It goes on to the next file: what is wrong with one it tells as a row or a finding.
    """

    name: str
    enter: Callable[[Path, Path], object]
    tells: bool = False


def _rows(path: Path, _: Path) -> object:
    with scan([path], TAGS) as batches:
        return [row for batch in batches for row in batch.rows()]


def _model(path: Path, _: Path) -> object:
    source = FileSource(path)
    try:
        return list(document(str(path), walk(source)))
    finally:
        source.close()


def _index(path: Path, folder: Path) -> object:
    return index([path], folder / "index.csv", tags=TAGS)


def _frames(source: object) -> object:
    with FrameReader(source) as reader:
        return reader.shape, reader.offsets, reader.encoded(0), reader[0].shape


def _dataset(path: Path, _: Path) -> object:
    with FrameReader(path) as reader:
        return reader.dataset


def _writer(path: Path, folder: Path) -> object:
    with FrameWriter(folder / "written.dcm", path) as writer:
        writer.write(np.zeros((2, 2), np.uint8))
    return (folder / "written.dcm").read_bytes()


def _transcoded(syntax: str) -> Callable[[Path, Path], object]:
    return lambda path, folder: transcode(path, folder / "out.dcm", syntax)


def _walk(path: Path, _: Path) -> object:
    opened = DicomDir.open(path)
    keys = [(node.get("PatientID"), node.get("Rows"), node.path) for node in opened.instances]
    return keys, opened.findings


def _create(path: Path, folder: Path) -> object:
    return DicomDir.create([path], folder / "DICOMDIR", copy_to=folder / "copies").findings


def _dicomize(**options: str) -> Callable[[Path, Path], object]:
    (name,) = options

    def enter(path: Path, folder: Path) -> object:
        source = folder / "a.mtl"
        source.write_text("newmtl bone\n")
        return dicomize(source, folder / "made.dcm", **{name: path})

    return enter


DOORS = (
    Door("read_tags of a path", lambda path, _: read_tags(path, TAGS)),
    Door("read_tags of bytes", lambda path, _: read_tags(path.read_bytes(), TAGS)),
    Door("read_tags of a file", lambda path, _: read_tags(io.BytesIO(path.read_bytes()), TAGS)),
    Door("dump", lambda path, _: list(dump(path))),
    Door("dump as JSON", _model, tells=True),
    Door("scan", _rows, tells=True),
    Door("index", _index, tells=True),
    Door("FrameReader of a path", lambda path, _: _frames(path)),
    Door("FrameReader of bytes", lambda path, _: _frames(path.read_bytes())),
    Door("FrameReader of a file", lambda path, _: _frames(io.BytesIO(path.read_bytes()))),
    Door("FrameReader.dataset", _dataset),
    Door("FrameWriter's template", _writer),
    Door("transcode to explicit VR", _transcoded("ExplicitVRLittleEndian")),
    Door("transcode to implicit VR", _transcoded("ImplicitVRLittleEndian")),
    Door("transcode to RLE", _transcoded("RLELossless")),
    Door("recover", lambda path, folder: recover(path, folder / "recovered.dcm")),
    Door("extract", lambda path, folder: extract(path, folder / "inside")),
    Door("validate", lambda path, _: validate(path, timeout=20), tells=True),
    Door("ImagePlane", lambda path, _: ImagePlane.of(path)),
    Door("Series", lambda path, _: Series.of([path]).unplaced, tells=True),
    Door("DicomDir.open", _walk),
    Door("dicomdir check", lambda path, _: media.check(path)),
    Door("DicomDir.create", _create),
    Door("send's look at the files", lambda path, _: list(Selection([path])), tells=True),
    Door("dicomize: template", _dicomize(template="")),
    Door("dicomize: study_of", _dicomize(study_of="")),
    Door("dicomize: series_of", _dicomize(series_of="")),
    Door("dicomize: worklist", _dicomize(worklist="")),
    Door("build's template", lambda path, _: template_of(str(path), {}, {})),
    Door("an instance of a step", lambda path, _: read_instance(path)),
)


def through(door: Door, path: Path, folder: Path) -> DicomloomError | None:
    """Take a file through a door; return what it refuses it with, which has to name the file."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        door.enter(path, folder)
    except DicomloomError as error:
        assert error.message
        if not door.name.endswith((" of bytes", " of a file")):
            assert error.path or isinstance(error, PixelError), str(error)
        assert not list(folder.glob("*.partial"))
        return error
    return None
