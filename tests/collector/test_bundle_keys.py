"""Bundles over keys that change and end: the collector's own, revoked terminals, rotated keys; in all verifiers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from collector.devices.service import NewDevice
from collector.ingest.message import Message
from collector.ledger.fsck import check_ledger
from collector.ledger.models import Anchor
from collector.statements.actor import acting_as
from collector.timestamps import utc_now
from evidence.bundle import verify_bundle
from evidence.bundle_index import Erased, Missing, Withheld
from evidence.bundle_manifest import Scope
from evidence.events import Kind
from evidence.statements import COLLECTOR
from evidence.topics import Leaf, Topic
from kiosk.clock import SystemClock
from kiosk.journal import Journal
from kiosk.terminal_key import TerminalKey
from tests.collector.conftest import Bench
from tests.collector.holes import by_every_verifier, erase, good, seqs, swear, with_a_gap
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import (
    POLICY,
    POLICY_HASH,
    SITE,
    UNTIL,
    WORKER,
    a_day,
    coverage_body,
    made,
    punch,
)
from tests.collector.test_rotation import rotate

SEEN = {"sensor": "camera", "state": "working", "before": None, "reason": "ok: a test"}


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    """A bench that states what happens, with a registered terminal."""
    return swear(bench)


def test_the_trust_file_pins_the_key_of_the_collectors_statements(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    erase(sworn)
    result, report = made(sworn, SITE)
    trust = sworn.services.evidence_bundles.trust()
    assert trust.devices[COLLECTOR] == [sworn.keys.statement.public.text()]
    assert all(found.pinned for found in report.chains.values()) and report.notes == []
    other = trust.model_copy(update={"devices": trust.devices | {COLLECTOR: [sworn.keys.receipt.public.text()]}})
    codes = {one.code for one in verify_bundle(result.data, other).problems}
    assert {"unknown_key", "unauthorised"} <= codes


def test_a_revocation_counts_from_the_entry_that_the_collector_stated(sworn: Bench, terminal: Terminal) -> None:
    a_day(sworn, terminal)
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    (statement,) = sworn.services.statements.page("device.revoked", None, 2)
    report = good(made(sworn, SITE))
    assert report.manifest is not None
    assert [one.from_index for one in report.manifest.revocations] == [statement.leaf_index]
    assert report.statements[statement.leaf_index].body["from_index"] == statement.leaf_index
    sworn.offer(terminal, punch(terminal, "E001"))
    report = good(made(sworn, SITE))
    assert report.manifest is not None
    assert [one.from_index for one in report.manifest.revocations] == [statement.leaf_index]
    assert report.after_revocation == 1


def test_a_revocation_that_is_newer_than_the_checkpoint_is_no_part_of_the_bundle(
    sworn: Bench, terminal: Terminal
) -> None:
    a_day(sworn, terminal)
    sworn.services.checkpoints.sign()
    with sworn.database.write() as session:
        size = sworn.services.ledger.size()
        session.add(Anchor(size=size, authority="https://tsa.example", token=b"\x30\x00", stamped_at=UNTIL))
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    report = good(made(sworn, SITE))
    assert report.tree_size == size and report.manifest is not None and report.manifest.revocations == ()


def test_events_that_waited_while_their_terminal_was_revoked_make_no_bundle_false(
    sworn: Bench, terminal: Terminal
) -> None:
    a_day(sworn, terminal)
    missing, waiting = punch(terminal, "E001"), punch(terminal, "E001", "OUT")
    sworn.offer(terminal, waiting)
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    sworn.offer(terminal, missing)
    assert good(made(sworn, SITE)).after_revocation == 2


def test_a_bundle_names_a_revocation_that_was_undone_by_hand_and_what_came_after_it_does_not_hold(
    sworn: Bench, terminal: Terminal
) -> None:
    a_day(sworn, terminal)
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    (statement,) = sworn.services.statements.page("device.revoked", None, 2)
    with sworn.database.write() as session:
        session.connection().exec_driver_sql("UPDATE devices SET revoked_at = NULL")
    report = good(made(sworn, SITE))
    assert report.manifest is not None
    (said,) = report.manifest.revocations
    assert (said.from_index, said.at) == (statement.leaf_index, statement.time)
    sworn.offer(terminal, punch(terminal, "E001"))  # the column lets it in unmarked
    _, report = made(sworn, SITE)
    assert {one.code for one in report.problems} == {"revocation_hidden"}


@pytest.mark.browser
def test_every_verifier_takes_a_chain_that_was_let_in_after_its_terminal_was_revoked(
    sworn: Bench, terminal: Terminal, tmp_path: Path, browser: Any
) -> None:
    a_day(sworn, terminal)
    again = terminal.again()
    policy = again.enrol(), again.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": POLICY_HASH})
    again.time_s = 3600
    sworn.offer(again, *policy, punch(again, "E001"))
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
        sworn.services.devices.approve("gate-1", again.chain, "li")
    sworn.intake.admit_ready()
    result, report = made(sworn, SITE)
    assert report.ok, [str(one) for one in report.problems]
    assert report.after_revocation == 3 and len(report.chains) == 3
    assert [one.verdict for one in report.punches if one.verdict != one.signed_verdict] == ["review"]
    by_every_verifier(result.data, sworn, tmp_path, browser)
    log = sworn.services.checkpoints.signer.public
    assert check_ledger(sworn.database, sworn.keys.seal, log).difference is None


def a_rotated_day(bench: Bench, terminal: Terminal) -> None:
    a_day(bench, terminal)
    bench.offer(terminal, rotate(terminal), punch(terminal, "E002"))


def test_a_rotated_key_holds_in_every_period(sworn: Bench, terminal: Terminal) -> None:
    a_rotated_day(sworn, terminal)
    report = good(made(sworn, SITE))
    assert len(report.punches) == 5
    good(made(sworn, WORKER))
    good(made(sworn, SITE.model_copy(update={"since": "2026-11-22T08:20:03.000Z"})))
    good(made(sworn, SITE.model_copy(update={"until": "2026-11-22T02:00:00.000Z"})))


@pytest.mark.browser
def test_every_verifier_takes_a_rotated_chain_with_holes(
    sworn: Bench, terminal: Terminal, tmp_path: Path, browser: Any
) -> None:
    with_a_gap(sworn, terminal)
    sworn.offer(terminal, terminal.append(Kind.COVERAGE, coverage_body(terminal)), rotate(terminal))
    sworn.offer(terminal, punch(terminal, "E002"))
    erase(sworn)
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    sworn.offer(terminal, punch(terminal, "E002", "OUT"))
    result, report = made(sworn, SITE)
    good((result, report))
    assert (seqs(report, Missing), seqs(report, Erased)) == ([(3, 4)], [(2, 2), (6, 6)])
    assert seqs(report, Withheld, COLLECTOR) and report.after_revocation == 1
    by_every_verifier(result.data, sworn, tmp_path, browser)


@pytest.mark.browser
def test_every_verifier_takes_the_rotation_of_a_real_journal(sworn: Bench, tmp_path: Path, browser: Any) -> None:
    """The terminal's own journal hands its chain over twice; a later chain of it begins under the newest key."""
    journals: list[str] = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        if journals:
            shutil.copy(tmp_path / "first" / "terminal.pem", folder)  # a new card in the same terminal
        signer = TerminalKey(folder / "terminal.pem")
        journal = Journal(folder / "journal.db", signer, "gate-9", "east", "Asia/Shanghai", SystemClock())
        if not journals:
            key = TerminalKey(folder / "terminal.pem").public.text()
            sworn.services.devices.add(NewDevice(name="gate-9", site="east", key=key))
            journal.rotate_key("planned: a test")
        journal.append(Kind.SENSOR_CHANGED, SEEN)
        journal.rotate_key("planned: once more")
        journal.append(Kind.SENSOR_CHANGED, SEEN)
        topic = str(Topic("east", "gate-9", Leaf.EVENT))
        sworn.intake.admit([Message(topic, data, utc_now()) for _, data in journal.unsent(-1, 100)])
        if journals:
            sworn.services.devices.approve("gate-9", None, "li")
            sworn.intake.admit_ready()
        journals.append(journal.head.chain)
        journal.close()
    assert sworn.dead() == []
    scope = Scope(site="east", worker=None, since="2020-01-01T00:00:00.000Z", until="2099-01-01T00:00:00.000Z")
    result, report = made(sworn, scope)
    good((result, report))
    assert {chain: report.chains["gate-9", chain].events for chain in journals} == {journals[0]: 5, journals[1]: 4}
    by_every_verifier(result.data, sworn, tmp_path, browser)
