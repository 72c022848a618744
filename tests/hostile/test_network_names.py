"""N1 to N4: what a peer says is never a path, a command or a name to look up."""

import ast
import contextlib
import os
from pathlib import Path

import pytest

import dicomloom
from dicomloom import Node, retrieve
from faults import child
from mpps_peers import MPPS
from network_peers import free_port
from retrieve_peers import (
    C_MOVE,
    Once,
    give,
    last,
    message,
    object_of,
    read_message,
    retrieved_from,
)
from serve_peers import CT, IMPLICIT_CT, Raw, serving, small
from support import EXPLICIT_LE, element

UIDS = [
    *("../../../../1.2", "/tmp/1.2", "..", ".", "", "1.2/3", "1.2\n3", "1" * 65, "1" * 300, "~"),
    *("1.2\0.3", "é", "1.2;reboot", "$(reboot)", "CON", "1.2.dcm", "-rf", "１.２"),
]
VALUES = [
    *("../../..", "/etc", "..", ".", "", "a\nb", "a\0b", "x" * 300, "CON", "nul.txt", "a. ", " a"),
    *("a\\..\\b", "C:", "~root", ".ssh", "-rf", "é" * 64, "\x1b[2J", "$(reboot)", "com1"),
]
PLACEHOLDERS = [
    *("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "StudyDate"),
    *("SourceApplicationEntityTitle", "(0008,0060)", "SeriesDescription", "InstanceNumber"),
    *("ReferencedImageSequence[0].ReferencedSOPInstanceUID", '(0029,"ACME",10)'),
]


N_CREATE = 0x0140


def _uid(text):
    return text.encode() + b"\0" * (len(text.encode()) % 2)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def outside(folder):
    """All that is beside a folder, three levels up."""
    return [path for path in folder.parents[2].rglob("*") if folder not in (path, *path.parents)]


def node(port):
    return Node(f"PEER@127.0.0.1:{port}", calling_ae_title="ME", timeout=5)


@pytest.fixture
def deep(tmp_path):
    made = tmp_path / "1" / "2" / "3"
    made.mkdir(parents=True)
    return made


def test_n01_a_uid_that_is_no_name_is_refused_by_serve(deep):
    """Status 0117, whatever the UID leads to; nothing is written, and the next one is taken."""
    before = outside(deep)
    with serving(deep) as (server, ends), Raw(server.port) as raw:
        raw.associate(IMPLICIT_CT)
        for uid in UIDS:
            raw.store(uid.encode(), small("1.2.3"))
            assert raw.status() == 0x0117, uid
        raw.store("1.2.3", small("1.2.3"))
        assert raw.status() == 0
        raw.release()
        ends.wait()
    assert [name for name in files(deep) if name.startswith("objects")] == ["objects/42/1.2.3.dcm"]
    assert outside(deep) == before


@pytest.mark.parametrize("way", ["get", "move"])
def test_n01_a_uid_that_is_no_name_is_refused_by_retrieve(deep, way):
    """The peer hears 0117, the report names what was refused, nothing is written."""
    listen, statuses, before = free_port(), [], outside(deep)
    uids = [uid for uid in UIDS if way == "get" or (0 < len(uid) <= 64 and uid.isascii())]

    def script(conversation):
        if way == "get":
            statuses.extend(give(conversation, *[(uid.encode(), object_of("1.2")) for uid in uids]))
            conversation.send(last(0xB000, failed=len(uids)))
            return
        stored = Once(listen)
        statuses.extend(stored.store("1.2", named=uid) for uid in uids)
        stored.association.release()
        conversation.send(last(0xB000, failed=len(uids), field=C_MOVE))

    with retrieved_from(script) as port:
        where = f"127.0.0.1:{listen}" if way == "move" else None
        report = retrieve(node(port), deep, method=way, listen=where, StudyInstanceUID="1.2.3")
    assert statuses == [0x0117] * len(uids)
    assert {(one.status, one.refused) for one in report.failed} == {(0x0117, True)}
    assert (files(deep), outside(deep)) == ([], before)


def late(uid, before=20_000):
    """A data set whose SOP Instance UID comes behind something long."""
    value = bytes(before)
    return element(0x00080001, "UN", value) + object_of(uid)


@pytest.mark.parametrize("before", [0, 15_900, 20_000, 3 << 20])
def test_n01_a_data_set_of_another_instance_is_refused(deep, before):
    """A900 from serve and from retrieve, however far behind the UID is; nobody is superseded."""
    own = "1.2.3.4.5.6.7.8"
    with serving(deep / "a") as (server, _), Raw(server.port) as raw:
        raw.associate((1, CT, [EXPLICIT_LE]))
        raw.store(own, object_of(own))
        assert raw.status() == 0
        for named in ("1", "1.2.3.4.5.6.7.8.9"):
            raw.store(named, late(own, before))
            assert raw.status() == 0xA900
        raw.store("1.9", late("1.9", before))
        assert raw.status() == 0
        raw.release()
    kept = [name for name in files(deep / "a") if name.endswith(".dcm")]
    assert sorted(map(os.path.basename, kept)) == [f"{own}.dcm", "1.9.dcm"]

    seen = []

    def script(conversation):
        seen.extend(give(conversation, ("1.2.5", late("1.2.77", before))))
        conversation.send(last(0xB000, failed=1))

    with retrieved_from(script) as port:
        report = retrieve(node(port), deep / "b", method="get", StudyInstanceUID="1.2.3")
    assert (seen, report.failed[0].status, files(deep / "b")) == ([0xA900], 0xA900, [])


def test_n01_no_object_takes_the_place_of_another_in_the_catalog(deep):
    """One that says far behind, again and out of order, that it is another does not answer."""
    own, named = "1.2.3.4.5.6.7.8", "1"
    again = element(0x00080016, "UI", CT.encode() + b"\0") + element(0x00080018, "UI", b"1\0")
    again += element(0x00091001, "UN", bytes(20_000)) + element(0x00200013, "IS", b"66")
    again += object_of(own)
    question = {"InstanceNumber": "", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    with serving(deep, duplicates="version") as (server, _):
        with Raw(server.port) as raw:
            raw.associate((1, CT, [EXPLICIT_LE]))
            for uid, data in ((own, object_of(own)), (named, again), (named, again)):
                raw.store(uid, data)
                assert raw.status() == 0
            raw.release()
        answers = list(dicomloom.find(f"ANY@127.0.0.1:{server.port}", "IMAGE", question))
    assert [(one.SOPInstanceUID, one.InstanceNumber) for one in answers] == [(own, None)]


def test_n01_what_is_in_the_place_of_an_object_and_is_none_is_never_taken_for_it(deep):
    """A link that leads nowhere, as of a disk that is not there: a failure, never a success."""
    (deep / "objects").mkdir()
    (deep / "objects" / "42").symlink_to(deep / "nowhere")
    with serving(deep) as (server, _), Raw(server.port) as raw:
        raw.associate(IMPLICIT_CT)
        raw.store("1.2.3", small("1.2.3"))
        assert raw.status() == 0xA700
    (deep / "objects" / "42").unlink()
    (deep / "objects" / "42").mkdir()
    (deep / "objects" / "42" / "1.2.3.dcm").symlink_to(deep / "nowhere")
    for duplicates in ("keep", "version", "replace", "reject"):
        with serving(deep, duplicates=duplicates) as (server, _), Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store("1.2.3", small("1.2.3"))
            wanted = {"keep": 0xA700, "reject": 0x0111}.get(duplicates, 0)
            assert raw.status() == wanted
    assert not (deep / "nowhere").exists()


@pytest.mark.parametrize("link", ["objects", "objects/42"])
def test_n01_a_link_that_leads_out_of_the_archive_is_not_written_through(deep, link):
    """What would never be found is refused, and the catalog goes on with the others."""
    (deep / "elsewhere").mkdir()
    (deep / "a" / link).parent.mkdir(parents=True, exist_ok=True)
    (deep / "a" / link).symlink_to(deep / "elsewhere")
    with serving(deep / "a") as (server, _):
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            statuses = []
            for uid in ("1.2.3", "1.2.4"):
                raw.store(uid, small(uid))
                statuses.append(raw.status())
            raw.release()
        question = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
        answers = list(dicomloom.find(f"ANY@127.0.0.1:{server.port}", "IMAGE", question))
    assert statuses == [0xA700, 0xA700 if link == "objects" else 0]
    assert len(answers) == statuses.count(0)
    assert files(deep / "elsewhere") == []


@pytest.mark.parametrize("existing", ["keep", "replace", "version"])
def test_n01_a_folder_that_cannot_be_made_is_an_error_of_retrieve(deep, existing):
    """Where a link that leads nowhere is in the place of a folder: an error, and no endless try."""
    (deep / "1.2.3").symlink_to(deep / "nowhere")

    def script(conversation):
        assert give(conversation, ("1.2.5", object_of("1.2.5"))) == [0xA700]
        read_message(conversation)  # C-CANCEL
        conversation.send(last(0xFE00, failed=1))

    with retrieved_from(script) as port, pytest.raises(dicomloom.WriteError):
        retrieve(node(port), deep, method="get", existing=existing, StudyInstanceUID="1.2.3")
    assert files(deep) == []


@pytest.mark.parametrize("existing", ["keep", "replace", "version"])
def test_n01_files_of_others_are_never_touched_by_retrieve(deep, existing):
    """Not even under the name that avoids another object; what comes gets a name of its own."""
    (deep / "P1.dcm").write_bytes(b"a letter")
    (deep / "P1-1.2.5.dcm").write_bytes(b"another")

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")))
        conversation.send(last(0, completed=1))

    for _ in range(2):
        with retrieved_from(script) as port:
            (arrived,) = retrieve(
                node(port), deep, method="get", existing=existing, layout="{PatientID}.dcm",
                StudyInstanceUID="1.2.3",
            ).arrived  # fmt: skip
        assert Path(arrived.path).read_bytes().endswith(object_of("1.2.5"))
    assert (deep / "P1.dcm").read_bytes() == b"a letter"
    assert (deep / "P1-1.2.5.dcm").read_bytes() == b"another"


def _everything(value):
    """A data set that has one value for all that a pattern may name."""
    raw = value.encode()
    raw += b" " * (len(raw) % 2)
    head = element(0x00080016, "UI", CT.encode() + b"\0" * (len(CT) % 2))
    head += element(0x00080018, "UI", b"1.2.5\0") + element(0x00080020, "DA", raw)
    item = element(0x00081155, "UI", raw)
    refs = element(0xFFFEE000, None, item)
    return b"".join(
        [
            element(0x00080005, "CS", b"ISO_IR 192"),
            head,
            element(0x00080060, "CS", raw),
            element(0x0008103E, "LO", raw),
            element(0x00081140, "SQ", refs),
            element(0x00100010, "PN", raw),
            element(0x00100020, "LO", raw),
            element(0x0020000D, "UI", raw),
            element(0x0020000E, "UI", raw),
            element(0x00200013, "IS", raw),
            element(0x00290010, "LO", b"ACME"),
            element(0x00291010, "LO", raw),
        ]
    )


def test_n02_no_value_leads_out_of_the_folder_of_retrieve(deep):
    """Every placeholder, alone and beside others: parts of a path below the folder, fit for all."""
    layout = "/".join(f"{{{one}}}" for one in PLACEHOLDERS) + "/{PatientID}{Modality}.dcm"
    before = outside(deep)

    def script(conversation):
        for value in VALUES:
            give(conversation, ("1.2.5", _everything(value)))
        conversation.send(last(0, completed=len(VALUES)))

    with retrieved_from(script) as port:
        report = retrieve(
            node(port), deep, method="get", layout=layout, sync=False, StudyInstanceUID="1.2.3"
        )
    assert len(report.arrived) == len(VALUES)
    for arrived in report.arrived:
        parts = os.path.relpath(os.path.realpath(arrived.path), deep).split(os.sep)
        assert len(parts) == len(PLACEHOLDERS) + 1
        for part in parts:
            assert part.isprintable(), arrived
            assert part[0] not in ".-~ "
            assert part[-1] not in ". "
            assert len(part.encode()) <= 200
            assert part.partition(".")[0].upper() not in ("CON", "NUL", "COM1", "PRN", "AUX")
    assert len({arrived.path for arrived in report.arrived}) == len(VALUES)
    assert outside(deep) == before


def test_n03_no_title_and_no_value_is_a_path_of_serve(deep):
    """AE titles, study, patient and step: none of them names a file."""
    before = outside(deep)
    folders = {"mpps": deep / "steps", "worklist": deep / "items"}
    folders["worklist"].mkdir()
    with serving(deep / "a", **folders) as (server, ends):
        for title in (b"../../x", b"/etc/passwd", b"..", b".", b"a\nb", b"$(reboot)", b"|id"):
            with Raw(server.port) as raw, contextlib.suppress(AssertionError, OSError, EOFError):
                raw.associate(IMPLICIT_CT, calling=title)
                raw.store("1.2.3", small("1.2.3", study="../../x", patient=title.decode()))
                assert raw.status() == 0
                raw.release()
        ends.wait(7)
        step = element(0x00400252, "CS", b"IN PROGRESS ")
        with Raw(server.port) as raw:
            raw.associate((1, MPPS, [EXPLICIT_LE]))
            for uid in UIDS:
                raw.send(message(1, N_CREATE, step, x0002=_uid(MPPS), x0110=1, x1000=_uid(uid)))
                # No UID: the server makes one, and finds other things missing.
                assert raw.status() == (0x0117 if uid else 0x0120)
    names = files(deep)
    assert [name for name in names if name.startswith("a/objects")] == ["a/objects/42/1.2.3.dcm"]
    steps = [os.path.basename(name) for name in names if name.startswith("steps")]
    assert all(name.removesuffix(".json").replace(".", "").isdigit() for name in steps)
    assert outside(deep) == before


def _calls(tree):
    for found in ast.walk(tree):
        if isinstance(found, ast.Call):
            yield ast.unparse(found.func), found


def test_n04_no_shell_and_no_name_looked_up_for_an_address():
    """Nowhere in the source: not a shell, not a command line as text, not reverse DNS."""
    source = Path(dicomloom.__file__).parent
    shells = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput")
    names = ("gethostbyaddr", "getfqdn", "getnameinfo", "gethostbyname_ex")
    seen = 0
    for path in sorted(source.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, call in _calls(tree):
            seen += 1
            assert name not in (*shells, "eval", "exec"), (path, call.lineno)
            assert name.rpartition(".")[2] not in names, (path, call.lineno)
            given = {one.arg: ast.unparse(one.value) for one in call.keywords}
            assert given.get("shell", "False") == "False", (path, call.lineno)
            if name.startswith("subprocess.") and call.args:
                assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), path
    assert seen > 1000


def test_n04_no_process_and_no_reverse_lookup_while_serving(deep):
    """Seen by an audit hook: a hostile peer starts nothing and makes us ask no name server."""
    script = """
        import sys
        sys.path.insert(0, sys.argv[2])
        import dicomloom
        from serve_peers import IMPLICIT_CT, Raw, serving, small
        import pathlib
        seen = []
        def hook(event, args):
            if event.startswith(("subprocess", "os.system", "os.exec", "os.spawn", "os.posix_spawn",
                                 "os.fork", "socket.gethostby", "socket.getnameinfo",
                                 "socket.getaddrinfo")):
                seen.append((event, str(args[:1])))
        with serving(pathlib.Path(sys.argv[1]), allow_from=["127.0.0.0/8"]) as (server, ends):
            sys.addaudithook(hook)
            with Raw(server.port) as raw:
                raw.associate(IMPLICIT_CT, calling=b"$(touch x)")
                for uid in (b"$(touch x)", b"1.2.3", b";id"):
                    raw.store(uid, small("1.2.3", patient="`id`"))
                    raw.status()
                raw.release()
            ends.wait()
        # The peer of the test asks for the address that it is given.
        print([one for one in seen if one != ("socket.getaddrinfo", "('127.0.0.1',)")])
    """
    done = child(script, deep, Path(__file__).parents[1], timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
