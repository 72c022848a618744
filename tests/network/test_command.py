"""Command sets: pydicom reads what we write, pynetdicom writes what we read, and lies are told."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pynetdicom import dimse_messages, dimse_primitives

from dicomloom import ProtocolError
from dicomloom.network import command as commands
from support import element

UIDS = st.from_regex(r"[1-9](\.(0|[1-9][0-9]{0,4})){1,8}", fullmatch=True)
WORDS = st.integers(0, 0xFFFF)
# PS3.5 6.2: leading and trailing spaces of AE and LO mean nothing.
TEXTS = st.from_regex(r"[!-\[\]-~]([ -\[\]-~]{0,13}[!-\[\]-~])?", fullmatch=True)
TAGS = st.lists(st.integers(0, 0xFFFFFFFF), min_size=2, max_size=5)
NEEDED = {"CommandField": WORDS, "CommandDataSetType": WORDS}
OPTIONAL = {
    **dict.fromkeys(["AffectedSOPClassUID", "RequestedSOPInstanceUID"], UIDS),
    **dict.fromkeys(["MessageID", "MessageIDBeingRespondedTo", "Priority", "Status"], WORDS),
    **dict.fromkeys(["ErrorID", "EventTypeID", "ActionTypeID"], WORDS),
    **dict.fromkeys(["NumberOfRemainingSuboperations", "MoveOriginatorMessageID"], WORDS),
    **dict.fromkeys(["MoveDestination", "MoveOriginatorApplicationEntityTitle"], TEXTS),
    "ErrorComment": TEXTS,
    **dict.fromkeys(["OffendingElement", "AttributeIdentifierList"], TAGS),
}
COMMANDS = st.fixed_dictionaries(NEEDED, optional=OPTIONAL)
ECHO = commands.encode({"CommandField": 0x0030, "MessageID": 7, "CommandDataSetType": 0x0101})


@settings(deadline=None)
@given(COMMANDS)
def test_pydicom_reads_what_is_encoded(command):
    data = commands.encode(command)
    read = read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)
    values = {one.keyword: one.value for one in read}
    assert values == command | {"CommandGroupLength": len(data) - 12}
    assert len(data) % 2 == 0


@settings(deadline=None)
@given(COMMANDS)
def test_what_is_encoded_is_decoded(command):
    assert commands.decode(commands.encode(command)) == command


@settings(deadline=None)
@given(
    uids=st.tuples(UIDS, UIDS),
    numbers=st.tuples(WORDS, WORDS),
    comment=TEXTS,
    tags=TAGS,
    status=st.sampled_from([0x0000, 0xA700, 0xA900, 0xB000, 0xC123]),
)
def test_the_same_bytes_as_pynetdicom(uids, numbers, comment, tags, status):
    request, answer = dimse_primitives.C_STORE(), dimse_primitives.C_STORE()
    request.MessageID, answer.MessageIDBeingRespondedTo = numbers
    for primitive in (request, answer):
        primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = uids
    request.Priority, request.DataSet = 0, BytesIO(b"12")
    request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = "A", 9
    answer.Status, answer.ErrorComment, answer.OffendingElement = status, comment, tags
    common = {"AffectedSOPClassUID": uids[0], "AffectedSOPInstanceUID": uids[1]}
    ours = (
        common | {"CommandField": 1, "MessageID": numbers[0], "Priority": 0}
        | {"MoveOriginatorApplicationEntityTitle": "A", "MoveOriginatorMessageID": 9}
        | {"CommandDataSetType": 1},
        common | {"CommandField": 0x8001, "MessageIDBeingRespondedTo": numbers[1]}
        | {"Status": status, "ErrorComment": comment, "OffendingElement": tags}
        | {"CommandDataSetType": 0x0101},
    )  # fmt: skip
    for name, primitive, command in zip(("RQ", "RSP"), (request, answer), ours, strict=True):
        message = getattr(dimse_messages, f"C_STORE_{name}")()
        message.primitive_to_message(primitive)
        fragments = [one.presentation_data_value_list for one in message.encode_msg(1, 0)]
        assert commands.encode(command) == fragments[0][0][1][1:]


@pytest.mark.parametrize("size", range(len(ECHO)))
def test_a_command_set_that_is_cut_off(size):
    if size == 0:
        with pytest.raises(ProtocolError, match="CommandField is missing"):
            commands.decode(b"")
        return
    with pytest.raises(ProtocolError) as caught:
        commands.decode(ECHO[:size], "PACS@host:104")
    assert caught.value.node == "PACS@host:104"


def made(*elements):
    """A command set that has what it must, and these elements before and behind."""
    needed = element(0x100, None, b"\x30\0") + element(0x800, None, b"\1\1")
    return needed + b"".join(elements)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (element(0x100, None, b"\x30\0"), "CommandDataSetType is missing"),
        (element(0x800, None, b"\1\1"), "CommandField is missing"),
        (made(element(0x800, None, b"\1\1")), r"\(0000,0800\) behind \(0000,0800\)"),
        (made(element(0x110, None, b"\1\0")), r"\(0000,0110\) behind \(0000,0800\)"),
        (made(element(0x00080016, None, b"1.")), r"\(0008,0016\) behind"),
        (made(element(0x900, None, b"")), "Status has 0 bytes"),
        (made(element(0x900, None, b"\0\0\0\0")), "Status has 4 bytes"),
        (made(element(0x901, None, b"\0\0")), "OffendingElement has 2 bytes"),
        (made(element(0x902, None, b"x" * 1026)), "ErrorComment has 1026 bytes"),
        (made(element(0x900, None, b"\0\0", length=3)), "has 3 bytes, 2 are left"),
        (made(element(0x900, None, b"\0\0", length=0xFFFFFFFF)), "has 4294967295 bytes"),
        (made(b"\0\0\0\x09"), "cut off"),
    ],
)
def test_what_is_no_command_set(data, says):
    with pytest.raises(ProtocolError, match=says):
        commands.decode(data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_set_or_an_error(data):
    for candidate in (data, made(data)):
        try:
            command = commands.decode(candidate)
        except ProtocolError:
            continue
        assert {"CommandField", "CommandDataSetType"} <= command.keys() <= set(commands.KEYWORDS)


def test_what_peers_write_otherwise():
    data = (
        element(0x2, None, b"1.2.840.10008.1.1\0\0\0")
        + element(0x10, None, b"retired")
        + made(element(0x902, None, b" gr\xfc\xdf dich "))
    )
    command = commands.decode(data)
    assert command["AffectedSOPClassUID"] == "1.2.840.10008.1.1"
    assert command["ErrorComment"] == r"gr\xfc\xdf dich"
    assert len(command) == 4


@pytest.mark.parametrize("kind", [0x0000, 0x0001, 0x0102, 0xFFFF])
def test_any_type_but_one_says_that_there_is_a_data_set(kind):
    assert commands.has_data_set({"CommandDataSetType": kind})
    assert not commands.has_data_set({"CommandDataSetType": 0x0101})


def test_names_of_messages():
    assert commands.name_of({"CommandField": 0x8001}) == "C-STORE"
    assert commands.name_of({"CommandField": 0x0FFF}) == "C-CANCEL"
    assert commands.name_of({"CommandField": 0x0999}) == "the unknown command 0999H"
    assert commands.is_response({"CommandField": 0x8140})
    assert not commands.is_response({"CommandField": 0x0FFF})


def test_values_of_another_kind_are_not_there():
    command = {"Status": "0", "ErrorComment": 5, "OffendingElement": [Tag(0x00100010)]}
    assert commands.integer(command, "Status", -1) == -1
    assert commands.text(command, "ErrorComment") == ""
    assert commands.integer({}, "MessageID") == 0


@pytest.mark.parametrize("role", ["Affected", "Requested"])
def test_answers_name_the_instance(role):
    asked = {"CommandField": 0x0120, "MessageID": 3, f"{role}SOPInstanceUID": "1.2"}
    answer = commands.response_to(asked, 0x0110, ErrorComment="no")
    assert answer == {
        "CommandField": 0x8120,
        "MessageIDBeingRespondedTo": 3,
        "CommandDataSetType": 0x0101,
        "Status": 0x0110,
        "AffectedSOPInstanceUID": "1.2",
        "ErrorComment": "no",
    }
