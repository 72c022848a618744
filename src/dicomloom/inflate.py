"""Deflated data sets (PS3.5 A.5): inflated only as far as the C core asks."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from dicomloom.errors import CorruptError, LimitError, TruncatedError

_READ = 16 * 1024
_STEP = 64 * 1024
_KEPT = 128 * 1024  # what the C core may look back to
# A header is small; inflating gigabytes to hop over pixels, or a bomb's zeros, helps nobody.
MOST = 256 * 1024 * 1024
# Behind a header there are native pixels, of which a length can say 2^32-2 bytes (PS3.5 7.1.1).
LONGEST = MOST + 2**32


class InflatedReader:
    """What a deflated stream holds, read by offset; going back beyond the last bytes starts over.

    Parameters
    ----------
    read : callable
        ``read(offset, size) -> bytes`` of the deflated stream.
    limit : int, optional
        How many bytes to inflate at most, by default `MOST`; may be changed.

    Notes
    -----
    Holds at most 256 KiB. Asking for bytes beyond the first `limit`, or for the size where there
    are more, raises LimitError; beyond the end of a stream that was cut off, TruncatedError; beyond
    the place where one is broken, CorruptError.
    """

    def __init__(self, read: Callable[[int, int], bytes], limit: int | None = None) -> None:
        self._read = read
        self.limit = MOST if limit is None else limit
        self._restart()

    def _restart(self) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = 0  # bytes of the deflated stream
        self._pending = b""
        self._start = 0  # offset of _held[0]
        self._held = bytearray()
        self._ended = False
        self._cut = False  # the deflated bytes ended before their stream did
        self._broken: zlib.error | None = None

    def _inflate(self) -> None:
        if not self._pending:
            self._pending = self._read(self._taken, _READ)
            self._taken += len(self._pending)
            if not self._pending:
                self._held += self._inflater.flush()
                # Zeros may be all taken in before they are all given out.
                self._ended, self._cut = True, not self._inflater.eof
                return
        before = self._inflater.copy()
        try:
            self._held += self._inflater.decompress(self._pending, _STEP)
        except zlib.error as error:
            self._held += _before_fault(before, self._pending)
            self._broken, self._ended = error, True
        else:
            self._pending = self._inflater.unconsumed_tail
            self._ended = self._inflater.eof
        if len(self._held) > 2 * _KEPT:
            drop = len(self._held) - _KEPT
            del self._held[:drop]
            self._start += drop

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`; empty at the end."""
        if offset < self._start:
            self._restart()
        while not self._ended and self._start + len(self._held) <= offset:
            self._inflate_within_limit()
        at = offset - self._start
        if self._broken is not None and at >= len(self._held):
            raise self._corrupt()
        if self._cut and at >= len(self._held):
            end = self.size()
            raise TruncatedError(
                f"truncated: the deflated data set is cut off at byte {end} of it", offset=end
            )
        return bytes(self._held[at : at + size])

    def size(self) -> int:
        """Return how many bytes there are."""
        while not self._ended:
            self._inflate_within_limit()
        if self._broken is not None:
            raise self._corrupt()
        return self._start + len(self._held)

    def _corrupt(self) -> CorruptError:
        at = self._start + len(self._held)
        return CorruptError(
            f"deflated data set is broken behind byte {at}: {self._broken}", offset=at
        )

    def _inflate_within_limit(self) -> None:
        if self._start + len(self._held) >= self.limit:
            raise LimitError(
                f"deflated data set longer than the limit of {self.limit} bytes", offset=self.limit
            )
        self._inflate()


def _before_fault(inflater: zlib._Decompress, pending: bytes) -> bytes:
    """Return what a stream has before the place where it is broken; zlib itself keeps none of it.

    Asks for less and less until not even one byte comes; what is left is with the fault in one
    call, and given byte by byte.
    """
    made, size = b"", _STEP
    while size and pending:
        attempt = inflater.copy()
        try:
            made += attempt.decompress(pending, size)
        except zlib.error:
            size //= 2
        else:
            inflater, pending = attempt, attempt.unconsumed_tail
    for byte in pending:
        try:
            made += inflater.decompress(bytes([byte]))
        except zlib.error:
            break
    return made
