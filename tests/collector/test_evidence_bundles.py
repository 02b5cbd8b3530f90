"""Evidence bundles as the collector makes them: whole, about the right people, asked for with a key, on record."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from collector.errors import Conflict, NotFound
from collector.evidence_bundles.pdf import MARK
from collector.evidence_bundles.picture import picture_or_error
from collector.evidence_bundles.service import Made
from collector.ledger.models import LedgerEntry
from collector.people.service import NewWorker
from evidence.bundle import verify_bundle
from evidence.bundle_manifest import Scope
from evidence.bundle_receipt import check_punch_receipt
from evidence.bundle_report import Report
from evidence.bundle_zip import unpack
from evidence.canonical import canonical
from evidence.envelope import Envelope
from evidence.events import Kind, parse_event
from evidence.receipt import PunchReceipt
from tests.collector.conftest import Api, Bench
from tests.collector.terminal import Terminal

POLICY = {"name": "outdoor", "required": ["face_match"]}
POLICY_HASH = hashlib.sha256(canonical(POLICY)).hexdigest()
SINCE, UNTIL = "2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z"
SITE = Scope(site="east", worker=None, since=SINCE, until=UNTIL)
WORKER = Scope(site=None, worker="E001", since=SINCE, until=UNTIL)


def punch(terminal: Terminal, worker: str | None, log_type: str = "IN", verdict: str = "verified") -> bytes:
    kind = Kind.PUNCH_REFUSED if verdict == "refused" else Kind.PUNCH_RECORDED
    return terminal.append(kind, terminal.punch_body(worker, verdict, log_type) | {"policy": POLICY_HASH})


def a_day(bench: Bench, terminal: Terminal) -> dict[str, bytes]:
    """Two workers' day at one terminal; returns E001's punches."""
    opened = [terminal.enrol(), terminal.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})]
    terminal.time_s = 3600
    came = punch(terminal, "E001")
    other = punch(terminal, "E002")
    terminal.time_s = 4500
    coverage = terminal.append(Kind.COVERAGE, coverage_body(terminal))
    refused = punch(terminal, None, verdict="refused")
    presence = terminal.presence("E001")
    terminal.time_s = 30_000
    left = punch(terminal, "E001", "OUT")
    bench.offer(terminal, *opened, came, other, coverage, refused, presence, left)
    return {"came": came, "left": left}


def coverage_body(terminal: Terminal) -> dict[str, Any]:
    began = Terminal(time_s=terminal.time_s - 900).now()
    return {
        "since": began,
        "until": terminal.now(),
        "seconds": 900,
        "observed_s": 890,
        "first": False,
        "last": False,
        "screen": True,
        "camera_s": 880,
        "scanner_s": None,
        "gps_s": 890,
        "uplink_s": 500,
        "frames": 9000,
        "advertisements": None,
        "unsent": 0,
    }


def made(bench: Bench, scope: Scope, **options: Any) -> tuple[Made, Report]:
    result = bench.services.evidence_bundles.make(scope, "test", **options)
    return result, verify_bundle(result.data, bench.services.evidence_bundles.trust())


def test_a_bundle_about_a_site_holds_and_has_everything(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    result, report = made(bench, SITE)
    assert report.ok, [str(one) for one in report.problems]
    assert result.facts.problems == ()
    assert (report.events, report.tree_size) == (8, 8)
    assert result.facts.verdicts == {"refused": 1, "verified": 3}
    (found,) = report.chains.values()
    assert (found.withheld, found.outside, found.pinned) == (0, 0, True)


def test_a_bundle_about_a_worker_shows_nobody_else(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    result, report = made(bench, WORKER)
    assert report.ok, [str(one) for one in report.problems]
    assert {one.worker for one in report.punches} == {"E001"}
    (found,) = report.chains.values()
    assert found.withheld == 2
    for name, content in unpack(result.data).items():
        assert b"E002" not in content, name
        for line in content.splitlines() if name.endswith(".jsonl") else ():
            assert b"E002" not in base64.b64decode(json.loads(line)["payload"])


def test_what_is_outside_the_period_is_counted_and_not_shown(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    middle = Scope(site="east", worker=None, since="2026-11-22T01:10:00.000Z", until="2026-11-22T02:00:00.000Z")
    _, report = made(bench, middle)
    assert report.ok, [str(one) for one in report.problems]
    (found,) = report.chains.values()
    assert (found.events, found.outside) == (4, 4)  # the first event always; coverage, refusal and presence


def test_a_period_without_events_still_shows_where_the_chain_stood(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    later = Scope(site="east", worker=None, since="2026-12-01T00:00:00.000Z", until="2026-12-02T00:00:00.000Z")
    result, report = made(bench, later)
    assert report.ok, [str(one) for one in report.problems]
    assert report.events == 1
    assert result.facts.terminals[0].coverage.observed_s == 0


def test_a_receipt_finds_its_event_in_a_workers_bundle(bench: Bench, terminal: Terminal) -> None:
    envelope = Envelope.decode(a_day(bench, terminal)["came"])
    event = parse_event(envelope.payload)
    text = PunchReceipt(event.device, event.chain, event.seq, envelope.hash, event.time).text(terminal.key)
    _, report = made(bench, WORKER)
    assert check_punch_receipt(text, bench.services.evidence_bundles.trust(), report).ok


def test_a_database_changed_by_hand_gives_no_clean_bundle(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.checkpoints.sign()
    with bench.database.write() as session:
        entry = session.exec(select(LedgerEntry).where(LedgerEntry.seq == 3)).one()
        changed = bytearray(entry.envelope)
        changed[60] ^= 1
        entry.envelope = bytes(changed)
        session.add(entry)
    result = bench.services.evidence_bundles.make(SITE, "test")
    assert any("seq 3" in problem for problem in result.facts.problems), result.facts.problems
    assert "PROBLEMS FOUND" in unpack(result.data)["README.en.txt"].decode()


def test_the_readers_kept_checkpoint_becomes_the_first(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol())
    bench.services.checkpoints.sign()
    newest = bench.services.checkpoints.newest()
    assert newest is not None
    bench.offer(terminal, terminal.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH}))
    bench.offer(terminal, punch(terminal, "E001"))
    result, _ = made(bench, SITE, kept=newest.note)
    trust = bench.services.evidence_bundles.trust().model_copy(update={"checkpoints": [newest.note.decode()]})
    assert verify_bundle(result.data, trust).ok


def test_a_ledger_that_did_not_grow_from_a_checkpoint_says_so(bench: Bench, terminal: Terminal) -> None:
    from evidence.checkpoint import Checkpoint, sign_checkpoint

    a_day(bench, terminal)
    signer = bench.services.checkpoints.signer
    forged = sign_checkpoint(Checkpoint(signer.name, 3, bytes(32)), signer).encode()
    with pytest.raises(Conflict, match="has not grown"):
        bench.services.evidence_bundles.make(SITE, "test", kept=forged)


def test_late_events_say_why(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    result, _ = made(bench, SITE)
    # The terminal's day is past when its events reach this collector; the coverage admits that the uplink was away.
    assert set(result.facts.late) <= {"offline", "unexplained"}
    assert "late" in unpack(result.data)["README.en.txt"].decode()


def test_a_revoked_terminals_events_are_marked(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.services.devices.revoke("gate-1")
    bench.offer(terminal, punch(terminal, "E001"))
    result, report = made(bench, SITE)
    assert [one.code for one in report.problems] == ["revocation_mismatch"]  # nothing here states anything
    assert report.after_revocation == 1 and result.facts.revocations == 1
    assert result.facts.verdicts == {"refused": 1, "review": 1, "verified": 3}


def test_nobody_there_is_said(bench: Bench, terminal: Terminal) -> None:
    with pytest.raises(NotFound):
        bench.services.evidence_bundles.make(SITE, "test")
    a_day(bench, terminal)
    with pytest.raises(NotFound):
        bench.services.evidence_bundles.make(SITE.model_copy(update={"site": "west"}), "test")


def test_the_six_answers_speak_of_the_data(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    files = unpack(made(bench, SITE)[0].data)
    english, chinese = files["README.en.txt"].decode(), files["README.zh.txt"].decode()
    for number in range(1, 7):
        assert f"\n{number}. " in english
    for number in "一二三四五六":
        assert f"\n{number}、" in chinese
    assert "8 events shown in full" in english and "完整出示事件 8 个" in chinese
    assert "3 verified" in english and "已核实 3 次" in chinese
    assert "signed for 0.2" in english
    assert terminal.key.public.fingerprint in english


def test_the_report_is_a_pdf_marked_on_each_page(bench: Bench, terminal: Terminal, tmp_path: Path) -> None:
    import subprocess

    a_day(bench, terminal)
    data = unpack(made(bench, SITE, picture=picture_or_error())[0].data)["not-authoritative/report.pdf"]
    path = tmp_path / "report.pdf"
    path.write_bytes(data)
    assert data.startswith(b"%PDF-")
    text = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True, text=True).stdout
    pages = text.rstrip("\f").split("\f")
    assert len(pages) >= 2
    assert all(MARK in page for page in pages)
    assert "E001" in text and "民事诉讼" in text


# --- over HTTP


def test_a_bundle_over_http_needs_a_writers_key_and_is_on_record(bench: Bench, api: Api, terminal: Terminal) -> None:
    bench.services.people.add(NewWorker(code="E002", name="李四"))
    a_day(bench, terminal)
    wanted = {"worker": "E001", "from": "2026-11-22T08:00:00+08:00", "to": "2026-11-23T08:00:00+08:00", "pdf": False}
    assert api.client.post("/api/v1/evidence-bundles", json=wanted).status_code == 401
    assert api.client.post("/api/v1/evidence-bundles", json=wanted, headers=api.read).status_code == 403
    answer = api.client.post("/api/v1/evidence-bundles", json=wanted, headers=api.write)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert verify_bundle(answer.content, bench.services.evidence_bundles.trust()).ok
    (record,) = api.client.get("/api/v1/evidence-bundles", headers=api.read).json()
    assert record["sha256"] == hashlib.sha256(answer.content).hexdigest() == answer.headers["X-Bundle-SHA256"]
    assert record["made_by"].startswith("writer (") and record["worker"] == "E001"


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"site": "east", "worker": "E001", "from": SINCE, "to": UNTIL},
        {"site": "east", "from": UNTIL, "to": SINCE},
        {"site": "east", "from": "2026-11-22T00:00:00", "to": UNTIL},
        {"site": "east", "from": SINCE, "to": UNTIL, "checkpoint": "rubbish"},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    bench: Bench, api: Api, terminal: Terminal, wanted: dict[str, Any]
) -> None:
    a_day(bench, terminal)
    answer = api.client.post("/api/v1/evidence-bundles", json=wanted, headers=api.write)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["code"] == "invalid"
