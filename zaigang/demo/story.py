"""The story that the demo tells, step by step.

Every step says beforehand what must be observed; the observation is asked of the programs (the collector's API, the
terminal's screen, the verifier), never of the demo's own memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from evidence.envelope import Envelope
from evidence.events import parse_event
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from evidence.topics import Leaf, Topic
from zaigang.demo.programs import wait_for
from zaigang.demo.report import Report
from zaigang.demo.world import DELIVERY_S, DEVICE, SITE, WORKER, World, run

HOLDS = "the bundle holds with the worker's QR code in it"


class Story:
    """One telling of it in `world`."""

    def __init__(self, world: World, report: Report, bundle: Path | None = None, trust: Path | None = None) -> None:
        """`bundle` and `trust`: where the evidence bundle and the keys to trust are to be kept."""
        self._world, self._report = world, report
        self._bundle_file = bundle or world.folder / "evidence.zip"
        self._trust_file = trust or world.folder / "bundle-trust.json"

    def tell(self) -> None:
        """Tell the whole story. Raises what a step raises."""
        self._start()
        self._enrol()
        self._punch_in()
        self._stranger()
        self._printed_photo()
        self._network_away()
        self._verify()
        self._bundle()
        self._changed_byte()

    def _start(self) -> None:
        expected = "collector ok, terminal online, its key registered by an administrator"
        with self._report.step("start", "Broker, collector and terminal start  启动", expected) as step:
            self._world.start()
            step.saw(expected)  # start raises where any of it does not come true

    def _enrol(self) -> None:
        expected = "consent.given and worker.enrolled signed and in the ledger; the face stays on the terminal"
        with self._report.step(
            "enrol", "The worker is enrolled under a one-time authorisation  录入", expected
        ) as step:
            self._world.enrol()
            wanted = {"consent.given", "worker.enrolled"}
            wait_for("both events in the ledger", lambda: self._kinds() >= wanted, DELIVERY_S)
            step.saw(expected)

    def _punch_in(self) -> None:
        with self._report.step("punch_in", "The worker punches in  上班打卡", f"verified {WORKER} IN") as step:
            result, step.attempts = self._world.verified("worker", "IN")
            punch = self._world.stored(result["receipt_code"])
            step.saw(f"{punch['verdict']} {punch['employee']} {punch['log_type']}")

    def _stranger(self) -> None:
        expected = "refused: face_match failed (no_match); challenge passed, planarity passed"
        with self._report.step("stranger", "A stranger tries  陌生人尝试", expected) as step:
            punch, step.attempts = self._world.refused_for("face_match", "stranger")
            step.saw(
                f"{punch['verdict']}: {_check(punch, 'face_match')}; challenge {_outcome(punch, 'challenge')}, "
                f"planarity {_outcome(punch, 'planarity')}"
            )

    def _printed_photo(self) -> None:
        expected = "refused: planarity failed (flat)"
        title = "A printed photo of the worker tries (synthetic attack)  打印照片尝试"
        with self._report.step("printed_photo", title, expected) as step:
            punch, step.attempts = self._world.refused_for("planarity", "print")
            step.saw(f"{punch['verdict']}: {_check(punch, 'planarity')}")

    def _network_away(self) -> None:
        expected = "recorded offline, a forged receipt released nothing, then delivered once"
        with self._report.step(
            "network_away", "The network goes away during a punch out  断网下班打卡", expected
        ) as step:
            result, step.attempts = self._world.verified("worker", "OUT", meanwhile=self._world.broker.stop)
            waiting = self._world.view()
            recorded = result["verdict"] == "verified" and not waiting["online"] and waiting["unsent"] >= 1
            # The collector is held still, so that the first receipt the terminal sees is the forged one.
            self._world.collector.hold()
            try:
                self._world.broker.start()
                wait_for("the terminal to find the network again", lambda: self._world.view()["online"], DELIVERY_S)
                kept = self._forge_receipt()
            finally:
                self._world.collector.go_on()
            wait_for("the receipt", lambda: self._world.view()["unsent"] == 0, DELIVERY_S)
            copies = [one for one in self._world.punches() if one["receipt"] == result["receipt_code"]]
            step.saw(
                f"{'recorded offline' if recorded else f'not recorded offline: {result}'}, "
                f"{'a forged receipt released nothing' if kept else 'A FORGED RECEIPT RELEASED ROWS'}, "
                f"then delivered {'once' if len(copies) == 1 else f'{len(copies)} times'}"
            )

    def _verify(self) -> None:
        expected = "the exported chain verifies, and the worker's QR code names an event in it"
        with self._report.step(
            "verify", "Anyone checks the chain and the worker's QR code  离线验证", expected
        ) as step:
            chain, trust, qr = self._export()
            done = run("verify", str(chain), "--trust", str(trust), "--punch-receipt", qr)
            step.saw(expected if done.returncode == 0 else done.stdout[-600:] + done.stderr[-600:])

    def _bundle(self) -> None:
        expected = "the bundle holds with the worker's QR code in it; with one byte changed it does not"
        title = "One file for the arbitrator, checked with keys from elsewhere  证据包"
        with self._report.step("bundle", title, expected) as step:
            qr = self._world.terminal.ask(do="key")["last_punch_receipt"]
            self._world.make_bundle(self._bundle_file, self._trust_file)
            good = run("verify", str(self._bundle_file), "--trust", str(self._trust_file), "--receipt", qr)
            changed = bytearray(self._bundle_file.read_bytes())
            changed[len(changed) // 2] ^= 1
            forged = self._world.folder / "forged.zip"
            forged.write_bytes(changed)
            bad = run("verify", str(forged), "--trust", str(self._trust_file))
            step.saw(
                f"{HOLDS if good.returncode == 0 else good.stdout[-600:] + good.stderr[-600:]}; "
                f"with one byte changed it {'does not' if bad.returncode == 1 else f'exits {bad.returncode}'}"
            )

    def _changed_byte(self) -> None:
        leaf = self._newest_leaf()
        expected = f"before: clean; after: found in ledger_entries, entry {leaf}"
        with self._report.step("changed_byte", "One stored byte is changed by hand  改动一个字节", expected) as step:
            before = run("collector", "fsck", "--data", str(self._world.data), "--json")
            self._flip_one_byte(leaf)
            after = run("collector", "fsck", "--data", str(self._world.data), "--json")
            found = json.loads(after.stdout)["difference"] if after.returncode == 1 else None
            step.saw(
                f"before: {'clean' if before.returncode == 0 else before.stdout + before.stderr}; "
                f"after: {_where(found) if found else f'exit {after.returncode} {after.stdout}{after.stderr}'}"
            )

    def _kinds(self) -> set[str]:
        return {parse_event(Envelope.decode(line.encode()).payload).kind for line in self._world.envelopes()}

    def _export(self) -> tuple[Path, Path, str]:
        chain, trust = self._world.folder / "chain.jsonl", self._world.folder / "trust.json"
        chain.write_text("".join(line + "\n" for line in self._world.envelopes()))
        answer = self._world.terminal.ask(do="key")
        trust.write_text(json.dumps({"devices": {DEVICE: [answer["key"]]}}))
        return chain, trust, answer["last_punch_receipt"]

    def _forge_receipt(self) -> bool:
        """Send the terminal a receipt for everything it holds, signed by a key that it does not know.

        Returns True if it saw the receipt, counted it as refused and let nothing go.
        """
        head = self._world.terminal.ask(do="key")
        forged = Receipt(
            device=DEVICE, chain=head["chain"], upto=head["seq"], head=head["head"], tree_size=1, time=head["time"]
        )
        before = self._world.view()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="forger", protocol=mqtt.MQTTv311)
        client.connect("127.0.0.1", self._world.mqtt_port)
        client.loop_start()
        data = sign_receipt(forged, Ed25519Key.generate())
        client.publish(str(Topic(SITE, DEVICE, Leaf.RECEIPT)), data, qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

        def answered() -> dict[str, Any] | None:
            view = self._world.view()
            refused = view["receipts_refused"] > before["receipts_refused"]
            return view if refused or view["unsent"] < before["unsent"] else None

        return bool(wait_for("the terminal to judge the forged receipt", answered, 10)["unsent"] == before["unsent"])

    def _newest_leaf(self) -> int:
        with self._database() as database:
            return int(database.execute("SELECT max(leaf_index) FROM ledger_entries").fetchone()[0])

    def _flip_one_byte(self, leaf: int) -> None:
        """Flip one bit of a stored envelope, as somebody with database rights would."""
        with self._database() as database, database:
            where = (leaf,)
            (envelope,) = database.execute("SELECT envelope FROM ledger_entries WHERE leaf_index = ?", where).fetchone()
            changed = bytearray(envelope)
            changed[len(changed) // 2] ^= 1
            database.execute("UPDATE ledger_entries SET envelope = ? WHERE leaf_index = ?", (bytes(changed), leaf))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._world.data / "collector.sqlite", timeout=10)) as database:
            yield database


def _named(punch: dict[str, Any], name: str) -> dict[str, Any]:
    return next(
        (check for check in punch["checks"] if check["name"] == name), {"outcome": "missing", "reason": "missing"}
    )


def _outcome(punch: dict[str, Any], name: str) -> str:
    return str(_named(punch, name)["outcome"])


def _check(punch: dict[str, Any], name: str) -> str:
    check = _named(punch, name)
    return f"{name} {check['outcome']} ({check['reason'].partition(':')[0]})"


def _where(difference: dict[str, str]) -> str:
    return f"found in {difference['table']}, entry {difference['row']}"
