"""Deflated data sets (`dicomloom.inflate`): reading at any offset gives what zlib gives at once.

The first byte chooses: the rest is a deflated stream as it stands; or it is deflated, then cut and
changed; or it is a data set, which must read alike deflated or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from harness import Choices

from dicomloom import CorruptError, DicomloomError, LimitError, TruncatedError, read_tags
from dicomloom.inflate import InflatedReader
from support import DEFLATED, EXPLICIT_LE, element, part10

INSTRUMENTED = "dicomloom.inflate dicomloom.index dicomloom.tags"
_LIMIT = 1 << 18
_TAGS = ("SOPInstanceUID", "PatientName", "PatientID", "Rows", "ReferencedImageSequence")


def deflated(data: bytes) -> bytes:
    """Deflate as PS3.5 A.5 has it, padded to an even length."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    made = deflater.compress(data) + deflater.flush()
    return made + bytes(len(made) % 2)


def _whole(stream: bytes) -> tuple[bytes, type[DicomloomError] | None]:
    """What zlib makes of a stream a few bytes at a time, up to the limit, and how it ends."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    made = b""
    for at in range(0, len(stream), 16):
        piece = stream[at : at + 16]
        while piece and not inflater.eof:
            try:
                made += inflater.decompress(piece, 1 << 16)
            except zlib.error:
                return made, CorruptError
            piece = inflater.unconsumed_tail
            if len(made) > 2 * _LIMIT:
                return made, LimitError
    return made, None if inflater.eof else TruncatedError


def _check_stream(stream: bytes, choices: Choices) -> None:
    whole, ends = _whole(stream)
    reader = InflatedReader(lambda at, size: stream[at : at + size], limit=_LIMIT)
    for _ in range(8):
        offset = choices.below(len(whole) + 16)
        size = choices.below(1 << 16)
        try:
            found = reader.read_at(offset, size)
        except TruncatedError:
            assert ends is TruncatedError
            assert offset >= len(whole)
        except CorruptError:
            assert ends is CorruptError
        except LimitError:
            assert offset >= _LIMIT or len(whole) >= _LIMIT or ends is CorruptError
        else:
            # Of a broken stream the model has all but its last bytes.
            known = whole[offset : offset + len(found)]
            assert found.startswith(known) if ends is CorruptError else found == known
            assert found or size == 0 or (offset >= len(whole) and ends is None)
    try:
        size = reader.size()
    except CorruptError:
        assert ends is CorruptError
    except LimitError:
        # Of a broken stream the model lacks the last bytes, which may be those beyond the limit.
        assert len(whole) >= _LIMIT or ends is CorruptError
    else:
        assert size == len(whole)
        assert ends in (None, TruncatedError)


def _outcome(data: bytes) -> tuple[dict[str, str | None], type[DicomloomError] | None]:
    try:
        return read_tags(data, _TAGS), None
    except DicomloomError as error:
        return error.values, type(error)


def check(data: bytes) -> None:
    """Hold one input against zlib."""
    choices = Choices(data)
    kind = choices.below(3)
    head = Choices(choices.take(40))
    content = choices.rest[:65536]
    if kind == 0:
        _check_stream(content, head)
    elif kind == 1:
        stream = bytearray(deflated(content))
        for _ in range(head.below(4)):
            stream[head.below(len(stream))] ^= 1 << head.below(8)
        del stream[len(stream) - head.below(min(len(stream), 64)) :]
        _check_stream(bytes(stream), head)
    elif content[:2] != b"\2\0":  # else it would go on with the file meta information
        assert _outcome(part10(deflated(content), DEFLATED)) == _outcome(
            part10(content, EXPLICIT_LE)
        )


def seeds() -> Iterator[bytes]:
    """Streams of all kinds of blocks, bombs, and data sets."""
    data_set = element(0x00080018, "UI", b"1.2.3\0") + element(0x00100020, "LO", b"behind")
    for kind in range(3):
        yield bytes([kind]) + bytes(40) + data_set
    text = bytes(range(256)) * 8
    for level in (0, 1, 9):
        deflater = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
        made = deflater.compress(text) + deflater.flush()
        yield b"\0" + bytes(range(40)) + made
        yield b"\0" + bytes(range(40)) + made[: len(made) // 2]
    yield b"\0" + bytes(40) + deflated(bytes(1 << 20))


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take nothing of real files: they are not deflated, and what is does not matter here."""
    return iter(())
