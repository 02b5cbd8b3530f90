"""What enters the ledger, what waits, what is refused with which reason, and what a receipt covers."""

from __future__ import annotations

import base64
import copy
import json
import random
from typing import Any

import pytest
from sqlmodel import select

from collector.errors import NotFound
from collector.ingest.batch import Batch
from collector.ingest.dead_letters import CONTENT_BYTES, Bounds
from collector.ingest.intake import Intake, Limits
from collector.ingest.message import Message
from collector.ingest.models import Equivocation, StagedEvent
from collector.ingest.staging import _runs
from collector.ledger.models import ChainState, LedgerEntry
from collector.punches.service import Filters, Order
from collector.timestamps import utc_now
from evidence.canonical import canonical
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import Kind
from evidence.keys import Ed25519Key
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal

pytestmark = pytest.mark.both_databases


def punches(bench: Bench) -> list[Any]:
    return bench.services.punches.page(Filters(), Order.ARRIVAL, None, 500).items


def state(bench: Bench, terminal: Terminal) -> str:
    return bench.services.ledger.chain(terminal.device, terminal.chain).state


# --- admission


def test_a_batch_gives_one_receipt_a_chain_that_covers_all_of_it(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2")
    bench.register(other)
    mine = [terminal.enrol(), *(terminal.punch() for _ in range(5))]
    theirs = [other.enrol(), other.punch()]
    messages = [Message(terminal.event_topic, data, utc_now()) for data in mine]
    messages += [Message(other.event_topic, data, utc_now()) for data in theirs]
    first, second = bench.intake.admit(messages)
    receipt = bench.read_receipt(first.payload, terminal)
    assert terminal.head is not None and (receipt.upto, receipt.head) == (5, terminal.head.hash)
    assert bench.read_receipt(second.payload, other).upto == 1
    assert receipt.tree_size == 8
    assert first.topic == "zaigang/v1/east/gate-1/receipt"


def test_leaf_indices_are_contiguous_from_zero_over_batches(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    bench.offer(terminal, b"garbage", terminal.punch(), b"more garbage", terminal.punch())
    with bench.database.read() as session:
        assert list(session.exec(select(LedgerEntry.leaf_index))) == [0, 1, 2, 3]


def test_the_same_event_again_gives_a_receipt_again_and_no_row(bench: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), terminal.punch(), terminal.punch()]
    bench.offer(terminal, *envelopes)
    (receipt,) = bench.offer(terminal, envelopes[1])
    assert receipt.upto == 2
    (receipt,) = bench.offer(terminal, envelopes[2], envelopes[2], envelopes[0])
    assert receipt.upto == 2
    assert bench.seqs(terminal) == 3 and len(punches(bench)) == 2 and bench.dead() == []


def test_the_same_event_twice_in_one_batch_enters_once(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    (receipt,) = bench.offer(terminal, enrolled, punch, punch, enrolled)
    assert receipt.upto == 1 and bench.seqs(terminal) == 2


def test_an_unknown_kind_and_an_invalid_body_enter_and_only_their_projection_is_a_dead_letter(
    bench: Bench, terminal: Terminal
) -> None:
    envelopes = [terminal.enrol(), terminal.append("vehicle.seen", {"plate": "x"})]
    envelopes += [terminal.append("punch.recorded", {"worker": 7}), terminal.punch()]
    (receipt,) = bench.offer(terminal, *envelopes)
    assert receipt.upto == 3 and len(punches(bench)) == 1
    letters = bench.services.dead_letters.page(None, 10)
    assert [(one.code, one.leaf_index) for one in letters] == [("invalid_body", 2), ("unknown_kind", 1)]


def test_coverage_and_clock_steps_are_known_kinds_and_a_claim_beyond_the_period_is_told(
    bench: Bench, terminal: Terminal
) -> None:
    coverage = {
        "since": "2026-03-01T07:45:00.000Z",
        "until": "2026-03-01T08:00:00.000Z",
        "seconds": 900,
        "observed_s": 900,
        "first": False,
        "last": False,
        "screen": True,
        "camera_s": 900,
        "scanner_s": 890,
        "gps_s": None,
        "uplink_s": 0,
        "frames": 22_500,
        "advertisements": 1_700,
        "unsent": 0,
    }
    step = {"from": "2026-03-01T08:00:00.000Z", "step_ms": -3_600_000}
    known = [terminal.enrol(), terminal.append("coverage", coverage), terminal.append("clock.stepped", step)]
    (receipt,) = bench.offer(terminal, *known)
    assert receipt.upto == 2 and bench.dead() == []
    bench.offer(terminal, terminal.append("coverage", coverage | {"camera_s": 901}))
    assert bench.dead() == ["invalid_body"]


def test_a_refused_verdict_in_a_recorded_punch_is_not_projected(bench: Bench, terminal: Terminal) -> None:
    body = terminal.punch_body(verdict="refused")
    bench.offer(terminal, terminal.enrol(), terminal.append("punch.recorded", body))
    assert punches(bench) == [] and bench.dead() == ["invalid_body"]


# --- order


def test_early_events_wait_and_enter_when_the_gap_closes(bench: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(6))]
    (receipt,) = bench.offer(terminal, envelopes[0], envelopes[1], envelopes[4], envelopes[6], envelopes[3])
    assert receipt.upto == 1
    assert bench.offer(terminal, envelopes[5]) == []
    (receipt,) = bench.offer(terminal, envelopes[2])
    assert receipt.upto == 6 and len(punches(bench)) == 6
    with bench.database.read() as session:
        assert session.exec(select(StagedEvent)).all() == []


def test_a_whole_chain_backwards_enters_at_its_first_event(bench: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(4))]
    for envelope in reversed(envelopes[1:]):
        assert bench.offer(terminal, envelope) == []
    (receipt,) = bench.offer(terminal, envelopes[0])
    assert receipt.upto == 4


def test_an_event_whose_copy_waits_enters_and_leaves_no_copy_behind(bench: Bench, terminal: Terminal) -> None:
    """Given a chain that waits for approval: its events come again before what waits is looked at."""
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(4))]
    first = Terminal(terminal.device, terminal.site, terminal.key)
    bench.offer(first, first.enrol())
    bench.offer(terminal, *envelopes[:2], envelopes[3])
    bench.services.devices.approve(terminal.device, terminal.chain, "admin")
    (receipt,) = bench.offer(terminal, *envelopes)
    assert receipt.upto == 4
    with bench.database.read() as session:
        assert session.exec(select(StagedEvent)).all() == []


def test_another_event_than_the_one_that_waits_for_its_turn_is_a_fork(bench: Bench, terminal: Terminal) -> None:
    first = Terminal(terminal.device, terminal.site, terminal.key)
    bench.offer(first, first.enrol())
    waits = terminal.enrol()
    bench.offer(terminal, waits)
    bench.services.devices.approve(terminal.device, terminal.chain, "admin")
    twin = Terminal(terminal.device, terminal.site, terminal.key, terminal.chain)
    assert bench.offer(twin, twin.enrol()) == []
    (found,) = bench.services.ledger.equivocations(terminal.device)
    assert (found.code, found.seq) == ("fork", 0)


@pytest.mark.parametrize(
    ("taken", "waiting", "runs"),
    [
        ([], [9], []),
        ([3, 5, 7], [], [(3, 7)]),
        ([3, 5, 7], [8], [(3, 7)]),
        ([3, 5, 7], [6], [(3, 5), (7, 7)]),
        ([7, 3, 5], [2, 4, 6, 8], [(3, 3), (5, 5), (7, 7)]),
    ],
)
def test_what_was_taken_is_deleted_in_runs_that_hold_nothing_that_waits(
    taken: list[int], waiting: list[int], runs: list[tuple[int, int]]
) -> None:
    assert _runs(taken, waiting) == runs


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_any_order_with_any_repetition_gives_the_same_ledger(bench: Bench, terminal: Terminal, seed: int) -> None:
    rng = random.Random(seed)
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(20))]
    offered = envelopes + rng.choices(envelopes, k=30)
    rng.shuffle(offered)
    while offered:
        size = rng.randint(1, 8)
        bench.offer(terminal, *offered[:size])
        offered = offered[size:]
    assert list(bench.services.ledger.envelopes(terminal.device, terminal.chain)) == envelopes


def test_staging_is_bounded_and_what_does_not_fit_is_taken_when_it_comes_again(
    bench: Bench, terminal: Terminal
) -> None:
    intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, Limits(staged_per_device=3))
    bench.intake = intake
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(6))]
    bench.offer(terminal, *envelopes[1:])
    assert set(bench.dead()) == {"staging_full"}
    (receipt,) = bench.offer(terminal, envelopes[0])
    assert receipt.upto == 3
    (receipt,) = bench.offer(terminal, *envelopes[4:])
    assert receipt.upto == 6


# --- contradictions


def fork_of(terminal: Terminal, seq_event: bytes) -> bytes:
    """Another event of the same terminal at the same place."""
    payload = json.loads(base64.b64decode(json.loads(seq_event)["payload"]))
    payload["nonce"] = "00" * 16
    return sign(EVENT_TYPE, canonical(payload), terminal.key).encode()


def test_of_two_events_at_one_place_the_first_stays_and_the_other_is_evidence(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    other = fork_of(terminal, punch)
    bench.offer(terminal, enrolled, punch)
    (receipt,) = bench.offer(terminal, other)  # by which a restored copy learns that it is one
    assert (receipt.upto, receipt.head) == (1, Envelope.decode(punch).hash)
    assert list(bench.services.ledger.envelopes(terminal.device, terminal.chain)) == [enrolled, punch]
    (kept,) = bench.services.ledger.equivocations(terminal.device)
    assert (kept.code, kept.seq, kept.envelope) == ("fork", 1, other)
    assert state(bench, terminal) == ChainState.FROZEN
    assert bench.services.devices.get(terminal.device).flagged_at is not None


def test_a_frozen_chain_takes_nothing_more_but_still_answers_replays(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    bench.offer(terminal, enrolled, punch)
    bench.offer(terminal, fork_of(terminal, punch))
    assert bench.offer(terminal, terminal.punch()) == []
    assert bench.seqs(terminal) == 2
    (receipt,) = bench.offer(terminal, punch)
    assert receipt.upto == 1


def test_a_cloned_terminal_and_its_original_contradict_each_other(bench: Bench, terminal: Terminal) -> None:
    """Key, journal and all were copied to a second machine; both go on. Whichever comes second is the evidence."""
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    clone = copy.deepcopy(terminal)
    bench.offer(terminal, original := terminal.punch("E001"))
    bench.offer(clone, other := clone.punch("E002"), clone.punch("E002"))
    (kept,) = bench.services.ledger.equivocations(terminal.device)
    assert (kept.code, kept.seq, kept.envelope) == ("fork", 2, other)
    assert original in bench.services.ledger.envelopes(terminal.device, terminal.chain)
    assert state(bench, terminal) == ChainState.FROZEN and bench.offer(clone, clone.punch()) == []


def test_a_clone_that_begins_its_own_chain_waits_for_an_administrator(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    clone = terminal.again()
    assert bench.offer(clone, clone.enrol(), clone.punch()) == []
    assert state(bench, clone) == ChainState.PENDING and bench.seqs(clone) == 0
    assert [one.code for one in bench.services.devices.get(clone.device).troubles] == ["chain_pending"]


def test_a_chain_that_names_one_before_it_waits_though_it_is_the_first_that_comes(
    bench: Bench, terminal: Terminal
) -> None:
    """A journal that was lost before the first contact: whoever approves is to hear of it."""
    before = {"chain": "ab" * 16, "seq": 100, "head": "cd" * 32}
    body = {"key": terminal.key.public.text(), "software": "test 1.0", "predecessor": before}
    assert bench.offer(terminal, terminal.append(Kind.DEVICE_ENROLLED, body), terminal.punch()) == []
    assert state(bench, terminal) == ChainState.PENDING
    bench.services.devices.approve(terminal.device, terminal.chain, "me")
    bench.intake.admit_ready()
    assert bench.seqs(terminal) == 2


def test_a_fork_from_before_the_chain_has_begun_freezes_it(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    bench.offer(terminal, punch)
    bench.offer(terminal, fork_of(terminal, punch))
    bench.offer(terminal, enrolled)
    assert state(bench, terminal) == ChainState.FROZEN
    assert len(bench.services.ledger.equivocations(terminal.device)) == 1


def test_of_endless_contradictions_some_are_kept_and_the_others_are_counted(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.ingest.contradictions.MOST_OF_ONE_CHAIN", 5)
    enrolled, punch = terminal.enrol(), terminal.punch()
    bench.offer(terminal, enrolled, punch)
    others = []
    for number in range(12):
        payload = json.loads(base64.b64decode(json.loads(punch)["payload"]))
        payload["nonce"] = f"{number:032x}"
        others.append(sign(EVENT_TYPE, canonical(payload), terminal.key).encode())
    bench.offer(terminal, *others[:8])
    bench.offer(terminal, *others[8:])
    assert len(bench.services.ledger.equivocations(terminal.device)) == 5
    assert bench.dead() == ["fork"] * 7


def test_a_fork_within_one_batch_is_seen(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    bench.offer(terminal, enrolled, punch, fork_of(terminal, punch), terminal.punch())
    assert bench.seqs(terminal) == 2 and state(bench, terminal) == ChainState.FROZEN


def test_a_fork_among_events_that_wait_is_seen(bench: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), terminal.punch(), terminal.punch()]
    bench.offer(terminal, envelopes[0], envelopes[2], fork_of(terminal, envelopes[2]))
    assert len(bench.services.ledger.equivocations(terminal.device)) == 1
    assert state(bench, terminal) == ChainState.FROZEN


def test_the_same_fork_again_is_the_same_evidence(bench: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    other = fork_of(terminal, punch)
    bench.offer(terminal, enrolled, punch, other, other)
    bench.offer(terminal, other)
    assert len(bench.services.ledger.equivocations(terminal.device)) == 1


@pytest.mark.parametrize(
    ("change", "code"), [({"prev": "0" * 64}, "broken_link"), ({"mono_us": 0}, "monotonic_regression")]
)
def test_a_signed_event_that_contradicts_its_chain_freezes_it(
    bench: Bench, terminal: Terminal, change: dict[str, Any], code: str
) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    wrong = terminal.seal(terminal.event("punch.recorded", terminal.punch_body(), **change))
    assert bench.offer(terminal, wrong) == []
    assert [one.code for one in bench.services.ledger.equivocations(terminal.device)] == [code]
    assert state(bench, terminal) == ChainState.FROZEN


# --- refusals, each with its reason


def test_an_unknown_device_is_a_dead_letter(bench: Bench, terminal: Terminal) -> None:
    stranger = Terminal("stranger")
    assert bench.offer(stranger, stranger.enrol()) == []
    assert bench.dead() == ["unknown_device"]


def test_another_key_than_the_registered_one_is_a_dead_letter(bench: Bench, terminal: Terminal) -> None:
    impostor = Terminal(terminal.device, terminal.site)
    assert bench.offer(impostor, impostor.enrol()) == []
    assert bench.dead() == ["unknown_key"]


def test_a_wrong_signature_is_a_dead_letter(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    envelope = json.loads(terminal.punch())
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[3] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    assert bench.offer(terminal, canonical(envelope)) == []
    assert bench.dead() == ["bad_signature"] and bench.seqs(terminal) == 1


def test_an_event_under_another_topic_is_a_dead_letter(bench: Bench, terminal: Terminal) -> None:
    other = Terminal("gate-2", "west")
    bench.register(other)
    enrolled = terminal.enrol()
    bench.offer(terminal, enrolled, topic=other.event_topic)
    bench.offer(terminal, enrolled, topic="zaigang/v1/west/gate-1/event")
    bench.offer(terminal, enrolled, topic="zaigang/v1/east/gate-1/receipt")
    bench.offer(terminal, enrolled, topic="zaigang/v1/east/gate-1")
    assert sorted(bench.dead()) == ["encoding", "invalid_status", "wrong_topic", "wrong_topic"]


def duplicate_key(envelope: bytes) -> bytes:
    return envelope.replace(b'{"payload":', b'{"payload":"","payload":', 1)


def duplicate_key_inside(terminal: Terminal) -> bytes:
    payload = terminal.event("punch.recorded", terminal.punch_body()).payload()
    twice = payload.replace(b'{"body":', b'{"boot":"00","body":', 1)
    return sign(EVENT_TYPE, twice, terminal.key).encode()


def test_bytes_that_are_no_event_are_dead_letters_with_the_reason(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    good = terminal.punch()
    float_inside = terminal.event("punch.recorded", terminal.punch_body()).payload().replace(b'"v":1', b'"v":1.5')
    bad = {
        "not_json": b"\xff\xfe garbage",
        "too_large": random.Random(1).randbytes(1_000_000),
        "duplicate_key": duplicate_key(good),
        "not_canonical": b" " + good,
        "invalid_envelope": b'{"payload":1}',
        "wrong_payload_type": sign("text/plain", terminal.event("punch.recorded", {}).payload(), terminal.key).encode(),
        "invalid_event": sign(EVENT_TYPE, b'{"v":1}', terminal.key).encode(),
    }
    for code, data in bad.items():
        assert bench.offer(terminal, data) == [], code
        assert bench.dead()[0] == code
    for data, code in ((duplicate_key_inside(terminal), "duplicate_key"),):
        bench.offer(terminal, data)
        assert bench.dead()[0] == code
    bench.offer(terminal, sign(EVENT_TYPE, float_inside, terminal.key).encode())
    assert bench.dead()[0] == "not_canonical"
    (receipt,) = bench.offer(terminal, good)
    assert receipt.upto == 1


def test_a_dead_letter_keeps_the_beginning_the_length_and_the_hash_of_a_megabyte(
    bench: Bench, terminal: Terminal
) -> None:
    data = random.Random(2).randbytes(1_000_000)
    bench.offer(terminal, data, data)
    (letter,) = bench.services.dead_letters.page(None, 10)
    assert (letter.size, letter.times, letter.content) == (1_000_000, 2, data[:CONTENT_BYTES])
    assert letter.source == terminal.device


def test_a_flood_of_garbage_is_counted_and_bounded_and_a_good_event_gets_through(
    bench: Bench, terminal: Terminal
) -> None:
    bench.intake = Intake(
        bench.database, bench.keys.receipt, bench.keys.seal, Limits(dead_letters=Bounds(per_source=20, in_all=30))
    )
    flood = [f"garbage {n}".encode() for n in range(200)]
    bench.offer(terminal, *flood[:100], terminal.enrol(), *flood[100:])
    messages = [Message(f"zaigang/v1/east/x{n}/event", f"{n}".encode(), utc_now()) for n in range(200)]
    bench.intake.admit(messages)
    (receipt,) = bench.offer(terminal, terminal.punch())
    assert receipt.upto == 1
    kept = [letter.source for letter in bench.services.dead_letters.page(None, 1000)]
    assert (kept.count(terminal.device), kept.count("")) == (20, 10)
    counts = {(one.source, one.code): one.times for one in bench.services.dead_letters.counts()}
    assert counts == {("gate-1", "not_json"): 200, ("", "unknown_device"): 200}


# --- chains


def test_a_first_chain_must_begin_with_an_enrolment_by_the_registered_key(bench: Bench, terminal: Terminal) -> None:
    start = terminal.seal(terminal.event("punch.recorded", terminal.punch_body()))
    assert bench.offer(terminal, start) == []
    other = Ed25519Key.generate().public.text()
    body = {"key": other, "software": "x", "predecessor": None}
    named = terminal.seal(terminal.event("device.enrolled", body))
    assert bench.offer(terminal, named) == []
    assert bench.dead() == ["key_mismatch", "bad_start"]


def test_a_second_chain_waits_for_an_administrator(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    again = terminal.again()
    assert bench.offer(again, again.enrol(), again.punch()) == []
    assert state(bench, again) == ChainState.PENDING and bench.seqs(again) == 0
    assert [one.code for one in bench.services.devices.get(again.device).troubles] == ["chain_pending"]
    assert bench.intake.admit_ready() == []
    bench.services.devices.approve(again.device, None, "boss")
    (answer,) = bench.intake.admit_ready()
    assert bench.read_receipt(answer.payload, again).upto == 1
    assert bench.services.ledger.chain(again.device, again.chain).approved_by == "boss"
    (receipt,) = bench.offer(again, again.punch())
    assert receipt.upto == 2


def test_after_a_revocation_events_enter_flagged_and_are_never_verified(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    bench.services.devices.revoke(terminal.device)
    (receipt,) = bench.offer(terminal, terminal.punch(), terminal.punch(verdict="refused"))
    assert receipt.upto == 3
    found = [(p.entry.after_revocation, p.punch.verdict, p.punch.signed_verdict) for p in punches(bench)]
    assert found == [(False, "verified", "verified"), (True, "review", "verified"), (True, "refused", "refused")]


def test_what_waited_while_its_terminal_was_revoked_enters_flagged(bench: Bench, terminal: Terminal) -> None:
    """It came before, but the ledger takes it behind the entry from which the revocation counts."""
    opened, missing, waiting = terminal.enrol(), terminal.punch(), terminal.punch()
    bench.offer(terminal, opened, waiting)
    bench.services.devices.revoke(terminal.device)
    bench.offer(terminal, missing)
    assert [p.entry.after_revocation for p in punches(bench)] == [True, True]


@pytest.mark.both_databases
def test_a_chain_that_waited_when_its_terminal_was_revoked_may_be_let_in_flagged(
    bench: Bench, terminal: Terminal
) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    again = terminal.again()
    assert bench.offer(again, again.enrol(), again.punch()) == []
    bench.services.devices.revoke(terminal.device)
    assert bench.offer(again, again.punch()) == []  # and what comes of it later waits, too
    assert (state(bench, again), bench.seqs(again), bench.dead()) == (ChainState.PENDING, 0, [])
    troubles = [one.code for one in bench.services.devices.get(again.device).troubles]
    assert {"revoked", "chain_pending"} <= set(troubles)
    assert bench.intake.admit_ready() == []
    bench.services.devices.approve(again.device, again.chain, "boss")
    (answer,) = bench.intake.admit_ready()
    assert bench.read_receipt(answer.payload, again).upto == 2  # the terminal may let them go
    (receipt,) = bench.offer(again, again.punch())
    assert receipt.upto == 3
    found = [(p.entry.after_revocation, p.punch.verdict, p.punch.signed_verdict) for p in punches(bench)]
    assert found == [(False, "verified", "verified"), *[(True, "review", "verified")] * 3]
    third = again.again()
    assert bench.offer(third, third.enrol()) == [] and bench.dead() == ["revoked_device"]
    with pytest.raises(NotFound, match="waits"):
        bench.services.devices.approve(third.device, None, "boss")


def test_a_revoked_device_opens_no_chain(bench: Bench, terminal: Terminal) -> None:
    bench.services.devices.revoke(terminal.device)
    assert bench.offer(terminal, terminal.enrol()) == []
    assert bench.dead() == ["revoked_device"]


# --- what must never happen


def test_an_error_in_our_own_code_is_a_dead_letter_and_blocks_nothing(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Batch._place

    def broken(self: Batch, offered: Any) -> None:
        if offered.event.device == "gate-2":
            raise ZeroDivisionError("a bug")
        taken(self, offered)

    monkeypatch.setattr(Batch, "_place", broken)
    other = Terminal("gate-2")
    bench.register(other)
    messages = [Message(t.event_topic, t.enrol(), utc_now()) for t in (other, terminal)]
    (answer,) = bench.intake.admit(messages)
    assert bench.read_receipt(answer.payload, terminal).upto == 0
    assert bench.dead() == ["internal"]


def test_a_transaction_that_fails_leaves_nothing_and_the_batch_can_be_tried_again(
    bench: Bench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelopes = [terminal.enrol(), terminal.punch()]
    written = Batch.write

    def fails(self: Batch) -> None:
        written(self)
        raise OSError("the power went")

    monkeypatch.setattr(Batch, "write", fails)
    with pytest.raises(OSError, match="power"):
        bench.offer(terminal, *envelopes)
    monkeypatch.setattr(Batch, "write", written)
    assert bench.services.ledger.size() == 0
    with bench.database.read() as session:
        assert session.exec(select(Equivocation)).all() == []
    (receipt,) = bench.offer(terminal, *envelopes)
    assert receipt.upto == 1


def test_an_enrolment_without_a_face_enters_the_ledger_and_what_follows_too(bench: Bench, terminal: Terminal) -> None:
    enrolled = {
        "worker": "E001",
        "model": None,
        "frames": 0,
        "authorised_by": "boss",
        "authorisation": "ab" * 16,
        "template": None,
    }
    envelopes = [terminal.enrol(), terminal.append("worker.enrolled", enrolled), terminal.punch()]
    bench.offer(terminal, *envelopes)
    assert list(bench.services.ledger.envelopes(terminal.device, terminal.chain)) == envelopes
    (row,) = bench.services.people.enrolments("E001")
    assert (row.model, row.frames) == ("", 0)
