"""Bundles over what the collector states: erased events, declared gaps, in proofs and in plain words."""

from __future__ import annotations

import base64
import json

import pytest
from sqlmodel import delete, select

from collector.erasure.models import Tombstone
from collector.errors import NotFound
from collector.evidence_bundles.authorities import Authorities
from collector.evidence_bundles.pdf import html, zone_of
from collector.ledger.models import Anchor, LedgerEntry
from collector.people.service import WorkerBody
from collector.statements.actor import acting_as
from collector.statements.models import DeclaredGap
from evidence.bundle_index import Erased, Missing, Outside, Shown, Withheld
from evidence.bundle_manifest import Scope
from evidence.bundle_zip import unpack
from evidence.statements import COLLECTOR
from tests.collector.conftest import Bench
from tests.collector.holes import OTHER, erase, good, lines, seqs, swear, with_a_gap
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, UNTIL, WORKER, a_day, made


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    """A bench that states what happens, with a registered terminal."""
    return swear(bench)


# --- erased


def test_an_erased_workers_events_are_named_holes_and_everything_else_proves(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    done = erase(sworn)
    result, report = made(sworn, SITE)
    good((result, report))
    assert [(one.first, one.last) for one in result.facts.terminals[0].given_up] == [(2, 2), (6, 7)]
    tombs = [one for one in lines(report) if isinstance(one, Erased)]
    assert [one.seq for one in tombs] == [2, 6, 7] and {one.by for one in tombs} == {done.leaf_index}
    assert [one.worker for one in report.punches] == ["E002", None]
    assert report.statements[done.leaf_index].kind == "worker.erasure"


def test_another_workers_bundle_has_the_tombstones_too(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    erase(sworn)
    report = good(made(sworn, OTHER))
    assert seqs(report, Erased) == [(2, 2), (6, 6), (7, 7)]
    assert [one.worker for one in report.punches] == ["E002"]
    with pytest.raises(NotFound):
        sworn.services.evidence_bundles.make(WORKER, "test")


def test_of_the_collectors_chain_nobody_elses_data_leave(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    erase(sworn)
    with acting_as("cli:li"):
        sworn.services.people.change("E002", WorkerBody(name="李师"))
    result, report = made(sworn, SITE)
    good((result, report))
    own = lines(report, COLLECTOR)
    assert [type(one) for one in own[:2]] == [Shown, Outside] and isinstance(own[-1], Outside)
    assert sum(isinstance(one, Shown) for one in own) == 2  # its beginning and the erasure
    for name, content in unpack(result.data).items():
        payloads = [base64.b64decode(json.loads(one)["payload"]) for one in content.splitlines() if "jsonl" in name]
        if COLLECTOR in name:
            assert not any(code in payload for payload in payloads for code in (b"E001", b"E002"))
        assert b"E001" not in content and not any(b"E001" in payload for payload in payloads)


def test_statements_between_two_that_are_needed_are_withheld(sworn: Bench, terminal: Terminal) -> None:
    with_a_gap(sworn, terminal)
    with acting_as("cli:li"):
        sworn.services.people.change("E002", WorkerBody(name="李师"))
    erase(sworn)
    report = good(made(sworn, SITE))
    assert seqs(report, Withheld, COLLECTOR)
    kinds = {event.kind for event in report.statements.values()}
    assert kinds == {"collector.begun", "gap.declared", "worker.erasure"}


def test_a_bundle_without_holes_has_nothing_of_the_collectors_chain(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    report = good(made(sworn, SITE))
    assert {device for device, _ in report.chains} == {"gate-1"} and report.statements == {}
    with pytest.raises(NotFound):
        sworn.services.evidence_bundles.make(SITE.model_copy(update={"site": COLLECTOR}), "test")


def test_a_stamped_checkpoint_from_before_the_erasure_is_not_enough(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    sworn.services.checkpoints.sign()
    with sworn.database.write() as session:
        size = sworn.services.ledger.size()
        session.add(Anchor(size=size, authority="https://tsa.example", token=b"\x30\x00", stamped_at=UNTIL))
    before = good(made(sworn, SITE))
    assert (before.tree_size, before.timestamps_not_run) == (size, 1)
    done = erase(sworn)
    report = good(made(sworn, SITE))
    assert report.tree_size is not None and report.tree_size > done.leaf_index


@pytest.mark.parametrize("table", ["tombstones", "envelope alone"])
def test_a_hole_that_nobody_authorised_has_no_line_and_the_bundle_says_so(
    sworn: Bench, terminal: Terminal, table: str
) -> None:
    a_day(sworn, terminal)
    if table == "tombstones":
        erase(sworn)
        with sworn.database.write() as session:
            session.exec(delete(Tombstone))
    else:
        with sworn.database.write() as session:
            entry = session.exec(select(LedgerEntry).where(LedgerEntry.seq == 3, LedgerEntry.device == "gate-1")).one()
            entry.envelope = entry.salt = b""
    result, report = made(sworn, SITE)
    assert "hidden_gap" in {one.code for one in report.problems}
    assert result.facts.problems


@pytest.mark.parametrize("wrong", ["another statement", "no statement", "beyond the ledger's proof"])
def test_a_tombstone_that_names_another_entry_is_refused(
    sworn: Bench, terminal: Terminal, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_day(sworn, terminal)
    done = erase(sworn)
    places = {"another statement": done.leaf_index - 1, "no statement": 4, "beyond the ledger's proof": done.leaf_index}
    monkeypatch.setattr(Authorities, "of_tombstone", lambda self, _place: places[wrong])
    _, report = made(sworn, SITE)  # nothing is noted as used: the bundle has no chain of the collector
    assert {one.code for one in report.problems} == {"unauthorised"} and len(report.problems) == 3


# --- declared missing


def test_a_declared_gap_is_named_with_the_entry_that_declares_it(sworn: Bench, terminal: Terminal) -> None:
    gap = with_a_gap(sworn, terminal)
    report = good(made(sworn, SITE))
    assert [one for one in lines(report) if isinstance(one, Missing)] == [Missing(3, 4, gap.leaf_index)]
    assert len(report.punches) == 3
    good(made(sworn, WORKER))


def test_a_gap_that_nobody_declared_is_a_hidden_one(sworn: Bench, terminal: Terminal) -> None:
    with_a_gap(sworn, terminal)
    with sworn.database.write() as session:
        session.exec(delete(DeclaredGap))
    _, report = made(sworn, SITE)
    assert [one.code for one in report.problems] == ["hidden_gap"]


def moments(since: str, until: str) -> Scope:
    return Scope(site="east", worker=None, since=f"2026-11-22T{since}.000Z", until=f"2026-11-22T{until}.000Z")


@pytest.mark.parametrize(
    ("scope", "outside"),
    [
        (moments("01:00:03", "02:00:00"), [(1, 2)]),  # begins behind it
        (moments("01:00:00", "01:00:01"), [(1, 1), (5, 6)]),  # ends before it
        (moments("01:00:01", "01:00:03"), [(1, 2), (5, 6)]),  # has no event that is there
    ],
)
def test_a_gap_at_the_edge_of_the_period_is_shown(
    sworn: Bench, terminal: Terminal, scope: Scope, outside: list[tuple[int, int]]
) -> None:
    with_a_gap(sworn, terminal)
    report = good(made(sworn, scope))
    assert seqs(report, Missing) == [(3, 4)]
    assert seqs(report, Outside) == outside


@pytest.mark.parametrize(
    ("scope", "missing", "outside"),
    [
        (SITE, [(3, 4)], []),
        (moments("01:00:00", "02:00:00"), [(3, 4)], [(1, 1)]),
        (moments("02:00:00", "03:00:00"), [(3, 4)], [(1, 2)]),  # behind all that is there: the gap has no time
        (moments("00:00:00", "00:00:01"), [], [(1, 4)]),  # the first event alone
    ],
)
def test_a_gap_at_the_end_of_a_chain_is_listed(
    sworn: Bench, terminal: Terminal, scope: Scope, missing: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    """What waits behind it has not entered the ledger when the bundle is made, and may never do."""
    gap = with_a_gap(sworn, terminal, admit=False)
    result, report = made(sworn, scope)
    good((result, report))
    assert seqs(report, Missing) == missing and seqs(report, Outside) == outside
    (found,) = [one for (name, _), one in report.chains.items() if name == "gate-1"]
    assert (found.entry.head_seq, found.entry.head_hash) == (4, gap.next_prev)
    english = unpack(result.data)["README.en.txt"].decode()
    assert ("seq 3 to 4: declared missing for good" in english) == bool(missing)


def test_a_gap_far_from_the_period_is_outside_of_it(sworn: Bench, terminal: Terminal) -> None:
    with_a_gap(sworn, terminal)
    report = good(made(sworn, moments("00:00:00", "00:30:00")))
    assert seqs(report, Missing) == [] and seqs(report, Outside) == [(2, 6)]


# --- in plain words


def test_the_answers_and_the_coverage_speak_of_what_was_let_go(sworn: Bench, terminal: Terminal) -> None:
    gap = with_a_gap(sworn, terminal)
    done = erase(sworn)
    result, report = made(sworn, SITE)
    good((result, report))
    files = unpack(result.data)
    english, chinese = files["README.en.txt"].decode(), files["README.zh.txt"].decode()
    answer, _, coverage = english.partition("COVERAGE AND GAPS")
    places = f"{done.leaf_index}, {gap.leaf_index}"
    assert "2 erased with a tombstone, 2 declared missing by the collector (on the word of ledger" in answer
    assert f"entries {places}, which it signed)" in answer
    assert "Terminal gate-1: 2 erased and 2 missing events may have been punches." in answer
    assert "2 event(s) were declared missing under the collector's signature" in answer
    assert "The content of 2 event(s) was erased as personal data" in answer
    assert (
        f"  seq 3 to 4: declared missing for good (ledger entry {gap.leaf_index}, {gap.time}; cli:li; the card was"
        in (coverage)
    )
    assert f"  seq 2: erased, a tombstone stands (ledger entry {done.leaf_index}, 20" in coverage
    assert "  seq 6: erased" in coverage and "asked for)" in coverage
    assert f"（依据：考勤中心签名的账本记录第 {done.leaf_index}、{gap.leaf_index} 条）" in chinese
    assert f"  序号 3 至 4：考勤中心声明永久缺失（账本第 {gap.leaf_index} 条，" in chinese
    assert "  序号 2：已依法删除，留有墓碑记录" in chinese
    assert [one.device for one in result.facts.terminals] == ["gate-1"]  # the collector is no terminal
    page = html(result.facts, zone_of(result.facts))
    assert "seq 3 to 4: declared missing" in page and "seq 6: erased" in page and "the card was bent" in page


def test_without_holes_nothing_is_said_of_them(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    english = unpack(made(sworn, SITE)[0].data)["README.en.txt"].decode()
    assert "Nothing was erased or lost." in english and "may have been punches" not in english
    assert "The content of" not in english and "on the word of" not in english
