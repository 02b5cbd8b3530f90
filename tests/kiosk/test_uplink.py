"""The uplink against a real Mosquitto and a miniature collector that signs receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from evidence.chain import verify_chain
from evidence.keys import Ed25519Key
from evidence.status import Health, Status
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.kiosk.receipt_giver import ReceiptGiver
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

DEVICE, SITE = "gate-1", "riverside"
CLOCK = SystemClock()
KEY = Ed25519Key.generate()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal" / "journal.db", KEY, DEVICE, SITE, "Asia/Shanghai", CLOCK)
    yield one
    one.close()


@pytest.fixture
def giver(mosquitto: Mosquitto) -> Iterator[ReceiptGiver]:
    one = ReceiptGiver(mosquitto.port, KEY.public)
    yield one
    one.stop()


Starter = Callable[..., Uplink]


@pytest.fixture
def start(journal: Journal, mosquitto: Mosquitto, giver: ReceiptGiver) -> Iterator[Starter]:
    started: list[Uplink] = []

    def make(*, window: Window | None = None, keepalive_s: int = 15, **changes: object) -> Uplink:
        settings = KioskSettings.model_validate(
            {
                "device": DEVICE,
                "site": SITE,
                "broker": f"mqtt://127.0.0.1:{mosquitto.port}",
                "collector_keys": [giver.key.public.text()],
                **changes,
            }
        )
        uplink = Uplink(journal, settings, CLOCK, backoff=Backoff(0.05, 0.2), window=window, keepalive_s=keepalive_s)
        uplink.start()
        started.append(uplink)
        return uplink

    yield make
    for one in started:
        one.stop()


def append(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.append("test.noted", {"number": number})


def test_every_event_arrives_in_order_and_is_let_go_by_a_receipt(
    journal: Journal, giver: ReceiptGiver, start: Starter
) -> None:
    uplink = start()
    for _ in range(200):
        append(journal, 1)
        uplink.wake()
    eventually(lambda: journal.depth == 0)
    assert giver.first_arrivals == list(range(201))
    assert verify_chain(giver.envelopes, {DEVICE: KEY.public}).ok
    assert uplink.online
    assert uplink.state.state == "working"


def test_without_receipts_nothing_is_let_go_and_no_more_than_the_window_is_under_way(
    journal: Journal, giver: ReceiptGiver, start: Starter
) -> None:
    giver.answers = False
    append(journal, 200)
    start(window=Window(64, resend_after_s=60))
    giver.wait_until(lambda: len(giver.arrivals) == 64)
    assert journal.depth == 201
    giver.answers = True
    assert giver.head is not None
    giver.send(DEVICE, SITE, giver.receipt(giver.head))
    eventually(lambda: journal.depth == 0)
    assert [seq for seq, _ in giver.arrivals] == list(range(201))


def test_what_gets_no_receipt_is_sent_again(journal: Journal, giver: ReceiptGiver, start: Starter) -> None:
    giver.answers = False
    append(journal, 4)
    uplink = start(window=Window(64, resend_after_s=0.2))
    giver.wait_until(lambda: len(giver.arrivals) >= 15)
    assert [seq for seq, _ in giver.arrivals][:15] == [0, 1, 2, 3, 4] * 3
    eventually(lambda: uplink.state.reason.startswith("no_receipts: "))
    assert uplink.state.state == "degraded"
    giver.answers = True
    eventually(lambda: journal.depth == 0)
    eventually(lambda: uplink.state.state == "working")


def test_a_lost_connection_sends_everything_without_a_receipt_again_at_once(
    journal: Journal, giver: ReceiptGiver, start: Starter, mosquitto: Mosquitto
) -> None:
    giver.answers = False
    append(journal, 4)
    uplink = start(window=Window(64, resend_after_s=600))
    giver.wait_until(lambda: len(giver.arrivals) == 5)
    impostor = paho.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=paho.MQTTv5)
    impostor.connect("127.0.0.1", mosquitto.port)  # of two with one name the broker throws the first out
    impostor.loop_start()
    giver.wait_until(lambda: len(giver.arrivals) >= 10)
    impostor.disconnect()
    impostor.loop_stop()
    assert [seq for seq, _ in giver.arrivals][:10] == [0, 1, 2, 3, 4] * 2
    assert uplink.counts["resent"] == 0


def test_events_of_a_time_without_a_broker_all_arrive_in_order_when_it_is_back(
    journal: Journal, giver: ReceiptGiver, start: Starter, mosquitto: Mosquitto
) -> None:
    uplink = start(window=Window(64, resend_after_s=0.5))  # the collector may be back after the terminal
    eventually(lambda: journal.depth == 0)
    mosquitto.stop()
    eventually(lambda: not uplink.online)
    assert uplink.state.state == "failed"
    assert uplink.state.reason.startswith("offline: ")
    append(journal, 150)
    assert journal.depth == 150
    mosquitto.start()
    eventually(lambda: journal.depth == 0)
    assert giver.first_arrivals == list(range(151))
    assert verify_chain(giver.envelopes, {DEVICE: KEY.public}).ok


def test_a_broker_that_comes_and_goes_loses_nothing(
    journal: Journal, giver: ReceiptGiver, start: Starter, mosquitto: Mosquitto
) -> None:
    uplink = start(window=Window(64, resend_after_s=0.5))
    for _ in range(4):
        append(journal, 40)
        uplink.wake()
        mosquitto.stop()
        append(journal, 10)
        mosquitto.start()
    eventually(lambda: journal.depth == 0, 40)
    assert sorted(giver.first_arrivals) == list(range(201))  # the collector, too, was away and hears some late
    assert giver.head == journal.head


def test_receipts_that_do_not_hold_let_nothing_go_and_are_counted(
    journal: Journal, giver: ReceiptGiver, start: Starter
) -> None:
    giver.answers = False
    append(journal, 3)
    uplink = start(window=Window(64, resend_after_s=60))
    giver.wait_until(lambda: giver.head is not None and giver.head.seq == 3)
    head = giver.head
    assert head is not None
    honest, giver.key = giver.key, Ed25519Key.generate()
    giver.send(DEVICE, SITE, giver.receipt(head))  # another key
    giver.key = honest
    giver.send(DEVICE, SITE, giver.receipt(head, chain="0" * 32))  # another chain
    giver.send(DEVICE, SITE, giver.receipt(head, device="gate-2"))  # another terminal
    giver.send(DEVICE, SITE, b"\xff" * 1_000_000)
    giver.send(DEVICE, SITE, b"")
    eventually(lambda: uplink.counts["receipts_refused"] == 5)
    assert journal.depth == 4
    assert journal.bad_receipts == 5
    assert journal.state.state == "degraded"
    assert journal.state.reason.startswith("bad_receipt: ")
    assert uplink.online

    giver.send(DEVICE, SITE, giver.receipt(head))
    giver.send(DEVICE, SITE, giver.receipt(head))  # replayed
    eventually(lambda: uplink.counts["receipts"] == 2)
    assert journal.depth == 0
    assert journal.state.state == "working"


def test_status_says_online_and_then_offline_and_health_arrives(
    journal: Journal, giver: ReceiptGiver, start: Starter
) -> None:
    uplink = start()
    eventually(lambda: uplink.online)
    health = Health(device=DEVICE, site=SITE, time=CLOCK.stamp().time, software="x", uptime_s=1, unsent=0, parts={})
    uplink.publish_health(health)
    giver.wait_until(lambda: any(leaf == "health" for leaf, _, _ in giver.messages))
    uplink.stop()
    giver.wait_until(lambda: len(statuses(giver)) == 2)
    assert statuses(giver) == ["online", "offline"]
    assert not uplink.online


def test_an_exception_while_a_receipt_is_handled_is_counted_and_the_flow_goes_on(
    journal: Journal, giver: ReceiptGiver, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, failures = journal.release, iter(range(3))

    def fails_thrice(*arguments: object) -> object:
        if next(failures, None) is not None:
            raise RuntimeError("a fault in the code")
        return release(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "release", fails_thrice)
    uplink = start(window=Window(64, resend_after_s=0.3))
    append(journal, 10)
    uplink.wake()
    eventually(lambda: journal.depth == 0)
    assert uplink.counts["errors"] == 3


def test_a_half_open_connection_is_noticed_and_replaced(
    journal: Journal, giver: ReceiptGiver, start: Starter, mosquitto: Mosquitto
) -> None:
    uplink = start(keepalive_s=1)
    eventually(lambda: uplink.online)
    assert mosquitto.process is not None
    mosquitto.process.send_signal(19)  # SIGSTOP: the kernel keeps the connection, nobody answers
    eventually(lambda: not uplink.online)
    append(journal, 5)
    mosquitto.process.send_signal(18)
    eventually(lambda: journal.depth == 0)


def statuses(giver: ReceiptGiver) -> list[str]:
    return [Status.model_validate_json(data).state for leaf, data, _ in giver.messages if leaf == "status"]
