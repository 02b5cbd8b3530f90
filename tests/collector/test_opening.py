"""What is checked before the write lock counts only as what it is: that a signature stands under some key."""

from __future__ import annotations

import pytest

from collector.ingest.message import Message
from collector.ingest.opening import KEYS_KEPT, Opener
from collector.timestamps import utc_now
from evidence.envelope import EVENT_TYPE, RECEIPT_TYPE, Envelope, sign
from evidence.keys import Ed25519Key
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.collector.test_rotation import rotate

pytestmark = pytest.mark.both_databases


def opened_by(bench: Bench, terminal: Terminal, data: bytes) -> bool:
    """Say whether the bench's intake finds a signature standing before it asks the database."""
    (one,) = bench.intake._opener.open([Message(terminal.event_topic, data, utc_now())])
    return one.stands_under is not None


def test_a_signature_is_checked_beforehand_once_the_key_was_met(bench: Bench, terminal: Terminal) -> None:
    first = terminal.enrol()
    assert not opened_by(bench, terminal, first)
    bench.offer(terminal, first)
    punch = terminal.punch()
    assert opened_by(bench, terminal, punch)
    assert bench.offer(terminal, punch)[0].upto == 1


def test_a_key_that_was_met_and_counts_no_more_signs_nothing(bench: Bench, terminal: Terminal) -> None:
    old = terminal.key
    bench.offer(terminal, terminal.enrol(), rotate(terminal))
    stolen = Terminal(terminal.device, terminal.site, old, terminal.chain, terminal.boot, head=terminal.head, time_s=9)
    forged = stolen.punch()
    assert opened_by(bench, terminal, forged)
    assert bench.offer(terminal, forged) == []
    assert bench.dead() == ["unknown_key"]
    assert bench.offer(terminal, terminal.punch())[0].upto == 2


def test_another_devices_key_that_was_met_signs_nothing_for_this_one(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    bench.offer(other, other.enrol())
    bench.offer(terminal, terminal.enrol())
    posing = Terminal(terminal.device, terminal.site, other.key, terminal.chain, terminal.boot, head=terminal.head)
    forged = posing.punch()
    assert opened_by(bench, terminal, forged)
    assert bench.offer(terminal, forged) == []
    assert bench.dead() == ["unknown_key"]


def test_a_changed_signature_under_a_key_that_was_met_is_named(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    punch = terminal.punch()
    end = punch.rindex(b"==") - 1
    changed = punch[: end - 8] + (b"A" if punch[end - 8 : end - 7] != b"A" else b"B") + punch[end - 7 :]
    assert not opened_by(bench, terminal, changed)
    assert bench.offer(terminal, changed) == []
    assert bench.dead() == ["bad_signature"]


def test_no_more_keys_are_remembered_than_a_collector_has_terminals(bench: Bench) -> None:
    from collector.devices.models import DeviceKey

    opener, keys = Opener(), [Ed25519Key.generate().public for _ in range(KEYS_KEPT + 5)]
    opener.meet(DeviceKey(device="x", key=key.text(), key_id=key.id, added_at="") for key in keys)
    assert list(opener.keys.values()) == keys[5:]
    opener.meet([DeviceKey(device="x", key="ed25519:damaged", key_id="damaged", added_at="")])
    assert "damaged" not in opener.keys


def test_what_was_signed_as_something_else_is_not_taken_for_an_event(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    payload = Envelope.decode(terminal.punch()).payload
    misused = sign(RECEIPT_TYPE, payload, terminal.key).encode()
    twice = sign(EVENT_TYPE, payload, terminal.key, Ed25519Key.generate()).encode()
    for data in (misused, twice):
        assert not opened_by(bench, terminal, data)
        assert bench.offer(terminal, data) == []
    assert sorted(bench.dead()) == ["signature_count", "wrong_payload_type"]
