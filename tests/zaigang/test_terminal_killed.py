"""`kill -9` of the whole terminal in the middle of punches: nothing the worker saw is lost, nothing doubles.

Real terminal with its camera, real Mosquitto, real collector. 3 kills in `make test`, 20 with ZAIGANG_LONG=1.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.keys import PublicKey
from tests.support.mosquitto import Mosquitto
from zaigang.demo.programs import wait_for
from zaigang.demo.world import DELIVERY_S, DEVICE, START_S, World, run

KILLS = 20 if os.environ.get("ZAIGANG_LONG") == "1" else 3
LONGEST_WAIT_S = 5.0  # a punch takes about three seconds: moments before, in and after it are all hit


def seen_codes(log: Path) -> Counter[str]:
    """Receipt codes that the terminal says its screen has shown, by how often."""
    codes: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if '"punch_shown"' in line and line.startswith("{"):
            codes[json.loads(line)["receipt"]] += 1
    return codes


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_killed_terminal_loses_nothing_shown_and_doubles_nothing(
    tmp_path: Path, mosquitto: Mosquitto, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("ZAIGANG_SEED", "20261122"))
    dice = random.Random(seed)
    world = World(tmp_path, mqtt_port=mosquitto.port)
    on_screen: set[str] = set()
    waits = []
    try:
        world.start()
        world.enrol()
        for kill in range(KILLS):
            if kill:
                world.terminal.start()
                wait_for("the terminal's screen", lambda: world.view()["face_available"], START_S)
            world.terminal.ask(do="stand", who="worker")
            world.terminal.ask(do="tap", log_type="IN" if kill % 2 == 0 else "OUT")
            waits.append(round(dice.uniform(0, LONGEST_WAIT_S), 3))
            deadline = time.monotonic() + waits[-1]
            while time.monotonic() < deadline:
                result = world.view()["result"]
                if result and result["receipt_code"]:
                    on_screen.add(result["receipt_code"])
                time.sleep(0.01)
            world.terminal.kill()
        world.terminal.start()
        wait_for("everything to be receipted", lambda: world.view()["unsent"] == 0, DELIVERY_S)
        stored = Counter(punch["receipt"] for punch in world.punches())
        on_screen |= set(seen_codes(world.terminal.log))
        lost = on_screen - set(stored)
        doubled = {code: count for code, count in stored.items() if count > 1}
        key = PublicKey.parse(world.terminal.ask(do="key")["key"])
        chain = verify_chain([line.encode() for line in world.envelopes()], {DEVICE: key})
        fsck = run("collector", "fsck", "--data", str(world.data))
    finally:
        world.stop()
    figures = {
        "kills": KILLS,
        "seed": seed,
        "waits_s": waits,
        "shown": len(on_screen),
        "stored": sum(stored.values()),
        "lost": len(lost),
        "doubled": len(doubled),
        "chain_events": chain.events,
    }
    for name, figure in figures.items():
        record_property(name, figure)
    assert on_screen, "no punch was shown at all: the test would prove nothing"
    assert not lost
    assert not doubled
    assert chain.ok, chain.problems
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr
