"""A collector that terminals can join: a real HTTPS server with a certificate of the collector's own authority."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn

from collector.database import Database
from collector.devices.authority import load_or_create_authority
from collector.devices.joining import Joining, Reachable
from collector.devices.server_tls import Tls, server_tls
from collector.healthz import Health, PartHealth
from collector.identity import CollectorKeys, load_or_create_keys
from collector.services import Services, build_services, open_database
from collector.settings import Settings, load_settings
from collector.sites.service import NewSite
from collector.web import create_api
from tests.support.ports import free_port, wait_for_port


@dataclass
class Centre:
    """The collector, and the clock that its joining goes by."""

    data: Path
    port: int = field(default_factory=free_port)
    ahead: timedelta = timedelta()
    broker_port: int = 8883

    def __post_init__(self) -> None:
        self.settings: Settings = load_settings(
            data=self.data,
            https=True,
            public_url=f"https://localhost:{self.port}",
            public_brokers=(f"mqtts://localhost:{self.broker_port}",),
        )
        self.keys: CollectorKeys = load_or_create_keys(self.settings.keys_path)
        self.database: Database = open_database(self.settings)
        self.services: Services = build_services(self.settings, self.database, self.keys)
        if not self.services.sites.all():
            self.services.sites.add(NewSite(name="east", title="东门 East", tz="Asia/Shanghai"))
            self.services.sites.add(NewSite(name="west", title="西门 West", tz="Asia/Shanghai"))
        self.joining = Joining(
            self.database,
            self.keys,
            load_or_create_authority(self.settings.keys_path),
            Reachable(self.settings.public_url, self.settings.public_brokers, self.ledger_key),
            now=lambda: datetime.now(UTC) + self.ahead,
        )
        object.__setattr__(self.services, "joining", self.joining)

    @property
    def ledger_key(self) -> str:
        return self.services.checkpoints.signer.public.text()

    @contextmanager
    def serving(self, tls: Tls | None = None) -> Iterator[None]:
        """Serve HTTPS; `tls` stands for the certificate that the collector would take."""
        good = PartHealth(state="ok")
        app = create_api(self.services, lambda: Health(status="ok", intake=good, database=good, broker=good))
        files = tls or server_tls(self.settings)
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="warning", **files)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_for_port(self.port)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(10)

    def close(self) -> None:
        self.database.close()

    def decide(self, device: str, *, approve: bool = True) -> str:
        """Wait until the terminal asks, decide, return the fingerprint that the console shows."""
        deadline = time.monotonic() + 30
        while not any(one.device == device and one.state == "waiting" for one in self.joining.requests()):
            assert time.monotonic() < deadline, "no terminal asks to join"
            time.sleep(0.05)
        decide = self.joining.approve if approve else self.joining.deny
        return decide(device, "the administrator").fingerprint
