"""A journal's life in one short program, for strace to break: open, append, receipt, prune, a command, close.

Arguments: folder. Says on stdout, unbuffered, what its screen would show, and goes on after a refused append as the
terminal does. Exit status 3: the journal could not be opened.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.clock import SystemClock
from kiosk.errors import JournalError
from kiosk.journal import Journal

APPENDS = 6


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def live(folder: Path) -> None:
    key = Ed25519Key.from_pem((folder / "key.pem").read_bytes())
    collector = Ed25519Key.from_pem((folder / "collector.pem").read_bytes())
    try:
        journal = Journal(folder / "journal.db", key, "gate-1", "east", "UTC", SystemClock())
    except JournalError as error:
        say(f"closed {error.code}")
        raise SystemExit(3) from None
    for number in range(APPENDS):
        try:
            done = journal.append_once(f"token-{number}", "test.noted", {"filler": "x" * 3000})
            if done is not None:
                say(f"shown {done.event.chain} {done.seq} {done.hash} {number}")
            if number == 3 and done is not None:
                receipt = Receipt(
                    device="gate-1",
                    chain=done.event.chain,
                    upto=done.seq,
                    head=done.hash,
                    tree_size=1,
                    time="2020-01-01T00:00:00.000Z",
                )
                journal.release(sign_receipt(receipt, collector), collector.public)
                say(f"released {done.event.chain} {done.seq}")
            if number == 4:
                journal.prune("2099-01-01T00:00:00.000Z")
        except JournalError as error:
            say(f"refused {error.code}")
            journal.probe()
    journal.close()
    say("end")


if __name__ == "__main__":
    live(Path(sys.argv[1]))
