"""What models for 3D printing and viewing say of themselves: STL, OBJ, MTL (PS3.3 A.85)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from dicomloom.errors import CorruptError, LimitError, TruncatedError, UnsupportedError
from dicomloom.frames.sources import Source

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 20
_MOST_NAMES = 10_000
_LONGEST_NAME = 4096  # bytes, as of a path
# What is written in one way only is matched in one: else time is a power of the digits.
_NUMBER = rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_FIRST_FACET = re.compile(
    rb"\s*solid[^\n]*\n\s*facet\s+normal(?:\s+" + _NUMBER + rb"){3}\s+outer\s+loop"
    rb"(?:\s+vertex(?:\s+" + _NUMBER + rb"){3}){3}\s+endloop\s+endfacet\s",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
_OBJ_NAMES = re.compile(rb"^[ \t]*(mtllib|maplib|usemap)[ \t]+([^\s][^\r\n]*)", re.MULTILINE)
_VERTEX = re.compile(rb"^[ \t]*v[ \t]", re.MULTILINE)
_FACE = re.compile(rb"^[ \t]*(?:f|fo|l|p|curv|curv2|surf)[ \t]", re.MULTILINE)
_MTL_NAMES = re.compile(
    rb"^[ \t]*(newmtl|map_\w+|bump|disp|decal|refl|norm)[ \t]+([^\s][^\r\n]*)", re.MULTILINE
)
# Options of texture maps, by how many arguments they have; those of numbers have one to three.
_ONE = frozenset(
    ["-blendu", "-blendv", "-cc", "-clamp", "-texres", "-bm", "-boost", "-imfchan", "-type"]
)
_NUMBERS = frozenset(["-o", "-s", "-t", "-mm"])


def _lines(source: Source) -> Iterator[bytes]:
    """Return a text in pieces of whole lines; continued lines (OBJ, MTL) are joined."""
    at, rest = 0, b""
    while chunk := source.read_at(at, _CHUNK):
        first = at == 0
        at += len(chunk)
        if first:
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
        control = _CONTROL.search(chunk)
        if control:
            raise CorruptError(
                f"byte {control[0].hex()} in what began as text",
                path=source.path,
                offset=at - len(chunk) + control.start(),
            )
        whole = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ")
        # What may yet be continued stays, too.
        end = whole.rfind(b"\n", 0, len(whole) - 2) + 1
        rest = whole[end:]
        if len(rest) > _LONGEST_LINE:
            raise LimitError(
                f"a line of more than {_LONGEST_LINE} bytes", path=source.path, offset=at
            )
        yield whole[:end]
    yield rest


def _named(
    pattern: re.Pattern[bytes], piece: bytes, source: Source
) -> Iterator[tuple[bytes, bytes]]:
    """Return the words that a pattern finds, and the names behind them."""
    for found in pattern.finditer(piece):
        word, rest = found[1], found[2].rstrip()
        if len(rest) > _LONGEST_NAME:
            raise LimitError(
                f"a name of more than {_LONGEST_NAME} bytes behind {word.decode()}",
                path=source.path,
            )
        yield word, rest


def _decoded(name: bytes) -> str:
    """Return a name of a file; these formats do not say how it is encoded."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def describe_stl(source: Source) -> dict[str, object]:
    """Return how many triangles a binary STL file has.

    Raises
    ------
    UnsupportedError
        It is ASCII STL.
    CorruptError, TruncatedError
        There are more or fewer triangles than it says.
    """
    size = source.size()
    refuse_ascii_stl(source)
    triangles = struct.unpack("<L", source.exactly(80, 4))[0]
    expected = 84 + 50 * triangles
    if size != expected:
        kind = TruncatedError if size < expected else CorruptError
        raise kind(
            f"{'truncated: ' if size < expected else ''}binary STL with {triangles} triangles has "
            f"{expected} bytes, the file has {size}",
            path=source.path,
            offset=min(size, expected),
        )
    return {"triangles": triangles}


def refuse_ascii_stl(source: Source) -> None:
    """Raise UnsupportedError for ASCII STL (PS3.17 IIII has binary; DCMTK's stl2dcm, too)."""
    head = source.read_at(0, 4096)
    stored = head[80:84]
    binary = len(stored) == 4 and 84 + 50 * struct.unpack("<L", stored)[0] == source.size()
    # Programs write binary files that begin with "solid": the size is what tells.
    if _is_text(head) and (_FIRST_FACET.match(head) or not binary):
        raise UnsupportedError(
            "ASCII STL: DICOM encapsulates binary STL (MIME type model/stl); save the model as "
            "binary STL, as stl2bin of numpy-stl, MeshLab or Blender do",
            path=source.path,
        )


def _is_text(head: bytes) -> bool:
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return head[:5].lower() == b"solid" and not _CONTROL.search(head)


def _add(names: dict[str, None], found: list[str], source: Source) -> None:
    names.update(dict.fromkeys(found))
    if len(names) > _MOST_NAMES:
        raise LimitError(f"more than {_MOST_NAMES} names in it", path=source.path)


def describe_obj(source: Source) -> dict[str, object]:
    """Return how many vertices and faces an OBJ file has, and the files that it refers to.

    Raises
    ------
    CorruptError
        There is no vertex, or a byte that is not text.
    LimitError
    """
    vertices = faces = 0
    libraries: dict[str, None] = {}
    textures: dict[str, None] = {}
    for piece in _lines(source):
        vertices += sum(1 for _ in _VERTEX.finditer(piece))
        faces += sum(1 for _ in _FACE.finditer(piece))
        for word, rest in _named(_OBJ_NAMES, piece, source):
            if word == b"usemap":
                found = [] if rest.lower() == b"off" else [_decoded(rest)]
                _add(textures, found, source)
            else:
                names = _names(_decoded(rest), ".mtl" if word == b"mtllib" else ".map")
                _add(libraries if word == b"mtllib" else textures, names, source)
    if not vertices:
        raise CorruptError("OBJ without a vertex (a line that begins with v)", path=source.path)
    return {
        "vertices": vertices,
        "faces": faces,
        "material_libraries": list(libraries),
        "textures": list(textures),
    }


def _names(text: str, suffix: str) -> list[str]:
    """Return the names in a list of files; a single name may have spaces in it."""
    parts = text.split()
    return parts if all(part.lower().endswith(suffix) for part in parts) else [text]


def describe_mtl(source: Source) -> dict[str, object]:
    """Return the materials of an MTL file, and the textures that it refers to.

    Raises
    ------
    CorruptError
        There is no material, or a byte that is not text.
    LimitError
    """
    materials: dict[str, None] = {}
    textures: dict[str, None] = {}
    for piece in _lines(source):
        for word, rest in _named(_MTL_NAMES, piece, source):
            if word == b"newmtl":
                _add(materials, [_decoded(rest)], source)
            elif not (word == b"map_aat" or (name := _texture(_decoded(rest))) is None):
                _add(textures, [name], source)
    if not materials:
        raise CorruptError("MTL without a material (a line newmtl NAME)", path=source.path)
    return {"materials": list(materials), "textures": list(textures)}


def _texture(text: str) -> str | None:
    """Return the name of the file behind a map's options; it may have spaces in it."""
    while text.startswith("-"):
        option, _, text = text.partition(" ")
        text = text.lstrip()
        if option in _ONE:
            text = text.partition(" ")[2].lstrip()
        elif option in _NUMBERS:
            number = re.match(r"(?:[-+]?[\d.]+(?:[eE][-+]?\d+)?\s+){1,3}", text)
            text = text[number.end() :] if number else text
        else:
            return f"{option} {text}".strip() or None  # a name that begins so
    return text or None
