"""Verifying a whole evidence bundle against bare Ed25519 verification of the same envelopes, in turns.

The bundle is a real one: a collector takes a site's days in and makes it. Limit: `cryptography`, signatures alone.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from statistics import median

from structlog.testing import capture_logs

from benchmarks.progress import bar
from benchmarks.ratio import Ratio
from collector.devices.service import NewDevice
from collector.identity import load_or_create_keys
from collector.ingest.intake import Intake
from collector.ingest.message import Message
from collector.services import build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.timestamps import utc_now
from evidence.bundle import verify_bundle
from evidence.bundle_manifest import Scope
from evidence.bundle_zip import unpack
from evidence.canonical import canonical
from evidence.envelope import Envelope
from evidence.events import Kind
from evidence.trust import BundleTrust
from tests.collector.terminal import Terminal

TERMINALS = 4
EVENTS, SMOKE_EVENTS = 10_000, 200  # of all terminals
TURNS, SMOKE_TURNS = 5, 1
WANTED = ">= 0.7"
POLICY = {"name": "outdoor", "required": ["face_match"]}
BATCH = 512  # the collector's default
SITE = Scope(site="east", worker=None, since="2026-11-22T00:00:00.000Z", until="2026-11-23T00:00:00.000Z")


def run(smoke: bool = False) -> list[Ratio]:
    """Measure. `smoke`: only see that it runs."""
    events, turns = (SMOKE_EVENTS, SMOKE_TURNS) if smoke else (EVENTS, TURNS)
    terminals = [Terminal(f"gate-{number}") for number in range(TERMINALS)]
    data, trust = _bundle(terminals, events // TERMINALS)
    envelopes = {one.device: _envelopes(data, one) for one in terminals}
    count = sum(map(len, envelopes.values()))
    ours: list[float] = []
    bare: list[float] = []
    cpu_s: list[float] = []
    bare_cpu_s: list[float] = []
    with bar("verifying", turns) as told:
        for turn in range(turns):
            for what in (ours, bare) if turn % 2 else (bare, ours):
                began, cpu_began = time.perf_counter(), time.process_time()
                if what is ours:
                    report = verify_bundle(data, trust)
                    took_s = time.perf_counter() - began
                    cpu_s.append(time.process_time() - cpu_began)
                    if not report.ok or report.events != count:
                        raise RuntimeError(f"the bundle does not hold: {report.events} events, {report.problems[:3]}")
                else:
                    took_s = sum(_bare_s(one, envelopes[one.device]) for one in terminals)
                    bare_cpu_s.append(time.process_time() - cpu_began)
                what.append(count / took_s)
            told(1)
    note = f"{count} events of {TERMINALS} terminals, {len(data) / 1e6:.0f} MB, median of {turns} turns, one core"
    each, limit = (median(spent) / count * 1e6 for spent in (cpu_s, bare_cpu_s))
    return [
        Ratio("bundle verification / bare verification", median(ours), median(bare), "events/s", WANTED, note),
        Ratio("the same, processor time an event", each, limit, "µs", "<= 1.43", "a busy machine changes it less"),
    ]


def _bundle(terminals: list[Terminal], each: int) -> tuple[bytes, BundleTrust]:
    """Have a collector take the terminals' events in; return its bundle about the site, and whom to trust."""
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        settings = load_settings(data=Path(folder))
        keys = load_or_create_keys(settings.keys_path)
        database = open_database(settings)
        services = build_services(settings, database, keys)
        services.sites.add(NewSite(name="east", title="Bench", tz="Asia/Shanghai"))
        intake = Intake(database, keys.receipt, keys.seal)
        with bar("signing", len(terminals) * each) as told:
            for one in terminals:
                services.devices.add(NewDevice(name=one.device, site=one.site, key=one.key.public.text()))
                signed = _signed(one, each)
                for start in range(0, each, BATCH):
                    part = signed[start : start + BATCH]
                    intake.admit([Message(one.event_topic, data, utc_now()) for data in part])
                    told(len(part))
        data = services.evidence_bundles.make(SITE, "bench").data
        trust = services.evidence_bundles.trust()
        database.close()
    return data, trust


def _signed(terminal: Terminal, count: int) -> list[bytes]:
    policy_hash = hashlib.sha256(canonical(POLICY)).hexdigest()
    signed = [
        terminal.enrol(),
        terminal.append(Kind.CONFIG_APPLIED, {"policy": POLICY, "policy_hash": policy_hash}),
    ]
    while len(signed) < count:
        body = terminal.punch_body(f"E{len(signed) % 200:03d}") | {"policy": policy_hash}
        signed.append(terminal.append(Kind.PUNCH_RECORDED, body))
    return signed


def _envelopes(data: bytes, terminal: Terminal) -> list[tuple[bytes, bytes]]:
    """Return the signatures and what they sign, of one terminal, as the bundle has them."""
    lines = unpack(data)[f"chains/{terminal.device}/{terminal.chain}.jsonl"].splitlines()
    decoded = [Envelope.decode(line) for line in lines]
    return [(one.signatures[0].sig, one.signed_bytes) for one in decoded]


def _bare_s(terminal: Terminal, signed: list[tuple[bytes, bytes]]) -> float:
    key = terminal.key.private.public_key()
    began = time.perf_counter()
    for signature, message in signed:
        key.verify(signature, message)
    return time.perf_counter() - began


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.0f} / {row.limit:.0f} {row.unit} = {row.ratio:.3f} (wanted {row.wanted})")
