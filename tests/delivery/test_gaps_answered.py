"""Over a real Mosquitto: a collector whose newest entries are gone asks for them, and the terminal sends them again.

Both ends believe that all was delivered: the terminal has a receipt, so nothing but the question brings the events.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.ingest.intake import Intake
from collector.ingest.message import Message
from collector.timestamps import utc_text
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from tests.delivery.test_networks import open_journal, start_uplink
from tests.delivery.test_terminal_crashes import require_everything, started_collector
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually


def test_what_the_collector_lacks_comes_again_because_it_asks(tmp_path: Path, mosquitto: Mosquitto) -> None:
    key = Ed25519Key.generate()
    collector = started_collector(tmp_path / "collector", mosquitto.port, key)
    keys = collector.keys
    journal = open_journal(tmp_path, key)
    promised = {}
    for number in range(50):
        done = journal.append("test.noted", {"number": number})
        promised[done.event.chain, done.seq] = done.hash
    head, now = journal.head, datetime.now(UTC)
    upto = Receipt(device="gate-1", chain=head.chain, upto=head.seq, head=head.hash, tree_size=51, time=utc_text(now))
    journal.release(sign_receipt(upto, keys.receipt), keys.receipt.public)
    uplink = start_uplink(journal, [mosquitto.port], keys.receipt.public.text())
    eventually(lambda: uplink.online)

    newest = [envelope for _, envelope in journal.range(45, 50, 6)]
    an_hour_ago = utc_text(now - timedelta(hours=1))
    intake = Intake(collector.database, keys.receipt, keys.seal)
    intake.admit([Message("zaigang/v1/east/gate-1/event", data, an_hour_ago) for data in newest])
    assert collector.services.ledger.size() < 45

    # One question brings no more than the broker takes at once; what is left is another gap, asked for at once.
    eventually(lambda: uplink.counts["sent_again"] >= 45)
    eventually(lambda: len(list(collector.services.ledger.envelopes("gate-1", head.chain))) == 51)
    assert uplink.counts["asked"] >= 1 and uplink.counts["published"] == 0
    uplink.stop()
    journal.close()
    assert require_everything(collector, key, promised) == 51
    collector.stop()
