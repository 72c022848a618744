"""One frame's plane: by rule, by hand-worked cases, and for any orientation."""

import math
import pickle
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

import dicomloom
from dicomloom import CorruptError, DicomloomWarning, FrameError, ImagePlane, UnsupportedError
from dicomloom.geometry.directions import letters, opposite, patient_position
from planes import dataset, enhanced, image, rotations, save

LEAN = math.radians(5)


@pytest.mark.parametrize(
    ("orientation", "edges", "name"),
    [
        ((1, 0, 0, 0, 1, 0), "R L A P", "axial"),
        ((0, 1, 0, 0, 0, -1), "A P H F", "sagittal"),
        ((1, 0, 0, 0, 0, -1), "R L H F", "coronal"),
        ((-1, 0, 0, 0, 1, 0), "L R A P", "axial"),
        ((1, 0, 0, 0, 0.9272, -0.3746), "R L AH PF", "oblique"),
        ((0.6, 0.8, 0, 0, 0, -1), "AR PL H F", "oblique"),
        # 4 degrees about the x axis: below what is named; 6 degrees: above.
        ((1, 0, 0, 0, 0.99756, 0.06976), "R L A P", "axial"),
        ((1, 0, 0, 0, 0.99452, 0.10453), "R L AF PH", "oblique"),
    ],
)
def test_edges_and_names(orientation, edges, name):
    plane = ImagePlane.of(image(orientation=orientation))
    assert " ".join(plane.edges) == edges
    assert plane.name == name
    assert plane.letters_from == "ImageOrientationPatient"


@given(rotations())
def test_letters_name_every_axis_that_is_near_enough(rotation):
    """Against the angles themselves: between a direction and the plane at right angles to it."""
    for direction in rotation:
        assume(all(abs(abs(math.asin(min(1, abs(x)))) - LEAN) > 1e-6 for x in direction))
        found = letters(direction.tolist())
        wanted = {
            ("RL", "AP", "FH")[axis][int(x > 0)]
            for axis, x in enumerate(direction)
            if math.asin(min(1, abs(x))) >= LEAN
        }
        assert set(found) == wanted
        sizes = [abs(direction["RLAPFH".index(letter) // 2]) for letter in found]
        assert all(a >= b - 1e-4 for a, b in pairwise(sizes))
        assert letters((-direction).tolist()) == opposite(found)


@given(
    rotations(),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.tuples(*[st.floats(0.01, 20)] * 2),
    st.lists(st.tuples(*[st.floats(-1000, 1000)] * 3), min_size=1, max_size=4),
)
def test_there_and_back(rotation, position, spacing, points):
    made = image(position, (*rotation[0], *rotation[1]), PixelSpacing=list(spacing))
    plane = ImagePlane.of(made)
    back = plane.to_index(plane.to_patient(points))
    assert np.allclose(back, points, atol=1e-6)
    assert np.allclose(plane.to_patient([0, 0]), plane.position)
    # One step along a row is the spacing between columns.
    step = plane.to_patient([1, 0]) - plane.to_patient([0, 0])
    assert np.isclose(np.linalg.norm(step), plane.spacing[1], rtol=1e-5)
    assert np.linalg.det(plane.affine) > 0


def test_points_keep_their_shape():
    plane = ImagePlane.of(image())
    assert plane.to_patient(np.zeros((2, 7, 3))).shape == (2, 7, 3)
    assert plane.to_patient([3, 2]).tolist() == pytest.approx([2.1, 1.0, 0])
    with pytest.raises(ValueError, match=r"\(\.\.\., 3\), not \(4,\)"):
        plane.to_index([0, 0, 0, 1])


def test_path_dataset_and_every_encoding_give_the_same(tmp_path):
    paths = [get_testdata_file(f"MR_small{end}.dcm") for end in ("", "_bigendian", "_implicit")]
    first, *others = [ImagePlane.of(path).as_dict() | {"path": ""} for path in paths]
    assert others == [first, first]
    made = image((1, 2, 3))
    by_path = ImagePlane.of(save(made, tmp_path / "one.dcm"))
    assert by_path.path == str(tmp_path / "one.dcm")
    assert by_path.as_dict() | {"path": None} == ImagePlane.of(made).as_dict()
    assert pickle.loads(pickle.dumps(by_path)) == by_path


def test_enhanced_frames_count_like_single_images():
    positions = [(1, 2, 3.5 * i) for i in range(4)]
    made = enhanced(positions, (0, 1, 0, 0, 0, -1))
    for i, position in enumerate(positions):
        plane = ImagePlane.of(made, i)
        single = ImagePlane.of(image(position, (0, 1, 0, 0, 0, -1), SliceThickness=2))
        assert plane.as_dict() | {"frame": 0} == single.as_dict()
    assert ImagePlane.of(made, -1).position == positions[-1]
    with pytest.raises(FrameError, match="frame 4 of an object with 4 frames"):
        ImagePlane.of(made, 4)


def test_dose_planes_follow_their_grid():
    """Frame by frame, as the offsets of the grid say, relative and absolute."""
    path = get_testdata_file("rtdose.dcm")
    planes = [ImagePlane.of(path, i) for i in range(15)]
    assert [plane.position[2] for plane in planes] == pytest.approx(
        [-761.87 + 5 * i for i in range(15)]
    )
    absolute = image((1, 2, 30), NumberOfFrames=2, GridFrameOffsetVector=[30, 27])
    assert ImagePlane.of(absolute, 1).position == (1, 2, 27)
    absolute.GridFrameOffsetVector = [3, 0]
    with pytest.raises(CorruptError, match="must begin with 0 or"):
        ImagePlane.of(absolute, 1)


def test_reconstructed_nuclear_slices_stack_behind_or_before_the_first():
    detector = dataset(
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[10, 20, 30]
    )
    made = image(
        NumberOfFrames=3, SliceVector=[1, 2, 3], ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO"]
    )
    del made.ImagePositionPatient, made.ImageOrientationPatient
    made.DetectorInformationSequence = [detector]
    for between, z in ((4, 38), (-4, 22)):
        made.SpacingBetweenSlices = between
        plane = ImagePlane.of(made, 2)
        assert (plane.position, plane.spacing_between_slices) == ((10, 20, z), 4)


def test_a_later_frame_without_a_rule_has_no_place():
    plane = ImagePlane.of(image(NumberOfFrames=3), 1)
    assert plane.letters == ("L", "P")
    with pytest.raises(UnsupportedError, match="nothing says where frame 1 lies") as caught:
        _ = plane.affine
    assert (caught.value.tag, caught.value.frame) == (0x00200032, 1)


def projection(**attributes):
    made = image(**attributes)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if keyword not in attributes:
            delattr(made, keyword)
    return made


def test_projections_have_letters_and_no_place():
    made = projection(PatientOrientation=["L", "F"], ImagerPixelSpacing=[0.15, 0.15])
    plane = ImagePlane.of(made)
    assert plane.edges == ("R", "L", "H", "F")
    assert (plane.letters_from, plane.spacing_from) == ("PatientOrientation", "ImagerPixelSpacing")
    assert (plane.coordinates, plane.name, plane.obliquity) == (None, None, None)
    with pytest.raises(UnsupportedError, match="no ImageOrientationPatient is stated"):
        _ = plane.affine
    bare = ImagePlane.of(projection())
    assert (bare.letters, bare.edges, bare.spacing) == (None, None, None)


@pytest.mark.parametrize(
    ("orientation", "laterality", "left", "right", "top", "bottom"),
    [
        # Right CC, chest wall at the right: rows run to P, columns to the left side, which is
        # medial for a right breast.
        (["P", "L"], "R", "nipple", "chest wall", "lateral", "medial"),
        (["A", "R"], "L", "chest wall", "nipple", "lateral", "medial"),
        (["A", "FR"], "L", "chest wall", "nipple", "", ""),
        (["A", "R"], None, "chest wall", "nipple", "", ""),
    ],
)
def test_mammograms(orientation, laterality, left, right, top, bottom):
    made = projection(PatientOrientation=orientation, Modality="MG", ViewPosition="CC")
    if laterality:
        made.ImageLaterality = laterality
    found = ImagePlane.of(made).breast
    assert found == (laterality, "CC", left, right, top, bottom)


def test_letters_that_contradict_one_another_are_noted():
    plane = ImagePlane.of(image(PatientOrientation=["R", "P"]))
    assert plane.letters == ("L", "P")
    assert "PatientOrientation says R\\P" in plane.notes[0]
    assert ImagePlane.of(image(PatientOrientation=["L", "PF"])).notes == ()


@pytest.mark.parametrize(
    ("code", "gantry", "up"),
    [
        ("HFS", "H", "A"),
        ("FFP", "F", "P"),
        ("FFDR", "F", "L"),
        ("HFDL", "H", "R"),
        ("LFS", "L", "A"),
    ],
)
def test_patient_positions(code, gantry, up):
    plane = ImagePlane.of(image(PatientPosition=code))
    assert (plane.patient_position.gantry, plane.patient_position.up) == (gantry, up)
    assert plane.letters == ("L", "P")  # whatever the position
    assert patient_position("SITTING") is None
    assert "SITTING" in ImagePlane.of(image(PatientPosition="SITTING")).notes[0]


def test_quadrupeds():
    made = image(orientation=(1, 0, 0, 0, 0, -1), AnatomicalOrientationType="QUADRUPED")
    plane = ImagePlane.of(made)
    assert plane.edges == ("RT", "LE", "CR", "CD")
    assert plane.name == "dorsal"
    radiograph = projection(AnatomicalOrientationType="QUADRUPED", PatientOrientation=["CD", "VRT"])
    assert ImagePlane.of(radiograph).edges == ("CR", "CD", "DLE", "VRT")


@pytest.mark.parametrize(
    ("attributes", "tag", "says"),
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1]}, 0x00200037, "must be 6 numbers, found 5"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, 0x00200037, "they are at 0 degrees"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, 0x00200037, "row has length 2"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 0]}, 0x00200037, "column has length 0"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.8, 0.6, 0]}, 0x00200037, "6 numbers, found 7"),
        ({"ImagePositionPatient": [1, 2]}, 0x00200032, "must be 3 numbers, found 2"),
        ({"ImagePositionPatient": [1, 2, "nan"]}, 0x00200032, "must be finite"),
        ({"PixelSpacing": [0, 0]}, 0x00280030, "greater than 0 mm, found 0 and 0"),
        ({"PixelSpacing": [-1, 1]}, 0x00280030, "greater than 0 mm, found -1"),
        ({"PixelSpacing": 1}, 0x00280030, "must be 2 numbers, found 1"),
        ({"SliceThickness": -3}, 0x00180050, "must not be negative"),
        ({"NumberOfFrames": 0}, 0x00280008, "whole number from 1 on"),
    ],
)
def test_values_that_cannot_be(attributes, tag, says):
    with pytest.raises(CorruptError, match=says) as caught:
        ImagePlane.of(image(**attributes))
    assert caught.value.tag == tag


def test_bytes_that_are_no_numbers(tmp_path):
    path = save(image(PixelSpacing=[0.125, 0.375]), tmp_path / "bad.dcm")
    path.write_bytes(path.read_bytes().replace(b"0.125\\0.375", b"0.125\\x.375"))
    with pytest.raises(CorruptError, match=r"PixelSpacing \(0028,0030\)") as caught:
        ImagePlane.of(path)
    assert (caught.value.path, caught.value.tag) == (str(path), 0x00280030)


def test_letters_that_are_none():
    with pytest.raises(CorruptError, match="abbreviations of a biped") as caught:
        ImagePlane.of(projection(PatientOrientation=["LE", "CD"]))
    assert caught.value.tag == 0x00200020


def test_directions_a_little_off_are_mended_with_a_warning():
    made = image(orientation=(1.02, 0, 0, 0, 1, 0))
    with pytest.warns(DicomloomWarning, match="length 1.02, taken as 1"):
        plane = ImagePlane.of(made)
    assert plane.row_direction == (1, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImagePlane.of(image(orientation=(0.9995, 0, 0, 0, 1, 0)))  # rounding


def test_volume_coordinates_are_refused_by_name():
    made = enhanced([(0, 0, 0)])
    del made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    made.SharedFunctionalGroupsSequence[0].PlaneOrientationVolumeSequence = [dataset(Rows=1)]
    with pytest.raises(UnsupportedError, match="PlaneOrientationVolumeSequence"):
        ImagePlane.of(made)


def test_public_name():
    assert dicomloom.ImagePlane is ImagePlane


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_gives_a_plane_or_an_error_of_ours(tmp_path_factory, data):
    whole = bytearray(Path(get_testdata_file("CT_small.dcm")).read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.dcm"
    path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            plane = ImagePlane.of(path)
        except dicomloom.DicomloomError as error:
            assert str(error)
        else:
            assert plane.position is None or all(map(math.isfinite, plane.position))
