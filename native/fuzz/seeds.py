"""Writes what each target begins with: seeds.py CORPUS_DIR [SEED_DIR]

SEED_DIR holds DICOM files, of which the first 64 KiB are taken. Made seeds are below, in parts; for
codecs and network they are what the parsers do not find by chance.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

LIMIT = 65536  # as -max_len of run.sh
TARGETS = (
    "read",
    "text",
    "numbers",
    "rle",
    "frames",
    "records",
    "jpeg_lossless",
    "jpeg_ls",
    "network",
)
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF3, DHT, SOF55, SOS, DRI, LSE = 0xC3, 0xC4, 0xF7, 0xDA, 0xDD, 0xF8


def segment(marker: int, content: str | bytes) -> bytes:
    """A marker segment of JPEG and JPEG-LS (T.81 B.1.1.4); the content as digits or bytes."""
    body = bytes.fromhex(content) if isinstance(content, str) else content
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def restart(number: int) -> bytes:
    """RSTm."""
    return bytes([0xFF, 0xD0 + number])


def numbers() -> Iterator[bytes]:
    """Decimal text behind a byte that chooses."""
    for text in (b"1", b"-12.5", b"1.5e300", b"0.000001", b"9007199254740993", b".5e-10"):
        yield b"A" + text


def records() -> Iterator[bytes]:
    """A DICOMDIR without a header: a record of undefined length, one of 14 bytes, an empty one."""

    def item(content: bytes, length: int | None = None) -> bytes:
        size = len(content) if length is None else length
        return struct.pack("<HHL", 0xFFFE, 0xE000, size) + content

    undefined, item_end = 0xFFFFFFFF, struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    following = struct.pack("<HH2sHL", 4, 0x1400, b"UL", 4, 64)
    kind = struct.pack("<HH2sH", 4, 0x1430, b"CS", 6) + b"IMAGE "
    yield (
        b"\x08" + struct.pack("<HH2sHL", 4, 0x1220, b"SQ", 0, undefined)
        + item(following, undefined) + item_end + item(kind) + item(b"")
        + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    )  # fmt: skip


def rle() -> Iterator[bytes]:
    """A row of four 16-bit samples; a row of nine bytes whose last run is too long."""

    def frame(*offsets: int) -> bytes:
        return struct.pack("<16L", len(offsets), *offsets, *[0] * (15 - len(offsets)))

    yield bytes.fromhex("11010400") + frame(64, 66) + bytes.fromhex("fd0103") + b"abcd"
    yield bytes.fromhex("01010900") + frame(64) + b"\x80\x01ab\x81\x02"


def _long_scan(symbols: int) -> bytes:
    """Symbols at random of the table below: long enough that four lanes read them at a time."""
    chance, bits = random.Random(1), ""
    for _ in range(symbols):
        category = chance.choice((0, 1, 2, 3))
        bits += ("00", "01", "100", "101")[category]
        bits += "".join(chance.choice("01") for _ in range(category))
    bits += "1" * (-len(bits) % 8)
    made = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return made.replace(b"\xff", b"\xff\0")


def jpeg_lossless() -> Iterator[bytes]:
    """Three rows of eight bytes, a restart before each; one table of four categories.

    And two of 96 rows: a long scan, and pixels, which are coded to one.
    """
    table = segment(DHT, b"\0\0\2\2" + bytes(13) + b"\0\1\2\3")
    for restarts in (b"", segment(DRI, "0c00")):
        yield (
            bytes.fromhex("000600608000") + SOI + segment(SOF3, "08 0060 0080 01 01 11 00")
            + restarts + table + segment(SOS, "01 0100 01 00 00") + _long_scan(96 * 128) + EOI
        )  # fmt: skip
    chance = random.Random(2)
    yield bytes.fromhex("000600608000") + bytes(n // 90 + chance.randrange(4) for n in range(12288))
    yield (
        bytes.fromhex("000610030800") + SOI + segment(SOF3, "08 0003 0008 01 01 11 00")
        + segment(DRI, "0008") + table
        + segment(SOS, "01 0100 01 00 00") + bytes(2) + restart(0) + bytes(2) + restart(1)
        + bytes.fromhex("555a") + EOI
    )  # fmt: skip


def jpeg_ls() -> Iterator[bytes]:
    """Streams of all kinds, the shape of their pixels in front."""
    # Four rows of nine bytes, a restart behind two.
    yield (
        bytes.fromhex("002600040900") + SOI + segment(SOF55, "08 0004 0009 01 011100")
        + segment(DRI, "0002") + segment(SOS, "01 0100 00 00 00")
        + bytes.fromhex("000001fd9400000230b6421548999180") + restart(0)
        + bytes.fromhex("000001e55e8f73a19308d8d8a0") + EOI
    )  # fmt: skip
    color = segment(SOF55, "08 0003 0005 03 011100 021100 031100")
    # Three samples by line, NEAR 1.
    yield (
        bytes.fromhex("220601030500") + SOI + color + segment(SOS, "03 0100 0200 0300 01 01 00")
        + bytes.fromhex("000000d3a0000a8d30b78d31fc2611108911209212225914904ab0") + EOI
    )  # fmt: skip
    # By pixel, signed.
    yield (
        bytes.fromhex("4a0600030500") + SOI + color + segment(SOS, "03 0100 0200 0300 00 02 00")
        + bytes.fromhex("000001fa7dbee540000049000507fef99b320a140818a2308c4308a6110426228919")
        + bytes.fromhex("a988") + EOI
    )  # fmt: skip
    # 16 bits, with LSE.
    yield (
        bytes.fromhex("0c0e00030800") + SOI + segment(SOF55, "10 0003 0008 01 011100")
        + segment(LSE, "01 ffff 0012 0043 0114 0040") + segment(SOS, "01 0100 00 00 00")
        + bytes.fromhex("000000000001ff7e400802008ec060b0181902600c0880d006028090340a0d0380")
        + bytes.fromhex("9022010080") + EOI
    )  # fmt: skip
    # Two scans with restarts.
    yield (
        bytes.fromhex("011400030800") + SOI + segment(SOF55, "06 0003 0008 02 011100 021100")
        + segment(DRI, "0001") + segment(SOS, "01 0100 00 00 00")
        + bytes.fromhex("000007cb0000070f4830") + restart(0) + bytes.fromhex("0000071034fc9ef8")
        + restart(1) + bytes.fromhex("000006b035df80e5c0") + segment(SOS, "01 0200 00 00 00")
        + bytes.fromhex("000007cb0000074681f8") + restart(0) + bytes.fromhex("000006b19cb6ff50")
        + restart(1) + bytes.fromhex("000008069f76fec0") + EOI
    )  # fmt: skip
    # Two bits that a mapping table makes bytes.
    yield (
        bytes.fromhex("000600020900") + SOI + segment(SOF55, "02 0002 0009 01 011100")
        + segment(LSE, "02 01 01 05 f0 10 ff") + segment(SOS, "01 0101 00 00 00")
        + bytes.fromhex("5661775d3880") + EOI
    )  # fmt: skip


def network() -> Iterator[bytes]:
    """A command set, and a data set of two fragments in a PDU; an abort behind a first fragment."""

    def pdu(*fragments: tuple[int, bytes]) -> bytes:
        values = b"".join(
            struct.pack(">LBB", len(data) + 2, 1, control) + data for control, data in fragments
        )
        return struct.pack(">BBL", 4, 0, len(values)) + values

    yield b"\3\x40\x40\4" + pdu((3, b"ab")) + pdu((0, b"cd"), (2, b"ef"))
    yield b"\0\x40\3\2" + pdu((0, b"abcd")) + struct.pack(">BBL4x", 7, 0, 4)


def of_files(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Seeds of real files, by target; a byte in front chooses how one is read, each in its turn."""
    for number, path in enumerate(files):
        with path.open("rb") as file:
            content = file.read(LIMIT - 1)
        yield "read", bytes([number % 16]) + content
        yield "frames", bytes([number % 64]) + content
        if "DICOMDIR" in str(path):
            yield "records", b"\0" + content
        yield "text", content[:512]


def main() -> None:
    """Write all of them."""
    corpus = Path(sys.argv[1])
    made = [
        (target, seed)
        for target, seeds in (
            ("numbers", numbers()), ("records", records()), ("rle", rle()),
            ("jpeg_lossless", jpeg_lossless()), ("jpeg_ls", jpeg_ls()), ("network", network()),
        )
        for seed in seeds
    ]  # fmt: skip
    if len(sys.argv) > 2:
        made += of_files(sorted(path for path in Path(sys.argv[2]).rglob("*") if path.is_file()))
    for target in TARGETS:
        (corpus / f"fuzz_{target}").mkdir(parents=True, exist_ok=True)
    for number, (target, seed) in enumerate(made):
        (corpus / f"fuzz_{target}" / f"seed-{number}").write_bytes(seed)


if __name__ == "__main__":
    main()
