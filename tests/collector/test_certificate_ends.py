"""The year of broker's and collector's certificates does not end unannounced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.devices.authority import load_or_create_authority
from collector.devices.broker_config import Listener, write_broker_config
from collector.devices.certificate_ends import ending
from collector.devices.server_tls import server_tls
from collector.settings import Settings, load_settings

NOW = datetime(2026, 5, 4, 8, tzinfo=UTC)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    authority = load_or_create_authority(tmp_path / "keys")
    write_broker_config(tmp_path / "broker", Listener(("localhost",), "127.0.0.1", 8883), authority, [], NOW)
    return tmp_path / "broker" / "collector-1.pem"


def settings_of(folder: Path, certificate: Path | None, **more: Any) -> Settings:
    if certificate is None:
        return load_settings(data=folder, **more)
    key, ca = certificate.with_suffix(".key"), certificate.with_name("authority.pem")
    return load_settings(
        data=folder, broker="mqtts://localhost:1", mqtt_ca=ca, mqtt_certificate=certificate, mqtt_key=key, **more
    )


def test_the_end_is_announced_sixty_days_before_and_nothing_is_said_earlier(certificate: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, certificate)
    assert ending(settings, NOW + timedelta(days=300)) is None
    said = ending(settings, NOW + timedelta(days=310))
    assert said is not None
    assert "2027-05-04" in said
    assert "zaigang collector broker-config" in said
    assert ending(settings, NOW + timedelta(days=900)) is not None


def test_without_a_certificate_nothing_ends_and_one_that_is_gone_is_said(certificate: Path, tmp_path: Path) -> None:
    assert ending(settings_of(tmp_path, None)) is None
    settings = settings_of(tmp_path, certificate)
    certificate.unlink()
    said = ending(settings)
    assert said is not None and "cannot be read" in said


def test_the_end_of_the_collectors_own_https_is_announced_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, None, https=True, public_url="https://localhost:8443")
    server_tls(settings)
    assert ending(settings) is None
    said = ending(settings, datetime.now(UTC) + timedelta(days=320))
    assert said is not None and "https.pem ends on 20" in said and "restart" in said
    (settings.keys_path / "https.pem").write_bytes(b"spoiled")
    said = ending(settings)
    assert said is not None and "cannot be read" in said
    assert ending(settings_of(tmp_path, None)) is None


def test_the_collectors_health_says_it_and_stays_ok(certificate: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data", certificate)
    collector = Collector(settings)
    certificate.write_bytes(b"no certificate")
    try:
        health = collector.health()
        assert health.certificates.state == "failed"
        assert "cannot be read" in health.certificates.reason
    finally:
        collector.database.close()
