"""An operator shows a terminal one ledger and an arbitrator another, with every key of his own: the terminal tells."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.app import Collector
from collector.devices.service import NewDevice
from collector.ingest.message import Message
from collector.ledger.fsck import check_ledger
from collector.ledger.tree import Tree
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.timestamps import utc_now
from evidence.add_checkpoint import write_add_checkpoint
from evidence.bundle import verify_bundle
from evidence.bundle_manifest import Scope
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import Envelope
from evidence.events import CoverageBody, Kind, parse_body, parse_event
from kiosk.app import Kiosk
from tests.collector.conftest import Bench
from tests.collector.holes import said_by_every_verifier
from tests.collector.terminal import Terminal
from tests.kiosk.small_terminal import punch, small_terminal, until
from tests.support.mosquitto import Mosquitto

EVER = Scope(site="east", worker=None, since="2020-01-01T00:00:00.000Z", until="2099-01-01T00:00:00.000Z")
COVERAGE_EVERY_S = 5


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kiosk.keeper.HEALTH_EVERY_S", 0.2)


@contextmanager
def collecting(folder: Path, mosquitto: Mosquitto) -> Iterator[Collector]:
    collector = Collector(load_settings(data=folder, broker=f"mqtt://127.0.0.1:{mosquitto.port}"))
    if not collector.services.sites.all():
        collector.services.sites.add(NewSite(name="east", title="东门 East", tz="Asia/Shanghai"))
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def pinning(collector: Collector, mosquitto: Mosquitto) -> dict[str, Any]:
    return {
        "broker": (f"mqtt://127.0.0.1:{mosquitto.port}",),
        "collector_keys": tuple(key.public.text() for key in (collector.keys.receipt, collector.keys.command)),
        "ledger_key": collector.services.checkpoints.signer.public.text(),
        "coverage_every_s": COVERAGE_EVERY_S,
    }


def ledger_of(collector: Collector, kiosk: Kiosk) -> list[bytes]:
    return list(collector.services.ledger.envelopes("gate-1", kiosk.journal.head.chain))


def seen_in(envelopes: list[bytes]) -> list[str]:
    bodies = [
        parse_body(event)
        for event in (parse_event(Envelope.decode(one).payload) for one in envelopes)
        if event.kind == Kind.COVERAGE
    ]
    return [one.checkpoint for one in bodies if isinstance(one, CoverageBody) and one.checkpoint is not None]


def kinds_in(envelopes: list[bytes]) -> list[str]:
    return [parse_event(Envelope.decode(one).payload).kind for one in envelopes]


def bench_on(collector: Collector) -> Bench:
    """The same database without a broker, for the helpers of the collector's tests."""
    from collector.ingest.intake import Intake
    from collector.services import build_services, open_database

    database = open_database(collector.settings)
    services = build_services(collector.settings, database, collector.keys)
    return Bench(
        collector.settings,
        database,
        collector.keys,
        services,
        Intake(database, collector.keys.receipt, collector.keys.seal),
    )


@pytest.mark.browser
def test_an_operator_who_shows_two_ledgers_is_found_out(mosquitto: Mosquitto, tmp_path: Path, browser: Any) -> None:
    with (
        collecting(tmp_path / "shown", mosquitto) as shown,
        small_terminal(tmp_path, **pinning(shown, mosquitto)) as kiosk,
    ):
        key = kiosk.key.public.text()
        shown.services.devices.add(NewDevice(name="gate-1", site="east", key=key))
        until(lambda: kiosk.ledger.part.state == "working", "a checkpoint that the terminal believes")
        punch(kiosk)
        until(lambda: seen_in(ledger_of(shown, kiosk)), "coverage with a checkpoint in the ledger")
        punch(kiosk)
        until(lambda: kiosk.journal.depth == 0, "everything receipted")
        envelopes = ledger_of(shown, kiosk)
    honest = bench_on(shown)
    made = honest.services.evidence_bundles.make(EVER, "test")
    assert made.facts.problems == ()
    (tmp_path / "honest").mkdir()
    assert said_by_every_verifier(made.data, honest, tmp_path / "honest", browser) == [set(), set(), set()]
    report = verify_bundle(made.data, honest.services.evidence_bundles.trust())
    assert report.punches[-1].not_before is not None
    honest.database.close()

    # With the same keys the operator writes another history: somebody else's punches first, then the same terminal's.
    other = tmp_path / "other"
    shutil.copytree(shown.settings.keys_path, other / "keys")
    with collecting(other, mosquitto) as second:
        assert second.services.checkpoints.signer.public == shown.services.checkpoints.signer.public
        second.services.devices.add(NewDevice(name="gate-1", site="east", key=key))
        forged = bench_on(second)
        invented = Terminal(device="gate-7")
        forged.register(invented)
        forged.offer(invented, invented.enrol(), *(invented.punch("W-7") for _ in range(60)))
        topic = "zaigang/v1/east/gate-1/event"
        forged.intake.admit([Message(topic, one, utc_now()) for one in envelopes])
        bundle = forged.services.evidence_bundles.make(EVER, "test")
        assert any("[split_view]" in one for one in bundle.facts.problems)
        (tmp_path / "forged").mkdir()
        said = said_by_every_verifier(bundle.data, forged, tmp_path / "forged", browser)
        assert all("split_view" in codes for codes in said), said
        log = second.services.checkpoints.signer.public
        found = check_ledger(second.database, second.keys.seal, log).difference
        assert found is not None and "split_view" in found.message

        # And when the terminal meets that second ledger, it does not follow it, and it signs that it was shown two
        # roots of one size.
        with small_terminal(tmp_path, **pinning(second, mosquitto)) as kiosk:
            held = kiosk.ledger.text
            until(lambda: kiosk.ledger.counts["unproved"] > 0, "the second ledger not followed")
            assert kiosk.ledger.text == held and kiosk.ledger.size is not None
            with second.database.read() as session:
                root = Tree(session).root(kiosk.ledger.size)
            signer = second.services.checkpoints.signer
            other_root = sign_checkpoint(Checkpoint(signer.name, kiosk.ledger.size, root), signer)
            assert kiosk.ledger.offer(write_add_checkpoint(0, (), other_root.encode()))
            until(lambda: "checkpoint.refused" in kinds_in(ledger_of(second, kiosk)), "the refusal in the ledger")
            assert kiosk.ledger.text == held and kiosk.ledger.part.reason.startswith("split_view: ")
            assert kiosk.parts()["ledger"].state == "failed"
            until(lambda: _troubles(second), "the console's word")
        forged.database.close()


def _troubles(collector: Collector) -> list[str]:
    health = collector.services.devices.get("gate-1").health or {}
    return [one["reason"] for name, one in health.get("parts", {}).items() if name == "ledger" and one["reason"]]
