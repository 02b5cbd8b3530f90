"""A terminal's key is rotated: who signs, from where the new key counts, what a stolen old one can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collector.devices.keys import reenrol
from collector.devices.service import NewDevice
from collector.errors import Conflict
from collector.ingest.intake import Intake, Limits
from collector.ledger.fsck import check_ledger
from collector.ledger.models import ChainState
from collector.punches.service import Filters, Order
from evidence.chain import follow, verify_chain
from evidence.envelope import EVENT_TYPE, sign
from evidence.events import Event, Kind
from evidence.keys import Ed25519Key, Es256Key, SigningKey
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal


def rotation(terminal: Terminal, new: SigningKey, **changes: Any) -> Event:
    body = {"previous": terminal.key.public.text(), "key": new.public.text(), "reason": "planned: a test"}
    return terminal.event(Kind.DEVICE_KEY_ROTATED, body | changes)


def rotate(terminal: Terminal, new: Any = None) -> bytes:
    """Hand the chain over, signed by both, and go on with the new key."""
    new = new or Ed25519Key.generate()
    event = rotation(terminal, new)
    envelope = sign(EVENT_TYPE, event.payload(), terminal.key, new)
    terminal.head = follow(terminal.head, event, envelope.hash)
    terminal.key, terminal.time_s = new, terminal.time_s + 1
    return envelope.encode()


def counting(bench: Bench, terminal: Terminal) -> list[tuple[str, str | None, int, int | None]]:
    rows = bench.services.devices.keys(terminal.device)
    return [(row.key_id, row.chain, row.first_seq, row.last_seq) for row in rows]


def whole(bench: Bench, terminal: Terminal, first: Ed25519Key) -> None:
    envelopes = list(bench.services.ledger.envelopes(terminal.device, terminal.chain))
    report = verify_chain(envelopes, {terminal.device: first.public})
    assert report.ok, report.problems
    log = bench.services.checkpoints.signer.public
    assert check_ledger(bench.database, bench.keys.seal, log).difference is None


@pytest.mark.parametrize("new", [Ed25519Key.generate, Es256Key.generate], ids=["to a file", "to a TPM's kind"])
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch each"])
def test_what_the_new_key_signs_after_the_rotation_is_admitted(
    bench: Bench, terminal: Terminal, new: Callable[[], Any], together: bool
) -> None:
    first = terminal.key
    envelopes = [terminal.enrol(), terminal.punch(), rotate(terminal, new()), terminal.punch(), terminal.punch()]
    batches = [envelopes] if together else [[one] for one in envelopes]
    receipts = [bench.offer(terminal, *batch)[0] for batch in batches]
    assert (receipts[-1].upto, bench.dead()) == (4, [])
    assert counting(bench, terminal) == [
        (first.public.id, terminal.chain, 0, 2),
        (terminal.key.public.id, None, 0, None),
        (terminal.key.public.id, terminal.chain, 3, None),
    ]
    whole(bench, terminal, first)


@pytest.mark.parametrize("order", ["the old chain first", "the new chain first"])
def test_one_batch_may_have_a_rotation_and_another_chain_by_the_new_key(
    bench: Bench, terminal: Terminal, order: str
) -> None:
    """As on a stick: what waited of a chain that was set aside, then the one that goes on."""
    bench.offer(terminal, terminal.enrol())
    old = [terminal.punch(), rotate(terminal), terminal.punch()]
    later = Terminal(terminal.device, key=terminal.key)
    new = [later.enrol(), later.punch()]
    bench.offer(terminal, *(old + new if order == "the old chain first" else new + old))
    assert bench.dead() == []
    bench.services.devices.approve(terminal.device, later.chain, "me")
    bench.intake.admit_ready()
    assert len(list(bench.services.ledger.envelopes(terminal.device, later.chain))) == 2


def test_events_of_the_new_key_that_come_before_the_rotation_is_admitted_wait(bench: Bench, terminal: Terminal) -> None:
    first = terminal.key
    envelopes = [terminal.enrol(), terminal.punch(), rotate(terminal), terminal.punch()]
    bench.offer(terminal, envelopes[0])
    bench.offer(terminal, envelopes[2])  # a gap before it
    assert bench.offer(terminal, envelopes[3]) == []
    assert bench.offer(terminal, envelopes[1])[0].upto == 3
    assert bench.dead() == []
    whole(bench, terminal, first)


def test_two_rotations_in_a_row_and_a_later_chain_count_the_newest_key(bench: Bench, terminal: Terminal) -> None:
    first = terminal.key
    bench.offer(terminal, terminal.enrol(), rotate(terminal), terminal.punch())
    bench.offer(terminal, rotate(terminal), terminal.punch())
    whole(bench, terminal, first)
    later = terminal.again()
    bench.offer(later, later.enrol())
    bench.services.devices.approve(terminal.device, None, "me")
    bench.intake.admit_ready()
    assert bench.services.ledger.chain(later.device, later.chain).head_seq == 0
    retired = Terminal(terminal.device, terminal.site, first)
    bench.offer(retired, retired.enrol())
    assert bench.dead() == ["unknown_key"]  # the first key opens no chain any more


def test_two_rotations_in_one_batch_are_admitted_without_a_dead_letter(bench: Bench, terminal: Terminal) -> None:
    first = terminal.key
    envelopes = [terminal.enrol(), rotate(terminal), terminal.punch(), rotate(terminal), terminal.punch()]
    assert bench.offer(terminal, *envelopes)[0].upto == 4
    assert bench.dead() == []
    whole(bench, terminal, first)


def rejoined_with_the_key_of_a_rotation_that_waits(bench: Bench, terminal: Terminal) -> tuple[bytes, bytes]:
    """A rotation waits behind a gap; its terminal lost its journal and joined anew with the new key.

    Return the lost event and the rotation.
    """
    bench.offer(terminal, terminal.enrol())
    lost, rotation = terminal.punch(), rotate(terminal)
    bench.offer(terminal, rotation, terminal.punch())
    with bench.database.write() as session:
        reenrol(session, terminal.device, terminal.key.public, terminal.now())
    return lost, rotation


def the_staged_rotation_is_buried(bench: Bench, terminal: Terminal, rotation: bytes) -> None:
    (letter,) = bench.services.dead_letters.page(None, 10)
    assert (letter.code, letter.content) == ("key_mismatch", rotation)
    assert bench.intake.admit_ready() == []


def test_a_staged_rotation_to_a_key_registered_meanwhile_is_a_dead_letter_and_blocks_no_other_chain(
    bench: Bench, terminal: Terminal
) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    bench.offer(other, other.enrol())
    _, rotation = rejoined_with_the_key_of_a_rotation_that_waits(bench, terminal)
    bench.offer(other, *[other.punch(), other.punch()][1:])
    for one in (terminal, other):
        bench.services.statements.declare_gap(one.device, one.chain, 1, "lost", None)
    (answer,) = bench.intake.admit_ready()
    assert bench.read_receipt(answer.payload, other).upto == 2
    the_staged_rotation_is_buried(bench, terminal, rotation)


def test_the_event_before_such_a_rotation_enters_all_the_same(bench: Bench, terminal: Terminal) -> None:
    lost, rotation = rejoined_with_the_key_of_a_rotation_that_waits(bench, terminal)
    assert bench.offer(terminal, lost)[0].upto == 1
    the_staged_rotation_is_buried(bench, terminal, rotation)


@pytest.mark.parametrize("who", ["old alone", "new alone", "in the other order", "by a stranger and the new"])
def test_a_rotation_that_not_both_have_signed_changes_nothing(bench: Bench, terminal: Terminal, who: str) -> None:
    bench.offer(terminal, terminal.enrol())
    new, stranger = Ed25519Key.generate(), Ed25519Key.generate()
    signers = {
        "old alone": [terminal.key],
        "new alone": [new],
        "in the other order": [new, terminal.key],
        "by a stranger and the new": [stranger, new],
    }[who]
    assert bench.offer(terminal, sign(EVENT_TYPE, rotation(terminal, new).payload(), *signers).encode()) == []
    assert bench.dead() == [{"old alone": "signature_count", "new alone": "signature_count"}.get(who, "unknown_key")]
    assert len(counting(bench, terminal)) == 1
    assert bench.offer(terminal, terminal.punch())[0].upto == 1


def test_a_rotation_that_comes_again_is_answered_and_changes_nothing(bench: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), rotate(terminal), terminal.punch()]
    bench.offer(terminal, *envelopes)
    before = counting(bench, terminal)
    assert bench.offer(terminal, envelopes[1])[0].upto == 2
    assert bench.offer(terminal, *envelopes)[0].upto == 2
    assert (counting(bench, terminal), bench.dead()) == (before, [])


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch later"])
def test_the_old_key_signs_nothing_after_the_rotation(bench: Bench, terminal: Terminal, together: bool) -> None:
    first = terminal.key
    handed = [terminal.enrol(), rotate(terminal)]
    stolen = sign(EVENT_TYPE, terminal.event(Kind.PUNCH_RECORDED, terminal.punch_body()).payload(), first).encode()
    if together:
        bench.offer(terminal, *handed, stolen)
    else:
        bench.offer(terminal, *handed)
        bench.offer(terminal, stolen)
    assert bench.dead() == ["unknown_key"]
    assert bench.seqs(terminal) == 2


def test_a_thief_who_rotates_beside_the_terminal_forks_the_chain(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    thief = Terminal(terminal.device, terminal.site, terminal.key, chain=terminal.chain, head=terminal.head)
    bench.offer(terminal, terminal.punch())
    bench.offer(thief, rotate(thief), thief.punch())
    assert bench.services.ledger.chain(terminal.device, terminal.chain).state == ChainState.FROZEN
    assert len(counting(bench, terminal)) == 1


def test_a_rotation_to_a_key_of_another_terminal_or_back_to_an_old_one_is_refused(
    bench: Bench, terminal: Terminal
) -> None:
    other, first = Terminal("gate-2"), terminal.key
    bench.register(other)
    bench.offer(terminal, terminal.enrol(), rotate(terminal))
    for taken in (other.key, first):
        bench.offer(terminal, sign(EVENT_TYPE, rotation(terminal, taken).payload(), terminal.key, taken).encode())
    assert bench.dead() == ["key_mismatch", "key_mismatch"]
    with pytest.raises(Conflict, match="every terminal has a key of its own"):
        bench.services.devices.add(NewDevice(name="gate-3", site="east", key=terminal.key.public.text()))


def test_a_rotation_by_a_revoked_terminal_washes_nothing_clean(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    bench.services.devices.revoke(terminal.device)
    bench.offer(terminal, rotate(terminal), terminal.punch())
    items = bench.services.punches.page(Filters(), Order.ARRIVAL, None, 500).items
    assert sorted((one.entry.seq, one.entry.after_revocation, one.punch.verdict) for one in items) == [
        (1, False, "verified"),
        (3, True, "review"),
    ]
    later = terminal.again()
    bench.offer(later, later.enrol())
    assert bench.dead() == ["revoked_device"]


def test_a_rotation_survives_a_new_start_of_the_collector(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), rotate(terminal))
    bench.intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, Limits())
    assert bench.offer(terminal, terminal.punch())[0].upto == 2
