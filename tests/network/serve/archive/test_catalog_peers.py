"""The same files in the catalog, DCMTK's archive and Orthanc: the same answers."""

import shutil
from contextlib import suppress

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_context

from dicomloom import Node, find
from dicomloom.network.keys import RETURNED, UNIQUE
from dicomloom.network.serve.archive.catalog import Catalog
from find_peers import PATIENT_ROOT, STUDY_ROOT, archive, objects, orthanc
from network_peers import heard
from support import readable

MODELS = {"patient": PATIENT_ROOT, "study": STUDY_ROOT}
LARGEST = 40_000  # bytes
# Neither peer has all: dcmqrscp does not count, and decodes no character set; Orthanc reads no
# Japanese in pairs of bytes. Who can be retrieved from whom differs by nature.
APART = {"RetrieveAETitle", "InstanceAvailability", "SpecificCharacterSet"}
NAMES = {"PatientName", "ReferringPhysicianName"}


def keys(**given):
    made = Dataset()
    for keyword, value in given.items():
        setattr(made, keyword, value)
    return made


def everything(catalog):
    asked = keys(StudyInstanceUID=None)
    uids = [str(one.StudyInstanceUID) for one in catalog.find(STUDY_ROOT, "STUDY", asked)]
    return list(catalog.instances(STUDY_ROOT, "STUDY", keys(StudyInstanceUID=uids)))


def send(port, held):
    """Store objects as they are; returns those that the peer took."""
    # From one side: dcmqrscp forgets some of what comes from several.
    kinds = {(one.sop_class_uid, one.transfer_syntax) for one in held}
    contexts = [build_context(*kind) for kind in sorted(kinds)]
    taken, association = [], None
    for one in held:
        if association is None or not association.is_established:
            association = heard(
                AE("ME").associate("127.0.0.1", port, contexts=contexts, ae_title="ARCHIVE")
            )
        with suppress(ValueError):  # no such context; or pydicom cannot write the object again
            if association.send_c_store(one.path).get("Status") == 0:
                taken.append(one)
    association.release()
    return taken


@pytest.fixture(scope="module", params=[archive, orthanc], ids=["dcmqrscp", "orthanc"])
def both(request, corpus, tmp_path_factory):
    """A peer's port and name, and a catalog of what it took of the corpus."""
    folder = tmp_path_factory.mktemp("peers")
    for number, name in enumerate(readable(corpus)):
        # Orthanc does not answer when it is sent ctbrain1.
        if (corpus / name).stat().st_size < LARGEST and "ctbrain" not in name:
            (folder / "all").mkdir(exist_ok=True)
            shutil.copy(corpus / name, folder / "all" / f"{number}.dcm")
    with Catalog(folder) as catalog:
        catalog.refresh()
        held = everything(catalog)
    (folder / "taken").mkdir()
    more = {"SyncStorageArea": False} if request.param is orthanc else {}
    with request.param(folder, corpus, **more) as port:
        # Some of all kinds: pynetdicom takes 0.1 s an object.
        taken = [*objects(corpus), *(one.path for one in send(port, held[::3]))]
        with Catalog(folder / "taken", ae_title="ARCHIVE") as catalog:
            # One by one: the first of a series says what the series is, there and here.
            for number, path in enumerate(taken):
                copy = shutil.copy(path, folder / "taken" / f"{number:04}.dcm")
                catalog.add([copy])
            yield port, request.param, catalog


def theirs(port, level, root, wanted):
    node = Node(f"ARCHIVE@127.0.0.1:{port}", calling_ae_title="ME", timeout=20)
    return {text(one, UNIQUE[level]): one for one in find(node, level, wanted, root=root)}


def ours(catalog, level, root, wanted):
    asked = keys(**dict.fromkeys((UNIQUE[level], *RETURNED[level])))
    for keyword, value in wanted.items():
        setattr(asked, keyword, value)
    found = list(catalog.find(MODELS[root], level, asked))
    made = {text(one, UNIQUE[level]): one for one in found}
    assert len(made) == len(found)
    return made


def text(data_set, keyword):
    value = data_set.get(keyword)
    return "" if value is None else str(value)


def same(mine, other, which):
    """Compare values; what only one of the two knows is not compared."""
    differ = {
        element.keyword: (text(mine, element.keyword), text(other, element.keyword))
        for element in mine
        if element.keyword in other
        and element.keyword not in APART
        and text(mine, element.keyword) != text(other, element.keyword)
    }
    for keyword in NAMES & differ.keys():
        if not differ[keyword][0].isascii():
            del differ[keyword]
    if which is archive:
        # It has no value for what it does not keep.
        differ = {keyword: pair for keyword, pair in differ.items() if pair[1]}
    return differ


@pytest.mark.filterwarnings("ignore")
def test_all_levels(both):
    port, which, catalog = both
    studies = ours(catalog, "STUDY", "study", {})
    peers = theirs(port, "STUDY", "study", {})
    assert studies.keys() == peers.keys()
    assert len(studies) > 20
    differ = {uid: found for uid, one in studies.items() if (found := same(one, peers[uid], which))}
    assert not differ
    for study in studies:
        above = {"StudyInstanceUID": study}
        series = ours(catalog, "SERIES", "study", above)
        peers = theirs(port, "SERIES", "study", above)
        assert series.keys() == peers.keys()
        assert [same(one, peers[uid], which) for uid, one in series.items()] == [{}] * len(series)
        below = above | {"SeriesInstanceUID": next(iter(series))}
        images = ours(catalog, "IMAGE", "study", below)
        peers = theirs(port, "IMAGE", "study", below)
        assert images.keys() == peers.keys()
        assert [same(one, peers[uid], which) for uid, one in images.items()] == [{}] * len(images)


@pytest.mark.filterwarnings("ignore")
def test_patients(both):
    port, _, catalog = both
    patients = ours(catalog, "PATIENT", "patient", {})
    assert patients.keys() == theirs(port, "PATIENT", "patient", {}).keys()
    for patient in [one for one in patients if one][:5]:
        above = {"PatientID": patient}
        assert (
            ours(catalog, "STUDY", "patient", above).keys()
            == theirs(port, "STUDY", "patient", above).keys()
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wanted",
    [
        {"PatientName": "Compressed*"},
        {"PatientName": "*CT?"},
        {"PatientName": "CompressedSamples^CT1"},
        {"PatientName": "[*"},
        {"StudyDate": "20040101-20041231"},
        {"StudyDate": "20040826-"},
        {"StudyDate": "20040826"},
        {"PatientID": "4MR1"},
        {"PatientID": "?CT*"},
        {"PatientID": "4mr1"},
        {"PatientSex": "O", "PatientID": "*1"},
        {"StudyDescription": "e+*"},
        {"PatientID": "NOBODY"},
    ],
    ids=str,
)
def test_matching(both, wanted):
    port, _, catalog = both
    found = ours(catalog, "STUDY", "study", wanted)
    assert found.keys() == theirs(port, "STUDY", "study", wanted).keys()


@pytest.mark.filterwarnings("ignore")
def test_until_a_date(both):
    """Orthanc gives studies without a date, too."""
    port, _, catalog = both
    wanted = {"StudyDate": "-20040120"}
    peers = theirs(port, "STUDY", "study", wanted)
    dated = {uid for uid, one in peers.items() if text(one, "StudyDate")}
    assert ours(catalog, "STUDY", "study", wanted).keys() == dated


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wanted",
    [
        {"PatientName": "compressedSAMPLES^*"},
        {"ModalitiesInStudy": "MR"},
        {"StudyTime": "070000-120000"},
        {"AccessionNumber": "*", "ModalitiesInStudy": "CT"},
    ],
    ids=str,
)
def test_matching_that_dcmqrscp_does_not_do(both, wanted):
    port, which, catalog = both
    if which is archive:
        pytest.skip("it heeds case, has no modalities of a study, and wants times to the second")
    found = ours(catalog, "STUDY", "study", wanted)
    assert found.keys() == theirs(port, "STUDY", "study", wanted).keys()
    assert found
