"""RLE Lossless against pydicom's own codec, real files, and other people's encoders."""

import struct
import subprocess
import threading

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder, get_encoder

from dicomloom import CorruptError, DicomloomError, TruncatedError, UnsupportedError
from dicomloom._native.codecs import RLEEncoder, rle_decode
from dicomloom.codecs.layout import Layout
from dicomloom.codecs.rle import RLELossless
from dicomloom.errors import PixelError
from support import manifest, peer

CODEC = RLELossless()
UID = CODEC.uid
LAYOUTS = [
    Layout(7, 13),
    Layout(64, 130, bits_allocated=16, signed=True),
    Layout(5, 33, bits_allocated=32),
    Layout(3, 40, bits_allocated=64),
    Layout(6, 50, samples=3, photometric="RGB"),
    Layout(6, 50, samples=3, bits_allocated=16, photometric="YBR_FULL", planar=1),
    Layout(4, 9, samples=3, bits_allocated=32, photometric="RGB"),
]
# Of these PS3.5 Table 8.2.2-1 knows, and so pydicom's encoder.
LISTED = [LAYOUTS[0], LAYOUTS[1], LAYOUTS[4], LAYOUTS[5].replace(photometric="RGB")]


def frame_of(layout, seed=0):
    """Smooth above, noisy below, and an empty third: what images are."""
    random = np.random.default_rng(seed)
    values = np.cumsum(random.integers(-3, 4, layout.shape), axis=1)
    values[: layout.rows // 3] = 0
    return values.astype(layout.dtype)


def coded(layout, pixels):
    return b"".join(CODEC.encoder(layout).encode(pixels))


def odd(data):
    """How many of a frame's segments lack the padding that PS3.5 G.5 asks for."""
    count, *offsets = struct.unpack_from("<16L", data)
    ends = [*offsets[1:count], len(data)]
    return sum((end - start) % 2 for start, end in zip(offsets, ends, strict=False))


def keywords(layout):
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": layout.photometric,
        "number_of_frames": 1,
        "planar_configuration": 1,
        "pixel_keyword": "PixelData",
    }


def pydicom_decodes(layout, data):
    pixels, _ = get_decoder(UID).as_array(
        encapsulate([data]), index=0, raw=True, decoding_plugin="pydicom", **keywords(layout)
    )
    return np.ascontiguousarray(pixels).tobytes()


def pydicom_encodes(layout, pixels):
    options = {**keywords(layout), "planar_configuration": 0}
    return get_encoder(UID).encode(pixels, encoding_plugin="pydicom", **options)


@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
def test_pydicom_reads_what_we_write(layout):
    pixels = frame_of(layout).tobytes()
    data = coded(layout, pixels)
    assert pydicom_decodes(layout, data) == pixels
    assert len(data) % 2 == 0
    assert len(data) <= CODEC.encoder(layout).bound()


@pytest.mark.parametrize("layout", LISTED, ids=repr)
def test_we_read_what_pydicom_writes_and_write_no_more(layout):
    pixels = frame_of(layout).tobytes()
    data = pydicom_encodes(layout, pixels)
    assert CODEC.decoder(layout).decode(data) == pixels
    assert len(coded(layout, pixels)) <= len(data) + odd(data)


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.bits_allocated < 64], ids=repr)
def test_pylibjpeg_both_ways_and_no_larger(layout):
    rle = pytest.importorskip("rle.rle")
    pixels = frame_of(layout, 1).tobytes()
    shape = (layout.rows, layout.columns, layout.samples, layout.bits_allocated, "<")
    theirs = bytes(rle.encode_frame(pixels, *shape))
    ours = coded(layout, pixels)
    assert CODEC.decoder(layout).decode(theirs) == pixels
    by_plane = rle.decode_frame(ours, layout.rows * layout.columns, layout.bits_allocated, "<")
    planes = np.frombuffer(by_plane, layout.dtype).reshape(layout.samples, -1)
    assert planes.T.tobytes() == pixels
    assert len(ours) <= len(theirs)


def frames_of(path):
    """Coded frames of a file, and the layout that its data set tells."""
    ds = pydicom.dcmread(path)
    count = int(ds.get("NumberOfFrames", 1))
    layout = Layout(
        ds.Rows,
        ds.Columns,
        samples=ds.SamplesPerPixel,
        bits_allocated=ds.BitsAllocated,
        bits_stored=ds.BitsStored,
        signed=ds.PixelRepresentation == 1,
        photometric=ds.PhotometricInterpretation,
        planar=int(ds.get("PlanarConfiguration", 0)),
    )
    return ds, list(generate_frames(ds.PixelData, number_of_frames=count)), layout


def test_every_file_of_the_corpus_as_pydicom_decodes_it(corpus):
    seen = 0
    for row in manifest(corpus):
        if row["transfer_syntax"] != UID or row["bits_allocated"] == "1":
            continue
        ds, frames, layout = frames_of(corpus / row["file"])
        decoder = CODEC.decoder(layout)
        expected = get_decoder(UID).iter_array(ds, raw=True, decoding_plugin="pydicom")
        for data, (pixels, _) in zip(frames, expected, strict=True):
            raw = np.ascontiguousarray(pixels).tobytes()
            assert decoder.decode(data) == raw, row["file"]
            again = coded(layout, raw)
            assert len(again) <= len(data) + odd(data), row["file"]  # whoever wrote it
            assert decoder.decode(again) == raw
            seen += 1
    assert seen >= 45


@pytest.mark.parametrize("name", ["liver", "liver_nonbyte_aligned"])
def test_single_bits(corpus, name):
    """The same segmentation, native: its frames follow each other bit by bit."""
    files = {row["file"].rsplit("/", 1)[1]: row["file"] for row in manifest(corpus)}
    _, frames, layout = frames_of(corpus / files[f"{name}_rle.dcm"])
    native = pydicom.dcmread(corpus / files[f"{name}.dcm"])
    bits = np.unpackbits(np.frombuffer(native.PixelData, np.uint8), bitorder="little")
    size = layout.rows * layout.columns
    for i, data in enumerate(frames):
        raw = np.frombuffer(CODEC.decoder(layout).decode(data), np.uint8)
        assert len(raw) == layout.frame_bytes
        found = np.unpackbits(raw, bitorder="little")[:size]
        assert np.array_equal(found, bits[i * size : (i + 1) * size])


PEERS = {
    "dcmcrle": lambda tool, path, out: [tool, path, out],
    "gdcmconv": lambda tool, path, out: [tool, "--rle", path, out],
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize(
    "file",
    [
        "ImagingDataCommons__libdicom/data/test_files/ct_brain_single.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/examples_rgb_color.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/rtdose.dcm",
    ],
)
def test_peers_encoders(corpus, tmp_path, name, file):
    """What they write we read, and what we write is no larger."""
    native = pydicom.dcmread(corpus / file)
    out = str(tmp_path / "out.dcm")
    subprocess.run(PEERS[name](peer(name), str(corpus / file), out), check=True)
    _, frames, layout = frames_of(out)
    size = layout.frame_bytes
    for i, data in enumerate(frames):
        raw = CODEC.decoder(layout).decode(data)
        assert raw == native.PixelData[i * size : (i + 1) * size]
        assert len(coded(layout, raw)) <= len(data) + odd(data)
    # PS3.5 G.2. DCMTK 3.6.7 leaves what it finds.
    if name == "gdcmconv":
        assert CODEC.encoder(layout.replace(planar=0)).layout.planar == layout.planar


@pytest.mark.parametrize("layout", LISTED, ids=repr)
def test_dcmtk_reads_what_we_write(tmp_path, layout):
    pixels = frame_of(layout).tobytes()
    encoder = CODEC.encoder(layout)
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = layout.rows, layout.columns, layout.samples
    ds.BitsAllocated = ds.BitsStored = layout.bits_allocated
    ds.HighBit, ds.PixelRepresentation = layout.bits_allocated - 1, int(layout.signed)
    ds.PhotometricInterpretation = layout.photometric
    if layout.samples > 1:
        ds.PlanarConfiguration = encoder.layout.planar
    ds.PixelData = encapsulate([b"".join(encoder.encode(pixels))])
    ds["PixelData"].VR = "OB"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID
    ds.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    command = [peer("dcmdrle"), str(tmp_path / "rle.dcm"), str(tmp_path / "native.dcm")]
    subprocess.run(command, check=True)
    native = pydicom.dcmread(tmp_path / "native.dcm")
    planes = np.frombuffer(native.PixelData[: len(pixels)], layout.dtype)
    if native.get("PlanarConfiguration"):
        planes = planes.reshape(layout.samples, -1).T
    assert planes.tobytes() == pixels


@st.composite
def frames(draw):
    size, samples = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 3), (4, 1), (8, 1), (1, 15)]))
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 150))
    runs = draw(
        st.lists(st.tuples(st.integers(1, 300), st.binary(min_size=1, max_size=4)), min_size=1)
    )
    plane = b"".join(value * length for length, value in runs)
    want = rows * columns * samples * size
    return Layout(rows, columns, samples=samples, bits_allocated=8 * size), (
        plane * (want // len(plane) + 1)
    )[:want]


@settings(max_examples=150, deadline=None)
@given(frames(), st.integers(1, 5))
def test_round_trip_whole_and_in_bands(given_frame, lot):
    layout, pixels = given_frame
    encoder = CODEC.encoder(layout)
    data = b"".join(encoder.encode(pixels))
    assert len(data) <= encoder.bound()
    assert CODEC.decoder(layout).decode(data) == pixels
    if layout.samples in (1, 3):
        assert pydicom_decodes(layout, data) == pixels
    encoder.begin()
    for row in range(0, layout.rows, lot):
        encoder.rows(pixels[row * layout.row_bytes : (row + lot) * layout.row_bytes])
    assert b"".join(encoder.end()) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(LAYOUTS))
def test_any_bytes_are_decoded_or_refused(tail, layout):
    count = layout.samples * layout.bits_allocated // 8
    header = struct.pack("<16L", count, *(64 + i for i in range(count)), *[0] * (15 - count))
    try:
        found = CODEC.decoder(layout).decode(header + tail)
    except (CorruptError, TruncatedError) as error:
        assert "segment" in str(error)
    else:
        assert len(memoryview(found)) == layout.frame_bytes


def test_layouts_that_encoder_and_decoder_speak_of():
    layout = Layout(2, 2, samples=3, photometric="RGB", planar=1)
    encoder = CODEC.encoder(layout)
    assert (encoder.source.planar, encoder.layout.planar) == (0, 1)
    assert (encoder.lossy, encoder.method) == (False, None)
    assert CODEC.decoder(layout).layout.planar == 0
    assert CODEC.encoder(Layout(2, 2)).layout.planar == 0
    halved = CODEC.decoder(layout.replace(photometric="YBR_FULL_422")).layout
    assert (halved.photometric, halved.frame_bytes) == ("YBR_FULL", 12)


@pytest.mark.parametrize(
    ("layout", "part"),
    [
        (Layout(4, 4, bits_allocated=1), "samples of 8, 16, 32, 64 bits, these have 1; try"),
        (Layout(4, 4, bits_allocated=24), "these have 24"),
        (Layout(4, 4, bits_allocated=32, floating=True), "not for Float or Double Float"),
        (Layout(4, 4, samples=3, photometric="YBR_FULL_422"), "convert it to YBR_FULL or RGB"),
        (Layout(4, 4, samples=3, bits_allocated=64), "3 samples of 64 bits need 24; try"),
        (Layout(0, 4), "0 rows"),
        (Layout(70000, 4), "70000 rows"),
    ],
)
def test_layouts_that_cannot_be_coded(layout, part):
    with pytest.raises(UnsupportedError, match=part):
        CODEC.encoder(layout)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(4, 4, bits_allocated=1, samples=3),
        Layout(4, 4, bits_allocated=12),
        Layout(4, 4, bits_allocated=64, floating=True),
        Layout(4, 4, samples=16),
    ],
)
def test_layouts_that_cannot_be_decoded(layout):
    with pytest.raises(UnsupportedError, match="RLE Lossless"):
        CODEC.decoder(layout)


def test_there_are_no_options():
    with pytest.raises(TypeError, match="RLELossless has no option level"):
        CODEC.encoder(Layout(1, 1), level=3)


def test_faults_say_where_and_what():
    layout = Layout(8, 8, bits_allocated=16)
    data = coded(layout, frame_of(layout).tobytes())
    decoder = CODEC.decoder(layout)
    for other, found, message in [
        (data[:40], TruncatedError, "header of 64 bytes, 40 are there"),
        (struct.pack("<L", 3) + data[4:], CorruptError, "says 3 segments; 1 samples of 2 bytes"),
        (struct.pack("<L", 0xFFFFFFFF) + data[4:], CorruptError, "says 4294967295 segments"),
        (
            data[:8] + struct.pack("<L", 10) + data[12:],
            CorruptError,
            "segment 2 of 2 .*begin at 10",
        ),
        (data[:-9], TruncatedError, "segment 2 of 2 .* bytes of 64"),
    ]:
        with pytest.raises(found, match=message) as caught:
            decoder.decode(other)
        assert caught.value.offset is not None
    with pytest.raises(PixelError, match="expected a frame of 128 bytes .*, found 9"):
        CODEC.encoder(layout).encode(bytes(9))


def test_no_room_is_made_for_what_the_bytes_cannot_fill():
    layout = Layout(65535, 65535, bits_allocated=8)
    with pytest.raises(TruncatedError, match="gives at most 6400 bytes of 4294836225"):
        CODEC.decoder(layout).decode(struct.pack("<16L", 1, 64, *[0] * 14) + bytes(100))


def test_into_a_buffer():
    layout = Layout(8, 8, bits_allocated=16)
    pixels = frame_of(layout)
    data = coded(layout, pixels.tobytes())
    decoder = CODEC.decoder(layout)
    into = np.zeros(layout.shape, layout.dtype)
    assert decoder.decode(memoryview(data), into) is into
    assert np.array_equal(into, pixels)
    assert isinstance(decoder.decode(bytearray(data)), bytearray)
    with pytest.raises(ValueError, match="expected a buffer of 128 bytes, found 3"):
        decoder.decode(data, bytearray(3))
    with pytest.raises(BufferError):
        decoder.decode(data, bytes(128))
    with pytest.raises(ValueError, match="contiguous"):
        decoder.decode(data, np.zeros((16, 16), np.uint8)[::2, ::2])


def test_pieces_live_until_the_next_frame():
    layout = Layout(3, 4)
    encoder = CODEC.encoder(layout)
    first = encoder.encode(bytes(12))
    data = b"".join(first)
    assert sum(len(piece) for piece in first) == len(data)
    with memoryview(first[1]) as held:
        assert held.readonly
        with pytest.raises(BufferError, match="still in use"):
            encoder.encode(bytes(12))
        assert held.tobytes() == data[64:]
    encoder.encode(bytes(range(12)))
    with pytest.raises(BufferError, match="has begun another frame"):
        memoryview(first[1])
    last = encoder.encode(bytes(12))
    del encoder  # a piece keeps what it shows
    assert b"".join(last) == data


def test_bands_come_in_order():
    encoder = CODEC.encoder(Layout(3, 4))
    with pytest.raises(DicomloomError, match="no frame was begun"):
        encoder.rows(bytes(4))
    encoder.begin()
    encoder.rows(bytes(8))
    with pytest.raises(DicomloomError, match="3 bytes are no number of whole rows"):
        encoder.rows(bytes(3))
    with pytest.raises(DicomloomError, match="1 of 3 rows are missing"):
        encoder.end()
    with pytest.raises(DicomloomError, match="2 rows, where 1 are left of a frame of 3"):
        encoder.rows(bytes(8))
    encoder.rows(bytes(4))
    encoder.end()
    with pytest.raises(DicomloomError, match="no frame was begun"):
        encoder.end()


def test_one_decoder_in_many_threads():
    layout = Layout(256, 256, bits_allocated=16)
    decoder = CODEC.decoder(layout)
    pixels = [frame_of(layout, seed).tobytes() for seed in range(4)]
    wrong = []

    def work(raw):
        data = coded(layout, raw)
        wrong.extend(i for i in range(50) if decoder.decode(data) != raw)

    threads = [threading.Thread(target=work, args=(raw,)) for raw in pixels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_native_arguments():
    with pytest.raises(UnsupportedError, match="samples of 1, 2, 4 or 8 bytes, not of 3"):
        RLEEncoder(1, 1, 1, 3)
    with pytest.raises(OverflowError):
        RLEEncoder(-1, 1, 1, 1)
    with pytest.raises(UnsupportedError, match="is empty"):
        rle_decode(bytes(64), 0, 1, 1, 1)
    with pytest.raises(UnsupportedError):
        rle_decode(bytes(64), 0xFFFFFFFF, 0xFFFFFFFF, 1, 8)
