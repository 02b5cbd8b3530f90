"""Pictures of the console: a real collector and broker, fed by three terminals that sign real chains."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from collector.auth.service import Scope  # noqa: E402
from collector.devices.service import NewDevice  # noqa: E402
from collector.identity import load_or_create_keys  # noqa: E402
from collector.people.service import NewWorker  # noqa: E402
from collector.services import build_services, open_database  # noqa: E402
from collector.settings import load_settings  # noqa: E402
from collector.sites.service import NewSite  # noqa: E402
from evidence.topics import Leaf  # noqa: E402
from tests.collector.process import CollectorProcess  # noqa: E402
from tests.collector.terminal import Terminal  # noqa: E402
from tests.collector.test_console import health, online  # noqa: E402
from tests.collector.wire import connected  # noqa: E402
from tests.support.mosquitto import Mosquitto  # noqa: E402

WIDE_PX = {"width": 1440, "height": 900}
NARROW_PX = {"width": 390, "height": 844}
LOCALES = {"zh": "zh-CN", "en": "en-GB"}
SITE = "binjiang-3"
WORKERS = {
    "W-1001": "王芳",
    "W-1002": "李建国",
    "W-1003": "陈海燕",
    "W-1004": "赵磊",
    "W-1005": "孙丽",
    "W-1006": "周伟",
}
DAY = [  # who, verdict, direction, at which of the two gates: 08:00 in Shanghai and on
    ("W-1001", "verified", "IN", 0),
    ("W-1002", "verified", "IN", 1),
    ("W-1003", "verified", "IN", 0),
    (None, "refused", "IN", 1),
    ("W-1004", "review", "IN", 1),
    ("W-1005", "verified", "IN", 0),
    ("W-1006", "verified", "IN", 0),
    ("W-1002", "verified", "OUT", 1),
]
SECONDS_BETWEEN = 47
SETTLE_MS = 1500


@dataclass(frozen=True, slots=True)
class Shown:
    """A running console and the key that opens it."""

    url: str
    key: str


def console_pictures(browser: Browser, out: Path) -> None:
    """Write console-LANGUAGE.png and console-phone-LANGUAGE.png."""
    with tempfile.TemporaryDirectory() as folder, _site(Path(folder)) as shown:
        for language, locale in LOCALES.items():
            for name, size in (("console", WIDE_PX), ("console-phone", NARROW_PX)):
                page = browser.new_context(viewport=size, locale=locale).new_page()
                page.goto(shown.url)
                page.wait_for_url("**/login")
                page.fill("#key", shown.key)
                page.click("button[type=submit]")
                page.wait_for_selector(".zg-row:not(.head)")
                page.wait_for_timeout(SETTLE_MS)
                path = out / f"{name}-{language}.png"
                page.screenshot(path=path)
                sys.stdout.write(f"{path.name}\n")
                page.context.close()


@contextmanager
def _site(folder: Path) -> Iterator[Shown]:
    gates = [Terminal("gate-1", SITE), Terminal("gate-2", SITE), Terminal("storage-3", SITE)]
    broker = Mosquitto(folder).start()
    settings = load_settings(data=folder / "data")
    database = open_database(settings)
    services = build_services(settings, database, load_or_create_keys(settings.keys_path))
    services.sites.add(NewSite(name=SITE, title="滨江三号工地", tz="Asia/Shanghai"))
    for gate in gates:
        services.devices.add(NewDevice(name=gate.device, site=SITE, key=gate.key.public.text()))
    for code, name in WORKERS.items():
        services.people.add(NewWorker(code=code, name=name))
    _, key = services.api_keys.create("site office", Scope.READ)
    database.close()
    collector = CollectorProcess(folder / "data", broker.port).start()
    try:
        with connected(gates[0], broker.port) as wire:
            for gate in gates:
                wire.client.publish(gate.topic(Leaf.STATUS), online(gate), qos=1, retain=True)
                wire.send(gate.enrol(), topic=gate.event_topic)
            wire.client.publish(gates[0].topic(Leaf.HEALTH), health(gates[0]), qos=1)
            wire.client.publish(gates[1].topic(Leaf.HEALTH), health(gates[1]), qos=1)
            trouble = ("failed", "camera_stalled: no new picture for 12 s")
            wire.client.publish(gates[2].topic(Leaf.HEALTH), health(gates[2], camera=trouble), qos=1)
            for number, (worker, verdict, direction, gate) in enumerate(DAY):
                gates[gate].time_s = (number + 1) * SECONDS_BETWEEN
                wire.send(gates[gate].punch(worker, verdict, direction), topic=gates[gate].event_topic)
            yield Shown(collector.url, key)
    finally:
        collector.stop()
        broker.stop()
