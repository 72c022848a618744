"""N14 and N15: who is spoken to over TLS, and what a peer's words may do where they are shown."""

import csv
import io
import json
import re
import ssl
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import dicomloom
from dicomloom import Node, index
from dicomloom.cli import commit as commit_command
from dicomloom.network.commit import CommitReport
from dicomloom.network.tls import make_context
from find_peers import WORKLIST, scp, step
from network_peers import (
    RELEASE_RP,
    VERIFICATION,
    certificate,
    echo_response,
    fake,
)
from retrieve_peers import give, last, object_of, retrieved_from
from serve_peers import IMPLICIT_CT, Raw, associate_rq, echoes, serve_process, serving, small
from shell import command
from store_peers import Message, answer_to, take_association
from support import EXPLICIT_LE, element, part10

ESCAPES = "\x1b[2J\x07\x9b31m"
FORMULAS = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", " =1", "\r=1"]


def plain(text):
    """Whether text does nothing in a terminal but stand there."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("DICOMLOOM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


# N14


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Certificates by name, each with its key."""
    folder = tmp_path_factory.mktemp("keys")
    made = {name: certificate(folder, name) for name in ("server", "client", "stranger")}
    made["expired"] = certificate(folder, "expired", expired=True)
    made["elsewhere"] = certificate(folder, "elsewhere", subject="pacs.example.org")
    return {name: tuple(map(str, pair)) for name, pair in made.items()}


@pytest.mark.parametrize(
    ("server", "client", "code", "says", "why"),
    [
        ("server", {"ca": "server"}, 0, "TLSv1.3", ""),
        ("server", {}, 62, "certificate", "unknown ca"),
        ("server", {"ca": "stranger"}, 62, "certificate", "unknown ca"),
        ("expired", {"ca": "expired"}, 62, "expired", "certificate"),
        ("elsewhere", {"ca": "elsewhere"}, 62, "127.0.0.1", "certificate"),
        ("server", None, 60, "TLS", "speaks no TLS"),
        (None, {"ca": "server"}, 62, "TLS", "speaks TLS on a port without"),
        ("server+", {"ca": "server", "cert": "client"}, 0, "TLSv1.3", ""),
        ("server+", {"ca": "server"}, 62, "certificate", "showed no certificate"),
        (
            "server+",
            {"ca": "server", "cert": "stranger"},
            62,
            "refused TLS",
            "certificate is not trusted",
        ),
    ],
)
def test_n14_tls_is_refused_with_the_reason_on_both_sides(
    tmp_path, keys, server, client, code, says, why
):
    """Wrong, expired or missing certificates, plain against TLS: said by echo, and by serve."""
    options = {}
    if server is not None:
        cert, key = keys[server.rstrip("+")]
        options = {"tls_cert": cert, "tls_key": key}
        if server.endswith("+"):
            options["tls_client_ca"] = keys["client"][0]
    arguments = ["--timeout", "5"]
    if client is not None:
        arguments += ["--tls"]
        if "ca" in client:
            arguments += ["--tls-ca", keys[client["ca"]][0]]
        if "cert" in client:
            pair = keys[client["cert"]]
            arguments += ["--tls-cert", pair[0], "--tls-key", pair[1]]
    with serving(tmp_path, **options) as (served, ends):
        done = command("echo", f"ANY@127.0.0.1:{served.port}", *arguments)
        ends.wait()
    assert done.returncode == code, done.stderr
    assert says in (done.stdout if code == 0 else done.stderr)
    assert why in ends[0][1]
    assert ends[0][0] == ("released" if code == 0 else "closed")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_n14_tls_below_1_2_is_refused_by_both_sides(tmp_path, keys, version):
    """Our server does not speak it, nor does our client, whatever the other side insists on."""

    def old(protocol):
        made = ssl.SSLContext(protocol)
        made.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = made.maximum_version = version
        return made

    cert, key = keys["server"]
    context = old(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with serving(tmp_path, tls_cert=cert, tls_key=key) as (server, ends), Raw(server.port) as raw:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(raw.connection)
        assert ends.wait()[0] == "closed"
        assert ends[0][1]
    context = old(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def talk(conversation):
        context.wrap_socket(conversation.connection, server_side=True)

    with fake(talk) as port, pytest.raises(dicomloom.TLSError, match=r"1\.2|version|protocol"):
        dicomloom.echo(Node(f"PEER@127.0.0.1:{port}", tls=True, tls_ca=cert, timeout=5))
    assert make_context(
        server=True, cert_file=cert, key_file=key, ca_file=None
    ).minimum_version >= (ssl.TLSVersion.TLSv1_2)


# N15


def test_n15_what_a_peer_calls_itself_does_no_harm_in_echo(tmp_path):
    """Implementation version name and class UID are escaped, in text and in JSON."""

    def talk(conversation):
        conversation.accept(name=b"\x1b[2J\x07=1+1", uid=b"1.2\x1b[2J")
        conversation.read_pdu()
        conversation.send(echo_response(0))
        conversation.read_pdu()
        conversation.send(RELEASE_RP)

    for more in ((), ("--json",)):
        with fake(talk) as port:
            done = command("echo", f"PEER@127.0.0.1:{port}", *more)
        assert plain(done.stdout + done.stderr)
        assert "1b[2J" in done.stdout or done.returncode


def _evil():
    """Answers whose text is hostile, in every attribute that is shown."""
    for number, text in enumerate([ESCAPES, *FORMULAS, "<script>alert(1)</script>"]):
        made = step(number + 1, PatientName=text, PatientID=text, AccessionNumber=text)
        made.SpecificCharacterSet = "ISO_IR 192"
        made.RequestedProcedureDescription = text
        made.ScheduledProcedureStepSequence[0].ScheduledProcedureStepDescription = text
        made.StudyDescription = text
        yield 0xFF00, made


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
@pytest.mark.parametrize("service", ["find", "worklist"])
def test_n15_answers_do_no_harm_in_a_terminal_or_a_spreadsheet(tmp_path, service, kind):
    """find and worklist: no control characters on the screen, no cell that is a formula."""
    model = {"model": WORKLIST} if service == "worklist" else {}
    more = ("-k", "PatientName", "-k", "StudyDescription") if service == "find" else ()
    with scp(lambda event: _evil(), **model) as port:
        done = command(service, f"PEER@127.0.0.1:{port}", "--format", kind, *more)
    assert done.returncode == 0, done.stderr
    if kind == "json":
        assert "\x1b" not in done.stdout
        assert len(json.loads(done.stdout)) == len(FORMULAS) + 2
        return
    assert plain(done.stdout)
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(done.stdout)))
        assert len(rows) == len(FORMULAS) + 3
        assert not [
            cell for row in rows for cell in row if cell.lstrip()[:1] in ("=", "+", "-", "@")
        ]


def test_n15_what_a_peer_answers_to_send_does_no_harm(tmp_path):
    """Its comment, and the names of our files: on the screen, in --json and in the report."""
    evil = tmp_path / f"=1\x1b[2J\n{'a'}.dcm"
    evil.write_bytes(part10(object_of("1.2.3.4"), EXPLICIT_LE))

    def talk(conversation):
        take_association(conversation)
        while (message := Message(conversation)).command:
            conversation.send(answer_to(message, 0xA700, ErrorComment=f"{ESCAPES}=1+1"))

    with fake(talk) as port:
        node = (f"PEER@127.0.0.1:{port}", "--retries", "0", "--calling-ae", "ME")
        shown = command("send", *node, evil)
        as_json = command("send", *node, evil, "--json", "--report", tmp_path / "report.jsonl")
    assert plain(shown.stdout + shown.stderr), shown.stderr
    assert "\\x1b[2J" in shown.stderr
    (line,) = as_json.stdout.splitlines()
    assert json.loads(line)["path"] == str(evil)
    assert plain(as_json.stdout)
    assert plain((tmp_path / "report.jsonl").read_text())


def test_n15_what_a_peer_says_of_a_retrieval_does_no_harm(tmp_path):
    """UIDs that failed and comments: escaped in text, one line each in --json."""

    def script(conversation):
        give(conversation, ("1.2.5", object_of("1.2.5")), (b"1.2\x1b[2J", object_of("1.2.6")))
        conversation.send(last(0xB000, completed=1, failed=2, uids=[f"1.2{ESCAPES[:4]}", "=1+1"]))

    for more in ((), ("--json",)):
        with retrieved_from(script) as port:
            node = (f"PEER@127.0.0.1:{port}", "--calling-ae", "ME", "--method", "get")
            keys = ("-k", "StudyInstanceUID=1.2.3", "-d", tmp_path / "out")
            done = command("retrieve", *node, *keys, *more)
        assert done.returncode == 1, done.stderr
        assert plain(done.stdout + done.stderr)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(events) == (3 if more else 0)  # the refused one has the name of one that failed


def test_n15_a_report_of_commitment_does_no_harm():
    """What a provider names that nobody asked for, and files that were left out."""
    report = CommitReport("PEER@127.0.0.1:104")
    foreign = type("Foreign", (), {"SOPInstanceUID": f"1.2{ESCAPES}"})()
    left_out = type("LeftOut", (), {"path": f"a{ESCAPES}\n", "reason": ESCAPES})()
    report.foreign, report.left_out = [foreign], [left_out]
    lines = list(commit_command.lines(report))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_n15_explain_shows_no_control_characters(tmp_path):
    """A log is what peers wrote: its text is escaped, in lines and in --json."""
    log = tmp_path / "some.log"
    log.write_text(
        f"I: Association Received (a{ESCAPES}b:M\x07E -> O\x1b[31m)\n"
        f"E: so{ESCAPES}\nF: Association Request Failed: {ESCAPES}\n"
    )
    for more in ((), ("--json",)):
        done = command("explain", log, *more)
        assert done.stdout
        assert plain(done.stdout + done.stderr), done.stdout


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_n15_the_log_of_serve_is_lines_that_no_peer_can_forge(tmp_path, more):
    """AE titles, user names, noise, commands: escaped, and nothing of theirs begins a line."""
    user = b"\x1b[2J\nI: forged"
    identity = b"\x58\0" + (6 + len(user)).to_bytes(2, "big") + b"\1\0"
    identity += len(user).to_bytes(2, "big") + user + b"\0\0"
    with serve_process(tmp_path, "--log-level", "debug", *more) as (_, port, log):
        for calling, called in (
            (b"\x1b[2J", b"X"),
            (b"A\nI: forged", b"X"),
            (b"A", b"\x1b]0;x\x07"),
        ):
            with Raw(port) as raw:
                context = [(1, VERIFICATION, [EXPLICIT_LE])]
                raw.send(associate_rq(context, calling=calling, called=called))
                raw.connection.shutdown(1)
                raw.until_closed()
        with Raw(port) as raw:
            raw.associate(more=identity)
            raw.release()
        with Raw(port) as raw:
            raw.send(b"\x1b[2J\nI: forged\n" * 10)
            raw.connection.shutdown(1)
            raw.until_closed()
        with Raw(port) as raw:
            raw.associate(IMPLICIT_CT)
            raw.store(b"1.2\x1b[2J\nI: forged", small("1.2"))
            raw.status()
            raw.release()
        assert echoes(port)
        text = log.read_text()
    assert plain(text)
    assert not re.search(r"^I: forged", text, re.MULTILINE)


@pytest.fixture
def evil_files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for number, text in enumerate([*FORMULAS, ESCAPES, 'a,"b\nc', "-120.5\\3", "Doe^Jane"]):
        raw = text.encode()
        name = element(0x00080005, "CS", b"ISO_IR 192")
        data = name + element(0x00100020, "LO", raw + b" " * (len(raw) % 2))
        (folder / f"{number}.dcm").write_bytes(part10(data, EXPLICIT_LE))
    (folder / "=x\x1b[2J.dcm").write_bytes(b"nothing")
    return folder


def test_n15_an_index_has_the_values_and_for_a_spreadsheet_no_formula(evil_files, tmp_path):
    """CSV for programs is exact; --spreadsheet has apostrophes, but numbers as they are."""
    for spreadsheet in (False, True):
        out = tmp_path / "out.csv"
        index(evil_files, out, ["PatientID"], spreadsheet=spreadsheet)
        with out.open(newline="", encoding="utf-8") as file:
            rows = {row["Filename"]: row for row in csv.DictReader(file)}
        assert len(rows) == len(FORMULAS) + 5
        values = sorted(row["PatientID"] for row in rows.values())
        if not spreadsheet:
            assert FORMULAS[0] in values
            assert [value for value in values if "\x1b" in value]
            continue
        cells = [cell for row in rows.values() for cell in row.values()]
        assert [one for one in cells if one.lstrip()[:1] in tuple("=+-@") and one] == ["-120.5\\3"]
        assert all(cell.isprintable() for cell in cells)
        assert f"'{FORMULAS[0]}" in values
        assert "Doe^Jane" in values
    done = command("index", evil_files, "-t", "PatientID", "--spreadsheet")
    assert plain(done.stdout)
    assert "'=cmd" in done.stdout
    with pytest.raises(ValueError, match="spreadsheet is for csv"):
        index(evil_files, tmp_path / "out.jsonl", spreadsheet=True)


def test_n15_an_index_on_a_terminal_does_no_harm(evil_files):
    """Without an output, in a terminal, it is what --spreadsheet writes."""
    arguments = ["dicomloom", "index", str(evil_files), "-t", "PatientID"]
    shown = ["script", "-qec", " ".join(arguments), "/dev/null"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "TERM": "dumb",
        "HOME": "/nowhere",
    }
    done = subprocess.run(
        shown,
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    text = done.stdout.decode().replace("\r\n", "\n")
    assert "'=cmd" in text
    assert "\x1b" not in re.sub(r"\r?\x1b\[K", "", text)  # the progress line's own


def test_n15_names_of_files_do_no_harm_in_errors(tmp_path):
    """A name with escape sequences, of a file that cannot be read: one plain line."""
    evil = tmp_path / "a\x1b[2J\nb.dcm"
    evil.write_bytes(b"nothing of ours")
    for arguments in (("frames", evil), ("send", "PEER@127.0.0.1:1", evil)):
        done = command(*arguments)
        assert done.returncode
        assert plain(done.stderr)
        assert "\\x1b[2J\\nb.dcm" in done.stderr
