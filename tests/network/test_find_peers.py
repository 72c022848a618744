"""C-FIND with DCMTK's dcmqrscp and Orthanc, at every level, and what findscu gets from them."""

import pydicom
import pytest

from dicomloom import NetworkError, Node, find
from find_peers import archive, findscu, objects, orthanc

LEVELS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


@pytest.fixture(scope="module")
def truth(corpus):
    """What the objects themselves say."""
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in objects(corpus)]


@pytest.fixture(scope="module", params=[archive, orthanc], ids=["dcmqrscp", "orthanc"])
def port(request, corpus, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("archive"), corpus) as port:
        yield port


def node(port):
    return Node(f"ARCHIVE@127.0.0.1:{port}", calling_ae_title="ME", timeout=10)


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
@pytest.mark.parametrize("root", ["patient", "study"])
def test_every_level_has_what_the_objects_have(port, truth, root):
    """Down the hierarchy, from all patients or studies to all instances."""
    levels = list(LEVELS.items())[0 if root == "patient" else 1 :]
    above = [{}]
    for level, unique in levels:
        found = []
        for keys in above:
            for one in find(node(port), level, keys, root=root):
                assert one.QueryRetrieveLevel == level
                found.append(keys | {unique: str(one[unique].value)})
        names = list(found[0])
        expected = {tuple(str(each[name].value) for name in names) for each in truth}
        assert {tuple(one.values()) for one in found} == expected
        assert len(found) == len(expected)
        above = found


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
@pytest.mark.parametrize(
    "keys",
    [
        {"PatientName": "Compressed*"},
        {"PatientName": "*CT?"},
        {"StudyDate": "20040101-20041231"},
        {"StudyDate": "-20040120"},
        {"StudyDate": "20040826-"},
        {"PatientID": "4MR1"},
        {"PatientID": "NOBODY"},
    ],
    ids=str,
)
def test_matching_is_findscus(port, keys, tmp_path):
    ((name, value),) = keys.items()
    arguments = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]
    theirs = findscu(tmp_path / "rsp", port, *arguments, "-k", f"{name}={value}")
    ours = list(find(node(port), **keys))
    assert sorted(one.StudyInstanceUID for one in ours) == sorted(
        one.StudyInstanceUID for one in theirs
    )
    assert bool(ours) == (value != "NOBODY")


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_a_list_of_uids(port, truth):
    uids = sorted({str(one.StudyInstanceUID) for one in truth})[:2]
    found = find(node(port), StudyInstanceUID="\\".join(uids))
    assert sorted(one.StudyInstanceUID for one in found) == uids


@pytest.mark.filterwarnings("ignore::dicomloom.DicomloomWarning")
def test_a_limit_and_an_iterator_that_is_left(port):
    assert len(list(find(node(port), limit=1))) == 1
    found = find(node(port))
    next(found)
    found.close()
    assert len(list(find(node(port)))) > 1


def test_relational_queries_that_nobody_does(port):
    with pytest.raises(NetworkError, match="relational"):
        list(find(node(port), "SERIES", relational=True, Modality="CT"))
