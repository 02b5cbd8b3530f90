"""Runs deploy/ansible/site.yml against root file systems, from a copy of the checkout that nobody edits meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.rootfs import RootFs

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
COPIED = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "evidence",
    "kiosk",
    "collector",
    "zaigang",
    "requirements",
    "deploy",
)


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


@dataclass(frozen=True, slots=True)
class Playbook:
    """The playbook with one inventory."""

    folder: Path
    inventory: dict[str, Any]

    def prepare(self) -> Playbook:
        """Copy the checkout and write the inventory."""
        for name in COPIED:
            source, target = CHECKOUT / name, self.folder / "checkout" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".build", "secrets"))
            else:
                shutil.copy(source, target)
        (self.folder / "inventory").mkdir()
        (self.folder / "inventory/hosts.json").write_text(json.dumps(self.inventory))
        return self

    def run(self) -> dict[str, dict[str, int]]:
        """Run it and return the counts of every host. Raises AssertionError with the end of its output."""
        environment = {
            **os.environ,
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection_plugins"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible"),
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": str(CHECKOUT),
        }
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", self.folder / "inventory/hosts.json", "site.yml"],
            cwd=self.folder / "checkout/deploy/ansible", env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        (self.folder / "ansible.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return _recap(done.stdout)


def _recap(output: str) -> dict[str, dict[str, int]]:
    """Read ansible-playbook's last lines: `host : ok=3 changed=1 …`."""
    counts = {}
    for line in output.partition("PLAY RECAP")[2].splitlines()[1:]:
        host, _, figures = line.partition(" : ")
        if figures:
            counts[host.strip()] = {
                key: int(value) for key, _, value in (one.partition("=") for one in figures.split())
            }
    return counts
