"""The collector's own certificate authority for the transport: who may connect to the broker, and whom terminals reach.

It vouches for connections alone: no evidence rests on it. Terminals pin its key at provisioning (SHA-256 of the
SubjectPublicKeyInfo). Certificates follow RFC 5280; a terminal's name is the common name, which the broker takes as the
user name.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector.errors import Invalid, SettingsError
from collector.identity import load_or_create

AUTHORITY_LIFETIME = timedelta(days=20 * 365)  # longer than a terminal hangs on a wall; its pin has no second chance
SERVER_LIFETIME = timedelta(days=365)
CLIENT_LIFETIME = timedelta(days=30)  # a stolen card's certificate ends by itself; a terminal renews after twenty
_SKEW = timedelta(hours=1)  # clocks of broker and collector
MAX_REQUEST_BYTES = 4096  # a P-256 request has 300


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates and revocation lists."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """What terminals pin: lower-case hex SHA-256 of the SubjectPublicKeyInfo."""
        return pin_of(self.certificate)

    def client(
        self, name: str, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta = CLIENT_LIFETIME
    ) -> x509.Certificate:
        """Issue a certificate under which `name` connects to the broker."""
        builder = self._leaf(name, key, now, lifetime).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        return builder.sign(self.key, hashes.SHA256())

    def server(self, names: Sequence[str], key: ec.EllipticCurvePublicKey, now: datetime) -> x509.Certificate:
        """Issue a certificate for a server that is reached under `names` (host names or addresses)."""
        builder = self._leaf(names[0], key, now, SERVER_LIFETIME)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return builder.add_extension(usage, critical=False).sign(self.key, hashes.SHA256())

    def revocations(self, revoked: Iterable[tuple[int, datetime]], now: datetime) -> bytes:
        """Return a revocation list (PEM) of serial numbers and when each was revoked."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - _SKEW).next_update(now + AUTHORITY_LIFETIME)
        for serial, at in revoked:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            builder = builder.add_revoked_certificate(one)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issued(self, certificate: x509.Certificate) -> bool:
        """Say whether this authority signed it."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def _leaf(
        self, name: str, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(leaf=True), critical=True)
            .add_extension(issuer, critical=False)
        )


def load_or_create_authority(folder: Path) -> Authority:
    """Read the authority in the collector's key folder, made where there is none. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = serialization.load_pem_private_key(load_or_create(folder / "authority.key", new_transport_key), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("authority.key holds another kind of key than P-256")
        certificate = x509.load_pem_x509_certificate(
            load_or_create(folder / "authority.pem", lambda: _self_signed(key))
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"the certificate authority in {folder} cannot be used: {error}") from error
    if certificate.public_key() != key.public_key():
        raise SettingsError(f"{folder}: authority.pem is not of authority.key; restore both from one copy")
    return Authority(certificate, key)


def read_request(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key that a certificate signing request asks for; the name in it counts for nothing.

    Raises Invalid for a request that is not signed by its own P-256 key.
    """
    try:
        if len(der) > MAX_REQUEST_BYTES:
            raise ValueError("it is too large")
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("its key is not P-256")
        if not request.is_signature_valid:
            raise ValueError("it is not signed by its own key")
    except (ValueError, TypeError) as error:
        raise Invalid(f"the certificate signing request cannot be used: {error}") from error
    return key


def new_transport_key() -> bytes:
    """Make a P-256 key for TLS; return it as unencrypted PKCS #8 PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pin_of(certificate: x509.Certificate) -> str:
    """Lower-case hex SHA-256 of a certificate's SubjectPublicKeyInfo."""
    return hashlib.sha256(spki_of(certificate.public_key())).hexdigest()


def spki_of(key: object) -> bytes:
    """DER SubjectPublicKeyInfo of a public key."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    now = datetime.now(UTC)
    name = _named("Zaigang transport authority")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(leaf=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=leaf,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not leaf,
        crl_sign=not leaf,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
