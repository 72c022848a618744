"""Documents: what they say of themselves, wrapped, extracted, mangled."""

from __future__ import annotations

import io
import struct
import subprocess
import warnings

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomloom import DicomloomError, DicomloomWarning, FrameReader, extract
from dicomloom.cli.main import main
from dicomloom.dicomize.documents import looks_like_document, read_document, write_document
from dicomloom.errors import (
    CorruptError,
    LimitError,
    TruncatedError,
    UnsupportedError,
    WriteError,
)
from objects import run
from support import peer, peer_module

UIDS = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "SOPInstanceUID": "1.2.3.4"}
CDA = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2.3" extension="A7"/>
<code code="11488-4" codeSystem="2.16.840.1.113883.6.1" displayName="Consult note"/>
<title>Brief über alles</title><effectiveTime value="20240102"/><confidentialityCode code="N"/>
<recordTarget><patientRole><id root="1.9" extension="P1"/><patient><name><prefix>Dr</prefix>
<given>Eve</given><given>Ann</given><family>Doe</family></name><birthTime value="19700101"/>
</patient></patientRole></recordTarget></ClinicalDocument>
""".encode()
FACET = "facet normal 0 0 1\nouter loop\n" + 3 * "vertex 0 1 2.5e0\n" + "endloop\nendfacet\n"
ASCII_STL = ("solid a part\n" + 2 * FACET + "endsolid a part\n").encode()
BINARY_STL = b"solid by a program".ljust(80) + struct.pack("<L", 2) + bytes(100)
OBJ = b"\xef\xbb\xbf# made\nmtllib a.mtl b.mtl\nv 0 0 1\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
MTL = b"newmtl bone\nmap_Kd -s 1 1 1 -clamp on my bone.png\nbump -bm 0.5 b.png\n"


def pdf(title="Befund \u00e4 \u6f22", password=None) -> bytes:
    pypdf = peer_module("pypdf")
    writer = pypdf.PdfWriter()
    for _ in range(3):
        writer.add_blank_page(72, 72)
    writer.add_metadata({"/Title": title, "/CreationDate": "D:20240102030405Z"})
    if password is not None:
        writer.encrypt(password, "owner", algorithm="RC4-128")
    into = io.BytesIO()
    writer.write(into)
    return into.getvalue()


def put(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def test_pdf(tmp_path):
    found = read_document(put(tmp_path, "a", b"junk\n" + pdf()))
    assert (found.kind, found.mime_type, found.pages) == ("pdf", "application/pdf", 3)
    assert found.title == "Befund \u00e4 \u6f22"
    assert found.details["created"].startswith("2024-01-02T03:04:05")
    assert found.details["encrypted"] is False
    latin = read_document(put(tmp_path, "b", pdf("plain")))
    assert latin.title == "plain"


def test_encrypted_pdf(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_to_all = read_document(put(tmp_path, "a.pdf", pdf(password="")))
    assert (open_to_all.pages, open_to_all.details["password"]) == (3, False)
    with pytest.warns(DicomloomWarning, match="password"):
        closed = read_document(put(tmp_path, "b.pdf", pdf(password="secret")))
    assert (closed.pages, closed.details["encrypted"]) == (None, True)


def test_a_pdf_that_is_cut_or_broken(tmp_path):
    with pytest.raises(TruncatedError, match="EOF"):
        read_document(put(tmp_path, "a.pdf", pdf()[:-100] + b" " * 5000))
    with pytest.warns(DicomloomWarning, match="pypdf"):
        found = read_document(put(tmp_path, "b.pdf", b"%PDF-1.4\nnothing\n%%EOF"))
    assert (found.pages, found.details["version"]) == (None, "1.4")


def test_cda(tmp_path):
    for data in (CDA, CDA.decode().replace("UTF-8", "UTF-16").encode("utf-16")):
        found = read_document(put(tmp_path, "a.xml", data))
        assert (found.kind, found.title, found.size) == ("cda", "Brief über alles", len(data))
        assert found.details["hl7_instance_identifier"] == "1.2.3^A7"
        assert found.details["code"] == ("11488-4", "2.16.840.1.113883.6.1", "Consult note")
        assert found.details["patient_name"] == "Doe^Eve Ann^^Dr"
        assert found.details["patient_ids"] == [("P1", "1.9")]


def test_cda_keeps_what_a_name_has_room_for(tmp_path):
    many = CDA.replace(b"<given>", b"<given>A</given>" * 10_000 + b"<given>", 1)
    name = read_document(put(tmp_path, "a.xml", many)).details["patient_name"]
    assert name.split("^")[1].split() == ["A"] * 64


def test_unsafe_xml_is_refused(tmp_path):
    bomb = CDA.replace(b"<Clin", b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Clin', 1)
    with pytest.raises(CorruptError, match="document type"):
        read_document(put(tmp_path, "a.xml", bomb))
    deep = CDA.replace(b"<title>", b"<a>" * 300 + b"<title>")
    with pytest.raises(DicomloomError, match="in one another"):
        read_document(put(tmp_path, "b.xml", deep))
    with pytest.raises(CorruptError, match="well-formed"):
        read_document(put(tmp_path, "c.xml", CDA[:-30]))


def test_meshes(tmp_path):
    binary = read_document(put(tmp_path, "a.stl", BINARY_STL))
    assert binary.details == {"triangles": 2}
    found = read_document(put(tmp_path, "a.obj", OBJ))
    assert (found.kind, found.details["vertices"], found.details["faces"]) == ("obj", 3, 1)
    assert found.details["material_libraries"] == ["a.mtl", "b.mtl"]
    found = read_document(put(tmp_path, "a.mtl", MTL))
    assert found.details == {"materials": ["bone"], "textures": ["my bone.png", "b.png"]}
    with pytest.raises(TruncatedError):
        read_document(put(tmp_path, "b.stl", BINARY_STL[:-1]))


@pytest.mark.parametrize("data", [ASCII_STL, b"\xef\xbb\xbf" + ASCII_STL, b"solid\nendsolid\n"])
def test_ascii_stl_is_refused(tmp_path, data):
    document = put(tmp_path, "a.stl", data)
    with pytest.raises(UnsupportedError, match="binary STL"):
        read_document(document)
    for about in (UIDS, UIDS | {"MIMETypeOfEncapsulatedDocument": "model/stl"}):
        with pytest.raises(UnsupportedError, match="ASCII STL"):
            write_document(tmp_path / "made.dcm", about, document)
    assert [path.name for path in tmp_path.iterdir()] == ["a.stl"]
    done = subprocess.run(
        [peer("stl2dcm"), str(document), str(tmp_path / "made.dcm")],
        capture_output=True,
        check=False,
    )
    assert done.returncode  # DCMTK thinks so, too


def test_time_does_not_multiply_with_what_is_almost_a_model(tmp_path):
    # Each of these was tried in any number of ways, which took for ever.
    three = b" 1111111111" * 3
    facet = b"solid x\nfacet normal" + three + b" outer loop" + (b" vertex" + three) * 3 + b" X"
    with pytest.raises(UnsupportedError, match="ASCII STL"):
        read_document(put(tmp_path, "a.stl", facet.ljust(300)))
    spaces = b" " * 500_000 + b"\n"
    found = read_document(put(tmp_path, "a.obj", b"v 1 2 3\nmtllib " + spaces)).details
    assert found["material_libraries"] == []
    found = read_document(put(tmp_path, "a.mtl", b"newmtl a\nmap_Kd" + spaces)).details
    assert found["textures"] == []


def test_names_in_models_are_as_long_as_paths(tmp_path):
    name = b"n" * 4096
    found = read_document(put(tmp_path, "a.mtl", b"newmtl a\nnewmtl " + name + b" \r\n")).details
    assert found["materials"] == ["a", name.decode()]
    for text in (b"newmtl n" + name, b"map_Kd " + b"-cc a " * 100_000 + b"b.png"):
        with pytest.raises(LimitError, match="more than 4096 bytes"):
            read_document(put(tmp_path, "a.mtl", b"newmtl a\n" + text + b"\n"))


def test_ascii_stl_of_others_is_extracted(tmp_path):
    write_document(tmp_path / "made.dcm", UIDS, put(tmp_path, "b.stl", BINARY_STL))
    found = pydicom.dcmread(tmp_path / "made.dcm")
    found.EncapsulatedDocument = ASCII_STL + bytes(len(ASCII_STL) % 2)
    found.EncapsulatedDocumentLength = len(ASCII_STL)
    found.save_as(tmp_path / "made.dcm")
    with open(extract(tmp_path / "made.dcm"), "rb") as file:
        assert file.read() == ASCII_STL


def test_names_do_not_decide(tmp_path):
    for name in ("a.pdf", "a.xml", "a.obj", "a.mtl"):
        assert looks_like_document(b"hello there, {world}", name) is None
        with pytest.raises(UnsupportedError, match="no document"):
            read_document(put(tmp_path, name, b"hello there, {world}"))
    assert looks_like_document(CDA, "a.pdf") == "cda"


SEEDS = {"a.xml": CDA, "b.stl": BINARY_STL, "a.obj": OBJ, "a.mtl": MTL}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SEEDS)), st.integers(0, 900), st.binary(max_size=6), st.booleans())
def test_mangled_documents_raise_our_errors_only(tmp_path, name, at, noise, cut):
    data = SEEDS[name]
    at %= len(data)
    data = data[:at] + noise + (b"" if cut else data[at + len(noise) :])
    try:
        assert read_document(put(tmp_path, name, data)).size == len(data)
    except DicomloomError as error:
        assert error.path == str(tmp_path / name)


@pytest.mark.parametrize("name", sorted(SEEDS))
@pytest.mark.parametrize("extra", [b"", b"\n"])
def test_written_and_extracted(tmp_path, name, extra):
    data = SEEDS[name] + (extra if name != "b.stl" else b"")
    document, made = put(tmp_path, name, data), tmp_path / "made.dcm"
    write_document(made, UIDS, document)
    found = pydicom.dcmread(made)
    assert found.EncapsulatedDocumentLength == len(data)
    assert found.EncapsulatedDocument == data + bytes(len(data) % 2)
    assert found.MIMETypeOfEncapsulatedDocument == read_document(document).mime_type
    dumped = run("dcmdump", made)
    assert not dumped.stderr
    target = extract(made)
    assert target == str(made)[:-4] + "." + name.split(".")[1]
    with open(target, "rb") as file:
        assert file.read() == data
    with pytest.raises(WriteError, match="exists"):
        extract(made)
    extract(made, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {name, "made.dcm", "made." + name.split(".")[1]}
    )


@pytest.mark.parametrize(
    ("program", "name", "data"),
    [
        ("cda2dcm", "a.xml", CDA),
        ("stl2dcm", "b.stl", b"made by" + BINARY_STL[7:]),
        ("pdf2dcm", "a.pdf", None),
    ],
)
def test_what_dcmtk_encapsulated(tmp_path, program, name, data):
    data = data or pdf()
    source = put(tmp_path, name, data)
    command = [peer(program), str(source), str(tmp_path / "made.dcm")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    target = extract(tmp_path / "made.dcm", tmp_path / "out")
    with open(target, "rb") as file:
        assert file.read() == data


def test_frames_are_extracted(tmp_path, corpus):
    folder = corpus / "pydicom__pydicom/src/pydicom/data/test_files"
    coded = extract(folder / "JPEG2000.dcm", tmp_path / "a.j2k")
    with FrameReader(folder / "JPEG2000.dcm") as reader, open(coded, "rb") as file:
        data = file.read()
        assert reader.encoded(0)[: len(data)] == data
    assert data[-2:] == b"\xff\xd9"
    picture = extract(folder / "CT_small.dcm", tmp_path / "a.png")
    with open(picture, "rb") as file:
        assert file.read(4) == b"\x89PNG"
    with pytest.raises(IndexError, match="say which"):
        extract(folder / "SC_rgb_rle_2frame.dcm", tmp_path / "b.png")


MP4 = struct.pack(">L", 16) + b"ftypisom\0\0\0\0" + struct.pack(">L", 1009) + b"mdat" + bytes(1001)


@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("v.ts", [b"\x47" + bytes(187), (b"\x47" + bytes(187)) * 7]),
        ("v.mpg", [b"\0\0\1\xba" + bytes(996), bytes(999) + b"\0\0\1\xb9"]),
        ("v.mp4", [MP4]),
    ],
)
def test_fragments_of_a_video_are_joined_without_padding(tmp_path, name, fragments):
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3"
    made.PixelData = pydicom.encaps.encapsulate(fragments, has_bot=False)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.save_as(tmp_path / "v.dcm", enforce_file_format=True)
    assert extract(tmp_path / "v.dcm") == str(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"".join(fragments)
    with pytest.raises(UnsupportedError, match="video"):
        extract(tmp_path / "v.dcm", frame=0)


def test_command(tmp_path, corpus, capfdbinary):
    document, made = put(tmp_path, "a.mtl", MTL), str(tmp_path / "made.dcm")
    write_document(made, UIDS, document)
    assert main(["extract", made, "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == MTL
    assert main(["extract", made, "-o", str(document)]) == 40
    assert document.read_bytes() == MTL
    assert main(["extract", made, "--frame", "0"]) == 20
    cine = corpus / "pydicom__pydicom/src/pydicom/data/test_files/SC_rgb_rle_2frame.dcm"
    assert main(["extract", str(cine), "--all", "-o", str(tmp_path / "all")]) == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["00000.png", "00001.png"]
    assert main(["extract", str(cine), "--frame", "2", "-o", str(tmp_path / "x.png")]) == 2
