"""Elementary streams: headers found by their start codes, in chunks."""

from __future__ import annotations

import re

from dicomloom.dicomize.video.h264 import H264
from dicomloom.dicomize.video.hevc import Hevc
from dicomloom.dicomize.video.mpeg2 import Mpeg2

Coding = H264 | Hevc | Mpeg2
CODINGS: dict[str, type[H264] | type[Hevc] | type[Mpeg2]] = {
    "H264": H264,
    "HEVC": Hevc,
    "MPEG2": Mpeg2,
}


class Scanner:
    """Finds headers by their start codes, and hands them to a coding.

    Holds one chunk and at most 1 KiB of what came before.
    """

    def __init__(self, coding: Coding) -> None:
        self.coding = coding
        self._find = re.compile(coding.pattern, re.DOTALL).finditer
        self._held = b""

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take the next bytes of the stream."""
        data = self._held + data
        needed = self.coding.needed
        whole = len(data) if final else len(data) - needed - 3
        for match in self._find(data):
            start = match.start()
            if start >= whole and not final:
                self._held = data[start:]
                return
            # A NAL unit ends before the next start code; zeros in front of that are no part of it.
            unit = data[start + 3 : start + 3 + needed]
            end = unit.find(b"\0\0\1", 1) if self.coding.codec != "MPEG2" else -1
            self.coding.unit(unit if end < 0 else unit[:end])
        self._held = b"" if final else data[-3:] if len(data) > 3 else data
