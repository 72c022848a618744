"""Every encapsulated frame of the corpus: decoded as pydicom decodes it, or the reason is below."""

import warnings

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from dicomloom import DicomloomError
from dicomloom.codecs import registry
from dicomloom.codecs.layout import Layout
from images import pixels_of
from support import manifest, readable

pytest.importorskip("imagecodecs")
pytest.importorskip("libjpeg")

# What may differ, by the end of a file's name, and by how much.
IDCT = "inverse DCTs may differ by one (ISO/IEC 10918-2): libjpeg-turbo here, libjpeg there"
COLOR = "YCbCr becomes RGB in libjpeg-turbo here, in pydicom there: rounded twice"
FLOATS = "irreversible wavelets in floating point: OpenJPH here, OpenJPEG there"
DIFFERENT = {
    "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": (1, IDCT),
    "JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm": (1, IDCT),
    "JPGExtended.dcm": (1, IDCT),
    "IM00001.fragmented_no_bot_jpeg_baseline.50.dcm": (1, COLOR),
    "HTJ2K_08_RGB.dcm": (1, FLOATS),
}
# What pydicom does not decode and is decoded here.
OURS_ALONE = (
    "JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
    "JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
    "JPEG-lossy.dcm",
    "liver_deflate.dcm",
    "liver_nonbyte_aligned_deflate.dcm",
    "liver_rle.dcm",
    "liver_nonbyte_aligned_rle.dcm",
)
# What nobody decodes: made to test fragments, with no codestream in them.
NOBODY = (
    "generated_encapsulated_defined_bot_1_to_1.dcm",
    "generated_encapsulated_defined_bot_2_to_1.dcm",
    "generated_encapsulated_defined_bot_2_to_2.dcm",
    "generated_encapsulated_empty_bot_1_to_1.dcm",
    "generated_encapsulated_empty_bot_2_to_1.dcm",
)
# Cut apart by pydicom's search for the end of the fragments.
CUT = ("JPEG2000-embedded-sequence-delimiter.dcm",)
MOST_FRAMES = 3


def encapsulated(corpus):
    known = {entry.uid for entry in registry.entries() if entry.module != "native"}
    wanted = set(readable(corpus))
    for row in manifest(corpus):
        pixels = row["pixel_element"] == "PixelData" and not row["dup_of"]
        if pixels and row["file"] in wanted and row["transfer_syntax"] in known:
            yield row["file"]


def layout_of(found):
    return Layout(
        found.Rows,
        found.Columns,
        samples=found.SamplesPerPixel,
        bits_allocated=found.BitsAllocated,
        bits_stored=found.BitsStored,
        signed=bool(found.PixelRepresentation),
        photometric=found.PhotometricInterpretation,
        planar=found.get("PlanarConfiguration", 0) or 0,
    )


def by_pydicom(found, index):
    """Its frame as it is, then converted to RGB; nothing where it fails."""
    for raw in (True, False):
        try:
            yield pixel_array(found, index=index, raw=raw)
        except (RuntimeError, ValueError, AttributeError, NotImplementedError):
            return


def differences(found):
    """For each frame the least difference to pydicom's; None where pydicom has none."""
    codec = registry.find(found.file_meta.TransferSyntaxUID)
    decoder = codec.decoder(layout_of(found))
    count = int(found.get("NumberOfFrames", 1) or 1)
    for index, data in enumerate(generate_frames(found.PixelData, number_of_frames=count)):
        if index == min(count, MOST_FRAMES):
            return
        frame = pixels_of(decoder.decode(data), decoder.layout).astype(np.int64)
        least = None
        for other in by_pydicom(found, index):
            if other.shape == frame.shape:
                difference = int(abs(frame - other).max())
                least = difference if least is None else min(least, difference)
            if least == 0:
                break
        yield least


def test_every_frame_equals_pydicoms(corpus):
    seen = 0
    for name in encapsulated(corpus):
        found = pydicom.dcmread(corpus / name, force=True)
        if name.endswith(NOBODY + CUT):
            with pytest.raises(DicomloomError):
                list(differences(found))
            continue
        allowed = next((by for end, by in DIFFERENT.items() if name.endswith(end)), (0, "equal"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for difference in differences(found):
                seen += 1
                if difference is None:
                    assert name.endswith(OURS_ALONE), name
                else:
                    assert difference <= allowed[0], (name, difference, allowed[1])
    assert seen > 70


@pytest.mark.parametrize("name", ["liver", "liver_nonbyte_aligned"])
def test_one_bit_frames_are_the_same_in_every_syntax(corpus, name):
    """pydicom 3.0 reads but the JPEG 2000 among them: the files are held against one another."""
    folder = corpus / "pydicom__pydicom-data" / "data_store" / "data"
    frames = []
    for kind in ("deflate", "j2k", "rle"):
        found = pydicom.dcmread(folder / f"{name}_{kind}.dcm")
        decoder = registry.find(found.file_meta.TransferSyntaxUID).decoder(layout_of(found))
        count = int(found.NumberOfFrames)
        coded = generate_frames(found.PixelData, number_of_frames=count)
        frames.append([bytes(decoder.decode(data)) for data in coded])
    assert len(frames[0]) > 1
    assert frames[0] == frames[1] == frames[2]
