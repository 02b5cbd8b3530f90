"""What is foreseen of a bundle is what the bundle then has."""

from __future__ import annotations

import pytest

from collector.errors import NotFound
from collector.evidence_bundles.foresight import Foresight
from collector.evidence_bundles.service import Made
from evidence.bundle_manifest import Scope
from evidence.events import Kind
from tests.collector.conftest import Bench
from tests.collector.holes import OTHER, erase, swear, with_a_gap
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import POLICY, POLICY_HASH, SITE, WORKER, a_day, made, punch

pytestmark = pytest.mark.both_databases

NARROW = Scope(site="east", worker=None, since="2026-11-22T01:10:00.000Z", until="2026-11-22T02:00:00.000Z")


def both(bench: Bench, scope: Scope) -> tuple[Foresight, Made]:
    """Foreseen first, then made; nothing comes between."""
    bench.services.checkpoints.sign()
    return bench.services.evidence_bundles.foresee(scope), made(bench, scope)[0]


def same(foreseen: Foresight, made_: Made) -> None:
    facts = made_.facts
    assert facts.problems == ()
    assert foreseen.verdicts == facts.verdicts
    assert foreseen.punches == len(facts.punches)
    assert foreseen.tree_size == facts.tree_size
    figures = [(one.device, one.chain, one.erased, one.missing, one.coverage) for one in foreseen.chains]
    assert figures == [(one.device, one.chain, one.erased, one.missing, one.coverage) for one in facts.terminals]
    assert [one.accounted for one in foreseen.chains] == [one.events + one.withheld for one in facts.terminals]


@pytest.mark.parametrize("scope", [SITE, WORKER, OTHER, NARROW])
def test_what_is_foreseen_is_what_the_bundle_has(bench: Bench, terminal: Terminal, scope: Scope) -> None:
    a_day(bench, terminal)
    second = Terminal("gate-2")
    bench.register(second)
    opened = [second.enrol(), second.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})]
    bench.offer(second, *opened, punch(second, "E001"), punch(second, "E002", verdict="review"))
    same(*both(bench, scope))


@pytest.mark.parametrize("scope", [SITE, OTHER])
def test_what_was_given_up_and_erased_is_foreseen(bench: Bench, terminal: Terminal, scope: Scope) -> None:
    with_a_gap(swear(bench), terminal)
    erase(bench)
    foreseen, made_ = both(bench, scope)
    same(foreseen, made_)
    assert (foreseen.total("erased"), foreseen.total("missing")) == (2, 2)


@pytest.mark.parametrize("scope", [SITE, OTHER])
def test_a_gap_is_foreseen_where_the_ledger_is_longer_than_the_chain(
    bench: Bench, terminal: Terminal, scope: Scope
) -> None:
    second = Terminal("gate-2")
    bench.register(second)
    opened = [second.enrol(), second.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})]
    bench.offer(second, *opened, *(punch(second, "E001") for _ in range(20)))
    gap = with_a_gap(swear(bench), terminal)
    assert gap.leaf_index > 20
    foreseen, made_ = both(bench, scope)
    same(foreseen, made_)
    assert foreseen.total("missing") == 2


def test_what_no_checkpoint_covers_yet_is_counted_apart(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    bench.offer(terminal, punch(terminal, "E001"), punch(terminal, "E002"))
    assert bench.services.evidence_bundles.foresee(SITE).later == 2
    assert bench.services.evidence_bundles.foresee(WORKER).later == 1
    bench.services.checkpoints.sign()
    assert bench.services.evidence_bundles.foresee(SITE).later == 0


def test_of_nobody_nothing_is_foreseen(bench: Bench, terminal: Terminal) -> None:
    with pytest.raises(NotFound, match="no checkpoint"):
        bench.services.evidence_bundles.foresee(SITE)
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    with pytest.raises(NotFound, match="E404"):
        bench.services.evidence_bundles.foresee(WORKER.model_copy(update={"worker": "E404"}))


def test_looking_leaves_no_record(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    bench.services.evidence_bundles.foresee(SITE)
    assert bench.services.evidence_bundles.made() == []
