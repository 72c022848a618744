"""`FrameWriter.write_encoded`: frames that are coded already go through untouched."""

import io

import numpy as np
import pytest

from dicomloom import CorruptError, FrameReader, FrameWriter, PixelError
from dicomloom.codecs.backends import Backend
from faults import noise

PLAIN = {"Rows": 64, "Columns": 64, "BitsAllocated": 8}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.dcm"


def written(path, pixels, **options):
    with FrameWriter(path, {}, **options) as writer:
        for frame in pixels:
            writer.write(frame)


@pytest.mark.parametrize(
    "syntax", ["RLELossless", "JPEGBaseline8Bit", "JPEG2000Lossless", "JPEGLSLossless"]
)
def test_coded_frames(tmp_path, path, syntax):
    pytest.importorskip("imagecodecs")
    frames = noise(5, 16, 24)
    written(tmp_path / "in.dcm", frames, transfer_syntax=syntax)
    with FrameReader(tmp_path / "in.dcm") as reader:
        coded = [reader.encoded(i) for i in range(5)]
    template = {"Rows": 16, "Columns": 24, "BitsAllocated": 8}
    with FrameWriter(path, template, transfer_syntax=syntax) as writer:
        for bitstream in coded:
            writer.write_encoded(bitstream)
    with FrameReader(path) as reader:
        assert [reader.encoded(i) for i in range(5)] == coded
        found = reader.dataset
    if syntax == "JPEGBaseline8Bit":
        assert found.LossyImageCompression == "01"
        assert found.LossyImageCompressionMethod == "ISO_10918_1"
    else:
        assert "LossyImageCompression" not in found
    for data, kind, words in [
        (b"", CorruptError, []),
        (b"\0\0\0\0", CorruptError, []),
        (bytes(1000), CorruptError, []),
        (b"not coded at all", CorruptError, []),
        (coded[0][:6], CorruptError, []),
    ]:
        with pytest.raises(kind) as caught, FrameWriter(
            path, template, transfer_syntax=syntax
        ) as writer:  # fmt: skip
            writer.write_encoded(data)
        assert all(word in str(caught.value) for word in words)
    if syntax == "RLELossless":
        return
    other = {"Rows": 24, "Columns": 16, "BitsAllocated": 8}
    with pytest.raises(CorruptError) as caught, FrameWriter(
        path, other, transfer_syntax=syntax
    ) as writer:  # fmt: skip
        writer.write_encoded(coded[0])
    assert "24" in str(caught.value)
    assert "16" in str(caught.value)
    assert len(FrameReader(path)) == 5


def test_coded_frames_of_rle_have_the_right_number_of_segments(tmp_path, path):
    written(tmp_path / "in.dcm", noise(1), transfer_syntax="RLELossless")
    coded = FrameReader(tmp_path / "in.dcm").encoded(0)
    template = {"Rows": 64, "Columns": 64, "BitsAllocated": 16}
    with pytest.raises(CorruptError) as caught, FrameWriter(
        path, template, transfer_syntax="RLELossless"
    ) as writer:  # fmt: skip
        writer.write_encoded(coded)
    assert "2 RLE segments" in str(caught.value)
    assert "has 1" in str(caught.value)


def test_native_syntaxes_have_no_coded_frames(path):
    with pytest.raises(PixelError, match="ExplicitVRLittleEndian has no coded frames: use write"):
        with FrameWriter(path, PLAIN) as writer:
            writer.write_encoded(bytes(4096))


def test_coded_and_raw_frames_may_be_mixed(tmp_path, path):
    frames = noise(6)
    written(tmp_path / "in.dcm", frames, transfer_syntax="RLELossless")
    reader = FrameReader(tmp_path / "in.dcm")
    with FrameWriter(path, {}, transfer_syntax="RLELossless", workers=3) as writer:
        for i in range(6):
            if i in (1, 4):
                writer.write_encoded(reader.encoded(i))
            else:
                writer.write(frames[i])
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


def test_raw_frames_behind_coded_ones(tmp_path, path):
    frames = noise(3)
    written(tmp_path / "in.dcm", frames, transfer_syntax="RLELossless")
    with FrameWriter(path, PLAIN, transfer_syntax="RLELossless") as writer:
        writer.write_encoded(FrameReader(tmp_path / "in.dcm").encoded(0))
        writer.write(frames[1:])
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_coded_color_needs_no_encoder(path, monkeypatch, photometric):
    """A stream of any color space that the syntax allows, where no library is installed."""
    image = pytest.importorskip("PIL.Image")
    into = io.BytesIO()
    image.fromarray(np.dstack([*noise(3, 16, 24)])).save(into, "JPEG")
    coded = into.getvalue()

    def load(self, purpose):
        raise AssertionError(f"{purpose} asks for {self.name}")

    monkeypatch.setattr(Backend, "load", load)
    template = {"PhotometricInterpretation": photometric}
    with FrameWriter(path, template, transfer_syntax="JPEGBaseline8Bit") as writer:
        writer.write_encoded(coded)
    found = FrameReader(path)
    assert found.encoded(0).rstrip(b"\0") == coded
    assert found.dataset.PhotometricInterpretation == photometric
    assert found.dataset.LossyImageCompressionMethod == "ISO_10918_1"
