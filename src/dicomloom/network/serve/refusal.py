"""`Refusal`: why a request of a peer is not done, as a DIMSE response says it."""

from __future__ import annotations

from dicomloom.errors import DicomloomError


class Refusal(DicomloomError, ValueError):
    """A request ends with a status other than success.

    Parameters
    ----------
    status : int
        Status (0000,0900) of the response.
    message : str
        Why; no attribute values.

    Examples
    --------
    >>> Refusal(0xA900, "the level is missing").comment
    'the level is missing'
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def comment(self) -> str:
        """Error Comment (0000,0902): LO, so at most 64 characters."""
        return self.message[:64]
