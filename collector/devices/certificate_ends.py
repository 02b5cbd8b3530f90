"""When the collector's own way to the broker ends: its certificate, and the broker's, which was written with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from collector.settings import Settings

WARN_WITHIN = timedelta(days=60)  # of a year


def server_ending(settings: Settings, now: datetime | None = None) -> str | None:
    """Say what to do where the certificate of the collector's own HTTPS ends soon; None: nothing, or it has none."""
    if not settings.https:
        return None
    said = ending(settings.keys_path / "https.pem", now)
    return None if said is None else "the certificate of the collector's HTTPS ends soon or is spoiled: restart it"


def ending(certificate: Path | None, now: datetime | None = None) -> str | None:
    """Say what to do where the certificate (PEM) ends soon or cannot be read; None: nothing, or there is none."""
    if certificate is None:
        return None
    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        return f"the certificate {certificate.name} cannot be read ({error}); write the broker's configuration again"
    if ends - (now or datetime.now(UTC)) > WARN_WITHIN:
        return None
    return (
        f"the certificates of broker and collector end on {ends:%Y-%m-%d}: write the broker's configuration again "
        "(zaigang collector broker-config), and let the broker and every collector read it"
    )
