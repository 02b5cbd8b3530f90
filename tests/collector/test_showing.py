"""The collector shows its newest checkpoint to every terminal that looks for it, with the proof that fits that one."""

from __future__ import annotations

from typing import Any

import pytest

from collector.errors import LedgerDamaged
from collector.ingest.message import Message
from collector.ledger.fsck import check_ledger
from collector.ledger.proofs import Growth, Proofs
from collector.ledger.showing import AGAIN_AFTER_S, ANEW_AFTER_S, Showing
from collector.timestamps import utc_now
from evidence.add_checkpoint import AddCheckpoint
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.events import Kind
from evidence.key_history import LogKey
from evidence.keys import Ed25519Key
from evidence.note import NoteSigner, SignatureType
from evidence.seen_checkpoint import SeenCheckpoint, take
from evidence.status import Health, Part
from evidence.topics import Leaf
from tests.collector.conftest import Bench
from tests.collector.holes import good, said_by_every_verifier, swear
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, WORKER, a_day, coverage_body, made, punch
from tests.collector.test_fsck import edit


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def reports(bench: Bench, terminal: Terminal, size: int | None) -> None:
    """The terminal says how it is, and up to where it has seen the ledger."""
    health = Health(
        device=terminal.device,
        site=terminal.site,
        time=terminal.now(),
        software="test",
        uptime_s=1,
        unsent=0,
        parts={"camera": Part(state="working")},
        checkpoint_size=size,
    )
    bench.intake.admit([Message(terminal.topic(Leaf.HEALTH), health.model_dump_json().encode(), utc_now())])


def keys_of(bench: Bench) -> tuple[LogKey, ...]:
    return (LogKey(bench.services.checkpoints.signer.public),)


def looks(bench: Bench, payload: bytes, held: SeenCheckpoint | None = None) -> SeenCheckpoint:
    """What a terminal comes to hold that is shown this."""
    signer = bench.services.checkpoints.signer
    found = take(held, AddCheckpoint.parse(payload), signer.name, keys_of(bench))
    assert found is not None
    return found


def test_each_terminal_gets_the_proof_from_what_it_saw(bench: Bench, terminal: Terminal) -> None:
    other, silent = Terminal(device="gate-2"), Terminal(device="gate-3")
    bench.register(other, silent)
    ticks = Ticks()
    showing = Showing(bench.database, bench.services.proofs, ticks=ticks)
    reports(bench, terminal, 0)
    assert showing.due() == []  # there is no checkpoint yet
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    reports(bench, other, 0)
    reports(bench, silent, None)  # no key of the ledger is pinned there
    first = {one.topic: looks(bench, one.payload) for one in showing.due()}
    assert set(first) == {terminal.topic(Leaf.RECEIPT), other.topic(Leaf.RECEIPT)}
    seen = first[terminal.topic(Leaf.RECEIPT)]
    assert seen.checkpoint.size == 8
    reports(bench, terminal, 8)
    bench.offer(terminal, punch(terminal, "E001"))
    bench.services.checkpoints.sign()
    ticks.now_s += AGAIN_AFTER_S
    (again,) = showing.due()  # the one whose message was lost; all see the same checkpoint for a while
    assert again.topic == other.topic(Leaf.RECEIPT) and looks(bench, again.payload).checkpoint.size == 8
    assert showing.due() == []
    ticks.now_s += ANEW_AFTER_S
    reports(bench, other, 8)
    later = [looks(bench, one.payload, seen) for one in showing.due()]
    assert [one.checkpoint.size for one in later] == [9, 9]


class CountedProofs(Proofs):
    """Proofs that count how often one was made, and may find the tree damaged."""

    made, damaged = 0, False

    def growth(self, old: int, new: int | None = None) -> Growth:
        if self.damaged:
            raise LedgerDamaged("the stored tree has a hole")
        self.made += 1
        return super().growth(old, new)


def test_a_proof_is_made_once_for_all_terminals_that_saw_the_same(bench: Bench, terminal: Terminal) -> None:
    others = [Terminal(device=f"gate-{n}") for n in range(2, 6)]
    bench.register(*others)
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    ticks, proofs = Ticks(), CountedProofs(bench.database)
    showing = Showing(bench.database, proofs, ticks=ticks)
    for one in (terminal, *others[:3]):
        reports(bench, one, 0)
    reports(bench, others[3], 5)
    assert len(showing.due()) == 5 and proofs.made == 2
    ticks.now_s += AGAIN_AFTER_S
    assert len(showing.due()) == 5 and proofs.made == 2
    bench.offer(terminal, punch(terminal, "E001"))
    bench.services.checkpoints.sign()
    ticks.now_s += ANEW_AFTER_S
    assert {looks(bench, one.payload).checkpoint.size for one in showing.due()[:-1]} == {9}  # not the one of before
    assert proofs.made == 4


def test_of_a_round_that_failed_no_terminal_counts_as_told(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    reports(bench, terminal, 0)
    proofs = CountedProofs(bench.database)
    showing = Showing(bench.database, proofs, ticks=Ticks())
    proofs.damaged = True
    with pytest.raises(LedgerDamaged):
        showing.due()
    proofs.damaged = False
    assert len(showing.due()) == 1


def carrying(terminal: Terminal, seen: SeenCheckpoint) -> bytes:
    return terminal.append(Kind.COVERAGE, coverage_body(terminal) | {"checkpoint": seen.text})


def watched(bench: Bench, terminal: Terminal, seen_on: Bench | None = None) -> None:
    """A day, then coverage over what `seen_on` showed the terminal, then one more punch."""
    a_day(bench, terminal)
    shower = seen_on or bench
    shower.services.checkpoints.sign()
    reports(shower, terminal, 0)
    (shown,) = Showing(shower.database, shower.services.proofs).due()
    bench.offer(terminal, carrying(terminal, looks(shower, shown.payload)), punch(terminal, "E001"))


@pytest.mark.parametrize("scope", [SITE, WORKER])
def test_a_bundle_proves_that_it_grew_from_what_its_terminals_saw(bench: Bench, terminal: Terminal, scope: Any) -> None:
    swear(bench)
    size = bench.services.ledger.size() + 8
    watched(bench, terminal)
    report = good(made(bench, scope))
    (found,) = [one for (device, _), one in report.chains.items() if device == "gate-1"]
    assert found.seen == [(8, size)]
    assert [one.not_before for one in report.punches][-2:] == [None, size]
    log = bench.services.checkpoints.signer.public
    assert check_ledger(bench.database, bench.keys.seal, log).difference is None


def test_a_note_that_a_terminal_invents_hides_nothing_from_fsck(bench: Bench, terminal: Terminal) -> None:
    swear(bench)
    watched(bench, terminal)
    stranger = NoteSigner("ledger.example/east", SignatureType.ED25519, Ed25519Key.generate())
    invented = sign_checkpoint(Checkpoint(bench.services.checkpoints.signer.name, 3, bytes(32)), stranger)
    more = {"checkpoint": invented.encode().decode(), "seconds": "as a later version might say it"}
    bench.offer(terminal, terminal.append(Kind.COVERAGE, coverage_body(terminal) | more))
    log = bench.services.checkpoints.signer.public
    report = check_ledger(bench.database, bench.keys.seal, log)
    assert (report.difference, report.unsigned_checkpoints) == (None, 1)
    found = good(made(bench, SITE))
    assert [one for one in found.notes if one.startswith("checkpoint_not_signed: gate-1 carries 1 ")] != []
    edit(bench, "UPDATE chains SET head_seq = head_seq + 1 WHERE device = 'gate-1'")
    difference = check_ledger(bench.database, bench.keys.seal, log).difference
    assert difference is not None and difference.table == "chains"


def test_an_honest_checkpoint_in_a_later_versions_coverage_is_proved(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    reports(bench, terminal, 0)
    (shown,) = Showing(bench.database, bench.services.proofs).due()
    later = {"checkpoint": looks(bench, shown.payload).text, "seconds": "as a later version might say it"}
    bench.offer(terminal, terminal.append(Kind.COVERAGE, coverage_body(terminal) | later), punch(terminal, "E001"))
    report = good(made(bench, SITE))
    (found,) = [one for (device, _), one in report.chains.items() if device == "gate-1"]
    assert [size for _, size in found.seen] == [8] and found.unread_bodies == 1


@pytest.mark.browser
def test_every_verifier_finds_the_proofs_good(bench: Bench, terminal: Terminal, tmp_path: Any, browser: Any) -> None:
    swear(bench)
    watched(bench, terminal)
    result, report = made(bench, SITE)
    good((result, report))
    assert said_by_every_verifier(result.data, bench, tmp_path, browser) == [set(), set(), set()]
