"""Settings: a file, the environment over it, and messages that name the wrong key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from evidence.keys import Ed25519Key
from kiosk.errors import SettingsError
from kiosk.settings import KioskSettings

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "kiosk.toml"
LEAST = 'device = "gate-1"\nsite = "riverside"\n'


def load(tmp_path: Path, text: str) -> KioskSettings:
    path = tmp_path / "kiosk.toml"
    path.write_text(text)
    return KioskSettings.load(path)


def test_the_example_file_loads_and_shows_every_setting() -> None:
    settings = KioskSettings.load(EXAMPLE)
    assert settings.fence is not None
    assert (settings.fence.latitude_e7, settings.fence.longitude_e7) == (312304000, 1214737000)
    assert len(settings.pinned_keys) == 1
    assert settings.enclosure.tamper_pin == 17
    text = EXAMPLE.read_text()
    assert all(f"\n{name} = " in text or f"\n# {name} = " in text for name in KioskSettings.model_fields)


def test_two_names_are_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST)
    assert settings.broker == ("mqtt://127.0.0.1:1883",)
    assert (settings.tz, settings.mqtt_version, settings.window, settings.title) == (
        "Asia/Shanghai",
        5,
        64,
        "riverside",
    )
    assert settings.pinned_keys == ()


def test_the_environment_stands_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519Key.generate().public
    for name, value in {
        "MQTT_VERSION": "3",
        "BROKER": "mqtt://a:1, mqtts://b",
        "COLLECTOR_KEYS": key.text(),
        "FENCE__RADIUS_M": "7",
        "GPS_PORT": "/dev/ttyUSB0",
    }.items():
        monkeypatch.setenv(f"ZAIGANG_KIOSK_{name}", value)
    settings = load(tmp_path, LEAST + "fence = {latitude = 1.5, longitude = 2.5, radius_m = 80}\nmqtt_version = 5")
    assert (settings.mqtt_version, settings.broker) == (3, ("mqtt://a:1", "mqtts://b"))
    assert settings.pinned_keys == (key,)
    assert settings.fence is not None
    assert (settings.fence.latitude, settings.fence.radius_m) == (1.5, 7)
    assert settings.gps_port == "/dev/ttyUSB0"


def test_settings_built_in_code_do_not_change_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAIGANG_KIOSK_WINDOW", "5")
    assert KioskSettings(device="gate-1", site="riverside").window == 64


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('brokers = "mqtt://a"', "brokers: no such setting; did you mean broker?"),
        ("retention_day = 3", "retention_day: no such setting; did you mean retention_days?"),
        ("zzz = 1", "zzz: no such setting"),
        ("fence = {latitude = 1, longitude = 2, radius = 3}", "radius: no such setting; did you mean radius_m?"),
        ('device = "Gate 1"', "device: "),
        ('broker = "http://a"', "broker: a broker is written mqtt://host:port"),
        ('broker = "mqtt://a:99999"', "broker: "),
        ("broker = []", "broker: name at least one broker"),
        ('collector_keys = ["ed25519:AAAA"]', "collector_keys: "),
        ('tz = "Mars/Olympus"', "tz: no such IANA time zone"),
        ('tz = "../../etc/passwd"', "tz: no such IANA time zone"),
        ('camera = "webcam"', "camera: "),
        ('beacons = "blue"', "beacons: "),
        ('badge_reader = "usb"', "badge_reader: a badge reader is a device"),
        ("enclosure = {tamper_pin = 17, red = 3}", "red: no such setting; did you mean red_pin?"),
        ("enclosure = {tamper_pin = 17, red_pin = 17}", "enclosure: each pin serves one thing"),
        ("enclosure = {tamper_pin = 40}", "enclosure.tamper_pin: "),
        ('profile = "strict"', "profile: "),
        ("mqtt_version = 4", "mqtt_version: "),
        ("window = 0", "window: "),
        ("fence = {latitude = 91, longitude = 2, radius_m = 3}", "fence.latitude: "),
        ('broker_cert = "/x"', "broker_cert and broker_key come together"),
        ("window = [", "is not TOML"),
        ('badges = {"aa:bb" = "W-1"}', "badges: a badge begins with one of ibeacon:"),
        ('badges = {"ibeacon:x:1:1" = "W 1/2"}', "badges."),
        ('badges = {"ibeacon:x:1:1" = "W-1"}', "badges need a scanner"),
        ('beacons = "bleak"\nbadges = {"eid:one" = "W-1"}', "eid:NAME needs eid_keys"),
        ('beacons = "bleak"\nanchors = ["eid:one"]', "eid:NAME needs eid_keys"),
        ("presence = {}", "presence needs badges"),
        ("presence = {max_shift = 3}", "max_shift: no such setting; did you mean max_shift_hours?"),
        ('presence = {breaks = ["noon"]}', "presence.breaks: a break is written 12:00-13:00"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    given = LEAST if not line.startswith("device") else 'site = "riverside"\n'
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{given}{line}\n")
    assert message in str(caught.value)


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, 'window = 0\nscreen_port = 0\nsite = "riverside"')
    assert all(f"\n{name}: " in str(caught.value) for name in ("window", "screen_port", "device"))


def test_an_unknown_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAIGANG_KIOSK_DEVISE", "gate-9")
    with pytest.raises(SettingsError, match="ZAIGANG_KIOSK_DEVISE: no such setting; did you mean ZAIGANG_KIOSK_DEVICE"):
        load(tmp_path, LEAST)


def test_a_variable_that_should_be_a_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAIGANG_KIOSK_FENCE", "here")
    with pytest.raises(SettingsError, match="fence"):
        load(tmp_path, LEAST)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        KioskSettings.load(tmp_path / "nowhere.toml")


def test_one_text_serves_where_a_list_may_stand(tmp_path: Path) -> None:
    assert load(tmp_path, LEAST + 'anchors = "ibeacon:x:1:1"').anchors == ("ibeacon:x:1:1",)
    assert load(tmp_path, LEAST + 'beacons = "none"').beacons is None
    assert load(tmp_path, LEAST + 'flash_excused = "W-1, W-2"').flash_excused == ("W-1", "W-2")


def test_presence_is_off_until_a_site_writes_it_down(tmp_path: Path) -> None:
    badges = 'beacons = "bleak"\nbadges = {"ibeacon:x:1:1" = "W-1"}\n'
    assert load(tmp_path, LEAST + badges).presence is None
    on = load(tmp_path, LEAST + badges + 'presence = {breaks = ["12:00-13:00"]}').presence
    assert on is not None
    assert (on.max_shift_hours, on.breaks) == (12, ("12:00-13:00",))


def test_the_example_is_plain_toml() -> None:
    assert set(tomllib.loads(EXAMPLE.read_text())) <= set(KioskSettings.model_fields)
