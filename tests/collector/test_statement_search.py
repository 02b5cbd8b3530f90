"""Statements are found by kind, time and subject, newest first, page after page, with nothing left out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.console.statement import signature_of
from collector.console.statement_words import statement_row, words
from collector.console.statements import asked_of
from collector.console.texts import TEXTS, Language, Texts
from collector.errors import NotFound
from collector.ledger.models import LedgerEntry
from collector.sites.service import NewSite
from collector.statements import search
from collector.statements.actor import acting_as
from collector.statements.search import StatementFilters, read_statement
from collector.timestamps import parse_utc, utc_text
from evidence.events import Event
from evidence.statements import STATEMENTS, StatementKind
from tests.collector.conftest import Bench
from tests.collector.holes import erase, swear, with_a_gap
from tests.collector.terminal import Terminal

pytestmark = pytest.mark.both_databases


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    with_a_gap(swear(bench), terminal)
    return bench


def found(bench: Bench, **filters: str) -> list[str]:
    page = bench.services.statements.search(StatementFilters(**filters), None, 500)
    assert page.next is None
    return [one.entry.kind for one in page.items]


def test_each_filter_finds_what_it_says(sworn: Bench) -> None:
    everything = found(sworn)
    assert everything[-1] == StatementKind.BEGUN
    assert found(sworn, kind="gap.declared") == ["gap.declared"]
    assert set(found(sworn, about="E002")) == {"audit.entry"}
    assert "gap.declared" in found(sworn, about="GATE-1")
    assert found(sworn, about="cli:li", kind="gap.declared") == ["gap.declared"]
    assert found(sworn, about="nobody of this name") == []
    (gap,) = sworn.services.statements.search(StatementFilters(kind="gap.declared"), None, 5).items
    at = gap.entry.time
    assert "gap.declared" in found(sworn, since=at)
    assert "gap.declared" not in found(sworn, until=at)
    later = utc_text(parse_utc(at) + timedelta(milliseconds=1))
    assert "gap.declared" in found(sworn, until=later)


@pytest.mark.parametrize("about", ["", "li"])
def test_pages_of_any_size_have_everything_once_and_in_order(sworn: Bench, about: str) -> None:
    filters = StatementFilters(about=about)
    whole = [one.entry.leaf_index for one in sworn.services.statements.search(filters, None, 500).items]
    assert whole == sorted(whole, reverse=True)
    pages, before = [], None
    while True:
        page = sworn.services.statements.search(filters, before, 2)
        assert len(page.items) <= 2
        pages += [one.entry.leaf_index for one in page.items]
        if page.next is None:
            break
        before = page.next
    assert pages == whole


def test_a_long_walk_stops_and_is_gone_on_with(sworn: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LOOKED_AT", 1)
    monkeypatch.setattr("collector.statements.service.PAGE", 2)
    filters, before, steps, kinds = StatementFilters(about="receipt-nobody"), None, 0, []
    while True:
        page = sworn.services.statements.search(filters, before, 5)
        kinds += page.items
        if page.next is None:
            break
        before, steps = page.next, steps + 1
    assert (kinds, steps > 2) == ([], True)


def test_an_erased_statement_is_listed_and_says_so(sworn: Bench) -> None:
    before = len(found(sworn))
    erase(sworn)
    items = sworn.services.statements.search(StatementFilters(), None, 500).items
    assert len(items) >= before
    gone = [one for one in items if one.event is None]
    assert gone  # what the audit said about E001
    keys = sworn.services.statements.signers()
    assert {signature_of(one.entry, keys) for one in gone} == {"erased"}
    assert {signature_of(one.entry, keys) for one in items if one.event is not None} == {"good"}
    row = statement_row(gone[0], "UTC", {}, Texts("zh"))
    assert "fsck" in row.says


def test_a_signature_that_does_not_hold_is_told(sworn: Bench) -> None:
    entry = sworn.services.statements.search(StatementFilters(kind="gap.declared"), None, 1).items[0].entry
    keys = sworn.services.statements.signers()
    changed = LedgerEntry.model_validate(
        entry.model_dump() | {"envelope": entry.envelope.replace(b'"sig":"', b'"sig":"AA')}
    )
    assert signature_of(changed, keys) == "bad"
    assert signature_of(entry, []) == "not_run"


def test_only_statements_are_shown_as_statements(sworn: Bench) -> None:
    place = sworn.services.statements.search(StatementFilters(), None, 1).items[0].entry.leaf_index
    assert sworn.services.statements.get(place).leaf_index == place
    of_a_terminal = next(n for n in range(place) if sworn.services.ledger.entry(n).device == "gate-1")
    for nothing in (of_a_terminal, 10**9):
        with pytest.raises(NotFound):
            sworn.services.statements.get(nothing)


def test_what_is_added_is_named_by_its_number(sworn: Bench) -> None:
    with acting_as("console:0123456789ab"):
        sworn.services.evidence_bundles._record(*_recorded(sworn))
        sworn.services.sites.add(NewSite(name="north", title="北门", tz="Asia/Shanghai"))
    north, bundle = sworn.services.statements.audit(None, 2)
    assert (north.action, north.target) == ("sites.added", "north")
    assert (bundle.action, bundle.target) == (
        "evidence_bundles.added",
        str(sworn.services.evidence_bundles.made()[0].id),
    )


def _recorded(bench: Bench) -> tuple[object, ...]:
    from tests.collector.test_evidence_bundles import SITE, made

    bench.services.checkpoints.sign()
    result, _ = made(bench, SITE)
    return SITE, "somebody", result.facts, "ab" * 32, 7


BODIES: dict[str, dict[str, object]] = {
    "collector.begun": {"keys": {"receipt": "ed25519:a"}},
    "collector.key_rotated": {"purpose": "command", "old": "ed25519:a", "new": "ed25519:b"},
    "device.approved": {"device": "gate-1", "chain": None, "key": None, "by": "cli:li"},
    "device.revoked": {"device": "gate-1", "from_index": 7, "by": "cli:li"},
    "gap.declared": {
        "device": "gate-1",
        "chain": "ab" * 16,
        "first": 3,
        "last": 4,
        "next_prev": "cd" * 32,
        "reason": "bent",
        "bytes_sha256": None,
        "by": "cli:li",
    },
    "equivocation.found": {
        "device": "gate-1",
        "chain": "ab" * 16,
        "seq": 3,
        "code": "fork",
        "held": None,
        "offered": "cd" * 32,
        "envelope_sha256": "ef" * 32,
    },
    "correction.recorded": {
        "device": "gate-1",
        "chain": "ab" * 16,
        "seq": 3,
        "hash": "cd" * 32,
        "says": {"log_type": "OUT"},
        "reason": "wrong",
        "by": "cli:li",
    },
    "worker.erasure": {
        "erasure": "ab" * 16,
        "scope": "all",
        "reason": "asked",
        "by": "cli:li",
        "entries": 3,
        "digest": "cd" * 32,
    },
    "audit.entry": {"who": "cli:li", "action": "sites.changed", "target": "east", "columns": ["tz"], "worker": None},
}


@pytest.mark.parametrize("language", TEXTS)
def test_every_kind_is_put_in_words_of_its_own(bench: Bench, language: Language) -> None:
    texts, said = Texts(language), set()
    assert BODIES.keys() == STATEMENTS.keys()
    for kind, body in BODIES.items():
        sentence, _ = words(statement(kind, body), texts)
        assert "{" not in sentence, kind
        assert texts(f"kind.{kind}")
        said.add(sentence)
    assert len(said) == len(BODIES)
    assert words(statement("shift.dreamt", {"of": "rest"}), texts)[0] == '{"of": "rest"}'


def statement(kind: str, body: dict[str, object]) -> Event:
    return Terminal("collector", "collector").event(kind, body)


def test_an_address_is_read_and_what_is_wrong_in_it_is_named() -> None:
    asked = asked_of(
        {"kind": "gap.declared", "about": " gate-1 ", "from": "2026-11-22", "to": "2026-11-22"}, "Asia/Shanghai"
    )
    assert asked.filters == StatementFilters(
        "gap.declared", "gate-1", "2026-11-21T16:00:00.000Z", "2026-11-22T16:00:00.000Z"
    )
    assert asked.older(7) == "/statements?kind=gap.declared&about=gate-1&from=2026-11-22&to=2026-11-22&before=7"
    wrong = asked_of({"kind": "<b>", "from": "yesterday", "to": "9999-12-31", "before": "-1"}, "UTC")
    assert wrong.wrong == ("<b>", "-1", "yesterday", "9999-12-31")
    assert wrong.filters == StatementFilters()


def test_what_cannot_be_read_is_no_event(sworn: Bench) -> None:
    entry = sworn.services.statements.search(StatementFilters(), None, 1).items[0].entry
    assert read_statement(LedgerEntry.model_validate(entry.model_dump() | {"envelope": b"{}"})).event is None
