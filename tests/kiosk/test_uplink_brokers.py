"""The uplink with other brokers than a plain Mosquitto: 3.1.1 only, TLS with client certificates, a denying one."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from evidence.chain import verify_chain
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.kiosk.embedded_broker import EmbeddedBroker
from tests.kiosk.receipt_giver import ReceiptGiver
from tests.support.mosquitto import BINARY, Mosquitto
from tests.support.ports import free_port, wait_for_port
from tests.support.waiting import eventually

DEVICE, SITE, CLOCK, KEY = "gate-1", "riverside", SystemClock(), Ed25519Key.generate()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal" / "journal.db", KEY, DEVICE, SITE, "Asia/Shanghai", CLOCK)
    yield one
    one.close()


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    one = EmbeddedBroker().start()
    yield one
    one.stop()


@contextmanager
def running(journal: Journal, **settings: object) -> Iterator[Uplink]:
    given = KioskSettings.model_validate({"device": DEVICE, "site": SITE, **settings})
    uplink = Uplink(journal, given, CLOCK, backoff=Backoff(0.05, 0.2), window=Window(64, resend_after_s=1))
    uplink.start()
    yield uplink
    uplink.stop()


def append(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.append("test.noted", {"number": number, "filler": "x" * 3000})


def test_the_demos_embedded_broker_that_knows_only_3_1_1_loses_nothing_while_it_comes_and_goes(
    journal: Journal, embedded: EmbeddedBroker
) -> None:
    giver = ReceiptGiver(embedded.port, KEY.public, mqtt5=False)
    url = f"mqtt://127.0.0.1:{embedded.port}"
    with running(journal, broker=url, mqtt_version=3, collector_keys=giver.key.public.text()) as uplink:
        append(journal, 100)
        uplink.wake()
        eventually(lambda: journal.depth == 0)
        embedded.stop()
        eventually(lambda: not uplink.online)
        append(journal, 30)
        embedded.start()
        eventually(lambda: journal.depth == 0, 60)
        assert giver.first_arrivals == list(range(131))
        assert verify_chain(giver.envelopes, {DEVICE: KEY.public}).ok
    giver.wait_until(lambda: any(b"offline" in data for leaf, data, _ in giver.messages if leaf == "status"))
    giver.stop()


def test_mosquitto_over_3_1_1_serves_too(journal: Journal, mosquitto: Mosquitto) -> None:
    giver = ReceiptGiver(mosquitto.port, KEY.public)
    append(journal, 50)
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    with running(journal, broker=url, mqtt_version=3, collector_keys=giver.key.public.text()):
        eventually(lambda: journal.depth == 0)
    giver.stop()


def test_a_terminal_that_dies_without_a_word_is_announced_offline_by_its_will(
    journal: Journal, mosquitto: Mosquitto
) -> None:
    giver = ReceiptGiver(mosquitto.port, KEY.public)
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    with running(journal, broker=url, collector_keys=giver.key.public.text()) as uplink:
        eventually(lambda: uplink.online)
        with running(journal, broker=url, collector_keys=giver.key.public.text()):  # the same name throws it out
            giver.wait_until(lambda: any(b"offline" in data for leaf, data, _ in giver.messages if leaf == "status"))
    giver.stop()


def test_a_broker_that_does_not_answer_is_passed_over_for_the_next(journal: Journal, mosquitto: Mosquitto) -> None:
    giver = ReceiptGiver(mosquitto.port, KEY.public)
    urls = [f"mqtt://127.0.0.1:{free_port()}", f"mqtt://127.0.0.1:{mosquitto.port}"]
    with running(journal, broker=urls, collector_keys=giver.key.public.text()):
        eventually(lambda: journal.depth == 0)
    giver.stop()


def test_without_a_pinned_key_nothing_is_let_go_and_the_state_says_why(journal: Journal, mosquitto: Mosquitto) -> None:
    giver = ReceiptGiver(mosquitto.port, KEY.public)
    with running(journal, broker=f"mqtt://127.0.0.1:{mosquitto.port}") as uplink:
        giver.wait_until(lambda: len(giver.arrivals) >= 2)
        assert uplink.counts["receipts_refused"] >= 1
        assert uplink.state.reason.startswith("no_collector_key: ")
        assert journal.depth == 1
    giver.stop()


def test_of_several_pinned_keys_the_one_that_signed_is_used(journal: Journal, mosquitto: Mosquitto) -> None:
    giver = ReceiptGiver(mosquitto.port, KEY.public)
    keys = [Ed25519Key.generate().public.text(), giver.key.public.text()]
    with running(journal, broker=f"mqtt://127.0.0.1:{mosquitto.port}", collector_keys=keys):
        eventually(lambda: journal.depth == 0)
    giver.stop()


def test_a_broker_that_denies_the_terminal_is_named(journal: Journal, tmp_path: Path) -> None:
    broker = ConfiguredMosquitto(tmp_path, "allow_anonymous false")
    broker.start()
    with running(journal, broker=f"mqtt://127.0.0.1:{broker.port}") as uplink:
        eventually(lambda: "refused: " in uplink._offline_because)
        assert not uplink.online
    broker.stop()


def test_tls_with_client_certificates_delivers_and_a_stranger_stays_out(journal: Journal, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    server, client = authority.issue("broker"), authority.issue(DEVICE)
    plain = free_port()
    broker = ConfiguredMosquitto(
        tmp_path,
        f"cafile {authority.ca}\ncertfile {server}\nkeyfile {server.with_suffix('.key')}\nrequire_certificate true\n"
        f"use_identity_as_username true\nlistener {plain} 127.0.0.1\nallow_anonymous true",
    )
    broker.start()
    giver = ReceiptGiver(plain, KEY.public)
    known = {
        "broker": f"mqtts://127.0.0.1:{broker.port}",
        "broker_ca": authority.ca,
        "broker_cert": client,
        "broker_key": client.with_suffix(".key"),
        "collector_keys": giver.key.public.text(),
    }
    with running(journal, **known) as uplink:
        append(journal, 100)  # 400 kB: more than one TLS record is buffered at a time
        uplink.wake()
        eventually(lambda: journal.depth == 0)

    append(journal, 1)
    stranger = Authority(tmp_path / "stranger")
    impostor = stranger.issue(DEVICE)
    for wrong in (
        {"broker_cert": impostor, "broker_key": impostor.with_suffix(".key")},
        {"broker_ca": stranger.ca},
        {"broker_cert": None, "broker_key": None},
    ):
        with running(journal, **{**known, **wrong}) as uplink:
            eventually(lambda uplink=uplink: uplink.state.reason.startswith("offline: ") and not uplink.online)
            eventually(lambda uplink=uplink: "not connected yet" not in uplink.state.reason)
        assert journal.depth == 1
    giver.stop()
    broker.stop()


class ConfiguredMosquitto(Mosquitto):
    """A Mosquitto with lines of its own under its first listener."""

    def __init__(self, folder: Path, lines: str) -> None:
        super().__init__(folder)
        self._lines = lines

    def start(self) -> Mosquitto:
        config = self.folder / "mosquitto.conf"
        # As root Mosquitto becomes another user, who may not look into the test's folder.
        config.write_text(f"user root\nlistener {self.port} 127.0.0.1\n{self._lines}\npersistence false\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-c", str(config)], stdout=log, stderr=log)
        wait_for_port(self.port)
        return self


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.ca = folder / "ca.pem"
        builder = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        path = self.folder / f"{name}.pem"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
