"""HTTPS to a collector that is known by the pinned key of its certificate authority, whoever answers in the network.

The authority's certificate may be fetched over an unchecked connection, for the pin alone says whether it is the right
one; everything else goes over a connection that OpenSSL has checked against it, name included. Validity dates are
ignored where this machine's clock knows nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kiosk.errors import CollectorRefused, CollectorUnreachable, WrongPin

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 131_072  # an answer is an envelope, at most 65,536 bytes
AUTHORITY_PATH = "/api/v1/provisioning/authority"
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, x509_vfy.h; the ssl module has no name for it


def ignore_dates(context: ssl.SSLContext) -> None:
    """Let certificates count whatever their dates: for a machine whose clock knows nothing."""
    context.verify_flags = ssl.VerifyFlags(int(context.verify_flags) | _NO_CHECK_TIME)


def pin_of(pem: str) -> str:
    """Lower-case hex SHA-256 of the SubjectPublicKeyInfo of a certificate. Raises ValueError."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _first_alone(pem: str) -> str:
    """Return the one certificate that the pin speaks of, whatever else the text has. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.PEM).decode()


class PinnedServer:
    """One collector. `authority`: its authority's certificate (PEM), fetched and held against `pin` where not given.

    Raises WrongPin or CollectorUnreachable.
    """

    def __init__(self, url: str, pin: str, *, authority: str | None = None, check_dates: bool = True) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        given = authority if authority is not None else self._fetch_authority()
        try:
            found = pin_of(given)
            self.authority = _first_alone(given)  # what stands behind it nobody has pinned
        except ValueError as error:
            raise WrongPin(f"{url} has no certificate authority to show; check the code and the network") from error
        if found != pin:
            raise WrongPin(
                f"{url} is not the collector that the code is from (authority {found[:16]}…, expected {pin[:16]}…); "
                "somebody may stand between: do not go on in this network"
            )
        self._context = ssl.create_default_context(cadata=self.authority)
        if not check_dates:
            ignore_dates(self._context)

    def get(self, path: str) -> bytes:
        """Return what lies there. Raises as `post`."""
        return self._ask("GET", path, None, self._context)

    def post(
        self, path: str, data: bytes, *, content_type: str = "application/json", at_most: int = MAX_ANSWER_BYTES
    ) -> bytes:
        """Send an envelope, or more; return the answer, `at_most` so many bytes of it.

        Raises CollectorUnreachable, WrongPin or CollectorRefused.
        """
        return self._ask("POST", path, data, self._context, content_type, at_most)

    def _fetch_authority(self) -> str:
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        return self._ask("GET", AUTHORITY_PATH, None, unchecked).decode("ascii", "replace")

    def _ask(
        self,
        method: str,
        path: str,
        data: bytes | None,
        context: ssl.SSLContext,
        content_type: str = "application/json",
        at_most: int = MAX_ANSWER_BYTES,
    ) -> bytes:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=context)
        try:
            connection.request(method, path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            body = answer.read(at_most)
        except ssl.SSLCertVerificationError as error:
            raise WrongPin(
                f"{self._host}:{self._port} shows a certificate that the pinned authority does not stand for "
                f"({error.verify_message}); check the name, and the clock where a date is meant"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise CollectorUnreachable(f"{self._host}:{self._port} does not answer ({error}); try again") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise CollectorRefused(_said(body) or f"the collector answered {answer.status} {answer.reason}")
        return body


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])[:400]
    except (ValueError, KeyError, TypeError):
        return ""
