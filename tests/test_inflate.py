"""Deflated data sets: any offset, no more than asked, and no bomb."""

import random
import subprocess
import sys
import zlib

import pytest

from dicomloom import CorruptError, LimitError, TruncatedError
from dicomloom.inflate import InflatedReader


def reader_of(plain, **options):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush()
    asked = []

    def read(offset, size):
        asked.append(offset)
        return packed[offset : offset + size]

    return InflatedReader(read, **options), asked


def test_any_offset_in_any_order():
    chance = random.Random(1)
    plain = chance.randbytes(300_000) + bytes(700_000)
    reader, _ = reader_of(plain)
    for _ in range(300):
        offset = chance.randrange(len(plain) + 1000)
        size = chance.randrange(70_000)
        got = b""
        while len(got) < size:
            more = reader.read_at(offset + len(got), size - len(got))
            if not more:
                break
            got += more
        assert got == plain[offset : offset + size]
    assert reader.size() == len(plain)


def test_inflates_only_as_far_as_asked():
    reader, asked = reader_of(random.Random(2).randbytes(1_000_000))
    assert len(reader.read_at(0, 8192)) == 8192
    assert asked == [0]


def test_a_broken_stream_says_where():
    reader = InflatedReader(lambda offset, size: b"\xff\xff\xff"[offset:])
    with pytest.raises(ValueError, match="broken behind byte 0"):
        reader.read_at(0, 10)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_broken_stream_gives_what_stands_before_the_fault(level):
    """To the byte: zlib keeps to itself what it made in the call that fails."""
    plain = bytes(range(256)) * 20 + random.Random(4).randbytes(3000)
    packer = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH)
    broken = packed + b"\xff" * 8  # no block is of type 3
    reader = InflatedReader(lambda offset, size: broken[offset : offset + size])
    assert reader.read_at(0, 10_000) == plain
    assert reader.read_at(len(plain) - 1, 10) == plain[-1:]
    for ask in (lambda: reader.read_at(len(plain), 1), reader.size):
        with pytest.raises(CorruptError, match=f"broken behind byte {len(plain)}"):
            ask()


def test_a_stream_cut_off_gives_what_there_is():
    plain = random.Random(3).randbytes(10_000)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = (packer.compress(plain) + packer.flush())[:5000]
    reader = InflatedReader(lambda offset, size: packed[offset : offset + size])
    got = reader.read_at(0, 10_000)
    assert got == plain[: len(got)]
    assert len(got) > 4000
    with pytest.raises(TruncatedError, match=f"at byte {len(got)}"):
        reader.read_at(len(got), 1)


def test_reading_ends_at_the_cap():
    reader, _ = reader_of(bytes(2_000_000), limit=1_000_000)
    with pytest.raises(LimitError, match="the limit of 1000000"):
        reader.read_at(1_500_000, 10)
    with pytest.raises(LimitError):
        reader.size()
    assert len(reader.read_at(900_000, 10)) == 10


def test_a_bomb_stays_small_in_memory():
    """A gigabyte of zeros in a megabyte: hopping over it holds next to nothing."""
    code = """
import zlib, dicomloom
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
packer = zlib.compressobj(9, wbits=-15)
body = b"\\x08\\x00\\x05\\x00CS\\x0a\\x00ISO_IR 100"
body += b"\\x09\\x00\\x10\\x10OB\\0\\0\\xff\\xff\\xff\\x3f"
packed = packer.compress(body)
for _ in range(1024): packed += packer.compress(bytes(1 << 20))
packed += packer.flush()
uid = b"1.2.840.10008.1.2.1.99"
meta = b"\\x02\\x00\\x10\\x00UI" + len(uid).to_bytes(2, "little") + uid
end = zlib.compressobj(9, wbits=-15)
small = end.compress(body[:18]) + end.flush()  # so that imports are not counted
assert dicomloom.read_tags(bytes(128) + b"DICM" + meta + small, "SpecificCharacterSet")
before = peak()
try:
    dicomloom.read_tags(bytes(128) + b"DICM" + meta + packed, ["SpecificCharacterSet", "Rows"])
except dicomloom.DicomloomError as error:
    assert error.values["SpecificCharacterSet"] == "ISO_IR 100"
    print(peak() - before)
"""
    grown = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert int(grown) < 4096  # KiB
