"""`kill -9` of terminals at random moments, a real journal and uplink before a real Mosquitto and collector.

40 kills in `make test`, 1,000 with ZAIGANG_LONG=1. The whole terminal with camera and screen is killed in
tests/zaigang/test_terminal_killed.py.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.ledger.fsck import check_ledger
from collector.settings import load_settings
from collector.sites.service import NewSite
from evidence.chain import verify_chain
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink
from tests.collector.held import entries_of
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
KILLS = 1000 if os.environ.get("ZAIGANG_LONG") == "1" else 40
LONGEST_WAIT_S = 0.5  # opening takes about a tenth of it: kills fall into opening, appending, sending and receipts


def shown(folder: Path) -> dict[tuple[str, int], str]:
    """What the screens said was recorded; a line that the kill cut was not said."""
    found: dict[tuple[str, int], str] = {}
    for line in (folder / "shown").read_text().splitlines():
        chain, seq, digest = line.split()
        assert found.setdefault((chain, int(seq)), digest) == digest, "one place was shown for two events"
    return found


def require_everything(collector: Collector, key: Ed25519Key, promised: dict[tuple[str, int], str]) -> int:
    """The invariants: one chain, it verifies, all that was shown is in it, fsck is clean. Returns its events."""
    (chain,) = collector.services.devices.get("gate-1").chains
    envelopes = list(collector.services.ledger.envelopes("gate-1", chain.chain))
    report = verify_chain(envelopes, {"gate-1": key.public})
    assert report.ok, report.problems
    from evidence.envelope import Envelope

    held = {(chain.chain, seq): Envelope.decode(data).hash for seq, data in enumerate(envelopes)}
    lost = {place: digest for place, digest in promised.items() if held.get(place) != digest}
    assert not lost
    assert entries_of(collector.database) == len(envelopes), "something entered twice"
    assert (
        check_ledger(collector.database, collector.keys.seal, collector.services.checkpoints.signer.public).difference
        is None
    )
    assert collector.services.ledger.equivocations("gate-1") == []
    return len(envelopes)


def started_collector(folder: Path, port: int, key: Ed25519Key) -> Collector:
    collector = Collector(load_settings(data=folder, broker=f"mqtt://127.0.0.1:{port}"))
    collector.services.sites.add(NewSite(name="east", title="East", tz="Asia/Shanghai"))
    collector.services.devices.add(NewDevice(name="gate-1", site="east", key=key.public.text()))
    collector.start()
    eventually(lambda: collector.subscriber.state.connected)
    return collector


def deliver_the_rest(folder: Path, port: int, key: Ed25519Key, collector: Collector, timeout_s: float = 120) -> None:
    clock = SystemClock()
    journal = Journal(folder / "journal.db", key, "gate-1", "east", "Asia/Shanghai", clock)
    settings = KioskSettings.model_validate(
        {
            "device": "gate-1",
            "site": "east",
            "broker": f"mqtt://127.0.0.1:{port}",
            "collector_keys": [collector.keys.receipt.public.text()],
        }
    )
    uplink = Uplink(journal, settings, clock, backoff=Backoff(0.05, 0.2), window=Window(64, resend_after_s=1))
    uplink.start()
    eventually(lambda: journal.depth == 0, timeout_s)
    uplink.stop()
    journal.close()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_random_moments_nothing_shown_is_lost_and_nothing_doubles(
    tmp_path: Path, mosquitto: Mosquitto, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("ZAIGANG_SEED", "20261124"))
    dice = random.Random(seed)
    key = Ed25519Key.generate()
    (tmp_path / "key.pem").write_bytes(key.pem())
    (tmp_path / "shown").touch()
    collector = started_collector(tmp_path / "collector", mosquitto.port, key)
    arguments = [str(tmp_path), str(mosquitto.port), collector.keys.receipt.public.text()]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.delivery.nursery", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        for _ in range(KILLS):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            time.sleep(dice.uniform(0, LONGEST_WAIT_S))
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "over\n"
        nursery.stdin.close()
    assert not (tmp_path / "failed").exists(), (tmp_path / "failed").read_text()
    promised = shown(tmp_path)
    deliver_the_rest(tmp_path, mosquitto.port, key, collector)
    events = require_everything(collector, key, promised)
    collector.stop()
    for name, figure in {"kills": KILLS, "seed": seed, "shown": len(promised), "stored": events}.items():
        record_property(name, figure)
    assert len(promised) > KILLS // 4, "hardly anything was shown: the test would prove nothing"
