"""What a performed procedure step says: at its creation, of its series, of its end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dicomloom import attributes
from dicomloom.errors import CorruptError, TagError
from dicomloom.frames.dataset import read_dataset
from dicomloom.json_model import read_data_sets
from dicomloom.network.steps import table
from dicomloom.network.steps.table import items_of
from dicomloom.tags import parse_tag
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from pydicom import Dataset

# Type 3 at creation: taken over where a worklist item has a value.
_PATIENT_3 = (
    *("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence"),
    *("AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID"),
    *("IssuerOfServiceEpisodeIDSequence", "ServiceEpisodeDescription"),
)
_REQUEST_3 = (
    *("IssuerOfAccessionNumberSequence", "PlacerOrderNumberImagingServiceRequest"),
    *("OrderPlacerIdentifierSequence", "FillerOrderNumberImagingServiceRequest"),
    *("OrderFillerIdentifierSequence", "RequestedProcedureCodeSequence"),
)
_PATIENT_2 = table.CREATED_2[:5]
# What has one item (PS3.3 C.4.11, C.4.13), whatever a worklist answers.
_ONE_ITEM = frozenset(("RequestedProcedureCodeSequence", "ReferencedStudySequence"))
_REFERENCE = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
# PS3.3 8.8: one of these a coded entry has.
_CODES = ("CodeValue", "LongCodeValue", "URNCodeValue")
# What N-SET fills has to be created (PS3.4 F.7.2.1, note 5), type 3 too.
_TO_BE_SET = (table.REASON, "CommentsOnThePerformedProcedureStep")
_UNSPECIFIED = ("110513", "DCM", "Discontinued for unspecified reason")
# Of an object: what its series says of itself in the step.
_OF_SERIES = (
    *("PerformingPhysicianName", "ProtocolName", "OperatorsName", "SeriesDescription"),
    "RetrieveAETitle",
)
READ = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *(*_OF_SERIES, "Rows"),
)
IMAGES, OTHERS = "ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"


def created(
    item: Dataset | None, station: str, start: datetime, given: Mapping[str, object]
) -> Dataset:
    """Return the attributes of N-CREATE (PS3.4 table F.7.2-1), all of type 1 and 2 among them.

    Parameters
    ----------
    item : pydicom.Dataset or None
        A worklist item.
    station : str
        PerformedStationAETitle.
    start : datetime.datetime
    given : mapping
        What is to be otherwise, or besides: see `dicomloom.attributes.put`.

    Raises
    ------
    TagError
        An attribute of type 1 has no value, or one that was given breaks its VR.
    """
    from pydicom import Dataset

    made, source = Dataset(), Dataset() if item is None else item
    steps = items_of(source, "ScheduledProcedureStepSequence") or [Dataset()]
    for keyword in (*table.CREATED_1, *table.CREATED_2, *_TO_BE_SET):
        attributes.put(made, keyword, None)
    _take(made, source, (*_PATIENT_2, *_PATIENT_3))
    made.ScheduledStepAttributesSequence = [_scheduled(source, step) for step in steps]
    _take(made, steps[0], ("Modality",))
    made.PerformedStationAETitle = station
    made.PerformedProcedureStepStartDate = f"{start:%Y%m%d}"
    made.PerformedProcedureStepStartTime = f"{start:%H%M%S}"
    made.PerformedProcedureStepID = f"{start:%y%m%d%H%M%S%f}"[:16]
    made.PerformedProcedureStepStatus = table.IN_PROGRESS
    # IHE RAD TF-2 appendix A: the same as was asked for, unless something else is done.
    asked = made.ScheduledStepAttributesSequence[0]
    made.PerformedProcedureStepDescription = asked.ScheduledProcedureStepDescription
    made.StudyID = asked.RequestedProcedureID
    made.ProcedureCodeSequence = _usable(source, "RequestedProcedureCodeSequence")[:1]
    if "SpecificCharacterSet" in source:
        made.SpecificCharacterSet = source.SpecificCharacterSet
    for where, value in given.items():
        _refuse_own(where, ("PerformedProcedureStepStatus", table.SERIES))
        attributes.put(made, where, value)
    attributes.set_charset(made)
    lacking = next(table.missing(made), None)
    if lacking:
        raise TagError(f"a performed procedure step needs {lacking[0]}: give it (PS3.4 F.7.2.1)")
    return made


def _refuse_own(where: str, keywords: tuple[str, ...]) -> None:
    tag = parse_tag(where).steps[0].tag
    if any(tag == parse_tag(keyword).leaf.tag for keyword in keywords):
        raise TagError(f"{where} follows from what is done with the step: it is not given", tag=tag)


def _scheduled(source: Dataset, step: Dataset) -> Dataset:
    """Return an item of the ScheduledStepAttributesSequence, scheduled or not."""
    from pydicom import Dataset

    made = Dataset()
    for keyword in (*table.SCHEDULED_1, *table.SCHEDULED_2):
        attributes.put(made, keyword, None)
    _take(made, source, (*table.SCHEDULED_1, *table.SCHEDULED_2, *_REQUEST_3))
    _take(made, step, table.SCHEDULED_2[4:])
    if not made.StudyInstanceUID and "ScheduledProcedureStepSequence" not in source:
        made.StudyInstanceUID = new_uid()
    return made


def _take(made: Dataset, source: Dataset, keywords: Iterable[str]) -> None:
    """Copy what has a value."""
    from copy import deepcopy

    from pydicom.datadict import dictionary_VR

    for keyword in keywords:
        if keyword not in source or source[keyword].is_empty:
            continue
        found = str(source[keyword].VR)
        if found != dictionary_VR(keyword):
            continue  # a peer may answer with anything
        if source[keyword].VR == "SQ":
            usable = _usable(source, keyword)
            if keyword in _ONE_ITEM:
                del usable[1:]
            if usable:
                setattr(made, keyword, usable)
        else:
            made.add(deepcopy(source[keyword]))


def _usable(source: Dataset, keyword: str) -> list[Dataset]:
    """Return the items that say something: worklists answer with empty ones, too."""
    from copy import deepcopy

    made = []
    for item in items_of(source, keyword):
        if keyword.startswith("Referenced"):
            good = all(item.get(name) for name in _REFERENCE)
        elif keyword.endswith("CodeSequence"):
            good = any(item.get(name) for name in _CODES) and bool(item.get("CodeMeaning"))
        else:
            good = any(not element.is_empty for element in item)
        if good:
            made.append(deepcopy(item))
    return made


def read_item(source: Dataset | str | os.PathLike[str]) -> Dataset:
    """Return an item of a worklist, perhaps from a file of DICOM JSON.

    Raises
    ------
    ReadError, LimitError
    CorruptError
        The file does not have one item.
    """
    from pydicom import Dataset

    if isinstance(source, Dataset):
        return source
    read = read_data_sets(source)
    if len(read) != 1:
        text = f"expected one item of a worklist, found {len(read)}"
        raise CorruptError(text, path=os.fspath(source))
    return read[0]


def read_instance(source: Dataset | str | os.PathLike[str] | tuple[str, str, str]) -> Dataset:
    """Return what a step says of an object: a data set, a file, or its UIDs.

    Raises
    ------
    ReadError, NotDicomError, TruncatedError, CorruptError, LimitError
        The file cannot be read.
    TagError
        A UID is missing, or is none.
    """
    from pydicom import Dataset

    path = None
    if isinstance(source, tuple):
        made = Dataset()
        for keyword, value in zip(READ[:2] + READ[3:4], source, strict=True):
            attributes.put(made, keyword, value)
    elif isinstance(source, Dataset):
        made = source
    else:
        path = os.fspath(source)
        made = read_dataset(path, {parse_tag(keyword).leaf.tag for keyword in READ})
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
        value = made.get(keyword)
        if not value:
            raise TagError(f"the object has no {keyword}, which a step refers to", path=path)
        try:
            attributes.put(Dataset(), keyword, str(value))
        except TagError as error:
            error.path = path
            raise
    return made


def is_image(instance: Dataset) -> bool:
    """Whether an object is referred to as an image; the difference means nothing (F.7.2.2.2).

    Examples
    --------
    >>> is_image(read_instance(("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2")))
    True
    """
    from pydicom.uid import UID

    return "Rows" in instance or "Image Storage" in UID(str(instance.SOPClassUID)).name


class SeriesList:
    """The items of the PerformedSeriesSequence while they grow, each object once.

    Parameters
    ----------
    items : iterable of pydicom.Dataset
        What there is already.
    """

    def __init__(self, items: Iterable[Dataset] = ()) -> None:
        from copy import deepcopy

        self.items = {str(item.SeriesInstanceUID): deepcopy(item) for item in items}
        self._known = {
            str(reference.ReferencedSOPInstanceUID)
            for item in self.items.values()
            for keyword in (IMAGES, OTHERS)
            for reference in items_of(item, keyword)
        }

    def add(
        self,
        uid: str,
        given: Mapping[str, object],
        otherwise: str,
        instance: Dataset | None = None,
    ) -> Dataset:
        """Return the item of a series, made where there is none; `given` changes it.

        What an object says of it is taken as it is. ProtocolName has to have a value: where there
        is none, that of SeriesDescription or `otherwise`.
        """
        from pydicom import Dataset

        item = self.items.get(uid)
        made = Dataset() if item is None else item
        if item is None:
            for keyword in (*table.SERIES_1, *table.SERIES_2):
                attributes.put(made, keyword, None)
            attributes.put(made, "SeriesInstanceUID", uid)
            _take(made, Dataset() if instance is None else instance, _OF_SERIES)
        for where, value in given.items():
            _refuse_own(where, ("SeriesInstanceUID", IMAGES, OTHERS))
            attributes.put(made, where, value)
        if not made.ProtocolName:
            made.ProtocolName = made.SeriesDescription or otherwise
        self.items[uid] = made
        return made

    def copies(self) -> list[Dataset]:
        """Return the items as they are now."""
        from copy import deepcopy

        return [deepcopy(item) for item in self.items.values()]

    def refer(self, instance: Dataset, otherwise: str) -> None:
        """Add a reference to an object, and its series if that is new."""
        from pydicom import Dataset

        uid, series = str(instance.SOPInstanceUID), str(instance.SeriesInstanceUID)
        if uid in self._known:
            return
        if series in self.items:
            item = self.items[series]
        else:
            item = self.add(series, {}, otherwise, instance)
        reference = Dataset()
        reference.ReferencedSOPClassUID = str(instance.SOPClassUID)
        reference.ReferencedSOPInstanceUID = uid
        item[IMAGES if is_image(instance) else OTHERS].value.append(reference)
        self._known.add(uid)


def reason_item(reason: str | tuple[str, str, str] | None) -> Dataset:
    """Return the item of a discontinuation reason (PS3.16 CID 9300, 9301).

    Parameters
    ----------
    reason : str, tuple or None
        The value of a code of these groups, such as ``110514``, or value, scheme and meaning of
        any code; None: unspecified.

    Raises
    ------
    TagError
        There is no such code; the message lists the common ones.

    Examples
    --------
    >>> reason_item("110514").CodeMeaning
    'Incorrect worklist entry selected'
    """
    if reason is None:
        reason = _UNSPECIFIED
    if isinstance(reason, str):
        from pydicom.sr.codedict import codes

        groups = (codes.cid9301.concepts.values(), codes.cid9300.concepts.values())
        known = {code.value: code for group in groups for code in group}
        if reason not in known:
            common = sorted((code.value, code.meaning) for code in groups[0])
            listed = "; ".join(f"{value} {meaning}" for value, meaning in common)
            raise TagError(
                f"{reason!r} is no reason of PS3.16 CID 9300 or 9301; some are: {listed}"
            )
        code = known[reason]
        reason = (code.value, code.scheme_designator, code.meaning)
    names = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    return attributes.make(dict(zip(names, reason, strict=True)))


def changed(given: Mapping[str, object], step: Dataset) -> Dataset:
    """Return the attributes of a N-SET for a step, held to PS3.4 table F.7.2-1.

    Raises
    ------
    TagError
        One may not be set, or was not created, or breaks its VR.
    """
    from copy import deepcopy

    from pydicom import Dataset
    from pydicom.datadict import keyword_for_tag

    made = Dataset()
    for where, value in given.items():
        tag = parse_tag(where).steps[0].tag
        keyword = keyword_for_tag(tag)
        _refuse_own(where, ("PerformedProcedureStepStatus", table.SERIES, table.REASON))
        if keyword in table.FIXED:
            raise TagError(f"{keyword} may not change after the creation (PS3.4 F.7.2.1)", tag=tag)
        if tag not in step:
            raise TagError(
                f"{keyword} was not created, and cannot be set: give it at the start", tag=tag
            )
        if tag not in made and step[tag].VR == "SQ":
            made.add(deepcopy(step[tag]))  # all items are sent (PS3.4 F.7.2.2.2)
        attributes.put(made, where, value)
    return made
