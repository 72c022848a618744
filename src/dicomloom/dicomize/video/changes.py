"""What is changed in a copy of an MP4 or QuickTime file, and what for."""

from __future__ import annotations

import bisect
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dicomloom.dicomize.video.boxes import Box, BoxFile
from dicomloom.dicomize.video.location import places
from dicomloom.dicomize.video.patches import Patch, freed, in_order
from dicomloom.dicomize.video.quicktime import as_mp4
from dicomloom.dicomize.video.tables import sample_ranges
from dicomloom.errors import CorruptError, TruncatedError, UnsupportedError

_MOST_PATCHES = 1 << 16
_LOCATION = "where it was taken (GPS) is not carried over"
_OTHERS = "tracks other than pictures and sound are blanked: they may say where it was taken"
_QUICKTIME = "the QuickTime container became MP4; pictures and sound are untouched"


class Track(NamedTuple):
    """A track box, its sample tables by type, whether it stays, and has samples in fragments."""

    box: Box
    tables: dict[bytes, Box]
    kept: bool
    fragmented: bool


class Changes(NamedTuple):
    """Fields of `VideoStream`."""

    patches: tuple[Patch, ...] = ()
    notes: tuple[str, ...] = ()
    obstacle: str | None = None


def changes(file: BoxFile, tracks: Sequence[Track], *, quicktime: bool) -> Changes:
    """Return what takes out of a file where it was taken, and makes MP4 of QuickTime."""
    notes: list[str] = []
    found: list[Patch] = []
    try:
        others = [track for track in tracks if not track.kept]
        if others:
            _add(found, _without(file, tracks, others))
            notes.append(_OTHERS)
        if _add(found, places(file, 0, file.size)):
            notes.append(_LOCATION)
        if quicktime:
            kept = frozenset(track.box.at for track in tracks if track.kept)
            _add(found, as_mp4(file, kept))
            notes.append(_QUICKTIME)
    except UnsupportedError as error:
        return Changes(obstacle=error.message)
    except (CorruptError, TruncatedError, struct.error) as error:
        return Changes(obstacle=f"boxes that are whole ({error})")
    return Changes(in_order(found), tuple(notes))


def _add(found: list[Patch], more: Iterable[Patch]) -> bool:
    """Whether there were more."""
    before = len(found)
    found += itertools.islice(more, _MOST_PATCHES + 1 - before)
    if len(found) > _MOST_PATCHES:
        raise UnsupportedError(f"a file with no more than {_MOST_PATCHES} places to change")
    return len(found) > before


def _without(file: BoxFile, tracks: Sequence[Track], others: Iterable[Track]) -> Iterator[Patch]:
    """Blank tracks and their samples: GoPro, DJI and telephones put telemetry there."""
    data = [box for box in file.boxes(0, file.size) if box.kind == b"mdat"]
    for track in others:
        if track.fragmented:
            raise UnsupportedError(
                "tracks of pictures and sound only, for others may say where it was taken (with "
                "-map 0:v -map 0:a)"
            )
        for start, end in sample_ranges(file, track.tables):
            last = bisect.bisect_right(data, start, key=lambda box: box.start) - 1
            if last < 0 or end > data[last].end:
                raise UnsupportedError("samples that lie in the media data of this file")
            yield Patch(start, end - start)
        yield from freed(track.box)
    for track in tracks:
        if track.kept:
            # What they refer to may be gone.
            for box in file.boxes(track.box.start, track.box.end):
                if box.kind == b"tref":
                    yield from freed(box)
