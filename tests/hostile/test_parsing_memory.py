"""Row P2: what a length says that lies costs no memory, at the doors that read headers."""

import json
import os

from hostile import ALL_VRS, measured, whole
from support import LONG_VRS, element

DOORS = (
    "read_tags of a path", "scan", "FrameReader of a path", "FrameReader.dataset", "dump",
    "dump as JSON", "DicomDir.open", "DicomDir.create", "transcode to explicit VR",
    "transcode to RLE", "recover", "ImagePlane", "FrameWriter's template",
)  # fmt: skip
SCRIPT = """
    import os, warnings
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    warnings.simplefilter("ignore")
    from doors import DOORS, through
    folder, names, grew, number = Path(sys.argv[1]), json.loads(sys.argv[3]), {}, 0
    doors = [door for door in DOORS if door.name in names]
    assert len(doors) == len(names)
    os.fsync = lambda descriptor: None

    def enter(door, path):
        global number
        number += 1
        return str(through(door, path, folder / f"out{number}") or "")

    for door in doors:
        for name in ("good.dcm", "first.dcm"):  # what is imported and made once
            enter(door, folder / name)
        for path in sorted(folder.glob("lie-*")):
            kib, _ = grown(lambda: enter(door, path))
            grew[f"{door.name}: {path.name}"] = kib
    print(json.dumps(grew))
    """


def test_p02_lengths_that_lie_cost_no_memory(tmp_path):
    """At each door and for each VR the peak grows by less than 4 MiB."""
    (tmp_path / "good.dcm").write_bytes(whole())
    (tmp_path / "first.dcm").write_bytes(whole(element(0x00090010, "OB", b"ab", length=99_999)))
    for vr in ALL_VRS.split():
        lengths = (0x7FFFFFFE, 0xFFFFFFFE, 200 << 20) if vr in LONG_VRS else (0xFFFE,)
        for number, length in enumerate(lengths):
            tag = 0x00100030 if number == 1 else 0x00090010
            lie = whole(element(tag, vr, b"ab", length=length))
            (tmp_path / f"lie-{vr}-{length:x}").write_bytes(lie)
    tests = os.path.dirname(os.path.dirname(__file__))
    grew = measured(SCRIPT, tmp_path, tests, json.dumps(DOORS))
    assert len(grew) == len(DOORS) * len(list(tmp_path.glob("lie-*")))
    assert not {name: kib for name, kib in grew.items() if kib >= 4096}
    # The peak never falls: what each adds is seen in the sum, too.
    assert sum(grew.values()) < 16_384, sorted(grew.items(), key=lambda one: -one[1])[:9]
