"""What is to be sent, and what is proposed for it."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomloom.network.sending.outgoing import MOST_CONTEXTS, Selection, proposals
from store_peers import SECONDARY_CAPTURE, data_set, objects
from support import EXPLICIT_LE, IMPLICIT_LE, element, part10

UNCOMPRESSED = {EXPLICIT_LE, IMPLICIT_LE}
CLASSES = st.integers(1, 200).map(lambda number: f"1.2.{number}")
SYNTAXES = st.one_of(st.sampled_from(sorted(UNCOMPRESSED)), st.integers(1, 9).map("1.3.{}".format))
PAIRS = st.sets(st.tuples(CLASSES, SYNTAXES), max_size=400)
MANY = st.integers(100, 300).map(lambda count: {("1.2", f"1.3.{n}") for n in range(count)})


@settings(deadline=None)
@given(pairs=st.one_of(PAIRS, MANY), transcode=st.booleans())
def test_each_pair_has_a_context_of_its_own(pairs, transcode):
    groups = proposals(pairs, transcode=transcode)
    assert all(1 <= len(group) <= MOST_CONTEXTS for group in groups)
    added = {SECONDARY_CAPTURE}
    alone = []
    for group in groups:
        inside = [(uid, *syntaxes) for uid, syntaxes in group if (uid, *syntaxes) in pairs]
        alone += inside
        more = [one for one in group if (one[0], *one[1]) not in pairs]
        assert transcode or not more
        for uid, syntaxes in more:
            # Only what every peer can read, and what the class has no context for.
            assert set(syntaxes) <= UNCOMPRESSED
            assert not {(uid, syntax) for syntax in syntaxes} & pairs
            added.add(uid)
        if transcode:
            lacking = {uid for uid, _ in inside if not {(uid, s) for s in UNCOMPRESSED} <= pairs}
            assert lacking == {uid for uid, _ in more}
    assert sorted(alone) == sorted(pairs)


@settings(deadline=None)
@given(PAIRS)
def test_no_more_associations_than_it_takes(pairs):
    groups = proposals(pairs)
    # A class stays together, so that no two neighbours would fit into one.
    sizes = [len(group) for group in groups]
    assert all(one + other > MOST_CONTEXTS - 11 for one, other in pairwise(sizes))


def listed(*paths):
    return {item.path: item for item in Selection(paths)}


def test_objects_and_pairs(tmp_path):
    (first,) = objects(tmp_path / "a", 1)
    (second,) = objects(tmp_path / "b", 1, syntax=IMPLICIT_LE)
    found = listed(tmp_path)
    size = first.stat().st_size
    assert found[str(first)][1:] == (SECONDARY_CAPTURE, "1.2.3.1", EXPLICIT_LE, "", size)
    assert found[str(second)].pair == (SECONDARY_CAPTURE, IMPLICIT_LE)
    assert Selection([tmp_path]).pairs() == {one.pair for one in found.values()}


def test_a_selection_can_be_looked_over_again(tmp_path):
    objects(tmp_path / "a", 3)
    selection = Selection(iter([tmp_path]))
    assert sorted(selection) == sorted(selection)
    assert len(selection.pairs()) == 1


def uid(tag, text):
    return element(tag, "UI", text.encode() + b"\0" * (len(text) % 2))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (part10(uid(0x00080018, "1.2")), "it has no SOPClassUID"),
        (part10(uid(0x00080016, "1.2")), "it has no SOPInstanceUID"),
        (part10(uid(0x00080016, "1.2 3") + uid(0x00080018, "1.2")), "SOPClassUID is no UID"),
        (part10(uid(0x00080016, "1." * 40) + uid(0x00080018, "1.2")), "SOPClassUID is no UID"),
        (part10(uid(0x00080016, "1.2") + uid(0x00080018, "1\\2")), "SOPInstanceUID is no UID"),
        (part10(data_set(), "1.2 8"), "UID|syntax"),
        (part10(data_set() + element(0x00100020, "LO", b"1 ", length=9)), "truncated in"),
    ],
    ids=["class", "instance", "space", "long", "two", "syntax", "cut"],
)
def test_what_cannot_be_sent_says_why(tmp_path, content, fault):
    (tmp_path / "broken").write_bytes(content)
    (item,) = Selection([tmp_path])
    assert re.search(fault, item.fault), item.fault


def test_a_folder_may_hold_what_is_no_object(tmp_path, corpus):
    (tmp_path / "text").write_text("no DICOM")
    (tmp_path / "empty").touch()
    directory = corpus / "pydicom__pydicom/src/pydicom/data/test_files/dicomdirtests/DICOMDIR"
    (tmp_path / "DICOMDIR").write_bytes(directory.read_bytes())
    assert listed(tmp_path) == {}
    assert Selection([tmp_path]).pairs() == set()
    named = listed(*tmp_path.iterdir())
    assert {path.rpartition("/")[2]: item.fault[:17] for path, item in named.items()} == {
        "text": "not DICOM: no DIC",
        "empty": "not DICOM: empty ",
        "DICOMDIR": "not for the netwo",
    }


def test_a_file_that_is_not_there(tmp_path):
    (item,) = Selection([tmp_path / "gone"])
    assert item.fault
    assert not item.sop_class
