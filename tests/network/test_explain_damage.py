"""Logs that are packed, damaged, endless, or made to do harm."""

import gzip
import random
import tracemalloc

import pytest

from dicomloom import ReadError, TruncatedError, explain
from dicomloom.network.explain.log import Log
from explain_logs import DCM4CHE, FO_DICOM, Server, associations, said, write_image
from network_peers import descriptors


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    return write_image(tmp_path_factory.mktemp("image"))


def test_gzip_and_utf16(tmp_path):
    for name, data in {
        "a.gz": gzip.compress(FO_DICOM.encode()),
        "b": gzip.compress(FO_DICOM.encode()),
        "c.log": FO_DICOM.replace("\n", "\r\n").encode("utf-16"),
    }.items():
        found = associations(tmp_path, data, name)
        assert [a.outcome for a in found] == ["released", "rejected"]


def test_a_gzip_stream_that_ends_early(tmp_path):
    noise = random.Random(5).randbytes(1 << 16).hex()
    data = gzip.compress((FO_DICOM + noise).encode())
    for damaged in (data[: len(data) // 2], data[:-200] + bytes(200)):
        (tmp_path / "a.gz").write_bytes(damaged)
        found = []
        with pytest.raises(TruncatedError, match="gzip") as caught:
            found.extend(explain(tmp_path / "a.gz"))
        assert caught.value.path == str(tmp_path / "a.gz")


def test_reading_again_begins_anew_and_leaves_no_file_open(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(FO_DICOM.encode()))
    before = descriptors()
    log = explain(tmp_path / "a.gz")
    assert list(log) == list(log)
    assert (log.lines, log.counts) == (FO_DICOM.count("\n"), {"released": 1, "rejected": 1})
    next(iter(log))
    assert descriptors() == before
    assert len(list(log)) == 2


def test_what_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "absent.log"):
        with pytest.raises(ReadError) as caught:
            list(explain(path))
        assert caught.value.path == str(path)
    assert associations(tmp_path, "") == []


def test_what_is_not_understood_is_counted(tmp_path):
    (tmp_path / "a.log").write_bytes(b"\xff\xfe\x00hello\n" + FO_DICOM.encode() + b"\xc3\n?\n")
    log = explain(tmp_path / "a.log")
    list(log)
    (tmp_path / "b.log").write_bytes(b"hello\n" + FO_DICOM.encode() + b"\xc3\n?\n")
    log = explain(tmp_path / "b.log")
    assert len(list(log)) == 2
    assert (log.lines, log.not_understood) == (FO_DICOM.count("\n") + 3, 3)
    assert log.counts == {"released": 1, "rejected": 1}


def test_too_many_are_dropped(tmp_path):
    lines = [f"ARCHIVE<-CT{n}({n}) >> A-ASSOCIATE-RQ\n" for n in range(50)]
    found = associations(tmp_path, "".join(lines), most_open=10)
    assert [a.outcome for a in found] == ["dropped"] * 40 + ["cut-off"] * 10
    with pytest.raises(ValueError, match="most_open"):
        explain(tmp_path / "some.log", most_open=0)


def test_what_a_peer_sends_does_no_harm_in_a_terminal(tmp_path):
    log = "I: Association Received (a\x1b[2Jb:M\x07E -> O\x1b[31m)\nE: so\x1b[2J\n"
    (one,) = associations(tmp_path, log)
    assert all(
        text.isprintable() for text in (one.peer, one.calling_ae_title, one.trouble, *one.errors)
    )
    assert "\\x1b" in one.called_ae_title


@pytest.fixture(scope="session")
def verbose(tmp_path_factory, image):
    """A log of storescp with two associations, 180 kB of text."""
    folder = tmp_path_factory.mktemp("verbose")
    with Server(folder) as scp:
        for how in ((), ("--abort",)):
            said("storescu", *how, "127.0.0.1", scp.port, image)
    return scp.log.decode()


def test_memory_does_not_grow(tmp_path, verbose):
    peaks = []
    for size in (1 << 19, 5 << 20):
        path = tmp_path / "big.log"
        path.write_text(verbose * (size // len(verbose) + 1))
        tracemalloc.start()
        count = sum(1 for _ in Log(str(path)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count >= 2 * (size // len(verbose))
    assert peaks[1] < peaks[0] + (256 << 10)
    assert peaks[1] < 4 << 20


def test_a_line_without_end_is_not_held(tmp_path):
    path = tmp_path / "long.log"
    path.write_bytes(b"I: Requesting Association\nE: " + b"x" * (20 << 20) + b"\nI: Releasing A")
    tracemalloc.start()
    (one,) = Log(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
    assert one.last_line == 2
    assert len(one.errors[0]) < 300


def mangled(text, chance):
    """Cut, doubled, swapped and broken lines."""
    lines = text.splitlines(keepends=True)
    for _ in range(len(lines) // 8):
        at = chance.randrange(len(lines))
        line = lines[at]
        lines[at] = chance.choice(
            [
                "",
                line * 2,
                line[: chance.randrange(len(line) + 1)],
                line[chance.randrange(len(line) + 1) :],
                line.replace(":", chance.choice(["", "::", "\x00", "->", " << "])),
                line.replace("1", chance.choice(["", "\u0661", "99999999999", "-1"])),
                chance.choice(lines),
                "".join(map(chr, chance.choices(range(1, 300), k=40))),
                "[" * 300 + "(" * 300,
            ]
        )
    return "".join(lines)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_logs(tmp_path, verbose, seed):
    chance = random.Random(seed)
    part = verbose[: 30_000 + verbose[30_000:].index("\n")] + verbose[-4000:]
    text = mangled(chance.choice([part, DCM4CHE * 20, FO_DICOM * 20]), chance)
    path = tmp_path / "bad.log"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="\n")
    log = Log(str(path))
    found = list(log)
    assert log.lines <= text.count("\n") + 1
    assert 0 <= log.not_understood <= log.lines
    for one in found:
        assert one.outcome
        assert bool(one.trouble) == bool(one.hint)
        assert 1 <= one.first_line <= one.last_line <= log.lines
        assert isinstance(one.as_dict()["trouble"], str)


@pytest.mark.parametrize(
    "piece",
    ["[", "(1", "a.", "1 ", "- ", "[1]", "x->", "(1)<-", "Thread-", "a b[1", "D: ", "=", "x "],
)
def test_no_line_takes_more_than_its_share(tmp_path, piece):
    """A pattern that tries many ways would not end at all in lines such as these."""
    line = (piece * 4096)[:4095] + "\n"
    (tmp_path / "bad.log").write_text(line * 50)
    log = Log(str(tmp_path / "bad.log"))
    list(log)
    assert log.lines == 50
