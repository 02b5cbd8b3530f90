"""The playbook makes a site out of an empty Debian, and a second run finds nothing to do."""

from __future__ import annotations

import json
import shutil
import stat
import tomllib

import pytest

from tests.deploy.playbook import CHECKOUT, Site

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(1500)]
UNITS = ("zaigang-collector", "zaigang-kiosk", "zaigang-display")


def test_the_first_run_installs_and_the_second_changes_nothing(site: Site) -> None:
    assert site.first["failed"] == 0
    assert site.first["changed"] > 10
    assert site.second["failed"] == 0
    assert site.second["changed"] == 0


def test_the_services_start_at_the_next_boot(site: Site) -> None:
    for name in ("mosquitto", *UNITS):
        assert site.root.path(f"/etc/systemd/system/multi-user.target.wants/{name}.service").is_symlink(), name


def test_systemd_understands_every_line_of_the_units(site: Site) -> None:
    said = site.root.run("systemd-analyze", "verify", *(f"/etc/systemd/system/{name}.service" for name in UNITS))
    assert [line for line in said.splitlines() if "zaigang" in line] == []


def test_nobody_else_reads_keys_and_passwords(site: Site) -> None:
    for inside, mode in {
        "/etc/zaigang/collector.toml": 0o640,
        "/etc/zaigang/kiosk.toml": 0o640,
        "/etc/mosquitto/zaigang.users": 0o640,
        "/var/lib/zaigang-collector": 0o700,
        "/var/lib/zaigang-kiosk": 0o700,
        "/var/lib/zaigang-kiosk/terminal.pem": 0o600,
    }.items():
        assert stat.S_IMODE(site.root.path(inside).stat().st_mode) == mode, inside
    assert stat.S_IMODE(site.secrets.stat().st_mode) == 0o700


def test_the_terminal_pins_what_the_collector_signs_with(site: Site) -> None:
    told = json.loads(
        site.root.run(
            *("runuser", "-u", "zaigang-collector", "--", "/opt/zaigang/collector/current/venv/bin/zaigang"),
            *("collector", "keys", "--config", "/etc/zaigang/collector.toml", "--json"),
        )
    )
    settings = tomllib.loads(site.root.path("/etc/zaigang/kiosk.toml").read_text())
    assert settings["collector_keys"] == [told["receipt"], told["command"]]
    assert settings["ledger_key"] == told["ledger"]


def test_the_services_users_have_no_shell(site: Site) -> None:
    shells = dict(
        line.split(":")[::6]
        for line in site.root.path("/etc/passwd").read_text().splitlines()
        if line.startswith("zaigang-")
    )
    assert shells == dict.fromkeys(UNITS, "/usr/sbin/nologin")


def test_the_kiosk_role_installs_what_the_demo_needs(site: Site) -> None:
    shutil.copy(CHECKOUT / "tools/debian-packages", site.root.path("/tmp/debian-packages"))
    assert site.root.run("/tmp/debian-packages", "demo") == ""
