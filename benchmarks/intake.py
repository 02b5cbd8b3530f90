"""Intake (decode, verify, chain, insert, commit, receipt) against bare Ed25519 verification of the same events."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from benchmarks.ratio import Ratio
from collector.app import settle_memory
from collector.database import Database
from collector.devices.service import Devices, NewDevice
from collector.identity import load_or_create_keys
from collector.ingest.intake import Intake
from collector.ingest.message import Message
from collector.logs import configure
from collector.services import open_database
from collector.settings import load_settings
from collector.sites.service import NewSite, Sites
from collector.timestamps import utc_now
from evidence.envelope import Envelope
from tests.collector.terminal import Terminal

EVENTS = 8192
SMOKE_EVENTS = 300
BATCH = 512  # the collector's default
WANTED = ">= 0.3"  # with SQLite in the same process; benchmarks/delivery.py has the servers' own


def run(smoke: bool = False) -> list[Ratio]:
    """Measure in a process of its own, so that its peak memory is the collector's and not the benchmark's."""
    command = [sys.executable, "-m", "benchmarks.intake", str(SMOKE_EVENTS if smoke else EVENTS)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1], timeout=1800
    )
    found = json.loads(done.stdout.splitlines()[-1])
    note = f"{found['events']} events in batches of {BATCH}, SQLite synchronous=FULL, one core"
    peak = found["peak_kib"] / 1024
    return [
        Ratio("intake", found["ours"], found["bare"], "events/s", WANTED, note),
        Ratio("collector's peak memory", peak, found["idle_kib"] / 1024, "MiB", "", "against its imports alone"),
    ]


def _measure(events: int) -> dict[str, float]:
    idle_kib = _peak_kib()
    terminal = Terminal()
    envelopes = [terminal.enrol(), *(terminal.punch(f"E{n % 200:03d}") for n in range(events - 1))]
    decoded = [Envelope.decode(data) for data in envelopes]
    signed = [(one.signatures[0].sig, one.signed_bytes) for one in decoded]
    key = terminal.key.private.public_key()

    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data=Path(folder))
        keys = load_or_create_keys(settings.keys_path)
        database = open_database(settings)
        _register(database, terminal)
        intake = Intake(database, keys.receipt, keys.seal)
        settle_memory()  # as the running collector does
        ours_s = bare_s = 0.0
        # A batch bare, the same batch whole, the next: what else the machine does weighs on both alike.
        for start in range(0, events, BATCH):
            bare_s += _verify(key, signed[start : start + BATCH])
            ours_s += _admit(intake, terminal, envelopes[start : start + BATCH])
        database.close()
    return {
        "events": events,
        "ours": events / ours_s,
        "bare": events / bare_s,
        "peak_kib": _peak_kib(),
        "idle_kib": idle_kib,
    }


def _verify(key: Ed25519PublicKey, signed: list[tuple[bytes, bytes]]) -> float:
    """Return the seconds of bare verification."""
    began = time.perf_counter()
    for signature, message in signed:
        key.verify(signature, message)
    return time.perf_counter() - began


def _register(database: Database, terminal: Terminal) -> None:
    Sites(database).add(NewSite(name=terminal.site, title="Bench", tz="Asia/Shanghai"))
    new = NewDevice(name=terminal.device, site=terminal.site, key=terminal.key.public.text())
    Devices(database, timedelta(minutes=10)).add(new)


def _admit(intake: Intake, terminal: Terminal, envelopes: list[bytes]) -> float:
    """Return the seconds from the messages to their receipt."""
    began = time.perf_counter()
    (receipt,) = intake.admit([Message(terminal.event_topic, data, utc_now()) for data in envelopes])
    took_s = time.perf_counter() - began
    assert receipt.payload
    return took_s


def _peak_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise RuntimeError("the kernel tells no peak memory")


if __name__ == "__main__":
    configure()
    print(json.dumps(_measure(int(sys.argv[1]))))
