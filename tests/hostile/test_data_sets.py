"""P1 and N9: data sets that hold up nobody who decodes, walks, writes or prints all of them.

pydicom converts when somebody looks, recursing; and each level doubles what an exception says.
"""

import logging
import warnings

import pytest
from pydicom import Dataset

from dicomloom import CorruptError, FrameReader, LimitError
from dicomloom.decoding import settle
from dicomloom.json_model import model_of
from dicomloom.network.datasets import read_data_set, write_data_set
from dicomloom.network.serve.mpps import StepFolder
from dicomloom.network.serve.worklist import WorklistFolder
from hostile import SQ, behind, pixels, uid
from support import UNDEFINED, element, item, part10, sequence

STEPS = 0x00400100
BROKEN = element(0x00280010, "US", b"123")
IMPLICIT_BROKEN = element(0x00280010, None, b"123")
OPEN = element(0xFFFEE000, None, length=UNDEFINED) + element(SQ, None, length=UNDEFINED)


def within(depth, core=b"", vr="SQ"):
    """Return sequences in sequences, of defined length."""
    for _ in range(depth):
        core = sequence(SQ, [item(core)], vr)
    return core


def un(content):
    """Return what a tag that is a sequence has as UN."""
    return element(SQ, "UN", content)


def implicit(depth, core=b""):
    return within(depth, core, None)[8:]


HOSTILE = {
    "a fault 60 deep": within(60, BROKEN),
    "a fault 20 deep in UN": un(implicit(20, IMPLICIT_BROKEN)),
    "UN, 60 deep": un(implicit(60)),
    "UN, 1,000 deep": un(implicit(1000)),
    "UN, 1,000 deep, never closed": un(OPEN * 1000),
    "UN, 30 deep, never closed": un(OPEN * 30),
    "UN of UN": un(element(0xFFFEE000, None, element(SQ, None, un(implicit(30))))),
    "a character set that is a number, 20 deep": within(
        20, element(0x00080005, "US", b"\5\0") + element(0x00100010, "PN", b"ab")
    ),
    "a broken sequence, 20 deep": within(20, element(SQ, "SQ", b"no item!")),
}

hostile = pytest.mark.parametrize("name", HOSTILE)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def walked(dataset):
    """Do what a user may do to all of a data set."""
    dataset.decode()
    assert [str(found.value) for found in dataset.iterall()]
    dataset.walk(lambda _, found: found.value)
    return str(dataset)


@hostile
def test_p01_the_data_set_of_a_reader_can_be_walked(tmp_path, name):
    """Decoding, walking and printing all of `FrameReader.dataset` ends, or it is refused."""
    path = tmp_path / "deep.dcm"
    path.write_bytes(part10(uid() + HOSTILE[name] + behind() + pixels()))
    with FrameReader(path) as reader:
        try:
            found = reader.dataset
        except LimitError as error:
            assert error.path == str(path)
            assert "nest deeper than 64" in str(error)
            assert name == "UN, 1,000 deep"
            return
        assert found.PatientID == "behind"
        assert "behind" in walked(found)


def test_p01_a_good_data_set_of_a_reader_is_as_pydicom_reads_it(tmp_path):
    """What nests deep and is whole stays what it is; UN that holds a sequence becomes one."""
    path = tmp_path / "good.dcm"
    text = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00104000, "LT", "\u00e4".encode())
    path.write_bytes(part10(uid() + within(20, text) + pixels()))
    with FrameReader(path) as reader:
        found = reader.dataset
    for _ in range(20):
        (found,) = found.ReferencedImageSequence
    assert found.PatientComments == "\u00e4"
    path.write_bytes(
        part10(uid() + un(implicit(20, element(0x00280010, None, b"\7\0"))) + pixels())
    )
    with FrameReader(path) as reader:
        found = reader.dataset
    for _ in range(20):
        (found,) = found.ReferencedImageSequence
    assert found.Rows == 7


@hostile
def test_p01_settle_ends(name):
    """What has to be whole is refused: deeper than 64, or a value that is none."""
    from io import BytesIO

    from pydicom.filereader import read_dataset

    made = read_dataset(BytesIO(HOSTILE[name]), False, True)
    try:
        settle(made)
    except (CorruptError, LimitError) as error:
        assert len(str(error)) < 200
    else:
        walked(made)


@hostile
def test_n09_a_data_set_of_a_peer_ends(tmp_path, name):
    """What a peer sends as identifier or attributes is refused in a line, or goes everywhere."""
    try:
        made, _ = read_data_set(HOSTILE[name], False)
    except ValueError as error:
        assert len(str(error)) < 200
        return
    walked(made)
    write_data_set(made, True)
    model_of(made, lenient=True)
    for strict in (True, False):
        steps = StepFolder(tmp_path / str(strict), strict=strict)
        assert steps.create("1.2.3", made) in (0x0106, 0x0120)


def step():
    return sequence(STEPS, [item(element(0x00080060, "CS", b"CT"))])


@hostile
@pytest.mark.parametrize("way", ["whole", "within the step"])
def test_n09_a_file_of_the_worklist_ends(tmp_path, caplog, name, way):
    """A file in the folder of a worklist nests as it likes: it is left out, the next is there."""
    inside = HOSTILE[name] + step() if way == "whole" else sequence(STEPS, [item(HOSTILE[name])])
    (tmp_path / "a.wl").write_bytes(part10(inside))
    (tmp_path / "b.wl").write_bytes(part10(step() + behind()))
    question = Dataset()
    question.PatientID = ""
    with caplog.at_level(logging.WARNING):
        found = [
            str(answer.get("PatientID") or "")
            for answer in WorklistFolder(tmp_path).answers(question)
        ]
    assert found in (["behind"], ["", "behind"])
    assert (len(found) == 2) != ("a.wl" in caplog.text)


def test_n09_a_worklist_file_of_very_many_steps(tmp_path):
    """20,000 steps in one file are 20,000 items, which share what they have in common."""
    empty = element(0xFFFEE000, None)
    many = element(STEPS, "SQ", empty * 20_000)
    (tmp_path / "many.wl").write_bytes(part10(within(1) + many + behind()))
    items = WorklistFolder(tmp_path).items()
    assert len(items) == 20_000
    assert items[0]["PatientID"] is items[-1]["PatientID"]
