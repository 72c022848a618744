"""Every file of the corpus, whole, cut and with flipped bytes, through six doors in a child.

The doors are `read_tags`, `scan`, `FrameReader` (all frames), `transcode` to RLELossless,
`DicomDir.create` and `dump`. A child (survivor.py) has 1 GiB of address space. What must not
happen, of any variant:

- a signal: that of the system's, or SIGPROF of the child itself when a door takes more processor
  time than 3 s and 6 s a MiB of the file; or a child that says nothing for ten minutes;
- an exception that is no DicomloomError, that does not name the file, or, where it is about damage
  (TruncatedError, CorruptError, LimitError), that has neither offset nor tag nor frame;
- an empty success: the door returns normally and has nothing, where that of the whole file had
  something:

  read_tags: none of some elements, among them the first and the last one of the data set (where it
  has one only, a flipped byte makes that another one, and nothing is missing);
  scan: a row that is OK, and has none of them; no row, two rows, ERROR without reason and place;
  FrameReader: no frame;
  transcode: no frame, or no target;
  DicomDir.create: neither an instance nor a finding that says why;
  dump: no line of the data set;

- a frame of a cut file that is another one than that of the whole file; a file that `transcode`
  leaves behind where it failed.

A cut file that ends where an element of its outermost level ends is a shorter data set, and whole.
With DICOMLOOM_LONG=1 there are 64 cuts and 64 flips of each file, which is about 350,000 runs.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from support import long_run, manifest

SEED = 1
CUTS, FLIPS = (64, 64) if long_run() else (1, 1)
PATIENCE = 600  # seconds without a line; of a machine that does much else, too
DEATHS = 3  # of one file, before the next one is taken


class Tally:
    """What children said."""

    def __init__(self):
        self.outcomes = Counter()  # (door, outcome)
        self.faults = []
        self.peak = (0, "")  # KiB, file
        self.slowest = (0.0, "")  # seconds, door and file
        self.seconds = 0.0
        self.runs = 0

    def add(self, line, begun):
        name, number, door = begun
        spent, _, result = line[2:].partition(" ")
        self.runs += 1
        self.seconds += float(spent)
        self.slowest = max(self.slowest, (float(spent), f"{door} {name} {number}"))
        self.outcomes[door, result.split()[0]] += 1
        if result.startswith("FAULT"):
            self.faults.append(f"{name}, variant {number}, {door}: {result}")


def lines_of(child):
    """A queue of the lines of a child, "" behind the last one."""
    lines = queue.SimpleQueue()

    def read():
        for line in child.stdout:
            lines.put(line.rstrip("\n"))
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return lines


def run_child(work, files, skip, tally):
    """Run one child; return where it died and how many doors of that file were done, or None."""
    command = [sys.executable, Path(__file__).with_name("survivor.py"), work]
    child = subprocess.Popen(
        [*map(str, command), *map(str, (SEED, CUTS, FLIPS, skip)), *files],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    lines = lines_of(child)
    begun, done = (files[0], "0", "start"), skip
    try:
        while True:
            try:
                line = lines.get(timeout=PATIENCE)
            except queue.Empty:
                tally.faults.append(f"{begun}: does not come back")
                return begun, done + 1
            if line.startswith("?"):
                name, number, door = line[2:].rsplit(" ", 2)
                begun = (name, number, door)
            elif line.startswith("="):
                tally.add(line, begun)
                done += 1
            elif line.startswith("#"):
                name, peak = line[2:].rsplit(" ", 1)
                tally.peak = max(tally.peak, (int(peak), name))
                done = 0
            else:
                code = child.wait(60)
                if code == 0:
                    return None
                tally.faults.append(f"{begun}: the process ended with {code}")
                return begun, done + 1
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def survive(work, files):
    """Put files through all doors, beginning anew behind what a child died of."""
    tally, skip, deaths = Tally(), 0, Counter()
    while files:
        ended = run_child(work, files, skip, tally)
        if ended is None:
            break
        (name, _, _), skip = ended
        deaths[name] += 1
        files = files[files.index(name) :]
        if deaths[name] == DEATHS:
            files, skip = files[1:], 0
    return tally


@pytest.mark.parametrize("half", [0, 1])
def test_damaged_files_of_the_corpus_neither_kill_nor_deceive(corpus, tmp_path, half):
    """Every variant of every file ends in values or in an error that says where (P1 to P6, X9)."""
    files = sorted(str(corpus / row["file"]) for row in manifest(corpus))[half::2]
    tally = survive(tmp_path, files)
    print(f"{tally.runs} runs, {tally.seconds:.0f} s; peak {tally.peak}; slowest {tally.slowest}")
    for (door, outcome), count in sorted(tally.outcomes.items()):
        print(f"{door:10} {outcome:20} {count}")
    assert not tally.faults, "\n".join(tally.faults[:50])
    assert tally.runs == len(files) * (1 + CUTS + FLIPS) * 6
