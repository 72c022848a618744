"""Modality Performed Procedure Step (PS3.4 F.7): telling a node what is being done."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from dicomloom import attributes
from dicomloom.errors import (
    DicomloomError,
    DicomloomWarning,
    StateError,
    StatusError,
    WriteError,
)
from dicomloom.network import words
from dicomloom.network.node import Node
from dicomloom.network.steps import content, table
from dicomloom.network.steps import message as step_message
from dicomloom.network.steps.state import (
    COMPLETING,
    CREATING,
    DISCONTINUING,
    ENDING,
    NEW,
    StepState,
)
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from typing import Self

    from pydicom import Dataset

StrPath = str | os.PathLike[str]


class PerformedProcedureStep:
    """A step that is being performed, as its modality tells it to a node (PS3.4 F.7).

    A context manager: entering creates the step at the peer, ``IN PROGRESS`` (N-CREATE); leaving
    completes it (N-SET); leaving by an exception, Ctrl-C included, discontinues it, and the
    exception goes on. Where that fails, too, the exception has a note of it. Each message has an
    association of its own, for a step may last hours. One thread at a time may use it.

    Parameters
    ----------
    node : Node or str
        A str is ``AET@host:port`` or a name in the configuration; see `Node.of`.
    given : mapping, optional
        Attributes by keyword, tag, or path such as
        ``ScheduledStepAttributesSequence[0].AccessionNumber``. Of a step that nobody scheduled
        Modality has to be given; the others of type 1 are made, those of type 2 are empty.
    start : datetime.datetime or None
        When the step began, in local time; None: now.
    state : path or None
        A file that is written before and after each message, so that a step can be taken up
        after a crash (see `load`).
    **keywords
        Attributes by keyword.

    Attributes
    ----------
    node : Node
    uid : str
        SOPInstanceUID.
    state : str
        ``NEW``; ``CREATING``, where a N-CREATE was sent and no answer came; ``IN PROGRESS``;
        ``COMPLETING`` and ``DISCONTINUING``, likewise; ``COMPLETED``, ``DISCONTINUED``.
    attributes : pydicom.Dataset
        The step as it was sent.

    Raises
    ------
    TagError
        An attribute breaks its VR, or one of type 1 has no value.

    Examples
    --------
    >>> import dicomloom
    >>> step = dicomloom.PerformedProcedureStep("RIS@127.0.0.1:1", Modality="OP", PatientID="1")
    >>> step.state
    'NEW'
    >>> try:
    ...     with step:
    ...         pass
    ... except dicomloom.ConnectionFailed as error:
    ...     error.reason, step.state
    ('refused', 'NEW')
    """

    def __init__(
        self,
        node: Node | str,
        given: Mapping[str, object] | None = None,
        *,
        start: datetime | None = None,
        state: StrPath | None = None,
        **keywords: object,
    ) -> None:
        self._make(node, None, {**(given or {}), **keywords}, start, state)

    def _make(
        self,
        node: Node | str,
        item: Dataset | None,
        given: Mapping[str, object],
        start: datetime | None,
        state: StrPath | None,
    ) -> None:
        self.node = Node.of(node) if isinstance(node, str) else node
        begin = datetime.now() if start is None else start
        made = content.created(item, self.node.calling_ae_title, begin, given)
        self._take(StepState(new_uid(), NEW, made), state)

    def _take(self, known: StepState, path: StrPath | None) -> None:
        self._known, self._path = known, path
        self._told: set[str] = set()
        pending = known.attributes if known.pending is None else known.pending
        self._series = content.SeriesList(table.items_of(pending, table.SERIES))

    @classmethod
    def from_worklist(
        cls,
        node: Node | str,
        item: Dataset | StrPath,
        given: Mapping[str, object] | None = None,
        *,
        start: datetime | None = None,
        state: StrPath | None = None,
        **keywords: object,
    ) -> Self:
        """Make a step of what was scheduled (IHE RAD TF-2 4.6, appendix A).

        Patient, request and scheduled step go over. ProcedureCodeSequence,
        PerformedProcedureStepDescription and StudyID are what was asked for unless they are given.

        Parameters
        ----------
        node, given, start, state, **keywords
            As of the class.
        item : pydicom.Dataset or path
            An answer of `dicomloom.worklist`, or a file of one as DICOM JSON.

        Raises
        ------
        TagError
            As of the class.
        ReadError, CorruptError, LimitError
            The file is none.
        """
        made = cls.__new__(cls)
        all_given = {**(given or {}), **keywords}
        made._make(node, content.read_item(item), all_given, start, state)
        return made

    @classmethod
    def load(cls, path: StrPath, node: Node | str) -> Self:
        """Take up a step from its state file, which goes on to be written.

        Raises
        ------
        ReadError, CorruptError, LimitError
            The file is none.
        """
        made = cls.__new__(cls)
        made.node = Node.of(node) if isinstance(node, str) else node
        made._take(StepState.read(path), path)
        return made

    def save(self, path: StrPath) -> None:
        """Write a state file, as it is now.

        Raises
        ------
        WriteError
        """
        if self._known.state == table.IN_PROGRESS:
            self._known.attributes.PerformedSeriesSequence = self._series.copies()
        self._known.write(path)

    @property
    def uid(self) -> str:
        """SOPInstanceUID."""
        return self._known.uid

    @property
    def state(self) -> str:
        """Where the step stands."""
        return self._known.state

    @property
    def attributes(self) -> Dataset:
        """The step as it was sent."""
        return self._known.attributes

    def start(self) -> None:
        """Create the step at the peer (N-CREATE); entering a ``with`` block does it.

        Where an earlier try had no answer, the same step is sent again, and "Duplicate SOP
        Instance" is an answer to that.

        Raises
        ------
        StateError
            It was created already. Nothing is sent.
        StatusError, NetworkError
            See `associate`.
        WriteError
            The state file cannot be written.

        Warns
        -----
        DicomloomWarning
            The peer created the step and says that it left something out.
        """
        self._expect("start", NEW, CREATING)
        again = self.state == CREATING
        try:
            self._send("N-CREATE", self._known.attributes, NEW, CREATING)
        except StatusError as error:
            if not (again and error.status == step_message.DUPLICATE):
                raise
        self._settle(table.IN_PROGRESS)

    def add_series(
        self, uid: str, given: Mapping[str, object] | None = None, **keywords: object
    ) -> None:
        """Add a series to the step, or attributes to a series of it; sent with the next N-SET.

        Parameters
        ----------
        uid : str
            SeriesInstanceUID.
        given, **keywords
            Attributes of an item of the PerformedSeriesSequence. ProtocolName must have a value:
            else it is that of SeriesDescription, else of PerformedProcedureStepDescription, else
            ``UNKNOWN``.

        Raises
        ------
        StateError
            The step is not in progress.
        TagError
        """
        self._expect("add_series", NEW, CREATING, table.IN_PROGRESS)
        self._series.add(uid, {**(given or {}), **keywords}, self._protocol())

    def add_instance(self, instance: Dataset | StrPath | tuple[str, str, str]) -> None:
        """Add an object that the step made, and its series; sent with the next N-SET.

        Images are referred to in the ReferencedImageSequence, others in the
        ReferencedNonImageCompositeSOPInstanceSequence. An object that is there already is not
        added again. 200 bytes or so are held of each.

        Parameters
        ----------
        instance : pydicom.Dataset, path or tuple
            An object, its file, or its SOPClassUID, SOPInstanceUID and SeriesInstanceUID.

        Raises
        ------
        StateError
            The step is not in progress.
        TagError
            A UID is missing or none.
        ReadError, NotDicomError, CorruptError
            The file is none.

        Warns
        -----
        DicomloomWarning
            The object is of another study than the step; once a study.
        """
        self._expect("add_instance", NEW, CREATING, table.IN_PROGRESS)
        read = content.read_instance(instance)
        study = str(read.get("StudyInstanceUID") or "")
        items = table.items_of(self.attributes, table.SCHEDULED)
        own = {str(item.StudyInstanceUID) for item in items} | self._told
        if study and study not in own:
            self._told.add(study)
            text = f"{read.SOPInstanceUID} is of the study {study}, which is not that of the step"
            warnings.warn(words.printable(text), DicomloomWarning, stacklevel=2)
        self._series.refer(read, self._protocol())

    def _protocol(self) -> str:
        return str(self.attributes.PerformedProcedureStepDescription or "UNKNOWN")

    def update(self, given: Mapping[str, object] | None = None, **keywords: object) -> None:
        """Tell the peer how far the step is (N-SET): series and objects so far, and attributes.

        Raises
        ------
        StateError
            The step is not in progress. Nothing is sent.
        TagError
            An attribute may not be set (PS3.4 table F.7.2-1), or was not created.
        StatusError, NetworkError
            See `associate`; nothing has changed here.
        WriteError
        """
        self._expect("update", table.IN_PROGRESS)
        sent = content.changed({**(given or {}), **keywords}, self.attributes)
        sent.PerformedSeriesSequence = self._series.copies()
        self._send("N-SET", self._fit(sent))
        self._merge(sent)
        self._settle(table.IN_PROGRESS)

    def complete(
        self,
        given: Mapping[str, object] | None = None,
        *,
        end: datetime | None = None,
        **keywords: object,
    ) -> None:
        """End the step as ``COMPLETED`` (N-SET); leaving a ``with`` block does it.

        A final step has at least one series (PS3.4 table F.7.2-1, note 2): where none was added,
        one with a new SeriesInstanceUID and no references goes along. That says that no objects
        were made; a step must not be completed so where some were.

        Where an earlier try had no answer, the very same is sent again, what was given now is
        left out, and the answer that the step may no longer be updated (0110, Error ID A710) is
        taken for the success of that try, with a warning.

        Parameters
        ----------
        given, **keywords
            Attributes to set.
        end : datetime.datetime or None
            When the step ended, in local time; None: now.

        Raises
        ------
        StateError
            The step is not in progress, or an earlier try was to discontinue it.
        TagError, StatusError, NetworkError, WriteError
            As of `update`.
        """
        self._end(COMPLETING, {**(given or {}), **keywords}, end)

    def discontinue(
        self,
        reason: str | tuple[str, str, str] | None = None,
        given: Mapping[str, object] | None = None,
        *,
        end: datetime | None = None,
        **keywords: object,
    ) -> None:
        """End the step as ``DISCONTINUED`` (N-SET); an exception in a ``with`` block does it.

        What `complete` says of series and of earlier tries holds here, too.

        Parameters
        ----------
        reason : str, tuple or None
            The value of a code of PS3.16 CID 9300 or 9301, such as ``110514`` (Incorrect worklist
            entry selected), or value, scheme and meaning of any; None: 110513 (Discontinued for
            unspecified reason).
        given, end, **keywords
            As of `complete`.

        Raises
        ------
        StateError, TagError, StatusError, NetworkError, WriteError
            As of `complete`.
        """
        item = content.reason_item(reason)
        self._end(DISCONTINUING, {**(given or {}), **keywords}, end, item)

    def _end(
        self,
        ending: str,
        given: Mapping[str, object],
        end: datetime | None,
        reason: Dataset | None = None,
    ) -> None:
        what = "complete" if ending == COMPLETING else "discontinue"
        self._expect(what, table.IN_PROGRESS, ending)
        again = self.state == ending
        if not again:
            self._known.pending = self._pending(ENDING[ending], given, end, reason)
        pending = self._known.pending
        assert pending is not None
        try:
            self._send("N-SET", pending, table.IN_PROGRESS, ending)
        except StatusError as error:
            if not (again and step_message.is_final(error)):
                raise
            text = f"{self.node}: the step is final there: taken for the success of the earlier try"
            warnings.warn(text, DicomloomWarning, stacklevel=3)
        self._merge(pending)
        self._settle(ENDING[ending])

    def _pending(
        self,
        status: str,
        given: Mapping[str, object],
        end: datetime | None,
        reason: Dataset | None,
    ) -> Dataset:
        made = content.changed(given, self.attributes)
        when = datetime.now() if end is None else end
        made.PerformedProcedureStepStatus = status
        made.PerformedProcedureStepEndDate = f"{when:%Y%m%d}"
        made.PerformedProcedureStepEndTime = f"{when:%H%M%S}"
        if reason is not None:
            made.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason]
        series = self._series
        if not series.items:
            series = content.SeriesList()
            series.add(new_uid(), {}, self._protocol())
        made.PerformedSeriesSequence = series.copies()
        return self._fit(made)

    def _fit(self, sent: Dataset) -> Dataset:
        """Give a N-SET the character set of the N-CREATE, as far as it can express it."""
        if "SpecificCharacterSet" in self.attributes:
            sent.SpecificCharacterSet = self.attributes.SpecificCharacterSet
        attributes.set_charset(sent)
        return sent

    def _merge(self, sent: Dataset) -> None:
        """Take over what the peer has now; copies, for series go on to grow."""
        from copy import deepcopy

        for element in deepcopy(sent):
            self.attributes.add(element)
        attributes.set_charset(self.attributes)

    def _expect(self, what: str, *states: str) -> None:
        if self.state in states:
            return
        hint = ""
        if self.state in ENDING or self.state == CREATING:
            before = {CREATING: "start", COMPLETING: "complete", DISCONTINUING: "discontinue"}
            hint = f": whether the peer got that is not known; do {before[self.state]} again first"
        elif self.state in table.FINAL:
            hint = ": that is final (PS3.4 F.7.2.2.2); what goes on is another step"
        raise StateError(f"{what}: the step {self.uid} is {self.state}{hint}")

    def _settle(self, state: str) -> None:
        """Be in a state, in the file too; as before where that cannot be written."""
        before, pending = self._known.state, self._known.pending
        self._known.state = state
        self._known.pending = pending if state in ENDING else None
        try:
            if self._path is not None:
                self._known.write(self._path)
        except BaseException:
            self._known.state, self._known.pending = before, pending
            raise

    def _send(self, service: str, sent: Dataset, before: str = "", during: str = "") -> None:
        """Send; the state is `during` from before it is sent until the answer has been taken in.

        Where the peer cannot have got it, or refused it, the state is as before.
        """
        earlier = self.state
        if during and earlier != during:
            self._settle(during)
        request = step_message.request_of(service, self.uid)
        try:
            step_message.exchange(self.node, service, request, sent)
        except BaseException as error:
            status = error.status if isinstance(error, StatusError) else 0
            # What became of an earlier try, the failure of this one may not tell.
            unclear = earlier == during and status in (0, step_message.PROCESSING_FAILURE)
            if during and not unclear and (status or not step_message.may_have_come(request)):
                try:
                    self._settle(before)
                except WriteError as other:
                    error.add_note(str(other))
            raise

    def __enter__(self) -> Self:
        """Create the step at the peer."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete it, or discontinue it; nothing where it is at its end already."""
        if error is None:
            if self.state not in table.FINAL:
                self.complete()
            return
        if self.state != table.IN_PROGRESS:
            return
        try:
            self.discontinue()
        except (DicomloomError, OSError) as other:
            error.add_note(f"the step {self.uid} could not be discontinued: {other}")
