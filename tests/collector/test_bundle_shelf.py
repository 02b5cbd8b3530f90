"""Bundles on their way: one at a time, for whoever asked, for an hour, and never on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.auth.service import Caller, Scope
from collector.auth.sessions import Sessions
from collector.console import bundle_shelf
from collector.console.bundle_shelf import KEPT_S, Job, Shelf
from collector.console.texts import Texts
from collector.console.writing import acting_writer
from collector.errors import Conflict, Forbidden, NotFound, Unauthorised
from collector.evidence_bundles.facts import Facts
from collector.services import build_services
from collector.statements.actor import acting_as, actor
from evidence.bundle import verify_bundle
from tests.collector.conftest import Bench
from tests.collector.holes import swear
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import SITE, WORKER, a_day
from tests.support.waiting import until

LI = Caller("0123456789ab", "li", Scope.WRITE)
WANG = Caller("ba9876543210", "wang", Scope.WRITE)


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Gate:
    """A picture that waits until it is let through, so that a test can look while a bundle is being made."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _facts: Facts) -> bytes:
        self.reached.set()
        assert self.opened.wait(30)
        return b"%PDF"


@pytest.fixture
def day(bench: Bench, terminal: Terminal) -> Bench:
    a_day(swear(bench), terminal)
    return bench


def finished(job: Job) -> Job:
    """Wait for a bundle."""
    for thread in threading.enumerate():
        if thread.name == "bundle":
            thread.join(60)
    assert not job.running
    return job


def test_what_is_made_holds_is_recorded_and_names_who_made_it(day: Bench) -> None:
    shelf = Shelf(day.services.evidence_bundles)
    job = finished(shelf.begin(WORKER, LI, None))
    _, made = shelf.take(job.token, LI.key_id)
    assert verify_bundle(made.data, day.services.evidence_bundles.trust()).ok
    (row,) = day.services.evidence_bundles.made()
    assert (row.sha256, row.made_by) == (made.sha256, "li (0123456789ab)")
    entry = day.services.statements.audit(None, 1)[0]
    assert (entry.who, entry.action, entry.target) == ("console:0123456789ab", "evidence_bundles.added", str(row.id))
    assert shelf.tokens(LI.key_id) == {made.sha256: job.token}


def test_one_is_made_at_a_time_and_one_of_each_key(day: Bench) -> None:
    shelf, gate = Shelf(day.services.evidence_bundles), Gate()
    first = shelf.begin(SITE, LI, gate)
    assert gate.reached.wait(30)
    assert (first.step, first.running) == ("picture", True)
    with pytest.raises(Conflict, match="still being made"):
        shelf.begin(SITE, LI, None)
    second = shelf.begin(SITE, WANG, None)
    assert (second.step, second.running) == ("waiting", True)
    assert shelf.latest(LI.key_id) is first
    gate.opened.set()
    finished(first)
    finished(second)
    assert first.made is not None
    assert second.made is not None


def test_nobody_else_gets_it_and_after_an_hour_nobody(day: Bench) -> None:
    clock = Clock()
    shelf = Shelf(day.services.evidence_bundles, clock)
    job = finished(shelf.begin(SITE, LI, None))
    with pytest.raises(NotFound):
        shelf.take(job.token, WANG.key_id)
    with pytest.raises(NotFound):
        shelf.take("guess", LI.key_id)
    clock.now_s = KEPT_S - 1
    shelf.take(job.token, LI.key_id)
    clock.now_s = KEPT_S
    with pytest.raises(NotFound, match="make it again"):
        shelf.take(job.token, LI.key_id)
    assert shelf.latest(LI.key_id) is None
    assert shelf.tokens(LI.key_id) == {}


def test_it_leaves_memory_though_nobody_looks(day: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_shelf, "LOOK_EVERY_S", 0.02)
    clock = Clock()
    shelf = Shelf(day.services.evidence_bundles, clock)
    job = finished(shelf.begin(SITE, LI, None))
    until(lambda: shelf._timer is not None)
    assert shelf._jobs == [job]
    clock.now_s = KEPT_S
    until(lambda: shelf._jobs == [] and shelf._timer is None, "the end of the hour")


def test_it_leaves_memory_though_the_database_is_away(day: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_shelf, "LOOK_EVERY_S", 0.02)
    clock = Clock()
    shelf = Shelf(day.services.evidence_bundles, clock)
    finished(shelf.begin(SITE, LI, None))
    monkeypatch.setattr(day.services.evidence_bundles, "_database", None)
    clock.now_s = KEPT_S
    until(lambda: shelf._jobs == [], "the end of the hour")


def erase(day: Bench) -> None:
    """As another process does it: nobody tells the shelf."""
    assert WORKER.worker is not None
    services = build_services(day.settings, day.database, day.keys)
    with acting_as("cli:li"):
        assert services.erasures.erase(WORKER.worker, "all", "asked for", ignore_retention=True).erased > 0


def test_an_erasure_empties_the_shelf(day: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_shelf, "LOOK_EVERY_S", 0.02)
    shelf = Shelf(day.services.evidence_bundles)
    finished(shelf.begin(SITE, LI, None))
    erase(day)
    until(lambda: shelf._jobs == [], "the shelf to be empty")


def test_after_an_erasure_nothing_from_before_is_fetched_or_finished(day: Bench) -> None:
    shelf, gate = Shelf(day.services.evidence_bundles), Gate()
    before = finished(shelf.begin(SITE, LI, None))
    during = shelf.begin(SITE, WANG, gate)
    assert gate.reached.wait(30)
    erase(day)
    gate.opened.set()
    with pytest.raises(NotFound, match="make it again"):
        shelf.take(before.token, LI.key_id)
    finished(during)
    assert during.made is None
    assert isinstance(during.error, Conflict)
    assert finished(shelf.begin(SITE, LI, None)).made is not None


def test_beyond_what_memory_is_for_the_oldest_goes(day: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(day.services.evidence_bundles)
    first = finished(shelf.begin(SITE, LI, None))
    assert first.made is not None
    monkeypatch.setattr(bundle_shelf, "KEPT_BYTES", len(first.made.data) + 10)
    shelf.take(first.token, LI.key_id)
    second = finished(shelf.begin(SITE, WANG, None))
    shelf.take(second.token, WANG.key_id)
    with pytest.raises(NotFound):
        shelf.take(first.token, LI.key_id)
    monkeypatch.setattr(bundle_shelf, "KEPT_BYTES", 10)
    shelf.take(second.token, WANG.key_id)  # however large: what was just made can be fetched


def test_what_goes_wrong_is_said_and_the_next_one_is_made(day: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf(day.services.evidence_bundles)
    unknown = finished(shelf.begin(WORKER.model_copy(update={"worker": "E404"}), LI, None))
    assert unknown.error is not None
    assert unknown.error.code == "not_found"

    def broken(_facts: Facts) -> bytes:
        raise RuntimeError("no ink")

    job = finished(shelf.begin(SITE, LI, broken))
    assert job.error is not None
    assert job.error.code == "internal"
    assert "no ink" in capsys.readouterr().out
    assert day.services.evidence_bundles.made() == []
    assert finished(shelf.begin(SITE, LI, None)).made is not None


def test_no_copy_stays_on_the_disk(day: Bench) -> None:
    def files() -> set[Path]:
        return {one for one in day.settings.data.rglob("*") if one.is_file()}

    before = files()
    job = finished(Shelf(day.services.evidence_bundles).begin(SITE, LI, None))
    assert job.made is not None
    assert {one.name for one in files() - before} <= {"last-checkpoint"}


def test_a_page_acts_for_a_key_that_may_write_and_still_counts(bench: Bench) -> None:
    sessions = Sessions(b"s" * 32, bench.services.api_keys)
    texts = Texts("en")

    def opened(scope: Scope) -> tuple[str, Callable[[], object]]:
        row, key = bench.services.api_keys.create("somebody", scope)
        return sessions.open(key), lambda: bench.services.api_keys.revoke(row.id)

    reader, _ = opened(Scope.READ)
    with pytest.raises(Forbidden, match="may only look"), acting_writer(sessions, reader, texts):
        pass
    writer, revoke = opened(Scope.WRITE)
    with acting_writer(sessions, writer, texts) as caller:
        assert actor() == f"console:{caller.key_id}"
    assert actor() is None
    revoke()
    with pytest.raises(Unauthorised), acting_writer(sessions, writer, texts):
        pass
