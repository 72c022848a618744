"""The default values of the corpus against the tables that other scanners make."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from fnmatch import fnmatch

import pytest

from dicomloom import scan
from dicomloom.index.schema import DEFAULT_TAGS
from dicomloom.tags import parse_tag
from support import peer, readable

# The same directory for the peers and for us: links, as both peers take directories only.
LEFT_OUT = {
    "*/DICOMDIR-nooffset": "gdcmscanner aborts in FileMetaInformation::ReadCompat",
}
_DEFLATED = "deflated data sets are not read"

_NUMBERS = {tag: parse_tag(tag).leaf.tag for tag in DEFAULT_TAGS}


@pytest.fixture(scope="module")
def links(corpus, tmp_path_factory):
    """A directory of links, and what stands behind each name."""
    folder = tmp_path_factory.mktemp("links")
    names = {}
    for i, name in enumerate(readable(corpus)):
        if not any(fnmatch(name, pattern) for pattern in LEFT_OUT):
            (folder / f"{i:04}.dcm").symlink_to((corpus / name).resolve())
            names[f"{i:04}.dcm"] = name
    return folder, names


@pytest.fixture(scope="module")
def ours(links):
    """The default values by link."""
    rows = {}
    with scan(links[0]) as batches:
        for batch in batches:
            for name, status, *values, error in batch.rows():
                assert (status, error) == ("OK", None), name
                rows[name.rsplit("/", 1)[1]] = dict(zip(DEFAULT_TAGS, values, strict=True))
    assert rows.keys() == links[1].keys()
    return rows


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=120, check=True).stdout


def judge(differences, gaps):
    """Every difference is a known gap of the peer; a newer peer may have closed some."""
    unlisted = [
        f"{name} {tag}: {mine!r}, peer {theirs!r}"
        for name, tag, mine, theirs in differences
        if not any(fnmatch(name, files) and fnmatch(tag, values) for files, values in gaps)
    ]
    assert not unlisted, "\n".join(unlisted[:40])


# (files, values) of gdcmscanner 3.0 -> why it has another.
GDCM_GAPS = {
    ("*/meta_missing_tsyntax.dcm", "File"): "no Transfer Syntax UID, no reading",
    ("*deflate.dcm", "File"): _DEFLATED,
    ("*/report_dfl", "File"): _DEFLATED,
    ("*/HTJ2K*_08_RGB.dcm", "File"): "a transfer syntax of a later edition",
}


def test_default_values_equal_gdcmscanner(links, ours):
    folder, names = links
    options = []
    for number in _NUMBERS.values():
        options += ["-t", f"{number >> 16:x},{number & 0xFFFF:x}"]
    printed = run(peer("gdcmscanner"), "-d", str(folder), "-r", "-p", *options)
    theirs = {}
    for block in printed.split(b"Mapping:\n", 1)[1].split(b"Filename: ")[1:]:
        head, _, lines = block.partition(b"\n")
        name, could = re.fullmatch(rb".*/(.+) \((could (?:not )?be read)\)", head).groups()
        found = re.findall(rb"^\((\w{4}),(\w{4})\) -> \[(.*)\]$", lines, re.MULTILINE)
        if could == b"could be read":
            theirs[name.decode()] = {int(g + e, 16): value for g, e, value in found}
    differences = []
    compared = 0
    for link, values in ours.items():
        if link not in theirs:
            differences.append((names[link], "File", "OK", "could not be read"))
            continue
        compared += 1
        for tag, mine in values.items():
            value = theirs[link].get(_NUMBERS[tag])
            # gdcmscanner leaves bytes as they are: names are compared where they are ASCII.
            if value is not None and (not value.isascii() or b"\x1b" in value):
                continue
            value = "" if value is None else value.decode().strip(" \0")
            if (mine or "") != value:
                differences.append((names[link], tag, mine, value))
    judge(differences, GDCM_GAPS)
    assert compared > 300


def as_iso(tag, value):
    """Dates and times as dicomtocsv writes them."""
    value = value or ""
    if tag.endswith("Date"):
        value = value.replace(".", "")
        return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else value
    if tag.endswith("Time"):
        value = value.replace(":", "").partition(".")[0]
        return ":".join(value[i : i + 2] for i in range(0, len(value), 2))
    return value


_NO_PREAMBLE = "some files without a preamble are passed over"
_ACR_NEMA = "dates and times with separators, PS3.5 6.2 on DA and TM, are cut at fixed places"
# (files, values) of dicomtocsv 0.8 -> why it has another.
DICOMTOCSV_GAPS = {
    ("*/ExplVR_*NoMeta.dcm", "File"): _NO_PREAMBLE,
    ("*/JLS?_RGB_ILV?.dcm", "File"): _NO_PREAMBLE,
    ("*_dfl*", "*"): _DEFLATED,
    ("*[dD]eflate*", "*"): _DEFLATED,
    ("*/history/*/color-p[lx].dcm", "Study*e"): _ACR_NEMA,
    ("*/history/*/OT-PAL-8-face.dcm", "Study*e"): _ACR_NEMA,
    ("*/ExplVR_BigEnd.dcm", "Study*e"): _ACR_NEMA,
    ("*/?lut_??.dcm", "StudyTime"): "TM of four digits, HHMM, is left out",
    ("*/GREYSCALE_CINE.dcm", "PatientID"): (
        "two files of one Study Instance UID: the patient is taken from the first"
    ),
}


def test_default_values_equal_dicomtocsv(links, ours):
    folder, names = links
    keys = [option for tag in DEFAULT_TAGS for option in ("-k", tag)]
    printed = run(
        peer("dicomtocsv"), "--image", "--ignore-dicomdir", "--silent",
        "-k", "ReferencedFileID", *keys, str(folder),
    )  # fmt: skip
    theirs = {
        row["ReferencedFileID"].rsplit("/", 1)[1]: row
        for row in csv.DictReader(io.StringIO(printed.decode("utf-8", "surrogateescape")))
    }
    differences = []
    compared = 0
    for link, values in ours.items():
        if link not in theirs:
            differences.append((names[link], "File", "OK", "no row"))
            continue
        compared += 1
        for tag, mine in values.items():
            value = theirs[link][tag].strip()
            if as_iso(tag, mine).strip() != value:
                differences.append((names[link], tag, mine, value))
    judge(differences, DICOMTOCSV_GAPS)
    assert compared > 300
