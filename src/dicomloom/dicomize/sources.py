"""What the sources are, by their bytes, and which of them belong into one object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from dicomloom.dicomize.coded import CodedPicture, is_coded, read_coded
from dicomloom.dicomize.documents import PREFIX, Document, looks_like_document, read_document
from dicomloom.dicomize.exif import Exif, read_exif
from dicomloom.dicomize.kinds import KINDS, Kind
from dicomloom.dicomize.video.read import read_video
from dicomloom.dicomize.video.stream import VideoStream
from dicomloom.errors import CorruptError, DicomloomError, UnsupportedError
from dicomloom.files import open_regular, reading
from dicomloom.frames.pictures import Facts, Page, facts_of, is_picture, pages

_PHOTOGRAPH = ("Manufacturer", "ManufacturerModelName")


class Shape(NamedTuple):
    """What frames of one object have in common; `syntax` is empty where they are not coded."""

    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool
    photometric: str
    syntax: str
    icc: bytes | None


class Still(NamedTuple):
    """One picture, or one page of one; its pixels are read when they are written.

    Attributes
    ----------
    path : str
    page : int
        Counted from 0; -1 where the bitstream is stored.
    shape : Shape
    exif : Exif or None
        Where its orientation is not applied.
    lossy : bool
    method, ratio : str, float
        Of the lossy coding; empty and 0 where they are not known.
    notes : tuple of str
    """

    path: str
    page: int
    shape: Shape
    exif: Exif | None
    lossy: bool
    method: str
    ratio: float
    notes: tuple[str, ...]

    @property
    def photograph(self) -> bool:
        """Whether a camera says that it took it."""
        return self.exif is not None and any(k in self.exif.attributes for k in _PHOTOGRAPH)


class Planned(NamedTuple):
    """One object to come: a kind, and what goes into it."""

    kind: Kind
    content: list[Still] | VideoStream | Document
    path: str  # of the first source
    number: int  # among the objects of that source, from 1; 0 where there is only one


def plan(paths: Sequence[str], kind: str, *, upright: bool) -> list[Planned]:
    """Return the objects that sources make.

    Pictures of one shape become one object where the kind may have several frames, else one each.

    Raises
    ------
    UnsupportedError
        A source is nothing that is known, or nothing of this kind.
    ReadError, CorruptError, LimitError, MissingDependencyError
    """
    stills: list[Still] = []
    made: list[Planned] = []
    for path in paths:
        try:
            found = _recognize(path)
            if found == "picture":
                stills.extend(_stills(path, upright))
            elif found == "video":
                made.append(Planned(_kind(kind, "video"), read_video(path), path, 0))
            else:
                made.append(Planned(_kind(kind, found), read_document(path), path, 0))
        except DicomloomError as error:
            error.path = error.path or path
            raise
    return [*_grouped(stills, kind), *made]


def _recognize(path: str) -> str:
    with reading(path), open(open_regular(path), "rb") as file:
        prefix = file.read(PREFIX)
    if prefix[128:132] == b"DICM":
        raise UnsupportedError("this is a DICOM file already: see transcode, or --template")
    if is_coded(prefix) or is_picture(prefix):
        return "picture"
    return looks_like_document(prefix, path) or "video"


def _kind(asked: str, found: str) -> Kind:
    """Return the kind of a video or document."""
    if asked == "auto":
        return KINDS[found]
    kind = KINDS[asked]
    fits = bool(kind.video) if found == "video" else asked == found
    if not fits:
        raise UnsupportedError(f"this is {found}, which does not become {kind.words} ({asked})")
    return kind


def _stills(path: str, upright: bool) -> Iterator[Still]:
    with reading(path), open(open_regular(path), "rb") as file:
        data = file.read() if is_coded(file.read(16)) and not file.seek(0) else b""
    if not data:
        yield from _pages(path, upright, None)
        return
    coded = read_coded(data)
    turned = upright and coded.exif is not None and coded.exif.orientation > 1
    if turned and coded.format in ("JPEG-LS", "JPEG XL"):
        raise UnsupportedError(f"a {coded.format} picture cannot be turned here")
    if coded.unfit or turned:
        yield from _pages(path, upright, coded)
        return
    yield Still(
        path,
        -1,
        _shape(coded),
        coded.exif,
        coded.lossy,
        coded.method,
        coded.ratio,
        coded.notes,
    )


def _shape(coded: CodedPicture) -> Shape:
    return Shape(
        coded.rows,
        coded.columns,
        coded.samples,
        coded.bits,
        coded.signed,
        coded.photometric,
        coded.syntax,
        coded.icc,
    )


def _pages(path: str, upright: bool, coded: CodedPicture | None) -> Iterator[Still]:
    """Look at pictures that Pillow reads, those of coded formats that DICOM does not store too."""
    if coded is not None and coded.signed:
        raise UnsupportedError(f"{coded.unfit}, of signed samples: store it with other samples")
    facts = facts_of(path)
    exif, notes = _exif(facts) if coded is None else (coded.exif, ())
    if coded is not None:
        notes = (f"{coded.unfit or 'a picture to be turned'}: decoded, and stored without loss",)
    for number, page in enumerate(pages(path, upright=upright)):
        photometric = "MONOCHROME2" if page.samples == 1 else "RGB"
        icc = (coded.icc if coded else facts.icc) if page.samples == 3 else None
        shape = Shape(page.rows, page.columns, page.samples, page.bits, False, photometric, "", icc)
        lossy = coded.lossy if coded else facts.lossy
        if exif is not None and upright:
            exif = exif._replace(orientation=1)
        yield Still(
            path,
            number,
            shape,
            exif,
            lossy,
            coded.method if coded and lossy else "",
            coded.ratio if coded else 0,
            (*notes, *page.notes),
        )


def _exif(facts: Facts) -> tuple[Exif | None, tuple[str, ...]]:
    try:
        return (read_exif(facts.exif) if facts.exif else None), ()
    except CorruptError as error:
        return None, (f"EXIF that cannot be read was left out: {error.message}",)


def _grouped(stills: list[Still], asked: str) -> list[Planned]:
    if not stills:
        return []
    if asked == "auto":
        photos = all(still.photograph for still in stills)
        kind = KINDS["photo" if photos else "sc"]
    else:
        kind = KINDS[asked]
    alike = len({still.shape for still in stills}) == 1
    if alike and kind.several_frames:
        return [Planned(kind, stills, stills[0].path, 0)]
    sources = Counter(still.path for still in stills)
    made = []
    for still in stills:
        number = still.page + 1 if sources[still.path] > 1 else 0
        made.append(Planned(kind, [still], still.path, number))
    return made


def pixels_of(stills: list[Still], upright: bool) -> Iterator[Page]:
    """Read the pages of one object again, those of a file in one go."""
    for path, of_file in groupby(stills, key=lambda still: still.path):
        yield from pages(path, [still.page for still in of_file], upright=upright)
