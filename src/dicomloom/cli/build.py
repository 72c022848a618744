"""`dicomloom build`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options
from dicomloom.cli.main import EXIT_USAGE

EPILOG = """\
Raw frames lie back to back, little endian, color by pixel. Images are of one size and kind; all
pages of a TIFF are taken; they need Pillow: pip install 'dicomloom[images]'.
Without a SOPClassUID the object becomes a Multi-frame Secondary Capture.

examples:
  dicomloom build cine.dcm --raw cine.rgb --rows 818 --columns 1020 --samples 3 --to RLELossless
  dicomloom build slides.dcm slide-*.png --set PatientID=42 --set PatientName=Doe^Jane
  camera | dicomloom build out.dcm --raw - --rows 480 --columns 640 --bits 12 --template ct.dcm

exit codes: 0 all well; 2 usage; 20 input cannot be read; 40 output cannot be written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("target", metavar="OUT", help="the file to write")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="pictures, a frame each")
    parser.add_argument("--raw", metavar="FILE", help="frames as bytes; - for standard input")
    parser.add_argument("--rows", type=options.positive, metavar="R")
    parser.add_argument("--columns", type=options.positive, metavar="C")
    parser.add_argument("--samples", type=options.positive, metavar="N", help="a pixel (default 1)")
    parser.add_argument(
        "--bits",
        type=options.positive,
        metavar="N",
        help="a sample, stored in 1, 8, 16, 32 or 64 (default 8)",
    )
    parser.add_argument("--signed", action="store_true", help="samples are signed")
    parser.add_argument("--photometric", metavar="P", help="such as MONOCHROME2, RGB, YBR_FULL")
    parser.add_argument("--template", metavar="FILE", help="a DICOM file to take the header from")
    options.add_settings(parser)
    parser.add_argument(
        "--to",
        default="ExplicitVRLittleEndian",
        metavar="TS",
        help="transfer syntax (default: ExplicitVRLittleEndian)",
    )
    options.add_coding(parser)
    options.add_json(parser, "what was done")


def run(arguments: argparse.Namespace) -> int:
    """Build an object."""
    if bool(arguments.raw) == bool(arguments.images):
        sys.stderr.write("dicomloom build: give IMAGEs, or raw frames with --raw\n")
        return EXIT_USAGE
    from dicomloom.frames.build import images, template_of
    from dicomloom.frames.writer import FrameWriter

    coding = options.coding(arguments)
    template = template_of(arguments.template, dict(arguments.set), _pixels(arguments))
    with FrameWriter(arguments.target, template, transfer_syntax=arguments.to, **coding) as writer:
        if arguments.raw == "-":
            writer.write_from(sys.stdin.buffer)
        elif arguments.raw:
            with open(arguments.raw, "rb") as file:
                writer.write_from(file)
        else:
            writer.write_from(images(arguments.images))
    if arguments.json:
        import json

        made = {"target": arguments.target, "frames": writer.frames}
        sys.stdout.write(json.dumps(made) + "\n")
    else:
        sys.stderr.write(f"{arguments.target}: {writer.frames:,} frames\n")
    return 0


def _pixels(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the Image Pixel attributes that the options stand for."""
    bits = arguments.bits
    if arguments.raw and bits is None and not arguments.template:
        bits = 8
    made: dict[str, object] = {
        "Rows": arguments.rows,
        "Columns": arguments.columns,
        "SamplesPerPixel": arguments.samples,
        "PhotometricInterpretation": arguments.photometric,
    }
    if bits is not None:
        allocated = next((size for size in (1, 8, 16, 32, 64) if bits <= size), None)
        if allocated is None:
            raise options.UsageError(f"--bits is 1 to 64, not {bits}")
        made |= {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": bits - 1}
        made["PixelRepresentation"] = int(arguments.signed)
    elif arguments.signed:
        made["PixelRepresentation"] = 1
    return {keyword: value for keyword, value in made.items() if value is not None}
