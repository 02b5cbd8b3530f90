"""Joining a collector with a one-time code, and keeping the certificate for its broker fresh.

What is joined lies in the data folder: `joined.toml` (settings, under those of the operator's file), `transport.key`
and `.pem`, `authority.pem`. The event key never leaves; it signs the request, so the collector knows that we have it.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from evidence.envelope import INQUIRY_TYPE, RENEWAL_TYPE
from evidence.errors import EvidenceError
from evidence.keys import PublicKey, SigningKey
from evidence.provisioning import (
    Answer,
    ClaimCode,
    Inquiry,
    Join,
    Membership,
    Renewal,
    sign_join,
    verify_answer,
)
from evidence.signed_fact import sign_fact
from kiosk.durable_file import replace_file
from kiosk.errors import CollectorRefused, CollectorUnreachable, JoinDenied, JoinUnanswered, WrongPin
from kiosk.identity import read_or_make
from kiosk.joined import Joined
from kiosk.pinned_https import PinnedServer, pin_of
from kiosk.pinned_keys import HANDOVERS, believed_keys, take_handovers
from kiosk.version import software

ASK_EVERY_S = 2.0
_ROOT = "/api/v1/provisioning"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the installer is shown while an administrator decides: the same fingerprint stands at the collector."""

    device: str
    site: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class JoinedNow:
    """What came of it."""

    device: str
    site: str
    fingerprint: str
    collector_time: str  # a coarse reading: as old as the answer's way here
    behind_s: int  # how far this machine's clock is behind it
    settings: Path


def join(
    code: ClaimCode,
    folder: Path,
    key: SigningKey,
    *,
    check_dates: bool,
    show: Callable[[Waiting], None],
    patience_s: float,
) -> JoinedNow:
    """Ask to join, wait for the administrator, keep what the collector gives.

    A wait that is broken off goes on with the same code: the collector knows the key. Raises WrongPin,
    CollectorUnreachable, CollectorRefused (the code), JoinDenied, JoinUnanswered, an IdentityError, or an EvidenceError
    for an answer that the collector did not sign.
    """
    server = PinnedServer(code.url, code.pin, check_dates=check_dates)
    transport = _transport_key(folder)
    command_key = PublicKey.parse(code.command)

    def verified(data: bytes, nonce: str) -> Answer:
        return verify_answer(data, command_key, nonce=nonce, device=code.device, site=code.site, key_id=key.public.id)

    nonce = secrets.token_hex(16)
    asked = Join(
        secret=code.secret,
        site=code.site,
        device=code.device,
        key=key.public.text(),
        csr=_request(folder, transport, code.device),
        nonce=nonce,
        software=software(),
    )
    answer = verified(server.post(f"{_ROOT}/join", sign_join(asked, key)), nonce)
    show(Waiting(code.device, code.site, key.public.fingerprint))
    deadline = time.monotonic() + patience_s
    while answer.state == "waiting":
        if time.monotonic() > deadline:
            raise JoinUnanswered("nobody has approved this terminal yet; run the same command again to go on waiting")
        time.sleep(ASK_EVERY_S)
        nonce = secrets.token_hex(16)
        question = Inquiry(join=answer.join or "", device=code.device, nonce=nonce)
        try:
            answer = verified(server.post(f"{_ROOT}/inquire", sign_fact(INQUIRY_TYPE, question, key)), nonce)
        except CollectorUnreachable as error:
            log.info("join_interrupted", why=str(error))
    if answer.state == "denied" or answer.membership is None:
        raise JoinDenied(f"an administrator refused {code.device} with the key {key.public.fingerprint}")
    _keep(folder, answer.membership, code.pin, code.device, transport)
    settings = Joined.of(code, answer.membership).write(folder)
    return JoinedNow(code.device, code.site, key.public.fingerprint, answer.time, _behind_s(answer.time), settings)


def renew(joined: Joined, folder: Path, key: SigningKey, *, check_dates: bool) -> datetime:
    """Get a new certificate for the same TLS key against a signature of the event key; return when it ends.

    Works long after the old one has ended. Raises as `join`.
    """
    server = PinnedServer(
        joined.collector_url, joined.collector_pin, authority=joined.authority(folder), check_dates=check_dates
    )
    command = _command_key(joined, folder, server)
    transport, nonce = _transport_key(folder), secrets.token_hex(16)
    asked = Renewal(device=joined.device, site=joined.site, csr=_request(folder, transport, joined.device), nonce=nonce)
    data = server.post(f"{_ROOT}/renew", sign_fact(RENEWAL_TYPE, asked, key))
    answer = verify_answer(
        data,
        command,
        nonce=nonce,
        device=joined.device,
        site=joined.site,
        key_id=key.public.id,
    )
    if answer.membership is None:
        raise JoinDenied("the collector gave no certificate")
    _keep(folder, answer.membership, joined.collector_pin, joined.device, transport)
    return certificate_ends(folder)


def _command_key(joined: Joined, folder: Path, server: PinnedServer) -> PublicKey:
    """Return the command key that counts: the pinned one, or what it was handed over to while this terminal was away.

    The broker tells handovers too, but it may be the broker that this terminal cannot reach for want of a certificate.
    """
    pinned = (PublicKey.parse(joined.receipt_key), PublicKey.parse(joined.command_key))
    try:
        message = server.get(f"{_ROOT}/handovers")
        if message:
            take_handovers(pinned, folder / HANDOVERS, message)
    except CollectorRefused:
        pass  # an older collector does not know the question
    except EvidenceError as error:
        log.error("handovers_not_believed", why=str(error))  # the answer will say whether that matters
    return believed_keys(pinned, folder / HANDOVERS)[-1]


def certificate_ends(folder: Path) -> datetime:
    """When the certificate in the data folder ends. Raises OSError or ValueError."""
    return x509.load_pem_x509_certificate((folder / "transport.pem").read_bytes()).not_valid_after_utc


def _keep(folder: Path, given: Membership, pin: str, device: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Keep the certificate, once it is the one that was asked for."""
    try:
        certificate = x509.load_pem_x509_certificate(given.certificate.encode())
        authority = x509.load_pem_x509_certificate(given.authority.encode())
        if pin_of(given.authority) != pin:
            raise ValueError("its authority is not the pinned one")
        certificate.verify_directly_issued_by(authority)
        names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [device] or certificate.public_key() != key.public_key():
            raise ValueError("it is for another terminal or key")
    except Exception as error:  # InvalidSignature has no base of its own but Exception
        raise WrongPin(f"the collector's certificate for this terminal cannot be used: {error}") from error
    replace_file(folder / "authority.pem", given.authority.encode())
    replace_file(folder / "transport.pem", given.certificate.encode())


def _transport_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    def make() -> bytes:
        form = serialization.PrivateFormat.PKCS8
        key = ec.generate_private_key(ec.SECP256R1())
        return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    key = serialization.load_pem_private_key(read_or_make(folder / "transport.key", make), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _request(folder: Path, key: ec.EllipticCurvePrivateKey, device: str) -> str:
    """A certificate signing request, kept so that a repeated one is the same bytes: ECDSA signs anew each time."""

    def make() -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.DER)

    held = read_or_make(folder / "transport.csr", make)
    if x509.load_der_x509_csr(held).public_key() != key.public_key():
        (folder / "transport.csr").unlink()
        held = read_or_make(folder / "transport.csr", make)
    return base64.b64encode(held).decode()


def _behind_s(collector_time: str) -> int:
    return round((datetime.fromisoformat(collector_time) - datetime.now(UTC)).total_seconds())
