"""A line on stderr that says how far the work is."""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # --help imports nothing that indexes
if TYPE_CHECKING:
    from dicomloom.index.scan import Progress


class ProgressLine:
    """Rewrites one line of a terminal."""

    def __init__(self) -> None:
        self._shown = False
        self._began = self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Show the state of a scan."""
        rate = progress.files / progress.seconds if progress.seconds else 0.0
        minutes, seconds = divmod(int(progress.seconds), 60)
        self._show(
            f"{progress.files:,} files  {rate:,.0f}/s  {progress.errors:,} errors  "
            f"{progress.bytes_read / 1e6:,.0f} MB read  {minutes}:{seconds:02}"
        )

    def frames(self, done: int, total: int) -> None:
        """Show how many frames are done, ten times a second at most."""
        now = time.monotonic()
        if now - self._last >= 0.1:
            self._last = now
            rate = done / (now - self._began) if now > self._began else 0.0
            self._show(f"{done:,} of {total:,} frames  {rate:,.0f}/s")

    def objects(self, done: int, failed: int, size: int) -> None:
        """Show how many objects, of so many bytes, are done, ten times a second at most."""
        now = time.monotonic()
        if now - self._last >= 0.1:
            self._last = now
            seconds = max(now - self._began, 1e-3)
            self._show(
                f"{done:,} objects  {done / seconds:,.0f}/s  {failed:,} failed  "
                f"{size / 1e6:,.0f} MB  {size / 1e6 / seconds:,.0f} MB/s"
            )

    def _show(self, text: str) -> None:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Leave the line to whatever is printed next."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
