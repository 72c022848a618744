"""What we write is read by other people's programs, what they write by us, frame by frame."""

from __future__ import annotations

import subprocess
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from dicomloom import FrameReader, FrameWriter, transcode
from dicomloom.codecs import registry
from dicomloom.errors import UnsupportedError
from images import extremes, image, psnr
from objects import LAYOUTS, distance, frames_of, image_object, run, save
from support import peer, peer_module

WRITTEN = [entry.keyword for entry in registry.entries() if registry.find(entry.uid).writes()]
COUNT = 4

# --- readers: (path, layout, folder) -> frames in the color space they were given in ---


def dcmtk(program, *options):
    def read(path, of, folder):
        run(program, *options, path, folder / "theirs.dcm")
        return frames_of(folder / "theirs.dcm", COUNT)

    return read


def gdcm(path, of, folder):
    run("gdcmconv", "--raw", path, folder / "theirs.dcm")
    return frames_of(folder / "theirs.dcm", COUNT)


def plugin(name, *modules, raw=True):
    def read(path, of, folder):
        peer_module(*modules)
        return frames_of(path, COUNT, raw=raw, decoding_plugin=name)

    return read


def encaps(decompress):
    def read(path, of, folder):
        data = pydicom.dcmread(path).PixelData
        frames = [decompress(frame) for frame in generate_frames(data, number_of_frames=COUNT)]
        assert all(len(frame) == of.frame_bytes + of.frame_bytes % 2 * padded for frame in frames)
        return np.stack(
            [np.frombuffer(f[: of.frame_bytes], of.dtype).reshape(of.shape) for f in frames]
        )

    padded = decompress is bytes
    return read


def inflated(frame):
    return zlib.decompressobj(-15).decompress(frame)


def djxl(path, of, folder):
    """libjxl of another version, as a program."""
    found = []
    data = pydicom.dcmread(path).PixelData
    for frame in generate_frames(data, number_of_frames=COUNT):
        (folder / "frame.jxl").write_bytes(frame)
        target = folder / ("frame.ppm" if of.samples == 3 else "frame.pgm")
        # Of 9 to 15 bits this version writes the bytes of a sample in the wrong order.
        run(
            "djxl",
            "--quiet",
            f"--bits_per_sample={of.bits_allocated}",
            folder / "frame.jxl",
            target,
        )
        _, size, most, samples = target.read_bytes().split(b"\n", 3)
        assert size.split() == [b"%d" % of.columns, b"%d" % of.rows]
        array = np.frombuffer(samples, ">u2" if int(most) > 255 else "u1").reshape(of.shape)
        found.append(np.round(array * (((1 << of.bits_stored) - 1) / int(most))).astype(of.dtype))
    return np.stack(found)


def djxl_to_jpeg(path, of, folder):
    """The JPEG that a JPEG XL frame holds, decoded by Pillow."""
    image_module = peer_module("PIL.Image")
    found = []
    for frame in generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=COUNT):
        (folder / "frame.jxl").write_bytes(frame)
        run("djxl", "--quiet", folder / "frame.jxl", folder / "frame.jpg")
        found.append(np.asarray(image_module.open(folder / "frame.jpg")))
    return np.stack(found)


PYLIBJPEG = plugin("pylibjpeg", "pylibjpeg", "libjpeg", "openjpeg", "rle")
NATIVE = [dcmtk("dcmconv", "+te"), gdcm]
JPEG = [dcmtk("dcmdjpeg"), gdcm, PYLIBJPEG]
JPEG_LS = [dcmtk("dcmdjpls"), gdcm, PYLIBJPEG]
HTJ2K = [PYLIBJPEG]
READERS = {
    "ImplicitVRLittleEndian": NATIVE,
    "ExplicitVRLittleEndian": NATIVE,
    "DeflatedExplicitVRLittleEndian": NATIVE,
    "EncapsulatedUncompressedExplicitVRLittleEndian": [encaps(bytes)],
    "DeflatedImageFrameCompression": [encaps(inflated)],
    "RLELossless": [dcmtk("dcmdrle"), gdcm, PYLIBJPEG],
    "JPEGBaseline8Bit": JPEG,
    "JPEGExtended12Bit": JPEG,
    "JPEGLossless": JPEG,
    "JPEGLosslessSV1": JPEG,
    "JPEGLSLossless": JPEG_LS,
    "JPEGLSNearLossless": JPEG_LS,
    "JPEG2000Lossless": [gdcm, PYLIBJPEG],
    "JPEG2000": [gdcm, PYLIBJPEG],
    "HTJ2KLossless": HTJ2K,
    "HTJ2KLosslessRPCL": HTJ2K,
    "HTJ2K": HTJ2K,
    "JPEGXLLossless": [djxl],
    "JPEGXLJPEGRecompression": [djxl],
    "JPEGXL": [djxl],
}
# gdcmconv and raw=True leave the colors of JPEG as they are: here they have to be undone.
COLOR_READERS = {
    "JPEGBaseline8Bit": [dcmtk("dcmdjpeg"), plugin("pillow", "PIL", raw=False)],
    "JPEGExtended12Bit": [dcmtk("dcmdjpeg")],
    "JPEGXLJPEGRecompression": [djxl_to_jpeg],
}

# Options; least PSNR of the waves in dB; how far another decoder may be from ours, in units of 8
# bits. JPEG-LS has a bound of its own: NEAR.
LOSSY = {
    "JPEGBaseline8Bit": ({"quality": 95}, 33, 1),
    "JPEGExtended12Bit": ({"quality": 95}, 33, 1),
    "JPEGXLJPEGRecompression": ({"quality": 95}, 33, 2),
    "JPEGLSNearLossless": ({"near": 3}, 30, 0),
    "JPEG2000": ({"quality": 50}, 48, 0),
    "HTJ2K": ({"quality": 50}, 40, 1),
    "JPEGXL": ({"distance": 0.5}, 32, 1),
}


def frames_for(keyword, of):
    frames = [image(of, seed=i) for i in range(COUNT - 1)] + [extremes(of)]
    if keyword == "JPEGLSNearLossless" and of.signed:
        # Near the ends of the range an error could change the sign, which is refused.
        half = 1 << of.bits_stored - 1
        frames = [np.clip(frame, 8 - half, half - 9) for frame in frames]
    return np.stack(frames)


def template_of(of):
    template = image_object(of, [])
    del template.PixelData
    del template.NumberOfFrames
    return template


def refused(keyword, of):
    """Which layouts a codec holds is for the tests of codecs; here it only has to say so."""
    try:
        registry.find(keyword).encoder(of)
    except UnsupportedError:
        return True
    return False


def test_every_syntax_that_is_written_has_a_reader():
    assert set(WRITTEN) <= set(READERS)
    assert len(WRITTEN) >= 6


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("keyword", WRITTEN)
def test_others_read_what_we_write(keyword, name, tmp_path):
    of = LAYOUTS[name]
    frames = frames_for(keyword, of)
    options, least, apart = LOSSY.get(keyword, ({}, None, 0))
    unknown, known = tmp_path / "unknown.dcm", tmp_path / "known.dcm"
    if refused(keyword, of):
        with (
            pytest.raises(UnsupportedError, match=f"{keyword} holds "),
            FrameWriter(unknown, template_of(of), transfer_syntax=keyword, **options) as writer,
        ):
            writer.write(frames)
        assert not list(tmp_path.iterdir())
        return
    with FrameWriter(unknown, template_of(of), transfer_syntax=keyword, **options) as writer:
        for frame in frames:
            writer.write(frame)
    with FrameWriter(
        known, template_of(of), transfer_syntax=keyword, frames=COUNT, **options
    ) as writer:
        writer.write(frames)
    if keyword != "DeflatedExplicitVRLittleEndian":
        assert pydicom.dcmread(known).PixelData == pydicom.dcmread(unknown).PixelData
    with FrameReader(unknown) as reader:
        ours = np.asarray(reader)
        assert reader.photometric == of.photometric
    if least is None:
        assert distance(ours, frames) == 0
    else:
        check_loss(keyword, of, frames, ours, least, options)
    readers = (COLOR_READERS if of.samples == 3 else {}).get(keyword, READERS[keyword])
    for path, read in [*((unknown, read) for read in readers), (known, readers[0])]:
        theirs = read(path, of, tmp_path)
        if least is None:
            assert distance(theirs, frames) == 0, read
        else:
            units = 1 << max(of.bits_stored - 8, 0)
            assert distance(theirs, ours) <= apart * units, read


def check_loss(keyword, of, frames, ours, least, options):
    for frame, decoded in zip(frames[:-1], ours[:-1], strict=True):
        assert psnr(frame, decoded, of.bits_stored) > least
    if keyword == "JPEGLSNearLossless":
        assert distance(ours, frames) <= options["near"]
    elif of.samples == 1:
        # Black stays black: nothing has wrapped around.
        assert distance(ours[-1], frames[-1]) < (1 << of.bits_stored) / 8


def test_recompressed_jpeg_comes_back_as_the_jpeg(tmp_path):
    """JPEG XL holds the JPEG that the baseline codec writes, byte for byte, says libjxl's djxl."""
    of = LAYOUTS["RGB"]
    for keyword in ("JPEGBaseline8Bit", "JPEGXLJPEGRecompression"):
        with FrameWriter(
            tmp_path / keyword, template_of(of), transfer_syntax=keyword, quality=80
        ) as writer:
            writer.write(image(of))
    with FrameReader(tmp_path / "JPEGXLJPEGRecompression") as reader:
        (tmp_path / "frame.jxl").write_bytes(reader.encoded(0))
    run("djxl", tmp_path / "frame.jxl", tmp_path / "frame.jpg")
    with FrameReader(tmp_path / "JPEGBaseline8Bit") as reader:
        assert reader.encoded(0).rstrip(b"\0") == (tmp_path / "frame.jpg").read_bytes()


# --- what they write ---


def program(name, *options):
    def write(source, target):
        command = [peer(name), *options, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    return write


def compressed(syntax, plugin, module, **options):
    def write(source, target):
        peer_module(module)
        data_set = pydicom.dcmread(source)
        try:
            data_set.compress(UID(registry.entry(syntax).uid), encoding_plugin=plugin, **options)
        except (RuntimeError, ValueError):
            return False
        save(data_set, target)
        return True

    return write


# Name -> what writes it, transfer syntax, greatest error.
THEIRS = {
    "dcmcrle": (program("dcmcrle"), "RLELossless", 0),
    "gdcmconv --rle": (program("gdcmconv", "--rle"), "RLELossless", 0),
    "pydicom RLE": (compressed("RLELossless", "pydicom", "pydicom"), "RLELossless", 0),
    "pylibjpeg RLE": (compressed("RLELossless", "pylibjpeg", "rle"), "RLELossless", 0),
    "dcmcjpeg +e1": (program("dcmcjpeg", "+e1"), "JPEGLosslessSV1", 0),
    "dcmcjpeg +el 4": (program("dcmcjpeg", "+el", "+sv", "4"), "JPEGLossless", 0),
    "dcmcjpeg +el 7": (program("dcmcjpeg", "+el", "+sv", "7"), "JPEGLossless", 0),
    "gdcmconv --jpeg": (program("gdcmconv", "--jpeg"), "JPEGLosslessSV1", 0),
    "dcmcjpls +il": (program("dcmcjpls", "+el", "+il"), "JPEGLSLossless", 0),
    "dcmcjpls +is": (program("dcmcjpls", "+el", "+is"), "JPEGLSLossless", 0),
    "dcmcjpls +in": (program("dcmcjpls", "+el", "+in"), "JPEGLSLossless", 0),
    "gdcmconv --jpegls": (program("gdcmconv", "--jpegls"), "JPEGLSLossless", 0),
    "pyjpegls": (compressed("JPEGLSLossless", "pyjpegls", "jpeg_ls"), "JPEGLSLossless", 0),
    "gdcmconv --j2k": (program("gdcmconv", "--j2k"), "JPEG2000Lossless", 0),
    "openjpeg": (compressed("JPEG2000Lossless", "pylibjpeg", "openjpeg"), "JPEG2000Lossless", 0),
    "dcmcjpls +en": (program("dcmcjpls", "+en", "+md", "2"), "JPEGLSNearLossless", 2),
    "pyjpegls near": (
        compressed("JPEGLSNearLossless", "pyjpegls", "jpeg_ls", jls_error=2),
        "JPEGLSNearLossless",
        2,
    ),
}
REFUSE = {("dcmcjpls +en", name) for name in LAYOUTS if "signed" in name}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("writer", THEIRS)
def test_we_read_what_others_write(writer, name, tmp_path):
    write, syntax, bound = THEIRS[writer]
    of = LAYOUTS[name]
    frames = frames_for(syntax, of)
    source = save(image_object(of, frames), tmp_path / "source.dcm")
    theirs, back = tmp_path / "theirs.dcm", tmp_path / "back.dcm"
    if (writer, name) in REFUSE:
        assert not write(source, theirs)
        return
    assert write(source, theirs)
    with FrameReader(theirs) as reader:
        assert reader.transfer_syntax == registry.entry(syntax).uid
        assert distance(np.asarray(reader), frames) <= bound
    report = transcode(theirs, back, "ExplicitVRLittleEndian")
    assert report.frames == COUNT
    made, given = pydicom.dcmread(back), pydicom.dcmread(source)
    if bound == 0:
        assert made.PixelData == given.PixelData
    for keyword in ("Rows", "Columns", "BitsStored", "PixelRepresentation", "SamplesPerPixel"):
        assert made[keyword].value == given[keyword].value, keyword
    assert made.PhotometricInterpretation == given.PhotometricInterpretation


# Options of dcmcjpeg -> transfer syntax and layouts; what it does to colors is undone by us.
DCT = {
    "+eb": ("JPEGBaseline8Bit", ["8", "RGB"]),
    "+eb +s4": ("JPEGBaseline8Bit", ["8", "RGB"]),
    "+eb +cr": ("JPEGBaseline8Bit", ["RGB"]),
    "+ee": ("JPEGExtended12Bit", ["8", "12", "RGB"]),
    "+es": ("JPEGSpectralSelectionNonHierarchical68", ["8", "12", "RGB"]),
    "+ep": ("JPEGFullProgressionNonHierarchical1012", ["8", "12", "RGB"]),
}


@pytest.mark.parametrize(("options", "name"), [(o, n) for o, (_, ns) in DCT.items() for n in ns])
def test_we_read_dct_as_dcmtk_does(options, name, tmp_path):
    of = LAYOUTS[name]
    frames = frames_for("", of)
    source = save(image_object(of, frames), tmp_path / "source.dcm")
    run("dcmcjpeg", *options.split(), source, tmp_path / "theirs.dcm")
    run("dcmdjpeg", tmp_path / "theirs.dcm", tmp_path / "decoded.dcm")
    with FrameReader(tmp_path / "theirs.dcm") as reader:
        assert reader.transfer_syntax == registry.entry(DCT[options][0]).uid
        assert reader.photometric == of.photometric
        assert distance(np.asarray(reader), frames_of(tmp_path / "decoded.dcm", COUNT)) <= 1
