"""The written configuration on a real Mosquitto: who gets in, what each may say and hear, and who is cut off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from collector.devices.authority import Authority, load_or_create_authority, new_transport_key
from collector.devices.broker_config import Listener, Revoked, write_broker_config
from collector.ingest.message import Message
from collector.ingest.subscriber import RECEIVE_MAXIMUM, Subscriber
from collector.settings import load_settings
from tests.support.mosquitto_tls import TlsMosquitto
from tests.support.ports import free_port
from tests.support.waiting import eventually

SILENCE_S = 1.5  # long enough for what would come to come


@dataclass
class Site:
    """A broker, the authority behind it, and the certificates given out."""

    folder: Path
    authority: Authority
    broker: TlsMosquitto

    def certificate(self, name: str, authority: Authority | None = None, days: float = 30) -> tuple[Path, Path, int]:
        key = serialization.load_pem_private_key(new_transport_key(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        lifetime = timedelta(days=days)
        now = datetime.now(UTC) - (timedelta(days=1) - lifetime if days < 0 else timedelta())
        one = (authority or self.authority).client(name, key.public_key(), now, abs(lifetime))
        files = self.folder / f"{one.serial_number}.pem", self.folder / f"{one.serial_number}.key"
        files[0].write_bytes(one.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return files[0], files[1], one.serial_number

    def write(self, *revoked: Revoked) -> None:
        listener = Listener(("localhost",), "127.0.0.1", self.broker.port)
        write_broker_config(self.folder / "broker", listener, self.authority, revoked, datetime.now(UTC), collectors=2)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    broker = TlsMosquitto(tmp_path / "broker", free_port())
    one = Site(tmp_path, load_or_create_authority(tmp_path / "keys"), broker)
    one.write()
    broker.start()
    yield one
    broker.stop()


class Client:
    """One MQTT client and what it heard."""

    def __init__(self, client: paho.Client) -> None:
        self.client, self.heard = client, queue.Queue[tuple[str, bytes]]()
        self.ended = threading.Event()
        client.on_message = lambda _c, _u, message: self.heard.put((message.topic, message.payload))
        client.on_disconnect = lambda *_: self.ended.set()

    def subscribe(self, topic: str) -> None:
        done = threading.Event()
        self.client.on_subscribe = lambda *_: done.set()
        self.client.subscribe(topic, qos=1)
        assert done.wait(10)

    def says(self, topic: str, payload: bytes = b"x") -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(10)

    def hears(self, timeout_s: float = 10) -> tuple[str, bytes] | None:
        try:
            return self.heard.get(timeout=timeout_s)
        except queue.Empty:
            return None


@contextmanager
def connected(site: Site, cert: Path | None, key: Path | None, client_id: str = "", user: str = "") -> Iterator[Client]:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
    )
    client.tls_set(str(site.folder / "broker" / "authority.pem"), cert and str(cert), key and str(key))
    if user:
        client.username_pw_set(user, "guess")
    greeted = threading.Event()
    refused: list[str] = []

    def on_connect(_c: object, _u: object, _f: object, reason: object, _p: object) -> None:
        if str(reason) != "Success":
            refused.append(str(reason))
        greeted.set()

    client.on_connect = on_connect
    one = Client(client)
    client.connect("localhost", site.broker.port)
    client.loop_start()
    try:
        if not greeted.wait(5) or refused:
            raise ConnectionRefusedError(str(refused))
        yield one
    finally:
        client.disconnect()
        client.loop_stop()


def gets_in(site: Site, cert: Path | None, key: Path | None, **more: str) -> bool:
    try:
        with connected(site, cert, key, **more) as one:
            one.subscribe("zaigang/v1/east/nobody/receipt")  # with TLS 1.3 the refusal comes after the handshake
            return not one.ended.is_set()
    except (OSError, AssertionError):
        return False


def collector(site: Site, number: int = 1) -> tuple[Path, Path]:
    return site.folder / "broker" / f"collector-{number}.pem", site.folder / "broker" / f"collector-{number}.key"


def test_only_a_certificate_of_the_authority_gets_in(site: Site, tmp_path: Path) -> None:
    cert, key, _ = site.certificate("gate-a")
    assert gets_in(site, cert, key)
    assert not gets_in(site, None, None)
    assert not gets_in(site, None, None, user="gate-a")
    stranger = load_or_create_authority(tmp_path / "other-keys")
    assert not gets_in(site, *site.certificate("gate-a", stranger)[:2])
    assert not gets_in(site, *site.certificate("gate-a", days=-30)[:2])  # it ended yesterday


def test_a_terminal_and_the_collector_reach_each_other(site: Site) -> None:
    cert, key, _ = site.certificate("gate-a")
    with connected(site, *collector(site)) as centre, connected(site, cert, key) as a:
        centre.subscribe("$share/collectors/zaigang/v1/+/+/event")
        centre.subscribe("zaigang/v1/+/+/status")
        a.subscribe("zaigang/v1/east/gate-a/receipt")
        a.subscribe("zaigang/v1/east/gate-a/command")
        a.says("zaigang/v1/east/gate-a/event", b"event")
        assert centre.hears() == ("zaigang/v1/east/gate-a/event", b"event")
        a.says("zaigang/v1/east/gate-a/status", b"online")
        assert centre.hears() == ("zaigang/v1/east/gate-a/status", b"online")
        centre.subscribe("$share/collectors/zaigang/v1/+/+/transfer")
        a.says("zaigang/v1/east/gate-a/transfer", b"for another")
        assert centre.hears() == ("zaigang/v1/east/gate-a/transfer", b"for another")
        a.subscribe("zaigang/v1/east/gate-a/peer")
        for leaf in ("receipt", "command", "peer"):
            centre.says(f"zaigang/v1/east/gate-a/{leaf}", leaf.encode())
            assert a.hears() == (f"zaigang/v1/east/gate-a/{leaf}", leaf.encode())


def test_the_collectors_own_client_reads_a_flood_over_tls_to_its_end(site: Site) -> None:
    """More than the broker may send ahead, so that acknowledgements have to go out between the readings."""
    certificate, key = collector(site)
    settings = load_settings(
        data=site.folder / "c",
        broker=f"mqtts://localhost:{site.broker.port}",
        mqtt_client_id="zaigang.collector-1",
        mqtt_ca=site.folder / "broker" / "authority.pem",
        mqtt_certificate=certificate,
        mqtt_key=key,
    )
    heard: list[bytes] = []

    def take(message: Message) -> None:
        heard.append(message.payload)
        subscriber.acknowledge([message])

    subscriber = Subscriber(settings, take)
    subscriber.start()
    eventually(lambda: subscriber.state.connected)
    sent = [b"%05d" % number + b"x" * (number % 3000) for number in range(RECEIVE_MAXIMUM + 500)]
    cert, key, _ = site.certificate("gate-1")
    with connected(site, cert, key) as terminal:
        for payload in sent:
            last = terminal.client.publish("zaigang/v1/east/gate-1/event", payload, qos=1)
        last.wait_for_publish(60)
        eventually(lambda: len(heard) == len(sent))
    assert heard == sent
    subscriber.stop()


@pytest.mark.parametrize("leaf", ["event", "health", "status", "transfer", "receipt", "command", "peer"])
def test_a_terminal_cannot_speak_as_another_or_as_the_collector(site: Site, leaf: str) -> None:
    cert, key, _ = site.certificate("gate-a")
    with connected(site, *collector(site)) as centre, connected(site, cert, key, user="gate-b") as a:
        for up in ("event", "health", "status", "transfer"):
            centre.subscribe(f"zaigang/v1/+/+/{up}")
        b_cert, b_key, _ = site.certificate("gate-b")
        with connected(site, b_cert, b_key) as b:
            b.subscribe("zaigang/v1/+/gate-b/receipt")
            b.subscribe("zaigang/v1/+/gate-b/command")
            b.subscribe("zaigang/v1/+/gate-b/peer")
            for topic in (f"zaigang/v1/east/gate-b/{leaf}", f"zaigang/v1/gate-a/gate-b/{leaf}"):
                a.says(topic, b"forged")
            if leaf in ("receipt", "command", "peer"):  # nor give itself what only the collector gives
                a.subscribe(f"zaigang/v1/east/gate-a/{leaf}")
                a.says(f"zaigang/v1/east/gate-a/{leaf}", b"forged")
            assert centre.hears(SILENCE_S) is None
            assert b.hears(0.1) is None
            assert a.hears(0.1) is None


def test_a_terminal_hears_nothing_that_is_meant_for_others(site: Site) -> None:
    a_cert, a_key, _ = site.certificate("gate-a")
    b_cert, b_key, _ = site.certificate("gate-b")
    with (
        connected(site, *collector(site)) as centre,
        connected(site, a_cert, a_key) as a,
        connected(site, b_cert, b_key) as b,
    ):
        for topic in ("#", "zaigang/v1/+/+/event", "zaigang/v1/east/gate-b/#", "zaigang/v1/+/gate-b/peer", "$SYS/#"):
            a.subscribe(topic)
        b.says("zaigang/v1/east/gate-b/event")
        b.says("zaigang/v1/east/gate-b/health")
        centre.says("zaigang/v1/east/gate-b/receipt")
        centre.says("zaigang/v1/east/gate-b/command")
        centre.says("zaigang/v1/east/gate-b/peer")
        assert a.hears(SILENCE_S) is None
        centre.says("zaigang/v1/east/gate-a/receipt", b"mine")
        assert a.hears() == ("zaigang/v1/east/gate-a/receipt", b"mine")


def test_nobody_throws_another_out_by_taking_its_client_id(site: Site) -> None:
    a_cert, a_key, _ = site.certificate("gate-a")
    b_cert, b_key, _ = site.certificate("gate-b")
    with connected(site, a_cert, a_key, "gate-a") as a, connected(site, b_cert, b_key, "gate-a"):
        assert not a.ended.wait(SILENCE_S)
    with connected(site, *collector(site, 1)) as one, connected(site, *collector(site, 2)):
        assert not one.ended.wait(SILENCE_S)


def test_a_terminal_of_the_collectors_name_has_no_rights_of_the_collector(site: Site) -> None:
    cert, key, _ = site.certificate("collector-1")
    b_cert, b_key, _ = site.certificate("gate-b")
    with connected(site, cert, key) as fake, connected(site, b_cert, b_key) as b:
        fake.subscribe("zaigang/v1/+/+/event")
        b.says("zaigang/v1/east/gate-b/event")
        assert fake.hears(SILENCE_S) is None


def test_a_revoked_terminal_is_cut_off_by_a_reload(site: Site) -> None:
    cert, key, serial = site.certificate("gate-a")
    b_cert, b_key, _ = site.certificate("gate-b")
    with (
        connected(site, *collector(site)) as centre,
        connected(site, cert, key) as a,
        connected(site, b_cert, b_key) as b,
    ):
        centre.subscribe("zaigang/v1/+/+/event")
        a.subscribe("zaigang/v1/east/gate-a/receipt")
        a.says("zaigang/v1/east/gate-a/event", b"before")
        assert centre.hears() == ("zaigang/v1/east/gate-a/event", b"before")
        site.write(Revoked("gate-a", ((serial, datetime.now(UTC)),)))
        site.broker.reload()
        eventually(lambda: b"Reloading config" in (site.folder / "broker" / "mosquitto.log").read_bytes())
        # The connection may still be open: it says and hears nothing.
        a.client.publish("zaigang/v1/east/gate-a/event", b"after", qos=1)
        assert centre.hears(SILENCE_S) is None
        centre.says("zaigang/v1/east/gate-a/receipt")
        assert a.hears(SILENCE_S) is None
        assert not gets_in(site, cert, key)
        b.says("zaigang/v1/east/gate-b/event", b"others go on")
        assert centre.hears() == ("zaigang/v1/east/gate-b/event", b"others go on")
    assert gets_in(site, b_cert, b_key)


def test_what_is_larger_than_any_envelope_is_dropped(site: Site) -> None:
    cert, key, _ = site.certificate("gate-a")
    with connected(site, *collector(site)) as centre, connected(site, cert, key) as a:
        centre.subscribe("zaigang/v1/+/+/event")
        a.client.publish("zaigang/v1/east/gate-a/event", b"x" * 65_537, qos=1)
        assert centre.hears(SILENCE_S) is None
    with connected(site, *collector(site)) as centre, connected(site, cert, key) as a:
        centre.subscribe("zaigang/v1/+/+/event")
        a.says("zaigang/v1/east/gate-a/event", b"x" * 65_536)
        assert centre.hears() is not None


def test_written_again_it_keeps_keys_and_good_certificates(site: Site) -> None:
    folder = site.folder / "broker"
    kept = ["broker.key", "broker.pem", "collector-1.key", "collector-1.pem", "authority.pem"]
    before = {name: (folder / name).read_bytes() for name in kept}
    site.write(Revoked("gate-a", ()))
    assert {name: (folder / name).read_bytes() for name in kept} == before
    late = datetime.now(UTC) + timedelta(days=300)
    write_broker_config(folder, Listener(("localhost",), "127.0.0.1", site.broker.port), site.authority, (), late)
    assert (folder / "broker.key").read_bytes() == before["broker.key"]
    renewed = x509.load_pem_x509_certificate((folder / "broker.pem").read_bytes())
    assert renewed.not_valid_after_utc > late + timedelta(days=300)
    assert all(one.stat().st_mode & 0o077 == 0 for one in folder.glob("*.key"))
