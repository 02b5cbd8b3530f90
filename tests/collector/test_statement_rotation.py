"""The key of the collector's own chain is replaced: in the chain, by both keys; whoever pins the first follows."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from typer.testing import CliRunner

from collector.console.statement import signature_of
from collector.errors import SettingsError
from collector.identity import load_or_create_keys
from collector.ledger.fsck import Difference, check_ledger
from collector.statements.actor import acting_as
from collector.statements.handovers import handovers_of
from collector.statements.models import CollectorKey
from collector.statements.rotation import finish, rotate
from collector.statements.scribe import Scribe
from evidence.bundle import verify_bundle
from evidence.bundle_index import Withheld
from evidence.envelope import Envelope
from evidence.errors import InvalidBody, UnknownKey
from evidence.events import parse_event
from evidence.handover import parse_handover
from evidence.keys import Ed25519Key
from evidence.statements import COLLECTOR, StatementKind, hands_over, verify_statements
from evidence.trust import BundleTrust
from tests.collector.conftest import Bench
from tests.collector.holes import by_every_verifier, erase, good, said_by_every_verifier, seqs, swear, with_a_gap
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, made, punch
from zaigang.commands.collector import app

pytestmark = pytest.mark.both_databases


def replaced(bench: Bench) -> Ed25519Key:
    """Rotate the statement key, and go on with the new one; return the old one."""
    old = bench.keys.statement
    new = rotate(bench.database, bench.keys, bench.settings.keys_path, "statement")
    bench.keys = load_or_create_keys(bench.settings.keys_path)
    assert bench.keys.statement.public == new.public
    swear(bench)
    return old


def difference(bench: Bench) -> Difference | None:
    return check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public).difference


def rotations(bench: Bench) -> list[Envelope]:
    read = [Envelope.decode(one) for one in bench.services.statements.envelopes()]
    return [one for one in read if hands_over(parse_event(one.payload))]


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    """A bench that has stated something, with a registered terminal."""
    return swear(bench)


def test_both_keys_sign_the_switch_and_the_new_one_what_follows(sworn: Bench) -> None:
    keys = [sworn.keys.statement]
    for _ in range(2):
        replaced(sworn)
        keys.append(sworn.keys.statement)
    with acting_as("cli:li"):
        sworn.services.devices.revoke("gate-1")
    envelopes = list(sworn.services.statements.envelopes())
    events = verify_statements(envelopes, keys[0].public)
    assert [[one.keyid for one in read.signatures] for read in rotations(sworn)] == [
        [keys[0].public.id, keys[1].public.id],
        [keys[1].public.id, keys[2].public.id],
    ]
    assert events[-1].kind != StatementKind.KEY_ROTATED
    assert Envelope.decode(envelopes[-1]).signatures[0].keyid == keys[2].public.id
    for not_the_first in keys[1:]:
        with pytest.raises(UnknownKey):
            verify_statements(envelopes, not_the_first.public)
    signers = sworn.services.statements.signers()
    entries = [one for one in sworn.services.statements.page(None, None, 500) if one.envelope]
    assert {signature_of(one, signers) for one in entries} == {"good"}
    assert difference(sworn) is None


def test_the_handover_names_the_place_of_the_statement(sworn: Bench) -> None:
    old = replaced(sworn)
    (stated,) = sworn.services.statements.page(StatementKind.KEY_ROTATED, None, 9)
    with sworn.database.read() as session:
        (handover,) = handovers_of(session)
    said = parse_handover(handover)
    assert (said.purpose, said.old, said.new) == (
        "statement",
        old.public.text(),
        sworn.keys.statement.public.text(),
    )
    assert said.tree_size == stated.leaf_index


def test_the_old_key_states_nothing_more(sworn: Bench) -> None:
    before = Scribe(sworn.keys)
    stale = sworn.services
    replaced(sworn)
    size = sworn.services.ledger.size()
    with pytest.raises(SettingsError, match="statement key"), sworn.database.write() as session:
        before(session, StatementKind.DEVICE_REVOKED, {"device": "gate-1", "from_index": 0, "by": "x"})
    with acting_as("cli:li"), pytest.raises(SettingsError, match="statement key"):
        stale.devices.revoke("gate-1")
    with pytest.raises(SettingsError, match="statement key"):
        before.require_same_keys(sworn.database)
    assert sworn.services.ledger.size() == size and sworn.services.devices.get("gate-1").revoked_at is None


def test_the_power_going_between_commit_and_file_loses_no_statement_key(
    sworn: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sworn.settings.keys_path
    with monkeypatch.context() as patched:
        patched.setattr("collector.statements.rotation.finish", lambda *_: None)
        new = rotate(sworn.database, sworn.keys, folder, "statement")
    # Somebody tries once more, with the old file still in place: the key that was committed is not overwritten.
    with pytest.raises(SettingsError, match="statement key"):
        rotate(sworn.database, load_or_create_keys(folder), folder, "statement")
    finish(sworn.database, folder)
    assert load_or_create_keys(folder).statement.public == new.public
    sworn.keys = load_or_create_keys(folder)
    swear(sworn)
    assert difference(sworn) is None


def test_a_rotation_whose_commit_fails_leaves_the_old_key(sworn: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sworn.settings.keys_path

    def fails(*_: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("collector.statements.rotation.replace_file", fails)
        with pytest.raises(OSError, match="full"):
            rotate(sworn.database, sworn.keys, folder, "statement")
    finish(sworn.database, folder)
    Scribe(load_or_create_keys(folder)).require_same_keys(sworn.database)
    assert rotations(sworn) == [] and difference(sworn) is None


def test_a_collector_that_starts_meanwhile_drops_no_draft(sworn: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the transaction in which the draft becomes the key."""
    folder = sworn.settings.keys_path
    seen: list[Any] = []

    def written(path: Path, content: bytes) -> None:
        path.write_bytes(content)
        path.chmod(0o600)
        beside = threading.Thread(target=finish, args=(sworn.database, folder))
        beside.start()
        beside.join(timeout=0.5)
        seen.extend([beside, path.exists()])

    monkeypatch.setattr("collector.statements.rotation.replace_file", written)
    new = rotate(sworn.database, sworn.keys, folder, "statement")
    seen[0].join(timeout=20)
    assert seen[1] and load_or_create_keys(folder).statement.public == new.public


@pytest.mark.parametrize("column", ["key", "first_seq", "retired_at", "handover", "the row"])
def test_fsck_holds_the_table_of_keys_against_the_statements(sworn: Bench, column: str) -> None:
    replaced(sworn)
    with sworn.database.write() as session:
        rows = session.exec(select(CollectorKey).where(CollectorKey.purpose == "statement")).all()
        first, second = sorted(rows, key=lambda one: one.first_seq)
        if column == "key":
            stranger = Ed25519Key.generate().public
            second.key, second.key_id = stranger.text(), stranger.id
        elif column == "first_seq":
            second.first_seq -= 1
        elif column == "retired_at":
            first.retired_at = None
        elif column == "handover":
            second.handover = None
        else:
            session.delete(second)
    found = difference(sworn)
    assert found is not None and (found.table, found.row[:9]) == ("collector_keys", "statement")


@pytest.mark.parametrize("how", ["the old key alone", "a stranger for the new one", "another one as the old one"])
def test_a_rotation_that_is_not_signed_by_both_is_found(
    sworn: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """An operator writes it into the database with a collector of his own making."""
    honest, stranger = Scribe.hand_over, Ed25519Key.generate()

    def forged(scribe: Scribe, session: Any, new: Ed25519Key, body: dict[str, Any]) -> int:
        if how == "the old key alone":
            return scribe.state(session, StatementKind.KEY_ROTATED, body)
        if how == "a stranger for the new one":
            return honest(scribe, session, stranger, body)
        return honest(scribe, session, new, body | {"old": stranger.public.text()})

    monkeypatch.setattr(Scribe, "hand_over", forged)
    rotate(sworn.database, sworn.keys, sworn.settings.keys_path, "statement")
    found = difference(sworn)
    code = {"the old key alone": "signature_count", "a stranger for the new one": "unknown_key"}
    assert found is not None and code.get(how, InvalidBody.code) in found.message


def pinning(trust: BundleTrust, *keys: Ed25519Key, handovers: bool) -> BundleTrust:
    devices = trust.devices | {COLLECTOR: [one.public.text() for one in keys]}
    return trust.model_copy(update={"devices": devices, "handovers": trust.handovers if handovers else []})


@pytest.mark.browser
def test_a_bundle_carries_the_rotation_and_every_verifier_follows(
    sworn: Bench, terminal: Terminal, tmp_path: Path, browser: Any
) -> None:
    """A gap before it, an erasure behind it; another rotation behind both is no part of the bundle."""
    with_a_gap(sworn, terminal)
    old = replaced(sworn)
    new = sworn.keys.statement
    erase(sworn, "E002")
    replaced(sworn)
    result, _ = both = made(sworn, SITE)
    report = good(both)
    kinds = [one.kind for one in report.statements.values()]
    assert kinds == ["collector.begun", "gap.declared", "collector.key_rotated", "worker.erasure"]
    assert seqs(report, Withheld, COLLECTOR)
    trust = sworn.services.evidence_bundles.trust()
    assert set(trust.devices[COLLECTOR]) == {one.public.text() for one in (old, new, sworn.keys.statement)}
    by_every_verifier(result.data, sworn, tmp_path, browser)
    # The first key alone leads to all of them, by the chain itself; a later one by the handovers.
    for keys, handovers in (((old,), False), ((old,), True), ((new,), True), ((sworn.keys.statement,), True)):
        found = verify_bundle(result.data, pinning(trust, *keys, handovers=handovers))
        assert found.ok, [str(one) for one in found.problems]
    alone = verify_bundle(result.data, pinning(trust, sworn.keys.statement, handovers=False))
    assert {one.code for one in alone.problems} == {"unknown_key", "unauthorised"}
    assert difference(sworn) is None


@pytest.mark.browser
def test_a_gap_that_the_retired_key_declares_gives_no_bundle(
    sworn: Bench, terminal: Terminal, tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who kept the old file goes on with it, and his database says that it still counts."""
    before = sworn.keys
    replaced(sworn)
    monkeypatch.setattr(Scribe, "_require_registered", lambda *_: None)
    monkeypatch.setattr("collector.ingest.intake.require_current", lambda *_: None)
    sworn.keys = before
    swear(sworn)
    with_a_gap(sworn, terminal)
    data = made(sworn, SITE)[0].data
    for said in said_by_every_verifier(data, sworn, tmp_path, browser):
        assert {"unknown_key", "unauthorised"} <= said
    with sworn.database.write() as session:  # the rotation was never stated, and nobody's table has it
        for row in session.exec(select(CollectorKey).where(CollectorKey.purpose == "statement")):
            row.retired_at = None
    assert difference(sworn) is not None


@pytest.mark.sqlite_files  # the command finds its database by the folder
def test_the_command_line_rotates_it(sworn: Bench, terminal: Terminal) -> None:
    old = sworn.keys.statement.public
    done = CliRunner().invoke(app, ["rotate-key", "statement", "--data", str(sworn.settings.data), "--json"])
    assert done.exit_code == 0, done.output
    sworn.keys = load_or_create_keys(sworn.settings.keys_path)
    assert json.loads(done.stdout) == {"statement": sworn.keys.statement.public.text()}
    assert sworn.keys.statement.public != old
    swear(sworn)
    sworn.offer(terminal, terminal.enrol(), punch(terminal, "E001"))
    assert difference(sworn) is None
