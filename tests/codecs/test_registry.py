"""What is there, by which names, and what happens where a library is missing."""

import subprocess
import sys
import threading

import pydicom.uid
import pytest

from dicomloom import DicomloomError, MissingDependencyError, UnsupportedError
from dicomloom.codecs import backends, registry
from images import code, decode, image, layout

CODED = [
    entry.keyword
    for entry in registry.entries()
    if entry.module not in ("native", "deflated", "rle")
]
WRITTEN = [keyword for keyword in CODED if "NonHierarchical" not in keyword]
OWN = ["JPEGLossless", "JPEGLosslessSV1", "JPEGLSLossless", "JPEGLSNearLossless"]


def by_library(keyword):
    """The option that leaves the work to a library, where there is a choice."""
    return {"backend": "library"} if keyword in OWN else {}


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.keyword)
def test_names_are_those_of_the_standard(entry):
    uid = pydicom.uid.UID(entry.uid)
    if uid.keyword:  # pydicom 3.0 is older than some
        assert uid.keyword == entry.keyword
    for name in (entry.keyword, entry.keyword.upper(), entry.uid, uid, entry.uid + "\0"):
        codec = registry.find(name)
        assert (codec.keyword, codec.uid) == (entry.keyword, entry.uid)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("JPEG2000Lossles", "JPEG2000Lossless"),
        ("1.2.840.10008.1.2.4.7", "1.2.840.10008.1.2.4.70 .JPEGLosslessSV1."),
        ("JPEGBaseline", "JPEGBaseline8Bit"),
        ("", "dicomloom codecs"),
        ("1.2.840.10008.1.2.4.100", "no transfer syntax whose frames"),
    ],
)
def test_unknown_names_are_told_their_neighbors(name, words):
    with pytest.raises(UnsupportedError, match=words) as caught:
        registry.find(name)
    assert isinstance(caught.value, ValueError)


def test_the_table_has_a_row_each():
    rows = registry.table()
    assert [row.keyword for row in rows] == [entry.keyword for entry in registry.entries()]
    for row in rows:
        assert row.reads
        assert row.bits
        read_only = row.keyword == "ExplicitVRBigEndian" or "NonHierarchical" in row.keyword
        assert bool(row.writes) != read_only
        assert row.extras == []


def test_read_only_syntaxes_say_so():
    for keyword in ("ExplicitVRBigEndian", "JPEGFullProgressionNonHierarchical1012"):
        with pytest.raises(UnsupportedError, match="only read"):
            registry.find(keyword).encoder(layout(8))


LIBRARIES = (backends.IMAGECODECS, backends.PYJPEGLS, backends.LIBJPEG, backends.OPENJPEG)


def take_away(monkeypatch, *libraries):
    """As if they were not installed: importing None in sys.modules does that."""
    for library in libraries:
        monkeypatch.setattr(library, "_loaded", None)
        monkeypatch.setitem(sys.modules, library.module.partition(".")[0], None)
        monkeypatch.setitem(sys.modules, library.module, None)


def make_too_old(monkeypatch, library):
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "least", (9999, 1))


@pytest.fixture
def nothing_installed(monkeypatch):
    take_away(monkeypatch, *LIBRARIES)
    monkeypatch.setattr("dicomloom.codecs.fallback.plugins", lambda uid: [])


@pytest.mark.parametrize("keyword", CODED)
def test_a_missing_library_is_named_with_its_extra(keyword, request):
    of = layout(8)
    sample = image(of)
    written = keyword if keyword in WRITTEN else "JPEGBaseline8Bit"
    _, data = code(written, of, sample)
    request.getfixturevalue("nothing_installed")
    codec, options = registry.find(keyword), by_library(keyword)
    own = ["dicomloom"] if options else []
    assert codec.reads() == codec.writes() == own
    assert codec.writable() == bool(own)
    with pytest.raises(MissingDependencyError, match=r"imagecodecs.*dicomloom\[codecs\]"):
        codec.decoder(of, **options).decode(data)
    if keyword in WRITTEN:
        with pytest.raises(
            MissingDependencyError, match=r"imagecodecs.*dicomloom\[codecs\]"
        ) as caught:
            codec.encoder(of, **options)
        assert isinstance(caught.value, ImportError)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("keyword", OWN)
def test_what_dicomloom_codes_itself_needs_no_library(keyword):
    of = layout(12)
    sample = image(of)
    encoder, data = code(keyword, of, sample, **({"near": 0} if "Near" in keyword else {}))
    assert (decode(keyword, encoder.layout, data) == sample).all()


@pytest.mark.usefixtures("nothing_installed")
def test_the_table_tells_what_would_bring_it():
    rows = {row.keyword: row for row in registry.table()}
    assert rows["JPEGBaseline8Bit"].extras == ["codecs", "libjpeg"]
    for keyword in OWN:  # nothing is lacking
        assert rows[keyword].extras == []
        assert rows[keyword].reads == rows[keyword].writes == ["dicomloom"]
    assert rows["HTJ2K"].extras == ["codecs"]
    assert rows["ExplicitVRLittleEndian"].extras == []
    assert rows["JPEG2000"].reads == rows["JPEG2000"].writes == []


def test_other_depths_of_jpeg_ls_need_another_library(monkeypatch):
    take_away(monkeypatch, backends.PYJPEGLS)
    codec = registry.find("JPEGLSLossless")
    codec.encoder(layout(16), backend="library")
    with pytest.raises(MissingDependencyError, match="coding 12 bits needs pyjpegls"):
        codec.encoder(layout(12), backend="library")
    codec.encoder(layout(12))


@pytest.mark.parametrize(
    ("keyword", "of"),
    [
        ("JPEGBaseline8Bit", layout(8)),
        ("JPEGExtended12Bit", layout(12)),
        ("JPEGLosslessSV1", layout(16)),
        ("JPEGLossless", layout(8, color=True)),
        ("JPEGLSLossless", layout(12, signed=True)),
        ("JPEG2000Lossless", layout(12, signed=True)),
        ("HTJ2KLossless", layout(8, color=True)),
    ],
)
@pytest.mark.parametrize("last_resort", [False, True])
def test_the_next_library_decodes_alike(keyword, of, last_resort, monkeypatch):
    encoder, data = code(keyword, of, image(of))
    first = decode(keyword, encoder.layout, data).astype(int)
    options = by_library(keyword)
    take_away(monkeypatch, backends.IMAGECODECS)
    if last_resort:  # pydicom's own decoders, whose plugins import no module anew
        for backend in (backends.LIBJPEG, backends.OPENJPEG):
            make_too_old(monkeypatch, backend)
        assert registry.find(keyword).reads()[len(options)].startswith("pydicom")
    second = decode(keyword, encoder.layout, data, **options).astype(int)
    assert abs(first - second).max() <= int(encoder.lossy)


def test_too_old_a_library_will_not_do(monkeypatch):
    make_too_old(monkeypatch, backends.IMAGECODECS)
    with pytest.raises(
        MissingDependencyError, match=r"imagecodecs>=9999.1, and version .* too old"
    ):
        registry.find("JPEGBaseline8Bit").encoder(layout(8))


def test_importing_and_native_frames_load_nothing_heavy():
    script = """
import sys
import dicomloom.codecs
from dicomloom.codecs import bitstream, registry
from dicomloom.codecs.layout import Layout
for keyword in ("ExplicitVRLittleEndian", "DeflatedImageFrameCompression"):
    codec, of = registry.find(keyword), Layout(4, 5, bits_allocated=16)
    (*parts,) = codec.encoder(of).encode(bytes(of.frame_bytes))
    codec.decoder(of).decode(b"".join(bytes(part) for part in parts))
registry.find("JPEG2000")
print(*{"numpy", "imagecodecs", "pydicom", "libjpeg", "openjpeg"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


CHOICES = [(keyword, {}) for keyword in WRITTEN] + [
    (keyword, by_library(keyword)) for keyword in OWN
]


@pytest.mark.parametrize(("keyword", "options"), CHOICES)
def test_a_decoder_may_be_used_from_many_threads(keyword, options):
    of = layout(8, color=True)
    samples = [image(of, seed=seed) for seed in range(4)]
    encoder = registry.find(keyword).encoder(of)
    frames = [b"".join(map(bytes, encoder.encode(sample.tobytes()))) for sample in samples]
    decoder = registry.find(keyword).decoder(encoder.layout, **options)
    alone = [bytes(decoder.decode(frame)) for frame in frames]
    if not encoder.lossy:
        assert alone == [sample.tobytes() for sample in samples]
    right = []

    def work(first):
        for n in range(8):
            which = (first + n) % len(frames)
            right.append(bytes(decoder.decode(frames[which])) == alone[which])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == 64 * [True]


@pytest.mark.parametrize(("keyword", "options"), CHOICES)
def test_an_encoder_each_in_many_threads(keyword, options):
    of = layout(8, color=True)
    frame = image(of).tobytes()
    codec = registry.find(keyword)
    alone = b"".join(map(bytes, codec.encoder(of, **options).encode(frame)))
    coded = []

    def work():
        encoder = codec.encoder(of, **options)
        coded.extend(b"".join(map(bytes, encoder.encode(frame))) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert coded == 20 * [alone]


def test_a_library_that_must_be_called_alone_is():
    """pylibjpeg-openjpeg 2.6.0 crashes otherwise: in a process of its own, then."""
    script = """
import threading
from dicomloom.codecs import registry
from dicomloom.codecs.layout import Layout
import numpy as np
of = Layout(512, 512, bits_allocated=16, bits_stored=12)
frame = np.random.default_rng(0).integers(0, 4096, of.shape).astype(of.dtype).tobytes()
def work():
    encoder = registry.find("JPEG2000").encoder(of, ratio=6)
    for _ in range(4):
        encoder.encode(frame)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("keyword", "options"),
    [(keyword, {}) for keyword in CODED] + [(keyword, by_library(keyword)) for keyword in OWN],
)
def test_frames_that_contradict_the_data_set_are_refused(keyword, options):
    of = layout(8)
    _, data = code(keyword if keyword in WRITTEN else "JPEGBaseline8Bit", of, image(of))
    codec = registry.find(keyword)
    for wrong, words in (
        (of.replace(rows=38), "says Rows 38, the bitstream 37"),
        (of.replace(columns=8), "says Columns 8, the bitstream 53"),
        (layout(8, color=True), "says SamplesPerPixel 3, the bitstream 1"),
    ):
        with pytest.raises(DicomloomError, match=words):
            codec.decoder(wrong, **options).decode(data)
    if keyword not in ("JPEGBaseline8Bit", "JPEGXLJPEGRecompression") and keyword in WRITTEN:
        wide = layout(12)
        _, data = code(keyword, wide, image(wide))
        with pytest.raises(DicomloomError, match="BitsAllocated 8, the bitstream.* 12 bits"):
            codec.decoder(of, **options).decode(data)
