"""Objects whose structure is broken in one place or two, through every door of the API.

Trees of elements are written by `data_set_trees`, pixel data by the fuzz target of frames; then
lengths, VRs, delimiters, tables, fragments and codestreams are changed where they stand. What comes
is an answer, a DicomloomError, or, of validate, a row; where pydicom reads as much, the same.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import pairwise

import numpy as np
import pydicom
import pytest
from harness import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_set_trees import build, trees
from dicomloom import (
    DicomDir,
    DicomloomError,
    FrameReader,
    dump,
    read_tags,
    recover,
    transcode,
    validate,
)
from support import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, long_run, part10, peer

pytestmark = pytest.mark.filterwarnings("ignore")
EXAMPLES = settings(
    max_examples=20_000 if long_run() else 60,
    deadline=None,
    derandomize=not long_run(),
    suppress_health_check=list(HealthCheck),
    database=None,
)
SYNTAXES = {EXPLICIT_LE: (False, True), IMPLICIT_LE: (True, True), EXPLICIT_BE: (False, False)}
TAGS = ("SOPInstanceUID", "PatientName", "PatientID", "StudyDate", "Rows", "ContentSequence")
TARGETS = ("ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "RLELossless", "JPEGLSLossless")
# What stands in a file where structure does, and what lies about it.
STRUCTURE = (
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\xff"),
    *(b"\x00\x00\x00\x00", b"\x01\x00\x00\x00", b"\xfe\xff\xff\xff", b"\x00\x00\x00\x80"),
)
VRS = (b"SQ", b"UN", b"OB", b"OW", b"US", b"UL", b"UT", b"??", b"\0\0", b"ZZ")


@pytest.fixture(scope="module")
def objects():
    return list(load("fuzz_frames").objects())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("structure")


def places(data: bytes) -> list[int]:
    """Where headers may begin: behind each known piece of structure, and at any VR."""
    found = {132}
    for piece in (*STRUCTURE[:4], b"\x28\x00", b"\xe0\x7f", b"\xff\xd8", b"\xff\xda", b"\x08\x00"):
        at = data.find(piece, 128)
        while at >= 0 and len(found) < 4000:
            found.update((at, at + 4, at + 6, at + 8))
            at = data.find(piece, at + 1)
    return sorted(at for at in found if at < len(data))


@st.composite
def broken(draw, data: bytes) -> bytes:
    """One or two faults in bytes that were well formed."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 2))):
        found = places(bytes(made))
        if not found:
            break
        at = draw(st.sampled_from(found))
        kind = draw(st.integers(0, 6))
        if kind == 0:
            made[at : at + 4] = draw(st.sampled_from(STRUCTURE))
        elif kind == 1:
            made[at : at + 2] = draw(st.sampled_from(VRS))
        elif kind == 2:
            del made[at : at + draw(st.sampled_from((1, 2, 4, 8, 12)))]
        elif kind == 3:
            made[at:at] = draw(st.sampled_from(STRUCTURE)) + bytes(draw(st.sampled_from((0, 4))))
        elif kind == 4:
            made[at : at + 2] = draw(st.integers(0, 65535)).to_bytes(2, "little")
        elif kind == 5:
            end = min(at + draw(st.sampled_from((8, 16, 64))), len(made))
            made[end:end] = made[at:end]
        else:
            del made[at:]
    return bytes(made)


@EXAMPLES
@given(data=st.data(), tree=trees(depth=2), syntax=st.sampled_from(sorted(SYNTAXES)))
def test_trees_that_are_broken(data, tree, syntax, folder):
    implicit, little = SYNTAXES[syntax]
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    with pydicom.config.disable_value_validation():
        pydicom.filewriter.write_dataset(buffer, build(tree))
    whole = part10(buffer.getvalue(), syntax)
    content = data.draw(broken(whole))
    for source in (content, io.BytesIO(content)):
        with contextlib.suppress(DicomloomError):
            found = read_tags(source, TAGS)
            assert set(found) == set(TAGS)
    path = folder / "tree.dcm"
    path.write_bytes(content)
    with contextlib.suppress(DicomloomError):
        assert DicomDir.open(path).findings is not None
    target = folder / "tree.out"
    target.unlink(missing_ok=True)
    with contextlib.suppress(DicomloomError):
        transcode(path, target, "ImplicitVRLittleEndian", workers=1)
        assert read_tags(target, TAGS) is not None


@EXAMPLES
@given(data=st.data())
def test_objects_that_are_broken(data, objects, folder):
    content = data.draw(broken(data.draw(st.sampled_from(objects))))
    load("fuzz_frames").check(bytes([4 * data.draw(st.integers(0, 63))]) + content)
    path = folder / "object.dcm"
    path.write_bytes(content)
    target = folder / "object.out"
    target.unlink(missing_ok=True)
    with contextlib.suppress(DicomloomError):
        transcode(path, target, data.draw(st.sampled_from(TARGETS)), workers=1)
        with FrameReader(target) as reader:
            for i in range(reader.count):
                assert reader[i].shape == reader.shape[1:]
    target.unlink(missing_ok=True)
    with contextlib.suppress(DicomloomError):
        recover(path, target)
        assert target.exists()


def ascending(content: bytes) -> bool:
    """PS3.5 7.1. Of elements that come twice, pydicom takes the last, and we the first."""
    tags = [line[:11] for line in dump(content) if line.startswith("(")]
    return all(one < other for one, other in pairwise(tags))


@EXAMPLES
@given(data=st.data())
def test_frames_that_pydicom_reads_are_the_same(data, objects):
    """Of native frames and RLE, which pydicom decodes by itself, and reads strictly."""
    content = data.draw(broken(data.draw(st.sampled_from(objects))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read = pydicom.dcmread(io.BytesIO(content))
            count = int(read.get("NumberOfFrames") or 1)
            theirs = pydicom.pixels.pixel_array(read, raw=True, decoding_plugin="pydicom")
        except Exception:
            return  # any exception or warning: it does not agree that this is well formed
    with contextlib.suppress(DicomloomError), FrameReader(content) as reader:
        if reader.count == count and ascending(content):
            ours = np.asarray(reader)
            assert np.array_equal(ours.reshape(theirs.shape), theirs)


def test_validate_has_rows_of_whatever_is_broken(objects, folder):
    """dciodvfy may crash on some: that is a row, too."""
    peer("dciodvfy")
    paths = []
    chance = np.random.default_rng(7)
    for number in range(200 if long_run() else 12):
        content = bytearray(objects[number % len(objects)])
        for at in chance.integers(132, len(content), 3):
            content[at] = chance.integers(256)
        path = folder / f"v{number}.dcm"
        path.write_bytes(content)
        paths.append(path)
    found = validate(paths)
    assert {row.path for row in found} == set(map(str, paths))
