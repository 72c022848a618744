"""A line on stderr that says how far a scan is."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # --help imports nothing that indexes
if TYPE_CHECKING:
    from dicomloom.index.scan import Progress


class ProgressLine:
    """Rewrites one line of a terminal."""

    def __init__(self) -> None:
        self._shown = False

    def __call__(self, progress: Progress) -> None:
        """Show the state of a scan."""
        rate = progress.files / progress.seconds if progress.seconds else 0.0
        minutes, seconds = divmod(int(progress.seconds), 60)
        sys.stderr.write(
            f"\r{progress.files:,} files  {rate:,.0f}/s  {progress.errors:,} errors  "
            f"{progress.bytes_read / 1e6:,.0f} MB read  {minutes}:{seconds:02}\x1b[K"
        )
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Leave the line to whatever is printed next."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
