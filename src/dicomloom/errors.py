"""What can go wrong, as classes.

Every error of dicomloom is a `DicomloomError` and also the builtin that fits it, so that
``except OSError`` and ``except ValueError`` keep their meaning.
"""

from __future__ import annotations


class DicomloomError(Exception):
    """The base of all errors raised by dicomloom.

    Attributes
    ----------
    message : str
        What was expected, what was found, and what to try; without the path.
    path : str or None
        The file the error is about.
    offset : int or None
        Byte offset in that file (in the inflated data set, when it is deflated).
    tag : int or None
        The data element, ``(group << 16) | element``.
    frame : int or None
        The frame, counted from 0.
    values : dict
        What `dicomloom.read_tags` had read before the fault; else empty.
    report : object
        What `dicomloom.retrieve` had done before the fault; else None.
    """

    report: object = None

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        offset: int | None = None,
        tag: int | None = None,
        frame: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.offset = offset
        self.tag = tag
        self.frame = frame
        self.values: dict[str, str | None] = {}

    def __str__(self) -> str:
        text = self.message
        if self.frame is not None:
            import re

            if not re.search(r"\bframe \d", text):  # most messages about a frame name it
                text = f"frame {self.frame}: {text}"
        return f"{self.path}: {text}" if self.path else text


class ReadError(DicomloomError, OSError):
    """The operating system would not let a file be read."""


class WriteError(DicomloomError, OSError):
    """A file could not be written; whatever stood under its name is untouched."""


class NotDicomError(DicomloomError, ValueError):
    """The bytes are not a DICOM file or data set."""


class TruncatedError(DicomloomError, ValueError):
    """The bytes end inside an element."""


class CorruptError(DicomloomError, ValueError):
    """The bytes break the grammar of PS3.5."""


class LimitError(DicomloomError, ValueError):
    """A limit on nesting or size was reached."""


class UnsupportedError(DicomloomError, ValueError):
    """Valid, but not something that can be read."""


class PixelError(DicomloomError, ValueError):
    """Frames, attributes and transfer syntax contradict one another; the message names both."""


class FrameError(DicomloomError, IndexError, ValueError):
    """There is no such frame; the message says how many there are."""


class TagError(DicomloomError, ValueError):
    """A wanted tag is not written as one, or its keyword is unknown."""


class MissingDependencyError(DicomloomError, ImportError):
    """An optional library is needed; the message names the extra that brings it."""


class NodeError(DicomloomError, ValueError):
    """A node is not written as one, has no entry, or its entry in a configuration is wrong."""


class StateError(DicomloomError, RuntimeError):
    """What is asked for is not possible in the state that something is in."""


class NetworkError(DicomloomError, OSError):
    """The base of what goes wrong between two nodes.

    Attributes
    ----------
    node : str
        The peer, as ``AET@host:port``.
    hint : str
        What it may mean, and what to try.
    """

    def __init__(
        self, message: str, *, node: str = "", hint: str = "", path: str | None = None
    ) -> None:
        super().__init__(message, path=path)
        self.node = node
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.node}: {self.message}" if self.node else self.message
        return f"{text}; {self.hint}" if self.hint else text


class ConnectionFailed(NetworkError, ConnectionError):
    """There is no connection, or at its other end is no DICOM node.

    Attributes
    ----------
    host, port : str, int
        Where the connection went.
    reason : str
        A word for programs: ``unknown-host``, ``refused``, ``unreachable``, ``closed``, ``http``,
        ``tls``, ``not-dicom``, ``system``; of a `TLSError` ``certificate``, ``host-name``, ``pin``,
        ``plain``, ``alert``, ``tls``.
    """

    host = ""
    port = 0
    reason = ""


class TLSError(ConnectionFailed):
    """The two ends do not agree on TLS, or the peer's certificate is not trusted."""


class TimeoutExpired(NetworkError, TimeoutError):
    """The peer did not answer in time.

    Attributes
    ----------
    waited : float
        Seconds.
    step : str
        What was waited for: ``connect``, ``tls``, ``associate``, ``dimse``, ``idle``.
    """

    waited = 0.0
    step = ""


class AssociationRejected(NetworkError, ConnectionError):
    """The peer answered with an A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Attributes
    ----------
    result, source, reason : int
        As they were received.
    result_text, source_text, reason_text : str
        In the words of PS3.8.
    """

    result = source = reason = 0
    result_text = source_text = reason_text = ""

    @property
    def transient(self) -> bool:
        """Whether the peer says that trying again later may help."""
        return self.result == 2


class AssociationAborted(NetworkError, ConnectionAbortedError):
    """The peer ended the association by an A-ABORT (PS3.8 9.3.8).

    Attributes
    ----------
    source, reason : int
        As they were received.
    source_text, reason_text : str
        In the words of PS3.8; a service user gives no reason.
    """

    source = reason = 0
    source_text = reason_text = ""


class NoAcceptedContext(NetworkError, ConnectionError):
    """The peer accepted the association, but none of the presentation contexts.

    Attributes
    ----------
    proposed : tuple of (int, str, tuple of str)
        Context ID, abstract syntax UID and transfer syntax UIDs of each.
    answered : tuple of (int, int or None, str)
        Context ID, result (PS3.8 9.3.3.2; None where the answer lacks it) and its words.
    """

    proposed: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    answered: tuple[tuple[int, int | None, str], ...] = ()


class StatusError(NetworkError):
    """The peer answered a request with a status that is no success (PS3.7 Annex C).

    Attributes
    ----------
    status : int
        Status (0000,0900).
    meaning : str
        In the words of PS3.7.
    comment : str
        Error Comment (0000,0902), "" where there is none.
    error_id : int or None
        Error ID (0000,0903) of the DIMSE-N services, None where there is none.
    """

    status = 0
    meaning = comment = ""
    error_id: int | None = None


class ProtocolError(NetworkError, ValueError):
    """The peer sent what PS3.7 or PS3.8 does not allow."""


class DicomloomWarning(UserWarning):
    """The base of all warnings: something is wrong with a file, and was worked around."""


class ConversionWarning(DicomloomWarning):
    """Something became DICOM, but not all of it as it was: what was changed, left out, assumed."""


class OffsetTableWarning(DicomloomWarning):
    """An offset table is broken; the frames were found another way."""


# The status codes of native/base, in one place.
_CLASSES: dict[str, type[DicomloomError]] = {
    "io": ReadError,
    "not-dicom": NotDicomError,
    "truncated": TruncatedError,
    "corrupt": CorruptError,
    "limit": LimitError,
    "unsupported": UnsupportedError,
    "pixel": PixelError,
}


def from_native(
    code: str, message: str, os_error: int, offset: int, tag: int, path: str | None
) -> Exception:
    """Turn an error of the C core into the exception to raise."""
    if code == "memory":
        return MemoryError(message)
    error = _CLASSES.get(code, DicomloomError)(message, path=path, offset=offset, tag=tag or None)
    if isinstance(error, OSError):
        error.errno = os_error or None
        error.filename = path
    return error
