"""HOSTILE.md X4: bitstreams that disagree with the data set, and broken ones, of every codec."""

from __future__ import annotations

import json
import struct

import pytest

from dicomloom.codecs import registry
from faults import child
from images import code, image, layout
from pixel_objects import asked, encapsulated, saved, us
from support import element, long_run, peer_module

SIDE = 64
OF = layout(8, rows=SIDE, columns=SIDE)
JPEG = ("JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEGLosslessSV1", "JPEGLSLossless")
WAVELETS = ("JPEG2000Lossless", "HTJ2KLossless")
CODED = (*JPEG, *WAVELETS, "JPEGXLLossless", "JPEGXLJPEGRecompression", "RLELossless")
CODED += ("DeflatedImageFrameCompression",)
READ_ALL_THE_SAME = {
    # ISO/IEC 10918-1 B.2.5: rows may be said later, or by the data set.
    ("JPEGLosslessSV1", "no rows"),
    ("JPEGLSLossless", "no rows"),
    # Nothing but the data set says how large a frame is: what segments give beyond is left.
    ("RLELossless", "larger"),
}
SELF_DESCRIBING = CODED[:8]


@pytest.fixture(autouse=True)
def libraries():
    peer_module("imagecodecs", "jpeg_ls", "openjpeg", "libjpeg")


def stream(keyword, of=OF):
    return code(keyword, of, image(of))[1]


def resized(data: bytes, rows: int, columns: int, keyword: str) -> bytes:
    """Return a bitstream whose header has another size."""
    made = bytearray(data)
    if keyword in WAVELETS:
        at = data.index(b"\xff\x51") + 6
        struct.pack_into(">2L", made, at, columns, rows)  # Xsiz, Ysiz
        struct.pack_into(">2L", made, at + 16, columns, rows)  # XTsiz, YTsiz: one tile
        return bytes(made)
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc3", b"\xff\xf7"):
        at = data.find(marker)
        if at >= 0:
            struct.pack_into(">2H", made, at + 5, rows, columns)
            return bytes(made)
    raise AssertionError(keyword)


def an_object(frames, keyword, rows=SIDE, columns=SIDE, samples=1):
    us_of = {"rows": rows, "columns": columns, "samples": samples, "bits": 8, "stored": 8}
    us_of["high"] = 7
    tags = {"rows": 0x280010, "columns": 0x280011, "samples": 0x280002, "bits": 0x280100}
    tags |= {"stored": 0x280101, "high": 0x280102}
    changes = {name: element(tags[name], "US", us(value)) for name, value in us_of.items()}
    changes["frames"] = element(0x00280008, "IS", f"{len(frames):<2}".encode())
    if samples == 3:
        changes["photometric"] = element(0x00280004, "CS", b"RGB ")
    return encapsulated(frames, registry.entry(keyword).uid, **changes)


def disagreeing(keyword: str) -> dict[str, bytes]:
    """Bitstreams of one codec that are not those of 64 x 64 pixels of one sample of 8 bits."""
    whole = stream(keyword)
    found = {
        "other size": stream(keyword, layout(8, rows=32, columns=96)),
        "larger": stream(keyword, layout(8, rows=128, columns=128)),
        "color": stream(keyword, layout(8, rows=SIDE, columns=SIDE, color=True)),
    }
    if keyword not in ("JPEGBaseline8Bit", "JPEGXLJPEGRecompression"):
        found["12 bits"] = stream(keyword, layout(12, rows=SIDE, columns=SIDE))
    if keyword in (*JPEG, *WAVELETS):
        found["65535 x 65535"] = resized(whole, 65535, 65535, keyword)
        found["1 x 65535"] = resized(whole, 1, 65535, keyword)
        found["no rows"] = resized(whole, 0, SIDE, keyword)
    other = "JPEGLSLossless" if keyword in JPEG[:3] else "JPEGBaseline8Bit"
    found["another codec's"] = stream(other)
    found["noise"] = bytes(range(256)) * 8
    found["nothing"] = b""
    return found


def test_x04_bitstreams_that_disagree_with_the_data_set(tmp_path):
    """Another size, depth, number of samples or codec is refused, its neighbors are read."""
    objects = {}
    for keyword in CODED:
        whole = stream(keyword)
        for how, wrong in disagreeing(keyword).items():
            objects[f"{keyword} {how}"] = an_object([whole, wrong, whole], keyword)
    found = asked(saved(tmp_path / "in", objects), "all raw native extract", limit=512 << 20)
    names = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored")
    for name, (peak, said) in found.items():
        keyword, _, how = name.partition(" ")
        assert peak < 96 << 10, name
        assert said["raw"][0] == "", (name, said)
        if (keyword, how) in READ_ALL_THE_SAME:
            continue
        for door in ("all", "native"):
            kind, text, frame = said[door]
            assert kind in ("CorruptError", "TruncatedError", "UnsupportedError"), (name, said)
            assert frame == 1, (name, door)
            sized = how in ("other size", "larger", "color", "65535 x 65535", "1 x 65535")
            if keyword in SELF_DESCRIBING and sized:
                assert any(word in text for word in names), (name, text)


def test_x04_where_both_say_65535_no_room_is_made_for_nothing(tmp_path):
    """A few bytes that are said to be 4 GiB of pixels, by bitstream and data set alike."""
    objects = {}
    for keyword in (*JPEG, *WAVELETS):
        data = resized(stream(keyword), 65535, 65535, keyword)
        objects[keyword] = an_object([data], keyword, 65535, 65535)
    for keyword in CODED[6:]:
        objects[keyword] = an_object([stream(keyword)], keyword, 65535, 65535)
    found = asked(saved(tmp_path / "in", objects), limit=768 << 20)
    for name, (peak, said) in found.items():
        assert peak < 96 << 10, name
        for door in ("one", "all", "raw", "native"):
            kind, text, _ = said[door]
            assert kind in ("LimitError", "TruncatedError", "CorruptError"), (name, door, said)
            assert "bytes" in text or "Rows" in text, (name, door, text)


BREAKER = """
    import json, os, random, resource, signal, sys
    sys.path.insert(0, sys.argv[1])
    from images import image, layout, raw
    from dicomloom import DicomloomError
    from dicomloom.codecs import registry
    from dicomloom.codecs.library import LibraryCodec
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30,) * 2)
    signal.alarm(int(sys.argv[4]))

    def decoders(keyword, of):
        codec = registry.find(keyword)
        own = None if isinstance(codec, LibraryCodec) else codec
        library = codec if own is None else getattr(codec, "library", lambda: None)()
        if own is not None:
            yield "dicomloom", codec.decoder(of)
        for one in library.readers if library is not None else ():
            if one.found():
                kind = type("Only", (type(library),), {"readers": (one,)})
                yield one.name, kind().decoder(of)

    def broken(data, chance):
        made = bytearray(data)
        kind = chance.choice(["flip", "flip", "head", "cut", "cut", "run", "insert", "twice"])
        if kind == "flip":
            for _ in range(chance.choice([1, 2, 8])):
                made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
        elif kind == "head":
            for _ in range(chance.choice([1, 2, 4])):
                made[chance.randrange(min(len(made), 200))] = chance.choice([0, 1, 127, 128, 255])
        elif kind == "cut":
            end = bytes(made[-2:]) if chance.random() < 0.5 else b""
            made = made[: chance.randrange(len(made))] + end
        elif kind == "run":
            at = chance.randrange(len(made))
            made[at : at + 32] = bytes([chance.choice([0, 255])]) * 32
        elif kind == "insert":
            at = chance.randrange(len(made))
            made[at:at] = chance.randbytes(chance.randrange(1, 16))
        else:
            at = chance.randrange(len(made))
            made[at:at] = made[at : at + 200]
        return bytes(made)

    outcomes = {}
    for keyword, bits, color in json.loads(sys.argv[2]):
        of = layout(bits, color=color, rows=64, columns=64)
        coded = registry.find(keyword).encoder(of).encode(raw(image(of), of))
        coded = b"".join(bytes(part) for part in coded)
        for name, decoder in decoders(keyword, of):
            for seed in range(int(sys.argv[3])):
                data = broken(coded, random.Random(f"{keyword}{bits}{color}{seed}"))
                print(keyword, bits, color, name, seed, file=sys.stderr, flush=True)
                try:
                    decoder.decode(data)
                    kind = "fine"
                except DicomloomError as error:
                    kind = type(error).__name__
                outcome = outcomes.setdefault(f"{keyword} {name}", {})
                outcome[kind] = outcome.get(kind, 0) + 1
    print(json.dumps(outcomes))
    """


def test_x04_broken_bitstreams_in_every_library(request):
    """Cut, flipped, doubled: pixels or an error of ours, whichever library decodes."""
    jobs = [(keyword, 8, False) for keyword in CODED]
    jobs += [(keyword, 8, True) for keyword in CODED if keyword != "JPEGExtended12Bit"]
    jobs += [(keyword, 16, False) for keyword in ("JPEG2000Lossless", "HTJ2KLossless")]
    jobs += [(keyword, 16, False) for keyword in ("JPEGLosslessSV1", "JPEGLSLossless")]
    jobs += [("JPEGExtended12Bit", 12, False), ("JPEGXLLossless", 16, False)]
    many, seconds = (5000, 3600) if long_run() else (40, 110)
    tests = request.config.rootpath / "tests"
    done = child(BREAKER, tests, json.dumps(jobs), many, seconds, timeout=seconds + 10)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    outcomes = json.loads(done.stdout)
    assert len(outcomes) >= 18, sorted(outcomes)
    for name, kinds in outcomes.items():
        assert set(kinds) <= {
            "fine", "CorruptError", "LimitError", "TruncatedError", "UnsupportedError"
        }, (name, kinds)  # fmt: skip
        assert len(kinds) >= 2, (name, kinds)


def test_x04_broken_coded_files_become_no_objects(tmp_path):
    """`dicomize` of JPEG, JPEG-LS, JPEG 2000 and JPEG XL files that are cut or lie."""
    objects = {}
    for keyword in SELF_DESCRIBING:
        data = stream(keyword)
        objects[f"{keyword} whole"] = data
        for part in (0, 1, 3, 20, 60, 90, 99):
            objects[f"{keyword} cut {part}"] = data[: len(data) * part // 100]
        for at in range(2, 40, 3):
            objects[f"{keyword} byte {at}"] = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        if keyword in (*JPEG, *WAVELETS):
            objects[f"{keyword} large"] = resized(data, 65535, 65535, keyword)
    found = asked(saved(tmp_path / "in", objects), "dicomize", limit=512 << 20)
    assert len(found) == len(objects)
    for name, (peak, said) in found.items():
        assert peak < 96 << 10, name
        kind, text, _ = said["dicomize"]
        if name.endswith("whole"):
            assert kind == "", (name, text)
        if " cut " in name and not name.startswith("JPEGXL"):
            assert kind, name
