"""Whether a file-set is what its DICOMDIR says, and files taken out of it."""

from __future__ import annotations

import os

from dicomloom.errors import DicomloomError, WriteError
from dicomloom.files import Partial, make_folders, writing
from dicomloom.index.scan import scan
from dicomloom.media.encode import tag_and_vr
from dicomloom.media.findings import Finding
from dicomloom.media.names import is_uid
from dicomloom.media.records import KEYS
from dicomloom.media.tree import DicomDir, Node, StrPath, walk

_FACTS = ("SOPClassUID", "SOPInstanceUID", "(0002,0010)")


def check(path: StrPath) -> list[Finding]:
    """Compare a DICOMDIR with the files of its file-set (PS3.3 annex F, PS3.10 clause 8).

    Returns
    -------
    list of Finding
        Wrong offsets and records, missing keys of type 1, wrong names, files that are not there or
        not what their record says, and files that nothing refers to. Empty where all is well.
    """
    opened = DicomDir.open(path)
    found = opened.findings
    referred: dict[str, Node] = {}
    for node, _ in walk(opened.children):
        found += _keys(opened.path, node)
        if node.file_id or next(node.children, None) is None:
            _refer(opened, node, referred, found)
    found += _compare(opened, referred)
    return sorted(found, key=lambda each: (each.offset or 0, each.path, each.message))


def _keys(path: str, node: Node) -> list[Finding]:
    if node.kind not in KEYS:
        if node.kind == "PRIVATE":
            return []
        return [
            Finding("record", path, f"{node.kind!r} is no record type of PS3.3 F.4", node.offset)
        ]
    try:
        dataset = node.dataset
    except DicomloomError as error:
        return [Finding("record", path, f"the record cannot be read: {error.message}", node.offset)]
    missing = [
        keyword
        for keyword, need in KEYS[node.kind].items()
        if need == 1
        and not (keyword in dataset and dataset[tag_and_vr(keyword)[0]].value not in (None, "", []))
    ]
    return [
        Finding("key", path, f"the {node.kind} record has no {keyword} (PS3.3 F.5)", node.offset)
        for keyword in missing
    ]


def _refer(of: DicomDir, node: Node, referred: dict[str, Node], found: list[Finding]) -> None:
    path, wrong = of._root.find(node.file_id)
    if wrong:
        found.append(Finding("name", of.path, wrong, node.offset))
    if path is None:
        return
    if not os.path.isfile(path):
        found.append(Finding("file", path, "the file is not there", node.offset))
    elif path in referred:
        found.append(Finding("reference", path, "two records refer to this file", node.offset))
    else:
        referred[path] = node


def _compare(of: DicomDir, referred: dict[str, Node]) -> list[Finding]:
    found = []
    own = os.path.realpath(of.path)
    with scan(of._root.folder, _FACTS) as batches:
        for batch in batches:
            for row in zip(*map(batch.column, ("Filename", "Status", *_FACTS)), strict=True):
                name, status, *facts = row
                path = os.path.realpath(str(name))
                node = referred.get(path)
                if node is None:
                    if status == "OK" and path != own:
                        message = "no record refers to this DICOM file"
                        found.append(Finding("unreferenced", str(name), message))
                    continue
                if status != "OK":
                    found.append(Finding("file", path, "it cannot be read as DICOM", node.offset))
                    continue
                said = (node.sop_class_uid, node.sop_instance_uid, node.transfer_syntax_uid)
                for keyword, fact, claim in zip(_FACTS, facts, said, strict=True):
                    if (fact or "") != claim:
                        message = f"{keyword} is {fact} in the file and {claim} in its record"
                        found.append(Finding("reference", path, message, node.offset))
    return found


def extract(path: StrPath, folder: StrPath, wanted: dict[str, str]) -> tuple[int, list[Finding]]:
    """Copy instances out of a file-set, each to ``<SOP Instance UID>.dcm``.

    Parameters
    ----------
    path : path
        The DICOMDIR.
    folder : path
        Where to; made where it is not there. Files in it are never replaced.
    wanted : dict
        Keywords and the values they must have, in which ``*`` and ``?`` stand for any.

    Returns
    -------
    tuple of int and list of Finding
        How many were copied, and why others were not.
    """
    opened = DicomDir.open(path)
    target = os.fspath(folder)
    found: list[Finding] = []
    copied: set[str] = set()
    make_folders(target)
    for node in opened.instances:
        try:
            if not node.matches(wanted):
                continue
        except DicomloomError as error:
            found.append(Finding("record", opened.path, error.message, error.offset))
            continue
        uid = node.sop_instance_uid
        if uid in copied:
            message = f"an earlier record has the UID {uid}, too: the file is left out"
            found.append(Finding("reference", opened.path, message, node.offset))
            continue
        wrong = _take(opened, node, target)
        if wrong is None:
            copied.add(uid)
        else:
            found.append(wrong)
    return len(copied), found


def _take(of: DicomDir, node: Node, folder: str) -> Finding | None:
    """Copy the file of an instance to a folder; return why not where it cannot be read."""
    uid, source = node.sop_instance_uid, node.path
    if source is None or not is_uid(uid):
        message = of._root.find(node.file_id)[1] or f"{uid!r} is no UID"
        return Finding("reference", of.path, message, node.offset)
    if not os.path.isfile(source):  # a FIFO would be waited for
        return Finding("file", source, "the file is not there", node.offset)
    try:
        file = open(source, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        return Finding("file", source, f"cannot read: {error.strerror}", node.offset)
    with file:
        if not _copy(file.fileno(), os.path.join(folder, f"{uid}.dcm")):
            return Finding("file", source, "the file became shorter meanwhile", node.offset)
    return None


def _copy(source: int, target: str) -> bool:
    """Copy a file; False, and no copy, where it became shorter meanwhile."""
    if os.path.lexists(target):
        raise _exists(target)
    partial = Partial(target)
    try:
        with writing(target):
            size = os.fstat(source).st_size
            if partial.file.copy(source, 0, size) < size:
                return False
        partial.seal()
        if not partial.place_new():
            raise _exists(target)
        return True
    finally:
        partial.discard()


def _exists(target: str) -> WriteError:
    message = "there is a file of that name: extract to another folder"
    return WriteError(message, path=target)
