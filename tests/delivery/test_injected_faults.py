"""strace makes the nth write or sync of journal and collector fail or kill: a sweep over n, system call and fault.

Every 25th n of two calls in `make test`, every one with ZAIGANG_LONG=1. Needs strace and the right to trace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.identity import load_or_create_keys
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.journal import Journal
from tests.collector.conftest import Bench
from tests.collector.held import entries_of
from tests.collector.terminal import Terminal

ROOT = Path(__file__).parents[2]
LONG = os.environ.get("ZAIGANG_LONG") == "1"
STEP = 1 if LONG else 25
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate") if LONG else ("pwrite64", "fdatasync")
FAULTS = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
MOST = 1000 if LONG else 40  # calls of one kind; in full, more means that the program does not end


def can_trace() -> str | None:
    """None where strace works here, else why not."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=30)
    return None if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()[:200]}"


REASON = can_trace()


@pytest.fixture(autouse=True, scope="module")
def _strace_can_trace() -> None:
    assert REASON is None, REASON


def traced(program: str, folder: Path, files: list[Path], call: str, fault: str, when: int) -> tuple[int, str, int]:
    """Run `program` with the fault in its nth `call` on `files`; exit status, what it said, how many calls it made."""
    log = folder / "strace.log"
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-qq",
            "-o",
            str(log),
            "--seccomp-bpf",
            "-e",
            f"trace={call}",
            "-e",
            f"inject={call}:{fault}:when={when}",
            *(word for file in files for word in ("-P", str(file))),
            sys.executable,
            "-B",
            "-m",
            program,
            str(folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done.returncode, done.stdout, log.read_text(errors="replace").count(f"{call}(")


def sweep(run: Callable[[str, str, int], bool]) -> Counter[str]:
    """Call `run(call, fault, when)` with growing `when` until it says that the fault was not met any more."""
    counts: Counter[str] = Counter()
    for call in CALLS:
        for number, fault in enumerate(FAULTS):
            for when in range(1 + number, MOST, STEP):
                if not run(call, fault, when):
                    break
                counts[f"{call} {fault}"] += 1
            else:
                assert not LONG, f"{call} {fault}: the program goes on calling after {MOST}; not every call was met"
    return counts


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_journal_whose_nth_write_fails_keeps_what_it_showed_and_goes_on(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    key, collector = Ed25519Key.generate(), Ed25519Key.generate()

    def run(call: str, fault: str, when: int) -> bool:
        folder = tmp_path / f"{call}-{fault.partition('=')[2]}-{when}"
        folder.mkdir()
        (folder / "key.pem").write_bytes(key.pem())
        (folder / "collector.pem").write_bytes(collector.pem())
        (folder / "key.pem").chmod(0o600)
        files = [folder / f"journal.db{end}" for end in ("", "-wal", "-shm", "-journal")]
        _, said, calls = traced("tests.delivery.journal_under_fire", folder, files, call, fault, when)
        if calls < when:
            return False
        require_kept(folder, key, said, f"{call} {fault} when={when}")
        shutil.rmtree(folder)
        return True

    counts = sweep(run)
    record_property("injections", sum(counts.values()))
    record_property("by kind", dict(counts))
    assert sum(counts.values()) >= (100 if LONG else 8)


def require_kept(folder: Path, key: Ed25519Key, said: str, note: str) -> None:
    lines = [line.split() for line in said.splitlines()]
    said_shown = [rest for word, *rest in lines if word == "shown"]
    shown = {int(seq): (chain, digest) for chain, seq, digest, _ in said_shown}
    released = max((int(rest[1]) for word, *rest in lines if word == "released"), default=-1)
    journal = Journal(folder / "journal.db", key, "gate-1", "east", "UTC", SystemClock())
    rows = dict(journal.range(0, 1 << 40, 1000))
    for seq, (chain, digest) in shown.items():
        assert chain == journal.head.chain, f"{note}: another chain was begun for nothing"
        assert seq in rows or seq <= released, f"{note}: seq {seq} was shown and is lost"
        assert seq not in rows or Envelope.decode(rows[seq]).hash == digest, f"{note}: another event at seq {seq}"
    assert journal.released >= released, note
    first = min(rows)
    report = verify_chain(rows.values(), {"gate-1": key.public})
    assert [one for one in report.problems if not (first and one.position == 0)] == [], note
    for *_, token in said_shown:
        assert journal.append_once(f"token-{token}", "test.noted", {}) is None, f"{note}: a spent token is free again"
    journal.append("test.noted", {})
    assert not list(folder.glob("journal.set-aside-*")), note
    journal.close()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_collector_whose_nth_write_fails_keeps_what_it_receipted_and_doubles_nothing(
    bench: Bench, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    terminal = Terminal()
    bench.register(terminal)
    envelopes = [terminal.enrol(), *(terminal.punch() for _ in range(39))]
    whole = tmp_path / "whole"
    whole.mkdir()
    bench.database.close()
    shutil.copytree(bench.settings.data, whole / "collector")
    (whole / "envelopes").write_bytes(b"\n".join(envelopes))

    def run(call: str, fault: str, when: int) -> bool:
        folder = tmp_path / f"{call}-{fault.partition('=')[2]}-{when}"
        shutil.copytree(whole, folder)
        base = load_settings(data=folder / "collector").database_path
        files = [base, *(base.with_name(base.name + end) for end in ("-wal", "-shm", "-journal"))]
        _, said, calls = traced("tests.delivery.collector_under_fire", folder, files, call, fault, when)
        if calls < when:
            return False
        require_ledger(folder, terminal, envelopes, said, f"{call} {fault} when={when}")
        shutil.rmtree(folder)
        return True

    counts = sweep(run)
    record_property("injections", sum(counts.values()))
    record_property("by kind", dict(counts))
    assert sum(counts.values()) >= (50 if LONG else 4)


def require_ledger(folder: Path, terminal: Terminal, envelopes: list[bytes], said: str, note: str) -> None:
    from collector.ingest.intake import Intake
    from collector.ingest.message import Message
    from collector.services import build_services, open_database

    settings = load_settings(data=folder / "collector")
    keys = load_or_create_keys(settings.keys_path)
    database = open_database(settings)
    services = build_services(settings, database, keys)
    receipted = max((int(line.split()[1]) for line in said.splitlines() if line.startswith("receipt ")), default=-1)
    held = list(services.ledger.envelopes(terminal.device, terminal.chain))
    assert held == envelopes[: len(held)], note
    assert len(held) > receipted, f"{note}: a receipt was out for seq {receipted}, the ledger ends at {len(held) - 1}"
    intake = Intake(database, keys.receipt, keys.seal)
    messages = [Message(terminal.event_topic, data, "2026-11-24T00:00:00.000Z") for data in envelopes]
    assert intake.admit(messages), note
    assert list(services.ledger.envelopes(terminal.device, terminal.chain)) == envelopes, note
    assert entries_of(database, terminal.device) == len(envelopes), f"{note}: something entered twice"
    assert check_ledger(database, keys.seal, services.checkpoints.signer.public).difference is None, note
    database.close()
