"""Videos: MP4, QuickTime, MPEG-2 transport and program streams, MPEG-2, H.264 and HEVC.

The input is a file. What can be stored is stored, and comes out of the object as it went in.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Folder

from dicomloom import DicomloomError, extract
from dicomloom.dicomize.video.attributes import pixel_attributes
from dicomloom.dicomize.video.read import read_video
from dicomloom.dicomize.video.syntaxes import transfer_syntax_of
from dicomloom.dicomize.video.write import write_video

INSTRUMENTED = "dicomloom.dicomize.video"
_FOLDER = Folder()
_UIDS = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4.1", "SOPInstanceUID": "1.2.3"}


def check(data: bytes) -> None:
    """Read one file, and store it where it can be stored."""
    path = _FOLDER.put("video", data)
    try:
        read = read_video(path)
    except DicomloomError as error:
        assert error.path == str(path)
        return
    assert read.frames is None or read.frames >= 1
    syntax = "MPEG2MPML"
    with contextlib.suppress(DicomloomError):
        syntax = transfer_syntax_of(read)
    with contextlib.suppress(DicomloomError):
        attributes = pixel_attributes(read)
        target = _FOLDER.path("video.dcm")
        write_video(target, _UIDS | attributes, path, syntax, patches=())
        back = _FOLDER.path("back")
        extract(target, back, overwrite=True)
        assert back.read_bytes()[: len(data)] == data
        write_video(target, _UIDS | attributes, path, syntax)


_KINDS = {
    "h264.mp4": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    "fragmented.mp4": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -movflags +frag_keyframe",
    "h264.mov": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -metadata location=+1+2/",
    "hevc.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1",
    "mpeg2.mpg": "-c:v mpeg2video -f vob",
    "mpeg2.ts": "-c:v mpeg2video",
    "h264.ts": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -aud 1",
    "sound.ts": "-f lavfi -i sine -t 0.1 -c:v mpeg2video -c:a mp2",
    "sound.mpg": "-f lavfi -i sine -t 0.1 -c:v mpeg2video -c:a ac3 -f vob",
    "sound.mp4": "-f lavfi -i sine -t 0.1 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    "sound.mov": "-f lavfi -i sine -t 0.1 -c:v libx264 -pix_fmt yuv420p -c:a pcm_s16le",
    "mpeg2.m2v": "-c:v mpeg2video",
    "h264.h264": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    "hevc.hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1",
}


def seeds() -> Iterator[bytes]:
    """Two frames of each kind, by ffmpeg where it is installed; MPEG-2 by hand."""
    sequence = bytes.fromhex("000001b3 7804383311942000 000001b5 144200010000")
    yield sequence + 3 * bytes.fromhex("00000100 00080000 000001b5 8fffff8000")
    if shutil.which("ffmpeg") is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, options in _KINDS.items():
            path = Path(folder, name)
            command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-f", "lavfi"]
            command += ["-i", "testsrc2=size=64x48:rate=25", *options.split(), "-frames:v", "2"]
            done = subprocess.run([*command, "-y", str(path)], check=False, timeout=60)
            if done.returncode == 0:
                yield path.read_bytes()


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take nothing: the corpus has no small videos."""
    return iter(())
