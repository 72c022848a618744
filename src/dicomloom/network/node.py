"""Nodes: the peers of associations, written as ``AET@host:port`` or found by name."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any

from dicomloom.errors import NodeError

CALLING_AE_TITLE = "DICOMLOOM"
MAX_PDU = 128 << 10
# PS3.5 6.2, AE: the default repertoire without backslash and control characters.
_AE_TITLE = re.compile(r"[ !-\[\]-~]{1,16}")
_HOST_PORT = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]@/]+)):(?P<port>[0-9]{1,5})"
)

_LISTEN = re.compile(r"(?:(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^\s:\[\]]*)):)?(?P<port>[0-9]{1,5})")


def check_ae_title(text: str, what: str = "AE title") -> str:
    """Return an AE title without its padding (PS3.5 6.2).

    Raises
    ------
    NodeError
        It is empty, too long, or has characters that an AE title cannot have.

    Examples
    --------
    >>> check_ae_title("PACS ")
    'PACS'
    """
    if not _AE_TITLE.fullmatch(text) or not text.strip():
        raise NodeError(
            f"{text!r} is no {what}: expected 1 to 16 ASCII characters, not only spaces, without "
            "backslash and control characters (PS3.5 6.2)"
        )
    return text.strip()


def read_listen(text: str) -> tuple[str, int]:
    """Return address and port of ``ADDRESS:PORT``; the address may be left out.

    Raises
    ------
    NodeError
        It is not written so.

    Examples
    --------
    >>> read_listen("10.1.0.7:11112"), read_listen("[::1]:104"), read_listen("11112")
    (('10.1.0.7', 11112), ('::1', 104), ('', 11112))
    """
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise NodeError(
            f"listen: expected ADDRESS:PORT, such as 10.1.0.7:11112, [::1]:11112 or 11112, "
            f"not {text!r}"
        )
    return match["v6"] or match["host"] or "", int(match["port"])


@dataclass(frozen=True)
class Node:
    """A peer, and how to talk to it.

    Parameters
    ----------
    address : str
        ``AET@host:port``; an IPv6 address in brackets, ``PACS@[::1]:11112``.

    Attributes
    ----------
    ae_title, host, port : str, str, int
        Of the peer: the called AE title and where it listens.
    calling_ae_title : str
        What we call ourselves.
    timeout : float
        Seconds to wait for each step: a connection, the answer to an association request, the
        answer to a DIMSE request, the rest of a PDU that has begun.
    connect_timeout, acse_timeout, dimse_timeout : float or None
        The same for one step, where it is to differ.
    idle_timeout : float
        Seconds after which an association that nothing goes over is aborted.
    max_pdu : int
        Bytes of the largest P-DATA-TF PDU that is taken (PS3.8 D.1), 4096 to 16 MiB.
    tls : bool
        Whether to speak TLS. The other fields that begin with tls need it.
    tls_ca : str or None
        A PEM file of certificates that are trusted, instead of the system's.
    tls_cert, tls_key : str or None
        PEM files of our certificate, with its chain, and of its private key, not encrypted.
    tls_pin : str or None
        SHA-256 fingerprint of the peer's certificate, in hexadecimal digits; colons may stand
        between. Without `tls_ca` it alone decides whom to trust.
    tls_check_hostname : bool
        Whether the certificate must be made out to `host`.
    username, passcode : str or None
        User identity (PS3.7 D.3.3.7). The passcode is never shown; without TLS it travels in clear.
    name, origin : str
        The name of the node in a configuration, and its file; "" where it has none.

    Raises
    ------
    NodeError
        A field has a value that makes no sense; the message names it.

    Examples
    --------
    >>> node = Node("PACS@[::1]:11112", timeout=5)
    >>> node.ae_title, node.host, node.port
    ('PACS', '::1', 11112)
    >>> str(node)
    'PACS@[::1]:11112'
    """

    address: InitVar[str]
    _: KW_ONLY
    ae_title: str = field(init=False)
    host: str = field(init=False)
    port: int = field(init=False)
    calling_ae_title: str = CALLING_AE_TITLE
    timeout: float = 30.0
    connect_timeout: float | None = None
    acse_timeout: float | None = None
    dimse_timeout: float | None = None
    idle_timeout: float = 60.0
    max_pdu: int = MAX_PDU
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_pin: str | None = None
    tls_check_hostname: bool = True
    username: str | None = None
    passcode: str | None = field(default=None, repr=False)
    name: str = ""
    origin: str = ""

    def __post_init__(self, address: str) -> None:
        """Take the address apart and check what was given."""
        ae_title, at, where = address.rpartition("@")
        match = _HOST_PORT.fullmatch(where)
        if not at or not match:
            raise NodeError(
                f"{address!r} is no node: expected AET@host:port, as in PACS@pacs.example.org:104 "
                "or PACS@[::1]:104"
            )
        port = int(match["port"])
        if not 1 <= port <= 65535:
            raise NodeError(f"{address!r}: expected a port from 1 to 65535, found {port}")
        self._set("ae_title", check_ae_title(ae_title, "called AE title"))
        self._set("host", match["v6"] or match["host"])
        self._set("port", port)
        self._set("calling_ae_title", check_ae_title(self.calling_ae_title, "calling AE title"))
        self._check_numbers()
        self._check_tls()
        self._check_user()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_numbers(self) -> None:
        for name in ("timeout", "connect_timeout", "acse_timeout", "dimse_timeout", "idle_timeout"):
            value = getattr(self, name)
            if value is None and name in ("connect_timeout", "acse_timeout", "dimse_timeout"):
                continue
            # A day: beyond that, some systems cannot wait so long in one call.
            if not 0 < value <= 86400:
                raise NodeError(f"{name}: expected seconds, more than 0, up to 86400, not {value}")
        if not 4096 <= self.max_pdu <= 16 << 20:
            raise NodeError(
                f"max_pdu: expected bytes from 4096 to {16 << 20}, found {self.max_pdu}"
            )

    def _check_tls(self) -> None:
        if not self.tls:
            for name in ("tls_ca", "tls_cert", "tls_key", "tls_pin"):
                if getattr(self, name) is not None:
                    raise NodeError(f"{name} is given, but tls is not on")
        if self.tls_key is not None and self.tls_cert is None:
            raise NodeError("tls_key is given, but not the certificate it belongs to, tls_cert")
        if self.tls_pin is not None:
            digits = self.tls_pin.replace(":", "").lower()
            if not re.fullmatch("[0-9a-f]{64}", digits):
                raise NodeError(
                    "tls_pin: expected the 64 hexadecimal digits of a SHA-256 fingerprint, as "
                    "openssl x509 -fingerprint -sha256 prints them"
                )
            self._set("tls_pin", digits)

    def _check_user(self) -> None:
        if self.passcode is not None and self.username is None:
            raise NodeError("passcode is given, but no username")
        for name in ("username", "passcode"):
            value = getattr(self, name)
            # The item's lengths have 16 bits (PS3.7 D.3.3.7.1).
            if value is not None and not 1 <= len(value.encode()) <= 65535:
                raise NodeError(f"{name}: expected 1 to 65535 bytes of UTF-8")

    def __str__(self) -> str:
        """``AET@host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"

    def wait(self, step: str) -> float:
        """Return how many seconds to wait for ``connect``, ``acse`` or ``dimse``."""
        own: float | None = getattr(self, f"{step}_timeout")
        return self.timeout if own is None else own

    def replace(self, **changes: Any) -> Node:
        """Return the same node with other fields; all but ``ae_title``, ``host``, ``port``.

        Examples
        --------
        >>> Node("PACS@pacs:104").replace(timeout=2).timeout
        2
        """
        return Node(str(self), **self._settings() | changes)

    def renamed(self, address: str, calling_ae_title: str) -> Node:
        """Return a node with the same settings at another address, called by another title.

        Examples
        --------
        >>> str(Node("PACS@pacs:104", timeout=2).renamed("OTHER@pacs:104", "ME"))
        'OTHER@pacs:104'
        """
        return Node(address, **self._settings() | {"calling_ae_title": calling_ae_title})

    def _settings(self) -> dict[str, Any]:
        return {
            item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.init
        }

    @classmethod
    def of(cls, text: str, config: str | None = None) -> Node:
        """Return the node that a user means: ``AET@host:port``, or a name in a configuration.

        Parameters
        ----------
        text : str
        config : str or None
            The TOML file to look in; None: that of the environment variable DICOMLOOM_CONFIG,
            else ``dicomloom/config.toml`` in the user's configuration folder.

        Raises
        ------
        NodeError
            It is neither, or the configuration is wrong.
        ReadError
            The configuration cannot be read.

        Examples
        --------
        >>> Node.of("PACS@pacs.example.org:104").host
        'pacs.example.org'
        """
        if "@" in text:
            return cls(text)
        from dicomloom.network.config import find

        return find(text, config)
