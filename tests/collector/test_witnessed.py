"""Witnesses: a real one cosigns what this collector shows, and refuses a history that was written again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.errors import NotCovered, NotFound, SettingsError, WitnessRefused
from collector.identity import CollectorKeys
from collector.ledger.checkpoints import Checkpoints
from collector.ledger.feeder import Feeder, WitnessAt
from collector.ledger.fsck import LedgerReport, check_ledger
from collector.ledger.proofs import Proofs
from collector.services import build_services, open_database
from collector.settings import load_settings
from evidence.checkpoint import WitnessPolicy, verify_checkpoint
from evidence.errors import MissingCosignatures
from evidence.note import NoteSigner, SignatureType, VerifierKey
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.evidence.chains import ed25519_key
from tests.support.ports import free_port, wait_for_port


@dataclass
class RunningWitness:
    """`zaigang witness run` in a process of its own."""

    data: Path
    log: str
    name: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> RunningWitness:
        program = "from zaigang.cli import main; main()"
        arguments = ["--data", str(self.data), "--name", self.name, "--port", str(self.port), "--log", self.log]
        self.process = subprocess.Popen([sys.executable, "-c", program, "witness", "run", *arguments])
        wait_for_port(self.port, 90)
        return self

    def at(self) -> WitnessAt:
        return WitnessAt(VerifierKey.parse(httpx.get(self.url).json()["vkey"]), self.url)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@pytest.fixture
def witness(bench: Bench, tmp_path: Path) -> Iterator[RunningWitness]:
    log = bench.services.checkpoints.signer.public.text()
    one = RunningWitness(tmp_path / "witness", log, "witness.example/council", free_port()).start()
    yield one
    one.stop()


def grow(bench: Bench, terminal: Terminal, events: int) -> None:
    first = [terminal.enrol()] if terminal.head is None else []
    bench.offer(terminal, *first, *(terminal.punch() for _ in range(events - len(first))))
    bench.services.checkpoints.sign()


def fsck(bench: Bench) -> LedgerReport:
    return check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public)


def edit(bench: Bench, sql: str, *values: Any) -> None:
    with sqlite3.connect(bench.settings.data / "collector.sqlite") as connection:
        assert connection.execute(sql, values).rowcount >= 1
    connection.close()


def test_checkpoints_are_cosigned_as_they_grow(bench: Bench, terminal: Terminal, witness: RunningWitness) -> None:
    at = witness.at()
    feeder, signer = Feeder(bench.database, [at]), bench.services.checkpoints.signer
    feeder.feed()  # nothing to say yet
    policy = WitnessPolicy((at.key,), 1)
    for events in (3, 1, 300):
        grow(bench, terminal, events)
        with pytest.raises(MissingCosignatures):
            verify_checkpoint(bench.services.proofs.checkpoint(), signer.name, signer.public, policy)
        feeder.feed()
        shown = bench.services.proofs.checkpoint()
        assert verify_checkpoint(shown, signer.name, signer.public, policy).size == bench.services.ledger.size()
    fresh = Feeder(bench.database, [WitnessAt(at.key, at.url)])  # restarted: it knows no size
    grow(bench, terminal, 5)
    fresh.feed()
    report = fsck(bench)
    assert report.difference is None and report.cosignatures == 4


def test_one_witness_that_is_away_does_not_keep_the_other_from_it(
    bench: Bench, terminal: Terminal, witness: RunningWitness
) -> None:
    away = WitnessAt(
        NoteSigner("away.example", SignatureType.COSIGNATURE_V1, ed25519_key(7)).public,
        f"http://127.0.0.1:{free_port()}",
    )
    liar = WitnessAt(NoteSigner("liar.example", SignatureType.COSIGNATURE_V1, ed25519_key(8)).public, witness.url)
    grow(bench, terminal, 3)
    feeder = Feeder(bench.database, [away, liar, witness.at()])
    with pytest.raises(WitnessRefused, match=r"away\.example.*liar\.example"):
        feeder.feed()
    assert fsck(bench).cosignatures == 1
    assert feeder.witnesses[2].failing is None


def test_a_rewritten_history_with_fresh_checkpoints_is_refused_by_an_old_witness(
    bench: Bench, terminal: Terminal, witness: RunningWitness, tmp_path: Path
) -> None:
    """The operator owns database, keys and terminals, and writes everything again; only the witness is not theirs."""
    grow(bench, terminal, 20)
    Feeder(bench.database, [witness.at()]).feed()
    forged = _second_history(bench.keys, tmp_path, bench.services.checkpoints.signer, events=30)
    report = check_ledger(forged.database, bench.keys.seal, forged.services.checkpoints.signer.public)
    assert report.difference is None and report.checkpoints == 1  # by itself the forgery is without fault
    with pytest.raises(WitnessRefused, match="422"):
        Feeder(forged.database, [witness.at()]).feed()
    shorter = _second_history(bench.keys, tmp_path / "shorter", bench.services.checkpoints.signer, events=10)
    with pytest.raises(WitnessRefused, match="cut off"):
        Feeder(shorter.database, [witness.at()]).feed()
    same = _second_history(bench.keys, tmp_path / "same", bench.services.checkpoints.signer, events=20)
    with pytest.raises(WitnessRefused, match="two histories"):
        Feeder(same.database, [witness.at()]).feed()
    assert httpx.get(witness.url).json()["ledgers"][0]["size"] == 20
    for one in (forged, shorter, same):
        one.database.close()


def _second_history(keys: CollectorKeys, folder: Path, signer: NoteSigner, events: int) -> Bench:
    from collector.ingest.intake import Intake

    settings = load_settings(data=folder / "forged", ledger_origin=signer.name)
    database = open_database(settings)
    services = build_services(settings, database, keys)
    forged = Bench(settings, database, keys, services, Intake(database, keys.receipt, keys.seal))
    terminal = Terminal()
    forged.register(terminal)
    grow(forged, terminal, events)
    return forged


def test_where_witnesses_are_needed_only_what_they_cosigned_is_shown(
    bench: Bench, terminal: Terminal, witness: RunningWitness
) -> None:
    proofs = Proofs(bench.database, witnesses_needed=1)
    grow(bench, terminal, 5)
    with pytest.raises(NotFound):
        proofs.checkpoint()
    with pytest.raises(NotCovered):
        proofs.entry(0)
    Feeder(bench.database, [witness.at()]).feed()
    cosigned = proofs.checkpoint()
    grow(bench, terminal, 5)
    assert proofs.checkpoint() == cosigned
    assert proofs.entry(4).checkpoint == cosigned
    with pytest.raises(NotCovered):
        proofs.entry(5)


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("UPDATE cosignatures SET cosigned_at = '2020-01-01T00:00:00.000Z'", "cosigned_at"),
        ("UPDATE cosignatures SET line = replace(line, '/council', '/union')", "line"),
        ("UPDATE cosignatures SET line = line || line", "line"),
        ("UPDATE cosignatures SET line = ''", "line"),
        ("UPDATE cosignatures SET witness = 'w'", "line"),
        ("UPDATE cosignatures SET size = 3", "size"),
    ],
)
def test_fsck_names_a_changed_cosignature(
    bench: Bench, terminal: Terminal, witness: RunningWitness, sql: str, column: str
) -> None:
    grow(bench, terminal, 4)
    Feeder(bench.database, [witness.at()]).feed()
    edit(bench, sql)
    found = fsck(bench).difference
    assert found is not None and (found.table, found.column) == ("cosignatures", column)


def test_the_settings_refuse_what_cannot_be(tmp_path: Path) -> None:
    key = NoteSigner("w.example", SignatureType.COSIGNATURE_V1, ed25519_key(7)).public.text()
    good = load_settings(data=tmp_path, witnesses=[{"key": key, "url": "http://w.example"}], witnesses_needed=1)
    assert good.witnesses[0].key == key
    log = NoteSigner("l.example", SignatureType.ED25519, ed25519_key(7)).public.text()
    for wrong in ({"key": log, "url": "http://w"}, {"key": "x", "url": "http://w"}, {"key": key, "url": "ftp://w"}):
        with pytest.raises(SettingsError):
            load_settings(data=tmp_path, witnesses=[wrong])
    with pytest.raises(SettingsError, match="more than there are"):
        load_settings(data=tmp_path, witnesses_needed=1)


def test_every_process_may_feed(bench: Bench, terminal: Terminal, witness: RunningWitness) -> None:
    assert isinstance(bench.services.checkpoints, Checkpoints)
    first, second = (Feeder(bench.database, [witness.at()]) for _ in range(2))
    for _ in range(3):
        grow(bench, terminal, 2)
        first.feed()
        second.feed()  # has nothing to do, the row is there
    assert fsck(bench).cosignatures == 3
