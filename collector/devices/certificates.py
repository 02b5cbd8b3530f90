"""Transport certificates that were given out: one a key while most of its time is left, and which are revoked."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import Session, col, select

from collector.devices.authority import CLIENT_LIFETIME, Authority, spki_of
from collector.devices.broker_config import Revoked
from collector.devices.join_models import TransportCertificate
from collector.devices.models import Device
from collector.errors import NotFound
from collector.timestamps import parse_utc, utc_text

FRESH = CLIENT_LIFETIME - timedelta(days=1)  # within a day of its issue a repeated request gets the same one


def issue(
    session: Session,
    authority: Authority,
    device: str,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    *,
    make: bool = True,
) -> str:
    """Return a certificate (PEM) of `device` for `key`: the one that was just issued, else a new one.

    `make` False: only the newest that there is, however old, for a reader. Raises NotFound where there is none.
    """
    digest = hashlib.sha256(spki_of(key)).hexdigest()
    query = select(TransportCertificate).where(
        TransportCertificate.device == device, TransportCertificate.key_hash == digest
    )
    held = session.exec(query.order_by(col(TransportCertificate.issued_at).desc())).first()
    if held is not None and (not make or parse_utc(held.expires) - now > FRESH):
        return held.pem
    if not make:
        raise NotFound(f"no certificate was issued to {device} for this request")
    certificate = authority.client(device, key, now)
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    session.add(
        TransportCertificate(
            serial=f"{certificate.serial_number:x}",
            device=device,
            key_hash=digest,
            issued_at=utc_text(now),
            expires=utc_text(certificate.not_valid_after_utc),
            pem=pem,
        )
    )
    return pem


def revoked_certificates(session: Session) -> list[Revoked]:
    """Return every revoked terminal with the serial numbers that it was given."""
    found = []
    for device in session.exec(select(Device).where(col(Device.revoked_at).is_not(None)).order_by(col(Device.name))):
        assert device.revoked_at is not None
        at = parse_utc(device.revoked_at).astimezone(UTC)
        given = session.exec(select(TransportCertificate.serial).where(TransportCertificate.device == device.name))
        found.append(Revoked(device.name, tuple((int(serial, 16), at) for serial in given)))
    return found
