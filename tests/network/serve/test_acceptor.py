"""Associations as an acceptor: negotiation, rejections, idle time, and commands that are none."""

import logging
import struct

import pytest
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import UserIdentityNegotiation

import dicomloom
from dicomloom.network.serve.archive.places import Places
from dicomloom.network.serve.store import Storage
from network_peers import VERIFICATION, heard, p_data
from serve_peers import (
    ABORT_BY_PEER,
    C_CANCEL,
    C_ECHO,
    CT,
    RELEASE_RQ,
    Raw,
    associate_rq,
    command_set,
    echo_rq,
    echoes,
    elements,
    listening,
    serving,
    store_rq,
    ui,
    us,
)
from support import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, element

PRIVATE_SYNTAX, PRIVATE_CLASS = "1.2.3.4.5.6", "1.3.12.2.1107.5.9.1"
J2K = "1.2.840.10008.1.2.4.90"
PRINTER, FIND, GET = (
    "1.2.840.10008.5.1.1.16",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.3",
)


@pytest.fixture
def storing(tmp_path):
    places = Places(tmp_path, sync=False)
    with listening(Storage(places)) as (listener, ends):
        yield listener, ends
    places.close()


def test_each_context_has_the_first_syntax_that_was_proposed_but_explicit_before_implicit(storing):
    proposed = [
        (1, VERIFICATION, [IMPLICIT_LE]),
        (3, CT, [IMPLICIT_LE, EXPLICIT_LE]),
        (5, CT, [J2K, IMPLICIT_LE, EXPLICIT_LE]),
        (7, CT, [IMPLICIT_LE]),
        (9, CT, [PRIVATE_SYNTAX, EXPLICIT_LE]),
        (11, PRIVATE_CLASS, [DEFLATED]),
        (13, "1.2.840.10008.5.1.4.1.1.5", [EXPLICIT_BE]),  # retired: Nuclear Medicine
        (15, PRINTER, [EXPLICIT_LE]),
        (17, FIND, [EXPLICIT_LE]),
    ]
    with Raw(storing[0].port) as raw:
        answered = raw.associate(*proposed)
        assert raw.release() == 6
    assert {number: answer for number, answer in answered.items() if not answer[0]} == {
        1: (0, IMPLICIT_LE),
        3: (0, EXPLICIT_LE),
        5: (0, J2K),
        7: (0, IMPLICIT_LE),
        9: (0, PRIVATE_SYNTAX),
        11: (0, DEFLATED),
        13: (0, EXPLICIT_BE),
    }
    assert {number: answer[0] for number, answer in answered.items() if answer[0]} == {15: 3, 17: 3}


def test_what_we_decode_has_to_be_in_a_syntax_that_we_do(tmp_path):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        assert raw.associate(
            (1, FIND, [DEFLATED]), (3, FIND, [DEFLATED, IMPLICIT_LE]), (5, FIND, [EXPLICIT_BE])
        ) == {1: (4, DEFLATED), 3: (0, IMPLICIT_LE), 5: (4, EXPLICIT_BE)}


def test_roles_of_a_peer_that_gets(tmp_path):
    with serving(tmp_path) as (server, _):
        entity = AE()
        contexts = [build_context(CT), build_context(GET)]
        roles = [build_role(CT, scp_role=True)]
        association = heard(entity.associate("127.0.0.1", server.port, contexts, ext_neg=roles))
        accepted = {
            one.abstract_syntax: (one.as_scu, one.as_scp) for one in association.accepted_contexts
        }
        association.release()
    assert accepted == {CT: (False, True), GET: (True, False)}


def test_relational_queries_are_granted_to_who_asks(tmp_path):
    with serving(tmp_path) as (server, _):
        node = f"ANY@127.0.0.1:{server.port}"
        with dicomloom.associate(node, [FIND], extended={FIND: b"\1\1\1"}) as association:
            assert association.extended == {FIND: b"\1\0\0"}
        with dicomloom.associate(node, [FIND], extended={FIND: b"\0"}) as association:
            assert association.extended == {FIND: b"\0"}


@pytest.mark.parametrize(
    ("terms", "reason", "why"),
    [
        (
            {"allow_calling": frozenset(["CT1", "CT2"])},
            (1, 1, 3),
            "the calling AE title is not allowed",
        ),
        ({"strict_called_ae": True, "ae_title": "ARCHIVE"}, (1, 1, 7), 'it called "DICOMLOOM"'),
    ],
)
def test_rejections_give_the_reason(terms, reason, why):
    with listening(**terms) as (listener, ends):
        node = dicomloom.Node(f"DICOMLOOM@127.0.0.1:{listener.port}", calling_ae_title="CT3")
        with pytest.raises(dicomloom.AssociationRejected) as caught:
            dicomloom.echo(node)
        assert (caught.value.result, caught.value.source, caught.value.reason) == reason
        assert ends.wait() == ("rejected", why)
        right = dicomloom.Node(f"ARCHIVE@127.0.0.1:{listener.port}", calling_ae_title="CT2")
        assert dicomloom.echo(right)


def test_user_identity_is_taken_and_the_passcode_kept_out_of_the_log(caplog):
    caplog.set_level(logging.INFO)
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.secondary_field = 2, b"jane\x1b", b"secret"
    with listening() as (listener, ends):
        entity = AE()
        contexts = [build_context(VERIFICATION)]
        association = heard(entity.associate("127.0.0.1", listener.port, contexts, ext_neg=[user]))
        assert association.is_established
        association.release()
        ends.wait()
    assert "user jane\\x1b" in caplog.text
    assert "secret" not in caplog.text


def test_an_idle_association_is_aborted():
    with listening(idle_timeout=0.3) as (listener, ends), Raw(listener.port) as raw:
        raw.associate()
        assert raw.read_pdu()[0] == 7
        assert ends.wait() == ("aborted", "nothing went over it for 0.3 s")


def test_a_message_that_stops_is_aborted(storing):
    with Raw(storing[0].port) as raw:
        raw.associate((1, CT, [IMPLICIT_LE]))
        raw.send(p_data(store_rq("1.2.3"))[:30])
        raw.connection.shutdown(1)
        raw.until_closed()
        assert storing[1].wait()[0] == "aborted"
    with listening(timeout=0.3) as (listener, ends), Raw(listener.port) as raw:
        raw.associate()
        raw.send(p_data(echo_rq())[:30])
        raw.until_closed()
        assert ends.wait()[0] == "aborted"
        assert "did not send the rest within 0.3 s" in ends[-1][1]
        assert echoes(listener.port)


ECHO = (ui(2, VERIFICATION), us(0x100, C_ECHO), us(0x110, 1), us(0x800, 0x101))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (p_data(command_set(*ECHO)), 0x0000),
        (p_data(command_set(ECHO[0], us(0x100, 0x0055), *ECHO[2:])), 0x0211),  # no such command
        (p_data(command_set(ECHO[0], us(0x100, 0x0020), *ECHO[2:])), 0x0211),  # not on this context
        (p_data(command_set(ECHO[0], us(0x100, 0x0140), *ECHO[2:])), 0x0211),  # N-CREATE
        (p_data(command_set(ECHO[1], *ECHO[2:])), 0x0000),  # no class: the context has it
        (p_data(command_set(*ECHO[:2], ECHO[3])), None),  # no message ID
        (p_data(command_set(*ECHO[:1], *ECHO[2:])), None),  # no command field
        (p_data(command_set(*ECHO[:3])), None),  # no data set type
        (p_data(command_set(ECHO[0], *ECHO)), None),  # repeated
        (p_data(command_set(*reversed(ECHO))), None),
        (p_data(command_set(ui(2, b"1" * 2000), *ECHO[1:])), None),
        (p_data(command_set(*ECHO[:2], element(0x110, None, b"\1\0\1\0"), ECHO[3])), None),
        (p_data(command_set(*ECHO)[:-3]), None),
        (p_data(b""), None),
        (p_data(bytes(range(256))), None),
        (p_data(command_set(*ECHO), context=3), None),  # no such context
        (p_data(command_set(*ECHO), control=2), None),  # a data set without its command
        (p_data(command_set(*ECHO[:3], us(0x800, 1))) + p_data(echo_rq()), None),
        (b"\4\0\0\0\0\6" + struct.pack(">LBB", 0xFFFFFFFF, 1, 3), None),
        (b"\4\0\0\0\0\2\0\0", None),
        (b"\4\0\xff\xff\xff\xff", None),
        (b"\1\0\0\0\0\4\0\1\0\0", None),  # another association request
        (b"\x09\0\0\0\0\0", None),
        (
            p_data(
                command_set(
                    ui(2, VERIFICATION),
                    us(0x100, 0x8030),
                    us(0x120, 7),
                    us(0x800, 0x101),
                    us(0x900, 0),
                )
            ),
            None,
        ),
    ],
)
def test_commands_that_are_none(said, answer):
    with listening() as (listener, ends), Raw(listener.port) as raw:
        raw.associate()
        raw.send(said)
        if answer is None:
            kinds = [raw.read_pdu()[0]]
            while kinds[-1] == 4:  # what came before the fault is answered
                kinds.append(raw.read_pdu()[0])
            assert kinds[-1] == 7  # A-ABORT
            raw.until_closed()
            assert ends.wait()[0] == "aborted"
        else:
            said = raw.response()
            assert said[0x0900] == answer
            assert said[0x0120] == 1
            raw.send(p_data(echo_rq()))
            assert raw.status() == 0  # the association goes on
            assert raw.release() == 6
        assert echoes(listener.port)


@pytest.mark.parametrize("length", [1, 6, 7, 0, 0xFFFFFFFF])
def test_any_length_that_a_peer_takes(length):
    with listening() as (listener, ends), Raw(listener.port) as raw:
        raw.send(associate_rq([(1, VERIFICATION, [EXPLICIT_LE])], max_length=length))
        assert raw.read_pdu()[0] in (2, 7)
        if length in (1, 6):  # no room for a byte of a message
            raw.until_closed()
            assert ends.wait()[0] == "aborted"
            return
        raw.send(p_data(echo_rq()))
        answer = raw.read_pdu()
        said = answer[12:]
        while not answer[11] & 2:
            assert len(answer) == 6 + length
            answer = raw.read_pdu()
            said += answer[12:]
        assert elements(said)[0x0900] == 0


def test_a_cancel_of_nothing_is_no_fault():
    with listening() as (listener, _), Raw(listener.port) as raw:
        raw.associate()
        raw.send(p_data(command_set(us(0x100, C_CANCEL), us(0x120, 9), us(0x800, 0x101))))
        raw.send(p_data(echo_rq(7)))
        assert raw.response()[0x0120] == 7


@pytest.mark.parametrize("last", [ABORT_BY_PEER, RELEASE_RQ, b""])
@pytest.mark.parametrize("sent", [0, 1, 2])
def test_an_end_at_each_step(storing, last, sent, tmp_path):
    listener, ends = storing
    with Raw(listener.port) as raw:
        raw.associate((1, CT, [IMPLICIT_LE]))
        if sent:
            raw.send(p_data(store_rq("1.2.3")))
        if sent > 1:
            raw.send(p_data(bytes(1000), control=0))
        raw.send(last)
        raw.connection.shutdown(1)
        raw.until_closed()
        ending, _ = ends.wait()
    assert ending == ("released" if last == RELEASE_RQ else "aborted")
    assert not list(tmp_path.rglob("*.dcm"))
    assert not list(tmp_path.rglob("*.partial"))


def test_a_handler_that_fails_is_answered_and_the_association_goes_on(caplog):
    class Broken(Storage):
        def store(self, request):
            raise RuntimeError("Doe^Jane")

    caplog.set_level(logging.INFO)
    with listening(Broken(None)) as (listener, ends), Raw(listener.port) as raw:
        raw.associate((1, CT, [IMPLICIT_LE]), (3, VERIFICATION, [IMPLICIT_LE]))
        raw.store("1.2.3", bytes(50_000))
        answer = raw.response()
        assert answer[0x0900] == 0xC000
        assert answer[0x0902].strip() == b"failed: RuntimeError"
        raw.send(p_data(echo_rq(), 3))
        assert raw.status() == 0
        assert raw.release() == 6
        ends.wait()
    assert "Doe" not in caplog.text


def test_hostile_names_are_made_harmless():
    with listening(strict_called_ae=True) as (listener, ends), Raw(listener.port) as raw:
        raw.send(
            associate_rq(
                [(1, VERIFICATION, [EXPLICIT_LE])], called=b"X\x1b[2J\n", calling=b"\\..\\\0"
            )
        )
        raw.until_closed()
        ending, why = ends.wait()
    assert ending in ("rejected", "closed")
    assert why.isprintable()
