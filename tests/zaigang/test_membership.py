"""What comes after joining: the broker lets the terminal in, its certificate is renewed, punching needs neither."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
import segno
from cryptography.hazmat.primitives import serialization

from collector.app import Collector
from collector.devices.broker_config import Listener, write_broker_config
from collector.identity import load_or_create_keys
from collector.settings import load_settings
from collector.statements.rotation import Rotated
from collector.statements.rotation import rotate as rotate_collector_key
from collector.statements.scribe import Scribe
from evidence.events import ClockReading, LogType
from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.errors import CollectorRefused, QrUnreadable
from kiosk.joined import Joined, joined_of
from kiosk.provisioning import certificate_ends, renew
from kiosk.qr_reading import read_qr
from kiosk.renewal import OFFLINE_S, RETRY_S, CertificateKeeper
from kiosk.settings import KioskSettings
from kiosk.terminal_key import TerminalKey
from tests.collector.process import ROOT
from tests.collector.test_rotation import rotate
from tests.kiosk.small_terminal import small_terminal, until
from tests.support.mosquitto_tls import TlsMosquitto
from tests.support.ports import free_port
from tests.zaigang.joining import Centre
from tests.zaigang.test_joining import joined


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    with one.serving():
        yield one
    one.close()


def membership(folder: Path) -> Joined:
    (folder / "kiosk.toml").write_text(f'data_dir = "{folder}"\n')
    found = joined_of(KioskSettings.load(folder / "kiosk.toml"))
    assert found is not None
    return found


def test_a_joined_terminal_delivers_over_tls_and_is_cut_off_once_revoked(centre: Centre, tmp_path: Path) -> None:
    folder, files = tmp_path / "terminal", tmp_path / "broker"
    joined(centre, folder)
    listener = Listener(("localhost",), "127.0.0.1", centre.broker_port)

    def write() -> None:
        write_broker_config(files, listener, centre.joining.authority, centre.joining.revoked(), datetime.now(UTC))

    write()
    broker = TlsMosquitto(files, centre.broker_port).start()
    settings = load_settings(
        data=centre.data,
        broker=f"mqtts://localhost:{centre.broker_port}",
        mqtt_ca=files / "authority.pem",
        mqtt_certificate=files / "collector-1.pem",
        mqtt_key=files / "collector-1.key",
    )
    collector = Collector(settings)
    collector.start()
    try:
        given = KioskSettings.load(membership_file(folder))
        with small_terminal(tmp_path, **given.model_dump(include=WRITTEN)) as kiosk:
            until(lambda: kiosk.journal.depth == 0, "a receipt for everything")
            kiosk.operations.rotate_key("planned: a test")
            kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
            until(lambda: kiosk.attendant.view().result, "a result")
            until(lambda: kiosk.journal.depth == 0, "a receipt under the new key")
            centre.services.devices.revoke("gate-1")
            write()
            broker.stop()
            broker.start()
            until(lambda: not kiosk.uplink.online, "the broker to refuse it")
            before = kiosk.journal.head.seq
            kiosk.attendant.dismiss()
            kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
            until(lambda: kiosk.journal.head.seq > before, "a punch that is kept all the same")
            assert kiosk.journal.depth > 0
    finally:
        collector.stop()
        broker.stop()


WRITTEN = {
    "data_dir",
    "device",
    "site",
    "site_title",
    "tz",
    "broker",
    "broker_ca",
    "broker_cert",
    "broker_key",
    "collector_keys",
    "collector_url",
    "collector_pin",
    "ledger_key",
}


def membership_file(folder: Path) -> Path:
    (folder / "kiosk.toml").write_text(f'data_dir = "{folder}"\n')
    return folder / "kiosk.toml"


def age(centre: Centre, folder: Path) -> None:
    """Leave a certificate in the terminal's folder that ended yesterday."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key = x509.load_pem_x509_certificate((folder / "transport.pem").read_bytes()).public_key()
    long_ago = datetime.now(UTC) - timedelta(days=31)
    old = centre.joining.authority.client("gate-1", key, long_ago)  # type: ignore[arg-type]
    (folder / "transport.pem").write_bytes(old.public_bytes(serialization.Encoding.PEM))


def test_a_certificate_is_renewed_after_its_end_by_proof_of_the_event_key(centre: Centre, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    joined(centre, folder)
    age(centre, folder)
    assert certificate_ends(folder) < datetime.now(UTC)
    centre.ahead = timedelta(days=40)
    key = TerminalKey(folder / "terminal.pem")
    ends = renew(membership(folder), folder, key, check_dates=False)
    assert ends > datetime.now(UTC) + timedelta(days=60)
    again = renew(membership(folder), folder, key, check_dates=False)  # asked at once again: nothing new is issued
    assert again == ends


def test_who_is_not_the_terminal_gets_no_certificate(centre: Centre, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    joined(centre, folder)
    before = (folder / "transport.pem").read_bytes()
    with pytest.raises(CollectorRefused, match="no terminal of this name, site and key"):
        renew(membership(folder), folder, Ed25519Key.generate(), check_dates=True)
    centre.services.devices.revoke("gate-1")
    with pytest.raises(CollectorRefused, match="was revoked"):
        renew(membership(folder), folder, TerminalKey(folder / "terminal.pem"), check_dates=True)
    assert (folder / "transport.pem").read_bytes() == before


def test_after_a_rotation_only_the_new_key_renews(centre: Centre, tmp_path: Path) -> None:
    from collector.ingest.intake import Intake, Limits
    from collector.ingest.message import Message
    from collector.timestamps import utc_now
    from tests.collector.terminal import Terminal

    folder, old = tmp_path / "terminal", Ed25519Key.generate()
    joined(centre, folder, old)
    terminal = Terminal("gate-1", "east", old)
    intake = Intake(centre.database, centre.keys.receipt, centre.keys.seal, Limits())
    for data in (terminal.enrol(), rotate(terminal)):
        intake.admit([Message(terminal.event_topic, data, utc_now())])
    renew(membership(folder), folder, terminal.key, check_dates=True)
    with pytest.raises(CollectorRefused, match="no terminal of this name, site and key"):
        renew(membership(folder), folder, old, check_dates=True)


def test_a_key_that_was_lost_renews_nothing_once_the_terminal_has_joined_again(centre: Centre, tmp_path: Path) -> None:
    from collector.ingest.intake import Intake, Limits
    from collector.ingest.message import Message
    from collector.timestamps import utc_now
    from tests.collector.terminal import Terminal

    lost, new = Ed25519Key.generate(), Ed25519Key.generate()
    joined(centre, tmp_path / "lost", lost)
    terminal = Terminal("gate-1", "east", lost)
    intake = Intake(centre.database, centre.keys.receipt, centre.keys.seal, Limits())
    intake.admit([Message(terminal.event_topic, terminal.enrol(), utc_now())])  # it has a chain of its own
    joined(centre, tmp_path / "new", new)
    with pytest.raises(CollectorRefused, match="no terminal of this name, site and key"):
        renew(membership(tmp_path / "lost"), tmp_path / "lost", lost, check_dates=True)
    renew(membership(tmp_path / "new"), tmp_path / "new", new, check_dates=True)


def test_a_keeper_renews_what_ends_soon_or_has_ended_and_not_too_often(centre: Centre, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    joined(centre, folder)
    key, known = TerminalKey(folder / "terminal.pem"), True
    keeper = CertificateKeeper(membership(folder), folder, key, clock_known=lambda: known)
    fresh = (folder / "transport.pem").read_bytes()
    keeper.tick(0.0, online=True)
    keeper.wait(20)
    assert (folder / "transport.pem").read_bytes() == fresh  # thirty days are left
    age(centre, folder)
    assert str(keeper.trouble).startswith("certificate_ended: punches are kept")
    keeper.tick(1.0, online=False)
    keeper.wait(20)
    assert keeper.trouble is None
    assert certificate_ends(folder) > datetime.now(UTC) + timedelta(days=29)
    age(centre, folder)
    keeper.tick(RETRY_S, online=False)
    keeper.wait(20)
    assert keeper.trouble is not None  # too early after the last try
    keeper.tick(RETRY_S + 1.0, online=False)
    keeper.wait(20)
    assert keeper.trouble is None


def test_a_terminal_whose_clock_knows_nothing_asks_once_the_broker_stays_away(centre: Centre, tmp_path: Path) -> None:
    folder = tmp_path / "terminal"
    joined(centre, folder)
    keeper = CertificateKeeper(
        membership(folder), folder, TerminalKey(folder / "terminal.pem"), clock_known=lambda: False
    )
    (folder / "authority.pem").unlink()  # it is asked for again only then
    keeper.tick(0.0, online=False)
    keeper.tick(OFFLINE_S - 1, online=False)
    keeper.wait(20)
    assert not (folder / "authority.pem").exists()
    keeper.tick(OFFLINE_S, online=False)
    keeper.wait(20)
    assert (folder / "authority.pem").exists()


def test_an_ended_certificate_keeps_nobody_from_punching_and_the_status_names_it(tmp_path: Path) -> None:
    one = Centre(tmp_path / "collector")
    with one.serving():
        joined(one, tmp_path / "terminal")
    age(one, tmp_path / "terminal")
    one.close()  # and the collector is away
    given = KioskSettings.load(membership_file(tmp_path / "terminal"))
    with small_terminal(tmp_path, **given.model_dump(include=WRITTEN)) as kiosk:
        before = kiosk.journal.head.seq
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        assert kiosk.journal.head.seq > before
        if kiosk.clock.stamp().clock.source != "none":
            assert kiosk.parts()["network"].reason.startswith("certificate_ended: punches are kept")


# --- QR code and command line


def photograph(picture: Path, to: Path) -> None:
    """As a telephone sees a screen: tilted, blurred, on a desk, not evenly lit."""
    code = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    assert code is not None
    side = code.shape[0]
    where = np.array([[300, 180], [1240, 240], [1200, 1130], [260, 1060]], np.float32)
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    warp = cv2.getPerspectiveTransform(corners, where)
    desk = cv2.warpPerspective(code, warp, (1600, 1300), borderMode=cv2.BORDER_CONSTANT, borderValue=120)
    light = np.linspace(0.75, 1.0, 1600, dtype=np.float32)[None, :]
    noise = np.random.default_rng(7).normal(0, 4, desk.shape)
    seen = cv2.GaussianBlur(desk, (0, 0), 1.2) * light + noise
    cv2.imwrite(str(to), np.clip(seen, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])


def test_the_code_is_read_from_a_photograph(centre: Centre, tmp_path: Path) -> None:
    code, _ = centre.joining.claim("east", "gate-1", "me")
    segno.make(code.text(), error="m", micro=False).save(str(tmp_path / "code.png"), scale=6, border=4)
    assert read_qr(tmp_path / "code.png") == code.text()
    photograph(tmp_path / "code.png", tmp_path / "photo.jpg")
    assert read_qr(tmp_path / "photo.jpg") == code.text()
    cv2.imwrite(str(tmp_path / "desk.png"), np.full((400, 400), 90, np.uint8))
    (tmp_path / "note.txt").write_text("no picture")
    for nothing in ("desk.png", "note.txt", "absent.png"):
        with pytest.raises(QrUnreadable):
            read_qr(tmp_path / nothing)


def zaigang(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zaigang.cli", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


def test_the_whole_way_by_command_line(centre: Centre, tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(
        f'data = "{centre.data}"\npublic_url = "https://localhost:{centre.port}"\n'
        f'public_brokers = ["mqtts://localhost:{centre.broker_port}"]\n'
    )
    terminal = tmp_path / "kiosk.toml"
    terminal.write_text(f'data_dir = "{tmp_path / "terminal"}"\nlanguage = "en"\n')
    at, picture = ["--config", str(config)], tmp_path / "code.png"
    claimed = zaigang("collector", "device", "claim", "east", "gate-7", "--qr", str(picture), "--json", *at)
    assert claimed.returncode == 0, claimed.stderr
    assert json.loads(claimed.stdout)["device"] == "gate-7"
    asked = zaigang("kiosk", "join", "--qr", str(picture), "--config", str(terminal), "--wait", "0")
    assert (asked.returncode, "nobody has approved this terminal yet" in asked.stderr) == (1, True), asked.stderr
    (request,) = json.loads(zaigang("collector", "device", "joins", "--json", *at).stdout)
    shown = json.loads(zaigang("kiosk", "key", "--config", str(joined_later(terminal)), "--json").stdout)
    assert request["fingerprint"] == shown["fingerprint"]
    assert request["fingerprint"] in asked.stderr
    approved = zaigang("collector", "device", "approve", "gate-7", *at)
    assert approved.returncode == 0, approved.stderr
    again = zaigang("kiosk", "join", "--qr", str(picture), "--config", str(terminal), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["fingerprint"] == request["fingerprint"]
    written = zaigang("collector", "broker-config", str(tmp_path / "broker"), "--host", "localhost", "--json", *at)
    assert written.returncode == 0, written.stderr
    assert {Path(one).name for one in json.loads(written.stdout)["written"]} >= {"zaigang.conf", "rights.acl"}
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f'data_dir = "{tmp_path / "another"}"\ndevice = "gate-8"\n')
    refused = zaigang("kiosk", "join", "--qr", str(picture), "--config", str(wrong))
    assert (refused.returncode, "your settings say device = 'gate-8'" in refused.stderr) == (1, True), refused.stderr


def joined_later(config: Path) -> Path:
    """Settings under which the key of a terminal that has not joined yet can be shown."""
    path = config.with_name("named.toml")
    path.write_text(f'{config.read_text()}device = "gate-7"\nsite = "east"\n')
    return path


@pytest.mark.parametrize("purposes", [("command",), ("receipt", "command", "command")], ids=" and ".join)
def test_a_renewal_follows_the_collectors_keys_that_were_replaced_while_the_terminal_was_away(
    tmp_path: Path, purposes: tuple[Rotated, ...]
) -> None:
    folder, port = tmp_path / "terminal", free_port()
    before = Centre(tmp_path / "collector", port)
    with before.serving():
        joined(before, folder)
    with before.database.write() as session:  # the first statement names the keys
        Scribe(before.keys)(session, "device.revoked", {"device": "gate-9", "from_index": 0, "by": "x"})
    for purpose in purposes:
        keys = load_or_create_keys(before.settings.keys_path)
        rotate_collector_key(before.database, keys, before.settings.keys_path, purpose)
    before.close()
    age(before, folder)
    after = Centre(tmp_path / "collector", port)
    assert after.keys.command.public.text() != membership(folder).command_key
    with after.serving():
        ends = renew(membership(folder), folder, TerminalKey(folder / "terminal.pem"), check_dates=False)
    assert ends > datetime.now(UTC)
    again = KioskSettings.load(membership_file(folder))
    assert after.keys.command.public in again.pinned_keys  # kept, also for commands
    after.close()


def test_a_stranger_between_cannot_hand_a_terminals_trust_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "terminal"
    centre = Centre(tmp_path / "collector")
    with centre.serving():
        joined(centre, folder)
        age(centre, folder)
        forged = sign_handover("command", Ed25519Key.generate(), Ed25519Key.generate(), "2026-05-04T08:00:00.000Z")
        monkeypatch.setattr(centre.joining, "handovers", lambda: forged, raising=False)
        ends = renew(membership(folder), folder, TerminalKey(folder / "terminal.pem"), check_dates=False)
        assert ends > datetime.now(UTC)  # the pinned key counts on
        assert KioskSettings.load(membership_file(folder)).pinned_keys[1].text() == membership(folder).command_key
    centre.close()


@pytest.mark.parametrize("source", ["none", "rtc"])
def test_only_a_clock_that_knows_nothing_passes_over_the_dates_of_the_brokers_certificate(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    folder, files = tmp_path / "terminal", tmp_path / "broker"
    joined(centre, folder)
    authority, listener = centre.joining.authority, Listener(("localhost",), "127.0.0.1", centre.broker_port)
    write_broker_config(files, listener, authority, centre.joining.revoked(), datetime.now(UTC))
    private = serialization.load_pem_private_key((files / "broker.key").read_bytes(), None)
    later = authority.server(("localhost",), private.public_key(), datetime.now(UTC) + timedelta(days=30))  # type: ignore[arg-type]
    (files / "broker.pem").write_bytes(later.public_bytes(serialization.Encoding.PEM))
    reading = ClockReading(source=source, synced=False, error_ms=None)  # type: ignore[arg-type]
    monkeypatch.setattr(SystemClock, "_ask", lambda self: reading)
    broker = TlsMosquitto(files, centre.broker_port).start()
    try:
        given = KioskSettings.load(membership_file(folder))
        with small_terminal(tmp_path, **given.model_dump(include=WRITTEN)) as kiosk:
            if source == "none":
                until(lambda: kiosk.uplink.online, "the broker to let it in")
            else:
                until(lambda: "certificate" in (kiosk.uplink.state.reason or ""), "the certificate to be refused")
                assert not kiosk.uplink.online
    finally:
        broker.stop()
