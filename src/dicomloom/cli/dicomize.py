"""`dicomloom dicomize`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from dicomloom.cli import options
from dicomloom.shown import shown

EPILOG = """\
What a file is, its bytes say. JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL, videos and documents are
stored as they are; PNG, BMP, TIFF, GIF and WebP need Pillow: pip install 'dicomloom[images]'.
Pictures of one size become one multi-frame Secondary Capture (sc); every other kind makes an
object a picture, in one series. Notes on stderr say what was changed or left out.

examples:
  dicomloom dicomize mole.jpg mole.dcm --as dermoscopy --patient-id 42 --patient-name Doe^Jane
  dicomloom dicomize letter.pdf letter.dcm --study-of ct.dcm --set DocumentTitle=Referral
  dicomloom dicomize scan-*.png -d dicom/ --from-worklist item.json --to JPEGLSLossless
  dicomloom dicomize operation.mp4 operation.dcm --as endoscopy

exit codes: 0 all well; 2 usage; 20 input cannot be read; 40 output cannot be written.
"""
_KINDS = (
    *("auto", "sc", "photo", "dermoscopy", "endoscopy", "microscopy", "video"),
    *("pdf", "cda", "stl", "obj", "mtl"),
)
_PATIENT = {
    "patient_id": ("--patient-id", "PatientID"),
    "patient_name": ("--patient-name", "PatientName"),
    "birth_date": ("--birth-date", "PatientBirthDate"),
    "sex": ("--sex", "PatientSex"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="sources and, without -d, the file to write"
    )
    parser.add_argument(
        "-d", "--directory", metavar="DIR", help="write into this folder, named after the sources"
    )
    parser.add_argument(
        "--as", dest="kind", choices=_KINDS, default="auto", help="what to make (default: auto)"
    )
    for name, (option, keyword) in _PATIENT.items():
        parser.add_argument(option, dest=name, metavar="VALUE", help=keyword)
    options.add_settings(parser)
    parser.add_argument(
        "--template", metavar="FILE", help="an object whose attributes are taken, but for UIDs"
    )
    parser.add_argument("--study-of", metavar="FILE", help="an object whose study this joins")
    parser.add_argument("--series-of", metavar="FILE", help="an object whose series this joins")
    parser.add_argument(
        "--from-worklist", metavar="ITEM", help="a scheduled procedure step, as JSON or DICOM"
    )
    parser.add_argument(
        "--to", metavar="TS", help="transfer syntax (default: what the pictures have)"
    )
    parser.add_argument(
        "--apply-orientation", action="store_true", help="turn the pixels as EXIF says"
    )
    options.add_json(parser, "what was made")


def run(arguments: argparse.Namespace) -> int:
    """Make objects."""
    from dicomloom.dicomize.run import Options, make
    from dicomloom.dicomize.write import syntax_named
    from dicomloom.errors import UnsupportedError

    sources, target = list(arguments.paths), arguments.directory
    if target is None:
        if len(sources) < 2:
            raise options.UsageError("give sources and then the file to write, or a folder with -d")
        target = sources.pop()
    elif not os.path.isdir(target):
        raise options.UsageError(f"-d {target}: there is no such folder")
    if arguments.to is not None:
        try:
            syntax_named(arguments.to)
        except UnsupportedError as error:
            raise options.UsageError(error.message) from None
    attributes: dict[str, object] = {
        keyword: getattr(arguments, name)
        for name, (_, keyword) in _PATIENT.items()
        if getattr(arguments, name) is not None
    }
    attributes.update(arguments.set)
    asked = Options(
        kind=arguments.kind,
        template=arguments.template,
        study_of=arguments.study_of,
        series_of=arguments.series_of,
        worklist=arguments.from_worklist,
        transfer_syntax=arguments.to,
        apply_orientation=arguments.apply_orientation,
    )
    made = make(sources, target, asked, attributes)
    for one in made:
        for note in one.notes:
            sys.stderr.write(f"{shown(f'{one.sources[0]}: {note}')}\n")
        if arguments.json:
            sys.stdout.write(json.dumps(one._asdict()) + "\n")
        else:
            sys.stderr.write(f"{shown(one.path)}: {one.kind}, {one.transfer_syntax}\n")
    return 0
