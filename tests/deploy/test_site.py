"""The playbook makes a running site out of an empty Debian, and a second run finds nothing to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.playbook import Playbook
from tests.deploy.rootfs import RootFs, fresh_root
from tests.support.ports import free_port

pytestmark = [pytest.mark.root, pytest.mark.timeout(1500)]
SUITES = ["bookworm", "trixie"] if os.environ.get("ZAIGANG_LONG") == "1" else ["bookworm"]


@dataclass(frozen=True, slots=True)
class Site:
    """What the playbook made of an empty root file system: collector, broker and kiosk on one machine."""

    root: RootFs
    first: dict[str, int]
    second: dict[str, int]
    secrets: Path
    broker_port: int
    collector_port: int
    screen_port: int


@pytest.fixture(scope="module", params=SUITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    root = fresh_root(request.param)
    ports = [free_port(), free_port(), free_port()]
    machine = {
        "ansible_connection": "rootfs",
        "ansible_host": str(root.folder),
        "ansible_become": False,
        "broker_port": ports[0],
        "collector_port": ports[1],
        "kiosk_broker_port": ports[0],
        "kiosk_screen_port": ports[2],
        "kiosk_site": "riverside",
        "kiosk_settings": {"profile": "badge-only", "fence": {"latitude": 31.2, "longitude": 121.4, "radius_m": 80}},
    }
    inventory = {"collector": {"hosts": {"gate-1": machine}}, "kiosks": {"hosts": {"gate-1": {}}}}
    playbook = Playbook(folder, inventory).prepare()
    try:
        first = playbook.run()["gate-1"]
        second = playbook.run()["gate-1"]
        yield Site(root, first, second, folder / "inventory/secrets", *ports)
    finally:
        shutil.rmtree(root.folder)


def test_the_first_run_installs_and_the_second_changes_nothing(site: Site) -> None:
    assert site.first["failed"] == 0
    assert site.first["changed"] > 10
    assert site.second["failed"] == 0
    assert site.second["changed"] == 0
