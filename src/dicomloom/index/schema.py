"""Which columns an index has: the default ones, the named sets, and their types."""

from __future__ import annotations

from collections.abc import Iterable

from dicomloom._native.scan import Plan
from dicomloom.errors import TagError
from dicomloom.tags import TagPath, parse_tag

DEFAULT_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)

# What one mostly wants to know of an instance, of a series, of where an image lies, of its pixels.
SETS: dict[str, tuple[str, ...]] = {
    "instance": (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "InstanceNumber",
        "NumberOfFrames",
        "ContentDate",
        "ContentTime",
        "(0002,0010)",
    ),
    "series": (
        "PatientID",
        "PatientName",
        "StudyInstanceUID",
        "StudyDate",
        "StudyDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDate",
        "SeriesTime",
        "SeriesDescription",
        "Modality",
        "BodyPartExamined",
        "ProtocolName",
        "Manufacturer",
        "ManufacturerModelName",
        "StationName",
    ),
    "geometry": (
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "InstanceNumber",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PixelSpacing",
        "ImagerPixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
        "SliceLocation",
        "PatientPosition",
        "Laterality",
        "Rows",
        "Columns",
        "NumberOfFrames",
    ),
    "pixel": (
        "SOPClassUID",
        "SOPInstanceUID",
        "(0002,0010)",
        "Rows",
        "Columns",
        "NumberOfFrames",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "PixelData",
    ),
}

FILE_INFO = ("FileSize", "FileModified", "FileInode")

_INTEGERS = {"IS", "US", "SS", "UL", "SL", "SV", "US or SS", "US or OW", "US or SS or OW"}
# Without a path these give a count: items of a sequence, bytes of a binary value.
_COUNTS = {"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW"}
_REALS = {"DS", "FL", "FD"}


def column_type(path: TagPath) -> str:
    """Return the type of a typed column: "int64", "float64", "date32" or "text".

    Only a single number or date has a type of its own: where PS3.6 allows several values (VM other
    than 1) or a ``[*]`` joins them, the column stays text. UV stays text too, as its values do not
    all fit an int64.
    """
    vr, vm = path.leaf.vr, path.leaf.vm
    if path.joins:
        return "text"
    if vr in _COUNTS:
        return "int64" if vr != "UN" else "text"
    if vm != "1":
        return "text"
    if vr in _INTEGERS:
        return "int64"
    if vr in _REALS:
        return "float64"
    return "date32" if vr == "DA" else "text"


class Schema:
    """The columns of a scan.

    Parameters
    ----------
    tags : iterable of str, or None
        Wanted values, see `dicomloom.tags.parse_tag`; None for `DEFAULT_TAGS`. A tag given twice
        has one column, where it first stood.
    typed : bool
        Whether numbers and dates get types of their own instead of text.
    file_info : bool
        Whether FileSize (bytes), FileModified (nanoseconds since 1970) and FileInode follow.

    Attributes
    ----------
    names, types : tuple of str
        Of all columns, in order.
    """

    def __init__(
        self, tags: Iterable[str] | None = None, *, typed: bool = False, file_info: bool = False
    ) -> None:
        if isinstance(tags, str):
            tags = (tags,)
        paths: dict[str, TagPath] = {}
        for text in DEFAULT_TAGS if tags is None else tags:
            paths.setdefault(text, parse_tag(text))
        taken = {"Filename", "Status", "Error", *FILE_INFO} & paths.keys()
        if taken:
            raise TagError(f"{', '.join(sorted(taken))}: a name that the index itself uses")
        self.paths = tuple(paths.values())
        wanted = tuple(column_type(path) if typed else "text" for path in self.paths)
        info = FILE_INFO if file_info else ()
        self.names = ("Filename", "Status", *paths, "Error", *info)
        self.types = ("text", "text", *wanted, "text", *(("int64",) * len(info)))
        self._wanted = wanted

    def plan(self) -> Plan:
        """Compile for the C core."""
        return compile_plan(self.paths, self._wanted)


def compile_plan(paths: Iterable[TagPath], types: Iterable[str]) -> Plan:
    """Hand wanted paths and their column types to the C core."""
    return Plan(
        [
            ([(step.tag, step.creator, step.item, step.vr) for step in path.steps], kind)
            for path, kind in zip(paths, types, strict=True)
        ]
    )
