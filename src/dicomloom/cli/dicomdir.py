"""`dicomloom dicomdir`."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli import options

TYPE_CHECKING = False  # --help imports nothing that reads
if TYPE_CHECKING:
    from dicomloom.media.findings import Finding
    from dicomloom.media.tree import Node

EPILOG = """\
examples:
  dicomloom dicomdir create DISC --profile STD-GEN-CD --id STUDY_1
  dicomloom dicomdir create incoming --copy-to DISC --icons
  dicomloom dicomdir tree DISC/DICOMDIR
  dicomloom dicomdir list DISC/DICOMDIR --json | jq .path
  dicomloom dicomdir check DISC/DICOMDIR
  dicomloom dicomdir extract DISC/DICOMDIR --where 'PatientID=42*' -d out

exit codes: 0 all well; 1 something is wrong with files or records, and was told; 2 usage;
20 input cannot be read; 40 output cannot be written.
"""
_MOST = 20  # findings of a kind that are told one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("action", choices=("create", "list", "tree", "check", "extract"))
    parser.add_argument("path", metavar="PATH", help="a DICOMDIR; for create a folder")
    parser.add_argument(
        "--profile",
        metavar="P",
        help="create: a profile of PS3.11 to check against: STD-GEN-CD ...",
    )
    parser.add_argument(
        "--id",
        default="",
        metavar="ID",
        help="create: File-set ID, up to 16 of A-Z 0-9 _ and space",
    )
    parser.add_argument(
        "--copy-to", metavar="DEST", help="create: copy the files to a new folder, to valid names"
    )
    parser.add_argument("--icons", action="store_true", help="create: add small images")
    parser.add_argument(
        "--where",
        action="append",
        type=options.setting,
        default=[],
        metavar="KEYWORD=VALUE",
        help="extract and list: only such instances; * and ? stand for any",
    )
    parser.add_argument("-d", "--directory", metavar="DIR", help="extract: where to copy to")
    options.add_jobs(parser)
    options.add_isolation(parser)
    options.add_json(parser, "instances or findings, a line each,")


def run(arguments: argparse.Namespace) -> int:
    """Make, show, check or unpack a file-set."""
    from dicomloom.tags import parse_tag

    for keyword, _ in arguments.where:
        parse_tag(keyword)
    if arguments.action == "create":
        return _create(arguments)
    if arguments.action == "check":
        from dicomloom.media.check import check

        return _tell(check(arguments.path), arguments.json, sys.stdout)
    if arguments.action == "extract":
        return _extract(arguments)
    return _show(arguments)


def _create(arguments: argparse.Namespace) -> int:
    from dicomloom.media.tree import DicomDir

    try:
        with options.isolation(arguments) as isolation:
            made = DicomDir.create(
                arguments.path,
                None,
                profile=arguments.profile,
                file_set_id=arguments.id,
                copy_to=arguments.copy_to,
                icons=arguments.icons,
                jobs=arguments.jobs,
                isolate=isolation or False,
            )
    except ValueError as error:
        from dicomloom.errors import DicomloomError

        if isinstance(error, DicomloomError):
            raise
        raise options.UsageError(str(error)) from None
    return _tell(made.findings, arguments.json, sys.stdout if arguments.json else sys.stderr)


def _extract(arguments: argparse.Namespace) -> int:
    if arguments.directory is None:
        raise options.UsageError("say where to copy to: -d DIR")
    from dicomloom.media.check import extract

    copied, findings = extract(arguments.path, arguments.directory, dict(arguments.where))
    sys.stderr.write(f"{arguments.directory}: {copied:,} files\n")
    return _tell(findings, arguments.json, sys.stdout if arguments.json else sys.stderr)


def _tell(findings: list[Finding], as_json: bool, into: object) -> int:
    """Print findings; returns the exit code."""
    write = into.write  # type: ignore[attr-defined]
    if as_json:
        import json

        for finding in findings:
            write(json.dumps(finding._asdict()) + "\n")
    else:
        counts: dict[str, int] = {}
        for finding in findings:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
            if counts[finding.kind] <= _MOST:
                at = "" if finding.offset is None else f" at {finding.offset}"
                write(f"{finding.kind:<13}{_plain(finding.path)}{at}: {_plain(finding.message)}\n")
        for kind, count in counts.items():
            if count > _MOST:
                write(f"{kind:<13}and {count - _MOST:,} more: --json tells all\n")
    return int(any(finding.is_fault for finding in findings))


def _plain(text: str) -> str:
    """Return text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


_LINE = {
    "PATIENT": ("PatientID", "PatientName"),
    "STUDY": ("StudyDate", "StudyID", "StudyDescription"),
    "SERIES": ("Modality", "SeriesNumber", "SeriesDescription"),
}


def _line(node: Node) -> str:
    known = _LINE.get(node.kind, ("InstanceNumber",))
    texts = [node.kind, *(node.get(keyword) or "-" for keyword in known)]
    if node.file_id:
        texts.append(node.file_id)
    return "  ".join(map(_plain, texts))


def _show(arguments: argparse.Namespace) -> int:
    from dicomloom.media.directory import SHOWN
    from dicomloom.media.tree import DicomDir, walk

    opened = DicomDir.open(arguments.path)
    wanted = dict(arguments.where)
    if arguments.json or arguments.action == "list":
        import json

        for node in opened.instances:
            if not node.matches(wanted):
                continue
            if arguments.json:
                facts = {keyword: node.get(keyword) for keyword in SHOWN}
                facts |= {"SOPInstanceUID": node.sop_instance_uid, "type": node.kind}
                sys.stdout.write(json.dumps({"path": node.path, **facts}) + "\n")
            else:
                sys.stdout.write(f"{_plain(node.path or '-')}\n")
    else:
        for node, depth in walk(opened.children):
            sys.stdout.write("  " * depth + _line(node) + "\n")
    return _tell(opened.findings, False, sys.stderr)
