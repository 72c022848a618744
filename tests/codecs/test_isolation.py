"""`Isolation`: what a library does to its process stays there."""

import gc
import os
import signal
import sys
import threading

import numpy as np
import pytest

import dicomloom
from breaking_codecs import Breaking, children, descriptors, gone, leave_out_others
from dicomloom import CorruptError, Isolation, LimitError, StateError, UnsupportedError
from dicomloom.codecs import registry
from dicomloom.codecs.isolation import isolation_of
from dicomloom.codecs.library import LibraryDecoder
from faults import child
from images import code, image, layout, raw
from support import long_run

pytest.importorskip("imagecodecs")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

OF = layout(8, rows=8, columns=8)
HEADER = code("JPEG2000Lossless", OF, np.zeros((8, 8), np.uint8))[1]
NUMPY = f"numpy {np.__version__}"


def frame(order):
    """A frame that has a header, and does to the library what is said."""
    return HEADER + b"!" + str(order).encode()


def breaking(isolation):
    return isolation.decoder(LibraryDecoder(Breaking(), OF))


def good(decoder, number=7):
    return bytes(decoder.decode(frame(number))) == bytes([number]) * 64


@pytest.fixture(autouse=True)
def only_ours():
    leave_out_others()


@pytest.fixture
def apart():
    before = set(children()), descriptors()
    with Isolation(seconds=100, memory=1 << 30) as isolation:
        yield isolation
    assert (set(children()), descriptors()) == before


@pytest.mark.parametrize(
    ("order", "kind", "says"),
    [
        ("SEGV", CorruptError, f"the process of {NUMPY} ended by SIGSEGV: the frame is damaged or"),
        ("NULL", CorruptError, f"{NUMPY} ended by SIGSEGV:"),
        ("ABRT", CorruptError, "SIGABRT, perhaps for lack of memory"),
        ("KILL", CorruptError, "SIGKILL, perhaps for lack of memory"),
        ("EXIT", CorruptError, f"{NUMPY} ended with exit code 0:"),
        ("SYSEXIT", CorruptError, f"{NUMPY} ended with exit code 7:"),
        ("EAT", LimitError, f"{NUMPY} wants more than 1024 MiB"),
        ("NOISE", CorruptError, f"{NUMPY} sent what is no answer"),
        ("MUCH", CorruptError, "no answer (b'D' and 1152921504606846976 bytes)"),
        ("LITTLE", CorruptError, "no answer (b'D' and 3 bytes)"),
        ("LONGNAME", CorruptError, "no answer (b'T' and"),
        ("SHORTFAULT", CorruptError, "no answer (b'F' and 2 bytes)"),
        ("AGAIN", CorruptError, "no answer (b'R' and 0 bytes)"),
        ("CLOSE", CorruptError, f"{NUMPY} closed its pipe:"),
    ],
)
def test_the_process_dies_and_the_next_frame_has_another(apart, order, kind, says):
    decoder = breaking(apart)
    with pytest.raises(kind) as caught:
        decoder.decode(frame(order))
    assert says in str(caught.value)
    assert not children()
    assert good(decoder)


@pytest.mark.parametrize("order", ["HANG", "STOP", "FLOOD"])
def test_a_frame_has_so_many_seconds(order):
    with Isolation(seconds=0.5) as apart:
        with pytest.raises(LimitError, match=r"took longer than 0\.5 s over the frame"):
            breaking(apart).decode(frame(order))
    assert not children()


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ("RAISE", "numpy does not decode the frame: no [31m  such  thing"),
        ("TYPE", f"{NUMPY} does not do the frame: TypeError: a fault in the library's own Python"),
    ],
)
def test_what_a_library_raises_is_told_and_its_process_goes_on(apart, order, says):
    decoder = breaking(apart)
    assert good(decoder)
    [before] = children()
    with pytest.raises(CorruptError) as caught:
        decoder.decode(frame(order))
    assert str(caught.value) == says
    assert good(decoder, 8)
    assert children() == [before]


@pytest.mark.parametrize("name", ["CorruptError", "TruncatedError", "MissingDependencyError"])
def test_errors_are_of_the_class_they_would_be_without(apart, name):
    with pytest.raises(getattr(dicomloom, name), match="^as it was$") as caught:
        breaking(apart).decode(frame(name))
    assert caught.value.offset == 2**40


def test_what_a_library_prints_or_reads_is_nobodys(apart, capfd):
    assert bytes(breaking(apart).decode(frame("PRINT"))) == b"\1" * 64
    assert capfd.readouterr() == ("", "")


def test_a_frame_does_not_pay_for_one_before_it(apart):
    decoder = breaking(apart)
    decoder.decode(frame("BREAK"))
    [before] = children()
    assert good(decoder)  # it was tried in a new process
    assert children() != [before]


def test_a_process_that_ended_while_idle_is_replaced(apart):
    decoder = breaking(apart)
    assert good(decoder)
    os.kill(children()[0], signal.SIGKILL)
    assert good(decoder)


def test_ctrl_c_is_not_for_the_processes(apart):
    decoder = breaking(apart)
    assert good(decoder)
    [before] = children()
    os.kill(before, signal.SIGINT)
    assert good(decoder)
    assert children() == [before]


def test_it_decodes_into_a_buffer_of_that_size_only(apart):
    decoder = breaking(apart)
    room = bytearray(64)
    assert decoder.decode(frame(5), room) is room
    assert room == b"\5" * 64
    with pytest.raises(ValueError, match="a buffer of 64 bytes, found 63"):
        decoder.decode(frame(5), bytearray(63))


def test_one_process_and_no_descriptor_more_over_200_frames(apart):
    decoder = breaking(apart)
    assert good(decoder)
    before = children(), descriptors(), threading.active_count()
    for number in range(200):
        assert good(decoder, number)
    assert (children(), descriptors(), threading.active_count()) == before


def test_threads_have_a_process_each(apart):
    wrong, together = [], threading.Barrier(3)
    decoder = breaking(apart)

    def work(first):
        together.wait(60)
        for number in range(first, first + 40):
            try:
                assert good(decoder, number)
                if number == 70:
                    with pytest.raises(CorruptError):
                        decoder.decode(frame("SEGV"))
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 60, 120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(children()) <= 3


def test_closing_ends_what_is_being_decoded():
    apart = Isolation()
    decoder, caught = breaking(apart), []

    def work():
        try:
            decoder.decode(frame("HANG"))
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not children():
        thread.join(0.01)
    apart.close()
    thread.join(60)
    assert isinstance(caught[0], StateError)
    assert "closed" in str(caught[0])
    assert not children()
    with pytest.raises(StateError, match="closed"):
        decoder.decode(frame(1))


def test_collecting_ends_the_processes():
    decoder = breaking(Isolation())
    before = descriptors()
    assert good(decoder)
    [pid] = children()
    del decoder
    gc.collect()
    assert gone(pid)
    assert not children()
    assert descriptors() == before


ENDINGS = {
    "exit": "",
    "exception": "raise RuntimeError",
    "Ctrl-C": "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start(); "
    "decoder.decode(data + b'!HANG')",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
}


if long_run():  # waits for seconds until the process has noticed by itself
    ENDINGS["killed at work"] = (
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start(); "
        "decoder.decode(data + b'!HANG')"
    )


@pytest.mark.parametrize("how", ENDINGS)
def test_no_process_is_left_at_the_end_of_python(how):
    script = """
        import os, signal, sys, threading
        sys.path.insert(0, sys.argv[1])
        from breaking_codecs import Breaking, children
        from dicomloom import Isolation
        from dicomloom.codecs.layout import Layout
        from dicomloom.codecs.library import LibraryDecoder
        apart = Isolation(seconds=2)
        decoder = apart.decoder(LibraryDecoder(Breaking(), Layout(8, 8)))
        data = bytes.fromhex(sys.argv[2])
        decoder.decode(data + b"!1")
        print(*children(), flush=True)
        """
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    script = script.rstrip() + "\n        " + ENDINGS[how]
    done = child(script, tests, HEADER.hex(), timeout=120)
    assert gone(int(done.stdout)), done.stderr


def test_a_fork_has_processes_of_its_own(apart):
    decoder = breaking(apart)
    assert good(decoder)
    before = children()
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        code = 9
        try:
            code = 0 if good(decoder) and not set(children()) & set(before) else 1
            apart.close()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert good(decoder)
    assert children() == before


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (None, "python: No such file"),
        ("exit 0", "it ended with exit code 0"),
        ("exec cat", "it sent what is no answer"),
    ],
)
def test_what_is_no_python_is_said(tmp_path, program, says):
    executable = tmp_path / "python"
    if program is not None:
        executable.write_text(f"#!/bin/sh\n{program}\n")
        executable.chmod(0o755)
    with Isolation(executable=str(executable)) as apart:
        with pytest.raises(StateError) as caught:
            breaking(apart).decode(frame(1))
    assert "the process that libraries run in does not start" in str(caught.value)
    assert says in str(caught.value)
    assert not children()


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"seconds": float("inf")}, {"memory": 0}])
def test_limits_are_above_nothing(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Isolation(**wrong)


def test_limits_beyond_what_systems_count(apart):
    with Isolation(seconds=1e300, memory=1 << 80) as endless:
        assert good(breaking(endless))


@pytest.mark.parametrize(
    ("keyword", "of", "options"),
    [
        ("JPEG2000Lossless", layout(12, signed=True), {}),
        ("JPEG2000", layout(8, color=True), {"ratio": 4}),
        ("HTJ2KLossless", layout(1), {}),
        ("JPEGXLLossless", layout(16), {}),
        ("JPEGBaseline8Bit", layout(8, color=True), {"quality": np.int64(70)}),
        ("JPEGLSLossless", layout(10), {"backend": "library"}),
    ],
)
def test_what_is_coded_and_decoded_is_the_same(apart, keyword, of, options):
    pixels = image(of)
    codec = registry.find(keyword)
    plain = codec.encoder(of, **options)
    encoder = apart.encoder(plain, codec, options)
    assert encoder is not plain
    for name in ("source", "layout", "lossy", "method", "description"):
        assert getattr(encoder, name) == getattr(plain, name)
    assert encoder.bound() == plain.bound()
    coded = b"".join(encoder.encode(raw(pixels, of)))
    assert coded == b"".join(plain.encode(raw(pixels, of)))
    chosen = {"backend": options["backend"]} if "backend" in options else {}
    decoder = codec.decoder(encoder.layout, **chosen)
    assert bytes(apart.decoder(decoder).decode(coded)) == bytes(decoder.decode(coded))


def test_what_is_wrong_with_frames_to_code_is_said_as_ever(apart):
    of = layout(12)
    codec = registry.find("JPEG2000Lossless")
    encoder = apart.encoder(codec.encoder(of), codec, {})
    with pytest.raises(dicomloom.PixelError, match="BitsStored 12"):
        encoder.encode(raw(image(of) | np.uint16(0x8000), of))
    with pytest.raises(dicomloom.PixelError, match="expected a frame of"):
        encoder.encode(b"12")


def test_streams_are_recoded_in_it(apart):
    pixels = image(OF)
    _, jpeg = code("JPEGBaseline8Bit", OF, pixels)
    codec = registry.find("JPEGXLJPEGRecompression")
    recompress = apart.recoder(codec.recoder_from("1.2.840.10008.1.2.4.50"), OF)
    restore = apart.recoder(codec.recoder_to("1.2.840.10008.1.2.4.50"), OF)
    assert bytes(restore(recompress(jpeg))) == jpeg
    with pytest.raises(UnsupportedError, match="does not recompress"):
        recompress(b"no JPEG")
    with pytest.raises(TypeError, match="a method of a codec"):
        apart.recoder(len, OF)


@pytest.mark.parametrize("keyword", ["RLELossless", "JPEGLosslessSV1", "JPEGLSLossless"])
def test_what_dicomloom_decodes_itself_stays_here(apart, keyword):
    codec = registry.find(keyword)
    decoder, encoder = codec.decoder(OF), codec.encoder(OF)
    assert apart.decoder(decoder) is decoder
    assert apart.encoder(encoder, codec, {}) is encoder
    assert not children()


def test_what_the_argument_means():
    assert isolation_of(False) is None
    made = isolation_of(True)
    assert isinstance(made, Isolation)
    made.close()


def test_a_share_is_closed_by_itself(apart):
    caught, shared = [], isolation_of(apart)
    decoder = breaking(apart)
    assert good(decoder)

    def work():
        try:
            breaking(shared).decode(frame("HANG"))
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not shared._working:
        thread.join(0.01)
    assert good(decoder)
    shared.close()
    thread.join(60)
    assert isinstance(caught[0], StateError)
    assert good(decoder)
    assert len(children()) == 1
