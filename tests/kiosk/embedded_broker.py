"""The demo's embedded broker (amqtt, MQTT 3.1.1 only) as a process that a test kills and starts again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

from tests.support.ports import free_port, wait_for_port


@dataclass
class EmbeddedBroker:
    """One amqtt on a free port. It is killed, not asked: it forgets everything, which delivery must survive."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> EmbeddedBroker:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zaigang.demo.broker", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
