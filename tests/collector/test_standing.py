"""How the ledger stands: what is overdue is what has waited too long, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.console.ledger_corner import ledger_lines
from collector.console.texts import TEXTS, Language, Texts
from collector.healthz import Health, PartHealth
from collector.ledger.models import Anchor, Cosignature
from collector.ledger.standing import SPARE, Expected, LedgerStanding, Standing, is_overdue
from evidence.keys import Ed25519Key
from evidence.note import NoteSigner, SignatureType
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal

pytestmark = pytest.mark.both_databases

COUNCIL = NoteSigner("witness.example.org/council", SignatureType.COSIGNATURE_V1, Ed25519Key.generate()).public.text()
TSA = "https://tsa.example.org/"
EXPECTED = Expected(timedelta(seconds=2), (COUNCIL,), 1, (TSA,), timedelta(hours=1))
OK = PartHealth(state="ok")


def standing(bench: Bench, later: timedelta = timedelta(0)) -> Standing:
    return LedgerStanding(bench.database, EXPECTED).at(datetime.now(UTC) + later)


def vouch(bench: Bench, size: int) -> None:
    with bench.database.write() as session:
        session.add(Cosignature(size=size, witness=COUNCIL, line="x", cosigned_at="2026-11-22T00:00:00.000Z"))
        session.add(Anchor(size=size, authority=TSA, token=b"x", stamped_at="2026-11-22T00:00:00.000Z"))


def test_an_empty_ledger_owes_nothing(bench: Bench) -> None:
    now = standing(bench, timedelta(days=30))
    assert (now.entries, now.size, now.overdue, now.uncovered_since) == (0, 0, False, None)
    assert [one.overdue for one in (*now.witnesses, *now.authorities)] == [False, False]


def test_an_entry_that_no_checkpoint_covers_is_overdue_after_a_while(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    assert not standing(bench).overdue
    assert standing(bench, timedelta(minutes=2)).overdue
    bench.services.checkpoints.sign()
    now = standing(bench, timedelta(days=30))
    assert (now.entries, now.size, now.overdue) == (2, 2, False)  # however old: there is nothing to sign


def test_a_voucher_is_overdue_by_what_waits_for_it(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    bench.services.checkpoints.sign()
    fresh, later = standing(bench), standing(bench, timedelta(minutes=2))
    assert [one.overdue for one in (*fresh.witnesses, *fresh.authorities)] == [False, False]
    assert [one.overdue for one in (*later.witnesses, *later.authorities)] == [True, False]
    assert standing(bench, timedelta(hours=2, minutes=2)).authorities[0].overdue
    assert (fresh.anything_overdue, later.anything_overdue) == (False, True)
    vouch(bench, 1)
    covered = standing(bench, timedelta(days=30))
    for one in (*covered.witnesses, *covered.authorities):
        assert (one.size, one.waits_since, one.overdue) == (1, None, False)
    assert covered.witnesses[0].name == "witness.example.org/council"
    bench.offer(terminal, terminal.punch())
    bench.services.checkpoints.sign()
    again = standing(bench, timedelta(minutes=2))
    assert [(one.size, one.overdue) for one in again.witnesses] == [(1, True)]


def test_overdue_begins_after_two_rounds_and_some_spare_time() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    every = timedelta(hours=1)

    def ago(span: timedelta) -> str:
        return (now - span).isoformat()

    assert not is_overdue(None, every, now)
    assert not is_overdue(ago(every * 2 + SPARE), every, now)
    assert is_overdue(ago(every * 2 + SPARE + timedelta(seconds=1)), every, now)


@pytest.mark.parametrize("language", TEXTS)
def test_what_is_overdue_and_what_failed_is_red(bench: Bench, terminal: Terminal, language: Language) -> None:
    texts = Texts(language)
    health = Health(status="ok", intake=OK, database=OK, broker=OK)
    bench.offer(terminal, terminal.enrol())
    bench.services.checkpoints.sign()
    now = datetime.now(UTC) + timedelta(minutes=2)
    lines = ledger_lines(standing(bench, timedelta(minutes=2)), health, texts, now)
    assert [line.what for line in lines if line.tone == "bad"] == [
        texts("ledger.witness", name="witness.example.org/council")
    ]
    failed = PartHealth(state="failed", reason="the last round failed: witnesses; the log says why")
    ill = health.model_copy(update={"attestations": failed, "checkpoints": failed, "keys": failed})
    bad = [line for line in ledger_lines(standing(bench), ill, texts, now) if line.tone == "bad"]
    assert [line.what for line in bad] == [texts(f"health.{name}") for name in ("keys", "checkpoints", "attestations")]
    assert ("witnesses" in bad[0].how) == (language == "en")
