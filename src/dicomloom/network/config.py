"""Nodes by name, from a TOML file."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from typing import Any

from dicomloom.errors import NodeError
from dicomloom.files import unreadable
from dicomloom.network.node import Node

_VARIABLE = "DICOMLOOM_CONFIG"
_LIMIT = 1 << 20
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "float | None": (int, float),
}
_WORDS = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}
_FILES = ("tls_ca", "tls_cert", "tls_key")
# What a table must have is what an address has.
_ADDRESS = ("ae_title", "host", "port")
_KEYS = {
    item.name: _TYPES[str(item.type)]
    for item in dataclasses.fields(Node)
    if item.name not in ("name", "origin")
}


def path_of(config: str | None = None) -> tuple[str, bool]:
    """Return the file that nodes come from, and whether it was asked for.

    `config` comes first, then the environment variable DICOMLOOM_CONFIG, then
    ``dicomloom/config.toml`` in XDG_CONFIG_HOME or ``~/.config``, which need not exist.

    Examples
    --------
    >>> path_of("site.toml")
    ('site.toml', True)
    """
    chosen = config or os.environ.get(_VARIABLE)
    if chosen:
        return os.path.expanduser(chosen), True
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "dicomloom", "config.toml"), False


def _load(path: str, asked: bool) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT + 1)
    except FileNotFoundError as error:
        if not asked:
            return {}
        raise unreadable(path, error, "the configuration") from error
    except OSError as error:
        raise unreadable(path, error, "the configuration") from error
    if len(data) > _LIMIT:
        raise NodeError(f"expected a configuration of at most {_LIMIT} bytes", path=path)
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NodeError(f"expected TOML: {error}", path=path) from error


def _nearest(word: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _node(path: str, name: str, table: object) -> Node:
    where = f"[nodes.{name}]"
    if not isinstance(table, dict):
        raise NodeError(f"{where}: expected a table with ae_title, host and port", path=path)
    if not name or "@" in name or not name.isprintable():
        raise NodeError(f"{where}: expected a name of printable characters without @", path=path)
    for key, value in table.items():
        kinds = _KEYS.get(key)
        if kinds is None:
            raise NodeError(f"{where}: unknown key {key!r}{_nearest(key, list(_KEYS))}", path=path)
        # A bool is an int to Python, not to TOML.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise NodeError(
                f"{where}: {key}: expected {_WORDS[kinds[-1]]}, found {_kind(value)}", path=path
            )
    for key in _ADDRESS:
        if key not in table:
            raise NodeError(f"{where}: {key} is missing", path=path)
    given = {key: value for key, value in table.items() if key not in _ADDRESS}
    for key in _FILES:
        if key in given:
            # A file name means the same wherever the command is started.
            given[key] = os.path.join(
                os.path.dirname(os.path.abspath(path)), os.path.expanduser(given[key])
            )
    host = f"[{table['host']}]" if ":" in table["host"] else table["host"]
    try:
        return Node(f"{table['ae_title']}@{host}:{table['port']}", name=name, origin=path, **given)
    except NodeError as error:
        raise NodeError(f"{where}: {error.message}", path=path) from error


def _kind(value: object) -> str:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return _WORDS[kind]
    return "a table" if isinstance(value, dict) else "an array or a date"


def nodes(config: str | None = None) -> dict[str, Node]:
    """Return all nodes of a configuration by name; see `path_of`.

    Raises
    ------
    NodeError
        The file is wrong: the message names file, node and key.
    ReadError
        A file that was asked for cannot be read.
    """
    path, asked = path_of(config)
    document = _load(path, asked)
    for key in document:
        if key != "nodes":
            raise NodeError(f"unknown key {key!r}: expected tables such as [nodes.pacs]", path=path)
    tables = document.get("nodes", {})
    if not isinstance(tables, dict):
        raise NodeError("nodes: expected tables such as [nodes.pacs]", path=path)
    return {name: _node(path, name, table) for name, table in tables.items()}


def find(name: str, config: str | None = None) -> Node:
    """Return the node of that name.

    Raises
    ------
    NodeError
        There is none, or the file is wrong.
    ReadError
        A file that was asked for cannot be read.
    """
    known = nodes(config)
    if name in known:
        return known[name]
    path, _ = path_of(config)
    raise NodeError(
        f"{name!r} is neither AET@host:port nor a node of {path}"
        f"{_nearest(name, list(known)) or ', which has ' + (', '.join(known) or 'none')}"
    )
