"""Every element of the corpus against pydicom's and dcmdump's."""

from __future__ import annotations

import re
import struct
import subprocess
import warnings
from fnmatch import fnmatch

import pydicom
import pytest
from pydicom.sequence import Sequence

from dicomloom.dump.text import escaped, value_text
from dicomloom.dump.walk import Kind, walk
from dicomloom.errors import TruncatedError
from dicomloom.frames.sources import FileSource
from pydicom_values import element_text
from support import peer, readable

_LONGEST = 256
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}

_UN = "PS3.5 6.2.2 note 4: the value of a UN is implicit VR little endian in any transfer syntax"
_CUT = "the file ends inside: an error names the byte, and what is there of the value is shown"
# (files, place as a regular expression) -> why dicomloom is right where pydicom has something else.
EXPECTED = {
    ("*/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm", "00.*"): _UN,
    (
        "*/charset_files/chrX[12].dcm",
        "00100010",
    ): "PS3.5 6.2.1: a trailing = may be left out, or be",
    ("*/MR_truncated.dcm", "error"): _CUT,
    ("*/rtplan_truncated.dcm", "error"): _CUT,
    ("*", r".*....0000"): "PS3.5 7.2: a group length is UL, of private groups too",
}


def ours(path):
    """Place -> (VR, VR of the value, value), and the error or None; of two the last, as pydicom."""
    source = FileSource(path)
    found, place, failure = {}, [], None
    try:
        for entry in walk(source):
            del place[(entry.level + 1) // 2 :]
            if entry.kind is Kind.ITEM:
                place[-1] = (place[-1][0], entry.number)
                continue
            assert entry.kind is not Kind.STRAY
            place.append((entry.tag, None))
            if entry.kind is Kind.ELEMENT and entry.held <= _LONGEST:
                text = value_text(entry, 1 << 16)
            else:
                text = None
            found[place_text(place)] = (entry.vr, entry.known, text)
    except TruncatedError as error:
        failure = error
    finally:
        source.close()
    return found, failure


def theirs(data_set, place=()):
    """The same of pydicom."""
    found = {}
    for element in data_set:
        key = place_text([*place, (int(element.tag), None)])
        if isinstance(element.value, Sequence):
            found[key] = ("SQ", None)
            for number, item in enumerate(element.value):
                found |= theirs(item, (*place, (int(element.tag), number)))
        else:
            text = None if element.VR in _BINARY else escaped(element_text(element))
            found[key] = (element.VR, text)
    return found


def place_text(place):
    return ".".join(f"{tag:08X}" + ("" if item is None else f"[{item}]") for tag, item in place)


def equal(vr, one, other):
    if one is None or other is None:
        return True
    if vr == "FL":
        texts = [text.split("\\") if text else [] for text in (one, other)]
        return [[struct.pack("<f", float(v)) for v in text] for text in texts]
    return one == other


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(path, force=True)
        return theirs(data_set.file_meta) | theirs(data_set)


def different(name, corpus):
    """Places, and what stands there, that are not what pydicom has."""
    found, failure = ours(corpus / name)
    expected = read(corpus / name)
    if failure:
        found["error"] = ("", "", str(failure))
    for key in sorted(found.keys() | expected.keys()):
        if any(fnmatch(name, files) and re.fullmatch(places, key) for files, places in EXPECTED):
            continue
        vr, known, text = found.get(key, ("", "", None))
        their_vr, their_text = expected.get(key, ("", None))
        same_vr = their_vr in (vr, known) or {vr, their_vr} <= _BINARY
        if not same_vr or not equal(known, text, their_text):
            yield key, found.get(key), expected.get(key)


def test_every_element_of_the_corpus_is_what_pydicom_sees(corpus):
    unlike = [(name, *found) for name in readable(corpus) for found in different(name, corpus)]
    assert not unlike


@pytest.mark.parametrize(
    "name",
    [
        "pydicom__pydicom/src/pydicom/data/test_files/rtplan.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/JPEG2000.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/ExplVR_BigEnd.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/image_dfl.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/nested_priv_SQ.dcm",
        "pydicom__pydicom/src/pydicom/data/test_files/dicomdirtests/DICOMDIR",
        "QIICR__dcmqi/data/segmentations/ct-3slice/01.dcm",
    ],
)
def test_there_are_as_many_elements_as_dcmdump_counts(corpus, name):
    done = subprocess.run(
        [peer("dcmdump"), "-q", "+L", corpus / name], capture_output=True, timeout=60, check=False
    )
    theirs = re.findall(rb"^ *\((?!fffe|FFFE)", done.stdout, re.MULTILINE)
    source = FileSource(corpus / name)
    try:
        entries = [entry for entry in walk(source) if entry.kind is not Kind.ITEM]
    finally:
        source.close()
    assert len(entries) == len(theirs) > 10
