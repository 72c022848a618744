"""Frames to code, and other people's decoders: what the tests of codecs share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from dicomloom.codecs import registry
from dicomloom.codecs.layout import Layout
from support import peer


def layout(
    bits=8, *, allocated=None, signed=False, color=False, rows=37, columns=53, photometric=None
):
    """A layout of odd size."""
    return Layout(
        rows,
        columns,
        samples=3 if color else 1,
        bits_allocated=allocated
        or (1 if bits == 1 else 8 if bits <= 8 else 16 if bits <= 16 else 32),
        bits_stored=bits,
        signed=signed,
        photometric=photometric or ("RGB" if color else "MONOCHROME2"),
    )


def image(of, *, noise=0.02, seed=0):
    """Waves over the whole range, with noise that runs into its ends."""
    y, x = np.mgrid[: of.rows, : of.columns]
    waves = (np.sin(x / 7) + np.cos(y / 5) + 2) / 4
    if of.samples == 3:
        waves = np.stack([waves, waves[::-1], 1 - waves[:, ::-1]], -1)
    most = (1 << of.bits_stored) - 1
    random = np.random.default_rng(seed)
    values = np.clip(waves * most + random.normal(0, noise * most, waves.shape), 0, most)
    values = np.floor(values).astype(np.int64) - (most // 2 + 1 if of.signed else 0)
    return values.astype(of.dtype)


def extremes(of, seed=0):
    """Nothing but the ends of the range, in blots."""
    random = np.random.default_rng(seed)
    blots = random.random((of.rows // 4 + 1, of.columns // 4 + 1)) < 0.5
    blots = np.kron(blots, np.ones((4, 4), bool))[: of.rows, : of.columns]
    low = -(1 << of.bits_stored - 1) if of.signed else 0
    values = np.where(blots, low + (1 << of.bits_stored) - 1, low)
    if of.samples == 3:
        values = np.stack([values, values[::-1], values[:, ::-1]], -1)
    return values.astype(of.dtype)


def noise(of, seed=0):
    """Each value of the range as likely as any other."""
    low = -(1 << of.bits_stored - 1) if of.signed else 0
    random = np.random.default_rng(seed)
    return random.integers(low, low + (1 << of.bits_stored), of.shape).astype(of.dtype)


def flat(of, seed=0):
    """One value as far as the eye sees, and here and there another: runs, and what ends them."""
    random = np.random.default_rng(seed)
    values = np.full(of.shape, noise(of, seed).flat[0])
    spots = random.random(of.shape) < 0.04
    near = random.random(of.shape) < 0.5
    least, most = (values.dtype.type(each(noise(of, seed))) for each in (np.min, np.max))
    values[spots] = np.where(near, np.clip(values, least + 1, most) - 1, noise(of, seed + 1))[spots]
    return values


def raw(pixels, of):
    """A frame as bytes; one-bit pixels packed."""
    if of.bits_allocated == 1:
        return np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    return pixels.tobytes()


def pixels_of(frame, of):
    """The reverse of `raw`."""
    if of.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
        return bits[: of.rows * of.columns].reshape(of.shape)
    return np.frombuffer(frame, of.dtype).reshape(of.shape)


def code(keyword, of, pixels, **options):
    """Code one frame: the encoder, and the whole bitstream."""
    encoder = registry.find(keyword).encoder(of, **options)
    return encoder, b"".join(bytes(part) for part in encoder.encode(raw(pixels, of)))


def decode(keyword, of, data, **options):
    """Decode one frame of a data set that says `of`."""
    decoder = registry.find(keyword).decoder(of, **options)
    return pixels_of(decoder.decode(data), decoder.layout)


def psnr(pixels, others, bits):
    error = ((pixels.astype(float) - others) ** 2).mean()
    return 999.0 if error == 0 else 20 * np.log10(2**bits - 1) - 10 * np.log10(error)


def data_set(keyword, of, frames):
    """A DICOM object with the frames, in memory."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(registry.entry(keyword).uid)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    made.Rows, made.Columns, made.SamplesPerPixel = of.rows, of.columns, of.samples
    made.BitsAllocated, made.BitsStored, made.HighBit = (
        of.bits_allocated,
        of.bits_stored,
        of.bits_stored - 1,
    )
    made.PixelRepresentation = int(of.signed)
    made.PhotometricInterpretation = of.photometric
    if of.samples > 1:
        made.PlanarConfiguration = 0
    made.PatientName, made.PatientID, made.Modality = "", "", "OT"
    made.StudyID = made.StudyDate = made.StudyTime = made.AccessionNumber = ""
    made.NumberOfFrames = len(frames)
    made.PixelData = encapsulate([bytes(frame) for frame in frames])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made


def by_program(program, keyword, of, data, folder: Path):
    """Decode one frame by a program of DCMTK: the data set it writes."""
    source, target = folder / "coded.dcm", folder / "decoded.dcm"
    data_set(keyword, of, [data]).save_as(source, enforce_file_format=True)
    subprocess.run([peer(program), str(source), str(target)], check=True, capture_output=True)
    return pydicom.dcmread(target)
