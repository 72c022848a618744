"""Whatever bytes come to the port: nothing hangs, falls over, is left behind, or is stored half."""

import contextlib

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network_peers import p_data
from serve_peers import CT, RELEASE_RQ, Raw, associate_rq, echo_rq, echoes, serving, small, store_rq
from support import EXPLICIT_LE, IMPLICIT_LE

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
# What a good peer sends, one message behind the other, without waiting for answers.
CONTEXTS = [(1, CT, [IMPLICIT_LE]), (3, VERIFICATION, [IMPLICIT_LE]), (5, FIND, [EXPLICIT_LE])]
DATA = small("1.2.3.4", size=3000)
GOOD = [
    associate_rq(CONTEXTS),
    p_data(echo_rq(), 3),
    p_data(store_rq("1.2.3.4")),
    p_data(DATA[:1000], 1, 0),
    p_data(DATA[1000:], 1, 2),
    RELEASE_RQ,
]

edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4500), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("cut"), st.integers(0, 4500), st.integers(1, 200)),
        st.tuples(st.just("put"), st.integers(0, 4500), st.binary(min_size=1, max_size=40)),
    ),
    max_size=4,
)


def edited(data, changes):
    for kind, where, what in changes:
        at = where % (len(data) + 1)
        if kind == "set":
            data = data[:at] + what + data[at + len(what) :]
        elif kind == "cut":
            data = data[:at] + data[at + what :]
        else:
            data = data[:at] + what + data[at:]
    return data


def say(port, data):
    """Send it all, read what comes until the server has ended it."""
    with Raw(port) as raw, contextlib.suppress(OSError):
        raw.send(data)
        raw.connection.shutdown(1)
        raw.connection.settimeout(10)
        while raw.connection.recv(65536):
            pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    with serving(folder, timeout=2, idle_timeout=2) as (running, ends):
        yield running.port, folder, ends


def check(server, before):
    """The peer's association has ended, and what is stored is whole."""
    _, folder, ends = server
    ends.wait(before + 1)
    for path in folder.rglob("objects/*/*.dcm"):
        with path.open("rb") as file:
            assert pydicom.filereader.read_preamble(file, False)
            assert pydicom.filereader._read_file_meta_info(file).TransferSyntaxUID
    assert not [*folder.rglob("*.partial")]


@pytest.mark.filterwarnings("ignore")
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(len(GOOD))) | st.just(range(len(GOOD))), changes=edits)
def test_broken_conversations(server, order, changes):
    before = len(server[2])
    say(server[0], edited(b"".join(GOOD[number] for number in order), changes))
    check(server, before)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=30)
@given(data=st.binary(max_size=600), associated=st.booleans())
def test_noise(server, data, associated):
    before = len(server[2])
    say(server[0], (GOOD[0] if associated else b"") + data)
    check(server, before)


def test_a_good_peer_still_gets_in(server):
    assert echoes(server[0]) in (IMPLICIT_LE, EXPLICIT_LE)
    with Raw(server[0]) as raw:
        raw.associate((1, CT, [IMPLICIT_LE]))
        raw.store("1.2.3.5", small("1.2.3.5"))
        assert raw.status() == 0
        assert raw.release() == 6
