"""Against highdicom, SimpleITK and nibabel, on the corpus and on made obliques."""

import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import assume, given, settings
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale

import dicomloom
from dicomloom import ImagePlane, Series
from planes import image, rotations
from support import peer_module, readable


def placed(corpus):
    """Planes of all files of the corpus that have one, with their data sets."""
    for name in readable(corpus):
        path = corpus / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                plane = ImagePlane.of(path)
            except dicomloom.DicomloomError:
                continue
            if plane.coordinates and plane.position is not None and plane.spacing:
                yield path, plane, pydicom.dcmread(path, stop_before_pixels=True)


def stated(found, keyword):
    """The first value anywhere in a data set, in the order of its elements."""
    for element in found.iterall():
        if element.keyword == keyword and element.value:
            return [float(x) for x in element.value]
    return None


def unit(cosines):
    """Rounded directions made 1 long: highdicom takes them as they are, and is 0.1 mm off."""
    parts = np.reshape(cosines, (2, 3))
    return (parts / np.linalg.norm(parts, axis=1, keepdims=True)).ravel().tolist()


def test_points_of_the_corpus_are_where_highdicom_has_them(corpus):
    spatial = peer_module("highdicom.spatial", "highdicom")
    count = 0
    for path, plane, found in placed(corpus):
        if plane.coordinates != "patient" or plane.spacing_from != "PixelSpacing":
            continue
        theirs = spatial.PixelToReferenceTransformer(
            image_position=stated(found, "ImagePositionPatient"),
            image_orientation=unit(stated(found, "ImageOrientationPatient")),
            pixel_spacing=stated(found, "PixelSpacing"),
        )
        points = np.array([[0, 0], [plane.columns - 1, 0], [3, plane.rows - 1]])
        assert np.allclose(plane.to_patient(points), theirs(points), atol=2e-3), path
        ours = spatial.get_closest_patient_orientation(plane.affine)
        assert [part.value for part in ours[:2]] == [part[0] for part in plane.letters], path
        count += 1
    assert count > 100


def compare_tiles(found, spatial):
    rows = list(spatial.iter_tiled_full_frame_data(found))
    for frame, (_, _, _, _, x, y, z) in enumerate(rows):
        plane = ImagePlane.of(found, frame)
        assert plane.coordinates == "slide"
        assert plane.position == pytest.approx((x, y, z), abs=1e-5)
        assert (plane.letters, plane.name) == (None, None)
    return len(rows)


def test_slide_tiles_of_the_corpus(corpus):
    spatial = peer_module("highdicom.spatial", "highdicom")
    (path,) = corpus.rglob("history/**/SM_small.dcm")
    assert compare_tiles(pydicom.dcmread(path), spatial) == 25


def test_single_files_are_where_simpleitk_has_them(corpus):
    itk = peer_module("SimpleITK")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    count = 0
    for path, plane, found in placed(corpus):
        if int(found.get("NumberOfFrames") or 1) > 1 or "ImageOrientationPatient" not in found:
            continue
        reader = itk.ImageFileReader()
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:  # an encoding that it does not read
            continue
        if reader.GetOrigin() == (0, 0, 0) and any(plane.position):
            continue  # it has read no geometry: a SOP class that it does not know
        direction = np.array(reader.GetDirection()).reshape(3, 3)
        spacing = np.array(reader.GetSpacing())
        assert np.allclose(plane.position, reader.GetOrigin(), atol=1e-4), path
        assert np.allclose(plane.affine[:3, :2], (direction * spacing)[:, :2], atol=1e-4), path
        assert np.allclose(plane.normal, direction[:, 2], atol=1e-4), path
        count += 1
    assert count > 60


@settings(max_examples=50, deadline=None)
@given(rotations())
def test_letters_of_obliques_begin_as_nibabel_and_highdicom_have_them(rotation):
    nibabel = peer_module("nibabel")
    spatial = peer_module("highdicom.spatial", "highdicom")
    sizes = np.sort(np.abs(rotation), axis=1)
    # Where an axis is about as near as another, either letter is right; and both peers name each
    # axis of the patient once, where ours names each direction alone.
    assume((sizes[:, 2] - sizes[:, 1]).min() > 0.05)
    assume(len(set(np.abs(rotation).argmax(axis=1))) == 3)
    plane = ImagePlane.of(image((1, 2, 3), (*rotation[0], *rotation[1])))
    first = [part[0] for part in plane.letters]
    axes = nibabel.aff2axcodes(plane.affine_ras)
    assert [{"S": "H", "I": "F"}.get(letter, letter) for letter in axes[:2]] == first
    theirs = spatial.get_closest_patient_orientation(plane.affine)
    assert [part.value for part in theirs[:2]] == first


def test_affines_are_those_of_nibabel_dicom(corpus):
    wrapper = peer_module("nibabel.nicom.dicomwrappers", "nibabel")
    count = 0
    for path, plane, found in placed(corpus):
        if "ImageOrientationPatient" not in found or "PixelSpacing" not in found:
            continue
        try:
            theirs = wrapper.Wrapper(found).affine
        except wrapper.WrapperPrecisionError:  # directions that it finds too rounded
            continue
        # Its first index is the row, ours the column; both are to LPS.
        swapped = theirs[:, [1, 0, 2, 3]]
        assert np.allclose(plane.affine[:3, [0, 1, 3]], swapped[:3, [0, 1, 3]], atol=1e-4), path
        count += 1
    assert count > 60


def real_stack(corpus):
    folder = corpus / "QIICR__dcmqi"
    stacks = [stack for stack in Series.of(folder) if len(stack) > 2 and stack.slices[0].path]
    return [stack for stack in stacks if stack.regular and not stack.slices[0].segment]


def test_real_stacks_are_sorted_and_placed_as_by_simpleitk(corpus):
    itk = peer_module("SimpleITK")
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    count = 0
    for stack in real_stack(corpus):
        files = [each.path for each in stack.slices]
        if len(set(files)) < len(files):
            continue  # frames of one object
        reader = itk.ImageSeriesReader()
        reader.SetFileNames(files)
        read = reader.Execute()
        direction = np.array(read.GetDirection()).reshape(3, 3)
        theirs = np.eye(4)
        theirs[:3, :3], theirs[:3, 3] = direction * np.array(read.GetSpacing()), read.GetOrigin()
        assert np.allclose(stack.affine, theirs, atol=2e-3)
        assert np.allclose(stack.volume(rescale=True), itk.GetArrayFromImage(read))
        count += 1
    assert count >= 4


def test_real_stacks_are_sorted_as_by_highdicom(corpus):
    spatial = peer_module("highdicom.spatial", "highdicom")
    found = real_stack(corpus)
    assert len(found) >= 4
    for stack in found:
        first = stack.slices[0]
        spacing, order = spatial.get_volume_positions(
            stack.positions[::-1].tolist(), (*first.row, *first.column)
        )
        assert spacing == pytest.approx(stack.slice_spacing, rel=1e-3)
        # Its volumes may run against the normal: one order is the other, or its reverse.
        assert list(order) in (list(range(len(stack)))[::-1], list(range(len(stack))))


def test_volume_is_what_pydicom_decodes_and_rescales():
    names = ("2062", "2392", "2693", "3023", "3353")
    paths = [get_testdata_file(f"dicomdirtests/98892001/CT5N/{name}") for name in names]
    (stack,) = Series.of(paths)
    found = [pydicom.dcmread(path) for path in paths]
    found.sort(key=lambda each: each.ImagePositionPatient[2])
    assert np.array_equal(stack.volume(), [each.pixel_array for each in found])
    wanted = [apply_rescale(each.pixel_array, each) for each in found]
    assert np.allclose(stack.volume(rescale=True), wanted)
