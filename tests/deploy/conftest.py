"""One site for all tests of this folder: the playbook run twice against an empty Debian."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.deploy.playbook import Playbook, Site
from tests.deploy.rootfs import fresh_root
from tests.support.ports import free_port

SUITES = ["bookworm", "trixie"] if os.environ.get("ZAIGANG_LONG") == "1" else ["bookworm"]


@pytest.fixture(scope="session", params=SUITES)
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
