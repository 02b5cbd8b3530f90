"""Over a real Mosquitto: a signed question is answered, a new chain goes on at once, leftovers arrive beside it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from evidence.chain import Head, read_event
from evidence.gap import GapRequest, sign_gap_request
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.kiosk.receipt_giver import TIME, ReceiptGiver
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

DEVICE, SITE, CLOCK, KEY = "gate-1", "riverside", SystemClock(), Ed25519Key.generate()


def open_journal(folder: Path) -> Journal:
    return Journal(folder / "journal.db", KEY, DEVICE, SITE, "Asia/Shanghai", CLOCK)


@pytest.fixture
def giver(mosquitto: Mosquitto) -> Iterator[ReceiptGiver]:
    one = ReceiptGiver(mosquitto.port, KEY.public)
    yield one
    one.stop()


class UplinkOf(Protocol):
    def __call__(self, journal: Journal, resend_after_s: float = 60) -> Uplink: ...


@pytest.fixture
def uplink_of(mosquitto: Mosquitto, giver: ReceiptGiver) -> Iterator[UplinkOf]:
    """Starts uplinks, and stops them whatever becomes of the test: one left running writes into others' output."""
    with ExitStack() as running:

        def start(journal: Journal, resend_after_s: float = 60) -> Uplink:
            one = _uplink(journal, mosquitto, giver, resend_after_s)
            one.start()
            running.callback(one.stop)
            return one

        yield start


def _uplink(journal: Journal, mosquitto: Mosquitto, giver: ReceiptGiver, resend_after_s: float) -> Uplink:
    settings = KioskSettings.model_validate(
        {
            "device": DEVICE,
            "site": SITE,
            "broker": f"mqtt://127.0.0.1:{mosquitto.port}",
            "collector_keys": [giver.key.public.text()],
        }
    )
    window = Window(64, resend_after_s=resend_after_s)
    return Uplink(journal, settings, CLOCK, backoff=Backoff(0.05, 0.2), window=window)


def question(journal: Journal, first: int, last: int, key: Ed25519Key, chain: str | None = None) -> bytes:
    request = GapRequest(device=DEVICE, chain=chain or journal.head.chain, first=first, last=last, time=TIME)
    return sign_gap_request(request, key)


def test_what_the_collector_lacks_is_sent_again_although_it_has_a_receipt(
    tmp_path: Path, giver: ReceiptGiver, uplink_of: UplinkOf
) -> None:
    journal = open_journal(tmp_path)
    for number in range(9):
        journal.append("test.noted", {"number": number})
    uplink = uplink_of(journal)
    eventually(lambda: journal.depth == 0)
    before = len(giver.arrivals)
    giver.send(DEVICE, SITE, question(journal, 3, 5, Ed25519Key.generate()))  # a stranger's
    giver.send(DEVICE, SITE, question(journal, 3, 5, giver.key, "0" * 32))  # another chain
    giver.send(DEVICE, SITE, question(journal, 3, 5, giver.key))
    giver.wait_until(lambda: len(giver.arrivals) == before + 3)
    time.sleep(0.2)
    assert [seq for seq, _ in giver.arrivals[before:]] == [3, 4, 5]
    assert (uplink.counts["asked"], uplink.counts["receipts_refused"]) == (2, 1)
    assert journal.depth == 0
    uplink.stop()
    journal.close()


def test_a_receipt_for_what_was_never_written_begins_a_new_chain_that_is_delivered_too(
    tmp_path: Path, giver: ReceiptGiver, uplink_of: UplinkOf
) -> None:
    journal = open_journal(tmp_path)
    for number in range(4):
        journal.append("test.noted", {"number": number})
    giver.answers = False
    uplink = uplink_of(journal, 0.3)
    giver.wait_until(lambda: giver.head is not None and giver.head.seq == 4)
    assert giver.head is not None
    old: Head = giver.head
    giver.send(DEVICE, SITE, giver.receipt(old, upto=99, head="0" * 64))
    eventually(lambda: journal.head.chain != old.chain)
    journal.append("test.noted", {})
    uplink.wake()

    def chains() -> set[str]:
        return {read_event(data, {DEVICE: KEY.public})[0].chain for _, data in giver.arrivals}

    giver.wait_until(lambda: journal.head.chain in chains())
    assert journal.depth == 3 + 5  # what was never written may have been an opening: the new chain says so
    giver.send(DEVICE, SITE, giver.receipt(old))
    eventually(lambda: not journal.leftover_chains())
    assert journal.depth == 3
    uplink.stop()
    journal.close()


def test_leftovers_of_a_damaged_journal_arrive_beside_the_new_chain(
    tmp_path: Path, giver: ReceiptGiver, uplink_of: UplinkOf
) -> None:
    journal = open_journal(tmp_path)
    for number in range(200):
        journal.append("test.noted", {"number": number})
    old = journal.head
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 200")
    database.close()
    journal = open_journal(tmp_path)
    giver.answers = False
    uplink = uplink_of(journal)
    for seq in (63, 127, 191, 200):
        giver.wait_until(lambda seq=seq: seq in giver.first_arrivals)  # type: ignore[misc]
        event, envelope = read_event(dict(giver.arrivals)[seq], {DEVICE: KEY.public})
        reached = Head(DEVICE, event.chain, seq, envelope.hash, event.boot, event.mono_us)
        giver.send(DEVICE, SITE, giver.receipt(reached))
    eventually(lambda: not journal.leftover_chains())
    assert {read_event(data, {DEVICE: KEY.public})[0].chain for _, data in giver.arrivals} == {
        old.chain,
        journal.head.chain,
    }
    uplink.stop()
    journal.close()
