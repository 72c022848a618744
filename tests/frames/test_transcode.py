"""transcode: frames that are coded while they are read, and who codes them."""

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomloom import FrameReader, FrameWriter, MissingDependencyError, transcode
from dicomloom.codecs import backends, registry
from dicomloom.codecs.layout import Layout
from dicomloom.errors import PixelError
from dicomloom.frames import transcode as room
from faults import child, native_object, noise
from images import image, layout

BY_ROWS = {
    "RLELossless": {},
    "JPEGLossless": {"predictor": 6},
    "JPEGLosslessSV1": {},
    "JPEGLSLossless": {},
    "JPEGLSNearLossless": {"near": 2},
}
OWN = [keyword for keyword in BY_ROWS if keyword != "RLELossless"]
SEQUENTIAL = "DeflatedExplicitVRLittleEndian"
SOURCES = ["ExplicitVRLittleEndian", "EncapsulatedUncompressedExplicitVRLittleEndian", SEQUENTIAL]
LARGE = {
    # Not a whole number of bands, and a last one of one row.
    "gray": layout(16, rows=301, columns=501),
    "color": layout(8, rows=129, columns=1024, color=True),
    "a row is more than a band": layout(16, rows=3, columns=65535),
}


def coded_frames(path):
    made = pydicom.dcmread(path)
    return list(generate_frames(made.PixelData, number_of_frames=made.NumberOfFrames))


def even(data):
    return data + b"\0" * (len(data) % 2)


def frames_of(of, count=3):
    return np.stack([image(of, noise=0.01, seed=seed) for seed in range(count)])


def stored(folder, frames, syntax, **attributes):
    """An object as pydicom writes it, in one of the syntaxes without compression."""
    source = native_object(folder / "native.dcm", frames, **attributes)
    if syntax == SOURCES[0]:
        return source
    transcode(source, folder / "source.dcm", syntax)
    return folder / "source.dcm"


@pytest.fixture
def bands(monkeypatch):
    """How many frames were read by bands."""
    seen = []
    real = room._RowCoder._by_bands
    monkeypatch.setattr(
        room._RowCoder, "_by_bands", lambda self, i: (seen.append(i), real(self, i))[1]
    )
    return seen


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("syntax", SOURCES)
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("keyword", BY_ROWS)
def test_bands_give_what_whole_frames_give(tmp_path, bands, keyword, name, syntax, workers):
    of, options = LARGE[name], BY_ROWS[keyword]
    assert of.frame_bytes > room._BAND
    frames = frames_of(of)
    encoder = registry.find(keyword).encoder(of, **options)
    whole = [even(b"".join(map(bytes, encoder.encode(frame.tobytes())))) for frame in frames]
    source = stored(tmp_path, frames, syntax)
    report = transcode(source, tmp_path / "out.dcm", keyword, workers=workers, **options)
    assert coded_frames(tmp_path / "out.dcm") == whole
    assert (report.frames, report.lossy) == (3, "near" in options)
    # Where going back costs reading from the start, frames of two passes are read whole.
    twice = encoder.passes == 2 and syntax == SEQUENTIAL
    assert sorted(bands) == ([] if twice else [0, 1, 2])


@pytest.mark.parametrize("syntax", SOURCES)
@pytest.mark.parametrize("keyword", BY_ROWS)
def test_small_frames_go_in_batches(tmp_path, bands, keyword, syntax):
    frames = noise(50, 20, 31)
    options = {"near": 0} if "Near" in keyword else BY_ROWS[keyword]
    source = stored(tmp_path, frames, syntax)
    for chosen in (None, slice(0, 50, 3), [40, 3, 4, 5, 39]):
        transcode(source, tmp_path / "out.dcm", keyword, frames=chosen, **options)
        wanted = frames if chosen is None else frames[chosen]
        assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), wanted)
    assert bands == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("syntax", SOURCES)
@pytest.mark.parametrize("size", [(16, 20), (301, 501)])
@pytest.mark.parametrize("keyword", OWN)
def test_a_value_that_does_not_fit_is_told_with_its_frame(tmp_path, keyword, size, syntax, workers):
    """One by one, in batches, and by bands; nothing appears under the name of the target."""
    of = layout(12, rows=size[0], columns=size[1])
    frames = frames_of(of, 8)
    frames[5, 9, 7] = 4096
    source = stored(tmp_path, frames, syntax, BitsStored=12, HighBit=11)
    with pytest.raises(PixelError, match=r"BitsStored 12.*4096.*row 9, column 7") as caught:
        transcode(source, tmp_path / "out.dcm", keyword, workers=workers)
    assert (caught.value.frame, caught.value.path) == (5, str(source))
    assert not (tmp_path / "out.dcm").exists()


@pytest.mark.parametrize("keyword", ["JPEGLSLossless", "JPEGLosslessSV1", "JPEG2000Lossless"])
@pytest.mark.parametrize("target", [SOURCES[0], SOURCES[1], "RLELossless", SEQUENTIAL])
def test_a_codestream_of_more_bits_than_bits_stored_loses_none(tmp_path, keyword, target):
    """Above BitsStored they would be there and be read by nobody: refused, as elsewhere."""
    frames = frames_of(layout(12), 4)
    source = native_object(tmp_path / "native.dcm", frames, BitsStored=12, HighBit=11)
    transcode(source, tmp_path / "coded.dcm", keyword)
    told = pydicom.dcmread(tmp_path / "coded.dcm")
    told.BitsStored = int(frames[:2].max()).bit_length() - 1
    told.save_as(tmp_path / "lies.dcm")
    with pytest.raises(PixelError, match=rf"BitsStored {told.BitsStored}") as caught:
        transcode(tmp_path / "lies.dcm", tmp_path / "out.dcm", target)
    assert caught.value.frame in (0, 1)
    assert not (tmp_path / "out.dcm").exists()
    transcode(tmp_path / "coded.dcm", tmp_path / "out.dcm", target)
    assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), frames)


@pytest.mark.parametrize("keyword", ["JPEGLSLossless", "JPEGLosslessSV1"])
@pytest.mark.parametrize("target", [SOURCES[0], "RLELossless"])
def test_the_way_back_needs_no_numpy(tmp_path, keyword, target):
    """A codestream says of itself that its values fit BitsStored."""
    frames = frames_of(layout(12), 4)
    source = native_object(tmp_path / "native.dcm", frames, BitsStored=12, HighBit=11)
    transcode(source, tmp_path / "coded.dcm", keyword)
    script = """
        import sys, dicomloom
        dicomloom.transcode(*sys.argv[1:])
        assert not {"numpy", "pydicom"} & set(sys.modules)
        """
    done = child(script, tmp_path / "coded.dcm", tmp_path / "out.dcm", target)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(FrameReader(tmp_path / "out.dcm")), frames)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("keyword", OWN)
def test_a_writer_tells_the_frame_too(tmp_path, keyword, workers):
    of = layout(12)
    frames = frames_of(of, 8)
    frames[5, 9, 7] = 4096
    template = {"BitsStored": 12, "HighBit": 11}
    with (
        pytest.raises(PixelError, match=r"BitsStored 12.*4096") as caught,
        FrameWriter(
            tmp_path / "out.dcm", template, transfer_syntax=keyword, workers=workers
        ) as writer,
    ):
        for frame in frames:
            writer.write(frame)
    assert caught.value.frame == 5
    assert not (tmp_path / "out.dcm").exists()


# --- backend ---


@pytest.fixture
def no_libraries(monkeypatch):
    """As if none that codes or decodes these could be used."""
    for library in (backends.IMAGECODECS, backends.PYJPEGLS, backends.LIBJPEG):
        monkeypatch.setattr(library, "_loaded", None)
        monkeypatch.setattr(library, "least", (9999,))
    monkeypatch.setattr("dicomloom.codecs.fallback.plugins", lambda uid: [])


def same_pixels(path, frames):
    assert np.array_equal(np.asarray(FrameReader(path)), frames)


@pytest.mark.parametrize("keyword", ["JPEGLosslessSV1", "JPEGLSLossless"])
def test_libraries_where_they_are_asked_for(tmp_path, keyword):
    pytest.importorskip("imagecodecs")
    frames = frames_of(layout(12), 5)
    source = native_object(tmp_path / "in.dcm", frames, BitsStored=12, HighBit=11)
    out, back = tmp_path / "coded.dcm", tmp_path / "back.dcm"
    for backend in ("library", "dicomloom", None):
        transcode(source, out, keyword, backend=backend)
        same_pixels(out, frames)
        for target in ("RLELossless", "ExplicitVRLittleEndian", "JPEG2000Lossless", keyword):
            for decoding in ("library", "dicomloom"):
                transcode(out, back, target, backend=decoding)
                same_pixels(back, frames)
        transcode(out, back, "RLELossless")
        transcode(out, back, "JPEGLosslessSV1", backend=backend)
        same_pixels(back, frames)


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize("keyword", ["JPEGLosslessSV1", "JPEGLSLossless"])
def test_the_choice_reaches_both_sides(tmp_path, keyword):
    """Without libraries all goes well, but where they are asked for."""
    frames = frames_of(layout(12), 5)
    source = native_object(tmp_path / "in.dcm", frames, BitsStored=12, HighBit=11)
    out, back = tmp_path / "coded.dcm", tmp_path / "back.dcm"
    with pytest.raises(MissingDependencyError, match=f"{keyword}: coding"):
        transcode(source, out, keyword, backend="library")
    transcode(source, out, keyword)
    for target in ("RLELossless", "ExplicitVRLittleEndian"):
        with pytest.raises(MissingDependencyError, match=f"{keyword}: decoding"):
            transcode(out, back, target, backend="library")
    with pytest.raises(MissingDependencyError):  # the same syntax: coded anew, not copied
        transcode(out, back, keyword, backend="library")
    transcode(out, back, "RLELossless", backend="dicomloom")
    same_pixels(back, frames)


@pytest.mark.parametrize("target", ["RLELossless", "ExplicitVRLittleEndian", "JPEGLSLossless"])
def test_a_backend_that_is_none(tmp_path, target):
    source = tmp_path / "in.dcm"
    transcode(native_object(source, noise(2)), source, "JPEGLosslessSV1")
    before = source.read_bytes()
    with pytest.raises(ValueError, match="backend must be dicomloom or library, not 'charls'"):
        transcode(source, source, target, backend="charls")
    assert source.read_bytes() == before


def test_a_choice_where_there_is_none(tmp_path):
    source = native_object(tmp_path / "in.dcm", noise(2))
    for target in ("RLELossless", "ImplicitVRLittleEndian", "JPEG2000Lossless"):
        with pytest.raises(TypeError, match=f"neither ExplicitVR.* nor {target} takes .* backend"):
            transcode(source, tmp_path / "out.dcm", target, backend="library")
    assert not (tmp_path / "out.dcm").exists()


def test_layouts_that_bands_do_not_fit(tmp_path, bands):
    """Color by plane has to be read whole."""
    of = Layout(300, 320, samples=3, photometric="RGB")
    frames = frames_of(of, 2)
    planes = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
    source = native_object(tmp_path / "in.dcm", frames)
    made = pydicom.dcmread(source)
    made.PlanarConfiguration, made.PixelData = 1, planes.tobytes()
    made.save_as(source)
    for keyword in ("JPEGLosslessSV1", "JPEGLSLossless"):
        transcode(source, tmp_path / "out.dcm", keyword)
        same_pixels(tmp_path / "out.dcm", frames)
        assert pydicom.dcmread(tmp_path / "out.dcm").PlanarConfiguration == 0
    assert bands == []
