"""The story that the demo tells, step by step, against real programs: broker, collector, terminal.

Every step says beforehand what must be observed; the observation is asked of the programs (the collector's API, the
terminal's view, the verifier), never of the demo's own memory.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt

from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from evidence.topics import Leaf, Topic
from zaigang.demo.programs import DemoError, Program, free_port, wait_for
from zaigang.demo.report import Report

SITE, DEVICE, WORKER, NAME, PIN = "demo-site", "gate-1", "W-1001", "王芳 Wang Fang", "246810"
LATITUDE, LONGITUDE = 31.2304, 121.4737  # People's Square, Shanghai
START_S = 60.0  # a cold first start loads models and compiles nothing, but may share two cores with much else
PUNCH_S = 30.0
DELIVERY_S = 45.0  # the terminal's back-off after a lost network, and amqtt's own start


class Story:
    """One run of the demo in `folder`."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder, self._report = folder, report
        self._mqtt_port, self._api_port, self._screen_port = free_port(), free_port(), free_port()
        self._data = folder / "collector"
        self.broker = Program("broker", folder, ["-m", "zaigang.demo.broker", str(self._mqtt_port)])
        self.collector = Program(
            "collector",
            folder,
            ["-m", "zaigang.cli", "collector", "run", "--data", str(self._data), "--port", str(self._api_port)]
            + ["--broker", f"mqtt://127.0.0.1:{self._mqtt_port}", "--mqtt-version", "3"],
        )
        self.terminal = Program(
            "terminal", folder, ["-m", "zaigang.demo.terminal", str(folder / "terminal.json")], spoken=True
        )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._api_port}/api/v1", timeout=10)
        self.addresses = {
            "terminal screen 终端屏幕": f"http://127.0.0.1:{self._screen_port}/",
            "console 控制台": f"http://127.0.0.1:{self._api_port}/",
            "API": f"http://127.0.0.1:{self._api_port}/docs",
        }
        self.console_key = ""

    def run(self) -> None:
        """Tell the whole story. Raises what a step raises."""
        self._start()
        self._enrol()
        self._punch_in()
        self._stranger()
        self._printed_photo()
        self._network_away()
        self._worker_receipt()
        self._changed_byte()

    def stop(self) -> None:
        """End the programs."""
        self._http.close()
        for program in (self.terminal, self.collector, self.broker):
            program.stop()

    # The steps

    def _start(self) -> None:
        expected = "collector ok, terminal online, its key registered by an administrator"
        with self._report.step("start", "Broker, collector and terminal start  启动", expected) as step:
            self._admin("site", "add", SITE, "--title", "示范工地 Demo site", "--tz", "Asia/Shanghai")
            self._admin("worker", "add", WORKER, "--name", NAME)
            keys = json.loads(self._admin("keys", "--json"))
            self.console_key = self._api_key("write")
            self._http.headers["Authorization"] = f"Bearer {self.console_key}"
            (self._folder / "terminal.json").write_text(json.dumps(self._terminal_settings(keys), ensure_ascii=False))
            self.broker.start()
            self.collector.start()
            self.terminal.start()
            key = self.terminal.ask(do="key")["key"]
            self._admin("device", "add", DEVICE, "--site", SITE, "--key", key)
            wait_for("the collector", self._collector_answers, START_S)
            wait_for("the terminal to come online", self._device_online, START_S)
            step.saw(expected)

    def _enrol(self) -> None:
        expected = "consent.given and worker.enrolled signed and in the ledger; the face stays on the terminal"
        with self._report.step(
            "enrol", "The worker is enrolled under a one-time authorisation  录入", expected
        ) as step:
            authorisation = self._admin("worker", "authorise", WORKER, "--device", DEVICE).strip().splitlines()[-1]
            self.terminal.ask(do="stand", who="worker")
            self.terminal.ask(do="enrol", authorisation=authorisation, pin=PIN)
            wait_for(
                "both events in the ledger", lambda: self._kinds() >= {"consent.given", "worker.enrolled"}, DELIVERY_S
            )
            step.saw(expected)

    def _punch_in(self) -> None:
        with self._report.step("punch_in", "The worker punches in  上班打卡", f"verified {WORKER} IN") as step:
            result = self._attempt("worker", "IN")
            punch = self._stored(result["receipt_code"])
            step.saw(f"{punch['verdict']} {punch['employee']} {punch['log_type']}")

    def _stranger(self) -> None:
        expected = "refused: face_match failed (no_match); challenge passed, planarity passed"
        with self._report.step("stranger", "A stranger tries  陌生人尝试", expected) as step:
            punch = self._stored(self._attempt("stranger", "IN")["receipt_code"])
            step.saw(
                f"{punch['verdict']}: {_check(punch, 'face_match')}; challenge {_outcome(punch, 'challenge')}, "
                f"planarity {_outcome(punch, 'planarity')}"
            )

    def _printed_photo(self) -> None:
        expected = "refused: planarity failed (flat); face_match passed"
        title = "A printed photo of the worker tries (synthetic attack)  打印照片尝试"
        with self._report.step("printed_photo", title, expected) as step:
            punch = self._stored(self._attempt("print", "IN")["receipt_code"])
            step.saw(f"{punch['verdict']}: {_check(punch, 'planarity')}; face_match {_outcome(punch, 'face_match')}")

    def _network_away(self) -> None:
        expected = "recorded offline, a forged receipt released nothing, then delivered once"
        with self._report.step(
            "network_away", "The network goes away during a punch out  断网下班打卡", expected
        ) as step:
            self.broker.stop()
            result = self._attempt("worker", "OUT")
            waiting = self.terminal.ask(do="view")
            recorded = result["verdict"] == "verified" and not waiting["online"] and waiting["unsent"] >= 1
            # The collector is held still, so that the first receipt the terminal sees is the forged one.
            self.collector.hold()
            try:
                self.broker.start()
                wait_for("the terminal to find the network again", self._terminal_online, DELIVERY_S)
                kept = self._forge_receipt()
            finally:
                self.collector.go_on()
            wait_for("the receipt", lambda: self.terminal.ask(do="view")["unsent"] == 0, DELIVERY_S)
            copies = [one for one in self._punches() if one["receipt"] == result["receipt_code"]]
            step.saw(
                f"{'recorded offline' if recorded else f'not recorded offline: {result}'}, "
                f"{'a forged receipt released nothing' if kept else 'A FORGED RECEIPT RELEASED ROWS'}, "
                f"then delivered {'once' if len(copies) == 1 else f'{len(copies)} times'}"
            )

    def _worker_receipt(self) -> None:
        expected = "the exported chain verifies, and the worker's QR code names an event in it"
        with self._report.step(
            "verify", "Anyone checks the chain and the worker's QR code  离线验证", expected
        ) as step:
            chain, trust, qr = self._export()
            done = _run("verify", str(chain), "--trust", str(trust), "--punch-receipt", qr)
            step.saw(expected if done.returncode == 0 else done.stdout[-600:] + done.stderr[-600:])

    def _changed_byte(self) -> None:
        expected = "before: clean; after: found, and named by leaf"
        with self._report.step("changed_byte", "One stored byte is changed by hand  改动一个字节", expected) as step:
            before = _run("collector", "fsck", "--data", str(self._data), "--json")
            leaf = self._flip_one_byte()
            after = _run("collector", "fsck", "--data", str(self._data), "--json")
            named = f'"leaf_index": {leaf}' in after.stdout or f'"leaf_index":{leaf}' in after.stdout
            step.saw(
                f"before: {'clean' if before.returncode == 0 else before.stdout + before.stderr}; "
                f"after: {'found' if after.returncode == 1 else f'exit {after.returncode}'}"
                f"{', and named by leaf' if named else f' {after.stdout}{after.stderr}'}"
            )

    # How things are asked and done

    def _admin(self, *arguments: str) -> str:
        done = _run("collector", *arguments, "--data", str(self._data))
        if done.returncode != 0:
            raise DemoError(f"zaigang collector {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _api_key(self, scope: str) -> str:
        created: dict[str, Any] = json.loads(
            self._admin("apikey", "create", "--scope", scope, "--name", "demo", "--json")
        )
        return str(created["key"])

    def _terminal_settings(self, keys: dict[str, Any]) -> dict[str, Any]:
        return {
            "device": DEVICE,
            "site": SITE,
            "site_title": "示范工地 Demo site",
            "data_dir": str(self._folder / "terminal"),
            "mqtt_port": self._mqtt_port,
            "screen_port": self._screen_port,
            "collector": keys,
            "latitude": LATITUDE,
            "longitude": LONGITUDE,
        }

    def _attempt(self, who: str, log_type: str) -> dict[str, Any]:
        """Let `who` stand before the terminal and tap; return the result that the screen shows."""
        self.terminal.ask(do="stand", who=who)
        self.terminal.ask(do="tap", log_type=log_type)

        def shown() -> dict[str, Any] | None:
            result: dict[str, Any] | None = self.terminal.ask(do="view")["result"]
            return result

        result = wait_for(f"the result of {who}'s attempt", shown, PUNCH_S)
        self.terminal.ask(do="dismiss")
        self.terminal.ask(do="stand", who="nobody")
        return result

    def _collector_answers(self) -> bool:
        self.collector.check()
        try:
            return self._http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _device_online(self) -> bool:
        self.terminal.check()
        devices = self._get("/devices")["items"]
        return any(one["device"] == DEVICE and one["online"] for one in devices)

    def _terminal_online(self) -> bool:
        return bool(self.terminal.ask(do="view")["online"])

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        response = self._http.get(path, params=parameters)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _punches(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._get("/punches", limit="100")["items"]
        return items

    def _stored(self, receipt_code: str) -> dict[str, Any]:
        """The punch as HR gets it, once the collector has it."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self._punches() if one["receipt"] == receipt_code), None)

        punch = wait_for(f"punch {receipt_code} at the collector", found, DELIVERY_S)
        return self._get(f"/punches/{punch['id']}")

    def _envelopes(self) -> list[str]:
        chain = self.terminal.ask(do="key")["chain"]
        response = self._http.get(f"/devices/{DEVICE}/chains/{chain}/envelopes")
        response.raise_for_status()
        return response.text.splitlines()

    def _kinds(self) -> set[str]:
        from evidence.envelope import Envelope
        from evidence.events import parse_event

        return {parse_event(Envelope.decode(line.encode()).payload).kind for line in self._envelopes()}

    def _export(self) -> tuple[Path, Path, str]:
        chain, trust = self._folder / "chain.jsonl", self._folder / "trust.json"
        chain.write_text("".join(line + "\n" for line in self._envelopes()))
        answer = self.terminal.ask(do="key")
        trust.write_text(json.dumps({"devices": {DEVICE: [answer["key"]]}}))
        return chain, trust, answer["last_punch_receipt"]

    def _forge_receipt(self) -> bool:
        """Send the terminal a receipt for everything it holds, signed by a key that it does not know.

        Returns True if it saw the receipt, counted it as refused and let nothing go.
        """
        head = self.terminal.ask(do="key")
        forged = Receipt(
            device=DEVICE, chain=head["chain"], upto=head["seq"], head=head["head"], tree_size=1, time=head["time"]
        )
        before = self.terminal.ask(do="view")
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="forger", protocol=mqtt.MQTTv311)
        client.connect("127.0.0.1", self._mqtt_port)
        client.loop_start()
        data = sign_receipt(forged, Ed25519Key.generate())
        client.publish(str(Topic(SITE, DEVICE, Leaf.RECEIPT)), data, qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

        def answered() -> dict[str, Any] | None:
            view = self.terminal.ask(do="view")
            refused = view["receipts_refused"] > before["receipts_refused"]
            return view if refused or view["unsent"] < before["unsent"] else None

        return bool(wait_for("the terminal to judge the forged receipt", answered, 10)["unsent"] == before["unsent"])

    def _flip_one_byte(self) -> int:
        """Flip one bit of the newest stored envelope, as somebody with database rights would; return its leaf."""
        database = sqlite3.connect(self._data / "collector.db", timeout=10)
        with database:
            leaf, envelope = database.execute(
                "SELECT leaf_index, envelope FROM ledger_entry ORDER BY leaf_index DESC LIMIT 1"
            ).fetchone()
            changed = bytearray(envelope)
            changed[len(changed) // 2] ^= 1
            database.execute("UPDATE ledger_entry SET envelope = ? WHERE leaf_index = ?", (bytes(changed), leaf))
        database.close()
        return int(leaf)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zaigang.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603  # our own


def _named(punch: dict[str, Any], name: str) -> dict[str, Any]:
    return next(
        (check for check in punch["checks"] if check["name"] == name), {"outcome": "missing", "reason": "missing"}
    )


def _outcome(punch: dict[str, Any], name: str) -> str:
    return str(_named(punch, name)["outcome"])


def _check(punch: dict[str, Any], name: str) -> str:
    check = _named(punch, name)
    return f"{name} {check['outcome']} ({check['reason'].partition(':')[0]})"
