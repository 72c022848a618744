"""DICOMDIRs that we make are read by others as we meant them, and theirs by us."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from dicomloom import DicomDir, NotDicomError, WriteError
from dicomloom.cli.main import main
from dicomloom.media import records
from dicomloom.media.check import check, extract
from dicomloom.media.names import Root
from discs import an_object, tree_of
from objects import LAYOUTS, image_object, run, save
from support import peer

SETS = "pydicom__pydicom/src/pydicom/data/test_files/dicomdirtests"
CODE = {"CodeValue": "121060", "CodingSchemeDesignator": "DCM", "CodeMeaning": "History"}


def tree_of_pydicom(path) -> set[tuple]:
    return {
        (
            str(i.PatientID),
            str(i.StudyInstanceUID),
            str(i.SeriesInstanceUID),
            str(i.SOPInstanceUID),
            os.path.relpath(i.path, path.parent).replace("/", "\\"),
        )
        for i in FileSet(path)
    }


def check_with_peers(path: Path) -> None:
    for program in ("dcentvfy", "dciodvfy"):
        done = subprocess.run(
            [peer("dciodvfy").replace("dciodvfy", program), path], capture_output=True, check=False
        )
        assert b"Error" not in done.stderr + done.stdout, done.stderr


def test_a_made_directory_is_what_others_read(disc):
    made = DicomDir.create(disc, file_set_id="DISC_1", profile="STD-GEN-CD")
    path = disc / "DICOMDIR"
    assert made.findings == []
    assert check(path) == []
    assert tree_of(path) == tree_of_pydicom(path)
    assert len(tree_of(path)) == 6
    assert DicomDir.open(path).file_set_id == FileSet(path).ID == "DISC_1"
    check_with_peers(path)
    dump = run("dcmdump", "+P", "0004,1430", path).stdout
    assert [dump.count(b"[%s]" % kind) for kind in (b"PATIENT", b"STUDY", b"SERIES", b"IMAGE")] == [
        3,
        3,
        6,
        6,
    ]
    assert b"IMAGE" in run("gdcmdump", path).stdout
    before = path.read_bytes()
    DicomDir.create(disc, file_set_id="DISC_1")
    assert path.read_bytes() == before  # the same files, the same bytes


def test_directories_of_others_are_read(disc):
    ours = DicomDir.create(disc)
    wanted = tree_of(ours.path)
    Path(ours.path).unlink()
    command = [peer("dcmmkdir"), "+r", "+id", ".", "+D", "DICOMDIR"]
    subprocess.run(command, cwd=disc, check=True, capture_output=True)
    assert tree_of(disc / "DICOMDIR") == wanted
    assert check(disc / "DICOMDIR") == []
    (disc / "DICOMDIR").unlink()


def test_directories_of_gdcm_are_read(disc):
    wanted = {row[3] for row in tree_of(DicomDir.create(disc).path)}
    (disc / "DICOMDIR").unlink()
    command = [peer("gdcmgendir"), "-r", "-i", ".", "-o", "DICOMDIR", "--root-uid", "1.2.3"]
    done = subprocess.run(command, cwd=disc, check=False, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row[3] for row in tree_of(disc / "DICOMDIR")} == wanted


def test_the_file_sets_of_pydicom(corpus, tmp_path):
    for name in ("DICOMDIR", "TINY_ALPHA/DICOMDIR"):
        path = corpus / SETS / name
        assert tree_of(path) == tree_of_pydicom(path)
    whole = {row[3] for row in tree_of(corpus / SETS / "DICOMDIR")}
    for name in ("bigEnd", "implicit", "reordered", "nooffset"):
        assert {row[3] for row in tree_of(corpus / SETS / f"DICOMDIR-{name}")} == whole
    nothing = DicomDir.open(corpus / SETS / "DICOMDIR-nopatient")
    assert {each.kind for each in nothing.findings} == {"offset"}
    copied = DicomDir.create(corpus / SETS, copy_to=tmp_path / "new")
    assert check(copied.path) == []
    check_with_peers(Path(copied.path))
    assert {row[3] for row in tree_of(copied.path)} >= whole


@pytest.mark.parametrize("kind", sorted(set(records.KEYS) - set(records.LEVELS)))
def test_each_record_type(tmp_path, kind):
    sop_class = next(
        (uid for uid, name in records._TYPE_OF.items() if name == kind),
        "1.2.840.10008.5.1.4.1.1.7",
    )
    attributes = {"SOPClassUID": sop_class, "SpecificCharacterSet": "ISO_IR 192"}
    for keyword, need in records.KEYS[kind].items():
        tag, vr = pydicom.datadict.tag_for_keyword(keyword), ""
        vr = pydicom.datadict.dictionary_VR(tag)
        code = pydicom.Dataset()
        code.update(CODE)
        if vr == "SQ":
            code.RelationshipType, code.Modality = "HAS CONCEPT MOD", "CT"
        value = {
            "SQ": [code],
            "DA": "20240102",
            "TM": "030405",
            "DT": "20240102030405",
            "PN": "Süß^Ana",
            "IS": 3,
            "CS": "A",
        }.get(vr, 3 if vr in ("US", "UL", "UV") else "Größe")
        if need and keyword != "InstanceNumber":
            attributes[keyword] = value
    an_object(tmp_path / "A", **attributes)
    made = DicomDir.create(tmp_path)
    assert [f for f in made.findings if f.is_fault] == []
    assert check(made.path) == []
    (node,) = DicomDir.open(made.path).instances
    theirs = list(pydicom.dcmread(made.path).DirectoryRecordSequence)
    assert node.kind == kind
    assert theirs[-1].DirectoryRecordType == kind
    assert len(theirs) == (1 if kind in records.AT_ROOT else 4)
    source = pydicom.dcmread(tmp_path / "A")
    for keyword in records.KEYS[kind]:
        assert theirs[-1][keyword].value == source[keyword].value, keyword


def test_keys_that_only_the_record_needs_are_filled(tmp_path):
    an_object(
        tmp_path / "A", PatientID="", StudyID="", StudyDate="", StudyTime="", InstanceNumber=None
    )
    made = DicomDir.create(tmp_path)
    assert {f.kind for f in made.findings} == {"filled"}
    assert len(made.findings) == 5
    assert check(made.path) == []
    check_with_peers(Path(made.path))


def test_what_is_wrong_with_files_is_told(disc, capsys):
    (disc / "P1" / "NOISE").write_bytes(b"no DICOM" * 100)
    shutil.copy(disc / "P1" / "SE2" / "IM1", disc / "P1" / "TWICE")
    an_object(disc / "low.dcm", 77)
    an_object(disc / "ODD", 78, StudyInstanceUID="../x")
    assert main(["dicomdir", "create", str(disc), "--json"]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(each["kind"] for each in told) == ["duplicate", "left-out", "name", "unreadable"]
    assert len(tree_of(disc / "DICOMDIR")) == 6
    assert main(["dicomdir", "check", str(disc / "DICOMDIR")]) == 1
    assert "low.dcm" in capsys.readouterr().out


def test_profiles(disc, capsys):
    data = pydicom.dcmread(disc / "P1" / "SE2" / "IM1")
    data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    data.save_as(disc / "P1" / "SE2" / "IM1", implicit_vr=True, little_endian=True)
    assert main(["dicomdir", "create", str(disc), "--profile", "STD-GEN-USB-JPEG"]) == 1
    assert "dicomloom transcode" in capsys.readouterr().err
    assert main(["dicomdir", "create", str(disc), "--profile", "STD-X"]) == 2
    assert main(["dicomdir", "create", str(disc), "--id", "lower"]) == 2


def test_a_failure_leaves_the_old_directory(disc, tmp_path, monkeypatch):
    path = disc / "DICOMDIR"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(WriteError):
            DicomDir.create(disc)
        with pytest.raises(WriteError):
            DicomDir.create(disc, copy_to=tmp_path / "new")
    assert path.read_bytes() == b"old"
    assert not [n for n in os.listdir(disc) + os.listdir(tmp_path) if "partial" in n or n == "new"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotDicomError):
        DicomDir.create(tmp_path / "empty")


def test_file_ids_never_lead_out(tmp_path):
    root = tmp_path / "root"
    (root / "SUB").mkdir(parents=True)
    (root / "SUB" / "im1").write_bytes(b"")
    (tmp_path / "SECRET").write_bytes(b"")
    (root / "LINK").symlink_to(tmp_path)
    found = Root(str(root))
    for bad in (
        "..\\SECRET",
        "/etc/passwd",
        "C:\\A",
        "\\\\HOST\\A",
        "A\0B",
        "LINK\\SECRET",
        "",
        ".",
    ):
        path, wrong = found.find(bad)
        assert path is None, bad
        assert wrong, bad
    (root / "INSIDE").symlink_to(root / "SUB")
    (root / "SUB" / "OUT").symlink_to(tmp_path / "SECRET")
    assert found.find("SUB\\OUT")[0] is None
    assert Root(str(root)).find("INSIDE\\IM1")[0] == str(root / "SUB" / "im1")
    for good in ("SUB\\IM1", "sub/im1", "SUB\\im1", "SUB\\IM1;1"):
        assert found.find(good)[0] == str(root / "SUB" / "im1")
    (root / "SUB" / "IM1").write_bytes(b"")  # beside im1: the very name goes first
    assert Root(str(root)).find("SUB\\IM1")[0] == str(root / "SUB" / "IM1")


def test_mangled_offsets_list_every_record_once(disc):
    """Loops, self references and wild offsets: linear, and no instance is lost or doubled."""
    DicomDir.create(disc)
    path = disc / "DICOMDIR"
    whole, wanted = path.read_bytes(), sorted(row[3] for row in tree_of(path))
    places = [
        i for tag in (b"\0\x14", b"\x20\x14") for i in _places(whole, b"\x04\0" + tag + b"UL")
    ]
    random = np.random.default_rng(7)
    for _ in range(60):
        content = bytearray(whole)
        for at in random.choice(places, 5):
            other = int(random.choice([0, 1, 0xFFFFFFFF, *[p - 8 for p in places]]))
            content[at + 8 : at + 12] = other.to_bytes(4, "little")
        path.write_bytes(content)
        opened = DicomDir.open(path)
        assert sorted(node.sop_instance_uid for node in opened.instances) == wanted
    for cut in range(0, len(whole), 37):
        path.write_bytes(whole[:cut])
        try:
            found = [node.sop_instance_uid for node in DicomDir.open(path).instances]
        except NotDicomError:
            continue
        except ValueError:
            assert cut < 600
            continue
        assert set(found) <= {*wanted, ""} or cut < len(whole)


def _places(content: bytes, what: bytes) -> list[int]:
    found, at = [], content.find(what)
    while at >= 0:
        found.append(at)
        at = content.find(what, at + 1)
    return found


def test_offsets_that_are_all_off_are_corrected(disc):
    DicomDir.create(disc)
    path = disc / "DICOMDIR"
    wanted = tree_of(path)
    path.write_bytes(path.read_bytes()[128 + 4 :])  # no preamble
    opened = DicomDir.open(path)
    assert [each.kind for each in opened.findings] == ["offset"]
    assert tree_of(path) == wanted


def test_extract_and_list(disc, tmp_path, capsys):
    DicomDir.create(disc)
    path = str(disc / "DICOMDIR")
    out = tmp_path / "out"
    assert main(["dicomdir", "extract", path, "--where", "PatientID=P1", "-d", str(out)]) == 0
    assert sorted(os.listdir(out)) == ["1.2.3.9.1.dcm", "1.2.3.9.4.dcm"]
    assert (out / "1.2.3.9.1.dcm").read_bytes() == (disc / "P1" / "SE2" / "IM1").read_bytes()
    with pytest.raises(WriteError):
        extract(path, out, {"PatientID": "P*"})
    capsys.readouterr()
    assert main(["dicomdir", "list", path, "--json", "--where", "PatientID=P?"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert main(["dicomdir", "tree", path]) == 0
    assert capsys.readouterr().out.count("PATIENT") == 3


def test_extract_waits_for_no_pipe(disc, tmp_path):
    DicomDir.create(disc)
    (disc / "P1" / "SE2" / "IM1").unlink()
    os.mkfifo(disc / "P1" / "SE2" / "IM1")
    copied, found = extract(disc / "DICOMDIR", tmp_path / "out", {})
    assert [finding.kind for finding in found] == ["file"]
    assert copied == sum(1 for _ in DicomDir.open(disc / "DICOMDIR").instances) - 1


def test_icons(tmp_path):
    ramp = np.tile(np.arange(0, 256, 2, "u1"), (64, 1))
    made = image_object(LAYOUTS["8"], [ramp], Rows=64, Columns=128)
    made.StudyDate, made.StudyTime, made.StudyID, made.PatientID = "20240101", "00", "1", "1"
    save(made, tmp_path / "A")
    DicomDir.create(tmp_path, icons=True)
    (item,) = pydicom.dcmread(tmp_path / "DICOMDIR").DirectoryRecordSequence[-1].IconImageSequence
    icon = np.frombuffer(item.PixelData, "u1").reshape(64, 64)
    assert not icon[:16].any()
    assert not icon[48:].any()
    assert (np.diff(icon[20].astype(int)) > 0).all()
    check_with_peers(tmp_path / "DICOMDIR")
