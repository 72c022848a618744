"""`dicomloom plane`."""

from __future__ import annotations

import argparse
import os
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_SOME_FAILED, EXIT_UNREADABLE
from dicomloom.shown import shown

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    from dicomloom.geometry.plane import ImagePlane
    from dicomloom.geometry.series import Series
    from dicomloom.geometry.stack import Stack

EPILOG = """\
Prints where a frame lies in the patient, in mm and in the letters that belong at the edges of its
picture; frames are counted from 0. A folder, or --series, prints stacks instead: images sorted
along their normal, with gaps, copies, uneven steps, tilt, and what tells images at one place apart.

examples:
  dicomloom plane slice.dcm
  dicomloom plane enhanced.dcm --frame 12 --png twelve.png
  dicomloom plane /archive/study --json | jq '.stacks[].findings'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="FILE", help="files; or folders, of a series")
    parser.add_argument(
        "--frame", type=int, default=0, metavar="N", help="which frame (default: 0, the first)"
    )
    parser.add_argument(
        "--png", metavar="OUT", help="draw the frame with its letters and a cube of the axes"
    )
    parser.add_argument(
        "--size",
        type=options.positive,
        metavar="PIXELS",
        help="the longer side of OUT, up to 4096 (default: that of the frame, at least 640)",
    )
    parser.add_argument(
        "--series", action="store_true", help="sort all images of FILEs into stacks"
    )
    options.add_json(parser, "the planes, or the stacks,")


def run(arguments: argparse.Namespace) -> int:
    """Print planes, or stacks."""
    if arguments.series or any(map(os.path.isdir, arguments.paths)):
        if arguments.png or arguments.frame:
            raise options.UsageError("--png and --frame are of one file, not of a series")
        return _series(arguments)
    if arguments.png and len(arguments.paths) > 1:
        raise options.UsageError("--png draws one file: give one FILE")
    return _planes(arguments)


# --- planes ---


def _planes(arguments: argparse.Namespace) -> int:
    import warnings

    from dicomloom.errors import DicomloomError
    from dicomloom.geometry.plane import ImagePlane

    found = []
    failed = 0
    for path in arguments.paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they say is among the notes
                found.append(ImagePlane.of(path, arguments.frame))
        except DicomloomError as error:
            if len(arguments.paths) == 1:
                raise
            sys.stderr.write(f"dicomloom plane: {shown(str(error))}\n")
            failed += 1
    if arguments.png:
        _draw(found[0], arguments.png, arguments.size)
    if arguments.json:
        import json

        sys.stdout.write(json.dumps([plane.as_dict() for plane in found], indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_text(plane) for plane in found))
    return 0 if not failed else EXIT_SOME_FAILED if found else EXIT_UNREADABLE


def _draw(plane: ImagePlane, output: str, size: int | None) -> None:
    from dicomloom.files import Replacing
    from dicomloom.frames.reader import FrameReader
    from dicomloom.geometry.picture import draw

    assert plane.path is not None
    with FrameReader(plane.path) as reader:
        data = draw(reader, plane, size)
    with Replacing(output) as file:
        file.write(data)


def _text(plane: ImagePlane) -> str:
    from dicomloom.geometry.directions import words

    def spelled(text: str) -> str:
        return f"{text} ({words(text, quadruped=plane.quadruped)})"

    def point(values: tuple[float, ...] | None) -> str:
        return "not stated" if values is None else "  ".join(f"{value:.5g}" for value in values)

    lines = [("file", plane.path or ""), ("frame", str(plane.frame))]
    if plane.obliquity is not None:
        angle = f", {plane.obliquity:.1f} degrees off {plane.nearest_plane}"
        lines.append(("plane", f"{plane.name}{angle if plane.obliquity >= 0.05 else ''}"))
    if plane.letters and plane.edges:
        row, column = plane.letters
        lines += [
            ("edges", "  ".join(f"{name} {text}" for name, text in plane.edges._asdict().items())),
            ("rows run to", spelled(row)),
            ("columns run to", spelled(column)),
            ("letters from", plane.letters_from or ""),
        ]
    else:
        lines.append(("edges", "not stated"))
    if plane.coordinates:
        lines += [
            ("coordinates", {"patient": "patient (LPS)"}.get(plane.coordinates, plane.coordinates)),
            ("position", f"{point(plane.position)} mm" if plane.position else "not stated"),
            ("row direction", point(plane.row_direction)),
            ("column direction", point(plane.column_direction)),
            ("normal", point(plane.normal)),
        ]
    lines.append(("size", f"{plane.rows or '?'} rows, {plane.columns or '?'} columns"))
    if plane.spacing:
        row_mm, column_mm = plane.spacing
        lines.append(
            ("spacing", f"rows {row_mm:g} mm, columns {column_mm:g} mm ({plane.spacing_from})")
        )
    if plane.thickness:
        lines.append(("thickness", f"{plane.thickness:g} mm"))
    if plane.spacing_between_slices:
        lines.append(("between slices", f"{plane.spacing_between_slices:g} mm"))
    if plane.patient_position:
        lines.append(
            ("patient position", f"{plane.patient_position.code}: {plane.patient_position.text}")
        )
    if plane.breast:
        sides = plane.breast._asdict()
        seen = [f"{edge} {sides[edge]}" for edge in plane.edges._fields if sides[edge]]  # type: ignore[union-attr]
        about = " ".join(filter(None, (plane.breast.laterality, plane.breast.view)))
        lines.append(("breast", "; ".join(filter(None, (about, "  ".join(seen))))))
    lines += [("note", note) for note in plane.notes]
    return "".join(f"{name:<18}{shown(text)}\n" for name, text in lines)


# --- series ---


def _series(arguments: argparse.Namespace) -> int:
    from dicomloom.geometry.series import Series

    for path in arguments.paths:
        os.stat(path)  # what is not there is an error, not an empty series
    series = Series.of(arguments.paths)
    failed = [each for each in series.unplaced if not each.readable]
    for each in failed:
        sys.stderr.write(f"dicomloom plane: {shown(f'{each.path}: {each.reason}')}\n")
    if arguments.json:
        import json

        made = {
            "stacks": [stack.as_dict() for stack in series],
            "findings": [
                {"kind": finding.kind, "text": finding.text, "value": finding.value}
                for finding in series.findings
            ],
            "unplaced": [each._asdict() for each in series.unplaced],
        }
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
    else:
        sys.stdout.write(_stacks_text(series))
    if not failed:
        return 0
    return (
        EXIT_SOME_FAILED if len(series) or len(failed) < len(series.unplaced) else (EXIT_UNREADABLE)
    )


def _stacks_text(series: Series) -> str:
    lines = []
    for number, stack in enumerate(series, 1):
        lines.append(f"stack {number}  {_stack_text(stack)}")
        lines += [f"  {finding.kind}: {finding.text}" for finding in stack.findings]
    own = {id(finding) for stack in series for finding in stack.findings}
    for finding in series.findings:
        if id(finding) not in own:
            lines.append(f"{finding.kind}: {finding.text}")
    reasons: dict[str, int] = {}
    for each in series.unplaced:
        if each.readable:
            reasons[each.reason] = reasons.get(each.reason, 0) + 1
    lines += [f"not in a stack: {count} x {reason}" for reason, count in sorted(reasons.items())]
    if not lines:
        lines.append("no images")
    return "\n".join(map(shown, lines)) + "\n"


def _stack_text(stack: Stack) -> str:
    edges = stack.edges
    count, rows, columns = stack.shape
    parts = [
        f"{stack.name}, {len(stack)} slice{'s' if len(stack) > 1 else ''}"
        + (f" of {count}" if count > len(stack) else ""),
        f"{rows} x {columns}",
        f"every {stack.slice_spacing:.4g} mm" if stack.slice_spacing else "",
        f"left {edges.left}, top {edges.top}, slices run to {stack.letters[2]}",
        *(f"{name} {value}" for name, value in stack.split.items()),
        f"series {stack.series}" if stack.series else "",
    ]
    return "; ".join(filter(None, parts))
