"""A broker whose rights know nothing of transfers costs the exchange, never the delivery of punches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.app import Collector
from evidence.events import Kind
from tests.kiosk.transfer.gates import Gate
from tests.kiosk.transfer.test_by_broker import come, connected, register, running
from tests.support.mosquitto import BINARY, Mosquitto
from tests.support.ports import wait_for_port

__all__ = ["running"]  # the fixture

RIGHTS = """
topic readwrite zaigang/v1/+/+/event
topic readwrite zaigang/v1/+/+/health
topic readwrite zaigang/v1/+/+/status
topic readwrite zaigang/v1/+/+/receipt
topic readwrite zaigang/v1/+/+/command
"""


class WithEarlierRights(Mosquitto):
    """Mosquitto with the rights of a configuration from before transfers."""

    def start(self) -> Mosquitto:
        rights, config = self.folder / "rights.acl", self.folder / "mosquitto.conf"
        rights.write_text(RIGHTS)
        rights.chmod(0o600)
        config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nacl_file {rights}\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-c", str(config)], stdout=log, stderr=log)
        wait_for_port(self.port)
        return self


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = WithEarlierRights(tmp_path).start()
    yield broker
    broker.stop()


def test_a_broker_that_takes_no_transfers_is_told_of_and_punches_go_on(
    mosquitto: Mosquitto, running: Collector, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "gate-1")
    register(running, gate)
    with connected(gate, running, mosquitto):
        come(lambda: gate.exchange.part.state == "failed")
        assert gate.exchange.part.reason.startswith("broker_refuses:")
        for number in range(3):
            gate.journal.append(Kind.CLOCK_STEPPED, {"from": gate.now(), "step_ms": number})
            gate.wake()
            come(lambda: gate.journal.depth == 0)
        assert gate.uplink is not None and gate.uplink.counts["connected"] == 1
    gate.gallery.close()
    gate.journal.close()
