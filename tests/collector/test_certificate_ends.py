"""The year of broker's and collector's certificates does not end unannounced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.app import Collector
from collector.devices.authority import load_or_create_authority
from collector.devices.broker_config import Listener, write_broker_config
from collector.devices.certificate_ends import ending, server_ending
from collector.devices.server_tls import server_tls
from collector.settings import load_settings

NOW = datetime(2026, 5, 4, 8, tzinfo=UTC)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    authority = load_or_create_authority(tmp_path / "keys")
    write_broker_config(tmp_path / "broker", Listener(("localhost",), "127.0.0.1", 8883), authority, [], NOW)
    return tmp_path / "broker" / "collector-1.pem"


def test_the_end_is_announced_sixty_days_before_and_nothing_is_said_earlier(certificate: Path) -> None:
    assert ending(certificate, NOW + timedelta(days=300)) is None
    said = ending(certificate, NOW + timedelta(days=310))
    assert said is not None
    assert "2027-05-04" in said
    assert "zaigang collector broker-config" in said
    assert ending(certificate, NOW + timedelta(days=900)) is not None


def test_without_a_certificate_nothing_ends_and_one_that_is_gone_is_said(tmp_path: Path) -> None:
    assert ending(None) is None
    said = ending(tmp_path / "gone.pem")
    assert said is not None and "cannot be read" in said


def test_the_end_of_the_collectors_own_https_is_announced_too(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, https=True, public_url="https://localhost:8443")
    server_tls(settings)
    assert server_ending(settings) is None
    said = server_ending(settings, datetime.now(UTC) + timedelta(days=320))
    assert said is not None and "restart it" in said
    (settings.keys_path / "https.pem").write_bytes(b"spoiled")
    assert server_ending(settings) is not None
    assert server_ending(load_settings(data=tmp_path)) is None


def test_the_collectors_health_says_it_and_stays_ok(certificate: Path, tmp_path: Path) -> None:
    settings = load_settings(
        data=tmp_path / "data",
        broker="mqtts://localhost:1",
        mqtt_ca=certificate.with_name("authority.pem"),
        mqtt_certificate=certificate,
        mqtt_key=certificate.with_suffix(".key"),
    )
    collector = Collector(settings)
    certificate.write_bytes(b"no certificate")
    try:
        health = collector.health()
        assert health.certificates.state == "failed"
        assert "cannot be read" in health.certificates.reason
    finally:
        collector.database.close()
