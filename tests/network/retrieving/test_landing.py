"""Paths of retrieved objects: patterns, values that are no names, names that are taken."""

import os

import pytest

from dicomloom.errors import TagError
from dicomloom.network.retrieving.landing import Folder, Layout, fit_name
from dicomloom.network.serve.refusal import Refusal
from retrieve_peers import CT, object_of
from support import EXPLICIT_LE

HOSTILE = [
    *("..", ".", "../..", "/etc/passwd", "a/b", "a\\b", "~root", "-rf", ".ssh", "a\0b", "a\nb"),
    *(
        "a:b",
        "x" * 1000,
        "\u202eabc",
        "\ud800",
        "*?",
        "$(id)",
        " a ",
        "a.",
        "none",
        "\x1b[2J",
        "é" * 99,
    ),
]


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_value_is_one_harmless_name(value):
    name = fit_name(value)
    assert os.path.basename(name) == name
    assert name.isprintable()
    assert name[0] not in ".-~ "
    assert name[-1] not in ". "
    assert len(name.encode()) < 250
    assert not set(name) & set("/\\\0:*?<>|\"'$`;&!")


def test_two_values_never_become_one_name():
    values = [*HOSTILE, "a_b", "a?b", "a*b", "_", "__", None]
    assert len({fit_name(value) for value in values}) == len(values)


def test_what_needs_no_change_is_not_changed():
    for value in ("1.2.840.10008", "DOE^JANE", "Müller^Änne", "20260101", "山田^太郎", "A 1"):
        assert fit_name(value) == value


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "/a", "a//b", "../a", "a/../b", ".a/{PatientID}", "a/", "{PatientID", "}", "a\0b"),
        *("{PatientID!r}", "{PatientID:>9}", "x" * 201),
    ],
    ids=ascii,
)
def test_patterns_that_are_none(pattern):
    with pytest.raises(ValueError, match="layout"):
        Layout(pattern)


@pytest.mark.parametrize("pattern", ["{NoSuchThing}", "{}", "{patient}"])
def test_patterns_of_what_is_no_attribute(pattern):
    with pytest.raises(TagError):
        Layout(pattern)


def test_tags_and_private_elements_do_too():
    layout = Layout("{00100020}/{(0008,0060)}-{SeriesNumber}.dcm")
    values = {"00100020": "P", "(0008,0060)": "CT"}
    assert layout.path_of(values) == "P/CT-none.dcm"


def test_long_names_stay_apart():
    layout = Layout("{PatientID}{PatientName}{StudyDescription}.dcm")
    names = {
        layout.path_of({"PatientID": "a" * 64, "PatientName": "b" * 64, "StudyDescription": end})
        for end in ("x" * 63 + "1", "x" * 63 + "2")
    }
    assert len(names) == 2
    assert all(len(name) <= 160 and name.endswith(".dcm") for name in names)


def land(folder, uid, data=None):
    landing = folder.open(CT, uid, EXPLICIT_LE, "PEER", "ME")
    landing.file.write_all([object_of(uid) if data is None else data])
    return landing.commit()


def test_another_object_in_its_place_is_never_touched(tmp_path):
    """Whatever is to be done with the same object."""
    for existing in ("keep", "replace", "version"):
        folder = Folder(tmp_path / existing, Layout("{PatientID}.dcm"), existing)
        first, second = land(folder, "1.2.5"), land(folder, "1.2.6")
        third = land(folder, "1.2.6")
        assert [os.path.basename(one.path) for one in (first, second)] == ["P1.dcm", "P1-1.2.6.dcm"]
        with open(first.path, "rb") as file:
            assert file.read().endswith(object_of("1.2.5"))
        name = {"version": "P1-1.2.6-1.dcm"}.get(existing, "P1-1.2.6.dcm")
        assert os.path.basename(third.path) == name
        assert not [name for name in os.listdir(folder.folder) if name.startswith(".")]


def test_what_is_no_object_is_never_touched(tmp_path):
    (tmp_path / "P1.dcm").write_bytes(b"a letter")
    stored = land(Folder(tmp_path, Layout("{PatientID}.dcm"), "replace"), "1.2.5")
    assert os.path.basename(stored.path) == "P1-1.2.5.dcm"
    assert (tmp_path / "P1.dcm").read_bytes() == b"a letter"


def test_a_link_in_its_place_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"a letter")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "P1.dcm").symlink_to(outside)
    land(Folder(tmp_path / "in", Layout("{PatientID}.dcm"), "replace"), "1.2.5")
    assert outside.read_bytes() == b"a letter"


def test_what_is_left_before_its_end_leaves_nothing(tmp_path):
    folder = Folder(tmp_path, Layout("{PatientID}.dcm"), "keep")
    landing = folder.open(CT, "1.2.5", EXPLICIT_LE, "PEER", "ME")
    assert len(os.listdir(tmp_path)) == 1
    landing.discard()
    for uid in ("../1", ""):
        with pytest.raises(Refusal):
            folder.open(CT, uid, EXPLICIT_LE, "PEER", "ME")
    assert os.listdir(tmp_path) == []
