"""The collector under oath: its own chain, what administrators do, gaps that are given up, contradictions, audit."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from collector.errors import Conflict, Invalid, NotFound, SettingsError
from collector.identity import load_or_create_keys
from collector.ingest.intake import Intake
from collector.ingest.models import StagedEvent
from collector.ledger.fsck import check_ledger
from collector.ledger.models import LedgerEntry
from collector.people.service import NewWorker, WorkerBody
from collector.services import build_services
from collector.statements.actor import acting_as
from collector.statements.scribe import Scribe
from evidence.errors import BadSignature, BrokenLink, EvidenceError, UnknownKey, WrongPayloadType
from evidence.events import Event
from evidence.statements import StatementKind, verify_statements
from tests.collector.conftest import Api, Bench
from tests.collector.terminal import Terminal
from tests.collector.test_intake import fork_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def sworn(bench: Bench) -> Bench:
    """A bench whose services and intake state what happens, as the programs' do."""
    scribe = Scribe(bench.keys)
    services = build_services(bench.settings, bench.database, bench.keys, scribe)
    intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, scribe=scribe)
    bench.services, bench.intake = services, intake
    return bench


def stated(bench: Bench) -> list[Event]:
    """Every statement, verified as anybody could who has the envelopes and the key."""
    first = bench.services.statements.signers()[0]
    return verify_statements(bench.services.statements.envelopes(), first.key)


def kinds(bench: Bench) -> list[str]:
    return [event.kind for event in stated(bench)]


def whole(bench: Bench) -> bool:
    report = check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public)
    assert report.difference is None, report.difference
    return True


def test_the_chain_begins_with_the_collectors_keys_and_says_what_administrators_do(sworn: Bench) -> None:
    terminal = Terminal()
    with acting_as("cli:li"):
        sworn.register(terminal)
        sworn.offer(terminal, terminal.enrol())
        second = terminal.again()
        sworn.offer(second, second.enrol())
        sworn.services.devices.approve(terminal.device, second.chain, "li")
        sworn.services.devices.revoke(terminal.device)
    events = [event for event in stated(sworn) if event.kind != StatementKind.AUDIT_ENTRY]
    assert [event.kind for event in events] == [
        "collector.begun",
        "device.approved",
        "device.approved",
        "device.revoked",
    ]
    assert events[0].body["keys"]["receipt"] == sworn.keys.receipt.public.text()
    assert events[1].body == {
        "device": "gate-1",
        "chain": None,
        "key": terminal.key.public.text(),
        "by": "cli:li",
    }
    assert events[2].body["chain"] == second.chain
    assert events[3].body["from_index"] == next(
        e.leaf_index for e in sworn.services.statements.page("device.revoked", None, 1)
    )
    assert whole(sworn)


def test_a_statement_and_what_it_speaks_of_stand_or_fall_together(
    sworn: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sworn.register(Terminal())
    before = kinds(sworn)

    def fails(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("collector.statements.scribe.sign_statement", fails)
    with pytest.raises(RuntimeError):
        sworn.services.devices.revoke("gate-1")
    assert sworn.services.devices.get("gate-1").revoked_at is None and kinds(sworn) == before


def test_no_terminal_may_be_called_collector(sworn: Bench) -> None:
    with pytest.raises(Invalid, match="own name"):
        sworn.register(Terminal("collector"))


@pytest.mark.parametrize("broken", ["dropped", "moved", "other key", "terminal's type"])
def test_a_statement_dropped_moved_or_signed_by_another_is_found(sworn: Bench, broken: str) -> None:
    sworn.register(Terminal(), Terminal("gate-2"))
    envelopes = list(sworn.services.statements.envelopes())
    signer = sworn.keys.statement.public
    if broken == "dropped":
        del envelopes[1]
    elif broken == "moved":
        envelopes[1:] = reversed(envelopes[1:])
    elif broken == "other key":
        signer = sworn.keys.receipt.public
    else:
        envelopes[0] = Terminal("collector", "collector", sworn.keys.statement).enrol()
    with pytest.raises(EvidenceError) as found:
        verify_statements(envelopes, signer)
    expected = {"other key": UnknownKey, "terminal's type": WrongPayloadType}
    assert not isinstance(found.value, BadSignature | BrokenLink) or broken in ("dropped", "moved")
    assert isinstance(found.value, expected.get(broken, EvidenceError))


def test_a_process_with_other_keys_signs_nothing(sworn: Bench, tmp_path: Path) -> None:
    sworn.register(Terminal())
    stranger = load_or_create_keys(tmp_path / "other")
    with pytest.raises(SettingsError, match="copy the folder keys"):
        Scribe(stranger).require_same_keys(sworn.database)
    swapped = dataclasses.replace(sworn.keys, receipt=stranger.receipt)
    with pytest.raises(SettingsError, match="receipt key"):
        Scribe(swapped).require_same_keys(sworn.database)
    Scribe(sworn.keys).require_same_keys(sworn.database)


def test_an_equivocation_is_stated_in_the_batch_that_found_it(sworn: Bench, terminal: Terminal) -> None:
    enrolled, punch = terminal.enrol(), terminal.punch()
    sworn.offer(terminal, enrolled, punch)
    sworn.offer(terminal, fork_of(terminal, punch), fork_of(terminal, punch))
    (event,) = [one for one in stated(sworn) if one.kind == StatementKind.EQUIVOCATION_FOUND]
    (kept,) = sworn.services.ledger.equivocations(terminal.device)
    assert (event.body["device"], event.body["seq"], event.body["code"]) == (terminal.device, 1, "fork")
    assert event.body["offered"] == kept.offered_hash and event.body["held"] == kept.held_hash
    assert whole(sworn)


# --- gaps


def test_a_declared_gap_lets_in_what_waits_behind_it(sworn: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(5))]
    sworn.offer(terminal, envelopes[0], b"unreadable", envelopes[3], envelopes[4])
    (letter,) = sworn.services.dead_letters.page(None, 10)
    with acting_as("cli:li"):
        gap = sworn.services.statements.declare_gap(
            terminal.device, terminal.chain, 2, "the disk was broken", letter.id
        )
    assert (gap.first, gap.last, gap.bytes_sha256, gap.declared_by) == (1, 2, letter.sha256, "cli:li")
    (answer,) = sworn.intake.admit_ready()
    assert sworn.read_receipt(answer.payload, terminal).upto == 4
    (receipt,) = sworn.offer(terminal, envelopes[5])
    assert receipt.upto == 5
    assert list(sworn.services.ledger.envelopes(terminal.device, terminal.chain)) == [envelopes[0], *envelopes[3:]]
    assert whole(sworn)


def test_what_comes_after_its_gap_was_declared_is_kept_aside_and_the_terminal_may_let_it_go(
    sworn: Bench, terminal: Terminal
) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(3))]
    sworn.offer(terminal, envelopes[0], envelopes[3])
    sworn.services.statements.declare_gap(terminal.device, terminal.chain, 2, "lost", None)
    sworn.intake.admit_ready()
    (receipt,) = sworn.offer(terminal, envelopes[1])
    assert receipt.upto == 3 and sworn.dead() == ["in_declared_gap"]
    assert sworn.seqs(terminal) == 2 and whole(sworn)


def test_a_gap_is_declared_only_where_a_signed_event_waits_right_behind_it(sworn: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(5))]
    declare = sworn.services.statements.declare_gap
    with pytest.raises(NotFound):
        declare(terminal.device, terminal.chain, 1, "lost", None)
    sworn.offer(terminal, envelopes[0])
    with pytest.raises(Conflict, match="nothing waits"):
        declare(terminal.device, terminal.chain, 1, "lost", None)
    sworn.offer(terminal, envelopes[4])
    for last in (1, 2, 4, 9):
        with pytest.raises(Conflict, match="event 4 waits"):
            declare(terminal.device, terminal.chain, last, "lost", None)
    with pytest.raises(Conflict, match="up to 0"):
        declare(terminal.device, terminal.chain, 0, "lost", None)
    with pytest.raises(NotFound, match="dead letter"):
        declare(terminal.device, terminal.chain, 3, "lost", 77)
    with sworn.database.read() as session:
        assert len(session.exec(select(StagedEvent)).all()) == 1
        assert not session.exec(select(LedgerEntry).where(LedgerEntry.kind == "gap.declared")).all()


def test_a_gap_in_a_frozen_chain_is_not_closed(sworn: Bench, terminal: Terminal) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(3))]
    sworn.offer(terminal, envelopes[0], envelopes[3], fork_of(terminal, envelopes[0]))
    with pytest.raises(Conflict, match="frozen"):
        sworn.services.statements.declare_gap(terminal.device, terminal.chain, 2, "lost", None)


# --- audit


def test_every_write_says_who_did_it_and_never_the_contents(sworn: Bench) -> None:
    with acting_as("apikey:abc"):
        sworn.services.people.add(NewWorker(code="E001", name="王小明"))
        sworn.services.people.change("E001", WorkerBody(name="王大明"))
    changed, added = sworn.services.statements.audit(None, 10)
    assert (added.who, added.action, added.target, added.worker) == ("apikey:abc", "workers.added", "", "E001")
    assert (changed.action, changed.columns) == ("workers.changed", "name")
    assert not any("王" in str(event.body) for event in stated(sworn)) and whole(sworn)


def test_a_write_that_fails_leaves_no_audit_entry(sworn: Bench) -> None:
    with acting_as("apikey:abc"):
        sworn.services.people.add(NewWorker(code="E001", name="王小明"))
        with pytest.raises(Conflict):
            sworn.services.people.add(NewWorker(code="E001", name="王小明"))
    assert len(sworn.services.statements.audit(None, 10)) == 1


def test_over_http_the_key_is_named_and_reading_leaves_no_trace(sworn: Bench, api: Api) -> None:
    site = {"name": "north", "title": "North", "tz": "Asia/Shanghai"}
    assert api.client.post("/api/v1/sites", json=site, headers=api.write).status_code == 201
    assert api.client.post("/api/v1/sites", json=site | {"name": "x"}, headers=api.read).status_code == 403
    (entry,) = api.client.get("/api/v1/audit", headers=api.read).json()["items"]
    key_id = api.write["Authorization"].split("_")[1]
    assert (entry["who"], entry["action"], entry["target"]) == (f"apikey:{key_id}", "sites.added", "north")


def test_gaps_corrections_and_statements_over_http(sworn: Bench, terminal: Terminal, api: Api) -> None:
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(2))]
    sworn.offer(terminal, envelopes[0], envelopes[2])
    gap = {"device": terminal.device, "chain": terminal.chain, "last": 1, "reason": "lost"}
    assert api.client.post("/api/v1/gaps", json=gap, headers=api.read).status_code == 403
    answer = api.client.post("/api/v1/gaps", json=gap, headers=api.write)
    assert answer.status_code == 201 and answer.json()["declared_by"].startswith("apikey:")
    assert api.client.post("/api/v1/gaps", json=gap, headers=api.write).status_code == 409
    assert api.client.get("/api/v1/gaps", headers=api.read).json() == [answer.json()]
    sworn.intake.admit_ready()
    place = sworn.services.ledger.size() - 1
    correction = {"leaf_index": place, "says": {"log_type": "OUT"}, "reason": "pressed the wrong key"}
    assert api.client.post("/api/v1/corrections", json=correction, headers=api.write).status_code == 201
    page = api.client.get("/api/v1/statements?kind=correction.recorded", headers=api.read).json()
    assert base64.b64decode(page["items"][0]["envelope"]) in list(sworn.services.statements.envelopes())
    (corrected,) = [one for one in stated(sworn) if one.kind == StatementKind.CORRECTION_RECORDED]
    held = sworn.services.ledger.entry(place)
    assert (corrected.body["says"], corrected.body["hash"]) == ({"log_type": "OUT"}, held.hash)
    assert whole(sworn)
