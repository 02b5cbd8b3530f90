"""A joined terminal without a broker: real journal, HTTPS and collector; what arrives, and what is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.ingest.terminal_deliveries import Brought
from collector.people.service import NewWorker
from collector.settings import load_settings
from evidence.chain import verify_chain
from evidence.events import LogType
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.errors import JournalFull
from kiosk.https_delivery import HttpsDelivery, Outgoing
from tests.collector.process import CollectorProcess
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.zaigang.gate import Between, Gate, all_of, gates, held, nobody, replace_keys, whole
from tests.zaigang.joining import Centre


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    one = Centre(tmp_path / "collector", broker_port=free_port())
    yield one
    one.close()


@pytest.fixture
def gate(centre: Centre, tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    with gates(centre, tmp_path / "terminal") as make:
        yield make


# --- the way


@pytest.mark.parametrize("broker", [(), ("nobody",)], ids=["no broker is set", "no broker answers"])
def test_without_a_broker_every_event_arrives_once_and_is_let_go_by_a_receipt(
    centre: Centre, gate: Callable[..., Gate], broker: tuple[str, ...]
) -> None:
    one = gate(broker=tuple(nobody() for _ in broker))
    one.append(450)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "receipts for a backlog")
        one.append(1)
        until(lambda: one.journal.depth == 0, "a receipt for one more")
        assert uplink.over_https and not uplink.online
        assert uplink.state.state == ("degraded" if broker else "working")
        assert uplink.state.reason.startswith("https: ")
    assert held(centre, one) == all_of(one)
    assert len(held(centre, one)) == 452


def test_a_broker_that_is_back_takes_over_and_nothing_goes_two_ways(
    centre: Centre, gate: Callable[..., Gate], mosquitto: Mosquitto
) -> None:
    between = Between.of(centre)
    one = gate(broker=(f"mqtt://127.0.0.1:{mosquitto.port}",), after_s=0.3)
    mosquitto.stop()
    one.append(20)
    collector = None
    try:
        with centre.serving():
            uplink = one.start()
            until(lambda: one.journal.depth == 0 and uplink.over_https, "receipts without a broker")
            mosquitto.start()
            collector = Collector(load_settings(data=centre.data, broker=f"mqtt://127.0.0.1:{mosquitto.port}"))
            collector.start()
            until(lambda: uplink.online, "the broker")
            assert not uplink.over_https
            posted = len(between.taken)
            one.append(30)
            until(lambda: one.journal.depth == 0 and uplink.counts["published"] >= 30, "receipts over MQTT")
            assert uplink.state.state == "working" and uplink.state.reason == ""
            assert len(between.taken) == posted
            mosquitto.stop()
            one.append(5)
            until(lambda: one.journal.depth == 0, "receipts without a broker once more")
            assert len(between.taken) > posted
    finally:
        one.stop()
        if collector is not None:
            collector.stop()
    assert held(centre, one) == all_of(one)


def test_a_broker_that_is_only_just_gone_is_waited_for(centre: Centre, gate: Callable[..., Gate]) -> None:
    between = Between.of(centre)
    one = gate(broker=(nobody(),), after_s=3600)
    one.append(3)
    with centre.serving():
        uplink, tries = one.start(), list[float]()
        uplink._backoff.draw = lambda low, high: tries.append(low) or low
        until(lambda: len(tries) >= 5, "pauses between tries of a broker that does not answer")
        assert uplink.state.reason.startswith("offline: 127.0.0.1")
    assert between.taken == [] and uplink.state.state == "failed"


def test_a_collector_that_is_away_as_well_costs_nothing_and_the_status_says_so(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(3)
    uplink = one.start()
    until(lambda: "collector_unreachable" in uplink.state.reason, "the reason")
    assert uplink.state.state == "failed" and one.journal.depth == 4
    with centre.serving():
        until(lambda: one.journal.depth == 0, "receipts once it is back")


# --- whom it believes


def spoilt(change: Callable[[bytes], bytes]) -> Callable[[Brought], Brought]:
    return lambda brought: replace(brought, messages=[change(one) for one in brought.messages])


def forged(gate: Gate, key: Ed25519Key, **changes: Any) -> bytes:
    head = gate.journal.head
    fields = {"device": "gate-1", "chain": head.chain, "upto": head.seq, "head": head.hash, "tree_size": 99}
    return sign_receipt(Receipt.model_validate(fields | {"time": "2026-05-04T08:00:00.000Z"} | changes), key)


@pytest.mark.parametrize("how", ["a stranger's key", "another event", "another terminal", "a chain of nobody"])
def test_a_receipt_that_the_collector_did_not_give_lets_nothing_go(
    centre: Centre, gate: Callable[..., Gate], how: str
) -> None:
    one = gate()
    one.append(3)
    receipt = {
        "a stranger's key": forged(one, Ed25519Key.generate()),
        "another event": forged(one, centre.keys.receipt, upto=0),  # signed, with the hash of event 3
        "another terminal": forged(one, centre.keys.receipt, device="gate-2"),
        "a chain of nobody": forged(one, centre.keys.receipt, chain="0" * 32),
    }[how]
    chain = one.journal.head.chain
    between = Between.of(centre, spoilt(lambda _: receipt))
    with centre.serving():
        uplink = one.start()
        until(lambda: uplink.counts["receipts_refused"] > 0, "a receipt that is refused")
        assert one.journal.depth > 0 and one.journal.released == -1
        between.change = lambda brought: brought
        if how == "another event":  # a signed word that this journal is behind begins a chain anew, as over MQTT
            until(lambda: one.journal.head.chain != chain, "a new chain")
            until(lambda: uplink.state.reason.startswith("no_receipts: "), "a chain that waits")
            centre.services.devices.approve("gate-1", one.journal.head.chain, "me")
        until(lambda: one.journal.depth == 0, "a true receipt")
    assert (one.journal.head.chain == chain) == (how != "another event")


def test_whoever_has_another_authority_is_told_nothing(
    centre: Centre, gate: Callable[..., Gate], tmp_path: Path
) -> None:
    one = gate()
    one.append(3)
    other = Centre(tmp_path / "other", centre.port)
    between = Between.of(other)
    with other.serving():
        uplink = one.start()
        until(lambda: "wrong_pin" in uplink.state.reason, "the reason")
        one.stop()
        (one.folder / "authority.pem").unlink()  # then it is fetched from whoever answers
        uplink = one.start()
        until(lambda: "wrong_pin" in uplink.state.reason, "the reason")
        assert "expected" in uplink.state.reason
        one.stop()
    other.close()
    assert between.taken == [] and one.journal.depth == 4


# --- crashes, and what else comes back


DIES_AFTER_COMMIT = """
import os, signal
from collector.ingest.deliveries import Deliveries
real = Deliveries.take_from
def take_from(self, *a, **k):
    real(self, *a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
Deliveries.take_from = take_from
from zaigang.commands.collector import app
app()
"""


def test_a_collector_that_dies_between_commit_and_answer_is_asked_again_and_nothing_doubles(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(30)
    environment = {
        "ZAIGANG_COLLECTOR_HTTPS": "true",
        "ZAIGANG_COLLECTOR_PUBLIC_URL": f"https://localhost:{centre.port}",
        "ZAIGANG_COLLECTOR_CONSOLE": "false",
    }
    given = {"port": centre.port, "environment": environment}
    dying = CollectorProcess(centre.data, free_port(), program=DIES_AFTER_COMMIT, **given).start()
    one.start()
    assert dying.process is not None
    dying.process.wait(60)
    until(lambda: "collector_unreachable" in one.reason(), "a lost answer")
    assert len(held(centre, one)) == 31 and one.journal.depth == 31
    one.reopen()  # and the terminal's power went as well
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "a receipt for what was there already")
    assert held(centre, one) == all_of(one)


def test_a_key_of_the_collector_that_was_handed_over_meanwhile_is_followed(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(3)
    old = centre.keys.receipt.public
    replace_keys(centre, "receipt")
    assert centre.keys.receipt.public != old
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "a receipt of the new key")
        assert uplink.counts["receipts_refused"] == 0
    assert centre.keys.receipt.public in one.settings.pinned_keys and old not in one.settings.pinned_keys


def test_a_terminals_key_that_was_rotated_meanwhile_delivers_though_the_collector_does_not_know_it(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    first = one.key.public
    one.append(300)  # more than a batch before the rotation
    one.journal.rotate_key("planned: a test")
    one.journal.rotate_key("planned: again")
    one.append(3)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
    envelopes = list(centre.services.ledger.envelopes("gate-1", one.journal.head.chain))
    assert envelopes == all_of(one) and verify_chain(envelopes, {"gate-1": first}).ok


@pytest.mark.parametrize("broken", ["the kept certificate", "the journal", "something of ours"])
def test_whatever_breaks_while_posting_is_said_and_the_next_post_waits(
    centre: Centre, gate: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    one = gate()
    one.append(3)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0 and uplink.over_https, "receipts")
        if broken == "the kept certificate":
            (one.folder / "authority.pem").write_bytes(b"\xff\xfe" * 200)  # it is fetched and held against the pin
        elif broken == "the journal":
            one.journal.release_beyond = full  # type: ignore[method-assign]
            monkeypatch.setattr(HttpsDelivery, "gather", lambda *_: Outgoing((), {"a": 1}))
        else:
            monkeypatch.setattr(HttpsDelivery, "gather", lambda *_: 1 / 0)
        one.append(3)
        if broken == "the kept certificate":
            until(lambda: one.journal.depth == 0, "receipts all the same")
            return
        until(lambda: not uplink.over_https, "the truth")
        assert uplink.state.state == "failed"
        assert ("disk_full" if broken == "the journal" else "division") in uplink.state.reason


def full(*_: Any) -> None:
    raise JournalFull("there is no room on the disk")


def test_what_a_collector_that_was_restored_lacks_is_asked_for_and_sent_once_more(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    one.append(20)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
        one.stop()
    forget_after(centre, one.journal.head.chain, 5)
    one.append(10)
    with centre.serving():
        uplink = one.start()
        until(lambda: one.journal.depth == 0, "receipts for everything")
        assert uplink.counts["asked"] >= 1
    assert held(centre, one) == all_of(one)


def forget_after(centre: Centre, chain: str, seq: int) -> None:
    """Put a collector in place that has only the first events, as from an old backup."""
    kept = list(centre.services.ledger.envelopes("gate-1", chain))[: seq + 1]
    row = centre.services.devices.keys("gate-1")[0]
    centre.database.close()
    for file in centre.data.glob("collector.sqlite*"):
        file.unlink()
    fresh = Centre(centre.data, centre.port)
    fresh.services.devices.add(NewDevice(name="gate-1", site="east", key=row.key))
    centre.database, centre.services, centre.joining = fresh.database, fresh.services, fresh.joining
    assert centre.services.deliveries.take(kept, "backup").outcomes["admitted"] == seq + 1


def test_a_chain_that_waits_for_approval_is_said_so_and_is_not_hurried(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    between = Between.of(centre)
    one = gate()
    one.append(5)
    with centre.serving():
        one.start()
        until(lambda: one.journal.depth == 0, "receipts")
        one.stop()
        one.journal.close()
        one.settings.journal_file.unlink()  # the journal is lost, its mark is not
        one.journal = one._open()
        one.append(5)
        chain, before = one.journal.head.chain, len(between.taken)
        uplink = one.start()
        until(lambda: uplink.state.reason.startswith("no_receipts: "), "the reason")
        centre.services.devices.approve("gate-1", chain, "me")
        until(lambda: one.journal.depth == 0, "receipts once it is approved")
        assert len(between.taken) - before < 500
    assert held(centre, one) == all_of(one)


def test_a_command_comes_with_the_answer_until_it_is_answered(centre: Centre, gate: Callable[..., Gate]) -> None:
    one = gate()
    centre.services.people.add(NewWorker(code="E1", name="王"))
    view = centre.services.commands.spot_check("E1", "gate-1", 5, "me")
    with centre.serving():
        one.start()
        until(lambda: one.commands, "the command, though nothing waits to be sent")
    assert set(one.commands) == {view.command.envelope}


def test_a_whole_terminal_reports_and_is_shown_the_ledger_without_a_broker(
    centre: Centre, gate: Callable[..., Gate]
) -> None:
    one = gate()
    with centre.serving(), whole(one) as kiosk:
        until(lambda: kiosk.journal.depth == 0, "receipts")
        centre.services.checkpoints.sign()
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        until(lambda: kiosk.journal.depth == 0, "a receipt for the punch")
        view = kiosk.attendant.view()
        assert view.online and view.over_https
        assert kiosk.parts()["network"].reason.startswith("https: ")
        kiosk._publish_health(kiosk.clock.stamp())
        assert kiosk.uplink._https is not None
        kiosk.uplink._https._way._ask_s = 0.0  # as if the minute were over
        kiosk.uplink.wake()
        until(lambda: kiosk.ledger.size, "the checkpoint")
        (device,) = centre.services.devices.all()
        found = centre.services.devices.get(device.name)
        assert found.health is not None and found.last_activity is not None
