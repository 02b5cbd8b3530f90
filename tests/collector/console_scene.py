"""A collector about which the console has much to show: a day at two terminals, and a statement of every kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page

from collector.auth.service import Scope
from collector.database import Database
from collector.identity import load_or_create_keys
from collector.ingest.intake import Intake
from collector.ledger.checkpoints import Checkpoints
from collector.people.service import NewWorker, WorkerBody
from collector.punches.service import Filters, Order
from collector.services import Services, build_services, open_database
from collector.settings import load_settings
from collector.sites.service import NewSite
from collector.statements.actor import acting_as
from collector.statements.scribe import Scribe
from collector.timestamps import utc_text
from tests.collector.conftest import Bench
from tests.collector.process import CollectorProcess
from tests.collector.terminal import Terminal
from tests.collector.test_evidence_bundles import a_day
from tests.support.mosquitto import Mosquitto

WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
SCREENS = [(WIDE, "en-GB"), (WIDE, "zh-CN"), (NARROW, "en-GB"), (NARROW, "zh-CN")]


@dataclass
class ConsoleScene:
    """A collector process with a history, the services on its database, and keys to its console."""

    collector: CollectorProcess
    services: Services
    database: Database
    bench: Bench
    terminal: Terminal
    writer: str
    reader: str

    @property
    def url(self) -> str:
        return self.collector.url

    def new_writer(self) -> str:
        """Return a key that has had no bundle made yet."""
        return self.services.api_keys.create("another office", Scope.WRITE)[1]

    def signed_in(self, browser: Browser, key: str, size: dict[str, int], locale: str, path: str = "/") -> Page:
        """Open a page as whoever has this key."""
        page = browser.new_context(viewport=size, locale=locale, accept_downloads=True).new_page()
        page.goto(f"{self.url}/login")
        page.fill("#key", key)
        page.click("button[type=submit]")
        page.wait_for_url(f"{self.url}/")
        if path != "/":
            page.goto(self.url + path)
        page.wait_for_selector(".zg-page")
        return page


def shot(page: Page, name: str) -> None:
    """Keep a picture where somebody asks for it."""
    if folder := os.environ.get("ZAIGANG_SCREENSHOTS"):
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@contextmanager
def console_scene(folder: Path, signed_ago: timedelta = timedelta(0)) -> Iterator[ConsoleScene]:
    """Write the history, with a checkpoint over it that is so old, then run the collector on it."""
    broker = Mosquitto(folder).start()
    settings = load_settings(data=folder / "data")
    database = open_database(settings)
    keys = load_or_create_keys(settings.keys_path)
    scribe = Scribe(keys)
    services = build_services(settings, database, keys, scribe)
    bench = Bench(settings, database, keys, services, Intake(database, keys.receipt, keys.seal, scribe=scribe))
    terminal = _history(bench)
    then = utc_text(datetime.now(UTC) - signed_ago)
    Checkpoints(database, services.checkpoints.signer, keys.seal, settings.keepsake_path, lambda: then).sign()
    _, writer = services.api_keys.create("site office", Scope.WRITE)
    _, reader = services.api_keys.create("hr", Scope.READ)
    collector = CollectorProcess(settings.data, broker.port).start()
    try:
        yield ConsoleScene(collector, services, database, bench, terminal, writer, reader)
    finally:
        assert collector.stop() == 0
        broker.stop()
        database.close()


def _history(bench: Bench) -> Terminal:
    services, one, other, third = bench.services, Terminal(), Terminal("gate-2"), Terminal("storage-3")
    with acting_as("cli:li"):
        services.sites.add(NewSite(name="east", title="浦东东门工地", tz="Asia/Shanghai"))
        bench.register(one, other, third)
        for code, name in (("E001", "王小明"), ("E002", "李四"), ("E009", "赵六")):
            services.people.add(NewWorker(code=code, name=name))
    a_day(bench, one)
    bench.offer(other, other.enrol(), other.punch("E002"))
    other.punch("E002", log_type="OUT")
    other.punch("E001")
    bench.offer(other, other.punch("E002", log_type="OUT"))
    bench.offer(third, third.enrol(), third.punch("E009"))
    with acting_as("apikey:0123456789ab"):
        services.statements.declare_gap("gate-2", other.chain, 3, "存储卡损坏 the card was bent", None)
        bench.intake.admit_ready()
        services.people.change("E002", WorkerBody(name="李思"))
        place = services.punches.page(Filters(), Order.NEWEST, None, 1).items[0].punch.leaf_index
        services.statements.correct(place, {"log_type": "OUT"}, "员工选错了方向 the wrong direction was chosen")
        services.erasures.erase("E009", "all", "依申请删除 asked for", ignore_retention=True)
        services.devices.revoke("storage-3")
    fork = Terminal("gate-2", key=other.key, chain=other.chain, boot=other.boot)
    fork.enrol()
    bench.offer(other, fork.punch("E002", "review"))
    bench.offer(one, b"garbage", b"\xff\xfe\x00\x01" * 40, Terminal("nobody-9").enrol())
    bench.offer(one, b"garbage")
    return one
