"""A frame as a picture with the letters at its edges, and a cube that shows the patient's axes."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from dicomloom.geometry.directions import letters

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw, ImageFont

    from dicomloom.frames.reader import FrameReader
    from dicomloom.geometry.plane import ImagePlane

_LONG_SIDE = 640  # pixels: what a small picture is enlarged to
_MOST = 4096
_LETTER = (255, 214, 102)
_HALO = (0, 0, 0)
# Of the patient's axes: left-right, front-back, head-foot.
_PAINT = ((226, 106, 96), (104, 176, 112), (96, 146, 226))
_SMOOTH = 4  # the cube is drawn so much larger, and reduced
# The cube is seen a little from the side and from above: else one face is all there is to see.
_TURN = (math.radians(26), math.radians(22))


def draw(reader: FrameReader, plane: ImagePlane, size: int | None = None) -> bytes:
    """Return a PNG file of a frame with the letters of its plane.

    The frame is shown as `dicomloom frame` shows it; pixels are made square by their spacing.

    Parameters
    ----------
    reader : FrameReader
        Of the object whose frame ``plane.frame`` is drawn.
    plane : ImagePlane
    size : int, optional
        The longer side of the picture in pixels, up to 4096. By default that of the frame, enlarged
        to at least 640.

    Raises
    ------
    MissingDependencyError
        Pillow is not there.
    CorruptError
        The frame cannot be shown.
    """
    from dicomloom.frames.render import as_file

    plain = as_file(reader, plane.frame, ".png")
    from PIL import Image, ImageDraw

    shown = Image.open(io.BytesIO(plain)).convert("RGB")
    picture = shown.resize(_size(shown.size, plane, size), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    short = min(picture.size)
    if plane.edges is not None:
        _edges(pen, picture.size, plane.edges, max(14, round(short * 0.05)))
    if plane.coordinates == "patient" and plane.row_direction is not None:
        side = max(72, round(short * 0.24))
        cube = _cube(plane, side)
        margin = max(6, round(short * 0.02))
        at = (picture.width - side - margin, picture.height - side - margin)
        picture.paste(cube, at, cube)
    into = io.BytesIO()
    picture.save(into, "PNG", optimize=True)
    return into.getvalue()


def _size(size: tuple[int, int], plane: ImagePlane, wanted: int | None) -> tuple[int, int]:
    """Return width and height: pixels become square, small pictures larger."""
    columns, rows = size
    row, column = plane.spacing or (1.0, 1.0)
    # What is ten times as long as wide is rather a wrong spacing.
    aspect = min(max(row / column, 0.1), 10.0)
    width, height = float(columns), rows * aspect
    longer = max(width, height)
    scale = min(wanted or max(longer, _LONG_SIDE), _MOST) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow 10.0 has one size
        return ImageFont.load_default()


def _edges(pen: ImageDraw.ImageDraw, size: tuple[int, int], edges: Any, height: int) -> None:
    width, tall = size
    font, gap = _font(height), round(height * 0.45)
    places = {
        "left": ((gap, tall / 2), "lm"),
        "right": ((width - gap, tall / 2), "rm"),
        "top": ((width / 2, gap), "mt"),
        "bottom": ((width / 2, tall - gap), "mb"),
    }
    for name, (place, anchor) in places.items():
        pen.text(
            place,
            getattr(edges, name),
            fill=_LETTER,
            font=font,
            anchor=anchor,
            stroke_width=max(1, height // 12),
            stroke_fill=_HALO,
        )


def _view(plane: ImagePlane) -> NDArray[Any]:
    """Return the matrix from patient directions to (right, down, away) of the viewer."""
    import numpy as np

    flat = np.array([plane.row_direction, plane.column_direction, plane.normal], "f8")
    yaw, pitch = _TURN
    about_down = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_right = np.array(
        [
            [1, 0, 0],
            [0, math.cos(pitch), -math.sin(pitch)],
            [0, math.sin(pitch), math.cos(pitch)],
        ]
    )
    made: NDArray[Any] = about_right @ about_down @ flat
    return made


def _cube(plane: ImagePlane, side: int) -> Image.Image:
    """Return the cube as an RGBA picture."""
    import numpy as np
    from PIL import Image, ImageDraw

    big = side * _SMOOTH
    made = Image.new("RGBA", (big, big), (0, 0, 0, 0))
    view, half = _view(plane), big * 0.285
    center = np.array([big / 2, big / 2])
    pen = ImageDraw.Draw(made)
    pen.ellipse((0, 0, big - 1, big - 1), fill=(0, 0, 0, 110))
    for axis in range(3):
        for sign in (1, -1):
            normal = np.zeros(3)
            normal[axis] = sign
            seen = view @ normal
            if seen[2] >= -1e-6:  # it looks away
                continue
            across, down = _upright(view, axis)
            corners = [
                center + half * (seen + i * across + j * down)[:2]
                for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            light = 0.45 + 0.55 * float(-seen[2])
            color = tuple(round(part * light) for part in _PAINT[axis])
            _face(made, corners, color, letters(normal.tolist(), quadruped=plane.quadruped))
    return made.resize((side, side), Image.Resampling.LANCZOS)


def _upright(view: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the edges of a face along which its letter runs, so that it reads best.

    Of the eight ways to lay a letter on a face, those that mirror it are out, and the one counts
    that is nearest to upright.
    """
    import numpy as np

    others = [view[:, i] for i in range(3) if i != axis]
    best: tuple[float, NDArray[Any], NDArray[Any]] | None = None
    for a, b in (others, others[::-1]):
        for i in (1, -1):
            for j in (1, -1):
                across, down = i * a, j * b
                turn = across[0] * down[1] - across[1] * down[0]
                score = float(across[0] + down[1])
                if turn > 0 and (best is None or score > best[0] + 1e-9):
                    best = (score, across, down)
    if best is None:  # a face seen from its edge
        return np.asarray(others[0]), np.asarray(others[1])
    return best[1], best[2]


def _face(
    into: Image.Image, corners: list[NDArray[Any]], color: tuple[int, ...], letter: str
) -> None:
    """Paint one face with its letter, which lies on it as on a real cube."""
    import numpy as np
    from PIL import Image, ImageDraw

    width = max(2, into.width // 110)
    pen = ImageDraw.Draw(into)
    outline = [tuple(map(float, corner)) for corner in corners]
    pen.polygon(outline, fill=(*color, 255))
    pen.line([*outline, outline[0], outline[1]], fill=(18, 18, 22, 255), width=width, joint="curve")
    tile = Image.new("L", (128, 128), 0)
    size = 96 if len(letter) == 1 else 64
    ImageDraw.Draw(tile).text((64, 66), letter, fill=255, font=_font(size), anchor="mm")
    # From the picture back to the tile, as Image.transform wants it.
    across, down = (corners[1] - corners[0]) / 128, (corners[3] - corners[0]) / 128
    forward = np.array([[across[0], down[0]], [across[1], down[1]]])
    if abs(np.linalg.det(forward)) < 1e-3:
        return
    back = np.linalg.inv(forward)
    shift = -back @ corners[0]
    data = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
    mask = tile.transform(
        into.size, Image.Transform.AFFINE, data, resample=Image.Resampling.BICUBIC
    )
    into.paste((255, 255, 255, 255), (0, 0), mask)
