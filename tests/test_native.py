"""The boundary of the C core: buffers are held, what is not made for it is refused, forks."""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
import time

import numpy as np
import pytest

import dicomloom
from dicomloom import StateError
from dicomloom._native import codecs, frames, network, scan
from dicomloom.index.schema import Schema
from dicomloom.inflate import InflatedReader
from support import EXPLICIT_LE, element, part10

CONTENT = part10(element(0x00100020, "LO", b"42"), EXPLICIT_LE)
LIMITS = (64, 65536)
ENCODERS = [
    lambda: codecs.RLEEncoder(64, 64, 1, 2),
    lambda: codecs.JPEGLosslessEncoder(64, 64, 1, 2, 16, False),
    lambda: codecs.JPEGLSEncoder(64, 64, 1, 2, 16, False),
]


class Resizing:
    """A source that tries to resize a buffer whenever it is asked, and then gives zeros."""

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.refused = 0

    def try_it(self) -> None:
        try:
            self.buffer.append(0)
        except BufferError:
            self.refused += 1


def plan():
    return Schema(["PatientID"]).plan()


def test_read_row_holds_its_buffer():
    """The inflater is called while the deflated bytes are in use."""
    from hostile import deflated
    from support import DEFLATED

    content = bytearray(part10(deflated(element(0x00100020, "LO", b"42")), DEFLATED))
    meddler = Resizing(content)

    def inflater(read):
        meddler.try_it()
        return InflatedReader(read)

    table, error = scan.read_row(plan(), (content,), LIMITS, inflater)
    assert error is None
    assert table.values(0) == ["42"]
    assert meddler.refused == 1
    content.append(0)  # and is free again


@pytest.mark.parametrize("make", ENCODERS)
def test_pieces_are_held_until_they_are_released(make):
    encoder = make()
    pixels = np.random.default_rng(1).integers(0, 9, (64, 64), dtype=np.uint16).tobytes()
    piece = encoder.encode(pixels)[-1]
    view = memoryview(piece)
    before = bytes(view)
    with pytest.raises(BufferError):
        encoder.begin()
    assert bytes(view) == before
    view.release()
    encoder.begin()
    with pytest.raises(BufferError):
        memoryview(piece)


def test_a_text_is_not_written_again_under_a_view():
    table, _ = scan.read_row(plan(), (CONTENT,), LIMITS, InflatedReader)
    text = scan.Text()
    text.csv(table)
    view = memoryview(text)
    before = bytes(view)
    with pytest.raises(BufferError):
        text.csv(table)
    with pytest.raises(BufferError):
        text.json(table, [b'"PatientID":'])
    assert bytes(view) == before
    view.release()
    text.json(table, [b'"PatientID":'])


@pytest.mark.parametrize("made", [codecs.RLEEncoder(1, 2, 1, 1).encode(b"ab")[-1], scan.Text()])
def test_a_buffer_that_is_not_to_be_written_costs_nothing(made):
    """Each refusal took a reference from None, which ended the process sooner or later."""
    before = sys.getrefcount(None)
    for _ in range(1000):
        with pytest.raises(TypeError, match="read-write"):
            struct.pack_into("B", made, 0, 1)
    assert abs(sys.getrefcount(None) - before) < 500


def test_a_decoder_that_fails_may_be_asked_again():
    """What one column has decoded is not decoded again from where it stood."""
    charset = element(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
    names = element(0x00100010, "PN", b"\xe1\xe2\xe3\xe4") + element(0x00100020, "LO", b"\xe5 ")
    content = part10(charset + names, EXPLICIT_LE)
    wanted = Schema(["PatientName", "PatientID"]).plan()
    table, error = scan.read_row(wanted, (content,), LIMITS, InflatedReader)
    assert error is None

    def decode(raw, _charset, vr):
        if vr == "LO" and not failed:
            failed.append(raw)
            raise KeyboardInterrupt
        return f"<{raw.hex()}>"

    failed: list[bytes] = []
    with pytest.raises(KeyboardInterrupt):
        table.resolve(decode)
    table.resolve(decode)
    assert table.values(0) == ["<e1e2e3e4>"]
    assert table.values(1) == ["<e520>"]


class Wordless(Exception):
    """What a caller's reader may raise as well as any other exception."""

    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_exception_without_words_is_an_error_all_the_same():
    """Its failing was taken for success, and a source that was not there was read."""
    from hostile import deflated
    from support import DEFLATED

    class Reader:
        def read_at(self, offset, size):
            raise Wordless

        size = read_at

    def inflater(read):
        raise Wordless

    content = part10(deflated(element(0x00100020, "LO", b"42")), DEFLATED)
    for source in (Reader(), content):
        table, error = scan.read_row(plan(), (source,), LIMITS, inflater)
        assert isinstance(error, dicomloom.CorruptError)
        assert isinstance(error.__cause__, Wordless)
        assert table.values(0) == [None]


def test_a_stream_whose_error_has_no_words_does_not_end_well():
    """It ended as if all tables had been given."""
    pyarrow = pytest.importorskip("pyarrow")

    def tables():
        raise Wordless
        yield

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return scan.stream_capsule(tables(), ("a",), ("text",))

    with pytest.raises(OSError, match="a table failed"):
        pyarrow.RecordBatchReader.from_stream(Stream()).read_all()


@pytest.mark.parametrize("limits", [(1,), (1, 2, 3), (-1, 2), ("a", 2), (1 << 70, 1), None])
def test_limits_that_are_none_are_refused(limits):
    """They were told on stderr, and taken for others."""
    with pytest.raises((ValueError, TypeError, OverflowError)):
        scan.read_row(plan(), (CONTENT,), limits, InflatedReader)


def test_a_transfer_syntax_that_is_none_is_refused():
    with pytest.raises(TypeError):
        frames.encoding_of(None)


def test_a_buffer_that_is_decoded_into_is_held():
    """A thread that decodes without the GIL, and another that tries to make the buffer smaller."""
    import threading

    pixels = np.random.default_rng(1).integers(0, 65536, (1024, 1024), dtype=np.uint16).tobytes()
    encoder = codecs.JPEGLSEncoder(1024, 1024, 1, 2, 16, False)
    coded = b"".join(encoder.encode(pixels))
    into = bytearray(len(pixels))
    decoder = codecs.JPEGLSDecoder()
    begun = threading.Event()

    def decode() -> None:
        begun.set()
        for _ in range(5):
            decoder.decode(coded, 1024, 1024, 1, 2, 16, False, into)

    thread = threading.Thread(target=decode)
    thread.start()
    begun.wait()
    refused = 0
    while thread.is_alive():
        try:
            into.append(0)
            into.pop()
        except BufferError:
            refused += 1
        except ValueError:  # between two frames it was longer for a moment
            pass
    thread.join()
    assert refused


def test_what_is_none_is_refused():
    with pytest.raises(TypeError):
        scan.read_row(None, (CONTENT,), LIMITS, InflatedReader)
    with pytest.raises(TypeError):
        scan.Text().csv(None)
    with pytest.raises(TypeError):
        scan.Text().json(None, [])
    with pytest.raises(TypeError):
        scan.schema_capsule(None, None)
    with pytest.raises(TypeError):
        scan.Known().add(None, 0, 0, 0)


@pytest.mark.parametrize("made", [scan.Table, codecs.Piece])
def test_what_only_the_core_makes_is_not_made_empty(made):
    with pytest.raises(TypeError):
        made()


@pytest.mark.parametrize("made", [codecs.RasterEncoder, codecs.RasterDecoder])
def test_a_class_without_a_codec_says_so(made):
    with pytest.raises(dicomloom.DicomloomError, match="a class of its own"):
        made().begin() if made is codecs.RasterEncoder else made().decode(b"", 1, 1, 1, 1, 8, False)


def test_a_name_does_not_end_at_its_nul(tmp_path):
    """In C it would be the name of another file."""
    other = tmp_path / "other"
    other.write_bytes(CONTENT)
    hostile = f"{other}\0.dcm"
    with pytest.raises(ValueError, match="null byte"):
        dicomloom.read_tags(hostile, ["PatientID"])
    with pytest.raises(ValueError, match="null byte"), dicomloom.scan([hostile]) as found:
        next(found)


def test_a_closed_source_is_not_read():
    """A reader that outlives the file it inflates."""
    from hostile import deflated
    from support import DEFLATED

    content = part10(deflated(element(0x00100020, "LO", b"42")), DEFLATED)
    kept = []

    def inflater(read):
        kept.append(read)
        return InflatedReader(read)

    scan.read_row(plan(), (content,), LIMITS, inflater)
    with pytest.raises(ValueError, match="closed"):
        kept[0](0, 10)


class Boasting:
    """A connection that says it did more than it was asked."""

    def receive(self, buffer, seconds):
        return len(buffer) + 1

    def send(self, buffer, seconds):
        return len(buffer) + 1


def test_a_connection_cannot_overrun_the_buffers():
    fragments = network.Fragments(Boasting(), 1 << 16, 1.0)
    with pytest.raises(ValueError, match="room for"):
        fragments.arrive(1.0)
    with pytest.raises(ValueError, match="bytes sent of"):
        fragments.send(1, 1 << 14, b"1234", None)


def test_a_scan_in_a_cycle_is_collected_while_it_runs(tmp_path):
    for i in range(100):
        (tmp_path / str(i)).write_bytes(CONTENT)
    for _ in range(8):
        found = dicomloom.scan([tmp_path], threads=4, batch_size=1)
        next(found)
        cycle = [found]
        cycle.append(cycle)
        del found, cycle
        gc.collect()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_scan_does_not_cross_a_fork(tmp_path):
    """The threads are the parent's: the child says so, and its end does not wait for them."""
    for i in range(2000):
        (tmp_path / str(i)).write_bytes(CONTENT)
    found = dicomloom.scan([tmp_path], threads=4, batch_size=1)
    batch = next(found)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            next(found)
        except StateError:
            del batch
            del found
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + 30
    ended, status = 0, 0
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(batch) + sum(map(len, found)) == 2000
