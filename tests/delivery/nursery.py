"""Terminals by the thousand: imports once, then forks for each line on stdin a real journal and uplink that punch on.

Arguments: folder (key.pem, journal.db, shown), broker's port, the collector's key. Each child prints nothing; what its
screen would show goes to `shown` by one write each, after `append` returned. The parent prints the child's pid.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import structlog

from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.flow import Backoff, Window
from kiosk.journal import Journal
from kiosk.settings import KioskSettings
from kiosk.uplink import Uplink


def punch_on(folder: Path, port: int, collector_key: str) -> None:
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.PrintLoggerFactory((folder / "terminal.log").open("a")),
    )
    key, clock = Ed25519Key.from_pem((folder / "key.pem").read_bytes()), SystemClock()
    shown = os.open(folder / "shown", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    journal = Journal(folder / "journal.db", key, "gate-1", "east", "Asia/Shanghai", clock)
    settings = KioskSettings.model_validate(
        {"device": "gate-1", "site": "east", "broker": f"mqtt://127.0.0.1:{port}", "collector_keys": [collector_key]}
    )
    uplink = Uplink(journal, settings, clock, backoff=Backoff(0.02, 0.1), window=Window(64, resend_after_s=0.5))
    uplink.start()
    dice = random.Random()
    while True:
        done = journal.append("test.noted", {"filler": "x" * dice.randrange(3000)})
        os.write(shown, f"{done.event.chain} {done.seq} {done.hash}\n".encode())
        uplink.wake()
        if dice.random() < 0.05:
            journal.prune("2099-01-01T00:00:00.000Z")
        time.sleep(dice.random() * 0.02)


def main() -> None:
    folder, port, collector_key = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                punch_on(folder, port, collector_key)
            except BaseException as error:
                (folder / "failed").open("a").write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("over", flush=True)


if __name__ == "__main__":
    main()
