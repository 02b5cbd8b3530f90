"""The demo's world: broker, collector and terminal as real processes, and how they are asked.

Everything is observed from outside: the collector through its API and command, the terminal through what its screen
shows. The demo's story and the crash tests both live in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from kiosk.identity import load_or_create
from zaigang.demo.programs import DemoError, Program, free_port, wait_for

SITE, DEVICE, WORKER, NAME, PIN = "demo-site", "gate-1", "W-1001", "王芳 Wang Fang", "246810"
LATITUDE, LONGITUDE = 31.2304, 121.4737  # People's Square, Shanghai
START_S = 60.0  # a cold first start loads models, and may share two cores with much else
PUNCH_S = 30.0
TRIES = 6  # a busy machine loses frames, and with them answers; the count is shown
# Of somebody who must be refused. Half of the attempts after a failure ask something else before the turn, which ends a
# photo's try before it is turned: twelve tries all ending so are one demo in 4,000.
REFUSED_TRIES = 12
DELIVERY_S = 45.0  # the terminal's back-off after a lost network, and the broker's own start


class World:
    """Three programs in `folder`, not yet started. `mqtt_port`: a broker that somebody else runs."""

    def __init__(self, folder: Path, *, mqtt_port: int | None = None) -> None:
        self.folder = folder
        self.mqtt_port = mqtt_port or free_port()
        self._api_port, self._screen_port = free_port(), free_port()
        self.data = folder / "collector"
        self.broker = Program("broker", folder, ["-m", "zaigang.demo.broker", str(self.mqtt_port)])
        self._own_broker = mqtt_port is None
        self.collector = Program(
            "collector",
            folder,
            [
                *("-m", "zaigang.cli", "collector", "run", "--data", str(self.data), "--port", str(self._api_port)),
                *("--broker", f"mqtt://127.0.0.1:{self.mqtt_port}", "--mqtt-version", "3.1.1"),
            ],
        )
        self.terminal = Program(
            "terminal", folder, ["-m", "zaigang.demo.terminal", str(folder / "terminal.json")], spoken=True
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self._api_port}/api/v1", timeout=10)
        self.addresses = {
            "terminal screen 终端屏幕": f"http://127.0.0.1:{self._screen_port}/",
            "console 控制台": f"http://127.0.0.1:{self._api_port}/",
            "API": f"http://127.0.0.1:{self._api_port}/docs",
        }
        self.console_key = ""

    def start(self) -> None:
        """Start everything and register the terminal's key, as an administrator would."""
        self.admin("site", "add", SITE, "--title", "示范工地 Demo site", "--tz", "Asia/Shanghai")
        self.admin("worker", "add", WORKER, "--name", NAME)
        keys = json.loads(self.admin("keys", "--json"))
        ledger = json.loads(self.admin("checkpoint", "--json"))
        self.console_key = self._api_key("write")
        self.http.headers["Authorization"] = f"Bearer {self.console_key}"
        (self.folder / "terminal.json").write_text(
            json.dumps(self._terminal_settings(keys, ledger["log"]), ensure_ascii=False)
        )
        if self._own_broker:
            self.broker.start()
        self.collector.start()
        # The terminal's key exists before the terminal runs (`zaigang kiosk key`); somebody registers it by hand.
        key = load_or_create(self.folder / "terminal" / "terminal.pem").public.text()
        self.admin("device", "add", DEVICE, "--site", SITE, "--key", key)
        self.terminal.start()
        wait_for("the collector", self._collector_answers, START_S)
        wait_for("the terminal to come online", self._device_online, START_S)

    def stop(self) -> None:
        """End the programs."""
        self.http.close()
        for program in (self.terminal, self.collector, self.broker):
            program.stop()

    def enrol(self) -> None:
        """Enrol the worker under a one-time authorisation."""
        authorisation = self.admin("worker", "authorise", WORKER, "--device", DEVICE).strip().splitlines()[-1]
        self.terminal.ask(do="stand", who="worker")
        self.terminal.ask(do="enrol", authorisation=authorisation, pin=PIN)

    def verified(
        self, who: str, log_type: str, *, meanwhile: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any], int]:
        """Let a living worker punch, at most TRIES times, as at a gate; return the last result and how many it took.

        A machine that is busy with much else shows the camera few frames, and a living face may be refused once.
        """
        for attempt in range(1, TRIES + 1):
            result = self.attempt(who, log_type, meanwhile=meanwhile if attempt == 1 else None)
            if result["verdict"] == "verified":
                break
        return result, attempt

    def refused_for(self, check: str, who: str) -> tuple[dict[str, Any], int]:
        """Let `who` try to punch in until `check` has an outcome or a try is not refused, at most REFUSED_TRIES times.

        Returns the last punch with all its checks and how many tries it took. Prompts are drawn by lot: an attempt may
        fail on one before the check that a step is about was reached. A try that gets through ends it.
        """
        tries = 0
        reached = False
        while not reached and tries < REFUSED_TRIES:
            tries += 1
            punch = self.stored(self.attempt(who, "IN")["receipt_code"])
            reached = any(one["name"] == check and one["outcome"] != "not_run" for one in punch["checks"])
            reached = reached or punch["verdict"] != "refused"
        return punch, tries

    def attempt(self, who: str, log_type: str, *, meanwhile: Callable[[], None] | None = None) -> dict[str, Any]:
        """Let `who` stand before the terminal and tap; return the result that the screen shows.

        `meanwhile` is done between the tap and the result.
        """
        self.terminal.ask(do="stand", who=who)
        self.terminal.ask(do="tap", log_type=log_type)
        if meanwhile is not None:
            meanwhile()

        def shown() -> dict[str, Any] | None:
            result: dict[str, Any] | None = self.view()["result"]
            return result

        result = wait_for(f"the result of {who}'s attempt", shown, PUNCH_S)
        self.terminal.ask(do="dismiss")
        self.terminal.ask(do="stand", who="nobody")
        return result

    def view(self) -> dict[str, Any]:
        """What the terminal's screen shows."""
        return self.terminal.ask(do="view")

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Ask the collector's API."""
        response = self.http.get(path, params=parameters)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def punches(self) -> list[dict[str, Any]]:
        """Every punch that the collector has, newest first."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get("/punches", limit="100", **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next"] or ""
            if not cursor:
                return items

    def stored(self, receipt_code: str) -> dict[str, Any]:
        """The punch with all its checks as HR gets it, once the collector has it."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.punches() if one["receipt"] == receipt_code), None)

        punch = wait_for(f"punch {receipt_code} at the collector", found, DELIVERY_S)
        return self.get(f"/punches/{punch['id']}")

    def envelopes(self) -> list[str]:
        """The terminal's chain as the collector exports it, an envelope a line."""
        chain = self.terminal.ask(do="key")["chain"]
        response = self.http.get(f"/devices/{DEVICE}/chains/{chain}/envelopes")
        response.raise_for_status()
        return response.text.splitlines()

    def make_bundle(self, bundle: Path, trust: Path) -> None:
        """Have the collector make an evidence bundle of this run, and its trust file. Raises DemoError."""
        now = datetime.now(UTC)
        period = [(now + timedelta(days=days)).isoformat(timespec="seconds") for days in (-1, 1)]
        asked = ("--site", SITE, "--from", period[0], "--to", period[1], "--trust-out", str(trust), "--no-pdf")
        done = run("bundle", str(bundle), *asked, "--data", str(self.data))
        if done.returncode != 0:
            raise DemoError(f"zaigang bundle: {done.stderr.strip() or done.stdout.strip()}")

    def admin(self, *arguments: str) -> str:
        """Run `zaigang collector …`. Raises DemoError where it says no."""
        done = run("collector", *arguments, "--data", str(self.data))
        if done.returncode != 0:
            raise DemoError(f"zaigang collector {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _api_key(self, scope: str) -> str:
        created: dict[str, Any] = json.loads(
            self.admin("apikey", "create", "--scope", scope, "--name", "demo", "--json")
        )
        return str(created["key"])

    def _terminal_settings(self, keys: dict[str, Any], ledger: str) -> dict[str, Any]:
        return {
            "device": DEVICE,
            "site": SITE,
            "site_title": "示范工地 Demo site",
            "data_dir": str(self.folder / "terminal"),
            "mqtt_port": self.mqtt_port,
            "screen_port": self._screen_port,
            "collector": keys,
            "ledger": ledger,
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
        }

    def _collector_answers(self) -> bool:
        self.collector.check()
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _device_online(self) -> bool:
        self.terminal.check()
        states = {one["name"]: one["state"] for one in self.get("/devices")["items"]}
        return states.get(DEVICE) in ("operational", "reduced_functionality")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `zaigang` with these arguments and return what it said."""
    command = [sys.executable, "-m", "zaigang.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603  # our own
