"""A real Mosquitto that runs on what `zaigang collector broker-config` has written."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.mosquitto import BINARY
from tests.support.ports import wait_for_port


@dataclass
class TlsMosquitto:
    """A broker on a written configuration; `reload` as `systemctl reload mosquitto` does."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> TlsMosquitto:
        config = self.folder / "main.conf"  # Debian's own file sets these two
        config.write_text(f"user root\npersistence false\nlog_type all\n{(self.folder / 'zaigang.conf').read_text()}")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-c", str(config)], stdout=log, stderr=log)
        wait_for_port(self.port)
        return self

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None
