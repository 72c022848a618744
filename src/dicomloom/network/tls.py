"""TLS for both ends of an association by BCP 195 (PS3.15 Annex B), from one place."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import time
import traceback
from collections.abc import Iterator

from dicomloom.errors import NodeError, TLSError
from dicomloom.network.node import Node
from dicomloom.system import ready

# RFC 9325 4.2 for TLS 1.2: forward secrecy and authenticated encryption. TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def _refuse_password() -> str:
    # Without this, OpenSSL asks at the terminal, and a service would hang.
    raise NodeError(
        "the private key is encrypted; expected one that is not, readable to its owner only, as "
        "openssl pkey -in KEY -out PLAIN makes it"
    )


def _about(error: OSError, what: str) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the private key does not belong to the certificate"
        return f"expected {what} in PEM form ({error.reason or error})"
    return error.strerror or str(error)


def _present(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    """Let a context show our own certificate."""
    for name, path in (("tls_cert", cert_file), ("tls_key", key_file)):
        # OpenSSL does not tell which of the two it could not open.
        try:
            if path is not None:
                with open(path, "rb"):
                    pass
        except OSError as error:
            raise NodeError(f"{name}: {error.strerror}", path=path) from error
    try:
        context.load_cert_chain(cert_file, key_file, _refuse_password)
    except NodeError as error:
        raise NodeError(f"tls_key: {error.message}", path=key_file or cert_file) from None
    except OSError as error:
        about = _about(error, "a certificate and its private key")
        raise NodeError(f"tls_cert, tls_key: {about}", path=cert_file) from error


def make_context(
    *,
    server: bool = False,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    check_hostname: bool = True,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return an SSL context by BCP 195: TLS 1.2 at least, forward secrecy, no old ciphers.

    Parameters
    ----------
    server : bool
        Whether it is for the end that accepts associations; it needs a certificate and, where
        `ca_file` is given, wants one of the peer that is signed by one of these.
    ca_file : str or None
        PEM certificates to trust; None: the system's, or of a server no peer certificate at all.
    cert_file, key_file : str or None
        Our own certificate with its chain, and its private key; None: the key is in `cert_file`.
    check_hostname : bool
        Of a client: whether the certificate must be made out to the host.
    verify : bool
        Of a client: whether the certificate must be signed by one that is trusted. Without, the
        caller has to compare its fingerprint.

    Raises
    ------
    NodeError
        A file is missing, is no PEM, or key and certificate do not belong together; its `path`
        is that file.

    Examples
    --------
    >>> make_context().minimum_version.name
    'TLSv1_2'
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not server:
        context.check_hostname = check_hostname and verify
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            about = _about(error, "certificates to trust")
            raise NodeError(f"tls_ca: {about}", path=ca_file) from error
        context.verify_mode = ssl.CERT_REQUIRED
    elif verify and not server:
        context.load_default_certs()
    if cert_file is not None:
        _present(context, cert_file, key_file)
    elif server:
        raise NodeError("a server needs a certificate: give tls_cert and tls_key")
    return context


def client_context(node: Node) -> ssl.SSLContext:
    """Return the context to speak TLS with a node by its tls fields; see `make_context`."""
    return make_context(
        ca_file=node.tls_ca,
        cert_file=node.tls_cert,
        key_file=node.tls_key,
        check_hostname=node.tls_check_hostname,
        verify=node.tls_pin is None or node.tls_ca is not None,
    )


def secure(node: Node, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Do the handshake as a client; the time-out of the socket holds for each of its steps.

    Raises
    ------
    TLSError
        The two ends do not agree, or the peer is not whom the node describes.
    TimeoutError
        The peer did not answer in time.
    """
    try:
        with explaining(node):
            wrapped = context.wrap_socket(connection, server_hostname=node.host.partition("%")[0])
    except Exception as error:
        # Where the peer has reset the connection before, the ssl module leaves its socket open, and
        # nobody has it but the frames of the traceback: it would be open as long as the exception.
        traceback.clear_frames(getattr(error.__cause__, "__traceback__", None))
        raise
    if wrapped.version() is None:
        # The peer had left before: the ssl module then does no handshake, and says nothing.
        wrapped.close()
        raise _error(node, "plain", _CLOSED, _PLAIN)
    if node.tls_pin is not None:
        certificate = wrapped.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).hexdigest()
        if found != node.tls_pin:
            wrapped.close()
            raise _error(
                node,
                "pin",
                f"expected the certificate with the SHA-256 fingerprint {node.tls_pin}, "
                f"found {found}",
                "if the peer has a new certificate, ask its administrator for the new fingerprint",
            )
    return wrapped


@contextlib.contextmanager
def explaining(node: Node) -> Iterator[None]:
    """Turn what the ssl module says in the block into a `TLSError`; leave time-outs alone."""
    try:
        yield
    except TimeoutError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(node, error) from error
    except ssl.SSLError as error:
        raise explain(node, error) from error
    except OSError as error:
        raise _error(node, "plain", _CLOSED, _PLAIN) from error


_CLOSED = "the peer closed the connection during the TLS handshake"
_PLAIN = (
    "perhaps it speaks DICOM without TLS on this port: ask for its secure port, or leave out tls"
)
_SIGNED = (
    "give the certificate of the authority that signed it, or the certificate itself if it is "
    "self-signed, as tls_ca (--tls-ca), or its fingerprint as tls_pin (--tls-pin)"
)


def _error(node: Node, reason: str, message: str, hint: str) -> TLSError:
    error = TLSError(message, node=str(node), hint=hint)
    error.host, error.port, error.reason = node.host, node.port, reason
    return error


def _untrusted(node: Node, error: ssl.SSLCertVerificationError) -> TLSError:
    # X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH
    if error.verify_code in (62, 64):
        return _error(
            node,
            "host-name",
            f"the peer's certificate is not made out to {node.host}",
            "use the name that stands in it, or turn the check off if you know why "
            "(tls_check_hostname = false, --no-tls-check-hostname)",
        )
    hint = _SIGNED
    if error.verify_code in (9, 10):  # not yet valid, expired
        hint = "the peer needs a new certificate; check the clocks of both ends, too"
    return _error(
        node, "certificate", f"the peer's certificate is not trusted: {error.verify_message}", hint
    )


def explain(node: Node, error: ssl.SSLError) -> TLSError:
    """Return what an error of the ssl module means to who looks after the node."""
    word = error.reason or ("EOF" if isinstance(error, ssl.SSLEOFError) else str(error))
    if "ALERT" in word:
        words = word.partition("ALERT_")[2].replace("_", " ").lower()
        hint = "see the log of the peer"
        if "UNKNOWN_CA" in word or "CERTIFICATE" in word or "HANDSHAKE" in word:
            hint = (
                "it may want a certificate of ours that it trusts (tls_cert and tls_key), "
                "or have no cipher of BCP 195"
            )
        elif "VERSION" in word:
            hint = "it speaks no TLS 1.2 or newer: it needs an update"
        return _error(node, "alert", f"the peer refused TLS: {words or word}", hint)
    if word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return _error(node, "plain", "the peer's answer is no TLS", _PLAIN)
    if "EOF" in word:
        return _error(node, "plain", _CLOSED, _PLAIN)
    if word == "UNSUPPORTED_PROTOCOL":
        hint = "it speaks no TLS 1.2 or newer: it needs an update"
        return _error(node, "tls", "the peer wants a TLS version that is not safe", hint)
    return _error(node, "tls", f"TLS with the peer failed: {word}", "see the log of the peer")


def accept(connection: socket.socket, context: ssl.SSLContext, seconds: float) -> ssl.SSLSocket:
    """Do the handshake as a server, all of it within so many seconds.

    Raises
    ------
    OSError
        The two ends do not agree (ssl.SSLError), or the peer left; `connection` is closed.
    TimeoutError
        The peer did not complete it; `connection` is closed.
    """
    end = time.monotonic() + seconds
    # Without this, each byte of a peer would have all the time.
    wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        wrapped.settimeout(0)
        while True:
            try:
                wrapped.do_handshake()
                return wrapped
            except ssl.SSLWantReadError:
                to_write = False
            except ssl.SSLWantWriteError:
                to_write = True
            left = end - time.monotonic()
            if left <= 0 or not ready([wrapped.fileno()], left, to_write=to_write):
                raise TimeoutError("the peer did not complete the TLS handshake")
    except BaseException:
        wrapped.close()
        raise
