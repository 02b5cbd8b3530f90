"""A gap that stays is asked for by a signed question, again and again, and shown until it closes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from collector.ingest.gaps import Gaps
from collector.ingest.message import Message
from collector.timestamps import utc_text
from evidence.gap import read_gap_request
from evidence.topics import Leaf
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal


def offer(bench: Bench, terminal: Terminal, *envelopes: bytes, age_s: float = 0) -> None:
    at = utc_text(datetime.now(UTC) - timedelta(seconds=age_s))
    bench.intake.admit([Message(terminal.event_topic, data, at) for data in envelopes])


def gaps_of(bench: Bench, ticks: list[float]) -> Gaps:
    return Gaps(bench.database, bench.keys.receipt, ticks=lambda: ticks[0])


def test_a_gap_is_asked_for_after_a_while_and_again_until_it_closes(bench: Bench, terminal: Terminal) -> None:
    ticks = [0.0]
    gaps = gaps_of(bench, ticks)
    first, *missing = terminal.enrol(), terminal.punch(), terminal.punch()
    late = [terminal.punch(), terminal.punch()]
    offer(bench, terminal, first)
    offer(bench, terminal, *late)
    assert gaps.due() == []  # only just: it may be under way
    offer(bench, terminal, terminal.punch(), age_s=30)
    (answer,) = gaps.due()
    assert answer.topic == terminal.topic(Leaf.RECEIPT)
    request = read_gap_request(answer.payload, bench.keys.receipt.public, terminal.device)
    assert (request.chain, request.first, request.last) == (terminal.chain, 1, 2)
    assert gaps.due() == []
    ticks[0] += 30
    assert len(gaps.due()) == 1
    offer(bench, terminal, *missing)
    ticks[0] += 30
    assert gaps.due() == []
    assert bench.services.ledger.size() == 6


def test_a_chain_whose_beginning_is_missing_is_asked_for_too(bench: Bench, terminal: Terminal) -> None:
    terminal.enrol()
    offer(bench, terminal, terminal.punch(), age_s=60)
    (answer,) = gaps_of(bench, [0.0]).due()
    request = read_gap_request(answer.payload, bench.keys.receipt.public, terminal.device)
    assert (request.first, request.last) == (0, 0)


def test_a_gap_that_asking_does_not_close_is_shown_with_the_device(bench: Bench, terminal: Terminal) -> None:
    offer(bench, terminal, terminal.enrol())
    terminal.punch()
    offer(bench, terminal, terminal.punch(), age_s=600)
    (gap,) = gaps_of(bench, [0.0]).shown()
    assert (gap.first, gap.last, gap.waiting) == (1, 1, 1)
    troubles = {one.code: one.reason for one in bench.services.devices.get(terminal.device).troubles}
    assert troubles["gap"].startswith("seq 1 to 1 of chain ")


def test_a_chain_that_waits_for_approval_or_is_frozen_has_no_gap(bench: Bench, terminal: Terminal) -> None:
    offer(bench, terminal, terminal.enrol(), age_s=600)
    again = terminal.again()
    offer(bench, again, again.enrol(), again.punch(), age_s=600)
    assert gaps_of(bench, [0.0]).due() == []
