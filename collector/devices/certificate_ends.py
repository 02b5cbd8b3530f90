"""When the collector's own ways end: its certificate for the broker, the broker's own, and that of its HTTPS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from collector.settings import Settings

WARN_WITHIN = timedelta(days=60)  # of a year


def ending(settings: Settings, now: datetime | None = None) -> str | None:
    """Say what to do about a certificate that ends soon or cannot be read; None: nothing."""
    now = now or datetime.now(UTC)
    broker = settings.mqtt_certificate and _trouble(settings.mqtt_certificate, now)
    if broker:
        return (
            f"broker and collector: {broker}; write the broker's configuration again "
            "(zaigang collector broker-config), and let the broker and every collector read it"
        )
    https = _trouble(settings.keys_path / "https.pem", now) if settings.https else None
    return f"HTTPS: {https}; restart this collector, which renews it" if https else None


def _trouble(certificate: Path, now: datetime) -> str | None:
    """Say what is the matter with a certificate (PEM)."""
    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return f"the certificate {certificate.name} cannot be read ({error})"
    return f"the certificate {certificate.name} ends on {ends:%Y-%m-%d}" if ends - now <= WARN_WITHIN else None
