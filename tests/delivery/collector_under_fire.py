"""A collector's intake in one short program, for strace to break: four batches of events, receipts after each commit.

Arguments: folder (collector/, envelopes). Tries a failed batch again, as the pump does, and gives up after three times.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from collector.identity import load_or_create_keys
from collector.ingest.intake import Intake
from collector.ingest.message import Message
from collector.services import connect
from collector.settings import load_settings
from evidence.envelope import Envelope
from evidence.events import parse_event
from evidence.receipt import read_receipt
from evidence.topics import Leaf, Topic

BATCH = 10


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def live(folder: Path) -> None:
    settings = load_settings(data=folder / "collector")
    keys = load_or_create_keys(settings.keys_path)
    envelopes = (folder / "envelopes").read_bytes().splitlines()
    event = parse_event(Envelope.decode(envelopes[0]).payload)
    topic = str(Topic(event.site, event.device, Leaf.EVENT))
    try:
        database = connect(settings)
        intake = Intake(database, keys.receipt, keys.seal)
        for start in range(0, len(envelopes), BATCH):
            batch = envelopes[start : start + BATCH]
            messages = [Message(topic, data, "2026-11-24T00:00:00.000Z") for data in batch]
            for _ in range(3):
                try:
                    answers = intake.admit(messages)
                except SQLAlchemyError as error:
                    say(f"failed {type(error).__name__}")
                    continue
                for answer in answers:
                    say(f"receipt {read_receipt(answer.payload, keys.receipt.public, event.device).upto}")
                break
        database.close()
    except (SQLAlchemyError, OSError) as error:
        say(f"ended {type(error).__name__}")
        return
    say("end")


if __name__ == "__main__":
    live(Path(sys.argv[1]))
