"""A real software TPM (Debian's swtpm) on free ports, started and stopped by its own process id."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

BINARY = shutil.which("swtpm")
MISSING = (
    "swtpm is not installed (apt-get install swtpm)"
    if BINARY is None
    else "tpm2-pytss is not installed (pip install 'zaigang[tpm]')"
    if importlib.util.find_spec("tpm2_pytss") is None
    else None
)


def two_ports() -> int:
    """A free port whose next one is free too: the TCTI finds the control channel there."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


@dataclass
class Swtpm:
    """One TPM with its own seeds in `folder`; `stop` and `start` again: the same TPM, reset."""

    folder: Path
    port: int = field(default_factory=two_ports)
    process: subprocess.Popen[bytes] | None = None

    @property
    def tcti(self) -> str:
        return f"swtpm:host=127.0.0.1,port={self.port}"

    def start(self) -> Swtpm:
        assert BINARY is not None
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "swtpm.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    BINARY,
                    "socket",
                    "--tpm2",
                    "--tpmstate",
                    f"dir={self.folder}",
                    "--server",
                    f"type=tcp,port={self.port},disconnect",
                    "--ctrl",
                    f"type=tcp,port={self.port + 1}",
                    "--flags",
                    "not-need-init,startup-clear",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port + 1), 1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, "swtpm does not start"
                time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
