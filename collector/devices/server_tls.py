"""The HTTPS server's certificate, of the collector's own authority: terminals know it by the pin in their code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from collector.devices.authority import load_or_create_authority
from collector.devices.broker_config import Listener, certificate_pair
from collector.errors import SettingsError
from collector.settings import Settings


class Tls(TypedDict, total=False):
    """What uvicorn is told."""

    ssl_certfile: Path
    ssl_keyfile: Path


def server_tls(settings: Settings) -> Tls:
    """Return the files of the server's certificate, made or renewed where need be; none without `https`.

    Raises SettingsError where it is not said under which name terminals come.
    """
    if not settings.https:
        return {}
    if settings.public_url is None:
        raise SettingsError("https needs public_url: its host name stands in the certificate")
    host = urlsplit(settings.public_url).hostname or ""
    authority = load_or_create_authority(settings.keys_path)
    try:
        certificate_pair(settings.keys_path, "https", authority, datetime.now(UTC), Listener((host,)))
    except (OSError, ValueError) as error:
        raise SettingsError(f"the server's certificate in {settings.keys_path} cannot be made: {error}") from error
    return {"ssl_certfile": settings.keys_path / "https.pem", "ssl_keyfile": settings.keys_path / "https.key"}
