"""Stacks: what was planted is found, whatever the order of the files."""

import random
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

import dicomloom
from dicomloom import CorruptError, PixelError, Series, TagError, UnsupportedError
from planes import dataset, enhanced, image, rotations, save

AXIAL = (1, 0, 0, 0, 1, 0)


def kinds(found):
    return [finding.kind for finding in found.findings]


def line(count, step=2.5, shift=(0.0, 0.0), start=(-10.0, 5.0, 30.0)):
    """Positions of an axial stack, each shifted in its plane against the one below."""
    return [
        (start[0] + i * shift[0], start[1] + i * shift[1], start[2] + i * step)
        for i in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(
    rotations(),
    st.integers(2, 12),
    st.floats(0.2, 10),
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.randoms(use_true_random=False),
)
def test_an_even_stack_in_any_orientation_and_order(rotation, count, step, origin, shuffle):
    row, column, normal = rotation
    positions = [np.array(origin) + i * step * normal for i in range(count)]
    images = [image(tuple(at), (*row, *column), InstanceNumber=1) for at in positions]
    shuffle.shuffle(images)
    (stack,) = series = Series.of(images)
    assert series.findings == ()
    assert np.allclose(stack.positions, positions, atol=1e-6)
    assert stack.grid == tuple(range(count))
    wanted = np.eye(4)
    wanted[:3] = np.stack([row * 0.7, column * 0.5, normal * step, np.array(origin)], axis=1)
    assert np.allclose(stack.affine, wanted, atol=1e-5)
    point = [[1, 2, count - 1]]
    assert np.allclose(stack.to_index(stack.to_patient(point)), point, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_gaps_are_found_as_planted(data):
    count = data.draw(st.integers(6, 20))
    # Never two neighbours' neighbours: most steps stay the usual one.
    missing = sorted({k * 4 + 2 for k in data.draw(st.sets(st.integers(0, (count - 4) // 4)))})
    missing = [k for k in missing if 0 < k < count - 1]
    positions = [at for i, at in enumerate(line(count)) if i not in missing]
    images = [image(at) for at in data.draw(st.permutations(positions))]
    (stack,) = Series.of(images)
    assert kinds(stack) == ["gap"] * len(missing)
    assert sum(finding.value for finding in stack.findings) == len(missing)
    assert stack.grid == tuple(i for i in range(count) if i not in missing)
    assert stack.shape == (count, 4, 5)
    assert np.allclose(stack.to_patient([0, 0, count - 1]), line(count)[-1])


@given(st.floats(-30, 30).filter(lambda angle: abs(angle) > 0.5), st.integers(3, 9))
@settings(max_examples=30, deadline=None)
def test_tilt_is_found_as_planted(angle, count):
    shift = 2.5 * np.tan(np.radians(angle))
    images = [image(at) for at in line(count, shift=(0, shift))]
    random.Random(count).shuffle(images)
    (stack,) = Series.of(images)
    assert kinds(stack) == ["tilt"]
    assert stack.tilt == pytest.approx(abs(angle), abs=1e-4)
    assert np.allclose(stack.affine[:3, 2], [0, shift, 2.5], atol=1e-6)
    assert stack.slice_spacing == pytest.approx(2.5)


@given(st.integers(2, 10), st.data())
@settings(max_examples=30, deadline=None)
def test_duplicates_are_found_as_planted(count, data):
    positions = line(count)
    twice = data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    images = [
        image(at, InstanceNumber=i, SOPInstanceUID=f"1.1.{i}") for i, at in enumerate(positions)
    ]
    images += [image(positions[i], InstanceNumber=90, SOPInstanceUID=f"1.9.{i}") for i in twice]
    (stack,) = Series.of(data.draw(st.permutations(images)))
    found = [finding.slices[1].uid for finding in stack.findings]
    assert kinds(stack) == ["duplicate"] * len(twice)
    assert sorted(found) == sorted(f"1.9.{i}" for i in twice)
    assert len(stack) == count


def test_an_instance_that_is_there_twice_is_left_out(tmp_path):
    for name, position in (("a", 0), ("b", 2.5), ("copy of b", 2.5)):
        save(image((0, 0, position)), tmp_path / name)
    series = Series.of(tmp_path)
    assert kinds(series) == ["same instance"]
    assert "copy of b" in series.findings[0].text
    assert [each.label for each in series[0].slices] == ["a", "b"]


def test_uneven_steps_have_no_matrix():
    (stack,) = Series.of([image((0, 0, z)) for z in (0, 2, 4, 6.7, 8.7)])
    assert kinds(stack) == ["uneven"]
    assert stack.findings[0].value == pytest.approx(2.7)
    assert not stack.regular
    with pytest.raises(UnsupportedError, match="no one matrix describes this stack: 2.7 mm"):
        _ = stack.affine


def test_a_far_slice_costs_no_memory():
    (stack,) = Series.of([image((0, 0, z), pixel=1) for z in (0, 1, 2, 1e9)])
    assert kinds(stack) == ["uneven"]
    assert stack.volume().shape == (4, 4, 5)


def test_slices_shifted_in_their_planes_have_no_matrix():
    (stack,) = Series.of([image((x, 0, 2 * z)) for z, x in enumerate((0, 0, 3, 0, 0))])
    assert "shifted" in kinds(stack)
    with pytest.raises(UnsupportedError, match="shifted within their planes"):
        _ = stack.affine


def test_a_stated_spacing_that_is_wrong_is_told():
    (stack,) = Series.of([image((0, 0, 3 * i), SpacingBetweenSlices=5) for i in range(3)])
    assert kinds(stack) == ["stated spacing"]
    assert stack.slice_spacing == 3


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("TemporalPositionIdentifier", [1, 2, 3]),
        ("EchoTime", [4.6, 20, 100]),
        ("DiffusionBValue", [0.0, 500.0, 1000.0]),
        ("AcquisitionNumber", [1, 2, 10]),
        ("ImageType", [["ORIGINAL", "PRIMARY", kind] for kind in ("F", "W", "X")]),
    ],
)
def test_dimensions_are_split_and_named(keyword, values):
    images = [
        image(at, SOPInstanceUID=f"1.{i}.{k}", **{keyword: value})
        for i, at in enumerate(line(4))
        for k, value in enumerate(values)
    ]
    random.Random(7).shuffle(images)
    series = Series.of(images)
    assert kinds(series) == ["dimension"]
    assert series.findings[0].text == f"12 images at 4 places: 3 stacks, by {keyword}"
    texts = ["\\".join(value) if isinstance(value, list) else f"{value:g}" for value in values]
    assert [stack.split for stack in series] == [{keyword: text} for text in texts]
    assert [len(stack) for stack in series] == [4, 4, 4]


def test_times_that_differ_from_slice_to_slice_split_by_their_order():
    """Interleaved: every image has a time of its own."""
    images = [
        image(at, SOPInstanceUID=f"1.{i}.{k}", AcquisitionTime=f"10{5 * k + i:02}00.5")
        for i, at in enumerate(line(5))
        for k in range(3)
    ]
    series = Series.of(images)
    assert [stack.split for stack in series] == [
        {"AcquisitionTime (order)": str(k)} for k in (1, 2, 3)
    ]
    times = [[each.values["AcquisitionTime"] for each in stack.slices] for stack in series]
    assert times == [[f"10{5 * k + i:02}00.5" for i in range(5)] for k in range(3)]


def test_two_dimensions_at_once_and_a_gap_in_one():
    images = [
        image(at, SOPInstanceUID=f"1.{i}.{e}.{b}", EchoTime=e, AcquisitionNumber=b)
        for i, at in enumerate(line(5))
        for e in (10, 20)
        for b in (1, 2)
        if (i, e, b) != (2, 20, 1)
    ]
    series = Series.of(images)
    assert [list(stack.split.values()) for stack in series] == [
        ["10", "1"], ["10", "2"], ["20", "1"], ["20", "2"]
    ]  # fmt: skip
    assert [kinds(stack) for stack in series] == [[], [], ["gap"], []]


def test_orientations_series_and_sizes_are_kept_apart():
    images = [image((0, 0, i)) for i in range(3)]
    images += [image((i, 0, 0), (0, 1, 0, 0, 0, -1)) for i in range(3)]
    images += [image((0, 0, i), SeriesInstanceUID="9.9") for i in range(3)]
    images += [image((0, 0, i), FrameOfReferenceUID="9.8") for i in range(3)]
    images += [image((0, 0, i), PixelSpacing=[0.6, 0.7]) for i in range(3)]
    random.Random(3).shuffle(images)
    for each, made in enumerate(images):
        made.SOPInstanceUID = f"1.{each}"
    series = Series.of(images)
    assert sorted(stack.name for stack in series) == ["axial"] * 4 + ["sagittal"]
    assert [len(stack) for stack in series] == [3] * 5
    wobbling = [image((0, 0, i), (1, 0, 0, 0, 1, 4e-4 * (i % 2))) for i in range(4)]
    assert len(Series.of(wobbling)) == 1


def test_enhanced_frames_make_the_stacks_of_single_images():
    positions = line(4)
    shuffled = [positions[i] for i in (2, 0, 3, 1)]
    (many,) = Series.of(enhanced(shuffled))
    (single,) = Series.of([image(at) for at in positions])
    assert np.array_equal(many.affine, single.affine)
    assert [each.frame for each in many.slices] == [1, 3, 0, 2]
    echoes = [{"MREchoSequence": [dataset(EffectiveEchoTime=float(1 + i % 2))]} for i in range(8)]
    series = Series.of(enhanced([at for at in positions for _ in "12"], frames=echoes))
    assert [stack.split for stack in series] == [
        {"EffectiveEchoTime": "1"},
        {"EffectiveEchoTime": "2"},
    ]


def test_segments_are_stacks():
    def segment(number):
        found = dataset(ReferencedSegmentNumber=number)
        return {"SegmentIdentificationSequence": [found]}

    frames = [segment(1), segment(1), segment(2)]
    series = Series.of(enhanced([(0, 0, 0), (0, 0, 2), (0, 0, 2)], frames=frames))
    assert [(stack.split["ReferencedSegmentNumber"], len(stack)) for stack in series] == [
        ("1", 2), ("2", 1)
    ]  # fmt: skip
    assert series.findings == ()


def test_sources_agree(tmp_path):
    images = [image(at, InstanceNumber=i) for i, at in enumerate(line(4))]
    paths = [save(made, tmp_path / f"{9 - i}.dcm") for i, made in enumerate(images)]
    wanted = Series.of(images)[0].affine
    with dicomloom.scan(tmp_path, Series.TAGS) as found:
        scanned = Series.of(found)
    with dicomloom.scan(tmp_path, Series.TAGS, typed=True) as found:
        typed = Series.of(found)
    for series in (scanned, typed, Series.of(tmp_path), Series.of(map(str, paths))):
        assert np.array_equal(series[0].affine, wanted)
    assert [each.path for each in scanned[0].slices] == list(map(str, paths))
    with dicomloom.scan(tmp_path, ["PatientID"]) as found:
        with pytest.raises(TagError, match=r"Series\.TAGS; this one lacks SOPInstanceUID"):
            Series.of(found)
    with pytest.raises(TypeError, match="not int"):
        Series.of([3])


def test_numbers_are_the_same_from_files_and_data_sets(tmp_path):
    images = [
        image(at, SOPInstanceUID=f"1.{i}.{b}", DiffusionBValue=b)
        for i, at in enumerate(line(3))
        for b in (0.0, 1000.0)
    ]
    for i, made in enumerate(images):
        save(made, tmp_path / f"{i}.dcm")
    splits = [{"DiffusionBValue": "0"}, {"DiffusionBValue": "1000"}]
    assert [stack.split for stack in Series.of(images)] == splits
    assert [stack.split for stack in Series.of(tmp_path)] == splits


def test_what_has_no_place_is_told(tmp_path):
    save(image(), tmp_path / "a")
    bad = image((1, 1, 1))
    bad.PixelSpacing = [0, 1]
    save(bad, tmp_path / "b")
    shutil.copy(get_testdata_file("rtplan.dcm"), tmp_path / "c")
    (tmp_path / "d").write_text("no DICOM")
    series = Series.of(tmp_path)
    reasons = [
        (each.path[-1], each.reason.split(",")[0][:30], each.readable) for each in series.unplaced
    ]
    assert [(name, readable) for name, _, readable in reasons] == [
        ("b", True), ("c", True), ("d", False)
    ]  # fmt: skip
    assert series.unplaced[0].reason.startswith("PixelSpacing (0028,0030) must be two distances")
    assert series.unplaced[1].reason == "no image"
    assert len(series) == 1


def stored(tmp_path, count, *, skip=(), **attributes):
    for i, at in enumerate(line(count)):
        if i not in skip:
            save(image(at, pixel=10 * i, **attributes), tmp_path / f"{count - i}.dcm")
    return Series.of(tmp_path)[0]


def test_volume_is_in_the_order_of_the_places(tmp_path):
    stack = stored(tmp_path, 4, RescaleSlope=2, RescaleIntercept=-1)
    found = stack.volume()
    assert (found.shape, found.dtype) == ((4, 4, 5), np.int16)
    assert found[:, 0, 0].tolist() == [0, 10, 20, 30]
    rescaled = stack.volume(rescale=True)
    assert rescaled.dtype == np.float32
    assert rescaled[:, 3, 4].tolist() == [-1, 19, 39, 59]
    (given,) = Series.of([image(at, pixel=i) for i, at in enumerate(line(3))])
    assert given.volume()[:, 0, 0].tolist() == [0, 1, 2]


def test_volume_with_gaps_wants_a_fill(tmp_path):
    stack = stored(tmp_path, 5, skip=(2,))
    with pytest.raises(UnsupportedError, match="1 of 5 slices are missing: give fill="):
        stack.volume()
    assert stack.volume(fill=-7)[:, 0, 0].tolist() == [0, 10, -7, 30, 40]
    with pytest.raises(PixelError, match="from -32768 to 32767, not 70000"):
        stack.volume(fill=70000)


def test_volume_of_enhanced_frames_and_their_own_rescaling(tmp_path):
    frames = [
        {"PixelValueTransformationSequence": [dataset(RescaleSlope=i + 1, RescaleIntercept=0)]}
        for i in range(3)
    ]
    made = enhanced([(0, 0, 4), (0, 0, 0), (0, 0, 2)], frames=frames, pixel=0)
    made.PixelData = np.repeat(np.arange(1, 4, dtype="<i2"), 20).tobytes()
    (stack,) = Series.of(save(made, tmp_path / "many.dcm"))
    assert stack.volume()[:, 0, 0].tolist() == [2, 3, 1]
    assert stack.volume(rescale=True)[:, 0, 0].tolist() == [4, 9, 1]


def test_volume_says_which_file_is_cut(tmp_path):
    stack = stored(tmp_path, 3)
    path = tmp_path / "2.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises((CorruptError, PixelError, dicomloom.TruncatedError)) as caught:
        stack.volume()
    assert caught.value.path == str(path)


def test_a_number_of_frames_alone_makes_no_records(tmp_path):
    made = image(NumberOfFrames=2**31 - 1, FrameIncrementPointer=0x00181063)
    save(made, tmp_path / "cine.dcm")
    (found,) = Series.of(tmp_path / "cine.dcm").unplaced
    assert found.readable
    assert found.reason.startswith("2147483647 frames without functional groups")


def test_places_of_which_no_distance_can_be_told(tmp_path):
    for i, z in enumerate(("1e308", "-1e308")):
        save(image(ImagePositionPatient=["0", "0", z]), tmp_path / f"{i}.dcm")
    found = Series.of(tmp_path)
    assert len(found) == 0
    assert [each.reason.partition(", up to")[0] for each in found.unplaced] == [
        "ImagePositionPatient (0020,0032) must be finite"
    ] * 2


def test_long_values_are_not_kept_by_each_frame(tmp_path):
    made = enhanced([(0, 0, i) for i in range(3)])
    made.ImageType = ["ORIGINAL"] * 1000
    (stack,) = Series.of(made)
    assert all(len(each.values["ImageType"]) == 256 for each in stack.slices)
