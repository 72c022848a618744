"""The catalog: what it takes in, what it answers, and what it is after a fault."""

import os
import shutil
import sqlite3
import threading
from collections import defaultdict

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from dicomloom import WriteError
from dicomloom.network.serve.archive.catalog import INDEX, Catalog
from dicomloom.network.serve.refusal import Refusal
from faults import child
from find_peers import PATIENT_ROOT, STUDY_ROOT
from network_peers import descriptors

CT = "1.2.840.10008.5.1.4.1.1.2"


def save(folder, number, *, name=None, **attributes):
    """A small object: of study 1, series 1, unless it is told otherwise."""
    made = Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = CT, f"1.2.9.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.1", "1.2.1.1"
    made.PatientID, made.PatientName, made.Modality = "P1", "Doe^John", "CT"
    made.StudyDate, made.InstanceNumber = "20260101", number
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    path = folder / "objects" / f"{name or number}.dcm"
    path.parent.mkdir(exist_ok=True, parents=True)
    made.save_as(path, enforce_file_format=True)
    return path


def keys(**given):
    made = Dataset()
    for keyword, value in given.items():
        setattr(made, keyword, value)
    return made


def find(catalog, level, *, model=STUDY_ROOT, relational=False, **given):
    return list(catalog.find(model, level, keys(**given), relational=relational))


def uids(catalog):
    found = find(catalog, "IMAGE", relational=True, SOPInstanceUID=None)
    return sorted(str(one.SOPInstanceUID).removeprefix("1.2.9.") for one in found)


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A catalog of the corpus, and what pydicom reads of all files that answer, by path."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(corpus, folder / "objects")
    with Catalog(folder) as catalog:
        catalog.refresh()
        studies = find(catalog, "STUDY", StudyInstanceUID=None)
        wanted = keys(StudyInstanceUID=[str(one.StudyInstanceUID) for one in studies])
        held = list(catalog.instances(STUDY_ROOT, "STUDY", wanted))
        truth = {one.path: pydicom.dcmread(one.path, stop_before_pixels=True) for one in held}
        yield catalog, held, truth


def plain(data_set, keyword):
    """A value as text, or several, without padding."""
    if keyword not in data_set or data_set[keyword].value is None:
        return ""
    element = data_set[keyword]
    many = element.value if element.VM > 1 else [element.value]
    return "\\".join(str(value).strip() for value in many)


# --- what is in the corpus ---


def test_instances_of_the_corpus(whole):
    _, held, truth = whole
    assert len(held) > 200
    assert len({one.sop_instance_uid for one in held}) == len(held)
    for one in held:
        said = truth[one.path]
        assert (one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax) == (
            said.SOPClassUID,
            said.SOPInstanceUID,
            said.file_meta.TransferSyntaxUID,
        )


def test_attributes_of_the_corpus(whole):
    catalog, held, truth = whole
    wanted = ("InstanceNumber", "NumberOfFrames", "Rows", "Columns", "ContentDate", "ImageType")
    asked = dict.fromkeys(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", *wanted))
    found = find(catalog, "IMAGE", relational=True, **asked)
    by_uid = {str(truth[one.path].SOPInstanceUID): truth[one.path] for one in held}
    assert len(found) == len(by_uid)
    differ = [
        (keyword, plain(one, keyword), plain(by_uid[one.SOPInstanceUID], keyword))
        for one in found
        for keyword in asked
        if plain(one, keyword) != plain(by_uid[one.SOPInstanceUID], keyword)
    ]
    assert differ == [("NumberOfFrames", "", "1A")]  # what is no number cannot be sent as one


def test_what_a_study_of_the_corpus_has(whole):
    catalog, _, truth = whole
    expected = defaultdict(lambda: (set(), set(), set(), set()))
    for one in truth.values():
        sets = expected[str(one.StudyInstanceUID)]
        sets[0].add(str(one.SeriesInstanceUID))
        sets[1].add(str(one.SOPInstanceUID))
        sets[2].add(str(one.get("Modality") or ""))
        sets[3].add(str(one.SOPClassUID))
    numbers = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
    lists = ("ModalitiesInStudy", "SOPClassesInStudy")
    found = find(catalog, "STUDY", **dict.fromkeys(("StudyInstanceUID", *numbers, *lists)))
    assert len(found) == len(expected)
    for one in found:
        sets = expected[str(one.StudyInstanceUID)]
        assert [one[keyword].value for keyword in numbers] == [len(sets[0]), len(sets[1])]
        for keyword, values in zip(lists, sets[2:], strict=True):
            element = one[keyword]
            got = element.value if element.VM > 1 else [element.value or ""]
            assert sorted(map(str, got)) == sorted(values - {""} or values)


@pytest.mark.parametrize("implicit", [True, False])
def test_answers_can_be_sent(whole, implicit):
    """Also those made of strange files."""
    catalog, _, _ = whole
    asked = keys(**dict.fromkeys(("PatientName", "StudyInstanceUID", "PatientWeight")))
    asked.StudyTime = asked.StudyDate = asked.StudyDescription = None
    for one in catalog.find(STUDY_ROOT, "STUDY", asked):
        data = encode(one, implicit, True)
        assert data is not None
        back = decode(pydicom.filebase.DicomBytesIO(data), implicit, True)
        assert str(back.PatientName or "") == str(one.PatientName or "")


# --- answers ---


def test_only_what_is_asked_for_comes_back(catalog, tmp_path):
    catalog.add([save(tmp_path, 1)])
    (one,) = find(catalog, "STUDY", PatientName=None)
    assert one == keys(QueryRetrieveLevel="STUDY", PatientName="Doe^John")
    with Catalog(tmp_path, ae_title="ARCHIVE") as other:
        asked = {"RetrieveAETitle": None, "InstanceAvailability": None, "StudyID": None}
        (one,) = find(other, "STUDY", **asked)
    assert (one.RetrieveAETitle, one.InstanceAvailability) == ("ARCHIVE", "ONLINE")
    assert one["StudyID"].is_empty
    asked = {"AvailableTransferSyntaxUID": None, "NumberOfSeriesRelatedInstances": None}
    (one,) = find(catalog, "IMAGE", relational=True, **asked)
    assert one.AvailableTransferSyntaxUID == ExplicitVRLittleEndian
    assert one.NumberOfSeriesRelatedInstances == 1


def test_text_beyond_ascii(catalog, tmp_path):
    path = save(tmp_path, 1, SpecificCharacterSet="ISO_IR 100", PatientName="M\u00fcller^J")
    catalog.add([path])
    (one,) = find(catalog, "STUDY", PatientName="m\u00dcller*")
    assert (one.SpecificCharacterSet, one.PatientName) == ("ISO_IR 192", "M\u00fcller^J")
    (one,) = find(catalog, "STUDY", StudyDate=None)
    assert "SpecificCharacterSet" not in one


def test_what_is_not_known_comes_back_empty(catalog, tmp_path):
    catalog.add([save(tmp_path, 1)])
    asked = keys(StudyInstanceUID=None, RequestedProcedureID="7", ProcedureCodeSequence=[])
    asked.add_new(0x00091001, "UN", None)
    (one,) = catalog.find(STUDY_ROOT, "STUDY", asked)
    assert one.RequestedProcedureID is None
    assert one.ProcedureCodeSequence == []
    assert one[0x00091001].is_empty
    assert not catalog.supports(STUDY_ROOT, "STUDY", asked)
    assert catalog.supports(STUDY_ROOT, "STUDY", keys(StudyInstanceUID=None))


def test_levels_above_and_below(catalog, tmp_path):
    paths = [
        save(tmp_path, 1),
        save(tmp_path, 2, SeriesInstanceUID="1.2.1.2", Modality="MR", SeriesNumber=5),
        save(tmp_path, 3, StudyInstanceUID="1.2.2", PatientID="P2", SeriesNumber=5),
    ]
    assert catalog.add(paths) == []
    found = find(catalog, "SERIES", StudyInstanceUID="1.2.1", PatientName="doe*", Modality="MR")
    assert [(one.PatientName, one.Modality) for one in found] == [("Doe^John", "MR")]

    def studies(**given):
        found = find(catalog, "STUDY", relational=True, StudyInstanceUID=None, **given)
        return [one.StudyInstanceUID for one in found]

    assert studies(Modality="MR") == ["1.2.1"]
    assert studies(Modality="MR", SOPInstanceUID="1.2.9.2") == ["1.2.1"]
    assert studies(Modality="CT", SeriesNumber="5") == ["1.2.2"]
    assert studies(Modality="MR", SOPInstanceUID="1.2.9.1") == []
    assert studies(ModalitiesInStudy=["MR", "US"]) == ["1.2.1"]
    # Not relational: a key of a level below says nothing.
    found = find(catalog, "STUDY", StudyInstanceUID=None, Modality="MR")
    assert len(found) == 2
    found = find(catalog, "SERIES", relational=True, SOPInstanceUID="1.2.9.3", SeriesNumber=None)
    assert [one.SeriesNumber for one in found] == [5]


def test_patients(catalog, tmp_path):
    catalog.add(
        [
            save(tmp_path, 1),
            save(tmp_path, 2, StudyInstanceUID="1.2.2"),
            save(tmp_path, 3, StudyInstanceUID="1.2.3", PatientID="P2", PatientName="Roe"),
            save(tmp_path, 4, StudyInstanceUID="1.2.4", IssuerOfPatientID="ELSEWHERE"),
        ]
    )
    counts = ("Studies", "Series", "Instances")
    asked = {f"NumberOfPatientRelated{what}": None for what in counts}
    found = find(catalog, "PATIENT", model=PATIENT_ROOT, PatientID="P*", PatientName=None, **asked)
    assert [(one.PatientID, *(one[each].value for each in asked)) for one in found] == [
        ("P1", 2, 2, 2),
        ("P1", 1, 1, 1),
        ("P2", 1, 1, 1),
    ]
    found = find(catalog, "STUDY", model=PATIENT_ROOT, PatientID="P2", StudyInstanceUID=None)
    assert [one.StudyInstanceUID for one in found] == ["1.2.3"]


@pytest.mark.parametrize(
    ("level", "given", "says"),
    [
        ("PATIENT", {}, "expected STUDY"),
        ("", {}, "expected STUDY"),
        ("study", {}, "expected STUDY"),
        ("x' OR 1", {}, "expected STUDY"),
        ("SERIES", {}, "StudyInstanceUID"),
        ("SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}, "StudyInstanceUID"),
        ("SERIES", {"StudyInstanceUID": "*"}, "StudyInstanceUID"),
        ("IMAGE", {"StudyInstanceUID": "1.2"}, "SeriesInstanceUID"),
    ],
)
@pytest.mark.parametrize("service", ["find", "instances"])
def test_an_identifier_that_does_not_fit(catalog, level, given, says, service):
    with pytest.raises(Refusal, match=says) as caught:
        getattr(catalog, service)(STUDY_ROOT, level, keys(**given))
    assert caught.value.status == 0xA900


def test_more_identifiers_that_do_not_fit(catalog):
    with pytest.raises(Refusal) as caught:
        catalog.find("1.2.3", "STUDY", keys())
    assert caught.value.status == 0x0122
    with pytest.raises(Refusal, match="PatientID") as caught:
        find(catalog, "STUDY", model=PATIENT_ROOT, PatientID="P?")
    assert caught.value.status == 0xA900
    for given in ({"StudyDate": "?"}, {"PatientName": "x" * 5000}, {"PatientID": "\udc80"}):
        with pytest.raises(Refusal) as caught:
            find(catalog, "STUDY", **given)
        assert caught.value.status == 0xC000
    broken, rows = Dataset(), pydicom.tag.Tag("Rows")
    broken[rows] = pydicom.dataelem.RawDataElement(rows, "US", 3, b"abc", 0, False, True)
    with pytest.raises(Refusal) as caught:
        catalog.find(STUDY_ROOT, "STUDY", broken)
    assert caught.value.status == 0xC000


@pytest.mark.parametrize("text", ["'; DROP TABLE study; --", '"', "%", "_", "P[1]", "P\\1", "\0"])
def test_what_looks_like_sql_is_text(catalog, tmp_path, text):
    catalog.add([save(tmp_path, 1)])
    assert find(catalog, "STUDY", PatientName=text, StudyInstanceUID=None) == [] or text == "\0"
    assert find(catalog, "STUDY", AccessionNumber=text + "x") == []
    assert uids(catalog) == ["1"]


# --- retrieval, commitment ---


def test_instances_by_their_keys(catalog, tmp_path):
    for number in range(4):
        series = f"1.2.1.{number // 2}"
        catalog.add([save(tmp_path, number, SeriesInstanceUID=series)])

    def numbers(level, **given):
        held = catalog.instances(STUDY_ROOT, level, keys(**given))
        return sorted(one.sop_instance_uid[-1] for one in held)

    assert numbers("STUDY", StudyInstanceUID="1.2.1") == ["0", "1", "2", "3"]
    assert numbers("STUDY", StudyInstanceUID=["1.2.1", "1.2.7"]) == ["0", "1", "2", "3"]
    assert numbers("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1") == ["2", "3"]
    above = {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.0"}
    assert numbers("IMAGE", SOPInstanceUID=["1.2.9.1", "1.2.9.2"], **above) == ["1"]
    assert numbers("STUDY", StudyInstanceUID="1.2.7") == []
    with pytest.raises(Refusal):
        numbers("STUDY", StudyInstanceUID="")
    alone = keys(SOPInstanceUID="1.2.9.3")
    (held,) = catalog.instances(STUDY_ROOT, "IMAGE", alone, relational=True)
    assert held.path == str(tmp_path / "objects" / "3.dcm")


def test_what_is_held_for_commitment(catalog, tmp_path):
    first, second, third = (save(tmp_path, number) for number in range(3))
    catalog.add([first, second, third])
    assert catalog.holds(CT, "1.2.9.0") == 0
    assert catalog.holds(CT, "1.2.9.7") == 0x0112
    assert catalog.holds("1.2.840.10008.5.1.4.1.1.4", "1.2.9.0") == 0x0119
    first.unlink()
    second.write_bytes(b"no object")
    shutil.copy(save(tmp_path, 9), third)
    reasons = [catalog.holds(CT, f"1.2.9.{number}") for number in range(3)]
    assert reasons == [0x0112, 0x0110, 0x0110]


# --- taking in, letting go ---


def test_refresh_sees_what_changed(catalog, tmp_path):
    paths = [save(tmp_path, number) for number in range(3)]
    (tmp_path / "by hand").mkdir()
    shutil.copy(save(tmp_path, 7, name="x"), tmp_path / "by hand" / "7")
    (tmp_path / "objects" / "x.dcm").unlink()
    (tmp_path / "readme.txt").write_text("no object")
    for hidden in (".incoming/half.partial", "objects/.dicomloom-1.partial"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        shutil.copy(save(tmp_path, 8, name="x"), tmp_path / hidden)
        (tmp_path / "objects" / "x.dcm").unlink()
    refreshed = catalog.refresh()
    assert (refreshed.gone, refreshed.unfit) == (0, 1)
    assert uids(catalog) == ["0", "1", "2", "7"]
    paths[0].unlink()
    save(tmp_path, 1, StudyDescription="changed", StudyInstanceUID="1.2.5")
    save(tmp_path, 3)
    assert catalog.refresh().gone == 1
    assert uids(catalog) == ["1", "2", "3", "7"]
    (one,) = find(catalog, "STUDY", StudyInstanceUID="1.2.5", StudyDescription=None)
    assert one.StudyDescription == "changed"
    assert catalog.refresh()[1:] == (0, 0)


def test_add_again_is_once(catalog, tmp_path):
    path = save(tmp_path, 1)
    for _ in range(3):
        assert catalog.add([path]) == []
    assert uids(catalog) == ["1"]
    (one,) = find(catalog, "STUDY", NumberOfStudyRelatedInstances=None)
    assert one.NumberOfStudyRelatedInstances == 1


def test_files_that_do_not_answer_are_told(catalog, tmp_path):
    good = save(tmp_path, 1)
    noise = tmp_path / "objects" / "noise.dcm"
    noise.write_bytes(b"noise" * 100)
    without = save(tmp_path, 2, SeriesInstanceUID="")
    gone = tmp_path / "objects" / "gone.dcm"
    told = {one.path: one.reason for one in catalog.add([good, noise, without, gone])}
    assert told.keys() == {str(noise), str(without), str(gone)}
    assert "SeriesInstanceUID" in told[str(without)]
    assert uids(catalog) == ["1"]
    for outside in (tmp_path.parent / "x.dcm", tmp_path / ".." / "x.dcm", "/etc/passwd"):
        with pytest.raises(ValueError, match="not below"):
            catalog.add([outside])


@pytest.mark.parametrize("at_once", [True, False])
def test_two_files_of_an_instance(catalog, tmp_path, at_once):
    """The one without a number answers; where it goes, the other does."""
    first = save(tmp_path, 1, name="a", StudyDescription="first")
    second = save(tmp_path, 1, name="a-1", StudyDescription="second")
    other = save(tmp_path, 2)
    told = []
    for paths in [[second, first, other]] if at_once else [[second], [first], [other]]:
        told += catalog.add(paths)
    assert [one.path for one in told] == [str(second)]
    asked = {"StudyInstanceUID": "1.2.1", "NumberOfStudyRelatedInstances": None}
    (one,) = find(catalog, "STUDY", **asked)
    assert one.NumberOfStudyRelatedInstances == 2
    first.unlink()
    catalog.refresh()
    assert uids(catalog) == ["1", "2"]
    held = catalog.instances(STUDY_ROOT, "STUDY", keys(StudyInstanceUID="1.2.1"))
    assert {one.path for one in held} == {str(second), str(other)}
    assert catalog.remove("1.2.9.1") == [str(second)]
    assert uids(catalog) == ["2"]


def test_a_study_goes_with_its_last_instance(catalog, tmp_path):
    catalog.add([save(tmp_path, 1), save(tmp_path, 2, SeriesInstanceUID="1.2.1.2")])
    catalog.remove("1.2.9.1")
    (one,) = find(catalog, "STUDY", NumberOfStudyRelatedSeries=None)
    assert one.NumberOfStudyRelatedSeries == 1
    catalog.remove("1.2.9.2")
    assert find(catalog, "STUDY", StudyInstanceUID=None) == []
    assert catalog.remove("1.2.9.2") == []


# --- faults ---


def cut(path):
    os.truncate(path, 10_000)


def overwrite(path):
    path.write_bytes(b"no database" * 1000)


def foreign(path):
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE study (StudyInstanceUID)")
    database.close()


def older(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=1")
    database.close()


def one_page(path):
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xa5" * 4096
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, overwrite, foreign, older, one_page])
def test_a_broken_index_is_put_aside(tmp_path, damage, caplog):
    with Catalog(tmp_path) as catalog:
        catalog.add([save(tmp_path, number) for number in range(50)])
    damage(tmp_path / INDEX)
    was = (tmp_path / INDEX).read_bytes()
    with Catalog(tmp_path) as catalog:
        catalog.refresh()
        assert len(uids(catalog)) == 50
    assert "made anew" in caplog.text
    assert (tmp_path / f"{INDEX}.aside-1").read_bytes() == was
    caplog.clear()
    with Catalog(tmp_path) as catalog:
        assert catalog.refresh() == (0, 0, 0)
    assert "made anew" not in caplog.text


def test_an_index_that_breaks_while_it_is_asked(tmp_path):
    with Catalog(tmp_path) as catalog:
        catalog.add([save(tmp_path, number) for number in range(50)])
    with Catalog(tmp_path) as catalog:
        overwrite(tmp_path / INDEX)
        with pytest.raises(Refusal) as caught:
            find(catalog, "STUDY", PatientName=None)
        assert caught.value.status == 0xC000
        with pytest.raises(WriteError):
            catalog.add([save(tmp_path, 99)])


def test_a_full_disk_leaves_the_index_as_it_was(tmp_path):
    """A file-size limit stands for it."""
    with Catalog(tmp_path) as catalog:
        catalog.add([save(tmp_path, number) for number in range(3)])
    for number in range(3, 800):
        save(tmp_path, number)
    done = child(
        """
        import resource, signal, sys
        from dicomloom import WriteError
        from dicomloom.network.serve.archive.catalog import Catalog
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        catalog = Catalog(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (130_000, 130_000))
        try:
            catalog.add(f"{sys.argv[1]}/objects/{number}.dcm" for number in range(800))
        except WriteError as error:
            print(error.path)
        """,
        tmp_path,
    )
    assert done.stdout.strip() == str(tmp_path / INDEX), done.stderr
    with Catalog(tmp_path) as catalog:
        assert uids(catalog) == ["0", "1", "2"]
        assert catalog.refresh().read == 797


def test_kill_9_while_taking_in(tmp_path):
    for number in range(300):
        save(tmp_path, number)
    done = child(
        """
        import os, signal, sys, threading
        from dicomloom.network.serve.archive.catalog import Catalog
        catalog = Catalog(sys.argv[1])
        for number in range(100):
            catalog.add([f"{sys.argv[1]}/objects/{number}.dcm"])
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()
        while True:
            catalog.add(f"{sys.argv[1]}/objects/{number}.dcm" for number in range(100, 300))
        """,
        tmp_path,
    )
    assert done.returncode == -9, done.stderr
    with Catalog(tmp_path) as catalog:
        assert len(uids(catalog)) in (100, 300)
        catalog.refresh()
        assert len(uids(catalog)) == 300
    assert not (tmp_path / f"{INDEX}.aside-1").exists()


def test_a_folder_without_rights_to_write(tmp_path):
    with pytest.raises(WriteError):
        Catalog(tmp_path / "absent")


# --- threads ---


def test_many_ask_while_one_adds(tmp_path):
    """What is answered is what was there at some moment: counts and instances agree."""
    paths = [
        save(tmp_path, number, SeriesInstanceUID=f"1.2.1.{number % 3}") for number in range(90)
    ]
    before = descriptors()
    errors, sizes = [], []
    done = threading.Event()

    def ask():
        try:
            while not done.is_set():
                for one in find(catalog, "STUDY", NumberOfStudyRelatedInstances=None):
                    sizes.append(int(one.NumberOfStudyRelatedInstances))
                    assert sizes[-1] % 5 == 0
                assert len(uids(catalog)) % 5 == 0
        except Exception as error:
            errors.append(error)

    with Catalog(tmp_path) as catalog:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for start in range(0, 90, 5):
            catalog.add(paths[start : start + 5])
        done.set()
        for thread in threads:
            thread.join()
        assert uids(catalog) == sorted(map(str, range(90)))
    assert errors == []
    assert sizes
    assert descriptors() == before


def test_an_answer_that_is_left_halfway(tmp_path):
    before = descriptors()
    with Catalog(tmp_path) as catalog:
        catalog.add([save(tmp_path, number) for number in range(10)])
        found = catalog.find(STUDY_ROOT, "IMAGE", keys(SOPInstanceUID=None), relational=True)
        next(found)
        catalog.add([save(tmp_path, 10)])
        assert len(list(found)) == 9
        found = catalog.find(STUDY_ROOT, "IMAGE", keys(SOPInstanceUID=None), relational=True)
        next(found)
        moved = threading.Thread(target=found.close)
        moved.start()
        moved.join()
        assert len(uids(catalog)) == 11
    assert descriptors() == before
    with pytest.raises(WriteError, match="closed"):
        catalog.add([save(tmp_path, 11)])
    with pytest.raises(Refusal):
        uids(catalog)


def test_who_asks_while_the_index_is_put_aside(tmp_path):
    """Goes on with the old one, and the next with the new."""
    with Catalog(tmp_path) as catalog:
        catalog.add([save(tmp_path, number) for number in range(200)])
        asked = keys(SOPInstanceUID=None)
        found = catalog.find(STUDY_ROOT, "IMAGE", asked, relational=True)
        next(found)
        catalog._database.put_aside("for a test")
        assert len(list(found)) == 199
        assert uids(catalog) == []
        assert catalog.refresh().read == 200
        assert len(uids(catalog)) == 200
