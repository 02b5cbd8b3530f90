"""A collector as its own process, as systemd would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from collector.settings import Settings
from collector.web import PREFIX
from tests.support.ports import free_port, wait_for_port

START_S = 120  # imports alone take twenty seconds where eight programs share two cores

ROOT = Path(__file__).parents[2]
_PROGRAM = "from zaigang.commands.collector import app; app()"


def command(*arguments: str, data: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `zaigang collector …` to its end."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments, "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def sharing_environment(settings: Settings, number: int) -> dict[str, str]:
    """What collector `number` of several is told, without its console."""
    assert settings.database is not None
    return {
        "ZAIGANG_COLLECTOR_DATABASE": settings.database.get_secret_value(),
        "ZAIGANG_COLLECTOR_MQTT_SHARE": "zaigang",
        "ZAIGANG_COLLECTOR_MQTT_CLIENT_ID": f"collector-{number}",
        "ZAIGANG_COLLECTOR_CONSOLE": "false",
    }


@dataclass
class CollectorProcess:
    """`zaigang collector run` on a folder; `kill` is kill -9."""

    data: Path
    broker_port: int
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    program: str = _PROGRAM
    environment: dict[str, str] = field(default_factory=dict)
    broker: str = ""  # its URL where it is not a plain one on this machine

    @classmethod
    def sharing(cls, settings: Settings, broker_port: int, number: int) -> CollectorProcess:
        """One of several on the database and the folder of `settings`."""
        return cls(settings.data, broker_port, environment=sharing_environment(settings, number))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def takes_events(self) -> bool:
        """Whether it is the one that leads."""
        with urllib.request.urlopen(f"{self.url}{PREFIX}/healthz", timeout=10) as answer:
            return bool(json.load(answer)["takes_events"])

    def start(self) -> CollectorProcess:
        broker = self.broker or f"mqtt://127.0.0.1:{self.broker_port}"
        arguments = ["run", "--data", str(self.data), "--port", str(self.port), "--broker", broker]
        with (self.data.parent / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.program, *arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )
        deadline = time.monotonic() + START_S
        while True:
            assert self.process.poll() is None, (self.data.parent / "collector.log").read_text()[-3000:]
            try:
                wait_for_port(self.port, 1)
                return self
            except TimeoutError:
                assert time.monotonic() < deadline, "the collector does not listen"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(30)
        self.process = None
        return code
