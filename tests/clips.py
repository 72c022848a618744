"""Videos that ffmpeg makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import peer

SMALL, HD = "128x96", "1920x1080"
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -x264-params bframes=2"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1:frame-threads=1"


def ffmpeg(
    size: str, rate: str, frames: int, options: str, path: Path, *, sound: list[str] | None = None
) -> Path:
    source = f"testsrc2=size={size}:rate={rate}"
    command = [peer("ffmpeg"), "-nostdin", "-v", "error", "-threads", "1"]
    command += ["-f", "lavfi", "-i", source, *(sound or []), "-frames:v", str(frames)]
    done = subprocess.run(
        [*command, *options.split(), "-y", str(path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    return path
