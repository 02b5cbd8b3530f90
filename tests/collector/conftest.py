"""Fixtures of the collector: a database in a folder, an intake on it, a whole running collector with a broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient

from collector.app import Collector
from collector.auth.service import Scope
from collector.database import Database
from collector.devices.service import NewDevice
from collector.identity import CollectorKeys, load_or_create_keys
from collector.ingest.intake import Intake, Limits
from collector.ingest.message import Message
from collector.people.service import NewWorker
from collector.postgresql import PostgresqlDatabase
from collector.schema import prepare
from collector.services import Services, build_services, open_database
from collector.settings import Settings, load_settings
from collector.sites.service import NewSite
from collector.timestamps import utc_now
from collector.web import create_api
from evidence.receipt import Receipt, verify_receipt
from tests.collector.terminal import Terminal
from tests.support.mosquitto import Mosquitto
from tests.support.postgresql import Postgresql


@dataclass
class Bench:
    """A collector without a broker: messages go straight into its intake."""

    settings: Settings
    database: Database
    keys: CollectorKeys
    services: Services
    intake: Intake

    def register(self, *terminals: Terminal) -> None:
        known = {site.name for site in self.services.sites.all()}
        for terminal in terminals:
            if terminal.site not in known:
                self.services.sites.add(NewSite(name=terminal.site, title="东门 East", tz="Asia/Shanghai"))
                known.add(terminal.site)
            new = NewDevice(name=terminal.device, site=terminal.site, key=terminal.key.public.text())
            self.services.devices.add(new)

    def offer(self, terminal: Terminal, *envelopes: bytes, topic: str | None = None) -> list[Receipt]:
        """Take envelopes in one batch; return the receipts, verified."""
        messages = [Message(topic or terminal.event_topic, data, utc_now()) for data in envelopes]
        answers = self.intake.admit(messages)
        return [self.read_receipt(answer.payload, terminal) for answer in answers]

    def read_receipt(self, payload: bytes, terminal: Terminal) -> Receipt:
        return verify_receipt(payload, self.keys.receipt.public, terminal.device, terminal.chain)

    def dead(self) -> list[str]:
        return [letter.code for letter in self.services.dead_letters.page(None, 1000)]

    def seqs(self, terminal: Terminal) -> int:
        return sum(1 for _ in self.services.ledger.envelopes(terminal.device, terminal.chain))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both_databases` on SQLite and on PostgreSQL."""
    if metafunc.definition.get_closest_marker("both_databases") and "bench" in metafunc.fixturenames:
        sqlite_alone = metafunc.definition.get_closest_marker("sqlite_files")
        metafunc.parametrize("bench", ["sqlite"] if sqlite_alone else ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs sets up logging on a standard output that ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A running PostgreSQL."""
    server = Postgresql().create().start()
    template = PostgresqlDatabase(server.new_database(name="template_zaigang"))
    prepare(template)
    template.close()
    yield server
    server.remove()


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    server: Postgresql | None = None
    url: str | None = None
    if getattr(request, "param", "sqlite") == "postgresql":
        server = request.getfixturevalue("postgresql")
        assert server is not None
        url = server.new_database("template_zaigang")
    settings = load_settings(data=tmp_path / "collector", database=url)
    keys = load_or_create_keys(settings.keys_path)
    database = open_database(settings)
    services = build_services(settings, database, keys)
    yield Bench(settings, database, keys, services, Intake(database, keys.receipt, keys.seal, Limits()))
    database.close()
    if server is not None and url is not None:
        server.drop(url)


@pytest.fixture
def terminal(bench: Bench) -> Terminal:
    """A registered terminal, not yet enrolled."""
    one = Terminal()
    bench.register(one)
    bench.services.people.add(NewWorker(code="E001", name="王小明"))
    return one


@dataclass
class Api:
    """HTTP against a bench's routes, as somebody."""

    client: TestClient
    read: dict[str, str]
    write: dict[str, str]


@pytest.fixture
def api(bench: Bench) -> Iterator[Api]:
    from collector.healthz import Health, PartHealth

    good = PartHealth(state="ok")
    app = create_api(bench.services, lambda: Health(status="ok", intake=good, database=good, broker=good))
    _, reader = bench.services.api_keys.create("reader", Scope.READ)
    _, writer = bench.services.api_keys.create("writer", Scope.WRITE)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(client, {"Authorization": f"Bearer {reader}"}, {"Authorization": f"Bearer {writer}"})


@pytest.fixture
def running(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Collector]:
    """A whole collector on a real broker, in this process."""
    settings = load_settings(data=tmp_path / "running", broker=f"mqtt://127.0.0.1:{mosquitto.port}")
    collector = Collector(settings)
    collector.start()
    yield collector
    collector.stop()
