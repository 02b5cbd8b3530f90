"""Two terminals, a collector and a Mosquitto: a face arrives, and nothing between them holds it in clear."""

from __future__ import annotations

import base64
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlmodel import select

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.transfers.models import HeldTransfer, TemplateCopy
from evidence.events import Kind
from kiosk.app import Kiosk
from kiosk.flow import Backoff, Window
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.kiosk.transfer.gates import SITE, Gate, face
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import until

PATIENCE_S = 120.0  # two cores may be shared with much else


@pytest.fixture
def running(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Collector]:
    """A whole collector on a real broker, in this process."""
    settings = load_settings(data=tmp_path / "collector", broker=f"mqtt://127.0.0.1:{mosquitto.port}")
    collector = Collector(settings)
    collector.services.sites.add(NewSite(name=SITE, title="East", tz="UTC"))
    collector.start()
    yield collector
    collector.stop()


@contextmanager
def connected(gate: Gate, collector: Collector, mosquitto: Mosquitto) -> Iterator[Gate]:
    """The gate's uplink and exchange, running."""
    settings = KioskSettings(
        device=gate.device,
        site=SITE,
        data_dir=gate.folder,
        broker=(f"mqtt://127.0.0.1:{mosquitto.port}",),
        collector_keys=(collector.keys.receipt.public.text(),),
    )
    uplink = Uplink(
        gate.journal,
        settings,
        gate.clock,
        backoff=Backoff(0.05, 0.2),
        window=Window(64, resend_after_s=2),
        exchange=gate.exchange,
    )
    gate.uplink = uplink
    uplink.start()
    gate.exchange.start()
    yield gate
    uplink.stop()
    gate.uplink = None
    gate.exchange.stop()


def register(collector: Collector, *gates: Gate) -> None:
    for gate in gates:
        collector.services.devices.add(NewDevice(name=gate.device, site=SITE, key=gate.key.public.text()))


def register_kiosk(collector: Collector, kiosk: Kiosk) -> None:
    """Make a whole terminal known to the collector."""
    new = NewDevice(name=kiosk.settings.device, site=SITE, key=kiosk.key.public.text())
    collector.services.devices.add(new)


def mosquitto_url(collector: Collector) -> str:
    """Where the collector's broker listens."""
    return collector.settings.broker


def come(probe: Callable[[], object]) -> None:
    until(probe, timeout_s=PATIENCE_S)


def peers(gate: Gate) -> dict[str, str]:
    return {row["device"]: row["state"] for row in gate.exchange.listed()["peers"]}


@contextmanager
def eavesdropper(mosquitto: Mosquitto) -> Iterator[queue.Queue[bytes]]:
    """Hears whatever crosses the broker."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "ear", protocol=MQTTProtocolVersion.MQTTv5)
    heard: queue.Queue[bytes] = queue.Queue()
    client.on_message = lambda _c, _u, message: heard.put(bytes(message.payload))
    client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    yield heard
    client.disconnect()
    client.loop_stop()


def test_a_face_goes_through_a_collector_that_cannot_read_it_and_comes_back_out_of_it_by_an_erasure(
    mosquitto: Mosquitto, running: Collector, tmp_path: Path
) -> None:
    here, there = Gate(tmp_path, "gate-1"), Gate(tmp_path, "gate-2")
    register(running, here, there)
    with (
        eavesdropper(mosquitto) as heard,
        connected(here, running, mosquitto),
        connected(there, running, mosquitto),
    ):
        come(lambda: peers(here) == {"gate-2": "unconfirmed"} and peers(there) == {"gate-1": "unconfirmed"})
        here.exchange.confirm("gate-2", there.fingerprint, "Li")
        there.exchange.confirm("gate-1", here.fingerprint, "Li")
        here.enrol()
        come(there.holds)
        come(lambda: [copy.state for copy in here.store.copies()] == ["held"])
        come(lambda: _copies(running))
        _in_no_clear_form(heard, tmp_path)
        here.desk.withdraw("E-17", "transfer")
        here.exchange.poke()
        come(lambda: not there.holds() and not here.store.copies())
        assert here.holds()
        come(lambda: there.journal.depth == 0 and here.journal.depth == 0)  # proved: the ledger has it
        assert [body["reason"] for body in there.bodies(Kind.WORKER_ERASED)] == ["consent_withdrawn"]
        assert running.services.dead_letters.page(None, 100) == []
    here.gallery.close()
    there.gallery.close()
    here.journal.close()
    there.journal.close()


def _copies(collector: Collector) -> list[TemplateCopy]:
    with collector.database.read() as session:
        return list(session.exec(select(TemplateCopy)))


def _in_no_clear_form(heard: queue.Queue[bytes], folder: Path) -> None:
    """Neither the wire nor any file of collector or terminals holds a vector, or the name that goes with it."""
    seen = [heard.get() for _ in range(heard.qsize())]
    assert len(seen) > 5
    seen += [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for vector in face():
        raw = vector.astype("<f4").tobytes()
        for part in (raw, base64.b64encode(raw), raw.hex().encode()):
            assert not any(part[8:40] in one for one in seen)
    assert not any(b"Wang Fang" in one for one in seen)


def test_a_terminal_that_was_off_the_network_gets_what_waited_for_it(
    mosquitto: Mosquitto, running: Collector, tmp_path: Path
) -> None:
    here, there = Gate(tmp_path, "gate-1"), Gate(tmp_path, "gate-2")
    register(running, here, there)
    with connected(here, running, mosquitto):
        with connected(there, running, mosquitto):
            come(lambda: peers(here) and peers(there))
            here.exchange.confirm("gate-2", there.fingerprint, "Li")
            there.exchange.confirm("gate-1", here.fingerprint, "Li")
            come(lambda: here.journal.depth == 0)
        here.enrol()
        come(lambda: [copy.state for copy in here.store.copies()] == ["open"])
        come(lambda: _held(running) == ["waiting"])
    mosquitto.stop()  # the broker forgets; neither the collector nor a terminal does
    mosquitto.start()
    there.open()
    with connected(there, running, mosquitto):
        come(there.holds)
        come(lambda: _held(running) == ["held"])
    here.open()
    with connected(here, running, mosquitto):
        come(lambda: [copy.state for copy in here.store.copies()] == ["held"])
    for gate in (here, there):
        gate.gallery.close()
        gate.journal.close()


def _held(collector: Collector) -> list[str]:
    with collector.database.read() as session:
        return list(session.exec(select(HeldTransfer.state)))
